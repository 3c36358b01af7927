use std::sync::Arc;

use crate::codec::Encode;
use crate::crypto::{HashReference, Rng};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{BasicValidator, CredentialUse, CredentialValidator, Signer};
use crate::message::{AuthenticatedContent, Content, GroupId, Proposal, Sender};
use crate::mutation::off;
use crate::rules::Violation;
use crate::rules::leaf::{
    Requirements, check_added, check_update, ensure_group_context_extensions,
};
use crate::rules::proposals::{
    Resolved, check_proposal, ensure_not_external_init, ensure_type_is_readable,
};
use crate::tree::{Extensions, LeafNode, LeafNodeContent, LeafNodeSource};

use super::apply::{item_of, items_of_senders, replacing};
use super::open::Verified;
use super::pending::CachedProposal;
use super::step::{Change, RatchetUse};
use super::{Framing, GroupState, Judge, LeafChange, ReviewItem, Signers, Step};

/// A proposal that was authenticated and is valid by itself.
#[derive(Debug)]
pub struct OpenedProposal {
    group: GroupId,
    cached: CachedProposal,
    known: bool,
    items: Vec<ReviewItem>,
    from: u64,
    ratchet: Option<RatchetUse>,
}

impl OpenedProposal {
    /// The proposal.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        &self.cached.proposal
    }

    /// Who proposed it.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.cached.sender
    }

    /// Whether the proposal waits already: the message came again, from whoever carries messages.
    /// Its place among those that wait stays what it was.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The credentials that the application has to judge, where the proposal brings any: that of a
    /// leaf, or of external senders.
    #[must_use]
    pub fn review_items(&self) -> &[ReviewItem] {
        &self.items
    }

    /// Accepts the proposal after its credentials were judged: it waits for a Commit.
    pub fn accept(self) -> (HashReference, Step) {
        let reference = self.cached.reference.clone();
        let Self { group, cached, known, from, ratchet, .. } = self;
        let change = match known {
            true => Change::Nothing,
            false => Change::Proposal(Box::new(cached)),
        };
        (reference, Step { group, from, ratchet, change })
    }

    /// Asks the validator, then accepts.
    ///
    /// # Errors
    /// [`Refused::Credential`].
    pub fn review(
        self,
        state: &GroupState,
        validator: &dyn CredentialValidator,
    ) -> Result<(HashReference, Step), Error> {
        for item in &self.items {
            item.ask(validator, state.group_id())?;
        }
        Ok(self.accept())
    }
}

impl GroupState {
    /// Proposes a change to the group (section 12.1): an encoded MLSMessage. The judge says whether an added credential is
    /// accepted and its key package in time.
    ///
    /// # Errors
    /// [`Error::Violation`] if the proposal is not valid by itself; [`Refused::Credential`]; [`Misuse::NotMember`]; the
    /// generator or the signer failed. An own Update is made by [`Self::propose_update`].
    pub fn propose(
        &self,
        proposal: Proposal,
        judge: &Judge<'_>,
        framing: &Framing,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, HashReference, Step), Error> {
        self.ensure_active()?;
        if let (Proposal::Add(key_package), Some(now)) = (&proposal, judge.now) {
            self.settings.ensure_lifetime_to_send(&key_package.leaf_node, now)?;
        }
        for item in self.items_of_proposal(&proposal, Sender::Member(self.own_leaf)) {
            item.ask(judge.validator, self.group_id())?;
        }
        self.propose_with(proposal, None, framing, signer, rng)
    }

    /// Proposes a new encryption key for this member's own leaf (section 12.1.2).
    ///
    /// # Errors
    /// As for [`Self::propose`].
    pub fn propose_update(
        &self,
        framing: &Framing,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, HashReference, Step), Error> {
        let leaf = LeafChange::default();
        self.propose_leaf(&leaf, &BasicValidator, framing, Signers::of(signer), rng)
    }

    /// As [`Self::propose_update`], with other changes to the leaf and a new signature key, if there
    /// are any; the validator judges the new credential and key. From the Commit on that takes the
    /// Update, this member signs with the new key.
    ///
    /// # Errors
    /// As for [`Self::propose`].
    pub fn propose_leaf(
        &self,
        leaf: &LeafChange,
        validator: &dyn CredentialValidator,
        framing: &Framing,
        signers: Signers<'_>,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, HashReference, Step), Error> {
        let old = self.epoch.tree.leaf(self.own_leaf).ok_or(Error::Internal)?;
        let signer = signers.of_leaf();
        let keys = self.settings.suite.generate_key_pair(rng)?;
        let content = LeafNodeContent {
            encryption_key: keys.public,
            signature_key: signer.public_key().clone(),
            source: LeafNodeSource::Update,
            ..leaf.apply(old)
        };
        let new = LeafNode::sign(content, self.position(self.own_leaf), signer)?;
        if *leaf != LeafChange::default() || signers.next.is_some() {
            replacing(&new, old, CredentialUse::Update).ask(validator, self.group_id())?;
        }
        self.propose_with(Proposal::Update(new), Some(keys.private), framing, signers.present, rng)
    }

