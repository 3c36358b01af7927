//! A provider that counts what it is asked for.

use std::ops::Sub;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::*;
use crate::crypto::*;

/// How often each kind of operation was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) hashes: usize,
    /// Input of all hashes, in bytes.
    pub(super) hashed_bytes: usize,
    /// HMAC, Extract and Expand.
    pub(super) derivations: usize,
    pub(super) key_pairs: usize,
    pub(super) checked_keys: usize,
    pub(super) encapsulations: usize,
    pub(super) decapsulations: usize,
    pub(super) signatures: usize,
    pub(super) verifications: usize,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            hashes: self.hashes - before.hashes,
            hashed_bytes: self.hashed_bytes - before.hashed_bytes,
            derivations: self.derivations - before.derivations,
            key_pairs: self.key_pairs - before.key_pairs,
            checked_keys: self.checked_keys - before.checked_keys,
            encapsulations: self.encapsulations - before.encapsulations,
            decapsulations: self.decapsulations - before.decapsulations,
            signatures: self.signatures - before.signatures,
            verifications: self.verifications - before.verifications,
        }
    }
}

/// The default provider, with a count of everything that MLS asks it for. What it does inside of
/// itself is not counted.
#[derive(Debug)]
pub(super) struct CountingProvider {
    inner: DefaultProvider,
    counts: Mutex<Counts>,
}

impl CountingProvider {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { inner: DefaultProvider::new(), counts: Mutex::default() })
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl CryptoProvider for CountingProvider {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn suites(&self) -> &[SuiteSpec] {
        self.inner.suites()
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.count(|counts| {
            counts.hashes += 1;
            counts.hashed_bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        });
        self.inner.hash(id, parts)
    }

    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.count(|counts| counts.derivations += 1);
        self.inner.hmac(id, key, parts)
    }

    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
        self.count(|counts| counts.derivations += 1);
        self.inner.extract(id, salt, ikm)
    }

    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        self.count(|counts| counts.derivations += 1);
        self.inner.expand(id, key, info, length)
    }

    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.seal(id, key, nonce, aad, plaintext)
    }

    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.open(id, key, nonce, aad, ciphertext)
    }

    fn derive_key_pair(&self, id: KemId, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.count(|counts| counts.key_pairs += 1);
        self.inner.derive_key_pair(id, ikm)
    }

    fn import_private_key(&self, id: KemId, private: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.inner.import_private_key(id, private)
    }

    fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError> {
        self.count(|counts| counts.checked_keys += 1);
        self.inner.check_public_key(id, public)
    }

    fn encapsulate(
        &self,
        id: KemId,
        public: &HpkePublicKey,
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        self.count(|counts| counts.encapsulations += 1);
        self.inner.encapsulate(id, public, seed)
    }

    fn decapsulate(
        &self,
        id: KemId,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError> {
        self.count(|counts| counts.decapsulations += 1);
        self.inner.decapsulate(id, keys, kem_output)
    }

    fn derive_signature_key_pair(
        &self,
        id: SignatureId,
        seed: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError> {
        self.inner.derive_signature_key_pair(id, seed)
    }

    fn import_signature_key(
        &self,
        id: SignatureId,
        private: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError> {
        self.inner.import_signature_key(id, private)
    }

    fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
        self.count(|counts| counts.checked_keys += 1);
        self.inner.check_signature_key(id, public)
    }

    fn sign(
        &self,
        id: SignatureId,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.count(|counts| counts.signatures += 1);
        self.inner.sign(id, keys, message)
    }

    fn verify(
        &self,
        id: SignatureId,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.count(|counts| counts.verifications += 1);
        self.inner.verify(id, public, message, signature)
    }
}
