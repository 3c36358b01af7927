use std::collections::BTreeMap;

use crate::tree::{LeafIndex, NodeIndex, StoredNode};

/// In which epoch each member's leaf came to be what it is, and with it the member's encryption
/// key: every change of a leaf brings a new one (RFC 9420 sections 7.3 and 12.4.2). Of the leaves
/// that a joiner finds it knows no more than that they were there.
#[derive(Debug)]
pub(crate) struct KeyEpochs {
    /// That of all leaves that are not among the later ones.
    first: u64,
    later: BTreeMap<LeafIndex, u64>,
}

impl KeyEpochs {
    /// What a member knows in the epoch that it begins with.
    pub(crate) fn new(first: u64) -> Self {
        Self { first, later: BTreeMap::new() }
    }

    /// What was stored of all members.
    pub(crate) fn restore(stored: &[(LeafIndex, u64)]) -> Self {
        let first = stored.iter().map(|(_, epoch)| *epoch).min().unwrap_or_default();
        let later = stored.iter().copied().filter(|(_, epoch)| *epoch != first);
        Self { first, later: later.collect() }
    }

    /// That of a member's leaf.
    pub(crate) fn of(&self, leaf: LeafIndex) -> u64 {
        self.later.get(&leaf).copied().unwrap_or(self.first)
    }

    /// What an epoch changes in the tree.
    pub(crate) fn apply(&mut self, epoch: u64, changes: &[(NodeIndex, Option<StoredNode>)]) {
        for (node, change) in changes {
            let Some(leaf) = node.leaf() else { continue };
            match change {
                Some(_) => self.later.insert(leaf, epoch),
                None => self.later.remove(&leaf),
            };
        }
    }
}
