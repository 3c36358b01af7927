//! Joining without a Welcome, asking to be added, and new signature keys, over restarts.

use circlet::client::GroupOptions;
use circlet::group::{GroupInfoOptions, LeafChange, Policy};
use circlet::identity::Credential;
use circlet::tree::{Extension, ExtensionType, Extensions};
use circlet::{Error, Group, Misuse, Received, Refused, Unready};

use crate::harness::{Person, agree, all_talk, client, group, said, text};

fn group_info(group: &Group) -> Vec<u8> {
    group.group_info(GroupInfoOptions::default()).unwrap()
}

/// With a client in its store.
fn person(name: &'static str, seed: u64) -> Person {
    let person = Person::new(name, seed);
    person.build();
    person
}

fn receive_all(groups: &[Group], message: &[u8]) {
    for group in groups {
        assert!(matches!(group.receive(message).unwrap(), Received::Commit(_)));
    }
}

/// V-12.4.3.2-01: a client joins with a GroupInfo; the Commit waits over a restart.
#[test]
fn a_client_joins_by_an_external_commit() {
    let alice = person("alice", 1);
    let bob = person("bob", 2);
    let group = alice.open().create_group().unwrap();
    let pending = bob.open().external_join(group_info(&group)).stage().unwrap();
    let message = pending.message().to_vec();
    drop(pending);

    let client = bob.open();
    assert!(client.groups().unwrap().is_empty());
    let error = client.external_join(group_info(&group)).stage().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::JoinStaged)), "{error:?}");
    let waiting = client.pending_joins().unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].message(), waiting[0].group_id()), (&message[..], group.id()));

    receive_all(std::slice::from_ref(&group), &message);
    let bobs = waiting[0].clone().confirm().unwrap();
    assert!(client.pending_joins().unwrap().is_empty());
    let error = waiting[0].clone().confirm().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::JoinGone)), "{error:?}");
    agree(&[group.clone(), bobs.clone()]);
    all_talk(&[group.clone(), bobs.clone()]);
    assert!(matches!(bobs.receive(&message).unwrap(), Received::Own));

    let again = bob.open().group(group.id()).unwrap();
    let pending = again.update().unwrap();
    receive_all(std::slice::from_ref(&group), pending.message());
    pending.confirm().unwrap();
    agree(&[group, again]);
}

/// The echo of the external Commit confirms it, and the joining is an event until acknowledged.
#[test]
fn the_echo_confirms_a_join() {
    let alice = client("alice", 1);
    let bob = person("bob", 2);
    let group = alice.create_group().unwrap();
    let pending = bob.open().external_join(group_info(&group)).stage().unwrap();
    let message = pending.message().to_vec();
    receive_all(std::slice::from_ref(&group), &message);

    let client = bob.open();
    let Received::Joined(joined) = client.receive(&message).unwrap() else { panic!("not joined") };
    assert!(joined.welcomer().is_none());
    let undelivered = bob.open().undelivered().unwrap();
    assert!(matches!(&undelivered[..], [Received::Joined(again)] if again.id() == joined.id()));
    assert!(client.acknowledge(joined.id()).unwrap());
    assert!(matches!(client.receive(&message).unwrap(), Received::Own));
    agree(&[group.clone(), client.group(group.id()).unwrap()]);
}

/// A join that was refused leaves nothing, and another one can be made.
#[test]
fn a_join_is_discarded() {
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let group = alice.create_group().unwrap();
    let first = bob.external_join(group_info(&group)).stage().unwrap();
    let late = first.message().to_vec();
    group.update().unwrap().confirm().unwrap();
    assert!(matches!(group.receive(&late).unwrap(), Received::Late { .. }));
    first.discard().unwrap();
    assert!(bob.pending_joins().unwrap().is_empty());
    assert!(matches!(bob.receive(&late), Err(Error::Unready(Unready::UnknownGroup))));
    let second = bob.external_join(group_info(&group)).stage().unwrap();
    receive_all(std::slice::from_ref(&group), second.message());
    agree(&[group, second.confirm().unwrap()]);
}

