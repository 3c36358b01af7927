//! Many threads: on one group through clones, through two clients on one store, and on many groups.

use std::collections::BTreeSet;
use std::thread;

use circlet::client::{ClientBuilder, Continued, PendingCommit, PendingJoin, ReInitOptions};
use circlet::codec::Limits;
use circlet::group::GroupInfoOptions;
use circlet::storage::StorageError;
use circlet::{Client, Error, Group, Misuse, Received};

use crate::harness::{Person, agree, all_talk, client, group_of, text};

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Client>();
    is_send_and_sync::<Group>();
    is_send_and_sync::<Received>();
    is_send_and_sync::<PendingCommit>();
    is_send_and_sync::<PendingJoin>();
    is_send_and_sync::<Continued>();
    is_send_and_sync::<Error>();
    const fn is_send<T: Send>() {}
    is_send::<ClientBuilder>();
};

/// Where another writer was always first, nothing has happened.
fn insist<T>(what: impl Fn() -> Result<T, Error>) -> T {
    loop {
        match what() {
            Err(Error::Storage(StorageError::Conflict)) => thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

/// Sends from a thread, over and over.
fn send_all(group: &Group, name: &str, count: usize) -> Vec<Vec<u8>> {
    let send = |i| insist(|| group.send(format!("{name} {i}"))).to_vec();
    (0..count).map(send).collect()
}

/// The receiver hears each message once, under generations without a gap.
fn assert_all_heard(receiver: &Group, wires: &[Vec<u8>], expected: usize) {
    let mut generations = BTreeSet::new();
    let mut heard = BTreeSet::new();
    for wire in wires {
        let Received::Message(message) = receiver.receive(wire).unwrap() else { panic!() };
        generations.insert(message.generation());
        heard.insert(message.data().to_vec());
    }
    assert_eq!((wires.len(), heard.len()), (expected, expected));
    assert_eq!(generations, (0..expected as u32).collect());
}

#[test]
fn many_threads_send_on_one_group() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let wires: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                let group = groups[0].clone();
                scope.spawn(move || send_all(&group, &format!("thread {i}"), 10))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    alice.seals.assert_all_keys_differ();
    assert_all_heard(&groups[1], &wires, 80);
    assert_eq!(groups[0].client().unsent().unwrap().len(), 81);
}

#[test]
fn threads_of_two_clients_on_one_store_send_and_receive() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let second = alice.open().group(groups[0].id()).unwrap();
    let from_bob: Vec<Vec<u8>> = (0..20).map(|i| groups[1].send([i]).unwrap().to_vec()).collect();
    let (wires, events) = thread::scope(|scope| {
        let senders = [groups[0].clone(), second.clone(), groups[0].clone(), second.clone()];
        let senders: Vec<_> = senders
            .into_iter()
            .enumerate()
            .map(|(i, group)| scope.spawn(move || send_all(&group, &format!("{i}"), 15)))
            .collect();
        let receivers = [groups[0].clone(), second.clone()].map(|group| {
            let from_bob = &from_bob;
            scope
                .spawn(move || from_bob.iter().map(|wire| insist(|| group.receive(wire))).collect())
        });
        let wires: Vec<Vec<u8>> =
            senders.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let events: [Vec<Received>; 2] = receivers.map(|thread| thread.join().unwrap());
        (wires, events)
    });
    let invite = groups[0].client().unsent().unwrap();
    assert_eq!(invite.len(), 61);
    alice.seals.assert_keys_of_visible_differ(&wires);
    assert_all_heard(&groups[1], &wires, 60);
    for (i, (first, second)) in events[0].iter().zip(&events[1]).enumerate() {
        let is_message = |event: &Received| matches!(event, Received::Message(_));
        assert!(is_message(first) != is_message(second), "{i}: exactly one hears it");
    }
    assert_eq!(second.client().undelivered().unwrap().len(), 20);
    agree(&[groups[0].clone(), groups[1].clone(), second]);
}

#[test]
fn one_client_commits_while_another_one_of_its_store_sends() {
    let alice = Person::new("alice", 1);
    let limits = Limits { past_epochs: 20, ..Limits::default() };
    let bob = Person::new("bob", 2).builder().limits(limits).build().unwrap();
    let groups = group_of(&[alice.build(), bob]);
    let second = alice.open().group(groups[0].id()).unwrap();
    let (commits, wires) = thread::scope(|scope| {
        let sender = scope.spawn(|| send_all(&second, "sent", 60));
        let commits: Vec<Vec<u8>> = (0..10)
            .map(|i| {
                // Every other time with a new signature key.
                let pending = insist(|| match i % 2 {
                    0 => groups[0].update(),
                    _ => groups[0].commit().new_signature_key().stage(),
                });
                let message = pending.message().to_vec();
                insist(|| pending.clone().confirm());
                message
            })
            .collect();
        (commits, sender.join().unwrap())
    });
    for commit in &commits {
        assert!(matches!(groups[1].receive(commit), Ok(Received::Commit(_))));
    }
    let heard: BTreeSet<String> =
        wires.iter().map(|wire| text(groups[1].receive(wire).unwrap()).1).collect();
    assert_eq!(heard.len(), 60);
    alice.seals.assert_keys_of_visible_differ(&[commits, wires].concat());
    assert_eq!(alice.rows("signer"), 1);
    agree(&[groups[0].clone(), groups[1].clone(), second]);
}

#[test]
fn many_groups_at_once() {
    let clients = [client("alice", 1), client("bob", 2), client("carol", 3)];
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let groups = group_of(&clients);
                all_talk(&groups);
                let pending = groups[1].update().unwrap();
                for group in [&groups[0], &groups[2]] {
                    assert!(matches!(group.receive(pending.message()), Ok(Received::Commit(_))));
                }
                pending.confirm().unwrap();
                all_talk(&groups);
                agree(&groups);
            });
        }
    });
    for client in &clients {
        assert_eq!(client.groups().unwrap().len(), 6);
    }
}

