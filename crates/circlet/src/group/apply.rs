use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::Error;
use crate::identity::CredentialUse;
use crate::message::{KeyPackage, Proposal, ReInit, Sender};
use crate::mutation::off;
use crate::rules::Violation;
use crate::rules::commit::{check_outcome, ensure_client_is_new};
use crate::rules::leaf::{
    Requirements, check_added, check_leaf_in_group, check_update, ensure_group_context_extensions,
    tolerate_the_tree_before,
};
use crate::rules::proposals::Resolved;
use crate::schedule::PreSharedKeyId;
use crate::tree::{
    Extensions, LeafIndex, LeafNode, LeafPosition, RatchetTree, RequiredCapabilities,
};

use super::step::NextEpoch;
use super::{EpochState, FormerMember, GroupState, ReviewItem};

/// A list of proposals, applied (section 12.3).
#[derive(Debug)]
pub(super) struct Applied {
    /// The tree with them, still without the Commit's path.
    pub(super) tree: RatchetTree,
    /// The group's extensions with them.
    pub(super) extensions: Extensions,
    pub(super) required: Option<RequiredCapabilities>,
    extensions_changed: bool,
    pub(super) added: Vec<(LeafIndex, KeyPackage)>,
    pub(super) updated: Vec<LeafIndex>,
    pub(super) removed: Vec<LeafIndex>,
    /// In the order of the list.
    pub(super) psks: Vec<PreSharedKeyId>,
    pub(super) reinit: Option<ReInit>,
    /// In the order of the list.
    pub(super) custom: Vec<(Sender, Arc<Proposal>)>,
    /// What is new to this client: proposals by reference were judged when they were received.
    pub(super) items: Vec<ReviewItem>,
}

/// What is known of the proposals of a list that are there by reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// They are held against all rules again, whatever they were held against when they came.
    Unverified,
    /// This client commits what it has verified itself: what can be said of each alone was said
    /// when it came, its signatures before all.
    Verified,
}

impl GroupState {
    /// V-12.3-01: applies a list that [`check_list`](crate::rules::proposals::check_list) has passed,
    /// in the order of section 12.3: extensions, Updates, Removes, Adds. V-12.1.4-04: pre-shared keys
    /// in the order of the list.
    pub(super) fn apply_list(
        &self,
        tree: &RatchetTree,
        list: &[Resolved],
        now: Option<u64>,
        waited: Waited,
    ) -> Result<Applied, Error> {
        let mut applied = self.apply_extensions(tree, list)?;
        if off("V-12.3-01") {
            self.apply_adds(&mut applied, list, now, waited)?;
        }
        for item in list {
            if let (Proposal::Update(leaf), Sender::Member(sender)) = (&*item.proposal, item.sender)
            {
                self.apply_update(&mut applied, sender, leaf, item.reference.is_none(), waited)?;
            }
        }
        for item in list {
            if let Proposal::Remove(removed) = &*item.proposal {
                applied.tree.remove(*removed)?;
                applied.removed.push(*removed);
            }
        }
        if !off("V-12.3-01") {
            self.apply_adds(&mut applied, list, now, waited)?;
        }
        applied.psks = list.iter().filter_map(psk_of).cloned().collect();
        if off("V-12.1.4-04") {
            applied.psks.reverse();
        }
        applied.custom = list.iter().filter_map(custom_of).collect();
        Ok(applied)
    }

    fn apply_adds(
        &self,
        applied: &mut Applied,
        list: &[Resolved],
        now: Option<u64>,
        waited: Waited,
    ) -> Result<(), Error> {
        for item in list {
            if let Proposal::Add(key_package) = &*item.proposal {
                let by_value = item.reference.is_none();
                let verified = !by_value && waited == Waited::Verified;
                let now = by_value.then_some(now).flatten();
                self.apply_add(applied, key_package, now, verified)?;
                if by_value {
                    applied.items.push(item_of(&key_package.leaf_node, CredentialUse::Add));
                }
            }
        }
        Ok(())
    }

