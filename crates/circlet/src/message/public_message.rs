use super::{AuthenticatedContent, FramedContent, FramedContentAuthData, Sender, WireFormat};
use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::Mac;
use crate::mutation::off;

/// A framed content that is signed and, from a member, authenticated to the group, but not
/// encrypted (RFC 9420 section 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicMessage {
    /// The content.
    pub content: FramedContent,
    /// What authenticates it.
    pub auth: FramedContentAuthData,
    /// Present exactly with a member's message.
    pub membership_tag: Option<Mac>,
}

impl PublicMessage {
    /// AuthenticatedContentTBM (section 6.2): what the membership tag is over. `context` is the
    /// encoded GroupContext.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn to_be_maced(
        content: &FramedContent,
        auth: &FramedContentAuthData,
        context: &[u8],
    ) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = content.to_be_signed(WireFormat::PublicMessage, context)?;
        bytes.extend(auth.to_bytes()?);
        Ok(bytes)
    }

    /// The content without its frame. Nothing is verified.
    #[must_use]
    pub fn into_unverified(self) -> AuthenticatedContent {
        AuthenticatedContent {
            wire_format: WireFormat::PublicMessage,
            content: self.content,
            auth: self.auth,
        }
    }
}

impl Encode for PublicMessage {
    fn encode(&self, writer: &mut Writer) {
        self.content.encode(writer);
        self.auth.encode(writer);
        if let Some(tag) = &self.membership_tag {
            tag.encode(writer);
        }
    }
}

/// V-6.2-01: a membership tag is there with a member's message, and only there.
impl Decode for PublicMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let content = FramedContent::decode(reader)?;
        let auth = FramedContentAuthData::decode_for(content.content.content_type(), reader)?;
        let membership_tag = match content.sender {
            Sender::Member(_) => Some(Mac::decode(reader)?),
            _ if off("V-6.2-01") => Mac::decode(reader).ok(),
            _ => None,
        };
        Ok(Self { content, auth, membership_tag })
    }
}
