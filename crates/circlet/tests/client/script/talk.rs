use circlet::Received;

use super::{ALICE, BOB, CAROL, Script, Step};

/// Invite, talk, propose, stage, confirm, discard, lose, remove, join again.
pub(crate) static TALK: Script =
    Script { clients: 3, steps: STEPS, together: &[(b"the room", &[ALICE, BOB, CAROL])] };

const STEPS: &[Step] = &[
    |world| world.apps[ALICE].create(),
    |world| {
        let key_package = world.apps[BOB].key_package();
        world.apps[ALICE].stage(|group| group.commit().add(&key_package).stage());
    },
    |world| {
        let welcome = world.apps[ALICE].confirm().unwrap();
        world.keep("welcome", welcome);
    },
    |world| {
        let welcome = world.take("welcome");
        world.deliver(&welcome, &[BOB]);
    },
    |world| {
        for name in ["first", "second", "third", "fourth"] {
            let wire = world.apps[ALICE].send(name);
            world.keep(name, wire);
        }
    },
    |world| {
        let third = world.take("third");
        world.deliver(&third, &[BOB, BOB]);
    },
    |world| {
        let first = world.take("first");
        world.deliver(&first, &[BOB, BOB]);
    },
    |world| {
        let wire = world.apps[BOB].send("hello");
        world.deliver(&wire, &[ALICE, BOB]);
    },
    |world| {
        let wire = world.apps[BOB].outgoing(|group| group.propose_update());
        world.keep("update", wire);
    },
    |world| {
        let update = world.take("update");
        world.deliver(&update, &[ALICE]);
    },
    |world| {
        let key_package = world.apps[CAROL].key_package();
        let commit = world.apps[ALICE].stage(|group| group.commit().add(&key_package).stage());
        world.keep("adds carol", commit);
    },
    |world| {
        let commit = world.take("adds carol");
        world.deliver(&commit, &[BOB, ALICE]);
        let welcome = world.apps[ALICE].last_wire();
        world.deliver(&welcome, &[CAROL]);
        world.deliver(&commit, &[ALICE]);
    },
    |world| {
        let second = world.take("second");
        world.deliver(&second, &[BOB]);
    },
    |world| {
        let wire = world.apps[CAROL].send("I am new");
        world.deliver(&wire, &[ALICE, BOB]);
    },
    |world| {
        let commit = world.apps[ALICE].stage(|group| group.update());
        world.keep("discarded", commit);
    },
    |world| world.apps[ALICE].discard(),
    |world| {
        let commit = world.take("discarded");
        world.deliver(&commit, &[ALICE]);
    },
    |world| {
        let commit = world.apps[ALICE].stage(|group| group.update());
        world.keep("loses", commit);
    },
    |world| {
        let commit = world.apps[BOB].stage(|group| group.commit().without_path().stage());
        world.keep("wins", commit);
    },
    |world| {
        let wire = world.apps[CAROL].send("while two are staged");
        world.deliver(&wire, &[BOB, ALICE]);
        world.keep("replayed", wire);
    },
    |world| {
        let wire = world.apps[ALICE].send("a late one");
        world.keep("late", wire);
    },
    |world| {
        let commit = world.take("wins");
        world.deliver(&commit, &[ALICE, CAROL]);
        assert!(matches!(world.apps[BOB].receive(&commit), Received::Confirmed(_)));
    },
    |world| {
        let (commit, replayed) = (world.take("loses"), world.take("replayed"));
        world.deliver(&commit, &[BOB, CAROL, ALICE]);
        world.deliver(&replayed, &[ALICE, BOB]);
    },
    |world| {
        let leaf = world.leaf_of(BOB);
        let wire = world.apps[CAROL].outgoing(|group| group.propose_remove(leaf));
        world.deliver(&wire, &[ALICE, BOB]);
    },
    |world| {
        let wire = world.apps[BOB].outgoing(|group| group.propose_update());
        world.deliver(&wire, &[ALICE, CAROL]);
    },
    |world| {
        let commit = world.apps[ALICE].stage(|group| group.update());
        world.deliver(&commit, &[CAROL, BOB]);
        world.apps[ALICE].confirm();
    },
    |world| {
        let key_package = world.apps[BOB].key_package();
        let commit = world.apps[CAROL].stage(|group| group.commit().add(&key_package).stage());
        world.deliver(&commit, &[ALICE]);
        let welcome = world.apps[CAROL].confirm().unwrap();
        world.deliver(&welcome, &[BOB]);
    },
    |world| {
        let late = world.take("late");
        world.deliver(&late, &[CAROL, BOB]);
        let fourth = world.take("fourth");
        world.deliver(&fourth, &[BOB]);
    },
    |world| {
        for (sender, to) in [(ALICE, [BOB, CAROL]), (BOB, [ALICE, CAROL]), (CAROL, [ALICE, BOB])] {
            let wire = world.apps[sender].send("goodbye");
            world.deliver(&wire, &to);
        }
    },
];
