use std::sync::{Arc, OnceLock};

use super::blank::Blank;
use super::visits::visit;
use super::{LeafIndex, LeafNode, NodeIndex, ParentNode};
use crate::crypto::Digest;
use crate::mutation::off;

/// A perfect subtree. Trees share the subtrees that they have in common.
#[derive(Clone)]
pub(super) enum Subtree {
    /// No member in it, and thus no parent that is not blank: see [`Subtree::edit`].
    Blank(Arc<Blank>),
    Leaf(Arc<LeafSlot>),
    /// Has at least one member in it.
    Parent(Arc<ParentSlot>),
}

pub(super) struct LeafSlot {
    pub(super) node: LeafNode,
    pub(super) hash: OnceLock<Digest>,
}

#[derive(Clone)]
pub(super) struct ParentSlot {
    /// `None`: the parent itself is blank.
    pub(super) content: Option<ParentNode>,
    pub(super) left: Subtree,
    pub(super) right: Subtree,
    pub(super) hash: OnceLock<Digest>,
    members: u32,
}

/// Where a subtree is: its leftmost leaf and the height of its head. Unlike a [`NodeIndex`], a
/// place needs no check on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    first_leaf: u32,
    level: u32,
}

/// What happens to the leaf at the end of a path.
pub(super) enum LeafChange {
    Keep,
    Blank,
    Set(LeafNode),
}

impl Place {
    /// The place of a whole tree whose root is `level` (at most 31) above the leaves.
    pub(super) fn of_root(level: u8) -> Self {
        Self { first_leaf: 0, level: level.into() }
    }

    /// The place below a node of the widest tree; `None` for the number that no node has.
    pub(super) fn of_node(node: NodeIndex) -> Option<Self> {
        let level = node.level();
        let span = 1u32.checked_shl(level)?;
        Some(Self { first_leaf: (node.0 - (span - 1)) / 2, level })
    }

    pub(super) fn level(self) -> u32 {
        self.level
    }

    /// The leftmost leaf.
    pub(super) fn first_leaf(self) -> LeafIndex {
        LeafIndex(self.first_leaf)
    }

    /// Leaves, blank ones included: at most 2^31.
    pub(super) fn leaves(self) -> u32 {
        1 << self.level
    }

    /// The number of the head. At most 2 × (2^31 − 1), since the subtree lies in a tree.
    pub(super) fn node(self) -> NodeIndex {
        NodeIndex(self.first_leaf * 2 + (self.leaves() - 1))
    }

    /// The left half; of a single leaf, the leaf.
    pub(super) fn left(self) -> Self {
        Self { first_leaf: self.first_leaf, level: self.level.saturating_sub(1) }
    }

    /// The right half.
    pub(super) fn right(self) -> Self {
        let left = self.left();
        Self { first_leaf: left.first_leaf + left.leaves(), level: left.level }
    }

    /// The leftmost leaf of the right half: leaves below it are in the left one.
    pub(super) fn middle(self) -> LeafIndex {
        self.right().first_leaf()
    }

    /// The greatest node number inside.
    pub(super) fn last_node(self) -> NodeIndex {
        NodeIndex(self.node().0 + (self.leaves() - 1))
    }
}

impl Subtree {
    pub(super) fn blank() -> Self {
        Self::Blank(Arc::new(Blank::new()))
    }

    pub(super) fn leaf(node: LeafNode, hash: Option<Digest>) -> Self {
        Self::Leaf(Arc::new(LeafSlot { node, hash: known(hash) }))
    }

    /// A parent over two subtrees at least one of which has a member.
    pub(super) fn parent(
        content: Option<ParentNode>,
        left: Self,
        right: Self,
        hash: Option<Digest>,
    ) -> Self {
        let members = left.members() + right.members();
        Self::Parent(Arc::new(ParentSlot { content, left, right, hash: known(hash), members }))
    }

    /// How many members are in it.
    pub(super) fn members(&self) -> u32 {
        match self {
            Self::Blank(_) => 0,
            Self::Leaf(_) => 1,
            Self::Parent(slot) => slot.members,
        }
    }

