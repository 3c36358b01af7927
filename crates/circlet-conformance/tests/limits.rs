//! Each limit of `Limits` that a peer's message can pass: at the limit it is accepted, one past it
//! refused, with an error of its own and a state that is as it was.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

use circlet::codec::{DecodeContext, DecodeError, Encode, Limits};
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::CommitRequest;
use circlet::identity::{Credential, Signer};
use circlet::message::{Proposal, UpdatePath};
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{TestGroup, default_capabilities};
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
    let error = group.members[0].refuses(&commit);
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

/// V-8.4-04: so many pre-shared keys in one Commit.
#[test]
fn psks() {
    let mut group = group(2, Limits { psks: 2, ..Limits::default() });
    let ids: Vec<_> = (0..3).map(psk).collect();
    for member in &mut group.members {
        for (id, _) in &ids {
            let secret = circlet::crypto::Secret::new(&[7; 32]);
            member.psks.external.insert(id.clone(), secret);
        }
    }
    let proposals: Vec<_> = ids.iter().map(|(_, id)| Proposal::PreSharedKey(id.clone())).collect();
    let error = group.members[0].stage(with_proposals(proposals.clone())).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Psks(2))), "{error:?}");
    let mut eve = group.insider(1).unwrap();
    let commit = eve.commit().proposals(proposals.clone()).public().unwrap();
    let error = group.members[0].refuses(&commit);
    assert!(matches!(error, Error::Refused(Refused::Psks(2))), "{error:?}");
    group.commit_with(1, proposals[..2].to_vec()).unwrap();
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
    let error = group.members[0].refuses(&commit);
    let expected = DecodeError::TooMany { what: "proposals", limit: 3 };
    assert!(matches!(error, Error::Malformed(found) if found == expected), "{error:?}");
    group.commit_with(3, four[..3].to_vec()).unwrap();
}

/// V-2.1.2-06: so many extensions in one list.
#[test]
fn extensions() {
    let mut group = group(2, Limits { extensions: 1, ..Limits::default() });
    let two: Extensions = [0xf001, 0xf002]
        .map(|kind| Extension { extension_type: ExtensionType(kind), data: Vec::new() })
        .into_iter()
        .collect();
    let proposal = Proposal::GroupContextExtensions(two);
    let error = group.members[0].stage(with_proposals(vec![proposal.clone()])).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Extensions(1))), "{error:?}");
    let mut eve = group.insider(1).unwrap();
    let commit = eve.commit().proposals([proposal]).public().unwrap();
    let error = group.members[0].refuses(&commit);
    let expected = DecodeError::TooMany { what: "extensions", limit: 1 };
    assert!(matches!(error, Error::Malformed(found) if found == expected), "{error:?}");
    group.update(1).unwrap();
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
    let error = group.members[0].refuses(&third);
    assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
    // Another sender's is accepted, until all are too many.
    let update = group.members[2].propose(None).unwrap();
    group.members[0].receive(&update).unwrap();
    let update = group.members[3].propose(None).unwrap();
    let error = group.members[0].refuses(&update);
    assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
}

/// V-6.0-06: a message of an epoch that is not reached changes nothing, and is read when it is.
#[test]
fn a_message_of_a_later_epoch() {
    let mut group = group(3, Limits::default());
    let commit = group.members[1].stage(with_proposals(Vec::new())).unwrap();
    group.members[1].confirm().unwrap();
    group.members[2].receive(&commit).unwrap();
    let early = group.members[1].send(b"early").unwrap();
    let error = group.members[0].refuses(&early);
    let current = group.members[0].state().epoch();
    let expected = Unready::FutureEpoch { message: current + 1, current };
    assert!(matches!(error, Error::Unready(found) if found == expected));
    group.members[0].receive(&commit).unwrap();
    group.members[0].receive(&early).unwrap();
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
        let error = group.members[0].refuses(&longer);
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
        is_expected(group.members[0].refuses(&alone));
        let commit = group.insider(1).unwrap().commit().proposals([four]).public().unwrap();
        is_expected(group.members[0].refuses(&commit));
        let three = Proposal::GroupContextExtensions(senders(&group, 3));
        group.commit_with(1, [three]).unwrap();
    }
}
