//! From outside of a group: joining it by an external Commit (RFC 9420 section 12.4.3.2), and
//! proposing changes to it without being a member (section 12.1.8).

use std::sync::Arc;

use crate::codec::Encode;
use crate::crypto::{Digest, HpkePublicKey, Mac, Rng};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{CredentialUse, CredentialValidator, Signer, sign_with_label};
use crate::message::{
    AuthenticatedContent, Commit, Content, FramedContent, FramedContentAuthData, GroupContext,
    GroupId, GroupInfo, KeyPackage, MlsMessage, Proposal, ProposalOrRef, PublicMessage, Sender,
    WireFormat,
};
use crate::mutation::off;
use crate::rules::leaf::{
    Requirements, check_key_package, check_leaf, ensure_fits_the_members,
    ensure_group_context_extensions,
};
use crate::rules::proposals::{
    Resolved, check_external_list, ensure_external_type, ensure_psk_nonce, ensure_psk_usage,
};
use crate::rules::welcome::{GroupInfoOf, ensure_expected_suite, find_external_pub};
use crate::schedule::{InitSecret, PreSharedKeyId, interim_transcript_hash};
use crate::tree::{
    Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, RatchetTree,
};

use super::apply::{item_of, items_of_senders, replacing};
use super::join::{check_group_info, check_members, psk_secrets};
use super::path::NewPath;
use super::process::Parent;
use super::{GroupState, Judge, LeafTemplate, Member, ReviewItem, Settings};

/// A GroupInfo that was checked but for the credentials of the members, which the application has
/// to judge.
#[derive(Debug)]
pub struct OpenedGroupInfo {
    settings: Settings,
    context: GroupContext,
    interim_transcript_hash: Digest,
    external_pub: HpkePublicKey,
    tree: RatchetTree,
    signer: LeafIndex,
}

/// An [`OpenedGroupInfo`] whose credentials the application has accepted.
#[derive(Debug)]
pub struct ReviewedGroupInfo(OpenedGroupInfo);

/// How somebody joins by an external Commit.
#[derive(Clone, Debug)]
pub struct ExternalJoin {
    /// What the new leaf says; its lifetime has no meaning here.
    pub leaf: LeafTemplate,
    /// An old leaf of the same client, which the Commit removes.
    pub replaces: Option<LeafIndex>,
    /// Pre-shared keys to inject, in this order.
    pub psks: Vec<PreSharedKeyId>,
    /// Data of the application that is authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
}

/// An external Commit, and the group as it will be once the delivery service has accepted it.
#[derive(Debug)]
#[must_use = "the client is a member when the Commit was accepted"]
pub struct StagedJoin {
    pub(crate) message: Vec<u8>,
    pub(crate) state: GroupState,
}

impl OpenedGroupInfo {
    /// Checks a GroupInfo and its ratchet tree as a joiner by Welcome does. The tree is taken from
    /// the GroupInfo, or else from `ratchet_tree`, encoded as in its extension.
    ///
    /// # Errors
    /// [`Unready::UnsupportedSuite`](crate::Unready::UnsupportedSuite);
    /// [`Unready::RatchetTreeMissing`](crate::Unready::RatchetTreeMissing); [`Error::Violation`] or
    /// [`Error::Malformed`] if it is not sound or has no `external_pub`.
    pub fn open(
        settings: Settings,
        group_info: GroupInfo,
        ratchet_tree: Option<&[u8]>,
    ) -> Result<Self, Error> {
        let suite = &settings.suite;
        settings.ensure_supported(group_info.group_context.cipher_suite)?;
        ensure_expected_suite(&group_info.group_context, suite.id())?;
        let of = GroupInfoOf::ExternalJoin;
        let tree = check_group_info(&settings, &group_info, of, ratchet_tree)?;
        check_members(&settings, &group_info, &tree, None)?;
        let external_pub = find_external_pub(&group_info.extensions, suite, &settings.context)?;
        let GroupInfo { group_context: context, confirmation_tag, signer, .. } = group_info;
        let confirmed = &context.confirmed_transcript_hash;
        let interim_transcript_hash = interim_transcript_hash(suite, confirmed, &confirmation_tag)?;
        Ok(Self { settings, context, interim_transcript_hash, external_pub, tree, signer })
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.context.group_id
    }

