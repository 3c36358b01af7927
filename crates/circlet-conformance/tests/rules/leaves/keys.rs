//! Keys are in the tree once (section 7.3).

use circlet::Error;
use circlet::crypto::HpkePublicKey;
use circlet::identity::{Signer, SigningKey};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::{Heard, TestGroup};
use circlet::tree::{LeafNode, LeafNodeContent, LeafPosition};

use super::{goes_on, plain, refused_tree};
use crate::support::{SUITE, assert_violation};

fn group() -> Result<TestGroup, Error> {
    TestGroup::new(SUITE, 4)
}

fn encryption_key(group: &mut TestGroup, member: usize) -> Result<HpkePublicKey, Error> {
    let leaf = group.leaf(member)?;
    Ok(group.members[0].state().tree().leaf(leaf).unwrap().encryption_key.clone())
}

/// A new member with this signature key.
fn add_signing_with(group: &mut TestGroup, signer: &SigningKey) -> Result<Proposal, Error> {
    let mut newcomer = group.newcomer("new")?;
    newcomer.signer = signer.clone();
    Ok(Proposal::Add(newcomer.key_package()?))
}

/// A new member with this encryption key.
fn add_encrypted_to(group: &mut TestGroup, key: &HpkePublicKey) -> Result<Proposal, Error> {
    let (mut newcomer, key) = (group.newcomer("new")?, key.clone());
    let key_package = newcomer.forge_key_package().leaf(|leaf| leaf.encryption_key = key);
    Ok(Proposal::Add(key_package.build()?))
}

/// Why member 0 refuses a Commit of member 1 with these proposals, and member 3's Update if there
/// is one.
fn refused(
    group: &mut TestGroup,
    by_value: impl IntoIterator<Item = Proposal>,
    update: Option<Proposal>,
) -> Result<Error, Error> {
    let mut insider = group.insider(1)?;
    if let Some(update) = update {
        let update = group.insider(3)?.proposal(update)?.public()?;
        group.members[0].receive(&update)?;
        insider.remember(&update)?;
    }
    let commit = insider.commit().waiting().proposals(by_value).private()?;
    let error = group.refuses(0, commit);
    goes_on(group, &mut insider)?;
    Ok(error)
}

/// V-7.3-13: an Update brings the signature key, or the encryption key, of another member.
#[test]
fn an_update_with_a_key_that_is_taken() -> Result<(), Error> {
    let mut group = group()?;
    let other = group.members[2].signer.clone();
    let taken = other.public_key().clone();
    let mut insider = group.insider(3)?;
    let update = insider.update().edit(|leaf| leaf.signature_key = taken).signer(other);
    let update = update.proposal()?;
    let error = refused(&mut group, [], Some(update))?;
    assert_violation(&error, Violation::DuplicateSignatureKey);

    let mut group = self::group()?;
    let taken = encryption_key(&mut group, 2)?;
    let mut insider = group.insider(3)?;
    let update = insider.update().edit(|leaf| leaf.encryption_key = taken).proposal()?;
    let error = refused(&mut group, [], Some(update))?;
    assert_violation(&error, Violation::DuplicateEncryptionKey);
    Ok(())
}

/// V-7.3-13: a path's leaf brings the signature key, or the encryption key, of another member.
#[test]
fn a_path_with_a_key_that_is_taken() -> Result<(), Error> {
    let mut group = group()?;
    let other = group.members[2].signer.clone();
    let mut insider = group.insider(1)?;
    let taken = other.public_key().clone();
    let commit = insider.commit().leaf(|leaf| leaf.signature_key = taken).leaf_signer(other);
    let error = group.refuses(0, commit.public()?);
    assert_violation(&error, Violation::DuplicateSignatureKey);

    let taken = encryption_key(&mut group, 2)?;
    let commit = insider.commit().leaf(|leaf| leaf.encryption_key = taken).public()?;
    // Of paths, section 12.4.2 says the same in its own words.
    assert_violation(&group.refuses(0, commit), Violation::PathKeyReused);
    goes_on(&mut group, &mut insider)
}

/// V-7.3-13: an Add brings the signature key, or the encryption key, of a member.
#[test]
fn an_add_with_a_key_that_is_taken() -> Result<(), Error> {
    let mut group = group()?;
    let other = group.members[2].signer.clone();
    let add = add_signing_with(&mut group, &other)?;
    // Who has the same signature key is the same client (section 12.2).
    assert_violation(&refused(&mut group, [add], None)?, Violation::AddedMember);
    let mut group = self::group()?;
    let taken = encryption_key(&mut group, 2)?;
    let add = add_encrypted_to(&mut group, &taken)?;
    assert_violation(&refused(&mut group, [add], None)?, Violation::DuplicateEncryptionKey);
    Ok(())
}

