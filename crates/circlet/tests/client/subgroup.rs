//! Groups that continue others, and resumption PSKs across groups (RFC 9420 sections 8.6, 11.2 and
//! 11.3).

use std::sync::{Arc, Mutex};

use circlet::client::{Continued, GroupOptions, OutgoingKind, PendingCommit, ReInitOptions};
use circlet::codec::Encode;
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::Status;
use circlet::message::{GroupId, Proposal};
use circlet::rules::Violation;
use circlet::schedule::{Psk, ResumptionPskUsage};
use circlet::storage::{MemoryStorage, Prefix, Storage, StorageError};
use circlet::tree::{Extension, ExtensionType, Extensions, RequiredCapabilities};
use circlet::{Client, Error, Group, Misuse, Received, Unready};

use crate::faults::{Failure, Faulty, Plan};
use crate::harness::{Person, agree, all_talk, client, group, group_of, names, said, text};

const OTHER_SUITE: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;

fn next_id() -> GroupId {
    GroupId::new(b"the next group")
}

fn reinit() -> ReInitOptions {
    ReInitOptions { group_id: Some(next_id()), ..ReInitOptions::default() }
}

/// All but the committer receive, and it confirms.
fn settle(pending: PendingCommit, groups: &[Group], committer: usize) {
    for (_, group) in groups.iter().enumerate().filter(|(i, _)| *i != committer) {
        assert!(matches!(group.receive(pending.message()), Ok(Received::Commit(_))));
    }
    pending.confirm().unwrap();
}

/// A group that the first member's Commit has closed.
fn closed(size: u64) -> Vec<Group> {
    let groups = group(size);
    let pending = groups[0].commit().reinit(reinit()).stage().unwrap();
    settle(pending, &groups, 0);
    groups
}

fn clients(groups: &[Group]) -> Vec<Client> {
    groups.iter().map(|group| group.client().clone()).collect()
}

fn key_packages(clients: &[Client]) -> Vec<Vec<u8>> {
    clients.iter().map(|client| client.key_package().unwrap()).collect()
}

/// The others join what the first has created.
fn join_all(continued: &Continued, others: &[Client]) -> Vec<Group> {
    let welcome = continued.welcome().unwrap();
    let mut groups = vec![continued.group().clone()];
    groups.extend(others.iter().map(|client| client.join(welcome).unwrap()));
    agree(&groups);
    all_talk(&groups);
    groups
}

fn unknown(error: Error) -> Psk {
    match error {
        Error::Unready(Unready::UnknownPsk(psk)) => psk,
        other => panic!("{other:?}"),
    }
}

fn resumption(usage: ResumptionPskUsage, group: &Group, psk_epoch: u64) -> Psk {
    Psk::Resumption { usage, psk_group_id: group.id().as_bytes().to_vec(), psk_epoch }
}

/// Whoever renews its keys does not close the group, though somebody has proposed that.
#[test]
fn an_update_takes_no_reinit() {
    let groups = group(3);
    let proposal = groups[1].propose_reinit(reinit()).unwrap();
    groups[0].receive(&proposal).unwrap();
    groups[2].receive(&proposal).unwrap();
    settle(groups[0].update().unwrap(), &groups, 0);
    for group in &groups {
        assert_eq!(group.status().unwrap(), Status::Active);
    }
    all_talk(&groups);

    let proposal = groups[1].propose_reinit(reinit()).unwrap();
    groups[0].receive(&proposal).unwrap();
    groups[2].receive(&proposal).unwrap();
    settle(groups[0].commit().stage().unwrap(), &groups, 0);
    assert_eq!(groups[2].status().unwrap(), Status::Reinitialized);
}

/// V-12.4.2-15: whoever holds the closed group joins the one that its ReInit names by a Welcome with
/// the old group's key, and by no other.
#[test]
fn no_other_group_takes_the_place_of_a_closed_one() {
    let groups = closed(2);
    let bob = groups[1].client().clone();
    let options = GroupOptions { group_id: Some(next_id()), ..GroupOptions::default() };
    let other = client("mallory", 77).create_group_with(options).unwrap();
    let pending = other.invite([bob.key_package().unwrap()]).unwrap();
    let welcome = pending.confirm().unwrap().welcome();
    let error = bob.join(&welcome).unwrap_err();
    assert!(matches!(error, Error::Violation(Violation::ReInitPsk)), "{error:?}");
    let others = [bob];
    let continued = groups[0].reinitialize(key_packages(&others)).unwrap();
    join_all(&continued, &others);
}

