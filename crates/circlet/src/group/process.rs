use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::Encode;
use crate::crypto::{CryptoError, Digest, HashReference, HpkePrivateKey, Mac, Secret, Suite};
use crate::error::{Error, Misuse, Refused, Unready};
use crate::identity::{CredentialUse, CredentialValidator};
use crate::message::{
    AuthenticatedContent, Commit, Content, GroupContext, Proposal, ProposalOrRef, ReInit, Sender,
};
use crate::mutation::off;
use crate::rules::Violation;
use crate::rules::commit::{
    check_leaf_of_path, epoch_after, is_private_key_kept, tolerate_omitted,
};
use crate::rules::framing::ensure_confirmation_tag;
use crate::rules::proposals::{
    Resolved, check_list_received, ensure_by_value, ensure_path, ensure_references_differ,
};
use crate::schedule::{
    EpochSecrets, InitSecret, JoinerSecret, PreSharedKeyId, SecretTree, confirmed_transcript_hash,
    interim_transcript_hash, psk_secret,
};
use crate::tree::{Extensions, LeafIndex, NodeIndex, RatchetTree};

use super::apply::{Applied, Waited, replacing};
use super::open::Verified;
use super::path::{PathReader, merge_path, read_path};
use super::step::{Change, RatchetUse};
use super::{EpochState, GroupState, Member, Proposer, PskSource, ReviewItem, Step};

/// A Commit that was authenticated, its proposals found and applied, everything checked that
/// needs no secret of the next epoch.
#[derive(Debug)]
pub struct OpenedCommit {
    from: u64,
    /// The epoch that it ends: no other has the same, in whatever group.
    parent: Digest,
    /// The leaf of who committed: after an external Commit a new member's.
    committer: LeafIndex,
    content: AuthenticatedContent,
    ratchet: Option<RatchetUse>,
    applied: Applied,
    /// The leaves that are not as they were.
    changed: BTreeSet<LeafIndex>,
}

/// An [`OpenedCommit`] whose credentials the application has accepted.
#[derive(Debug)]
pub struct ReviewedCommit(OpenedCommit);

/// What a Commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitOutcome {
    /// The epoch that it began.
    pub epoch: u64,
    /// Who committed, as it was before; after an external Commit as it is now.
    pub committer: Member,
    /// Whether the committer joined by this Commit, an external one.
    pub external: bool,
    /// Who is new, such as an external committer.
    pub added: Vec<Member>,
    /// Who is gone, as they were.
    pub removed: Vec<Member>,
    /// Whose leaf was replaced by an Update or by the Commit's path, as it is now.
    pub updated: Vec<Member>,
    /// Whether this client is among those who are gone. After an external Commit that is only what
    /// the Commit says: this client can't verify that the others have accepted it, and its state
    /// stays as it is.
    pub removes_own: bool,
    /// The group that takes the place of this one.
    pub reinit: Option<ReInit>,
    /// Proposals of types that the application registered, in the order of the Commit.
    pub custom: Vec<AppliedProposal>,
    /// The proposals that waited at this member and are not in the Commit, in the order in which
    /// they came. They are of an epoch that is over: what is still wanted is proposed anew.
    pub left_out: Vec<HashReference>,
}

/// A proposal of a type that the application registered, as a Commit applied it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppliedProposal {
    /// Who proposed it, as it was before: the committer, if it was in the Commit by value.
    pub proposer: Proposer,
    /// The proposal, a [`Proposal::Custom`].
    pub proposal: Proposal,
}

impl AppliedProposal {
    pub(crate) fn new(proposer: Proposer, proposal: Proposal) -> Self {
        Self { proposer, proposal }
    }
}

impl OpenedCommit {
    /// The credentials that the application has to judge. Those of proposals that were sent
    /// before the Commit were judged then.
    #[must_use]
    pub fn review_items(&self) -> &[ReviewItem] {
        &self.applied.items
    }

    /// The application has judged every one of [`Self::review_items`] and accepts them.
    #[must_use]
    pub fn accept(self) -> ReviewedCommit {
        ReviewedCommit(self)
    }

    /// Asks the validator about each credential.
    ///
    /// # Errors
    /// [`Refused::Credential`].
    pub fn review(self, validator: &dyn CredentialValidator) -> Result<ReviewedCommit, Error> {
        for item in &self.applied.items {
            item.ask(validator, &self.content.content.group_id)?;
        }
        Ok(self.accept())
    }
}

