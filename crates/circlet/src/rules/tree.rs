//! Rules about a whole ratchet tree, as a joiner checks it.

use std::collections::BTreeMap;

use super::{Violation, ensure, ensure_row};
use crate::crypto::{HpkePublicKey, Suite};
use crate::mutation::off;
use crate::tree::{
    LeafIndex, NodeIndex, OriginalHashes, ParentNode, RatchetTree, TreeError, parent_hash_field,
};

/// Every rule that concerns the tree as a whole: all that a joiner checks (RFC 9420 section
/// 12.4.3.1) but the tree hash and what is inside of the leaves. Takes about n log n steps for any
/// tree.
pub(crate) fn check_tree(tree: &RatchetTree, suite: &Suite) -> Result<(), TreeError> {
    check_encryption_keys(tree)?;
    check_signature_keys(tree)?;
    for (node, parent) in tree.parents() {
        check_unmerged_order(parent)?;
        check_unmerged_places(tree, node, parent)?;
        check_unmerged_between(tree, node, parent)?;
    }
    let mut hashes = OriginalHashes::new(tree, suite);
    for (node, parent) in tree.parents() {
        check_root_parent_hash(tree, node, parent)?;
        check_parent_hash(tree, node, parent, &mut hashes)?;
    }
    Ok(())
}

/// V-7.1-02: the keys of all parents are valid for the KEM. Those of the leaves are checked with
/// the leaves.
pub(crate) fn check_parent_keys(tree: &RatchetTree, suite: &Suite) -> Result<(), Violation> {
    let valid = |parent: &ParentNode| suite.check_public_key(&parent.encryption_key).is_ok();
    let holds = tree.parents().all(|(_, parent)| valid(parent));
    ensure_row("V-7.1-02", holds, Violation::InvalidHpkeKey)
}

/// V-12.2-16 and V-12.4.3.1-17: no two leaves have the same encryption key, and no parent has one
/// that is elsewhere in the tree. O(1) for a valid tree.
pub(crate) fn check_encryption_keys(tree: &RatchetTree) -> Result<(), Violation> {
    if !tree.has_repeated_encryption_key() || has_a_leaf_twice(tree) {
        return Ok(());
    }
    let mut owners: BTreeMap<&HpkePublicKey, bool> = BTreeMap::new();
    for (_, leaf) in tree.members() {
        owners.insert(&leaf.encryption_key, true);
    }
    let mut parents = tree.parents().map(|(_, parent)| &parent.encryption_key);
    let by_parent = parents.any(|key| owners.insert(key, false).is_some());
    ensure(!by_parent, Violation::ParentKeyReused)?;
    ensure(by_parent, Violation::DuplicateEncryptionKey)
}

/// V-7.3-13: no two members have the same signature key. O(1).
pub(crate) fn check_signature_keys(tree: &RatchetTree) -> Result<(), Violation> {
    let repeated = tree.has_repeated_signature_key() && !has_a_leaf_twice(tree);
    ensure(!repeated, Violation::DuplicateSignatureKey)
}

/// V-12.4.3.1-19: no leaf, a joiner's own neither, is there twice: both its keys would be. Asked only
/// where this rule is switched off.
fn has_a_leaf_twice(tree: &RatchetTree) -> bool {
    let again = |leaf| tree.members().filter(|(_, other)| *other == leaf).count() > 1;
    off("V-12.4.3.1-19") && tree.members().any(|(_, leaf)| again(leaf))
}

/// V-7.1-01: unmerged leaves are in ascending order, none twice.
fn check_unmerged_order(parent: &ParentNode) -> Result<(), Violation> {
    let ascending = parent.unmerged_leaves.is_sorted_by(|a, b| a < b);
    ensure(ascending, Violation::UnmergedLeavesOrder)
}