    /// The epoch that the GroupInfo is of. An external Commit is for this epoch alone.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.context.epoch
    }

    /// The ratchet tree.
    #[must_use]
    pub fn tree(&self) -> &RatchetTree {
        &self.tree
    }

    /// The member that signed the GroupInfo.
    #[must_use]
    pub fn signer(&self) -> Option<Member> {
        let leaf = self.tree.leaf(self.signer)?;
        Some(Member {
            leaf_index: self.signer,
            credential: leaf.credential.clone(),
            signature_key: leaf.signature_key.clone(),
        })
    }

    /// The credentials that the application has to judge: those of all members and of the external
    /// senders.
    pub fn review_items(&self) -> impl Iterator<Item = ReviewItem> {
        let members = self.tree.members().map(|(_, leaf)| item_of(leaf, CredentialUse::Join));
        let reason = CredentialUse::JoinExternalSender;
        members.chain(items_of_senders(&self.context.extensions, &self.settings, reason))
    }

    /// The application has judged every one of [`Self::review_items`].
    #[must_use]
    pub fn accept(self) -> ReviewedGroupInfo {
        ReviewedGroupInfo(self)
    }

    /// Asks the validator about each credential, then accepts.
    ///
    /// # Errors
    /// [`Refused::Credential`].
    pub fn review(self, validator: &dyn CredentialValidator) -> Result<ReviewedGroupInfo, Error> {
        for item in self.review_items() {
            item.ask(validator, self.group_id())?;
        }
        Ok(self.accept())
    }
}

impl ReviewedGroupInfo {
    /// Makes the external Commit and the group after it.
    ///
    /// # Errors
    /// [`Error::Violation`] if the leaf does not fit the group, such as a signature key that a
    /// member has; [`Refused::Credential`] if the validator rejects one's own;
    /// [`Unready::UnknownPsk`](crate::Unready::UnknownPsk);
    /// [`Misuse::NoSuchMember`] if the old leaf is blank; the generator or the signer failed.
    pub fn join(
        self,
        request: ExternalJoin,
        judge: &Judge<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<StagedJoin, Error> {
        let group = self.0;
        let suite = &group.settings.suite;
        let (kem_output, init_secret) =
            InitSecret::for_external_join(suite, &group.external_pub, rng)?;
        let proposals = group.proposals(&request, kem_output)?;
        let psks = psk_secrets(&request.psks, suite, None, judge.psks)?;

        let mut tree = group.tree.clone();
        if let Some(old) = request.replaces {
            tree.remove(old)?;
        }
        let (own_leaf, path) = group.place(&mut tree, &request, signer, rng)?;
        group.judge_own(&tree, &path.leaf_node, own_leaf, request.replaces, judge)?;

        let parent = Parent {
            context: &group.context,
            interim_transcript_hash: &group.interim_transcript_hash,
            init_secret: &init_secret,
        };
        let extensions = &group.context.extensions;
        let context = parent.provisional_context(suite, &tree, extensions)?.to_bytes()?;
        let path_sent =
            path.encrypt(suite, &tree, &std::collections::BTreeSet::new(), &context, rng)?;
        let commit = Commit { proposals, path: Some(Box::new(path_sent)) };
        let content = FramedContent {
            group_id: group.context.group_id.clone(),
            epoch: group.context.epoch,
            sender: Sender::NewMemberCommit,
            authenticated_data: request.authenticated_data,
            content: Content::Commit(commit),
        };
        let mut signed = sign(content, &group.context.to_bytes()?, signer)?;
        let advance =
            parent.advance(suite, &signed, &tree, extensions, &path.commit_secret, &psks)?;
        let tag = advance.tag(suite)?;
        signed.auth.confirmation_tag = Some(tag.clone());
        let message = outsider_message(&group.settings, signed)?;
        let node = own_leaf.node().ok_or(Error::Internal)?;
        let epoch = advance.into_epoch(suite, tag, tree, path.private_keys(node))?;
        let state = GroupState::begin(group.settings, own_leaf, epoch);
        Ok(StagedJoin { message, state })
    }
}

impl OpenedGroupInfo {
    /// The proposals of the external Commit (section 12.4.3.2).
    fn proposals(
        &self,
        request: &ExternalJoin,
        kem_output: Vec<u8>,
    ) -> Result<Vec<ProposalOrRef>, Error> {
        if request.replaces.is_some_and(|old| self.tree.leaf(old).is_none()) {
            return Err(Misuse::NoSuchMember.into());
        }
        let limit = self.settings.limits().psks;
        if request.psks.len() > limit {
            return Err(Refused::Psks(limit).into());
        }
        let psks = request.psks.iter().cloned().map(Proposal::PreSharedKey);
        let list: Vec<Proposal> = [Proposal::ExternalInit(kem_output)]
            .into_iter()
            .chain(request.replaces.map(Proposal::Remove))
            .chain(psks)
            .collect();
        let resolved: Vec<Resolved> = list
            .iter()
            .map(|proposal| Resolved {
                sender: Sender::NewMemberCommit,
                proposal: Arc::new(proposal.clone()),
                reference: None,
            })
            .collect();
        check_external_list(&resolved, &self.tree, &self.settings.suite)?;
        self.settings.policy.ensure_external_commit(&resolved, &self.context.group_id)?;
        Ok(list.into_iter().map(|proposal| ProposalOrRef::Proposal(Box::new(proposal))).collect())
    }

