use crate::crypto::{
    AeadId, CryptoError, CryptoProvider, Digest, HashId, HpkeKeyPair, HpkePublicKey, KdfId, KemId,
    Secret, SignatureId, SignatureKeyPair, SuiteSpec,
};

/// A provider that tells what it was asked for and what came of it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use circlet::crypto::providers::DefaultProvider;
/// use circlet::crypto::{CipherSuite, CryptoError, SignatureId};
/// use circlet::testing::{Hooks, Spying, TestGroup};
///
/// #[derive(Debug, Default)]
/// struct Verifications(AtomicUsize);
///
/// impl Hooks for Verifications {
///     fn verify(
///         &self,
///         (_, _, _, _): (SignatureId, &[u8], &[u8], &[u8]),
///         _: Result<&(), CryptoError>,
///     ) {
///         self.0.fetch_add(1, Ordering::SeqCst);
///     }
/// }
///
/// # fn main() -> Result<(), circlet::Error> {
/// let spy = Arc::new(Spying::new(DefaultProvider::new(), Verifications::default()));
/// let mut group = TestGroup::builder(CipherSuite(1)).provider(spy.clone()).build()?;
/// let before = spy.hooks().0.load(Ordering::SeqCst);
/// group.send(0, b"hello")?;
/// assert_eq!(spy.hooks().0.load(Ordering::SeqCst), before + 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Spying<P, H> {
    provider: P,
    hooks: H,
}

impl<P, H> Spying<P, H> {
    /// Puts hooks around a provider.
    pub fn new(provider: P, hooks: H) -> Self {
        Self { provider, hooks }
    }

    /// The provider inside.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The hooks.
    pub fn hooks(&self) -> &H {
        &self.hooks
    }
}

/// What a [`Spying`] provider tells, after each operation: the arguments as they were, and what
/// came of it. Every method does nothing unless it is written.
#[expect(unused_variables, reason = "the names are for those who write a method")]
pub trait Hooks: std::fmt::Debug + Send + Sync {
    /// A hash was computed.
    fn hash(&self, (id, parts): (HashId, &[&[u8]]), made: Result<&Digest, CryptoError>) {}

    /// An HMAC was computed.
    fn hmac(
        &self,
        (id, key, parts): (HashId, &[u8], &[&[u8]]),
        made: Result<&Digest, CryptoError>,
    ) {
    }

    /// KDF.Extract was computed.
    fn extract(
        &self,
        (id, salt, ikm): (KdfId, &[u8], &[&[u8]]),
        made: Result<&Secret, CryptoError>,
    ) {
    }

    /// KDF.Expand was computed.
    fn expand(
        &self,
        (id, key, info, length): (KdfId, &[u8], &[&[u8]], usize),
        made: Result<&Secret, CryptoError>,
    ) {
    }

    /// Something was encrypted.
    fn seal(
        &self,
        (id, key, nonce, aad, plaintext): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        made: Result<&Vec<u8>, CryptoError>,
    ) {
    }

    /// Something was decrypted.
    fn open(
        &self,
        (id, key, nonce, aad, ciphertext): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        made: Result<&Vec<u8>, CryptoError>,
    ) {
    }

    /// A key pair was derived.
    fn derive_key_pair(&self, (id, ikm): (KemId, &[u8]), made: Result<&HpkeKeyPair, CryptoError>) {}

    /// A private key was imported.
    fn import_private_key(
        &self,
        (id, private): (KemId, &[u8]),
        made: Result<&HpkeKeyPair, CryptoError>,
    ) {
    }

    /// A public key was looked at.
    fn check_public_key(&self, (id, public): (KemId, &[u8]), made: Result<&(), CryptoError>) {}

    /// A shared secret was encapsulated.
    fn encapsulate(
        &self,
        (id, public, seed): (KemId, &HpkePublicKey, &Secret),
        made: Result<&(Vec<u8>, Secret), CryptoError>,
    ) {
    }

    /// A shared secret was decapsulated.
    fn decapsulate(
        &self,
        (id, keys, kem_output): (KemId, &HpkeKeyPair, &[u8]),
        made: Result<&Secret, CryptoError>,
    ) {
    }

    /// A signature key pair was derived.
    fn derive_signature_key_pair(
        &self,
        (id, seed): (SignatureId, &Secret),
        made: Result<&SignatureKeyPair, CryptoError>,
    ) {
    }

