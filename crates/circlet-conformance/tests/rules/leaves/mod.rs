//! Leaves (sections 5.3, 7.2, 7.3 and 16.7), in each place where one comes into a group: in a
//! KeyPackage, an Update, the path of a member's Commit and of an external one, and the tree that a
//! joiner gets.

mod capabilities;
mod credentials;
mod keys;
mod lifetimes;
mod signatures;
mod validity;

use std::sync::Arc;

use circlet::Error;
use circlet::codec::{CustomProposal, DecodeContext};
use circlet::identity::{
    CredentialCheck, CredentialRejected, CredentialType, CredentialValidator, SigningKey,
};
use circlet::message::{Content, MlsMessage, Proposal, PublicMessage, Sender};
use circlet::rules::Violation;
use circlet::testing::{Heard, Insider, Node, Outsider, TestGroup, TestGroupBuilder};
use circlet::tree::{
    ExtensionType, Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafPosition, ProposalType,
    RequiredCapabilities,
};

use crate::support::{SUITE, assert_violation};

/// What a leaf has that it should not have.
type Edit = fn(&mut LeafNodeContent);

/// Types that all members of [`demanding`] know.
const EXTENSION: ExtensionType = ExtensionType(0xF001);
const PROPOSAL: ProposalType = ProposalType(0xF002);
const CREDENTIAL: CredentialType = CredentialType(0xF003);

/// Accepts every credential, so that only the rules are left.
#[derive(Clone, Copy, Debug)]
struct Anybody;

impl CredentialValidator for Anybody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }
}

fn plain() -> TestGroupBuilder {
    TestGroup::builder(SUITE)
}

/// A group that requires a type of each kind.
fn demanding() -> TestGroupBuilder {
    let mut context = DecodeContext::default();
    context.extension_types.insert(EXTENSION.0);
    context.proposal_types.insert(PROPOSAL.0, CustomProposal::default());
    context.credential_types.insert(CREDENTIAL.0);
    let required = RequiredCapabilities {
        extension_types: vec![EXTENSION],
        proposal_types: vec![PROPOSAL],
        credential_types: vec![CREDENTIAL],
    };
    let extensions = Extensions::from_iter([required.to_extension().unwrap()]);
    plain().context(context).extensions(extensions)
}

fn open_to_anybody(builder: TestGroupBuilder) -> Result<TestGroup, Error> {
    let mut group = builder.size(3).build()?;
    for member in &mut group.members {
        member.validator = Arc::new(Anybody);
    }
    Ok(group)
}

/// Member 0 still takes an honest Commit of the insider.
fn goes_on(group: &mut TestGroup, insider: &mut Insider) -> Result<(), Error> {
    let honest = insider.commit().public()?;
    assert!(matches!(group.members[0].receive(&honest)?, Heard::Commit(_)));
    Ok(())
}

/// Why members refuse a KeyPackage with such a leaf, in an Add alone or in a Commit.
#[track_caller]
fn refused_in_add(builder: TestGroupBuilder, edit: Edit) -> Result<Error, Error> {
    let mut group = open_to_anybody(builder)?;
    let key_package = group.newcomer("new")?.forge_key_package().leaf(edit).build()?;
    let mut insider = group.insider(1)?;
    let add = Proposal::Add(key_package);
    let commit = insider.commit().proposals([add.clone()]).private()?;
    let error = group.refuses(0, commit);
    let commit = insider.commit().proposals([add]).public()?;
    assert_eq!(format!("{error}"), format!("{}", group.refuses(2, commit)));
    goes_on(&mut group, &mut insider)?;
    Ok(error)
}

/// Why members refuse an Update with such a leaf: alone, or else in the Commit that takes it.
#[track_caller]
fn refused_in_update(builder: TestGroupBuilder, edit: Edit) -> Result<Error, Error> {
    let mut group = open_to_anybody(builder)?;
    let update = group.insider(2)?.update().edit(edit).proposal()?;
    let update = group.insider(2)?.proposal(update)?.public()?;
    let before = group.members[0].fingerprint()?;
    let error = match group.members[0].receive(&update) {
        Err(error) => {
            assert_eq!(before, group.members[0].fingerprint()?);
            error
        }
        Ok(_) => {
            let mut insider = group.insider(1)?;
            insider.remember(&update)?;
            let commit = insider.commit().waiting().private()?;
            group.refuses(0, commit)
        }
    };
    let mut insider = group.insider(1)?;
    goes_on(&mut group, &mut insider)?;
    Ok(error)
}

/// Why members refuse a path with such a leaf.
#[track_caller]
fn refused_in_path(builder: TestGroupBuilder, edit: Edit) -> Result<Error, Error> {
    let mut group = open_to_anybody(builder)?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().leaf(edit).private()?;
    let error = group.refuses(0, commit);
    goes_on(&mut group, &mut insider)?;
    Ok(error)
}