    /// Puts the joiner's leaf and its path into the tree.
    fn place(
        &self,
        tree: &mut RatchetTree,
        request: &ExternalJoin,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(LeafIndex, NewPath), Error> {
        let suite = &self.settings.suite;
        let leaf = request.leaf.clone().greased(&self.settings, rng)?;
        let LeafTemplate { credential, capabilities, extensions, .. } = leaf;
        let content = LeafNodeContent {
            encryption_key: suite.generate_key_pair(rng)?.public,
            signature_key: signer.public_key().clone(),
            credential,
            capabilities,
            source: LeafNodeSource::Commit(Vec::new()),
            extensions,
        };
        let group_id = self.context.group_id.as_bytes();
        let nowhere = LeafPosition { group_id, leaf_index: LeafIndex(0) };
        let first = LeafNode::sign(content.clone(), nowhere, signer)?;
        let leaf_index = tree.add(first, self.settings.limits().leaves)?;
        let position = LeafPosition { group_id, leaf_index };
        Ok((leaf_index, NewPath::build(suite, tree, position, content, signer, rng)?))
    }

    /// The joiner's own leaf, as the members will judge it.
    fn judge_own(
        &self,
        tree: &RatchetTree,
        leaf: &LeafNode,
        leaf_index: LeafIndex,
        replaces: Option<LeafIndex>,
        judge: &Judge<'_>,
    ) -> Result<(), Error> {
        let item = match replaces.and_then(|old| self.tree.leaf(old)) {
            Some(old) => replacing(leaf, old, CredentialUse::ExternalJoin),
            None => item_of(leaf, CredentialUse::ExternalJoin),
        };
        item.ask(judge.validator, &self.context.group_id)?;
        let extensions = &self.context.extensions;
        let required = extensions.required_capabilities(&self.settings.context)?;
        let requirements =
            Requirements { suite: &self.settings.suite, extensions, required: required.as_ref() };
        let group_id = self.context.group_id.as_bytes();
        self.settings.ensure_leaf_length(leaf)?;
        check_leaf(leaf, LeafPosition { group_id, leaf_index }, requirements)?;
        ensure_fits_the_members(tree, leaf)?;
        Ok(())
    }
}

impl StagedJoin {
    /// The external Commit for the group, an encoded MLSMessage.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        self.state.group_id()
    }

