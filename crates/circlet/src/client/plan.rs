//! What each operation writes and gives, computed without I/O from a group as it is loaded.

use crate::crypto::{Rng, Suite};
use crate::error::{Error, Misuse, Unready};
use crate::group::{
    CommitOutcome, CommitRequest, Framing, GroupState, Judge, LeafChange, NextEpoch, Opened,
    OpenedCommit, OpenedProposal, PskSource, Signers, StagedCommit, Status, Step,
};
use crate::identity::{Credential, CredentialValidator, Signer, SigningKey};
use crate::message::{ContentType, MlsMessage, Proposal};
use crate::mutation::off;
use crate::rows::{
    Head, Kind, LoadedGroup, put_next_epoch, put_signer, put_staged, put_step, signer_key,
};
use crate::storage::Batch;

use super::driver::Defaults;
use super::event::{EpochChange, Message, Received, ReceivedProposal};
use super::outgoing::{DeliveryId, Outgoing, OutgoingKind};

/// How many discarded Commits of one epoch are remembered: the latest.
const DISCARDED: usize = 8;

/// What an operation is computed with, beside the group.
pub(super) struct Env<'a> {
    pub(super) signer: &'a dyn Signer,
    pub(super) validator: &'a dyn CredentialValidator,
    pub(super) psks: &'a dyn PskSource,
    pub(super) now: u64,
    pub(super) rng: &'a mut dyn Rng,
    pub(super) defaults: &'a Defaults,
}

impl<'a> Env<'a> {
    fn judge(&self) -> Judge<'a> {
        Judge { validator: self.validator, psks: self.psks, now: Some(self.now) }
    }
}

/// The outcome of an operation, and what makes it so.
pub(super) struct Plan<T> {
    pub(super) outcome: T,
    /// `None` if nothing is to be written.
    pub(super) write: Option<Write>,
}

/// One batch, and what follows in memory once it is written.
pub(super) struct Write {
    pub(super) batch: Batch,
    pub(super) head: Head,
    pub(super) step: Option<Step>,
    pub(super) staged: StagedChange,
    /// A new signature key for this group alone.
    pub(super) signer: Option<SigningKey>,
}

/// What becomes of the staged Commit.
pub(super) enum StagedChange {
    Keep,
    Drop,
    Set(Box<StagedCommit>),
    /// The staged epoch begins.
    Confirm,
}

impl<T> Plan<T> {
    /// Nothing is written.
    pub(super) fn nothing(outcome: T) -> Self {
        Self { outcome, write: None }
    }
}

/// Collects a [`Write`] from a loaded group.
struct Draft<'a> {
    group: &'a LoadedGroup,
    batch: Batch,
    head: Head,
    signer: Option<SigningKey>,
}

impl<'a> Draft<'a> {
    fn new(group: &'a LoadedGroup) -> Self {
        Self { group, batch: Batch::default(), head: group.head.clone(), signer: None }
    }

