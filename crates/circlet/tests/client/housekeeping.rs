//! What a client keeps, forgets and lets be seen of it.

use circlet::client::{Clock, DeliveryId, GroupOptions};
use circlet::codec::{DecodeError, Limits};
use circlet::message::{GroupId, Proposal};
use circlet::schedule::Psk;
use circlet::storage::{MemoryStorage, Prefix, Storage};
use circlet::{Client, Error, Misuse, Received, Refused, Unready};

use crate::harness::{NOW, Person, agree, client, group, group_of, said, text};

fn rows(store: &MemoryStorage) -> usize {
    store.scan(&Prefix::new(&[])).unwrap().len()
}

#[test]
fn a_forgotten_group_leaves_its_head_and_can_be_joined_again() {
    let store = MemoryStorage::new();
    let bob = Person::new("bob", 2).builder().storage(store.clone()).build().unwrap();
    let before = rows(&store);
    let groups = group_of(&[client("alice", 1), bob.clone()]);
    groups[1].receive(groups[0].send("kept until it is forgotten").unwrap()).unwrap();
    groups[1].send("not sent yet").unwrap();
    groups[1].clone().forget().unwrap();
    assert_eq!(rows(&store), before + 1);
    assert!(bob.undelivered().unwrap().is_empty());
    assert!(bob.unsent().unwrap().is_empty());
    assert!(bob.groups().unwrap().is_empty());
    assert!(matches!(groups[1].send("x"), Err(Error::Misuse(Misuse::NotMember))));

    let leaf = groups[0].members().unwrap()[1].leaf_index;
    groups[0].remove(leaf).unwrap().confirm().unwrap();
    let invited = groups[0].invite([bob.key_package().unwrap()]).unwrap().confirm().unwrap();
    let again = bob.join(invited.welcome()).unwrap();
    agree(&[groups[0].clone(), again]);
}

/// A damaged row does not keep the group's secrets from being deleted.
#[test]
fn a_damaged_group_can_be_forgotten() {
    let store = MemoryStorage::new();
    let person = Person::new("bob", 2);
    let bob = person.builder().storage(store.clone()).build().unwrap();
    let groups = group_of(&[client("alice", 1), bob]);
    let prefix = Prefix::new(&[b"node", groups[1].id().as_bytes()]);
    let deletes = store.scan(&prefix).unwrap().into_iter().map(|(key, _)| key).collect();
    let damage = circlet::storage::Batch { deletes, ..circlet::storage::Batch::default() };
    store.apply(damage).unwrap();
    let bob = person.builder().storage(store.clone()).open().unwrap();
    let group = bob.group(groups[1].id()).unwrap();
    assert!(matches!(group.epoch(), Err(Error::Damaged(_))));
    group.forget().unwrap();
    assert!(bob.groups().unwrap().is_empty());
}

#[test]
fn a_group_id_is_bounded() {
    let alice = client("alice", 1);
    let options = |length| GroupOptions {
        group_id: Some(GroupId::new(&vec![7; length])),
        ..GroupOptions::default()
    };
    let refused = alice.create_group_with(options(1_025));
    assert!(matches!(refused, Err(Error::Refused(Refused::GroupId(1_024)))));
    let group = alice.create_group_with(options(1_024)).unwrap();
    let message = group.send("x").unwrap();
    let limits = Limits { group_id_bytes: 1_023, ..Limits::default() };
    let strict = Person::new("bob", 2).builder().limits(limits).build().unwrap();
    let refused = strict.receive(&message);
    let what = DecodeError::TooLong { what: "group id", limit: 1_023, actual: 1_024 };
    assert!(matches!(refused, Err(Error::Malformed(error)) if error == what));
}

#[test]
fn a_credential_is_bounded() {
    let long = Client::builder(vec![b'x'; (64 << 10) + 1]).build().unwrap();
    let invite = client("alice", 1).create_group().unwrap().invite([long.key_package().unwrap()]);
    let refused =
        matches!(invite, Err(Error::Malformed(DecodeError::TooLong { what: "credential", .. })));
    assert!(refused);
}

