//! What can happen to bytes.

use circlet::crypto::Rng;

use crate::crypto_support::Seeded;

/// How many bits of each byte are flipped, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flips {
    Every,
    /// One that the seed decides.
    OnePerByte,
}

/// What was done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Only so many bytes are left.
    Truncated(usize),
    /// The first so many bytes are gone.
    Beheaded(usize),
    /// So many bytes of this value follow.
    Extended(usize, u8),
    /// The message follows itself.
    Doubled,
    /// The bits of the byte at an offset that are flipped.
    Flipped(usize, u8),
    /// The byte at an offset is gone.
    Dropped(usize),
    /// The byte at an offset is there twice.
    Repeated(usize),
}

impl Mutation {
    pub(crate) fn apply(self, genuine: &[u8]) -> Vec<u8> {
        let mut bytes = genuine.to_vec();
        match self {
            Self::Truncated(length) => bytes.truncate(length),
            Self::Beheaded(length) => {
                bytes.drain(..length);
            }
            Self::Extended(count, byte) => bytes.extend(vec![byte; count]),
            Self::Doubled => bytes.extend_from_slice(genuine),
            Self::Flipped(offset, bits) => bytes[offset] ^= bits,
            Self::Dropped(offset) => {
                bytes.remove(offset);
            }
            Self::Repeated(offset) => bytes.insert(offset, bytes[offset]),
        }
        bytes
    }
}

/// Every truncation, every flip, and a few of the other kinds; none leaves the bytes as they were.
pub(crate) fn mutations(genuine: &[u8], flips: Flips) -> Vec<Mutation> {
    let length = genuine.len();
    let mut random = Random(Seeded(length as u64));
    let mut all: Vec<Mutation> = (0..length).map(Mutation::Truncated).collect();
    all.extend((1..length.min(16)).map(Mutation::Beheaded));
    for byte in [0, 1, 0xff] {
        all.extend([1, 2, 16, 64].map(|count| Mutation::Extended(count, byte)));
    }
    all.push(Mutation::Doubled);
    for offset in 0..length {
        match flips {
            Flips::Every => all.extend((0..8).map(|bit| Mutation::Flipped(offset, 1 << bit))),
            Flips::OnePerByte => all.push(Mutation::Flipped(offset, 1 << random.below(8))),
        }
    }
    for _ in 0..16 {
        let offset = random.below(length);
        all.extend([Mutation::Dropped(offset), Mutation::Repeated(offset)]);
    }
    all
}

/// Seeded choices.
pub(crate) struct Random(pub(crate) Seeded);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes).unwrap();
        u32::from_be_bytes(bytes) as usize % bound.max(1)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes).unwrap();
        bytes
    }
}
