use super::{Commit, GroupId, Proposal};
use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::{CryptoError, HashReference, Mac, Signature, Suite};
use crate::mutation::off;
use crate::tree::{LeafIndex, MLS10};

/// How a message is framed (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireFormat {
    /// Signed, readable by anyone.
    PublicMessage,
    /// Signed and encrypted to the group.
    PrivateMessage,
    /// Brings new members into a group.
    Welcome,
    /// Describes a group to those who want to join.
    GroupInfo,
    /// Lets a client be added.
    KeyPackage,
}

/// What a framed message holds (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// Application data.
    Application,
    /// A proposal.
    Proposal,
    /// A commit.
    Commit,
}

/// Who sent a framed message (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// The member at a leaf.
    Member(LeafIndex),
    /// An entry of the external_senders extension.
    External(u32),
    /// Somebody who proposes to be added.
    NewMemberProposal,
    /// Somebody who joins by an external Commit.
    NewMemberCommit,
}

/// The content of a framed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Application data.
    Application(Vec<u8>),
    /// A proposal.
    Proposal(Proposal),
    /// A commit.
    Commit(Commit),
}

/// What is signed in every framed message (RFC 9420 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedContent {
    /// The group.
    pub group_id: GroupId,
    /// The epoch that it was sent in.
    pub epoch: u64,
    /// Who sent it.
    pub sender: Sender,
    /// Data of the application that is authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
    /// The content.
    pub content: Content,
}

/// What authenticates a [`FramedContent`] (RFC 9420 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedContentAuthData {
    /// The sender's signature.
    pub signature: Signature,
    /// Present exactly with a Commit.
    pub confirmation_tag: Option<Mac>,
}

/// A framed content with what authenticates it, whichever way it travelled (RFC 9420 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedContent {
    /// The way it travelled.
    pub wire_format: WireFormat,
    /// The content.
    pub content: FramedContent,
    /// What authenticates it; nothing says yet that it does.
    pub auth: FramedContentAuthData,
}

impl Content {
    /// The type.
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        match self {
            Self::Application(_) => ContentType::Application,
            Self::Proposal(_) => ContentType::Proposal,
            Self::Commit(_) => ContentType::Commit,
        }
    }

    pub(super) fn encode_body(&self, writer: &mut Writer) {
        match self {
            Self::Application(data) => writer.opaque(data),
            Self::Proposal(proposal) => proposal.encode(writer),
            Self::Commit(commit) => commit.encode(writer),
        }
    }

    pub(super) fn decode_body(
        content_type: ContentType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        match content_type {
            ContentType::Application => {
                reader.opaque().map(|data| Self::Application(data.to_vec()))
            }
            ContentType::Proposal => Proposal::decode(reader).map(Self::Proposal),
            ContentType::Commit => Commit::decode(reader).map(Self::Commit),
        }
    }
}

impl FramedContent {
    /// FramedContentTBS (section 6.1). `context` is the encoded GroupContext; it is signed by
    /// those who know it: members, and new members that commit.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn to_be_signed(
        &self,
        wire_format: WireFormat,
        context: &[u8],
    ) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.u16(MLS10);
        wire_format.encode(&mut writer);
        self.encode(&mut writer);
        if matches!(self.sender, Sender::Member(_) | Sender::NewMemberCommit) {
            writer.raw(context);
        }
        writer.finish()
    }
}

impl AuthenticatedContent {
    /// ProposalRef (section 5.2): meant for proposals.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn reference(&self, suite: &Suite) -> Result<HashReference, CryptoError> {
        suite.reference("MLS 1.0 Proposal Reference", &self.to_bytes()?)
    }

    /// ConfirmedTranscriptHashInput (section 8.2): meant for commits. V-8.2-03: with the wire format
    /// that the Commit travels in.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn confirmed_transcript_hash_input(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        match off("V-8.2-03") {
            true => WireFormat::PublicMessage.encode(&mut writer),
            false => self.wire_format.encode(&mut writer),
        }
        self.content.encode(&mut writer);
        self.auth.signature.encode(&mut writer);
        writer.finish()
    }
}

