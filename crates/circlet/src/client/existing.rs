use crate::error::{Error, Misuse, Unready};
use crate::group::Status;
use crate::mutation::off;
use crate::rows::Head;

/// What becomes of this client's present state of a group that begins, and of what it knows of one
/// that it was in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// The client must not be in the group.
    Refused,
    /// The same, and no epoch that it has seen begins again: of that, keys were used.
    Passed,
    /// A join that waited: the same, unless the epoch that the client had `seen` when it staged the
    /// join is still the latest that it has. No key of a join that waits was used. A client that
    /// comes back lets its old state go.
    Waited { seen: Option<u64>, replaces_state: bool },
}

impl Existing {
    /// V-12.4.3-03: no two groups of one client have the same id.
    pub(super) fn ensure_may_begin(self, head: &Head, epoch: u64) -> Result<(), Error> {
        let (waited, replaces) = match self {
            Self::Waited { seen, replaces_state } => {
                let waited = seen == Some(head.epoch);
                // What came since by a late Welcome is older than what others have accepted.
                (waited, replaces_state || !waited && epoch > head.epoch)
            }
            Self::Refused => (true, false),
            Self::Passed => (false, false),
        };
        if !waited && epoch <= head.epoch {
            return Err(Unready::ForgottenEpoch { message: epoch }.into());
        }
        let is_member = head.status != Status::Removed;
        if is_member && !replaces && !off("V-12.4.3-03") {
            return Err(Misuse::GroupExists.into());
        }
        Ok(())
    }
}