/// V-12.4.2-15, V-11.2-01: the old group is closed to both sides and still reads; the new one is
/// what the ReInit says, and is joined as any other.
#[test]
fn a_group_is_reinitialized_by_its_committer() {
    let groups = group(3);
    let late = groups[1].send("late").unwrap();
    let data = RequiredCapabilities::default().to_bytes().unwrap();
    let extension_type = ExtensionType::REQUIRED_CAPABILITIES;
    let extensions: Extensions = [Extension { extension_type, data }].into_iter().collect();
    let options = ReInitOptions { extensions: Some(extensions.clone()), ..reinit() };
    let pending = groups[0].commit().reinit(options).stage().unwrap();
    let same_id = ReInitOptions { group_id: Some(groups[0].id().clone()), ..reinit() };
    let refused = groups[0].commit().reinit(same_id).stage();
    assert!(matches!(refused, Err(Error::Misuse(Misuse::GroupExists))));
    settle(pending, &groups, 0);
    for group in &groups {
        assert_eq!(group.status().unwrap(), Status::Reinitialized);
        assert_eq!(group.reinit().unwrap().unwrap().group_id, next_id());
        let closed = |error: Option<Error>| {
            assert!(matches!(error, Some(Error::Misuse(Misuse::Reinitialized))), "{error:?}");
        };
        closed(group.send("more").err());
        closed(group.update().err());
        closed(group.propose_update().err());
        closed(group.commit().reinit(reinit()).stage().err());
    }
    assert_eq!(text(groups[0].receive(&late).unwrap()), said("bob", "late"));

    let clients = clients(&groups);
    let continued = groups[0].reinitialize(key_packages(&clients[1..])).unwrap();
    let welcome = continued.welcome().unwrap();
    assert_eq!((welcome.kind(), welcome.epoch()), (OutgoingKind::Welcome, 1));
    let Received::Joined(joined) = clients[2].receive(welcome).unwrap() else { panic!() };
    assert_eq!(*joined.group_id(), next_id());
    assert_eq!(joined.welcomer().unwrap().to_string(), "alice");
    let undelivered = clients[2].undelivered().unwrap();
    let kept = undelivered.iter().find(|event| event.id() == Some(joined.id()));
    let Some(Received::Joined(kept)) = kept else { panic!() };
    let told = joined.continued().unwrap();
    assert_eq!((told.usage, &told.group_id), (ResumptionPskUsage::Reinit, groups[0].id()));
    assert_eq!(told.epoch, groups[0].epoch().unwrap());
    assert_eq!(kept.continued(), Some(told));
    let new = [
        continued.group().clone(),
        clients[1].join(welcome).unwrap(),
        clients[2].group(&next_id()).unwrap(),
    ];
    agree(&new);
    all_talk(&new);
    assert_eq!(new[0].epoch().unwrap(), 1);
    assert_eq!(new[0].extensions().unwrap(), extensions);
    assert_eq!(names(&new[1]).len(), 3);
    settle(new[1].update().unwrap(), &new, 1);

    // The old group goes when it is no longer needed.
    assert_eq!(text(groups[2].receive(&late).unwrap()), said("bob", "late"));
    for group in groups {
        group.forget().unwrap();
    }
    for client in &clients {
        assert_eq!(client.groups().unwrap().len(), 1);
    }
    all_talk(&new);
}