    /// V-8.1-04: the group's extensions stay, but for a GroupContextExtensions. V-12.1.7-02: new
    /// extensions take the place of all old ones. V-12.3-02: what else is in the list is held
    /// against the new ones. V-12.1.7-04: the application judges external senders, of a proposal by
    /// reference when it was received.
    pub(super) fn apply_extensions(
        &self,
        tree: &RatchetTree,
        list: &[Resolved],
    ) -> Result<Applied, Error> {
        let mut extensions = match off("V-8.1-04") {
            true => Extensions::new(),
            false => self.epoch.context.extensions.clone(),
        };
        let mut extensions_changed = false;
        let mut reinit = None;
        let mut items = Vec::new();
        for item in list {
            match &*item.proposal {
                Proposal::GroupContextExtensions(new) => {
                    ensure_group_context_extensions(new)?;
                    self.settings.ensure_extensions(new)?;
                    self.settings.check_external_senders(new)?;
                    if item.reference.is_none() && !off("V-12.1.7-04") {
                        items.extend(items_of_senders(
                            new,
                            &self.settings,
                            CredentialUse::ExternalSender,
                        ));
                    }
                    match off("V-12.1.7-02") {
                        true => new.iter().for_each(|held| extensions.set(held.clone())),
                        false => extensions = new.clone(),
                    }
                    extensions_changed = true;
                }
                Proposal::ReInit(parameters) => {
                    self.check_reinit(parameters)?;
                    reinit = Some(parameters.clone());
                }
                _ => {}
            }
        }
        let judged = match off("V-12.3-02") {
            true => &self.epoch.context.extensions,
            false => &extensions,
        };
        Ok(Applied {
            tree: tree.clone(),
            required: judged.required_capabilities(&self.settings.context)?,
            extensions,
            extensions_changed,
            added: Vec::new(),
            updated: Vec::new(),
            removed: Vec::new(),
            psks: Vec::new(),
            reinit,
            custom: Vec::new(),
            items,
        })
    }

    fn apply_update(
        &self,
        applied: &mut Applied,
        sender: LeafIndex,
        leaf: &LeafNode,
        by_value: bool,
        waited: Waited,
    ) -> Result<(), Error> {
        let old = self.epoch.tree.leaf(sender).ok_or(Violation::UnknownSender)?;
        self.settings.ensure_leaf_length(leaf)?;
        let requirements = applied.requirements(&self.settings);
        match by_value || waited == Waited::Unverified {
            true => check_update(leaf, old, self.position(sender), requirements)?,
            false => check_leaf_in_group(leaf, requirements)?,
        }
        if by_value {
            applied.items.push(replacing(leaf, old, CredentialUse::Update));
        }
        applied.tree.update(sender, leaf.clone())?;
        applied.updated.push(sender);
        Ok(())
    }

    fn apply_add(
        &self,
        applied: &mut Applied,
        key_package: &KeyPackage,
        now: Option<u64>,
        verified: bool,
    ) -> Result<(), Error> {
        let requirements = applied.requirements(&self.settings);
        match verified {
            true => check_leaf_in_group(&key_package.leaf_node, requirements)?,
            false => check_added(key_package, requirements)?,
        }
        self.settings.ensure_leaf_length(&key_package.leaf_node)?;
        self.settings.ensure_total_lifetime(&key_package.leaf_node)?;
        tolerate_the_tree_before(&self.epoch.tree, &key_package.leaf_node)?;
        if let Some(now) = now {
            self.settings.ensure_lifetime_received(&key_package.leaf_node, now)?;
        }
        let Applied { tree, added, removed, .. } = &*applied;
        ensure_client_is_new(&self.epoch.tree, removed, tree, added, &key_package.leaf_node)?;
        // V-7.7-02.
        let limit = if off("V-7.7-02") { u32::MAX } else { self.settings.limits().leaves };
        let leaf = applied.tree.add(key_package.leaf_node.clone(), limit)?;
        applied.added.push((leaf, key_package.clone()));
        Ok(())
    }

