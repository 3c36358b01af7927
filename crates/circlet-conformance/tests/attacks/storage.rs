//! Attack 18: what a store that fails or goes back makes of keys.

use std::collections::BTreeSet;

use circlet::client::{Group, Outgoing};
use circlet::storage::{Batch, MemoryStorage, Storage};
use circlet::testing::{FailingStorage, Fault, FixedClock, SeededRng, clients, dump};
use circlet::{Client, Error};

use crate::support::{SUITE, SealSpy, seal_spy};

/// A client whose store, keys and messages are watched, in a group with another.
struct Watched {
    store: FailingStorage<MemoryStorage>,
    rows: MemoryStorage,
    spy: SealSpy,
    client: Client,
    group: Group,
    other: Group,
    /// How often it was started.
    lives: u64,
    /// What it has handed out.
    visible: BTreeSet<Vec<u8>>,
}

fn client(
    storage: impl Storage + 'static,
    spy: &SealSpy,
    seed: u64,
) -> circlet::client::ClientBuilder {
    let builder = Client::builder("alice").cipher_suite(SUITE).provider(spy.clone());
    builder.storage(storage).rng(SeededRng::new(seed)).clock(FixedClock::default())
}

impl Watched {
    fn new() -> Result<Self, Error> {
        let (spy, rows) = (seal_spy(), MemoryStorage::new());
        let store = FailingStorage::new(rows.clone());
        let client = client(store.clone(), &spy, 1).build()?;
        let test = clients(SUITE, 1)?;
        let group = client.create_group()?;
        let welcome = group.invite([test.clients[0].key_package()?])?.confirm()?.welcome();
        let other = test.clients[0].join(&welcome)?;
        let visible = BTreeSet::new();
        Ok(Self { store, rows, spy, client, group, other, lives: 1, visible })
    }

    /// What a call gave is out in the world, and so is what the outbox gives. Then the client is
    /// killed, and starts again with what its store has, and another state of its generator.
    fn hand_out(&mut self, message: &Outgoing) -> Result<(), Error> {
        self.visible.insert(message.as_bytes().to_vec());
        self.lives += 1;
        self.client = client(self.store.clone(), &self.spy, self.lives).open()?;
        self.group = self.client.group(self.group.id())?;
        let unsent = self.client.unsent()?;
        self.visible.extend(unsent.iter().map(|message| message.as_bytes().to_vec()));
        self.spy.hooks().assert_keys_of_visible_differ(&self.visible);
        Ok(())
    }
}

/// Until it works: a fault comes once.
fn insist<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    attempt().or_else(|_| attempt()).or_else(|_| attempt())
}

/// A crash between encrypting and writing, or a store that was set back to an old copy, makes a
/// client use a message key again. What was not durable is never handed out: of all that gets out
/// while writes fail and the client dies, no two messages are under one key. Where a copy brings the
/// same key all the same, the reuse guard makes the nonce another (section 6.3.1).
///
/// V-6.3.1-04, V-6.3.1-05, V-9.1-01, V-9.2-01.
#[test]
fn attack_18_reuse_after_rollback() -> Result<(), Error> {
    for fault in [Fault::Before, Fault::Lost, Fault::After, Fault::Conflict] {
        let mut alice = Watched::new()?;
        for round in 0..4 {
            for _ in 0..2 {
                alice.store.fail(round % 2, fault);
                let messages =
                    [insist(|| alice.group.send([7]))?, insist(|| alice.group.send([8]))?];
                for message in &messages {
                    alice.other.receive(message)?;
                    alice.hand_out(message)?;
                }
                alice.store.fail(0, fault);
                let proposal = insist(|| alice.group.propose_update())?;
                alice.other.receive(&proposal)?;
                alice.hand_out(&proposal)?;
            }
            alice.store.fail(0, fault);
            let stage = || match alice.group.pending_commit()? {
                Some(pending) => Ok(pending),
                None => alice.group.commit().without_waiting_proposals().stage(),
            };
            let carried = insist(stage)?.message().clone();
            alice.hand_out(&carried)?;
            // What was handed out is what waits, after the crash too.
            let pending = alice.group.pending_commit()?.expect("a staged Commit");
            assert_eq!(pending.message().as_bytes(), carried.as_bytes(), "{fault:?}");
            alice.other.receive(&carried)?;
            alice.store.fail(0, fault);
            let mut confirmed = pending.clone().confirm();
            while let Err(Error::Storage(_)) = confirmed {
                confirmed = pending.clone().confirm();
            }
            assert_eq!(alice.group.epoch_authenticator()?, alice.other.epoch_authenticator()?);
        }
        assert!(alice.visible.len() > 25, "{fault:?}");
        assert!(!dump(&alice.rows)?.is_empty() && alice.client.groups()?.len() == 1);
    }
    an_old_copy()
}

/// The store is set back: the keys are the same ones again, the nonces are not.
fn an_old_copy() -> Result<(), Error> {
    let Watched { rows, spy, client: alice, group, .. } = Watched::new()?;
    let id = group.id().clone();
    let copy = MemoryStorage::new();
    let puts = dump(&rows)?.into_iter().map(|(key, row)| (key, row.value));
    copy.apply(Batch { puts: puts.collect(), ..Batch::default() })?;
    spy.hooks().take();
    let first: Vec<_> = (0..4).map(|i| group.send([i])).collect::<Result<_, _>>()?;
    let before = spy.hooks().take();
    drop((group, alice));
    // Whoever starts again has another state of its generator.
    let again = client(copy, &spy, 2).open()?.group(&id)?;
    let second: Vec<_> = (0..4).map(|i| again.send([i])).collect::<Result<_, _>>()?;
    let after = spy.hooks().take();
    let mut keys_again = 0;
    for seal in &before {
        for again in after.iter().filter(|again| again.key == seal.key) {
            assert_ne!(seal.nonce, again.nonce);
            // Only the four bytes of the guard differ.
            assert_eq!(seal.nonce[4..], again.nonce[4..]);
            keys_again += 1;
        }
    }
    assert_eq!(keys_again, 4);
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first.as_bytes(), second.as_bytes());
    }
    Ok(())
}