impl GroupState {
    /// Section 12.4.2 as far as anybody could go who sees the group from outside.
    pub(super) fn open_commit(
        &self,
        verified: Verified,
        now: Option<u64>,
    ) -> Result<OpenedCommit, Error> {
        self.ensure_active()?;
        let sender = verified.sender();
        let Content::Commit(commit) = &verified.content().content.content else {
            return Err(Error::Internal);
        };
        if sender == Sender::NewMemberCommit {
            ensure_by_value(&commit.proposals)?;
        }
        let list = self.resolve(commit, sender)?;
        let (committer, applied) = match sender {
            Sender::Member(committer) => {
                (committer, self.open_member_commit(committer, commit, &list, now)?)
            }
            Sender::NewMemberCommit => self.open_external_commit(commit, &list, now)?,
            _ => return Err(Violation::SenderTypeForbidden.into()),
        };
        self.ensure_psk_limit(&applied.psks)?;
        let changed = applied.changed(commit.path.is_some().then_some(committer));
        applied.check_outcome(&changed)?;
        let (content, ratchet) = verified.into_parts();
        let (from, parent) = (self.version, self.epoch.interim_transcript_hash);
        Ok(OpenedCommit { from, parent, committer, content, ratchet, applied, changed })
    }

    /// Section 12.4.2 for a member's Commit: its list, applied, and its path in the tree.
    fn open_member_commit(
        &self,
        committer: LeafIndex,
        commit: &Commit,
        list: &[Resolved],
        now: Option<u64>,
    ) -> Result<Applied, Error> {
        let suite = &self.settings.suite;
        check_list_received(list, committer, &self.epoch.tree, suite)?;
        tolerate_omitted(list, self.proposals.iter().map(|held| &held.reference))?;
        ensure_path(list, commit.path.is_some(), &self.settings.context)?;
        let mut applied = self.apply_list(&self.epoch.tree, list, now, Waited::Unverified)?;
        let Some(path) = &commit.path else { return Ok(applied) };
        let old = self.epoch.tree.leaf(committer).ok_or(Violation::UnknownSender)?;
        let requirements = applied.requirements(&self.settings);
        self.settings.ensure_leaf_length(&path.leaf_node)?;
        check_leaf_of_path(&path.leaf_node, self.position(committer), requirements)?;
        let added = added_nodes(&applied);
        merge_path(suite, &mut applied.tree, committer, path, &added)?;
        if path.leaf_node.credential != old.credential
            || path.leaf_node.signature_key != old.signature_key
        {
            applied.items.push(replacing(&path.leaf_node, old, CredentialUse::Commit));
        }
        Ok(applied)
    }

    /// V-12.2-17: finds the proposals that a Commit refers to. V-12.2-19: whoever sent one is its
    /// sender still. V-12.2-18: none is looked for twice.
    fn resolve(&self, commit: &Commit, committer: Sender) -> Result<Vec<Resolved>, Error> {
        let references = commit.proposals.iter().filter_map(|item| match item {
            ProposalOrRef::Reference(reference) => Some(reference),
            ProposalOrRef::Proposal(_) => None,
        });
        ensure_references_differ(references)?;
        let by_value = |proposal: &Proposal| Resolved {
            sender: committer,
            proposal: Arc::new(proposal.clone()),
            reference: None,
        };
        let resolve = |item: &ProposalOrRef| match item {
            ProposalOrRef::Proposal(proposal) => Ok(by_value(proposal)),
            ProposalOrRef::Reference(reference) => {
                let unknown = || Unready::UnknownProposal(reference.clone());
                let held = self.proposals.find(reference).ok_or_else(unknown)?;
                Ok(Resolved {
                    sender: if off("V-12.2-19") { committer } else { held.sender },
                    proposal: held.proposal.clone(),
                    reference: Some(reference.clone()),
                })
            }
        };
        commit.proposals.iter().map(resolve).collect()
    }

    pub(super) fn ensure_psk_limit(&self, psks: &[PreSharedKeyId]) -> Result<(), Refused> {
        let limit = self.settings.limits().psks;
        if psks.len() <= limit { Ok(()) } else { Err(Refused::Psks(limit)) }
    }

