//! Coming back to a group by an external Commit: which leaf is replaced, and by whom that is said.

use circlet::group::GroupInfoOptions;
use circlet::message::GroupId;
use circlet::{Error, Group, Misuse, Received, Unready};

use crate::harness::{Person, agree, all_talk, client, group_of, names};

fn group_info(group: &Group) -> Vec<u8> {
    group.group_info(GroupInfoOptions::default()).unwrap()
}

/// A client that has no state of the group has none to let go: it is told so, and no leaf of its own
/// stays behind unseen.
#[test]
fn whoever_lost_its_state_does_not_rejoin() {
    let groups = group_of(&[client("alice", 1), client("bob", 2)]);
    let info = group_info(&groups[0]);
    let unknown = |result: Result<_, Error>| {
        let error: Error = Result::<circlet::client::PendingJoin, _>::unwrap_err(result);
        assert!(matches!(error, Error::Unready(Unready::UnknownGroup)), "{error:?}");
    };
    let anew = client("bob", 9);
    unknown(anew.external_join(&info).rejoin().stage());
    assert!(anew.pending_joins().unwrap().is_empty());
    // One that was removed has none either.
    let bob = groups[1].client().clone();
    let remove = groups[0].remove(groups[1].own_member().unwrap().leaf_index).unwrap();
    assert!(matches!(bob.receive(remove.message()), Ok(Received::Removed(_))));
    remove.confirm().unwrap();
    unknown(bob.external_join(group_info(&groups[0])).rejoin().stage());
    let pending = bob.external_join(group_info(&groups[0])).stage().unwrap();
    groups[0].receive(pending.message()).unwrap();
    agree(&[groups[0].clone(), pending.confirm().unwrap()]);
}

/// V-12.2-21: a client that has lost everything finds its old leaf by its credential.
#[test]
fn whoever_lost_everything_replaces_its_own_leaf() {
    let groups = group_of(&[client("alice", 1), client("bob", 2), client("carol", 3)]);
    let anew = client("bob", 9);
    let info = group_info(&groups[0]);
    let members = anew.external_join(&info).members().unwrap();
    assert_eq!(members, groups[0].members().unwrap());
    let pending = anew.external_join(&info).replacing_own().stage().unwrap();
    for i in [0, 2] {
        groups[i].receive(pending.message()).unwrap();
    }
    let groups = [groups[0].clone(), pending.confirm().unwrap(), groups[2].clone()];
    agree(&groups);
    all_talk(&groups);
    assert_eq!(names(&groups[0]), ["alice", "bob", "carol"]);
    assert_eq!(groups[1].own_member().unwrap().signature_key, *anew.signature_key());
}

/// The leaf with one's own key is one's own, whoever else has the same credential.
#[test]
fn ones_own_key_says_which_leaf_is_ones_own() {
    let person = Person::new("bob", 2);
    person.build();
    let groups = group_of(&[client("alice", 1), person.open(), client("bob", 3)]);
    let own = groups[1].own_member().unwrap();
    groups[1].clone().forget().unwrap();
    let pending =
        person.open().external_join(group_info(&groups[0])).replacing_own().stage().unwrap();
    groups[0].receive(pending.message()).unwrap();
    let after = pending.confirm().unwrap();
    assert_eq!(after.own_member().unwrap().leaf_index, own.leaf_index);
    assert_eq!(names(&groups[0]), ["alice", "bob", "bob"]);
}

/// Where no leaf or more than one has the credential, the application says which one is meant.
#[test]
fn an_own_leaf_that_is_not_clear_is_named() {
    let groups = group_of(&[client("alice", 1), client("bob", 2), client("bob", 3)]);
    let info = group_info(&groups[0]);
    for (name, expected) in [("dave", Misuse::NoOwnLeaf), ("bob", Misuse::SeveralOwnLeaves)] {
        let error = client(name, 9).external_join(&info).replacing_own().stage().unwrap_err();
        assert!(matches!(error, Error::Misuse(misuse) if misuse == expected), "{error:?}");
    }
    let anew = client("bob", 9);
    let second = anew.external_join(&info).members().unwrap()[2].leaf_index;
    let pending = anew.external_join(&info).replacing(second).stage().unwrap();
    groups[0].receive(pending.message()).unwrap();
    let members = pending.confirm().unwrap().members().unwrap();
    assert_eq!(members.len(), 3);
    assert_eq!(members[2].signature_key, *anew.signature_key());
}

/// The members of a GroupInfo are read with a ratchet tree that came separately, and not without.
#[test]
fn members_are_read_before_joining() {
    let groups = group_of(&[client("alice", 1), client("bob", 2)]);
    let options = GroupInfoOptions { ratchet_tree: false, ..GroupInfoOptions::default() };
    let info = groups[0].group_info(options).unwrap();
    let anew = client("bob", 9);
    let error = anew.external_join(&info).members().unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::RatchetTreeMissing)), "{error:?}");
    let tree = groups[0].ratchet_tree().unwrap();
    let join = anew.external_join(&info).ratchet_tree(tree);
    assert_eq!(join.members().unwrap(), groups[0].members().unwrap());
    let error = anew.external_join(anew.key_package().unwrap()).members().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NotGroupInfo)), "{error:?}");
    assert!(anew.group(&GroupId::new(b"nothing")).is_err());
}
