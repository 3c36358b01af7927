//! Conversations in steps, after any of which somebody may crash.

mod joins;
mod subgroups;
mod talk;

pub(crate) use joins::JOINS;
pub(crate) use subgroups::SUBGROUPS;
pub(crate) use talk::TALK;

use std::collections::BTreeMap;

use circlet::crypto::CipherSuite;
use circlet::message::GroupId;
use circlet::storage::{MemoryStorage, Storage};

use crate::app::{App, Habits, room};
use crate::harness::Person;

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const CAROL: usize = 2;
const NAMES: [&str; 3] = ["alice", "bob", "carol"];

/// The suite of everybody's second client.
const OTHER_SUITE: CipherSuite = CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519;

/// All of them.
pub(crate) static SCRIPTS: [&Script; 3] = [&TALK, &JOINS, &SUBGROUPS];

pub(crate) struct Script {
    /// Three, or six where everybody has a second client.
    pub(crate) clients: usize,
    pub(crate) steps: &'static [Step],
    /// Who is together in a group at the end.
    together: &'static [(&'static [u8], &'static [usize])],
}

pub(crate) type Step = fn(&mut World);

pub(crate) struct World {
    pub(crate) script: &'static Script,
    pub(crate) apps: Vec<App>,
    /// Messages that come later.
    kept: BTreeMap<&'static str, Vec<u8>>,
}

impl World {
    /// With the stores, which show what is in them at the end.
    pub(crate) fn in_memory(script: &'static Script, habits: Habits) -> (Self, Vec<MemoryStorage>) {
        let stores: Vec<MemoryStorage> =
            (0..script.clients).map(|_| MemoryStorage::new()).collect();
        let world = Self::new(script, habits, |i| {
            let store = stores[i].clone();
            Box::new(move || Box::new(store.clone()))
        });
        (world, stores)
    }

    pub(crate) fn new(
        script: &'static Script,
        habits: Habits,
        store: impl Fn(usize) -> Box<dyn Fn() -> Box<dyn Storage> + Send + Sync>,
    ) -> Self {
        let app = |i: usize| {
            let mut person = Person::with_store(NAMES[i % NAMES.len()], i as u64 + 1, store(i));
            if i >= NAMES.len() {
                person.suite = OTHER_SUITE;
            }
            App::new(person, habits)
        };
        Self { script, apps: (0..script.clients).map(app).collect(), kept: BTreeMap::new() }
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

    /// Everybody turns to this group.
    fn enter(&mut self, id: &[u8]) {
        for app in &mut self.apps {
            app.room = GroupId::new(id);
        }
    }

    /// A Commit that all others take, and then its maker.
    fn commit(
        &mut self,
        by: usize,
        others: &[usize],
        make: impl Fn(&circlet::Group) -> Result<circlet::client::PendingCommit, circlet::Error>,
    ) {
        let commit = self.apps[by].stage(make);
        self.deliver(&commit, others);
        self.apps[by].confirm();
    }

    /// All of these say something to each other.
    fn talk(&mut self, all: &[usize], text: &str) {
        for sender in all {
            let wire = self.apps[*sender].send(text);
            let others: Vec<usize> = all.iter().copied().filter(|other| other != sender).collect();
            self.deliver(&wire, &others);
        }
    }

    /// Runs the steps, and says after each what everybody sees.
    pub(crate) fn run(&mut self, mut after: impl FnMut(&mut Self)) -> Vec<Vec<String>> {
        let steps = self.script.steps.iter().map(|step| {
            step(self);
            after(self);
            self.apps.iter_mut().map(App::view).collect()
        });
        let views = steps.collect();
        assert!(self.kept.is_empty(), "not all messages came");
        for (id, together) in self.script.together {
            self.enter(id);
            let authenticator = |app: &usize| self.apps[*app].authenticator();
            let authenticators: Vec<_> = together.iter().map(authenticator).collect();
            assert!(authenticators.iter().all(|seen| seen.is_some() && *seen == authenticators[0]));
        }
        self.enter(room().as_bytes());
        views
    }
}
