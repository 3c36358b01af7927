//! KeyPackages (sections 10, 10.1): each is wrong in one thing, and refused by whoever downloads it
//! and by everybody whom an insider's Add reaches.

use std::collections::BTreeSet;

use circlet::codec::{DecodeError, Encode};
use circlet::crypto::{CipherSuite, HpkePublicKey};
use circlet::group::{Grease, JoinKeys};
use circlet::message::{KeyPackage, MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{NOW, TestGroup, TestMember, clients};
use circlet::tree::{Extension, ExtensionType, LeafNodeSource, is_grease};
use circlet::{Error, Unready};

use crate::support::{SUITE, assert_violation};

/// A suite that the group is not of.
const OTHER_SUITE: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;

/// Both who looks at a downloaded KeyPackage and who receives an Add of it refuse it, though the
/// insider who committed it did not look; the group goes on.
fn assert_refused(
    forge: impl FnOnce(&mut TestMember) -> Result<KeyPackage, Error>,
    expected: Violation,
) -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let key_package = forge(&mut newcomer)?;
    let settings = group.members[0].settings.clone();
    assert_violation(&settings.check_key_package(&key_package, Some(NOW)).unwrap_err(), expected);

    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([Proposal::Add(key_package.clone())]).private()?;
    for receiver in [0, 2] {
        assert_violation(&group.refuses(receiver, &commit), expected);
    }
    let error = group.commit_with(0, [Proposal::Add(key_package)]).unwrap_err();
    assert_violation(&error, expected);

    let add = Proposal::Add(newcomer.key_package()?);
    let commit = insider.commit().proposals([add]).private()?;
    group.broadcast(1, &commit)?;
    group.members[1].enter(commit.next.into_state()?);
    group.agree();
    Ok(())
}

fn extension(kind: u16) -> Extension {
    Extension { extension_type: ExtensionType(kind), data: vec![1, 2, 3] }
}

/// V-10.1-01: a KeyPackage of another suite, whole and signed.
#[test]
fn another_suite() -> Result<(), Error> {
    assert_refused(
        |new| new.forge_key_package().edit(|content| content.cipher_suite = OTHER_SUITE).build(),
        Violation::KeyPackageSuite,
    )
}

/// V-10.0-05, V-10.1-01: a version that is neither that of the MLSMessage nor the group's can't be
/// read, by itself or in an Add.
#[test]
fn another_version() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let key_package = group.newcomer("new")?.key_package()?;
    let sound = MlsMessage::KeyPackage(key_package.clone()).to_bytes()?;
    let context = group.members[0].settings.context.clone();
    assert!(MlsMessage::read(&sound, &context).is_ok());
    // The versions of the MLSMessage and, after the wire format, of the KeyPackage.
    for place in [0, 4] {
        let mut bytes = sound.clone();
        assert_eq!(bytes[place..place + 2], [0, 1]);
        bytes[place + 1] = 2;
        let error = MlsMessage::read(&bytes, &context).unwrap_err();
        assert!(matches!(error, DecodeError::UnsupportedVersion(2)), "{error:?}");
    }

    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([Proposal::Add(key_package.clone())]).public()?;
    let mut message = commit.message;
    let inside = key_package.as_bytes();
    let start = message.windows(inside.len()).position(|window| window == inside).unwrap();
    message[start + 1] = 2;
    let error = group.refuses(0, &message);
    assert!(matches!(error, Error::Malformed(DecodeError::UnsupportedVersion(2))), "{error:?}");
    Ok(())
}

/// V-10.1-02: the leaf is invalid, though the KeyPackage around it is signed: its signature, and
/// what it says of itself.
#[test]
fn an_invalid_leaf() -> Result<(), Error> {
    assert_refused(
        |new| new.forge_key_package().edit_leaf_signature(|it| it.0[3] ^= 1).build(),
        Violation::LeafSignature,
    )?;
    assert_refused(
        |new| {
            let forgery = new.forge_key_package();
            forgery.leaf(|leaf| leaf.capabilities.cipher_suites = vec![OTHER_SUITE]).build()
        },
        Violation::CipherSuiteNotInCapabilities,
    )?;
    assert_refused(
        |new| new.forge_key_package().leaf(|leaf| leaf.capabilities.credentials.clear()).build(),
        Violation::CredentialNotInCapabilities,
    )
}

