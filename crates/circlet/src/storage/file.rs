use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{
    CommitError, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};
use zeroize::Zeroizing;

use super::{Batch, Key, Precondition, Prefix, Row, Storage, StorageError};

/// Key bytes to the row's revision (8 bytes, big-endian) and value.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In [`META`]: the layout of the file.
const FORMAT: &str = "format";
/// In [`META`]: the revision of the newest batch.
const REVISION: &str = "revision";

const FORMAT_VERSION: u64 = 1;

/// Bytes of pages that are kept in memory. They hold secrets, which nobody wipes, so that it is
/// far below the database's default of 1 GiB; the operating system caches the file anyway.
const CACHE_SIZE: usize = 8 * 1024 * 1024;

/// A store in one file, a [redb](https://docs.rs/redb) database. One process has it open at a
/// time, with any number of threads.
///
/// A batch is one transaction: when [`Storage::apply`] returns, it is synced to the disk.
///
/// If the disk fails, the file is closed and the next call opens it again, so that what it then
/// reads is what the disk holds.
///
/// # What is not wiped
///
/// A change is written beside what it replaces. Deleted and overwritten values stay in the file's
/// free pages until something else is written there, and in whatever copies the file system or
/// the disk keep; up to 8 MiB of pages are cached in memory and are not wiped either. Against
/// somebody who may read the disk, keep the file on an encrypted disk, or encrypt the values
/// before they come here.
///
/// On Unix, a file that is created can be read and written by its owner alone.
pub struct FileStorage {
    path: PathBuf,
    open: Opener,
    /// `None` after a failure, until the next call opens it.
    database: RwLock<Option<Database>>,
}

type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

impl FileStorage {
    /// Opens the store in the file at `path`, and creates it if there is none. The folder must be
    /// there.
    ///
    /// The whole file is read and its checksums are verified, so that a damaged one is found here.
    ///
    /// # Errors
    /// [`StorageError::InUse`]: the file is open already, in another process or in this one, which
    /// closes it with the last of what a client hands out: the [`Client`](crate::Client) and its
    /// clones, every [`Group`](crate::Group), every
    /// [`PendingCommit`](crate::client::PendingCommit) and
    /// [`PendingJoin`](crate::client::PendingJoin).
    /// [`StorageError::UnknownFormat`]: the file is something else, or a later version's; also if
    /// a crash cut its creation short, in which case it holds no row.
    /// [`StorageError::Corrupted`]: the file is damaged.
    /// [`StorageError::Failed`]: the file can't be read or written; the message names it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::open_with(path.as_ref(), Box::new(open_file))
    }

    fn open_with(path: &Path, open: Opener) -> Result<Self, StorageError> {
        let storage = Self { path: path.to_path_buf(), open, database: RwLock::new(None) };
        storage.reopen()?;
        Ok(storage)
    }

    fn reopen(&self) -> Result<(), StorageError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_some() {
            return Ok(());
        }
        let opened = (self.open)(&self.path).map_err(|error| not_opened(&self.path, error))?;
        check_format(&opened)?;
        *database = Some(opened);
        Ok(())
    }

    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn with_database<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let result = loop {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) = database.as_ref() {
                break work(database);
            }
            drop(database);
            self.reopen()?;
        };
        // After an I/O error redb refuses to go on, and what it has in memory may not be what is
        // in the file.
        if result.as_ref().is_err_and(|error| !matches!(error, StorageError::Conflict)) {
            self.close();
        }
        result
    }
}

impl Storage for FileStorage {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.with_database(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let rows = transaction.open_table(ROWS).map_err(failed)?;
            let Some(stored) = rows.get(key.as_bytes()).map_err(failed)? else {
                return Ok(None);
            };
            row(stored.value()).map(Some)
        })
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.with_database(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let rows = transaction.open_table(ROWS).map_err(failed)?;
            let mut found = Vec::new();
            for entry in rows.range(prefix.as_bytes()..).map_err(failed)? {
                let (key, stored) = entry.map_err(failed)?;
                if !key.value().starts_with(prefix.as_bytes()) {
                    break;
                }
                let key = Key::from_bytes(key.value()).ok_or(StorageError::Corrupted)?;
                found.push((key, row(stored.value())?));
            }
            Ok(found)
        })
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        self.with_database(|database| {
            // Dropped without a commit, a transaction changes nothing. A commit is synced to the
            // disk: that is a new transaction's durability.
            let transaction = database.begin_write().map_err(failed)?;
            let revision = write(&transaction, &batch)?;
            transaction.commit().map_err(not_committed)?;
            Ok(revision)
        })
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStorage").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    create_private(path)?;
    let database = Database::builder()
        .set_cache_size(CACHE_SIZE)
        .set_check_integrity_on_open(true)
        .create(path)?;
    sync_folder(path)?;
    Ok(database)
}

fn create_private(path: &Path) -> Result<(), redb::StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)?;
    Ok(())
}

