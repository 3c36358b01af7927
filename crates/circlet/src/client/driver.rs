//! The thin synchronous driver: loads what an operation needs, writes what it plans, and only then
//! lets it be seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::crypto::{Rng, RngError, Secret};
use crate::error::{Error, Misuse, Unready};
use crate::group::{
    Framing, GroupState, HandshakeFormat, OpenedWelcome, Padding, Settings, Status,
};
use crate::identity::{Credential, CredentialValidator, Signer, SigningKey};
use crate::message::{GroupId, MlsMessage, Welcome};
use crate::mutation::off;
use crate::rows::{
    Head, Kind, LoadedGroup, StoredKeyPackage, delete_group, is_named_by_reinit, key_package_key,
    load_group, put_new_group, staged_message,
};
use crate::rules::subgroup::ensure_reinit_is_followed;
use crate::schedule::ResumptionPskUsage;
use crate::storage::{Batch, Key, Precondition, Prefix, Storage, StorageError};
use crate::tree::Extensions;

use super::GroupOptions;
use super::builder::Clock;
use super::event::{Continuation, Joined, Received};
use super::existing::Existing;
use super::outgoing::{DeliveryId, Outgoing, OutgoingKind};
use super::plan::{self, Env, Plan, StagedChange, Write};
use super::psks::LoadedPsks;

/// What the builder decides once for all groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub(super) handshake: HandshakeFormat,
    pub(super) padding: Padding,
    pub(super) send_despite_proposals: bool,
    pub(super) check_received_lifetimes: bool,
    pub(super) leaf: LeafDefaults,
}

/// What the leaves of all key packages have.
#[derive(Clone, Debug)]
pub(super) struct LeafDefaults {
    /// From how many seconds back …
    pub(super) back: u64,
    /// … to how many ahead a key package may be used.
    pub(super) ahead: u64,
    pub(super) extensions: Extensions,
}

impl Default for LeafDefaults {
    /// An hour back, for clocks that differ, and 83 days ahead.
    fn default() -> Self {
        Self { back: 3600, ahead: 83 * 24 * 3600, extensions: Extensions::new() }
    }
}

/// A client's parts, shared by its handles.
pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) credential: Credential,
    pub(super) signer: SigningKey,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) validator: Arc<dyn CredentialValidator>,
    rng: Mutex<Box<dyn Rng>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) defaults: Defaults,
    slots: Mutex<HashMap<GroupId, Arc<Mutex<Slot>>>>,
}

/// A group in memory. One thread at a time works on it; other groups have slots of their own.
#[derive(Default)]
enum Slot {
    /// Not read yet, or to be read again: the store is what counts.
    #[default]
    Unloaded,
    Loaded(Box<LoadedGroup>),
}

/// How often an operation is computed anew because another writer was first.
pub(super) const ATTEMPTS: usize = 256;

/// The client's generator, locked for each draw and not for a whole operation, so that groups
/// work in parallel.
pub(super) struct SharedRng<'a>(&'a Mutex<Box<dyn Rng>>);

impl Rng for SharedRng<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        lock(self.0).fill(out)
    }
}

