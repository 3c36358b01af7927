//! Joining a group without a Welcome (RFC 9420 section 12.4.3.2), and asking to be added (section
//! 12.1.8).

use std::fmt;

use crate::error::{Error, Misuse, Unready};
use crate::group::{ExternalJoin, Judge, Member, OpenedGroupInfo, Outsider, StagedJoin, Status};
use crate::message::{GroupId, GroupInfo, MlsMessage, Sender};
use crate::mutation::off;
use crate::rows::{
    Head, Joining, Kind, StoredKeyPackage, joining_message, put_joining, read_joining,
};
use crate::rules::subgroup::is_same_member;
use crate::schedule::{PreSharedKeyId, Psk};
use crate::storage::{Batch, Precondition, Prefix, StorageError};
use crate::tree::{LeafIndex, LeafNode};

use super::driver::{ATTEMPTS, Beginning};
use super::event::{Joined, Received};
use super::existing::Existing;
use super::psks::LoadedPsks;
use super::{Client, Group, Inner};

/// Collects how a client joins by an external Commit.
///
/// ```
/// # use circlet::Client;
/// # use circlet::group::GroupInfoOptions;
/// # fn main() -> Result<(), circlet::Error> {
/// # let (alice, bob) = (Client::builder("alice").build()?, Client::builder("bob").build()?);
/// # let group = alice.create_group()?;
/// // A member publishes how to join; that is for one join, and for the present epoch.
/// let group_info = group.group_info(GroupInfoOptions::default())?;
///
/// let pending = bob.external_join(&group_info).stage()?;
/// // … hand pending.message() to the delivery service; once it has accepted:
/// group.receive(pending.message())?;
/// let bobs = pending.confirm()?;
/// group.receive(bobs.send(b"hello")?)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a join is made by `stage`"]
pub struct ExternalJoinBuilder<'a> {
    client: &'a Client,
    group_info: Vec<u8>,
    ratchet_tree: Option<Vec<u8>>,
    replaces: Replaces,
    replaces_state: bool,
    psks: Vec<Psk>,
    authenticated_data: Vec<u8>,
}

/// The leaf that an external Commit removes.
#[derive(Clone, Copy, Debug)]
enum Replaces {
    /// The one with this client's signature key, if there is one.
    OwnKey,
    /// The one with this client's credential, whatever its key.
    OwnCredential,
    /// This one.
    Leaf(LeafIndex),
}

/// An external Commit that waits for the delivery service's word. The client is no member yet; it
/// survives a restart ([`Client::pending_joins`]).
#[derive(Clone)]
#[must_use = "the client is a member when it is confirmed"]
pub struct PendingJoin {
    client: Client,
    group_id: GroupId,
    message: Vec<u8>,
}

impl Client {
    /// Begins to join the group of a GroupInfo, an encoded MLSMessage that a member has made with
    /// [`Group::group_info`], by an external Commit. A client that was a member and lost its state of
    /// the group, lost everything ([`ExternalJoinBuilder::replacing_own`]) or was left behind
    /// ([`ExternalJoinBuilder::rejoin`]), comes back so: its old leaf is removed in the same Commit.
    pub fn external_join(&self, group_info: impl AsRef<[u8]>) -> ExternalJoinBuilder<'_> {
        ExternalJoinBuilder {
            client: self,
            group_info: group_info.as_ref().to_vec(),
            ratchet_tree: None,
            replaces: Replaces::OwnKey,
            replaces_state: false,
            psks: Vec::new(),
            authenticated_data: Vec::new(),
        }
    }

    /// The external Commits that were neither confirmed nor discarded, such as before a restart.
    ///
    /// # Errors
    /// The store failed or is damaged.
    pub fn pending_joins(&self) -> Result<Vec<PendingJoin>, Error> {
        let rows = self.inner.storage.scan(&Prefix::new(&[Kind::Joining.name()]))?;
        let mut pending = Vec::new();
        for (key, row) in rows {
            let Some(group_id) = key.component(1).map(GroupId::new) else { continue };
            let message = joining_message(&row.value)?;
            pending.push(PendingJoin { client: self.clone(), group_id, message });
        }
        pending.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(pending)
    }

    /// Asks the members of a group in this epoch to add this client: a proposal, an encoded
    /// MLSMessage for the group. A member that accepts it commits it and sends the Welcome. The key
    /// package in it is kept as those of [`Self::key_package`] are; the message is not, and not
    /// among [`Self::unsent`]: if it is lost, or the epoch is over, ask again.
    ///
    /// # Errors
    /// The store or the generator failed.
    pub fn propose_own_add(&self, group_id: &GroupId, epoch: u64) -> Result<Vec<u8>, Error> {
        let keys = self.inner.join_keys()?;
        let reference = keys.key_package.reference(&self.inner.settings.suite)?;
        let outsider = Outsider {
            settings: self.inner.settings.clone(),
            group_id: group_id.clone(),
            epoch,
            authenticated_data: Vec::new(),
        };
        let message = outsider.propose_own_add(keys.key_package.clone(), &self.inner.signer)?;
        let mut batch = Batch::default();
        StoredKeyPackage::put(&reference, &keys, &mut batch)?;
        self.inner.storage.apply(batch)?;
        Ok(message)
    }
}

