//! Commits, and those who follow them.

use super::{Failure, Made, Play, call, same};
use crate::proto::*;
use crate::runner::script::{Change, FullCommit, StepIndex};

impl Play {
    /// A Commit that its sender has not applied yet.
    pub(super) async fn commit(&mut self, actor: &str, change: &Change) -> Result<Made, Failure> {
        let by_value = change.by_value.iter().map(|words| self.describe(words));
        let by_value = by_value.collect::<Result<_, Failure>>()?;
        let request = CommitRequest {
            state_id: self.state(actor)?,
            by_reference: self.proposals(&change.by_reference)?,
            by_value,
            force_path: change.force_path,
            external_tree: change.external_tree,
        };
        let CommitResponse { commit, welcome, ratchet_tree } = call!(self, actor, commit, request)?;
        // Some clients give the tree whether it is asked for or not.
        let ratchet_tree = if change.external_tree { ratchet_tree } else { Vec::new() };
        Ok(Made::Commit { commit, welcome, ratchet_tree })
    }

    /// The committer's own Commit; gives the authenticator of the next epoch.
    pub(super) async fn handle_pending_commit(&mut self, actor: &str) -> Result<Vec<u8>, Failure> {
        let state_id = self.state(actor)?;
        let request = HandlePendingCommitRequest { state_id };
        let next = call!(self, actor, handle_pending_commit, request)?;
        self.enter(actor, next.state_id);
        Ok(next.epoch_authenticator)
    }

    /// Somebody else's Commit; gives the authenticator of the next epoch.
    pub(super) async fn handle_commit(
        &mut self,
        actor: &str,
        proposal: Vec<Vec<u8>>,
        commit: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let state_id = self.state(actor)?;
        let request = HandleCommitRequest { state_id, proposal, commit };
        let next = call!(self, actor, handle_commit, request)?;
        self.enter(actor, next.state_id);
        Ok(next.epoch_authenticator)
    }

    pub(super) async fn handle_earlier_commit(
        &mut self,
        actor: &str,
        commit: StepIndex,
        by_reference: &[StepIndex],
    ) -> Result<Made, Failure> {
        let Some(Made::Commit { commit, .. }) = self.made.get(commit) else {
            return Err(Failure::Script("Commit"));
        };
        let (commit, proposals) = (commit.clone(), self.proposals(by_reference)?);
        self.handle_commit(actor, proposals, commit).await?;
        Ok(Made::Nothing)
    }

    /// A Commit that the members follow and by which others join; all are in the same epoch then.
    pub(super) async fn full_commit(
        &mut self,
        actor: &str,
        full: &FullCommit,
    ) -> Result<Made, Failure> {
        let made = self.commit(actor, &full.change).await?;
        let Made::Commit { commit, welcome, ratchet_tree } = &made else { return Ok(made) };
        let authenticator = self.handle_pending_commit(actor).await?;
        let proposals = self.proposals(&full.change.by_reference)?;
        for member in &full.members {
            let found = self.handle_commit(member, proposals.clone(), commit.clone()).await?;
            same(member, "epoch authenticator", &found, &authenticator)?;
        }
        for joiner in &full.joiners {
            let transaction = self.transaction(joiner)?;
            let (welcome, tree) = (welcome.clone(), ratchet_tree.clone());
            let found = self.join(joiner, transaction, welcome, tree).await?;
            same(joiner, "epoch authenticator", &found, &authenticator)?;
        }
        let others = full.members.iter().chain(&full.joiners).map(String::as_str);
        let all: Vec<&str> = others.chain([actor]).collect();
        self.agree(&all, &authenticator).await?;
        Ok(made)
    }
}
