use super::ProposalOrRef;
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::{HpkeCiphertext, HpkePublicKey};
use crate::tree::{LeafNode, TreeWidth};

/// Applies proposals and begins the next epoch (RFC 9420 section 12.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// What is applied.
    pub proposals: Vec<ProposalOrRef>,
    /// New keys for the committer and the nodes above it.
    pub path: Option<Box<UpdatePath>>,
}

/// New keys from a leaf to the root, with their secrets encrypted to everyone else (RFC 9420
/// section 7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePath {
    /// The committer's new leaf.
    pub leaf_node: LeafNode,
    /// The nodes of its filtered direct path, from the leaf to the root.
    pub nodes: Vec<UpdatePathNode>,
}

/// One node of an [`UpdatePath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePathNode {
    /// The node's new key.
    pub encryption_key: HpkePublicKey,
    /// The node's path secret, once for each node in the resolution of the copath child.
    pub encrypted_path_secret: Vec<HpkeCiphertext>,
}

impl Encode for Commit {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(&self.proposals);
        writer.optional(self.path.as_deref());
    }
}

impl Decode for Commit {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let limit = reader.limits().proposals;
        Ok(Self {
            proposals: reader.vector_with(limit, "proposals", |r| ProposalOrRef::decode(r))?,
            path: reader.optional()?.map(Box::new),
        })
    }
}

impl Encode for UpdatePath {
    fn encode(&self, writer: &mut Writer) {
        self.leaf_node.encode(writer);
        writer.vector(&self.nodes);
    }
}

impl Decode for UpdatePath {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            leaf_node: LeafNode::decode(reader)?,
            // No leaf has more nodes above it than a tree can be deep.
            nodes: reader.vector_with(
                TreeWidth::MAX_DEPTH.into(),
                "path nodes",
                UpdatePathNode::decode,
            )?,
        })
    }
}

impl Encode for UpdatePathNode {
    fn encode(&self, writer: &mut Writer) {
        self.encryption_key.encode(writer);
        writer.vector(&self.encrypted_path_secret);
    }
}

impl Decode for UpdatePathNode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            encryption_key: HpkePublicKey::decode(reader)?,
            encrypted_path_secret: reader.vector_with(
                reader.limits().leaves as usize,
                "ciphertexts",
                HpkeCiphertext::decode,
            )?,
        })
    }
}
