//! The limits of `Limits` that a peer's message can pass: at the limit it is accepted, one past it
//! refused, with an error of its own and a state that is as it was. Those that are tried elsewhere:
//! `message_bytes` (`rules::framing::sending`, and by whoever receives in the attacks), `group_id_bytes`
//! (the client's tests), `generation_jump` and the skipped keys (attacks 4 and 20), `past_epochs`
//! (V-8.6-01).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

use circlet::codec::{DecodeContext, DecodeError, Encode, Limits};
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::{CommitRequest, Policy};
use circlet::identity::{Credential, Signer};
use circlet::message::{Proposal, ProposalOrRef, UpdatePath};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{Heard, Outsider, TestGroup, default_capabilities};
use circlet::tree::{Extension, ExtensionType, Extensions, ExternalSender, LeafNodeContent};
use circlet::{Error, Refused, Unready};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

fn group(size: usize, limits: Limits) -> TestGroup {
    let context = DecodeContext { limits, ..DecodeContext::default() };
    TestGroup::builder(SUITE).size(size).context(context).build().unwrap()
}

fn with_proposals(proposals: Vec<Proposal>) -> CommitRequest {
    CommitRequest { by_value: proposals, ..CommitRequest::default() }
}

/// V-7.7-02: the tree grows to its limit and no further.
#[test]
fn leaves() {
    let mut group = group(3, Limits { leaves: 4, ..Limits::default() });
    group.add(0, "fourth").unwrap();
    let mut fifth = group.newcomer("fifth").unwrap();
    let add = Proposal::Add(fifth.key_package().unwrap());
    let error = group.members[0].stage(with_proposals(vec![add.clone()])).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Leaves(4))), "{error:?}");
    let mut eve = group.insider(1).unwrap();
    let commit = eve.commit().proposals([add]).public().unwrap();
    let error = group.refuses(0, &commit);
    assert!(matches!(error, Error::Refused(Refused::Leaves(4))), "{error:?}");
    group.update(1).unwrap();
}

fn psk(number: u8) -> (Vec<u8>, PreSharedKeyId) {
    let psk_id = vec![number];
    (psk_id.clone(), PreSharedKeyId { psk: Psk::External { psk_id }, psk_nonce: vec![number; 32] })
}

/// So many pre-shared keys that all members have.
fn know_psks(group: &mut TestGroup, count: u8) -> Vec<Proposal> {
    let ids: Vec<_> = (0..count).map(psk).collect();
    for member in &mut group.members {
        for (id, _) in &ids {
            member.psks.external.insert(id.clone(), Secret::new(&[7; 32]));
        }
    }
    ids.into_iter().map(|(_, id)| Proposal::PreSharedKey(id)).collect()
}

/// So many pre-shared keys in one Commit as `Limits::psks` says: a limit of our own, far below that of
/// the RFC.
#[test]
fn psks() {
    let mut group = group(2, Limits { psks: 2, ..Limits::default() });
    let proposals = know_psks(&mut group, 3);
    let error = group.members[0].stage(with_proposals(proposals.clone())).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Psks(2))), "{error:?}");
    let mut eve = group.insider(1).unwrap();
    let commit = eve.commit().proposals(proposals.clone()).public().unwrap();
    let error = group.refuses(0, &commit);
    assert!(matches!(error, Error::Refused(Refused::Psks(2))), "{error:?}");
    group.commit_with(1, proposals[..2].to_vec()).unwrap();
}

/// V-8.4-04: a `uint16` counts the pre-shared keys, whatever `Limits::psks` says: one more can't be
/// counted. As many as can be are judged like fewer: what is wrong with this Commit is then its tag,
/// which does not know of them.
#[test]
fn psks_that_can_be_counted() {
    let most = usize::from(u16::MAX);
    let limits = Limits { psks: 2 * most, proposals: 2 * most, ..Limits::default() };
    let mut group = group(2, limits);
    know_psks(&mut group, 1);
    let mut eve = group.insider(1).unwrap();
    for (count, expected) in [(most, Violation::ConfirmationTag), (most + 1, Violation::PskCount)] {
        let psks = (0..count as u32).map(|number| {
            let psk = Psk::External { psk_id: vec![0] };
            let psk_nonce = [[7; 28].as_slice(), &number.to_be_bytes()].concat();
            let proposal = Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce });
            ProposalOrRef::Proposal(Box::new(proposal))
        });
        let commit = eve.commit().edit_commit(|commit| commit.proposals.extend(psks));
        let error = group.refuses(0, commit.public().unwrap());
        assert!(matches!(error, Error::Violation(found) if found == expected), "{error:?}");
    }
}