/// A new file is durable only when its name in the folder is.
fn sync_folder(path: &Path) -> Result<(), redb::StorageError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Elsewhere, a folder can't be opened as a file and its file system keeps names by itself.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn check_format(database: &Database) -> Result<(), StorageError> {
    let transaction = database.begin_read().map_err(failed)?;
    let found = match transaction.open_table(META) {
        Ok(meta) => meta.get(FORMAT).map_err(failed)?.map(|version| version.value()),
        Err(TableError::TableDoesNotExist(_)) => {
            if transaction.list_tables().map_err(failed)?.next().is_none() {
                return initialize(database);
            }
            None
        }
        Err(TableError::Storage(error)) => return Err(failed(error)),
        Err(_) => None,
    };
    if found != Some(FORMAT_VERSION) {
        return Err(StorageError::UnknownFormat(found));
    }
    transaction.open_table(ROWS).map_err(failed)?;
    Ok(())
}

fn initialize(database: &Database) -> Result<(), StorageError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        transaction.open_table(ROWS).map_err(failed)?;
        let mut meta = transaction.open_table(META).map_err(failed)?;
        meta.insert(FORMAT, FORMAT_VERSION).map_err(failed)?;
        meta.insert(REVISION, 0).map_err(failed)?;
    }
    // Whether it was written or not, there is no row yet, and the next opening looks again.
    transaction.commit().map_err(failed)
}

fn write(transaction: &WriteTransaction, batch: &Batch) -> Result<u64, StorageError> {
    let mut rows = transaction.open_table(ROWS).map_err(failed)?;
    for precondition in &batch.preconditions {
        if !holds(&rows, precondition)? {
            return Err(StorageError::Conflict);
        }
    }
    let revision = next_revision(transaction)?;
    for prefix in &batch.delete_prefixes {
        for key in keys_below(&rows, prefix)? {
            rows.remove(key.as_slice()).map_err(failed)?;
        }
    }
    for key in &batch.deletes {
        rows.remove(key.as_bytes()).map_err(failed)?;
    }
    for (key, value) in &batch.puts {
        let stored = Zeroizing::new([revision.to_be_bytes().as_slice(), value].concat());
        rows.insert(key.as_bytes(), stored.as_slice()).map_err(failed)?;
    }
    Ok(revision)
}

fn holds(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    precondition: &Precondition,
) -> Result<bool, StorageError> {
    let (Precondition::Absent(key) | Precondition::At(key, _)) = precondition;
    let stored = rows.get(key.as_bytes()).map_err(failed)?;
    match (precondition, stored) {
        (Precondition::Absent(_), stored) => Ok(stored.is_none()),
        (Precondition::At(..), None) => Ok(false),
        (Precondition::At(_, revision), Some(stored)) => Ok(split(stored.value())?.0 == *revision),
    }
}

fn keys_below(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &Prefix,
) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut keys = Vec::new();
    for entry in rows.range(prefix.as_bytes()..).map_err(failed)? {
        let (key, _) = entry.map_err(failed)?;
        if !key.value().starts_with(prefix.as_bytes()) {
            break;
        }
        keys.push(key.value().to_vec());
    }
    Ok(keys)
}

fn next_revision(transaction: &WriteTransaction) -> Result<u64, StorageError> {
    let mut meta = transaction.open_table(META).map_err(failed)?;
    let newest = meta.get(REVISION).map_err(failed)?.map(|revision| revision.value());
    let next = newest.and_then(|newest| newest.checked_add(1)).ok_or(StorageError::Corrupted)?;
    meta.insert(REVISION, next).map_err(failed)?;
    Ok(next)
}

fn row(stored: &[u8]) -> Result<Row, StorageError> {
    let (revision, value) = split(stored)?;
    Ok(Row { revision, value: Zeroizing::new(value.to_vec()) })
}

fn split(stored: &[u8]) -> Result<(u64, &[u8]), StorageError> {
    let (revision, value) = stored.split_first_chunk().ok_or(StorageError::Corrupted)?;
    Ok((u64::from_be_bytes(*revision), value))
}

/// The file that could not be opened, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
struct NotOpened {
    path: PathBuf,
    #[source]
    cause: redb::Error,
}

fn not_opened(path: &Path, error: DatabaseError) -> StorageError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StorageError::InUse { path: path.to_path_buf() }
        }
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            StorageError::UnknownFormat(None)
        }
        error => match error.into() {
            redb::Error::Corrupted(_) => StorageError::Corrupted,
            cause => StorageError::Failed(Arc::new(NotOpened { path: path.to_path_buf(), cause })),
        },
    }
}

fn not_committed(error: CommitError) -> StorageError {
    match error {
        // Rolled back.
        CommitError::TransactionPoisoned => failed(error),
        error => StorageError::Unknown(Arc::new(redb::Error::from(error))),
    }
}

fn failed(error: impl Into<redb::Error>) -> StorageError {
    match error.into() {
        redb::Error::Corrupted(_) => StorageError::Corrupted,
        error => StorageError::Failed(Arc::new(error)),
    }
}

#[cfg(test)]
impl FileStorage {
    /// A store whose file is opened by a test, over a backend that fails.
    pub(super) fn open_over(
        path: &Path,
        open: impl Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self, StorageError> {
        Self::open_with(path, Box::new(open))
    }
}
