//! KeyPackages (RFC 9420 sections 10, 10.1 and 12.1.1).

use std::collections::BTreeSet;

use circlet::Error;
use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::{CipherSuite, HpkePublicKey};
use circlet::group::CommitRequest;
use circlet::message::{KeyPackage, MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{Heard, TestGroup, TestMember, extensions_unchecked};
use circlet::tree::{Extension, ExtensionType, LeafNodeSource};

use crate::support::{SUITE, assert_violation};

/// Whoever downloads it finds it out, and so does whoever would add its client, who receives its
/// Add, and who receives a Commit that adds it.
fn refuse(
    group: &mut TestGroup,
    key_package: &KeyPackage,
    expected: Violation,
) -> Result<(), Error> {
    let settings = &group.members[0].settings;
    let error = settings.check_key_package(key_package, None).unwrap_err();
    assert_violation(&error, expected);
    let add = Proposal::Add(key_package.clone());
    let before = group.members[1].fingerprint()?;
    let by_value = vec![add.clone()];
    let request = CommitRequest { by_value, ..CommitRequest::default() };
    assert_violation(&group.members[1].stage(request).unwrap_err(), expected);
    assert_violation(&group.members[1].propose(add.clone()).unwrap_err(), expected);
    assert_eq!(group.members[1].fingerprint()?, before);
    let alone = group.insider(1)?.proposal(add.clone())?.private()?;
    assert_violation(&group.members[0].refuses(alone), expected);
    let commit = group.insider(1)?.commit().proposals([add]).private()?;
    assert_violation(&group.members[0].refuses(commit), expected);
    Ok(())
}

fn scene() -> Result<(TestGroup, TestMember), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let newcomer = group.newcomer("dora")?;
    Ok((group, newcomer))
}

/// V-10.0-02, V-10.0-03: the keys are such as the suite has.
#[test]
fn the_keys_are_of_the_suite() -> Result<(), Error> {
    let (mut group, mut dora) = scene()?;
    for length in [0, 31, 33, 65] {
        let init =
            dora.forge_key_package().edit(|it| it.init_key = HpkePublicKey::new(&vec![9; length]));
        refuse(&mut group, &init.build()?, Violation::InvalidHpkeKey)?;
        let leaf = dora
            .forge_key_package()
            .leaf(|it| it.encryption_key = HpkePublicKey::new(&vec![9; length]));
        refuse(&mut group, &leaf.build()?, Violation::InvalidHpkeKey)?;
    }
    Ok(())
}

/// V-10.0-02: no two KeyPackages of a client have the same keys.
#[test]
fn init_keys_are_unique() -> Result<(), Error> {
    let (_, mut dora) = scene()?;
    let mut keys = BTreeSet::new();
    for _ in 0..100 {
        let key_package = dora.key_package()?;
        assert!(keys.insert(key_package.init_key.clone()));
        assert!(keys.insert(key_package.leaf_node.encryption_key.clone()));
    }
    Ok(())
}

/// V-10.0-04, V-10.1-03: another's signature, a changed one, and one that is for something else.
#[test]
fn the_signature_is_that_of_the_leaf() -> Result<(), Error> {
    let (mut group, mut dora) = scene()?;
    let other = group.members[0].signer.clone();
    let signed = dora.forge_key_package().signer(other).build()?;
    refuse(&mut group, &signed, Violation::KeyPackageSignature)?;
    let changed = dora.forge_key_package().edit_signature(|it| it.0[7] ^= 1).build()?;
    refuse(&mut group, &changed, Violation::KeyPackageSignature)?;
    let short = dora.forge_key_package().edit_signature(|it| it.0.clear()).build()?;
    refuse(&mut group, &short, Violation::KeyPackageSignature)?;
    Ok(())
}

/// V-10.0-05: a KeyPackage of another version than its message's can't be read.
#[test]
fn the_version_is_that_of_the_message() -> Result<(), Error> {
    let (_, mut dora) = scene()?;
    let bytes = MlsMessage::KeyPackage(dora.key_package()?).to_bytes()?;
    let context = DecodeContext::default();
    assert!(MlsMessage::from_bytes(&bytes, &context).is_ok());
    for place in [0, 4] {
        for version in [0, 2, 0x0a0a_u16] {
            let mut bytes = bytes.clone();
            bytes[place..place + 2].copy_from_slice(&version.to_be_bytes());
            assert!(MlsMessage::from_bytes(&bytes, &context).is_err());
        }
    }
    Ok(())
}

/// V-10.0-06: the leaf of a KeyPackage has that source.
#[test]
fn the_source_is_a_key_package() -> Result<(), Error> {
    let (mut group, mut dora) = scene()?;
    for source in [LeafNodeSource::Update, LeafNodeSource::Commit(vec![1; 32])] {
        let forged = dora.forge_key_package().leaf(|leaf| leaf.source = source).build()?;
        refuse(&mut group, &forged, Violation::KeyPackageLeafSource)?;
    }
    Ok(())
}

/// V-10.0-07, V-10.0-08: a leaf's extension is among its capabilities; one of the KeyPackage that
/// nobody knows is let be, listed or not.
#[test]
fn extensions_that_nobody_knows() -> Result<(), Error> {
    let (mut group, mut dora) = scene()?;
    let unknown = Extension { extension_type: ExtensionType(0xf00d), data: vec![1, 2, 3] };
    let list = extensions_unchecked(vec![unknown]);
    let in_leaf = dora.forge_key_package().leaf(|leaf| leaf.extensions = list.clone()).build()?;
    refuse(&mut group, &in_leaf, Violation::LeafExtensionNotInCapabilities)?;
    let outside = dora.forge_key_package().edit(|it| it.extensions = list.clone()).build()?;
    group.members[0].settings.check_key_package(&outside, None)?;
    let commit = group.insider(1)?.commit().proposals([Proposal::Add(outside)]).private()?;
    assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-10.1-01, V-10.1-02, V-10.1-04, V-10.1-05, V-10.1-06, V-12.1.1-01: of the group's suite, with
/// a valid leaf, and two keys; found out by whoever adds, by whoever receives, and before.
#[test]
fn a_key_package_is_valid() -> Result<(), Error> {
    let (mut group, mut dora) = scene()?;
    let suite = dora.forge_key_package().edit(|it| it.cipher_suite = CipherSuite(3)).build()?;
    refuse(&mut group, &suite, Violation::KeyPackageSuite)?;
    let same = dora.forge_key_package().same_keys().build()?;
    refuse(&mut group, &same, Violation::KeyPackageInitKey)?;
    let other = group.members[0].signer.clone();
    let leaf = dora.forge_key_package().leaf_signer(other).build()?;
    refuse(&mut group, &leaf, Violation::LeafSignature)?;
    let lacking =
        dora.forge_key_package().leaf(|leaf| leaf.capabilities.credentials.clear()).build()?;
    refuse(&mut group, &lacking, Violation::CredentialNotInCapabilities)?;
    group.add_member(1, dora)?;
    Ok(())
}
