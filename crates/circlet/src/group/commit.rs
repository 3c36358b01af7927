use std::collections::BTreeSet;
use std::sync::Arc;

use crate::codec::Encode;
use crate::crypto::{HashReference, Rng, Secret, Suite};
use crate::error::{Error, Misuse, Refused, Unready};
use crate::identity::{CredentialUse, Signer};
use crate::message::{
    Commit, Content, EncryptedGroupSecrets, GroupSecrets, MlsMessage, Proposal, ProposalOrRef,
    Sender, Welcome,
};
use crate::mutation::{any_off, off};
use crate::rules::leaf::check_leaf;
use crate::rules::proposals::{Resolved, check_list_to_send, path_required};
use crate::schedule::PreSharedKeyId;
use crate::tree::{LeafNode, LeafNodeContent, RatchetTree};

use super::apply::{Applied, Waited, replacing};
use super::info::sign_group_info;
use super::path::NewPath;
use super::pending::CachedProposal;
use super::process::{Advance, added_nodes};
use super::step::{Change, NextEpoch};
use super::{CommitOutcome, Framing, GroupState, Judge, LeafChange, PskSource, Signers, Step};

/// Pre-shared keys with their secrets, in the order of a Commit.
type PskSecrets = Vec<(PreSharedKeyId, Secret)>;

/// What a Commit is made of.
pub(super) struct Composed {
    pub(super) list: Vec<Resolved>,
    pub(super) applied: Applied,
    pub(super) psks: PskSecrets,
}

/// What a list is tried on before a Commit is made of it.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    /// The present tree, with what changes in the committer's leaf: that is judged as it will be.
    pub(super) tree: &'a RatchetTree,
    pub(super) now: Option<u64>,
    pub(super) psks: &'a dyn PskSource,
}

/// What a Commit shall do.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    /// Proposals that the Commit has by value, in this order. None of them is an Update.
    pub by_value: Vec<Proposal>,
    /// Which of the proposals that wait go into the Commit by reference, before those by value.
    pub by_reference: ByReference,
    /// Whether the Commit has a path even where it could do without, but for a ReInit, which ends
    /// the group. A path renews the committer's keys.
    pub force_path: bool,
    /// What changes in the committer's own leaf; any change makes a path.
    pub leaf: LeafChange,
    /// Whether the Welcome has the ratchet tree inside. Otherwise the joiners get it from
    /// [`StagedCommit::ratchet_tree`].
    pub tree_in_welcome: bool,
    /// What goes around the Commit.
    pub framing: Framing,
}

/// Which of the proposals that wait go into a Commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ByReference {
    /// All that are valid together, in the order in which they came. RFC 9420 section 12.4 says that
    /// a committer should do so.
    #[default]
    Fitting,
    /// The same without these.
    FittingBut(Vec<HashReference>),
    /// The same without a ReInit, which would close the group.
    FittingButReInit,
    /// None of them.
    Nothing,
    /// Those that somebody else has chosen, such as a delivery service: all of these in this order,
    /// and no others. If they are not valid together there is no Commit.
    Exactly(Vec<HashReference>),
}

impl Default for CommitRequest {
    /// All waiting proposals, a path, the tree in the Welcome.
    fn default() -> Self {
        Self {
            by_value: Vec::new(),
            by_reference: ByReference::Fitting,
            force_path: true,
            leaf: LeafChange::default(),
            tree_in_welcome: true,
            framing: Framing::default(),
        }
    }
}

/// The next epoch as this member's Commit makes it, for when the delivery service has accepted
/// the Commit. It holds nothing of the present epoch: messages that arrive meanwhile move the
/// present value on, and [`GroupState::confirm`] takes that as it then is.
#[derive(Debug)]
pub struct StagedCommit {
    pub(crate) message: Vec<u8>,
    pub(crate) parent_epoch: u64,
    pub(crate) parent_transcript_hash: Vec<u8>,
    pub(crate) next: NextEpoch,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) ratchet_tree: Option<Vec<u8>>,
    pub(crate) outcome: CommitOutcome,
}

