//! Proposals of members.

use circlet::crypto::{CipherSuite, Secret, SystemRng};
use circlet::group::Settings;
use circlet::message::{GroupId, KeyPackage, MlsMessage, Proposal, ReInit};
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::tree::{Extensions, MLS10, RatchetTree};

use super::member::{leaf_of, read_message};
use super::world::extensions;
use super::{Fault, World};
use crate::proto::*;

/// A group, as far as a proposal needs to know it; whoever proposes from outside knows that, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) group_id: &'a GroupId,
    pub(super) tree: &'a RatchetTree,
}

impl Scene<'_> {
    /// What a description says.
    pub(super) fn proposal(&self, words: ProposalDescription) -> Result<Proposal, Fault> {
        match words.proposal_type.as_slice() {
            b"add" => self.add(&words.key_package),
            b"remove" => self.remove(&words.removed_id),
            b"externalPSK" => self.external_psk(words.psk_id),
            b"resumptionPSK" => self.resumption_psk(words.epoch_id),
            b"groupContextExtensions" => {
                Ok(Proposal::GroupContextExtensions(extensions(words.extensions)?))
            }
            b"reinit" => reinit(words.cipher_suite, &words.group_id, words.extensions),
            _ => Err(Fault::ProposalType),
        }
    }

    fn add(&self, key_package: &[u8]) -> Result<Proposal, Fault> {
        Ok(Proposal::Add(read_key_package(key_package, self.settings)?))
    }

    fn remove(&self, identity: &[u8]) -> Result<Proposal, Fault> {
        Ok(Proposal::Remove(leaf_of(self.tree, identity)?))
    }

    fn external_psk(&self, psk_id: Vec<u8>) -> Result<Proposal, Fault> {
        Ok(Proposal::PreSharedKey(psk(self.settings, Psk::External { psk_id })?))
    }

    fn resumption_psk(&self, psk_epoch: u64) -> Result<Proposal, Fault> {
        let psk_group_id = self.group_id.as_bytes().to_vec();
        let usage = ResumptionPskUsage::Application;
        let key = Psk::Resumption { usage, psk_group_id, psk_epoch };
        Ok(Proposal::PreSharedKey(psk(self.settings, key)?))
    }
}

/// One use of a key, with a fresh nonce of Nh bytes (RFC 9420 section 8.4).
pub(super) fn psk(settings: &Settings, psk: Psk) -> Result<PreSharedKeyId, Fault> {
    let nonce = Secret::random(&mut SystemRng, settings.suite.secret_length());
    let nonce = nonce.map_err(circlet::Error::from)?;
    Ok(PreSharedKeyId { psk, psk_nonce: nonce.as_bytes().to_vec() })
}

fn reinit(suite: u32, group_id: &[u8], list: Vec<Extension>) -> Result<Proposal, Fault> {
    Ok(Proposal::ReInit(ReInit {
        group_id: GroupId::new(group_id),
        version: MLS10,
        cipher_suite: CipherSuite(u16::try_from(suite).map_err(|_| Fault::CipherSuite(suite))?),
        extensions: extensions(list)?,
    }))
}

pub(super) fn read_key_package(bytes: &[u8], settings: &Settings) -> Result<KeyPackage, Fault> {
    read_message(bytes, &settings.context, "KeyPackage", |message| match message {
        MlsMessage::KeyPackage(key_package) => Some(key_package),
        _ => None,
    })
}

impl World {
    /// What a member proposes, said in terms of its group.
    fn propose(
        &mut self,
        state_id: u32,
        proposal: impl FnOnce(Scene<'_>) -> Result<Proposal, Fault>,
    ) -> Result<ProposalResponse, Fault> {
        let member = self.member(state_id)?;
        let proposal = proposal(member.scene())?;
        Ok(ProposalResponse { proposal: member.propose(proposal)? })
    }

    pub(crate) fn add_proposal(
        &mut self,
        request: AddProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        self.propose(request.state_id, |scene| scene.add(&request.key_package))
    }

    pub(crate) fn update_proposal(
        &mut self,
        request: UpdateProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        Ok(ProposalResponse { proposal: self.member(request.state_id)?.propose_update()? })
    }

    pub(crate) fn remove_proposal(
        &mut self,
        request: RemoveProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        self.propose(request.state_id, |scene| scene.remove(&request.removed_id))
    }

    pub(crate) fn external_psk_proposal(
        &mut self,
        request: ExternalPSKProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        self.propose(request.state_id, |scene| scene.external_psk(request.psk_id))
    }

    pub(crate) fn resumption_psk_proposal(
        &mut self,
        request: ResumptionPSKProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        self.propose(request.state_id, |scene| scene.resumption_psk(request.epoch_id))
    }

    pub(crate) fn group_context_extensions_proposal(
        &mut self,
        request: GroupContextExtensionsProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        self.propose(request.state_id, |_| {
            Ok(Proposal::GroupContextExtensions(extensions(request.extensions)?))
        })
    }

    pub(crate) fn reinit_proposal(
        &mut self,
        request: ReInitProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        let ReInitProposalRequest { state_id, cipher_suite, group_id, extensions } = request;
        self.propose(state_id, |_| reinit(cipher_suite, &group_id, extensions))
    }

    /// All extensions that the group has, with one more external sender.
    pub(crate) fn add_external_signer(
        &mut self,
        request: AddExternalSignerRequest,
    ) -> Result<ProposalResponse, Fault> {
        let member = self.member(request.state_id)?;
        let context = &member.settings().context;
        let sender = super::member::read_struct(&request.external_sender, context)?;
        let mut extensions: Extensions = member.state.context().extensions.clone();
        let mut senders = extensions.external_senders(context)?.unwrap_or_default();
        senders.push(sender);
        extensions.set(circlet::tree::ExternalSender::to_extension(&senders)?);
        let proposal = member.propose(Proposal::GroupContextExtensions(extensions))?;
        Ok(ProposalResponse { proposal })
    }
}
