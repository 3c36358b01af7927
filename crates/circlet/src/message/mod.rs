//! The wire messages of RFC 9420: framing, proposals and commits, key packages, Welcome and
//! GroupInfo.
//!
//! These types say what was received, not that it is true: signatures, tags and rules are checked
//! where a message is processed.

mod commit;
mod framing;
mod group_context;
mod group_info;
mod key_package;
mod mls_message;
mod private_message;
mod proposal;
mod public_message;
mod welcome;

#[cfg(test)]
mod tests;

pub use commit::{Commit, UpdatePath, UpdatePathNode};
pub use framing::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, Sender,
    WireFormat,
};
pub use group_context::{GroupContext, GroupId};
pub use group_info::GroupInfo;
pub use key_package::{KeyPackage, KeyPackageContent};
pub use mls_message::MlsMessage;
pub use private_message::{PrivateContent, PrivateMessage, SenderData};
pub use proposal::{Proposal, ProposalOrRef, ReInit};
pub use public_message::PublicMessage;
pub use welcome::{EncryptedGroupSecrets, GroupSecrets, Welcome};
