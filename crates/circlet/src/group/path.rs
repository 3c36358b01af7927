use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::{CryptoError, HpkeKeyPair, HpkePrivateKey, HpkePublicKey, Rng, Secret, Suite};
use crate::error::Error;
use crate::identity::Signer;
use crate::message::{UpdatePath, UpdatePathNode};
use crate::mutation::off;
use crate::rules::path::{
    ensure_ciphertexts, ensure_keys_are_new, ensure_parent_hash, ensure_path_length,
    ensure_path_secret_length, ensure_public_key, find_addressed, path_undecryptable, recipients,
};
use crate::rules::{Violation, tolerate};
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

    /// The path secret of the lowest node above both the committer and this leaf. V-12.4.1-08: there
    /// is one, since the new leaf keeps this node in the filtered direct path.
    pub(crate) fn secret_for(&self, leaf: NodeIndex) -> Option<&Secret> {
        let mut above = self.nodes.iter().filter(|node| node.place.node.contains(leaf));
        let node = above.nth(usize::from(off("V-12.4.1-08")))?;
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
    ensure_path_secret_length(&path_secret, suite)?;
    Ok((places.split_off(index), path_secret))
}

/// Who reads a path, and with what.
#[derive(Clone, Copy)]
pub(crate) struct PathReader<'a> {
    pub(crate) sender: LeafIndex,
    pub(crate) own_leaf: LeafIndex,
    pub(crate) known: &'a BTreeMap<NodeIndex, HpkePrivateKey>,
    pub(crate) added: &'a BTreeSet<NodeIndex>,
}

fn decrypt(
    suite: &Suite,
    tree: &RatchetTree,
    place: &PathNode,
    node: &UpdatePathNode,
    reader: &PathReader<'_>,
    context: &[u8],
) -> Result<Secret, Error> {
    let addressed = find_addressed(tree, place, node, reader.added, reader.known)?;
    let public = tree.encryption_key(addressed.recipient).ok_or(Error::Internal)?.clone();
    let keys = HpkeKeyPair { private: addressed.private_key.clone(), public };
    suite
        .decrypt_with_label(&keys, LABEL, context, addressed.ciphertext)
        .map_err(path_undecryptable)
}

/// Derives keys from a path secret for the node that it is of and those above, and compares them
/// with the tree.
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
        ensure_public_key(tree, place.node, &keys.public, violation)?;
        private_keys.insert(place.node, keys.private);
        path_secret = suite.derive_secret(&path_secret, "path")?;
    }
    Ok(ReadPath { private_keys, commit_secret: path_secret })
}

/// The key pair of a node (section 7.4).
pub(crate) fn node_keys(suite: &Suite, path_secret: &Secret) -> Result<HpkeKeyPair, CryptoError> {
    suite.derive_key_pair(&suite.derive_secret(path_secret, "node")?)
}

const LABEL: &str = "UpdatePathNode";
