//! What section 7.3 says of each leaf by itself.

use circlet::Error;
use circlet::codec::DecodeError;
use circlet::crypto::{HpkePublicKey, SignaturePublicKey};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::{TestGroup, TestGroupBuilder, extensions_unchecked};
use circlet::tree::{
    Extension, ExtensionType, Extensions, LeafNodeSource, Lifetime, ProposalType,
    RequiredCapabilities,
};

use super::{
    CREDENTIAL, EXTENSION, Edit, PROPOSAL, demanding, plain, refused_everywhere, refused_in_add,
    refused_in_external_commit, refused_in_path, refused_in_update, refused_on_join,
};
use crate::support::{SUITE, assert_violation};

/// V-7.3-03: a leaf lacks one of each list of what the group requires, in each place.
#[test]
fn a_required_type_is_not_among_the_capabilities() -> Result<(), Error> {
    let edits: [Edit; 3] = [
        |leaf| leaf.capabilities.extensions.retain(|kind| *kind != EXTENSION),
        |leaf| leaf.capabilities.proposals.retain(|kind| *kind != PROPOSAL),
        |leaf| leaf.capabilities.credentials.retain(|kind| *kind != CREDENTIAL),
    ];
    for edit in edits {
        refused_everywhere(&demanding(), edit, Violation::RequiredCapabilities)?;
    }
    Ok(())
}

/// V-7.3-04: what every implementation of the RFC has need not be listed where it is required.
#[test]
fn default_types_count_as_supported() -> Result<(), Error> {
    let required = RequiredCapabilities {
        extension_types: vec![ExtensionType::EXTERNAL_SENDERS],
        proposal_types: vec![ProposalType::ADD],
        ..RequiredCapabilities::default()
    };
    let extensions = Extensions::from_iter([required.to_extension()?]);
    let mut group = TestGroup::builder(SUITE).extensions(extensions).size(3).build()?;
    group.add(1, "dave")?;
    group.propose(2, None)?;
    group.update(0)?;
    let capabilities = &group.members[0].state().tree().members().next().unwrap().1.capabilities;
    assert!(capabilities.extensions.is_empty() && capabilities.proposals.is_empty());
    Ok(())
}

/// V-7.3-09, V-7.2-04: a leaf has an extension that its capabilities don't list.
#[test]
fn an_extension_is_not_among_the_capabilities() -> Result<(), Error> {
    let edit: Edit =
        |leaf| leaf.extensions.set(Extension { extension_type: EXTENSION, data: vec![1, 2, 3] });
    refused_everywhere(&plain(), edit, Violation::LeafExtensionNotInCapabilities)
}

/// V-7.3-09: an application_id need not be listed.
#[test]
fn a_default_extension_need_not_be_listed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut newcomer = group.newcomer("new")?;
    newcomer.template.extensions.set(Extension::application_id("device 7")?);
    group.add_member(0, newcomer)?;
    Ok(())
}

fn application_id(data: &[u8]) -> Extension {
    Extension { extension_type: ExtensionType::APPLICATION_ID, data: data.to_vec() }
}

/// V-7.3-15: an application_id that is cut short, or with something behind it.
#[test]
fn an_extension_that_cannot_be_decoded() -> Result<(), Error> {
    let edits: [Edit; 3] = [
        |leaf| leaf.extensions.set(application_id(&[])),
        |leaf| leaf.extensions.set(application_id(&[5, 1])),
        |leaf| leaf.extensions.set(application_id(&[1, 1, 0])),
    ];
    for edit in edits {
        refused_everywhere(&plain(), edit, Violation::MalformedExtension)?;
    }
    Ok(())
}

/// V-7.3-15: an extension type twice.
#[test]
fn an_extension_twice() -> Result<(), Error> {
    let edit: Edit = |leaf| {
        let id = application_id(&[1, 1]);
        leaf.extensions = extensions_unchecked(vec![id.clone(), id]);
    };
    type Place = fn(TestGroupBuilder, Edit) -> Result<Error, Error>;
    let places: [Place; 5] = [
        refused_in_add,
        refused_in_update,
        refused_in_path,
        refused_in_external_commit,
        refused_on_join,
    ];
    for refused in places {
        let error = refused(plain(), edit)?;
        let duplicate = Error::Malformed(DecodeError::DuplicateExtension(1));
        assert_eq!(format!("{error:?}"), format!("{duplicate:?}"));
    }
    Ok(())
}

const LIFETIME: Lifetime = Lifetime { not_before: 0, not_after: 1000 };

/// V-7.3-10: the leaf of a KeyPackage says that it is of an Update or of a Commit.
#[test]
fn the_source_of_a_key_package() -> Result<(), Error> {
    let edits: [Edit; 3] = [
        |leaf| leaf.source = LeafNodeSource::Update,
        |leaf| leaf.source = LeafNodeSource::Commit(Vec::new()),
        |leaf| leaf.source = LeafNodeSource::Commit(vec![7; 32]),
    ];
    for edit in edits {
        assert_violation(&refused_in_add(plain(), edit)?, Violation::KeyPackageLeafSource);
    }
    Ok(())
}

