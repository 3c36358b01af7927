use thiserror::Error;

use super::{Credential, CredentialType};
use crate::crypto::SignaturePublicKey;

/// The application does not accept a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the credential was rejected")]
pub struct CredentialRejected;

/// What a credential is presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialUse {
    /// It is one's own, for a new group or key package. Where a client that is opened renews its
    /// credential, the old one is the one that is replaced.
    Own,
    /// A member of a group that one joins has it.
    Join,
    /// A new member is added with it.
    Add,
    /// A member updates its leaf by a proposal.
    Update,
    /// A committer updates its own leaf in its path.
    Commit,
    /// An external sender gets it in the group's extensions.
    ExternalSender,
    /// An external sender of a group that one joins has it.
    JoinExternalSender,
    /// Somebody who is no member proposes its own Add.
    SelfAdd,
    /// Somebody who is no member joins by an external Commit. Where that removes an old leaf of
    /// the same client, the credential there is the one that is replaced.
    ExternalJoin,
}

/// One question to the application's Authentication Service (RFC 9420 section 5.3.1).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CredentialCheck<'a> {
    /// The credential.
    pub credential: &'a Credential,
    /// The key that it is presented with.
    pub signature_key: &'a SignaturePublicKey,
    /// The credential and key that it replaces, where a member changes its own.
    pub replaced: Option<(&'a Credential, &'a SignaturePublicKey)>,
    /// The group, if there is one yet.
    pub group_id: Option<&'a [u8]>,
    /// Why it is asked.
    pub reason: CredentialUse,
}

impl<'a> CredentialCheck<'a> {
    /// A question about a credential that replaces none.
    #[must_use]
    pub fn new(
        credential: &'a Credential,
        signature_key: &'a SignaturePublicKey,
        reason: CredentialUse,
    ) -> Self {
        Self { credential, signature_key, replaced: None, group_id: None, reason }
    }
}

/// The application's judgement of credentials: its Authentication Service, or a way to it.
///
/// A [`Client`](crate::Client) asks while it works on the group, and may ask again where another
/// writer was first: answer quickly, from what is at hand, and don't call the client's groups from
/// here: they may wait for each other. An application that has to ask a server uses the steps in
/// [`group`](crate::group) itself.
pub trait CredentialValidator: Send + Sync {
    /// Whether the credential is valid for its key, and, where it replaces one, a valid successor
    /// of it.
    ///
    /// # Errors
    /// It is not.
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected>;

    /// Whom a credential stands for: one in a group and one in a group that continues it are the
    /// same member's if this is the same of both (RFC 9420 sections 11.2 and 11.3). `None` if it
    /// can't say: then they have to be the same, byte for byte, which is also the default. Whatever
    /// the answer is, it has to be the same to every member. It is asked once for each credential,
    /// after those that are new were judged.
    fn identity(&self, credential: &Credential) -> Option<Vec<u8>> {
        let _ = credential;
        None
    }

    /// The types of credentials that it can judge, beside those that are registered: the client
    /// lists them among its capabilities, so that nobody with another type is in its groups (RFC
    /// 9420 sections 5.3 and 7.2). Default: basic ones.
    fn credential_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}

/// Accepts every basic credential; a member that changes its own keeps its identity. Other types
/// are rejected, X.509 chains among them: the feature `x509` has a validator for those.
///
/// A basic credential proves nothing: whoever delivers key packages says who is who. Use a
/// validator of your own where that is not enough.
#[derive(Clone, Copy, Debug, Default)]
pub struct BasicValidator;

impl CredentialValidator for BasicValidator {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        let identity = check.credential.identity().ok_or(CredentialRejected)?;
        match check.replaced {
            Some((old, _)) if old.identity() != Some(identity) => Err(CredentialRejected),
            _ => Ok(()),
        }
    }
}
