//! The providers that come with the library.
//!
//! | primitive | [`DefaultProvider`] | `AwsLcProvider` (feature `aws-lc-rs`) |
//! |---|---|---|
//! | hash, HMAC, HKDF, AEAD | RustCrypto | AWS-LC |
//! | X25519, Ed25519 | graviola, else dalek | AWS-LC |
//! | P-256, P-384 | graviola, else RustCrypto | AWS-LC |
//! | P-521 | RustCrypto | AWS-LC |
//! | X448, Ed448 (feature `curve448`) | crrl | none |
//!
//! A library contributes a `DiffieHellman` per curve and a `SignatureScheme` per scheme.
//! Everything above those two, and which keys and signatures are let through to them, is written
//! once: in `dhkem`, `signing` and [`accept`](super::accept).

#[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod accelerated;
#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "curve448")]
mod curve448;
mod default;
mod dhkem;
mod portable;
mod signing;
mod symmetric;

#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::AwsLcProvider;
pub use default::DefaultProvider;

use super::{CipherSuite, CryptoError, Secret, SignatureKeyPair, SuiteSpec, suite_spec};

/// One curve's Diffie-Hellman function in one library, with keys in the form that RFC 9180 section
/// 7.1 gives them.
trait DiffieHellman: Sync {
    /// The public key of a private key; refuses one that is out of range.
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// The shared point's coordinate. The public key has passed [`accept`](super::accept).
    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError>;
}

/// One signature scheme in one library. EdDSA signatures are in the form of RFC 8032; ECDSA
/// signatures are r and s, each as long as the order.
trait SignatureScheme: Sync {
    /// The public key of a private key; refuses one that is out of range.
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Signs.
    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Whether the signature verifies. Key and signature have passed [`accept`](super::accept).
    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool;
}

fn specs(suites: &[CipherSuite]) -> Vec<SuiteSpec> {
    suites.iter().filter_map(|suite| suite_spec(*suite)).copied().collect()
}

/// The methods of `CryptoProvider` that concern keys, for a type with `fn kem(&self, KemId)` and
/// `fn signing(&self, SignatureId)`.
macro_rules! key_operations {
    () => {
        fn derive_key_pair(&self, id: KemId, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
            self.kem(id)?.derive_key_pair(ikm)
        }

        fn import_private_key(
            &self,
            id: KemId,
            private: &[u8],
        ) -> Result<HpkeKeyPair, CryptoError> {
            self.kem(id)?.import(private)
        }

        fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError> {
            self.kem(id)?.check(public)
        }

        fn encapsulate(
            &self,
            id: KemId,
            public: &HpkePublicKey,
            seed: &Secret,
        ) -> Result<(Vec<u8>, Secret), CryptoError> {
            self.kem(id)?.encapsulate(public.as_bytes(), seed)
        }

        fn decapsulate(
            &self,
            id: KemId,
            keys: &HpkeKeyPair,
            kem_output: &[u8],
        ) -> Result<Secret, CryptoError> {
            self.kem(id)?.decapsulate(keys, kem_output)
        }

        fn derive_signature_key_pair(
            &self,
            id: SignatureId,
            seed: &Secret,
        ) -> Result<SignatureKeyPair, CryptoError> {
            self.signing(id)?.derive(seed)
        }

        fn import_signature_key(
            &self,
            id: SignatureId,
            private: &[u8],
        ) -> Result<SignatureKeyPair, CryptoError> {
            self.signing(id)?.import(private)
        }

        fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
            self.signing(id)?.check(public)
        }

        fn sign(
            &self,
            id: SignatureId,
            keys: &SignatureKeyPair,
            message: &[u8],
        ) -> Result<Vec<u8>, CryptoError> {
            self.signing(id)?.sign(keys, message)
        }

        fn verify(
            &self,
            id: SignatureId,
            public: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<(), CryptoError> {
            self.signing(id)?.verify(public, message, signature)
        }
    };
}
use key_operations;