impl ExternalJoinBuilder<'_> {
    /// The ratchet tree, encoded as in its extension, where the GroupInfo does not have it.
    pub fn ratchet_tree(mut self, ratchet_tree: impl Into<Vec<u8>>) -> Self {
        self.ratchet_tree = Some(ratchet_tree.into());
        self
    }

    /// Lets this client's present state of the group go, once the Commit is confirmed: for a member
    /// that was left behind. Nobody else may say which group that is: whoever knows a group's id can
    /// make another one with it, so that the GroupInfo has to come from somebody who is trusted.
    ///
    /// A client that has no state of the group left has nothing to let go, and [`Self::stage`] gives
    /// [`Unready::UnknownGroup`]: it joins without this. Where it has lost its signature key too,
    /// its old leaf is not found by that: [`Self::replacing_own`].
    pub fn rejoin(mut self) -> Self {
        self.replaces_state = true;
        self
    }

    /// The leaf that this client had before with another signature key: the Commit removes it. One
    /// with the same key is found without being named.
    pub fn replacing(mut self, leaf_index: LeafIndex) -> Self {
        self.replaces = Replaces::Leaf(leaf_index);
        self
    }

    /// The leaf of this client, whatever its signature key: for one that has lost everything, and
    /// was made anew. It is the leaf with this client's signature key, or else the only one whose
    /// credential stands for the same member
    /// ([`CredentialValidator::identity`](crate::identity::CredentialValidator::identity)).
    /// [`Self::stage`] gives [`Misuse::NoOwnLeaf`] if there is none, and
    /// [`Misuse::SeveralOwnLeaves`] if there are several, such as those of other devices: choose
    /// among [`Self::members`] then, and name it by [`Self::replacing`].
    ///
    /// ```
    /// # use circlet::Client;
    /// # use circlet::group::GroupInfoOptions;
    /// # fn main() -> Result<(), circlet::Error> {
    /// # let (alice, bob) = (Client::builder("alice").build()?, Client::builder("bob").build()?);
    /// # let group = alice.create_group()?;
    /// # bob.join(group.invite([bob.key_package()?])?.confirm()?.welcome())?;
    /// drop(bob); // with its store
    /// let bob = Client::builder("bob").build()?;
    /// let group_info = group.group_info(GroupInfoOptions::default())?;
    /// let pending = bob.external_join(&group_info).replacing_own().stage()?;
    /// group.receive(pending.message())?;
    /// assert_eq!(pending.confirm()?.members()?.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn replacing_own(mut self) -> Self {
        self.replaces = Replaces::OwnCredential;
        self
    }

    /// The members of the group, by leaf, as the GroupInfo and its ratchet tree have them. That they
    /// are sound was checked; the validator has judged nobody yet.
    ///
    /// # Errors
    /// [`Misuse::NotGroupInfo`]; [`Error::Violation`] or [`Error::Malformed`] if the GroupInfo is not
    /// sound or not meant for joining; [`Unready::RatchetTreeMissing`].
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        Ok(members(&self.open(self.read_group_info()?)?))
    }

    /// Injects a pre-shared key that the members have too ([`Client::add_psk`]).
    pub fn psk(mut self, psk_id: impl Into<Vec<u8>>) -> Self {
        self.psks.push(Psk::External { psk_id: psk_id.into() });
        self
    }

    /// Injects the resumption PSK of an epoch that this client was in, such as before it lost its
    /// state: it shows more than the signature key alone.
    pub fn resumption_psk(mut self, group: &GroupId, psk_epoch: u64) -> Self {
        let usage = crate::schedule::ResumptionPskUsage::Application;
        let psk_group_id = group.as_bytes().to_vec();
        self.psks.push(Psk::Resumption { usage, psk_group_id, psk_epoch });
        self
    }

    /// Sends data along that is authenticated, not encrypted.
    pub fn authenticated_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.authenticated_data = data.into();
        self
    }

    /// Makes the external Commit and keeps it.
    ///
    /// # Errors
    /// [`Misuse::JoinStaged`] if there is one for this group already; [`Misuse::GroupExists`] if
    /// this client is in a group with this id, unless it comes back; [`Unready::UnknownGroup`] if it
    /// is in none and comes back ([`Self::rejoin`]); [`Misuse::NoOwnLeaf`] and
    /// [`Misuse::SeveralOwnLeaves`] (see [`Self::replacing_own`]); [`Misuse::NotGroupInfo`];
    /// [`Error::Violation`] or [`Error::Malformed`] if the GroupInfo is not sound or not meant for
    /// joining; [`Unready::RatchetTreeMissing`]; [`Unready::UnknownPsk`];
    /// [`Refused::Credential`](crate::Refused::Credential) if the validator rejects a member, or
    /// this client as one; the store or the generator failed.
    pub fn stage(self) -> Result<PendingJoin, Error> {
        let inner = &*self.client.inner;
        let group_info = self.read_group_info()?;
        if self.replaces_state && !inner.is_member(&group_info.group_context.group_id)? {
            return Err(Unready::UnknownGroup.into());
        }
        let mut psks = LoadedPsks::default();
        let staged = loop {
            match self.make(group_info.clone(), &psks) {
                Err(Error::Unready(Unready::UnknownPsk(psk))) => inner.load_psk(&mut psks, psk)?,
                other => break other?,
            }
        };
        let group_id = staged.group_id().clone();
        let mut joining = Joining { staged, replaces_state: self.replaces_state, seen: None };
        self.client.inner.keep_join(&group_id, &mut joining)?;
        Ok(PendingJoin { client: self.client.clone(), group_id, message: joining.staged.message })
    }

    fn read_group_info(&self) -> Result<GroupInfo, Error> {
        match MlsMessage::read(&self.group_info, &self.client.inner.settings.context)? {
            MlsMessage::GroupInfo(group_info) => Ok(group_info),
            _ => Err(Misuse::NotGroupInfo.into()),
        }
    }

    fn open(&self, group_info: GroupInfo) -> Result<OpenedGroupInfo, Error> {
        let settings = self.client.inner.settings.clone();
        OpenedGroupInfo::open(settings, group_info, self.ratchet_tree.as_deref())
    }

    fn make(&self, group_info: GroupInfo, psks: &LoadedPsks) -> Result<StagedJoin, Error> {
        let inner = &*self.client.inner;
        let opened = self.open(group_info)?;
        let request = ExternalJoin {
            leaf: inner.leaf_template(),
            replaces: self.old_leaf(&opened)?,
            psks: self.psk_ids()?,
            authenticated_data: self.authenticated_data.clone(),
        };
        let judge = Judge { validator: &*inner.validator, psks, now: Some(inner.clock.now()) };
        opened.review(&*inner.validator)?.join(request, &judge, &inner.signer, &mut inner.rng())
    }

    /// The leaf to be removed: the named one, that of this client's group, or the one with its key.
    /// V-12.4.3-03: a group in which this client's leaf is blank is none to come back to. It may be
    /// another one of the same id, and what the client has of its own would be gone.
    fn old_leaf(&self, opened: &OpenedGroupInfo) -> Result<Option<LeafIndex>, Error> {
        if let Replaces::Leaf(leaf_index) = self.replaces {
            return Ok(Some(leaf_index));
        }
        let inner = &*self.client.inner;
        let tree = opened.tree();
        let own = |group: &crate::rows::LoadedGroup| {
            let own = group.state.member(group.state.own_leaf());
            Ok(own.and_then(|own| tree.signature_key_owner(&own.signature_key)))
        };
        // With the key that it has in this group, or else with the one that it began with.
        let found = match inner.look(opened.group_id(), own) {
            Err(Error::Unready(Unready::UnknownGroup) | Error::Misuse(Misuse::NotMember)) => None,
            other => other?,
        };
        let first = crate::identity::Signer::public_key(&inner.signer);
        match (found.or_else(|| tree.signature_key_owner(first)), self.replaces) {
            (None, Replaces::OwnCredential) => Ok(Some(self.leaf_with_own_credential(opened)?)),
            (found, _) => Ok(found),
        }
    }

    fn leaf_with_own_credential(&self, opened: &OpenedGroupInfo) -> Result<LeafIndex, Misuse> {
        let Inner { validator, credential, .. } = &*self.client.inner;
        let mut own = members(opened);
        own.retain(|member| is_same_member(&member.credential, credential, &**validator));
        match own.as_slice() {
            [] => Err(Misuse::NoOwnLeaf),
            [member] => Ok(member.leaf_index),
            _ => Err(Misuse::SeveralOwnLeaves),
        }
    }

    fn psk_ids(&self) -> Result<Vec<PreSharedKeyId>, Error> {
        let inner = &*self.client.inner;
        let length = inner.settings.suite.secret_length();
        let fresh = |psk: &Psk| PreSharedKeyId::fresh(psk.clone(), length, &mut inner.rng());
        self.psks.iter().map(fresh).collect()
    }
}

