use std::collections::BTreeMap;
use std::iter::Peekable;

use super::in_use::InUse;
use super::subtree::{Place, Subtree};
use super::visits::visit;
use super::{LeafNode, NodeIndex, ParentNode, RatchetTree, TreeError, TreeWidth};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::Digest;
use crate::mutation::off;
use crate::violation::{Violation, ensure};

/// A node as it is stored, with the tree hash of its subtree if that was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// The leaf or parent.
    pub content: StoredContent,
    /// The tree hash of the subtree below (RFC 9420 section 7.8). What is stored is trusted: it is
    /// not computed again.
    pub tree_hash: Option<Digest>,
}

/// A node that has members below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredContent {
    /// A member's leaf.
    Leaf(LeafNode),
    /// A parent; a blank one has only a tree hash to store.
    Parent(Option<ParentNode>),
}

impl RatchetTree {
    /// The nodes to store of a tree that was not stored before.
    #[must_use]
    pub fn all_nodes(&self) -> Vec<(NodeIndex, StoredNode)> {
        self.root.nodes(self.place()).filter_map(stored).collect()
    }

    /// What has to be stored (`Some`) and deleted (`None`) to get from an earlier tree to this one.
    /// Ask for [`Self::tree_hash`] before, so that the hashes are stored too. Costs O(change) if
    /// this tree came from the earlier one by operations.
    #[must_use]
    pub fn changes_since(&self, older: &Self) -> Vec<(NodeIndex, Option<StoredNode>)> {
        let mut changes = BTreeMap::new();
        compare((&older.root, older.place()), (&self.root, self.place()), &mut changes);
        changes.into_iter().collect()
    }

    /// The tree of this width with these stored nodes, in any order.
    ///
    /// # Errors
    /// The nodes are not those of a tree of this width.
    pub fn restore(
        width: TreeWidth,
        nodes: impl IntoIterator<Item = (NodeIndex, StoredNode)>,
    ) -> Result<Self, TreeError> {
        let ordered: BTreeMap<_, _> = nodes.into_iter().collect();
        Self::build(width, ordered)
    }

    /// The tree of this width with these nodes, in ascending order.
    pub(super) fn build(
        width: TreeWidth,
        nodes: impl IntoIterator<Item = (NodeIndex, StoredNode)>,
    ) -> Result<Self, TreeError> {
        let mut nodes = nodes.into_iter().peekable();
        let root = build(Place::of_root(width.depth()), &mut nodes)?;
        if let Some((node, _)) = nodes.next() {
            return Err(TreeError::NoSuchNode(node));
        }
        let mut tree = Self { root, width, in_use: InUse::default() };
        let right_is_blank = match &tree.root {
            Subtree::Parent(slot) => slot.right.is_blank(),
            root => root.is_blank(),
        };
        // V-12.4.3.3-02 and V-12.4.3.3-04.
        let narrowest = !right_is_blank || width == TreeWidth::ONE || off("V-12.4.3.3-04");
        ensure(narrowest, Violation::TreeTrailingBlank)?;
        let mut in_use = InUse::default();
        for (index, leaf) in tree.members() {
            in_use.insert_leaf(index, leaf);
        }
        for (node, parent) in tree.parents() {
            in_use.insert_parent(node, &parent.encryption_key);
        }
        tree.in_use = in_use;
        Ok(tree)
    }
}

type Changes = BTreeMap<NodeIndex, Option<StoredNode>>;

/// Compares two subtrees with the same leftmost leaf.
fn compare(old: (&Subtree, Place), new: (&Subtree, Place), changes: &mut Changes) {
    visit();
    let ((old, old_place), (new, new_place)) = (old, new);
    if old_place.level() > new_place.level() {
        return delete_above((old, old_place), (new, new_place), changes);
    }
    if new_place.level() > old_place.level() {
        return write_above((old, old_place), (new, new_place), changes);
    }
    if old.is_same(new) {
        return;
    }
    if let (Subtree::Parent(old), Subtree::Parent(new_slot)) = (old, new) {
        let row = stored((new_place, new)).map(|(_, node)| node);
        changes.insert(new_place.node(), row);
        let (left, right) = (new_place.left(), new_place.right());
        compare((&old.left, left), (&new_slot.left, left), changes);
        compare((&old.right, right), (&new_slot.right, right), changes);
        return;
    }
    delete(old, old_place, changes);
    write(new, new_place, changes);
}

