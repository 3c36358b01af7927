use super::parent_hash::parent_hash;
use super::subtree::{LeafChange, Subtree};
use super::visits::visit;
use super::{LeafIndex, NodeIndex, ParentNode, RatchetTree, TreeError};
use crate::crypto::{HpkePublicKey, Suite};
use crate::mutation::off;

/// A node of a filtered direct path (RFC 9420 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathNode {
    /// The node on the direct path.
    pub node: NodeIndex,
    /// Its child that is not on the path and whose resolution is not empty.
    pub copath: NodeIndex,
}

impl RatchetTree {
    /// The nodes above a leaf, from the lowest to the root, without those whose child on the
    /// leaf's copath has an empty resolution (section 4.1.2). Empty for a leaf outside of the tree.
    #[must_use]
    pub fn filtered_direct_path(&self, leaf: LeafIndex) -> Vec<PathNode> {
        let mut path = Vec::new();
        if !self.width().has_leaf(leaf) {
            return path;
        }
        let (mut subtree, mut place) = (&self.root, self.place());
        while let Subtree::Parent(slot) = subtree {
            visit();
            let (left, right) = ((&slot.left, place.left()), (&slot.right, place.right()));
            let (on_path, sibling) = match leaf < place.middle() {
                true => (left, right),
                false => (right, left),
            };
            if !sibling.0.is_blank() {
                path.push(PathNode { node: place.node(), copath: sibling.1.node() });
            }
            (subtree, place) = on_path;
        }
        path.reverse();
        path
    }

    /// Sets the parents above a member's leaf as an UpdatePath does (section 7.5): the nodes of the
    /// filtered direct path get these keys, from the lowest to the root, no unmerged leaves, and
    /// their parent hashes (section 7.9); the others become blank. Returns the parent hash for the
    /// leaf, which is empty if the filtered direct path is.
    ///
    /// # Errors
    /// [`TreeError::NoSuchLeaf`], [`TreeError::PathLength`], or the provider failed.
    pub fn set_path(
        &mut self,
        suite: &Suite,
        leaf: LeafIndex,
        keys: &[HpkePublicKey],
    ) -> Result<Vec<u8>, TreeError> {
        if self.leaf(leaf).is_none() {
            return Err(TreeError::NoSuchLeaf(leaf));
        }
        let path = self.filtered_direct_path(leaf);
        if path.len() != keys.len() {
            return Err(TreeError::PathLength { expected: path.len(), actual: keys.len() });
        }
        let mut above = Vec::new();
        let mut contents = Vec::with_capacity(path.len());
        for (PathNode { node, copath }, key) in path.into_iter().zip(keys).rev() {
            // Without unmerged leaves the original tree hash is the tree hash (section 7.9).
            let sibling = self.subtree_hash(suite, copath)?;
            let hash = parent_hash(suite, key, &above, &sibling)?.as_bytes().to_vec();
            let parent_hash = std::mem::replace(&mut above, hash);
            let encryption_key = key.clone();
            // V-7.5-04.
            let unmerged_leaves = match self.parent(node) {
                Some(before) if off("V-7.5-04") => before.unmerged_leaves.clone(),
                _ => Vec::new(),
            };
            contents.push((node, ParentNode { encryption_key, parent_hash, unmerged_leaves }));
        }
        contents.reverse();
        self.set_parents(leaf, LeafChange::Keep, contents);
        Ok(above)
    }
}
