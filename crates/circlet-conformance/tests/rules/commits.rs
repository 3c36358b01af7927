//! Making and processing Commits (RFC 9420 sections 8.1, 8.4, 12.4, 12.4.1 and 12.4.2).

mod opened;

use std::collections::BTreeSet;

use circlet::codec::DecodeContext;
use circlet::crypto::{Secret, SignaturePublicKey};
use circlet::group::{ByReference, CommitRequest, Signers, Status};
use circlet::identity::{Signer, SigningKey};
use circlet::message::{GroupId, Proposal, ReInit, Sender};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::storage::Key;
use circlet::testing::{Heard, Insider, TestGroup, TestMember, clients, dump};
use circlet::tree::{Extensions, LeafIndex, LeafNodeSource};
use circlet::{Error, Misuse, Received, Unready};

use crate::support::{SUITE, assert_violation};

fn remove(leaf: u32) -> Proposal {
    Proposal::Remove(LeafIndex(leaf))
}

fn psk(id: &[u8], nonce: u8) -> Proposal {
    let psk = Psk::External { psk_id: id.to_vec() };
    Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![nonce; 32] })
}

fn reinit() -> Proposal {
    let (group_id, cipher_suite) = (GroupId::new(b"a new group"), SUITE);
    Proposal::ReInit(ReInit { group_id, version: 1, cipher_suite, extensions: Extensions::new() })
}

fn give_psks(member: &mut TestMember) {
    for id in [b"a", b"b"] {
        member.psks.external.insert(id.to_vec(), Secret::new(id));
    }
}

/// A group of four with parents everywhere, whose members have the keys `a` and `b`.
fn group() -> Result<TestGroup, Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    group.members.iter_mut().for_each(give_psks);
    for i in [0, 2] {
        group.update(i)?;
    }
    Ok(group)
}