/// Why members refuse such a leaf of somebody who joins by an external Commit. It is signed as it
/// should be; what is encrypted and tagged with the Commit is over the leaf as it was.
#[track_caller]
fn refused_in_external_commit(builder: TestGroupBuilder, edit: Edit) -> Result<Error, Error> {
    refused_external_leaf(builder, |leaf, position, signer| {
        let mut content = LeafNodeContent::clone(leaf);
        edit(&mut content);
        Ok(LeafNode::sign(content, position, signer)?)
    })
}

/// Why members refuse an external Commit with another leaf in its path.
#[track_caller]
fn refused_external_leaf(
    builder: TestGroupBuilder,
    edit: impl FnOnce(&LeafNode, LeafPosition<'_>, &SigningKey) -> Result<LeafNode, Error>,
) -> Result<Error, Error> {
    let mut group = open_to_anybody(builder)?;
    let mut joiner = group.newcomer("new")?;
    joiner.validator = Arc::new(Anybody);
    let info = group.insider(1)?.group_info().external_pub().build()?;
    let staged = joiner.external_join(info, None, Vec::new())?;
    let MlsMessage::Public(PublicMessage { content, auth, .. }) =
        MlsMessage::read(staged.message(), &joiner.settings.context)?
    else {
        panic!("not public")
    };
    let Content::Commit(mut commit) = content.content else { panic!("no Commit") };
    let context = group.members[0].state().context().clone();
    let place = group.members[0].state().tree().members().count() as u32;
    let (group_id, leaf_index) = (context.group_id.as_bytes(), LeafIndex(place));
    let path = commit.path.as_mut().unwrap();
    path.leaf_node = edit(&path.leaf_node, LeafPosition { group_id, leaf_index }, &joiner.signer)?;
    let mut outsider = Outsider::new(joiner.suite(), "new", 7)?;
    outsider.signer = joiner.signer.clone();
    let content = Content::Commit(commit);
    let frame = outsider.content(&context, Sender::NewMemberCommit, content)?;
    let forged = frame.edit_confirmation_tag(|tag| *tag = auth.confirmation_tag).public()?;
    let error = group.refuses(0, forged);
    assert!(matches!(group.members[0].receive(staged.message())?, Heard::Commit(_)));
    Ok(error)
}

/// Why a joiner refuses a tree with such a leaf of the member that welcomes it; it keeps its key
/// package, and joins by a Welcome that is as it should be.
#[track_caller]
fn refused_on_join(builder: TestGroupBuilder, edit: Edit) -> Result<Error, Error> {
    refused_tree(builder, |insider| Ok(edited(insider, edit)))
}

/// Why a joiner refuses a tree in which the welcoming member has this leaf.
#[track_caller]
fn refused_tree(
    builder: TestGroupBuilder,
    leaf: impl FnOnce(&Insider) -> Result<LeafNode, Error>,
) -> Result<Error, Error> {
    let mut group = open_to_anybody(builder)?;
    let mut newcomer = group.newcomer("new")?;
    newcomer.validator = Arc::new(Anybody);
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    let mut commit = insider.commit().proposals([add]).without_path().private()?;
    let leaf = leaf(&commit.next)?;
    let place = commit.next.leaf.node().unwrap().0 as usize;
    let welcome = commit.welcome().edit_tree(|nodes| {
        nodes[place] = Some(Node::Leaf(leaf));
        // The hashes in them are over the leaf as it was.
        nodes.iter_mut().skip(1).step_by(2).for_each(|parent| *parent = None);
    });
    let error = newcomer.refuses(welcome.build()?);
    assert_eq!(newcomer.keys.len(), 1);
    newcomer.join(commit.welcome().build()?)?;
    Ok(error)
}

/// The insider's own leaf, changed and signed again.
fn edited(insider: &Insider, edit: Edit) -> LeafNode {
    let mut content = LeafNodeContent::clone(insider.tree.leaf(insider.leaf).unwrap());
    edit(&mut content);
    let group_id = insider.context.group_id.as_bytes();
    let position = LeafPosition { group_id, leaf_index: insider.leaf };
    LeafNode::sign(content, position, &insider.signer).unwrap()
}

/// The same violation in all five places.
#[track_caller]
fn refused_everywhere(
    builder: &TestGroupBuilder,
    edit: Edit,
    violation: Violation,
) -> Result<(), Error> {
    assert_violation(&refused_in_add(builder.clone(), edit)?, violation);
    assert_violation(&refused_in_update(builder.clone(), edit)?, violation);
    assert_violation(&refused_in_path(builder.clone(), edit)?, violation);
    assert_violation(&refused_in_external_commit(builder.clone(), edit)?, violation);
    assert_violation(&refused_on_join(builder.clone(), edit)?, violation);
    Ok(())
}
