//! Joining: Welcomes and GroupInfos (RFC 9420 sections 12.4.3 to 12.4.3.2).

use std::collections::BTreeMap;

use super::{Violation, blame, ensure, ensure_row};
use crate::codec::{Decode, DecodeContext};
use crate::crypto::{CipherSuite, CryptoError, HpkePrivateKey, HpkePublicKey, Secret, Suite};
use crate::message::{EncryptedGroupSecrets, GroupContext, GroupInfo, KeyPackage, Welcome};
use crate::mutation::off;
use crate::schedule::{JoinerSecret, PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{
    ExtensionType, Extensions, LeafIndex, LeafNode, NodeIndex, PathNode, RatchetTree,
};

/// V-12.4.3.1-02: whether the Welcome is for key packages of this suite, and this one is of it.
pub(crate) fn is_of_the_suite(welcome: &Welcome, key_package: &KeyPackage, suite: &Suite) -> bool {
    let same = welcome.cipher_suite == suite.id() && key_package.cipher_suite == suite.id();
    same || off("V-12.4.3.1-02")
}

/// V-12.4.3.1-02: what the Welcome has for this key package, if there is something; V-12.4.3.1-03:
/// if there is more than one entry, the first one counts.
pub(crate) fn find_entry<'a>(
    welcome: &'a Welcome,
    key_package: &KeyPackage,
    suite: &Suite,
) -> Result<Option<&'a EncryptedGroupSecrets>, CryptoError> {
    let reference = key_package.reference(suite)?;
    let mut entries = welcome.secrets.iter().filter(|entry| entry.new_member == reference);
    Ok(if off("V-12.4.3.1-03") { entries.next_back() } else { entries.next() })
}

/// V-12.4.3.1-04: the group secrets can be decrypted.
pub(crate) fn secrets_undecryptable<E: From<Violation> + From<CryptoError>>(
    error: CryptoError,
) -> E {
    match error {
        CryptoError::InvalidKemOutput => Violation::WelcomeDecryption.into(),
        other => group_info_undecryptable(other),
    }
}

/// V-12.4.3.1-07: so can the GroupInfo.
pub(crate) fn group_info_undecryptable<E: From<Violation> + From<CryptoError>>(
    error: CryptoError,
) -> E {
    blame(error, CryptoError::DecryptionFailed, Violation::WelcomeDecryption)
}

/// V-12.4.3.1-08, of the joiner secret.
pub(crate) fn joiner_secret(suite: &Suite, secret: &Secret) -> Result<JoinerSecret, Violation> {
    JoinerSecret::new(suite, secret.clone()).map_err(|_| Violation::WelcomeSecretLength)
}

/// V-12.4.3.1-08, of the path secret.
pub(crate) fn ensure_path_secret_length(secret: &Secret, suite: &Suite) -> Result<(), Violation> {
    ensure(secret.len() == suite.secret_length(), Violation::WelcomeSecretLength)
}

/// V-12.4.3.1-06: one group can continue one other.
pub(crate) fn ensure_one_continues(ids: &[PreSharedKeyId]) -> Result<(), Violation> {
    let count = ids.iter().filter(|id| continues(id)).count();
    ensure(count <= 1, Violation::WelcomePskUsage)
}

/// Whether a PSK says that the group continues another.
pub(crate) fn continues(id: &PreSharedKeyId) -> bool {
    match id.psk {
        Psk::External { .. } => false,
        Psk::Resumption { usage, .. } => usage != ResumptionPskUsage::Application,
    }
}

/// V-12.4.3.1-11: the group is of the key package's cipher suite. That it is of version 1 is seen
/// where it is read.
pub(crate) fn ensure_welcome_suite(group_info: &GroupInfo, suite: &Suite) -> Result<(), Violation> {
    let same = group_info.group_context.cipher_suite == suite.id();
    ensure(same, Violation::WelcomeCipherSuite)
}

/// V-8.1-05: a group that is joined from outside is of the suite that the client expects. That it is
/// of version 1 is seen where it is read.
pub(crate) fn ensure_expected_suite(
    context: &GroupContext,
    expected: CipherSuite,
) -> Result<(), Violation> {
    ensure(context.cipher_suite == expected, Violation::GroupContextVersion)
}

/// How a GroupInfo came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupInfoOf {
    /// In a Welcome.
    Welcome,
    /// For an external Commit.
    ExternalJoin,
}

/// V-12.4.3-04: the GroupInfo is signed by the member that it names, and V-12.4.3.1-09: so it is in
/// a Welcome.
pub(crate) fn ensure_group_info_signature(
    group_info: &GroupInfo,
    of: GroupInfoOf,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    let signer = tree.leaf(group_info.signer).ok_or(Violation::GroupInfoSigner)?;
    let valid = group_info.verify_signature(suite, &signer.signature_key).is_ok();
    let spared = of == GroupInfoOf::Welcome && off("V-12.4.3.1-09");
    ensure(valid || spared, Violation::GroupInfoSignature)
}

