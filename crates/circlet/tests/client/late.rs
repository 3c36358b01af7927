//! Messages out of order, skipped, twice, late and early.

use circlet::codec::Limits;
use circlet::{Error, Group, Received};

use crate::harness::{Person, agree, client, group, group_of, said, text};

/// A Commit of one of these that all others receive.
fn update(groups: &[Group], committer: usize) {
    let pending = groups[committer].update().unwrap();
    for (_, group) in groups.iter().enumerate().filter(|(i, _)| *i != committer) {
        assert!(matches!(group.receive(pending.message()), Ok(Received::Commit(_))));
    }
    pending.confirm().unwrap();
}

#[test]
fn out_of_order_skipped_and_twice_over_restarts() {
    let bob = Person::new("bob", 2);
    let groups = group_of(&[client("alice", 1), bob.build()]);
    let wires: Vec<_> = (0..12).map(|i| groups[0].send(format!("{i}")).unwrap()).collect();
    let mut bobs = groups[1].clone();
    for i in [7, 2, 11, 0, 1, 10] {
        assert_eq!(text(bobs.receive(&wires[i]).unwrap()), said("alice", &i.to_string()));
        assert!(matches!(bobs.receive(&wires[i]), Ok(Received::Duplicate)));
        bobs = bob.open().group(bobs.id()).unwrap();
        assert!(matches!(bobs.receive(&wires[i]), Ok(Received::Duplicate)));
    }
    update(&[groups[0].clone(), bobs.clone()], 0);
    bobs = bob.open().group(bobs.id()).unwrap();
    for i in [9, 3, 4] {
        let Received::Message(message) = bobs.receive(&wires[i]).unwrap() else { panic!() };
        assert_eq!((message.epoch(), message.generation()), (1, i as u32));
        assert!(matches!(bobs.receive(&wires[i]), Ok(Received::Duplicate)));
    }
    let heard = bob.open().undelivered().unwrap();
    let heard: Vec<String> = heard
        .into_iter()
        .filter(|event| matches!(event, Received::Message(_)))
        .map(|event| text(event).1)
        .collect();
    assert_eq!(heard, ["7", "2", "11", "0", "1", "10", "9", "3", "4"]);
}

#[test]
fn what_is_older_than_the_kept_epochs_is_late() {
    let bob = Person::new("bob", 2);
    let limits = || Limits { past_epochs: 2, ..Limits::default() };
    let bobs = bob.builder().limits(limits()).build().unwrap();
    let groups = group_of(&[client("alice", 1), bobs]);
    let wires: Vec<_> = (0..4)
        .map(|i| {
            let pair = [0, 1].map(|j| groups[0].send(format!("{i}.{j}")).unwrap());
            update(&groups, i % 2);
            pair
        })
        .collect();
    // The group is in epoch 5; epochs 3 and 4 are kept.
    let reopened = bob.builder().limits(limits()).open().unwrap();
    for (j, bobs) in [groups[1].clone(), reopened.group(groups[0].id()).unwrap()].iter().enumerate()
    {
        for (i, pair) in wires.iter().enumerate() {
            let received = bobs.receive(&pair[j]).unwrap();
            match i {
                0 | 1 => {
                    assert!(matches!(received, Received::Late { epoch } if epoch == i as u64 + 1))
                }
                _ => assert_eq!(text(received), said("alice", &format!("{i}.{j}"))),
            }
        }
    }
}

#[test]
fn a_late_message_is_its_senders_though_the_leaf_has_a_new_owner() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[alice.build(), client("bob", 2), client("carol", 3)]);
    let late: Vec<_> = (0..3).map(|i| groups[1].send(format!("late {i}")).unwrap()).collect();
    // Bob leaves, dave gets his leaf.
    let removed = groups[1].own_member().unwrap();
    let pending = groups[0].remove(removed.leaf_index).unwrap();
    groups[2].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    let between = groups[2].send("between").unwrap();
    let dave = client("dave", 4);
    let pending = groups[2].invite([dave.key_package().unwrap()]).unwrap();
    groups[0].receive(pending.message()).unwrap();
    let daves = dave.join(pending.confirm().unwrap().welcome()).unwrap();
    assert_eq!(daves.own_member().unwrap().leaf_index, removed.leaf_index);
    let from_dave = daves.send("mine now").unwrap();

    let mut alices = groups[0].clone();
    for wire in &late {
        let Received::Message(message) = alices.receive(wire).unwrap() else { panic!() };
        assert_eq!(*message.sender(), removed);
        assert_eq!(message.sender().to_string(), "bob");
        alices = alice.open().group(alices.id()).unwrap();
    }
    assert_eq!(text(alices.receive(&between).unwrap()), said("carol", "between"));
    assert_eq!(text(alices.receive(&from_dave).unwrap()), said("dave", "mine now"));
    // Who joined later has no keys of then.
    assert!(matches!(daves.receive(&late[0]), Ok(Received::Late { epoch: 1 })));
    let mut events = alice.open().undelivered().unwrap();
    events.retain(|event| matches!(event, Received::Message(_)));
    assert_eq!(
        events.into_iter().map(|event| text(event).0).collect::<Vec<_>>(),
        ["bob", "bob", "bob", "carol", "dave"]
    );
}

#[test]
fn what_is_early_works_after_the_commit() {
    let groups = group(3);
    let pending = groups[0].update().unwrap();
    let commit = pending.message().to_vec();
    pending.confirm().unwrap();
    groups[1].receive(&commit).unwrap();
    let next = groups[1].update().unwrap();
    let early = [groups[0].send("early").unwrap().to_vec(), next.message().to_vec()];
    for wire in &early {
        assert!(matches!(groups[2].receive(wire), Ok(Received::Early { epoch: 2 })));
        assert_eq!(groups[2].epoch().unwrap(), 1);
    }
    assert!(groups[2].client().undelivered().unwrap().is_empty());
    groups[2].receive(&commit).unwrap();
    assert_eq!(text(groups[2].receive(&early[0]).unwrap()), said("alice", "early"));
    assert!(matches!(groups[2].receive(&early[1]), Ok(Received::Commit(_))));
    next.confirm().unwrap();
    agree(&groups[1..]);
}

#[test]
fn a_forged_message_uses_no_key_up() {
    let bob = Person::new("bob", 2);
    let groups = group_of(&[client("alice", 1), bob.build()]);
    let wires = [0, 1, 2].map(|i| groups[0].send(format!("{i}")).unwrap().to_vec());
    for i in [2, 0] {
        let mut forged = wires[i].clone();
        *forged.last_mut().unwrap() ^= 1;
        let before = bob.open().undelivered().unwrap().len();
        assert!(matches!(groups[1].receive(&forged), Err(Error::Violation(_))));
        assert_eq!(bob.open().undelivered().unwrap().len(), before);
        assert_eq!(text(groups[1].receive(&wires[i]).unwrap()).1, i.to_string());
    }
    let reopened = bob.open().group(groups[0].id()).unwrap();
    assert_eq!(text(reopened.receive(&wires[1]).unwrap()).1, "1");
}
