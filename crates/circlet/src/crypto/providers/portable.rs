//! Elliptic curves from dalek and RustCrypto, which run on every machine.

use ed25519_dalek::Signer;
use zeroize::Zeroizing;

use super::{DiffieHellman, SignatureScheme};
use crate::crypto::{CryptoError, KemId, Secret, SignatureId, SignatureKeyPair};

pub(super) fn curve(id: KemId) -> Option<&'static dyn DiffieHellman> {
    match id {
        KemId::X25519 => Some(&Curve25519),
        KemId::P256 => Some(&P256),
        KemId::P384 => Some(&P384),
        KemId::P521 => Some(&P521),
        _ => None,
    }
}

pub(super) fn scheme(id: SignatureId) -> Option<&'static dyn SignatureScheme> {
    match id {
        SignatureId::ED25519 => Some(&Curve25519),
        SignatureId::ECDSA_P256 => Some(&P256),
        SignatureId::ECDSA_P384 => Some(&P384),
        SignatureId::ECDSA_P521 => Some(&P521),
        _ => None,
    }
}

struct Curve25519;
struct P256;
struct P384;
struct P521;

impl DiffieHellman for Curve25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let private = x25519_dalek::StaticSecret::from(*array(private)?);
        Ok(x25519_dalek::PublicKey::from(&private).as_bytes().to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let private = x25519_dalek::StaticSecret::from(*array(private)?);
        let public = public.try_into().map_err(|_| CryptoError::InvalidHpkePublicKey)?;
        let public = x25519_dalek::PublicKey::from(<[u8; 32]>::clone(public));
        Ok(Secret::new(private.diffie_hellman(&public).as_bytes()))
    }
}

impl SignatureScheme for Curve25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = ed25519_dalek::SigningKey::from_bytes(&*array(private)?);
        Ok(key.verifying_key().as_bytes().to_vec())
    }

    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let seed = array(keys.private.secret().as_bytes())?;
        Ok(ed25519_dalek::SigningKey::from_bytes(&seed).sign(message).to_bytes().to_vec())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let (Ok(public), Ok(signature)) = (public.try_into(), signature.try_into()) else {
            return false;
        };
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        // Not `verify_strict`: what is strict about it was checked before, and it costs another
        // decompression.
        ed25519_dalek::VerifyingKey::from_bytes(public)
            .is_ok_and(|key| ed25519_dalek::Verifier::verify(&key, message, &signature).is_ok())
    }
}

/// The three crates are one and the same over different curves, but say so in types that are harder
/// to read than this.
macro_rules! nist_curve {
    ($name:ident, $library:ident) => {
        impl DiffieHellman for $name {
            fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let private = $library::SecretKey::from_slice(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                Ok(private.public_key().to_sec1_bytes().into_vec())
            }

            fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
                let private = $library::SecretKey::from_slice(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                let public = $library::PublicKey::from_sec1_bytes(public)
                    .map_err(|_| CryptoError::InvalidHpkePublicKey)?;
                Ok(Secret::new(private.diffie_hellman(&public).raw_secret_bytes()))
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
                let key = $library::ecdsa::SigningKey::from_slice(private)
                    .map_err(|_| CryptoError::InvalidPrivateKey)?;
                let signature: $library::ecdsa::Signature =
                    key.try_sign(message).map_err(|_| CryptoError::Library)?;
                Ok(signature.to_bytes().to_vec())
            }

            fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
                let public = $library::ecdsa::VerifyingKey::from_sec1_bytes(public);
                let signature = $library::ecdsa::Signature::from_slice(signature);
                let (Ok(public), Ok(signature)) = (public, signature) else {
                    return false;
                };
                ed25519_dalek::Verifier::verify(&public, message, &signature).is_ok()
            }
        }
    };
}

nist_curve!(P256, p256);
nist_curve!(P384, p384);
nist_curve!(P521, p521);

fn array(private: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    private.try_into().map(Zeroizing::new).map_err(|_| CryptoError::InvalidPrivateKey)
}