/// V-12.4.3.1-15: every unmerged leaf is a member below the node.
fn check_unmerged_places(
    tree: &RatchetTree,
    node: NodeIndex,
    parent: &ParentNode,
) -> Result<(), Violation> {
    let below = |leaf: &LeafIndex| {
        leaf.node().is_some_and(|leaf| node.contains(leaf)) && tree.leaf(*leaf).is_some()
    };
    ensure(parent.unmerged_leaves.iter().all(below), Violation::UnmergedLeafMisplaced)
}

/// V-12.4.3.1-16: every parent between an unmerged leaf and the node lists the leaf too.
///
/// The leaf is in the resolution of the node's child if and only if the next parent on the way
/// down, if there is one, lists it; what that parent lists is checked in its own turn.
fn check_unmerged_between(
    tree: &RatchetTree,
    node: NodeIndex,
    parent: &ParentNode,
) -> Result<(), Violation> {
    if parent.unmerged_leaves.is_empty() {
        return Ok(());
    }
    let children = [node.left(), node.right()].into_iter().flatten();
    let mut reached: Vec<NodeIndex> = children.flat_map(|child| tree.resolution(child)).collect();
    reached.sort_unstable();
    let listed =
        |leaf: &LeafIndex| leaf.node().is_some_and(|leaf| reached.binary_search(&leaf).is_ok());
    ensure(parent.unmerged_leaves.iter().all(listed), Violation::UnmergedLeafSkipped)
}

/// V-7.9-01: the root has nothing above it to hash.
fn check_root_parent_hash(
    tree: &RatchetTree,
    node: NodeIndex,
    parent: &ParentNode,
) -> Result<(), Violation> {
    let holds = node != tree.width().root() || parent.parent_hash.is_empty();
    ensure_row("V-7.9-01", holds, Violation::ParentHash)
}

/// V-7.9-03, V-7.9-02 and V-7.9-06: exactly one node below a parent has the parent's hash as its
/// `parent_hash`. As this holds for every parent, each ends exactly one chain, which begins at a
/// leaf that a Commit set. V-12.4.3.1-13 says the same of the tree that a joiner gets.
fn check_parent_hash<'a>(
    tree: &'a RatchetTree,
    node: NodeIndex,
    parent: &'a ParentNode,
    hashes: &mut OriginalHashes<'a>,
) -> Result<(), TreeError> {
    let (Some(left), Some(right)) = (node.left(), node.right()) else {
        return Err(TreeError::NoSuchNode(node));
    };
    let (mut chains, mut unset) = (0, false);
    for (child, sibling) in [(left, right), (right, left)] {
        let Some(below) = set_together(tree, parent, child) else { continue };
        match parent_hash_field(tree, below) {
            Some(field) if hashes.parent_hash(parent, sibling)?.as_bytes() == field => chains += 1,
            Some(_) => {}
            // A leaf that no Commit set.
            None => unset = true,
        }
    }
    let holds = chains == 1 || off("V-7.9-03") || unset && off("V-7.9-06");
    Ok(ensure_row("V-12.4.3.1-13", holds, Violation::ParentHash)?)
}

/// V-7.9-04: the node in the resolution of a child that is not among the parent's unmerged leaves,
/// if there is exactly one and all of the parent's unmerged leaves below the child are in that
/// resolution.
fn set_together(tree: &RatchetTree, parent: &ParentNode, child: NodeIndex) -> Option<NodeIndex> {
    let unmerged = &parent.unmerged_leaves;
    let (mut other, mut found) = (None, 0);
    for node in tree.resolution(child) {
        match node.leaf() {
            Some(leaf) if unmerged.binary_search(&leaf).is_ok() => found += 1,
            _ if other.is_some() && off("V-7.9-04") => {}
            _ if other.is_some() => return None,
            _ => other = Some(node),
        }
    }
    let below = |leaf: &&LeafIndex| leaf.node().is_some_and(|leaf| child.contains(leaf));
    match unmerged.iter().filter(below).count() == found {
        true => other,
        false => None,
    }
}