/// V-10.0-07: a leaf with an extension that is not among its capabilities.
#[test]
fn an_extension_that_is_not_in_the_capabilities() -> Result<(), Error> {
    assert_refused(
        |new| new.forge_key_package().leaf(|leaf| leaf.extensions.set(extension(0xf001))).build(),
        Violation::LeafExtensionNotInCapabilities,
    )
}

/// V-10.0-07, V-10.0-09: the client's own KeyPackages have an extension that means nothing, in the
/// KeyPackage and in the leaf, and list both among the capabilities.
#[test]
fn own_key_packages_have_grease_and_list_it() -> Result<(), Error> {
    let mut member = TestGroup::builder(SUITE).grease(Grease::Everywhere).size(1).build()?;
    for _ in 0..20 {
        let key_package = member.members[0].key_package()?;
        let listed = &key_package.leaf_node.capabilities.extensions;
        let of_leaf = &key_package.leaf_node.extensions;
        for extensions in [of_leaf, &key_package.extensions] {
            assert!(extensions.iter().any(|extension| is_grease(extension.extension_type.0)));
            assert!(extensions.iter().all(|extension| listed.contains(&extension.extension_type)));
        }
    }
    Ok(())
}

/// V-10.1-03, V-12.1.1-01: signed with another key than its leaf's.
#[test]
fn another_signer() -> Result<(), Error> {
    let other = TestGroup::new(SUITE, 1)?.members[0].signer.clone();
    assert_refused(
        |new| new.forge_key_package().signer(other).build(),
        Violation::KeyPackageSignature,
    )
}

/// V-10.0-04: the signature itself, cut, changed or of another length, and what it is over: not a
/// single byte can be changed.
#[test]
fn a_wrong_signature() -> Result<(), Error> {
    assert_refused(
        |new| new.forge_key_package().edit_signature(|it| it.0[9] ^= 1).build(),
        Violation::KeyPackageSignature,
    )?;
    assert_refused(
        |new| new.forge_key_package().edit_signature(|it| it.0.truncate(63)).build(),
        Violation::KeyPackageSignature,
    )?;
    assert_refused(
        |new| new.forge_key_package().edit_signature(|it| it.0.clear()).build(),
        Violation::KeyPackageSignature,
    )?;

    let mut group = TestGroup::new(SUITE, 1)?;
    let key_package = group.members[0].key_package()?;
    let settings = group.members[0].settings.clone();
    let sound = MlsMessage::KeyPackage(key_package).to_bytes()?;
    let accepted = |bytes: &[u8]| match MlsMessage::read(bytes, &settings.context) {
        Ok(MlsMessage::KeyPackage(read)) => settings.check_key_package(&read, Some(NOW)).is_ok(),
        _ => false,
    };
    assert!(accepted(&sound));
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        assert!(!accepted(&bytes), "byte {place}");
    }
    Ok(())
}

/// V-10.1-04: the init key is the leaf's encryption key.
#[test]
fn one_key_for_both() -> Result<(), Error> {
    assert_refused(|new| new.forge_key_package().same_keys().build(), Violation::KeyPackageInitKey)
}

/// V-10.0-02: an init key that the suite's KEM can't use, and one that another suite's could.
#[test]
fn an_init_key_of_no_use() -> Result<(), Error> {
    for bytes in [&[][..], &[9; 31], &[9; 33], &[4; 65]] {
        let key = HpkePublicKey::new(bytes);
        assert_refused(
            |new| new.forge_key_package().edit(|content| content.init_key = key).build(),
            Violation::InvalidHpkeKey,
        )?;
    }
    Ok(())
}

/// V-10.0-02: no two KeyPackages of a client have a key in common.
#[test]
fn init_keys_are_unique() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 1)?;
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let key_package = group.members[0].key_package()?;
        assert!(seen.insert(key_package.init_key.clone()));
        assert!(seen.insert(key_package.leaf_node.encryption_key.clone()));
    }
    Ok(())
}

/// V-10.0-03: keys in the leaf that are none of the suite's. With such a signature key no signature
/// is valid either, and that is seen first.
#[test]
fn leaf_keys_of_no_use() -> Result<(), Error> {
    for bytes in [&[][..], &[9; 31], &[4; 65]] {
        let key = HpkePublicKey::new(bytes);
        assert_refused(
            |new| new.forge_key_package().leaf(|leaf| leaf.encryption_key = key).build(),
            Violation::InvalidHpkeKey,
        )?;
    }
    let settings = TestGroup::builder(OTHER_SUITE).settings()?;
    let other = TestMember::new(settings, "other", 5)?.signer;
    let key = circlet::identity::Signer::public_key(&other).clone();
    assert_refused(
        |new| new.forge_key_package().leaf(|leaf| leaf.signature_key = key).build(),
        Violation::KeyPackageSignature,
    )
}