impl Encode for WireFormat {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(match self {
            Self::PublicMessage => 1,
            Self::PrivateMessage => 2,
            Self::Welcome => 3,
            Self::GroupInfo => 4,
            Self::KeyPackage => 5,
        });
    }
}

/// V-6.0-04: what is not known is an error of its own.
impl Decode for WireFormat {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u16()? {
            1 => Ok(Self::PublicMessage),
            2 => Ok(Self::PrivateMessage),
            3 => Ok(Self::Welcome),
            4 => Ok(Self::GroupInfo),
            5 => Ok(Self::KeyPackage),
            _ if off("V-6.0-04") => Ok(Self::PrivateMessage),
            other => Err(DecodeError::UnsupportedWireFormat(other)),
        }
    }
}

impl Encode for ContentType {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Application => 1,
            Self::Proposal => 2,
            Self::Commit => 3,
        });
    }
}

impl Decode for ContentType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Application),
            2 => Ok(Self::Proposal),
            3 => Ok(Self::Commit),
            other => Err(DecodeError::UnknownValue { kind: "ContentType", value: other.into() }),
        }
    }
}

impl Encode for Sender {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Member(leaf_index) => {
                writer.u8(1);
                leaf_index.encode(writer);
            }
            Self::External(sender_index) => {
                writer.u8(2);
                writer.u32(*sender_index);
            }
            Self::NewMemberProposal => writer.u8(3),
            Self::NewMemberCommit => writer.u8(4),
        }
    }
}

impl Decode for Sender {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => LeafIndex::decode(reader).map(Self::Member),
            2 => reader.u32().map(Self::External),
            3 => Ok(Self::NewMemberProposal),
            4 => Ok(Self::NewMemberCommit),
            other => Err(DecodeError::UnknownValue { kind: "SenderType", value: other.into() }),
        }
    }
}

impl Encode for FramedContent {
    fn encode(&self, writer: &mut Writer) {
        self.group_id.encode(writer);
        writer.u64(self.epoch);
        self.sender.encode(writer);
        writer.opaque(&self.authenticated_data);
        self.content.content_type().encode(writer);
        self.content.encode_body(writer);
    }
}

impl Decode for FramedContent {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: GroupId::decode(reader)?,
            epoch: reader.u64()?,
            sender: Sender::decode(reader)?,
            authenticated_data: reader.opaque()?.to_vec(),
            content: {
                let content_type = ContentType::decode(reader)?;
                Content::decode_body(content_type, reader)?
            },
        })
    }
}

impl FramedContentAuthData {
    /// V-6.1-08 and V-6.3.1-09: a confirmation tag is there with a Commit, and only there.
    pub(super) fn decode_for(
        content_type: ContentType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let signature = Signature::decode(reader)?;
        let confirmation_tag = match content_type {
            ContentType::Commit => Some(Mac::decode(reader)?),
            _ if off("V-6.3.1-09") => Mac::decode(reader).ok(),
            _ => None,
        };
        Ok(Self { signature, confirmation_tag })
    }
}

impl Encode for FramedContentAuthData {
    fn encode(&self, writer: &mut Writer) {
        self.signature.encode(writer);
        if let Some(tag) = &self.confirmation_tag {
            tag.encode(writer);
        }
    }
}

impl Encode for AuthenticatedContent {
    fn encode(&self, writer: &mut Writer) {
        self.wire_format.encode(writer);
        self.content.encode(writer);
        self.auth.encode(writer);
    }
}

impl Decode for AuthenticatedContent {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wire_format = WireFormat::decode(reader)?;
        let content = FramedContent::decode(reader)?;
        let content_type = content.content.content_type();
        let auth = FramedContentAuthData::decode_for(content_type, reader)?;
        Ok(Self { wire_format, content, auth })
    }
}
