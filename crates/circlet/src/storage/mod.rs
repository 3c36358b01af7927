//! Where a client's state lives: rows with keys of a few components, written in atomic batches.
//!
//! A [`Storage`] is small on purpose: read a row, scan or delete by leading key components, apply
//! a batch. Everything else (what the rows hold, which are written when) is the client's, so that
//! a store over a file, a database or a network is a page of code.

use std::fmt;
use std::sync::Arc;

mod error;
#[cfg(feature = "file-storage")]
mod file;
mod key;
mod memory;

#[cfg(test)]
mod tests;

pub use error::StorageError;
#[cfg(feature = "file-storage")]
pub use file::FileStorage;
pub use key::{Key, Prefix};
pub use memory::MemoryStorage;

/// What a row holds, and the revision of the batch that wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The revision of the batch that wrote the row. Revisions of one store only grow and are
    /// never used twice, also after the row was deleted.
    pub revision: u64,
    /// The value. It may hold secrets: see [`Storage`] on wiping.
    pub value: zeroize::Zeroizing<Vec<u8>>,
}

/// What must hold for a batch to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No such row.
    Absent(Key),
    /// The row is there, last written at this revision.
    At(Key, u64),
}

/// Changes that are applied all together or not at all: first the prefix deletes, then the
/// deletes, then the puts.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Checked first; if one does not hold, nothing is applied.
    pub preconditions: Vec<Precondition>,
    /// Every row below these prefixes is deleted.
    pub delete_prefixes: Vec<Prefix>,
    /// Rows to delete; one that is not there is no error.
    pub deletes: Vec<Key>,
    /// Rows to write.
    pub puts: Vec<(Key, zeroize::Zeroizing<Vec<u8>>)>,
}

/// A store of rows. All methods may be called from many threads, and from several processes if the
/// store says so.
///
/// Values hold key material: a store overwrites or wipes what it deletes as well as its medium
/// allows, and says in its documentation what it can't do.
pub trait Storage: Send + Sync {
    /// Reads one row.
    ///
    /// # Errors
    /// The medium failed.
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError>;

    /// Reads every row below a prefix, in any order.
    ///
    /// # Errors
    /// The medium failed.
    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError>;

    /// Applies a batch atomically and durably: when this returns, a crash does not lose it.
    /// Returns the batch's revision, which all its rows now have.
    ///
    /// # Errors
    /// [`StorageError::Conflict`]: a precondition did not hold and nothing was changed.
    /// [`StorageError::Unknown`]: it can't be told whether the batch was applied; the caller reads
    /// again before it goes on. Any other error: nothing was changed.
    fn apply(&self, batch: Batch) -> Result<u64, StorageError>;
}

impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        (**self).read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        (**self).scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        (**self).apply(batch)
    }
}

impl<S: Storage + ?Sized> Storage for Box<S> {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        (**self).read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        (**self).scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        (**self).apply(batch)
    }
}

/// Stands for a value that may hold secrets.
struct Length(usize);

impl fmt::Debug for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("revision", &self.revision)
            .field("value", &Length(self.value.len()))
            .finish()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let puts: Vec<_> =
            self.puts.iter().map(|(key, value)| (key, Length(value.len()))).collect();
        f.debug_struct("Batch")
            .field("preconditions", &self.preconditions)
            .field("delete_prefixes", &self.delete_prefixes)
            .field("deletes", &self.deletes)
            .field("puts", &puts)
            .finish()
    }
}
