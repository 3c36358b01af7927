use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::{
    CipherSuite, CryptoError, CryptoProvider, Digest, HpkeKeyPair, HpkePublicKey, Rng, Secret,
    SignatureKeyPair, SignaturePublicKey, SuiteSpec, hpke,
};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::mutation::off;

/// A provider with one cipher suite: every cryptographic operation of a group goes through it.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Suite {
    provider: Arc<dyn CryptoProvider>,
    spec: SuiteSpec,
}

/// A signature as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(pub Vec<u8>);

/// A message authentication code as it is on the wire; compare it with [`Suite::verify_mac`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mac(pub Vec<u8>);

/// `HPKECiphertext` (RFC 9420 section 7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpkeCiphertext {
    /// What the recipient decapsulates.
    pub kem_output: Vec<u8>,
    /// The encrypted content with its tag.
    pub ciphertext: Vec<u8>,
}

/// A KeyPackageRef or ProposalRef (RFC 9420 section 5.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashReference(Arc<[u8]>);

impl Suite {
    /// A suite of this provider.
    ///
    /// # Errors
    /// [`CryptoError::UnsupportedCipherSuite`].
    pub fn new(provider: Arc<dyn CryptoProvider>, suite: CipherSuite) -> Result<Self, CryptoError> {
        let spec = provider.suites().iter().find(|spec| spec.suite == suite).copied();
        // V-5.1-04: before any other work with it.
        let any = || provider.suites().first().copied().filter(|_| off("V-5.1-04"));
        let spec = spec.or_else(any).ok_or(CryptoError::UnsupportedCipherSuite(suite))?;
        Ok(Self { provider, spec })
    }

    /// Another suite of the same provider.
    ///
    /// # Errors
    /// [`CryptoError::UnsupportedCipherSuite`].
    pub fn sibling(&self, suite: CipherSuite) -> Result<Self, CryptoError> {
        Self::new(Arc::clone(&self.provider), suite)
    }

    /// The code point.
    #[must_use]
    pub fn id(&self) -> CipherSuite {
        self.spec.suite
    }

