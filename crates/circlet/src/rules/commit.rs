//! Commits: what their proposals and their path make of a group (RFC 9420 sections 8.1, 12.2 and
//! 12.4.2).

use std::collections::BTreeSet;

use super::leaf::{
    Requirements, check_membership, check_path_leaf, ensure_members_meet, ensure_path_leaf_source,
};
use super::proposals::Resolved;
use super::{Violation, ensure, tolerate};
use crate::crypto::HashReference;
use crate::message::KeyPackage;
use crate::mutation::{any_off, off};
use crate::tree::{
    Extensions, LeafIndex, LeafNode, LeafPosition, NodeIndex, RatchetTree, RequiredCapabilities,
};

/// V-12.4.2-08: the leaf of a member's path is one, and may take the place of the committer's.
pub(crate) fn check_leaf_of_path(
    leaf: &LeafNode,
    position: LeafPosition<'_>,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-12.4.2-08") {
        return Ok(());
    }
    ensure_path_leaf_source(leaf)?;
    check_path_leaf(leaf, position, requirements)
}

/// V-12.2-07 and V-12.2-08: no client is added twice, or while it is a member. Clients are told
/// apart by their signature keys; what else makes two of them one, such as a name, is for the
/// application's validator to say. `present` is the tree before the Commit, which `removed` are
/// leaving; `tree` has the list's Updates and Removes in it, and those who were `added` before.
pub(crate) fn ensure_client_is_new(
    present: &RatchetTree,
    removed: &[LeafIndex],
    tree: &RatchetTree,
    added: &[(LeafIndex, KeyPackage)],
    leaf: &LeafNode,
) -> Result<(), Violation> {
    ensure_is_no_member(present, |owner| removed.contains(&owner), leaf)?;
    let Some(owner) = tree.signature_key_owner(&leaf.signature_key) else { return Ok(()) };
    let twice = added.iter().any(|(leaf, _)| *leaf == owner);
    ensure(!twice, Violation::AddedTwice)?;
    ensure(twice, Violation::AddedMember)
}

/// V-12.2-08: whoever is a member before the Commit is added only if it is removed as well. A new
/// signature key that the same Commit gives it makes no other client of it, whether by an Update or
/// by the committer's path: so all see the same, whatever they know of the path yet.
pub(crate) fn ensure_is_no_member(
    present: &RatchetTree,
    is_removed: impl Fn(LeafIndex) -> bool,
    leaf: &LeafNode,
) -> Result<(), Violation> {
    let owner = present.signature_key_owner(&leaf.signature_key);
    ensure(owner.is_none_or(is_removed), Violation::AddedMember)
}

/// V-12.4-03: a Commit may leave out what waits.
pub(crate) fn tolerate_omitted<'a>(
    list: &[Resolved],
    mut waiting: impl Iterator<Item = &'a HashReference>,
) -> Result<(), Violation> {
    let omitted = || {
        let referred: BTreeSet<_> =
            list.iter().filter_map(|item| item.reference.as_ref()).collect();
        waiting.any(|reference| !referred.contains(reference))
    };
    tolerate("V-12.4-03", omitted, Violation::ReferenceTwice)
}

/// What can only be said of the tree with the path in it (sections 7.3, 12.1.7 and 12.2): of the
/// leaves that changed, and of new extensions with what they require.
pub(crate) fn check_outcome(
    tree: &RatchetTree,
    changed: &BTreeSet<LeafIndex>,
    new_extensions: Option<(&Extensions, Option<&RequiredCapabilities>)>,
) -> Result<(), Violation> {
    check_membership(tree, changed.iter().filter_map(|leaf| tree.leaf(*leaf)))?;
    match new_extensions {
        Some((extensions, required)) => ensure_members_meet(tree, extensions, required),
        None => Ok(()),
    }
}

/// Whether a member keeps its private key of a node. V-4.0-05: not of a blank one; V-7.5-07: nor of
/// one whose key was replaced, by none or by another.
pub(crate) fn is_private_key_kept(
    before: &RatchetTree,
    after: &RatchetTree,
    node: NodeIndex,
) -> bool {
    let spared = match after.encryption_key(node) {
        None => any_off(&["V-4.0-05", "V-7.5-07"]),
        Some(_) => off("V-7.5-07"),
    };
    after.encryption_key(node) == before.encryption_key(node) || spared
}

/// V-8.1-02: an epoch is one more than the last, and never 0 again.
pub(crate) fn epoch_after(epoch: u64) -> Result<u64, Violation> {
    let wrapped = off("V-8.1-02").then(|| epoch.wrapping_add(1));
    epoch.checked_add(1).or(wrapped).ok_or(Violation::EpochOverflow)
}
