use std::sync::Arc;

use super::group_context::read_version;
use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::{CipherSuite, CryptoError, HashReference, HpkePublicKey, Signature, Suite};
use crate::identity::{Signer, SignerError, sign_with_label};
use crate::mutation::off;
use crate::tree::{ExtensionType, Extensions, LeafNode, MLS10};

/// What a client publishes so that others can add it to groups (RFC 9420 section 10). It keeps
/// the bytes that it was read from or signed as. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage(Arc<Signed>);

#[derive(Debug, PartialEq, Eq)]
struct Signed {
    content: KeyPackageContent,
    signature: Signature,
    encoded: Vec<u8>,
    /// How many of the encoded bytes are signed: all before the signature.
    signed: usize,
}

/// Everything in a KeyPackage but its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackageContent {
    /// The algorithms that it is for.
    pub cipher_suite: CipherSuite,
    /// Encrypts the Welcome.
    pub init_key: HpkePublicKey,
    /// The leaf that will be in the tree.
    pub leaf_node: LeafNode,
    /// Extensions of the KeyPackage.
    pub extensions: Extensions,
}

impl KeyPackage {
    /// Signs a KeyPackage.
    ///
    /// # Errors
    /// The signer failed, or something is too long to encode.
    pub fn sign(content: KeyPackageContent, signer: &dyn Signer) -> Result<Self, SignerError> {
        let mut encoded = content.to_bytes().map_err(CryptoError::from)?;
        let signed = encoded.len();
        let signature = sign_with_label(signer, "KeyPackageTBS", &encoded)?;
        encoded.extend(signature.to_bytes().map_err(CryptoError::from)?);
        Ok(Self(Arc::new(Signed { content, signature, encoded, signed })))
    }

    /// A KeyPackage with this signature, whatever it is.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_signature(
        content: KeyPackageContent,
        signature: Signature,
    ) -> Result<Self, EncodeError> {
        let mut encoded = content.to_bytes()?;
        let signed = encoded.len();
        encoded.extend(signature.to_bytes()?);
        Ok(Self(Arc::new(Signed { content, signature, encoded, signed })))
    }

    /// The signature.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// Verifies the signature over the KeyPackage; that of its leaf is the leaf's own.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] or [`CryptoError::InvalidSignatureKey`].
    pub fn verify_signature(&self, suite: &Suite) -> Result<(), CryptoError> {
        let signed = self.0.encoded.get(..self.0.signed).unwrap_or_default();
        let key = &self.leaf_node.signature_key;
        suite.verify_with_label(key, "KeyPackageTBS", signed, &self.0.signature)
    }

    /// KeyPackageRef (section 5.2).
    ///
    /// # Errors
    /// The provider failed.
    pub fn reference(&self, suite: &Suite) -> Result<HashReference, CryptoError> {
        suite.reference("MLS 1.0 KeyPackage Reference", &self.0.encoded)
    }

    /// Whether its client keeps it when it is used, so that it can be used again (RFC 9420 section
    /// 16.8): what a delivery service hands out when a client has no other left.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.extensions.find(ExtensionType::LAST_RESORT).is_some()
    }

    /// The encoding, without the frame of an MLSMessage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.encoded
    }
}

impl std::ops::Deref for KeyPackage {
    type Target = KeyPackageContent;

    fn deref(&self) -> &KeyPackageContent {
        &self.0.content
    }
}

impl KeyPackageContent {
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.u16(MLS10);
        self.cipher_suite.encode(&mut writer);
        self.init_key.encode(&mut writer);
        self.leaf_node.encode(&mut writer);
        self.extensions.encode(&mut writer);
        writer.finish()
    }
}

impl Encode for KeyPackage {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0.encoded);
    }
}

impl Decode for KeyPackage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ((content, signed, signature), encoded) = reader.with_bytes(|reader| {
            let (content, signed) = reader.with_bytes(|reader| {
                read_key_package_version(reader)?;
                Ok(KeyPackageContent {
                    cipher_suite: CipherSuite::decode(reader)?,
                    init_key: HpkePublicKey::decode(reader)?,
                    leaf_node: LeafNode::decode(reader)?,
                    extensions: Extensions::decode(reader)?,
                })
            })?;
            Ok((content, signed.len(), Signature::decode(reader)?))
        })?;
        let encoded = encoded.to_vec();
        Ok(Self(Arc::new(Signed { content, signature, encoded, signed })))
    }
}

/// V-10.0-05: the version is that of the MLSMessage around it, of which there is only one.
fn read_key_package_version(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match off("V-10.0-05") {
        true => reader.u16().map(drop),
        false => read_version(reader),
    }
}
