//! Signatures of leaves (sections 7.2 and 7.3).

use circlet::Error;
use circlet::codec::{Encode, Writer};
use circlet::crypto::{HpkePublicKey, Signature};
use circlet::identity::{Credential, sign_with_label};
use circlet::message::{GroupId, KeyPackage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{Insider, TestGroup, leaf_with_signature};
use circlet::tree::{
    Extension, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, Lifetime,
};

use super::{Edit, goes_on, plain, refused_external_leaf, refused_tree};
use crate::support::{SUITE, assert_violation};

/// Changes to a signature: none of them leaves it one.
const BREAKS: [fn(&mut Signature); 5] = [
    |signature| signature.0[0] ^= 1,
    |signature| *signature.0.last_mut().unwrap() ^= 0x80,
    |signature| signature.0.clear(),
    |signature| signature.0.truncate(63),
    |signature| signature.0.push(0),
];

/// V-7.3-02: a leaf's signature is not one, in a KeyPackage.
#[test]
fn the_signature_of_a_key_packages_leaf() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    for edit in BREAKS {
        let mut newcomer = group.newcomer("new")?;
        let key_package = newcomer.forge_key_package().edit_leaf_signature(edit);
        refuses_add(&mut group, key_package.build()?)?;
    }
    let other = group.members[0].signer.clone();
    let key_package = group.newcomer("new")?.forge_key_package().leaf_signer(other).build()?;
    refuses_add(&mut group, key_package)?;
    let mut insider = group.insider(1)?;
    goes_on(&mut group, &mut insider)
}

#[track_caller]
fn refuses_add(group: &mut TestGroup, key_package: KeyPackage) -> Result<(), Error> {
    let mut insider = group.insider(1)?;
    let add = Proposal::Add(key_package);
    let error = group.refuses(0, insider.proposal(add.clone())?.public()?);
    assert_violation(&error, Violation::LeafSignature);
    let commit = insider.commit().proposals([add]).public()?;
    assert_violation(&group.refuses(0, commit), Violation::LeafSignature);
    Ok(())
}

/// V-7.3-02: in an Update.
#[test]
fn the_signature_of_an_updates_leaf() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut insider = group.insider(1)?;
    for edit in BREAKS {
        let update = insider.update().edit_signature(edit).proposal()?;
        let error = group.refuses(0, insider.proposal(update)?.public()?);
        assert_violation(&error, Violation::LeafSignature);
    }
    let other = group.members[0].signer.clone();
    let update = insider.update().signer(other).proposal()?;
    let error = group.refuses(0, insider.proposal(update)?.public()?);
    assert_violation(&error, Violation::LeafSignature);
    goes_on(&mut group, &mut insider)
}

/// V-7.3-02: in a path.
#[test]
fn the_signature_of_a_paths_leaf() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut insider = group.insider(1)?;
    for edit in BREAKS {
        let commit = insider.commit().edit_leaf_signature(edit).public()?;
        assert_violation(&group.refuses(0, commit), Violation::LeafSignature);
    }
    let other = group.members[0].signer.clone();
    let commit = insider.commit().leaf_signer(other).public()?;
    assert_violation(&group.refuses(0, commit), Violation::LeafSignature);
    goes_on(&mut group, &mut insider)
}

/// V-7.3-02: in the path of an external Commit.
#[test]
fn the_signature_of_a_joiners_leaf() -> Result<(), Error> {
    for edit in BREAKS {
        let error = refused_external_leaf(plain(), |leaf, _, _| {
            let mut signature = signature_of(leaf);
            edit(&mut signature);
            leaf_with_signature(LeafNodeContent::clone(leaf), signature)
        })?;
        assert_violation(&error, Violation::LeafSignature);
    }
    Ok(())
}

/// V-7.2-11: nor is it signed for another place, or for none.
#[test]
fn a_joiners_leaf_of_another_place() -> Result<(), Error> {
    let error = refused_external_leaf(plain(), |leaf, position, signer| {
        let position = LeafPosition { leaf_index: LeafIndex(1), ..position };
        Ok(LeafNode::sign(LeafNodeContent::clone(leaf), position, signer)?)
    })?;
    assert_violation(&error, Violation::LeafSignature);
    let error = refused_external_leaf(plain(), |leaf, _, signer| {
        signed(LeafNodeContent::clone(leaf), None, signer)
    })?;
    assert_violation(&error, Violation::LeafSignature);
    Ok(())
}

/// The signature of a leaf: what it ends with.
fn signature_of(leaf: &LeafNode) -> Signature {
    let bytes = leaf.to_bytes().unwrap();
    Signature(bytes[bytes.len() - 64..].to_vec())
}

/// The insider's leaf as it is, but for its signature.
fn with_signature(insider: &Insider, edit: fn(&mut Signature)) -> Result<LeafNode, Error> {
    let leaf = insider.tree.leaf(insider.leaf).unwrap();
    let mut signature = signature_of(leaf);
    edit(&mut signature);
    leaf_with_signature(LeafNodeContent::clone(leaf), signature)
}

/// V-7.3-02: in the tree that a joiner gets.
#[test]
fn the_signature_of_a_members_leaf() -> Result<(), Error> {
    for edit in BREAKS {
        let error = refused_tree(plain(), |insider| with_signature(insider, edit))?;
        assert_violation(&error, Violation::LeafSignature);
    }
    Ok(())
}

