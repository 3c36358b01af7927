use thiserror::Error;

use super::{LeafIndex, NodeIndex};
use crate::codec::DecodeError;
use crate::crypto::CryptoError;
use crate::violation::Violation;

/// Why an operation on a [`RatchetTree`](super::RatchetTree) failed. The tree is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The leaf is blank or outside of the tree.
    #[error("there is no member at leaf {0}")]
    NoSuchLeaf(LeafIndex),
    /// The node is outside of the tree, or stored where the tree has none.
    #[error("the tree has no {0:?}")]
    NoSuchNode(NodeIndex),
    /// The tree would be wider than [`Limits::leaves`](crate::codec::Limits::leaves).
    #[error("the tree would have more than {limit} leaves")]
    TooManyLeaves {
        /// The limit, blank leaves included.
        limit: u32,
    },
    /// A path has more or fewer keys than the filtered direct path has nodes.
    #[error("a path of {expected} nodes can't take {actual} keys")]
    PathLength {
        /// Nodes of the filtered direct path.
        expected: usize,
        /// Keys given.
        actual: usize,
    },
    /// The tree breaks a rule of RFC 9420.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The bytes are not a ratchet tree.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Hashing failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
