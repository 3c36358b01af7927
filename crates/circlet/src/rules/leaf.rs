//! Leaves and KeyPackages (RFC 9420 sections 7.3 and 10.1).

use std::ops::RangeInclusive;

use super::tree::{check_encryption_keys, check_signature_keys};
use super::{Violation, ensure, ensure_row, ensure_rows, tolerate};
use crate::codec::{Decode, DecodeContext};
use crate::crypto::{HpkePublicKey, SignaturePublicKey, Suite};
use crate::identity::CredentialType;
use crate::message::KeyPackage;
use crate::mutation::{any_off, off};
use crate::tree::{
    Capabilities, CapabilitySet, Extension, ExtensionType, Extensions, LeafIndex, LeafNode,
    LeafNodeSource, LeafPosition, Lifetime, MLS10, ProposalType, RatchetTree, RequiredCapabilities,
    is_grease,
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
    ensure_kinds_of_keys_differ(leaf)?;
    ensure_leaf_signature(leaf, suite, position)?;
    ensure_suite_is_in_capabilities(leaf, suite)?;
    ensure_credential_is_in_capabilities(leaf)?;
    ensure_extensions_are_in_capabilities(leaf, &capabilities)?;
    ensure_extension_places(&leaf.extensions, LEAF)?;
    ensure_leaf_extensions_are_whole(&leaf.extensions)?;
    ensure_capabilities_suffice(&capabilities, requirements)?;
    tolerate_listed_defaults(&leaf.capabilities)?;
    tolerate_unknown_capabilities(&leaf.capabilities)?;
    tolerate_unknown_extensions("V-13.0-04", &leaf.extensions)
}

/// Of [`check_leaf`] what depends on the rest of the list that brings the leaf: for one that was
/// checked by itself when it came.
pub(crate) fn check_leaf_in_group(
    leaf: &LeafNode,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    ensure_capabilities_suffice(&CapabilitySet::new(&leaf.capabilities), requirements)
}

fn ensure_capabilities_suffice(
    capabilities: &CapabilitySet,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    ensure_required_capabilities(capabilities, requirements.required)?;
    ensure_group_extensions_are_supported(capabilities, requirements.extensions)
}

/// V-7.5-01: the leaf of a path is what that of an Update has to be, but for its source.
pub(crate) fn check_path_leaf(
    leaf: &LeafNode,
    position: LeafPosition<'_>,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-7.5-01") { Ok(()) } else { check_leaf(leaf, position, requirements) }
}

/// V-5.1.1-01 and V-5.1.1-02: public keys are encoded as the suite's algorithms demand; V-10.0-03:
/// those in a KeyPackage's leaf.
fn ensure_keys_are_of_the_suite(leaf: &LeafNode, suite: &Suite) -> Result<(), Violation> {
    let spared = matches!(leaf.source, LeafNodeSource::KeyPackage(_)) && off("V-10.0-03");
    let valid = suite.check_public_key(&leaf.encryption_key).is_ok();
    ensure(valid || spared, Violation::InvalidHpkeKey)?;
    let valid = suite.check_signature_key(&leaf.signature_key).is_ok();
    ensure(valid || spared, Violation::InvalidSignatureKey)
}

/// V-16.0-04: a member does not sign with the key that others encrypt to. What two members have
/// between them, [`check_membership`] says.
fn ensure_kinds_of_keys_differ(leaf: &LeafNode) -> Result<(), Violation> {
    let differ = leaf.signature_key.as_bytes() != leaf.encryption_key.as_bytes();
    ensure(differ, Violation::KeyOfBothKinds)
}

/// V-7.3-02: the signature is valid. V-7.2-12 says the same to whoever changes a leaf.
fn ensure_leaf_signature(
    leaf: &LeafNode,
    suite: &Suite,
    position: LeafPosition<'_>,
) -> Result<(), Violation> {
    let valid = leaf.verify_signature(suite, position).is_ok()
        || is_signed_for_another_place(leaf, suite, position);
    ensure_rows(["V-7.2-12"], valid, Violation::LeafSignature)
}