    fn state(&self) -> &'a GroupState {
        &self.group.state
    }

    fn step(&mut self, step: &Step) -> Result<(), Error> {
        if let Some(next) = step.next_epoch() {
            self.drop_signers(next);
        }
        put_step(self.state(), step, &mut self.batch)
    }

    /// A new signature key of this client in this group, kept from before it is used.
    fn new_signer(&mut self, env: &mut Env<'_>) -> Result<(), Error> {
        let signer = SigningKey::generate(&self.state().settings().suite, env.rng)?;
        put_signer(self.state().group_id(), &signer, &mut self.batch)?;
        self.signer = Some(signer);
        Ok(())
    }

    /// With a discarded Commit, the key goes that it would have brought.
    fn drop_staged_signer(&mut self) {
        let own = self.state().own_leaf();
        let present = self.state().tree().leaf(own).map(|leaf| &leaf.signature_key);
        let staged = self.group.staged.as_ref().and_then(|staged| staged.next.epoch.tree.leaf(own));
        let key = staged.map(|leaf| &leaf.signature_key).filter(|key| Some(*key) != present);
        let group = self.state().group_id();
        self.batch.deletes.extend(key.map(|key| signer_key(group, key)));
    }

    /// With an epoch, the keys go that are not those of one's leaf in it.
    fn drop_signers(&mut self, next: &NextEpoch) {
        let group = self.state().group_id();
        let own = next.epoch.tree.leaf(self.state().own_leaf()).map(|leaf| &leaf.signature_key);
        let gone =
            self.group.signers.iter().map(Signer::public_key).filter(|key| Some(*key) != own);
        self.batch.deletes.extend(gone.map(|key| signer_key(group, key)));
    }

    fn next_in(&mut self) -> DeliveryId {
        let number = self.head.next_in;
        self.head.next_in = number.saturating_add(1);
        DeliveryId::incoming(self.state().group_id(), number)
    }

    fn next_out(&mut self) -> DeliveryId {
        let number = self.head.next_out;
        self.head.next_out = number.saturating_add(1);
        DeliveryId::outgoing(self.state().group_id(), number)
    }

    fn outgoing(&mut self, kind: OutgoingKind, bytes: Vec<u8>) -> Result<Outgoing, Error> {
        let epoch = self.state().epoch();
        let outgoing = Outgoing::new(self.next_out(), epoch, kind, bytes);
        outgoing.put(&mut self.batch)?;
        Ok(outgoing)
    }

    fn finish<T>(self, step: Option<Step>, staged: StagedChange, outcome: T) -> Plan<T> {
        let Self { batch, head, signer, .. } = self;
        let write = Write { batch, head, step, staged, signer };
        Plan { outcome, write: Some(write) }
    }
}

/// Application data.
pub(super) fn send(
    group: &LoadedGroup,
    data: &[u8],
    authenticated_data: &[u8],
    env: &mut Env<'_>,
) -> Result<Plan<Outgoing>, Error> {
    let mut draft = Draft::new(group);
    let framing = env.defaults.framing(authenticated_data);
    let despite = env.defaults.send_despite_proposals;
    let (message, step) = group.state.send(data, &framing, despite, env.signer, env.rng)?;
    draft.step(&step)?;
    let outgoing = draft.outgoing(OutgoingKind::Application, message)?;
    Ok(draft.finish(Some(step), StagedChange::Keep, outgoing))
}

/// How a client changes its own leaf.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnChange {
    pub(super) leaf: LeafChange,
    /// Whether it gets a new signature key too.
    pub(super) signature_key: bool,
}

/// An Update of one's own leaf.
pub(super) fn propose_update(
    group: &LoadedGroup,
    change: &OwnChange,
    env: &mut Env<'_>,
) -> Result<Plan<Outgoing>, Error> {
    ensure_registered(&group.state, &change.leaf)?;
    let mut draft = Draft::new(group);
    let framing = env.defaults.framing(&[]);
    if change.signature_key {
        draft.new_signer(env)?;
    }
    let signers = signers(env.signer, draft.signer.as_ref());
    let (message, _, step) =
        group.state.propose_leaf(&change.leaf, env.validator, &framing, signers, env.rng)?;
    draft.step(&step)?;
    let outgoing = draft.outgoing(OutgoingKind::Proposal, message)?;
    Ok(draft.finish(Some(step), StagedChange::Keep, outgoing))
}

fn signers<'a>(present: &'a dyn Signer, next: Option<&'a SigningKey>) -> Signers<'a> {
    Signers { present, next: next.map(|next| next as &dyn Signer) }
}

/// A proposal that is no Update.
pub(super) fn propose(
    group: &LoadedGroup,
    proposal: Proposal,
    env: &mut Env<'_>,
) -> Result<Plan<Outgoing>, Error> {
    let mut draft = Draft::new(group);
    let framing = env.defaults.framing(&[]);
    ensure_argument(&group.state, &proposal, &[])?;
    let judge = env.judge();
    let (message, _, step) =
        group.state.propose(proposal, &judge, &framing, env.signer, env.rng)?;
    draft.step(&step)?;
    let outgoing = draft.outgoing(OutgoingKind::Proposal, message)?;
    Ok(draft.finish(Some(step), StagedChange::Keep, outgoing))
}

