use std::fmt;

use super::{
    AeadId, CryptoError, Digest, HashId, HpkeKeyPair, HpkePublicKey, KdfId, KemId, Secret,
    SignatureId, SignatureKeyPair, SuiteSpec,
};

/// Cryptographic primitives by algorithm number. What MLS and HPKE build from them is
/// [`Suite`](super::Suite)'s.
///
/// A KEM is derive, encapsulate and decapsulate: there is no Diffie-Hellman in this trait, so that
/// a post-quantum KEM fits. All randomness comes in as a seed, except nonces of ECDSA signatures.
///
/// An implementation accepts exactly the keys and signatures that
/// [`accept`](super::accept) accepts: members whose providers disagree on a signature would be a
/// split group.
pub trait CryptoProvider: fmt::Debug + Send + Sync {
    /// The provider's name, for people.
    fn name(&self) -> &'static str;

    /// The suites that it can do, by preference.
    fn suites(&self) -> &[SuiteSpec];

    /// Hashes the parts, one after the other.
    ///
    /// # Errors
    /// The algorithm is not supported.
    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError>;

    /// HMAC over the parts, one after the other.
    ///
    /// # Errors
    /// The algorithm is not supported.
    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError>;

    /// KDF.Extract over the parts of the input keying material, one after the other.
    ///
    /// # Errors
    /// The algorithm is not supported.
    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError>;

    /// KDF.Expand to `length` bytes, with the parts of `info` one after the other.
    ///
    /// # Errors
    /// The algorithm is not supported, or `length` is over 255 × Nh.
    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError>;

    /// AEAD encryption: ciphertext with the tag at its end.
    ///
    /// # Errors
    /// The algorithm is not supported, or key or nonce have the wrong length.
    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// AEAD decryption.
    ///
    /// # Errors
    /// [`CryptoError::DecryptionFailed`] if the tag does not match.
    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// DeriveKeyPair (RFC 9180 section 7.1.3) from input keying material of any length.
    ///
    /// # Errors
    /// The algorithm is not supported, or no key can be derived from this input.
    fn derive_key_pair(&self, id: KemId, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError>;

    /// Takes a private key in the KEM's serialized form (RFC 9180 section 7.1.2) and computes its
    /// public key.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`].
    fn import_private_key(&self, id: KemId, private: &[u8]) -> Result<HpkeKeyPair, CryptoError>;

    /// Refuses what is not a public key of the KEM (RFC 9180 section 7.1.4).
    ///
    /// # Errors
    /// [`CryptoError::InvalidHpkePublicKey`].
    fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError>;

    /// Encapsulates to a public key with `seed_length` random bytes: the KEM output and the shared
    /// secret.
    ///
    /// # Errors
    /// [`CryptoError::InvalidHpkePublicKey`].
    fn encapsulate(
        &self,
        id: KemId,
        public: &HpkePublicKey,
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError>;

    /// Recovers the shared secret from a KEM output.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKemOutput`] or [`CryptoError::InvalidPrivateKey`].
    fn decapsulate(
        &self,
        id: KemId,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError>;

    /// Makes a signature key pair from `seed_length` random bytes.
    ///
    /// # Errors
    /// The algorithm is not supported, or the seed has the wrong length.
    fn derive_signature_key_pair(
        &self,
        id: SignatureId,
        seed: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError>;

    /// Takes a private signature key (a seed for EdDSA, a scalar for ECDSA) and computes its
    /// public key.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`].
    fn import_signature_key(
        &self,
        id: SignatureId,
        private: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError>;

    /// Refuses what is not a public key of the scheme (RFC 9420 section 5.1.1).
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignatureKey`].
    fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError>;

    /// Signs a message.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`].
    fn sign(
        &self,
        id: SignatureId,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// Verifies a signature.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] or [`CryptoError::InvalidSignatureKey`].
    fn verify(
        &self,
        id: SignatureId,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError>;
}