/// V-7.2-11: in an Update or a path, the leaf is signed for its group and place; V-7.3-16: in a
/// KeyPackage for none, and so it stays in the tree.
fn is_signed_for_another_place(leaf: &LeafNode, suite: &Suite, position: LeafPosition<'_>) -> bool {
    match leaf.source {
        LeafNodeSource::KeyPackage(_) => {
            off("V-7.3-16") && leaf.verify_signature_at(suite, Some(position)).is_ok()
        }
        LeafNodeSource::Update | LeafNodeSource::Commit(_) => {
            off("V-7.2-11") && leaf.verify_signature_at(suite, None).is_ok()
        }
    }
}

/// V-7.2-06: the member supports the group's version and cipher suite.
fn ensure_suite_is_in_capabilities(leaf: &LeafNode, suite: &Suite) -> Result<(), Violation> {
    let listed = leaf.capabilities.has_version(MLS10) && leaf.capabilities.has_suite(suite.id());
    ensure(listed, Violation::CipherSuiteNotInCapabilities)
}

/// V-7.2-05: the credential's type is one that the member supports. V-5.3-08: and it is not one
/// that means nothing, though capabilities may list those. Of other types that are not registered
/// no credential can be read.
fn ensure_credential_is_in_capabilities(leaf: &LeafNode) -> Result<(), Violation> {
    let kind = leaf.credential.credential_type();
    let listed = leaf.capabilities.has_credential(kind);
    ensure(listed, Violation::CredentialNotInCapabilities)?;
    ensure_row("V-5.3-08", !is_grease(kind.0), Violation::CredentialNotInCapabilities)
}

/// V-7.3-09: every extension of the leaf is one that the member supports. V-7.2-04 says the same to
/// whoever makes a leaf; V-10.0-07: of the leaf of a KeyPackage.
fn ensure_extensions_are_in_capabilities(
    leaf: &LeafNode,
    capabilities: &CapabilitySet,
) -> Result<(), Violation> {
    let supported = |extension: &Extension| capabilities.has_extension(extension.extension_type);
    let listed = leaf.extensions.iter().all(supported);
    let spared = matches!(leaf.source, LeafNodeSource::KeyPackage(_)) && off("V-10.0-07");
    let violation = Violation::LeafExtensionNotInCapabilities;
    ensure_rows(["V-7.2-04"], listed || spared, violation)
}

/// V-7.3-03: the member supports what the group requires; V-11.1-01: of credential types those that
/// it lists, all of them.
fn ensure_required_capabilities(
    capabilities: &CapabilitySet,
    required: Option<&RequiredCapabilities>,
) -> Result<(), Violation> {
    let Some(required) = required else { return Ok(()) };
    let extension = |kind: &ExtensionType| {
        is_supported(kind.0, kind.is_default(), || capabilities.lists_extension(*kind))
    };
    let proposal = |kind: &ProposalType| {
        is_supported(kind.0, kind.is_default(), || capabilities.lists_proposal(*kind))
    };
    let credential = |kind: &CredentialType| {
        off("V-11.1-01") || is_supported(kind.0, false, || capabilities.has_credential(*kind))
    };
    let met = required.extension_types.iter().all(extension)
        && required.proposal_types.iter().all(proposal)
        && required.credential_types.iter().all(credential);
    ensure(met, Violation::RequiredCapabilities)
}

/// V-7.3-04: whether a required type is supported: a default one always, another one where it is
/// `listed`. V-13.5-05: what means nothing, though everybody lists it, is supported by nobody.
fn is_supported(value: u16, default: bool, listed: impl FnOnce() -> bool) -> bool {
    if is_grease(value) && !off("V-13.5-05") {
        return false;
    }
    default && !off("V-7.3-04") || listed()
}