#[test]
fn threads_that_join_one_welcome() {
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let group = alice.create_group().unwrap();
    let pending = group.invite([bob.key_package().unwrap()]).unwrap();
    let welcome = pending.confirm().unwrap().welcome();
    let joined: Vec<Option<Group>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| bob.join(&welcome).ok())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let joined: Vec<Group> = joined.into_iter().flatten().collect();
    assert_eq!(joined.len(), 1);
    let wire = group.send("one").unwrap();
    assert_eq!(text(joined[0].receive(&wire).unwrap()).1, "one");
}

/// Some confirm, one hears the echo: the client is in the group once.
#[test]
fn threads_that_confirm_one_join() {
    let alice = client("alice", 1);
    let bob = Person::new("bob", 2);
    let (first, second) = (bob.build(), bob.open());
    let group = alice.create_group().unwrap();
    let info = group.group_info(GroupInfoOptions::default()).unwrap();
    let pending = first.external_join(&info).stage().unwrap();
    group.receive(pending.message()).unwrap();
    let joined: usize = thread::scope(|scope| {
        let confirm = |client: &Client| match client.pending_joins().unwrap().pop() {
            Some(pending) => usize::from(pending.confirm().is_ok()),
            None => 0,
        };
        let echo = |client: &Client| {
            let received = insist(|| client.receive(pending.message()));
            usize::from(matches!(received, Received::Joined(_)))
        };
        let threads = [
            scope.spawn(move || confirm(&first)),
            scope.spawn({
                let second = second.clone();
                move || confirm(&second)
            }),
            scope.spawn(move || echo(&second)),
        ];
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(joined, 1);
    let bobs = bob.open().group(group.id()).unwrap();
    agree(&[group.clone(), bobs.clone()]);
    all_talk(&[group, bobs]);
}

/// Everything that was sent while a client came back is of its old state or its new one, and is heard.
#[test]
fn one_client_comes_back_while_another_one_of_its_store_sends() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let second = alice.open().group(groups[0].id()).unwrap();
    let (wires, commits) = thread::scope(|scope| {
        let sender = scope.spawn(|| send_all(&second, "sent", 40));
        let commits: Vec<Vec<u8>> = (0..2)
            .map(|_| {
                let info = groups[1].group_info(GroupInfoOptions::default()).unwrap();
                let join = || groups[0].client().external_join(&info).rejoin().stage();
                let pending = insist(join);
                let message = pending.message().to_vec();
                groups[1].receive(&message).unwrap();
                insist(|| pending.clone().confirm());
                message
            })
            .collect();
        (sender.join().unwrap(), commits)
    });
    assert_eq!(commits.len(), 2);
    let heard: BTreeSet<String> =
        wires.iter().map(|wire| text(groups[1].receive(wire).unwrap()).1).collect();
    assert_eq!(heard.len(), 40);
    alice.seals.assert_keys_of_visible_differ(&wires);
    agree(&[groups[0].clone(), groups[1].clone(), second]);
}

/// Of all who make the group that takes the place of another, one has made it.
#[test]
fn threads_that_reinitialize() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2)]);
    let second = alice.open().group(groups[0].id()).unwrap();
    let pending = groups[0].commit().reinit(ReInitOptions::default()).stage().unwrap();
    groups[1].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    let bob = groups[1].client();
    let made: Vec<Continued> = thread::scope(|scope| {
        let threads: Vec<_> = [&groups[0], &second, &groups[0], &second]
            .into_iter()
            .map(|group| {
                let key_package = bob.key_package().unwrap();
                scope.spawn(move || match group.reinitialize([key_package]) {
                    Ok(continued) => Some(continued),
                    Err(Error::Misuse(Misuse::GroupExists)) => None,
                    Err(other) => panic!("{other:?}"),
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.len(), 1);
    let bobs = bob.join(made[0].welcome().unwrap()).unwrap();
    let seconds = second.client().group(bobs.id()).unwrap();
    agree(&[bobs.clone(), made[0].group().clone(), seconds]);
    all_talk(&[bobs, made[0].group().clone()]);
}
