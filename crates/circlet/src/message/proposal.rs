use super::{GroupId, KeyPackage};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::{CipherSuite, HashReference};
use crate::mutation::off;
use crate::schedule::PreSharedKeyId;
use crate::tree::{Extensions, LeafIndex, LeafNode, ProposalType};

/// A change to a group that a Commit may apply (RFC 9420 section 12.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proposal {
    /// Adds a member.
    Add(KeyPackage),
    /// Replaces the sender's leaf.
    Update(LeafNode),
    /// Removes the member at a leaf.
    Remove(LeafIndex),
    /// Mixes a pre-shared key into the next epoch.
    PreSharedKey(PreSharedKeyId),
    /// Ends the group in favour of a new one.
    ReInit(ReInit),
    /// A new member's part of the next epoch's key schedule; holds the KEM output.
    ExternalInit(Vec<u8>),
    /// Replaces all extensions of the group.
    GroupContextExtensions(Extensions),
    /// A type that the application registered, with
    /// [`ClientBuilder::register_proposal_type`](crate::client::ClientBuilder::register_proposal_type)
    /// or in its [`DecodeContext`](crate::codec::DecodeContext).
    Custom {
        /// The type.
        proposal_type: ProposalType,
        /// The content of its `opaque<V>`.
        body: Vec<u8>,
    },
}

/// The parameters of the group that takes the place of this one (RFC 9420 section 12.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReInit {
    /// The new group's id.
    pub group_id: GroupId,
    /// The new group's protocol version.
    pub version: u16,
    /// The new group's algorithms.
    pub cipher_suite: CipherSuite,
    /// The new group's extensions.
    pub extensions: Extensions,
}

/// A proposal in a Commit: itself, or the reference of one that was sent before (RFC 9420 section
/// 12.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalOrRef {
    /// By value.
    Proposal(Box<Proposal>),
    /// By reference.
    Reference(HashReference),
}

impl Proposal {
    /// The type.
    #[must_use]
    pub fn proposal_type(&self) -> ProposalType {
        match self {
            Self::Add(_) => ProposalType::ADD,
            Self::Update(_) => ProposalType::UPDATE,
            Self::Remove(_) => ProposalType::REMOVE,
            Self::PreSharedKey(_) => ProposalType::PSK,
            Self::ReInit(_) => ProposalType::REINIT,
            Self::ExternalInit(_) => ProposalType::EXTERNAL_INIT,
            Self::GroupContextExtensions(_) => ProposalType::GROUP_CONTEXT_EXTENSIONS,
            Self::Custom { proposal_type, .. } => *proposal_type,
        }
    }

    /// Writes what follows the type.
    pub fn encode_body(&self, writer: &mut Writer) {
        match self {
            Self::Add(key_package) => key_package.encode(writer),
            Self::Update(leaf_node) => leaf_node.encode(writer),
            Self::Remove(removed) => removed.encode(writer),
            Self::PreSharedKey(psk) => psk.encode(writer),
            Self::ReInit(reinit) => reinit.encode(writer),
            Self::ExternalInit(body) | Self::Custom { body, .. } => writer.opaque(body),
            Self::GroupContextExtensions(extensions) => extensions.encode(writer),
        }
    }

    /// Reads what follows the type. V-12.1-03: of a type that nobody registered it is not even known
    /// where the body ends.
    ///
    /// # Errors
    /// The body is malformed, or nobody registered the type.
    pub fn decode_body(
        proposal_type: ProposalType,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        match proposal_type {
            ProposalType::ADD => KeyPackage::decode(reader).map(Self::Add),
            ProposalType::UPDATE => LeafNode::decode(reader).map(Self::Update),
            ProposalType::REMOVE => LeafIndex::decode(reader).map(Self::Remove),
            ProposalType::PSK => PreSharedKeyId::decode(reader).map(Self::PreSharedKey),
            ProposalType::REINIT => ReInit::decode(reader).map(Self::ReInit),
            ProposalType::EXTERNAL_INIT => {
                reader.opaque().map(|kem_output| Self::ExternalInit(kem_output.to_vec()))
            }
            ProposalType::GROUP_CONTEXT_EXTENSIONS => {
                Extensions::decode(reader).map(Self::GroupContextExtensions)
            }
            // V-12.1-04: 0 is reserved, whatever is registered.
            ProposalType(0) if !off("V-12.1-04") => Err(DecodeError::UnsupportedProposal(0)),
            ProposalType(other)
                if reader.context().proposal_types.contains_key(&other) || off("V-12.1-03") =>
            {
                Ok(Self::Custom { proposal_type, body: reader.opaque()?.to_vec() })
            }
            ProposalType(other) => Err(DecodeError::UnsupportedProposal(other)),
        }
    }
}

impl Encode for Proposal {
    fn encode(&self, writer: &mut Writer) {
        self.proposal_type().encode(writer);
        self.encode_body(writer);
    }
}

impl Decode for Proposal {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let proposal_type = ProposalType::decode(reader)?;
        Self::decode_body(proposal_type, reader)
    }
}

impl Encode for ReInit {
    fn encode(&self, writer: &mut Writer) {
        self.group_id.encode(writer);
        writer.u16(self.version);
        self.cipher_suite.encode(writer);
        self.extensions.encode(writer);
    }
}

impl Decode for ReInit {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: GroupId::decode(reader)?,
            version: reader.u16()?,
            cipher_suite: CipherSuite::decode(reader)?,
            extensions: Extensions::decode(reader)?,
        })
    }
}

impl Encode for ProposalOrRef {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Proposal(proposal) => {
                writer.u8(1);
                proposal.encode(writer);
            }
            Self::Reference(reference) => {
                writer.u8(2);
                reference.encode(writer);
            }
        }
    }
}

impl Decode for ProposalOrRef {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Proposal::decode(reader).map(|proposal| Self::Proposal(Box::new(proposal))),
            2 => HashReference::decode(reader).map(Self::Reference),
            other => {
                Err(DecodeError::UnknownValue { kind: "ProposalOrRefType", value: other.into() })
            }
        }
    }
}
