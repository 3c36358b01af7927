//! Rows of a store that are not as they were written: no panic. Rows are trusted, not
//! authenticated, so that not every damage is told by itself.

use circlet::client::Outgoing;
use circlet::crypto::CipherSuite;
use circlet::group::HandshakeFormat;
use circlet::storage::{Batch, Key, MemoryStorage, Storage};
use circlet::{Client, Error};

use crate::conversation::{Conversation, group_id};
use crate::mutations::{Flips, Mutation, mutations};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// A store of a client that has something of everything: a past epoch, waiting proposals, a staged
/// Commit, skipped keys, undelivered and unsent messages, a key package.
fn full_store() -> (Conversation, Outgoing) {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let (alice, bob) = (c.alice.group(), c.bob.group());
    alice.send(b"skipped").unwrap();
    c.deliver(&c.alice, &alice.send(b"read").unwrap());
    let update = alice.update().unwrap();
    c.deliver(&c.alice, update.message());
    update.confirm().unwrap();
    c.deliver(&c.alice, &alice.propose_update().unwrap());
    bob.propose_update().unwrap();
    let _staged = bob.update().unwrap();
    c.bob.client.key_package().unwrap();
    let next = alice.update().unwrap().message().clone();
    (c, next)
}

#[test]
fn damaged_rows_are_no_reason_to_panic() {
    let (c, next) = full_store();
    let rows = c.bob.rows();
    assert!(rows.len() > 15, "{}", rows.len());
    let mut refused = 0;
    for (damaged, (key, row)) in rows.iter().enumerate() {
        for mutation in mutations(&row.value, Flips::OnePerByte) {
            let truncated = matches!(mutation, Mutation::Truncated(_) | Mutation::Extended(..));
            // A row is tried at every length; of the flips every fourth.
            if !truncated && !matches!(mutation, Mutation::Flipped(at, _) if at % 4 == damaged % 4)
            {
                continue;
            }
            let store = copy(&rows, key, Some(mutation.apply(&row.value)));
            refused += usize::from(use_everything(c.bob.open(store), &next).is_err());
        }
        let _ = use_everything(c.bob.open(copy(&rows, key, None)), &next);
    }
    assert!(refused > 1000, "{refused}");
    let whole = use_everything(c.bob.open(copy(&rows, &Key::new(&[]), None)), &next);
    assert!(whole.is_ok(), "{whole:?}");
}

fn copy(rows: &[(Key, circlet::storage::Row)], at: &Key, value: Option<Vec<u8>>) -> MemoryStorage {
    let store = MemoryStorage::new();
    let mut batch = Batch::default();
    for (key, row) in rows {
        match (&value, key == at) {
            (_, false) => batch.puts.push((key.clone(), row.value.clone())),
            (Some(value), true) => batch.puts.push((key.clone(), value.clone().into())),
            (None, true) => {}
        }
    }
    store.apply(batch).unwrap();
    store
}

/// All that reads rows.
fn use_everything(client: Result<Client, Error>, next: &Outgoing) -> Result<(), Error> {
    let client = client?;
    client.groups()?;
    client.undelivered()?;
    client.unsent()?;
    let group = client.group(&group_id())?;
    group.members()?;
    group.ratchet_tree()?;
    if let Some(pending) = group.pending_commit()? {
        pending.discard()?;
    }
    client.key_package()?;
    let _staged = group.update()?;
    group.receive(next)?;
    Ok(())
}