/// V-12.2-21: a member comes back in the place of its old leaf, whether it still has its state or
/// lost it with all but its keys.
#[test]
fn a_member_comes_back() {
    for lost in [false, true] {
        let (alice, carol) = (client("alice", 1), client("carol", 3));
        let bob = person("bob", 2);
        let group = alice.create_group().unwrap();
        let bobs = bob.open();
        let invited = group
            .invite([bobs.key_package().unwrap(), carol.key_package().unwrap()])
            .unwrap()
            .confirm()
            .unwrap();
        let welcome = invited.welcome();
        let before = bobs.join(&welcome).unwrap();
        let carols = carol.join(&welcome).unwrap();
        if lost {
            before.forget().unwrap();
        }
        let info = group_info(&group);
        if !lost {
            let error = bobs.external_join(&info).stage().unwrap_err();
            assert!(matches!(error, Error::Misuse(Misuse::GroupExists)), "{error:?}");
        }
        let join = bobs.external_join(&info);
        let pending = if lost { join } else { join.rejoin() }.stage().unwrap();
        for group in [&group, &carols] {
            let Received::Commit(change) = group.receive(pending.message()).unwrap() else {
                panic!("no Commit")
            };
            let outcome = change.outcome();
            assert!(outcome.external);
            assert_eq!(outcome.removed[0].leaf_index, outcome.added[0].leaf_index);
        }
        let after = pending.confirm().unwrap();
        let groups = [group, bob.open().group(after.id()).unwrap(), carols];
        agree(&groups);
        all_talk(&groups);
        assert_eq!(groups[0].members().unwrap().len(), 3);
    }
}

/// V-12.1.8-04: a client asks to be added, and a member commits that.
#[test]
fn a_client_asks_to_be_added() {
    let policy = Policy { new_member_proposals: true, ..Policy::default() };
    let alice = Person::new("alice", 1).builder().policy(policy).build().unwrap();
    let bob = person("bob", 2);
    let group = alice.create_group().unwrap();
    let request = bob.open().propose_own_add(group.id(), group.epoch().unwrap()).unwrap();
    let Received::Proposal(proposal) = group.receive(&request).unwrap() else { panic!() };
    assert_eq!(proposal.sender().to_string(), "a new member");
    assert!(proposal.sender().member().is_none());
    let confirmed = group.commit().stage().unwrap().confirm().unwrap();
    let bobs = bob.open().join(confirmed.welcome().unwrap()).unwrap();
    agree(&[group, bobs]);
}

/// V-12.4.1-05: a client signs with a new key in one group, by a Commit or an Update, also after a
/// restart; its key packages keep the first.
#[test]
fn a_client_changes_its_signature_key() {
    let alice = person("alice", 1);
    let bob = client("bob", 2);
    let group = alice.open().create_group().unwrap();
    let invited = group.invite([bob.key_package().unwrap()]).unwrap().confirm().unwrap();
    let bobs = bob.join(invited.welcome()).unwrap();
    let key = |group: &Group| group.own_member().unwrap().signature_key;
    let first = key(&group);

    // A Commit that is discarded changes nothing.
    group.commit().new_signature_key().stage().unwrap().discard().unwrap();
    assert_eq!(alice.rows("signer"), 0);
    let pending = group.commit().new_signature_key().stage().unwrap();
    assert_eq!(key(&group), first);
    let (group, pending) = {
        drop(pending);
        let group = alice.open().group(group.id()).unwrap();
        let pending = group.pending_commit().unwrap().unwrap();
        (group, pending)
    };
    receive_all(std::slice::from_ref(&bobs), pending.message());
    pending.confirm().unwrap();
    let second = key(&group);
    assert_ne!(second, first);
    agree(&[group.clone(), bobs.clone()]);
    let group = alice.open().group(group.id()).unwrap();
    all_talk(&[group.clone(), bobs.clone()]);

    let update = group.propose_leaf(LeafChange::default(), true).unwrap();
    let group = alice.open().group(group.id()).unwrap();
    bobs.receive(&update).unwrap();
    let pending = bobs.commit().stage().unwrap();
    receive_all(std::slice::from_ref(&group), pending.message());
    pending.confirm().unwrap();
    let third = key(&group);
    assert!(third != second && third != first);
    let group = alice.open().group(group.id()).unwrap();
    all_talk(&[group.clone(), bobs.clone()]);
    assert_eq!(alice.open().create_group().unwrap().own_member().unwrap().signature_key, first);

    // Only the key in use is kept.
    assert_eq!(alice.rows("signer"), 1);
    group.forget().unwrap();
    assert_eq!(alice.rows("signer"), 0);
}

