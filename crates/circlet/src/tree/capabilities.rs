use std::collections::BTreeSet;

use super::{ExtensionType, ProposalType};
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::CipherSuite;
use crate::identity::CredentialType;

/// The protocol version of RFC 9420.
pub const MLS10: u16 = 1;

/// What a member supports (RFC 9420 section 7.2). Values that nobody knows are kept and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Protocol versions.
    pub versions: Vec<u16>,
    /// Cipher suites.
    pub cipher_suites: Vec<CipherSuite>,
    /// Extension types beside the default ones.
    pub extensions: Vec<ExtensionType>,
    /// Proposal types beside the default ones.
    pub proposals: Vec<ProposalType>,
    /// Credential types.
    pub credentials: Vec<CredentialType>,
}

impl Capabilities {
    /// Whether the member knows this protocol version.
    #[must_use]
    pub fn has_version(&self, version: u16) -> bool {
        self.versions.contains(&version)
    }

    /// Whether the member can be in groups of this cipher suite.
    #[must_use]
    pub fn has_suite(&self, cipher_suite: CipherSuite) -> bool {
        self.cipher_suites.contains(&cipher_suite)
    }

    /// Whether extensions of this type can be used: default ones always.
    #[must_use]
    pub fn has_extension(&self, extension_type: ExtensionType) -> bool {
        extension_type.is_default() || self.extensions.contains(&extension_type)
    }

    /// Whether proposals of this type can be used: default ones always.
    #[must_use]
    pub fn has_proposal(&self, proposal_type: ProposalType) -> bool {
        proposal_type.is_default() || self.proposals.contains(&proposal_type)
    }

    /// Whether credentials of this type can be used.
    #[must_use]
    pub fn has_credential(&self, credential_type: CredentialType) -> bool {
        self.credentials.contains(&credential_type)
    }
}

/// [`Capabilities`] to be asked often: both sides of a comparison may come from strangers, and a
/// scan for each entry would take quadratic time.
#[derive(Debug)]
pub(crate) struct CapabilitySet {
    extensions: BTreeSet<ExtensionType>,
    proposals: BTreeSet<ProposalType>,
    credentials: BTreeSet<CredentialType>,
}

impl CapabilitySet {
    pub(crate) fn new(capabilities: &Capabilities) -> Self {
        Self {
            extensions: capabilities.extensions.iter().copied().collect(),
            proposals: capabilities.proposals.iter().copied().collect(),
            credentials: capabilities.credentials.iter().copied().collect(),
        }
    }

    pub(crate) fn has_extension(&self, extension_type: ExtensionType) -> bool {
        extension_type.is_default() || self.lists_extension(extension_type)
    }

    pub(crate) fn lists_extension(&self, extension_type: ExtensionType) -> bool {
        self.extensions.contains(&extension_type)
    }

    pub(crate) fn lists_proposal(&self, proposal_type: ProposalType) -> bool {
        self.proposals.contains(&proposal_type)
    }

    pub(crate) fn has_credential(&self, credential_type: CredentialType) -> bool {
        self.credentials.contains(&credential_type)
    }
}

impl Encode for Capabilities {
    fn encode(&self, writer: &mut Writer) {
        writer.vector(&self.versions);
        writer.vector(&self.cipher_suites);
        writer.vector(&self.extensions);
        writer.vector(&self.proposals);
        writer.vector(&self.credentials);
    }
}

impl Decode for Capabilities {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            versions: reader.vector()?,
            cipher_suites: reader.vector()?,
            extensions: reader.vector()?,
            proposals: reader.vector()?,
            credentials: reader.vector()?,
        })
    }
}