/// V-11.2-04: by value or by reference, any member creates the new group, and everybody may be
/// started again between any two steps.
#[test]
fn a_group_is_reinitialized_by_another_member_after_restarts() {
    let people: Vec<Person> = ["alice", "bob", "carol"]
        .iter()
        .zip(1..)
        .map(|(name, seed)| Person::new(name, seed))
        .collect();
    let groups = group_of(&people.iter().map(Person::build).collect::<Vec<_>>());
    let id = groups[0].id().clone();
    drop(groups);
    let open = || -> (Vec<Client>, Vec<Group>) {
        let clients: Vec<Client> = people.iter().map(Person::open).collect();
        let groups = clients.iter().map(|client| client.group(&id).unwrap()).collect();
        (clients, groups)
    };
    let (_, groups) = open();
    let proposal = groups[2].propose_reinit(reinit()).unwrap();
    for group in &groups[..2] {
        assert!(matches!(group.receive(&proposal), Ok(Received::Proposal(_))));
    }
    let (_, groups) = open();
    drop(groups[0].commit().stage().unwrap());
    let (_, groups) = open();
    let pending = groups[0].pending_commit().unwrap().unwrap();
    for group in &groups[1..] {
        let Received::Commit(change) = group.receive(pending.message()).unwrap() else { panic!() };
        assert_eq!(change.outcome().reinit.as_ref().unwrap().group_id, next_id());
    }
    pending.confirm().unwrap();

    let (clients, groups) = open();
    for group in &groups {
        assert_eq!(group.status().unwrap(), Status::Reinitialized);
        assert_eq!(group.reinit().unwrap().unwrap().group_id, next_id());
    }
    let others = [0, 2].map(|i| clients[i].key_package().unwrap());
    drop(groups[1].reinitialize(&others).unwrap());

    // The Welcome is among what is to be sent.
    let (clients, _) = open();
    let new = clients[1].group(&next_id()).unwrap();
    assert_eq!(new.epoch().unwrap(), 1);
    let unsent = clients[1].unsent().unwrap();
    let welcome = unsent.iter().find(|outgoing| outgoing.id().group_id() == new.id()).unwrap();
    assert_eq!(welcome.kind(), OutgoingKind::Welcome);
    let joined = [0, 2].map(|i| clients[i].join(welcome).unwrap());
    let new = [new, joined[0].clone(), joined[1].clone()];
    agree(&new);
    all_talk(&new);
    clients[1].acknowledge(welcome.id()).unwrap();
    for person in &people {
        person.seals.assert_all_keys_differ();
    }
    let (clients, _) = open();
    let new: Vec<Group> = clients.iter().map(|client| client.group(&next_id()).unwrap()).collect();
    agree(&new);
    all_talk(&new);
}

/// Two members create the new group: whoever gets the other's Welcome has one already, and may give
/// its own up.
#[test]
fn the_first_of_two_new_groups_is_joined() {
    let groups = closed(3);
    let clients = clients(&groups);
    let first = groups[0].reinitialize(key_packages(&clients[1..])).unwrap();
    let others = [0, 2].map(|i| clients[i].key_package().unwrap());
    let second = groups[1].reinitialize(&others).unwrap();
    let again = groups[1].reinitialize(&others);
    assert!(matches!(again, Err(Error::Misuse(Misuse::GroupExists))));
    let carols = clients[2].join(first.welcome().unwrap()).unwrap();
    let late = clients[2].join(second.welcome().unwrap());
    assert!(matches!(late, Err(Error::Misuse(Misuse::GroupExists))));
    let refused = clients[1].join(first.welcome().unwrap());
    assert!(matches!(refused, Err(Error::Misuse(Misuse::GroupExists))));
    second.group().clone().forget().unwrap();
    let bobs = clients[1].join(first.welcome().unwrap()).unwrap();
    let new = [first.group().clone(), bobs, carols];
    agree(&new);
    all_talk(&new);
}

