use aws_lc_rs::aead::{self, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair,
    VerificationAlgorithm,
};
use aws_lc_rs::{digest, hmac};

use super::dhkem::DhKem;
use super::signing::Signing;
use super::symmetric::{Block, expand_with, hash_of};
use super::{DiffieHellman, SignatureScheme, key_operations, specs};
use crate::crypto::{
    AeadId, CipherSuite, CryptoError, CryptoProvider, Digest, HashId, HpkeKeyPair, HpkePublicKey,
    KdfId, KemId, Secret, SignatureId, SignatureKeyPair, SuiteSpec,
};

/// The provider over AWS-LC, which is C and assembly: suites 1, 2, 3, 5 and 7. Its NIST curves are
/// the fastest, and it has a build that is validated for FIPS 140.
#[derive(Clone, Debug)]
pub struct AwsLcProvider {
    suites: Vec<SuiteSpec>,
}

impl AwsLcProvider {
    /// The provider.
    #[must_use]
    pub fn new() -> Self {
        Self {
            suites: specs(&[
                CipherSuite::X25519_AES128GCM_SHA256_ED25519,
                CipherSuite::P256_AES128GCM_SHA256_P256,
                CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519,
                CipherSuite::P521_AES256GCM_SHA512_P521,
                CipherSuite::P384_AES256GCM_SHA384_P384,
            ]),
        }
    }

    fn kem(&self, id: KemId) -> Result<DhKem<'_>, CryptoError> {
        let curve = match id {
            KemId::X25519 => &X25519,
            KemId::P256 => &ECDH_P256,
            KemId::P384 => &ECDH_P384,
            KemId::P521 => &ECDH_P521,
            _ => return Err(CryptoError::UnsupportedAlgorithm),
        };
        DhKem::new(id, self, curve)
    }

    fn signing(&self, id: SignatureId) -> Result<Signing<'_>, CryptoError> {
        let scheme: &dyn SignatureScheme = match id {
            SignatureId::ED25519 => &Ed25519,
            SignatureId::ECDSA_P256 => &ECDSA_P256,
            SignatureId::ECDSA_P384 => &ECDSA_P384,
            SignatureId::ECDSA_P521 => &ECDSA_P521,
            _ => return Err(CryptoError::UnsupportedAlgorithm),
        };
        Signing::new(id, self, scheme)
    }
}

impl Default for AwsLcProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl CryptoProvider for AwsLcProvider {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn suites(&self) -> &[SuiteSpec] {
        &self.suites
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        let mut context = digest::Context::new(hash_algorithm(id)?);
        parts.iter().for_each(|part| context.update(part));
        Digest::new(context.finish().as_ref()).ok_or(CryptoError::Library)
    }

    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        Digest::new(mac(id, key, parts)?.as_ref()).ok_or(CryptoError::Library)
    }

    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
        Ok(Secret::new(mac(hash_of(id)?, salt, ikm)?.as_ref()))
    }

    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        let algorithm = mac_algorithm(hash_of(id)?)?;
        let key = hmac::Key::new(algorithm, key);
        expand_with(algorithm.tag_len(), info, length, |[previous], info, counter, block| {
            let mut context = hmac::Context::with_key(&key);
            context.update(previous);
            info.iter().for_each(|part| context.update(part));
            context.update(&[counter]);
            copy(context.sign().as_ref(), block);
        })
    }

    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (key, nonce) = aead_key(id, key, nonce)?;
        let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(aead::MAX_TAG_LEN));
        sealed.extend_from_slice(plaintext);
        key.seal_in_place_append_tag(nonce, aead::Aad::from(aad), &mut sealed)
            .map_err(|_| CryptoError::InvalidLength)?;
        Ok(sealed)
    }

    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (key, nonce) = aead_key(id, key, nonce)?;
        let mut opened = ciphertext.to_vec();
        let length = key
            .open_in_place(nonce, aead::Aad::from(aad), &mut opened)
            .map_err(|_| CryptoError::DecryptionFailed)?
            .len();
        opened.truncate(length);
        Ok(opened)
    }

    key_operations!();
}

