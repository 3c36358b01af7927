use thiserror::Error;

use crate::crypto::{
    CryptoError, Rng, Signature, SignatureId, SignatureKeyPair, SignaturePrivateKey,
    SignaturePublicKey, Suite, sign_content,
};

/// Why a [`Signer`] made no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The key can't be used now, such as when its keystore is locked.
    #[error("the signing key is not available")]
    Unavailable,
    /// The signing itself failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// A private signature key, wherever it lives.
pub trait Signer: Send + Sync {
    /// The key that verifies.
    fn public_key(&self) -> &SignaturePublicKey;

    /// Signs these bytes as they are; [`sign_with_label`] has put the label into them.
    ///
    /// # Errors
    /// The key is not available, or can't sign.
    fn sign(&self, content: &[u8]) -> Result<Signature, SignerError>;
}

/// SignWithLabel (RFC 9420 section 5.1.2).
///
/// # Errors
/// The key is not available, can't sign, or the content is too long to encode.
pub fn sign_with_label(
    signer: &dyn Signer,
    label: &str,
    content: &[u8],
) -> Result<Signature, SignerError> {
    signer.sign(&sign_content(label, content)?)
}

/// A signature key pair held in memory.
#[derive(Clone, Debug)]
pub struct SigningKey {
    suite: Suite,
    keys: SignatureKeyPair,
}

impl SigningKey {
    /// A fresh key for this suite.
    ///
    /// # Errors
    /// The random number generator failed.
    pub fn generate(suite: &Suite, rng: &mut dyn Rng) -> Result<Self, CryptoError> {
        Ok(Self { suite: suite.clone(), keys: suite.generate_signature_key_pair(rng)? })
    }

    /// A key that was stored before.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`].
    pub fn from_private(suite: &Suite, private: &SignaturePrivateKey) -> Result<Self, CryptoError> {
        let id = suite.spec().signature.id;
        let keys = suite.provider().import_signature_key(id, private.secret().as_bytes())?;
        Ok(Self { suite: suite.clone(), keys })
    }

    /// The signature scheme that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> SignatureId {
        self.suite.spec().signature.id
    }

    /// The private key, for storing it.
    #[must_use]
    pub fn private_key(&self) -> &SignaturePrivateKey {
        &self.keys.private
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> &SignaturePublicKey {
        &self.keys.public
    }

    fn sign(&self, content: &[u8]) -> Result<Signature, SignerError> {
        let id = self.algorithm();
        Ok(Signature(self.suite.provider().sign(id, &self.keys, content)?))
    }
}
