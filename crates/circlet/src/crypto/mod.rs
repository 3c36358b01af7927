//! Cryptography: the table of cipher suites, the provider trait, HPKE (RFC 9180), and the
//! labelled operations of RFC 9420 section 5.
//!
//! A [`CryptoProvider`] does primitives by algorithm number; a [`Suite`] is a provider with one
//! row of the table and does everything that MLS asks for. Every provider accepts exactly the same
//! keys and signatures: [`accept`] decides that before a library is called.

pub mod accept;
mod error;
pub mod hpke;
mod keys;
mod labels;
mod provider;
pub mod providers;
mod rng;
mod secret;
mod suite;

pub use error::CryptoError;
pub use keys::{
    Digest, HpkeKeyPair, HpkePrivateKey, HpkePublicKey, SignatureKeyPair, SignaturePrivateKey,
    SignaturePublicKey,
};
pub(crate) use labels::sign_content;
pub use labels::{HashReference, HpkeCiphertext, Mac, Signature, Suite};
pub use provider::CryptoProvider;
pub use rng::{Rng, RngError, SystemRng};
pub use secret::Secret;
#[cfg(any(test, feature = "hazmat"))]
pub use secret::WeakSecret;
pub use suite::{
    AeadId, AeadSpec, CipherSuite, HashId, HashSpec, KdfId, KdfSpec, KemId, KemSpec, SignatureId,
    SignatureSpec, SuiteSpec, suite_spec,
};
