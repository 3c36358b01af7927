#[cfg(feature = "file-storage")]
mod file;
mod model;

use std::fmt::Debug;
use std::sync::Arc;
use std::thread;

use self::model::follows_the_model;
use super::{Batch, Key, MemoryStorage, Precondition, Prefix, Row, Storage, StorageError};

fn in_memory(test: fn(&dyn Storage)) {
    test(&MemoryStorage::new());
}

fn behind_an_arc(test: fn(&dyn Storage)) {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    test(&storage);
}

fn in_a_box(test: fn(&dyn Storage)) {
    let storage: Box<dyn Storage> = Box::new(MemoryStorage::new());
    test(&storage);
}

#[cfg(feature = "file-storage")]
fn in_a_file(test: fn(&dyn Storage)) {
    let folder = tempfile::tempdir().unwrap();
    test(&super::FileStorage::open(folder.path().join("store")).unwrap());
}

/// Runs every test of the battery over every backend.
macro_rules! battery {
    ($($name:ident),* $(,)?) => {
        mod over_memory {
            $(#[test] fn $name() { super::in_memory(super::$name); })*
        }
        mod over_shared {
            $(#[test] fn $name() { super::behind_an_arc(super::$name); })*
        }
        mod over_boxed {
            $(#[test] fn $name() { super::in_a_box(super::$name); })*
        }
        #[cfg(feature = "file-storage")]
        mod over_in_file {
            $(#[test] fn $name() { super::in_a_file(super::$name); })*
        }
    };
}

battery!(
    an_absent_row_is_none,
    a_put_is_read_at_its_revision,
    scans_keep_to_whole_components,
    deletes_take_one_row,
    prefix_deletes_take_what_is_below,
    a_batch_deletes_prefixes_then_rows_then_puts,
    the_last_put_of_a_key_counts,
    preconditions_are_checked_first,
    one_failed_precondition_of_many_refuses_the_batch,
    revisions_are_not_used_again,
    an_empty_batch_has_a_revision,
    values_of_any_size_are_kept,
    concurrent_writers_lose_no_write,
    follows_the_model,
);

pub(super) fn key(components: &[&str]) -> Key {
    let components: Vec<&[u8]> = components.iter().map(|component| component.as_bytes()).collect();
    Key::new(&components)
}

pub(super) fn prefix(components: &[&str]) -> Prefix {
    let components: Vec<&[u8]> = components.iter().map(|component| component.as_bytes()).collect();
    Prefix::new(&components)
}

pub(super) fn put(rows: &[(&[&str], &str)]) -> Batch {
    let puts = rows.iter().map(|(components, value)| (key(components), bytes(value))).collect();
    Batch { puts, ..Batch::default() }
}

fn bytes(value: &str) -> zeroize::Zeroizing<Vec<u8>> {
    value.as_bytes().to_vec().into()
}

pub(super) fn sorted(storage: &dyn Storage, prefix: &Prefix) -> Vec<(Key, Row)> {
    let mut rows = storage.scan(prefix).unwrap();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

fn keys(storage: &dyn Storage, components: &[&str]) -> Vec<Key> {
    sorted(storage, &prefix(components)).into_iter().map(|(key, _)| key).collect()
}

fn sorted_keys(rows: &[&[&str]]) -> Vec<Key> {
    let mut keys: Vec<Key> = rows.iter().map(|components| key(components)).collect();
    keys.sort();
    keys
}

pub(super) fn everything(storage: &dyn Storage) -> Vec<(Key, Row)> {
    sorted(storage, &prefix(&[]))
}

fn assert_conflict(result: Result<u64, StorageError>) {
    assert!(matches!(result, Err(StorageError::Conflict)), "{result:?}");
}

fn an_absent_row_is_none(storage: &dyn Storage) {
    assert_eq!(storage.read(&key(&["a"])).unwrap(), None);
    assert_eq!(storage.read(&key(&[])).unwrap(), None);
    assert_eq!(everything(storage), []);
    storage.apply(put(&[(&["a", "b"], "1")])).unwrap();
    for absent in [&["a"][..], &["a", ""], &["a", "b", ""], &["ab"], &["b"], &[]] {
        assert_eq!(storage.read(&key(absent)).unwrap(), None, "{absent:?}");
    }
}

fn a_put_is_read_at_its_revision(storage: &dyn Storage) {
    let first = storage.apply(put(&[(&["a"], "1"), (&["b"], "2")])).unwrap();
    let second = storage.apply(put(&[(&["b"], "3"), (&[], "")])).unwrap();
    assert!(second > first);
    let row = |revision, value| Some(Row { revision, value: bytes(value) });
    assert_eq!(storage.read(&key(&["a"])).unwrap(), row(first, "1"));
    assert_eq!(storage.read(&key(&["b"])).unwrap(), row(second, "3"));
    assert_eq!(storage.read(&key(&[])).unwrap(), row(second, ""));
}

const ROWS: &[(&[&str], &str)] = &[
    (&["a"], "0"),
    (&["a", "b"], "1"),
    (&["a", "b", "c"], "2"),
    (&["a", "b", ""], "3"),
    (&["a", "bc"], "4"),
    (&["a", ""], "5"),
    (&["a", "", "b"], "6"),
    (&["ab"], "7"),
    (&["", "a"], "8"),
    (&[""], "9"),
    (&[], "10"),
    (&["b", "\u{ff}"], "11"),
];

fn scans_keep_to_whole_components(storage: &dyn Storage) {
    let revision = storage.apply(put(ROWS)).unwrap();
    let under_a_b: &[&[&str]] = &[&["a", "b"], &["a", "b", "c"], &["a", "b", ""]];
    assert_eq!(keys(storage, &["a", "b"]), sorted_keys(under_a_b));
    assert_eq!(keys(storage, &["a", ""]), sorted_keys(&[&["a", ""], &["a", "", "b"]]));
    assert_eq!(keys(storage, &[""]), sorted_keys(&[&[""], &["", "a"]]));
    assert_eq!(keys(storage, &["ab"]), sorted_keys(&[&["ab"]]));
    assert_eq!(keys(storage, &["a"]).len(), 7);
    assert_eq!(keys(storage, &[]).len(), ROWS.len());
    assert_eq!(keys(storage, &["c"]), []);
    assert_eq!(keys(storage, &["a", "b", "c", "d"]), []);
    let value = bytes("7");
    assert_eq!(sorted(storage, &prefix(&["ab"])), [(key(&["ab"]), Row { revision, value })]);
}

fn deletes_take_one_row(storage: &dyn Storage) {
    storage.apply(put(ROWS)).unwrap();
    let deletes = vec![key(&["a", "b"]), key(&["not there"])];
    storage.apply(Batch { deletes, ..Batch::default() }).unwrap();
    assert_eq!(storage.read(&key(&["a", "b"])).unwrap(), None);
    assert_eq!(everything(storage).len(), ROWS.len() - 1);
}

fn prefix_deletes_take_what_is_below(storage: &dyn Storage) {
    storage.apply(put(ROWS)).unwrap();
    let delete = |prefixes: &[&[&str]]| {
        let delete_prefixes = prefixes.iter().map(|components| prefix(components)).collect();
        storage.apply(Batch { delete_prefixes, ..Batch::default() }).unwrap();
    };
    delete(&[&["a", "b"], &["not there"]]);
    let left: &[&[&str]] = &[&["a"], &["a", "bc"], &["a", ""], &["a", "", "b"]];
    assert_eq!(keys(storage, &["a"]), sorted_keys(left));
    assert_eq!(everything(storage).len(), ROWS.len() - 3);
    delete(&[&["b"], &["a", ""]]);
    let left: &[&[&str]] = &[&["a"], &["a", "bc"], &["ab"], &["", "a"], &[""], &[]];
    assert_eq!(keys(storage, &[]), sorted_keys(left));
    delete(&[&[]]);
    assert_eq!(everything(storage), []);
}

fn a_batch_deletes_prefixes_then_rows_then_puts(storage: &dyn Storage) {
    storage.apply(put(&[(&["a", "1"], "old"), (&["a", "2"], "old"), (&["b"], "old")])).unwrap();
    let revision = storage
        .apply(Batch {
            preconditions: Vec::new(),
            delete_prefixes: vec![prefix(&["a"])],
            deletes: vec![key(&["b"]), key(&["a", "3"])],
            puts: put(&[(&["a", "1"], "new"), (&["b"], "new"), (&["a", "3"], "new")]).puts,
        })
        .unwrap();
    let row = || Row { revision, value: bytes("new") };
    let expected =
        sorted_keys(&[&["a", "1"], &["a", "3"], &["b"]]).into_iter().map(|key| (key, row()));
    assert_eq!(everything(storage), expected.collect::<Vec<_>>());
}

fn the_last_put_of_a_key_counts(storage: &dyn Storage) {
    storage.apply(put(&[(&["a"], "1"), (&["a"], "2")])).unwrap();
    assert_eq!(storage.read(&key(&["a"])).unwrap().unwrap().value, bytes("2"));
}

/// A batch that would change everything, under these preconditions.
fn sweeping(preconditions: Vec<Precondition>) -> Batch {
    Batch {
        preconditions,
        delete_prefixes: vec![prefix(&["a"])],
        deletes: vec![key(&["b"])],
        puts: put(&[(&["a", "1"], "new"), (&["c"], "new")]).puts,
    }
}

fn preconditions_are_checked_first(storage: &dyn Storage) {
    let revision = storage.apply(put(&[(&["a", "1"], "old"), (&["b"], "old")])).unwrap();
    let before = everything(storage);
    for precondition in [
        Precondition::Absent(key(&["a", "1"])),
        Precondition::Absent(key(&["b"])),
        Precondition::At(key(&["b"]), revision + 1),
        Precondition::At(key(&["b"]), revision - 1),
        Precondition::At(key(&["b"]), 0),
        Precondition::At(key(&["c"]), revision),
        Precondition::At(key(&["c"]), 0),
    ] {
        assert_conflict(storage.apply(sweeping(vec![precondition])));
        assert_eq!(everything(storage), before);
    }
    let holds = vec![
        Precondition::At(key(&["b"]), revision),
        Precondition::At(key(&["a", "1"]), revision),
        Precondition::Absent(key(&["c"])),
        Precondition::Absent(key(&["a"])),
    ];
    storage.apply(sweeping(holds)).unwrap();
    assert_eq!(keys(storage, &[]), sorted_keys(&[&["a", "1"], &["c"]]));
}

fn one_failed_precondition_of_many_refuses_the_batch(storage: &dyn Storage) {
    let revision = storage.apply(put(&[(&["a", "1"], "old"), (&["b"], "old")])).unwrap();
    let before = everything(storage);
    let holds = || {
        vec![
            Precondition::At(key(&["a", "1"]), revision),
            Precondition::Absent(key(&["c"])),
            Precondition::At(key(&["b"]), revision),
        ]
    };
    for position in 0..=holds().len() {
        let mut preconditions = holds();
        preconditions.insert(position, Precondition::Absent(key(&["b"])));
        assert_conflict(storage.apply(sweeping(preconditions)));
        assert_eq!(everything(storage), before);
    }
    storage.apply(sweeping(holds())).unwrap();
}

fn revisions_are_not_used_again(storage: &dyn Storage) {
    let first = storage.apply(put(&[(&["a"], "same")])).unwrap();
    let deletes = vec![key(&["a"])];
    let second = storage.apply(Batch { deletes, ..Batch::default() }).unwrap();
    let third = storage.apply(put(&[(&["a"], "same")])).unwrap();
    assert!(first < second && second < third);
    let stale = Precondition::At(key(&["a"]), first);
    assert_conflict(storage.apply(Batch { preconditions: vec![stale], ..put(&[(&["a"], "x")]) }));
    assert_eq!(storage.read(&key(&["a"])).unwrap().unwrap().revision, third);
}

fn an_empty_batch_has_a_revision(storage: &dyn Storage) {
    let first = storage.apply(Batch::default()).unwrap();
    let second = storage.apply(Batch::default()).unwrap();
    let third = storage.apply(put(&[(&["a"], "")])).unwrap();
    assert!(0 < first && first < second && second < third);
}

fn values_of_any_size_are_kept(storage: &dyn Storage) {
    let sizes = [0, 1, 7, 8, 9, 4_095, 4_096, 4_097, 1_000_000];
    let value = |size: usize| -> Vec<u8> { (0..size).map(|i| (i % 251) as u8).collect() };
    let row_key = |size: usize| Key::new(&[b"size", &size.to_be_bytes(), &value(size / 10)]);
    let puts = sizes.iter().map(|&size| (row_key(size), value(size).into())).collect();
    storage.apply(Batch { puts, ..Batch::default() }).unwrap();
    for size in sizes {
        let read = storage.read(&row_key(size)).unwrap().unwrap().value;
        assert!(*read == value(size), "{size} bytes");
    }
    assert_eq!(everything(storage).len(), sizes.len());
}

const WRITERS: usize = 4;
const INCREMENTS: u64 = 25;

fn concurrent_writers_lose_no_write(storage: &dyn Storage) {
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| (0..INCREMENTS).for_each(|_| increment(storage)));
        }
    });
    let row = storage.read(&key(&["counter"])).unwrap().unwrap();
    assert_eq!(count(&row), WRITERS as u64 * INCREMENTS);
    // Each increment was one batch, and a refused batch has no revision.
    assert_eq!(row.revision, count(&row));
}

fn increment(storage: &dyn Storage) {
    let counter = key(&["counter"]);
    loop {
        let row = storage.read(&counter).unwrap();
        let next = row.as_ref().map_or(0, count) + 1;
        let precondition = match &row {
            None => Precondition::Absent(counter.clone()),
            Some(row) => Precondition::At(counter.clone(), row.revision),
        };
        let batch = Batch {
            preconditions: vec![precondition],
            puts: vec![(counter.clone(), next.to_be_bytes().to_vec().into())],
            ..Batch::default()
        };
        match storage.apply(batch) {
            Ok(_) => return,
            Err(StorageError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn count(row: &Row) -> u64 {
    u64::from_be_bytes(row.value.as_slice().try_into().unwrap())
}

const SECRET: &str = "a secret value";

pub(super) fn assert_redacted(printed: &impl Debug) {
    let plain = format!("{printed:?}");
    let pretty = format!("{printed:#?}");
    let decimal = format!("{:?}", SECRET.as_bytes());
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    for text in [plain, pretty.split_whitespace().collect::<Vec<_>>().join(" ")] {
        for leak in [SECRET, decimal.trim_matches(['[', ']']), &hex] {
            assert!(!text.contains(leak), "{text}");
        }
    }
}

#[test]
fn debug_shows_keys_and_lengths_only() {
    let batch = Batch {
        preconditions: vec![Precondition::At(key(&["kind"]), 7)],
        ..put(&[(&["kind"], SECRET)])
    };
    assert_redacted(&batch);
    let printed = format!("{batch:?}");
    assert!(printed.contains("kind") && printed.contains("14 bytes"), "{printed}");

    let storage = MemoryStorage::new();
    storage.apply(put(&[(&["kind"], SECRET)])).unwrap();
    assert_redacted(&storage);
    assert_eq!(format!("{storage:?}"), "MemoryStorage { rows: 1, revision: 1 }");

    let row = storage.read(&key(&["kind"])).unwrap().unwrap();
    assert_redacted(&row);
    assert_eq!(format!("{row:?}"), "Row { revision: 1, value: 14 bytes }");
}

#[test]
fn clones_of_a_memory_store_share_its_rows() {
    let first = MemoryStorage::new();
    let second = first.clone();
    let revision = first.apply(put(&[(&["a"], "1")])).unwrap();
    drop(first);
    assert_eq!(second.read(&key(&["a"])).unwrap().unwrap().revision, revision);
    assert_eq!(everything(&MemoryStorage::new()), []);
}

#[test]
fn keys_know_their_components() {
    let components: [&[u8]; 4] = [b"kind", b"", b"\x00\x00\x00\x01x", b"id"];
    let key = Key::new(&components);
    for (index, component) in components.iter().enumerate() {
        assert_eq!(key.component(index), Some(*component));
    }
    assert_eq!(key.component(components.len()), None);
    for count in 0..=components.len() {
        let prefix = key.prefix(count).unwrap();
        assert_eq!(prefix, Prefix::new(&components[..count]));
        assert!(prefix.contains(&key));
    }
    assert_eq!(key.prefix(components.len() + 1), None);
    assert_eq!(Key::from_bytes(key.as_bytes()), Some(key));
}

#[test]
fn bytes_that_are_no_key_are_refused() {
    let key = key(&["kind", "group"]);
    let whole = [0, key.as_bytes().len() - 9, key.as_bytes().len()];
    for end in 0..=key.as_bytes().len() {
        let is_key = Key::from_bytes(&key.as_bytes()[..end]).is_some();
        assert_eq!(is_key, whole.contains(&end), "{end}");
    }
    assert_eq!(Key::from_bytes(&[0xff; 8]), None);
}
