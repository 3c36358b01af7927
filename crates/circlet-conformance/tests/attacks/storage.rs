//! Attack 18: what a store that fails or goes back makes of keys.

use circlet::client::{Group, PendingCommit};
use circlet::storage::{Batch, MemoryStorage, Storage};
use circlet::testing::{FailingStorage, Fault, FixedClock, SeededRng, clients, dump};
use circlet::{Client, Error};

use crate::support::{SUITE, SealSpy, seal_spy};

/// A client whose store and keys are watched, in a group with another.
struct Watched {
    store: FailingStorage<MemoryStorage>,
    rows: MemoryStorage,
    spy: SealSpy,
    client: Client,
    group: Group,
    other: Group,
}

fn client(
    storage: impl Storage + 'static,
    spy: &SealSpy,
    seed: u64,
) -> circlet::client::ClientBuilder {
    let builder = Client::builder("alice").cipher_suite(SUITE).provider(spy.clone());
    builder.storage(storage).rng(SeededRng::new(seed)).clock(FixedClock::default())
}

fn watched() -> Result<Watched, Error> {
    let (spy, rows) = (seal_spy(), MemoryStorage::new());
    let store = FailingStorage::new(rows.clone());
    let alice = client(store.clone(), &spy, 1).build()?;
    let test = clients(SUITE, 1)?;
    let group = alice.create_group()?;
    let welcome = group.invite([test.clients[0].key_package()?])?.confirm()?.welcome();
    let other = test.clients[0].join(&welcome)?;
    Ok(Watched { store, rows, spy, client: alice, group, other })
}

/// A crash between encrypting and writing, or a store that was set back to an old copy, makes a
/// client use a message key again. What was not durable was never handed out; and where the same key
/// does come again, the reuse guard makes the nonce another (section 6.3.1).
///
/// V-6.3.1-04, V-6.3.1-05, V-9.1-01.
#[test]
fn attack_18_reuse_after_rollback() -> Result<(), Error> {
    for fault in [Fault::Before, Fault::Lost, Fault::After, Fault::Conflict] {
        let Watched { store, rows, spy, client: alice, group, other } = watched()?;
        for round in 0..6 {
            store.fail(round % 2, fault);
            // Until it works; what has not been said to have worked is not handed out here.
            let send = || group.send([7]);
            let message = send().or_else(|_| send()).or_else(|_| send())?;
            other.receive(&message)?;
            let propose = || group.propose_update();
            propose().or_else(|_| propose()).or_else(|_| propose())?;
            let stage = || -> Result<PendingCommit, Error> {
                match group.pending_commit()? {
                    Some(pending) => Ok(pending),
                    None => group.commit().without_waiting_proposals().stage(),
                }
            };
            let pending = stage().or_else(|_| stage()).or_else(|_| stage())?;
            other.receive(pending.message())?;
            let mut confirmed = pending.clone().confirm();
            while let Err(Error::Storage(_)) = confirmed {
                confirmed = pending.clone().confirm();
            }
            assert_eq!(group.epoch_authenticator()?, other.epoch_authenticator()?);
        }
        store.fail_all(None);
        assert!(spy.hooks().assert_differ() > 30, "{fault:?}");
        assert!(!dump(&rows)?.is_empty() && alice.groups()?.len() == 1);
    }
    an_old_copy()
}

/// The store is set back: the keys are the same ones again, the nonces are not.
fn an_old_copy() -> Result<(), Error> {
    let Watched { rows, spy, client: alice, group, .. } = watched()?;
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
    for (key, nonce) in &before {
        for (_, other) in after.iter().filter(|(again, _)| again == key) {
            assert_ne!(nonce, other);
            // Only the four bytes of the guard differ.
            assert_eq!(nonce[4..], other[4..]);
            keys_again += 1;
        }
    }
    assert_eq!(keys_again, 4);
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first.as_bytes(), second.as_bytes());
    }
    Ok(())
}
