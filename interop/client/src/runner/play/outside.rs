//! From outside: external Commits and proposals.

use super::{Failure, Made, Play, call, same};
use crate::proto::*;
use crate::runner::script::{Description, ExternalJoin};

impl Play {
    /// Somebody joins with the actor's GroupInfo; the actor and the members follow.
    pub(super) async fn external_join(
        &mut self,
        actor: &str,
        join: &ExternalJoin,
    ) -> Result<Made, Failure> {
        let GroupInfoResponse { group_info, ratchet_tree } =
            self.group_info(actor, join.external_tree).await?;
        let psks = join.psks.iter().map(|psk| self.psk(*psk));
        let request = ExternalJoinRequest {
            group_info,
            ratchet_tree,
            encrypt_handshake: self.cast.encrypt,
            identity: join.joiner.as_bytes().to_vec(),
            remove_prior: join.remove_prior,
            psks: psks.collect::<Result<_, Failure>>()?,
        };
        let joined = call!(self, &join.joiner, external_join, request)?;
        self.enter(&join.joiner, joined.state_id);
        let ExternalJoinResponse { commit, epoch_authenticator: authenticator, .. } = joined;
        let members: Vec<&str> = join.members.iter().map(String::as_str).chain([actor]).collect();
        for member in &members {
            let found = self.handle_commit(member, Vec::new(), commit.clone()).await?;
            same(member, "epoch authenticator", &found, &authenticator)?;
        }
        let all = [members, vec![&join.joiner]].concat();
        self.agree(&all, &authenticator).await?;
        let (welcome, ratchet_tree) = (Vec::new(), Vec::new());
        Ok(Made::Commit { commit, welcome, ratchet_tree })
    }

    pub(super) async fn new_member_add(
        &mut self,
        actor: &str,
        joiner: &str,
    ) -> Result<Made, Failure> {
        let group_info = self.group_info(actor, false).await?.group_info;
        let identity = joiner.as_bytes().to_vec();
        let request = NewMemberAddProposalRequest { group_info, identity };
        let made = call!(self, joiner, new_member_add_proposal, request)?;
        self.transactions.insert(joiner.to_owned(), made.transaction_id);
        Ok(Made::Proposal(made.proposal))
    }

    pub(super) async fn add_external_signer(
        &mut self,
        actor: &str,
        signer: &str,
    ) -> Result<Made, Failure> {
        let (cipher_suite, identity) = (self.suite(), signer.as_bytes().to_vec());
        let request = CreateExternalSignerRequest { cipher_suite, identity };
        let made = call!(self, signer, create_external_signer, request)?;
        self.signers.insert(signer.to_owned(), made.signer_id);
        let (state_id, external_sender) = (self.state(actor)?, made.external_sender);
        let request = AddExternalSignerRequest { state_id, external_sender };
        Ok(Made::Proposal(call!(self, actor, add_external_signer, request)?.proposal))
    }

    /// With the GroupInfo of a member, and its tree beside it.
    pub(super) async fn external_signer_proposal(
        &mut self,
        actor: &str,
        member: &str,
        description: &Description,
    ) -> Result<Made, Failure> {
        let GroupInfoResponse { group_info, ratchet_tree } = self.group_info(member, true).await?;
        let signer = self.signers.get(actor).copied();
        let request = ExternalSignerProposalRequest {
            signer_id: signer.ok_or(Failure::Script("external signer"))?,
            signer_index: 0,
            group_info,
            ratchet_tree,
            description: Some(self.describe(description)?),
        };
        Ok(Made::Proposal(call!(self, actor, external_signer_proposal, request)?.proposal))
    }
}