/// V-2.1.2-06: so many proposals in one Commit.
#[test]
fn proposals() {
    let mut group = group(4, Limits { proposals: 3, ..Limits::default() });
    let four = know_psks(&mut group, 4);
    let error = group.members[0].stage(with_proposals(four.clone())).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Proposals(3))), "{error:?}");
    let mut eve = group.insider(3).unwrap();
    let commit = eve.commit().proposals(four.clone()).public().unwrap();
    let error = group.refuses(0, &commit);
    let expected = DecodeError::TooMany { what: "proposals", limit: 3 };
    assert!(matches!(error, Error::Malformed(found) if found == expected), "{error:?}");
    group.commit_with(3, four[..3].to_vec()).unwrap();
}

/// V-2.1.2-06: so many extensions in one list.
#[test]
fn extensions() {
    let mut context = DecodeContext::default();
    context.limits.extensions = 2;
    context.extension_types = [0xf001, 0xf002, 0xf003].into();
    let mut group = TestGroup::builder(SUITE).size(2).context(context).build().unwrap();
    let first = |count: usize| -> Proposal {
        let list = [0xf001, 0xf002, 0xf003].into_iter().take(count);
        let list = list
            .map(|kind| Extension { extension_type: ExtensionType(kind), data: Vec::new() })
            .collect::<Extensions>();
        Proposal::GroupContextExtensions(list)
    };
    let error = group.members[0].stage(with_proposals(vec![first(3)])).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Extensions(2))), "{error:?}");
    let mut eve = group.insider(1).unwrap();
    let commit = eve.commit().proposals([first(3)]).public().unwrap();
    let error = group.refuses(0, &commit);
    let expected = DecodeError::TooMany { what: "extensions", limit: 2 };
    assert!(matches!(error, Error::Malformed(found) if found == expected), "{error:?}");
    group.commit_with(1, [first(2)]).unwrap();
}

/// V-2.1.2-06: a credential of so many bytes. All receivers have the limit, the new member has not.
#[test]
fn credential_bytes() {
    let mut group = group(2, Limits { credential_bytes: 100, ..Limits::default() });
    for (length, fits) in [(101, false), (100, true)] {
        let mut newcomer = group.newcomer("new").unwrap();
        newcomer.settings.context = DecodeContext::default().into();
        newcomer.template.credential = Credential::basic(vec![b'x'; length]);
        let add = Proposal::Add(newcomer.key_package().unwrap());
        let commit = group.insider(1).unwrap().commit().proposals([add]).public().unwrap();
        if fits {
            assert!(matches!(group.members[0].receive(&commit).unwrap(), Heard::Commit(_)));
            continue;
        }
        let error = group.refuses(0, &commit);
        let expected = DecodeError::TooLong { what: "credential", limit: 100, actual: 101 };
        assert!(matches!(error, Error::Malformed(found) if found == expected), "{error:?}");
    }
}

/// V-12.1-02: so many proposals wait for a Commit, of one sender and in all.
#[test]
fn waiting_proposals() {
    let limits =
        Limits { cached_proposals: 3, cached_proposals_per_sender: 2, ..Limits::default() };
    let mut group = group(4, limits);
    let mut eve = group.insider(1).unwrap();
    let mut number = 0;
    let mut proposal = |eve: &mut circlet::testing::Insider| {
        number += 1;
        let (_, id) = psk(number);
        eve.proposal(Proposal::PreSharedKey(id)).unwrap().public().unwrap()
    };
    for _ in 0..2 {
        let waits = proposal(&mut eve);
        group.members[0].receive(&waits).unwrap();
    }
    let third = proposal(&mut eve);
    let error = group.refuses(0, &third);
    assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
    // Another sender's is accepted, until all are too many.
    let update = group.members[2].propose(None).unwrap();
    group.members[0].receive(&update).unwrap();
    let update = group.members[3].propose(None).unwrap();
    let error = group.refuses(0, &update);
    assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
}

