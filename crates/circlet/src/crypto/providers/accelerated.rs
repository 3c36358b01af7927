//! Elliptic curves from graviola: formally verified assembly for x86-64 and aarch64.

use graviola::key_agreement::{p256, p384, x25519};
use graviola::signing::ecdsa::{P256, P384, SigningKey, VerifyingKey};
use graviola::signing::eddsa::{Ed25519SigningKey, Ed25519VerifyingKey};
use graviola::{hashing, util};

use super::{DiffieHellman, SignatureScheme};
use crate::crypto::{CryptoError, KemId, Secret, SignatureId, SignatureKeyPair};

/// Whether this machine has the instructions that the library needs.
pub(super) fn is_supported() -> bool {
    util::is_cpu_supported() && has_mulx()
}

/// The library uses `mulx` on x86-64 without asking for it.
#[cfg(target_arch = "x86_64")]
fn has_mulx() -> bool {
    std::arch::is_x86_feature_detected!("bmi2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_mulx() -> bool {
    true
}

pub(super) fn curve(id: KemId) -> Option<&'static dyn DiffieHellman> {
    match id {
        KemId::X25519 => Some(&Curve25519),
        KemId::P256 => Some(&NistP256),
        KemId::P384 => Some(&NistP384),
        _ => None,
    }
}

pub(super) fn scheme(id: SignatureId) -> Option<&'static dyn SignatureScheme> {
    match id {
        SignatureId::ED25519 => Some(&Curve25519),
        SignatureId::ECDSA_P256 => Some(&NistP256),
        SignatureId::ECDSA_P384 => Some(&NistP384),
        _ => None,
    }
}

struct Curve25519;
struct NistP256;
struct NistP384;

impl DiffieHellman for Curve25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(x25519_key(private)?.public_key().as_bytes().to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let public = x25519::PublicKey::try_from_slice(public)
            .map_err(|_| CryptoError::InvalidHpkePublicKey)?;
        let shared = x25519_key(private)?
            .diffie_hellman(&public)
            .map_err(|_| CryptoError::InvalidHpkePublicKey)?;
        Ok(Secret::new(&shared.0))
    }
}

fn x25519_key(private: &[u8]) -> Result<x25519::StaticPrivateKey, CryptoError> {
    x25519::StaticPrivateKey::try_from_slice(private).map_err(|_| CryptoError::InvalidPrivateKey)
}

impl SignatureScheme for Curve25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(ed25519_key(private)?.public_key().as_bytes().to_vec())
    }

    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(ed25519_key(keys.private.secret().as_bytes())?.sign(message).to_vec())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        Ed25519VerifyingKey::from_bytes(public)
            .is_ok_and(|key| key.verify(signature, message).is_ok())
    }
}

fn ed25519_key(seed: &[u8]) -> Result<Ed25519SigningKey, CryptoError> {
    Ed25519SigningKey::from_bytes(seed).map_err(|_| CryptoError::InvalidPrivateKey)
}

macro_rules! nist_curve {
    ($name:ident, $curve:ident, $agreement:ident, $hash:ident, $signature_length:literal) => {
        impl DiffieHellman for $name {
            fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let private = $agreement::StaticPrivateKey::from_bytes(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                Ok(private.public_key_uncompressed().to_vec())
            }

            fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
                let private = $agreement::StaticPrivateKey::from_bytes(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                let public = $agreement::PublicKey::from_x962_uncompressed(public)
                    .map_err(|_| CryptoError::InvalidHpkePublicKey)?;
                let shared = private.diffie_hellman(&public).map_err(|_| CryptoError::Library)?;
                Ok(Secret::new(&shared.0))
            }
        }

        impl SignatureScheme for $name {
            fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
                DiffieHellman::public_key(self, private)
            }

            fn sign(
                &self,
                keys: &SignatureKeyPair,
                message: &[u8],
            ) -> Result<Vec<u8>, CryptoError> {
                let private = keys.private.secret().as_bytes();
                let private_key = $agreement::StaticPrivateKey::from_bytes(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                let mut signature = [0; $signature_length];
                let signature = SigningKey::<$curve> { private_key }
                    .sign::<hashing::$hash>(&[message], &mut signature)
                    .map_err(|_| CryptoError::Library)?;
                Ok(signature.to_vec())
            }

            fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
                VerifyingKey::<$curve>::from_x962_uncompressed(public)
                    .is_ok_and(|key| key.verify::<hashing::$hash>(&[message], signature).is_ok())
            }
        }
    };
}

nist_curve!(NistP256, P256, p256, Sha256, 64);
nist_curve!(NistP384, P384, p384, Sha384, 96);
