//! Commits: staged, confirmed, discarded, lost, by value and by reference.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use circlet::client::{Clock, Outgoing, OutgoingKind};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{Secret, Suite};
use circlet::message::GroupId;
use circlet::{Client, Error, Misuse, Received};

use crate::harness::{NOW, Person, agree, all_talk, client, group, group_of, names, said, text};

#[test]
fn invitations_take_effect_when_they_are_confirmed() {
    let alice = Person::new("alice", 1);
    let alices = alice.build();
    let group = alices.create_group().unwrap();
    let others: Vec<_> =
        ["bob", "carol", "dave"].iter().zip(2..).map(|(name, i)| client(name, i)).collect();
    let key_packages = others.iter().map(|client| client.key_package().unwrap());
    let pending = group.invite(key_packages).unwrap();
    let kinds = |client: &circlet::Client| -> Vec<OutgoingKind> {
        client.unsent().unwrap().iter().map(|outgoing| outgoing.kind()).collect()
    };
    // The Welcome is not among what may be sent (RFC 9420 section 14).
    assert_eq!(kinds(&alices), [OutgoingKind::Commit]);
    assert!(matches!(group.update(), Err(Error::Misuse(Misuse::CommitStaged))));
    drop((pending, group, alices));

    let alices = alice.open();
    assert_eq!(kinds(&alices), [OutgoingKind::Commit]);
    let group = alices.groups().unwrap().remove(0);
    let pending = group.pending_commit().unwrap().unwrap();
    assert_eq!(alices.unsent().unwrap()[0].as_bytes(), pending.message().as_bytes());
    // A staged Commit is not acknowledged away.
    alices.acknowledge(pending.message().id()).unwrap();
    assert_eq!(kinds(&alices), [OutgoingKind::Commit]);
    let confirmed = pending.clone().confirm().unwrap();
    assert_eq!(confirmed.outcome().added.len(), 3);
    let welcome = confirmed.welcome().unwrap();
    assert!(matches!(pending.clone().confirm(), Err(Error::Misuse(Misuse::CommitConfirmed))));
    assert!(matches!(pending.discard(), Err(Error::Misuse(Misuse::CommitGone))));
    drop((group, alices));

    let alices = alice.open();
    let unsent = alices.unsent().unwrap();
    assert_eq!(kinds(&alices), [OutgoingKind::Welcome]);
    assert_eq!((unsent[0].as_bytes(), unsent[0].id()), (welcome.as_bytes(), welcome.id()));
    let mut groups = alices.groups().unwrap();
    groups.extend(others.iter().map(|client| client.join(&unsent[0]).unwrap()));
    alices.acknowledge(unsent[0].id()).unwrap();
    alices.acknowledge(unsent[0].id()).unwrap();
    drop(alices);
    assert!(alice.open().unsent().unwrap().is_empty());
    assert_eq!(names(&groups[3]), ["alice", "bob", "carol", "dave"]);
    agree(&groups);
    all_talk(&groups);
}

