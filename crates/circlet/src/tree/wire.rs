//! The `ratchet_tree` extension's form of a tree (RFC 9420 section 12.4.3.3).

use super::stored::{StoredContent, StoredNode};
use super::subtree::{Place, Subtree};
use super::visits::visit;
use super::{LeafNode, NodeIndex, ParentNode, RatchetTree, TreeError, TreeWidth};
use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer, push};
use crate::mutation::off;
use crate::violation::{Violation, ensure, ensure_row};

const LEAF: u8 = 1;
const PARENT: u8 = 2;

impl RatchetTree {
    /// Reads `optional<Node> ratchet_tree<V>`. Its memory is bounded by the number of bytes, and
    /// the tree's width by [`Limits::leaves`](crate::codec::Limits::leaves). Whether the tree is
    /// valid is not looked at beyond its shape.
    ///
    /// # Errors
    /// The bytes are malformed or the tree is too wide; [`Violation::TreeTrailingBlank`] if the
    /// last node is blank or a parent that has nothing on its right; [`Violation::TreeNodeKind`];
    /// [`Violation::ParentHash`] if a parent has no member below it.
    pub fn from_wire(bytes: &[u8], context: &DecodeContext) -> Result<Self, TreeError> {
        let mut reader = Reader::new(bytes, context);
        let (nodes, count) = read_nodes(reader.nested()?)?;
        reader.finish()?;
        ensure_last_is_leaf(&nodes, count)?;
        let limit = context.limits.leaves;
        let width = TreeWidth::for_leaves(count / 2 + 1).filter(|width| width.leaves() <= limit);
        let width = width.ok_or(TreeError::TooManyLeaves { limit })?;
        Self::build(width, nodes.into_iter().map(|(index, node)| (index, node.unhashed())))
    }
}

/// `optional<Node> ratchet_tree<V>`, without the blank nodes after the last that is not.
impl Encode for RatchetTree {
    fn encode(&self, writer: &mut Writer) {
        writer.nested(|writer| {
            let mut blanks = 0;
            write(&self.root, self.place(), &mut blanks, writer);
            // V-12.4.3.3-01.
            for _ in (0..blanks).filter(|_| off("V-12.4.3.3-01")) {
                writer.u8(0);
            }
        });
    }
}

type Nodes = Vec<(NodeIndex, Node)>;

/// The nodes that are not blank, and the number of all. V-12.4.3.3-07: room is made for them as they
/// come.
fn read_nodes(mut reader: Reader<'_>) -> Result<(Nodes, u32), TreeError> {
    let limit = reader.limits().leaves.saturating_mul(2);
    let length = reader.rest().len();
    let mut nodes = Vec::new();
    if off("V-12.4.3.3-07") {
        nodes.reserve_exact(length);
    }
    let mut count = 0;
    while !reader.is_empty() {
        if count == limit {
            return Err(TreeError::TooManyLeaves { limit: limit / 2 });
        }
        if let Some(node) = reader.optional()? {
            let left = reader.rest().len();
            push(&mut nodes, (NodeIndex(count), node), length.saturating_sub(left), left);
        }
        count += 1;
    }
    Ok((nodes, count))
}

/// V-12.4.3.3-02 and V-12.4.3.3-04: the last node is not blank, and not a parent with nothing on its
/// right. Of an odd number of nodes the last is a leaf, and the narrowest tree that has this leaf
/// has it in its right half.
fn ensure_last_is_leaf(nodes: &Nodes, count: u32) -> Result<(), Violation> {
    let blank = nodes.last().is_none_or(|(last, _)| last.0 != count.saturating_sub(1));
    ensure(!blank, Violation::TreeTrailingBlank)?;
    ensure_row("V-12.4.3.3-04", count % 2 == 1 || blank, Violation::TreeTrailingBlank)
}

/// Writes a subtree in order; blank nodes wait in `blanks` until another node follows.
fn write(subtree: &Subtree, place: Place, blanks: &mut u32, writer: &mut Writer) {
    visit();
    match subtree {
        Subtree::Blank(_) => *blanks += 2 * (place.leaves() - 1) + 1,
        Subtree::Leaf(slot) => {
            write_node(LEAF, &slot.node, blanks, writer);
        }
        Subtree::Parent(slot) => {
            write(&slot.left, place.left(), blanks, writer);
            match &slot.content {
                None => *blanks += 1,
                Some(content) => write_node(PARENT, content, blanks, writer),
            }
            write(&slot.right, place.right(), blanks, writer);
        }
    }
}

fn write_node(node_type: u8, node: &impl Encode, blanks: &mut u32, writer: &mut Writer) {
    for _ in 0..std::mem::take(blanks) {
        writer.u8(0);
    }
    writer.u8(1);
    writer.u8(node_type);
    node.encode(writer);
}

/// `Node`. Small, since a list of them is held while the tree is built.
enum Node {
    Leaf(LeafNode),
    Parent(Box<ParentNode>),
}

impl Node {
    fn unhashed(self) -> StoredNode {
        let content = match self {
            Self::Leaf(leaf) => StoredContent::Leaf(leaf),
            Self::Parent(parent) => StoredContent::Parent(Some(*parent)),
        };
        StoredNode { content, tree_hash: None }
    }
}

impl Decode for Node {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            LEAF => LeafNode::decode(reader).map(Self::Leaf),
            PARENT => ParentNode::decode(reader).map(Box::new).map(Self::Parent),
            // V-2.0-04.
            _ if off("V-2.0-04") => LeafNode::decode(reader).map(Self::Leaf),
            other => Err(DecodeError::UnknownValue { kind: "NodeType", value: other.into() }),
        }
    }
}