/// V-12.1-02: so many bytes of proposals wait, of one sender and in all.
#[test]
fn bytes_of_waiting_proposals() {
    // A pre-shared key's proposal has two bytes of type, one that says that it is external, the id
    // with a byte of length, and the nonce with one.
    let length = 2 + 1 + 2 + 33;
    let limits = Limits {
        cached_proposal_bytes_per_sender: 2 * length,
        cached_proposal_bytes: 3 * length,
        ..Limits::default()
    };
    let mut group = group(4, limits);
    let mut senders = [1, 2, 3].map(|i| group.insider(i).unwrap());
    let mut number = 0;
    let mut send = |sender: usize| {
        number += 1;
        let (_, id) = psk(number);
        let proposal = Proposal::PreSharedKey(id);
        assert_eq!(proposal.to_bytes().unwrap().len(), length);
        senders[sender].proposal(proposal).unwrap().public().unwrap()
    };
    for _ in 0..2 {
        group.members[0].receive(send(0)).unwrap();
    }
    assert!(matches!(group.refuses(0, send(0)), Error::Refused(Refused::CachedProposals)));
    group.members[0].receive(send(1)).unwrap();
    assert!(matches!(group.refuses(0, send(1)), Error::Refused(Refused::CachedProposals)));
    assert!(matches!(group.refuses(0, send(2)), Error::Refused(Refused::CachedProposals)));
    assert_eq!(group.members[0].state().waiting_proposals().count(), 3);
}

/// V-12.1-02: so many proposals of new members wait, whoever they are; members are still heard.
#[test]
fn waiting_proposals_of_new_members() {
    let limits = Limits { cached_proposals_of_new_members: 2, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let policy = Policy { new_member_proposals: true, ..Policy::default() };
    let builder = TestGroup::builder(SUITE).size(2).context(context).policy(policy);
    let mut group = builder.build().unwrap();
    for (number, fits) in [(0, true), (1, true), (2, false)] {
        let mut newcomer = group.newcomer(&format!("new {number}")).unwrap();
        let add = Proposal::Add(newcomer.key_package().unwrap());
        let mut outsider = Outsider::new(newcomer.suite(), &newcomer.name, 5).unwrap();
        outsider.signer = newcomer.signer.clone();
        let context = group.members[0].state().context().clone();
        let sent = outsider.new_member_proposal(&context, add).unwrap().public().unwrap();
        if fits {
            assert!(matches!(group.members[0].receive(&sent).unwrap(), Heard::Proposal(_)));
            continue;
        }
        let error = group.refuses(0, &sent);
        assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
    }
    let update = group.members[1].propose(None).unwrap();
    assert!(matches!(group.members[0].receive(&update).unwrap(), Heard::Proposal(_)));
}

/// V-6.0-06: a message of an epoch that is not reached changes nothing, and is read when it is.
#[test]
fn a_message_of_a_later_epoch() {
    let mut group = group(3, Limits::default());
    let commit = group.members[1].stage(with_proposals(Vec::new())).unwrap();
    group.members[1].confirm().unwrap();
    let early = group.members[1].send(b"early").unwrap();
    let error = group.refuses(0, &early);
    let current = group.members[0].state().epoch();
    let expected = Unready::FutureEpoch { message: current + 1, current };
    assert!(matches!(error, Error::Unready(found) if found == expected));
    for i in [0, 2] {
        group.members[i].receive(&commit).unwrap();
        group.members[i].receive(&early).unwrap();
    }
}

/// An extension that makes whatever it is in so much longer.
fn padding(length: usize) -> Extension {
    Extension { extension_type: ExtensionType(0xf0f1), data: vec![7; length] }
}

fn pad(length: usize) -> impl FnOnce(&mut LeafNodeContent) {
    move |content| {
        content.capabilities.extensions.push(ExtensionType(0xf0f1));
        content.extensions.set(padding(length));
    }
}

/// Where a leaf comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Path,
    Update,
    Add,
}

/// Member 1 sends a padded leaf; with it, how long the leaf is.
fn send_leaf(group: &mut TestGroup, origin: Origin, padding: usize) -> (Vec<u8>, usize) {
    let mut eve = group.insider(1).unwrap();
    match origin {
        Origin::Path => {
            let mut length = 0;
            let read = |path: &mut UpdatePath| length = path.leaf_node.as_bytes().len();
            let commit = eve.commit().leaf(pad(padding)).edit_path(read).public().unwrap();
            (commit.as_ref().to_vec(), length)
        }
        Origin::Update => {
            let update = eve.update().edit(pad(padding)).proposal().unwrap();
            let Proposal::Update(leaf) = &update else { panic!() };
            let length = leaf.as_bytes().len();
            (eve.proposal(update).unwrap().public().unwrap().as_ref().to_vec(), length)
        }
        Origin::Add => {
            let mut dora = group.newcomer("dora").unwrap();
            let key_package = dora.forge_key_package().leaf(pad(padding)).build().unwrap();
            let length = key_package.leaf_node.as_bytes().len();
            let add = Proposal::Add(key_package);
            (eve.proposal(add).unwrap().public().unwrap().as_ref().to_vec(), length)
        }
    }
}