fn hash_algorithm(id: HashId) -> Result<&'static digest::Algorithm, CryptoError> {
    match id {
        HashId::SHA256 => Ok(&digest::SHA256),
        HashId::SHA384 => Ok(&digest::SHA384),
        HashId::SHA512 => Ok(&digest::SHA512),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

fn mac_algorithm(id: HashId) -> Result<hmac::Algorithm, CryptoError> {
    match id {
        HashId::SHA256 => Ok(hmac::HMAC_SHA256),
        HashId::SHA384 => Ok(hmac::HMAC_SHA384),
        HashId::SHA512 => Ok(hmac::HMAC_SHA512),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

fn mac(id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<hmac::Tag, CryptoError> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(mac_algorithm(id)?, key));
    parts.iter().for_each(|part| context.update(part));
    Ok(context.sign())
}

fn copy(tag: &[u8], block: &mut Block) {
    if let Some(target) = block.get_mut(..tag.len()) {
        target.copy_from_slice(tag);
    }
}

fn aead_key(id: AeadId, key: &[u8], nonce: &[u8]) -> Result<(LessSafeKey, Nonce), CryptoError> {
    let algorithm = match id {
        AeadId::AES_128_GCM => &aead::AES_128_GCM,
        AeadId::AES_256_GCM => &aead::AES_256_GCM,
        AeadId::CHACHA20_POLY1305 => &aead::CHACHA20_POLY1305,
        _ => return Err(CryptoError::UnsupportedAlgorithm),
    };
    let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::InvalidLength)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::InvalidLength)?;
    Ok((LessSafeKey::new(key), nonce))
}

struct Agreement(&'static agreement::Algorithm);

static X25519: Agreement = Agreement(&agreement::X25519);
static ECDH_P256: Agreement = Agreement(&agreement::ECDH_P256);
static ECDH_P384: Agreement = Agreement(&agreement::ECDH_P384);
static ECDH_P521: Agreement = Agreement(&agreement::ECDH_P521);

impl Agreement {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let public =
            self.private(private)?.compute_public_key().map_err(|_| CryptoError::Library)?;
        Ok(public.as_ref().to_vec())
    }

    fn private(&self, private: &[u8]) -> Result<PrivateKey, CryptoError> {
        PrivateKey::from_private_key(self.0, private).map_err(|_| CryptoError::InvalidPrivateKey)
    }
}

impl DiffieHellman for Agreement {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.public_key(private)
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let public = UnparsedPublicKey::new(self.0, public);
        agreement::agree(
            &self.private(private)?,
            public,
            CryptoError::InvalidHpkePublicKey,
            |shared| Ok(Secret::new(shared)),
        )
    }
}

struct Ed25519;

impl SignatureScheme for Ed25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(ed25519_key(private)?.public_key().as_ref().to_vec())
    }

    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let key = ed25519_key(keys.private.secret().as_bytes())?;
        let signature = key.try_sign(message).map_err(|_| CryptoError::Library)?;
        Ok(signature.as_ref().to_vec())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        signature::ED25519.verify_sig(public, message, signature).is_ok()
    }
}

/// From the seed alone: a key pair whose public key is another's would sign away its private key.
fn ed25519_key(seed: &[u8]) -> Result<Ed25519KeyPair, CryptoError> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| CryptoError::InvalidPrivateKey)
}

struct Ecdsa {
    curve: &'static Agreement,
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static EcdsaVerificationAlgorithm,
}

static ECDSA_P256: Ecdsa = Ecdsa {
    curve: &ECDH_P256,
    signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    verification: &signature::ECDSA_P256_SHA256_FIXED,
};

static ECDSA_P384: Ecdsa = Ecdsa {
    curve: &ECDH_P384,
    signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
    verification: &signature::ECDSA_P384_SHA384_FIXED,
};

static ECDSA_P521: Ecdsa = Ecdsa {
    curve: &ECDH_P521,
    signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    verification: &signature::ECDSA_P521_SHA512_FIXED,
};

impl SignatureScheme for Ecdsa {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.curve.public_key(private)
    }

    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (private, public) = (keys.private.secret().as_bytes(), keys.public.as_bytes());
        let key = EcdsaKeyPair::from_private_key_and_public_key(self.signing, private, public)
            .map_err(|_| CryptoError::InvalidPrivateKey)?;
        let signature =
            key.sign(&SystemRandom::new(), message).map_err(|_| CryptoError::Library)?;
        Ok(signature.as_ref().to_vec())
    }

    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        self.verification.verify_sig(public, message, signature).is_ok()
    }
}
