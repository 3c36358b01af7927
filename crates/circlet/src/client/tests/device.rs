//! Clients of one test: seeded, watched, and with stores that can be looked into.

use std::sync::Arc;

use super::spy::{Record, Spy};
use crate::client::{Client, ClientBuilder, Clock, Group};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, CryptoProvider, HashId, Rng, RngError};
use crate::message::GroupId;
use crate::storage::{Key, MemoryStorage, Prefix, Row, Storage};

/// SHA-256 in counter mode over a seed: the same bytes in every run.
struct Seeded {
    seed: String,
    counter: u64,
}

impl Rng for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        let provider = DefaultProvider::portable();
        for chunk in out.chunks_mut(32) {
            let input = [self.seed.as_bytes(), &self.counter.to_be_bytes()];
            let block = provider.hash(HashId::SHA256, &input).map_err(|_| RngError)?;
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        1_700_000_000
    }
}

/// The one group of a test.
pub(super) fn group_id() -> GroupId {
    GroupId::new(b"a group")
}

/// A client with its store and what its provider has seen.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) suite: CipherSuite,
    pub(super) storage: MemoryStorage,
    pub(super) spy: Arc<Spy>,
    pub(super) client: Client,
    restarts: u32,
}

impl Device {
    pub(super) fn new(name: &str, suite: CipherSuite, record: &Record) -> Self {
        let (storage, spy) = (MemoryStorage::new(), Spy::of(record));
        let client = builder(name, 0, &storage, &spy).cipher_suite(suite).build().unwrap();
        Self { name: name.to_owned(), suite, storage, spy, client, restarts: 0 }
    }

    /// Drops the client and opens its store again, with randomness of its own.
    pub(super) fn reopen(&mut self) {
        self.restarts += 1;
        let builder = builder(&self.name, self.restarts, &self.storage, &self.spy);
        self.client = builder.open().unwrap();
    }

    pub(super) fn group(&self) -> Group {
        self.client.group(&group_id()).unwrap()
    }

    /// Everything that the store holds.
    pub(super) fn rows(&self) -> Vec<(Key, Row)> {
        self.storage.scan(&Prefix::new(&[])).unwrap()
    }
}

fn builder(name: &str, restart: u32, storage: &MemoryStorage, spy: &Arc<Spy>) -> ClientBuilder {
    Client::builder(name)
        .provider(spy.clone())
        .storage(storage.clone())
        .rng(Seeded { seed: format!("{name}/{restart}"), counter: 0 })
        .clock(Stopped)
}