/// V-13.0-07: the member supports every extension of the group.
fn ensure_group_extensions_are_supported(
    capabilities: &CapabilitySet,
    extensions: &Extensions,
) -> Result<(), Violation> {
    let supported = |extension: &Extension| capabilities.has_extension(extension.extension_type);
    let all = extensions.iter().all(supported);
    ensure_row("V-13.0-07", all, Violation::GroupContextExtensionSupport)
}

/// V-7.2-02: a default type that is listed is a fault of the sender's that harms nobody.
fn tolerate_listed_defaults(capabilities: &Capabilities) -> Result<(), Violation> {
    let listed = || {
        capabilities.extensions.iter().any(|kind| kind.is_default())
            || capabilities.proposals.iter().any(|kind| kind.is_default())
    };
    tolerate("V-7.2-02", listed, Violation::RequiredCapabilities)
}

/// V-7.2-07 and V-13.5-04: values that are not known are like any other that is not needed, those
/// that mean nothing among them.
fn tolerate_unknown_capabilities(capabilities: &Capabilities) -> Result<(), Violation> {
    let unknown = || {
        capabilities.versions.iter().any(|version| *version != MLS10)
            || capabilities.cipher_suites.iter().any(|suite| !(1..=7).contains(&suite.0))
            || capabilities.extensions.iter().any(|kind| !kind.is_default())
            || capabilities.proposals.iter().any(|kind| !kind.is_default())
            || capabilities.credentials.iter().any(|kind| !(1..=2).contains(&kind.0))
    };
    tolerate("V-7.2-07", unknown, Violation::RequiredCapabilities)?;
    let grease = || capabilities.cipher_suites.iter().any(|suite| is_grease(suite.0));
    tolerate("V-13.5-04", grease, Violation::RequiredCapabilities)
}

/// V-10.1-01 to V-10.1-06: a KeyPackage, by whoever downloads it and by whoever receives it in an
/// Add.
pub(crate) fn check_key_package(
    key_package: &KeyPackage,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-10.1-05") {
        return Ok(());
    }
    let suite = requirements.suite;
    let leaf = &key_package.leaf_node;
    ensure(key_package.cipher_suite == suite.id(), Violation::KeyPackageSuite)?;
    ensure(key_package.init_key != leaf.encryption_key, Violation::KeyPackageInitKey)?;
    ensure_init_key_is_of_the_suite(key_package, suite)?;
    ensure_key_package_signature(key_package, suite)?;
    ensure_key_package_source(leaf)?;
    ensure_lifetime_order(leaf)?;
    ensure_extension_places(&key_package.extensions, KEY_PACKAGE)?;
    ensure_extensions_are_whole(&key_package.extensions)?;
    tolerate_unknown_extensions("V-10.0-08", &key_package.extensions)?;
    if off("V-10.1-02") {
        return Ok(());
    }
    // A KeyPackage's leaf is signed for no place, so that any will do.
    let nowhere = LeafPosition { group_id: &[], leaf_index: LeafIndex(0) };
    check_leaf(leaf, nowhere, requirements)
}

/// V-11.0-05: whoever creates a group is held against its demands; V-11.0-06: its leaf, too, comes
/// from a KeyPackage.
pub(crate) fn check_creator(
    key_package: &KeyPackage,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    let extensions = &Extensions::new();
    let requirements = match off("V-11.0-05") {
        true => Requirements { extensions, required: None, ..requirements },
        false => requirements,
    };
    match check_key_package(key_package, requirements) {
        Err(Violation::KeyPackageLeafSource) if off("V-11.0-06") => Ok(()),
        checked => checked,
    }
}

/// V-12.1.1-01: the KeyPackage of an Add is valid.
pub(crate) fn check_added(
    key_package: &KeyPackage,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-12.1.1-01") { Ok(()) } else { check_key_package(key_package, requirements) }
}