/// A leaf changes its extensions; another name is not accepted in the place of the old one.
#[test]
fn a_client_changes_its_leaf() {
    let alice = client("alice", 1);
    let bob = client("bob", 2);
    let group = alice.create_group().unwrap();
    let invited = group.invite([bob.key_package().unwrap()]).unwrap().confirm().unwrap();
    let bobs = bob.join(invited.welcome()).unwrap();
    let extension = Extension::application_id(b"phone").unwrap();
    let extensions = Some(Extensions::from_iter([extension]));
    let change = LeafChange { extensions, ..LeafChange::default() };
    let pending = group.commit().leaf(change).stage().unwrap();
    receive_all(std::slice::from_ref(&bobs), pending.message());
    pending.confirm().unwrap();
    assert_eq!(bobs.members_with_application_id(b"phone").unwrap().len(), 1);
    assert_eq!(ExtensionType::APPLICATION_ID.0, 1);

    let credential = Some(Credential::basic("mallory"));
    let change = LeafChange { credential, ..LeafChange::default() };
    let error = group.commit().leaf(change.clone()).stage().unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    let error = group.propose_leaf(change, false).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    let wire = bobs.send("still here").unwrap();
    assert_eq!(text(group.receive(&wire).unwrap()), said("bob", "still here"));
}

/// Whoever is alone on a fork, or was in an older group of the same id, has seen later epochs than the
/// one it joins: that is no epoch that begins again.
#[test]
fn an_epoch_seen_elsewhere_keeps_nobody_out() {
    let groups = group(2);
    let (fork, alice) = (&groups[1], &groups[0]);
    for _ in 0..3 {
        fork.update().unwrap().confirm().unwrap();
    }
    assert!(fork.epoch().unwrap() > alice.epoch().unwrap() + 1);
    let bob = fork.client().clone();
    let pending = bob.external_join(group_info(alice)).rejoin().stage().unwrap();
    alice.receive(pending.message()).unwrap();
    let back = pending.confirm().unwrap();
    agree(&[alice.clone(), back.clone()]);
    all_talk(&[alice.clone(), back]);

    // The id of a group that is forgotten, in use again.
    let carol = client("carol", 9);
    let id = alice.id().clone();
    let join = |group: &Group| {
        let pending = carol.external_join(group_info(group)).stage().unwrap();
        group.receive(pending.message()).unwrap();
        pending.confirm().unwrap()
    };
    join(alice).forget().unwrap();
    let options = GroupOptions { group_id: Some(id), ..GroupOptions::default() };
    let other = client("dora", 10).create_group_with(options).unwrap();
    let joined = join(&other);
    agree(&[other, joined]);
}

/// V-12.4.2-17: a join that another Commit has overtaken leaves no keys behind; a Welcome of an older
/// epoch, which comes late, does not take the place of a newer join that others have accepted.
#[test]
fn a_join_goes_with_its_epoch_and_not_before() {
    let (alice, bob) = (client("alice", 41), person("bob", 42));
    let group = alice.create_group().unwrap();
    let bobs = bob.open();
    let invited = group.invite([bobs.key_package().unwrap()]).unwrap().confirm().unwrap();
    let late = invited.welcome();
    for _ in 0..2 {
        group.update().unwrap().confirm().unwrap();
    }
    let pending = bobs.external_join(group_info(&group)).stage().unwrap();
    group.receive(pending.message()).unwrap();
    bobs.join(&late).unwrap();
    assert_eq!(bob.rows("joining"), 1);
    let joined = pending.confirm().unwrap();
    agree(&[group.clone(), joined.clone()]);
    all_talk(&[group.clone(), joined]);

    let pending = bobs.external_join(group_info(&group)).rejoin().stage().unwrap();
    assert_eq!(bob.rows("joining"), 1);
    let update = group.update().unwrap();
    bobs.receive(update.message()).unwrap();
    update.confirm().unwrap();
    assert_eq!(bob.rows("joining"), 0);
    assert!(bobs.pending_joins().unwrap().is_empty());
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::JoinGone))));
}