/// What the caller got wrong is told as that, and not as a rule that a peer broke.
fn ensure_argument(
    state: &GroupState,
    proposal: &Proposal,
    beside: &[Proposal],
) -> Result<(), Misuse> {
    let tree = state.tree();
    match proposal {
        Proposal::Remove(leaf) if tree.leaf(*leaf).is_none() => Err(Misuse::NoSuchMember),
        Proposal::Add(key_package) => {
            let owner = tree.signature_key_owner(&key_package.leaf_node.signature_key);
            let leaves = |leaf| {
                let remove = Proposal::Remove(leaf);
                beside.contains(&remove)
                    || state.waiting_proposals().any(|(_, waiting)| *waiting == remove)
            };
            match owner {
                Some(leaf) if !leaves(leaf) => Err(Misuse::AlreadyMember),
                _ => Ok(()),
            }
        }
        Proposal::Custom { proposal_type, .. } => {
            match state.settings().context.proposal_types.contains_key(&proposal_type.0) {
                true => Ok(()),
                false => Err(Misuse::UnregisteredProposalType(*proposal_type)),
            }
        }
        _ => Ok(()),
    }
}

/// A credential that this client could not read again.
fn ensure_registered(state: &GroupState, change: &LeafChange) -> Result<(), Misuse> {
    let Some(kind) = change.credential.as_ref().map(Credential::credential_type) else {
        return Ok(());
    };
    match kind.is_default() || state.settings().context.credential_types.contains(&kind.0) {
        true => Ok(()),
        false => Err(Misuse::UnregisteredCredentialType(kind)),
    }
}

/// A Commit that waits for the delivery service.
pub(super) struct Staged {
    pub(super) message: Outgoing,
    pub(super) ratchet_tree: Option<Vec<u8>>,
    pub(super) outcome: CommitOutcome,
}

pub(super) fn stage(
    group: &LoadedGroup,
    request: CommitRequest,
    new_signature_key: bool,
    env: &mut Env<'_>,
) -> Result<Plan<Staged>, Error> {
    if group.staged.is_some() {
        return Err(Misuse::CommitStaged.into());
    }
    ensure_registered(&group.state, &request.leaf)?;
    for proposal in &request.by_value {
        ensure_argument(&group.state, proposal, &request.by_value)?;
        if *proposal == Proposal::Remove(group.state.own_leaf()) {
            return Err(Misuse::RemovesSelf.into());
        }
    }
    let mut draft = Draft::new(group);
    if new_signature_key {
        draft.new_signer(env)?;
    }
    let (judge, signers) = (env.judge(), signers(env.signer, draft.signer.as_ref()));
    let (staged, step) = group.state.commit_with(request, &judge, signers, env.rng)?;
    draft.step(&step)?;
    let id = draft.next_out();
    put_staged(group.state.group_id(), id.number(), &staged, &mut draft.batch)?;
    draft.head.staged = Some(id.number());
    let outcome = Staged {
        message: Outgoing::new(
            id,
            group.state.epoch(),
            OutgoingKind::Commit,
            staged.message().to_vec(),
        ),
        ratchet_tree: staged.ratchet_tree().map(<[u8]>::to_vec),
        outcome: staged.outcome().clone(),
    };
    Ok(draft.finish(Some(step), StagedChange::Set(Box::new(staged)), outcome))
}

/// The staged Commit is dropped. What was spent for it stays spent.
pub(super) fn discard(group: &LoadedGroup, number: u64) -> Result<Plan<()>, Error> {
    ensure_staged(group, number)?;
    let mut draft = Draft::new(group);
    if let Some(staged) = &group.staged {
        let hash = message_hash(&group.state.settings().suite, &staged.message)?;
        draft.head.discarded.push(hash);
        let surplus = draft.head.discarded.len().saturating_sub(DISCARDED);
        draft.head.discarded.drain(..surplus);
    }
    draft.head.staged = None;
    draft.drop_staged_signer();
    draft.batch.delete_prefixes.push(Kind::Staged.of_group(group.state.group_id()));
    Ok(draft.finish(None, StagedChange::Drop, ()))
}

/// What a confirmed Commit did, and its Welcome.
pub(super) type Confirmation = (CommitOutcome, Option<Outgoing>);

