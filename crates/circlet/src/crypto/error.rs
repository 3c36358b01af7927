use thiserror::Error;

use super::{CipherSuite, RngError};
use crate::codec::EncodeError;

/// Why a cryptographic operation failed. Carries nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The provider has no such cipher suite.
    #[error("cipher suite {0} is not supported by the provider")]
    UnsupportedCipherSuite(CipherSuite),
    /// The provider has no such algorithm.
    #[error("the provider lacks an algorithm of the cipher suite")]
    UnsupportedAlgorithm,
    /// A public key for encryption is not a valid encoding for its KEM (RFC 9420 section 5.1.1).
    #[error("invalid HPKE public key")]
    InvalidHpkePublicKey,
    /// A public key for signatures is not a valid encoding for its scheme (section 5.1.1).
    #[error("invalid signature public key")]
    InvalidSignatureKey,
    /// A private key has the wrong length or value.
    #[error("invalid private key")]
    InvalidPrivateKey,
    /// A signature does not verify, or is not in the one accepted form (section 5.1.2).
    #[error("invalid signature")]
    InvalidSignature,
    /// A MAC does not match.
    #[error("invalid MAC")]
    InvalidMac,
    /// Decryption failed: wrong key, changed ciphertext, or changed associated data.
    #[error("decryption failed")]
    DecryptionFailed,
    /// A KEM output is malformed, or the Diffie-Hellman result is all zero (RFC 9180 section
    /// 7.1.4).
    #[error("invalid KEM output")]
    InvalidKemOutput,
    /// An input or a requested output has a length that the algorithm does not have, such as more
    /// than 255 × Nh bytes from HKDF.
    #[error("invalid length")]
    InvalidLength,
    /// An HPKE PSK or its id was given without the other, or is too short (RFC 9180 section 5.1).
    #[error("invalid HPKE pre-shared key")]
    InvalidPsk,
    /// More messages were sealed or opened in one HPKE context than its sequence number can count.
    #[error("HPKE message limit reached")]
    MessageLimitReached,
    /// The random number generator failed.
    #[error(transparent)]
    Rng(#[from] RngError),
    /// Something that is hashed, signed or encrypted has no encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The library below the provider reported a failure that no input explains.
    #[error("the cryptographic library failed")]
    Library,
}
