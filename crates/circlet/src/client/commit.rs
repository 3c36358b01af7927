use std::fmt;

use crate::crypto::HashReference;
use crate::error::{Error, Misuse};
use crate::group::{ByReference, CommitOutcome, CommitRequest, LeafChange, StagedCommit};
use crate::message::Proposal;
use crate::rows::LoadedGroup;
use crate::schedule::Psk;
use crate::tree::{Extensions, LeafIndex, ProposalType};

use super::Group;
use super::outgoing::{DeliveryId, Outgoing, OutgoingKind};
use super::plan::{self, Staged};

/// Collects what a Commit does. Beside that, it takes all proposals that wait, a ReInit if nothing
/// else does: that closes the group.
///
/// ```
/// # use circlet::Client;
/// # fn main() -> Result<(), circlet::Error> {
/// # let (alice, bob) = (Client::builder("alice").build()?, Client::builder("bob").build()?);
/// # let group = alice.create_group()?;
/// let pending = group.commit().add(bob.key_package()?).stage()?;
/// // … hand pending.message() to the delivery service; once it has accepted:
/// let confirmed = pending.confirm()?;
/// assert_eq!(confirmed.outcome().added.len(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a Commit is made by `stage`"]
pub struct CommitBuilder<'a> {
    group: &'a Group,
    request: CommitRequest,
    psks: Vec<Psk>,
    without: Vec<HashReference>,
    new_signature_key: bool,
    /// The first thing that went wrong, told by `stage`.
    error: Option<Error>,
}

/// A Commit that waits for the delivery service's word. Nothing has changed yet; it survives a
/// restart ([`Group::pending_commit`]).
#[derive(Clone)]
#[must_use = "a Commit takes effect when it is confirmed"]
pub struct PendingCommit {
    group: Group,
    message: Outgoing,
    ratchet_tree: Option<Vec<u8>>,
    outcome: CommitOutcome,
}

/// A [`PendingCommit`] that adds somebody.
#[derive(Clone, Debug)]
#[must_use = "an invitation takes effect when it is confirmed"]
pub struct PendingInvite(PendingCommit);

/// A Commit that took effect.
#[derive(Clone, Debug)]
pub struct Confirmed {
    outcome: CommitOutcome,
    welcome: Option<Outgoing>,
}

/// An invitation that took effect.
#[derive(Clone, Debug)]
pub struct Invited {
    outcome: CommitOutcome,
    welcome: Outgoing,
}

impl<'a> CommitBuilder<'a> {
    pub(super) fn new(group: &'a Group) -> Self {
        let framing = group.inner().framing(&[]);
        let request = CommitRequest { framing, ..CommitRequest::default() };
        let (psks, without) = (Vec::new(), Vec::new());
        Self { group, request, psks, without, new_signature_key: false, error: None }
    }

    /// Adds the client of a key package, an encoded MLSMessage.
    #[allow(clippy::should_implement_trait, reason = "it adds a member, and nobody writes `+`")]
    pub fn add(self, key_package: impl AsRef<[u8]>) -> Self {
        match self.group.read_key_package(key_package.as_ref()) {
            Ok(key_package) => self.propose(Proposal::Add(key_package)),
            Err(error) => self.fail(error),
        }
    }

    /// Removes the member at a leaf.
    pub fn remove(self, leaf_index: LeafIndex) -> Self {
        self.propose(Proposal::Remove(leaf_index))
    }

    /// Injects a pre-shared key that all members have ([`Client::add_psk`](super::Client::add_psk)).
    pub fn psk(self, psk_id: impl Into<Vec<u8>>) -> Self {
        self.inject(Psk::External { psk_id: psk_id.into() })
    }

    /// Replaces the group's extensions.
    pub fn extensions(self, extensions: Extensions) -> Self {
        self.propose(Proposal::GroupContextExtensions(extensions))
    }

    /// Gives this client a new signature key in this group, with the same credential unless
    /// [`Self::leaf`] changes that too. The key that it began with stays that of its key packages
    /// and other groups.
    pub fn new_signature_key(mut self) -> Self {
        self.new_signature_key = true;
        self
    }

    /// Changes this client's own leaf beside its keys; the validator judges a new credential.
    pub fn leaf(mut self, change: LeafChange) -> Self {
        self.request.leaf = change;
        self
    }