/// V-12.4.2-01, V-12.1-01, V-8.1-01: Commits and proposals of another epoch or group are refused,
/// and can come again; those of this one are taken.
#[test]
fn handshakes_are_of_the_present_epoch() -> Result<(), Error> {
    for by in [-1, 1] {
        let mut group = group()?;
        let mut eve = group.insider(1)?;
        let epoch = eve.context.epoch.wrapping_add_signed(by);
        let commit =
            eve.commit().framed(|frame| frame.edit_content(|content| content.epoch = epoch));
        let commit = commit.public()?;
        let proposal = eve.proposal(remove(3))?.edit_content(|content| content.epoch = epoch);
        let proposal = proposal.public()?;
        for message in [commit.message, proposal.message] {
            let error = group.refuses(0, &message);
            let (late, future) = (
                matches!(error, Error::Unready(Unready::LateHandshake { .. })),
                matches!(error, Error::Unready(Unready::FutureEpoch { .. })),
            );
            assert_eq!((late, future), (by < 0, by > 0), "{error:?}");
        }
        let other = eve.commit().framed(|frame| {
            frame.edit_content(|content| content.group_id = GroupId::new(b"another"))
        });
        let error = group.refuses(0, other.public()?);
        assert!(matches!(error, Error::Unready(Unready::OtherGroup)), "{error:?}");
        let proposal = eve.proposal(remove(3))?.public()?;
        group.members[0].receive(&proposal)?;
        assert_eq!(group.members[0].state().waiting_proposals().count(), 1);
        eve.remember(&proposal)?;
        let commit = eve.commit().waiting().public()?;
        assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-12.4.2-02, V-12.4.2-03, V-12.1-01: who sent a Commit or a proposal is authenticated.
#[test]
fn handshakes_are_authenticated() -> Result<(), Error> {
    let mut group = group()?;
    let mut eve = group.insider(1)?;
    let commit = eve
        .commit()
        .framed(|frame| frame.edit_membership_tag(|tag| tag.as_mut().unwrap().0[0] ^= 1));
    assert_violation(&group.refuses(0, commit.public()?), Violation::MembershipTag);
    let signer = group.members[2].signer.clone();
    for private in [false, true] {
        let other = signer.clone();
        let commit = eve.commit().framed(|frame| frame.signer(other));
        let commit = if private { commit.private()? } else { commit.public()? };
        assert_violation(&group.refuses(0, commit), Violation::ContentSignature);
    }
    let proposal = eve.proposal(remove(3))?.signer(signer).private()?;
    assert_violation(&group.refuses(0, proposal), Violation::ContentSignature);
    assert!(!group.members[0].state().has_pending_proposals());
    assert!(matches!(group.members[0].receive(eve.commit().private()?)?, Heard::Commit(_)));
    Ok(())
}

/// V-12.4-04, V-12.4.2-06: an empty Commit, and one with a proposal of a type that needs a path,
/// has one.
#[test]
fn a_path_is_there_where_it_is_needed() -> Result<(), Error> {
    let mut group = group()?;
    let extensions = Proposal::GroupContextExtensions(Extensions::new());
    for list in [vec![], vec![remove(3)], vec![extensions], vec![psk(b"a", 1), remove(3)]] {
        let commit = group.insider(1)?.commit().without_path().proposals(list).private()?;
        assert_violation(&group.refuses(0, commit), Violation::PathMissing);
    }
    group.propose(2, None)?;
    let commit = group.insider(1)?.commit().without_path().waiting().private()?;
    assert_violation(&group.refuses(0, commit), Violation::PathMissing);
    // Whoever commits these makes a path, wanted or not.
    let request = CommitRequest { force_path: false, ..CommitRequest::default() };
    group.commit(1, request)?;
    Ok(())
}

/// V-12.4-05: without a path, the types that do without.
#[test]
fn some_commits_do_without_a_path() -> Result<(), Error> {
    let mut newcomer = group()?.newcomer("dora")?;
    let add = Proposal::Add(newcomer.key_package()?);
    for list in [vec![add.clone()], vec![psk(b"a", 1)], vec![reinit()], vec![add, psk(b"b", 1)]] {
        let mut group = group()?;
        let before = group.members[1].state().tree().leaf(LeafIndex(1)).cloned();
        let commit = group.insider(1)?.commit().without_path().proposals(list.clone()).private()?;
        assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));
        let request =
            CommitRequest { by_value: list, force_path: false, ..CommitRequest::default() };
        let message = group.members[1].stage(request)?;
        assert!(matches!(group.members[2].receive(&message)?, Heard::Commit(_)));
        assert_eq!(group.members[2].state().tree().leaf(LeafIndex(1)).cloned(), before);
    }
    Ok(())
}

/// V-12.4-01, V-12.4-02: with a valid proposal waiting no application data is sent; a Commit takes
/// all that wait.
#[test]
fn what_waits_is_committed_first() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, remove(3))?;
    group.propose(0, psk(b"a", 1))?;
    let member = &mut group.members[1];
    let (signer, framing, mut rng) =
        (member.signer.clone(), member.framing.clone(), member.rng.clone());
    let error = member.state().send(b"hello", &framing, false, &signer, &mut rng).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::ProposalsPending)), "{error:?}");
    let outcome = group.update(1)?.outcome;
    assert_eq!(outcome.removed.len(), 1);
    assert!(!group.members[1].state().has_pending_proposals());
    let state = group.members[1].state();
    let _ = state.send(b"hello", &framing, false, &signer, &mut rng)?;
    Ok(())
}

/// V-12.4-03: what waits may be left out, and is gone with the epoch: V-12.1-02.
#[test]
fn a_commit_may_leave_proposals_out() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, remove(3))?;
    let late = group.insider(1)?.proposals[0].reference.clone();
    let request = CommitRequest { by_reference: ByReference::Nothing, ..CommitRequest::default() };
    let outcome = group.commit(1, request)?.outcome;
    assert!(outcome.removed.is_empty());
    let commit = group.insider(1)?.commit().references([late.clone()]).private()?;
    let error = group.refuses(0, &commit);
    assert!(matches!(error, Error::Unready(Unready::UnknownProposal(it)) if it == late));
    Ok(())
}

