//! A client: its identity, its key packages and its groups, all in a store.
//!
//! Every change is one atomic write, and only then visible. What a client hands out is kept in the
//! same write until it is acknowledged ([`Client::acknowledge`]): events as *undelivered*,
//! messages as *unsent*. After a crash at any instant, [`Client::undelivered`] and
//! [`Client::unsent`] give them again.
//!
//! A [`ClientBuilder`] makes or opens a [`Client`]; a [`Group`] is a handle of one of its groups. A
//! [`CommitBuilder`] collects what a Commit does, and a [`PendingCommit`] waits for the delivery
//! service's word; an [`ExternalJoinBuilder`] and a [`PendingJoin`] do the same for joining from
//! outside. [`Received`] is what a message meant, [`Outgoing`] what is to be sent.
//!
//! What each operation writes and gives is computed without I/O from a group's value
//! ([`crate::group`]), written in one batch, and then applied.

mod builder;
mod commit;
mod driver;
mod event;
mod existing;
mod external;
mod group;
mod outgoing;
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
    Continuation, EpochChange, Joined, Message, Received, ReceivedProposal, WaitingProposal,
};
pub use external::{ExternalJoinBuilder, PendingJoin};
pub use group::{Group, GroupOptions};
pub use outgoing::{DeliveryId, Outgoing, OutgoingKind, Recipient};
pub use subgroup::{Continued, ReInitOptions};

