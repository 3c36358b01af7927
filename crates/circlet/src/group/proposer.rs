use std::fmt;

use crate::crypto::SignaturePublicKey;
use crate::error::Error;
use crate::identity::Credential;
use crate::message::Sender;
use crate::tree::ExternalSender;

use super::{GroupState, Member};

/// Who made a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proposer {
    /// A member.
    Member(Member),
    /// An external sender of the group's extensions (RFC 9420 section 12.1.8.1).
    External {
        /// Its place in the extension.
        index: u32,
        /// Who it is.
        credential: Credential,
        /// Verifies what it signs.
        signature_key: SignaturePublicKey,
    },
    /// Somebody who proposes its own Add.
    NewMember,
}

/// The proposer's credential, for people.
impl fmt::Display for Proposer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::External { credential, .. } => credential.fmt(f),
            Self::NewMember => f.write_str("a new member"),
        }
    }
}

impl Proposer {
    /// The member, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::External { .. } | Self::NewMember => None,
        }
    }
}

impl GroupState {
    /// Who a proposal's sender is in the present epoch.
    pub(crate) fn proposer(&self, sender: Sender) -> Result<Proposer, Error> {
        match sender {
            Sender::Member(leaf) => self.member(leaf).map(Proposer::Member).ok_or(Error::Internal),
            Sender::External(index) => {
                let ExternalSender { credential, signature_key } = self.external_sender(index)?;
                Ok(Proposer::External { index, credential, signature_key })
            }
            Sender::NewMemberProposal => Ok(Proposer::NewMember),
            Sender::NewMemberCommit => Err(Error::Internal),
        }
    }
}