fn members(opened: &OpenedGroupInfo) -> Vec<Member> {
    let member = |(leaf_index, leaf): (LeafIndex, &LeafNode)| Member {
        leaf_index,
        credential: leaf.credential.clone(),
        signature_key: leaf.signature_key.clone(),
    };
    opened.tree().members().map(member).collect()
}

impl PendingJoin {
    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.group_id
    }

    /// The external Commit for the group, an encoded MLSMessage. It is not among
    /// [`Client::unsent`]: it waits in [`Client::pending_joins`].
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The delivery service has accepted the Commit: this client is a member. Where it was one
    /// before, its old state of the group is deleted.
    ///
    /// # Errors
    /// [`Misuse::JoinGone`] if it was confirmed before, such as by its echo, or discarded, or the
    /// group went on without it: its message, when it is received, tells which of these
    /// ([`Received::Own`] if this client has joined by it). The store failed.
    pub fn confirm(self) -> Result<Group, Error> {
        let joined = self.client.inner.confirm_join(&self.group_id, &self.message, false)?;
        let Some(joined) = joined else { return Err(Misuse::JoinGone.into()) };
        Ok(joined.into_group(&self.client))
    }

    /// The delivery service has refused the Commit, or it is no longer wanted.
    ///
    /// # Errors
    /// [`Misuse::JoinGone`]; the store failed.
    pub fn discard(self) -> Result<(), Error> {
        let inner = &*self.client.inner;
        let key = Kind::Joining.row(&self.group_id);
        let row = inner.storage.read(&key)?.ok_or(Misuse::JoinGone)?;
        if joining_message(&row.value)? != self.message {
            return Err(Misuse::JoinGone.into());
        }
        let mut batch = Batch { deletes: vec![key.clone()], ..Batch::default() };
        batch.preconditions.push(Precondition::At(key, row.revision));
        match inner.storage.apply(batch) {
            Err(StorageError::Conflict) => Err(Misuse::JoinGone.into()),
            other => Ok(other.map(drop)?),
        }
    }
}

