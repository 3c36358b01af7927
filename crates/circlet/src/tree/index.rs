use std::fmt;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::mutation::off;

/// A leaf's number, from the left (RFC 9420 section 4). Any `u32` may come from the wire: whether
/// the tree has such a leaf is the tree's to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafIndex(pub u32);

/// A node's number in the array form of a tree (RFC 9420 appendix C): leaf `i` is node `2i`, the
/// parents lie between. A node keeps its number when the tree grows or shrinks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// The width of a tree: a power of two of leaves, at most 2^31, blank ones included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeWidth {
    depth: u8,
}

impl LeafIndex {
    /// The leaf's node; `None` for an index of 2^31 or more, which no tree has.
    #[must_use]
    pub fn node(self) -> Option<NodeIndex> {
        // V-4.0-04: any number may come from the wire.
        let wrapped = || off("V-4.0-04").then(|| self.0.wrapping_mul(2));
        self.0.checked_mul(2).or_else(wrapped).map(NodeIndex)
    }
}

impl NodeIndex {
    /// The leaf that this node is; `None` for a parent.
    #[must_use]
    pub fn leaf(self) -> Option<LeafIndex> {
        self.0.is_multiple_of(2).then_some(LeafIndex(self.0 / 2))
    }

    /// The height above the leaves: 0 for a leaf.
    #[must_use]
    pub fn level(self) -> u32 {
        self.0.trailing_ones()
    }

    /// The left child; `None` for a leaf.
    #[must_use]
    pub fn left(self) -> Option<Self> {
        let below = self.level().checked_sub(1)?;
        Some(Self(self.0 ^ (1 << below)))
    }

    /// The right child; `None` for a leaf.
    #[must_use]
    pub fn right(self) -> Option<Self> {
        let below = self.level().checked_sub(1)?;
        self.0.checked_add(1 << below).map(Self)
    }

    /// Whether `other` is this node or lies below it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        let span = (1u64 << self.level()) - 1;
        let (own, other) = (u64::from(self.0), u64::from(other.0));
        own - span <= other && other <= own + span
    }
}

impl TreeWidth {
    /// One leaf.
    pub const ONE: Self = Self { depth: 0 };

    /// The greatest depth: node numbers of a deeper tree do not fit 32 bits.
    pub const MAX_DEPTH: u8 = 31;

    /// 2^`depth` leaves; `None` above [`Self::MAX_DEPTH`].
    #[must_use]
    pub fn from_depth(depth: u8) -> Option<Self> {
        (depth <= Self::MAX_DEPTH).then_some(Self { depth })
    }

    /// The narrowest tree with at least `leaves` leaves; `None` if that is more than 2^31.
    #[must_use]
    pub fn for_leaves(leaves: u32) -> Option<Self> {
        let width = leaves.max(1).checked_next_power_of_two()?;
        // A u32 has at most 31 trailing zeros unless it is zero, which a power of two is not.
        Self::from_depth(width.trailing_zeros() as u8)
    }

    /// Leaves, blank ones included.
    #[must_use]
    pub fn leaves(self) -> u32 {
        1 << self.depth
    }

    /// Nodes, blank ones included: one less than twice the leaves.
    #[must_use]
    pub fn nodes(self) -> u32 {
        // 2^32 − 1 at depth 31.
        ((1u64 << (self.depth + 1)) - 1) as u32
    }

    /// The height of the root above the leaves.
    #[must_use]
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// The root.
    #[must_use]
    pub fn root(self) -> NodeIndex {
        NodeIndex((1 << self.depth) - 1)
    }

    /// Whether the tree has this leaf, blank or not.
    #[must_use]
    pub fn has_leaf(self, leaf: LeafIndex) -> bool {
        leaf.0 < self.leaves()
    }

    /// The parent; `None` for the root and for nodes outside of the tree.
    #[must_use]
    pub fn parent(self, node: NodeIndex) -> Option<NodeIndex> {
        if node == self.root() || node.0 >= self.nodes() {
            return None;
        }
        // Below the root the level is at most 30, so the shifts stay inside 32 bits.
        let level = node.level();
        let above = node.0 | (1 << level);
        Some(NodeIndex(above & !(1 << (level + 1))))
    }

