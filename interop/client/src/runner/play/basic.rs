//! Groups, key packages, pre-shared keys, proposals of members and application data.

use super::{Failure, Made, Play, call, same, to_proto};
use crate::proto::*;
use crate::runner::script::{Action, StepIndex};

impl Play {
    /// A group of so many in epoch 1, or of one in epoch 0.
    pub(super) async fn create_group(
        &mut self,
        actor: &str,
        members: &[String],
    ) -> Result<Made, Failure> {
        let group_id = self.new_group_id();
        let request = CreateGroupRequest {
            group_id: group_id.clone(),
            cipher_suite: self.suite(),
            encrypt_handshake: self.cast.encrypt,
            identity: actor.as_bytes().to_vec(),
        };
        let state_id = call!(self, actor, create_group, request)?.state_id;
        self.enter(actor, state_id);
        if members.is_empty() {
            return Ok(Made::Group(group_id));
        }
        let mut transactions = Vec::new();
        let mut by_value = Vec::new();
        for member in members {
            let made = self.new_key_package(member).await?;
            transactions.push(made.transaction_id);
            by_value.push(ProposalDescription {
                proposal_type: b"add".to_vec(),
                key_package: made.key_package,
                ..ProposalDescription::default()
            });
        }
        let request = CommitRequest { state_id, by_value, ..CommitRequest::default() };
        let welcome = call!(self, actor, commit, request)?.welcome;
        let authenticator = self.handle_pending_commit(actor).await?;
        for (member, transaction) in members.iter().zip(transactions) {
            let joined = self.join(member, transaction, welcome.clone(), Vec::new()).await?;
            same(member, "epoch authenticator", &joined, &authenticator)?;
        }
        let all: Vec<&str> = members.iter().map(String::as_str).chain([actor]).collect();
        self.agree(&all, &authenticator).await?;
        Ok(Made::Group(group_id))
    }

    /// 36 characters, as those of a UUID.
    pub(super) fn new_group_id(&mut self) -> Vec<u8> {
        let bytes = self.cast.random.bytes(18);
        bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
    }

    pub(super) async fn new_key_package(
        &mut self,
        actor: &str,
    ) -> Result<CreateKeyPackageResponse, Failure> {
        let (cipher_suite, identity) = (self.suite(), actor.as_bytes().to_vec());
        call!(self, actor, create_key_package, CreateKeyPackageRequest { cipher_suite, identity })
    }

    pub(super) async fn create_key_package(&mut self, actor: &str) -> Result<Made, Failure> {
        let made = self.new_key_package(actor).await?;
        self.transactions.insert(actor.to_owned(), made.transaction_id);
        Ok(Made::KeyPackage(made.key_package))
    }

    /// Joins; gives the authenticator of the epoch that the joiner is in.
    pub(super) async fn join(
        &mut self,
        actor: &str,
        transaction_id: u32,
        welcome: Vec<u8>,
        ratchet_tree: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let request = JoinGroupRequest {
            transaction_id,
            welcome,
            encrypt_handshake: self.cast.encrypt,
            identity: actor.as_bytes().to_vec(),
            ratchet_tree,
        };
        let joined = call!(self, actor, join_group, request)?;
        self.enter(actor, joined.state_id);
        Ok(joined.epoch_authenticator)
    }

    pub(super) async fn join_group(
        &mut self,
        actor: &str,
        commit: StepIndex,
    ) -> Result<Made, Failure> {
        let Some(Made::Commit { welcome, ratchet_tree, .. }) = self.made.get(commit) else {
            return Err(Failure::Script("Welcome"));
        };
        let (welcome, ratchet_tree) = (welcome.clone(), ratchet_tree.clone());
        self.join(actor, self.transaction(actor)?, welcome, ratchet_tree).await?;
        Ok(Made::Nothing)
    }