/// V-10.0-02 and V-5.1.1-01: the init key is one of the suite's KEM.
fn ensure_init_key_is_of_the_suite(
    key_package: &KeyPackage,
    suite: &Suite,
) -> Result<(), Violation> {
    let valid = suite.check_public_key(&key_package.init_key).is_ok();
    ensure_rows(["V-10.0-02"], valid, Violation::InvalidHpkeKey)
}

/// V-10.1-03, and V-10.0-04 where section 10 speaks of it: the KeyPackage is signed with its leaf's
/// key.
fn ensure_key_package_signature(key_package: &KeyPackage, suite: &Suite) -> Result<(), Violation> {
    let valid = key_package.verify_signature(suite).is_ok();
    ensure_rows(["V-10.0-04"], valid, Violation::KeyPackageSignature)
}

/// V-7.3-10, and V-10.0-06 where section 10 speaks of it: the leaf of a KeyPackage says that it is.
fn ensure_key_package_source(leaf: &LeafNode) -> Result<(), Violation> {
    let of_key_package = matches!(leaf.source, LeafNodeSource::KeyPackage(_));
    ensure_rows(["V-10.0-06"], of_key_package, Violation::KeyPackageLeafSource)
}

/// V-7.2-09: a lifetime does not end before it begins. How long it may be, the policy says.
fn ensure_lifetime_order(leaf: &LeafNode) -> Result<(), Violation> {
    let inverted = matches!(&leaf.source, LeafNodeSource::KeyPackage(lifetime)
        if lifetime.not_before > lifetime.not_after);
    ensure(!inverted, Violation::LifetimeInverted)
}

/// V-7.3-07: whoever sends a KeyPackage to a group, its lifetime includes some time that it may be
/// now, in seconds since the Unix epoch.
pub(crate) fn ensure_lifetime_to_send(
    leaf: &LeafNode,
    now: RangeInclusive<u64>,
) -> Result<(), Violation> {
    ensure_row("V-7.3-07", is_alive(leaf, &now), Violation::Lifetime)
}

/// V-7.3-08: the same of a KeyPackage that is received.
pub(crate) fn ensure_lifetime_received(
    leaf: &LeafNode,
    now: RangeInclusive<u64>,
) -> Result<(), Violation> {
    ensure(is_alive(leaf, &now), Violation::Lifetime)
}

fn is_alive(leaf: &LeafNode, now: &RangeInclusive<u64>) -> bool {
    match leaf.source {
        LeafNodeSource::KeyPackage(Lifetime { not_before, not_after }) => {
            not_before <= *now.end() && not_after >= *now.start()
        }
        _ => true,
    }
}

/// V-12.1.2-01: the leaf of an Update is valid for one, and brings a new encryption key.
pub(crate) fn check_update(
    new: &LeafNode,
    old: &LeafNode,
    position: LeafPosition<'_>,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-12.1.2-01") {
        return Ok(());
    }
    ensure_update_leaf(new, old)?;
    check_leaf(new, position, requirements)
}

/// V-7.3-11: an Update's leaf says that it is one, and brings a new encryption key.
fn ensure_update_leaf(new: &LeafNode, old: &LeafNode) -> Result<(), Violation> {
    ensure(new.source == LeafNodeSource::Update, Violation::UpdateLeafSource)?;
    let renewed = new.encryption_key != old.encryption_key;
    ensure_row("V-7.3-11", renewed, Violation::UpdateKeepsEncryptionKey)
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
        ensure_no_key_signs_and_decrypts(tree, leaf)?;
        tolerate_repeated_application_id(tree, leaf)?;
    }
    Ok(())
}