    /// Derives the next epoch from a Commit that was reviewed (section 12.4.2).
    ///
    /// # Errors
    /// [`Misuse::Stale`] if the state went on since the Commit was opened, or is another group's:
    /// open it again.
    /// [`Unready::UnknownPsk`]; [`Error::Violation`] if the path secrets or the confirmation tag
    /// are wrong.
    pub fn process(
        &self,
        reviewed: ReviewedCommit,
        psks: &dyn PskSource,
    ) -> Result<(CommitOutcome, Step), Error> {
        let ReviewedCommit(opened) = reviewed;
        let group_id = &opened.content.content.group_id;
        let here =
            group_id == self.group_id() && opened.parent == self.epoch.interim_transcript_hash;
        if opened.from != self.version || !here {
            return Err(Misuse::Stale.into());
        }
        let external = opened.content.content.sender == Sender::NewMemberCommit;
        let OpenedCommit { content, applied, committer, changed, .. } = &opened;
        let Content::Commit(commit) = &content.content.content else {
            return Err(Error::Internal);
        };
        let left_out = self.left_out(commit.proposals.iter().filter_map(|item| match item {
            ProposalOrRef::Reference(reference) => Some(reference),
            ProposalOrRef::Proposal(_) => None,
        }));
        let outcome = self.outcome(applied, *committer, changed, left_out, external)?;
        // V-12.4.2-16.
        if outcome.removes_own && !off("V-12.4.2-16") {
            // Who is removed learns no secret of the next epoch, and so can't check its
            // confirmation tag (trap 11 of the conformance table). A member's word is enough; an
            // external Commit has nobody's but its own, so that nothing is given up for it.
            let change = if external { Change::Nothing } else { Change::Removed };
            return Ok((outcome, self.step(opened.ratchet, change)));
        }
        let suite = &self.settings.suite;
        let psks = self.psk_secrets(&applied.psks, psks)?;
        let (private_keys, commit_secret) =
            self.read_commit_path(commit, opened.committer, applied)?;
        let external = external.then(|| self.external_init_secret(commit)).transpose()?;
        let mut parent = self.parent();
        parent.init_secret = external.as_ref().unwrap_or(parent.init_secret);
        let advance = parent.advance(
            suite,
            content,
            &applied.tree,
            &applied.extensions,
            &commit_secret,
            &psks,
        )?;
        let tag = content.auth.confirmation_tag.as_ref().ok_or(Violation::ConfirmationTag)?;
        // V-12.4.2-13.
        advance.verify_tag(suite, tag, "V-12.4.2-13")?;
        let epoch = advance.into_epoch(suite, tag.clone(), applied.tree.clone(), private_keys)?;
        let next = self.next_epoch(epoch, &opened.changed, applied.reinit.clone());
        Ok((outcome, self.step(opened.ratchet, Change::Epoch(Box::new(next)))))
    }

    /// The private keys of the next epoch, and the commit secret: V-12.4.2-12 and V-7.6-03, the path
    /// is decrypted under the provisional context, not that of the epoch that ends.
    fn read_commit_path(
        &self,
        commit: &Commit,
        committer: LeafIndex,
        applied: &Applied,
    ) -> Result<(BTreeMap<NodeIndex, HpkePrivateKey>, Secret), Error> {
        let suite = &self.settings.suite;
        let mut private_keys = self.kept_private_keys(&applied.tree, &applied.updated)?;
        let Some(path) = &commit.path else {
            return Ok((private_keys, Secret::zero(suite.secret_length())));
        };
        let added = added_nodes(applied);
        let parent = self.parent();
        let context = parent.provisional_context(suite, &applied.tree, &applied.extensions)?;
        let context = if off("V-7.6-03") { parent.context } else { &context }.to_bytes()?;
        let reader = PathReader {
            sender: committer,
            own_leaf: self.own_leaf,
            known: &private_keys,
            added: &added,
        };
        let read = match read_path(suite, &applied.tree, path, reader, &context) {
            Err(Error::Violation(Violation::PathDecryption)) if off("V-12.4.2-12") => {
                read_path(suite, &applied.tree, path, reader, &self.epoch.context_bytes)
            }
            read => read,
        }?;
        private_keys.extend(read.private_keys);
        Ok((private_keys, read.commit_secret))
    }