/// V-12.4.2-05, V-8.4-05, V-8.4-07: a pre-shared key that is missing is named; the Commit can be
/// processed once it is there.
#[test]
fn all_pre_shared_keys_are_there() -> Result<(), Error> {
    let mut group = group()?;
    group.members[0].psks.external.clear();
    let commit = group.insider(1)?.commit().proposals([psk(b"a", 1)]).private()?;
    let named = Psk::External { psk_id: b"a".to_vec() };
    let error = group.refuses(0, &commit);
    assert!(matches!(error, Error::Unready(Unready::UnknownPsk(it)) if it == named));
    let request = CommitRequest { by_value: vec![psk(b"a", 1)], ..CommitRequest::default() };
    let error = group.members[0].stage(request).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::UnknownPsk(it)) if it == named));

    let own = group.members[0].state().group_id().as_bytes().to_vec();
    for (psk_group_id, psk_epoch) in [(b"another".to_vec(), 1), (own, 77)] {
        let usage = ResumptionPskUsage::Application;
        let named = Psk::Resumption { usage, psk_group_id: psk_group_id.clone(), psk_epoch };
        let id = PreSharedKeyId { psk: named.clone(), psk_nonce: vec![1; 32] };
        let mut eve = group.insider(1)?;
        eve.psks.resumption.insert((psk_group_id, psk_epoch), Secret::new(&[1; 32]));
        let unknown = eve.commit().proposals([Proposal::PreSharedKey(id)]).private()?;
        let error = group.refuses(0, &unknown);
        assert!(matches!(error, Error::Unready(Unready::UnknownPsk(it)) if it == named));
    }
    give_psks(&mut group.members[0]);
    assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-12.4.2-08: the leaf of a path is one, and valid.
#[test]
fn the_leaf_of_a_path_is_valid() -> Result<(), Error> {
    let mut group = group()?;
    let mut eve = group.insider(1)?;
    let elsewhere = eve.commit().leaf_position(GroupId::new(b"a group"), LeafIndex(2)).private()?;
    assert_violation(&group.refuses(0, elsewhere), Violation::LeafSignature);
    let lacking = eve.commit().leaf(|leaf| leaf.capabilities.credentials.clear()).private()?;
    let expected = Violation::CredentialNotInCapabilities;
    assert_violation(&group.refuses(0, lacking), expected);
    let source = eve.commit().leaf(|leaf| leaf.source = LeafNodeSource::Update).private()?;
    assert_violation(&group.refuses(0, source), Violation::PathLeafSource);
    Ok(())
}

/// V-12.4.2-09, V-12.4.2-10: no key of a path is that of the leaf before, of another leaf, of a
/// parent, or in the path already.
#[test]
fn the_keys_of_a_path_are_new() -> Result<(), Error> {
    let mut group = group()?;
    let mut eve = group.insider(1)?;
    let key = |leaf| eve.tree.leaf(LeafIndex(leaf)).unwrap().encryption_key.clone();
    let (own, other) = (key(1), key(2));
    let (_, parent) = eve.tree.parents().next().unwrap();
    let parent = parent.encryption_key.clone();
    let kept = eve.commit().leaf(|leaf| leaf.encryption_key = own.clone()).private()?;
    assert_violation(&group.refuses(0, kept), Violation::PathKeepsEncryptionKey);
    for key in [own, other, parent] {
        let node = eve.commit().edit_steps(|steps| steps[1].public_key = key.clone()).private()?;
        assert_violation(&group.refuses(0, node), Violation::PathKeyReused);
    }
    let twice = eve.commit().edit_steps(|steps| {
        steps[1].public_key = steps[0].public_key.clone();
    });
    assert_violation(&group.refuses(0, twice.private()?), Violation::PathKeyReused);
    let taken = eve.tree.leaf(LeafIndex(3)).unwrap().encryption_key.clone();
    let leaf = eve.commit().leaf(|leaf| leaf.encryption_key = taken).private()?;
    assert_violation(&group.refuses(0, leaf), Violation::PathKeyReused);
    Ok(())
}

