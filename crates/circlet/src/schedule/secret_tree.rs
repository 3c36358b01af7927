use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter;

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, Limits, Reader, Writer};
use crate::crypto::{CryptoError, Secret, Suite};
use crate::mutation::off;
use crate::tree::{LeafIndex, NodeIndex, TreeWidth};

/// The secret tree of an epoch and the senders' ratchets that have come out of it (RFC 9420
/// section 9).
///
/// Reading changes nothing: [`Self::advance`] derives a message's key and says what would change,
/// and [`Self::apply`] changes it once the message has proved itself and the change is stored. The
/// deletion schedule of section 9.2 is in the step: a secret from which a used key could be
/// derived again does not outlive it.
#[derive(Debug)]
pub struct SecretTree {
    width: TreeWidth,
    /// Never a node together with one above it.
    nodes: BTreeMap<NodeIndex, Secret>,
    /// Both ratchets of every leaf that has been used.
    ratchets: BTreeMap<(LeafIndex, RatchetKind), Ratchet>,
}

/// Which of a sender's two ratchets (RFC 9420 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RatchetKind {
    /// Proposals and Commits.
    Handshake,
    /// Application data.
    Application,
}

/// One sender's ratchet (RFC 9420 section 9.1): the secret of the next generation.
#[derive(Debug, PartialEq, Eq)]
pub struct Ratchet {
    pub(super) next_generation: u32,
    pub(super) secret: Secret,
}

/// The key and nonce of one message (RFC 9420 section 9.1), before the reuse guard is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageKey {
    /// AEAD key, Nk bytes.
    pub key: Secret,
    /// AEAD nonce, Nn bytes.
    pub nonce: Secret,
}

/// What the use of one key changes in a [`SecretTree`] and beside it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SecretTreeStep {
    /// Consumed node secrets: none, or on the first use of a leaf the one that was kept of it and
    /// the nodes above.
    pub removed_nodes: Vec<NodeIndex>,
    /// Node secrets that take the place of the removed one: the copath between it and the leaf.
    pub added_nodes: Vec<(NodeIndex, Secret)>,
    /// Ratchets as they are now: the one that moved, and on the first use of a leaf both.
    pub ratchets: Vec<((LeafIndex, RatchetKind), Ratchet)>,
    /// Generations that were passed over with their keys, ascending; the newest of them if there
    /// are more than may be kept. They are for [`SkippedKeys`](super::SkippedKeys).
    pub skipped: Vec<(u32, MessageKey)>,
}