    /// Proposes something of the application's own: see [`Group::propose_custom`]. Whoever gets the
    /// Commit finds it in [`CommitOutcome::custom`].
    ///
    /// [`Self::stage`] gives [`Misuse::UnregisteredProposalType`] if the type is not registered, and
    /// [`Error::Violation`] if a member lacks it.
    pub fn custom(self, proposal_type: ProposalType, body: impl Into<Vec<u8>>) -> Self {
        self.propose(Proposal::Custom { proposal_type, body: body.into() })
    }

    /// Takes none of the proposals that wait. They are of this epoch, and so gone with it once the
    /// Commit is confirmed: whoever still wants them proposes them anew.
    pub fn without_waiting_proposals(mut self) -> Self {
        self.request.by_reference = ByReference::Nothing;
        self
    }

    /// Takes all of the proposals that wait but this one, by
    /// [`ReceivedProposal::reference`](super::ReceivedProposal::reference) or
    /// [`WaitingProposal::reference`](super::WaitingProposal). It is gone with the epoch. May be said
    /// more than once; a reference that nothing has changes nothing.
    ///
    /// ```
    /// # use circlet::{Client, Received};
    /// # fn main() -> Result<(), circlet::Error> {
    /// # let (alice, bob) = (Client::builder("alice").build()?, Client::builder("bob").build()?);
    /// # let carol = Client::builder("carol").build()?;
    /// # let group = alice.create_group()?;
    /// # let bobs = bob.join(group.invite([bob.key_package()?])?.confirm()?.welcome())?;
    /// let wire = bobs.propose_add(carol.key_package()?)?;
    /// let Received::Proposal(unwanted) = group.receive(&wire)? else { panic!("no proposal") };
    ///
    /// let pending = group.commit().without(unwanted.reference()).stage()?;
    /// assert!(pending.outcome().added.is_empty());
    /// assert_eq!(pending.outcome().left_out, [unwanted.reference().clone()]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn without(mut self, reference: &HashReference) -> Self {
        self.without.push(reference.clone());
        self
    }

    /// Leaves a ReInit that waits alone: this Commit does not close the group.
    pub fn without_reinit(mut self) -> Self {
        self.request.by_reference = ByReference::FittingButReInit;
        self
    }

    /// Makes no path where the Commit can do without: cheaper, but this client's keys are not
    /// renewed.
    pub fn without_path(mut self) -> Self {
        self.request.force_path = false;
        self
    }

    /// Leaves the ratchet tree out of the Welcome: the joiners get
    /// [`PendingCommit::ratchet_tree`] in another way.
    pub fn tree_outside(mut self) -> Self {
        self.request.tree_in_welcome = false;
        self
    }

    /// Sends data along that is authenticated, not encrypted.
    pub fn authenticated_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.request.framing.authenticated_data = data.into();
        self
    }

    pub(super) fn group(&self) -> &Group {
        self.group
    }

    pub(super) fn propose(mut self, proposal: Proposal) -> Self {
        self.request.by_value.push(proposal);
        self
    }

    pub(super) fn inject(mut self, psk: Psk) -> Self {
        self.psks.push(psk);
        self
    }

    pub(super) fn fail(self, error: Error) -> Self {
        Self { error: self.error.or(Some(error)), ..self }
    }

    /// Makes the Commit and keeps it as staged.
    ///
    /// # Errors
    /// [`Misuse::CommitStaged`] if there is one already; [`Misuse::NotKeyPackage`];
    /// [`Misuse::UnregisteredProposalType`]; [`Misuse::UnregisteredCredentialType`];
    /// [`Error::Violation`] if the proposals are not valid;
    /// [`Refused::Credential`](crate::Refused::Credential);
    /// [`Unready::UnknownPsk`](crate::Unready::UnknownPsk); the store or the generator failed.
    pub fn stage(self) -> Result<PendingCommit, Error> {
        self.stage_it()
    }

    /// As [`Self::stage`], for Commits that add somebody.
    ///
    /// # Errors
    /// As for [`Self::stage`]; [`Misuse::NotKeyPackage`] if nobody would be added.
    pub(super) fn stage_invite(self) -> Result<PendingInvite, Error> {
        if !self.request.by_value.iter().any(|held| matches!(held, Proposal::Add(_))) {
            return Err(self.error.unwrap_or(Misuse::NotKeyPackage.into()));
        }
        self.stage_it().map(PendingInvite)
    }

    fn stage_it(mut self) -> Result<PendingCommit, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        for psk in self.psks {
            let id = self.group.psk_id(psk)?;
            self.request.by_value.push(Proposal::PreSharedKey(id));
        }
        let (request, without) = (self.request, self.without);
        let (inner, new_key) = (self.group.inner(), self.new_signature_key);
        let staged = inner.run(self.group.id(), |group, env| {
            let by_reference = taken(&request.by_reference, &without, group);
            let request = CommitRequest { by_reference, ..request.clone() };
            plan::stage(group, request, new_key, env)
        });
        let Staged { message, ratchet_tree, outcome } = staged?;
        Ok(PendingCommit { group: self.group.clone(), message, ratchet_tree, outcome })
    }
}

