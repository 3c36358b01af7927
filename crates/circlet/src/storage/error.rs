use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A precondition of a batch did not hold: another writer was first. Nothing was changed.
    #[error("another writer changed the row first")]
    Conflict,
    /// The store is open already, and it has room for one: in another process, or in this one, where
    /// every handle of a client keeps it open
    /// (`FileStorage::open`).
    #[error("the store is in use: {}", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store is of a later version, or not one of this library's if there is no number.
    #[error("unknown format of the store: {0:?}")]
    UnknownFormat(Option<u64>),
    /// The store is damaged: what it holds is not what was written. Nothing was changed.
    #[error("the store is damaged")]
    Corrupted,
    /// The medium failed and nothing was changed.
    #[error("storage failed: {0}")]
    Failed(Arc<dyn std::error::Error + Send + Sync>),
    /// The medium failed while a batch was written: it may or may not have been applied.
    #[error("storage failed and the outcome of the write is unknown: {0}")]
    Unknown(Arc<dyn std::error::Error + Send + Sync>),
}