use crate::codec::Encode;
use crate::crypto::{CipherSuite, Rng, Secret, SignaturePublicKey};
use crate::error::{Error, Misuse, Unready};
pub use crate::group::Proposer;
use crate::group::{JoinKeys, LeafTemplate, Settings, best_cipher_suite};
use crate::identity::{Credential, CredentialCheck, CredentialUse, Signer};
use crate::message::{GroupId, KeyPackage, MlsMessage, Welcome};
use crate::mutation::off;
use crate::rows::{Head, Kind, StoredKeyPackage, number_u64, psk_key, put};
use crate::storage::{Batch, Precondition, Prefix, StorageError};
use crate::tree::{Capabilities, LeafNodeContent, LeafNodeSource, Lifetime};

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

    /// Begins to make or open a client with any credential, such as an X.509 chain: its signature
    /// key is then [`ClientBuilder::signing_key`], and a validator of the application's accepts it.
    #[must_use]
    pub fn builder_for(credential: Credential) -> ClientBuilder {
        ClientBuilder::new(credential)
    }

    /// Who this client is to others.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.inner.credential
    }

    /// The key that this client's key packages and new groups begin with: what an authentication
    /// service has to know. In a group it may have another by now
    /// ([`CommitBuilder::new_signature_key`]): see [`Group::own_member`].
    #[must_use]
    pub fn signature_key(&self) -> &SignaturePublicKey {
        self.inner.signer.public_key()
    }

    /// The cipher suite of this client's keys and groups: the one that it was made with.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.inner.settings.suite.id()
    }

    /// A fresh key package for others to add this client with, an encoded MLSMessage. It is for
    /// one use (RFC 9420 section 10): make one for each.
    ///
    /// # Errors
    /// [`Refused::TotalLifetime`](crate::Refused::TotalLifetime) if the builder gives it a longer
    /// one than its own policy allows; the store or the generator failed.
    pub fn key_package(&self) -> Result<Vec<u8>, Error> {
        self.publish(JoinKeys::generate)
    }

    /// A key package of last resort, an encoded MLSMessage: it is kept when it is used, for the
    /// delivery service to hand out when no other is left (RFC 9420 section 16.8). Whoever gets
    /// its private keys reads every Welcome that was made with it, and all those groups begin with
    /// the same key in this client's leaf: after joining by it, call [`Group::update`] soon, and
    /// make a new one now and then. A Welcome that was made with it can be carried again after this
    /// client has left the group. [`Self::delete_expired_key_packages`] deletes it when its
    /// lifetime is over.
    ///
    /// # Errors
    /// As for [`Self::key_package`].
    pub fn last_resort_key_package(&self) -> Result<Vec<u8>, Error> {
        self.publish(JoinKeys::generate_last_resort)
    }

    /// Checks a key package that was downloaded, an encoded MLSMessage, before there is a group to
    /// add its client to (RFC 9420 section 10.1): whether it is sound, signed, in time, and its
    /// credential accepted. It may be of any cipher suite of this client's provider.
    ///
    /// # Errors
    /// [`Misuse::NotKeyPackage`]; [`Error::Malformed`]; [`Error::Violation`];
    /// [`Refused`](crate::Refused) if the validator or the policy rejects it; [`Error::Crypto`] if
    /// the provider does not have its suite.
    pub fn check_key_package(&self, message: impl AsRef<[u8]>) -> Result<KeyPackage, Error> {
        let own = &self.inner.settings;
        let MlsMessage::KeyPackage(key_package) = MlsMessage::read(message.as_ref(), &own.context)?
        else {
            return Err(Misuse::NotKeyPackage.into());
        };
        let suite = own.suite.sibling(key_package.cipher_suite)?;
        let settings = Settings { suite, ..own.clone() };
        settings.check_key_package(&key_package, Some(self.inner.clock.now()))?;
        let LeafNodeContent { credential, signature_key, .. } = &*key_package.leaf_node;
        let check = CredentialCheck::new(credential, signature_key, CredentialUse::Add);
        self.inner.validator.validate(&check)?;
        Ok(key_package)
    }

    /// The best cipher suite for a group of this client and those of these key packages, which are
    /// checked ([`Self::check_key_package`]): the first of `preference` that all have; `None` if
    /// there is none. RFC 9420 section 11 has it that the creator of a group asks.
    ///
    /// # Errors
    /// As for [`Self::check_key_package`].
    pub fn best_cipher_suite<T: AsRef<[u8]>>(
        &self,
        key_packages: impl IntoIterator<Item = T>,
        preference: &[CipherSuite],
    ) -> Result<Option<CipherSuite>, Error> {
        let checked = key_packages.into_iter().map(|message| self.check_key_package(message));
        let key_packages: Vec<KeyPackage> = checked.collect::<Result<_, _>>()?;
        let own = self.inner.settings.suite.provider().suites();
        let mut preference = preference.to_vec();
        preference.retain(|suite| own.iter().any(|spec| spec.suite == *suite));
        Ok(best_cipher_suite(&key_packages, &preference))
    }

    fn publish(&self, make: MakeKeys) -> Result<Vec<u8>, Error> {
        let keys = self.inner.join_keys_with(make)?;
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

    /// Joins the group of a Welcome that has its ratchet tree inside. Whether the new group continues
    /// another one, by re-initialization or as a branch, only [`Self::receive`] says
    /// ([`Joined::continued`]): take Welcomes by that where groups follow each other.
    ///
    /// # Errors
    /// [`Unready::UnknownKeyPackage`] if the Welcome is for no key package of this client, or comes a
    /// second time: joining has used the key package up;
    /// [`Unready::UnknownPsk`] if a pre-shared key is missing, or the group that the new one
    /// continues is not known; [`Misuse::GroupExists`]; [`Error::Violation`] or
    /// [`Error::Malformed`] if the Welcome is not sound. The key package can be used again then.
    /// After [`StorageError::Unknown`], see whether the
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
            messages.push(Outgoing::read(id, &row.value, &self.inner.settings.context)?);
        }
        messages.extend(self.inner.staged_messages()?);
        messages.sort_by(|a, b| a.id().cmp(b.id()));
        Ok(messages)
    }

    /// Forgets an event that the application has taken over, or a message that the delivery
    /// service has: it will not come again. A staged Commit is acknowledged by confirming or
    /// discarding it. Says whether there was something to forget.
    ///
    /// # Errors
    /// The store failed.
    pub fn acknowledge(&self, id: &DeliveryId) -> Result<bool, Error> {
        let key = id.key();
        let Some(row) = self.inner.storage.read(&key)? else { return Ok(false) };
        let preconditions = vec![Precondition::At(key.clone(), row.revision)];
        let batch = Batch { preconditions, deletes: vec![key], ..Batch::default() };
        match self.inner.storage.apply(batch) {
            Ok(_) => Ok(true),
            // Somebody else was first.
            Err(StorageError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
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
    /// A key package of this client for one use, not stored yet.
    fn join_keys(&self) -> Result<JoinKeys, Error> {
        self.join_keys_with(JoinKeys::generate)
    }

    fn join_keys_with(&self, make: MakeKeys) -> Result<JoinKeys, Error> {
        make(&self.settings, self.leaf_template(), &self.signer, &mut self.rng())
    }

    fn leaf_template(&self) -> LeafTemplate {
        let now = self.clock.now();
        let leaf = &self.defaults.leaf;
        LeafTemplate {
            credential: self.credential.clone(),
            capabilities: self.capabilities(),
            lifetime: Lifetime {
                // V-7.2-10: clocks differ.
                not_before: now.saturating_sub(leaf.back * u64::from(!off("V-7.2-10"))),
                not_after: now.saturating_add(leaf.ahead),
            },
            extensions: leaf.extensions.clone(),
        }
    }

    /// V-13.0-03 and V-7.2-04: what the provider, the validator and the application support, and
    /// what is in the client's own leaf.
    fn capabilities(&self) -> Capabilities {
        let mut credential_types = self.validator.credential_types();
        credential_types.push(self.credential.credential_type());
        let mut capabilities = LeafTemplate::capabilities_with(&self.settings, &credential_types);
        for extension in self.defaults.leaf.extensions.iter() {
            if !capabilities.has_extension(extension.extension_type) {
                capabilities.extensions.push(extension.extension_type);
            }
        }
        if off("V-13.0-03") {
            capabilities.cipher_suites.push(CipherSuite(0xf0f0));
        }
        capabilities
    }
}

/// How a key package is made: for one use, or of last resort.
type MakeKeys = fn(&Settings, LeafTemplate, &dyn Signer, &mut dyn Rng) -> Result<JoinKeys, Error>;