/// V-12.4.2-11, V-12.4.2-12: the parent hash is that of the path, and the secrets give its keys.
#[test]
fn a_path_holds_together() -> Result<(), Error> {
    let mut group = group()?;
    let mut eve = group.insider(1)?;
    let hash = eve.commit().leaf(|leaf| leaf.source = LeafNodeSource::Commit(vec![1; 32]));
    assert_violation(&group.refuses(0, hash.private()?), Violation::PathParentHash);
    let other = eve.suite().clone().generate_key_pair(&mut eve.rng.clone())?.public;
    let key = eve.commit().edit_steps(|steps| steps[1].public_key = other).private()?;
    assert_violation(&group.refuses(0, key), Violation::PathPublicKey);
    let context = eve.commit().edit_path_context(|context| context.epoch -= 1).private()?;
    assert_violation(&group.refuses(0, context), Violation::PathDecryption);
    // That of the epoch that the Commit ends.
    let old = eve.context.clone();
    let context = eve.commit().edit_path_context(|context| *context = old).private()?;
    assert_violation(&group.refuses(0, context), Violation::PathDecryption);
    Ok(())
}

/// V-12.4.2-13, V-8.4-01, V-12.1.4-04, V-12.4.2-14: the tag is over all that the members compute: a
/// wrong one, a PSK too few and PSKs in another order are found out, and nothing has changed.
#[test]
fn the_confirmation_tag_says_that_all_agree() -> Result<(), Error> {
    let mut group = group()?;
    let keys = || [psk(b"a", 1), psk(b"b", 2)];
    let mut eve = group.insider(1)?;
    let flipped = eve
        .commit()
        .framed(|frame| frame.edit_confirmation_tag(|tag| tag.as_mut().unwrap().0[3] ^= 1));
    assert_violation(&group.refuses(0, flipped.private()?), Violation::ConfirmationTag);
    let dropped = eve.commit().proposals(keys()).edit_commit(|it| drop(it.proposals.pop()));
    assert_violation(&group.refuses(0, dropped.private()?), Violation::ConfirmationTag);
    let swapped = eve.commit().proposals(keys()).edit_commit(|it| it.proposals.swap(0, 1));
    assert_violation(&group.refuses(0, swapped.private()?), Violation::ConfirmationTag);
    // By reference and by value, each in its place.
    let waits = eve.proposal(psk(b"b", 7))?.private()?;
    group.members[0].receive(&waits)?;
    let reference = eve.remember(&waits)?;
    let mixed = eve.commit().proposals([psk(b"a", 1)]).references([reference]);
    let mixed = mixed.proposals([psk(b"a", 9)]).private()?;
    assert!(matches!(group.members[0].receive(&mixed)?, Heard::Commit(_)));
    Ok(())
}

/// V-12.4.2-16: who is removed learns it, though it can't compute the next epoch and waits with a
/// Commit of its own; it sends nothing more, and has no secret of the group any more: no epoch's,
/// present or past, no message key that was kept, no private key of its own or of a node above it.
#[test]
fn who_is_removed_stops() -> Result<(), Error> {
    let mut group = group()?;
    let early = group.members[1].send(b"kept for later")?;
    let later = group.members[1].send(b"of a past epoch")?;
    group.members[3].receive(&later)?;
    group.update(0)?;
    group.propose(2, None)?;
    group.members[3].stage(CommitRequest::default())?;
    assert!(!group.members[3].insider()?.private_keys.is_empty());
    let committed = group.remove(1, 3)?;
    let member = &mut group.members[3];
    let state = member.state();
    assert_eq!(state.status(), Status::Removed);
    assert!(state.epoch_authenticator().as_bytes().is_empty());
    let error = state.export("label", b"context", 32).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NotMember)), "{error:?}");
    assert!(matches!(member.send(b"hello"), Err(Error::Misuse(Misuse::NotMember))));
    assert!(matches!(member.confirm(), Err(Error::Misuse(Misuse::NotMember))));
    for message in [&committed.message, &early] {
        assert!(matches!(member.receive(message), Err(Error::Misuse(Misuse::NotMember))));
    }
    // All that a member which keeps no rules would find.
    let Insider { secrets, private_keys, proposals, psks, .. } = member.insider()?;
    let gone = [
        secrets.sender_data_secret,
        secrets.exporter_secret,
        secrets.external_secret,
        secrets.confirmation_key,
        secrets.membership_key,
        secrets.resumption_psk,
        secrets.init_secret.secret().clone(),
    ];
    assert!(gone.iter().chain(psks.resumption.values()).all(|it| it.as_bytes().is_empty()));
    assert!(private_keys.is_empty() && proposals.is_empty());
    Ok(())
}