    fn propose_with(
        &self,
        proposal: Proposal,
        leaf_key: Option<crate::crypto::HpkePrivateKey>,
        framing: &Framing,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, HashReference, Step), Error> {
        self.ensure_active()?;
        let sender = Sender::Member(self.own_leaf);
        if matches!(proposal, Proposal::Update(_)) && leaf_key.is_none() {
            return Err(Misuse::NoSuchMember.into());
        }
        ensure_type_is_readable(&proposal, &self.epoch.tree)?;
        self.ensure_senders_are_readable(&proposal)?;
        let proposal = Arc::new(proposal);
        self.check_alone(&proposal, sender)?;
        self.ensure_cache_has_room(sender, &proposal)?;
        let signed =
            self.sign_content(Content::Proposal(Proposal::clone(&proposal)), framing, signer)?;
        let reference = signed.reference(&self.settings.suite)?;
        let (message, ratchet) = self.protect(signed, framing.padding, rng)?;
        let cached = CachedProposal {
            sequence: self.proposals.next_sequence(),
            reference: reference.clone(),
            sender,
            proposal,
            leaf_key,
        };
        let step = self.step(ratchet, Change::Proposal(Box::new(cached)));
        Ok((self.sendable(message.to_bytes()?)?, reference, step))
    }

    /// Nobody is let in as an external sender by this client whom some members can't read.
    pub(super) fn ensure_senders_are_readable(&self, proposal: &Proposal) -> Result<(), Error> {
        match proposal {
            Proposal::GroupContextExtensions(new) => {
                self.settings.ensure_senders_are_readable(new, &self.epoch.tree)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn open_proposal(
        &self,
        verified: Verified,
        now: Option<u64>,
    ) -> Result<OpenedProposal, Error> {
        self.ensure_active()?;
        let (content, ratchet) = verified.into_parts();
        let reference = content.reference(&self.settings.suite)?;
        let AuthenticatedContent { content, .. } = content;
        let Content::Proposal(proposal) = content.content else { return Err(Error::Internal) };
        let proposal = Arc::new(proposal);
        let known = self.proposals.find(&reference).is_some();
        if !known {
            self.ensure_cache_has_room(content.sender, &proposal)?;
        }
        self.check_alone(&proposal, content.sender)?;
        if let (Proposal::Add(key_package), Some(now)) = (&*proposal, now) {
            self.settings.ensure_lifetime_received(&key_package.leaf_node, now)?;
        }
        let items = self.items_of_proposal(&proposal, content.sender);
        let cached = CachedProposal {
            sequence: self.proposals.next_sequence(),
            reference,
            sender: content.sender,
            proposal,
            leaf_key: None,
        };
        let group = self.group_id().clone();
        Ok(OpenedProposal { group, cached, known, items, from: self.version, ratchet })
    }

    /// What can be said of a proposal without the list that it will be in: the group's extensions
    /// may change in the same Commit (V-12.3-02), so that they are not held against it yet.
    fn check_alone(&self, proposal: &Arc<Proposal>, sender: Sender) -> Result<(), Error> {
        let suite = &self.settings.suite;
        let item = Resolved { sender, proposal: proposal.clone(), reference: None };
        check_proposal(&item, &self.epoch.tree, suite)?;
        ensure_not_external_init(proposal)?;
        let extensions = Extensions::new();
        let requirements = Requirements { suite, extensions: &extensions, required: None };
        match (&**proposal, sender) {
            (Proposal::Add(key_package), _) => {
                check_added(key_package, requirements)?;
                self.settings.ensure_leaf_length(&key_package.leaf_node)?;
                self.settings.ensure_total_lifetime(&key_package.leaf_node)?;
            }
            (Proposal::Update(leaf), Sender::Member(sender)) => {
                let old = self.epoch.tree.leaf(sender).ok_or(Violation::UnknownSender)?;
                self.settings.ensure_leaf_length(leaf)?;
                check_update(leaf, old, self.position(sender), requirements)?;
            }
            (Proposal::ReInit(parameters), _) => self.check_reinit(parameters)?,
            (Proposal::GroupContextExtensions(new), _) => {
                ensure_group_context_extensions(new)?;
                self.settings.ensure_extensions(new)?;
                new.required_capabilities(&self.settings.context)?;
                self.settings.check_external_senders(new)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// V-12.1.7-04: what the application judges when a proposal is made or received, and not again
    /// when it is committed by reference.
    fn items_of_proposal(&self, proposal: &Proposal, sender: Sender) -> Vec<ReviewItem> {
        match (proposal, sender) {
            (Proposal::Add(key_package), Sender::NewMemberProposal) => {
                vec![item_of(&key_package.leaf_node, CredentialUse::SelfAdd)]
            }
            (Proposal::Add(key_package), _) => {
                vec![item_of(&key_package.leaf_node, CredentialUse::Add)]
            }
            (Proposal::Update(leaf), Sender::Member(sender)) => {
                let old = self.epoch.tree.leaf(sender);
                old.map(|old| replacing(leaf, old, CredentialUse::Update)).into_iter().collect()
            }
            (Proposal::GroupContextExtensions(new), _) if !off("V-12.1.7-04") => {
                items_of_senders(new, &self.settings, CredentialUse::ExternalSender)
            }
            _ => Vec::new(),
        }
    }

    fn ensure_cache_has_room(&self, sender: Sender, proposal: &Proposal) -> Result<(), Refused> {
        let room = self.proposals.has_room(sender, proposal, self.settings.limits());
        if room { Ok(()) } else { Err(Refused::CachedProposals) }
    }
}
