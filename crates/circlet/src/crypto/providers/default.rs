#[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::accelerated;
use super::dhkem::DhKem;
use super::signing::Signing;
use super::{DiffieHellman, SignatureScheme, key_operations, portable, specs, symmetric};
use crate::crypto::{
    AeadId, CipherSuite, CryptoError, CryptoProvider, Digest, HashId, HpkeKeyPair, HpkePublicKey,
    KdfId, KemId, Secret, SignatureId, SignatureKeyPair, SuiteSpec,
};

/// The provider that needs nothing but Rust: suites 1, 2, 3, 5 and 7, with the feature `curve448`
/// also 4 and 6.
///
/// Where the machine has the instructions that it needs, found out at run time, formally verified
/// assembly (graviola) does X25519, Ed25519, P-256 and P-384; everywhere else portable Rust does.
#[derive(Clone, Debug)]
pub struct DefaultProvider {
    suites: Vec<SuiteSpec>,
    accelerated: bool,
}

impl DefaultProvider {
    /// Uses what the machine has.
    #[must_use]
    pub fn new() -> Self {
        Self { accelerated: is_accelerated(), ..Self::portable() }
    }

    /// Uses portable Rust alone, whatever the machine has.
    #[must_use]
    pub fn portable() -> Self {
        Self { suites: specs(SUITES), accelerated: false }
    }

    fn kem(&self, id: KemId) -> Result<DhKem<'_>, CryptoError> {
        DhKem::new(id, self, self.curve(id).ok_or(CryptoError::UnsupportedAlgorithm)?)
    }

    fn signing(&self, id: SignatureId) -> Result<Signing<'_>, CryptoError> {
        Signing::new(id, self, self.scheme(id).ok_or(CryptoError::UnsupportedAlgorithm)?)
    }

    fn curve(&self, id: KemId) -> Option<&'static dyn DiffieHellman> {
        #[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
        if let (true, Some(curve)) = (self.accelerated, accelerated::curve(id)) {
            return Some(curve);
        }
        #[cfg(feature = "curve448")]
        if let Some(curve) = super::curve448::curve(id) {
            return Some(curve);
        }
        portable::curve(id)
    }

    fn scheme(&self, id: SignatureId) -> Option<&'static dyn SignatureScheme> {
        #[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
        if let (true, Some(scheme)) = (self.accelerated, accelerated::scheme(id)) {
            return Some(scheme);
        }
        #[cfg(feature = "curve448")]
        if let Some(scheme) = super::curve448::scheme(id) {
            return Some(scheme);
        }
        portable::scheme(id)
    }
}

impl Default for DefaultProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl CryptoProvider for DefaultProvider {
    fn name(&self) -> &'static str {
        if self.accelerated { "default" } else { "portable" }
    }

    fn suites(&self) -> &[SuiteSpec] {
        &self.suites
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        symmetric::hash(id, parts)
    }

    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        symmetric::hmac(id, key, parts)
    }

    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
        symmetric::extract(id, salt, ikm)
    }

    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        symmetric::expand(id, key, info, length)
    }

    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        symmetric::seal(id, key, nonce, aad, plaintext)
    }

    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        symmetric::open(id, key, nonce, aad, ciphertext)
    }

    key_operations!();
}

const SUITES: &[CipherSuite] = &[
    CipherSuite::X25519_AES128GCM_SHA256_ED25519,
    CipherSuite::P256_AES128GCM_SHA256_P256,
    CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519,
    #[cfg(feature = "curve448")]
    CipherSuite::X448_AES256GCM_SHA512_ED448,
    CipherSuite::P521_AES256GCM_SHA512_P521,
    #[cfg(feature = "curve448")]
    CipherSuite::X448_CHACHA20POLY1305_SHA512_ED448,
    CipherSuite::P384_AES256GCM_SHA384_P384,
];

#[cfg(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn is_accelerated() -> bool {
    accelerated::is_supported()
}

#[cfg(not(all(feature = "graviola", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn is_accelerated() -> bool {
    false
}