/// Why a ratchet does not give a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RatchetError {
    /// The ratchet has passed this generation: its key was used, or is kept as a skipped one, or
    /// was dropped.
    #[error("the ratchet has passed this generation")]
    Consumed,
    /// The generation is too far ahead of the ratchet.
    #[error("the message is {ahead} generations ahead, over the limit of {limit}")]
    TooFarAhead {
        /// Generations between the ratchet's next one and the message's.
        ahead: u32,
        /// [`Limits::generation_jump`].
        limit: u32,
    },
    /// The generation is 2^32 − 1, which is never used: there is none after it to move to.
    #[error("the ratchet has no more generations")]
    Exhausted,
    /// The tree has no such leaf, or holds no secret for it.
    #[error("the secret tree has no such leaf")]
    UnknownLeaf,
    /// The provider failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl SecretTree {
    /// The tree of a new epoch, as wide as its ratchet tree.
    #[must_use]
    pub fn new(width: TreeWidth, encryption_secret: Secret) -> Self {
        Self::restore(width, [(width.root(), encryption_secret)], [])
    }

    /// A tree from what was stored of it.
    #[must_use]
    pub fn restore(
        width: TreeWidth,
        nodes: impl IntoIterator<Item = (NodeIndex, Secret)>,
        ratchets: impl IntoIterator<Item = ((LeafIndex, RatchetKind), Ratchet)>,
    ) -> Self {
        Self { width, nodes: nodes.into_iter().collect(), ratchets: ratchets.into_iter().collect() }
    }

    /// The width.
    #[must_use]
    pub fn width(&self) -> TreeWidth {
        self.width
    }

    /// The node secrets that are kept.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Secret)> {
        self.nodes.iter().map(|(node, secret)| (*node, secret))
    }

    /// The ratchets of the leaves that have been used.
    pub fn ratchets(&self) -> impl Iterator<Item = ((LeafIndex, RatchetKind), &Ratchet)> {
        self.ratchets.iter().map(|(id, ratchet)| (*id, ratchet))
    }

    /// The generation of the next key of a sender's ratchet: 0 before its first use, 2^32 − 1 when
    /// all are used.
    #[must_use]
    pub fn next_generation(&self, leaf: LeafIndex, kind: RatchetKind) -> u32 {
        self.ratchets.get(&(leaf, kind)).map_or(0, Ratchet::next_generation)
    }

    /// Derives the key of `generation`, which the ratchet has not passed yet, and what its use
    /// changes. Nothing has changed until that is applied.
    ///
    /// # Errors
    /// Any [`RatchetError`]; before anything is derived, except [`RatchetError::Crypto`].
    pub fn advance(
        &self,
        suite: &Suite,
        leaf: LeafIndex,
        kind: RatchetKind,
        generation: u32,
        limits: &Limits,
    ) -> Result<(MessageKey, SecretTreeStep), RatchetError> {
        check_generation(self.next_generation(leaf, kind), generation, limits)?;
        let mut step = SecretTreeStep::default();
        let (key, moved) = match self.ratchets.get(&(leaf, kind)) {
            Some(ratchet) => ratchet.advance(suite, generation, limits, &mut step.skipped)?,
            None => {
                let ratchet = self.open_leaf(suite, leaf, kind, &mut step)?;
                ratchet.advance(suite, generation, limits, &mut step.skipped)?
            }
        };
        step.ratchets.push(((leaf, kind), moved));
        Ok((key, step))
    }

    /// Drops the handshake ratchets: the epoch is over, and no proposal or Commit of it will be read
    /// any more (section 6). Those of leaves that were not used yet can't be told apart from their
    /// application ratchets, and stay.
    pub fn drop_handshake(&mut self) {
        self.ratchets.retain(|(_, kind), _| *kind == RatchetKind::Application);
    }

    /// Makes a step's changes; its skipped keys are for somebody else and are dropped here.
    ///
    /// V-9.1-01 and V-9.2-01: no order of steps brings a consumed secret back: a ratchet never moves backwards, and node
    /// secrets are added only below one that goes.
    pub fn apply(&mut self, step: SecretTreeStep) {
        let opened = step.ratchets.first().map(|((leaf, _), _)| *leaf);
        if let Some(leaf) = opened.filter(|_| !step.removed_nodes.is_empty())
            // Not simply the removed node: another step may have been here since.
            && let Some(kept) = self.kept_above(leaf).map(|(node, _)| node)
        {
            if !off("V-9.2-01") {
                self.nodes.remove(&kept);
            }
            self.nodes
                .extend(step.added_nodes.into_iter().filter(|(node, _)| kept.contains(*node)));
        }
        for (id, ratchet) in step.ratchets {
            match self.ratchets.entry(id) {
                Entry::Vacant(entry) => {
                    entry.insert(ratchet);
                }
                Entry::Occupied(mut entry) => {
                    let ahead = ratchet.next_generation > entry.get().next_generation;
                    if ahead || off("V-9.1-01") {
                        entry.insert(ratchet);
                    }
                }
            }
        }
    }

    /// Goes from the nearest kept node above a leaf down to it, and starts both its ratchets: the
    /// one of `kind` is returned, the other is in the step.
    fn open_leaf(
        &self,
        suite: &Suite,
        leaf: LeafIndex,
        kind: RatchetKind,
        step: &mut SecretTreeStep,
    ) -> Result<Ratchet, RatchetError> {
        let target = leaf.node().ok_or(RatchetError::UnknownLeaf)?;
        let (mut node, secret) = self.kept_above(leaf).ok_or(RatchetError::UnknownLeaf)?;
        let mut secret = secret.clone();
        step.removed_nodes.push(node);
        while let (Some(left), Some(right)) = (node.left(), node.right()) {
            let (left_secret, right_secret) = children(suite, &secret)?;
            let (below, beside) = if left.contains(target) {
                ((left, left_secret), (right, right_secret))
            } else {
                ((right, right_secret), (left, left_secret))
            };
            step.added_nodes.push(beside);
            (node, secret) = below;
        }
        let other = kind.other();
        step.ratchets.push(((leaf, other), Ratchet::first(suite, &secret, other)?));
        Ratchet::first(suite, &secret, kind)
    }

    /// The one node at or above a leaf whose secret is kept; none if the leaf has been opened or
    /// is not in the tree.
    fn kept_above(&self, leaf: LeafIndex) -> Option<(NodeIndex, &Secret)> {
        let node = leaf.node().filter(|_| self.width.has_leaf(leaf))?;
        iter::once(node)
            .chain(self.width.direct_path(node))
            .find_map(|node| self.nodes.get(&node).map(|secret| (node, secret)))
    }
}