    /// The Commit was accepted: the group begins.
    #[must_use]
    pub fn confirm(self) -> GroupState {
        self.state
    }
}

/// Somebody who is no member, and proposes changes to a group of which it knows the epoch
/// (section 12.1.8). Its proposals are encoded MLSMessages, signed and not encrypted.
#[derive(Clone, Debug)]
pub struct Outsider {
    /// What the group is computed with.
    pub settings: Settings,
    /// The group.
    pub group_id: GroupId,
    /// Its present epoch.
    pub epoch: u64,
    /// Data of the application that is authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
}

impl Outsider {
    /// A proposal of the external sender with this place in the group's external_senders extension,
    /// whose key `signer` has.
    ///
    /// # Errors
    /// [`Error::Violation`] if external senders may not send it, or a key package is not valid; the
    /// signer failed.
    pub fn propose(
        &self,
        index: u32,
        proposal: Proposal,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, Error> {
        ensure_external_type(&proposal, &self.settings.context)?;
        self.send(Sender::External(index), proposal, signer)
    }

    /// A proposal to add the client of this key package, which `signer` belongs to.
    ///
    /// # Errors
    /// [`Misuse::WrongSigner`]; [`Error::Violation`] if the key package is not valid; the signer
    /// failed.
    pub fn propose_own_add(
        &self,
        key_package: KeyPackage,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, Error> {
        if key_package.leaf_node.signature_key != *signer.public_key() {
            return Err(Misuse::WrongSigner.into());
        }
        self.send(Sender::NewMemberProposal, Proposal::Add(key_package), signer)
    }

    /// What members will hold against the proposal, as far as it can be told without the group.
    fn ensure_sound(&self, proposal: &Proposal) -> Result<(), Error> {
        let Settings { suite, context, .. } = &self.settings;
        match proposal {
            Proposal::Add(key_package) => {
                let extensions = &Extensions::new();
                check_key_package(key_package, Requirements { suite, extensions, required: None })?;
                self.settings.ensure_leaf_length(&key_package.leaf_node)?;
                self.settings.ensure_total_lifetime(&key_package.leaf_node)?;
            }
            Proposal::PreSharedKey(id) => {
                ensure_psk_usage(id)?;
                ensure_psk_nonce(id, suite)?;
            }
            Proposal::GroupContextExtensions(extensions) => {
                ensure_group_context_extensions(extensions)?;
                self.settings.ensure_extensions(extensions)?;
                extensions.required_capabilities(context)?;
                self.settings.check_external_senders(extensions)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn send(
        &self,
        sender: Sender,
        proposal: Proposal,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, Error> {
        self.ensure_sound(&proposal)?;
        let content = FramedContent {
            group_id: self.group_id.clone(),
            epoch: self.epoch,
            sender,
            authenticated_data: self.authenticated_data.clone(),
            content: Content::Proposal(proposal),
        };
        // V-6.1-02: who is no member signs no GroupContext.
        outsider_message(&self.settings, sign(content, &[], signer)?)
    }
}

fn sign(
    content: FramedContent,
    context: &[u8],
    signer: &dyn Signer,
) -> Result<AuthenticatedContent, Error> {
    let wire_format = WireFormat::PublicMessage;
    let tbs = content.to_be_signed(wire_format, context)?;
    let signature = sign_with_label(signer, "FramedContentTBS", &tbs)?;
    let auth = FramedContentAuthData { signature, confirmation_tag: None };
    Ok(AuthenticatedContent { wire_format, content, auth })
}

/// V-6.0-05 and V-12.4.3.2-06: whoever is no member sends PublicMessages without membership tag.
fn outsider_message(settings: &Settings, signed: AuthenticatedContent) -> Result<Vec<u8>, Error> {
    let AuthenticatedContent { content, auth, .. } = signed;
    let membership_tag = off("V-12.4.3.2-06").then(|| Mac(vec![0; 32]));
    let message = MlsMessage::Public(PublicMessage { content, auth, membership_tag });
    Ok(settings.sendable(message.to_bytes()?)?)
}