#[test]
fn by_value_and_by_reference_with_and_without_path() {
    let mut groups = group(4);
    for (without_path, seed) in [(false, 10), (true, 20)] {
        let (by_reference, by_value) = (client("erin", seed), client("frank", seed + 1));
        let proposals = [
            groups[1].propose_add(by_reference.key_package().unwrap()).unwrap(),
            groups[1].propose_add(client("gone", seed + 2).key_package().unwrap()).unwrap(),
        ];
        for group in [&groups[0], &groups[2], &groups[3]] {
            for proposal in &proposals {
                let Received::Proposal(event) = group.receive(proposal).unwrap() else { panic!() };
                assert_eq!(event.sender().to_string(), "bob");
            }
        }
        let mut commit = groups[2].commit().add(by_value.key_package().unwrap());
        if without_path {
            commit = commit.without_path();
        }
        let pending = commit.authenticated_data(b"seen by all".to_vec()).stage().unwrap();
        for (i, group) in groups.iter().enumerate().filter(|(i, _)| *i != 2) {
            let Received::Commit(change) = group.receive(pending.message()).unwrap() else {
                panic!("{i}")
            };
            let outcome = change.outcome();
            assert_eq!((outcome.added.len(), outcome.updated.is_empty()), (3, without_path));
            assert_eq!(outcome.committer.to_string(), "carol");
            assert!(!change.lost_staged());
        }
        let welcome = pending.confirm().unwrap().welcome().unwrap();
        groups.push(by_reference.join(&welcome).unwrap());
        groups.push(by_value.join(&welcome).unwrap());
        agree(&groups);
        all_talk(&groups);
        // They leave again: one by a proposal of its own, the others by value.
        let leaves: Vec<_> =
            groups[4..].iter().map(|g| g.own_member().unwrap().leaf_index).collect();
        let proposal = groups[4].propose_remove(leaves[0]).unwrap();
        for group in groups.iter().filter(|group| group.client().credential().to_string() != "erin")
        {
            group.receive(&proposal).unwrap();
        }
        let gone = groups[0].members().unwrap();
        let gone = gone.iter().find(|member| member.to_string() == "gone").unwrap().leaf_index;
        let pending = groups[3].commit().remove(leaves[1]).remove(gone).stage().unwrap();
        for group in &groups[4..] {
            assert!(matches!(group.receive(pending.message()), Ok(Received::Removed(_))));
        }
        groups.truncate(4);
        for group in &groups[..3] {
            group.receive(pending.message()).unwrap();
        }
        pending.confirm().unwrap();
        agree(&groups);
        all_talk(&groups);
    }
}

#[test]
fn a_self_update_renews_the_leaf() {
    let groups = group(3);
    let before = groups[0].ratchet_tree().unwrap();
    let authenticator = groups[0].epoch_authenticator().unwrap();
    let pending = groups[1].update().unwrap();
    for group in [&groups[0], &groups[2]] {
        let Received::Commit(change) = group.receive(pending.message()).unwrap() else { panic!() };
        assert_eq!(change.outcome().updated[0].to_string(), "bob");
    }
    pending.confirm().unwrap();
    assert_ne!(groups[0].ratchet_tree().unwrap(), before);
    assert_ne!(groups[0].epoch_authenticator().unwrap(), authenticator);
    agree(&groups);
}

#[test]
fn an_own_update_by_proposal_is_committed_by_another() {
    let person = Person::new("bob", 2);
    let groups = group_of(&[client("alice", 1), person.build()]);
    let proposal = groups[1].propose_update().unwrap();
    groups[0].receive(&proposal).unwrap();
    let pending = groups[0].update().unwrap();
    // The private key of the new leaf is in the store.
    let bobs = person.open().group(groups[0].id()).unwrap();
    assert!(matches!(bobs.receive(pending.message()), Ok(Received::Commit(_))));
    pending.confirm().unwrap();
    let groups = [groups[0].clone(), bobs];
    agree(&groups);
    let pending = groups[0].update().unwrap();
    groups[1].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    agree(&groups);
}

#[test]
fn ones_own_commit_comes_back() {
    let groups = group(2);
    let carol = client("carol", 3);
    let pending = groups[0].invite([carol.key_package().unwrap()]).unwrap();
    let echo = pending.message().to_vec();
    let Received::Confirmed(change) = groups[0].receive(&echo).unwrap() else { panic!() };
    let welcome = change.welcome().unwrap();
    assert!(matches!(groups[0].receive(&echo), Ok(Received::Own)));
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitConfirmed))));
    groups[1].receive(&echo).unwrap();
    let groups = [groups.clone(), vec![carol.join(welcome).unwrap()]].concat();
    agree(&groups);
    // The event is kept without the Welcome, which is kept as unsent.
    let events = groups[0].client().undelivered().unwrap();
    let [Received::Confirmed(kept)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((kept.id(), kept.outcome()), (change.id(), change.outcome()));
    let unsent = groups[0].client().unsent().unwrap();
    assert!(unsent.iter().any(|outgoing| outgoing.id() == welcome.id()));

    let wire = groups[0].send("mine").unwrap();
    assert!(matches!(groups[0].receive(&wire), Ok(Received::Own)));
    let proposal = groups[0].propose_update().unwrap();
    assert!(matches!(groups[0].receive(&proposal), Ok(Received::Own)));

    // The last one of one's own is known also when its epoch is over.
    groups[1].receive(&proposal).unwrap();
    let next = groups[1].update().unwrap();
    groups[0].receive(next.message()).unwrap();
    assert!(matches!(groups[0].receive(&echo), Ok(Received::Own)));
}

