//! Update paths (RFC 9420 sections 7.5, 7.6 and 12.4.2).

use std::collections::{BTreeMap, BTreeSet};

use super::leaf::ensure_key_signs_nothing;
use super::{Violation, ensure, ensure_rows};
use crate::crypto::{CryptoError, HpkeCiphertext, HpkePrivateKey, HpkePublicKey, Secret, Suite};
use crate::message::{UpdatePath, UpdatePathNode};
use crate::mutation::off;
use crate::tree::{LeafNode, LeafNodeSource, NodeIndex, PathNode, RatchetTree};

/// V-12.4.2-09, V-12.4.2-10 and V-16.0-04: no key of the path is in the tree, or in the path twice;
/// the leaf's is not that of the leaf `old`, which it replaces.
pub(crate) fn ensure_keys_are_new(
    suite: &Suite,
    tree: &RatchetTree,
    old: Option<&LeafNode>,
    path: &UpdatePath,
) -> Result<(), Violation> {
    let leaf_key = &path.leaf_node.encryption_key;
    let kept = old.is_some_and(|leaf| leaf.encryption_key == *leaf_key);
    ensure(!kept, Violation::PathKeepsEncryptionKey)?;
    let mut seen = BTreeSet::new();
    let keys = path.nodes.iter().map(|node| &node.encryption_key);
    for key in keys.chain([leaf_key]) {
        // Where the rule above is switched off, this one is not to stand in for it.
        let spared = kept && key == leaf_key && off("V-12.4.2-09");
        let new = spared || !tree.has_encryption_key(key) && seen.insert(key);
        ensure(new, Violation::PathKeyReused)?;
        ensure_key_signs_nothing(tree, key)?;
        ensure(suite.check_public_key(key).is_ok(), Violation::InvalidHpkeKey)?;
    }
    Ok(())
}

/// V-7.6-01: a node for each of the filtered direct path.
pub(crate) fn ensure_path_length(places: &[PathNode], path: &UpdatePath) -> Result<(), Violation> {
    ensure(places.len() == path.nodes.len(), Violation::PathLength)
}

/// V-7.6-02: a ciphertext for each recipient, of every node and not only of the one that is
/// addressed to this member.
pub(crate) fn ensure_ciphertexts(
    tree: &RatchetTree,
    places: &[PathNode],
    path: &UpdatePath,
    added: &BTreeSet<NodeIndex>,
) -> Result<(), Violation> {
    let complete = places.iter().zip(&path.nodes).all(|(place, node)| {
        node.encrypted_path_secret.len() == recipients(tree, place.copath, added).count()
    });
    ensure(complete, Violation::PathCiphertexts)
}

/// The nodes that a path secret is encrypted to: the resolution of the copath child, without the
/// members that the same Commit adds (V-7.5-02).
pub(crate) fn recipients(
    tree: &RatchetTree,
    copath: NodeIndex,
    added: &BTreeSet<NodeIndex>,
) -> impl Iterator<Item = NodeIndex> {
    let resolution = tree.resolution(copath).into_iter();
    resolution.filter(|node| !added.contains(node) || off("V-7.5-02"))
}

/// V-7.5-05: the leaf has the parent hash that the path gives. V-7.9-05 and V-12.4.2-11 say the same
/// where they speak of parent hashes and of Commits.
pub(crate) fn ensure_parent_hash(leaf: &LeafNode, parent_hash: Vec<u8>) -> Result<(), Violation> {
    let given = leaf.source == LeafNodeSource::Commit(parent_hash);
    ensure_rows(["V-7.9-05", "V-12.4.2-11"], given, Violation::PathParentHash)
}

/// What a path node has for a member.
pub(crate) struct Addressed<'a> {
    pub(crate) recipient: NodeIndex,
    pub(crate) private_key: &'a HpkePrivateKey,
    pub(crate) ciphertext: &'a HpkeCiphertext,
}

/// V-7.6-04: the ciphertext for a member is the one in the place that the first node of the
/// resolution has of which it knows the private key.
pub(crate) fn find_addressed<'a>(
    tree: &RatchetTree,
    place: &PathNode,
    node: &'a UpdatePathNode,
    added: &BTreeSet<NodeIndex>,
    known: &'a BTreeMap<NodeIndex, HpkePrivateKey>,
) -> Result<Addressed<'a>, Violation> {
    let ciphertexts = node.encrypted_path_secret.iter().skip(usize::from(off("V-7.6-04")));
    let mut addressed = recipients(tree, place.copath, added).zip(ciphertexts);
    let found = addressed.find_map(|(recipient, ciphertext)| {
        Some(Addressed { recipient, private_key: known.get(&recipient)?, ciphertext })
    });
    found.ok_or(Violation::PathDecryption)
}

/// V-7.6-04: the path secret that is for this member can be decrypted.
pub(crate) fn path_undecryptable<E: From<Violation> + From<CryptoError>>(error: CryptoError) -> E {
    match error {
        CryptoError::DecryptionFailed | CryptoError::InvalidKemOutput => {
            Violation::PathDecryption.into()
        }
        other => other.into(),
    }
}

/// V-7.6-04: what is decrypted is a secret of the suite.
pub(crate) fn ensure_path_secret_length(secret: &Secret, suite: &Suite) -> Result<(), Violation> {
    ensure(secret.len() == suite.secret_length(), Violation::PathDecryption)
}

/// V-7.5-06 for a path, V-12.4.3.1-20 for the path secret of a Welcome, as `violation` says: the key
/// that follows from the secret is the node's.
pub(crate) fn ensure_public_key(
    tree: &RatchetTree,
    node: NodeIndex,
    derived: &HpkePublicKey,
    violation: Violation,
) -> Result<(), Violation> {
    ensure(tree.encryption_key(node) == Some(derived), violation)
}
