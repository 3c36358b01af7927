//! Each limit of `Limits` that a peer's message can pass: at the limit it is accepted, one past it
//! refused, with an error of its own and a state that is as it was.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

use circlet::codec::{DecodeContext, DecodeError, Limits};
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::CommitRequest;
use circlet::message::Proposal;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::TestGroup;
use circlet::tree::{Extension, ExtensionType, Extensions};
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