/// The staged Commit was accepted: its epoch begins.
pub(super) fn confirm(
    group: &LoadedGroup,
    number: u64,
    message: &[u8],
) -> Result<Plan<Confirmation>, Error> {
    if group.head.staged != Some(number)
        && group.head.last_commit == message_hash(&group.state.settings().suite, message)?
    {
        return Err(Misuse::CommitConfirmed.into());
    }
    ensure_staged(group, number)?;
    let mut draft = Draft::new(group);
    let confirmation = begin_staged(group, &mut draft)?;
    Ok(draft.finish(None, StagedChange::Confirm, confirmation))
}

fn ensure_staged(group: &LoadedGroup, number: u64) -> Result<(), Misuse> {
    if group.head.staged == Some(number) { Ok(()) } else { Err(Misuse::CommitGone) }
}

fn begin_staged(group: &LoadedGroup, draft: &mut Draft<'_>) -> Result<Confirmation, Error> {
    let staged = group.staged.as_ref().ok_or(Misuse::CommitGone)?;
    if !group.state.is_parent_of(staged) {
        return Err(Misuse::CommitGone.into());
    }
    put_next_epoch(&group.state, &staged.next, &mut draft.batch)?;
    draft.drop_signers(&staged.next);
    draft.head.staged = None;
    draft.head.epoch = staged.outcome.epoch;
    draft.head.discarded.clear();
    if staged.outcome.reinit.is_some() {
        draft.head.status = Status::Reinitialized;
    }
    draft.head.last_commit = message_hash(&group.state.settings().suite, &staged.message)?;
    let welcome = match &staged.welcome {
        Some(welcome) => {
            let (id, epoch, context) =
                (draft.next_out(), staged.outcome.epoch, &group.state.settings().context);
            // Both are in the order of the leaves: each Add takes the leftmost that is blank
            // (section 12.1.1).
            let added = staged.outcome.added.iter().map(|member| member.credential.clone());
            let welcome = Outgoing::welcome(id, epoch, welcome.clone(), added, context)?;
            let welcome = welcome.with_ratchet_tree(staged.ratchet_tree.clone());
            welcome.put(&mut draft.batch)?;
            Some(welcome)
        }
        None => None,
    };
    Ok((staged.outcome.clone(), welcome))
}

/// Finds the epoch that an external Commit of this client would begin, if one waits.
type JoiningEpoch<'a> = dyn Fn() -> Result<Option<u64>, Error> + 'a;

/// Any message of the group.
pub(super) fn receive(
    group: &LoadedGroup,
    bytes: &[u8],
    env: &mut Env<'_>,
    joining: &JoiningEpoch<'_>,
) -> Result<Plan<Received>, Error> {
    let state = &group.state;
    if group.staged.as_ref().is_some_and(|staged| staged.message == bytes) {
        let mut draft = Draft::new(group);
        let (outcome, welcome) = begin_staged(group, &mut draft)?;
        let change = EpochChange::new(draft.next_in(), outcome, false).with_welcome(welcome);
        let received = Received::Confirmed(change);
        received.put(&mut draft.batch)?;
        return Ok(draft.finish(None, StagedChange::Confirm, received));
    }
    let message = MlsMessage::read(bytes, &state.settings().context)?;
    if is_commit(&message) {
        let hash = message_hash(&state.settings().suite, bytes)?;
        if group.head.last_commit == hash {
            return Ok(Plan::nothing(Received::Own));
        }
        if group.head.discarded.contains(&hash) {
            return Ok(Plan::nothing(Received::Discarded));
        }
    }
    let now = env.defaults.check_received_lifetimes.then_some(env.now);
    let opened = match state.open(message, now) {
        Ok(opened) => opened,
        Err(error) => return unread(error).map(Plan::nothing),
    };
    match opened {
        Opened::Own(_) => Ok(Plan::nothing(Received::Own)),
        Opened::Application(opened) => {
            let mut draft = Draft::new(group);
            let (message, step) = opened.accept();
            draft.step(&step)?;
            let received = Received::Message(Message::new(draft.next_in(), message));
            received.put(&mut draft.batch)?;
            Ok(draft.finish(Some(step), StagedChange::Keep, received))
        }
        Opened::Proposal(opened) => receive_proposal(group, *opened, env),
        Opened::Commit(opened) => receive_commit(group, *opened, env, joining),
    }
}