struct At(u64);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0
    }
}

#[test]
fn key_packages_that_nobody_used_are_deleted_when_they_have_expired() {
    let store = MemoryStorage::new();
    let person = Person::new("bob", 2);
    let bob = person.builder().storage(store.clone()).build().unwrap();
    let package = bob.key_package().unwrap();
    assert_eq!(bob.delete_expired_key_packages().unwrap(), 0);
    let later = At(NOW + 84 * 24 * 3600);
    let bob = person.builder().storage(store.clone()).clock(later).open().unwrap();
    bob.key_package().unwrap();
    assert_eq!(bob.delete_expired_key_packages().unwrap(), 1);
    let group = client("alice", 1).create_group().unwrap();
    let welcome = group.invite([package]).unwrap().confirm().unwrap().welcome();
    assert!(matches!(bob.join(&welcome), Err(Error::Unready(Unready::UnknownKeyPackage))));
}

#[test]
fn a_pre_shared_key_that_was_removed_is_unknown() {
    let alice = client("alice", 1);
    alice.add_psk(b"id", &circlet::crypto::Secret::new(&[1; 32])).unwrap();
    let group = alice.create_group().unwrap();
    group.commit().psk(*b"id").stage().unwrap().confirm().unwrap();
    alice.remove_psk(b"id").unwrap();
    let unknown = group.commit().psk(*b"id").stage().map(drop);
    assert!(
        matches!(unknown, Err(Error::Unready(Unready::UnknownPsk(Psk::External { psk_id }))) if psk_id == b"id")
    );
}

#[test]
fn a_delivery_id_is_the_same_over_a_restart() {
    let bob = Person::new("bob", 2);
    let groups = group_of(&[client("alice", 1), bob.build()]);
    let wire = groups[0].send("hello").unwrap();
    let received = groups[1].receive(&wire).unwrap();
    let bytes = received.id().unwrap().to_bytes();
    let again = bob.open().undelivered().unwrap().pop().unwrap();
    assert_eq!(DeliveryId::from_bytes(&bytes).as_ref(), again.id());
    assert_eq!(text(again), said("alice", "hello"));
    assert_ne!(wire.id().to_bytes(), bytes);
    assert_eq!(DeliveryId::from_bytes(&bytes[1..]), None);
}

/// The joiners of a Commit whose Welcome has no tree inside need the tree of that epoch, whatever
/// happens meanwhile.
#[test]
fn the_tree_beside_a_welcome_survives() {
    let alice = Person::new("alice", 1);
    let group = alice.build().create_group().unwrap();
    let bob = client("bob", 2);
    let commit = group.commit().add(bob.key_package().unwrap()).tree_outside();
    drop(commit.stage().unwrap());
    let group = alice.open().group(group.id()).unwrap();
    let commit = alice.open().unsent().unwrap().pop().unwrap();
    let Received::Confirmed(_) = group.receive(&commit).unwrap() else { panic!() };
    group.update().unwrap().confirm().unwrap();
    let welcome = alice.open().unsent().unwrap().pop().unwrap();
    assert_eq!(welcome.epoch(), 1);
    let joined = bob.join_with_tree(&welcome, welcome.ratchet_tree().unwrap()).unwrap();
    assert_eq!(joined.epoch().unwrap(), 1);
}

#[test]
fn what_is_proposed_can_be_seen() {
    let groups = group(3);
    let leaf = groups[2].own_member().unwrap().leaf_index;
    let remove = groups[1].propose_remove(leaf).unwrap();
    let Received::Proposal(event) = groups[0].receive(&remove).unwrap() else { panic!() };
    assert_eq!(event.proposal(), &Proposal::Remove(leaf));
    let waiting = groups[0].waiting_proposals().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].proposal, Proposal::Remove(leaf));
    assert_eq!(&waiting[0].sender, event.sender());
    assert_eq!(&waiting[0].reference, event.reference());
    assert_eq!(event.group_id(), groups[0].id());
}
