use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::{MessageKey, RatchetKind};
use crate::codec::{Decode, DecodeError, Encode, Limits, Reader, Writer};
use crate::mutation::off;
use crate::tree::LeafIndex;

/// The keys of messages that have not come yet although later ones have, for one group over all
/// its epochs (RFC 9420 sections 9.2 and 15.3).
///
/// How many are kept is bounded per sender and epoch and for the whole group
/// ([`Limits`]); the oldest go first. As in a [`SecretTree`](super::SecretTree), what a message
/// changes is planned first and applied when it is stored.
#[derive(Debug, Default)]
pub struct SkippedKeys {
    keys: BTreeMap<SkippedId, (u64, MessageKey)>,
    /// Oldest first.
    ages: BTreeSet<Age>,
    /// Of each sender in each epoch, oldest first. No set is empty.
    senders: BTreeMap<(u64, LeafIndex), BTreeSet<Age>>,
}

/// When a key was put aside, as a sequence number, and which it is.
type Age = (u64, SkippedId);

/// Which message of a group a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkippedId {
    /// The epoch.
    pub epoch: u64,
    /// The sender's leaf in that epoch.
    pub leaf: LeafIndex,
    /// The sender's ratchet.
    pub kind: RatchetKind,
    /// The position in the ratchet.
    pub generation: u32,
}

/// What a message changes in [`SkippedKeys`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SkippedStep {
    /// Keys to keep, each with its sequence number: a greater number is a younger key.
    pub inserted: Vec<(SkippedId, u64, MessageKey)>,
    /// Keys to forget: used, over a limit, or of an epoch that is over.
    pub removed: Vec<SkippedId>,
}

impl SkippedKeys {
    /// No keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that were stored, with their sequence numbers.
    #[must_use]
    pub fn restore(rows: impl IntoIterator<Item = (SkippedId, u64, MessageKey)>) -> Self {
        let mut restored = Self::new();
        for (id, sequence, key) in rows {
            restored.insert(id, sequence, key);
        }
        restored
    }

    /// How many keys are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of a message, if it is kept.
    #[must_use]
    pub fn find(&self, id: &SkippedId) -> Option<&MessageKey> {
        self.keys.get(id).map(|(_, key)| key)
    }

    /// All keys with their sequence numbers, by id.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SkippedId, u64, &MessageKey)> {
        self.keys.iter().map(|(id, (sequence, key))| (id, *sequence, key))
    }

    /// What changes once `message` has been decrypted: its own key goes if it is one of these
    /// (V-6.3.2-07: nothing is left to decrypt the same message with again), and
    /// `skipped`, the keys that its ratchet passed over on the way to it in ascending order, are
    /// kept as far as the limits allow.
    #[must_use]
    pub fn plan(
        &self,
        message: SkippedId,
        skipped: Vec<(u32, MessageKey)>,
        limits: &Limits,
    ) -> SkippedStep {
        let mut inserted = self.numbered(message, skipped);
        let mut removed = BTreeSet::new();
        let used = self.keys.get(&message).filter(|_| !off("V-6.3.2-07"));
        removed.extend(used.map(|(sequence, _)| (*sequence, message)));
        let none = BTreeSet::new();
        let of_sender = self.senders.get(&(message.epoch, message.leaf)).unwrap_or(&none);
        evict(of_sender, &mut removed, &mut inserted, limits.skipped_keys_per_sender);
        evict(&self.ages, &mut removed, &mut inserted, limits.skipped_keys);
        SkippedStep { inserted, removed: removed.into_iter().map(|(_, id)| id).collect() }
    }

    /// What changes when the epochs before `oldest` are no longer kept.
    #[must_use]
    pub fn plan_expiry(&self, oldest: u64) -> SkippedStep {
        let end = SkippedId {
            epoch: oldest,
            leaf: LeafIndex(0),
            kind: RatchetKind::Handshake,
            generation: 0,
        };
        let removed = self.keys.range(..end).map(|(id, _)| *id).collect();
        SkippedStep { inserted: Vec::new(), removed }
    }

    /// What changes when an epoch is over: its proposals and Commits will not be read any more.
    #[must_use]
    pub fn plan_handshake_expiry(&self, epoch: u64) -> SkippedStep {
        let first =
            SkippedId { epoch, leaf: LeafIndex(0), kind: RatchetKind::Handshake, generation: 0 };
        let of_epoch = self.keys.range(first..).take_while(|(id, _)| id.epoch == epoch);
        let handshake = of_epoch.filter(|(id, _)| id.kind == RatchetKind::Handshake);
        SkippedStep { inserted: Vec::new(), removed: handshake.map(|(id, _)| *id).collect() }
    }

    /// Makes a step's changes.
    pub fn apply(&mut self, step: SkippedStep) {
        for id in &step.removed {
            self.remove(id);
        }
        for (id, sequence, key) in step.inserted {
            self.insert(id, sequence, key);
        }
    }

    /// Gives ids and sequence numbers to skipped keys, younger ones than to any that is kept.
    fn numbered(
        &self,
        message: SkippedId,
        skipped: Vec<(u32, MessageKey)>,
    ) -> Vec<(SkippedId, u64, MessageKey)> {
        let first = self.ages.last().map_or(0, |(youngest, _)| youngest.saturating_add(1));
        skipped
            .into_iter()
            .map(|(generation, key)| (SkippedId { generation, ..message }, key))
            .filter(|(id, _)| !self.keys.contains_key(id))
            .zip(0..)
            // Nobody lives to see it saturate, short of a forged row; ids still order keys then.
            .map(|((id, key), offset)| (id, first.saturating_add(offset), key))
            .collect()
    }

    fn insert(&mut self, id: SkippedId, sequence: u64, key: MessageKey) {
        self.remove(&id);
        self.keys.insert(id, (sequence, key));
        self.ages.insert((sequence, id));
        self.senders.entry((id.epoch, id.leaf)).or_default().insert((sequence, id));
    }

    fn remove(&mut self, id: &SkippedId) {
        let Some((sequence, _)) = self.keys.remove(id) else {
            return;
        };
        let age = (sequence, *id);
        self.ages.remove(&age);
        if let Entry::Occupied(mut sender) = self.senders.entry((id.epoch, id.leaf)) {
            sender.get_mut().remove(&age);
            if sender.get().is_empty() {
                sender.remove();
            }
        }
    }
}

/// V-15.0-05: drops the oldest until at most `limit` are left of the keys in `kept` that are not `removed`
/// (all of which are in `kept`) together with the `inserted` ones, which are younger.
fn evict(
    kept: &BTreeSet<Age>,
    removed: &mut BTreeSet<Age>,
    inserted: &mut Vec<(SkippedId, u64, MessageKey)>,
    limit: usize,
) {
    let staying = kept.len().saturating_sub(removed.len());
    let limit = if off("V-15.0-05") { usize::MAX } else { limit };
    let excess = staying.saturating_add(inserted.len()).saturating_sub(limit);
    let oldest: Vec<Age> =
        kept.iter().filter(|age| !removed.contains(*age)).take(excess).copied().collect();
    let dropped = excess.saturating_sub(oldest.len()).min(inserted.len());
    removed.extend(oldest);
    inserted.drain(..dropped);
}

impl Encode for SkippedId {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.epoch);
        self.leaf.encode(writer);
        self.kind.encode(writer);
        writer.u32(self.generation);
    }
}

impl Decode for SkippedId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: reader.u64()?,
            leaf: Decode::decode(reader)?,
            kind: Decode::decode(reader)?,
            generation: reader.u32()?,
        })
    }
}
