//! Groups that continue others: re-initialization and branching (RFC 9420 sections 11.2 and 11.3).

use circlet::codec::Encode;
use circlet::crypto::SystemRng;
use circlet::group::{Founding, GroupState, NewGroup, OldGroup, OpenedWelcome, Settings};
use circlet::identity::BasicValidator;
use circlet::message::{GroupId, KeyPackage, MlsMessage, Welcome};
use circlet::schedule::ResumptionPskUsage;

use super::member::{Member, NewLeaf, judge, read_message};
use super::proposals::read_key_package;
use super::psks::Continuing;
use super::world::{Join, Successor, extensions, present};
use super::{Fault, World};
use crate::proto::*;

impl World {
    pub(crate) fn handle_pending_reinit_commit(
        &mut self,
        request: HandlePendingCommitRequest,
    ) -> Result<HandleReInitCommitResponse, Fault> {
        self.member(request.state_id)?.confirm(true)?;
        self.close(request.state_id)
    }

    pub(crate) fn handle_reinit_commit(
        &mut self,
        request: HandleCommitRequest,
    ) -> Result<HandleReInitCommitResponse, Fault> {
        let HandleCommitRequest { state_id, proposal, commit } = request;
        self.member(state_id)?.follow(proposal, &commit, true)?;
        self.close(state_id)
    }

    /// Takes what the next group needs from a closed one, which is gone then: its id is not used
    /// any more, not even to free it.
    fn close(&mut self, state_id: u32) -> Result<HandleReInitCommitResponse, Fault> {
        let member = self.members.get(&state_id).ok_or(Fault::NoState(state_id))?;
        let old = member.state.old_group(member.state.epoch()).ok_or(Fault::Removed)?;
        let reinit = old.reinit().ok_or(Fault::NotReinit)?;
        let settings = self.settings(u32::from(reinit.cipher_suite.0))?;
        let leaf = NewLeaf::generate(&settings, member.credential()?)?;
        let key_package = MlsMessage::KeyPackage(leaf.keys.key_package.clone()).to_bytes()?;
        let epoch_authenticator = member.epoch_authenticator();
        let (psks, handshake) = (member.psks.clone(), member.handshake);
        let reinit_id = self.next_id()?;
        let successor = Successor { old, leaf, settings, psks, handshake };
        self.successors.insert(reinit_id, successor);
        self.members.remove(&state_id);
        Ok(HandleReInitCommitResponse { reinit_id, key_package, epoch_authenticator })
    }

    pub(crate) fn reinit_welcome(
        &mut self,
        request: ReInitWelcomeRequest,
    ) -> Result<CreateSubgroupResponse, Fault> {
        let id = request.reinit_id;
        let successor = self.successors.get(&id).ok_or(Fault::NoReinit(id))?;
        let Successor { old, leaf, settings, psks, handshake } = successor;
        let founding = Founding {
            settings: settings.clone(),
            keys: leaf.keys.clone(),
            key_packages: key_packages(&request.key_package, settings)?,
            force_path: request.force_path,
            tree_in_welcome: !request.external_tree,
        };
        let signer = leaf.signer.clone();
        let new = old.reinitialize(founding, &judge(psks), &signer, &mut SystemRng)?;
        let NewGroup { state, welcome, ratchet_tree, .. } = new;
        let member = Member::new(state, signer, psks.clone(), *handshake);
        let response = self.begin(member, welcome, ratchet_tree)?;
        self.successors.remove(&id);
        Ok(response)
    }

    pub(crate) fn handle_reinit_welcome(
        &mut self,
        request: HandleReInitWelcomeRequest,
    ) -> Result<JoinGroupResponse, Fault> {
        let id = request.reinit_id;
        let successor = self.successors.get(&id).ok_or(Fault::NoReinit(id))?;
        let Successor { old, leaf, settings, psks, handshake } = successor;
        let welcome = read_welcome(&request.welcome, settings)?;
        let tree = present(&request.ratchet_tree);
        let sources = Continuing { psks, old };
        let opened = OpenedWelcome::open(settings.clone(), &welcome, &leaf.keys, tree, &sources)?;
        let unbound = self.options.unbound_reinit && opened.continued().is_none();
        if !unbound {
            ensure_continues(&opened, ResumptionPskUsage::Reinit, old)?;
        }
        let state = opened.review(&BasicValidator)?;
        if unbound {
            ensure_is_named(&state, old)?;
        }
        let member = Member::new(state, leaf.signer.clone(), psks.clone(), *handshake);
        let epoch_authenticator = member.epoch_authenticator();
        let state_id = self.add_member(member)?;
        self.successors.remove(&id);
        Ok(JoinGroupResponse { state_id, epoch_authenticator })
    }

