use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::crypto::{Digest, HpkePrivateKey, Mac, Secret, SignaturePublicKey};
use crate::error::{Error, Misuse};
use crate::identity::Credential;
use crate::message::{GroupContext, GroupId, Proposal, ReInit, Sender};
use crate::mutation::{any_off, off};
use crate::schedule::{EpochSecrets, InitSecret, SecretTree, SkippedKeys};
use crate::tree::{LeafIndex, NodeIndex, RatchetTree};

use super::key_epochs::KeyEpochs;
use super::past::{FormerMembers, Owner, PastEpoch};
use super::pending::ProposalCache;
use super::step::{Change, NextEpoch, RatchetUse};
use super::{Settings, Step};

/// One member's view of a group: a value that operations compute a next one of.
///
/// There is no `Clone`: after an operation one value per group is alive, so that the secrets of
/// the one before are gone (RFC 9420 section 9.2).
#[derive(Debug)]
pub struct GroupState {
    pub(crate) settings: Settings,
    pub(crate) own_leaf: LeafIndex,
    pub(crate) epoch: EpochState,
    pub(crate) proposals: ProposalCache,
    /// The oldest first.
    pub(crate) past: VecDeque<PastEpoch>,
    pub(crate) former: FormerMembers,
    pub(crate) key_epochs: KeyEpochs,
    pub(crate) skipped: SkippedKeys,
    pub(crate) status: Status,
    /// The ReInit of the Commit that closed the group.
    pub(crate) reinit: Option<ReInit>,
    /// Counts the steps that were applied, so that a stale one is recognised.
    pub(crate) version: u64,
}

/// Whether a group can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// This client is a member.
    Active,
    /// This client was removed.
    Removed,
    /// A ReInit closed the group.
    Reinitialized,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the tree. Another member may get it after this one has left.
    pub leaf_index: LeafIndex,
    /// Who it is.
    pub credential: Credential,
    /// Verifies what it signs.
    pub signature_key: SignaturePublicKey,
}

/// Everything about a group that begins and ends with an epoch.
#[derive(Debug)]
pub(crate) struct EpochState {
    pub(crate) context: GroupContext,
    /// The context's encoding, which is signed, hashed and encrypted under.
    pub(crate) context_bytes: Arc<[u8]>,
    pub(crate) tree: RatchetTree,
    pub(crate) secrets: EpochSecrets,
    pub(crate) interim_transcript_hash: Digest,
    pub(crate) confirmation_tag: Mac,
    /// The private keys of this member's leaf and of the nodes above it that it knows.
    pub(crate) private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
    pub(crate) secret_tree: SecretTree,
}

