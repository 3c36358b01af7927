use std::sync::Arc;

use super::{Capabilities, Extensions, LeafIndex};
use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::{CryptoError, HpkePublicKey, Signature, SignaturePublicKey, Suite};
use crate::identity::{Credential, Signer, SignerError, sign_with_label};
use crate::mutation::off;

/// A member's leaf: keys, credential and capabilities, signed by the member (RFC 9420 section
/// 7.2). It keeps the bytes that it was read from or signed as, since they are what is hashed and
/// sent. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafNode(Arc<Signed>);

#[derive(Debug, PartialEq, Eq)]
struct Signed {
    content: LeafNodeContent,
    signature: Signature,
    encoded: Vec<u8>,
    /// How many of the encoded bytes are signed: all before the signature.
    signed: usize,
}

/// Everything in a leaf but its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafNodeContent {
    /// Encrypts path secrets to the member.
    pub encryption_key: HpkePublicKey,
    /// Verifies what the member signs.
    pub signature_key: SignaturePublicKey,
    /// Who the member is.
    pub credential: Credential,
    /// What the member's client supports.
    pub capabilities: Capabilities,
    /// How the leaf came into the tree.
    pub source: LeafNodeSource,
    /// Extensions of the leaf.
    pub extensions: Extensions,
}

/// How a leaf came into the tree (RFC 9420 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafNodeSource {
    /// In a KeyPackage.
    KeyPackage(Lifetime),
    /// By an Update proposal.
    Update,
    /// By a Commit's path; holds the parent hash (section 7.9), empty below a root-only path.
    Commit(Vec<u8>),
}

/// When a KeyPackage may be used, in seconds since the Unix epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The first second.
    pub not_before: u64,
    /// The last second.
    pub not_after: u64,
}

/// The group and place that an Update's or Commit's leaf is signed for.
#[derive(Clone, Copy, Debug)]
pub struct LeafPosition<'a> {
    /// The group.
    pub group_id: &'a [u8],
    /// The leaf's place.
    pub leaf_index: LeafIndex,
}

impl Lifetime {
    /// Whether `now` is inside, ends included.
    #[must_use]
    pub fn contains(self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// From the first second to the last, in seconds; 0 if it ends before it begins.
    #[must_use]
    pub fn total(self) -> u64 {
        self.not_after.saturating_sub(self.not_before)
    }
}

impl LeafNode {
    /// Signs a leaf. A leaf of a KeyPackage is signed for no place, the other kinds for theirs.
    ///
    /// # Errors
    /// The signer failed, or something is too long to encode.
    pub fn sign(
        content: LeafNodeContent,
        position: LeafPosition<'_>,
        signer: &dyn Signer,
    ) -> Result<Self, SignerError> {
        let mut encoded = content.to_bytes().map_err(CryptoError::from)?;
        let signed = encoded.len();
        let position = content.source.is_bound().then_some(position);
        let tbs = to_be_signed(&encoded, position).map_err(CryptoError::from)?;
        let signature = sign_with_label(signer, "LeafNodeTBS", &tbs)?;
        encoded.extend(signature.to_bytes().map_err(CryptoError::from)?);
        Ok(Self(Arc::new(Signed { content, signature, encoded, signed })))
    }

    /// A leaf with this signature, whatever it is.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_signature(
        content: LeafNodeContent,
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

    /// Verifies the leaf's own signature.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] or [`CryptoError::InvalidSignatureKey`].
    pub fn verify_signature(
        &self,
        suite: &Suite,
        position: LeafPosition<'_>,
    ) -> Result<(), CryptoError> {
        let bound = self.0.content.source.is_bound();
        self.verify_signature_at(suite, bound.then_some(position))
    }

    /// The same for this place, or for none, whatever the source.
    pub(crate) fn verify_signature_at(
        &self,
        suite: &Suite,
        position: Option<LeafPosition<'_>>,
    ) -> Result<(), CryptoError> {
        let signed = self.0.encoded.get(..self.0.signed).unwrap_or_default();
        let tbs = to_be_signed(signed, position)?;
        suite.verify_with_label(&self.signature_key, "LeafNodeTBS", &tbs, &self.0.signature)
    }

    /// The encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.encoded
    }

    /// Whether both are the same value in memory, which tests tell shared structure by.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::ops::Deref for LeafNode {
    type Target = LeafNodeContent;

    fn deref(&self) -> &LeafNodeContent {
        &self.0.content
    }
}

/// LeafNodeTBS (section 7.2), with group and place where the leaf is bound to them.
fn to_be_signed(
    content: &[u8],
    position: Option<LeafPosition<'_>>,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.raw(content);
    if let Some(LeafPosition { group_id, leaf_index }) = position {
        writer.opaque(group_id);
        leaf_index.encode(&mut writer);
    }
    writer.finish()
}

impl LeafNodeSource {
    /// Whether the leaf is signed for its group and place (section 7.2).
    fn is_bound(&self) -> bool {
        !matches!(self, Self::KeyPackage(_))
    }
}

impl Encode for LeafNodeContent {
    fn encode(&self, writer: &mut Writer) {
        self.encryption_key.encode(writer);
        self.signature_key.encode(writer);
        self.credential.encode(writer);
        self.capabilities.encode(writer);
        match &self.source {
            LeafNodeSource::KeyPackage(lifetime) => {
                writer.u8(1);
                writer.u64(lifetime.not_before);
                writer.u64(lifetime.not_after);
            }
            LeafNodeSource::Update => writer.u8(2),
            LeafNodeSource::Commit(parent_hash) => {
                writer.u8(3);
                writer.opaque(parent_hash);
            }
        }
        self.extensions.encode(writer);
    }
}

impl Decode for LeafNodeContent {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            encryption_key: HpkePublicKey::decode(reader)?,
            signature_key: SignaturePublicKey::decode(reader)?,
            credential: Credential::decode(reader)?,
            capabilities: Capabilities::decode(reader)?,
            source: LeafNodeSource::decode(reader)?,
            extensions: Extensions::decode_in_leaf(reader)?,
        })
    }
}

impl Decode for LeafNodeSource {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::KeyPackage(Lifetime {
                not_before: reader.u64()?,
                not_after: reader.u64()?,
            })),
            2 => Ok(Self::Update),
            3 => Ok(Self::Commit(reader.opaque()?.to_vec())),
            // V-2.0-04.
            _ if off("V-2.0-04") => Ok(Self::Update),
            other => Err(DecodeError::UnknownValue { kind: "LeafNodeSource", value: other.into() }),
        }
    }
}

impl Encode for LeafNode {
    fn encode(&self, writer: &mut Writer) {
        writer.raw(&self.0.encoded);
    }
}

impl Decode for LeafNode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ((content, signed, signature), encoded) = reader.with_bytes(|reader| {
            let (content, signed) = reader.with_bytes(LeafNodeContent::decode)?;
            Ok((content, signed.len(), Signature::decode(reader)?))
        })?;
        let encoded = encoded.to_vec();
        Ok(Self(Arc::new(Signed { content, signature, encoded, signed })))
    }
}