/// What [`check_membership`] would say of a leaf that is not in the tree yet, if it took this place
/// of a member, or a new one.
pub(crate) fn check_newcomer(
    tree: &RatchetTree,
    place: Option<LeafIndex>,
    new: &LeafNode,
) -> Result<(), Violation> {
    let owner = tree.signature_key_owner(&new.signature_key);
    ensure(owner.is_none() || owner == place, Violation::DuplicateSignatureKey)?;
    let known = tree.has_encryption_key(&new.encryption_key);
    ensure(!known, Violation::DuplicateEncryptionKey)?;
    ensure_no_key_signs_and_decrypts(tree, new)?;
    let old = place.and_then(|place| tree.leaf(place));
    let of_old = |is: &dyn Fn(&LeafNode) -> bool| u32::from(old.is_some_and(is));
    let kind = new.credential.credential_type();
    let others = tree.member_count().saturating_sub(of_old(&|_| true));
    let supporters = of_old(&|old| old.capabilities.has_credential(kind));
    let supporters = tree.credential_support(kind).saturating_sub(supporters);
    let by_all = supporters == others && new.capabilities.has_credential(kind);
    let in_use = |kind: &CredentialType| {
        let by_old = of_old(&|old| old.credential.credential_type() == *kind);
        tree.credential_use(*kind) > by_old
    };
    let mut types = tree.credential_types().filter(in_use);
    let supports_all = types.all(|kind| new.capabilities.has_credential(kind));
    ensure(by_all && supports_all, Violation::CredentialNotSupported)
}

/// V-12.4.3.2-10: of whoever joins by itself the credential is one that all members support, and the
/// keys are no member's.
pub(crate) fn ensure_fits_the_members(tree: &RatchetTree, own: &LeafNode) -> Result<(), Violation> {
    check_membership(tree, [own]).or_else(|found| ensure_row("V-12.4.3.2-10", false, found))
}

/// V-16.0-04: no key of the leaf is a key of the other kind elsewhere in the tree.
fn ensure_no_key_signs_and_decrypts(tree: &RatchetTree, leaf: &LeafNode) -> Result<(), Violation> {
    let signs = HpkePublicKey::new(leaf.signature_key.as_bytes());
    ensure(!tree.has_encryption_key(&signs), Violation::KeyOfBothKinds)?;
    ensure_key_signs_nothing(tree, &leaf.encryption_key)
}

/// V-16.0-04: an encryption key is no member's signature key.
pub(crate) fn ensure_key_signs_nothing(
    tree: &RatchetTree,
    key: &HpkePublicKey,
) -> Result<(), Violation> {
    let key = SignaturePublicKey::new(key.as_bytes());
    ensure(tree.signature_key_owner(&key).is_none(), Violation::KeyOfBothKinds)
}

/// V-5.3-07: an application_id is what the member says; two may say the same.
fn tolerate_repeated_application_id(tree: &RatchetTree, leaf: &LeafNode) -> Result<(), Violation> {
    let id = leaf.extensions.find(ExtensionType::APPLICATION_ID);
    let same = |other: &LeafNode| other.extensions.find(ExtensionType::APPLICATION_ID) == id;
    let repeated = || id.is_some() && tree.members().filter(|(_, leaf)| same(leaf)).count() > 1;
    tolerate("V-5.3-07", repeated, Violation::DuplicateSignatureKey)
}

/// V-7.3-06 and V-7.3-14: a new leaf is held against those that are there after the Commit, not
/// against the tree before it: who leaves by the same Commit no longer counts.
pub(crate) fn tolerate_the_tree_before(
    before: &RatchetTree,
    new: &LeafNode,
) -> Result<(), Violation> {
    let kind = new.credential.credential_type();
    let unsupported = || before.credential_support(kind) != before.member_count();
    tolerate("V-7.3-06", unsupported, Violation::CredentialNotSupported)?;
    let held = || before.signature_key_owner(&new.signature_key).is_some();
    tolerate("V-7.3-14", held, Violation::DuplicateSignatureKey)
}

