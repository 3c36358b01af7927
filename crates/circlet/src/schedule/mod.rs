//! What follows from an epoch's secrets (RFC 9420 sections 8 and 9): the key schedule, transcript
//! hashes, pre-shared keys, the exporter, the secret tree with its ratchets, and the message keys
//! that were skipped.
//!
//! The GroupContext comes in as its serialized bytes, which is all that is ever hashed of it.

mod external_init;
mod key_schedule;
mod psk;
mod secret_tree;
mod skipped;
mod transcript;

#[cfg(test)]
mod tests;

pub use key_schedule::{
    EpochSecret, EpochSecrets, InitSecret, JoinerSecret, MemberSecret, WelcomeKeys,
};
pub use psk::{PreSharedKeyId, Psk, ResumptionPskUsage, psk_secret};
pub use secret_tree::{MessageKey, Ratchet, RatchetError, RatchetKind, SecretTree, SecretTreeStep};
pub use skipped::{SkippedId, SkippedKeys, SkippedStep};
pub use transcript::{confirmed_transcript_hash, interim_transcript_hash};