/// The old tree was wider: its root and right half are gone.
fn delete_above(old: (&Subtree, Place), new: (&Subtree, Place), changes: &mut Changes) {
    let (old, place) = old;
    let Subtree::Parent(slot) = old else {
        return write(new.0, new.1, changes);
    };
    changes.insert(place.node(), None);
    delete(&slot.right, place.right(), changes);
    compare((&slot.left, place.left()), new, changes);
}

/// The new tree is wider: its root and right half came to it.
fn write_above(old: (&Subtree, Place), new: (&Subtree, Place), changes: &mut Changes) {
    let (new, place) = new;
    let Subtree::Parent(slot) = new else {
        return delete(old.0, old.1, changes);
    };
    changes.extend(stored((place, new)).map(|(node, row)| (node, Some(row))));
    write(&slot.right, place.right(), changes);
    compare(old, (&slot.left, place.left()), changes);
}

fn delete(subtree: &Subtree, place: Place, changes: &mut Changes) {
    changes.extend(subtree.nodes(place).map(|(place, _)| (place.node(), None)));
}

fn write(subtree: &Subtree, place: Place, changes: &mut Changes) {
    let rows = subtree.nodes(place).filter_map(stored);
    changes.extend(rows.map(|(node, row)| (node, Some(row))));
}

/// The row of a node; `None` if nothing is known of it that its children don't tell.
fn stored((place, subtree): (Place, &Subtree)) -> Option<(NodeIndex, StoredNode)> {
    let content = match subtree {
        Subtree::Blank(_) => return None,
        Subtree::Leaf(slot) => StoredContent::Leaf(slot.node.clone()),
        Subtree::Parent(slot) => StoredContent::Parent(slot.content.clone()),
    };
    let tree_hash = subtree.known_hash();
    if content == StoredContent::Parent(None) && tree_hash.is_none() {
        return None;
    }
    Some((place.node(), StoredNode { content, tree_hash }))
}

/// Takes the nodes that belong to a place, which are in ascending order. V-12.4.3.3-03: leaves are
/// in the places of leaves, parents in those of parents.
fn build(
    place: Place,
    nodes: &mut Peekable<impl Iterator<Item = (NodeIndex, StoredNode)>>,
) -> Result<Subtree, TreeError> {
    if nodes.peek().is_none_or(|(next, _)| *next > place.last_node()) {
        return Ok(Subtree::blank());
    }
    if place.level() == 0 {
        return match nodes.next_if(|(next, _)| *next == place.node()) {
            Some((_, StoredNode { content: StoredContent::Leaf(leaf), tree_hash })) => {
                Ok(Subtree::leaf(leaf, tree_hash))
            }
            _ => Ok(ensure(false, Violation::TreeNodeKind).map(|()| Subtree::blank())?),
        };
    }
    let left = build(place.left(), nodes)?;
    let (content, tree_hash) = match nodes.next_if(|(next, _)| *next == place.node()) {
        None => (None, None),
        Some((_, StoredNode { content: StoredContent::Parent(content), tree_hash })) => {
            (content, tree_hash)
        }
        Some(_) => {
            ensure(false, Violation::TreeNodeKind)?;
            (None, None)
        }
    };
    let right = build(place.right(), nodes)?;
    if !left.is_blank() || !right.is_blank() {
        return Ok(Subtree::parent(content, left, right, tree_hash));
    }
    match content {
        // V-7.9-03: no member below can have set it.
        Some(_) => Ok(ensure(false, Violation::ParentHash).map(|()| Subtree::blank())?),
        None => Ok(Subtree::blank()),
    }
}

impl Encode for StoredNode {
    fn encode(&self, writer: &mut Writer) {
        match &self.content {
            StoredContent::Leaf(leaf) => {
                writer.u8(1);
                leaf.encode(writer);
            }
            StoredContent::Parent(parent) => {
                writer.u8(2);
                writer.optional(parent.as_ref());
            }
        }
        let hash = self.tree_hash.as_ref().map(Digest::as_bytes);
        writer.opaque(hash.unwrap_or_default());
    }
}

impl Decode for StoredNode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = match reader.u8()? {
            1 => StoredContent::Leaf(LeafNode::decode(reader)?),
            2 => StoredContent::Parent(reader.optional()?),
            other => {
                return Err(DecodeError::UnknownValue { kind: "NodeType", value: other.into() });
            }
        };
        let tree_hash = match reader.opaque()? {
            [] => None,
            bytes => {
                let wrong = DecodeError::WrongLength { expected: Digest::MAX, actual: bytes.len() };
                Some(Digest::new(bytes).ok_or(wrong)?)
            }
        };
        Ok(Self { content, tree_hash })
    }
}
