//! What rules ask about the whole group, kept up to date with the tree: which keys are in use and
//! what the members support. A change costs O(log n), a clone what changed since
//! [`InUse::compact`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::visits::visit;
use super::{ExtensionType, LeafIndex, LeafNode, NodeIndex, ProposalType};
use crate::crypto::{HpkePublicKey, SignaturePublicKey};
use crate::identity::CredentialType;

#[derive(Clone, Default)]
pub(super) struct InUse {
    pub(super) encryption_keys: KeyOwners<HpkePublicKey>,
    pub(super) signature_keys: KeyOwners<SignaturePublicKey>,
    pub(super) features: Counts,
}

/// Something that a number of members support or use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Feature {
    Extension(ExtensionType),
    Proposal(ProposalType),
    Credential(CredentialType),
    /// The type of a member's own credential.
    CredentialUsed(CredentialType),
}

/// Keys with the number of the node or leaf that has them. A key may have several owners while a
/// tree that is not valid is built or judged.
#[derive(Clone)]
pub(super) struct KeyOwners<K> {
    base: Arc<BTreeSet<(K, u32)>>,
    /// Entries that differ from the base: whether they are there.
    changes: BTreeMap<(K, u32), bool>,
    /// Entries beyond the first of each key.
    repeated: usize,
}

/// How many members have each feature.
#[derive(Clone, Default)]
pub(super) struct Counts {
    base: Arc<BTreeMap<Feature, u32>>,
    /// Counts that differ from the base.
    changes: BTreeMap<Feature, u32>,
}

impl InUse {
    pub(super) fn insert_leaf(&mut self, index: LeafIndex, leaf: &LeafNode) {
        if let Some(node) = index.node() {
            self.encryption_keys.insert(&leaf.encryption_key, node.0);
        }
        self.signature_keys.insert(&leaf.signature_key, index.0);
        for feature in features(leaf) {
            let count = self.features.count(feature).saturating_add(1);
            self.features.set(feature, count);
        }
    }

    pub(super) fn remove_leaf(&mut self, index: LeafIndex, leaf: &LeafNode) {
        if let Some(node) = index.node() {
            self.encryption_keys.remove(&leaf.encryption_key, node.0);
        }
        self.signature_keys.remove(&leaf.signature_key, index.0);
        for feature in features(leaf) {
            let count = self.features.count(feature).saturating_sub(1);
            self.features.set(feature, count);
        }
    }

    pub(super) fn insert_parent(&mut self, node: NodeIndex, key: &HpkePublicKey) {
        self.encryption_keys.insert(key, node.0);
    }

    pub(super) fn remove_parent(&mut self, node: NodeIndex, key: &HpkePublicKey) {
        self.encryption_keys.remove(key, node.0);
    }

    /// Merges the changes into the base, if no other tree shares it.
    pub(super) fn compact(&mut self) {
        self.encryption_keys.own_base();
        self.signature_keys.own_base();
        self.features.own_base();
    }
}

/// Each feature of a leaf once, however often the leaf lists it.
fn features(leaf: &LeafNode) -> BTreeSet<Feature> {
    let capabilities = &leaf.capabilities;
    let extensions = capabilities.extensions.iter().copied().map(Feature::Extension);
    let proposals = capabilities.proposals.iter().copied().map(Feature::Proposal);
    let credentials = capabilities.credentials.iter().copied().map(Feature::Credential);
    let used = Feature::CredentialUsed(leaf.credential.credential_type());
    extensions.chain(proposals).chain(credentials).chain([used]).collect()
}

impl<K> Default for KeyOwners<K> {
    fn default() -> Self {
        Self { base: Arc::default(), changes: BTreeMap::new(), repeated: 0 }
    }
}

impl<K: Clone + Ord> KeyOwners<K> {
    /// An owner of the key.
    pub(super) fn owner(&self, key: &K) -> Option<u32> {
        self.owners(key).next()
    }

    /// Every owner of the key.
    pub(super) fn owners(&self, key: &K) -> impl Iterator<Item = u32> {
        let from = (key.clone(), 0);
        let held = self.base.range(from.clone()..).take_while(|entry| entry.0 == *key);
        let held = held.filter(|entry| self.changes.get(entry) != Some(&false));
        let added = self.changes.range(from..).take_while(|(entry, _)| entry.0 == *key);
        let added = added.filter_map(|(entry, there)| there.then_some(entry));
        held.chain(added).inspect(|_| visit()).map(|(_, owner)| *owner)
    }

    /// Whether some key has more than one owner.
    pub(super) fn has_repeated(&self) -> bool {
        self.repeated > 0
    }

    fn insert(&mut self, key: &K, owner: u32) {
        if self.owner(key).is_some() {
            self.repeated = self.repeated.saturating_add(1);
        }
        self.set((key.clone(), owner), true);
    }

    fn remove(&mut self, key: &K, owner: u32) {
        self.set((key.clone(), owner), false);
        if self.owner(key).is_some() {
            self.repeated = self.repeated.saturating_sub(1);
        }
    }

    fn set(&mut self, entry: (K, u32), there: bool) {
        if let Some(base) = self.own_base() {
            change(base, entry, there);
        } else if self.base.contains(&entry) == there {
            self.changes.remove(&entry);
        } else {
            self.changes.insert(entry, there);
        }
    }

    /// The base with the changes merged into it; `None` if another tree shares it.
    fn own_base(&mut self) -> Option<&mut BTreeSet<(K, u32)>> {
        let base = Arc::get_mut(&mut self.base)?;
        for (entry, there) in std::mem::take(&mut self.changes) {
            visit();
            change(base, entry, there);
        }
        Some(base)
    }
}

fn change<T: Ord>(set: &mut BTreeSet<T>, entry: T, there: bool) {
    match there {
        true => set.insert(entry),
        false => set.remove(&entry),
    };
}

impl Counts {
    pub(super) fn count(&self, feature: Feature) -> u32 {
        let changed = self.changes.get(&feature);
        changed.or_else(|| self.base.get(&feature)).copied().unwrap_or_default()
    }

    /// The credential types that members have.
    pub(super) fn credential_types_used(&self) -> impl Iterator<Item = CredentialType> {
        // The last variant: only such entries are walked, however much members list.
        let used = Feature::CredentialUsed(CredentialType(0))..;
        let base = self.base.range(used.clone()).map(|(feature, _)| feature);
        let changes = self.changes.range(used).map(|(feature, _)| feature);
        let known: BTreeSet<&Feature> = base.chain(changes).collect();
        known.into_iter().filter_map(|feature| match feature {
            Feature::CredentialUsed(used) if self.count(*feature) > 0 => Some(*used),
            _ => None,
        })
    }

    fn set(&mut self, feature: Feature, count: u32) {
        match self.own_base() {
            Some(base) => change_count(base, feature, count),
            None => {
                self.changes.insert(feature, count);
            }
        }
    }

    /// The base with the changes merged into it; `None` if another tree shares it.
    fn own_base(&mut self) -> Option<&mut BTreeMap<Feature, u32>> {
        let base = Arc::get_mut(&mut self.base)?;
        for (feature, count) in std::mem::take(&mut self.changes) {
            change_count(base, feature, count);
        }
        Some(base)
    }
}

fn change_count(counts: &mut BTreeMap<Feature, u32>, feature: Feature, count: u32) {
    match count {
        0 => counts.remove(&feature),
        _ => counts.insert(feature, count),
    };
}
