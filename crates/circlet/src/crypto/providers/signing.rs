//! Signatures over any library's scheme: key derivation, key import, and the one form in which
//! signatures are made and accepted.

use super::SignatureScheme;
use super::dhkem::{first_valid_scalar, left_pad};
use crate::crypto::hpke::Labeled;
use crate::crypto::{
    CryptoError, CryptoProvider, KdfId, Secret, SignatureId, SignatureKeyPair, SignaturePrivateKey,
    SignaturePublicKey, accept,
};

/// One signature scheme with the library below it.
pub(super) struct Signing<'a> {
    id: SignatureId,
    kind: Kind,
    provider: &'a dyn CryptoProvider,
    scheme: &'a dyn SignatureScheme,
}

impl<'a> Signing<'a> {
    pub(super) fn new(
        id: SignatureId,
        provider: &'a dyn CryptoProvider,
        scheme: &'a dyn SignatureScheme,
    ) -> Result<Self, CryptoError> {
        let kind = kind(id).ok_or(CryptoError::UnsupportedAlgorithm)?;
        Ok(Self { id, kind, provider, scheme })
    }

    /// A key pair from a seed: an EdDSA key is its seed (RFC 8032 section 5.1.5). An ECDSA key is
    /// derived as DeriveKeyPair derives one for a NIST curve (RFC 9180 section 7.1.3), with
    /// "ECDSA" and the scheme's number in the place of the `suite_id`, so that no seed gives the
    /// same scalar to both: uniform below the order, and the same with every provider.
    pub(super) fn derive(&self, seed: &Secret) -> Result<SignatureKeyPair, CryptoError> {
        if seed.len() != self.kind.private_length() {
            return Err(CryptoError::InvalidLength);
        }
        let Kind::Ecdsa { length, kdf, mask } = self.kind else {
            return self.import(seed.as_bytes());
        };
        let suite_id = [b"ECDSA".as_slice(), &self.id.0.to_be_bytes()].concat();
        let labeled = Labeled { provider: self.provider, kdf, suite_id: &suite_id };
        let prk = labeled.extract(&[], b"dkp_prk", seed.as_bytes())?;
        let (private, public) =
            first_valid_scalar(&labeled, &prk, b"candidate", length, mask, |scalar| {
                self.scheme.public_key(scalar)
            })?;
        Ok(key_pair(private, &public))
    }

    /// Takes a seed or a scalar, which may lack leading zeros.
    pub(super) fn import(&self, private: &[u8]) -> Result<SignatureKeyPair, CryptoError> {
        let private = match self.kind {
            Kind::Ecdsa { length, .. } => left_pad(private, length)?,
            Kind::Eddsa { length } if private.len() == length => Secret::new(private),
            Kind::Eddsa { .. } => return Err(CryptoError::InvalidPrivateKey),
        };
        let public = self.scheme.public_key(private.as_bytes())?;
        Ok(key_pair(private, &public))
    }

    pub(super) fn check(&self, public: &[u8]) -> Result<(), CryptoError> {
        accept::signature_key(self.id, public)
    }

    pub(super) fn sign(
        &self,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if keys.private.secret().len() != self.kind.private_length() {
            return Err(CryptoError::InvalidPrivateKey);
        }
        let signature = self.scheme.sign(keys, message)?;
        match self.kind {
            Kind::Eddsa { .. } => Ok(signature),
            Kind::Ecdsa { .. } => accept::encode_ecdsa(self.id, &signature),
        }
    }

    /// Verifies. What a library alone decides here, and all decide alike, is whether an Edwards
    /// point can be decompressed, which costs as much as a sixth of the verification; the full
    /// check of the key comes only when that fails, to say which of the two was wrong.
    pub(super) fn verify(
        &self,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        accept::signature_key_form(self.id, public)?;
        let signature = accept::signature(self.id, signature)?;
        if self.scheme.verify(public, message, &signature) {
            return Ok(());
        }
        self.check(public)?;
        Err(CryptoError::InvalidSignature)
    }
}

fn key_pair(private: Secret, public: &[u8]) -> SignatureKeyPair {
    SignatureKeyPair {
        private: SignaturePrivateKey::new(private),
        public: SignaturePublicKey::new(public),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// Length of the seed in bytes.
    Eddsa { length: usize },
    /// Length of a scalar in bytes, the KDF that derives one, and what of its first byte is kept.
    Ecdsa { length: usize, kdf: KdfId, mask: u8 },
}

impl Kind {
    fn private_length(self) -> usize {
        match self {
            Self::Eddsa { length } | Self::Ecdsa { length, .. } => length,
        }
    }
}

fn kind(id: SignatureId) -> Option<Kind> {
    Some(match id {
        SignatureId::ED25519 => Kind::Eddsa { length: 32 },
        SignatureId::ED448 => Kind::Eddsa { length: 57 },
        SignatureId::ECDSA_P256 => Kind::Ecdsa { length: 32, kdf: KdfId::HKDF_SHA256, mask: 0xff },
        SignatureId::ECDSA_P384 => Kind::Ecdsa { length: 48, kdf: KdfId::HKDF_SHA384, mask: 0xff },
        SignatureId::ECDSA_P521 => Kind::Ecdsa { length: 66, kdf: KdfId::HKDF_SHA512, mask: 0x01 },
        _ => return None,
    })
}
