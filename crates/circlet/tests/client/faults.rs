//! A store that fails, or writes and then reports failure: the operation gives an error, nothing
//! is seen of it, the client goes on, and what was durable is found among what is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use circlet::storage::{Batch, Key, MemoryStorage, Prefix, Row, Storage, StorageError};

use crate::app::Habits;
use crate::harness::row_kinds;
use crate::script::{SCRIPTS, Script, World};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The batch was applied, and the store does not know it.
    AppliedUnknown,
    /// The batch was not applied, and the store does not know it.
    LostUnknown,
    /// The batch was not applied.
    Failed,
}

/// Fails one call of all that are made on the stores that share it.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) writes: usize,
    reads: usize,
    pub(crate) failing_write: Option<(usize, Failure)>,
    failing_read: Option<usize>,
}

#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: MemoryStorage,
    pub(crate) plan: Arc<Mutex<Plan>>,
}

fn reason() -> Arc<dyn std::error::Error + Send + Sync> {
    Arc::new(std::io::Error::other("a fault of the test"))
}

impl Faulty {
    fn note_read(&self) -> Result<(), StorageError> {
        let mut plan = self.plan.lock().unwrap();
        plan.reads += 1;
        match plan.failing_read {
            Some(at) if at + 1 == plan.reads => Err(StorageError::Failed(reason())),
            _ => Ok(()),
        }
    }
}

impl Storage for Faulty {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.note_read()?;
        self.inner.read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.note_read()?;
        self.inner.scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        let failure = {
            let mut plan = self.plan.lock().unwrap();
            plan.writes += 1;
            plan.failing_write.filter(|(at, _)| at + 1 == plan.writes).map(|(_, how)| how)
        };
        match failure {
            None => self.inner.apply(batch),
            Some(Failure::AppliedUnknown) => {
                self.inner.apply(batch)?;
                Err(StorageError::Unknown(reason()))
            }
            Some(Failure::LostUnknown) => Err(StorageError::Unknown(reason())),
            Some(Failure::Failed) => Err(StorageError::Failed(reason())),
        }
    }
}

/// What a run shows: what everybody sees after each step, how many rows of each kind the stores have
/// at the end, and how many writes and reads there were.
struct Run {
    views: Vec<Vec<String>>,
    rows: Vec<BTreeMap<String, usize>>,
    writes: usize,
    reads: usize,
}

fn run(script: &'static Script, plan: Plan, dies_of_failures: bool) -> Run {
    let failing = plan.failing_write.is_some() || plan.failing_read.is_some();
    let plan = Arc::new(Mutex::new(plan));
    let habits = Habits { acknowledges: true, dies_of_failures };
    let stores: Vec<MemoryStorage> = (0..script.clients).map(|_| MemoryStorage::new()).collect();
    let mut world = World::new(script, habits, |i| {
        let store = Faulty { inner: stores[i].clone(), plan: plan.clone() };
        Box::new(move || Box::new(store.clone()))
    });
    let views = world.run(|_| {});
    let (writes, reads) = {
        let plan = plan.lock().unwrap();
        (plan.writes, plan.reads)
    };
    let failures: usize = world.apps.iter().map(|app| app.failures).sum();
    assert_eq!(failures, usize::from(failing), "a failure was swallowed");
    for app in &world.apps {
        app.person.seals.assert_keys_of_visible_differ(&app.wires);
        assert!(app.client().undelivered().unwrap().is_empty(), "an event was not seen");
        assert!(app.client().unsent().unwrap().is_empty(), "a message was not sent");
    }
    Run { views, rows: stores.iter().map(row_kinds).collect(), writes, reads }
}

fn assert_as_model(seen: &Run, model: &Run, what: &str) {
    for (step, (seen, expected)) in seen.views.iter().zip(&model.views).enumerate() {
        assert_eq!(seen, expected, "{what}, after step {step}");
    }
    assert_eq!(seen.views.len(), model.views.len(), "{what}");
    for (seen, expected) in seen.rows.iter().zip(&model.rows) {
        assert_eq!(without_key_packages(seen), without_key_packages(expected), "{what}");
    }
}

/// One that was written and could not be handed out is there unused.
fn without_key_packages(rows: &BTreeMap<String, usize>) -> BTreeMap<&str, usize> {
    let rows = rows.iter().map(|(kind, count)| (kind.as_str(), *count));
    rows.filter(|(kind, _)| *kind != "key-package").collect()
}

/// In every script; `dies` says of a write whether those whose store failed are killed.
fn every_write_fails(how: Failure, dies: impl Fn(usize) -> bool) {
    for (script, number) in SCRIPTS.into_iter().zip(1..) {
        let model = run(script, Plan::default(), false);
        assert!(model.writes > 60, "{number}: {}", model.writes);
        for at in 0..model.writes {
            let plan = Plan { failing_write: Some((at, how)), ..Plan::default() };
            let seen = run(script, plan, dies(at));
            assert_as_model(&seen, &model, &format!("script {number}, write {at}, {how:?}"));
        }
    }
}

#[test]
fn every_write_is_applied_and_reported_as_unknown() {
    every_write_fails(Failure::AppliedUnknown, |_| false);
}

#[test]
fn every_write_is_applied_and_its_writer_dies() {
    every_write_fails(Failure::AppliedUnknown, |_| true);
}

#[test]
fn every_write_is_lost_and_reported_as_unknown() {
    // Turn by turn with the same handles and killed.
    every_write_fails(Failure::LostUnknown, |at| at % 2 == 0);
}

#[test]
fn every_write_fails_and_is_reported_so() {
    every_write_fails(Failure::Failed, |at| at % 2 == 1);
}

#[test]
fn reads_fail() {
    for (script, number) in SCRIPTS.into_iter().zip(1..) {
        let model = run(script, Plan::default(), false);
        for at in (0..model.reads).step_by(7) {
            let plan = Plan { failing_read: Some(at), ..Plan::default() };
            let seen = run(script, plan, at % 2 == 0);
            assert_as_model(&seen, &model, &format!("script {number}, read {at}"));
        }
    }
}
