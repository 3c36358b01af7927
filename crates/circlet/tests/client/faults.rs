//! A store that fails, or writes and then reports failure: the operation gives an error, nothing
//! is seen of it, the client goes on, and what was durable is found among what is kept.

use std::sync::{Arc, Mutex};

use circlet::storage::{Batch, Key, MemoryStorage, Prefix, Row, Storage, StorageError};

use crate::app::Habits;
use crate::script::World;

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

/// What everybody sees after each step, and how many writes and reads there were.
fn run(plan: Plan, dies_of_failures: bool) -> (Vec<Vec<String>>, usize, usize) {
    let failing = plan.failing_write.is_some() || plan.failing_read.is_some();
    let plan = Arc::new(Mutex::new(plan));
    let habits = Habits { acknowledges: true, dies_of_failures };
    let mut world = World::new(habits, |_| {
        let store = Faulty { inner: MemoryStorage::new(), plan: plan.clone() };
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
    (views, writes, reads)
}

fn every_write_fails(how: Failure) {
    let (model, writes, _) = run(Plan::default(), false);
    assert!(writes > 80, "{writes}");
    for at in 0..writes {
        let failing_write = Some((at, how));
        // Turn by turn with the same handles and killed.
        let (seen, _, _) = run(Plan { failing_write, ..Plan::default() }, at % 2 == 0);
        assert_eq!(seen, model, "write {at}, {how:?}");
    }
}

#[test]
fn every_write_is_applied_and_reported_as_unknown() {
    let (model, writes, _) = run(Plan::default(), false);
    for dies_of_failures in [false, true] {
        for at in 0..writes {
            let failing_write = Some((at, Failure::AppliedUnknown));
            let plan = Plan { failing_write, ..Plan::default() };
            let (seen, _, _) = run(plan, dies_of_failures);
            assert_eq!(seen, model, "write {at}");
        }
    }
}

#[test]
fn every_write_is_lost_and_reported_as_unknown() {
    every_write_fails(Failure::LostUnknown);
}

#[test]
fn every_write_fails_and_is_reported_so() {
    every_write_fails(Failure::Failed);
}

#[test]
fn reads_fail() {
    let (model, _, reads) = run(Plan::default(), false);
    for at in (0..reads).step_by(3) {
        let plan = Plan { failing_read: Some(at), ..Plan::default() };
        let (seen, _, _) = run(plan, at % 2 == 0);
        assert_eq!(seen, model, "read {at}");
    }
}
