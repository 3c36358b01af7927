//! A client: its identity, its key packages and its groups, all in a store.
//!
//! Every change is one atomic write, and only then visible. What a client hands out is kept in the
//! same write until it is acknowledged ([`Client::acknowledge`]): events as *undelivered*,
//! messages as *unsent*. After a crash at any instant, [`Client::undelivered`] and
//! [`Client::unsent`] give them again.
//!
//! The logic is free of I/O: `plan` computes from a group's value what is to be written and what
//! comes out; `driver` loads, writes and applies.

mod builder;
mod commit;
mod driver;
mod event;
mod group;
mod plan;
mod psks;
mod subgroup;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

pub use builder::{ClientBuilder, Clock, SystemClock};
pub use commit::{CommitBuilder, Confirmed, Invited, PendingCommit, PendingInvite};
pub use event::{
    DeliveryId, EpochChange, Joined, Message, Outgoing, OutgoingKind, Received, ReceivedProposal,
};
pub use group::{Group, GroupOptions};
pub use subgroup::{Continued, ReInitOptions};

use crate::codec::Encode;
use crate::crypto::Secret;
use crate::error::{Error, Misuse, Unready};
use crate::group::{JoinKeys, LeafTemplate};
use crate::identity::Credential;
use crate::message::{GroupId, MlsMessage, Welcome};
use crate::rows::{Head, Kind, OwnIdentity, StoredKeyPackage, number_u64, psk_key, put};
use crate::storage::{Batch, Prefix};
use crate::tree::{Extensions, LeafNodeSource, Lifetime};

use driver::Inner;

/// A member of groups. Cheap to clone, and usable from many threads: groups work in parallel, one
/// group does one thing after the other.
///
/// ```
/// use circlet::{Client, Received};
///
/// # fn main() -> Result<(), circlet::Error> {
/// let alice = Client::builder("alice").build()?;
/// let bob = Client::builder("bob").build()?;
///
/// let group = alice.create_group()?;
/// let pending = group.invite([bob.key_package()?])?;
/// // … the delivery service has accepted pending.message() …
/// let welcome = pending.confirm()?.welcome();
/// let bobs = bob.join(&welcome)?;
///
/// let wire = group.send(b"hello")?;
/// if let Received::Message(message) = bobs.receive(&wire)? {
///     assert_eq!(message.sender().to_string(), "alice");
///     assert_eq!(message.data(), b"hello");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

impl Client {
    /// Begins to make or open a client with this name as its basic credential.
    #[must_use]
    pub fn builder(name: impl AsRef<[u8]>) -> ClientBuilder {
        ClientBuilder::new(Credential::basic(name))
    }

