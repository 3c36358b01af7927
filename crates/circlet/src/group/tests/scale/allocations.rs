//! What one receive allocates does not depend on how many senders there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allocation_counter::{AllocationInfo, measure};

use super::super::*;
use super::population::{Population, ten_thousand};
use crate::client::{Client, Clock, Received};
use crate::rows::{Head, OwnIdentity, put_new_group};
use crate::storage::{Batch, Key, MemoryStorage, Prefix, Row, Storage, StorageError};

/// A member of a group in which everybody else has sent a message, which it has received, and some
/// of the others.
struct Audience {
    receiver: Actor,
    senders: Vec<Actor>,
}

impl Audience {
    fn new(population: &Population) -> Self {
        let provider: Arc<dyn CryptoProvider> = Arc::new(DefaultProvider::new());
        let mut receiver = population.member(0, provider.clone());
        let last = population.members() - 1;
        let mut senders = Vec::new();
        for index in 1..=last {
            let mut sender = population.member(index, provider.clone());
            let message = sender.send(b"the first one");
            assert!(matches!(receiver.receive(&message), Ok(Heard::Message(_))));
            if [1, last / 2, last].contains(&index) {
                senders.push(sender);
            }
        }
        let ratchets = receiver.state().epoch.secret_tree.ratchets().count();
        assert_eq!(ratchets, 2 * last as usize);
        Self { receiver, senders }
    }

    /// What the next message of each sender makes the group's value allocate.
    fn receive_by_state(&mut self) -> Vec<AllocationInfo> {
        let messages: Vec<_> =
            self.senders.iter_mut().map(|sender| sender.send(b"the next one")).collect();
        let receive = |message: &Vec<u8>| {
            measure(|| assert!(matches!(self.receiver.receive(message), Ok(Heard::Message(_)))))
        };
        messages.iter().map(receive).collect()
    }

    /// What the next message of each sender makes a client allocate that loaded this group from
    /// its store.
    fn receive_by_client(&mut self) -> Vec<AllocationInfo> {
        let client = self.client();
        let group = client.group(self.receiver.state().group_id()).unwrap();
        // Loads the group.
        assert_eq!(group.epoch().unwrap(), self.receiver.state().epoch());
        let messages: Vec<_> =
            self.senders.iter_mut().map(|sender| sender.send(b"the next one")).collect();
        let receive = |message: &Vec<u8>| {
            measure(|| assert!(matches!(client.receive(message), Ok(Received::Message(_)))))
        };
        messages.iter().map(receive).collect()
    }

    /// The receiver as a client.
    fn client(&self) -> Client {
        let Actor { name, signer, .. } = &self.receiver;
        let state = self.receiver.state();
        let mut batch = Batch::default();
        let identity = OwnIdentity {
            cipher_suite: CipherSuite(1),
            credential: Credential::basic(name),
            signature_key: signer.private_key().clone(),
        };
        identity.put(&mut batch).unwrap();
        put_new_group(state, &mut batch).unwrap();
        let head = Head {
            status: state.status(),
            cipher_suite: CipherSuite(1),
            epoch: state.epoch(),
            own_leaf: state.own_leaf(),
            next_in: 0,
            next_out: 0,
            staged: None,
            last_commit: Vec::new(),
            discarded: Vec::new(),
        };
        head.put(state.group_id(), &mut batch).unwrap();
        let storage = Sink { rows: MemoryStorage::new(), written: AtomicU64::new(1 << 32) };
        storage.rows.apply(batch).unwrap();
        let client = Client::builder(name).storage(storage).clock(Noon).open().unwrap();
        assert_eq!(client.groups().unwrap().len(), 1);
        client
    }
}

/// A store that reads what is there and forgets what it is given, so that only the client's own
/// allocations are counted.
struct Sink {
    rows: MemoryStorage,
    written: AtomicU64,
}

impl Storage for Sink {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.rows.read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.rows.scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        drop(batch);
        Ok(self.written.fetch_add(1, Ordering::Relaxed))
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> u64 {
        NOW
    }
}

#[test]
fn a_receive_allocates_the_same_at_10_and_at_10_000_senders() {
    let ten = Population::new(11);
    let mut few = Audience::new(&ten);
    let mut many = Audience::new(ten_thousand());
    let by_state = [few.receive_by_state(), many.receive_by_state()].concat();
    assert_all_same("GroupState", &by_state);
    let by_client = [few.receive_by_client(), many.receive_by_client()].concat();
    assert_all_same("Client", &by_client);
}

fn assert_all_same(what: &str, measured: &[AllocationInfo]) {
    assert_eq!(measured.len(), 6);
    let bytes: Vec<u64> = measured.iter().map(|info| info.bytes_total).collect();
    println!("{what}: {bytes:?} bytes allocated per receive");
    assert!(bytes[0] > 0 && bytes.iter().all(|total| *total == bytes[0]), "{what}: {bytes:?}");
    // Nothing is kept of a message but what replaces something.
    let kept: Vec<i64> = measured.iter().map(|info| info.bytes_current).collect();
    assert!(kept.iter().all(|kept| *kept <= 0), "{what}: {kept:?}");
}
