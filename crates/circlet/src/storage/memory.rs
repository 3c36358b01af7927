use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::{Batch, Key, Precondition, Prefix, Row, Storage, StorageError};

/// A store in memory. Nothing survives the process: durable means here that the rows outlive the
/// client.
///
/// Clones share the rows, so that a second client can be opened on what the first one left behind.
/// Values are wiped when they are overwritten or deleted, and when the last clone is dropped.
///
/// ```
/// use circlet::storage::{Batch, Key, MemoryStorage, Storage};
///
/// let storage = MemoryStorage::new();
/// let key = Key::new(&[b"greeting"]);
/// let batch = Batch { puts: vec![(key.clone(), b"hello".to_vec().into())], ..Batch::default() };
/// let revision = storage.apply(batch)?;
/// assert!(storage.clone().read(&key)?.is_some_and(|row| row.revision == revision));
/// # Ok::<(), circlet::storage::StorageError>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStorage(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    by_key: BTreeMap<Key, Row>,
    /// The revision of the newest batch; it only grows.
    revision: u64,
}

impl MemoryStorage {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Rows are changed by code that does not panic, so that a poisoned lock guards whole rows.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        Ok(self.rows().by_key.get(key).cloned())
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        let rows = self.rows();
        Ok(rows.below(prefix).map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        self.rows().apply(batch)
    }
}

impl Rows {
    fn below<'a>(&'a self, prefix: &'a Prefix) -> impl Iterator<Item = (&'a Key, &'a Row)> {
        self.by_key.range(prefix.least_key()..).take_while(|(key, _)| prefix.contains(key))
    }

    fn apply(&mut self, batch: Batch) -> Result<u64, StorageError> {
        if !batch.preconditions.iter().all(|precondition| self.holds(precondition)) {
            return Err(StorageError::Conflict);
        }
        let revision = self.revision.checked_add(1).ok_or(StorageError::Corrupted)?;
        for prefix in &batch.delete_prefixes {
            let keys: Vec<Key> = self.below(prefix).map(|(key, _)| key.clone()).collect();
            for key in &keys {
                self.by_key.remove(key);
            }
        }
        for key in &batch.deletes {
            self.by_key.remove(key);
        }
        for (key, value) in batch.puts {
            self.by_key.insert(key, Row { revision, value: exact(value) });
        }
        self.revision = revision;
        Ok(revision)
    }

    fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Absent(key) => !self.by_key.contains_key(key),
            Precondition::At(key, revision) => {
                self.by_key.get(key).is_some_and(|row| row.revision == *revision)
            }
        }
    }
}

/// A buffer that grew while it was written would keep its spare room for as long as the row lives.
fn exact(value: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if value.capacity() == value.len() {
        return value;
    }
    Zeroizing::new(value.as_slice().to_vec())
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        f.debug_struct("MemoryStorage")
            .field("rows", &rows.by_key.len())
            .field("revision", &rows.revision)
            .finish()
    }
}
