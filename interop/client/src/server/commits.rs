//! Commits of members.

use super::member::{Member, Plan};
use super::proposals::Scene;
use super::{Fault, World};
use crate::proto::*;

impl Member {
    /// The group as proposals see it.
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            settings: self.settings(),
            group_id: self.state.group_id(),
            tree: self.state.tree(),
        }
    }
}

impl World {
    pub(crate) fn commit(&mut self, request: CommitRequest) -> Result<CommitResponse, Fault> {
        self.make_commit(request, false)
    }

    pub(crate) fn reinit_commit(
        &mut self,
        request: CommitRequest,
    ) -> Result<CommitResponse, Fault> {
        self.make_commit(request, true)
    }

    /// The Welcome goes with the Commit to the runner, which is the delivery service here.
    fn make_commit(
        &mut self,
        request: CommitRequest,
        closes: bool,
    ) -> Result<CommitResponse, Fault> {
        let CommitRequest { state_id, by_reference, by_value, force_path, external_tree } = request;
        let member = self.member(state_id)?;
        let scene = member.scene();
        let by_value = by_value.into_iter().map(|words| scene.proposal(words));
        let by_value = by_value.collect::<Result<_, Fault>>()?;
        let plan = Plan { by_reference, by_value, force_path, external_tree };
        let staged = member.commit(plan, closes)?;
        Ok(CommitResponse {
            commit: staged.message().to_vec(),
            welcome: staged.welcome().unwrap_or_default().to_vec(),
            ratchet_tree: staged.ratchet_tree().unwrap_or_default().to_vec(),
        })
    }

    pub(crate) fn handle_commit(
        &mut self,
        request: HandleCommitRequest,
    ) -> Result<HandleCommitResponse, Fault> {
        let HandleCommitRequest { state_id, proposal, commit } = request;
        let member = self.member(state_id)?;
        member.follow(proposal, &commit, false)?;
        Ok(HandleCommitResponse { state_id, epoch_authenticator: member.epoch_authenticator() })
    }

    pub(crate) fn handle_pending_commit(
        &mut self,
        request: HandlePendingCommitRequest,
    ) -> Result<HandleCommitResponse, Fault> {
        let HandlePendingCommitRequest { state_id } = request;
        let member = self.member(state_id)?;
        member.confirm(false)?;
        Ok(HandleCommitResponse { state_id, epoch_authenticator: member.epoch_authenticator() })
    }
}
