use super::group_context::read_version;
use super::{GroupInfo, KeyPackage, PrivateMessage, PublicMessage, Welcome, WireFormat};
use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::tree::MLS10;

/// Everything that travels by itself (RFC 9420 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MlsMessage {
    /// A framed content in the open.
    Public(PublicMessage),
    /// A framed content, encrypted.
    Private(PrivateMessage),
    /// Brings new members into a group.
    Welcome(Welcome),
    /// Describes a group to those who want to join.
    GroupInfo(GroupInfo),
    /// Lets a client be added.
    KeyPackage(KeyPackage),
}

impl MlsMessage {
    /// Reads a message as it came from the network.
    ///
    /// # Errors
    /// It is longer than the limit, or malformed.
    ///
    /// ```
    /// use circlet::codec::{DecodeContext, DecodeError};
    /// use circlet::message::MlsMessage;
    /// let error = MlsMessage::read(&[0, 2, 0, 1], &DecodeContext::default()).unwrap_err();
    /// assert_eq!(error, DecodeError::UnsupportedVersion(2));
    /// ```
    pub fn read(bytes: &[u8], context: &DecodeContext) -> Result<Self, DecodeError> {
        let limit = context.limits.message_bytes;
        if bytes.len() > limit {
            return Err(DecodeError::MessageTooLong { limit, actual: bytes.len() });
        }
        Self::from_bytes(bytes, context)
    }

    /// How the message is framed.
    #[must_use]
    pub fn wire_format(&self) -> WireFormat {
        match self {
            Self::Public(_) => WireFormat::PublicMessage,
            Self::Private(_) => WireFormat::PrivateMessage,
            Self::Welcome(_) => WireFormat::Welcome,
            Self::GroupInfo(_) => WireFormat::GroupInfo,
            Self::KeyPackage(_) => WireFormat::KeyPackage,
        }
    }
}

impl Encode for MlsMessage {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(MLS10);
        self.wire_format().encode(writer);
        match self {
            Self::Public(message) => message.encode(writer),
            Self::Private(message) => message.encode(writer),
            Self::Welcome(welcome) => welcome.encode(writer),
            Self::GroupInfo(group_info) => group_info.encode(writer),
            Self::KeyPackage(key_package) => key_package.encode(writer),
        }
    }
}

impl Decode for MlsMessage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader)?;
        Ok(match WireFormat::decode(reader)? {
            WireFormat::PublicMessage => Self::Public(PublicMessage::decode(reader)?),
            WireFormat::PrivateMessage => Self::Private(PrivateMessage::decode(reader)?),
            WireFormat::Welcome => Self::Welcome(Welcome::decode(reader)?),
            WireFormat::GroupInfo => Self::GroupInfo(GroupInfo::decode(reader)?),
            WireFormat::KeyPackage => Self::KeyPackage(KeyPackage::decode(reader)?),
        })
    }
}
