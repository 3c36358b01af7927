use circlet::Received;
use circlet::group::LeafChange;

use super::{ALICE, BOB, CAROL, Script, Step};

/// Join without a Welcome, be overtaken, come back; change signature keys, and lose the change.
pub(crate) static JOINS: Script =
    Script { clients: 3, steps: STEPS, together: &[(b"the room", &[ALICE, BOB, CAROL])] };

const STEPS: &[Step] = &[
    |world| world.apps[ALICE].create(),
    // A join that waits.
    |world| {
        let info = world.apps[ALICE].group_info();
        let commit = world.apps[BOB].stage_join(&info, false);
        world.keep("bob joins", commit);
    },
    |world| {
        let commit = world.take("bob joins");
        world.deliver(&commit, &[ALICE]);
    },
    |world| assert!(world.apps[BOB].confirm_join()),
    |world| world.talk(&[ALICE, BOB], "the two of us"),
    // A join that lost, and the next one, which comes back from the network.
    |world| {
        let info = world.apps[ALICE].group_info();
        let commit = world.apps[CAROL].stage_join(&info, false);
        world.keep("carol is late", commit);
    },
    |world| world.commit(ALICE, &[BOB], |group| group.update()),
    |world| {
        let commit = world.take("carol is late");
        world.deliver(&commit, &[ALICE, BOB]);
        world.apps[CAROL].discard_join();
    },
    |world| {
        let info = world.apps[BOB].group_info();
        let commit = world.apps[CAROL].stage_join(&info, false);
        world.keep("carol joins", commit);
    },
    |world| {
        let commit = world.take("carol joins");
        world.deliver(&commit, &[ALICE, BOB]);
        assert!(matches!(world.apps[CAROL].receive(&commit), Received::Joined(_)));
        world.keep("echo", commit);
    },
    |world| {
        let echo = world.take("echo");
        assert!(matches!(world.apps[CAROL].receive(&echo), Received::Own));
    },
    // New signature keys: of an Update and of the Commit that takes it.
    |world| {
        let update =
            world.apps[ALICE].outgoing(|group| group.propose_leaf(LeafChange::default(), true));
        world.keep("alice's key", update);
    },
    |world| {
        let update = world.take("alice's key");
        world.deliver(&update, &[BOB, CAROL]);
    },
    |world| {
        let commit = world.apps[BOB].stage(|group| group.commit().new_signature_key().stage());
        world.keep("two keys", commit);
    },
    |world| {
        let wire = world.apps[ALICE].send("with the old key");
        world.deliver(&wire, &[BOB, CAROL]);
    },
    |world| {
        let commit = world.take("two keys");
        world.deliver(&commit, &[ALICE, CAROL]);
    },
    |world| drop(world.apps[BOB].confirm()),
    |world| world.talk(&[ALICE, BOB, CAROL], "with new keys"),
    // One that is discarded, one that is left out, one that lost.
    |world| {
        let commit = world.apps[BOB].stage(|group| group.commit().new_signature_key().stage());
        world.keep("discarded", commit);
    },
    |world| world.apps[BOB].discard(),
    |world| {
        let commit = world.take("discarded");
        assert!(matches!(world.apps[BOB].receive(&commit), Received::Discarded));
    },
    |world| {
        let update =
            world.apps[CAROL].outgoing(|group| group.propose_leaf(LeafChange::default(), true));
        world.deliver(&update, &[ALICE]);
    },
    |world| {
        let without = |group: &circlet::Group| group.commit().without_waiting_proposals().stage();
        world.commit(ALICE, &[BOB, CAROL], without);
    },
    |world| {
        let commit = world.apps[ALICE].stage(|group| group.commit().new_signature_key().stage());
        world.keep("loses", commit);
    },
    |world| world.commit(BOB, &[ALICE, CAROL], |group| group.update()),
    |world| {
        let commit = world.take("loses");
        world.deliver(&commit, &[ALICE, BOB, CAROL]);
    },
    // Bob comes back: what he has meanwhile is of his old state, and goes with it.
    |world| {
        let info = world.apps[ALICE].group_info();
        let commit = world.apps[BOB].stage_join(&info, true);
        world.keep("bob is back", commit);
    },
    |world| {
        let wire = world.apps[ALICE].send("while bob is coming back");
        world.deliver(&wire, &[BOB, CAROL]);
    },
    |world| {
        let commit = world.apps[BOB].stage(|group| group.commit().new_signature_key().stage());
        world.keep("from before", commit);
    },
    |world| {
        let commit = world.take("bob is back");
        world.deliver(&commit, &[ALICE, CAROL]);
    },
    |world| assert!(world.apps[BOB].confirm_join()),
    |world| {
        let commit = world.take("from before");
        world.deliver(&commit, &[ALICE, BOB, CAROL]);
        world.talk(&[ALICE, BOB, CAROL], "all back");
    },
    // Carol does not: a Commit is first, then her removal; she joins anew.
    |world| {
        let info = world.apps[ALICE].group_info();
        let commit = world.apps[CAROL].stage_join(&info, true);
        world.keep("overtaken", commit);
    },
    |world| world.commit(ALICE, &[BOB, CAROL], |group| group.commit().new_signature_key().stage()),
    |world| assert!(!world.apps[CAROL].confirm_join()),
    |world| {
        let commit = world.take("overtaken");
        world.deliver(&commit, &[ALICE, BOB, CAROL]);
    },
    |world| {
        let info = world.apps[BOB].group_info();
        let commit = world.apps[CAROL].stage_join(&info, true);
        world.keep("removed first", commit);
    },
    |world| {
        let leaf = world.leaf_of(CAROL);
        world.commit(BOB, &[ALICE, CAROL], |group| group.remove(leaf));
    },
    |world| assert!(!world.apps[CAROL].confirm_join()),
    |world| {
        let commit = world.take("removed first");
        world.deliver(&commit, &[ALICE, BOB]);
        let info = world.apps[ALICE].group_info();
        let commit = world.apps[CAROL].stage_join(&info, false);
        world.keep("carol anew", commit);
    },
    |world| {
        let commit = world.take("carol anew");
        world.deliver(&commit, &[ALICE, CAROL, BOB]);
    },
    |world| world.talk(&[ALICE, BOB, CAROL], "goodbye"),
];