/// V-7.3-05: the leaf's credential type is supported by every member, which is V-13.0-02, and the
/// leaf supports every member's.
fn ensure_credentials_are_supported(
    tree: &RatchetTree,
    leaf: &LeafNode,
    in_use: &[CredentialType],
) -> Result<(), Violation> {
    let by_all = tree.credential_support(leaf.credential.credential_type()) == tree.member_count();
    let supports_all = in_use.iter().all(|kind| leaf.capabilities.has_credential(*kind));
    let by_all = by_all || off("V-13.0-02");
    ensure(by_all && supports_all, Violation::CredentialNotSupported)
}

/// V-12.1.7-03 and V-12.1.7-01: every member supports the group's extensions, and what they require,
/// as V-11.1-02 says where it speaks of requirements; V-11.1-01: of credential types those that it
/// lists, all of them. Looks at counts only.
pub(crate) fn ensure_members_meet(
    tree: &RatchetTree,
    extensions: &Extensions,
    required: Option<&RequiredCapabilities>,
) -> Result<(), Violation> {
    let members = tree.member_count();
    let supported =
        extensions.iter().all(|held| tree.extension_support(held.extension_type) == members);
    ensure(supported, Violation::GroupContextExtensionSupport)?;
    let Some(required) = required else { return Ok(()) };
    // Of the default types, the tree says that all members support them.
    let extension = |kind: &ExtensionType| {
        is_supported(kind.0, kind.is_default(), || tree.extension_support(*kind) == members)
    };
    let proposal = |kind: &ProposalType| {
        is_supported(kind.0, kind.is_default(), || tree.proposal_support(*kind) == members)
    };
    let credential = |kind: &CredentialType| {
        off("V-11.1-01")
            || is_supported(kind.0, false, || tree.credential_support(*kind) == members)
    };
    let met = required.extension_types.iter().all(extension)
        && required.proposal_types.iter().all(proposal)
        && required.credential_types.iter().all(credential);
    ensure_rows(["V-11.1-02"], met, Violation::GroupContextRequirements)
}

/// V-13.0-02: all members support the credentials of external senders, or some could not read the
/// group's extensions. A rule for whoever proposes or commits the list: section 12.1.7 does not make
/// receivers refuse what they can read.
pub(crate) fn ensure_senders_are_supported(
    tree: &RatchetTree,
    types: &[CredentialType],
) -> Result<(), Violation> {
    let members = tree.member_count();
    let by_all = types.iter().all(|kind| tree.credential_support(*kind) == members);
    ensure(by_all || off("V-13.0-02"), Violation::CredentialNotSupported)
}

/// V-12.4.3-02, and V-13.0-08 where section 13 speaks of it: the joiner supports every extension of
/// the group, or the GroupInfo is of no use to it.
pub(crate) fn ensure_joiner_supports(
    own: &LeafNode,
    extensions: &Extensions,
) -> Result<(), Violation> {
    let capabilities = CapabilitySet::new(&own.capabilities);
    let supported = |extension: &Extension| capabilities.has_extension(extension.extension_type);
    let all = extensions.iter().all(supported) || off("V-12.4.3.1-25");
    ensure_rows(["V-13.0-08"], all, Violation::GroupContextExtensionUnknown)
}

/// V-12.4.3.1-14: every leaf of a tree that is received is valid. V-12.4.3.1-25: so is the `own` one,
/// whose client supports all that the group has and requires.
pub(crate) fn check_leaf_of_tree(
    leaf: &LeafNode,
    own: Option<&LeafNode>,
    position: LeafPosition<'_>,
    requirements: Requirements<'_>,
) -> Result<(), Violation> {
    if off("V-12.4.3.1-14") {
        return Ok(());
    }
    // Where a rule of the joiner's is switched off, the same one of all members is not to stand in
    // for it.
    let supports_all =
        own != Some(leaf) || !any_off(&["V-12.4.3-02", "V-13.0-08", "V-12.4.3.1-25"]);
    let extensions = &Extensions::new();
    let requirements = match supports_all {
        true => requirements,
        false if off("V-12.4.3.1-25") => {
            Requirements { extensions, required: None, ..requirements }
        }
        false => Requirements { extensions, ..requirements },
    };
    check_leaf(leaf, position, requirements)
}

