//! Groups that continue others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Failure, Made, Play, call, same, to_proto};
use crate::proto::*;
use crate::runner::script::{Branch, ReInit};

/// The members of a group that was closed, with what they have of the next one.
type Successors = BTreeMap<String, HandleReInitCommitResponse>;

impl Play {
    /// Closes the group, and moves all to the next one.
    pub(super) async fn reinit(&mut self, reinit: &ReInit) -> Result<Made, Failure> {
        let proposal = self.reinit_proposal(reinit).await?;
        let mut successors = self.close(reinit, proposal).await?;
        let welcomer = successors.remove(&reinit.welcomer).ok_or(Failure::Script("welcomer"))?;
        let mut key_package: Vec<_> =
            successors.values().map(|successor| successor.key_package.clone()).collect();
        let count = key_package.len();
        let key_package = self.cast.random.take(&mut key_package, count);
        let request = ReInitWelcomeRequest {
            reinit_id: welcomer.reinit_id,
            key_package,
            force_path: reinit.force_path,
            external_tree: reinit.external_tree,
        };
        let group = call!(self, &reinit.welcomer, reinit_welcome, request)?;
        self.enter(&reinit.welcomer, group.state_id);
        for (member, successor) in &successors {
            let request = HandleReInitWelcomeRequest {
                reinit_id: successor.reinit_id,
                welcome: group.welcome.clone(),
                ratchet_tree: outside(&group, reinit.external_tree),
            };
            let joined = call!(self, member, handle_reinit_welcome, request)?;
            self.enter(member, joined.state_id);
            let found = &joined.epoch_authenticator;
            same(member, "new epoch authenticator", found, &group.epoch_authenticator)?;
        }
        let others = successors.keys().map(String::as_str);
        let all: Vec<&str> = others.chain([&*reinit.welcomer]).collect();
        self.agree(&all, &group.epoch_authenticator).await?;
        Ok(Made::Nothing)
    }

    async fn reinit_proposal(&mut self, reinit: &ReInit) -> Result<Vec<u8>, Failure> {
        if reinit.proposer.is_empty() {
            return self.proposal(reinit.external_reinit_proposal);
        }
        let request = ReInitProposalRequest {
            state_id: self.state(&reinit.proposer)?,
            group_id: self.next_parameters(&reinit.parameters)?,
            cipher_suite: self.suite(),
            extensions: to_proto(&reinit.parameters.extensions),
        };
        Ok(call!(self, &reinit.proposer, reinit_proposal, request)?.proposal)
    }

    /// All go to the last epoch of the old group.
    async fn close(&mut self, reinit: &ReInit, proposal: Vec<u8>) -> Result<Successors, Failure> {
        let committer = &reinit.committer;
        let state_id = self.state(committer)?;
        let by_reference = vec![proposal.clone()];
        let request = CommitRequest { state_id, by_reference, ..CommitRequest::default() };
        let commit = call!(self, committer, reinit_commit, request)?.commit;
        let request = HandlePendingCommitRequest { state_id };
        let closed = call!(self, committer, handle_pending_reinit_commit, request)?;
        let authenticator = closed.epoch_authenticator.clone();
        let mut successors = Successors::from([(committer.clone(), closed)]);

        let roles = [&reinit.proposer, &reinit.welcomer];
        let mut others: BTreeSet<&String> = reinit.members.iter().chain(roles).collect();
        others.retain(|actor| !actor.is_empty() && *actor != committer);
        for member in others {
            let request = HandleCommitRequest {
                state_id: self.state(member)?,
                proposal: vec![proposal.clone()],
                commit: commit.clone(),
            };
            let closed = call!(self, member, handle_reinit_commit, request)?;
            same(member, "last epoch authenticator", &closed.epoch_authenticator, &authenticator)?;
            successors.insert(member.clone(), closed);
        }
        Ok(successors)
    }

    /// A group of members of this one; what they have of the old one is freed.
    pub(super) async fn branch(&mut self, actor: &str, branch: &Branch) -> Result<Made, Failure> {
        let mut transactions = Vec::new();
        let mut key_packages = Vec::new();
        for member in &branch.members {
            let made = self.new_key_package(member).await?;
            transactions.push(made.transaction_id);
            key_packages.push(made.key_package);
        }
        let request = CreateBranchRequest {
            state_id: self.state(actor)?,
            group_id: self.new_group_id(),
            extensions: to_proto(&branch.extensions),
            key_packages,
            force_path: branch.force_path,
            external_tree: branch.external_tree,
        };
        let group = call!(self, actor, create_branch, request)?;
        let mut old = vec![(actor.to_owned(), self.state(actor)?)];
        self.enter(actor, group.state_id);
        for (member, transaction_id) in branch.members.iter().zip(transactions) {
            let state_id = self.state(member)?;
            let request = HandleBranchRequest {
                state_id,
                transaction_id,
                welcome: group.welcome.clone(),
                ratchet_tree: outside(&group, branch.external_tree),
            };
            let joined = call!(self, member, handle_branch, request)?;
            let found = &joined.epoch_authenticator;
            same(member, "branch's epoch authenticator", found, &group.epoch_authenticator)?;
            old.push((member.clone(), state_id));
            self.enter(member, joined.state_id);
        }
        let all: Vec<&str> = old.iter().map(|(member, _)| member.as_str()).collect();
        self.agree(&all, &group.epoch_authenticator).await?;
        // The creator's state in the old group is left alone, as the official runner does.
        for (member, state_id) in old.into_iter().skip(1) {
            call!(self, &member, free, FreeRequest { state_id })?;
        }
        Ok(Made::Nothing)
    }
}

/// The tree, where it was asked for.
fn outside(group: &CreateSubgroupResponse, external_tree: bool) -> Vec<u8> {
    if external_tree { group.ratchet_tree.clone() } else { Vec::new() }
}