impl GroupState {
    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.epoch.context.group_id
    }

    /// How many commits there were.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.context.epoch
    }

    /// What all members agree on.
    #[must_use]
    pub fn context(&self) -> &GroupContext {
        &self.epoch.context
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.epoch.tree
    }

    /// What the group is computed with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// This client's own leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafIndex {
        self.own_leaf
    }

    /// Whether the group can still be used.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The group that is to take the place of this one, once a ReInit has closed it.
    #[must_use]
    pub fn reinit(&self) -> Option<&ReInit> {
        self.reinit.as_ref()
    }

    /// Whether proposals wait for a Commit.
    #[must_use]
    pub fn has_pending_proposals(&self) -> bool {
        !self.proposals.is_empty()
    }

    /// The proposals that wait for a Commit, by whom they were made, in the order in which they
    /// came.
    pub fn waiting_proposals(&self) -> impl Iterator<Item = (Sender, &Proposal)> {
        let mut waiting: Vec<_> = self.proposals.iter().collect();
        waiting.sort_by_key(|held| held.sequence);
        waiting.into_iter().map(|held| (held.sender, &*held.proposal))
    }

    /// The members, by leaf.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.epoch.tree.members().map(|(leaf_index, leaf)| Member {
            leaf_index,
            credential: leaf.credential.clone(),
            signature_key: leaf.signature_key.clone(),
        })
    }

    /// The member at a leaf in the present epoch.
    #[must_use]
    pub fn member(&self, leaf_index: LeafIndex) -> Option<Member> {
        self.member_in(leaf_index, self.epoch())
    }

    /// The member at a leaf in an epoch: the present one, or one whose keys are still kept.
    #[must_use]
    pub fn member_in(&self, leaf_index: LeafIndex, epoch: u64) -> Option<Member> {
        if epoch != self.epoch() && self.past_epoch(epoch).is_none() {
            return None;
        }
        match self.former.owner(leaf_index, epoch) {
            Owner::Former(former) => former.map(|former| Member {
                leaf_index,
                credential: former.credential.clone(),
                signature_key: former.signature_key.clone(),
            }),
            Owner::Present => self.epoch.tree.leaf(leaf_index).map(|leaf| Member {
                leaf_index,
                credential: leaf.credential.clone(),
                signature_key: leaf.signature_key.clone(),
            }),
        }
    }

    /// V-16.0-03: the epoch in which a member got its present encryption key, by being added, by an
    /// Update or by a Commit; for one that was there before this client, at most that in which this
    /// client joined. `None` for a blank leaf.
    #[must_use]
    pub fn key_epoch(&self, leaf_index: LeafIndex) -> Option<u64> {
        self.epoch.tree.leaf(leaf_index)?;
        Some(if off("V-16.0-03") { self.epoch() } else { self.key_epochs.of(leaf_index) })
    }

    /// The other members whose encryption key has been the same for at least so many epochs, by
    /// leaf. As long as they have not deleted it, whoever gets hold of it reads what it protects:
    /// an application should remove who is offline for too long (section 16.6).
    pub fn idle_members(&self, epochs: u64) -> impl Iterator<Item = Member> {
        let is_idle = move |member: &Member| {
            let since = self.key_epoch(member.leaf_index);
            since.is_some_and(|since| self.epoch().saturating_sub(since) >= epochs)
        };
        self.members().filter(|member| member.leaf_index != self.own_leaf).filter(is_idle)
    }

    /// A secret for the application that all members of the epoch share (section 8.5), bound to
    /// the epoch: it should be asked for anew after each Commit. The label should say what the
    /// secret is for and be used for nothing else; IANA has a registry of them (section 17.8).
    ///
    /// # Errors
    /// [`Misuse::ExportLength`] if `length` is over 65,535 or 255 × Nh bytes, [`Misuse::NotMember`]
    /// after this client was removed.
    pub fn export(&self, label: &str, context: &[u8], length: usize) -> Result<Secret, Error> {
        if self.status == Status::Removed {
            return Err(Misuse::NotMember.into());
        }
        let suite = &self.settings.suite;
        if length > usize::from(u16::MAX) || length > 255 * suite.secret_length() {
            return Err(Misuse::ExportLength.into());
        }
        Ok(self.epoch.secrets.export(suite, label, context, length)?)
    }

    /// A value that members compare to know that they are in the same epoch (section 8.7).
    #[must_use]
    pub fn epoch_authenticator(&self) -> &Secret {
        &self.epoch.secrets.epoch_authenticator
    }

    /// The resumption PSK of the present epoch or one that is still kept (section 8.6).
    pub(super) fn resumption_psk(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        if group_id != self.group_id().as_bytes() {
            return None;
        }
        if epoch == self.epoch() {
            return Some(self.epoch.secrets.resumption_psk.clone());
        }
        self.past_epoch(epoch).map(|past| past.resumption_psk.clone())
    }

    pub(super) fn past_epoch(&self, epoch: u64) -> Option<&PastEpoch> {
        self.past.iter().find(|past| past.epoch == epoch)
    }

    pub(super) fn ensure_active(&self) -> Result<(), Misuse> {
        match self.status {
            Status::Active => Ok(()),
            Status::Removed => Err(Misuse::NotMember),
            // V-12.4.2-15.
            Status::Reinitialized if off("V-12.4.2-15") => Ok(()),
            Status::Reinitialized => Err(Misuse::Reinitialized),
        }
    }

    pub(super) fn step(&self, ratchet: Option<RatchetUse>, change: Change) -> Step {
        Step { group: self.group_id().clone(), from: self.version, ratchet, change }
    }

    /// Goes on to the next value.
    ///
    /// # Errors
    /// [`Misuse::Stale`] if another step was applied since this one was computed; nothing has
    /// changed then.
    pub fn apply(&mut self, step: Step) -> Result<(), Misuse> {
        // V-15.0-04: what was encrypted before a Commit was applied is no step any more.
        let stale = step.from != self.version && !off("V-15.0-04");
        if stale || step.group != *self.group_id() {
            return Err(Misuse::Stale);
        }
        self.version += 1;
        if let Some(used) = step.ratchet {
            self.apply_ratchet(used);
        }
        match step.change {
            Change::Nothing => {}
            Change::Proposal(proposal) => self.proposals.insert(*proposal),
            Change::Epoch(next) => self.apply_epoch(*next),
            Change::Removed => {
                self.status = Status::Removed;
                self.wipe();
            }
        }
        Ok(())
    }

    /// V-9.1-01 and V-9.2-01: a key that has encrypted or decrypted a message is gone with the step.
    fn apply_ratchet(&mut self, used: RatchetUse) {
        if any_off(&["V-9.1-01", "V-9.2-01"]) {
            return;
        }
        if used.epoch == self.epoch() {
            self.epoch.secret_tree.apply(used.tree);
        } else if let Some(past) = self.past.iter_mut().find(|past| past.epoch == used.epoch) {
            past.secret_tree.apply(used.tree);
        }
        self.skipped.apply(used.skipped);
    }

    fn apply_epoch(&mut self, next: NextEpoch) {
        let old = std::mem::replace(&mut self.epoch, next.epoch);
        let last = old.context.epoch;
        let mut secret_tree = old.secret_tree;
        secret_tree.drop_handshake();
        self.skipped.apply(self.skipped.plan_handshake_expiry(last));
        self.past.push_back(PastEpoch {
            epoch: last,
            context_bytes: old.context_bytes,
            sender_data_secret: old.secrets.sender_data_secret,
            resumption_psk: old.secrets.resumption_psk,
            secret_tree,
        });
        self.key_epochs.apply(last + 1, &next.tree_changes);
        // The old tree lets go first, so that the new one can take over its index.
        drop(old.tree);
        self.epoch.tree.compact();
        for (leaf, former) in next.former {
            self.former.insert(leaf, last, former);
        }
        let oldest = self.oldest_kept_after(last + 1);
        self.past.retain_mut(|past| past.epoch >= oldest || past.stays());
        self.skipped.apply(self.skipped.plan_expiry(oldest));
        self.former.remove(&self.former.before(oldest));
        // V-12.1-02: what waited in the epoch before waits no more.
        if !off("V-12.1-02") {
            self.proposals.clear();
        }
        if next.reinit.is_some() {
            self.status = Status::Reinitialized;
            self.reinit = next.reinit;
        }
    }

    /// The oldest epoch whose keys are kept once the group is in `epoch`.
    pub(crate) fn oldest_kept_after(&self, epoch: u64) -> u64 {
        let kept = u64::try_from(self.settings.limits().past_epochs).unwrap_or(u64::MAX);
        epoch.saturating_sub(kept)
    }

    /// Drops every secret.
    fn wipe(&mut self) {
        let gone = Secret::new(&[]);
        self.epoch.secrets = EpochSecrets {
            sender_data_secret: gone.clone(),
            exporter_secret: gone.clone(),
            external_secret: gone.clone(),
            confirmation_key: gone.clone(),
            membership_key: gone.clone(),
            resumption_psk: gone.clone(),
            epoch_authenticator: gone.clone(),
            init_secret: InitSecret::new(gone),
        };
        self.epoch.private_keys.clear();
        self.epoch.secret_tree =
            SecretTree::restore(self.epoch.tree.width(), std::iter::empty(), std::iter::empty());
        self.past.clear();
        self.skipped = SkippedKeys::default();
        self.former = FormerMembers::default();
        self.proposals.clear();
    }
}

/// The member's credential, for people.
impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.credential.fmt(f)
    }
}
