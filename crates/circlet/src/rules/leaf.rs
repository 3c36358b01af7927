//! Leaves and KeyPackages (RFC 9420 sections 7.3 and 10.1).

use super::tree::{check_encryption_keys, check_signature_keys};
use super::{Violation, ensure};
use crate::codec::{Decode, DecodeContext};
use crate::crypto::Suite;
use crate::message::KeyPackage;
use crate::tree::{
    CapabilitySet, Extension, ExtensionType, Extensions, LeafNode, LeafNodeSource, LeafPosition,
    MLS10, RatchetTree, RequiredCapabilities,
};

/// What a group demands of each leaf: its suite and its extensions after the Commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requirements<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) extensions: &'a Extensions,
    pub(crate) required: Option<&'a RequiredCapabilities>,
}

/// Everything about a leaf that can be said without the other leaves (section 7.3); its source
/// and lifetime are judged by where it occurs.
pub(crate) fn check_leaf(
    leaf: &LeafNode,
    position: LeafPosition<'_>,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    let suite = requirements.suite;
    let capabilities = CapabilitySet::new(&leaf.capabilities);
    ensure_keys_are_of_the_suite(leaf, suite)?;
    ensure_leaf_signature(leaf, suite, position)?;
    ensure_suite_is_in_capabilities(leaf, suite)?;
    ensure_credential_is_in_capabilities(leaf)?;
    ensure_extensions_are_in_capabilities(leaf, &capabilities)?;
    ensure_extension_places(&leaf.extensions, LEAF)?;
    ensure_required_capabilities(&capabilities, requirements.required)?;
    ensure_group_extensions_are_supported(&capabilities, requirements.extensions)
}

/// V-5.1.1-01 and V-5.1.1-02: public keys are encoded as the suite's algorithms demand.
fn ensure_keys_are_of_the_suite(leaf: &LeafNode, suite: &Suite) -> Result<(), Violation> {
    suite.check_public_key(&leaf.encryption_key).map_err(|_| Violation::InvalidHpkeKey)?;
    suite.check_signature_key(&leaf.signature_key).map_err(|_| Violation::InvalidSignatureKey)
}

/// V-7.3-02: the signature is valid, for the group and place where the source binds them.
fn ensure_leaf_signature(
    leaf: &LeafNode,
    suite: &Suite,
    position: LeafPosition<'_>,
) -> Result<(), Violation> {
    leaf.verify_signature(suite, position).map_err(|_| Violation::LeafSignature)
}

/// V-7.2-06: the member supports the group's version and cipher suite.
fn ensure_suite_is_in_capabilities(leaf: &LeafNode, suite: &Suite) -> Result<(), Violation> {
    let capabilities = &leaf.capabilities;
    let listed =
        capabilities.versions.contains(&MLS10) && capabilities.cipher_suites.contains(&suite.id());
    ensure(listed, Violation::CipherSuiteNotInCapabilities)
}

/// V-7.2-05: the credential's type is one that the member supports.
fn ensure_credential_is_in_capabilities(leaf: &LeafNode) -> Result<(), Violation> {
    let listed = leaf.capabilities.has_credential(leaf.credential.credential_type());
    ensure(listed, Violation::CredentialNotInCapabilities)
}

/// V-7.3-09: every extension of the leaf is one that the member supports.
fn ensure_extensions_are_in_capabilities(
    leaf: &LeafNode,
    capabilities: &CapabilitySet,
) -> Result<(), Violation> {
    let supported = |extension: &Extension| capabilities.has_extension(extension.extension_type);
    ensure(leaf.extensions.iter().all(supported), Violation::LeafExtensionNotInCapabilities)
}

/// V-7.3-03 and V-7.3-04: the member supports what the group requires; default types always.
fn ensure_required_capabilities(
    capabilities: &CapabilitySet,
    required: Option<&RequiredCapabilities>,
) -> Result<(), Violation> {
    let Some(required) = required else { return Ok(()) };
    let met = required.extension_types.iter().all(|kind| capabilities.has_extension(*kind))
        && required.proposal_types.iter().all(|kind| capabilities.has_proposal(*kind))
        && required.credential_types.iter().all(|kind| capabilities.has_credential(*kind));
    ensure(met, Violation::RequiredCapabilities)
}

/// V-13.0-07: the member supports every extension of the group.
fn ensure_group_extensions_are_supported(
    capabilities: &CapabilitySet,
    extensions: &Extensions,
) -> Result<(), Violation> {
    let supported = |extension: &Extension| capabilities.has_extension(extension.extension_type);
    ensure(extensions.iter().all(supported), Violation::GroupContextExtensionSupport)
}

/// V-10.1-01 to V-10.1-04: the KeyPackage by itself; its leaf is checked by [`check_leaf`].
pub(crate) fn check_key_package(
    key_package: &KeyPackage,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    let suite = requirements.suite;
    ensure(key_package.cipher_suite == suite.id(), Violation::KeyPackageSuite)?;
    let leaf = &key_package.leaf_node;
    ensure(key_package.init_key != leaf.encryption_key, Violation::KeyPackageInitKey)?;
    suite.check_public_key(&key_package.init_key).map_err(|_| Violation::InvalidHpkeKey)?;
    key_package.verify_signature(suite).map_err(|_| Violation::KeyPackageSignature)?;
    ensure_key_package_source(leaf)?;
    ensure_extension_places(&key_package.extensions, KEY_PACKAGE)?;
    // A KeyPackage's leaf is signed for no place, so that any will do.
    let nowhere = LeafPosition { group_id: &[], leaf_index: crate::tree::LeafIndex(0) };
    check_leaf(leaf, nowhere, requirements)
}

