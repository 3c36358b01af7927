//! What a file adds: it outlives the process, can be in use, damaged, or on a failing disk.

use std::fs;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend, TableDefinition};

use super::super::{Batch, FileStorage, Key, Precondition, Row, Storage, StorageError};
use super::{SECRET, assert_conflict, assert_redacted, everything, key, prefix, put};

fn with_path(test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&folder.path().join("store"));
}

#[test]
fn rows_and_revisions_survive_reopening() {
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        let first = storage.apply(put(&[(&["a"], "1"), (&["b"], "2")])).unwrap();
        let deletes = vec![key(&["b"])];
        let second = storage.apply(Batch { deletes, ..Batch::default() }).unwrap();
        let rows = everything(&storage);
        drop(storage);

        let storage = FileStorage::open(path).unwrap();
        assert_eq!(everything(&storage), rows);
        // The newest revision was of a batch that left no row.
        let third = storage.apply(put(&[(&["b"], "2")])).unwrap();
        assert!(third > second);
        let stale = vec![Precondition::At(key(&["b"]), first)];
        assert_conflict(storage.apply(Batch { preconditions: stale, ..Batch::default() }));
    });
}

#[test]
fn nothing_is_lost_when_the_process_is_killed() {
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        let copy = path.with_extension("copy");
        for round in 0..20u8 {
            let value = vec![round; usize::from(round) * 300];
            let puts = vec![
                (Key::new(&[b"round", &[round % 7]]), value.into()),
                (Key::new(&[b"newest"]), vec![round].into()),
            ];
            let delete_prefixes = vec![prefix(if round == 10 { &["round"] } else { &["none"] })];
            storage.apply(Batch { delete_prefixes, puts, ..Batch::default() }).unwrap();
            // What another process would find if this one were gone now.
            fs::copy(path, &copy).unwrap();
            let reopened = FileStorage::open(&copy).unwrap();
            assert_eq!(everything(&reopened), everything(&storage));
            let next = reopened.apply(Batch::default()).unwrap();
            assert_eq!(next, u64::from(round) + 2);
        }
    });
}

#[test]
fn a_file_is_open_once() {
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        storage.apply(put(&[(&["a"], "1")])).unwrap();
        let second = FileStorage::open(path);
        let Err(error @ StorageError::InUse { .. }) = second else { panic!("{second:?}") };
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        assert!(storage.read(&key(&["a"])).unwrap().is_some());
        drop(storage);
        assert_eq!(everything(&FileStorage::open(path).unwrap()).len(), 1);
    });
}

#[test]
fn a_missing_folder_is_a_failure() {
    with_path(|path| {
        let deeper = path.join("deeper");
        let opened = FileStorage::open(&deeper);
        let Err(error @ StorageError::Failed(_)) = opened else { panic!("{opened:?}") };
        assert!(error.to_string().contains(&*deeper.to_string_lossy()), "{error}");
    });
}

#[test]
fn other_formats_are_refused_and_left_alone() {
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    let foreign: TableDefinition<'_, u64, u64> = TableDefinition::new("foreign");
    let foreign_meta: TableDefinition<'_, u64, u64> = TableDefinition::new("meta");
    let write = |path: &Path, what: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        what(&transaction);
        transaction.commit().unwrap();
    };
    let assert_unknown = |path: &Path, version| {
        for _ in 0..2 {
            match FileStorage::open(path) {
                Err(StorageError::UnknownFormat(found)) => assert_eq!(found, version),
                opened => panic!("{opened:?}"),
            }
        }
    };
    with_path(|path| {
        FileStorage::open(path).unwrap().apply(put(&[(&["a"], "1")])).unwrap();
        for version in [0, 2, u64::MAX] {
            write(path, &|transaction| {
                transaction.open_table(meta).unwrap().insert("format", version).unwrap();
            });
            assert_unknown(path, Some(version));
        }
        write(path, &|transaction| {
            transaction.open_table(meta).unwrap().insert("format", 1).unwrap();
        });
        assert_eq!(everything(&FileStorage::open(path).unwrap()).len(), 1);
        write(path, &|transaction| {
            transaction.open_table(meta).unwrap().remove("format").unwrap();
        });
        assert_unknown(path, None);
    });
    with_path(|path| {
        write(path, &|transaction| {
            transaction.open_table(foreign).unwrap().insert(1, 1).unwrap();
        });
        assert_unknown(path, None);
    });
    with_path(|path| {
        write(path, &|transaction| {
            transaction.open_table(foreign_meta).unwrap().insert(1, 1).unwrap();
        });
        assert_unknown(path, None);
    });
    with_path(|path| {
        let text = "some text of somebody else's\n".repeat(1_000);
        fs::write(path, &text).unwrap();
        assert_unknown(path, None);
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    });
}

#[test]
fn rows_of_another_shape_are_damage() {
    let rows: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
    let meta: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    with_path(|path| {
        drop(FileStorage::open(path).unwrap());
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut rows = transaction.open_table(rows).unwrap();
            rows.insert(key(&["short"]).as_bytes(), [0; 7].as_slice()).unwrap();
            rows.insert([0xff].as_slice(), [0; 8].as_slice()).unwrap();
        }
        transaction.open_table(meta).unwrap().insert("revision", u64::MAX).unwrap();
        transaction.commit().unwrap();
        drop(database);

        let storage = FileStorage::open(path).unwrap();
        let short = key(&["short"]);
        assert!(matches!(storage.read(&short), Err(StorageError::Corrupted)));
        assert!(matches!(storage.scan(&prefix(&[])), Err(StorageError::Corrupted)));
        let preconditions = vec![Precondition::At(short, 0)];
        let batch = Batch { preconditions, ..Batch::default() };
        assert!(matches!(storage.apply(batch), Err(StorageError::Corrupted)));
        // A revision after the last would be one that was used before.
        assert!(matches!(storage.apply(Batch::default()), Err(StorageError::Corrupted)));
        assert_eq!(storage.read(&key(&["absent"])).unwrap(), None);
    });
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        storage.apply(put(&[(&["a"], "1")])).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn debug_shows_no_values() {
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        storage.apply(put(&[(&["a"], SECRET)])).unwrap();
        assert_redacted(&storage);
        assert!(format!("{storage:?}").starts_with("FileStorage { path: "));
    });
}