    /// The algorithms and their sizes.
    #[must_use]
    pub fn spec(&self) -> &SuiteSpec {
        &self.spec
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &dyn CryptoProvider {
        &*self.provider
    }

    /// Nh: the length of the KDF's output in bytes.
    #[must_use]
    pub fn secret_length(&self) -> usize {
        self.spec.kdf.length
    }

    /// The suite's hash over the parts, one after the other.
    ///
    /// # Errors
    /// The provider failed.
    pub fn hash(&self, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.provider.hash(self.spec.hash.id, parts)
    }

    /// The suite's MAC: HMAC with its hash (section 17.1).
    ///
    /// # Errors
    /// The provider failed.
    pub fn mac(&self, key: &Secret, parts: &[&[u8]]) -> Result<Mac, CryptoError> {
        let tag = self.provider.hmac(self.spec.hash.id, key.as_bytes(), parts)?;
        Ok(Mac(tag.as_bytes().to_vec()))
    }

    /// Compares a MAC in constant time, its length included.
    ///
    /// # Errors
    /// [`CryptoError::InvalidMac`].
    pub fn verify_mac(&self, key: &Secret, parts: &[&[u8]], mac: &Mac) -> Result<(), CryptoError> {
        let expected = self.mac(key, parts)?;
        // V-6.1-09.
        let length = if off("V-6.1-09") { mac.0.len() } else { expected.0.len() };
        let expected = expected.0.get(..length).unwrap_or_default();
        if bool::from(expected.ct_eq(&mac.0)) { Ok(()) } else { Err(CryptoError::InvalidMac) }
    }

    /// KDF.Extract.
    ///
    /// # Errors
    /// The provider failed.
    pub fn extract(&self, salt: &Secret, ikm: &Secret) -> Result<Secret, CryptoError> {
        self.provider.extract(self.spec.kdf.id, salt.as_bytes(), &[ikm.as_bytes()])
    }

    /// ExpandWithLabel (section 8).
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `length` is over 65,535 or 255 × Nh bytes.
    pub fn expand_with_label(
        &self,
        secret: &Secret,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        // V-8.0-06: also in the KDF.
        let wrapped = off("V-8.0-06").then_some(length as u16);
        let short = u16::try_from(length).ok().or(wrapped).ok_or(CryptoError::InvalidLength)?;
        let mut head = Writer::new();
        head.u16(short);
        write_label(&mut head, label);
        head.length(context.len());
        let head = head.finish()?;
        self.provider.expand(self.spec.kdf.id, secret.as_bytes(), &[&head, context], length)
    }

    /// DeriveSecret (section 8).
    ///
    /// # Errors
    /// The provider failed.
    pub fn derive_secret(&self, secret: &Secret, label: &str) -> Result<Secret, CryptoError> {
        self.expand_with_label(secret, label, &[], self.secret_length())
    }

    /// DeriveTreeSecret (section 9.1).
    ///
    /// # Errors
    /// The provider failed.
    pub fn derive_tree_secret(
        &self,
        secret: &Secret,
        label: &str,
        generation: u32,
        length: usize,
    ) -> Result<Secret, CryptoError> {
        self.expand_with_label(secret, label, &generation.to_be_bytes(), length)
    }

    /// RefHash (section 5.2).
    ///
    /// # Errors
    /// The value is too long to encode.
    pub fn reference(&self, label: &str, value: &[u8]) -> Result<HashReference, CryptoError> {
        let mut head = Writer::new();
        head.opaque(label.as_bytes());
        head.length(value.len());
        let head = head.finish()?;
        Ok(HashReference(self.hash(&[&head, value])?.as_bytes().into()))
    }

    /// SignWithLabel (section 5.1.2).
    ///
    /// # Errors
    /// The key is not one of this suite.
    pub fn sign_with_label(
        &self,
        keys: &SignatureKeyPair,
        label: &str,
        content: &[u8],
    ) -> Result<Signature, CryptoError> {
        let content = sign_content(label, content)?;
        self.provider.sign(self.spec.signature.id, keys, &content).map(Signature)
    }

    /// VerifyWithLabel (section 5.1.2).
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] or [`CryptoError::InvalidSignatureKey`].
    pub fn verify_with_label(
        &self,
        key: &SignaturePublicKey,
        label: &str,
        content: &[u8],
        signature: &Signature,
    ) -> Result<(), CryptoError> {
        let content = sign_content(label, content)?;
        self.provider.verify(self.spec.signature.id, key.as_bytes(), &content, &signature.0)
    }

    /// EncryptWithLabel (section 5.1.3) with an encapsulation seed that was drawn before.
    ///
    /// # Errors
    /// [`CryptoError::InvalidHpkePublicKey`].
    pub fn encrypt_with_label(
        &self,
        key: &HpkePublicKey,
        label: &str,
        context: &[u8],
        plaintext: &[u8],
        seed: &Secret,
    ) -> Result<HpkeCiphertext, CryptoError> {
        let info = encrypt_context(label, context)?;
        let (kem_output, ciphertext) =
            hpke::seal(&*self.provider, &self.spec, key, &info, &[], plaintext, seed)?;
        Ok(HpkeCiphertext { kem_output, ciphertext })
    }

    /// DecryptWithLabel (section 5.1.3).
    ///
    /// # Errors
    /// [`CryptoError::DecryptionFailed`] or [`CryptoError::InvalidKemOutput`].
    pub fn decrypt_with_label(
        &self,
        keys: &HpkeKeyPair,
        label: &str,
        context: &[u8],
        ciphertext: &HpkeCiphertext,
    ) -> Result<Secret, CryptoError> {
        let info = encrypt_context(label, context)?;
        hpke::open(
            &*self.provider,
            &self.spec,
            keys,
            &ciphertext.kem_output,
            &info,
            &[],
            &ciphertext.ciphertext,
        )
    }