/// So many bytes of a leaf, in a path, an Update and an Add.
#[test]
fn leaf_bytes() {
    for origin in [Origin::Path, Origin::Update, Origin::Add] {
        let (_, length) = send_leaf(&mut group(3, Limits::default()), origin, 1_000);
        let mut group = group(3, Limits { leaf_bytes: length, ..Limits::default() });
        let (longer, _) = send_leaf(&mut group, origin, 1_001);
        let error = group.refuses(0, &longer);
        let expected = Refused::Leaf(length);
        assert!(matches!(error, Error::Refused(it) if it == expected), "{origin:?}: {error:?}");
        let (message, _) = send_leaf(&mut group, origin, 1_000);
        group.members[0].receive(&message).unwrap();
    }
}

/// A joiner holds the leaves of all members, and the group's extensions, against its own limits.
#[test]
fn joiners_have_limits_too() {
    let kind = ExtensionType(0xf0f1);
    let build = |with: usize| {
        let mut capabilities = default_capabilities(SUITE).unwrap();
        capabilities.extensions.push(kind);
        let extensions = Extensions::from_iter([padding(with)]);
        let builder = TestGroup::builder(SUITE).size(2).extensions(extensions);
        let builder = builder.capabilities(0, capabilities.clone());
        builder.capabilities(1, capabilities).build().unwrap()
    };
    let extensions = Extensions::from_iter([padding(500)]).to_bytes().unwrap().len();
    let longest = |group: &TestGroup| {
        let tree = group.members[0].state().tree();
        tree.members().map(|(_, leaf)| leaf.as_bytes().len()).max().unwrap()
    };
    let join = |limits: Limits| {
        let mut group = build(500);
        let mut dora = group.newcomer("dora").unwrap();
        dora.template.capabilities.extensions.push(kind);
        let add = Proposal::Add(dora.key_package().unwrap());
        let request = CommitRequest { by_value: vec![add], ..CommitRequest::default() };
        group.members[0].stage(request).unwrap();
        let welcome = group.members[0].confirm().unwrap().1.unwrap();
        let length = longest(&group);
        let limits = Limits {
            leaf_bytes: limits.leaf_bytes.min(length),
            extensions_bytes: limits.extensions_bytes,
            ..limits
        };
        dora.settings.context =
            std::sync::Arc::new(DecodeContext { limits, ..DecodeContext::default() });
        (dora.join(&welcome), length)
    };
    let (joined, length) = join(Limits { extensions_bytes: extensions, ..Limits::default() });
    joined.unwrap();
    let (refused, _) = join(Limits { leaf_bytes: length - 1, ..Limits::default() });
    assert!(matches!(refused, Err(Error::Refused(Refused::Leaf(_)))), "{refused:?}");
    let limits = Limits { extensions_bytes: extensions - 1, ..Limits::default() };
    let (refused, _) = join(limits);
    assert!(matches!(refused, Err(Error::Refused(Refused::ExtensionsLength(_)))), "{refused:?}");
}

/// So many bytes of a group's extensions, and so many external senders.
#[test]
fn extensions_bytes_and_external_senders() {
    let senders = |group: &TestGroup, count: usize| {
        let key = group.members[0].signer.public_key().clone();
        let sender = ExternalSender { signature_key: key, credential: Credential::basic("ds") };
        let senders = vec![sender; count];
        Extensions::from_iter([ExternalSender::to_extension(&senders).unwrap()])
    };
    let fit = senders(&group(1, Limits::default()), 3);
    let bytes = fit.to_bytes().unwrap().len();
    let by_bytes = Limits { extensions_bytes: bytes, ..Limits::default() };
    let by_count = Limits { external_senders: 3, ..Limits::default() };
    for (limits, expected) in
        [(by_bytes, Refused::ExtensionsLength(bytes)), (by_count, Refused::ExternalSenders(3))]
    {
        let mut group = group(3, limits);
        let four = Proposal::GroupContextExtensions(senders(&group, 4));
        let is_expected =
            |error: Error| assert!(matches!(error, Error::Refused(it) if it == expected));
        is_expected(group.members[0].stage(with_proposals(vec![four.clone()])).unwrap_err());
        let alone = group.insider(1).unwrap().proposal(four.clone()).unwrap().public().unwrap();
        is_expected(group.refuses(0, &alone));
        let commit = group.insider(1).unwrap().commit().proposals([four]).public().unwrap();
        is_expected(group.refuses(0, &commit));
        let three = Proposal::GroupContextExtensions(senders(&group, 3));
        group.commit_with(1, [three]).unwrap();
    }
}
