//! The testing room, as a user of the library sees it: every kind of closure can be written from
//! outside of the crate.

use circlet::Error;
use circlet::codec::{DecodeContext, Encode, Limits};
use circlet::crypto::{CipherSuite, Mac, Secret};
use circlet::group::HandshakeFormat;
use circlet::identity::{Credential, Signer};
use circlet::message::{Content, ContentType, GroupId, Proposal, Sender};
use circlet::rules::Violation;
use circlet::testing::{
    Heard, NOW, Node, TestGroup, encode_nodes, extensions_unchecked, leaf_with_signature,
    nodes_hash, tree_nodes,
};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, LeafNodeSource, Lifetime};

const SUITE: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;

#[test]
fn groups_of_all_kinds() -> Result<(), Error> {
    let limits = Limits { past_epochs: 1, ..Limits::default() };
    let mut group = TestGroup::builder(SUITE)
        .size(3)
        .group_id(*b"another")
        .context(DecodeContext { limits, ..DecodeContext::default() })
        .handshake(HandshakeFormat::Public)
        .seed(5)
        .build()?;
    group.members[2].now = Some(NOW + 10);
    let late = group.members[1].send(b"late")?;
    group.propose(1, Proposal::Remove(LeafIndex(2)))?;
    let committed = group.update(0)?;
    assert_eq!(committed.outcome.removed.len(), 1);
    assert!(!group.members[2].is_active());
    assert!(matches!(group.members[0].receive(&late)?, Heard::Message(_)));
    group.update(1)?;
    assert!(matches!(group.members[0].refuses(&late), Error::Unready(_)));
    Ok(())
}

#[test]
fn frames() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut eve = group.insider(1)?;
    let (group_id, key) = (GroupId::new(b"x"), eve.signer.clone());
    let other_group = eve
        .application(b"x")?
        .edit_content(|content| {
            content.group_id = group_id.clone();
            content.epoch += 1;
            content.sender = Sender::Member(LeafIndex(2));
            content.content = Content::Application(vec![1]);
        })
        .signer(key)
        .edit_signature(|signature| signature.0.push(1))
        .edit_auth(|auth| auth.confirmation_tag = Some(Mac(vec![0; 32])))
        .edit_header(|header| header.content_type = ContentType::Commit)
        .edit_plaintext(|plaintext| plaintext.truncate(3))
        .edit_sender_data(|data| data.reuse_guard = [0; 4])
        .edit_private(|message| message.ciphertext.truncate(4))
        .private()?;
    assert!(matches!(group.members[0].refuses(other_group), Error::Unready(_)));
    let tagless = eve.proposal(Proposal::Remove(LeafIndex(2)))?;
    let tagless = tagless.edit_public(|message| message.membership_tag = Some(Mac(Vec::new())));
    let error = group.members[0].refuses(tagless.public()?);
    assert!(matches!(error, Error::Violation(Violation::MembershipTag)), "{error:?}");
    Ok(())
}

#[test]
fn commits_and_welcomes() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let lifetime = Lifetime { not_before: 0, not_after: u64::MAX };
    let too_long = newcomer.forge_key_package().leaf(|leaf| {
        leaf.source = LeafNodeSource::KeyPackage(lifetime);
        leaf.credential = Credential::basic("somebody");
    });
    too_long.edit(|content| content.extensions = Extensions::new()).build()?;
    let add = Proposal::Add(newcomer.key_package()?);

    let mut eve = group.insider(1)?;
    let key = eve.signer.public_key().clone();
    let mut commit = eve
        .commit()
        .proposals([add])
        .edit_steps(|steps| steps.iter_mut().for_each(|step| step.path_secret = Secret::new(&[])))
        .leaf(move |leaf| leaf.signature_key = key)
        .edit_seals(|seal| seal.plaintext.push(seal.context[0]))
        .edit_path(|path| path.nodes[0].encrypted_path_secret[0].ciphertext[0] ^= 1)
        .edit_commit(|commit| commit.proposals.reverse())
        .edit_context(|context| context.epoch += 0)
        .framed(|frame| frame.authenticated_data("data").edit_auth(|auth| auth.signature.0.clear()))
        .public()?;
    assert!(group.members[0].receive(&commit).is_err());

    let duplicate = Extension { extension_type: ExtensionType(0xf000), data: vec![1] };
    let twice = extensions_unchecked(vec![duplicate.clone(), duplicate]);
    let welcome = commit
        .welcome()
        .edit_tree(|nodes| {
            let Some(Node::Leaf(leaf)) = &nodes[0] else { panic!("a leaf") };
            let content = (**leaf).clone();
            let signature = circlet::crypto::Signature(vec![1]);
            nodes[0] = Some(Node::Leaf(leaf_with_signature(content, signature).unwrap()));
        })
        .edit_context(|context| context.extensions = twice)
        .edit_group_info(|info| info.signer = LeafIndex(9))
        .edit_group_info_bytes(|bytes| bytes.push(0))
        .edit_secrets(|_, secrets| secrets.psks.clear())
        .edit_secrets_bytes(|_, bytes| bytes.push(1))
        .edit_welcome(|welcome| welcome.secrets.push(welcome.secrets[0].clone()))
        .build()?;
    assert!(newcomer.join(&welcome).is_err());
    assert_eq!(newcomer.keys.len(), 2);
    Ok(())
}

/// Our own encoding and hash of a list of nodes are those of the tree.
#[test]
fn nodes() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 6)?;
    group.remove(0, 3)?;
    group.update(4)?;
    let state = group.members[0].state();
    let nodes = tree_nodes(state.tree());
    assert_eq!(encode_nodes(&nodes)?, state.ratchet_tree()?);
    let hash = nodes_hash(group.members[0].suite(), &nodes)?;
    assert_eq!(hash.as_bytes(), state.context().tree_hash);
    let bytes = group.insider(1)?.group_info().external_pub().message()?;
    assert!(bytes.len() > state_bytes(&nodes)?);
    Ok(())
}

fn state_bytes(nodes: &[Option<Node>]) -> Result<usize, Error> {
    let leaf = nodes.iter().flatten().find_map(Node::leaf);
    Ok(leaf.map(Encode::to_bytes).transpose().map(|bytes| bytes.unwrap_or_default().len())?)
}