    /// Whether there is no member, which is to say that its resolution is empty.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self, Self::Blank(_))
    }

    /// The leftmost blank leaf; `None` if there is none.
    pub(super) fn first_blank_leaf(&self, place: Place) -> Option<LeafIndex> {
        visit();
        match self {
            Self::Blank(_) => Some(place.first_leaf()),
            Self::Leaf(_) => None,
            Self::Parent(slot) if slot.left.members() < place.left().leaves() => {
                slot.left.first_blank_leaf(place.left())
            }
            Self::Parent(slot) => slot.right.first_blank_leaf(place.right()),
        }
    }

    /// The subtree below a node; `None` inside of a blank subtree or outside of this one.
    pub(super) fn at(&self, place: Place, node: NodeIndex) -> Option<&Self> {
        let (mut subtree, mut place) = (self, place);
        visit();
        while place.node() != node {
            visit();
            let Self::Parent(slot) = subtree else { return None };
            (subtree, place) = match node < place.node() {
                true => (&slot.left, place.left()),
                false => (&slot.right, place.right()),
            };
        }
        Some(subtree)
    }

    /// Changes a leaf, then every parent above it from the lowest up. The caller leaves no parent
    /// filled above a leaf that it blanks, so that a subtree without members is blank throughout.
    pub(super) fn edit(
        &mut self,
        place: Place,
        leaf: LeafIndex,
        change: LeafChange,
        edit_parent: &mut dyn FnMut(NodeIndex, &mut Option<ParentNode>),
    ) {
        visit();
        if place.level == 0 {
            match change {
                LeafChange::Keep => {}
                LeafChange::Blank => *self = Self::blank(),
                LeafChange::Set(node) => *self = Self::leaf(node, None),
            }
            return;
        }
        if let Self::Blank(blank) = self {
            let [left, right] = blank.halves(place).map(Self::Blank);
            *self = Self::parent(None, left, right, None);
        }
        let Self::Parent(slot) = self else { return };
        let slot = Arc::make_mut(slot);
        // V-7.8-02: of what changes, the hash is not known any more.
        if !off("V-7.8-02") {
            slot.hash = OnceLock::new();
        }
        match leaf < place.middle() {
            true => slot.left.edit(place.left(), leaf, change, edit_parent),
            false => slot.right.edit(place.right(), leaf, change, edit_parent),
        }
        edit_parent(place.node(), &mut slot.content);
        slot.members = slot.left.members() + slot.right.members();
        if let (Self::Blank(left), Self::Blank(right)) = (&slot.left, &slot.right) {
            let joined = Blank::join(place, left, right);
            *self = Self::Blank(Arc::new(joined));
        }
    }

    /// The nodes that cover all members below (RFC 9420 section 4.1.1), appended in order.
    pub(super) fn resolve(&self, place: Place, resolution: &mut Vec<NodeIndex>) {
        visit();
        match self {
            Self::Blank(_) => {}
            Self::Leaf(_) => resolution.push(place.node()),
            Self::Parent(slot) => match &slot.content {
                Some(content) => {
                    resolution.push(place.node());
                    let unmerged = content.unmerged_leaves.iter().inspect(|_| visit());
                    resolution.extend(unmerged.filter_map(|leaf| leaf.node()));
                }
                None => {
                    slot.left.resolve(place.left(), resolution);
                    slot.right.resolve(place.right(), resolution);
                }
            },
        }
    }

    /// Every subtree inside that has members, a parent before its halves, leaves from the left.
    pub(super) fn nodes(&self, place: Place) -> impl Iterator<Item = (Place, &Self)> {
        let mut waiting = vec![(place, self)];
        std::iter::from_fn(move || {
            loop {
                let (place, subtree) = waiting.pop()?;
                visit();
                match subtree {
                    Self::Blank(_) => continue,
                    Self::Leaf(_) => {}
                    Self::Parent(slot) => {
                        waiting.push((place.right(), &slot.right));
                        waiting.push((place.left(), &slot.left));
                    }
                }
                return Some((place, subtree));
            }
        })
    }

    /// Whether both are one value in memory; blank ones always are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Blank(_), Self::Blank(_)) => true,
            (Self::Leaf(own), Self::Leaf(other)) => Arc::ptr_eq(own, other),
            (Self::Parent(own), Self::Parent(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

fn known(hash: Option<Digest>) -> OnceLock<Digest> {
    hash.map_or_else(OnceLock::new, OnceLock::from)
}
