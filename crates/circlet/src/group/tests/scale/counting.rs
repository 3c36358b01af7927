//! A provider that counts what it is asked for.

use std::ops::Sub;
use std::sync::{Arc, Mutex};

use super::super::*;
use crate::crypto::*;
use crate::testing::{Hooks, Spying};

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
pub(super) type CountingProvider = Spying<DefaultProvider, Counter>;

#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<Counts>);

impl CountingProvider {
    pub(super) fn counting() -> Arc<Self> {
        Arc::new(Self::new(DefaultProvider::new(), Counter::default()))
    }

    pub(super) fn counts(&self) -> Counts {
        *self.hooks().0.lock().unwrap()
    }
}

impl Counter {
    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.0.lock().unwrap());
    }
}

impl Hooks for Counter {
    fn hash(&self, (_, parts): (HashId, &[&[u8]]), _: Result<&Digest, CryptoError>) {
        self.count(|counts| {
            counts.hashes += 1;
            counts.hashed_bytes += parts.iter().map(|part| part.len()).sum::<usize>();
        });
    }

    fn hmac(&self, _: (HashId, &[u8], &[&[u8]]), _: Result<&Digest, CryptoError>) {
        self.count(|counts| counts.derivations += 1);
    }

    fn extract(&self, _: (KdfId, &[u8], &[&[u8]]), _: Result<&Secret, CryptoError>) {
        self.count(|counts| counts.derivations += 1);
    }

    fn expand(&self, _: (KdfId, &[u8], &[&[u8]], usize), _: Result<&Secret, CryptoError>) {
        self.count(|counts| counts.derivations += 1);
    }

    fn derive_key_pair(&self, _: (KemId, &[u8]), _: Result<&HpkeKeyPair, CryptoError>) {
        self.count(|counts| counts.key_pairs += 1);
    }

    fn check_public_key(&self, _: (KemId, &[u8]), _: Result<&(), CryptoError>) {
        self.count(|counts| counts.checked_keys += 1);
    }

    fn encapsulate(
        &self,
        _: (KemId, &HpkePublicKey, &Secret),
        _: Result<&(Vec<u8>, Secret), CryptoError>,
    ) {
        self.count(|counts| counts.encapsulations += 1);
    }

    fn decapsulate(&self, _: (KemId, &HpkeKeyPair, &[u8]), _: Result<&Secret, CryptoError>) {
        self.count(|counts| counts.decapsulations += 1);
    }

    fn check_signature_key(&self, _: (SignatureId, &[u8]), _: Result<&(), CryptoError>) {
        self.count(|counts| counts.checked_keys += 1);
    }

    fn sign(&self, _: (SignatureId, &SignatureKeyPair, &[u8]), _: Result<&Vec<u8>, CryptoError>) {
        self.count(|counts| counts.signatures += 1);
    }

    fn verify(&self, _: (SignatureId, &[u8], &[u8], &[u8]), _: Result<&(), CryptoError>) {
        self.count(|counts| counts.verifications += 1);
    }
}