/// V-12.1.7-05: nothing in a GroupContext that belongs elsewhere, such as, for V-12.4.3.3-06, a
/// ratchet tree; nor, for V-13.5-03, what means nothing: it is among nobody's capabilities but to be
/// ignored.
pub(crate) fn ensure_group_context_extensions(extensions: &Extensions) -> Result<(), Violation> {
    let misplaced = |kind: ExtensionType| match kind {
        ExtensionType::RATCHET_TREE => off("V-12.4.3.3-06"),
        _ => false,
    };
    let placed = extensions.iter().all(|extension| {
        let kind = extension.extension_type;
        is_placed(kind, GROUP_CONTEXT) || misplaced(kind)
    });
    ensure(placed, Violation::GroupContextExtensionType)?;
    let mut types = extensions.iter().map(|extension| extension.extension_type.0);
    let meaningful = off("V-12.1.7-05") || !types.any(is_grease);
    ensure_row("V-13.5-03", meaningful, Violation::GroupContextExtensionSupport)
}

/// V-13.0-09 and V-13.0-05: nothing in a GroupInfo that belongs elsewhere; of other types nothing
/// is known, nor need it be.
pub(crate) fn ensure_group_info_extensions(extensions: &Extensions) -> Result<(), Violation> {
    ensure_extension_places(extensions, GROUP_INFO)?;
    ensure_extensions_are_whole(extensions)?;
    tolerate_unknown_extensions("V-13.0-05", extensions)
}

/// The default extension types that may stand in each place (section 17.3).
const LEAF: &[ExtensionType] = &[ExtensionType::APPLICATION_ID];
const KEY_PACKAGE: &[ExtensionType] = &[];
/// Those of a GroupContext are repeated in its GroupInfo by some implementations; what counts is the
/// GroupContext.
const GROUP_INFO: &[ExtensionType] = &[
    ExtensionType::RATCHET_TREE,
    ExtensionType::EXTERNAL_PUB,
    ExtensionType::REQUIRED_CAPABILITIES,
    ExtensionType::EXTERNAL_SENDERS,
];
const GROUP_CONTEXT: &[ExtensionType] =
    &[ExtensionType::REQUIRED_CAPABILITIES, ExtensionType::EXTERNAL_SENDERS];

/// V-13.0-09: a default extension type stands only where the registry allows it.
fn ensure_extension_places(
    extensions: &Extensions,
    allowed: &[ExtensionType],
) -> Result<(), Violation> {
    let placed = extensions.iter().all(|extension| is_placed(extension.extension_type, allowed));
    ensure(placed, Violation::ExtensionMisplaced)
}

fn is_placed(kind: ExtensionType, allowed: &[ExtensionType]) -> bool {
    !kind.is_default() || allowed.contains(&kind)
}

/// V-2.0-03: a default extension holds what it should; of other types nothing is known.
fn ensure_extensions_are_whole(extensions: &Extensions) -> Result<(), Violation> {
    ensure(extensions.iter().all(is_whole), Violation::MalformedExtension)
}

/// V-7.3-15: so do those of a leaf. That none is there twice is seen where they are read.
fn ensure_leaf_extensions_are_whole(extensions: &Extensions) -> Result<(), Violation> {
    if off("V-7.3-15") { Ok(()) } else { ensure_extensions_are_whole(extensions) }
}

/// Extensions of types that are not known are ignored.
fn tolerate_unknown_extensions(
    row: &'static str,
    extensions: &Extensions,
) -> Result<(), Violation> {
    let unknown = || extensions.iter().any(|extension| !extension.extension_type.is_default());
    tolerate(row, unknown, Violation::ExtensionMisplaced)
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
