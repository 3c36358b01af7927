//! What a client writes: a few small rows for a message, one path for a commit, at any size of the
//! group.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod crypto_support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use circlet::client::{Clock, CommitBuilder};
use circlet::crypto::CipherSuite;
use circlet::storage::{Batch, Key, MemoryStorage, Prefix, Row, Storage, StorageError};
use circlet::tree::LeafIndex;
use circlet::{Client, Group, Received};
use crypto_support::Seeded;

const MEMBERS: usize = 1_000;
/// Beside its payload, of the next message in order.
const MESSAGE: usize = 2 << 10;
/// Of a commit whose committer's copath is populated.
const WARM_COMMIT: usize = 64 << 10;

/// What one batch writes.
#[derive(Clone, Debug, Default)]
struct Written {
    /// Keys and values of puts, keys of deletes, prefixes.
    bytes: usize,
    /// Puts, by kind of row.
    puts: BTreeMap<String, usize>,
    /// Deletes of single rows, by kind of row.
    deletes: BTreeMap<String, usize>,
}

/// A store in memory that remembers what each batch wrote.
#[derive(Clone, Default)]
struct Counting {
    rows: MemoryStorage,
    batches: Arc<Mutex<Vec<Written>>>,
}

impl Counting {
    /// The one batch that an operation writes, and what the operation gives.
    fn one_batch<T>(&self, operation: impl FnOnce() -> T) -> (T, Written) {
        self.batches.lock().unwrap().clear();
        let outcome = operation();
        let batches = self.batches.lock().unwrap();
        let [written] = batches.as_slice() else { panic!("{} batches", batches.len()) };
        (outcome, written.clone())
    }
}

impl Storage for Counting {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.rows.read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.rows.scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        let mut written = Written::default();
        for (key, value) in &batch.puts {
            written.bytes += key.as_bytes().len() + value.len();
            *written.puts.entry(kind(key)).or_default() += 1;
        }
        for key in &batch.deletes {
            written.bytes += key.as_bytes().len();
            *written.deletes.entry(kind(key)).or_default() += 1;
        }
        written.bytes +=
            batch.delete_prefixes.iter().map(|prefix| prefix.as_bytes().len()).sum::<usize>();
        self.batches.lock().unwrap().push(written);
        self.rows.apply(batch)
    }
}

fn kind(key: &Key) -> String {
    String::from_utf8(key.component(0).unwrap().to_vec()).unwrap()
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> u64 {
        1_700_000_000
    }
}

/// A client with a store that counts.
struct Member {
    client: Client,
    store: Counting,
}

impl Member {
    fn new(suite: CipherSuite, index: usize) -> Self {
        let store = Counting::default();
        let client = Client::builder(format!("member {index:04}"))
            .cipher_suite(suite)
            .storage(store.clone())
            .rng(Seeded(u64::from(suite.0) << 32 | index as u64))
            .clock(Noon)
            .build()
            .unwrap();
        Self { client, store }
    }

    fn group(&self) -> Group {
        self.client.groups().unwrap().remove(0)
    }

    fn send(&self, data: &[u8]) -> (Vec<u8>, Written) {
        let group = self.group();
        let (message, written) = self.store.one_batch(|| group.send(data).unwrap());
        (message.to_vec(), written)
    }

    fn receive(&self, message: &[u8]) -> (Received, Written) {
        self.store.one_batch(|| self.client.receive(message).unwrap())
    }
}

/// A group of 1,000 with clients for the creator, for a member of each subtree on the creator's
/// copath, and for the last member. All but the last have committed once, the creator after the
/// others: its copath is populated.
struct Warm {
    members: Vec<Member>,
}

impl Warm {
    fn new(suite: CipherSuite) -> Self {
        let mut others: Vec<Member> = (1..MEMBERS).map(|index| Member::new(suite, index)).collect();
        let creator = Member::new(suite, 0);
        let group = creator.client.create_group().unwrap();
        let key_packages: Vec<_> =
            others.iter().map(|member| member.client.key_package().unwrap()).collect();
        let welcome = group.invite(key_packages).unwrap().confirm().unwrap().welcome();

        // Leaves 1, 2 to 3, 4 to 7 … are the subtrees on the copath of leaf 0.
        let mut index = 0;
        others.retain(|_| {
            index += 1;
            usize::is_power_of_two(index) || index == MEMBERS - 1
        });
        let mut members = vec![creator];
        members.append(&mut others);
        for member in &members[1..] {
            member.client.join(&welcome).unwrap();
        }
        let warm = Self { members };
        for committer in (1..warm.members.len() - 1).chain([0]) {
            warm.commit(committer);
        }
        let creator = warm.creator().group().own_member().unwrap();
        assert_eq!((warm.members.len(), creator.leaf_index.0), (12, 0));
        warm
    }

    fn creator(&self) -> &Member {
        &self.members[0]
    }

    fn last(&self) -> &Member {
        self.members.last().unwrap()
    }

    /// An empty commit that everybody receives.
    fn commit(&self, committer: usize) -> [Written; 3] {
        self.commit_with(committer, |commit| commit)
    }

