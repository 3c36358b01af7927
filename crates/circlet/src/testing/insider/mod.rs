//! The misbehaving member.

mod commit;
mod edits;
mod frame;
mod key_package;
mod leaf;
mod nodes;
mod outsider;
mod welcome;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use commit::{CommitForgery, ForgedCommit, PathSeal, PathStep};
pub use frame::{Forged, Frame};
pub use key_package::KeyPackageForgery;
pub use leaf::{ForgedLeaf, LeafForgery};
pub use nodes::{Node, encode_nodes, nodes_hash, tree_nodes};
pub use outsider::{Outsider, external_senders};
pub use welcome::{ForgedWelcome, GroupInfoForgery, WelcomeForgery, sign_group_info};

use crate::codec::Encode;
use crate::crypto::{Digest, HashReference, HpkePrivateKey, Mac, Secret, Suite};
use crate::error::Error;
use crate::group::{EpochState, GroupState, Settings};
use crate::identity::SigningKey;
use crate::message::{Content, GroupContext, Proposal, Sender};
use crate::schedule::{EpochSecrets, MessageKey, RatchetKind, SecretTree};
use crate::tree::{LeafIndex, NodeIndex, RatchetTree};

use super::{SeededRng, TestPsks};
use frame::{FrameSecrets, Generations};

/// A member that knows all that a member knows and keeps no rules: it makes any message, and the
/// tags and signatures in it are right for what was sent unless a test says otherwise, so that just
/// the rule in question is broken.
///
/// It is a picture of a member at one moment: what it makes changes neither the member nor the
/// group. What is public may be changed too.
pub struct Insider {
    /// What the group is computed with.
    pub settings: Settings,
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Its signature key.
    pub signer: SigningKey,
    /// Its pre-shared keys, the group's resumption PSKs among them.
    pub psks: TestPsks,
    /// Its generator.
    pub rng: SeededRng,
    /// The group's context.
    pub context: GroupContext,
    /// The ratchet tree.
    pub tree: RatchetTree,
    /// The secrets of the epoch.
    pub secrets: EpochSecrets,
    /// The root of the epoch's secret tree.
    pub encryption_secret: Secret,
    /// The epoch's interim transcript hash.
    pub interim_transcript_hash: Digest,
    /// The epoch's confirmation tag.
    pub confirmation_tag: Mac,
    /// The private keys of its leaf and of nodes above it.
    pub private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
    /// The proposals that a Commit can refer to.
    pub proposals: Vec<KnownProposal>,
    generations: Generations,
}

/// A proposal that a Commit can refer to.
#[derive(Clone, Debug)]
pub struct KnownProposal {
    /// Its reference.
    pub reference: HashReference,
    /// Who proposed it.
    pub sender: Sender,
    /// The proposal.
    pub proposal: Proposal,
    /// The private key of the leaf, if it is the insider's own Update.
    pub leaf_key: Option<HpkePrivateKey>,
}

impl Insider {
    pub(super) fn of(
        state: &GroupState,
        encryption_secret: Secret,
        signer: SigningKey,
        mut psks: TestPsks,
        rng: SeededRng,
    ) -> Self {
        let epoch = &state.epoch;
        let group_id = state.group_id().as_bytes().to_vec();
        let past = state.past.iter().map(|past| (past.epoch, past.resumption_psk.clone()));
        let present = (state.epoch(), epoch.secrets.resumption_psk.clone());
        let resumption = past.chain([present]);
        psks.resumption.extend(resumption.map(|(epoch, psk)| ((group_id.clone(), epoch), psk)));
        let ratchets = epoch.secret_tree.ratchets();
        let generations = ratchets.map(|(id, ratchet)| (id, ratchet.next_generation())).collect();
        let proposals = state.proposals.iter().map(|held| KnownProposal {
            reference: held.reference.clone(),
            sender: held.sender,
            proposal: Proposal::clone(&held.proposal),
            leaf_key: held.leaf_key.clone(),
        });
        Self {
            settings: state.settings.clone(),
            leaf: state.own_leaf,
            signer,
            psks,
            rng,
            context: epoch.context.clone(),
            tree: epoch.tree.clone(),
            secrets: epoch.secrets.clone(),
            encryption_secret,
            interim_transcript_hash: epoch.interim_transcript_hash,
            confirmation_tag: epoch.confirmation_tag.clone(),
            private_keys: epoch.private_keys.clone(),
            proposals: proposals.collect(),
            generations: Generations::new(generations),
        }
    }