/// A ReInit to another cipher suite: clients of that suite get the old group from those of the old.
#[test]
fn a_group_goes_over_to_another_cipher_suite() {
    let groups = group(3);
    let options = ReInitOptions { cipher_suite: Some(OTHER_SUITE), ..reinit() };
    settle(groups[0].commit().reinit(options).stage().unwrap(), &groups, 0);
    let refused = groups[0].reinitialize(key_packages(&clients(&groups)[1..]));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherSuite))));

    let stores: Vec<MemoryStorage> = (0..3).map(|_| MemoryStorage::new()).collect();
    let people: Vec<Person> = ["alice", "bob", "carol"]
        .iter()
        .zip(&stores)
        .zip(50..)
        .map(|((name, store), seed)| {
            let store = store.clone();
            Person::with_store(name, seed, move || Box::new(store.clone()))
        })
        .collect();
    let mut new: Vec<Client> = people
        .iter()
        .map(|person| person.builder().cipher_suite(OTHER_SUITE).build().unwrap())
        .collect();
    let others = [0, 1].map(|i| new[i].key_package().unwrap());
    let old = groups[2].old_group().unwrap();
    let continued = new[2].reinitialize(&old, &others).unwrap();
    let welcome = continued.welcome().unwrap();

    // Without the old group the Welcome waits, and the key package with it.
    let missing = unknown(new[0].join(welcome).unwrap_err());
    assert_eq!(missing, resumption(ResumptionPskUsage::Reinit, &groups[0], 2));
    for i in [0, 1] {
        new[i].add_old_group(&groups[i].old_group().unwrap()).unwrap();
    }
    new[1].remove_old_group(groups[1].id()).unwrap();
    assert_eq!(unknown(new[1].join(welcome).unwrap_err()), missing);
    new[1].add_old_group(&groups[1].old_group().unwrap()).unwrap();
    new[0] = people[0].open();
    let groups =
        [continued.group().clone(), new[0].join(welcome).unwrap(), new[1].join(welcome).unwrap()];
    agree(&groups);
    all_talk(&groups);
    for store in &stores {
        let kept = store.scan(&Prefix::new(&[b"old-group"])).unwrap();
        assert!(kept.is_empty(), "an old group outlives its successor");
    }
}

/// V-11.2-05, V-11.3-02: a new group has the members that it should.
#[test]
fn the_key_packages_are_the_old_members() {
    let groups = closed(3);
    let clients = clients(&groups);
    let eve = client("eve", 9);
    let [bob, carol] = [1, 2].map(|i| clients[i].key_package().unwrap());
    let eve = eve.key_package().unwrap();
    for members in [vec![&bob], vec![&bob, &carol, &eve], vec![&bob, &eve], vec![]] {
        let refused = groups[0].reinitialize(members);
        assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    }
    let refused = groups[0].branch(GroupId::new(b"x"), [&bob, &eve]);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    let refused = groups[0].reinitialize([b"no key package"]);
    assert!(matches!(refused, Err(Error::Malformed(_))));
    let refused = group(2)[0].reinitialize([&bob]);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::NotReinitialized))));
    assert_eq!(clients[0].groups().unwrap().len(), 1);
    groups[0].reinitialize([bob, carol]).unwrap();
}

/// A ReInit stands alone (V-12.2-12).
#[test]
fn a_reinit_takes_nothing_along() {
    let groups = group(3);
    let leaf = groups[2].own_member().unwrap().leaf_index;
    let refused = groups[0].commit().reinit(reinit()).remove(leaf).stage();
    assert!(matches!(refused, Err(Error::Violation(Violation::ReInitNotAlone))));
    let misplaced = Extension { extension_type: ExtensionType::RATCHET_TREE, data: Vec::new() };
    let extensions = Some([misplaced].into_iter().collect());
    let refused = groups[0].propose_reinit(ReInitOptions { extensions, ..reinit() });
    assert!(matches!(refused, Err(Error::Violation(Violation::GroupContextExtensionType))));
    // Without a choice, the new group is as the old one, and its id is random.
    settle(groups[0].commit().reinit(ReInitOptions::default()).stage().unwrap(), &groups, 0);
    let reinit = groups[1].reinit().unwrap().unwrap();
    assert_eq!(reinit.group_id.as_bytes().len(), 32);
    assert_eq!(reinit.cipher_suite, CipherSuite::X25519_AES128GCM_SHA256_ED25519);
    assert_eq!(reinit.extensions, groups[0].extensions().unwrap());
}

/// V-11.3-01, V-11.3-04: a branch is joined by those who are in the old group, also if that went on
/// meanwhile; whoever has forgotten it can't join.
#[test]
fn some_members_branch_off() {
    let groups = group(4);
    let clients = clients(&groups);
    let id = GroupId::new(b"a branch");
    let others = &clients[1..3];
    let epoch = groups[0].epoch().unwrap();
    let continued = groups[0].branch(id.clone(), key_packages(others)).unwrap();
    assert_eq!(names(continued.group()), ["alice", "bob", "carol"]);
    let welcome = continued.welcome().unwrap();
    let uninvited = clients[3].join(welcome);
    assert!(matches!(uninvited, Err(Error::Unready(Unready::UnknownKeyPackage))));

    settle(groups[3].update().unwrap(), &groups, 3);
    let bobs = others[0].join(welcome).unwrap();
    groups[2].clone().forget().unwrap();
    let missing = unknown(others[1].join(welcome).unwrap_err());
    assert_eq!(missing, resumption(ResumptionPskUsage::Branch, &groups[2], epoch));
    let new = [continued.group().clone(), bobs];
    agree(&new);
    all_talk(&new);

    // The old group goes on beside it, for those who are in it.
    all_talk(&[groups[0].clone(), groups[1].clone(), groups[3].clone()]);
    let again = groups[1].branch(id, key_packages(&clients[..1]));
    assert!(matches!(again, Err(Error::Misuse(Misuse::GroupExists))));
    // A branch of the branch.
    let of = GroupId::new(b"a branch of a branch");
    let continued = new[1].branch(of, key_packages(&clients[..1])).unwrap();
    join_all(&continued, &clients[..1]);
}

