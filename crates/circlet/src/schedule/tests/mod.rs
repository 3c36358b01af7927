//! The working group's vectors are checked by `circlet-vectors` and the crate's vector test; these
//! tests are about what no vector says.

mod forward_secrecy;
mod key_schedule;
mod psk;
mod secret_tree;
mod skipped;

use std::sync::Arc;

use proptest::test_runner::{Config, RngSeed};

use super::{MessageKey, RatchetKind};
use crate::codec::{Decode, DecodeContext, Encode};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, Secret, Suite};

const KINDS: [RatchetKind; 2] = [RatchetKind::Handshake, RatchetKind::Application];

fn suite() -> Suite {
    let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
    Suite::new(Arc::new(DefaultProvider::new()), suite).unwrap()
}

/// A secret of Nh bytes, another one for each number.
fn secret(number: u8) -> Secret {
    Secret::new(&[number; 32])
}

fn message_key(number: u32) -> MessageKey {
    let bytes = number.to_be_bytes();
    MessageKey { key: Secret::new(&bytes.repeat(4)), nonce: Secret::new(&bytes.repeat(3)) }
}

fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(9420), failure_persistence: None, ..Config::default() }
}

fn decode<T: Decode>(bytes: &[u8]) -> Result<T, crate::codec::DecodeError> {
    T::from_bytes(bytes, &DecodeContext::default())
}

/// The value survives its encoding, and no shorter or longer input is taken for one.
fn assert_codec<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T, expected: &[u8]) {
    let bytes = value.to_bytes().unwrap();
    assert_eq!(bytes, expected);
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert!(decode::<T>(&bytes[..end]).is_err(), "cut to {end} bytes");
    }
    assert!(decode::<T>(&[&bytes[..], &[0]].concat()).is_err(), "one byte more");
}
