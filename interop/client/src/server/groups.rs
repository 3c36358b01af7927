//! Groups: creating, joining and describing them, and application data.

use circlet::codec::Encode;
use circlet::crypto::SystemRng;
use circlet::group::{GroupInfoOptions, GroupState, OpenedWelcome};
use circlet::identity::{BasicValidator, Credential};
use circlet::message::{GroupId, MlsMessage};
use circlet::tree::Extensions;

use super::member::{Member, NewLeaf, handshake};
use super::subgroups::read_welcome;
use super::world::{Join, present};
use super::{Fault, World};
use crate::proto::*;

impl World {
    pub(crate) fn name(&mut self, _: NameRequest) -> Result<NameResponse, Fault> {
        Ok(NameResponse { name: "Circlet".to_owned() })
    }

    pub(crate) fn supported_ciphersuites(
        &mut self,
        _: SupportedCiphersuitesRequest,
    ) -> Result<SupportedCiphersuitesResponse, Fault> {
        let ciphersuites = self.suites().into_iter().map(u32::from).collect();
        Ok(SupportedCiphersuitesResponse { ciphersuites })
    }

    pub(crate) fn create_group(
        &mut self,
        request: CreateGroupRequest,
    ) -> Result<CreateGroupResponse, Fault> {
        let settings = self.settings(request.cipher_suite)?;
        let NewLeaf { keys, signer } =
            NewLeaf::generate(&settings, Credential::basic(request.identity))?;
        let group_id = GroupId::new(&request.group_id);
        let state =
            GroupState::create(settings, group_id, Extensions::new(), keys, &mut SystemRng)?;
        let handshake = handshake(request.encrypt_handshake);
        let member = Member::new(state, signer, self.common.of_actor(), handshake);
        Ok(CreateGroupResponse { state_id: self.add_member(member)? })
    }

    pub(crate) fn create_key_package(
        &mut self,
        request: CreateKeyPackageRequest,
    ) -> Result<CreateKeyPackageResponse, Fault> {
        let settings = self.settings(request.cipher_suite)?;
        let (transaction_id, keys, _) = self.add_join(settings, request.identity)?;
        let key_package = MlsMessage::KeyPackage(keys.key_package).to_bytes()?;
        Ok(CreateKeyPackageResponse {
            transaction_id,
            key_package,
            ..CreateKeyPackageResponse::default()
        })
    }

    pub(crate) fn join_group(
        &mut self,
        request: JoinGroupRequest,
    ) -> Result<JoinGroupResponse, Fault> {
        let id = request.transaction_id;
        let Join { leaf, psks, settings } = self.joins.get(&id).ok_or(Fault::NoTransaction(id))?;
        let welcome = read_welcome(&request.welcome, settings)?;
        let tree = present(&request.ratchet_tree);
        let opened = OpenedWelcome::open(settings.clone(), &welcome, &leaf.keys, tree, psks)?;
        let state = opened.review(&BasicValidator)?;
        let handshake = handshake(request.encrypt_handshake);
        let member = Member::new(state, leaf.signer.clone(), psks.clone(), handshake);
        let epoch_authenticator = member.epoch_authenticator();
        let state_id = self.add_member(member)?;
        self.joins.remove(&id);
        Ok(JoinGroupResponse { state_id, epoch_authenticator })
    }

    pub(crate) fn group_info(
        &mut self,
        request: GroupInfoRequest,
    ) -> Result<GroupInfoResponse, Fault> {
        let member = self.member(request.state_id)?;
        let inside = !request.external_tree;
        let options = GroupInfoOptions { ratchet_tree: inside, external_pub: true };
        let message = member.state.group_info(options, &member.signer, &mut SystemRng)?;
        let ratchet_tree = if inside { Vec::new() } else { member.state.ratchet_tree()? };
        Ok(GroupInfoResponse { group_info: message.to_bytes()?, ratchet_tree })
    }

    pub(crate) fn state_auth(
        &mut self,
        request: StateAuthRequest,
    ) -> Result<StateAuthResponse, Fault> {
        let member = self.member(request.state_id)?;
        member.ensure_member()?;
        Ok(StateAuthResponse { state_auth_secret: member.epoch_authenticator() })
    }

    pub(crate) fn export(&mut self, request: ExportRequest) -> Result<ExportResponse, Fault> {
        let ExportRequest { state_id, label, context, key_length } = request;
        let length = usize::try_from(key_length).unwrap_or(usize::MAX);
        let secret = self.member(state_id)?.state.export(&label, &context, length)?;
        Ok(ExportResponse { exported_secret: secret.as_bytes().to_vec() })
    }

    pub(crate) fn protect(&mut self, request: ProtectRequest) -> Result<ProtectResponse, Fault> {
        let ProtectRequest { state_id, authenticated_data, plaintext } = request;
        let ciphertext = self.member(state_id)?.protect(authenticated_data, &plaintext)?;
        Ok(ProtectResponse { ciphertext })
    }

    pub(crate) fn unprotect(
        &mut self,
        request: UnprotectRequest,
    ) -> Result<UnprotectResponse, Fault> {
        let UnprotectRequest { state_id, ciphertext } = request;
        let (authenticated_data, plaintext) = self.member(state_id)?.unprotect(&ciphertext)?;
        Ok(UnprotectResponse { authenticated_data, plaintext })
    }

    /// For a state, a pending join, or with the id 0 for everybody.
    pub(crate) fn store_psk(
        &mut self,
        request: StorePSKRequest,
    ) -> Result<StorePSKResponse, Fault> {
        let StorePSKRequest { state_or_transaction_id: id, psk_id, psk_secret } = request;
        let of_state = self.members.get(&id).map(|member| &member.psks);
        let of_join = self.joins.get(&id).map(|join| &join.psks);
        let common = (id == 0).then_some(&self.common);
        let psks = of_state.or(of_join).or(common).ok_or(Fault::NoActor(id))?;
        psks.store(psk_id, &psk_secret);
        Ok(StorePSKResponse {})
    }

    /// Whether there is such a state or not.
    pub(crate) fn free(&mut self, request: FreeRequest) -> Result<FreeResponse, Fault> {
        self.members.remove(&request.state_id);
        Ok(FreeResponse {})
    }
}