impl Inner {
    /// Writes a join that is to wait. Where another writer was first, it is tried anew.
    fn keep_join(&self, group_id: &GroupId, joining: &mut Joining) -> Result<(), Error> {
        let key = Kind::Joining.row(group_id);
        for _ in 0..ATTEMPTS {
            let mut batch = Batch::default();
            let head = self.head(group_id)?;
            batch.preconditions.push(match &head {
                None => Precondition::Absent(Kind::Head.row(group_id)),
                Some((_, revision)) => Precondition::At(Kind::Head.row(group_id), *revision),
            });
            let head = head.map(|(head, _)| head);
            if !joining.replaces_state {
                ensure_no_member(head.as_ref())?;
            }
            joining.seen = head.map(|head| head.epoch);
            if self.storage.read(&key)?.is_some() {
                return Err(Misuse::JoinStaged.into());
            }
            batch.preconditions.push(Precondition::Absent(key.clone()));
            put_joining(joining, &mut batch)?;
            match self.storage.apply(batch) {
                Err(StorageError::Conflict) => {}
                other => return Ok(other.map(drop)?),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// The epoch that the join which waits would begin.
    pub(super) fn joining_epoch(&self, group_id: &GroupId) -> Result<Option<u64>, Error> {
        let Some(row) = self.storage.read(&Kind::Joining.row(group_id))? else { return Ok(None) };
        let joining = read_joining(&row.value, self.settings.clone())?;
        Ok(Some(joining.staged.state.epoch()))
    }

    /// A message that could be the echo of a join that waits: then the client is in the group.
    pub(super) fn echo_of_join(
        &self,
        id: &GroupId,
        message: &MlsMessage,
        bytes: &[u8],
    ) -> Result<Option<Received>, Error> {
        let MlsMessage::Public(public) = message else { return Ok(None) };
        if public.content.sender != Sender::NewMemberCommit || public.content.group_id != *id {
            return Ok(None);
        }
        let joined = self.confirm_join(&public.content.group_id, bytes, true)?;
        Ok(joined.map(Received::Joined))
    }

    /// Begins the group of the join that waits, if its message is this one. `event`: whether the
    /// joining is kept as an undelivered event. Where another writer was first, it is tried anew.
    fn confirm_join(
        &self,
        group_id: &GroupId,
        message: &[u8],
        event: bool,
    ) -> Result<Option<Joined>, Error> {
        for _ in 0..ATTEMPTS {
            match self.try_confirm_join(group_id, message, event) {
                Err(Error::Storage(StorageError::Conflict)) => {}
                other => return other,
            }
        }
        Err(StorageError::Conflict.into())
    }

    fn try_confirm_join(
        &self,
        group_id: &GroupId,
        message: &[u8],
        event: bool,
    ) -> Result<Option<Joined>, Error> {
        let key = Kind::Joining.row(group_id);
        let Some(row) = self.storage.read(&key)? else { return Ok(None) };
        if message != joining_message(&row.value)? {
            return Ok(None);
        }
        let Joining { staged, replaces_state, seen } =
            read_joining(&row.value, self.settings.clone())?;
        let mut batch = Batch { deletes: vec![key.clone()], ..Batch::default() };
        batch.preconditions.push(Precondition::At(key, row.revision));
        let gone = batch.clone();
        let hash = self.settings.suite.hash(&[message])?.as_bytes().to_vec();
        let existing = Existing::Waited { seen, replaces_state };
        let joined = self.begin_over(staged.state, batch, existing, |beginning| {
            beginning.remember_commit(hash);
            let joined = Joined::by_commit(beginning.next_in());
            if event {
                Received::Joined(joined.clone()).put(beginning.batch)?;
            }
            Ok(joined)
        });
        match joined {
            // Another Commit of its epoch was first, and this client has seen it.
            Err(Error::Unready(Unready::ForgottenEpoch { .. })) => {
                self.storage.apply(gone)?;
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// V-12.4.3-03: a client is in a group once.
fn ensure_no_member(head: Option<&Head>) -> Result<(), Misuse> {
    let is_member = head.is_some_and(|head| head.status != Status::Removed);
    if is_member && !off("V-12.4.3-03") { Err(Misuse::GroupExists) } else { Ok(()) }
}

impl Beginning<'_> {
    fn remember_commit(&mut self, hash: Vec<u8>) {
        self.head.last_commit = hash;
    }
}

impl fmt::Debug for ExternalJoinBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalJoinBuilder")
            .field("replaces", &self.replaces)
            .field("psks", &self.psks)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PendingJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingJoin({}, {} bytes)", self.group_id, self.message.len())
    }
}
