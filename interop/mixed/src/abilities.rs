//! Which operation which library can't do, and why. A step that is in the table is left out for
//! that library, and nothing else is.

use std::fmt;

use crate::member::Peer;

/// What a member may be asked to do, or to bear from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A Commit that adds somebody by value.
    AddByValue,
    /// A Commit that removes somebody by value.
    RemoveByValue,
    /// A Commit with an external PSK by value.
    PskByValue,
    /// A Commit with a resumption PSK by value.
    ResumptionPskByValue,
    /// A Commit that replaces the group's extensions by value.
    ExtensionsByValue,
    /// A Commit that gives the committer a new signature key.
    NewKeyInCommit,
    /// A Commit without a path.
    WithoutPath,
    /// A Welcome without the ratchet tree.
    TreeBeside,
    /// Proposing an Add.
    ProposeAdd,
    /// Proposing an Add that waits already.
    ProposeAddAgain,
    /// Proposing to remove another member.
    ProposeRemove,
    /// Proposing to remove oneself.
    ProposeOwnRemoval,
    /// Proposing an Update.
    ProposeUpdate,
    /// Proposing an Update with a new signature key.
    ProposeNewKey,
    /// Proposing an external PSK.
    ProposePsk,
    /// Proposing a resumption PSK.
    ProposeResumptionPsk,
    /// Proposing other extensions.
    ProposeExtensions,
    /// Joining by an external Commit.
    ExternalJoin,
    /// An external Commit with an external PSK.
    ExternalJoinWithPsk,
    /// An external Commit that removes the joiner's old leaf.
    Rejoin,
    /// Such a Commit with a resumption PSK.
    RejoinWithResumptionPsk,
    /// Being in a group with GREASE among the extensions of leaves, KeyPackages and GroupInfos.
    GreaseExtensions,
    /// Being in a group with application_id among the extensions of leaves.
    ApplicationIds,
    /// Being in a group with a resumption PSK of the present epoch.
    PresentResumptionPsk,
    /// A GroupContextExtensions proposal with an extension that is not among the required
    /// capabilities.
    ExtensionNotRequired,
    /// A Commit while the committer's own removal waits.
    CommitBeforeOwnRemoval,
    /// A Commit while several GroupContextExtensions proposals wait.
    CommitSeveralExtensions,
    /// A Commit while two proposals wait that add the same client.
    CommitDoubleAdds,
    /// A Commit while an Update and another proposal about the same leaf wait.
    CommitContradictingUpdates,
    /// Receiving a message with a bit flipped, and then the message.
    SpoiledMessage,
    /// Being given a Welcome with a bit flipped, and then the Welcome.
    SpoiledWelcome,
    /// A Commit with PSKs both by value and by reference.
    PsksByValueAndReference,
    /// Proposing an Add from outside, as an external sender.
    OutsideAdd,
    /// Proposing a Remove as an external sender.
    OutsideRemove,
    /// Proposing an external PSK as an external sender.
    OutsidePsk,
    /// Proposing other extensions as an external sender.
    OutsideExtensions,
    /// Proposing its own Add as one who is no member.
    AskToJoin,
    /// Being in a group that is re-initialized.
    ReInit,
    /// Being in a group that is re-initialized while its tree has blank leaves.
    ReInitWithBlanks,
    /// Being in a branch of a group.
    Branch,
    /// Joining a branch by a KeyPackage with another signature key than that in the group.
    BranchWithOtherKey,
    /// Reading a late message of a sender that has another signature key now, or was removed.
    LateFromChanged,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut {
    /// The library.
    pub peer: Peer,
    /// What it can't do.
    pub operation: Operation,
    /// Why.
    pub why: &'static str,
}

/// The table.
pub const LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::GreaseExtensions,
        why: "takes a GREASE extension for one that the leaf's capabilities don't list",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::ExtensionNotRequired,
        why: "wants every extension of a GroupContext among its required capabilities",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::CommitBeforeOwnRemoval,
        why: "does not leave its own removal out of its Commit",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::PsksByValueAndReference,
        why: "computes the PSK secret in another order than that of the Commit",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::CommitSeveralExtensions,
        why: "does not choose among several GroupContextExtensions proposals",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::CommitDoubleAdds,
        why: "does not choose among Adds of the same client",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::RejoinWithResumptionPsk,
        why: "looks for resumption PSKs in the new state of the group only",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::SpoiledWelcome,
        why: "deletes the KeyPackage's keys before it has read the Welcome",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::OutsidePsk,
        why: "takes no pre-shared keys from external senders",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::ReInitWithBlanks,
        why: "wants the new group's tree to be as long as the old one's",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::BranchWithOtherKey,
        why: "signs in the branch with the group's key, not that of its KeyPackage",
    },
    LeftOut {
        peer: Peer::OpenMls,
        operation: Operation::ReInit,
        why: "does not commit a ReInit and has no call for what follows",
    },
    LeftOut { peer: Peer::OpenMls, operation: Operation::Branch, why: "has no call for it" },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::SpoiledMessage,
        why: "deletes a message's key before it has read the message",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::ApplicationIds,
        why: "wants application_id among the leaf's capabilities, where it must not be",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::RejoinWithResumptionPsk,
        why: "has no call for it",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::CommitContradictingUpdates,
        why: "commits an Update together with another proposal about its leaf",
    },
    LeftOut {
        peer: Peer::MlsRs,
        operation: Operation::LateFromChanged,
        why: "refuses late messages if the sender's leaf has another signature key now",
    },
];

/// Whether a library does an operation.
#[must_use]
pub fn can(peer: Peer, operation: Operation) -> bool {
    !LEFT_OUT.iter().any(|row| row.peer == peer && row.operation == operation)
}