/// V-7.2-11, V-7.3-02: an Update's or a path's leaf that is signed for another place or group.
#[test]
fn a_leaf_of_another_place() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let (own, other) = (group.leaf(1)?, group.leaf(2)?);
    let here = GroupId::new(b"a group");
    let mut insider = group.insider(1)?;
    for (group_id, leaf) in [(GroupId::new(b"b group"), own), (here.clone(), other)] {
        let update = insider.update().position(group_id.clone(), leaf).proposal()?;
        let error = group.refuses(0, insider.proposal(update)?.public()?);
        assert_violation(&error, Violation::LeafSignature);
        let commit = insider.commit().leaf_position(group_id, leaf).public()?;
        assert_violation(&group.refuses(0, commit), Violation::LeafSignature);
    }
    let update = insider.update().position(here, own).proposal()?;
    group.members[0].receive(insider.proposal(update)?.public()?)?;
    Ok(())
}

/// Signs what is not LeafNodeTBS: with a place or without, against the leaf's source.
fn signed(
    content: LeafNodeContent,
    place: Option<(&[u8], LeafIndex)>,
    signer: &dyn circlet::identity::Signer,
) -> Result<LeafNode, Error> {
    let mut writer = Writer::new();
    content.encode(&mut writer);
    if let Some((group_id, leaf_index)) = place {
        writer.opaque(group_id);
        writer.u32(leaf_index.0);
    }
    let signature = sign_with_label(signer, "LeafNodeTBS", &writer.finish()?)?;
    leaf_with_signature(content, signature)
}

/// V-7.2-11: an Update's and a path's leaf that is signed for no place.
#[test]
fn a_leaf_of_no_place() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut insider = group.insider(1)?;
    let honest = insider.update().build()?.leaf;
    let leaf = signed(LeafNodeContent::clone(&honest), None, &insider.signer)?;
    let error = group.refuses(0, insider.proposal(Proposal::Update(leaf))?.public()?);
    assert_violation(&error, Violation::LeafSignature);

    let signer = insider.signer.clone();
    let commit = insider.commit().edit_path(|path| {
        path.leaf_node = signed(LeafNodeContent::clone(&path.leaf_node), None, &signer).unwrap();
    });
    assert_violation(&group.refuses(0, commit.public()?), Violation::LeafSignature);
    goes_on(&mut group, &mut insider)
}

/// V-7.3-16: in a joiner's tree a leaf that came by a KeyPackage is signed for no place.
#[test]
fn a_key_packages_leaf_with_a_place() -> Result<(), Error> {
    let error = refused_tree(plain(), |insider| {
        let content = LeafNodeContent::clone(insider.tree.leaf(insider.leaf).unwrap());
        assert!(matches!(content.source, LeafNodeSource::KeyPackage(_)));
        let place = (insider.context.group_id.as_bytes(), insider.leaf);
        signed(content, Some(place), &insider.signer)
    })?;
    assert_violation(&error, Violation::LeafSignature);
    Ok(())
}

/// V-7.2-11: in a joiner's tree a leaf that came by an Update is signed for its place.
#[test]
fn an_updates_leaf_without_its_place() -> Result<(), Error> {
    let error = refused_tree(plain(), |insider| {
        let mut content = LeafNodeContent::clone(insider.tree.leaf(insider.leaf).unwrap());
        content.source = LeafNodeSource::Update;
        signed(content, None, &insider.signer)
    })?;
    assert_violation(&error, Violation::LeafSignature);
    Ok(())
}

/// V-7.2-12: every field of a leaf is signed.
#[test]
fn a_leaf_that_was_changed_after_it_was_signed() -> Result<(), Error> {
    let changes: [Edit; 7] = [
        |leaf| {
            let mut key = leaf.encryption_key.as_bytes().to_vec();
            key[0] ^= 1;
            leaf.encryption_key = HpkePublicKey::new(&key);
        },
        |leaf| leaf.credential = Credential::basic("somebody else"),
        |leaf| leaf.capabilities.versions.push(9),
        |leaf| leaf.capabilities.cipher_suites.swap(0, 1),
        |leaf| leaf.capabilities.credentials.push(circlet::identity::CredentialType(0x1a1a)),
        |leaf| leaf.extensions.set(Extension::application_id("another").unwrap()),
        |leaf| {
            if let LeafNodeSource::KeyPackage(Lifetime { not_after, .. }) = &mut leaf.source {
                *not_after += 1;
            }
        },
    ];
    for change in changes {
        let mut group = TestGroup::new(SUITE, 2)?;
        let mut newcomer = group.newcomer("new")?;
        let key_package = newcomer.forge_key_package().edit(|content| {
            let mut leaf = LeafNodeContent::clone(&content.leaf_node);
            change(&mut leaf);
            let signature = signature_of(&content.leaf_node);
            content.leaf_node = leaf_with_signature(leaf, signature).unwrap();
        });
        refuses_add(&mut group, key_package.build()?)?;
    }
    for change in changes.into_iter().take(6) {
        let error = refused_tree(plain(), |insider| {
            let leaf = insider.tree.leaf(insider.leaf).unwrap();
            let mut content = LeafNodeContent::clone(leaf);
            change(&mut content);
            leaf_with_signature(content, signature_of(leaf))
        })?;
        assert_violation(&error, Violation::LeafSignature);
    }
    Ok(())
}