    /// The cipher suite over its provider.
    #[must_use]
    pub fn suite(&self) -> &Suite {
        &self.settings.suite
    }

    /// A message with this content.
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn content<'a>(&mut self, content: Content) -> Result<Frame<'a>, Error> {
        let (suite, secrets) = (self.settings.suite.clone(), Some(self.frame_secrets()));
        let (signer, rng) = (Arc::new(self.signer.clone()), self.rng.fork()?);
        let content = (Sender::Member(self.leaf), content);
        Frame::new(suite, &self.context, secrets, signer, rng, content)
    }

    /// A message with application data.
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn application<'a>(&mut self, data: &[u8]) -> Result<Frame<'a>, Error> {
        self.content(Content::Application(data.to_vec()))
    }

    /// A message with a proposal.
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn proposal<'a>(&mut self, proposal: Proposal) -> Result<Frame<'a>, Error> {
        self.content(Content::Proposal(proposal))
    }

    /// A Commit, with a path and no proposal unless something else is said.
    pub fn commit(&mut self) -> CommitForgery<'_> {
        CommitForgery::new(self)
    }

    /// A new leaf of its own with a fresh key, as an Update has it unless something else is said.
    pub fn update(&mut self) -> LeafForgery<'_> {
        LeafForgery::new(self)
    }

    /// A GroupInfo of the epoch, with the tree unless something else is said.
    pub fn group_info(&mut self) -> GroupInfoForgery<'_> {
        GroupInfoForgery::new(self)
    }

    /// The key of any member's message in this epoch.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`](crate::Misuse::NoSuchMember), or the generation is 2^32 − 1.
    pub fn message_key(
        &self,
        leaf: LeafIndex,
        kind: RatchetKind,
        generation: u32,
    ) -> Result<MessageKey, Error> {
        frame::message_key(self.suite(), &self.frame_secrets(), leaf, kind, generation)
    }

    /// A Commit by this insider can refer to the proposal from now on; its reference.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn remember(&mut self, forged: &Forged) -> Result<HashReference, Error> {
        let reference = forged.reference(self.suite())?;
        if let Content::Proposal(proposal) = &forged.content.content.content {
            let (sender, proposal) = (forged.content.content.sender, proposal.clone());
            let leaf_key = None;
            self.proposals.push(KnownProposal {
                reference: reference.clone(),
                sender,
                proposal,
                leaf_key,
            });
        }
        Ok(reference)
    }

    /// The honest value of its group as a member has it, to go on with after a Commit that was
    /// accepted. Nothing of this epoch has been used in it.
    ///
    /// # Errors
    /// The context is too long to encode.
    pub fn into_state(self) -> Result<GroupState, Error> {
        let epoch = EpochState {
            context_bytes: self.context.to_bytes()?.into(),
            context: self.context,
            secret_tree: SecretTree::new(self.tree.width(), self.encryption_secret),
            tree: self.tree,
            secrets: self.secrets,
            interim_transcript_hash: self.interim_transcript_hash,
            confirmation_tag: self.confirmation_tag,
            private_keys: self.private_keys,
        };
        Ok(GroupState::begin(self.settings, self.leaf, epoch))
    }

    fn frame_secrets(&self) -> FrameSecrets {
        FrameSecrets {
            membership_key: self.secrets.membership_key.clone(),
            sender_data_secret: self.secrets.sender_data_secret.clone(),
            encryption_secret: self.encryption_secret.clone(),
            width: self.tree.width(),
            own_leaf: self.leaf,
            generations: self.generations.clone(),
        }
    }
}