/// V-7.3-10: the leaf of a KeyPackage says that it is.
fn ensure_key_package_source(leaf: &LeafNode) -> Result<(), Violation> {
    let LeafNodeSource::KeyPackage(lifetime) = &leaf.source else {
        return Err(Violation::KeyPackageLeafSource);
    };
    ensure(lifetime.not_before <= lifetime.not_after, Violation::LifetimeInverted)
}

/// V-7.3-07 and V-7.3-08: the KeyPackage may be used at `now`, in seconds since the Unix epoch.
pub(crate) fn ensure_lifetime(leaf: &LeafNode, now: u64) -> Result<(), Violation> {
    match leaf.source {
        LeafNodeSource::KeyPackage(lifetime) if !lifetime.contains(now) => Err(Violation::Lifetime),
        _ => Ok(()),
    }
}

/// V-7.3-11: an Update's leaf says that it is one, and brings a new encryption key.
pub(crate) fn ensure_update_leaf(new: &LeafNode, old: &LeafNode) -> Result<(), Violation> {
    ensure(new.source == LeafNodeSource::Update, Violation::UpdateLeafSource)?;
    ensure(new.encryption_key != old.encryption_key, Violation::UpdateKeepsEncryptionKey)
}

/// V-7.3-12: a path's leaf says that it is one.
pub(crate) fn ensure_path_leaf_source(leaf: &LeafNode) -> Result<(), Violation> {
    ensure(matches!(leaf.source, LeafNodeSource::Commit(_)), Violation::PathLeafSource)
}

/// What the changed leaves mean for everyone, judged on the tree after the Commit (sections 7.3
/// and 12.2). Looks at the changed leaves and at counts, never at all leaves.
pub(crate) fn check_membership<'a>(
    tree: &RatchetTree,
    changed: impl IntoIterator<Item = &'a LeafNode>,
) -> Result<(), Violation> {
    check_signature_keys(tree)?;
    check_encryption_keys(tree)?;
    let types: Vec<_> = tree.credential_types().collect();
    for leaf in changed {
        ensure_credentials_are_supported(tree, leaf, &types)?;
    }
    Ok(())
}

/// V-7.3-05 and V-7.3-06: the leaf's credential type is supported by every member, and the leaf
/// supports every member's.
fn ensure_credentials_are_supported(
    tree: &RatchetTree,
    leaf: &LeafNode,
    in_use: &[crate::identity::CredentialType],
) -> Result<(), Violation> {
    let by_all = tree.credential_support(leaf.credential.credential_type()) == tree.member_count();
    let supports_all = in_use.iter().all(|kind| leaf.capabilities.has_credential(*kind));
    ensure(by_all && supports_all, Violation::CredentialNotSupported)
}

/// V-12.1.7-01, V-12.1.7-03 and V-11.1-02: every member supports the group's extensions and what
/// they require. Looks at counts only.
pub(crate) fn ensure_members_meet(
    tree: &RatchetTree,
    extensions: &Extensions,
    required: Option<&RequiredCapabilities>,
) -> Result<(), Violation> {
    let members = tree.member_count();
    let extension =
        |kind: ExtensionType| kind.is_default() || tree.extension_support(kind) == members;
    let supported = extensions.iter().all(|held| extension(held.extension_type));
    ensure(supported, Violation::GroupContextExtensionSupport)?;
    let Some(required) = required else { return Ok(()) };
    let met = required.extension_types.iter().all(|kind| extension(*kind))
        && required
            .proposal_types
            .iter()
            .all(|kind| kind.is_default() || tree.proposal_support(*kind) == members)
        && required.credential_types.iter().all(|kind| tree.credential_support(*kind) == members);
    ensure(met, Violation::GroupContextRequirements)
}

/// V-12.1.7-05 and V-12.4.3.3-06: nothing in a GroupContext that belongs elsewhere.
pub(crate) fn ensure_group_context_extensions(extensions: &Extensions) -> Result<(), Violation> {
    let misplaced = Violation::GroupContextExtensionType;
    ensure_extension_places(extensions, GROUP_CONTEXT).map_err(|_| misplaced)
}

/// V-13.0-09: nothing in a GroupInfo that belongs elsewhere.
pub(crate) fn ensure_group_info_extensions(extensions: &Extensions) -> Result<(), Violation> {
    ensure_extension_places(extensions, GROUP_INFO)
}

/// The default extension types that may stand in each place (section 17.3).
const LEAF: &[ExtensionType] = &[ExtensionType::APPLICATION_ID];
const KEY_PACKAGE: &[ExtensionType] = &[];
const GROUP_INFO: &[ExtensionType] = &[ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB];
const GROUP_CONTEXT: &[ExtensionType] =
    &[ExtensionType::REQUIRED_CAPABILITIES, ExtensionType::EXTERNAL_SENDERS];

/// V-13.0-09 and V-2.0-03: a default extension type stands only where the registry allows it, and
/// holds what it should; of other types nothing is known.
fn ensure_extension_places(
    extensions: &Extensions,
    allowed: &[ExtensionType],
) -> Result<(), Violation> {
    let placed = |extension: &Extension| {
        let kind = extension.extension_type;
        !kind.is_default() || allowed.contains(&kind)
    };
    ensure(extensions.iter().all(placed), Violation::ExtensionMisplaced)?;
    ensure(extensions.iter().all(is_whole), Violation::MalformedExtension)
}

/// Whether an extension's data is one `opaque<V>` and nothing else, where its type says so. Those
/// that hold more are read where they are used.
fn is_whole(extension: &Extension) -> bool {
    match extension.extension_type {
        ExtensionType::APPLICATION_ID | ExtensionType::EXTERNAL_PUB => {
            Vec::<u8>::from_bytes(&extension.data, &DecodeContext::default()).is_ok()
        }
        _ => true,
    }
}