    /// For the actor's state, or else for its pending join.
    pub(super) async fn install_psk(&mut self, actors: &[String]) -> Result<Made, Failure> {
        let (psk_id, psk_secret) = (self.cast.random.bytes(32), self.cast.random.bytes(32));
        for actor in actors {
            let id = self.states.get(actor).or_else(|| self.transactions.get(actor)).copied();
            let request = StorePSKRequest {
                state_or_transaction_id: id.unwrap_or_default(),
                psk_id: psk_id.clone(),
                psk_secret: psk_secret.clone(),
            };
            call!(self, actor, store_psk, request)?;
        }
        Ok(Made::Psk { id: psk_id, secret: psk_secret })
    }

    pub(super) async fn group_info(
        &mut self,
        actor: &str,
        external_tree: bool,
    ) -> Result<GroupInfoResponse, Failure> {
        let state_id = self.state(actor)?;
        call!(self, actor, group_info, GroupInfoRequest { state_id, external_tree })
    }

    /// A proposal of a member.
    pub(super) async fn propose(&mut self, actor: &str, action: &Action) -> Result<Made, Failure> {
        let state_id = self.state(actor)?;
        let answer = match action {
            Action::AddProposal { key_package } => {
                let key_package = self.key_package(*key_package)?;
                call!(self, actor, add_proposal, AddProposalRequest { state_id, key_package })
            }
            Action::UpdateProposal => {
                call!(self, actor, update_proposal, UpdateProposalRequest { state_id })
            }
            Action::RemoveProposal { removed } => {
                let removed_id = removed.as_bytes().to_vec();
                call!(self, actor, remove_proposal, RemoveProposalRequest { state_id, removed_id })
            }
            Action::ExternalPskProposal { psk } => {
                let psk_id = self.psk(*psk)?.psk_id;
                let request = ExternalPSKProposalRequest { state_id, psk_id };
                call!(self, actor, external_psk_proposal, request)
            }
            Action::ResumptionPskProposal { epoch } => {
                let request = ResumptionPSKProposalRequest { state_id, epoch_id: *epoch };
                call!(self, actor, resumption_psk_proposal, request)
            }
            Action::GroupContextExtensionsProposal { extensions } => {
                let extensions = to_proto(extensions);
                let request = GroupContextExtensionsProposalRequest { state_id, extensions };
                call!(self, actor, group_context_extensions_proposal, request)
            }
            _ => return Err(Failure::Script("proposal")),
        };
        Ok(Made::Proposal(answer?.proposal))
    }

    pub(super) async fn protect(
        &mut self,
        actor: &str,
        authenticated_data: &str,
        plaintext: &str,
    ) -> Result<Made, Failure> {
        let state_id = self.state(actor)?;
        let authenticated_data = authenticated_data.as_bytes().to_vec();
        let plaintext = plaintext.as_bytes().to_vec();
        let request = ProtectRequest {
            state_id,
            authenticated_data: authenticated_data.clone(),
            plaintext: plaintext.clone(),
        };
        let ciphertext = call!(self, actor, protect, request)?.ciphertext;
        Ok(Made::Message { authenticated_data, plaintext, ciphertext })
    }

    pub(super) async fn unprotect(
        &mut self,
        actor: &str,
        step: StepIndex,
    ) -> Result<Made, Failure> {
        let Some(Made::Message { authenticated_data, plaintext, ciphertext }) = self.made.get(step)
        else {
            return Err(Failure::Script("message"));
        };
        let (authenticated_data, plaintext) = (authenticated_data.clone(), plaintext.clone());
        let ciphertext = ciphertext.clone();
        let state_id = self.state(actor)?;
        let read = call!(self, actor, unprotect, UnprotectRequest { state_id, ciphertext })?;
        same(actor, "authenticated data", &read.authenticated_data, &authenticated_data)?;
        same(actor, "plaintext", &read.plaintext, &plaintext)?;
        Ok(Made::Nothing)
    }
}