    /// A fresh seed for an encapsulation.
    ///
    /// # Errors
    /// The generator failed.
    pub fn encapsulation_seed(&self, rng: &mut dyn Rng) -> Result<Secret, CryptoError> {
        Ok(Secret::random(rng, self.spec.kem.seed_length)?)
    }

    /// KEM.DeriveKeyPair.
    ///
    /// # Errors
    /// The provider failed.
    pub fn derive_key_pair(&self, ikm: &Secret) -> Result<HpkeKeyPair, CryptoError> {
        self.provider.derive_key_pair(self.spec.kem.id, ikm.as_bytes())
    }

    /// A fresh HPKE key pair.
    ///
    /// # Errors
    /// The generator failed.
    pub fn generate_key_pair(&self, rng: &mut dyn Rng) -> Result<HpkeKeyPair, CryptoError> {
        self.derive_key_pair(&self.encapsulation_seed(rng)?)
    }

    /// A fresh signature key pair.
    ///
    /// # Errors
    /// The generator failed.
    pub fn generate_signature_key_pair(
        &self,
        rng: &mut dyn Rng,
    ) -> Result<SignatureKeyPair, CryptoError> {
        let seed = Secret::random(rng, self.spec.signature.seed_length)?;
        self.provider.derive_signature_key_pair(self.spec.signature.id, &seed)
    }

    /// Refuses what is not a public key of the suite's KEM (section 5.1.1).
    ///
    /// # Errors
    /// [`CryptoError::InvalidHpkePublicKey`].
    pub fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        self.provider.check_public_key(self.spec.kem.id, key.as_bytes())
    }

    /// Refuses what is not a public key of the suite's signature scheme (section 5.1.1).
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignatureKey`].
    pub fn check_signature_key(&self, key: &SignaturePublicKey) -> Result<(), CryptoError> {
        self.provider.check_signature_key(self.spec.signature.id, key.as_bytes())
    }

    /// AEAD encryption.
    ///
    /// # Errors
    /// The provider failed.
    pub fn seal(
        &self,
        key: &Secret,
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.provider.seal(self.spec.aead.id, key.as_bytes(), nonce, aad, plaintext)
    }

    /// AEAD decryption.
    ///
    /// # Errors
    /// [`CryptoError::DecryptionFailed`].
    pub fn open(
        &self,
        key: &Secret,
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.provider.open(self.spec.aead.id, key.as_bytes(), nonce, aad, ciphertext)
    }
}

/// Every label on the wire or in a hash is prefixed with "MLS 1.0 ", except the whole labels of
/// RefHash (sections 5.1.2, 5.1.3, 5.2 and 8).
fn write_label(writer: &mut Writer, label: &str) {
    writer.nested(|writer| {
        writer.raw(b"MLS 1.0 ");
        writer.raw(label.as_bytes());
    });
}

pub(crate) fn sign_content(label: &str, content: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut writer = Writer::new();
    write_label(&mut writer, label);
    writer.opaque(content);
    Ok(writer.finish()?)
}

fn encrypt_context(label: &str, context: &[u8]) -> Result<Vec<u8>, CryptoError> {
    sign_content(label, context)
}

impl HashReference {
    /// A reference as it was received.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for HashReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        super::keys::fmt_hex(&self.0, f)
    }
}

impl Encode for HashReference {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

impl Decode for HashReference {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque().map(Self::new)
    }
}

impl Encode for Signature {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

impl Decode for Signature {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque().map(|bytes| Self(bytes.to_vec()))
    }
}

impl Encode for Mac {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

impl Decode for Mac {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque().map(|bytes| Self(bytes.to_vec()))
    }
}

impl Encode for HpkeCiphertext {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.kem_output);
        writer.opaque(&self.ciphertext);
    }
}

impl Decode for HpkeCiphertext {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { kem_output: reader.opaque()?.to_vec(), ciphertext: reader.opaque()?.to_vec() })
    }
}
