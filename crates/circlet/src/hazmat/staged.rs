//! What is in a staged Commit before it is confirmed.

use crate::group::StagedCommit;

/// The Welcome of a Commit that may still lose the race: an application that sends it then lets
/// somebody into an epoch that never was (RFC 9420 section 14).
#[must_use]
pub fn welcome(staged: &StagedCommit) -> Option<&[u8]> {
    staged.welcome.as_deref()
}
