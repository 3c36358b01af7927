//! Tree hashes (RFC 9420 section 7.8).

use super::subtree::{Place, Subtree};
use super::visits::visit;
use super::{LeafIndex, LeafNode, ParentNode};
use crate::codec::Writer;
use crate::crypto::{CryptoError, Digest, Suite};

const LEAF: u8 = 1;
const PARENT: u8 = 2;

impl Subtree {
    /// The tree hash, computed for what changed since it was last asked for.
    pub(super) fn hash(&self, suite: &Suite, place: Place) -> Result<Digest, CryptoError> {
        visit();
        let (kept, digest) = match self {
            Self::Blank(blank) => return blank.hash(suite, place),
            Self::Leaf(slot) => match slot.hash.get() {
                Some(hash) => return Ok(*hash),
                None => (&slot.hash, leaf(suite, place.first_leaf(), Some(&slot.node))?),
            },
            Self::Parent(slot) => match slot.hash.get() {
                Some(hash) => return Ok(*hash),
                None => {
                    let left = slot.left.hash(suite, place.left())?;
                    let right = slot.right.hash(suite, place.right())?;
                    (&slot.hash, parent(suite, slot.content.as_ref(), &left, &right)?)
                }
            },
        };
        // Whoever sets it first sets the same value.
        let _ = kept.set(digest);
        Ok(digest)
    }

    /// The tree hash, if it has been computed.
    pub(super) fn known_hash(&self) -> Option<Digest> {
        match self {
            Self::Blank(_) => None,
            Self::Leaf(slot) => slot.hash.get().copied(),
            Self::Parent(slot) => slot.hash.get().copied(),
        }
    }
}

/// The hash of a TreeHashInput for a leaf.
pub(super) fn leaf(
    suite: &Suite,
    index: LeafIndex,
    node: Option<&LeafNode>,
) -> Result<Digest, CryptoError> {
    let index = index.0.to_be_bytes();
    match node {
        None => suite.hash(&[&[LEAF], &index, &[0]]),
        Some(node) => suite.hash(&[&[LEAF], &index, &[1], node.as_bytes()]),
    }
}

/// The hash of a TreeHashInput for a parent.
pub(super) fn parent(
    suite: &Suite,
    content: Option<&ParentNode>,
    left: &Digest,
    right: &Digest,
) -> Result<Digest, CryptoError> {
    let mut writer = Writer::new();
    writer.u8(PARENT);
    writer.optional(content);
    writer.opaque(left.as_bytes());
    writer.opaque(right.as_bytes());
    suite.hash(&[&writer.finish()?])
}

/// The tree hash of a subtree without members, from its leaves up.
pub(super) fn blank(suite: &Suite, place: Place) -> Result<Digest, CryptoError> {
    if place.level() == 0 {
        return leaf(suite, place.first_leaf(), None);
    }
    parent(suite, None, &blank(suite, place.left())?, &blank(suite, place.right())?)
}