#[test]
fn a_staged_commit_that_is_confirmed_directly_knows_its_echo() {
    let groups = group(2);
    let pending = groups[0].update().unwrap();
    let echo = pending.message().to_vec();
    pending.confirm().unwrap();
    assert!(matches!(groups[0].receive(&echo), Ok(Received::Own)));
    assert!(groups[0].client().undelivered().unwrap().is_empty());
    groups[1].receive(&echo).unwrap();
    agree(&groups);
}

#[test]
fn a_staged_commit_loses_the_race() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2), client("carol", 3)]);
    let lost = groups[0].update().unwrap();
    let won = groups[1].update().unwrap();
    let Received::Commit(change) = groups[0].receive(won.message()).unwrap() else { panic!() };
    assert!(change.lost_staged());
    assert!(matches!(lost.clone().confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    assert!(matches!(lost.clone().discard(), Err(Error::Misuse(Misuse::CommitGone))));
    groups[2].receive(won.message()).unwrap();
    won.confirm().unwrap();
    for group in &groups {
        assert!(matches!(group.receive(lost.message()), Ok(Received::Late { epoch: 1 })));
    }
    assert!(groups[0].pending_commit().unwrap().is_none());
    agree(&groups);
    let again = groups[0].update().unwrap();
    // The one that was lost has another number: it can't confirm this one.
    assert!(matches!(lost.confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    for group in &groups[1..] {
        group.receive(again.message()).unwrap();
    }
    again.confirm().unwrap();
    agree(&groups);
    all_talk(&groups);
    alice.seals.assert_all_keys_differ();
}

#[test]
fn a_discarded_commit_gives_no_key_back() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2), client("carol", 3)]);
    let first = groups[0].update().unwrap();
    let message = first.message().to_vec();
    first.discard().unwrap();
    for alices in [groups[0].clone(), alice.open().group(groups[0].id()).unwrap()] {
        assert!(matches!(alices.receive(&message), Ok(Received::Discarded)));
    }
    assert!(groups[0].client().unsent().unwrap().iter().all(|o| o.kind() != OutgoingKind::Commit));
    let proposal = groups[0].propose_update().unwrap();
    let second = groups[0].commit().without_waiting_proposals().stage().unwrap();
    // Both can be read: each has a generation of its own. Bob gets the second, Carol the first.
    groups[1].receive(&proposal).unwrap();
    assert!(matches!(groups[1].receive(second.message()), Ok(Received::Commit(_))));
    assert!(matches!(groups[2].receive(&message), Ok(Received::Commit(_))));
    alice.seals.assert_all_keys_differ();
    let visible = [message, proposal.to_vec(), second.message().to_vec()];
    alice.seals.assert_keys_of_visible_differ(&visible);
    second.confirm().unwrap();
    agree(&groups[..2]);
}

#[test]
fn what_arrives_while_a_commit_is_staged_counts() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let wires: Vec<_> = (0..4).map(|i| groups[1].send(format!("{i}")).unwrap()).collect();
    let pending = groups[0].update().unwrap();
    for i in [0, 1, 3] {
        assert_eq!(text(groups[0].receive(&wires[i]).unwrap()), said("bob", &i.to_string()));
    }
    let own = groups[0].send("sent while it is staged").unwrap();
    pending.confirm().unwrap();
    for alices in [groups[0].clone(), alice.open().group(groups[0].id()).unwrap()] {
        for i in [0, 1, 3] {
            assert!(matches!(alices.receive(&wires[i]), Ok(Received::Duplicate)), "{i}");
        }
    }
    let alices = alice.open().group(groups[0].id()).unwrap();
    assert_eq!(text(alices.receive(&wires[2]).unwrap()), said("bob", "2"));
    assert_eq!(text(groups[1].receive(&own).unwrap()), said("alice", "sent while it is staged"));
    alice.seals.assert_all_keys_differ();
}