/// V-10.0-06: a leaf that says that it is from an Update or a Commit, and is signed as such.
#[test]
fn a_leaf_of_another_source() -> Result<(), Error> {
    for source in [LeafNodeSource::Update, LeafNodeSource::Commit(vec![7; 32])] {
        assert_refused(
            |new| new.forge_key_package().leaf(|leaf| leaf.source = source).build(),
            Violation::KeyPackageLeafSource,
        )?;
    }
    Ok(())
}

/// V-10.1-05: a member that adds without a look convinces nobody, whether the Add is in the Commit
/// or comes before it.
#[test]
fn receivers_look_again() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let wrong = newcomer.forge_key_package().same_keys().build()?;
    let mut insider = group.insider(1)?;
    let proposal = insider.proposal(Proposal::Add(wrong.clone()))?.private()?;
    assert_violation(&group.refuses(0, &proposal), Violation::KeyPackageInitKey);
    let commit = insider.commit().proposals([Proposal::Add(wrong)]).public()?;
    for receiver in [0, 2] {
        assert_violation(&group.refuses(receiver, &commit), Violation::KeyPackageInitKey);
    }
    group.update(1)?;
    Ok(())
}

/// V-10.1-06: without any group, from the bytes that were downloaded.
#[test]
fn a_check_without_a_group() -> Result<(), Error> {
    let settings = TestGroup::builder(SUITE).settings()?;
    let mut somebody = TestMember::new(settings.clone(), "somebody", 3)?;
    let sound = somebody.key_package()?;
    assert!(settings.check_key_package(&sound, Some(NOW)).is_ok());
    let wrong = somebody.forge_key_package().same_keys().build()?;
    let error = settings.check_key_package(&wrong, Some(NOW)).unwrap_err();
    assert_violation(&error, Violation::KeyPackageInitKey);
    Ok(())
}

/// V-10.0-08: an extension that nobody knows is no reason to refuse, listed or not.
#[test]
fn unknown_extensions_are_ignored() -> Result<(), Error> {
    for kind in [0x0a0a, 0xf0f0] {
        let mut group = TestGroup::new(SUITE, 2)?;
        let mut newcomer = group.newcomer("new")?;
        let forgery = newcomer.forge_key_package();
        let key_package = forgery.edit(|it| it.extensions.set(extension(kind))).build()?;
        group.members[0].settings.check_key_package(&key_package, Some(NOW))?;
        let committed = group.commit_with(0, [Proposal::Add(key_package)])?;
        newcomer.join(committed.welcome.unwrap())?;
        group.members.push(newcomer);
        group.agree();
        group.send(2, b"hello")?;
    }
    Ok(())
}

/// V-10.0-01: the private keys are gone after the first Welcome, and a second one for the same
/// KeyPackage is for nobody; what is marked as the last resort serves again.
#[test]
fn used_once() -> Result<(), Error> {
    let test = clients(SUITE, 4)?;
    let joiner = &test.clients[0];
    let welcome = |host: usize, key_package: &[u8]| -> Result<Vec<u8>, Error> {
        let group = test.clients[host].create_group()?;
        Ok(group.invite([key_package])?.confirm()?.welcome().to_vec())
    };
    let once = joiner.key_package()?;
    joiner.join(welcome(1, &once)?)?;
    let error = joiner.join(welcome(2, &once)?).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");

    let last = joiner.last_resort_key_package()?;
    for host in [1, 2, 3] {
        joiner.join(welcome(host, &last)?)?;
    }
    Ok(())
}

/// V-10.0-07: what marks a KeyPackage as the last resort is listed like any other extension.
#[test]
fn the_last_resort_is_listed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 1)?;
    let TestMember { settings, template, signer, rng, .. } = &mut group.members[0];
    let keys = JoinKeys::generate_last_resort(settings, template.clone(), signer, rng)?;
    let key_package = keys.key_package;
    assert!(key_package.is_last_resort());
    let listed = &key_package.leaf_node.capabilities.extensions;
    assert!(listed.contains(&ExtensionType::LAST_RESORT));
    Ok(())
}
