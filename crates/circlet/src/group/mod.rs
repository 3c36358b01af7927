//! A group is a value (RFC 9420 sections 11 and 12).
//!
//! [`GroupState`] does no I/O, reads no clock and owns no randomness: what it needs is handed in.
//! Its operations take `&self` and give a [`Step`] beside their result; [`GroupState::apply`] takes
//! the step and can't fail half-way. In between, whoever holds the state writes the step down.
//!
//! ```text
//! wire ──open──▶ Opened ──review──▶ Reviewed ──process──▶ (outcome, Step) ──apply──▶ next value
//!        decrypt,          what the            key schedule,
//!        authenticate,     application         confirmation
//!        resolve           has to judge        tag
//! ```

mod apply;
mod commit;
mod create;
mod external;
mod fitting;
mod info;
mod join;
mod key_epochs;
mod key_package;
mod open;
mod outsider;
mod own_leaf;
mod past;
pub(crate) mod path;
mod pending;
mod process;
mod propose;
mod proposer;
mod protect;
mod review;
mod settings;
mod state;
mod step;
mod subgroup;

#[cfg(test)]
mod tests;

pub use commit::{ByReference, CommitRequest, ConfirmedCommit, StagedCommit};
pub use external::{ExternalJoin, OpenedGroupInfo, Outsider, ReviewedGroupInfo, StagedJoin};
pub use info::GroupInfoOptions;
pub use join::OpenedWelcome;
pub use key_package::{JoinKeys, LeafTemplate, best_cipher_suite};
pub use open::{Opened, OpenedApplication};
pub use own_leaf::{LeafChange, Signers};
pub use process::{AppliedProposal, CommitOutcome, OpenedCommit, ReviewedCommit};
pub use propose::OpenedProposal;
pub use proposer::Proposer;
pub use protect::{ApplicationMessage, Framing, HandshakeFormat, Padding};
pub use review::{Judge, NoPsks, PskSource, ReviewItem};
pub use settings::{Grease, Policy, Settings};
pub use state::{GroupState, Member, Status};
pub use step::Step;
pub use subgroup::{Founding, NewGroup, OldGroup};

pub(crate) use key_epochs::KeyEpochs;
pub(crate) use past::{FormerMember, FormerMembers, PastEpoch};
pub(crate) use pending::{CachedProposal, ProposalCache};
#[cfg(feature = "hazmat")]
pub(crate) use protect::sender_data_key;
pub(crate) use state::EpochState;
pub(crate) use step::{Change, NextEpoch, RatchetUse};