/// What a Commit takes of what waits, where these are to be left out too.
fn taken(chosen: &ByReference, without: &[HashReference], group: &LoadedGroup) -> ByReference {
    let mut left_out = without.to_vec();
    match chosen {
        ByReference::FittingButReInit if !left_out.is_empty() => {
            let waiting = group.state.proposals.iter();
            let reinits = waiting.filter(|held| matches!(*held.proposal, Proposal::ReInit(_)));
            left_out.extend(reinits.map(|held| held.reference.clone()));
            ByReference::FittingBut(left_out)
        }
        ByReference::Fitting if !left_out.is_empty() => ByReference::FittingBut(left_out),
        other => other.clone(),
    }
}

impl PendingCommit {
    pub(super) fn found(group: &Group, number: u64, staged: &StagedCommit) -> Self {
        let id = DeliveryId::outgoing(group.id(), number);
        Self {
            group: group.clone(),
            message: Outgoing::new(
                id,
                staged.parent_epoch,
                OutgoingKind::Commit,
                staged.message().to_vec(),
            ),
            ratchet_tree: staged.ratchet_tree().map(<[u8]>::to_vec),
            outcome: staged.outcome().clone(),
        }
    }

    /// The Commit, for the delivery service.
    #[must_use]
    pub fn message(&self) -> &Outgoing {
        &self.message
    }

    /// What it will have done when it is confirmed.
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        &self.outcome
    }

    /// The ratchet tree for the joiners, encoded as in its extension, if it is not in the Welcome.
    #[must_use]
    pub fn ratchet_tree(&self) -> Option<&[u8]> {
        self.ratchet_tree.as_deref()
    }

    /// The delivery service has accepted the Commit: its epoch begins, and the Welcome is
    /// released (RFC 9420 section 14).
    ///
    /// # Errors
    /// [`Misuse::CommitConfirmed`] if it took effect before, such as by its echo: its Welcome is
    /// among [`Client::unsent`](super::Client::unsent). [`Misuse::CommitGone`] if it was discarded,
    /// or another Commit was first. The store failed.
    pub fn confirm(self) -> Result<Confirmed, Error> {
        let number = self.message.id().number();
        let (outcome, welcome) = self
            .group
            .inner()
            .run(self.group.id(), |group, _| plan::confirm(group, number, &self.message))?;
        Ok(Confirmed { outcome, welcome })
    }

    /// The delivery service has refused the Commit, or it is no longer wanted. The key that it
    /// was encrypted with stays spent.
    ///
    /// # Errors
    /// As for [`Self::confirm`].
    pub fn discard(self) -> Result<(), Error> {
        let number = self.message.id().number();
        self.group.inner().run(self.group.id(), |group, _| plan::discard(group, number))
    }
}

impl PendingInvite {
    /// The Commit, for the delivery service.
    #[must_use]
    pub fn message(&self) -> &Outgoing {
        self.0.message()
    }

    /// As [`PendingCommit::outcome`].
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        self.0.outcome()
    }

    /// As [`PendingCommit::confirm`].
    ///
    /// # Errors
    /// As for [`PendingCommit::confirm`].
    pub fn confirm(self) -> Result<Invited, Error> {
        let Confirmed { outcome, welcome } = self.0.confirm()?;
        Ok(Invited { outcome, welcome: welcome.ok_or(Error::Internal)? })
    }

    /// As [`PendingCommit::discard`].
    ///
    /// # Errors
    /// As for [`PendingCommit::confirm`].
    pub fn discard(self) -> Result<(), Error> {
        self.0.discard()
    }
}

impl Confirmed {
    /// What the Commit did.
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        &self.outcome
    }

    /// The Welcome for those who were added, if anybody was.
    #[must_use]
    pub fn welcome(self) -> Option<Outgoing> {
        self.welcome
    }
}

impl Invited {
    /// What the Commit did.
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        &self.outcome
    }

    /// The Welcome for those who were added: one for all of them.
    #[must_use]
    pub fn welcome(self) -> Outgoing {
        self.welcome
    }
}

impl fmt::Debug for CommitBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitBuilder").field("request", &self.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for PendingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCommit").field("message", &self.message).finish_non_exhaustive()
    }
}