/// A staged Commit that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfirmedCommit {
    /// What it did.
    pub outcome: CommitOutcome,
    /// The Welcome for those who were added, an encoded MLSMessage: only now may they have it
    /// (RFC 9420 section 14).
    pub welcome: Option<Vec<u8>>,
}

impl StagedCommit {
    /// The Commit for the group, an encoded MLSMessage.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// What it will have done.
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        &self.outcome
    }

    /// The Welcome for those who will be added, an encoded MLSMessage, for a delivery service that
    /// takes it together with the Commit. None of them may have it before the Commit was accepted
    /// (RFC 9420 section 14): whoever sends it itself takes that of [`ConfirmedCommit`].
    #[must_use]
    pub fn welcome(&self) -> Option<&[u8]> {
        self.welcome.as_deref()
    }

    /// The ratchet tree of the next epoch, encoded as in its extension, if it is not in the
    /// Welcome.
    #[must_use]
    pub fn ratchet_tree(&self) -> Option<&[u8]> {
        self.ratchet_tree.as_deref()
    }
}

impl GroupState {
    /// Makes a Commit and the epoch after it (section 12.4.1). The step that comes with it only
    /// spends the key that the message is encrypted with: discarding the staged Commit does not
    /// give it back.
    ///
    /// # Errors
    /// [`Error::Violation`] if the proposals are not valid together; [`Refused`] if a credential is
    /// rejected or a limit passed; [`Unready::UnknownPsk`]; [`Unready::UnknownProposal`] if one that
    /// was asked for does not wait; [`Misuse::NotMember`]; the generator or the signer failed.
    pub fn commit(
        &self,
        request: CommitRequest,
        judge: &Judge<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(StagedCommit, Step), Error> {
        self.commit_with(request, judge, Signers::of(signer), rng)
    }

    /// As [`Self::commit`], with a new signature key for the committer's leaf, if there is one.
    /// Members verify the Commit by the old key, its GroupInfo and whatever follows by the new one.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    pub fn commit_with(
        &self,
        request: CommitRequest,
        judge: &Judge<'_>,
        signers: Signers<'_>,
        rng: &mut dyn Rng,
    ) -> Result<(StagedCommit, Step), Error> {
        self.ensure_active()?;
        let tree = self.tree_with(&request.leaf, signers)?;
        let trial = Trial { tree: &tree, now: judge.now, psks: judge.psks };
        let list = self.compose(&request, trial)?;
        let (applied, psks) = self.try_list(&list, trial)?;
        self.commit_composed(request, Composed { list, applied, psks }, judge, signers, rng)
    }

    /// The Commit of a list that was checked and applied. V-12.4.1-05: who reads it knows the old
    /// key only, and who is welcomed the new one. V-14.0-05: its key is spent, whatever
    /// becomes of it.
    pub(super) fn commit_composed(
        &self,
        request: CommitRequest,
        Composed { list, mut applied, psks }: Composed,
        judge: &Judge<'_>,
        signers: Signers<'_>,
        rng: &mut dyn Rng,
    ) -> Result<(StagedCommit, Step), Error> {
        for item in &applied.items {
            item.ask(judge.validator, self.group_id())?;
        }
        let left_out = self.left_out(list.iter().filter_map(|item| item.reference.as_ref()));
        let path = self.make_path(&request, &list, &mut applied, judge, signers, rng)?;
        let changed = applied.changed(path.is_some().then_some(self.own_leaf));
        applied.check_outcome(&changed)?;

        // V-12.4.1-05: who reads the Commit knows the old key only.
        let present = if off("V-12.4.1-05") { signers.of_leaf() } else { signers.present };
        let (signed, advance) =
            self.sign_commit(&request, list, &applied, path.as_ref(), &psks, present, rng)?;
        let outcome = self.own_outcome(&applied, &changed, left_out)?;
        let suite = &self.settings.suite;
        let tag = advance.tag(suite)?;
        let mut signed = signed;
        signed.auth.confirmation_tag = Some(tag.clone());
        let (message, ratchet) = self.protect(signed, request.framing.padding, rng)?;

        let signer = signers.of_leaf();
        let welcome = self.welcome(&request, &applied, path.as_ref(), &advance, signer, rng)?;
        let outside = !applied.added.is_empty() && !request.tree_in_welcome;
        let ratchet_tree = outside.then(|| applied.tree.to_bytes()).transpose()?;

        let mut private_keys = self.kept_private_keys(&applied.tree, &[])?;
        if let Some(path) = &path {
            let own = self.own_leaf.node().ok_or(Error::Internal)?;
            private_keys.extend(path.private_keys(own));
        }
        let reinit = applied.reinit.clone();
        let epoch = advance.into_epoch(suite, tag, applied.tree, private_keys)?;
        let staged = StagedCommit {
            message: self.sendable(message.to_bytes()?)?,
            parent_epoch: self.epoch(),
            parent_transcript_hash: self.epoch.interim_transcript_hash.as_bytes().to_vec(),
            next: self.next_epoch(epoch, &changed, reinit),
            welcome,
            ratchet_tree,
            outcome,
        };
        let ratchet = ratchet.filter(|_| !off("V-14.0-05"));
        Ok((staged, self.step(ratchet, Change::Nothing)))
    }