/// A join that lost its race, or that something else has overtaken, does not bring an old epoch back,
/// whoever sends its Commit again.
#[test]
fn a_join_that_was_overtaken_is_gone() {
    for way in ["commit", "welcome", "removed", "forgotten"] {
        let (alice, bob) = (client("alice", 1), person("bob", 2));
        let group = alice.create_group().unwrap();
        let bobs = bob.open();
        let is_member = way != "welcome";
        let invite = || {
            let pending = group.invite([bobs.key_package().unwrap()]).unwrap();
            bobs.join(pending.confirm().unwrap().welcome()).unwrap()
        };
        if is_member {
            invite();
        }
        let join = bobs.external_join(group_info(&group));
        let pending = if is_member { join.rejoin() } else { join }.stage().unwrap();
        let message = pending.message().to_vec();
        match way {
            "commit" => {
                let update = group.update().unwrap();
                bobs.receive(update.message()).unwrap();
                update.confirm().unwrap();
            }
            "welcome" => drop(invite()),
            "removed" => {
                let leaf = bobs.group(group.id()).unwrap().own_member().unwrap().leaf_index;
                let remove = group.remove(leaf).unwrap();
                assert!(matches!(bobs.receive(remove.message()), Ok(Received::Removed(_))));
                remove.confirm().unwrap();
            }
            _ => bobs.group(group.id()).unwrap().forget().unwrap(),
        }
        let before = bobs.group(group.id()).map(|group| group.epoch().unwrap()).ok();
        assert!(!matches!(bobs.receive(&message), Ok(Received::Joined(_))), "{way}");
        let error = pending.confirm().unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::JoinGone)), "{way}: {error:?}");
        let after = bobs.group(group.id()).map(|group| group.epoch().unwrap()).ok();
        assert_eq!(before, after, "{way}");
        assert_eq!(bob.rows("joining"), 0, "{way}");
    }
}

/// Whoever lost its leaf to somebody else does not remove that one when it comes back.
#[test]
fn nobody_else_is_removed_by_a_rejoin() {
    let (alice, bob, carol) = (client("alice", 1), client("bob", 2), client("carol", 3));
    let group = alice.create_group().unwrap();
    let welcome = group.invite([bob.key_package().unwrap()]).unwrap().confirm().unwrap().welcome();
    let bobs = bob.join(&welcome).unwrap();
    group.remove(bobs.own_member().unwrap().leaf_index).unwrap().confirm().unwrap();
    let welcome =
        group.invite([carol.key_package().unwrap()]).unwrap().confirm().unwrap().welcome();
    let carols = carol.join(&welcome).unwrap();
    assert_eq!(carols.own_member().unwrap().leaf_index, bobs.own_member().unwrap().leaf_index);
    // Bob has not heard of any of that.
    let pending = bob.external_join(group_info(&group)).rejoin().stage().unwrap();
    receive_all(&[group.clone(), carols.clone()], pending.message());
    agree(&[group, carols, pending.confirm().unwrap()]);
}

/// An external Commit that takes this client's place is told, and changes nothing.
#[test]
fn a_client_is_told_that_it_was_replaced() {
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let group = alice.create_group().unwrap();
    let welcome = group.invite([bob.key_package().unwrap()]).unwrap().confirm().unwrap().welcome();
    let bobs = bob.join(&welcome).unwrap();
    let leaf = bobs.own_member().unwrap().leaf_index;
    let other = client("bob", 9);
    let pending = other.external_join(group_info(&group)).replacing(leaf).stage().unwrap();
    let received = bobs.receive(pending.message()).unwrap();
    assert!(matches!(&received, Received::Replaced(change) if change.outcome().removes_own));
    assert_eq!(bob.undelivered().unwrap().len(), 1);
    all_talk(&[group, bobs]);
}

/// A Welcome to a key package of last resort does not bring back an epoch whose keys were used.
#[test]
fn a_last_resort_is_not_replayed() {
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let group = alice.create_group().unwrap();
    let key_package = bob.last_resort_key_package().unwrap();
    let welcome = group.invite([&key_package]).unwrap().confirm().unwrap().welcome();
    let bobs = bob.join(&welcome).unwrap();
    bobs.send("used").unwrap();
    bobs.forget().unwrap();
    let error = bob.join(&welcome).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::ForgottenEpoch { .. })), "{error:?}");
}

/// What is no GroupInfo, or not sound, stages nothing.
#[test]
fn a_bad_group_info_stages_nothing() {
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let group = alice.create_group().unwrap();
    let key_package = bob.key_package().unwrap();
    let error = bob.external_join(&key_package).stage().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NotGroupInfo)), "{error:?}");
    let good = group_info(&group);
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        assert!(bob.external_join(&bad).stage().is_err(), "byte {index}");
        assert!(bob.external_join(&good[..index]).stage().is_err(), "{index} bytes");
    }
    assert!(bob.pending_joins().unwrap().is_empty());
}
