//! Update paths without a group (RFC 9420 sections 7.4 to 7.6): their secrets come out, and
//! whoever calls this keeps them.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::{CryptoError, HpkeKeyPair, HpkePrivateKey, Rng, Secret, Suite};
use crate::error::Error;
use crate::group::path::{self, PathReader, derive_path, merge_path, open_path};
use crate::identity::Signer;
use crate::message::UpdatePath;
use crate::rules::Violation;
use crate::tree::{LeafIndex, LeafNodeContent, LeafPosition, NodeIndex, RatchetTree};

/// A path that was made for a leaf, before its secrets are encrypted.
pub struct NewPath(path::NewPath);

/// A member that reads a path.
#[derive(Clone, Copy, Debug)]
pub struct PathMember<'a> {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// The private keys that it has: of its leaf, and of nodes above.
    pub private_keys: &'a BTreeMap<NodeIndex, HpkePrivateKey>,
}

/// What a member reads from a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSecrets {
    /// The secret of the lowest node above both the sender and the reader.
    pub path_secret: Secret,
    /// The secret behind the root's.
    pub commit_secret: Secret,
}

/// The key pair of a node from its path secret (section 7.4).
///
/// # Errors
/// The provider failed.
pub fn node_key_pair(suite: &Suite, path_secret: &Secret) -> Result<HpkeKeyPair, CryptoError> {
    path::node_keys(suite, path_secret)
}

/// Checks a path from the member at `sender` as far as everybody can, its leaf's signature left
/// out, and puts it into the tree (section 7.5).
///
/// # Errors
/// [`Error::Violation`], also if its parent hashes are wrong; the tree is not to be used then.
pub fn merge(
    suite: &Suite,
    tree: &mut RatchetTree,
    sender: LeafIndex,
    path: &UpdatePath,
) -> Result<(), Error> {
    merge_path(suite, tree, sender, path, &BTreeSet::new())
}

/// Reads a path that [`merge`] has put into the tree. `context` is the encoded GroupContext that
/// it was encrypted under (section 7.6).
///
/// # Errors
/// [`Error::Violation`] if the path can't be decrypted or its keys are not those of its secrets.
pub fn read(
    suite: &Suite,
    tree: &RatchetTree,
    (sender, path): (LeafIndex, &UpdatePath),
    member: PathMember<'_>,
    context: &[u8],
) -> Result<PathSecrets, Error> {
    let PathMember { leaf: own_leaf, private_keys: known } = member;
    let reader = PathReader { sender, own_leaf, known, added: &BTreeSet::new() };
    let (places, path_secret) = open_path(suite, tree, path, reader, context)?;
    let violation = Violation::PathPublicKey;
    let read = derive_path(suite, tree, &places, path_secret.clone(), violation)?;
    Ok(PathSecrets { path_secret, commit_secret: read.commit_secret })
}

impl NewPath {
    /// Makes new keys for a member's leaf and the nodes above it, and puts them into the tree
    /// (sections 7.4 and 7.5).
    ///
    /// # Errors
    /// The leaf is blank, or the generator or the signer failed.
    pub fn build(
        suite: &Suite,
        tree: &mut RatchetTree,
        position: LeafPosition<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let leaf = tree.leaf(position.leaf_index).ok_or(Error::Internal)?;
        let content = LeafNodeContent::clone(leaf);
        path::NewPath::build(suite, tree, position, content, signer, rng).map(Self)
    }

    /// Encrypts the path secrets under an encoded GroupContext (section 7.6).
    ///
    /// # Errors
    /// The generator failed.
    pub fn encrypt(
        &self,
        suite: &Suite,
        tree: &RatchetTree,
        context: &[u8],
        rng: &mut dyn Rng,
    ) -> Result<UpdatePath, Error> {
        self.0.encrypt(suite, tree, &BTreeSet::new(), context, rng)
    }

    /// The path secrets with their nodes, from the leaf to the root.
    pub fn path_secrets(&self) -> impl Iterator<Item = (NodeIndex, &Secret)> {
        self.0.nodes.iter().map(|node| (node.place.node, &node.path_secret))
    }

    /// The secret behind the root's.
    #[must_use]
    pub fn commit_secret(&self) -> &Secret {
        &self.0.commit_secret
    }

    /// The private keys that the sender now has: of the nodes, and of its leaf, whose number
    /// `leaf` is.
    #[must_use]
    pub fn private_keys(&self, leaf: NodeIndex) -> BTreeMap<NodeIndex, HpkePrivateKey> {
        self.0.private_keys(leaf)
    }
}