    /// The Commit's path, put into the tree; `None` if it does without (sections 7.4 and 12.4.1).
    fn make_path(
        &self,
        request: &CommitRequest,
        list: &[Resolved],
        applied: &mut Applied,
        judge: &Judge<'_>,
        signers: Signers<'_>,
        rng: &mut dyn Rng,
    ) -> Result<Option<NewPath>, Error> {
        let changes = request.leaf != LeafChange::default() || signers.next.is_some();
        // A change that was asked for is never dropped, not even where a ReInit stands alone.
        let wanted = changes || request.force_path && applied.reinit.is_none();
        if !wanted && !path_required(list, &self.settings.context) {
            return Ok(None);
        }
        let suite = &self.settings.suite;
        let old = self.epoch.tree.leaf(self.own_leaf).ok_or(Error::Internal)?;
        let position = self.position(self.own_leaf);
        let (content, signer) = (request.leaf.apply(old), signers.of_leaf());
        let path = NewPath::build(suite, &mut applied.tree, position, content, signer, rng)?;
        if changes {
            let leaf = &path.leaf_node;
            replacing(leaf, old, CredentialUse::Commit).ask(judge.validator, self.group_id())?;
            self.settings.ensure_leaf_length(leaf)?;
            check_leaf(leaf, position, applied.requirements(&self.settings))?;
        }
        Ok(Some(path))
    }

    /// The step into the epoch that a staged Commit makes, and its Welcome.
    ///
    /// # Errors
    /// [`Misuse::CommitGone`] if another Commit was first; the staged one is lost then.
    pub fn confirm(&self, staged: StagedCommit) -> Result<(ConfirmedCommit, Step), Error> {
        self.ensure_active()?;
        // V-14.0-01: of two Commits of one epoch only one can take effect.
        if !self.is_parent_of(&staged) && !off("V-14.0-01") {
            return Err(Misuse::CommitGone.into());
        }
        let StagedCommit { next, outcome, welcome, .. } = staged;
        let step = self.step(None, Change::Epoch(Box::new(next)));
        Ok((ConfirmedCommit { outcome, welcome }, step))
    }

    /// Whether a staged Commit was made in this group's present epoch. No other epoch has
    /// the same interim transcript hash: it is over the confirmation tag, and so over the epoch's
    /// secrets.
    pub(crate) fn is_parent_of(&self, staged: &StagedCommit) -> bool {
        staged.next.epoch.context.group_id == *self.group_id()
            && staged.parent_epoch == self.epoch()
            && staged.parent_transcript_hash == self.epoch.interim_transcript_hash.as_bytes()
    }

