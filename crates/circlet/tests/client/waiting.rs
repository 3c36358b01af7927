//! Which of the proposals that wait a Commit takes, and what is said of those that it leaves.

use circlet::client::{OutgoingKind, ReInitOptions};
use circlet::crypto::CipherSuite;
use circlet::message::Proposal;
use circlet::{Error, Misuse, Received};

use crate::harness::{Person, agree, client, group, group_of, names};

/// V-12.4-03: one that waits is left out, and the others are taken. Both sides say which.
#[test]
fn one_that_waits_is_left_out() {
    let groups = group(2);
    let mut references = Vec::new();
    for name in ["carol", "dave", "erin"] {
        let key_package = client(name, 7 + references.len() as u64).key_package().unwrap();
        let wire = groups[1].propose_add(key_package).unwrap();
        let Received::Proposal(event) = groups[0].receive(&wire).unwrap() else { panic!() };
        references.push(event.reference().clone());
    }
    let waiting = groups[1].waiting_proposals().unwrap();
    let held: Vec<_> = waiting.iter().map(|waiting| waiting.reference.clone()).collect();
    assert_eq!(held, references);
    assert_eq!(waiting[0].sender.to_string(), "bob");

    let pending = groups[0].commit().without(&references[1]).stage().unwrap();
    assert_eq!(pending.outcome().left_out, [references[1].clone()]);
    let found = groups[0].pending_commit().unwrap().unwrap();
    assert_eq!(found.outcome(), pending.outcome());
    pending.discard().unwrap();

    let commit = groups[0].commit().without(&references[2]).without(&references[0]);
    let pending = commit.stage().unwrap();
    let expected = [references[0].clone(), references[2].clone()];
    assert_eq!(pending.outcome().left_out, expected);
    let Received::Commit(change) = groups[1].receive(pending.message()).unwrap() else { panic!() };
    assert_eq!(change.outcome().left_out, expected);
    pending.confirm().unwrap();
    agree(&groups);
    assert_eq!(names(&groups[0]), ["alice", "bob", "dave"]);
    assert!(groups[0].waiting_proposals().unwrap().is_empty());
}

/// A later proposal that is left out does not stand in the way of an earlier one.
#[test]
fn what_is_left_out_shuts_out_nothing() {
    let groups = group(3);
    let first = groups[1].propose_update().unwrap();
    let second = groups[1].propose_update().unwrap();
    for update in [&first, &second] {
        groups[0].receive(update).unwrap();
        groups[2].receive(update).unwrap();
    }
    let waiting = groups[0].waiting_proposals().unwrap();
    let pending = groups[0].commit().without(&waiting[1].reference).stage().unwrap();
    assert_eq!(pending.outcome().left_out, [waiting[1].reference.clone()]);
    for group in &groups[1..] {
        group.receive(pending.message()).unwrap();
    }
    pending.confirm().unwrap();
    agree(&groups);
}

/// What waits nowhere changes nothing, and nothing is taken where all is left out.
#[test]
fn none_is_taken_where_all_is_left_out() {
    let groups = group(2);
    let leaf = groups[0].own_member().unwrap().leaf_index;
    let wire = groups[1].propose_add(client("carol", 7).key_package().unwrap()).unwrap();
    let Received::Proposal(event) = groups[0].receive(&wire).unwrap() else { panic!() };
    let other = group_of(&[client("dave", 8), client("erin", 9)]);
    other[0].receive(other[1].propose_remove(leaf).unwrap()).unwrap();
    let unknown = other[0].waiting_proposals().unwrap().remove(0).reference;
    let pending = groups[0].commit().without(&unknown).stage().unwrap();
    assert_eq!(pending.outcome().added.len(), 1);
    assert!(pending.outcome().left_out.is_empty());
    pending.discard().unwrap();
    let commit = groups[0].commit().without_waiting_proposals().without(event.reference());
    let pending = commit.stage().unwrap();
    assert_eq!(pending.outcome().left_out, [event.reference().clone()]);
    assert!(pending.outcome().added.is_empty());
}

/// What is left out by name and a ReInit are left out together.
#[test]
fn a_reinit_is_left_out_too() {
    let groups = group(2);
    for wire in [
        groups[1].propose_reinit(ReInitOptions::default()).unwrap(),
        groups[1].propose_update().unwrap(),
    ] {
        groups[0].receive(&wire).unwrap();
    }
    let waiting = groups[0].waiting_proposals().unwrap();
    let commit = groups[0].commit().without(&waiting[1].reference).without_reinit();
    let pending = commit.stage().unwrap();
    assert_eq!(pending.outcome().left_out.len(), 2);
    assert!(pending.outcome().reinit.is_none());
    pending.discard().unwrap();
    // Alone, it would close the group.
    let pending = groups[0].commit().without(&waiting[1].reference).stage().unwrap();
    assert!(pending.outcome().reinit.is_some());
}

/// A proposal keeps its reference as an event, over a restart.
#[test]
fn a_reference_outlives_a_restart() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let wire = groups[1].propose_update().unwrap();
    let Received::Proposal(event) = groups[0].receive(&wire).unwrap() else { panic!() };
    let opened = alice.open();
    let Received::Proposal(again) = opened.undelivered().unwrap().remove(0) else { panic!() };
    assert_eq!(again.reference(), event.reference());
    assert_eq!(again.group_id(), groups[0].id());
    assert!(matches!(again.proposal(), Proposal::Update(_)));
}

/// Nobody asks for a group that it could not go along to.
#[test]
fn a_reinit_is_to_a_suite_that_the_provider_has() {
    let groups = group(2);
    let options = || ReInitOptions { cipher_suite: Some(CipherSuite(0x77)), ..Default::default() };
    let expected = Misuse::UnsupportedSuite(CipherSuite(0x77));
    let refused = [
        groups[0].propose_reinit(options()).map(drop),
        groups[0].commit().reinit(options()).stage().map(drop),
    ];
    for refused in refused {
        let Err(Error::Misuse(misuse)) = refused else { panic!("{refused:?}") };
        assert_eq!(misuse, expected);
    }
    assert!(groups[0].waiting_proposals().unwrap().is_empty());
}

/// A message says of which group it is, a client what it has.
#[test]
fn what_is_made_says_whose_it_is() {
    let groups = group(2);
    let (alice, wire) = (groups[0].client(), groups[0].send("x").unwrap());
    assert_eq!(wire.group_id(), groups[0].id());
    assert_eq!(alice.unsent().unwrap().last().unwrap().group_id(), groups[0].id());
    assert_eq!(wire.kind(), OutgoingKind::Application);
    assert_eq!(*alice.signature_key(), groups[0].own_member().unwrap().signature_key);
    assert_eq!(alice.cipher_suite(), CipherSuite::X25519_AES128GCM_SHA256_ED25519);
    // In the group it changes, for key packages and new groups it stays.
    groups[0].commit().new_signature_key().stage().unwrap().confirm().unwrap();
    assert_ne!(*alice.signature_key(), groups[0].own_member().unwrap().signature_key);
    let new = alice.create_group().unwrap().own_member().unwrap();
    assert_eq!(*alice.signature_key(), new.signature_key);
}
