//! Senders that are no members: external senders and new members that propose (RFC 9420 section
//! 12.1.8), and external Commits (section 12.4.3.2).

use super::{Violation, blame, ensure_row};
use crate::crypto::{CryptoError, SignaturePublicKey};
use crate::message::{Commit, KeyPackage, Proposal, ProposalOrRef};
use crate::tree::{ExternalSender, LeafNode};

/// V-12.1.8-02 and V-6.1-04: the entry that an external sender names. Without it there is no key to
/// go on with.
pub(crate) fn find_external_sender(
    senders: Option<Vec<ExternalSender>>,
    index: u32,
) -> Result<ExternalSender, Violation> {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let sender = senders.and_then(|senders| senders.into_iter().nth(index));
    sender.ok_or(Violation::ExternalSenderUnknown)
}

/// V-6.1-06 and V-12.1.8-04: a new member proposes an Add, with whose key it signs, and nothing
/// else.
pub(crate) fn added_by_itself(proposal: &Proposal) -> Result<&KeyPackage, Violation> {
    match proposal {
        Proposal::Add(key_package) => Ok(key_package),
        _ => Err(Violation::NewMemberProposalType),
    }
}

/// V-6.1-05 and V-12.4.3.2-04: an external Commit is signed with the key of its path's leaf;
/// V-12.4.3.2-02: so that it has a path.
pub(crate) fn key_of_joiner(commit: &Commit) -> Result<SignaturePublicKey, Violation> {
    let path = commit.path.as_ref().ok_or(Violation::PathMissing)?;
    Ok(path.leaf_node.signature_key.clone())
}

/// V-12.2-21: whoever comes back brings a new encryption key, as in an Update.
pub(crate) fn ensure_joiner_key_is_new(new: &LeafNode, old: &LeafNode) -> Result<(), Violation> {
    let renewed = new.encryption_key != old.encryption_key;
    ensure_row("V-12.2-21", renewed, Violation::PathKeepsEncryptionKey)
}

/// V-12.2-20: the KEM output of an external Commit, which has one by value.
pub(crate) fn find_kem_output(commit: &Commit) -> Result<&[u8], Violation> {
    let found = commit.proposals.iter().find_map(|item| match item {
        ProposalOrRef::Proposal(proposal) => match &**proposal {
            Proposal::ExternalInit(kem_output) => Some(kem_output.as_slice()),
            _ => None,
        },
        ProposalOrRef::Reference(_) => None,
    });
    found.ok_or(Violation::ExternalInitCount)
}

/// V-12.1.6-02: the KEM output is one of the cipher suite: without the secret that it gives there is
/// nothing to go on with.
pub(crate) fn kem_output_unusable<E: From<Violation> + From<CryptoError>>(error: CryptoError) -> E {
    blame(error, CryptoError::InvalidKemOutput, Violation::ExternalInitOutput)
}