    /// Who this client is to others.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.inner.credential
    }

    /// A fresh key package for others to add this client with, an encoded MLSMessage. It is for
    /// one use (RFC 9420 section 10): make one for each.
    ///
    /// # Errors
    /// The store or the generator failed.
    pub fn key_package(&self) -> Result<Vec<u8>, Error> {
        let keys = self.inner.join_keys()?;
        let reference = keys.key_package.reference(&self.inner.settings.suite)?;
        let message = MlsMessage::KeyPackage(keys.key_package.clone()).to_bytes()?;
        let mut batch = Batch::default();
        StoredKeyPackage::put(&reference, &keys, &mut batch)?;
        self.inner.storage.apply(batch)?;
        Ok(message)
    }

    /// Creates a group with this client as its only member and a random id.
    ///
    /// # Errors
    /// The store or the generator failed.
    pub fn create_group(&self) -> Result<Group, Error> {
        self.create_group_with(GroupOptions::default())
    }

    /// Creates a group with an id or extensions of the caller's choice.
    ///
    /// # Errors
    /// [`Misuse::GroupExists`] if this client is in a group with this id;
    /// [`Error::Violation`] if the extensions are not valid; the store or the generator failed.
    pub fn create_group_with(&self, options: GroupOptions) -> Result<Group, Error> {
        let id = self.inner.create_group(options)?;
        Ok(self.handle(id))
    }

    /// Joins the group of a Welcome that has its ratchet tree inside.
    ///
    /// # Errors
    /// [`Unready::UnknownKeyPackage`] if the Welcome is for no key package of this client;
    /// [`Unready::UnknownPsk`] if a pre-shared key is missing, or the group that the new one
    /// continues is not known; [`Misuse::GroupExists`]; [`Error::Violation`] or
    /// [`Error::Malformed`] if the Welcome is not sound. The key package can be used again then.
    /// After [`StorageError::Unknown`](crate::storage::StorageError::Unknown), see whether the
    /// group is among [`Self::groups`].
    pub fn join(&self, welcome: impl AsRef<[u8]>) -> Result<Group, Error> {
        let welcome = self.read_welcome(welcome.as_ref())?;
        Ok(self.inner.join(&welcome, None, false)?.into_group(self))
    }

    /// Joins the group of a Welcome whose ratchet tree came separately, encoded as in its
    /// extension (RFC 9420 section 12.4.3.3).
    ///
    /// # Errors
    /// As for [`Self::join`].
    pub fn join_with_tree(
        &self,
        welcome: impl AsRef<[u8]>,
        ratchet_tree: &[u8],
    ) -> Result<Group, Error> {
        let welcome = self.read_welcome(welcome.as_ref())?;
        Ok(self.inner.join(&welcome, Some(ratchet_tree), false)?.into_group(self))
    }

    /// Takes a message of any of this client's groups, or a Welcome.
    ///
    /// # Errors
    /// [`Unready::UnknownGroup`]; [`Misuse::NotReceivable`] for key packages and GroupInfos;
    /// otherwise as for [`Group::receive`].
    pub fn receive(&self, message: impl AsRef<[u8]>) -> Result<Received, Error> {
        let bytes = message.as_ref();
        let group_id = match MlsMessage::read(bytes, &self.inner.settings.context)? {
            MlsMessage::Welcome(welcome) => {
                let joined = self.inner.join(&welcome, None, true)?;
                return Ok(Received::Joined(joined));
            }
            MlsMessage::Private(message) => message.group_id,
            MlsMessage::Public(message) => message.content.group_id,
            _ => return Err(Misuse::NotReceivable.into()),
        };
        self.inner.receive(&group_id, bytes)
    }

    /// The group with this id.
    ///
    /// # Errors
    /// [`Unready::UnknownGroup`] if this client is not in it, or the store failed.
    pub fn group(&self, id: &GroupId) -> Result<Group, Error> {
        match self.inner.is_member(id)? {
            true => Ok(self.handle(id.clone())),
            false => Err(Unready::UnknownGroup.into()),
        }
    }

    /// All groups that this client is in, by id.
    ///
    /// # Errors
    /// The store failed.
    pub fn groups(&self) -> Result<Vec<Group>, Error> {
        let rows = self.inner.storage.scan(&Prefix::new(&[Kind::Head.name()]))?;
        let mut ids = Vec::new();
        for (key, row) in rows {
            if Head::read(&row.value)?.status != crate::group::Status::Removed {
                ids.extend(key.component(1).map(GroupId::new));
            }
        }
        ids.sort();
        Ok(ids.into_iter().map(|id| self.handle(id)).collect())
    }

    /// Keeps a pre-shared key that others have too, for Commits that inject it (RFC 9420 section
    /// 8.4).
    ///
    /// # Errors
    /// The store failed.
    pub fn add_psk(&self, psk_id: &[u8], secret: &Secret) -> Result<(), Error> {
        let mut batch = Batch::default();
        put(&mut batch, psk_key(psk_id), |writer| writer.opaque(secret.as_bytes()))?;
        self.inner.storage.apply(batch)?;
        Ok(())
    }

    /// Forgets a pre-shared key.
    ///
    /// # Errors
    /// The store failed.
    pub fn remove_psk(&self, psk_id: &[u8]) -> Result<(), Error> {
        let batch = Batch { deletes: vec![psk_key(psk_id)], ..Batch::default() };
        self.inner.storage.apply(batch)?;
        Ok(())
    }

    /// Deletes the key packages that nobody has used and whose lifetime is over, with their
    /// private keys, and says how many those were. A Welcome to one of them can't be joined any
    /// more, and a thief of the store can't read it.
    ///
    /// # Errors
    /// The store failed or is damaged.
    pub fn delete_expired_key_packages(&self) -> Result<usize, Error> {
        let now = self.inner.clock.now();
        let mut batch = Batch::default();
        for (key, row) in self.inner.storage.scan(&Prefix::new(&[Kind::KeyPackage.name()]))? {
            let keys = StoredKeyPackage::read(&row.value, &self.inner.settings.context)?;
            let source = &keys.key_package.leaf_node.source;
            if matches!(source, LeafNodeSource::KeyPackage(lifetime) if lifetime.not_after < now) {
                batch.deletes.push(key);
            }
        }
        let count = batch.deletes.len();
        if count > 0 {
            self.inner.storage.apply(batch)?;
        }
        Ok(count)
    }

    /// The events that were not yet acknowledged, each group's in the order in which they came.
    ///
    /// # Errors
    /// The store failed or is damaged.
    pub fn undelivered(&self) -> Result<Vec<Received>, Error> {
        let mut rows = self.inner.storage.scan(&Prefix::new(&[Kind::In.name()]))?;
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let event = |(key, row): &(crate::storage::Key, crate::storage::Row)| {
            let id = DeliveryId::of_row(key, false)?;
            Received::read(id, &row.value, &self.inner.settings.context)
        };
        rows.iter().map(event).collect()
    }

    /// The messages that were not yet acknowledged as sent, each group's in the order in which
    /// they were made; a Commit that is staged is among them.
    ///
    /// # Errors
    /// The store failed or is damaged.
    pub fn unsent(&self) -> Result<Vec<Outgoing>, Error> {
        let mut messages = Vec::new();
        for (key, row) in self.inner.storage.scan(&Prefix::new(&[Kind::Out.name()]))? {
            let id = DeliveryId::of_row(&key, true)?;
            debug_assert_eq!(number_u64(&key, 2).ok(), Some(id.number()));
            messages.push(Outgoing::read(id, &row.value)?);
        }
        messages.extend(self.inner.staged_messages()?);
        messages.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(messages)
    }

    /// Forgets an event that the application has taken over, or a message that the delivery
    /// service has: it will not come again. A staged Commit is acknowledged by confirming or
    /// discarding it.
    ///
    /// # Errors
    /// The store failed.
    pub fn acknowledge(&self, id: &DeliveryId) -> Result<(), Error> {
        let batch = Batch { deletes: vec![id.key()], ..Batch::default() };
        self.inner.storage.apply(batch)?;
        Ok(())
    }

    fn handle(&self, id: GroupId) -> Group {
        Group::new(self.clone(), id)
    }

    fn read_welcome(&self, bytes: &[u8]) -> Result<Welcome, Error> {
        match MlsMessage::read(bytes, &self.inner.settings.context)? {
            MlsMessage::Welcome(welcome) => Ok(welcome),
            _ => Err(Misuse::NotWelcome.into()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("credential", &self.inner.credential)
            .field("cipher_suite", &self.inner.settings.suite.id())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// A key package of this client, not stored yet.
    fn join_keys(&self) -> Result<JoinKeys, Error> {
        let now = self.clock.now();
        let template = LeafTemplate {
            credential: self.credential.clone(),
            capabilities: LeafTemplate::capabilities(&self.settings),
            lifetime: Lifetime {
                not_before: now.saturating_sub(LIFETIME_BACK),
                not_after: now.saturating_add(LIFETIME_AHEAD),
            },
            extensions: Extensions::new(),
        };
        JoinKeys::generate(&self.settings, template, &self.signer, &mut self.rng())
    }

    fn identity(&self) -> OwnIdentity {
        OwnIdentity {
            cipher_suite: self.settings.suite.id(),
            credential: self.credential.clone(),
            signature_key: self.signer.private_key().clone(),
        }
    }
}

/// A key package is valid from an hour back, for clocks that differ, …
const LIFETIME_BACK: u64 = 3600;
/// … until 83 days ahead, in seconds.
const LIFETIME_AHEAD: u64 = 83 * 24 * 3600;
