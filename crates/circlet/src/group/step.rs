use crate::message::{GroupId, ReInit};
use crate::schedule::{SecretTreeStep, SkippedStep};
use crate::tree::{LeafIndex, NodeIndex, StoredNode};

use super::{CachedProposal, EpochState, FormerMember};

/// The way from one value of a group to the next: small, and complete. Write it down, then give
/// it to [`GroupState::apply`](super::GroupState::apply).
#[derive(Debug)]
#[must_use = "the state goes on only when the step is applied"]
pub struct Step {
    /// The group.
    pub(crate) group: GroupId,
    /// The version of the state that this was computed from.
    pub(crate) from: u64,
    /// The message key that was used.
    pub(crate) ratchet: Option<RatchetUse>,
    pub(crate) change: Change,
}

impl Step {
    /// The epoch that begins with the step, if one does.
    pub(crate) fn next_epoch(&self) -> Option<&NextEpoch> {
        match &self.change {
            Change::Epoch(next) => Some(next),
            _ => None,
        }
    }
}

/// A ratchet that moved, and the keys that it skipped or gave.
#[derive(Debug)]
pub(crate) struct RatchetUse {
    pub(crate) epoch: u64,
    pub(crate) tree: SecretTreeStep,
    pub(crate) skipped: SkippedStep,
}

#[derive(Debug)]
pub(crate) enum Change {
    /// Only a ratchet moved.
    Nothing,
    /// A proposal waits for a Commit.
    Proposal(Box<CachedProposal>),
    /// The next epoch begins.
    Epoch(Box<NextEpoch>),
    /// This client was removed.
    Removed,
}

/// The epoch after the present one, complete but for what the present one still does.
#[derive(Debug)]
pub(crate) struct NextEpoch {
    pub(crate) epoch: EpochState,
    /// What the tree's change writes and deletes.
    pub(crate) tree_changes: Vec<(NodeIndex, Option<StoredNode>)>,
    /// Owners of leaves that change with it.
    pub(crate) former: Vec<(LeafIndex, Option<FormerMember>)>,
    /// The ReInit with which the Commit closed the group.
    pub(crate) reinit: Option<ReInit>,
}
