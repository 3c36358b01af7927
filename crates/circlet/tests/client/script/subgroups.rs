use circlet::Received;
use circlet::client::ReInitOptions;
use circlet::message::GroupId;

use super::{ALICE, BOB, CAROL, OTHER_SUITE, Script, Step};

/// Everybody's client of another suite.
const ALICE_TOO: usize = 3;
const BOB_TOO: usize = 4;
const CAROL_TOO: usize = 5;

const BRANCH: &[u8] = b"a branch";
const NEXT: &[u8] = b"the next room";
const LAST: &[u8] = b"the last room";

/// Branch off, link groups by their resumption PSKs, re-initialize, in the same suite and another.
pub(crate) static SUBGROUPS: Script = Script {
    clients: 6,
    steps: STEPS,
    together: &[
        (BRANCH, &[ALICE, BOB]),
        (NEXT, &[ALICE, BOB, CAROL]),
        (LAST, &[ALICE_TOO, BOB_TOO, CAROL_TOO]),
    ],
};

const STEPS: &[Step] = &[
    |world| {
        world.apps[ALICE].create();
        let key_packages = [BOB, CAROL].map(|app| world.apps[app].key_package());
        world.apps[ALICE].stage(|group| {
            let [bob, carol] = &key_packages;
            group.commit().add(bob).add(carol).stage()
        });
        let welcome = world.apps[ALICE].confirm().unwrap();
        world.deliver(&welcome, &[BOB, CAROL]);
    },
    // A branch, joined when the group has gone on.
    |world| {
        let key_package = world.apps[BOB].key_package();
        world.keep("bob's key package", key_package);
        let wire = world.apps[CAROL].send("early");
        world.keep("early", wire);
    },
    |world| {
        let key_package = world.take("bob's key package");
        let (id, key_packages) = (GroupId::new(BRANCH), [key_package]);
        let branch = |group: &circlet::Group| group.branch(id.clone(), &key_packages);
        let welcome = world.apps[ALICE].found(&id, branch);
        world.keep("branch", welcome);
    },
    |world| world.commit(BOB, &[ALICE, CAROL], |group| group.update()),
    |world| {
        let welcome = world.take("branch");
        assert!(matches!(world.apps[BOB].receive(&welcome), Received::Joined(_)));
    },
    |world| {
        world.enter(BRANCH);
        world.talk(&[ALICE, BOB], "in the branch");
    },
    // A key of the one group in the other.
    |world| {
        let (room, epoch) = (crate::app::room(), 2);
        let commit = |group: &circlet::Group| group.commit().resumption_psk(&room, epoch).stage();
        let commit = world.apps[BOB].stage(commit);
        world.keep("linked", commit);
    },
    |world| {
        let commit = world.take("linked");
        world.deliver(&commit, &[ALICE]);
    },
    |world| {
        world.apps[BOB].confirm();
        world.talk(&[BOB, ALICE], "linked");
        world.enter(crate::app::room().as_bytes());
    },
    // The group is closed, and goes on as another.
    |world| {
        let proposal = world.apps[CAROL].outgoing(|group| group.propose_reinit(next()));
        world.deliver(&proposal, &[ALICE, BOB]);
    },
    |world| {
        let commit = world.apps[ALICE].stage(|group| group.commit().stage());
        world.keep("closes", commit);
    },
    |world| {
        let commit = world.take("closes");
        world.deliver(&commit, &[BOB, CAROL]);
    },
    |world| drop(world.apps[ALICE].confirm()),
    |world| {
        let early = world.take("early");
        world.deliver(&early, &[ALICE]);
    },
    |world| {
        let key_packages = [ALICE, CAROL].map(|app| world.apps[app].key_package());
        let make = |group: &circlet::Group| group.reinitialize(&key_packages);
        let welcome = world.apps[BOB].found(&GroupId::new(NEXT), make);
        world.keep("next", welcome);
    },
    |world| {
        let welcome = world.take("next");
        world.deliver(&welcome, &[ALICE]);
        world.apps[CAROL].join(&GroupId::new(NEXT), &welcome);
    },
    |world| world.apps[BOB].forget(),
    |world| {
        world.enter(NEXT);
        world.talk(&[ALICE, BOB, CAROL], "in the next room");
    },
    // And as one of another suite, for which everybody has another client.
    |world| {
        let commit = world.apps[BOB].stage(|group| group.commit().reinit(last()).stage());
        world.keep("closes again", commit);
    },
    |world| {
        let commit = world.take("closes again");
        world.deliver(&commit, &[ALICE, CAROL]);
    },
    |world| drop(world.apps[BOB].confirm()),
    |world| {
        for (old, new) in [(ALICE, ALICE_TOO), (BOB, BOB_TOO), (CAROL, CAROL_TOO)] {
            let old = world.apps[old].old_group();
            world.apps[new].add_old_group(&old);
        }
    },
    |world| {
        let key_packages = [ALICE_TOO, BOB_TOO].map(|app| world.apps[app].key_package());
        let old = world.apps[CAROL].old_group();
        let make = |client: &circlet::Client| client.reinitialize(&old, &key_packages);
        let welcome = world.apps[CAROL_TOO].found_by_client(&GroupId::new(LAST), make);
        world.keep("last", welcome);
    },
    |world| {
        let welcome = world.take("last");
        assert!(matches!(world.apps[ALICE_TOO].receive(&welcome), Received::Joined(_)));
        world.apps[BOB_TOO].join(&GroupId::new(LAST), &welcome);
    },
    |world| {
        world.enter(LAST);
        world.talk(&[ALICE_TOO, BOB_TOO, CAROL_TOO], "in the last room");
    },
];

fn next() -> ReInitOptions {
    ReInitOptions { group_id: Some(GroupId::new(NEXT)), ..ReInitOptions::default() }
}

fn last() -> ReInitOptions {
    let (group_id, cipher_suite) = (Some(GroupId::new(LAST)), Some(OTHER_SUITE));
    ReInitOptions { group_id, cipher_suite, ..ReInitOptions::default() }
}
