//! Parent hashes (RFC 9420 section 7.9).

use std::collections::BTreeMap;

use super::subtree::{Place, Subtree};
use super::visits::visit;
use super::{LeafIndex, LeafNodeSource, NodeIndex, ParentNode, RatchetTree, TreeError, hash};
use crate::codec::Writer;
use crate::crypto::{CryptoError, Digest, HpkePublicKey, Suite};
use crate::mutation::off;

/// The hash of a ParentHashInput: the parent hash of a node with this key and `parent_hash` field
/// and a child whose original tree hash is `sibling`.
pub(super) fn parent_hash(
    suite: &Suite,
    key: &HpkePublicKey,
    above: &[u8],
    sibling: &Digest,
) -> Result<Digest, CryptoError> {
    let mut writer = Writer::new();
    writer.opaque(key.as_bytes());
    writer.opaque(above);
    writer.opaque(sibling.as_bytes());
    suite.hash(&[&writer.finish()?])
}

/// Original tree hashes of one tree, each computed once as long as the leaves that are left out
/// of a subtree are the same.
pub(crate) struct OriginalHashes<'a> {
    tree: &'a RatchetTree,
    suite: &'a Suite,
    known: BTreeMap<NodeIndex, (&'a [LeafIndex], Digest)>,
}

impl<'a> OriginalHashes<'a> {
    pub(crate) fn new(tree: &'a RatchetTree, suite: &'a Suite) -> Self {
        Self { tree, suite, known: BTreeMap::new() }
    }

    /// The parent hash of `parent` with the child `sibling` on the copath. The parent's unmerged
    /// leaves must be in ascending order.
    pub(crate) fn parent_hash(
        &mut self,
        parent: &'a ParentNode,
        sibling: NodeIndex,
    ) -> Result<Digest, TreeError> {
        let place = self.tree.place_of(sibling).ok_or(TreeError::NoSuchNode(sibling))?;
        let added = within(&parent.unmerged_leaves, place);
        let original = match self.tree.at(sibling) {
            Some(subtree) => self.original(subtree, place, added)?,
            None => hash::blank(self.suite, place)?,
        };
        Ok(parent_hash(self.suite, &parent.encryption_key, &parent.parent_hash, &original)?)
    }

    /// The tree hash of a subtree with the leaves in `added` blank and in no list of unmerged
    /// leaves (V-7.9-02).
    fn original(
        &mut self,
        subtree: &'a Subtree,
        place: Place,
        added: &'a [LeafIndex],
    ) -> Result<Digest, CryptoError> {
        visit();
        if added.is_empty() {
            return subtree.hash(self.suite, place);
        }
        let Subtree::Parent(slot) = subtree else {
            return hash::blank(self.suite, place);
        };
        match self.known.get(&place.node()) {
            Some((same, digest)) if *same == added => return Ok(*digest),
            _ => {}
        }
        let left = within(added, place.left());
        let left = self.original(&slot.left, place.left(), left)?;
        let right = within(added, place.right());
        let right = self.original(&slot.right, place.right(), right)?;
        let content = slot.content.as_ref().map(|content| without(content, added));
        let digest = hash::parent(self.suite, content.as_ref(), &left, &right)?;
        self.known.insert(place.node(), (added, digest));
        Ok(digest)
    }
}

/// The `parent_hash` field of a leaf or parent; `None` for a blank node and for a leaf that was not
/// set by a Commit.
pub(crate) fn parent_hash_field(tree: &RatchetTree, node: NodeIndex) -> Option<&[u8]> {
    let Some(leaf) = node.leaf() else {
        return tree.parent(node).map(|parent| parent.parent_hash.as_slice());
    };
    match &tree.leaf(leaf)?.source {
        LeafNodeSource::Commit(parent_hash) => Some(parent_hash),
        LeafNodeSource::KeyPackage(_) | LeafNodeSource::Update => None,
    }
}

/// The leaves of an ascending list that are inside of a subtree.
fn within(leaves: &[LeafIndex], place: Place) -> &[LeafIndex] {
    let first = place.first_leaf();
    let from = leaves.partition_point(|leaf| *leaf < first);
    let (_, leaves) = leaves.split_at_checked(from).unwrap_or_default();
    let to = leaves.partition_point(|leaf| leaf.0 - first.0 < place.leaves());
    leaves.split_at_checked(to).unwrap_or_default().0
}

fn without(parent: &ParentNode, added: &[LeafIndex]) -> ParentNode {
    let is_kept = |leaf: &&LeafIndex| added.binary_search(leaf).is_err() || off("V-7.9-02");
    let kept = parent.unmerged_leaves.iter().filter(is_kept);
    ParentNode {
        encryption_key: parent.encryption_key.clone(),
        parent_hash: parent.parent_hash.clone(),
        unmerged_leaves: kept.copied().collect(),
    }
}
