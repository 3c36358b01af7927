//! From outside of a group: joining by an external Commit, and proposing without being a member.

use circlet::codec::Encode;
use circlet::crypto::SystemRng;
use circlet::group::{ExternalJoin, OpenedGroupInfo, Outsider, Settings};
use circlet::identity::{BasicValidator, Credential, Signer, SigningKey};
use circlet::message::{GroupInfo, MlsMessage};
use circlet::schedule::Psk;
use circlet::tree::ExternalSender;

use super::member::{Member, handshake, judge, leaf_of, read_message, template};
use super::proposals::{Scene, psk};
use super::world::present;
use super::{Fault, World};
use crate::proto::*;

impl World {
    pub(crate) fn external_join(
        &mut self,
        request: ExternalJoinRequest,
    ) -> Result<ExternalJoinResponse, Fault> {
        let (settings, group_info) = self.read_group_info(&request.group_info)?;
        let tree = present(&request.ratchet_tree);
        let opened = OpenedGroupInfo::open(settings.clone(), group_info, tree)?;
        let replaces = match request.remove_prior {
            true => Some(leaf_of(opened.tree(), &request.identity)?),
            false => None,
        };
        let psks = self.common.of_actor();
        let mut ids = Vec::new();
        for PreSharedKey { psk_id, psk_secret } in request.psks {
            psks.store(psk_id.clone(), &psk_secret);
            ids.push(psk(&settings, Psk::External { psk_id })?);
        }
        let signer = SigningKey::generate(&settings.suite, &mut SystemRng)?;
        let join = ExternalJoin {
            leaf: template(&settings, Credential::basic(request.identity)),
            replaces,
            psks: ids,
            authenticated_data: Vec::new(),
        };
        let reviewed = opened.review(&BasicValidator)?;
        let staged = reviewed.join(join, &judge(&psks), &signer, &mut SystemRng)?;
        let commit = staged.message().to_vec();
        let handshake = handshake(request.encrypt_handshake);
        let member = Member::new(staged.confirm(), signer, psks, handshake);
        let epoch_authenticator = member.epoch_authenticator();
        Ok(ExternalJoinResponse { state_id: self.add_member(member)?, commit, epoch_authenticator })
    }

    pub(crate) fn new_member_add_proposal(
        &mut self,
        request: NewMemberAddProposalRequest,
    ) -> Result<NewMemberAddProposalResponse, Fault> {
        let (settings, group_info) = self.read_group_info(&request.group_info)?;
        let outsider = outsider(settings.clone(), &group_info);
        let (transaction_id, keys, signer) = self.add_join(settings, request.identity)?;
        let proposal = outsider.propose_own_add(keys.key_package, &signer)?;
        Ok(NewMemberAddProposalResponse {
            transaction_id,
            proposal,
            ..NewMemberAddProposalResponse::default()
        })
    }

    pub(crate) fn create_external_signer(
        &mut self,
        request: CreateExternalSignerRequest,
    ) -> Result<CreateExternalSignerResponse, Fault> {
        let settings = self.settings(request.cipher_suite)?;
        let signer = SigningKey::generate(&settings.suite, &mut SystemRng)?;
        let sender = ExternalSender {
            signature_key: signer.public_key().clone(),
            credential: Credential::basic(request.identity),
        };
        let external_sender = sender.to_bytes()?;
        let signer_id = self.next_id()?;
        self.signers.insert(signer_id, signer);
        Ok(CreateExternalSignerResponse { signer_id, external_sender })
    }

    /// The runner always says that the signer has the place 0, so that it is looked up.
    pub(crate) fn external_signer_proposal(
        &mut self,
        request: ExternalSignerProposalRequest,
    ) -> Result<ProposalResponse, Fault> {
        let id = request.signer_id;
        let signer = self.signers.get(&id).ok_or(Fault::NoSigner(id))?;
        let words = request.description.ok_or(Fault::NoDescription)?;
        let (settings, group_info) = self.read_group_info(&request.group_info)?;
        let index = place_of(signer, &group_info, &settings)?;
        let outsider = outsider(settings.clone(), &group_info);
        let tree = present(&request.ratchet_tree);
        let opened = OpenedGroupInfo::open(settings.clone(), group_info, tree)?;
        let (group_id, tree) = (opened.group_id(), opened.tree());
        let proposal = Scene { settings: &settings, group_id, tree }.proposal(words)?;
        Ok(ProposalResponse { proposal: outsider.propose(index, proposal, signer)? })
    }

    /// A GroupInfo, and what its group is computed with.
    fn read_group_info(&self, bytes: &[u8]) -> Result<(Settings, GroupInfo), Fault> {
        let context = circlet::codec::DecodeContext::default();
        let group_info = read_message(bytes, &context, "GroupInfo", |message| match message {
            MlsMessage::GroupInfo(group_info) => Some(group_info),
            _ => None,
        })?;
        let suite = group_info.group_context.cipher_suite.0;
        Ok((self.settings(u32::from(suite))?, group_info))
    }
}

fn outsider(settings: Settings, group_info: &GroupInfo) -> Outsider {
    Outsider {
        settings,
        group_id: group_info.group_context.group_id.clone(),
        epoch: group_info.group_context.epoch,
        authenticated_data: Vec::new(),
    }
}

/// The signer's place among the group's external senders.
fn place_of(
    signer: &SigningKey,
    group_info: &GroupInfo,
    settings: &Settings,
) -> Result<u32, Fault> {
    let senders = group_info.group_context.extensions.external_senders(&settings.context)?;
    let mut keys = senders.into_iter().flatten().map(|sender| sender.signature_key);
    let place = keys.position(|key| key == *signer.public_key());
    place.and_then(|place| u32::try_from(place).ok()).ok_or(Fault::NotExternalSender)
}