impl RatchetKind {
    fn other(self) -> Self {
        match self {
            Self::Handshake => Self::Application,
            Self::Application => Self::Handshake,
        }
    }
}

impl Ratchet {
    /// The generation of the next key.
    #[must_use]
    pub fn next_generation(&self) -> u32 {
        self.next_generation
    }

    fn first(suite: &Suite, leaf: &Secret, kind: RatchetKind) -> Result<Self, RatchetError> {
        let label = match kind {
            RatchetKind::Handshake => "handshake",
            RatchetKind::Application => "application",
        };
        let secret = suite.expand_with_label(leaf, label, &[], suite.secret_length())?;
        Ok(Self { next_generation: 0, secret })
    }

    /// The key of `generation`, which is not behind, and the ratchet after it. Of the generations
    /// that are passed over, the keys that may be kept go to `skipped`.
    fn advance(
        &self,
        suite: &Suite,
        generation: u32,
        limits: &Limits,
        skipped: &mut Vec<(u32, MessageKey)>,
    ) -> Result<(MessageKey, Self), RatchetError> {
        let keep = limits.skipped_keys_per_sender.min(limits.skipped_keys);
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        let first_kept = generation.saturating_sub(keep);
        let mut here = Self { secret: self.secret.clone(), ..*self };
        while here.next_generation < generation {
            // V-9.2-02.
            if here.next_generation >= first_kept || off("V-9.2-02") {
                skipped.push((here.next_generation, here.message_key(suite)?));
            }
            here = here.next(suite)?;
        }
        Ok((here.message_key(suite)?, here.next(suite)?))
    }

    fn message_key(&self, suite: &Suite) -> Result<MessageKey, RatchetError> {
        let aead = suite.spec().aead;
        let derive = |label, length| {
            suite.derive_tree_secret(&self.secret, label, self.next_generation, length)
        };
        Ok(MessageKey {
            key: derive("key", aead.key_length)?,
            nonce: derive("nonce", aead.nonce_length)?,
        })
    }

    fn next(&self, suite: &Suite) -> Result<Self, RatchetError> {
        let wrapped = off("V-9.1-03").then_some(0);
        let next_generation = self.next_generation.checked_add(1).or(wrapped);
        let next_generation = next_generation.ok_or(RatchetError::Exhausted)?;
        let length = suite.secret_length();
        let secret =
            suite.derive_tree_secret(&self.secret, "secret", self.next_generation, length)?;
        Ok(Self { next_generation, secret })
    }
}

/// V-9.1-03 and V-15.0-06: the generation is not the last one, and not too far ahead.
fn check_generation(next: u32, generation: u32, limits: &Limits) -> Result<(), RatchetError> {
    let ahead = generation.checked_sub(next).ok_or(RatchetError::Consumed)?;
    if generation == u32::MAX && !off("V-9.1-03") {
        return Err(RatchetError::Exhausted);
    }
    let limit = limits.generation_jump;
    if ahead > limit && !off("V-15.0-06") {
        return Err(RatchetError::TooFarAhead { ahead, limit });
    }
    Ok(())
}

/// The secrets of a node's left and right child (section 9).
fn children(suite: &Suite, secret: &Secret) -> Result<(Secret, Secret), CryptoError> {
    let derive = |side| suite.expand_with_label(secret, "tree", side, suite.secret_length());
    Ok((derive(b"left".as_slice())?, derive(b"right")?))
}

impl Encode for RatchetKind {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Handshake => 1,
            Self::Application => 2,
        });
    }
}

impl Decode for RatchetKind {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Handshake),
            2 => Ok(Self::Application),
            value => Err(DecodeError::UnknownValue { kind: "RatchetKind", value: value.into() }),
        }
    }
}

/// For storage: the encoding is secret and has to be wiped.
impl Encode for Ratchet {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(self.next_generation);
        writer.opaque(self.secret.as_bytes());
    }
}

impl Decode for Ratchet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { next_generation: reader.u32()?, secret: Secret::new(reader.opaque()?) })
    }
}

/// For storage: the encoding is secret and has to be wiped.
impl Encode for MessageKey {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(self.key.as_bytes());
        writer.opaque(self.nonce.as_bytes());
    }
}

impl Decode for MessageKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key: Secret::new(reader.opaque()?), nonce: Secret::new(reader.opaque()?) })
    }
}