    /// The old group stays as it is.
    pub(crate) fn create_branch(
        &mut self,
        request: CreateBranchRequest,
    ) -> Result<CreateSubgroupResponse, Fault> {
        let parent = self.member(request.state_id)?;
        let old = parent.state.old_group(parent.state.epoch()).ok_or(Fault::Removed)?;
        let settings = parent.settings().clone();
        let NewLeaf { keys, signer } = NewLeaf::generate(&settings, parent.credential()?)?;
        let founding = Founding {
            keys,
            key_packages: key_packages(&request.key_packages, &settings)?,
            settings,
            force_path: request.force_path,
            tree_in_welcome: !request.external_tree,
        };
        let (psks, handshake) = (parent.psks.clone(), parent.handshake);
        let group_id = GroupId::new(&request.group_id);
        let extensions = extensions(request.extensions)?;
        let judge = judge(&psks);
        let new = old.branch(group_id, extensions, founding, &judge, &signer, &mut SystemRng)?;
        let NewGroup { state, welcome, ratchet_tree, .. } = new;
        let member = Member::new(state, signer, psks.clone(), handshake);
        self.begin(member, welcome, ratchet_tree)
    }

    /// The state in the branch gets an id of its own: the old group's is freed by itself.
    pub(crate) fn handle_branch(
        &mut self,
        request: HandleBranchRequest,
    ) -> Result<HandleBranchResponse, Fault> {
        let (parent, id) = (request.state_id, request.transaction_id);
        let parent = self.members.get(&parent).ok_or(Fault::NoState(parent))?;
        let old = parent.state.old_group(parent.state.epoch()).ok_or(Fault::Removed)?;
        let Join { leaf, psks, settings } = self.joins.get(&id).ok_or(Fault::NoTransaction(id))?;
        let welcome = read_welcome(&request.welcome, settings)?;
        let tree = present(&request.ratchet_tree);
        let sources = Continuing { psks: &parent.psks, old: &old };
        let opened = OpenedWelcome::open(settings.clone(), &welcome, &leaf.keys, tree, &sources)?;
        ensure_continues(&opened, ResumptionPskUsage::Branch, &old)?;
        let state = opened.review(&BasicValidator)?;
        parent.psks.absorb(psks);
        let (psks, handshake) = (parent.psks.clone(), parent.handshake);
        let member = Member::new(state, leaf.signer.clone(), psks, handshake);
        let epoch_authenticator = member.epoch_authenticator();
        let state_id = self.add_member(member)?;
        self.joins.remove(&id);
        Ok(HandleBranchResponse { state_id, epoch_authenticator })
    }

    fn begin(
        &mut self,
        member: Member,
        welcome: Option<Vec<u8>>,
        ratchet_tree: Option<Vec<u8>>,
    ) -> Result<CreateSubgroupResponse, Fault> {
        let epoch_authenticator = member.epoch_authenticator();
        Ok(CreateSubgroupResponse {
            state_id: self.add_member(member)?,
            welcome: welcome.unwrap_or_default(),
            ratchet_tree: ratchet_tree.unwrap_or_default(),
            epoch_authenticator,
        })
    }
}

/// The Welcome is for the group that continues this one, in this way.
fn ensure_continues(
    opened: &OpenedWelcome,
    usage: ResumptionPskUsage,
    old: &OldGroup,
) -> Result<(), Fault> {
    match opened.continued() {
        Some((found, group)) if found == usage && group == old => Ok(()),
        _ => Err(Fault::NotContinued),
    }
}

/// Without its pre-shared key, at least the group is what the ReInit says.
fn ensure_is_named(state: &GroupState, old: &OldGroup) -> Result<(), Fault> {
    let (context, reinit) = (state.context(), old.reinit().ok_or(Fault::NotReinit)?);
    let same = context.group_id == reinit.group_id
        && context.cipher_suite == reinit.cipher_suite
        && context.extensions == reinit.extensions
        && context.epoch == 1;
    if same { Ok(()) } else { Err(Fault::NotContinued) }
}

fn key_packages(messages: &[Vec<u8>], settings: &Settings) -> Result<Vec<KeyPackage>, Fault> {
    messages.iter().map(|bytes| read_key_package(bytes, settings)).collect()
}

pub(super) fn read_welcome(bytes: &[u8], settings: &Settings) -> Result<Welcome, Fault> {
    read_message(bytes, &settings.context, "Welcome", |message| match message {
        MlsMessage::Welcome(welcome) => Some(welcome),
        _ => None,
    })
}