/// The nonces with which a key waits to be injected.
fn nonces(group: &Group) -> Vec<Vec<u8>> {
    let waiting = group.waiting_proposals().unwrap();
    let nonce = |proposal: &Proposal| match proposal {
        Proposal::PreSharedKey(id) => id.psk_nonce.clone(),
        other => panic!("{other:?}"),
    };
    waiting.iter().map(|waiting| nonce(&waiting.proposal)).collect()
}

/// V-8.4-02, V-8.4-05, V-8.4-07, V-8.6-01: a resumption PSK of this group or another one, of the
/// present epoch or a past one, by value or by reference.
#[test]
fn resumption_psks_link_groups() {
    let clients: Vec<Client> =
        ["alice", "bob", "carol"].iter().zip(1..).map(|(name, i)| client(name, i)).collect();
    let there = group_of(&clients[..2]);
    let here = group_of(&clients);
    let past = there[0].epoch().unwrap();
    for _ in 0..3 {
        settle(there[0].update().unwrap(), &there, 0);
    }
    let present = there[0].epoch().unwrap();
    let usage = ResumptionPskUsage::Application;

    // Carol is not in the other group, and says what it lacks.
    let own = here[0].epoch().unwrap();
    let commit = here[0].commit().resumption_psk(there[0].id(), past);
    let pending = commit.resumption_psk(here[0].id(), own).stage().unwrap();
    assert!(matches!(here[1].receive(pending.message()), Ok(Received::Commit(_))));
    let missing = unknown(here[2].receive(pending.message()).unwrap_err());
    assert_eq!(missing, resumption(usage, &there[0], past));
    assert_eq!(here[2].epoch().unwrap(), own);
    // She is given it: it is hers to know.
    let old = there[0].old_group().unwrap();
    clients[2].add_old_group(&old).unwrap();
    assert_eq!(unknown(here[2].receive(pending.message()).unwrap_err()), missing);
    pending.confirm().unwrap();
    let welcome = here[0].commit().remove(here[2].own_member().unwrap().leaf_index);
    let pending = welcome.stage().unwrap();
    here[1].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    here[2].clone().forget().unwrap();
    let pending = here[0]
        .commit()
        .resumption_psk(there[0].id(), present)
        .psk("shared")
        .add(clients[2].key_package().unwrap())
        .stage();
    assert_eq!(unknown(pending.unwrap_err()), Psk::External { psk_id: b"shared".to_vec() });
    for client in &clients {
        client.add_psk(b"shared", &Secret::new(&[7; 32])).unwrap();
    }
    let commit = here[0].commit().resumption_psk(there[0].id(), present).psk("shared");
    let pending = commit.add(clients[2].key_package().unwrap()).stage().unwrap();
    here[1].receive(pending.message()).unwrap();
    let carols = clients[2].join(pending.confirm().unwrap().welcome().unwrap()).unwrap();
    let here = [here[0].clone(), here[1].clone(), carols];
    agree(&here);

    // By reference: twice the same key is twice another nonce.
    for _ in 0..2 {
        let proposal = here[1].propose_resumption_psk(there[0].id(), present).unwrap();
        for i in [0, 2] {
            here[i].receive(&proposal).unwrap();
        }
    }
    let proposal = here[1].propose_psk("shared").unwrap();
    for i in [0, 2] {
        here[i].receive(&proposal).unwrap();
    }
    let nonces = nonces(&here[0]);
    assert_eq!(nonces.len(), 3);
    assert!(nonces.iter().all(|nonce| nonce.len() == 32));
    assert!(nonces[0] != nonces[1] && nonces[1] != nonces[2]);
    let pending = here[0].commit().stage().unwrap();
    settle(pending, &here, 0);
    agree(&here);
    all_talk(&here);

    // What is no longer kept, or never was.
    for _ in 0..5 {
        settle(there[0].update().unwrap(), &there, 0);
    }
    for epoch in [past, present - 1, 999] {
        let refused = here[0].commit().resumption_psk(there[0].id(), epoch).stage();
        assert_eq!(unknown(refused.unwrap_err()), resumption(usage, &there[0], epoch));
    }
    there[1].clone().forget().unwrap();
    let refused = here[1].commit().resumption_psk(there[0].id(), present + 5).stage();
    assert_eq!(unknown(refused.unwrap_err()), resumption(usage, &there[0], present + 5));
}

