//! Messages of those who are no members: external senders and new members that propose (RFC 9420
//! section 12.1.8), and external Commits (section 12.4.3.2), as members receive them.

use crate::crypto::{CryptoError, HpkePublicKey, SignaturePublicKey};
use crate::error::{Error, Refused};
use crate::identity::CredentialUse;
use crate::message::{AuthenticatedContent, Commit, Content, GroupId, Proposal, Sender};
use crate::mutation::{any_off, off};
use crate::rules::leaf::{check_path_leaf, ensure_path_leaf_source};
use crate::rules::proposals::{Resolved, check_external_list, ensure_external_type};
use crate::rules::{Violation, ensure};
use crate::schedule::{InitSecret, Psk};
use crate::tree::{ExternalSender, LeafIndex, LeafNode};

use super::apply::{Applied, Waited, item_of, replacing};
use super::open::blame;
use super::path::{ensure_keys_are_new, place_path};
use super::process::added_nodes;
use super::{GroupState, Policy};

impl GroupState {
    /// V-6.0-05: the signature of a PublicMessage whose sender is no member (section 6.1), and
    /// whether its content is one that such a sender may send.
    pub(super) fn verify_outsider(&self, content: &AuthenticatedContent) -> Result<(), Error> {
        let key = match (content.content.sender, &content.content.content) {
            (Sender::External(index), Content::Proposal(proposal)) => {
                ensure_external_type(proposal, &self.settings.context)?;
                self.external_sender(index)?.signature_key
            }
            (Sender::NewMemberProposal, Content::Proposal(proposal)) => {
                self.key_of_new_member(proposal)?
            }
            (Sender::NewMemberCommit, Content::Commit(commit)) => key_of_joiner(commit)?,
            _ => return Err(Violation::SenderTypeForbidden.into()),
        };
        match self.verify_content(content, &key, &self.epoch.context_bytes) {
            Err(Error::Violation(_)) if is_commit(content) && off("V-12.4.3.2-04") => Ok(()),
            verified => verified,
        }
    }

    /// V-6.1-04 and V-12.1.8-02: the entry of the external_senders extension.
    pub(crate) fn external_sender(&self, index: u32) -> Result<ExternalSender, Error> {
        let senders = self.epoch.context.extensions.external_senders(&self.settings.context)?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let sender = senders.and_then(|senders| senders.into_iter().nth(index));
        Ok(sender.ok_or(Violation::ExternalSenderUnknown)?)
    }

    /// V-6.1-06 and V-12.1.8-04: a new member proposes its own Add and nothing else, where the
    /// application lets it.
    fn key_of_new_member(&self, proposal: &Proposal) -> Result<SignaturePublicKey, Error> {
        let Proposal::Add(key_package) = proposal else {
            return Err(Violation::NewMemberProposalType.into());
        };
        match self.settings.policy.new_member_proposals || off("V-12.1.8-04") {
            true => Ok(key_package.leaf_node.signature_key.clone()),
            false => Err(Refused::NewMemberProposal.into()),
        }
    }

    /// Section 12.4.2 for an external Commit: the joiner's leaf, and the group with it.
    pub(super) fn open_external_commit(
        &self,
        commit: &Commit,
        list: &[Resolved],
        now: Option<u64>,
    ) -> Result<(LeafIndex, Applied), Error> {
        let suite = &self.settings.suite;
        let path = commit.path.as_ref().ok_or(Violation::PathMissing)?;
        check_external_list(list, &self.epoch.tree, suite)?;
        self.settings.policy.ensure_external_commit(list, self.group_id())?;
        let mut applied = self.apply_list(&self.epoch.tree, list, now, Waited::Unverified)?;
        let replaced = applied.removed.first().and_then(|leaf| self.epoch.tree.leaf(*leaf));
        if let Some(old) = replaced {
            ensure_leaf_is_new(&path.leaf_node.encryption_key, old)?;
        }
        ensure_keys_are_new(suite, &applied.tree, None, path)?;
        self.settings.ensure_leaf_length(&path.leaf_node)?;
        ensure_path_leaf_source(&path.leaf_node)?;
        // V-12.4.2-07: after its old leaf is removed, the joiner gets the leftmost blank one.
        let limit = self.settings.limits().leaves;
        let joiner = applied.tree.add(path.leaf_node.clone(), limit)?;
        let requirements = applied.requirements(&self.settings);
        check_path_leaf(&path.leaf_node, self.position(joiner), requirements)?;
        let added = added_nodes(&applied);
        place_path(suite, &mut applied.tree, joiner, path, &added)?;
        let item = match replaced {
            Some(old) => replacing(&path.leaf_node, old, CredentialUse::ExternalJoin),
            None => item_of(&path.leaf_node, CredentialUse::ExternalJoin),
        };
        applied.items.push(item);
        Ok((joiner, applied))
    }

