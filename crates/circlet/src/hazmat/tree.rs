//! What a joiner checks of a ratchet tree, by itself (RFC 9420 section 12.4.3.1).

use crate::crypto::Suite;
use crate::error::Error;
use crate::rules;
use crate::tree::RatchetTree;

/// Checks the tree's keys, unmerged leaves and parent hashes. What is in its leaves is not looked
/// at, their signatures included.
///
/// # Errors
/// [`Error::Violation`] for the first rule that the tree breaks, or the provider failed.
pub fn check_tree(tree: &RatchetTree, suite: &Suite) -> Result<(), Error> {
    Ok(rules::tree::check_tree(tree, suite)?)
}
