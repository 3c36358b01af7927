use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::{
    CryptoError, HpkeCiphertext, HpkeKeyPair, HpkePrivateKey, HpkePublicKey, Rng, Secret, Suite,
};
use crate::error::Error;
use crate::identity::Signer;
use crate::message::{UpdatePath, UpdatePathNode};
use crate::mutation::{any_off, off};
use crate::rules::leaf::{ensure_key_signs_nothing, tolerate};
use crate::rules::{Violation, ensure};
use crate::tree::{
    LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, NodeIndex, PathNode,
    RatchetTree,
};

/// A path that this member made, before its secrets are encrypted (section 7.4).
pub(crate) struct NewPath {
    pub(crate) leaf_node: LeafNode,
    /// From the leaf to the root.
    pub(crate) nodes: Vec<NewPathNode>,
    pub(crate) commit_secret: Secret,
    leaf_key: HpkePrivateKey,
}

/// One node of a [`NewPath`].
pub(crate) struct NewPathNode {
    pub(crate) place: PathNode,
    keys: HpkeKeyPair,
    pub(crate) path_secret: Secret,
}

/// What a path gives to a member that reads it.
pub(crate) struct ReadPath {
    pub(crate) private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
    pub(crate) commit_secret: Secret,
}

impl NewPath {
    /// Makes new keys for a leaf and the nodes above it, and puts them into the tree (sections 7.4
    /// and 7.5): V-7.4-01, V-7.4-03 and, where there is nobody to tell of them, V-7.5-08. The leaf,
    /// which is in the tree, becomes this content, but for its keys and source; `signer` has its
    /// signature key.
    pub(crate) fn build(
        suite: &Suite,
        tree: &mut RatchetTree,
        position: LeafPosition<'_>,
        content: LeafNodeContent,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let leaf_index = position.leaf_index;
        let leaf_keys = suite.generate_key_pair(rng)?;
        let mut path_secret = match off("V-7.4-01") {
            true => Secret::zero(suite.secret_length()),
            false => Secret::random(rng, suite.secret_length())?,
        };
        let mut nodes = Vec::new();
        for place in tree.filtered_direct_path(leaf_index) {
            let keys = node_keys(suite, &path_secret)?;
            let next = suite.derive_secret(&path_secret, "path")?;
            nodes.push(NewPathNode { place, keys, path_secret });
            path_secret = next;
        }
        tolerate("V-7.5-08", || nodes.is_empty(), Violation::PathLength)?;
        let keys: Vec<HpkePublicKey> = nodes.iter().map(|node| node.keys.public.clone()).collect();
        let parent_hash = tree.set_path(suite, leaf_index, &keys)?;
        let encryption_key = match off("V-7.4-03") {
            true => content.encryption_key.clone(),
            false => leaf_keys.public,
        };
        let content = LeafNodeContent {
            encryption_key,
            signature_key: signer.public_key().clone(),
            source: LeafNodeSource::Commit(parent_hash),
            ..content
        };
        let leaf_node = LeafNode::sign(content, position, signer)?;
        tree.set_leaf(leaf_index, leaf_node.clone())?;
        Ok(Self { leaf_node, nodes, commit_secret: path_secret, leaf_key: leaf_keys.private })
    }

    /// Encrypts each path secret to the other side of its node, new members left out (section
    /// 7.5). `context` is the encoded provisional GroupContext.
    pub(crate) fn encrypt(
        &self,
        suite: &Suite,
        tree: &RatchetTree,
        added: &BTreeSet<NodeIndex>,
        context: &[u8],
        rng: &mut dyn Rng,
    ) -> Result<UpdatePath, Error> {
        let mut nodes = Vec::new();
        for node in &self.nodes {
            let mut encrypted_path_secret = Vec::new();
            for recipient in recipients(tree, node.place.copath, added) {
                let key = tree.encryption_key(recipient).ok_or(Error::Internal)?;
                let seed = suite.encapsulation_seed(rng)?;
                let secret = node.path_secret.as_bytes();
                encrypted_path_secret
                    .push(suite.encrypt_with_label(key, LABEL, context, secret, &seed)?);
            }
            let encryption_key = node.keys.public.clone();
            nodes.push(UpdatePathNode { encryption_key, encrypted_path_secret });
        }
        Ok(UpdatePath { leaf_node: self.leaf_node.clone(), nodes })
    }