/// Messages that come twice, too early or too late are no failures: networks do that.
fn unread(error: Error) -> Result<Received, Error> {
    match error {
        Error::Unready(Unready::KeyGone) => Ok(Received::Duplicate),
        Error::Unready(Unready::FutureEpoch { message, .. }) => {
            Ok(Received::Early { epoch: message })
        }
        Error::Unready(
            Unready::ForgottenEpoch { message } | Unready::LateHandshake { message, .. },
        ) => Ok(Received::Late { epoch: message }),
        other => Err(other),
    }
}

fn receive_proposal(
    group: &LoadedGroup,
    opened: OpenedProposal,
    env: &mut Env<'_>,
) -> Result<Plan<Received>, Error> {
    if opened.is_known() {
        return receive_known_proposal(group, opened);
    }
    let mut draft = Draft::new(group);
    let sender = group.state.proposer(opened.sender())?;
    let content = opened.proposal().clone();
    let (reference, step) = opened.review(&group.state, env.validator)?;
    draft.step(&step)?;
    let proposal = ReceivedProposal::new(draft.next_in(), reference, sender, content);
    let received = Received::Proposal(proposal);
    received.put(&mut draft.batch)?;
    Ok(draft.finish(Some(step), StagedChange::Keep, received))
}

/// The same proposal in another message, as deterministic signatures make it, uses that message's
/// key up (RFC 9420 section 9.2). A public message has none.
fn receive_known_proposal(
    group: &LoadedGroup,
    opened: OpenedProposal,
) -> Result<Plan<Received>, Error> {
    let (_, step) = opened.accept();
    if step.ratchet.is_none() {
        return Ok(Plan::nothing(Received::Duplicate));
    }
    let mut draft = Draft::new(group);
    draft.step(&step)?;
    Ok(draft.finish(Some(step), StagedChange::Keep, Received::Duplicate))
}

fn receive_commit(
    group: &LoadedGroup,
    opened: OpenedCommit,
    env: &mut Env<'_>,
    joining: &JoiningEpoch<'_>,
) -> Result<Plan<Received>, Error> {
    let mut draft = Draft::new(group);
    let reviewed = opened.review(env.validator)?;
    let (outcome, step) = group.state.process(reviewed, env.psks)?;
    if outcome.external && outcome.removes_own {
        let received = Received::Replaced(EpochChange::new(draft.next_in(), outcome, false));
        received.put(&mut draft.batch)?;
        return Ok(draft.finish(None, StagedChange::Keep, received));
    }
    draft.step(&step)?;
    let lost = group.staged.is_some();
    // V-12.4.2-17: one's own Commit was not first.
    let staged = match off("V-12.4.2-17") {
        true => StagedChange::Keep,
        false => StagedChange::Drop,
    };
    draft.head.staged = draft.head.staged.filter(|_| off("V-12.4.2-17"));
    let removed = outcome.removes_own;
    // V-12.4.2-17: nor will an external Commit of this client be, for this epoch or one before.
    let overtaken = joining()?.is_some_and(|epoch| epoch <= outcome.epoch);
    if overtaken && !off("V-12.4.2-17") {
        draft.batch.deletes.push(Kind::Joining.row(group.state.group_id()));
    }
    draft.head.epoch = outcome.epoch;
    if removed {
        draft.head.status = Status::Removed;
    } else {
        draft.head.discarded.clear();
    }
    if outcome.reinit.is_some() {
        draft.head.status = Status::Reinitialized;
    }
    let change = EpochChange::new(draft.next_in(), outcome, lost);
    let received = if removed { Received::Removed(change) } else { Received::Commit(change) };
    received.put(&mut draft.batch)?;
    Ok(draft.finish(Some(step), staged, received))
}

fn is_commit(message: &MlsMessage) -> bool {
    match message {
        MlsMessage::Private(message) => message.content_type == ContentType::Commit,
        MlsMessage::Public(message) => {
            message.content.content.content_type() == ContentType::Commit
        }
        _ => false,
    }
}

fn message_hash(suite: &Suite, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(suite.hash(&[bytes])?.as_bytes().to_vec())
}

impl Defaults {
    pub(super) fn framing(&self, authenticated_data: &[u8]) -> Framing {
        Framing {
            authenticated_data: authenticated_data.to_vec(),
            padding: self.padding,
            handshake: self.handshake,
        }
    }
}
