use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::codec::{Encode, Limits};
use crate::crypto::{HashReference, HpkePrivateKey};
use crate::message::{Proposal, Sender};
use crate::mutation::off;
use crate::rules::proposals::Resolved;

/// A proposal of this epoch that waits for a Commit.
#[derive(Clone, Debug)]
pub(crate) struct CachedProposal {
    /// Its place in the order of arrival.
    pub(crate) sequence: u64,
    pub(crate) reference: HashReference,
    pub(crate) sender: Sender,
    pub(crate) proposal: Arc<Proposal>,
    /// The private key of the leaf, if this is one's own Update.
    pub(crate) leaf_key: Option<HpkePrivateKey>,
}

/// The proposals that wait for a Commit. They are gone with the epoch (section 12.1).
#[derive(Debug, Default)]
pub(crate) struct ProposalCache {
    by_reference: BTreeMap<HashReference, CachedProposal>,
    /// What each sender has here; all new members count as one.
    of_senders: BTreeMap<Sender, Share>,
    /// Length of all proposals together.
    bytes: usize,
    /// Whether any of them could be committed, once somebody has asked.
    committable: OnceLock<bool>,
    next: u64,
}

/// How much of the cache one sender has.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl ProposalCache {
    /// V-12.1-02: whether one more proposal of this sender is within the limits.
    pub(crate) fn has_room(&self, sender: Sender, proposal: &Proposal, limits: &Limits) -> bool {
        if off("V-12.1-02") {
            return true;
        }
        let share = self.of_senders.get(&sender).copied().unwrap_or_default();
        let most = match sender {
            Sender::NewMemberProposal => limits.cached_proposals_of_new_members,
            _ => limits.cached_proposals_per_sender,
        };
        let length = length(proposal);
        self.by_reference.len() < limits.cached_proposals
            && share.count < most
            && self.bytes.saturating_add(length) <= limits.cached_proposal_bytes
            && share.bytes.saturating_add(length) <= limits.cached_proposal_bytes_per_sender
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_reference.is_empty()
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next
    }

    pub(crate) fn find(&self, reference: &HashReference) -> Option<&CachedProposal> {
        self.by_reference.get(reference)
    }

    pub(crate) fn insert(&mut self, proposal: CachedProposal) {
        self.committable = OnceLock::new();
        self.next = self.next.max(proposal.sequence.saturating_add(1));
        let length = length(&proposal.proposal);
        self.bytes = self.bytes.saturating_add(length);
        let share = self.of_senders.entry(proposal.sender).or_default();
        share.count += 1;
        share.bytes = share.bytes.saturating_add(length);
        self.by_reference.insert(proposal.reference.clone(), proposal);
    }

    /// What was found out before about whether any could be committed.
    pub(crate) fn committable(&self) -> &OnceLock<bool> {
        &self.committable
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CachedProposal> {
        self.by_reference.values()
    }

    pub(crate) fn clear(&mut self) {
        self.by_reference.clear();
        self.of_senders.clear();
        self.committable = OnceLock::new();
        self.bytes = 0;
    }
}

impl CachedProposal {
    /// As an item of a Commit's list.
    pub(crate) fn resolved(&self) -> Resolved {
        Resolved {
            sender: self.sender,
            proposal: self.proposal.clone(),
            reference: Some(self.reference.clone()),
        }
    }
}

/// The proposal's length in bytes; one that is too long to encode does not come from the wire.
fn length(proposal: &Proposal) -> usize {
    proposal.to_bytes().map_or(0, |bytes| bytes.len())
}