    /// The present tree with a change of the own leaf, whose keys and source the path brings.
    fn tree_with(&self, change: &LeafChange, signers: Signers<'_>) -> Result<RatchetTree, Error> {
        let mut tree = self.epoch.tree.clone();
        if *change == LeafChange::default() && signers.next.is_none() {
            return Ok(tree);
        }
        let old = tree.leaf(self.own_leaf).ok_or(Error::Internal)?;
        let (content, signer) = (change.apply(old), signers.of_leaf());
        let content = LeafNodeContent { signature_key: signer.public_key().clone(), ..content };
        let leaf = LeafNode::sign(content, self.position(self.own_leaf), signer)?;
        tree.set_leaf(self.own_leaf, leaf)?;
        Ok(tree)
    }

    /// The list of a Commit: what waits, then what is given by value.
    fn compose(&self, request: &CommitRequest, trial: Trial<'_>) -> Result<Vec<Resolved>, Error> {
        let by_value = request.by_value.iter().map(|proposal| Resolved {
            sender: Sender::Member(self.own_leaf),
            proposal: Arc::new(proposal.clone()),
            reference: None,
        });
        let by_value: Vec<Resolved> = by_value.collect();
        for item in &by_value {
            self.ensure_senders_are_readable(&item.proposal)?;
        }
        let mut list = match &request.by_reference {
            ByReference::Fitting => self.fitting(&by_value, |_| true, trial)?,
            ByReference::FittingBut(left_out) => {
                let left_out: BTreeSet<&HashReference> = left_out.iter().collect();
                self.fitting(&by_value, |held| !left_out.contains(&held.reference), trial)?
            }
            ByReference::FittingButReInit => {
                let is_reinit =
                    |held: &CachedProposal| matches!(*held.proposal, Proposal::ReInit(_));
                self.fitting(&by_value, |held| !is_reinit(held), trial)?
            }
            ByReference::Nothing => Vec::new(),
            ByReference::Exactly(references) => self.chosen(references)?,
        };
        list.extend(by_value);
        let limit = self.settings.limits().proposals;
        if list.len() > limit { Err(Refused::Proposals(limit).into()) } else { Ok(list) }
    }

    /// The waiting proposals that the caller has chosen.
    fn chosen(&self, references: &[HashReference]) -> Result<Vec<Resolved>, Unready> {
        let find = |reference: &HashReference| {
            let unknown = || Unready::UnknownProposal(reference.clone());
            let held = self.proposals.find(reference).ok_or_else(unknown)?;
            Ok(held.resolved())
        };
        references.iter().map(find).collect()
    }

    /// Applies a list as a Commit of this member would, but for the path.
    fn try_list(
        &self,
        list: &[Resolved],
        trial: Trial<'_>,
    ) -> Result<(Applied, PskSecrets), Error> {
        check_list_to_send(list, self.own_leaf, &self.epoch.tree, &self.settings.suite)?;
        self.try_checked(list, trial)
    }

    /// The same of a list that was checked.
    pub(super) fn try_checked(
        &self,
        list: &[Resolved],
        Trial { tree, now, psks }: Trial<'_>,
    ) -> Result<(Applied, PskSecrets), Error> {
        let applied = self.apply_list(tree, list, now, Waited::Verified)?;
        self.ensure_psk_limit(&applied.psks)?;
        // V-7.3-07: who sends an Add answers for its lifetime, also where another proposed it.
        if let Some(now) = now {
            for (_, key_package) in &applied.added {
                self.settings.ensure_lifetime_to_send(&key_package.leaf_node, now)?;
            }
        }
        applied.check_outcome(&applied.changed(None))?;
        let secrets = self.psk_secrets(&applied.psks, psks)?;
        Ok((applied, secrets))
    }