/// V-7.3-11: the leaf of an Update says that it is of a KeyPackage or of a Commit.
#[test]
fn the_source_of_an_update() -> Result<(), Error> {
    let edits: [Edit; 3] = [
        |leaf| leaf.source = LeafNodeSource::KeyPackage(LIFETIME),
        |leaf| leaf.source = LeafNodeSource::Commit(Vec::new()),
        |leaf| leaf.source = LeafNodeSource::Commit(vec![7; 32]),
    ];
    for edit in edits {
        assert_violation(&refused_in_update(plain(), edit)?, Violation::UpdateLeafSource);
    }
    Ok(())
}

/// V-7.3-11: an Update keeps the encryption key.
#[test]
fn an_update_that_updates_nothing() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let leaf = group.leaf(1)?;
    let old = group.members[0].state().tree().leaf(leaf).unwrap().encryption_key.clone();
    let mut insider = group.insider(1)?;
    let update = insider.update().edit(|leaf| leaf.encryption_key = old).proposal()?;
    let error = group.refuses(0, insider.proposal(update)?.private()?);
    assert_violation(&error, Violation::UpdateKeepsEncryptionKey);
    let update = insider.update().proposal()?;
    group.members[0].receive(insider.proposal(update)?.private()?)?;
    Ok(())
}

/// V-7.3-12: the leaf of a path says that it is of a KeyPackage or of an Update.
#[test]
fn the_source_of_a_path() -> Result<(), Error> {
    let edits: [Edit; 2] = [
        |leaf| leaf.source = LeafNodeSource::KeyPackage(LIFETIME),
        |leaf| leaf.source = LeafNodeSource::Update,
    ];
    for edit in edits {
        assert_violation(&refused_in_path(plain(), edit)?, Violation::PathLeafSource);
        let external = refused_in_external_commit(plain(), edit)?;
        assert_violation(&external, Violation::PathLeafSource);
    }
    Ok(())
}

/// V-5.1.1-02: a leaf has a signature key that is none of the suite's: in an Update and in a path,
/// whose message is signed with the old one.
#[test]
fn a_signature_key_of_no_use() -> Result<(), Error> {
    let edits: [Edit; 2] = [
        |leaf| leaf.signature_key = SignaturePublicKey::new(&[4; 65]),
        // A point of small order.
        |leaf| leaf.signature_key = SignaturePublicKey::new(&[0; 32]),
    ];
    for edit in edits {
        let error = refused_in_update(plain(), edit)?;
        assert_violation(&error, Violation::InvalidSignatureKey);
        let error = refused_in_path(plain(), edit)?;
        assert_violation(&error, Violation::InvalidSignatureKey);
    }
    Ok(())
}

/// V-7.5-01: what holds for the leaf of an Update holds for that of a path.
#[test]
fn a_path_is_held_to_the_rules_of_an_update() -> Result<(), Error> {
    let demands: [(TestGroupBuilder, Edit, Violation); 4] = [
        (demanding(), |leaf| leaf.capabilities.proposals.clear(), Violation::RequiredCapabilities),
        (
            plain(),
            |leaf| leaf.capabilities.versions.clear(),
            Violation::CipherSuiteNotInCapabilities,
        ),
        (
            plain(),
            |leaf| leaf.capabilities.credentials.clear(),
            Violation::CredentialNotInCapabilities,
        ),
        (plain(), |leaf| leaf.extensions.set(application_id(&[9])), Violation::MalformedExtension),
    ];
    for (builder, edit, violation) in demands {
        assert_violation(&refused_in_update(builder.clone(), edit)?, violation);
        assert_violation(&refused_in_path(builder.clone(), edit)?, violation);
        assert_violation(&refused_in_external_commit(builder, edit)?, violation);
    }
    Ok(())
}

/// V-16.0-04: a member signs with the key that others encrypt to.
#[test]
fn one_key_to_sign_and_to_decrypt() -> Result<(), Error> {
    let edit: Edit = |leaf| leaf.encryption_key = HpkePublicKey::new(leaf.signature_key.as_bytes());
    refused_everywhere(&plain(), edit, Violation::KeyOfBothKinds)
}

/// V-16.0-04: one member's signature key is the encryption key of another, or of a node of a path.
#[test]
fn one_key_to_sign_and_for_another_to_decrypt() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let signs = group.leaf(2)?;
    let signs = group.members[0].state().tree().leaf(signs).unwrap().signature_key.clone();
    let key = HpkePublicKey::new(signs.as_bytes());
    let mut insider = group.insider(1)?;

    let mut newcomer = group.newcomer("new")?;
    let taken = key.clone();
    let key_package = newcomer.forge_key_package().leaf(|leaf| leaf.encryption_key = taken);
    let add = Proposal::Add(key_package.build()?);
    let error = group.refuses(0, insider.commit().proposals([add]).public()?);
    assert_violation(&error, Violation::KeyOfBothKinds);

    let taken = key.clone();
    let commit = insider.commit().leaf(|leaf| leaf.encryption_key = taken).public()?;
    assert_violation(&group.refuses(0, commit), Violation::KeyOfBothKinds);

    let commit = insider.commit().edit_steps(|steps| steps[1].public_key = key).public()?;
    assert_violation(&group.refuses(0, commit), Violation::KeyOfBothKinds);
    super::goes_on(&mut group, &mut insider)
}