    /// The private keys that the committer now has.
    pub(crate) fn private_keys(&self, leaf: NodeIndex) -> BTreeMap<NodeIndex, HpkePrivateKey> {
        let nodes = self.nodes.iter().map(|node| (node.place.node, node.keys.private.clone()));
        nodes.chain([(leaf, self.leaf_key.clone())]).collect()
    }

    /// The path secret of the lowest node above both the committer and this leaf.
    pub(crate) fn secret_for(&self, leaf: NodeIndex) -> Option<&Secret> {
        let node = self.nodes.iter().find(|node| node.place.node.contains(leaf))?;
        Some(&node.path_secret)
    }
}

/// What can be said of a path by everybody, before any secret is decrypted (section 12.4.2): its
/// shape, its keys and its parent hashes. Puts it into the tree.
pub(crate) fn merge_path(
    suite: &Suite,
    tree: &mut RatchetTree,
    sender: LeafIndex,
    path: &UpdatePath,
    added: &BTreeSet<NodeIndex>,
) -> Result<(), Error> {
    ensure_keys_are_new(suite, tree, tree.leaf(sender), path)?;
    place_path(suite, tree, sender, path, added)
}

/// As [`merge_path`], for a leaf that is in the tree already and keys that were looked at.
pub(crate) fn place_path(
    suite: &Suite,
    tree: &mut RatchetTree,
    sender: LeafIndex,
    path: &UpdatePath,
    added: &BTreeSet<NodeIndex>,
) -> Result<(), Error> {
    let places = tree.filtered_direct_path(sender);
    ensure_path_length(&places, path)?;
    ensure_ciphertexts(tree, &places, path, added)?;
    let keys: Vec<HpkePublicKey> =
        path.nodes.iter().map(|node| node.encryption_key.clone()).collect();
    let parent_hash = tree.set_path(suite, sender, &keys)?;
    ensure_parent_hash(&path.leaf_node, parent_hash)?;
    tree.set_leaf(sender, path.leaf_node.clone())?;
    Ok(())
}

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
        let new = !tree.has_encryption_key(key) && seen.insert(key);
        ensure(new, Violation::PathKeyReused)?;
        ensure_key_signs_nothing(tree, key)?;
        ensure(suite.check_public_key(key).is_ok(), Violation::InvalidHpkeKey)?;
    }
    Ok(())
}

/// V-7.6-01: a node for each of the filtered direct path.
fn ensure_path_length(places: &[PathNode], path: &UpdatePath) -> Result<(), Violation> {
    ensure(places.len() == path.nodes.len(), Violation::PathLength)
}

/// V-7.6-02: a ciphertext for each recipient, of every node and not only of the one that is
/// addressed to this member.
fn ensure_ciphertexts(
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

/// V-7.5-05, V-7.9-05 and V-12.4.2-11: the leaf has the parent hash that the path gives.
fn ensure_parent_hash(leaf: &LeafNode, parent_hash: Vec<u8>) -> Result<(), Violation> {
    let given = leaf.source == LeafNodeSource::Commit(parent_hash);
    let skipped = any_off(&["V-7.9-05", "V-12.4.2-11"]);
    ensure(given || skipped, Violation::PathParentHash)
}

/// Decrypts the one path secret that is for this member and derives those above it (section 7.5).
/// `tree` has the path in it; `known` are the private keys that the proposals left this member.
pub(crate) fn read_path(
    suite: &Suite,
    tree: &RatchetTree,
    path: &UpdatePath,
    reader: PathReader<'_>,
    context: &[u8],
) -> Result<ReadPath, Error> {
    let (places, path_secret) = open_path(suite, tree, path, reader, context)?;
    derive_path(suite, tree, &places, path_secret, Violation::PathPublicKey)
}

/// Decrypts the one path secret that is for this member: with it, the node that it is of and those
/// above.
pub(crate) fn open_path(
    suite: &Suite,
    tree: &RatchetTree,
    path: &UpdatePath,
    reader: PathReader<'_>,
    context: &[u8],
) -> Result<(Vec<PathNode>, Secret), Error> {
    let mut places = tree.filtered_direct_path(reader.sender);
    let own = reader.own_leaf.node().ok_or(Error::Internal)?;
    let index =
        places.iter().position(|place| place.node.contains(own)).ok_or(Violation::PathLength)?;
    let place = places.get(index).ok_or(Error::Internal)?;
    let node = path.nodes.get(index).ok_or(Violation::PathLength)?;
    let path_secret = decrypt(suite, tree, place, node, &reader, context)?;
    ensure(path_secret.len() == suite.secret_length(), Violation::PathDecryption)?;
    Ok((places.split_off(index), path_secret))
}

/// Who reads a path, and with what.
pub(crate) struct PathReader<'a> {
    pub(crate) sender: LeafIndex,
    pub(crate) own_leaf: LeafIndex,
    pub(crate) known: &'a BTreeMap<NodeIndex, HpkePrivateKey>,
    pub(crate) added: &'a BTreeSet<NodeIndex>,
}