    /// The other child of the node's parent.
    #[must_use]
    pub fn sibling(self, node: NodeIndex) -> Option<NodeIndex> {
        let parent = self.parent(node)?;
        if node < parent { parent.right() } else { parent.left() }
    }

    /// The nodes above, from the parent to the root.
    pub fn direct_path(self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        std::iter::successors(self.parent(node), move |above| self.parent(*above))
    }

    /// The siblings of the node and of the nodes above it, in the order of
    /// [`Self::direct_path`].
    pub fn copath(self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let mut below = Some(node);
        std::iter::from_fn(move || {
            let here = below?;
            below = self.parent(here);
            self.sibling(here)
        })
    }

    /// The lowest node above both leaves; the leaf itself if they are the same.
    #[must_use]
    pub fn common_ancestor(self, a: LeafIndex, b: LeafIndex) -> Option<NodeIndex> {
        if !self.has_leaf(a) || !self.has_leaf(b) {
            return None;
        }
        let (from, to) = (a.node()?, b.node()?);
        std::iter::once(from).chain(self.direct_path(from)).find(|node| node.contains(to))
    }

    /// Twice as wide; `None` at the greatest width.
    #[must_use]
    pub fn doubled(self) -> Option<Self> {
        Self::from_depth(self.depth + 1)
    }

    /// Half as wide; `None` for one leaf.
    #[must_use]
    pub fn halved(self) -> Option<Self> {
        self.depth.checked_sub(1).map(|depth| Self { depth })
    }
}

impl Encode for LeafIndex {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.0);
    }
}

impl Decode for LeafIndex {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u32().map(Self)
    }
}

impl fmt::Debug for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaf {}", self.0)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

impl fmt::Debug for TreeWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} leaves wide", self.leaves())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(leaves: u32) -> TreeWidth {
        TreeWidth::for_leaves(leaves).unwrap()
    }

    #[test]
    fn the_tree_of_eight_leaves_is_the_one_of_appendix_c() {
        let tree = width(8);
        assert_eq!((tree.root(), tree.nodes()), (NodeIndex(7), 15));
        assert_eq!(NodeIndex(7).left(), Some(NodeIndex(3)));
        assert_eq!(NodeIndex(7).right(), Some(NodeIndex(11)));
        assert_eq!(tree.parent(NodeIndex(9)), Some(NodeIndex(11)));
        assert_eq!(tree.parent(NodeIndex(7)), None);
        assert_eq!(tree.sibling(NodeIndex(1)), Some(NodeIndex(5)));
        let path: Vec<u32> = tree.direct_path(NodeIndex(4)).map(|node| node.0).collect();
        assert_eq!(path, [5, 3, 7]);
        let copath: Vec<u32> = tree.copath(NodeIndex(4)).map(|node| node.0).collect();
        assert_eq!(copath, [6, 1, 11]);
        assert_eq!(tree.common_ancestor(LeafIndex(0), LeafIndex(3)), Some(NodeIndex(3)));
        assert_eq!(tree.common_ancestor(LeafIndex(2), LeafIndex(2)), Some(NodeIndex(4)));
        assert_eq!(tree.common_ancestor(LeafIndex(2), LeafIndex(8)), None);
    }

    #[test]
    fn nothing_overflows_at_the_edges() {
        let widest = TreeWidth::from_depth(31).unwrap();
        assert_eq!(widest.nodes(), u32::MAX);
        assert_eq!(widest.doubled(), None);
        assert_eq!(TreeWidth::for_leaves(u32::MAX), None);
        for node in [u32::MAX, u32::MAX - 1, 0x7fff_ffff, 0x8000_0000].map(NodeIndex) {
            let _ = (node.left(), node.right(), node.level(), widest.parent(node));
            let _ = (widest.sibling(node), width(4).parent(node), node.contains(NodeIndex(0)));
        }
        assert_eq!(LeafIndex(0x8000_0000).node(), None);
        assert_eq!(widest.common_ancestor(LeafIndex(u32::MAX), LeafIndex(0)), None);
    }
}