/// Two groups that inject each other's PSKs at once don't wait for each other.
#[test]
fn groups_do_not_wait_for_each_other() {
    let client = client("alice", 1);
    let groups = [client.create_group().unwrap(), client.create_group().unwrap()];
    std::thread::scope(|scope| {
        for (own, other) in [(0, 1), (1, 0)] {
            let groups = &groups;
            scope.spawn(move || {
                for _ in 0..50 {
                    let epoch = groups[other].epoch().unwrap();
                    let commit = groups[own].commit().resumption_psk(groups[other].id(), epoch);
                    match commit.stage() {
                        Ok(pending) => drop(pending.confirm().unwrap()),
                        // The other one went on by more epochs than are kept.
                        Err(Error::Unready(Unready::UnknownPsk(_))) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert!(groups.iter().any(|group| group.epoch().unwrap() > 1));
}

/// The new group and its Welcome are there together or not at all.
#[test]
fn creating_the_new_group_is_one_write() {
    for (how, there) in
        [(Failure::AppliedUnknown, true), (Failure::LostUnknown, false), (Failure::Failed, false)]
    {
        let store =
            Faulty { inner: MemoryStorage::new(), plan: Arc::new(Mutex::new(Plan::default())) };
        let plan = store.plan.clone();
        let alice = Person::with_store("alice", 1, move || Box::new(store.clone()));
        let clients = [alice.build(), client("bob", 2)];
        let groups = group_of(&clients);
        settle(groups[0].commit().reinit(reinit()).stage().unwrap(), &groups, 0);
        let before = clients[0].unsent().unwrap().len();
        let bobs = key_packages(&clients[1..]);
        {
            let mut plan = plan.lock().unwrap();
            plan.failing_write = Some((plan.writes, how));
        }
        let failed = groups[0].reinitialize(&bobs).unwrap_err();
        assert!(matches!(
            failed,
            Error::Storage(StorageError::Unknown(_) | StorageError::Failed(_))
        ));
        let unsent = clients[0].unsent().unwrap();
        assert_eq!(unsent.len() - before, usize::from(there), "{how:?}");
        assert_eq!(clients[0].group(&next_id()).is_ok(), there);
        let again = groups[0].reinitialize(&bobs);
        let (new, welcome) = match again {
            Ok(continued) => {
                assert!(!there);
                (continued.group().clone(), continued.welcome().unwrap().to_vec())
            }
            Err(Error::Misuse(Misuse::GroupExists)) => {
                assert!(there);
                let new = |out: &&circlet::client::Outgoing| *out.id().group_id() == next_id();
                let welcome = unsent.iter().find(new).unwrap().to_vec();
                (clients[0].group(&next_id()).unwrap(), welcome)
            }
            Err(other) => panic!("{other:?}"),
        };
        let new = [new, clients[1].join(welcome).unwrap()];
        agree(&new);
        all_talk(&new);
    }
}

/// A group id that is taken is told before anything is sent.
#[test]
fn a_branch_has_an_id_of_its_own() {
    let groups = group(2);
    let clients = clients(&groups);
    let taken = clients[0]
        .create_group_with(GroupOptions { group_id: Some(next_id()), ..GroupOptions::default() })
        .unwrap();
    for id in [taken.id(), groups[0].id()] {
        let refused = groups[0].branch(id.clone(), key_packages(&clients[1..]));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::GroupExists))));
    }
    agree(&groups);
    all_talk(&groups);
}
