use crate::codec::{Encode, Writer};
use crate::crypto::{Digest, Suite};
use crate::error::Error;
use crate::tree::{LeafNode, NodeIndex, ParentNode, RatchetTree, StoredContent, TreeWidth};

/// A node of a ratchet tree as it is on the wire (RFC 9420 section 12.4.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A leaf, wherever it stands.
    Leaf(LeafNode),
    /// A parent, wherever it stands.
    Parent(ParentNode),
}

impl Node {
    /// The parent, if it is one.
    pub fn parent_mut(&mut self) -> Option<&mut ParentNode> {
        match self {
            Self::Parent(parent) => Some(parent),
            Self::Leaf(_) => None,
        }
    }

    /// The leaf, if it is one.
    #[must_use]
    pub fn leaf(&self) -> Option<&LeafNode> {
        match self {
            Self::Leaf(leaf) => Some(leaf),
            Self::Parent(_) => None,
        }
    }
}

impl Encode for Node {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Leaf(leaf) => {
                writer.u8(1);
                leaf.encode(writer);
            }
            Self::Parent(parent) => {
                writer.u8(2);
                parent.encode(writer);
            }
        }
    }
}

/// The nodes of a tree by their index, up to the last that is not blank.
#[must_use]
pub fn tree_nodes(tree: &RatchetTree) -> Vec<Option<Node>> {
    let mut nodes = Vec::new();
    for (NodeIndex(index), stored) in tree.all_nodes() {
        let node = match stored.content {
            StoredContent::Leaf(leaf) => Node::Leaf(leaf),
            StoredContent::Parent(Some(parent)) => Node::Parent(parent),
            StoredContent::Parent(None) => continue,
        };
        let index = index as usize;
        if nodes.len() <= index {
            nodes.resize(index + 1, None);
        }
        if let Some(place) = nodes.get_mut(index) {
            *place = Some(node);
        }
    }
    nodes
}

/// `optional<Node> ratchet_tree<V>` of any nodes in any order.
///
/// # Errors
/// They are too long to encode.
pub fn encode_nodes(nodes: &[Option<Node>]) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    writer.nested(|writer| nodes.iter().for_each(|node| writer.optional(node.as_ref())));
    Ok(writer.finish()?)
}

/// The tree hash (section 7.8) of any nodes, each taken for what it is and not for where it stands.
///
/// # Errors
/// Something is too long to encode.
pub fn nodes_hash(suite: &Suite, nodes: &[Option<Node>]) -> Result<Digest, Error> {
    let leaves = u32::try_from(nodes.len() / 2 + 1).map_err(|_| Error::Internal)?;
    let width = TreeWidth::for_leaves(leaves).ok_or(Error::Internal)?;
    hash_below(suite, nodes, width.root())
}

fn hash_below(suite: &Suite, nodes: &[Option<Node>], at: NodeIndex) -> Result<Digest, Error> {
    let node = nodes.get(at.0 as usize).and_then(Option::as_ref);
    let mut writer = Writer::new();
    match (at.left(), at.right()) {
        (Some(left), Some(right)) => {
            let (left, right) = (hash_below(suite, nodes, left)?, hash_below(suite, nodes, right)?);
            writer.u8(2);
            write_content(node, &mut writer);
            writer.opaque(left.as_bytes());
            writer.opaque(right.as_bytes());
        }
        _ => {
            writer.u8(1);
            writer.u32(at.0 / 2);
            write_content(node, &mut writer);
        }
    }
    Ok(suite.hash(&[&writer.finish()?])?)
}

/// `optional<LeafNode>` or `optional<ParentNode>`.
fn write_content(node: Option<&Node>, writer: &mut Writer) {
    match node {
        None => writer.u8(0),
        Some(Node::Leaf(leaf)) => {
            writer.u8(1);
            leaf.encode(writer);
        }
        Some(Node::Parent(parent)) => {
            writer.u8(1);
            parent.encode(writer);
        }
    }
}
