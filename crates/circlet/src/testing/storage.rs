use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::storage::{Batch, Key, Prefix, Row, Storage, StorageError};

/// A store that fails on demand. Clones share the store and the faults that wait.
///
/// ```
/// use circlet::Client;
/// use circlet::storage::MemoryStorage;
/// use circlet::testing::{FailingStorage, Fault};
///
/// # fn main() -> Result<(), circlet::Error> {
/// let store = FailingStorage::new(MemoryStorage::new());
/// let alice = Client::builder("alice").storage(store.clone()).build()?;
/// let group = alice.create_group()?;
/// store.fail(0, Fault::After); // the next write takes effect, and nobody knows
/// assert!(group.send(b"hello").is_err());
/// assert_eq!(alice.unsent()?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FailingStorage<S> {
    inner: S,
    plan: Arc<Mutex<Plan>>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the store says so.
    Before,
    /// Nothing is written, and the store does not know.
    Lost,
    /// Everything is written, and the store does not know.
    After,
    /// The store says that another writer was first, and nothing is written.
    Conflict,
}

#[derive(Debug, Default)]
struct Plan {
    applied: u64,
    /// By the number of the write.
    faults: BTreeMap<u64, Fault>,
    all: Option<Fault>,
    reads_fail: bool,
}

impl<S> FailingStorage<S> {
    /// A store that does not fail yet.
    pub fn new(inner: S) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets a write fail once: the next one is number 0.
    pub fn fail(&self, nth: u64, fault: Fault) {
        self.plan(|plan| plan.faults.insert(plan.applied.saturating_add(nth), fault));
    }

    /// Lets every write fail from now on; with `None` only those that [`Self::fail`] named.
    pub fn fail_all(&self, fault: Option<Fault>) {
        self.plan(|plan| plan.all = fault);
    }

    /// Lets every read fail from now on, or no longer.
    pub fn fail_reads(&self, fail: bool) {
        self.plan(|plan| plan.reads_fail = fail);
    }

    /// How many writes there were, failed ones included.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.plan(|plan| plan.applied)
    }

    fn plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ensure_readable(&self) -> Result<(), StorageError> {
        match self.plan(|plan| plan.reads_fail) {
            true => Err(StorageError::Failed(cause())),
            false => Ok(()),
        }
    }
}

impl<S: Storage> Storage for FailingStorage<S> {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.ensure_readable()?;
        self.inner.read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.ensure_readable()?;
        self.inner.scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        let fault = self.plan(|plan| {
            let number = plan.applied;
            plan.applied += 1;
            plan.faults.remove(&number).or(plan.all)
        });
        match fault {
            None => self.inner.apply(batch),
            Some(Fault::Before) => Err(StorageError::Failed(cause())),
            Some(Fault::Lost) => Err(StorageError::Unknown(cause())),
            Some(Fault::After) => {
                self.inner.apply(batch)?;
                Err(StorageError::Unknown(cause()))
            }
            Some(Fault::Conflict) => Err(StorageError::Conflict),
        }
    }
}

fn cause() -> Arc<dyn std::error::Error + Send + Sync> {
    Arc::from(Box::<dyn std::error::Error + Send + Sync>::from("a fault was asked for"))
}

/// All rows of a store with their revisions, to compare before and after. They hold secrets:
/// nothing to print.
///
/// # Errors
/// The store failed.
pub fn dump(storage: &impl Storage) -> Result<BTreeMap<Key, Row>, StorageError> {
    Ok(storage.scan(&Prefix::new(&[]))?.into_iter().collect())
}