    /// A commit that everybody receives: what staging it writes, confirming it, and processing it
    /// (the most of all receivers). The Welcome, if there is one, does not count.
    fn commit_with(
        &self,
        committer: usize,
        with: impl FnOnce(CommitBuilder<'_>) -> CommitBuilder<'_>,
    ) -> [Written; 3] {
        let member = &self.members[committer];
        let group = member.group();
        let (pending, mut staged) =
            member.store.one_batch(|| with(group.commit()).stage().unwrap());
        let message = pending.message().to_vec();
        let (done, mut confirmed) = member.store.one_batch(|| pending.confirm().unwrap());
        let welcome = done.welcome().map_or(0, |welcome| welcome.len());
        staged.bytes -= welcome;
        confirmed.bytes -= welcome;
        let others = self.members.iter().enumerate().filter(|(index, _)| *index != committer);
        let mut processed = Written::default();
        for (_, other) in others {
            let (received, written) = other.receive(&message);
            assert!(matches!(received, Received::Commit(_)));
            if written.bytes > processed.bytes {
                processed = written;
            }
        }
        [staged, confirmed, processed]
    }
}

#[test]
fn bytes_written_in_suite_1() {
    bytes_written(CipherSuite::X25519_AES128GCM_SHA256_ED25519);
}

#[test]
fn bytes_written_in_suite_2() {
    bytes_written(CipherSuite::P256_AES128GCM_SHA256_P256);
}

#[test]
fn bytes_written_in_suite_3() {
    bytes_written(CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519);
}

fn bytes_written(suite: CipherSuite) {
    let warm = Warm::new(suite);
    warm_commits(suite, &warm);
    messages_in_order(suite, &warm);
    skipped_messages(&warm);
}

fn warm_commits(suite: CipherSuite, warm: &Warm) {
    let newcomer = Member::new(suite, MEMBERS).client.key_package().unwrap();
    let costs = [
        ("empty", warm.commit(0)),
        ("empty again", warm.commit(0)),
        ("add", warm.commit_with(0, |commit| commit.add(newcomer))),
        // The neighbour of leaf 2, so that all of its path was populated.
        ("remove", warm.commit_with(0, |commit| commit.remove(LeafIndex(3)))),
        ("empty after that", warm.commit(0)),
    ];
    for (what, costs) in costs {
        let bytes = costs.map(|written| written.bytes);
        println!("suite {}: commit, {what}: {bytes:?} [staged, confirmed, processed]", suite.0);
        let [staged, confirmed, processed] = bytes;
        assert!(staged + confirmed <= WARM_COMMIT && processed <= WARM_COMMIT, "{what}: {bytes:?}");
    }
}

/// In an epoch in which nobody has sent anything, so that a first message opens as much of the
/// secret tree as any message can.
fn messages_in_order(suite: CipherSuite, warm: &Warm) {
    let payload = [7; 1_000];
    for sender in &warm.members[..warm.members.len() - 1] {
        for what in ["first", "next", "one after"] {
            let (message, sent) = sender.send(&payload);
            let (received, read) = warm.last().receive(&message);
            let Received::Message(received) = received else { panic!("{received:?}") };
            assert_eq!(received.data(), payload);
            let bytes = [&sent, &read].map(|written| written.bytes - payload.len());
            if sender.client.credential() == warm.creator().client.credential() {
                println!("suite {}: {what} message: {bytes:?} [sent, received]", suite.0);
            }
            assert!(bytes.iter().all(|bytes| *bytes <= MESSAGE), "{what}: {bytes:?}");
            if what != "first" {
                assert_rows(&sent.puts, &[("head", 1), ("out", 1), ("ratchet", 1)]);
                assert_rows(&read.puts, &[("head", 1), ("in", 1), ("ratchet", 1)]);
                assert!(sent.deletes.is_empty() && read.deletes.is_empty());
            }
        }
    }
}

/// A message that is so many generations ahead writes so many rows beside its own, each later
/// message none of them, and a late message deletes one.
fn skipped_messages(warm: &Warm) {
    let next = |count: usize| -> Vec<_> {
        (0..count).map(|_| warm.creator().send(b"on its way").0).collect()
    };
    for skipped in [1, 50] {
        let messages = next(skipped + 1);
        let (_, jumped) = warm.last().receive(&messages[skipped]);
        let rows = [("head", 1), ("in", 1), ("ratchet", 1), ("skipped", skipped)];
        assert_rows(&jumped.puts, &rows);
        assert!(jumped.deletes.is_empty());

        let (_, in_order) = warm.last().receive(&next(1)[0]);
        assert_rows(&in_order.puts, &[("head", 1), ("in", 1), ("ratchet", 1)]);
        assert!(in_order.bytes <= MESSAGE && in_order.deletes.is_empty());

        let (received, late) = warm.last().receive(&messages[0]);
        assert!(matches!(received, Received::Message(_)));
        assert_rows(&late.puts, &[("head", 1), ("in", 1)]);
        assert_rows(&late.deletes, &[("skipped", 1)]);
        assert!(late.bytes <= MESSAGE);
    }
}

fn assert_rows(written: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let written: Vec<_> = written.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(written, expected);
}