#[test]
fn a_damaged_file_is_no_panic() {
    with_path(|path| {
        let storage = FileStorage::open(path).unwrap();
        for round in 0..8u8 {
            let puts = (0..20u8).map(|i| (Key::new(&[&[i]]), vec![round ^ i; 200].into()));
            storage.apply(Batch { puts: puts.collect(), ..Batch::default() }).unwrap();
        }
        let rows = everything(&storage);
        drop(storage);
        let whole = fs::read(path).unwrap();
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap() + 1;
        // The header closely, and a byte in each stretch of the rest.
        let offsets = (0..320).step_by(5).chain((320..used).step_by(811));
        let (mut refused, mut unharmed) = (0, 0);
        for offset in offsets {
            let mut damaged = whole.clone();
            damaged[offset] ^= 0x11;
            fs::write(path, &damaged).unwrap();
            match FileStorage::open(path) {
                Ok(storage) => {
                    // A free page, or a commit that is not the newest.
                    if everything(&storage) == rows {
                        unharmed += 1;
                    }
                    let _ = storage.apply(put(&[(&["a"], "1")]));
                }
                Err(_) => refused += 1,
            }
        }
        for length in (0..whole.len()).step_by(whole.len() / 50) {
            fs::write(path, &whole[..length]).unwrap();
            if let Ok(storage) = FileStorage::open(path) {
                let _ = storage.apply(put(&[(&["a"], "1")]));
            }
        }
        assert!(refused > 0 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
    });
}

/// When the disk fails: at this many writes or syncs from now, once.
#[derive(Debug, Default)]
struct Fault {
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl Fault {
    /// Counts down to the failure; 0 is never.
    fn strike(countdown: &AtomicU64) -> Result<(), std::io::Error> {
        let before = countdown
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)))
            .unwrap();
        if before == 1 { Err(std::io::Error::other("the disk failed")) } else { Ok(()) }
    }
}

#[derive(Debug)]
struct FailingDisk {
    file: FileBackend,
    fault: Arc<Fault>,
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> Result<(), std::io::Error> {
        Fault::strike(&self.fault.syncs)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        Fault::strike(&self.fault.writes)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), std::io::Error> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn on_failing_disk(path: &Path, fault: &Arc<Fault>) -> FileStorage {
    let fault = Arc::clone(fault);
    FileStorage::open_over(path, move |path| {
        let options = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| DatabaseError::Storage(redb::StorageError::Io(error)))?;
        let disk = FailingDisk { file: FileBackend::new(options)?, fault: Arc::clone(&fault) };
        Database::builder().create_with_backend(disk)
    })
    .unwrap()
}

/// Whatever the disk fails at, a batch is there as a whole or not at all, the error does not claim
/// what is not so, and the store goes on once the disk does.
fn fails_cleanly(countdown: impl Fn(&Fault) -> &AtomicU64) -> (u32, u32, u32) {
    let (mut nothing_changed, mut was_applied, mut was_not_applied) = (0, 0, 0);
    for strike in 1..100 {
        let folder = tempfile::tempdir().unwrap();
        let fault = Arc::new(Fault::default());
        let storage = on_failing_disk(&folder.path().join("store"), &fault);
        let first = storage.apply(put(&[(&["a"], "old"), (&["b"], "old")])).unwrap();
        let before = everything(&storage);
        countdown(&fault).store(strike, Ordering::SeqCst);
        let result = storage.apply(Batch {
            preconditions: vec![Precondition::At(key(&["a"]), first)],
            deletes: vec![key(&["b"])],
            ..put(&[(&["a"], "new"), (&["c"], "new")])
        });
        let struck = countdown(&fault).swap(0, Ordering::SeqCst) == 0;
        let after = everything(&storage);
        let applied = after != before;
        if applied {
            assert_applied(&after);
        }
        match result {
            Ok(_) if !struck => return (nothing_changed, was_applied, was_not_applied),
            Ok(revision) => assert!(applied && after.iter().all(|(_, r)| r.revision == revision)),
            Err(StorageError::Unknown(_)) if applied => was_applied += 1,
            Err(StorageError::Unknown(_)) => was_not_applied += 1,
            Err(StorageError::Failed(_)) if !applied => nothing_changed += 1,
            Err(error) => panic!("applied: {applied}, but {error:?}"),
        }
        let next = storage.apply(put(&[(&["d"], "1")])).unwrap();
        assert!(after.iter().all(|(_, row)| row.revision < next));
    }
    panic!("the batch never got through");
}

fn assert_applied(rows: &[(Key, Row)]) {
    let found: Vec<(&Key, &[u8])> = rows.iter().map(|(k, row)| (k, row.value.as_slice())).collect();
    assert_eq!(found, [(&key(&["a"]), b"new".as_slice()), (&key(&["c"]), b"new".as_slice())]);
}

#[test]
fn a_failed_write_is_told_and_overcome() {
    let (_, _, was_not_applied) = fails_cleanly(|fault| &fault.writes);
    assert!(was_not_applied > 0);
}

#[test]
fn a_failed_sync_is_told_and_overcome() {
    let (_, was_applied, _) = fails_cleanly(|fault| &fault.syncs);
    assert!(was_applied > 0);
}