    /// The private keys whose public keys are still in the tree, and that of one's own Update if
    /// it was applied.
    pub(super) fn kept_private_keys(
        &self,
        tree: &RatchetTree,
        updated: &[LeafIndex],
    ) -> Result<BTreeMap<NodeIndex, HpkePrivateKey>, Error> {
        let before = &self.epoch.tree;
        let kept = self.epoch.private_keys.iter();
        let kept = kept.filter(|(node, _)| is_private_key_kept(before, tree, **node));
        let mut kept: BTreeMap<_, _> = kept.map(|(node, key)| (*node, key.clone())).collect();
        // V-12.1.2-04.
        if updated.contains(&self.own_leaf) && !off("V-12.1.2-04") {
            let own = tree.leaf(self.own_leaf).ok_or(Error::Internal)?;
            let key = self.proposals.iter().find_map(|held| match &*held.proposal {
                Proposal::Update(leaf) if leaf == own => held.leaf_key.clone(),
                _ => None,
            });
            kept.insert(self.own_leaf.node().ok_or(Error::Internal)?, key.ok_or(Error::Internal)?);
        }
        Ok(kept)
    }

    /// The present epoch as the parent of the next.
    pub(super) fn parent(&self) -> Parent<'_> {
        Parent {
            context: &self.epoch.context,
            interim_transcript_hash: &self.epoch.interim_transcript_hash,
            init_secret: &self.epoch.secrets.init_secret,
        }
    }

    /// V-16.0-03: says whose keys changed, so that an application can tell who has not changed its
    /// own for long.
    fn outcome(
        &self,
        applied: &Applied,
        committer: LeafIndex,
        changed: &BTreeSet<LeafIndex>,
        left_out: Vec<HashReference>,
        external: bool,
    ) -> Result<CommitOutcome, Error> {
        let before = |leaf: &LeafIndex| self.member(*leaf);
        let after = |leaf: &LeafIndex| {
            let node = applied.tree.leaf(*leaf)?;
            Some(Member {
                leaf_index: *leaf,
                credential: node.credential.clone(),
                signature_key: node.signature_key.clone(),
            })
        };
        let joined = external.then_some(committer);
        let added = applied.added.iter().map(|(leaf, _)| *leaf).chain(joined);
        let added: BTreeSet<LeafIndex> = added.collect();
        let committer = if external { after(&committer) } else { before(&committer) };
        let custom = applied.custom.iter().map(|(sender, proposal)| {
            Ok(AppliedProposal::new(self.proposer(*sender)?, Proposal::clone(proposal)))
        });
        let custom: Result<Vec<_>, Error> = custom.collect();
        let removed: BTreeSet<LeafIndex> = applied.removed.iter().copied().collect();
        let updated =
            changed.iter().filter(|leaf| !added.contains(leaf) && !removed.contains(leaf));
        Ok(CommitOutcome {
            epoch: epoch_after(self.epoch())?,
            committer: committer.ok_or(Violation::UnknownSender)?,
            external,
            added: added.iter().filter_map(after).collect(),
            removed: applied.removed.iter().filter_map(before).collect(),
            updated: updated.filter(|_| !off("V-16.0-03")).filter_map(after).collect(),
            removes_own: removed.contains(&self.own_leaf),
            reinit: applied.reinit.clone(),
            custom: custom?,
            left_out,
        })
    }

    pub(super) fn own_outcome(
        &self,
        applied: &Applied,
        changed: &BTreeSet<LeafIndex>,
        left_out: Vec<HashReference>,
    ) -> Result<CommitOutcome, Error> {
        self.outcome(applied, self.own_leaf, changed, left_out, false)
    }

    /// What waits here and is not referred to, in the order in which it came.
    pub(super) fn left_out<'a>(
        &self,
        referred: impl IntoIterator<Item = &'a HashReference>,
    ) -> Vec<HashReference> {
        let referred: BTreeSet<&HashReference> = referred.into_iter().collect();
        let held = self.proposals.iter().filter(|held| !referred.contains(&held.reference));
        let mut held: Vec<_> = held.map(|held| (held.sequence, held.reference.clone())).collect();
        held.sort_unstable_by_key(|(sequence, _)| *sequence);
        held.into_iter().map(|(_, reference)| reference).collect()
    }
}

/// The epoch that a Commit ends, as far as the next one comes from it.
pub(super) struct Parent<'a> {
    pub(super) context: &'a GroupContext,
    pub(super) interim_transcript_hash: &'a Digest,
    /// The epoch's own, or what an external Commit brings.
    pub(super) init_secret: &'a InitSecret,
}

