use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::codec::{Encode, Limits};
use crate::crypto::{HashReference, HpkePrivateKey};
use crate::message::{Proposal, Sender};
use crate::mutation::off;
use crate::rules::leaf::ensure_lifetime;
use crate::rules::proposals::Resolved;
use crate::tree::{LeafIndex, RatchetTree};

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

    /// What a Commit of this member takes from the cache beside the proposals that it has by
    /// value: all that the rules of section 12.2 let it take, but for those left out. Where they contradict each other, a
    /// Remove goes before an Update, a later Update before an earlier one (V-12.2-06), and
    /// everything before a ReInit (V-12.2-13).
    pub(crate) fn select(
        &self,
        committer: LeafIndex,
        (by_value, left_out): (&[Proposal], &[HashReference]),
        tree: &RatchetTree,
        now: Option<u64>,
    ) -> Vec<Resolved> {
        let is_wanted = |held: &&CachedProposal| !left_out.contains(&held.reference);
        let may_be_sent = |held: &&CachedProposal| match (&*held.proposal, now) {
            // V-7.3-07: the committer answers for the lifetimes of all that it adds.
            (Proposal::Add(key_package), Some(now)) => {
                ensure_lifetime(&key_package.leaf_node, now).is_ok()
            }
            _ => true,
        };
        let mut waiting: Vec<&CachedProposal> =
            self.by_reference.values().filter(is_wanted).filter(may_be_sent).collect();
        waiting.sort_by_key(|proposal| proposal.sequence);
        let mut taken = Taken::new(committer, by_value, tree, &waiting);
        let mut selected: Vec<&CachedProposal> = Vec::new();
        // From the latest, so that a later Update or list of extensions wins.
        for proposal in waiting.iter().rev() {
            if taken.take(proposal) {
                selected.push(proposal);
            }
        }
        if selected.is_empty() && by_value.is_empty() {
            selected.extend(
                waiting.iter().rev().find(|held| matches!(*held.proposal, Proposal::ReInit(_))),
            );
        }
        selected.reverse();
        selected
            .into_iter()
            .map(|held| Resolved {
                sender: held.sender,
                proposal: held.proposal.clone(),
                reference: Some(held.reference.clone()),
            })
            .collect()
    }
}

/// The proposal's length in bytes; one that is too long to encode does not come from the wire.
fn length(proposal: &Proposal) -> usize {
    proposal.to_bytes().map_or(0, |bytes| bytes.len())
}

/// What is spoken for while proposals are selected.
struct Taken<'a> {
    committer: LeafIndex,
    tree: &'a RatchetTree,
    /// Leaves with a Remove in the list.
    removed: BTreeSet<LeafIndex>,
    /// Leaves with a Remove that waits, and so will be in the list.
    leaving: BTreeSet<LeafIndex>,
    updated: BTreeSet<LeafIndex>,
    signature_keys: BTreeSet<&'a [u8]>,
    encryption_keys: BTreeSet<&'a [u8]>,
    psks: BTreeSet<&'a crate::schedule::PreSharedKeyId>,
    extensions: bool,
    closed: bool,
}

impl<'a> Taken<'a> {
    fn new(
        committer: LeafIndex,
        by_value: &'a [Proposal],
        tree: &'a RatchetTree,
        waiting: &[&'a CachedProposal],
    ) -> Self {
        let mut taken = Self {
            committer,
            tree,
            removed: BTreeSet::new(),
            leaving: BTreeSet::new(),
            updated: BTreeSet::new(),
            signature_keys: BTreeSet::new(),
            encryption_keys: BTreeSet::new(),
            psks: BTreeSet::new(),
            extensions: false,
            closed: false,
        };
        for proposal in by_value {
            taken.note(proposal);
        }
        // Removes go before Updates, and free the removed members' keys for Adds.
        let by_reference = waiting.iter().filter_map(|held| match *held.proposal {
            Proposal::Remove(removed) if removed != committer => Some(removed),
            _ => None,
        });
        taken.leaving.extend(by_reference);
        taken
    }

    fn note(&mut self, proposal: &'a Proposal) {
        match proposal {
            Proposal::Remove(removed) => {
                self.removed.insert(*removed);
            }
            Proposal::Add(key_package) => {
                self.signature_keys.insert(key_package.leaf_node.signature_key.as_bytes());
                self.encryption_keys.insert(key_package.leaf_node.encryption_key.as_bytes());
            }
            Proposal::PreSharedKey(id) => {
                self.psks.insert(id);
            }
            Proposal::GroupContextExtensions(_) => self.extensions = true,
            Proposal::ReInit(_) => self.closed = true,
            _ => {}
        }
    }

    fn take(&mut self, held: &'a CachedProposal) -> bool {
        if self.closed {
            return false;
        }
        match (&*held.proposal, held.sender) {
            (Proposal::Remove(removed), _) => {
                *removed != self.committer && self.removed.insert(*removed)
            }
            (Proposal::Update(leaf), Sender::Member(sender)) => {
                sender != self.committer
                    && !self.leaves(sender)
                    && self.updated.insert(sender)
                    && self.take_keys(&leaf.signature_key, &leaf.encryption_key, Some(sender))
            }
            (Proposal::Add(key_package), _) => {
                let leaf = &key_package.leaf_node;
                self.take_keys(&leaf.signature_key, &leaf.encryption_key, None)
            }
            (Proposal::PreSharedKey(id), _) => self.psks.insert(id),
            (Proposal::GroupContextExtensions(_), _) => {
                !std::mem::replace(&mut self.extensions, true)
            }
            (Proposal::Custom { .. }, _) => true,
            (Proposal::ReInit(_), _) => off("V-12.2-13"),
            _ => false,
        }
    }

    fn leaves(&self, leaf: LeafIndex) -> bool {
        !off("V-12.2-06") && self.goes(leaf)
    }

    fn goes(&self, leaf: LeafIndex) -> bool {
        self.removed.contains(&leaf) || self.leaving.contains(&leaf)
    }

    /// Whether both keys are free: in no node but those of members that leave, and in no other
    /// proposal.
    fn take_keys(
        &mut self,
        signature_key: &'a crate::crypto::SignaturePublicKey,
        encryption_key: &'a crate::crypto::HpkePublicKey,
        own: Option<LeafIndex>,
    ) -> bool {
        let owner = self.tree.signature_key_owner(signature_key);
        owner.is_none_or(|leaf| Some(leaf) == own || self.leaves(leaf))
            && !self.tree.has_encryption_key(encryption_key)
            && self.signature_keys.insert(signature_key.as_bytes())
            && self.encryption_keys.insert(encryption_key.as_bytes())
    }
}