/// Counts how often it is asked, which is once for each time that an operation is computed.
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        NOW
    }
}

/// V-12.4-02: of the pre-shared keys that wait those are committed that are here, all of them read
/// in one go.
#[test]
fn waiting_psks_are_read_at_once() {
    let computed = Arc::new(AtomicUsize::new(0));
    let builder = Person::new("alice", 1).builder().clock(Counting(computed.clone()));
    let clients = [builder.build().unwrap(), client("bob", 2)];
    for number in 0..20_u8 {
        let secret = Secret::new(&[number; 32]);
        clients[1].add_psk(&[number], &secret).unwrap();
        if number % 2 == 0 {
            clients[0].add_psk(&[number], &secret).unwrap();
        }
    }
    let groups = group_of(&clients);
    for number in 0..20_u8 {
        let proposal = groups[1].propose_psk([number]).unwrap();
        groups[0].receive(&proposal).unwrap();
    }
    let before = computed.load(Ordering::Relaxed);
    let pending = groups[0].commit().stage().unwrap();
    assert_eq!(computed.load(Ordering::Relaxed) - before, 2);
    groups[1].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    agree(&groups);
}

/// A Welcome says for whom it is: by key package and credential, also after a restart.
#[test]
fn a_welcome_says_for_whom_it_is() {
    let person = Person::new("alice", 1);
    let alice = person.build();
    let group = alice.create_group().unwrap();
    let suite = Suite::new(Arc::new(DefaultProvider::new()), person.suite).unwrap();
    let assert_for = |welcome: &Outgoing, expected: &[(&Client, &[u8])]| {
        let expected = expected.iter().map(|(client, key_package)| {
            let key_package = client.check_key_package(key_package).unwrap();
            (key_package.reference(&suite).unwrap(), Some(client.credential().clone()))
        });
        let seen = welcome.recipients().iter();
        let seen = seen.map(|one| (one.key_package.clone(), one.credential.clone()));
        assert_eq!(seen.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    };
    let others = [client("bob", 2), client("carol", 3), client("dave", 4)];
    let [bob, carol, dave] = [0, 1, 2].map(|i| others[i].key_package().unwrap());
    let pending = group.invite([&bob, &carol, &dave]).unwrap();
    assert!(pending.message().recipients().is_empty());
    let welcome = pending.confirm().unwrap().welcome();
    assert_for(&welcome, &[(&others[0], &bob), (&others[1], &carol), (&others[2], &dave)]);

    // Leaves that are free are taken from the left: of those whom the Commit removes too.
    let leaf = group.members().unwrap()[2].leaf_index;
    let again = [0, 1].map(|_| client("carol", 5).key_package().unwrap());
    let erin = client("erin", 6);
    let first = erin.key_package().unwrap();
    let commit = group.commit().remove(leaf).add(&first).add(&again[0]);
    drop(commit.stage().unwrap());
    let group = person.open().group(group.id()).unwrap();
    let pending = group.pending_commit().unwrap().unwrap();
    let welcome = pending.confirm().unwrap().welcome().unwrap();
    let carols = client("carol", 5);
    assert_for(&welcome, &[(&erin, &first), (&carols, &again[0])]);
    let unsent = person.open().unsent().unwrap();
    let kept = unsent.iter().find(|out| out.id() == welcome.id()).unwrap();
    assert_eq!(kept.recipients(), welcome.recipients());
    assert!(group.send("nobody in particular").unwrap().recipients().is_empty());

    // The same of a group that continues another.
    let key_packages = [&others[2], &others[0]].map(|other| other.key_package().unwrap());
    let [dave, bob] = &key_packages;
    let branch = group.branch(GroupId::new(b"branch"), [dave, bob]).unwrap();
    let welcome = branch.welcome().unwrap();
    assert_for(welcome, &[(&others[2], dave), (&others[0], bob)]);
    let unsent = person.open().unsent().unwrap();
    let kept = unsent.iter().find(|out| out.id() == welcome.id()).unwrap();
    assert_eq!(kept.recipients(), welcome.recipients());
}
