//! Stores that fail, and fingerprints that notice.

use crate::client::Client;
use crate::crypto::CipherSuite;
use crate::error::Error;
use crate::group::CommitRequest;
use crate::message::Proposal;
use crate::storage::{MemoryStorage, StorageError};
use crate::testing::{FailingStorage, Fault, FixedClock, SeededRng, TestGroup, clients, dump};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// A write that fails before it is made leaves the rows as they were; one whose outcome is unknown
/// has either taken effect or not.
#[test]
fn every_fault_is_as_it_says() -> Result<(), Error> {
    for (fault, written) in [(Fault::Before, false), (Fault::Lost, false), (Fault::After, true)] {
        let rows = MemoryStorage::new();
        let store = FailingStorage::new(rows.clone());
        let builder = Client::builder("alice").storage(store.clone());
        let alice = builder.rng(SeededRng::new(1)).clock(FixedClock::default()).build()?;
        let group = alice.create_group()?;
        group.send(b"one")?;
        let (before, writes) = (dump(&rows)?, store.writes());
        store.fail(1, fault);
        group.send(b"two")?;
        let between = dump(&rows)?;
        assert!(between != before);
        let error = group.send(b"three").unwrap_err();
        let unknown = matches!(error, Error::Storage(StorageError::Unknown(_)));
        assert_eq!(unknown, fault != Fault::Before, "{error:?}");
        assert_eq!(dump(&rows)? != between, written);
        assert_eq!(store.writes(), writes + 2);
        group.send(b"four")?;
        assert_eq!(alice.unsent()?.len(), if written { 4 } else { 3 });
    }
    Ok(())
}

#[test]
fn all_writes_and_all_reads() -> Result<(), Error> {
    let store = FailingStorage::new(MemoryStorage::new());
    store.fail_all(Some(Fault::Before));
    assert!(Client::builder("alice").storage(store.clone()).build().is_err());
    store.fail_all(None);
    Client::builder("alice").storage(store.clone()).build()?;
    store.fail_reads(true);
    assert!(Client::builder("alice").storage(store.clone()).open().is_err());
    store.fail_reads(false);
    Client::builder("alice").storage(store).open()?;
    Ok(())
}

/// The same seeds give the same rows.
#[test]
fn clients_are_the_same_in_every_run() -> Result<(), Error> {
    let (one, other) = (clients(SUITE, 3)?, clients(SUITE, 3)?);
    for (one, other) in one.stores.iter().zip(&other.stores) {
        assert!(dump(one)? == dump(other)?);
    }
    assert_eq!(one.groups[2].members()?.len(), 3);
    Ok(())
}

/// A fingerprint is another one after every kind of change, and the same where nothing happens.
#[test]
fn a_fingerprint_notices_every_kind_of_change() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut seen = vec![group.members[0].fingerprint()?];
    let mut differs = |group: &TestGroup| -> Result<(), Error> {
        let now = group.members[0].fingerprint()?;
        assert_eq!(now, group.members[0].fingerprint()?);
        assert!(!seen.contains(&now));
        seen.push(now);
        Ok(())
    };
    let skipped = group.members[1].send(b"skipped")?;
    group.send(1, b"received")?; // a ratchet, and a skipped key
    differs(&group)?;
    group.members[0].receive(&skipped)?; // only the skipped key
    differs(&group)?;
    group.members[0].send(b"sent")?;
    differs(&group)?;
    group.propose(2, None)?; // a proposal
    differs(&group)?;
    group.propose(0, None)?; // one's own, with a private key
    differs(&group)?;
    group.members[0].stage(CommitRequest::default())?; // spends a key
    differs(&group)?;
    group.members[0].staged = None;
    group.update(1)?; // an epoch
    differs(&group)?;
    group.remove(2, 3)?; // a former member
    differs(&group)?;
    group.commit_with(1, [Proposal::Remove(group.members[0].leaf())])?; // its own removal
    differs(&group)
}
