use super::GroupContext;
use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::{CryptoError, Mac, Signature, SignaturePublicKey, Suite};
use crate::identity::{Signer, SignerError, sign_with_label};
use crate::tree::{Extensions, LeafIndex};

/// What a newcomer must know of a group, signed by a member (RFC 9420 section 12.4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// The epoch's context.
    pub group_context: GroupContext,
    /// Extensions, such as the ratchet tree.
    pub extensions: Extensions,
    /// The confirmation tag of the epoch.
    pub confirmation_tag: Mac,
    /// The leaf of the member that signed.
    pub signer: LeafIndex,
    /// Its signature.
    pub signature: Signature,
}

impl GroupInfo {
    /// Signs a GroupInfo for the member at the leaf `signer`.
    ///
    /// # Errors
    /// The key failed, or something is too long to encode.
    pub fn sign(
        group_context: GroupContext,
        extensions: Extensions,
        confirmation_tag: Mac,
        signer: LeafIndex,
        key: &dyn Signer,
    ) -> Result<Self, SignerError> {
        let signature = Signature(Vec::new());
        let unsigned = Self { group_context, extensions, confirmation_tag, signer, signature };
        let tbs = unsigned.to_be_signed().map_err(CryptoError::from)?;
        let signature = sign_with_label(key, "GroupInfoTBS", &tbs)?;
        Ok(Self { signature, ..unsigned })
    }

    /// Verifies the signature with the key of the leaf `signer`, which the caller looks up.
    ///
    /// # Errors
    /// [`CryptoError::InvalidSignature`] or [`CryptoError::InvalidSignatureKey`].
    pub fn verify_signature(
        &self,
        suite: &Suite,
        key: &SignaturePublicKey,
    ) -> Result<(), CryptoError> {
        suite.verify_with_label(key, "GroupInfoTBS", &self.to_be_signed()?, &self.signature)
    }

    fn to_be_signed(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.encode_signed(&mut writer);
        writer.finish()
    }

    fn encode_signed(&self, writer: &mut Writer) {
        self.group_context.encode(writer);
        self.extensions.encode(writer);
        self.confirmation_tag.encode(writer);
        self.signer.encode(writer);
    }
}

impl Encode for GroupInfo {
    fn encode(&self, writer: &mut Writer) {
        self.encode_signed(writer);
        self.signature.encode(writer);
    }
}

impl Decode for GroupInfo {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_context: GroupContext::decode(reader)?,
            extensions: Extensions::decode(reader)?,
            confirmation_tag: Mac::decode(reader)?,
            signer: LeafIndex::decode(reader)?,
            signature: Signature::decode(reader)?,
        })
    }
}
