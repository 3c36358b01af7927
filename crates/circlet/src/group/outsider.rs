//! Messages of those who are no members: external senders and new members that propose (RFC 9420
//! section 12.1.8), and external Commits (section 12.4.3.2), as members receive them.

use crate::crypto::SignaturePublicKey;
use crate::error::{Error, Refused};
use crate::identity::CredentialUse;
use crate::message::{AuthenticatedContent, Commit, Content, GroupId, Proposal, Sender};
use crate::mutation::off;
use crate::rules::Violation;
use crate::rules::leaf::{check_path_leaf, ensure_path_leaf_source};
use crate::rules::outsider::{
    added_by_itself, ensure_joiner_key_is_new, find_external_sender, find_kem_output,
    kem_output_unusable, key_of_joiner,
};
use crate::rules::path::ensure_keys_are_new;
use crate::rules::proposals::{Resolved, check_external_list, ensure_external_type};
use crate::schedule::{InitSecret, Psk};
use crate::tree::{ExternalSender, LeafIndex};

use super::apply::{Applied, Waited, item_of, replacing};
use super::path::place_path;
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
        self.verify_content(content, &key, &self.epoch.context_bytes)
    }

    /// The entry of the external_senders extension.
    pub(crate) fn external_sender(&self, index: u32) -> Result<ExternalSender, Error> {
        let senders = self.epoch.context.extensions.external_senders(&self.settings.context)?;
        Ok(find_external_sender(senders, index)?)
    }

    /// V-12.1.8-04: a new member proposes its own Add where the application lets it.
    fn key_of_new_member(&self, proposal: &Proposal) -> Result<SignaturePublicKey, Error> {
        let key_package = added_by_itself(proposal)?;
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
            ensure_joiner_key_is_new(&path.leaf_node, old)?;
        }
        ensure_keys_are_new(suite, &applied.tree, None, path)?;
        self.settings.ensure_leaf_length(&path.leaf_node)?;
        ensure_path_leaf_source(&path.leaf_node)?;
        // V-12.4.2-07: after its old leaf is removed, the joiner gets the leftmost blank one.
        if off("V-12.4.2-07") {
            applied.tree = self.epoch.tree.clone();
        }
        let limit = self.settings.limits().leaves;
        let joiner = applied.tree.add(path.leaf_node.clone(), limit)?;
        let requirements = applied.requirements(&self.settings);
        check_path_leaf(&path.leaf_node, self.position(joiner), requirements)?;
        let added = added_nodes(&applied);
        place_path(suite, &mut applied.tree, joiner, path, &added)?;
        // V-12.2-21: as the successor of the member whose place it takes.
        let item = match replaced.filter(|_| !off("V-12.2-21")) {
            Some(old) => replacing(&path.leaf_node, old, CredentialUse::ExternalJoin),
            None => item_of(&path.leaf_node, CredentialUse::ExternalJoin),
        };
        applied.items.push(item);
        Ok((joiner, applied))
    }

    /// V-12.4.3.2-05: the init secret that an external Commit brings. V-8.3-02: by the key pair of
    /// the epoch that the Commit ends.
    pub(super) fn external_init_secret(&self, commit: &Commit) -> Result<InitSecret, Error> {
        let suite = &self.settings.suite;
        let secrets = &self.epoch.secrets;
        let kem_output = find_kem_output(commit)?;
        if off("V-12.4.3.2-05") {
            return Ok(secrets.init_secret.clone());
        }
        let keys = secrets.external_key_pair(suite)?;
        InitSecret::from_external_init(suite, &keys, kem_output).map_err(kem_output_unusable)
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