    /// V-12.4.3.2-05, V-8.3-01 and V-8.3-02: the init secret that an external Commit brings.
    pub(super) fn external_init_secret(&self, commit: &Commit) -> Result<InitSecret, Error> {
        let suite = &self.settings.suite;
        let kem_output = external_init(commit).ok_or(Violation::ExternalInitCount)?;
        if any_off(&["V-12.4.3.2-05", "V-8.3-01", "V-8.3-02"]) {
            return Ok(self.epoch.secrets.init_secret.clone());
        }
        let keys = self.epoch.secrets.external_key_pair(suite)?;
        // V-12.1.6-02.
        InitSecret::from_external_init(suite, &keys, kem_output).map_err(|error| {
            blame(error, CryptoError::InvalidKemOutput, Violation::ExternalInitOutput)
        })
    }
}

impl Policy {
    /// V-12.4.3.2-08: what the application allows of external Commits.
    pub(super) fn ensure_external_commit(
        &self,
        list: &[Resolved],
        group_id: &GroupId,
    ) -> Result<(), Refused> {
        let removes = list.iter().any(|item| matches!(*item.proposal, Proposal::Remove(_)));
        // Another group's resumption PSK says nothing about this one.
        let psk = list.iter().any(|item| match &*item.proposal {
            Proposal::PreSharedKey(id) => match &id.psk {
                Psk::External { .. } => true,
                Psk::Resumption { psk_group_id, .. } => psk_group_id == group_id.as_bytes(),
            },
            _ => false,
        });
        if off("V-12.4.3.2-08") {
            return Ok(());
        }
        if !self.external_joins {
            return Err(Refused::ExternalJoin);
        }
        if removes && !self.external_rejoins {
            return Err(Refused::ExternalRejoin);
        }
        if !psk && self.external_psk_required {
            return Err(Refused::ExternalJoinWithoutPsk);
        }
        Ok(())
    }
}

fn is_commit(content: &AuthenticatedContent) -> bool {
    matches!(content.content.content, Content::Commit(_))
}

/// V-6.1-05 and V-12.4.3.2-04: an external Commit is signed with the key of its path's leaf.
fn key_of_joiner(commit: &Commit) -> Result<SignaturePublicKey, Violation> {
    // V-12.4.3.2-02.
    let path = commit.path.as_ref().ok_or(Violation::PathMissing)?;
    Ok(path.leaf_node.signature_key.clone())
}

/// V-12.2-21: whoever comes back brings a new encryption key, as in an Update.
fn ensure_leaf_is_new(key: &HpkePublicKey, old: &LeafNode) -> Result<(), Violation> {
    ensure(*key != old.encryption_key, Violation::PathKeepsEncryptionKey)
}

fn external_init(commit: &Commit) -> Option<&[u8]> {
    commit.proposals.iter().find_map(|item| match item {
        crate::message::ProposalOrRef::Proposal(proposal) => match &**proposal {
            Proposal::ExternalInit(kem_output) => Some(kem_output.as_slice()),
            _ => None,
        },
        crate::message::ProposalOrRef::Reference(_) => None,
    })
}
