//! One conversation in steps, after any of which somebody may crash.

use std::collections::BTreeMap;

use circlet::Received;
use circlet::storage::{MemoryStorage, Storage};

use crate::app::{App, Habits};
use crate::harness::Person;

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const CAROL: usize = 2;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

pub(crate) struct World {
    pub(crate) apps: Vec<App>,
    /// Messages that come later.
    kept: BTreeMap<&'static str, Vec<u8>>,
}

pub(crate) type Step = fn(&mut World);

impl World {
    pub(crate) fn in_memory(habits: Habits) -> Self {
        Self::new(habits, |_| {
            let store = MemoryStorage::new();
            Box::new(move || Box::new(store.clone()))
        })
    }

    pub(crate) fn new(
        habits: Habits,
        store: impl Fn(usize) -> Box<dyn Fn() -> Box<dyn Storage> + Send + Sync>,
    ) -> Self {
        let app = |i: usize| App::new(Person::with_store(NAMES[i], i as u64 + 1, store(i)), habits);
        Self { apps: (0..NAMES.len()).map(app).collect(), kept: BTreeMap::new() }
    }

    /// Everybody in `to` gets it.
    fn deliver(&mut self, wire: &[u8], to: &[usize]) {
        for app in to {
            self.apps[*app].receive(wire);
        }
    }

    fn keep(&mut self, name: &'static str, wire: Vec<u8>) {
        assert!(self.kept.insert(name, wire).is_none());
    }

    fn take(&mut self, name: &str) -> Vec<u8> {
        self.kept.remove(name).unwrap()
    }

    fn leaf_of(&mut self, app: usize) -> circlet::tree::LeafIndex {
        self.apps[app].own_leaf()
    }

    /// Runs the steps, and says after each what everybody sees.
    pub(crate) fn run(&mut self, mut after: impl FnMut(&mut Self)) -> Vec<Vec<String>> {
        let steps = STEPS.iter().map(|step| {
            step(self);
            after(self);
            self.apps.iter_mut().map(App::view).collect()
        });
        let views = steps.collect();
        assert!(self.kept.is_empty(), "not all messages came");
        let authenticators: Vec<_> = self.apps.iter_mut().map(App::authenticator).collect();
        assert!(authenticators.iter().all(|seen| seen.is_some() && *seen == authenticators[0]));
        views
    }
}

/// Invite, talk, propose, stage, confirm, discard, lose, remove, join again.
pub(crate) const STEPS: &[Step] = &[
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