    pub(super) fn position(&self, leaf_index: LeafIndex) -> LeafPosition<'_> {
        LeafPosition { group_id: self.group_id().as_bytes(), leaf_index }
    }

    /// What changes with this epoch for those who ask about the one before.
    pub(super) fn next_epoch(
        &self,
        epoch: EpochState,
        changed: &BTreeSet<LeafIndex>,
        reinit: Option<ReInit>,
    ) -> NextEpoch {
        let former = changed.iter().filter_map(|leaf| {
            let before = self.epoch.tree.leaf(*leaf).map(owner_of);
            let after = epoch.tree.leaf(*leaf).map(owner_of);
            (before != after).then_some((*leaf, before))
        });
        let former = former.collect();
        let tree_changes = epoch.tree.changes_since(&self.epoch.tree);
        NextEpoch { tree_changes, former, epoch, reinit }
    }
}

impl Applied {
    pub(super) fn requirements<'a>(&'a self, settings: &'a super::Settings) -> Requirements<'a> {
        Requirements {
            suite: &settings.suite,
            extensions: &self.extensions,
            required: self.required.as_ref(),
        }
    }

    /// The leaves that are not as they were, the committer's among them if it has a path.
    pub(super) fn changed(&self, committer: Option<LeafIndex>) -> BTreeSet<LeafIndex> {
        let added = self.added.iter().map(|(leaf, _)| *leaf);
        added
            .chain(self.updated.iter().copied())
            .chain(self.removed.iter().copied())
            .chain(committer)
            .collect()
    }

    /// What can only be said of the tree with the path in it.
    pub(super) fn check_outcome(&self, changed: &BTreeSet<LeafIndex>) -> Result<(), Violation> {
        let new = (&self.extensions, self.required.as_ref());
        check_outcome(&self.tree, changed, self.extensions_changed.then_some(new))
    }
}

/// The question about a leaf that replaces another.
pub(super) fn replacing(new: &LeafNode, old: &LeafNode, reason: CredentialUse) -> ReviewItem {
    let replaced = Some((old.credential.clone(), old.signature_key.clone()));
    ReviewItem { replaced, ..item_of(new, reason) }
}

/// The question about a leaf that replaces none.
pub(super) fn item_of(leaf: &LeafNode, reason: CredentialUse) -> ReviewItem {
    ReviewItem {
        credential: leaf.credential.clone(),
        signature_key: leaf.signature_key.clone(),
        replaced: None,
        reason,
    }
}

fn owner_of(leaf: &LeafNode) -> FormerMember {
    FormerMember { credential: leaf.credential.clone(), signature_key: leaf.signature_key.clone() }
}

/// The questions about a group's external senders; none if their extension can't be read, which is
/// an error of its own wherever it occurs.
pub(super) fn items_of_senders(
    extensions: &Extensions,
    settings: &super::Settings,
    reason: CredentialUse,
) -> Vec<ReviewItem> {
    let senders = extensions.external_senders(&settings.context).ok().flatten();
    let item = move |sender: crate::tree::ExternalSender| ReviewItem {
        credential: sender.credential,
        signature_key: sender.signature_key,
        replaced: None,
        reason,
    };
    senders.into_iter().flatten().map(item).collect()
}

fn custom_of(item: &Resolved) -> Option<(Sender, Arc<Proposal>)> {
    let custom = matches!(*item.proposal, Proposal::Custom { .. });
    custom.then(|| (item.sender, item.proposal.clone()))
}

fn psk_of(item: &Resolved) -> Option<&PreSharedKeyId> {
    match &*item.proposal {
        Proposal::PreSharedKey(id) => Some(id),
        _ => None,
    }
}
