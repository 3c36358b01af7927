//! The working group's vector types, one file each.

mod active_group;
mod crypto_basics;
mod deserialization;
mod grove;
mod key_schedule;
mod message_protection;
mod messages;
mod passive_client;
mod passive_scripts;
mod psk_secret;
mod secret_tree;
mod transcript_hashes;
mod tree_math;
mod tree_operations;
mod tree_validation;
mod treekem;
mod welcome;

use circlet::crypto::Rng;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use crate::env::Env;
pub(crate) use crate::failure::{At, Failure, expect_bytes, expect_equal};
pub(crate) use crate::hex_bytes::Hex;
use crate::registry::Entry;

/// One of the working group's vector types.
pub(crate) trait VectorType {
    /// The file's name in the working group's repository, without its extension.
    const NAME: &'static str;

    /// One case. A type is recognised by the names of its case's fields.
    type Case: Serialize + DeserializeOwned;

    /// The case's cipher suite; `None` for types without one.
    fn suite(case: &Self::Case) -> Option<u16>;

    /// Checks a case.
    fn verify(case: &Self::Case, env: &Env) -> Result<(), Failure>;

    /// Cases of our own, for all suites of `env.provider`.
    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Self::Case>, Failure>;
}

/// Fresh bytes.
pub(crate) fn random(rng: &mut dyn Rng, length: usize) -> Result<Hex, Failure> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes)?;
    Ok(Hex(bytes))
}

/// Every type.
pub(crate) const ALL: &[Entry] = &[
    Entry::of::<crypto_basics::CryptoBasics>(),
    Entry::of::<deserialization::Deserialization>(),
    Entry::of::<key_schedule::KeySchedule>(),
    Entry::of::<message_protection::MessageProtection>(),
    Entry::of::<messages::Messages>(),
    Entry::of::<passive_client::PassiveClientHandlingCommit>(),
    Entry::of::<passive_client::PassiveClientRandom>(),
    Entry::of::<passive_client::PassiveClientWelcome>(),
    Entry::of::<psk_secret::PskSecret>(),
    Entry::of::<secret_tree::SecretTreeKeys>(),
    Entry::of::<transcript_hashes::TranscriptHashes>(),
    Entry::of::<tree_math::TreeMath>(),
    Entry::of::<tree_operations::TreeOperations>(),
    Entry::of::<tree_validation::TreeValidation>(),
    Entry::of::<treekem::TreeKem>(),
    Entry::of::<welcome::Welcome>(),
];