/// V-7.3-13: two Adds bring the same signature key, or the same encryption key.
#[test]
fn two_adds_with_one_key() -> Result<(), Error> {
    let mut group = group()?;
    let signer = group.newcomer("any")?.signer;
    let adds = [add_signing_with(&mut group, &signer)?, add_signing_with(&mut group, &signer)?];
    assert_violation(&refused(&mut group, adds, None)?, Violation::AddedTwice);
    let mut group = self::group()?;
    let key = HpkePublicKey::new(group.newcomer("any")?.key_package()?.init_key.as_bytes());
    let adds = [add_encrypted_to(&mut group, &key)?, add_encrypted_to(&mut group, &key)?];
    assert_violation(&refused(&mut group, adds, None)?, Violation::DuplicateEncryptionKey);
    Ok(())
}

/// V-7.3-13: an Add and an Update of one Commit bring the same key.
#[test]
fn an_add_and_an_update_with_one_key() -> Result<(), Error> {
    let mut group = group()?;
    let signer = group.newcomer("any")?.signer;
    let (taken, signs) = (signer.public_key().clone(), signer.clone());
    let mut insider = group.insider(3)?;
    let update = insider.update().edit(|leaf| leaf.signature_key = taken).signer(signs);
    let update = update.proposal()?;
    let add = add_signing_with(&mut group, &signer)?;
    let error = refused(&mut group, [add], Some(update))?;
    assert_violation(&error, Violation::AddedMember);

    let mut group = self::group()?;
    let mut insider = group.insider(3)?;
    let update = insider.update().build()?;
    let add = add_encrypted_to(&mut group, &update.leaf.encryption_key.clone())?;
    let error = refused(&mut group, [add], Some(Proposal::Update(update.leaf)))?;
    assert_violation(&error, Violation::DuplicateEncryptionKey);
    Ok(())
}

/// V-7.3-13: a joiner's tree has a signature key, or an encryption key, twice.
#[test]
fn a_tree_with_a_key_twice() -> Result<(), Error> {
    let again = |change: fn(&mut LeafNodeContent, &LeafNode)| {
        refused_tree(plain(), |insider| {
            let (_, first) = insider.tree.members().next().unwrap();
            let mut content = LeafNodeContent::clone(insider.tree.leaf(insider.leaf).unwrap());
            change(&mut content, first);
            let group_id = insider.context.group_id.as_bytes();
            let position = LeafPosition { group_id, leaf_index: insider.leaf };
            Ok(LeafNode::sign(content, position, &insider.signer)?)
        })
    };
    let error = again(|leaf, first| leaf.encryption_key = first.encryption_key.clone())?;
    assert_violation(&error, Violation::DuplicateEncryptionKey);

    // Here the first member has the key of the one that welcomes.
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    let mut commit = insider.commit().proposals([add]).without_path().private()?;
    let (place, first) = commit.next.tree.members().next().unwrap();
    let mut content = LeafNodeContent::clone(first);
    content.signature_key = insider.signer.public_key().clone();
    let position = LeafPosition { group_id: b"a group", leaf_index: place };
    let leaf = LeafNode::sign(content, position, &insider.signer)?;
    let node = Some(circlet::testing::Node::Leaf(leaf));
    let welcome = commit.welcome().edit_tree(|nodes| nodes[0] = node).build()?;
    let error = newcomer.refuses(welcome);
    assert_violation(&error, Violation::DuplicateSignatureKey);
    newcomer.join(commit.welcome().build()?)
}

/// V-7.3-14: a key is free in the Commit that removes who had it, for an Add and for an Update.
#[test]
fn the_key_of_a_removed_member_is_free() -> Result<(), Error> {
    let mut group = group()?;
    let (signer, removed) = (group.members[2].signer.clone(), group.leaf(2)?);
    let add = add_signing_with(&mut group, &signer)?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([Proposal::Remove(removed), add]).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));

    let mut group = self::group()?;
    let taken = signer.public_key().clone();
    let mut insider = group.insider(3)?;
    let update = insider.update().edit(|leaf| leaf.signature_key = taken).signer(signer);
    let update = update.proposal()?;
    let update = insider.proposal(update)?.public()?;
    group.members[0].receive(&update)?;
    let mut insider = group.insider(1)?;
    insider.remember(&update)?;
    let commit = insider.commit().waiting().proposals([Proposal::Remove(removed)]).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    Ok(())
}