impl Parent<'_> {
    /// The new context, but with the transcript hash of the old one (V-7.6-03, V-12.4.1-02).
    pub(super) fn provisional_context(
        &self,
        suite: &Suite,
        tree: &RatchetTree,
        extensions: &Extensions,
    ) -> Result<GroupContext, Error> {
        let old = self.context;
        let confirmed = match off("V-12.4.1-02") {
            true => Vec::new(),
            false => old.confirmed_transcript_hash.clone(),
        };
        Ok(GroupContext {
            cipher_suite: old.cipher_suite,
            group_id: old.group_id.clone(),
            epoch: epoch_after(old.epoch)?,
            tree_hash: tree.tree_hash(suite)?.as_bytes().to_vec(),
            confirmed_transcript_hash: confirmed,
            extensions: extensions.clone(),
        })
    }

    /// The key schedule to the epoch that a Commit begins (section 8). `tree` and `extensions` are
    /// as they are after it.
    pub(super) fn advance(
        &self,
        suite: &Suite,
        content: &AuthenticatedContent,
        tree: &RatchetTree,
        extensions: &Extensions,
        commit_secret: &Secret,
        psks: &[(PreSharedKeyId, Secret)],
    ) -> Result<Advance, Error> {
        let mut context = self.provisional_context(suite, tree, extensions)?;
        let input = content.confirmed_transcript_hash_input()?;
        let interim = self.interim_transcript_hash.as_bytes();
        let confirmed = confirmed_transcript_hash(suite, interim, &input)?;
        context.confirmed_transcript_hash = confirmed.as_bytes().to_vec();
        let context_bytes = context.to_bytes()?;
        let joiner = JoinerSecret::derive(suite, self.init_secret, commit_secret, &context_bytes)?;
        Advance::from_joiner(suite, context, joiner, psks)
    }
}

/// The secrets of a next epoch, before its confirmation tag is made or checked.
pub(super) struct Advance {
    pub(super) context: GroupContext,
    context_bytes: Vec<u8>,
    secrets: EpochSecrets,
    encryption_secret: Secret,
    pub(super) joiner: JoinerSecret,
    pub(super) welcome: crate::schedule::WelcomeKeys,
}

impl Advance {
    /// From the joiner secret on, committers, members and joiners do the same.
    pub(super) fn from_joiner(
        suite: &Suite,
        context: GroupContext,
        joiner: JoinerSecret,
        psks: &[(PreSharedKeyId, Secret)],
    ) -> Result<Self, Error> {
        let context_bytes = context.to_bytes()?;
        let member = joiner.with_psk(suite, &psk_secret(suite, psks)?)?;
        let welcome = member.welcome(suite)?;
        let (secrets, encryption_secret) = member.epoch(suite, &context_bytes)?.secrets(suite)?;
        Ok(Self { context, context_bytes, secrets, encryption_secret, joiner, welcome })
    }

    /// The confirmation tag (section 6.1).
    pub(super) fn tag(&self, suite: &Suite) -> Result<Mac, CryptoError> {
        suite.mac(&self.secrets.confirmation_key, &[&self.context.confirmed_transcript_hash])
    }

    /// V-6.1-08, and the row that says the same of the message that brings the tag.
    pub(super) fn verify_tag(
        &self,
        suite: &Suite,
        tag: &Mac,
        row: &'static str,
    ) -> Result<(), Error> {
        let over = &self.context.confirmed_transcript_hash;
        ensure_confirmation_tag(suite, &self.secrets.confirmation_key, over, tag, row)
    }

    pub(super) fn into_epoch(
        self,
        suite: &Suite,
        confirmation_tag: Mac,
        tree: RatchetTree,
        private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
    ) -> Result<EpochState, Error> {
        let confirmed = &self.context.confirmed_transcript_hash;
        let interim_transcript_hash = interim_transcript_hash(suite, confirmed, &confirmation_tag)?;
        Ok(EpochState {
            context: self.context,
            context_bytes: Arc::from(self.context_bytes),
            secret_tree: SecretTree::new(tree.width(), self.encryption_secret),
            tree,
            secrets: self.secrets,
            interim_transcript_hash,
            confirmation_tag,
            private_keys,
        })
    }
}

/// The leaves that a list adds, as nodes.
pub(super) fn added_nodes(applied: &Applied) -> BTreeSet<NodeIndex> {
    applied.added.iter().filter_map(|(leaf, _)| leaf.node()).collect()
}