/// V-12.4.2-16: of the group that a client was removed from its store keeps that it was removed, and
/// the events that the application has not acknowledged.
#[test]
fn who_is_removed_keeps_no_rows() -> Result<(), Error> {
    let test = clients(SUITE, 3)?;
    let rows = || -> Result<BTreeSet<String>, Error> {
        let (id, rows) = (test.groups[2].id(), dump(&test.stores[2])?);
        let of_group = rows.keys().filter(|key| key.component(1) == Some(id.as_bytes()));
        let kind = |key: &Key| String::from_utf8_lossy(key.component(0).unwrap()).into_owned();
        Ok(of_group.map(kind).collect())
    };
    test.groups[2].send(b"hello")?;
    let proposal = test.groups[1].propose_update()?;
    test.groups[0].receive(&proposal)?;
    test.groups[2].receive(&proposal)?;
    let _ = test.groups[2].update()?;
    assert!(rows()?.len() > 6);
    let removal = test.groups[0].remove(test.groups[2].own_member()?.leaf_index)?;
    let received = test.groups[2].receive(removal.message())?;
    assert!(matches!(received, Received::Removed(_)));
    let kept = ["head", "in", "out"].map(str::to_owned).into();
    assert!(rows()?.is_subset(&kept), "{:?}", rows()?);
    Ok(())
}