    /// A private signature key was imported.
    fn import_signature_key(
        &self,
        (id, private): (SignatureId, &[u8]),
        made: Result<&SignatureKeyPair, CryptoError>,
    ) {
    }

    /// A public signature key was looked at.
    fn check_signature_key(
        &self,
        (id, public): (SignatureId, &[u8]),
        made: Result<&(), CryptoError>,
    ) {
    }

    /// Something was signed.
    fn sign(
        &self,
        (id, keys, message): (SignatureId, &SignatureKeyPair, &[u8]),
        made: Result<&Vec<u8>, CryptoError>,
    ) {
    }

    /// A signature was verified.
    fn verify(
        &self,
        (id, public, message, signature): (SignatureId, &[u8], &[u8], &[u8]),
        made: Result<&(), CryptoError>,
    ) {
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}

impl<P: CryptoProvider, H: Hooks> CryptoProvider for Spying<P, H> {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn suites(&self) -> &[SuiteSpec] {
        self.provider.suites()
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        let made = self.provider.hash(id, parts);
        self.hooks.hash((id, parts), made.as_ref().map_err(|error| *error));
        made
    }

    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        let made = self.provider.hmac(id, key, parts);
        self.hooks.hmac((id, key, parts), made.as_ref().map_err(|error| *error));
        made
    }

    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
        let made = self.provider.extract(id, salt, ikm);
        self.hooks.extract((id, salt, ikm), made.as_ref().map_err(|error| *error));
        made
    }

    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        let made = self.provider.expand(id, key, info, length);
        self.hooks.expand((id, key, info, length), made.as_ref().map_err(|error| *error));
        made
    }

    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let made = self.provider.seal(id, key, nonce, aad, plaintext);
        self.hooks.seal((id, key, nonce, aad, plaintext), made.as_ref().map_err(|error| *error));
        made
    }

    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let made = self.provider.open(id, key, nonce, aad, ciphertext);
        self.hooks.open((id, key, nonce, aad, ciphertext), made.as_ref().map_err(|error| *error));
        made
    }

    fn derive_key_pair(&self, id: KemId, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let made = self.provider.derive_key_pair(id, ikm);
        self.hooks.derive_key_pair((id, ikm), made.as_ref().map_err(|error| *error));
        made
    }

    fn import_private_key(&self, id: KemId, private: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let made = self.provider.import_private_key(id, private);
        self.hooks.import_private_key((id, private), made.as_ref().map_err(|error| *error));
        made
    }

    fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError> {
        let made = self.provider.check_public_key(id, public);
        self.hooks.check_public_key((id, public), made.as_ref().map_err(|error| *error));
        made
    }

    fn encapsulate(
        &self,
        id: KemId,
        public: &HpkePublicKey,
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        let made = self.provider.encapsulate(id, public, seed);
        self.hooks.encapsulate((id, public, seed), made.as_ref().map_err(|error| *error));
        made
    }

    fn decapsulate(
        &self,
        id: KemId,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError> {
        let made = self.provider.decapsulate(id, keys, kem_output);
        self.hooks.decapsulate((id, keys, kem_output), made.as_ref().map_err(|error| *error));
        made
    }

    fn derive_signature_key_pair(
        &self,
        id: SignatureId,
        seed: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError> {
        let made = self.provider.derive_signature_key_pair(id, seed);
        self.hooks.derive_signature_key_pair((id, seed), made.as_ref().map_err(|error| *error));
        made
    }

    fn import_signature_key(
        &self,
        id: SignatureId,
        private: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError> {
        let made = self.provider.import_signature_key(id, private);
        self.hooks.import_signature_key((id, private), made.as_ref().map_err(|error| *error));
        made
    }

    fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
        let made = self.provider.check_signature_key(id, public);
        self.hooks.check_signature_key((id, public), made.as_ref().map_err(|error| *error));
        made
    }

    fn sign(
        &self,
        id: SignatureId,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let made = self.provider.sign(id, keys, message);
        self.hooks.sign((id, keys, message), made.as_ref().map_err(|error| *error));
        made
    }

    fn verify(
        &self,
        id: SignatureId,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let made = self.provider.verify(id, public, message, signature);
        self.hooks.verify((id, public, message, signature), made.as_ref().map_err(|error| *error));
        made
    }
}
