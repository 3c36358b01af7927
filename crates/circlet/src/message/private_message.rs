use zeroize::Zeroizing;

use super::{Content, ContentType, FramedContentAuthData, GroupId};
use crate::codec::{Decode, DecodeContext, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::mutation::off;
use crate::tree::LeafIndex;

/// A framed content that is signed and encrypted to the group (RFC 9420 section 6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateMessage {
    /// The group.
    pub group_id: GroupId,
    /// The epoch that it was sent in.
    pub epoch: u64,
    /// Selects the ratchet.
    pub content_type: ContentType,
    /// Data of the application that is authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
    /// Who sent it and with which key, encrypted.
    pub encrypted_sender_data: Vec<u8>,
    /// The content, encrypted.
    pub ciphertext: Vec<u8>,
}

/// Who encrypted a [`PrivateMessage`] and with which key (RFC 9420 section 6.3.2). True only once
/// the content's signature is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderData {
    /// The sender's leaf.
    pub leaf_index: LeafIndex,
    /// The generation of its ratchet.
    pub generation: u32,
    /// Changes the nonce, so that a ratchet that was set back does not repeat one.
    pub reuse_guard: [u8; 4],
}

/// What is encrypted in a [`PrivateMessage`] (RFC 9420 section 6.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateContent {
    /// The content.
    pub content: Content,
    /// What authenticates it.
    pub auth: FramedContentAuthData,
}

impl PrivateMessage {
    /// PrivateContentAAD (section 6.3.1). V-6.3-01: the header is bound to the content.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn content_aad(
        group_id: &GroupId,
        epoch: u64,
        content_type: ContentType,
        authenticated_data: &[u8],
    ) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        if off("V-6.3-01") {
            return Ok(Vec::new());
        }
        group_id.encode(&mut writer);
        writer.u64(epoch);
        content_type.encode(&mut writer);
        writer.opaque(authenticated_data);
        writer.finish()
    }

    /// SenderDataAAD (section 6.3.2). V-6.3.2-03: the header is bound to the sender data.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn sender_data_aad(
        group_id: &GroupId,
        epoch: u64,
        content_type: ContentType,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        if off("V-6.3.2-03") {
            return Ok(Vec::new());
        }
        group_id.encode(&mut writer);
        writer.u64(epoch);
        content_type.encode(&mut writer);
        writer.finish()
    }
}

impl PrivateContent {
    /// The plaintext, with `padding` bytes of zero at its end (V-6.3.1-01).
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn to_plaintext(&self, padding: usize) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        let mut writer = Writer::secret();
        self.content.encode_body(&mut writer);
        self.auth.encode(&mut writer);
        writer.raw(&vec![u8::from(off("V-6.3.1-01")); padding]);
        writer.finish_secret()
    }

    /// V-6.3.1-02 and V-6.3.1-08: reads a plaintext: content, authentication, and nothing but zeros.
    ///
    /// # Errors
    /// It is malformed, or padding is not zero.
    pub fn from_plaintext(
        content_type: ContentType,
        bytes: &[u8],
        context: &DecodeContext,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, context);
        let content = Content::decode_body(content_type, &mut reader)?;
        let auth = FramedContentAuthData::decode_for(content_type, &mut reader)?;
        // All bytes are looked at, so that time tells nothing about where the first one is.
        let padding = reader.rest().iter().fold(0, |sum, byte| sum | byte);
        let zero = padding == 0 || off("V-6.3.1-02");
        if zero { Ok(Self { content, auth }) } else { Err(DecodeError::NonZeroPadding) }
    }
}

impl Encode for PrivateMessage {
    fn encode(&self, writer: &mut Writer) {
        self.group_id.encode(writer);
        writer.u64(self.epoch);
        self.content_type.encode(writer);
        writer.opaque(&self.authenticated_data);
        writer.opaque(&self.encrypted_sender_data);
        writer.opaque(&self.ciphertext);
    }
}

impl Decode for PrivateMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: GroupId::decode(reader)?,
            epoch: reader.u64()?,
            content_type: ContentType::decode(reader)?,
            authenticated_data: reader.opaque()?.to_vec(),
            encrypted_sender_data: reader.opaque()?.to_vec(),
            ciphertext: reader.opaque()?.to_vec(),
        })
    }
}

impl Encode for SenderData {
    fn encode(&self, writer: &mut Writer) {
        self.leaf_index.encode(writer);
        writer.u32(self.generation);
        writer.raw(&self.reuse_guard);
    }
}

impl Decode for SenderData {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            leaf_index: LeafIndex::decode(reader)?,
            generation: reader.u32()?,
            reuse_guard: reader.array()?,
        })
    }
}