/// V-12.4.2-17, V-12.4.1-12: a staged Commit changes nothing before it is confirmed; another's that
/// comes first takes its place.
#[test]
fn a_staged_commit_waits() -> Result<(), Error> {
    let mut group = group()?;
    let epoch = group.members[1].state().epoch();
    let first = group.members[1].stage(CommitRequest::default())?;
    let second = group.members[1].stage(CommitRequest::default())?;
    assert_ne!(first, second);
    assert_eq!(group.members[1].state().epoch(), epoch);
    assert!(matches!(group.members[1].receive(&second)?, Heard::Own));
    let other = group.members[2].stage(CommitRequest::default())?;
    group.broadcast(2, &other)?;
    group.members[2].confirm()?;
    assert!(matches!(group.members[1].confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    group.agree();
    Ok(())
}

/// V-12.4.2-18: nobody commits from a blank leaf, and what says to be one's own changes nothing.
#[test]
fn a_committer_is_a_member() -> Result<(), Error> {
    let mut group = group()?;
    group.remove(0, 3)?;
    let mut eve = group.insider(1)?;
    for leaf in [3, 9, u32::MAX] {
        let sender = Sender::Member(LeafIndex(leaf));
        let commit = eve.commit().framed(|frame| frame.sender(sender)).public()?;
        assert_violation(&group.refuses(0, commit), Violation::UnknownSender);
    }
    let commit = eve.commit().private()?;
    let before = group.members[1].fingerprint()?;
    assert!(matches!(group.members[1].receive(&commit)?, Heard::Own));
    assert_eq!(group.members[1].fingerprint()?, before);
    Ok(())
}

/// V-12.4.1-06, V-12.4.1-07, V-12.4.1-08, V-12.4.1-09, V-12.4.1-10: all who are added can join by
/// the Welcome, one of them in a half of the tree that was empty, and read the next path.
#[test]
fn a_welcome_is_for_all_who_are_added() -> Result<(), Error> {
    let mut group = group()?;
    let mut newcomers = Vec::new();
    let mut list = vec![psk(b"b", 1), psk(b"a", 2)];
    for name in ["dora", "emil"] {
        let mut newcomer = group.newcomer(name)?;
        give_psks(&mut newcomer);
        list.push(Proposal::Add(newcomer.key_package()?));
        newcomers.push(newcomer);
    }
    let welcome = group.commit_with(1, list)?.welcome.expect("a Welcome");
    for mut newcomer in newcomers {
        newcomer.join(&welcome)?;
        group.members.push(newcomer);
    }
    group.agree();
    for i in [1, 0, 5] {
        group.update(i)?;
    }
    Ok(())
}

/// V-12.4.1-05: a Commit is signed with the key of the old leaf, its GroupInfo with that of the new.
#[test]
fn a_new_signature_key_is_for_what_comes_after() -> Result<(), Error> {
    let mut group = group()?;
    let mut dora = group.newcomer("dora")?;
    let by_value = vec![Proposal::Add(dora.key_package()?)];
    let request = CommitRequest { by_value, ..CommitRequest::default() };
    let member = &mut group.members[1];
    let (present, mut rng) = (member.signer.clone(), member.rng.fork()?);
    let next = SigningKey::generate(member.suite(), &mut rng)?;
    let signers = Signers { present: &present, next: Some(&next) };
    let (staged, step) = member.state().commit_with(request, &member.judge(), signers, &mut rng)?;
    let message = staged.message().to_vec();
    member.apply(step)?;
    for i in [0, 2, 3] {
        let Heard::Commit(outcome) = group.members[i].receive(&message)? else { panic!() };
        let key: &SignaturePublicKey = &outcome.updated[0].signature_key;
        assert_eq!(key, next.public_key());
    }
    let (confirmed, step) = group.members[1].state().confirm(staged)?;
    group.members[1].apply(step)?;
    dora.join(confirmed.welcome.expect("a Welcome"))?;
    Ok(())
}

/// V-12.4.2-15: after a ReInit nothing is sent any more.
#[test]
fn after_a_reinit_nothing_is_sent() -> Result<(), Error> {
    let mut group = group()?;
    group.commit_with(1, [reinit()])?;
    for member in &mut group.members {
        assert!(matches!(member.send(b"more"), Err(Error::Misuse(Misuse::Reinitialized))));
        assert!(matches!(member.propose(None), Err(Error::Misuse(Misuse::Reinitialized))));
        let staged = member.stage(CommitRequest::default());
        assert!(matches!(staged, Err(Error::Misuse(Misuse::Reinitialized))));
    }
    Ok(())
}

/// V-8.1-02: an epoch is one more than the one before, and none comes after the last.
#[test]
fn epochs_end() -> Result<(), Error> {
    let mut group = group()?;
    let epoch = group.members[0].state().epoch();
    group.update(1)?;
    assert_eq!(group.members[0].state().epoch(), epoch + 1);
    for i in [0, 1] {
        let mut at_the_end = group.insider(i)?;
        at_the_end.context.epoch = u64::MAX;
        group.members[i].enter(at_the_end.into_state()?);
    }
    let error = group.members[0].stage(CommitRequest::default()).unwrap_err();
    assert_violation(&error, Violation::EpochOverflow);
    let commit = group.insider(1)?.commit().private()?;
    // No Commit is genuine any more, a message is.
    assert_violation(&group.members[0].refuses(&commit), Violation::EpochOverflow);
    let last = group.members[1].send(b"the end")?;
    assert!(matches!(group.members[0].receive(last)?, Heard::Message(_)));
    Ok(())
}

/// V-8.1-04, V-12.1.7-02: extensions stay as they are, byte for byte, until a
/// GroupContextExtensions takes their place, all of them.
#[test]
fn extensions_change_by_their_proposal_alone() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.extension_types.extend([0xf001, 0xf002]);
    let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
    let extension = |kind: u16| circlet::tree::Extension {
        extension_type: circlet::tree::ExtensionType(kind),
        data: vec![kind as u8],
    };
    let both: Extensions = [extension(0xf002), extension(0xf001)].into_iter().collect();
    group.commit_with(1, [Proposal::GroupContextExtensions(both.clone())])?;
    group.update(0)?;
    assert_eq!(group.members[2].state().context().extensions, both);
    let one: Extensions = [extension(0xf001)].into_iter().collect();
    group.commit_with(1, [Proposal::GroupContextExtensions(one.clone())])?;
    assert_eq!(group.members[2].state().context().extensions, one);
    Ok(())
}