/// A lock that somebody panicked under still guards sound data: a slot changes only after its
/// write, and every change in it is whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    #[expect(clippy::too_many_arguments, reason = "called by the builder alone, field by field")]
    pub(super) fn new(
        settings: Settings,
        credential: Credential,
        signer: SigningKey,
        storage: Arc<dyn Storage>,
        validator: Arc<dyn CredentialValidator>,
        rng: Box<dyn Rng>,
        clock: Arc<dyn Clock>,
        defaults: Defaults,
    ) -> Self {
        let (rng, slots) = (Mutex::new(rng), Mutex::default());
        Self { settings, credential, signer, storage, validator, rng, clock, defaults, slots }
    }

    pub(super) fn rng(&self) -> SharedRng<'_> {
        SharedRng(&self.rng)
    }

    pub(super) fn framing(&self, authenticated_data: &[u8]) -> Framing {
        self.defaults.framing(authenticated_data)
    }

    /// Looks at a group as the store has it now: another process may have moved it on.
    pub(super) fn look<T>(
        &self,
        id: &GroupId,
        look: impl FnOnce(&LoadedGroup) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        if self.is_stale(id, &slot)? {
            *slot = Slot::Unloaded;
        }
        look(self.load(id, &mut slot)?)
    }

    /// Computes a plan, writes it, applies it. Where another writer was first, the group is read
    /// again and the plan computed anew; where a pre-shared key is missing, it is read.
    pub(super) fn run<T>(
        &self,
        id: &GroupId,
        mut operation: impl FnMut(&LoadedGroup, &mut Env<'_>) -> Result<Plan<T>, Error>,
    ) -> Result<T, Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        let mut psks = LoadedPsks::default();
        for _ in 0..ATTEMPTS {
            let group = self.load(id, &mut slot)?;
            let error = match self.compute(group, &mut psks, &mut operation) {
                Ok(Plan { outcome, write: Some(write) }) => match self.write(id, group, write) {
                    Ok(()) => {
                        if group.head.status == Status::Removed {
                            *slot = Slot::Unloaded;
                        }
                        return Ok(outcome);
                    }
                    Err(Error::Storage(StorageError::Conflict)) => None,
                    Err(error) => {
                        // Whatever the store now holds counts.
                        *slot = Slot::Unloaded;
                        return Err(error);
                    }
                },
                // A verdict without a write holds only for the group as the store has it.
                Ok(Plan { outcome, write: None }) => match self.is_stale(id, &slot)? {
                    false => return Ok(outcome),
                    true => None,
                },
                Err(error) => Some(error),
            };
            match error {
                Some(error) if !self.is_stale(id, &slot)? => return Err(error),
                _ => *slot = Slot::Unloaded,
            }
        }
        Err(StorageError::Conflict.into())
    }

    fn compute<T>(
        &self,
        group: &LoadedGroup,
        psks: &mut LoadedPsks,
        operation: &mut impl FnMut(&LoadedGroup, &mut Env<'_>) -> Result<Plan<T>, Error>,
    ) -> Result<Plan<T>, Error> {
        loop {
            let mut env = Env {
                signer: self.signer_of(group),
                validator: &*self.validator,
                psks,
                now: self.clock.now(),
                rng: &mut self.rng(),
                defaults: &self.defaults,
            };
            match operation(group, &mut env) {
                Err(Error::Unready(Unready::UnknownPsk(psk))) => {
                    self.load_psk(psks, psk)?;
                    self.load_waiting_psks(&group.state, psks)?;
                }
                other => return other,
            }
        }
    }

    /// The key of this client's leaf: its own, or one that it has in this group alone.
    pub(super) fn signer_of<'a>(&'a self, group: &'a LoadedGroup) -> &'a SigningKey {
        let own = group.state.member(group.state.own_leaf()).map(|own| own.signature_key);
        let has = |signer: &&SigningKey| Some(signer.public_key()) == own.as_ref();
        group.signers.iter().find(has).unwrap_or(&self.signer)
    }

    /// Whether the store has another version of a loaded group.
    fn is_stale(&self, id: &GroupId, slot: &Slot) -> Result<bool, Error> {
        let Slot::Loaded(group) = slot else { return Ok(false) };
        Ok(!self.is_at(id, group.revision)?)
    }

    /// Durable before visible: the batch is written, then the state goes on.
    fn write(&self, id: &GroupId, group: &mut LoadedGroup, write: Write) -> Result<(), Error> {
        let Write { mut batch, head, step, staged, signer } = write;
        let epoch = group.state.epoch();
        batch.preconditions.push(Precondition::At(Kind::Head.row(id), group.revision));
        head.put(id, &mut batch)?;
        group.revision = self.persist(batch, group.revision)?;
        group.head = head;
        if matches!(staged, StagedChange::Drop) {
            // First, so that the next epoch does not share its indexes with a dead one.
            let own = group.state.own_leaf();
            let dropped = group.staged.take();
            let key = dropped.as_ref().and_then(|staged| staged.next.epoch.tree.leaf(own));
            let present = self.signer_of(group).public_key().clone();
            group.signers.retain(|signer| {
                let key = key.map(|leaf| &leaf.signature_key);
                *signer.public_key() == present || Some(signer.public_key()) != key
            });
        }
        if let Some(step) = step {
            group.state.apply(step)?;
        }
        match staged {
            StagedChange::Keep | StagedChange::Drop => {}
            StagedChange::Set(staged) => group.staged = Some(*staged),
            StagedChange::Confirm => {
                let staged = group.staged.take().ok_or(Error::Internal)?;
                let (_, step) = group.state.confirm(staged)?;
                group.state.apply(step)?;
            }
        }
        group.signers.extend(signer);
        if group.state.epoch() != epoch {
            let own = group.state.member(group.state.own_leaf()).map(|own| own.signature_key);
            group.signers.retain(|signer| Some(signer.public_key()) == own.as_ref());
        }
        Ok(())
    }

    /// V-6.3.1-05: what is not in the store has not happened: nothing of it is handed out.
    fn persist(&self, batch: Batch, revision: u64) -> Result<u64, StorageError> {
        match self.storage.apply(batch) {
            Err(_) if off("V-6.3.1-05") => Ok(revision),
            written => written,
        }
    }

    /// Forgets a slot that nobody else holds: the map's handle and the caller's are the only ones.
    fn drop_unused_slot(&self, id: &GroupId) {
        let mut slots = lock(&self.slots);
        if slots.get(id).is_some_and(|slot| Arc::strong_count(slot) <= 2) {
            slots.remove(id);
        }
    }

    fn slot(&self, id: &GroupId) -> Arc<Mutex<Slot>> {
        lock(&self.slots).entry(id.clone()).or_default().clone()
    }

    fn load<'a>(&self, id: &GroupId, slot: &'a mut Slot) -> Result<&'a mut LoadedGroup, Error> {
        if matches!(slot, Slot::Unloaded) {
            match self.read_group(id) {
                Ok(loaded) => *slot = Slot::Loaded(Box::new(loaded)),
                Err(error) => {
                    // A group id from the network leaves nothing behind.
                    if matches!(error, Error::Unready(Unready::UnknownGroup)) {
                        self.drop_unused_slot(id);
                    }
                    return Err(error);
                }
            }
        }
        match slot {
            Slot::Loaded(group) => Ok(group),
            Slot::Unloaded => Err(Error::Internal),
        }
    }

    /// The rows of a group are read one after the other: where another writer went on meanwhile,
    /// they are not of one state, and are read again.
    pub(super) fn read_group(&self, id: &GroupId) -> Result<LoadedGroup, Error> {
        for _ in 0..ATTEMPTS {
            let (head, revision) = self.head(id)?.ok_or(Unready::UnknownGroup)?;
            if head.status == Status::Removed {
                return Err(Misuse::NotMember.into());
            }
            let settings = self.settings.clone();
            let loaded = load_group(&*self.storage, id, head, revision, settings);
            if self.is_at(id, revision)? {
                return loaded;
            }
        }
        Err(StorageError::Conflict.into())
    }

    fn is_at(&self, id: &GroupId, revision: u64) -> Result<bool, Error> {
        let row = self.storage.read(&Kind::Head.row(id))?;
        Ok(row.is_some_and(|row| row.revision == revision))
    }

    pub(super) fn head(&self, id: &GroupId) -> Result<Option<(Head, u64)>, Error> {
        match self.storage.read(&Kind::Head.row(id))? {
            Some(row) => Ok(Some((Head::read(&row.value)?, row.revision))),
            None => Ok(None),
        }
    }

    pub(super) fn is_member(&self, id: &GroupId) -> Result<bool, Error> {
        Ok(self.head(id)?.is_some_and(|(head, _)| head.status != Status::Removed))
    }

    pub(super) fn receive(&self, id: &GroupId, bytes: &[u8]) -> Result<Received, Error> {
        if is_public(bytes) {
            let message = MlsMessage::read(bytes, &self.settings.context)?;
            if let Some(joined) = self.echo_of_join(id, &message, bytes)? {
                return Ok(joined);
            }
        }
        let joining = || self.joining_epoch(id);
        self.run(id, |group, env| plan::receive(group, bytes, env, &joining))
    }

    /// V-11.0-02: Nh random bytes, which no other group has.
    pub(super) fn random_group_id(&self) -> Result<GroupId, Error> {
        let length = self.settings.suite.secret_length();
        if off("V-11.0-02") {
            return Ok(GroupId::new(&vec![0; length]));
        }
        Ok(GroupId::new(Secret::random(&mut self.rng(), length)?.as_bytes()))
    }

    pub(super) fn create_group(&self, options: GroupOptions) -> Result<GroupId, Error> {
        let id = match options.group_id {
            Some(id) => id,
            None => self.random_group_id()?,
        };
        let keys = self.join_keys()?;
        let settings = self.settings.clone();
        let rng = &mut self.rng();
        let state = GroupState::create(settings, id.clone(), options.extensions, keys, rng)?;
        state.review(&*self.validator)?;
        match self.begin(state, Batch::default(), |_| Ok(())) {
            Ok(()) => Ok(id),
            Err(Error::Storage(StorageError::Conflict)) => Err(Misuse::GroupExists.into()),
            Err(error) => Err(error),
        }
    }

    /// Joins by a Welcome. `event`: whether the joining is kept as an undelivered event. Where
    /// another writer took the key package or made the group first, it is tried anew.
    pub(super) fn join(
        &self,
        welcome: &Welcome,
        ratchet_tree: Option<&[u8]>,
        event: bool,
    ) -> Result<Joined, Error> {
        for _ in 0..ATTEMPTS {
            match self.try_join(welcome, ratchet_tree, event) {
                Err(Error::Storage(StorageError::Conflict)) => {}
                other => return other,
            }
        }
        Err(StorageError::Conflict.into())
    }

    fn try_join(
        &self,
        welcome: &Welcome,
        ratchet_tree: Option<&[u8]>,
        event: bool,
    ) -> Result<Joined, Error> {
        let (key, row) = self.find_key_package(welcome)?;
        let keys = StoredKeyPackage::read(&row.value, &self.settings.context)?;
        let mut psks = LoadedPsks::default();
        let opened = loop {
            let settings = self.settings.clone();
            match OpenedWelcome::open(settings, welcome, &keys, ratchet_tree, &psks) {
                Err(Error::Unready(Unready::UnknownPsk(psk))) => self.load_psk(&mut psks, psk)?,
                Err(error) => return self.leave_key_package(&key, error),
                Ok(opened) => break opened,
            }
        };
        let welcomer = opened.welcomer().ok_or(Error::Internal)?;
        // V-10.0-01: the key package is used up in the same write, and only by one of those who try.
        // V-16.0-05: one of last resort stays for the next.
        let mut batch = Batch::default();
        batch.preconditions.push(Precondition::At(key.clone(), row.revision));
        let reusable = keys.key_package.is_last_resort() && !off("V-16.0-05");
        if !reusable && !off("V-10.0-01") {
            batch.deletes.push(key);
        }
        let continued = opened.continued().map(|(usage, old)| Continuation {
            usage,
            group_id: old.group_id().clone(),
            epoch: old.epoch(),
        });
        // A join of one's own that waits would bring an epoch from before this one, if it is not later.
        if self.joining_epoch(opened.group_id())?.is_some_and(|epoch| epoch <= opened.epoch()) {
            batch.deletes.push(Kind::Joining.row(opened.group_id()));
        }
        let reinit = |old: &&Continuation| old.usage == ResumptionPskUsage::Reinit;
        match continued.as_ref().filter(reinit) {
            // No other group can take its place.
            Some(old) => batch.delete_prefixes.push(Kind::OldGroup.of_group(&old.group_id)),
            None => self.ensure_follows_no_reinit(opened.group_id())?,
        }
        // A Welcome to a key package of last resort can come again.
        let existing = match keys.key_package.is_last_resort() {
            true => Existing::Passed,
            false => Existing::Refused,
        };
        let state = opened.review(&*self.validator)?;
        // V-12.4.3.1-10.
        let existing = match off("V-12.4.3.1-10") {
            true => Existing::Waited { seen: None, replaces_state: true },
            false => existing,
        };
        self.begin_over(state, batch, existing, |beginning| {
            let joined = Joined::new(beginning.next_in(), welcomer, continued);
            if event {
                Received::Joined(joined.clone()).put(beginning.batch)?;
            }
            Ok(joined)
        })
    }

    /// V-12.4.3.1-26: a Welcome that is not sound leaves the key package for another.
    fn leave_key_package<T>(&self, key: &Key, error: Error) -> Result<T, Error> {
        if off("V-12.4.3.1-26") {
            let batch = Batch { deletes: vec![key.clone()], ..Batch::default() };
            self.storage.apply(batch)?;
        }
        Err(error)
    }

    /// A group that continues none is not the one that a closed group's ReInit names. Once the client
    /// was in that, it may be added again as to any other.
    fn ensure_follows_no_reinit(&self, id: &GroupId) -> Result<(), Error> {
        if self.head(id)?.is_some() {
            return Ok(());
        }
        let named = is_named_by_reinit(&*self.storage, id, &self.settings.context)?;
        Ok(ensure_reinit_is_followed(!named)?)
    }

    /// The rows of a new group and what `write` adds, in one batch. It is a conflict where another
    /// writer was first.
    pub(super) fn begin<T>(
        &self,
        state: GroupState,
        batch: Batch,
        write: impl FnOnce(&mut Beginning<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.begin_over(state, batch, Existing::Refused, write)
    }

    /// As [`Self::begin`], where a group with this id may exist, or have existed. What may begin is
    /// judged by the head row that the write then depends on.
    pub(super) fn begin_over<T>(
        &self,
        state: GroupState,
        mut batch: Batch,
        existing: Existing,
        write: impl FnOnce(&mut Beginning<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let id = state.group_id().clone();
        let slot = self.slot(&id);
        let mut slot = lock(&slot);
        let before = self.head(&id)?;
        let key = Kind::Head.row(&id);
        let (next_in, next_out) = match &before {
            Some((head, revision)) => {
                existing.ensure_may_begin(head, state.epoch())?;
                batch.preconditions.push(Precondition::At(key, *revision));
                (head.next_in, head.next_out)
            }
            None => {
                batch.preconditions.push(Precondition::Absent(key));
                (0, 0)
            }
        };
        put_new_group(&state, &mut batch)?;
        let mut head = Head {
            status: Status::Active,
            cipher_suite: self.settings.suite.id(),
            epoch: state.epoch(),
            own_leaf: state.own_leaf(),
            next_in,
            next_out,
            staged: None,
            last_commit: Vec::new(),
            discarded: Vec::new(),
        };
        let mut beginning = Beginning { group: &id, head: &mut head, batch: &mut batch };
        let outcome = write(&mut beginning)?;
        head.put(&id, &mut batch)?;
        match self.storage.apply(batch) {
            Ok(revision) => {
                let group =
                    LoadedGroup { head, revision, state, staged: None, signers: Vec::new() };
                *slot = Slot::Loaded(Box::new(group));
                Ok(outcome)
            }
            Err(error) => {
                *slot = Slot::Unloaded;
                Err(error.into())
            }
        }
    }

    fn find_key_package(&self, welcome: &Welcome) -> Result<(Key, crate::storage::Row), Error> {
        self.settings.ensure_supported(welcome.cipher_suite)?;
        let length = self.settings.suite.spec().hash.length;
        let own = |reference: &[u8]| reference.len() == length;
        for entry in welcome.secrets.iter().filter(|entry| own(entry.new_member.as_bytes())) {
            let key = key_package_key(&entry.new_member);
            if let Some(row) = self.storage.read(&key)? {
                return Ok((key, row));
            }
        }
        Err(Unready::UnknownKeyPackage.into())
    }

    /// Deletes a group unseen, whatever state its rows are in.
    pub(super) fn forget(&self, id: &GroupId) -> Result<(), Error> {
        let slot = self.slot(id);
        let mut slot = lock(&slot);
        for _ in 0..ATTEMPTS {
            let (mut head, revision) = self.head(id)?.ok_or(Unready::UnknownGroup)?;
            let mut batch = Batch::default();
            batch.preconditions.push(Precondition::At(Kind::Head.row(id), revision));
            delete_group(id, &mut batch);
            batch.deletes.push(Kind::Joining.row(id));
            batch.delete_prefixes.extend([Kind::Out, Kind::In].map(|kind| kind.of_group(id)));
            // The numbers go on where they were, should the client join again.
            (head.status, head.staged) = (Status::Removed, None);
            (head.last_commit, head.discarded) = (Vec::new(), Vec::new());
            head.put(id, &mut batch)?;
            *slot = Slot::Unloaded;
            match self.storage.apply(batch) {
                Err(StorageError::Conflict) => {}
                other => return Ok(other.map(drop)?),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// The messages of all staged Commits.
    pub(super) fn staged_messages(&self) -> Result<Vec<Outgoing>, Error> {
        let mut messages = Vec::new();
        for (key, row) in self.storage.scan(&Prefix::new(&[Kind::Staged.name()]))? {
            let Some(id) = key.component(1).map(GroupId::new) else { continue };
            let (number, epoch, bytes) = staged_message(&row.value)?;
            let id = DeliveryId::outgoing(&id, number);
            messages.push(Outgoing::new(id, epoch, OutgoingKind::Commit, bytes));
        }
        Ok(messages)
    }
}

/// Whether this is an MLSMessage with a PublicMessage inside, by its first bytes (RFC 9420 section
/// 6): the only kind that an external Commit comes in.
fn is_public(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 1, 0, 1])
}

/// A group that begins, before its batch is written.
pub(super) struct Beginning<'a> {
    group: &'a GroupId,
    pub(super) head: &'a mut Head,
    pub(super) batch: &'a mut Batch,
}

impl Beginning<'_> {
    pub(super) fn next_in(&mut self) -> DeliveryId {
        let number = self.head.next_in;
        self.head.next_in = number.saturating_add(1);
        DeliveryId::incoming(self.group, number)
    }

    pub(super) fn next_out(&mut self) -> DeliveryId {
        let number = self.head.next_out;
        self.head.next_out = number.saturating_add(1);
        DeliveryId::outgoing(self.group, number)
    }
}
