//! The ratchet tree (RFC 9420 sections 4 and 7): indices, nodes, the persistent tree with its
//! cached hashes, parent hashes, update paths and the wire form.

mod blank;
mod capabilities;
mod error;
mod extension;
mod grease;
mod hash;
mod in_use;
mod index;
mod leaf_node;
mod parent_hash;
mod parent_node;
mod path;
mod ratchet_tree;
mod stored;
mod subtree;
mod visits;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use capabilities::CapabilitySet;
pub use capabilities::{Capabilities, MLS10};
pub use error::TreeError;
pub use extension::{
    Extension, ExtensionType, Extensions, ExternalSender, ProposalType, RequiredCapabilities,
};
pub use grease::is_grease;
pub(crate) use grease::{grease_capabilities, grease_extension, list_extension};
pub use index::{LeafIndex, NodeIndex, TreeWidth};
pub use leaf_node::{LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, Lifetime};
pub(crate) use parent_hash::{OriginalHashes, parent_hash_field};
pub use parent_node::ParentNode;
pub use path::PathNode;
pub use ratchet_tree::RatchetTree;
pub use stored::{StoredContent, StoredNode};
#[cfg(test)]
pub(crate) use visits::visits;