    /// Encrypts the path, signs the Commit under the old context and derives the next epoch.
    /// V-12.4.1-02: path secrets are bound to the provisional context.
    #[expect(clippy::too_many_arguments, reason = "one step of `commit`, with all that it has")]
    fn sign_commit(
        &self,
        request: &CommitRequest,
        list: Vec<Resolved>,
        applied: &Applied,
        path: Option<&NewPath>,
        psks: &[(PreSharedKeyId, Secret)],
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(crate::message::AuthenticatedContent, Advance), Error> {
        let suite = &self.settings.suite;
        let update_path = match path {
            None => None,
            Some(path) => {
                let (tree, extensions) = (&applied.tree, &applied.extensions);
                let context = match off("V-12.4.1-02") {
                    true => self.epoch.context.clone(),
                    false => self.parent().provisional_context(suite, tree, extensions)?,
                };
                let (added, context) = (added_nodes(applied), context.to_bytes()?);
                Some(Box::new(path.encrypt(suite, &applied.tree, &added, &context, rng)?))
            }
        };
        let proposals = list.into_iter().map(|item| match item.reference {
            Some(reference) => ProposalOrRef::Reference(reference),
            None => ProposalOrRef::Proposal(Box::new(Arc::unwrap_or_clone(item.proposal))),
        });
        let commit = Commit { proposals: proposals.collect(), path: update_path };
        let signed = self.sign_content(Content::Commit(commit), &request.framing, signer)?;
        let no_path = Secret::zero(suite.secret_length());
        let commit_secret = path.map_or(&no_path, |path| &path.commit_secret);
        let (tree, extensions) = (&applied.tree, &applied.extensions);
        let parent = self.parent();
        let advance = parent.advance(suite, &signed, tree, extensions, commit_secret, psks)?;
        Ok((signed, advance))
    }

    /// The Welcome for all new members, an encoded MLSMessage; `None` if there are none.
    /// V-12.4.1-06: its GroupInfo has the tag of this Commit. V-12.4.1-07: each has the
    /// path secret of the lowest node that it shares with the committer. V-12.4.1-09, and V-8.4-01
    /// where section 8.4 says the same: the PSKs are in the order of the list. V-12.4.1-10: nobody is left out.
    fn welcome(
        &self,
        request: &CommitRequest,
        applied: &Applied,
        path: Option<&NewPath>,
        advance: &Advance,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Option<Vec<u8>>, Error> {
        if applied.added.is_empty() {
            return Ok(None);
        }
        let suite = &self.settings.suite;
        let tag = match off("V-12.4.1-06") {
            true => self.epoch.confirmation_tag.clone(),
            false => advance.tag(suite)?,
        };
        let group_info = sign_group_info(
            &advance.context,
            &applied.tree,
            tag,
            None,
            request.tree_in_welcome,
            (self.own_leaf, signer),
            (self.settings.grease, rng),
        )?;
        let keys = &advance.welcome;
        let plaintext = group_info.to_bytes()?;
        let encrypted_group_info = suite.seal(&keys.key, keys.nonce.as_bytes(), &[], &plaintext)?;
        let mut psks = applied.psks.clone();
        if any_off(&["V-12.4.1-09", "V-8.4-01"]) {
            psks.reverse();
        }
        let path = path.filter(|_| !off("V-12.4.1-07"));
        let mut secrets = Vec::new();
        for (leaf, key_package) in applied.added.iter().skip(usize::from(off("V-12.4.1-10"))) {
            let node = leaf.node().ok_or(Error::Internal)?;
            let group_secrets = GroupSecrets {
                joiner_secret: advance.joiner.secret().clone(),
                path_secret: path.and_then(|path| path.secret_for(node)).cloned(),
                psks: psks.clone(),
            };
            secrets.push(EncryptedGroupSecrets {
                new_member: key_package.reference(suite)?,
                encrypted_group_secrets: encrypt_secrets(
                    suite,
                    &key_package.init_key,
                    &encrypted_group_info,
                    &group_secrets,
                    rng,
                )?,
            });
        }
        let cipher_suite = suite.id();
        let welcome = Welcome { cipher_suite, secrets, encrypted_group_info };
        Ok(Some(self.sendable(MlsMessage::Welcome(welcome).to_bytes()?)?))
    }
}

fn encrypt_secrets(
    suite: &Suite,
    init_key: &crate::crypto::HpkePublicKey,
    encrypted_group_info: &[u8],
    secrets: &GroupSecrets,
    rng: &mut dyn Rng,
) -> Result<crate::crypto::HpkeCiphertext, Error> {
    let seed = suite.encapsulation_seed(rng)?;
    let plaintext = secrets.to_plaintext()?;
    Ok(suite.encrypt_with_label(init_key, "Welcome", encrypted_group_info, &plaintext, &seed)?)
}