/// V-7.6-04: the ciphertext for this member is the one in the place that the first node of the
/// resolution has of which it knows the private key.
fn decrypt(
    suite: &Suite,
    tree: &RatchetTree,
    place: &PathNode,
    node: &UpdatePathNode,
    reader: &PathReader<'_>,
    context: &[u8],
) -> Result<Secret, Error> {
    let ciphertexts = node.encrypted_path_secret.iter().skip(usize::from(off("V-7.6-04")));
    let addressed = recipients(tree, place.copath, reader.added).zip(ciphertexts).find_map(
        |(recipient, ciphertext)| Some((recipient, reader.known.get(&recipient)?, ciphertext)),
    );
    let (recipient, private, ciphertext): (_, _, &HpkeCiphertext) =
        addressed.ok_or(Violation::PathDecryption)?;
    let public = tree.encryption_key(recipient).ok_or(Error::Internal)?.clone();
    let keys = HpkeKeyPair { private: private.clone(), public };
    suite.decrypt_with_label(&keys, LABEL, context, ciphertext).map_err(|error| match error {
        CryptoError::DecryptionFailed | CryptoError::InvalidKemOutput => {
            Violation::PathDecryption.into()
        }
        other => Error::Crypto(other),
    })
}

/// Derives keys from a path secret for the node that it is of and those above, and compares them
/// with the tree (V-7.5-06, V-12.4.2-12 and V-12.4.3.1-20).
pub(crate) fn derive_path(
    suite: &Suite,
    tree: &RatchetTree,
    places: &[PathNode],
    mut path_secret: Secret,
    violation: Violation,
) -> Result<ReadPath, Error> {
    let mut private_keys = BTreeMap::new();
    for place in places {
        let keys = node_keys(suite, &path_secret)?;
        let fits = tree.encryption_key(place.node) == Some(&keys.public);
        ensure(fits || off("V-12.4.2-12"), violation)?;
        private_keys.insert(place.node, keys.private);
        path_secret = suite.derive_secret(&path_secret, "path")?;
    }
    Ok(ReadPath { private_keys, commit_secret: path_secret })
}

/// The key pair of a node (section 7.4).
pub(crate) fn node_keys(suite: &Suite, path_secret: &Secret) -> Result<HpkeKeyPair, CryptoError> {
    suite.derive_key_pair(&suite.derive_secret(path_secret, "node")?)
}

/// The nodes that a path secret is encrypted to: the resolution of the copath child, without the
/// members that the same Commit adds (V-7.5-02).
fn recipients(
    tree: &RatchetTree,
    copath: NodeIndex,
    added: &BTreeSet<NodeIndex>,
) -> impl Iterator<Item = NodeIndex> {
    let resolution = tree.resolution(copath).into_iter();
    resolution.filter(|node| !added.contains(node) || off("V-7.5-02"))
}

const LABEL: &str = "UpdatePathNode";
