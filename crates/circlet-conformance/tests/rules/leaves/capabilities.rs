//! Capabilities (section 7.2).

use circlet::Error;
use circlet::codec::{CustomProposal, DecodeContext};
use circlet::crypto::CipherSuite;
use circlet::group::Grease;
use circlet::identity::CredentialType;
use circlet::rules::Violation;
use circlet::testing::{Heard, TestGroup, default_capabilities};
use circlet::tree::{Capabilities, ExtensionType, MLS10, ProposalType, is_grease};

use super::{Edit, plain, refused_everywhere};
use crate::support::SUITE;

/// V-7.2-05: a leaf whose credential is of a type that its capabilities don't have.
#[test]
fn ones_own_credential_type_is_not_listed() -> Result<(), Error> {
    let edits: [Edit; 2] = [
        |leaf| leaf.capabilities.credentials = vec![CredentialType::X509],
        |leaf| leaf.capabilities.credentials.clear(),
    ];
    for edit in edits {
        refused_everywhere(&plain(), edit, Violation::CredentialNotInCapabilities)?;
    }
    Ok(())
}

/// V-7.2-06: a leaf without the group's cipher suite, or without the version.
#[test]
fn ones_own_suite_or_version_is_not_listed() -> Result<(), Error> {
    let edits: [Edit; 3] = [
        |leaf| leaf.capabilities.cipher_suites.retain(|suite| *suite != SUITE),
        |leaf| leaf.capabilities.versions = vec![2, 0x0100],
        |leaf| leaf.capabilities.versions.clear(),
    ];
    for edit in edits {
        refused_everywhere(&plain(), edit, Violation::CipherSuiteNotInCapabilities)?;
    }
    Ok(())
}

/// Somebody with these changes to its capabilities is added, updates and commits.
fn is_welcome(change: impl FnOnce(&mut Capabilities)) -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut newcomer = group.newcomer("new")?;
    change(&mut newcomer.template.capabilities);
    let joined = group.add_member(0, newcomer)?;
    group.propose(joined, None)?;
    group.update(1)?;
    group.update(joined)?;
    Ok(())
}

/// V-7.2-02: default types that are listed though they should not be harm nobody.
#[test]
fn default_types_that_are_listed() -> Result<(), Error> {
    is_welcome(|capabilities| {
        capabilities.extensions.extend((1..=5).map(ExtensionType));
        capabilities.proposals.extend((1..=7).map(ProposalType));
    })
}

/// V-7.2-07: values that nobody knows are ignored, in each of the five lists.
#[test]
fn unknown_values_are_ignored() -> Result<(), Error> {
    is_welcome(|capabilities| capabilities.versions.insert(0, 0x4d4d))?;
    is_welcome(|capabilities| capabilities.cipher_suites.insert(0, CipherSuite(0x3a3a)))?;
    is_welcome(|capabilities| capabilities.extensions.insert(0, ExtensionType(0x1a1a)))?;
    is_welcome(|capabilities| capabilities.proposals.insert(0, ProposalType(0xf123)))?;
    is_welcome(|capabilities| capabilities.credentials.insert(0, CredentialType(0xeaea)))
}

/// V-7.2-07: in a path, too.
#[test]
fn unknown_values_in_a_path() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut insider = group.insider(1)?;
    let unknown: Edit = |leaf| leaf.capabilities.credentials.push(CredentialType(0x0a0a));
    let commit = insider.commit().leaf(unknown).public()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-7.2-01: a client lists no type that every implementation has, though it was registered.
#[test]
fn default_types_are_not_listed() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.extension_types.extend([1, 2, 3, 4, 5, 0xf001]);
    for proposal_type in [1, 2, 3, 4, 5, 6, 7, 0xf002] {
        context.proposal_types.insert(proposal_type, CustomProposal::default());
    }
    let group = TestGroup::builder(SUITE).context(context).size(2).build()?;
    for (_, leaf) in group.members[0].state().tree().members() {
        assert_eq!(leaf.capabilities.extensions, [ExtensionType(0xf001)]);
        assert_eq!(leaf.capabilities.proposals, [ProposalType(0xf002)]);
    }
    Ok(())
}

/// V-7.2-03: of versions, suites and credential types there are no default ones: all are listed.
#[test]
fn versions_suites_and_credentials_are_listed() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.credential_types.insert(0xf003);
    let builder = TestGroup::builder(SUITE).context(context);
    let settings = builder.settings()?;
    let mut group = builder.build()?;
    let key_package = group.newcomer("new")?.key_package()?;
    let capabilities = &key_package.leaf_node.capabilities;
    assert_eq!(capabilities.versions, [MLS10]);
    for suite in settings.suite.provider().suites() {
        assert!(capabilities.has_suite(suite.suite));
    }
    let types = [CredentialType::BASIC, CredentialType(0xf003)];
    assert_eq!(capabilities.credentials, types);
    assert!(default_capabilities(SUITE)?.has_suite(SUITE));
    Ok(())
}

/// V-7.2-08: among a hundred key packages every list but that of versions always has a value that
/// means nothing, and not always the same.
#[test]
fn a_hundred_key_packages_have_grease() -> Result<(), Error> {
    for grease in [Grease::Capabilities, Grease::Everywhere] {
        let mut group = TestGroup::builder(SUITE).grease(grease).size(1).build()?;
        let mut newcomer = group.newcomer("new")?;
        let mut seen: [Vec<u16>; 4] = Default::default();
        for _ in 0..100 {
            let key_package = newcomer.key_package()?;
            let Capabilities { cipher_suites, extensions, proposals, credentials, .. } =
                key_package.leaf_node.capabilities.clone();
            let lists: [Vec<u16>; 4] = [
                cipher_suites.iter().map(|value| value.0).collect(),
                extensions.iter().map(|value| value.0).collect(),
                proposals.iter().map(|value| value.0).collect(),
                credentials.iter().map(|value| value.0).collect(),
            ];
            for (seen, list) in seen.iter_mut().zip(lists) {
                let meaningless = list.iter().copied().find(|value| is_grease(*value));
                seen.push(meaningless.expect("a value that means nothing"));
            }
        }
        for mut seen in seen {
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() > 5, "{grease:?}: {seen:?}");
        }
    }
    Ok(())
}