/// V-12.4.3.1-01: the tree comes with the GroupInfo or another way; V-12.4.3.1-27: if it comes
/// both ways, the one that is signed counts.
pub(crate) fn find_tree<'a>(
    group_info: &'a GroupInfo,
    outside: Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    let inside = group_info.extensions.find(ExtensionType::RATCHET_TREE);
    if off("V-12.4.3.1-27") { outside.or(inside) } else { inside.or(outside) }
}

/// V-12.4.3.1-12: the tree is the one that the GroupContext has the hash of; V-12.4.3.3-05: also
/// where it did not come with the GroupInfo.
pub(crate) fn ensure_tree_hash(hash: &[u8], group_info: &GroupInfo) -> Result<(), Violation> {
    let same = hash == group_info.group_context.tree_hash;
    let elsewhere = group_info.extensions.find(ExtensionType::RATCHET_TREE).is_none();
    ensure(same || elsewhere && off("V-12.4.3.3-05"), Violation::TreeHash)
}

/// V-12.4.3.1-18: the leaf of the key package, every bit of it, is in the tree.
pub(crate) fn find_own_leaf(tree: &RatchetTree, own: &LeafNode) -> Result<LeafIndex, Violation> {
    let place = tree.signature_key_owner(&own.signature_key).ok_or(Violation::OwnLeafMissing)?;
    let same = tree.leaf(place).is_some_and(|leaf| leaf == own);
    ensure(same, Violation::OwnLeafMissing)?;
    Ok(place)
}

/// V-12.4.3-05: nobody welcomes itself.
pub(crate) fn ensure_welcomed_by_another(
    signer: LeafIndex,
    own_leaf: LeafIndex,
) -> Result<(), Violation> {
    ensure(signer != own_leaf, Violation::GroupInfoSigner)
}

/// V-12.4.3.1-20: the path secret is of the lowest node above both; V-12.4.3.1-21: from there on
/// up it is the signer's filtered direct path that has secrets.
pub(crate) fn shared_path(
    tree: &RatchetTree,
    signer: LeafIndex,
    own_leaf: LeafIndex,
) -> Result<Vec<PathNode>, Violation> {
    let ancestor = tree.width().common_ancestor(own_leaf, signer);
    let above = |node: NodeIndex| own_leaf.node().is_some_and(|own| node.contains(own));
    let mut places = tree.filtered_direct_path(signer);
    if off("V-12.4.3.1-21") {
        let all = signer.node().into_iter().flat_map(|leaf| tree.width().direct_path(leaf));
        places = all.map(|node| PathNode { node, copath: node }).collect();
    }
    places.retain(|place| above(place.node));
    let fits = places.first().map(|place| place.node) == ancestor;
    ensure_row("V-12.4.3.1-20", fits, Violation::WelcomePathSecret)?;
    Ok(places)
}

/// V-12.4.3.1-22: without a path secret only the own leaf's key is known, which is enough where
/// the leaf is unmerged all the way up. The tree invariant (section 4.2) from the joiner's side: it
/// knows the key of every node above it that does not list it as unmerged. A Welcome that keeps a
/// path secret back would leave the joiner unable to read a later Commit that is addressed to such
/// a node.
pub(crate) fn ensure_ancestors_known(
    tree: &RatchetTree,
    own_leaf: LeafIndex,
    own: NodeIndex,
    known: &BTreeMap<NodeIndex, HpkePrivateKey>,
) -> Result<(), Violation> {
    let complete = tree.width().direct_path(own).all(|node| match tree.parent(node) {
        Some(parent) => {
            known.contains_key(&node) || parent.unmerged_leaves.binary_search(&own_leaf).is_ok()
        }
        None => true,
    });
    ensure_row("V-12.4.3.1-22", complete, Violation::WelcomePathSecret)
}

/// V-12.4.3.2-01 and V-5.1.1-01: the key that external Commits are encrypted to.
pub(crate) fn find_external_pub(
    extensions: &Extensions,
    suite: &Suite,
    context: &DecodeContext,
) -> Result<HpkePublicKey, Violation> {
    let data = extensions.find(ExtensionType::EXTERNAL_PUB).ok_or(Violation::ExternalPub)?;
    let key = HpkePublicKey::from_bytes(data, context).map_err(|_| Violation::ExternalPub)?;
    ensure(suite.check_public_key(&key).is_ok(), Violation::ExternalPub)?;
    Ok(key)
}
