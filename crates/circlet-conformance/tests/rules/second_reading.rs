//! What no official vector has a case of, although it is a computation, and what looks as if no
//! message could say it, although one can.

use circlet::codec::{Decode, DecodeContext, DecodeError, Encode};
use circlet::crypto::{CipherSuite, HpkePublicKey, SignaturePublicKey};
use circlet::group::{CommitRequest, ExternalJoin, HandshakeFormat, OpenedGroupInfo, StagedJoin};
use circlet::identity::{CredentialType, Signer};
use circlet::message::{
    Content, GroupContext, KeyPackage, MlsMessage, Proposal, PublicMessage, WireFormat,
};
use circlet::rules::Violation;
use circlet::testing::{
    Heard, Node, Outsider, TestGroup, TestMember, clients, default_capabilities, encode_nodes,
    external_senders, tree_nodes,
};
use circlet::tree::{
    Extension, ExtensionType, Extensions, LeafIndex, NodeIndex, ParentNode, ProposalType,
    RatchetTree,
};
use circlet::{Client, Error, Received};

use crate::support::{SUITE, assert_violation};

const KIND: ExtensionType = ExtensionType(0xf001);

fn extensions(data: &[u8]) -> Extensions {
    Extensions::from_iter([Extension { extension_type: KIND, data: data.to_vec() }])
}

/// A group whose members all support [`KIND`], which is among its extensions.
fn extended(size: usize) -> Result<TestGroup, Error> {
    let mut builder = TestGroup::builder(SUITE).size(size).extensions(extensions(b"first"));
    for i in 0..size {
        let mut capabilities = default_capabilities(SUITE)?;
        capabilities.extensions.push(KIND);
        builder = builder.capabilities(i, capabilities);
    }
    builder.build()
}

/// Somebody new who can be a member of [`extended`].
fn newcomer(group: &mut TestGroup) -> Result<TestMember, Error> {
    let mut newcomer = group.newcomer("new")?;
    newcomer.template.capabilities.extensions.push(KIND);
    Ok(newcomer)
}

fn without_path(by_value: impl Into<Vec<Proposal>>) -> CommitRequest {
    let by_value = by_value.into();
    CommitRequest { by_value, force_path: false, ..CommitRequest::default() }
}

/// An external Commit by which somebody joins, perhaps in the place of an old leaf.
fn join(
    group: &mut TestGroup,
    joiner: &TestMember,
    replaces: Option<LeafIndex>,
) -> Result<StagedJoin, Error> {
    let info = group.insider(0)?.group_info().external_pub().build()?;
    let opened = OpenedGroupInfo::open(joiner.settings.clone(), info, None)?;
    let reviewed = opened.review(&*joiner.validator)?;
    let leaf = joiner.template.clone();
    let request = ExternalJoin { leaf, replaces, psks: Vec::new(), authenticated_data: Vec::new() };
    reviewed.join(request, &joiner.judge(), &joiner.signer, &mut joiner.rng.clone())
}

/// V-2.0-05, V-2.0-06: values that nobody knows can be read wherever there is a list, and are
/// written again as they were: signatures and hashes over them stay right for everybody.
#[test]
fn v_2_0_06_unknown_values_are_kept() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut newcomer = group.newcomer("new")?;
    let unknown = |data: &[u8]| Extension { extension_type: KIND, data: data.to_vec() };
    let forged = newcomer.forge_key_package().leaf(|leaf| {
        // In no order, and more than once.
        let capabilities = &mut leaf.capabilities;
        capabilities.versions.extend([0xffff, 0, 2, 0xffff]);
        capabilities.cipher_suites.extend([0xffff, 0, 8, 0xffff].map(CipherSuite));
        capabilities.extensions.extend([0xf001, 0, 6, 0xf001].map(ExtensionType));
        capabilities.proposals.extend([0xf001, 0, 8, 0xf001].map(ProposalType));
        capabilities.credentials.extend([0xf001, 0, 3, 0xf001].map(CredentialType));
        leaf.extensions.set(unknown(b"of a leaf"));
    });
    let key_package = forged.edit(|it| it.extensions.set(unknown(b"of a KeyPackage"))).build()?;
    let bytes = key_package.to_bytes()?;
    let read = KeyPackage::from_bytes(&bytes, &DecodeContext::default())?;
    assert_eq!(read, key_package);
    assert_eq!(read.to_bytes()?, bytes);
    let lists = &read.leaf_node.capabilities;
    assert_eq!(lists.versions[1..], [0xffff, 0, 2, 0xffff]);
    assert!(lists.cipher_suites.ends_with(&[0xffff, 0, 8, 0xffff].map(CipherSuite)));
    assert!(lists.proposals.ends_with(&[0xf001, 0, 8, 0xf001].map(ProposalType)));
    let committed = group.commit_with(1, [Proposal::Add(read)])?;
    // The joiner's tree hash and the signatures of all leaves are over the bytes.
    newcomer.join(committed.welcome.unwrap())?;
    group.members.push(newcomer);
    group.agree();
    group.update(2)?;
    Ok(())
}

/// V-6.3.2-02: of a ciphertext that is shorter than the hash, all is sampled: the sender data is
/// read, and the content refused.
#[test]
fn v_6_3_2_02_a_ciphertext_that_is_shorter_than_the_sample() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let frame = group.insider(1)?.application(b"hello")?.edit_plaintext(Vec::clear);
    let message = frame.private()?;
    let MlsMessage::Private(read) = MlsMessage::read(&message.message, &DecodeContext::default())?
    else {
        panic!("not private")
    };
    assert_eq!(read.ciphertext.len(), 16, "a tag and nothing else");
    let error = group.refuses(0, message);
    assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    Ok(())
}

/// V-7.5-03: a path blanks the nodes of the direct path that it has no key for. Members never see
/// one that is not blank before; a joiner may be given one.
#[test]
fn v_7_5_03_what_is_not_in_the_filtered_path_becomes_blank() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    group.update(0)?;
    let mut nodes = tree_nodes(group.members[0].state().tree());
    assert!(matches!(nodes[1], Some(Node::Parent(_))));
    nodes[2] = None;
    let mut tree = read_tree(&nodes)?;
    assert!(tree.parent(NodeIndex(1)).is_some());
    let suite = group.members[0].suite();
    let key = HpkePublicKey::new(&[7; 32]);
    tree.set_path(suite, LeafIndex(0), std::slice::from_ref(&key)).unwrap();
    assert_eq!(tree.parent(NodeIndex(1)), None);
    let root =
        ParentNode { encryption_key: key, parent_hash: Vec::new(), unmerged_leaves: Vec::new() };
    assert_eq!(tree.parent(NodeIndex(3)), Some(&root));
    Ok(())
}

fn read_tree(nodes: &[Option<Node>]) -> Result<RatchetTree, Error> {
    let tree = RatchetTree::from_wire(&encode_nodes(nodes)?, &DecodeContext::default());
    Ok(tree.expect("a tree of the right shape"))
}

/// V-7.7-01, V-12.3-03: a tree is halved as often as its right half is blank, before anybody is
/// added by the same Commit, and by joiners as by members.
#[test]
fn v_7_7_01_trees_are_halved_as_often_as_they_can_be() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 5)?;
    let width = |group: &TestGroup| group.members[0].state().tree().width().leaves();
    assert_eq!(width(&group), 8);
    let remove = |leaf| Proposal::Remove(LeafIndex(leaf));
    // The last one's place is free and its half gone when somebody is added.
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let committed = group.commit_with(1, [add, remove(4), remove(3)])?;
    assert_eq!(committed.outcome.added[0].leaf_index, LeafIndex(3));
    assert_eq!(width(&group), 4);
    newcomer.join(committed.welcome.unwrap())?;
    group.members.push(newcomer);
    group.agree();
    // From eight places to two in one Commit, and to one.
    let fifth = group.add(0, "fifth")?;
    assert_eq!((group.leaf(fifth)?, width(&group)), (LeafIndex(4), 8));
    group.commit_with(0, [remove(2), remove(3), remove(4)])?;
    assert_eq!(width(&group), 2);
    group.commit_with(0, [remove(1)])?;
    assert_eq!(width(&group), 1);
    group.add(0, "again")?;
    group.update(0)?;
    Ok(())
}

/// V-7.9-02: who joined since a path was made is in no list of unmerged leaves of the tree that the
/// path's parent hashes are over.
#[test]
fn v_7_9_02_unmerged_leaves_below_the_sibling() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 7)?;
    group.update(4)?;
    group.update(0)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let committed = group.commit(0, without_path([add]))?;
    // The root's path came from the left; the newcomer is unmerged there, and also in the node
    // below on the right, whose original tree hash the parent hash is over.
    let tree = group.members[0].state().tree();
    for node in [7, 11] {
        assert_eq!(tree.parent(NodeIndex(node)).unwrap().unmerged_leaves, [LeafIndex(7)]);
    }
    newcomer.join(committed.welcome.unwrap())?;
    group.members.push(newcomer);
    group.agree();
    group.update(7)?;
    Ok(())
}

/// V-8.1-04: no Commit changes the group's extensions but one with a GroupContextExtensions; one
/// that computes with others is refused.
#[test]
fn v_8_1_04_extensions_stay() -> Result<(), Error> {
    let mut group = extended(3)?;
    let of = |group: &TestGroup| group.members[0].state().context().extensions.clone();
    let mut newcomer = newcomer(&mut group)?;
    let added = group.members.len();
    let add = Proposal::Add(newcomer.key_package()?);
    newcomer.join(group.commit_with(1, [add])?.welcome.unwrap())?;
    group.members.push(newcomer);
    group.propose(1, None)?;
    group.update(0)?;
    group.remove(0, added)?;
    assert_eq!(of(&group), extensions(b"first"));
    for other in [extensions(b"other"), Extensions::new()] {
        let mut eve = group.insider(1)?;
        let with_path = eve.commit().edit_extensions(|held| *held = other.clone()).private()?;
        assert_violation(&group.refuses(0, with_path), Violation::PathDecryption);
        let mut joiner = group.newcomer("another")?;
        joiner.template.capabilities.extensions.push(KIND);
        let add = Proposal::Add(joiner.key_package()?);
        let commit = eve.commit().proposals([add]).without_path();
        let commit = commit.edit_extensions(|held| *held = other).private()?;
        assert_violation(&group.refuses(0, commit), Violation::ConfirmationTag);
    }
    let mut joiner = group.newcomer("external")?;
    joiner.template.capabilities.extensions.push(KIND);
    let staged = join(&mut group, &joiner, None)?;
    group.broadcast(usize::MAX, staged.message())?;
    joiner.enter(staged.confirm());
    group.members.push(joiner);
    group.agree();
    assert_eq!(of(&group), extensions(b"first"));
    group.commit_with(0, [Proposal::GroupContextExtensions(extensions(b"second"))])?;
    assert_eq!(of(&group), extensions(b"second"));
    Ok(())
}

/// V-7.6-03, V-12.4.1-02: path secrets are bound to the context that the Commit leads to, with the
/// transcript hash of the one that it ends: the new extensions are in it, and whatever is not as
/// it should be is seen.
#[test]
fn v_7_6_03_the_provisional_context() -> Result<(), Error> {
    let mut group = extended(3)?;
    let change = || Proposal::GroupContextExtensions(extensions(b"second"));
    type Edit = fn(&mut GroupContext);
    let edits: [Edit; 5] = [
        |context| context.extensions = extensions(b"first"),
        |context| context.epoch -= 1,
        |context| context.tree_hash[0] ^= 1,
        |context| context.confirmed_transcript_hash[0] ^= 1,
        |context| context.group_id = circlet::message::GroupId::new(b"another"),
    ];
    for edit in edits {
        let mut eve = group.insider(1)?;
        let commit = eve.commit().proposals([change()]).edit_path_context(edit).private()?;
        assert_violation(&group.refuses(0, commit), Violation::PathDecryption);
    }
    // One that is made beside the library is read by it, and one of the library by all.
    let commit = group.insider(1)?.commit().proposals([change()]).private()?;
    group.broadcast(1, &commit)?;
    group.members[1].enter(commit.next.into_state()?);
    group.agree();
    group.commit_with(2, [Proposal::GroupContextExtensions(extensions(b"third"))])?;
    Ok(())
}

/// V-12.1.1-03: a new leaf has its place in the order of unmerged leaves, also where a leaf to the
/// left of them was blank, as only a joiner could be told.
#[test]
fn v_12_1_1_03_unmerged_leaves_stay_in_order() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    group.update(0)?;
    let last = group.add(0, "last")?;
    let mut joined = group.newcomer("new")?;
    let leaf = joined.key_package()?.leaf_node.clone();
    let mut nodes = tree_nodes(group.members[last].state().tree());
    nodes[4] = None;
    nodes[5] = None;
    let Some(root) = nodes[3].as_mut().and_then(Node::parent_mut) else { panic!("no root") };
    root.unmerged_leaves = vec![LeafIndex(3)];
    let mut tree = read_tree(&nodes)?;
    assert_eq!(tree.add(leaf, 4).unwrap(), LeafIndex(2));
    let root = tree.parent(NodeIndex(3)).unwrap();
    assert_eq!(root.unmerged_leaves, [LeafIndex(2), LeafIndex(3)]);
    Ok(())
}

/// V-12.1.1-03: who is added below nodes that keep their keys is unmerged in each of them.
#[test]
fn v_12_1_1_03_who_is_added_is_unmerged() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 7)?;
    group.update(6)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    group.commit(0, without_path([add]))?;
    let tree = group.members[0].state().tree();
    let unmerged: Vec<(u32, &[LeafIndex])> =
        tree.parents().map(|(node, parent)| (node.0, &*parent.unmerged_leaves)).collect();
    let new: &[LeafIndex] = &[LeafIndex(7)];
    assert_eq!(unmerged, [(7, new), (3, &[]), (1, &[]), (11, new)]);
    Ok(())
}

/// V-12.1.8-05: an external sender has a key of the group's suite, wherever it is set: who makes the
/// group, who proposes and who commits it is refused, and who receives it refuses it.
#[test]
fn v_12_1_8_05_keys_of_external_senders() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let server = Outsider::new(group.members[0].suite(), "server", 7)?;
    let mut small_order = [0; 32];
    small_order[0] = 1;
    for key in [&[] as &[u8], &[7; 31], &[0xff; 32], &small_order] {
        let mut entry = server.entry();
        entry.signature_key = SignaturePublicKey::new(key);
        let senders = Extensions::from_iter([external_senders(&[server.entry(), entry])?]);
        let proposal = || Proposal::GroupContextExtensions(senders.clone());
        let mut eve = group.insider(1)?;
        let commit = eve.commit().proposals([proposal()]).private()?;
        let alone = eve.proposal(proposal())?.private()?;
        for message in [&commit.message, &alone.message] {
            let error = group.refuses(0, message);
            assert_violation(&error, Violation::InvalidSignatureKey);
        }
        let error = group.members[0].propose(proposal()).unwrap_err();
        assert_violation(&error, Violation::InvalidSignatureKey);
        let request = CommitRequest { by_value: vec![proposal()], ..CommitRequest::default() };
        let error = group.members[0].stage(request).unwrap_err();
        assert_violation(&error, Violation::InvalidSignatureKey);
        let error = group.newcomer("founder")?.create(b"another", senders).unwrap_err();
        assert_violation(&error, Violation::InvalidSignatureKey);
    }
    let sound = Extensions::from_iter([external_senders(&[server.entry()])?]);
    group.commit_with(1, [Proposal::GroupContextExtensions(sound)])?;
    Ok(())
}

/// V-12.4.1-04: a Commit is signed with the committer's key and for the context of the epoch that
/// it ends, in both forms, also where the context changes with it.
#[test]
fn v_12_4_1_04_a_commit_is_of_the_epoch_that_it_ends() -> Result<(), Error> {
    let mut group = extended(3)?;
    let change = Proposal::GroupContextExtensions(extensions(b"second"));
    for handshake in [HandshakeFormat::Public, HandshakeFormat::Private] {
        group.members[1].framing.handshake = handshake;
        let suite = group.members[0].suite().clone();
        let key = group.members[1].signer.public_key().clone();
        let old = group.members[0].state().context().to_bytes()?;
        let committed = group.commit_with(1, [change.clone()])?;
        let new = group.members[0].state().context().to_bytes()?;
        let context = DecodeContext::default();
        let MlsMessage::Public(message) = MlsMessage::read(&committed.message, &context)? else {
            assert_eq!(handshake, HandshakeFormat::Private);
            continue;
        };
        let PublicMessage { content, auth, .. } = message;
        assert!(matches!(content.content, Content::Commit(_)));
        for (context, signed) in [(old, true), (new, false)] {
            let tbs = content.to_be_signed(WireFormat::PublicMessage, &context)?;
            let verified = suite.verify_with_label(&key, "FramedContentTBS", &tbs, &auth.signature);
            assert_eq!(verified.is_ok(), signed);
        }
    }
    Ok(())
}

/// V-12.4.2-07: who joins by an external Commit gets the leftmost leaf that is blank once its old
/// one is removed, or the first of a half that is new.
#[test]
fn v_12_4_2_07_the_leaf_of_a_joiner() -> Result<(), Error> {
    // Who is removed before; whom the joiner was; where it is then; the tree's width.
    for (blank, old, expected, width) in [
        (None, None, 4, 8),
        (Some(1), None, 1, 4),
        (None, Some(2), 2, 4),
        (Some(1), Some(2), 1, 4),
        (Some(2), Some(1), 1, 4),
        // Its half of the tree is gone with it, and so is its old place.
        (Some(2), Some(3), 2, 4),
    ] {
        let mut group = TestGroup::new(SUITE, 4)?;
        if let Some(blank) = blank {
            group.remove(0, blank)?;
        }
        let mut joiner = match old {
            Some(old) => group.members.remove(old),
            None => group.newcomer("new")?,
        };
        let replaces = old.map(|_| joiner.leaf());
        let staged = join(&mut group, &joiner, replaces)?;
        for heard in group.broadcast(usize::MAX, staged.message())? {
            let Heard::Commit(outcome) = heard else { panic!("{heard:?}") };
            assert_eq!(outcome.committer.leaf_index, LeafIndex(expected));
        }
        joiner.enter(staged.confirm());
        assert_eq!(joiner.leaf(), LeafIndex(expected));
        assert_eq!(joiner.state().tree().width().leaves(), width);
        group.members.push(joiner);
        group.agree();
    }
    Ok(())
}

/// V-12.4.2-18: a Commit with this client's own key that does not wait here is no Commit: such as
/// one of a copy of its state. One without a path could even be processed.
#[test]
fn v_12_4_2_18_a_commit_of_ones_own_that_does_not_wait() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut copy = group.insider(1)?;
    for commit in [
        copy.commit().public()?,
        copy.commit().private()?,
        copy.commit().proposals([add.clone()]).without_path().private()?,
        copy.commit().proposals([add]).without_path().public()?,
    ] {
        let before = group.members[1].fingerprint()?;
        assert!(matches!(group.members[1].receive(&commit)?, Heard::Own));
        assert_eq!(group.members[1].fingerprint()?, before);
    }
    // Nor does it help that the tag or signature is wrong.
    let forged = copy.commit().framed(|frame| frame.edit_signature(|it| it.0[0] ^= 1)).public()?;
    assert_violation(&group.refuses(1, forged), Violation::ContentSignature);
    group.update(1)?;
    Ok(())
}

/// V-16.0-03: of each member one can ask since when it has had its encryption key, and remove who
/// has had the same one for too long.
#[test]
fn v_16_0_03_who_has_had_a_key_for_long() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    assert_eq!(group.members[0].state().epoch(), 1);
    group.update(0)?;
    group.propose(2, None)?;
    group.update(0)?;
    let new = group.add(1, "new")?;
    let since = |group: &TestGroup, member: usize| {
        let state = group.members[member].state();
        (0..6).map(|leaf| state.key_epoch(LeafIndex(leaf))).collect::<Vec<_>>()
    };
    let expected = [Some(3), Some(4), Some(3), Some(1), Some(4), None];
    for member in 0..4 {
        // The founder had its leaf in epoch 0, and has renewed it since.
        assert_eq!(since(&group, member), expected, "{member}");
    }
    // Who came late knows of nothing before.
    assert_eq!(since(&group, new), [Some(4), Some(4), Some(4), Some(4), Some(4), None]);
    let idle = |group: &TestGroup, epochs| {
        let members = group.members[0].state().idle_members(epochs);
        members.map(|member| member.leaf_index.0).collect::<Vec<_>>()
    };
    assert_eq!(idle(&group, 0), [1, 2, 3, 4]);
    assert_eq!(idle(&group, 1), [2, 3]);
    assert_eq!(idle(&group, 3), [3]);
    assert!(idle(&group, 4).is_empty());
    // The leaf's next owner has a key of its own.
    group.remove(0, 3)?;
    group.add(0, "next")?;
    assert_eq!(since(&group, 0)[3], Some(6));
    assert_eq!(group.members[0].state().key_epoch(LeafIndex(77)), None);
    Ok(())
}

/// V-16.0-03: a client knows it after a restart too, whatever was staged meanwhile.
#[test]
fn v_16_0_03_idle_members_are_stored() -> Result<(), Error> {
    let test = clients(SUITE, 4)?;
    let deliver = |from: usize, message: &[u8]| -> Result<(), Error> {
        for (i, group) in test.groups.iter().enumerate().filter(|(i, _)| *i != from) {
            assert!(matches!(group.receive(message)?, Received::Commit(_)), "{i}");
        }
        Ok(())
    };
    let idle = |client: &Client, epochs| -> Result<Vec<u32>, Error> {
        let members = client.group(test.groups[0].id())?.idle_members(epochs)?;
        Ok(members.iter().map(|member| member.leaf_index.0).collect())
    };
    let again = |i: usize| {
        let builder = Client::builder(format!("m{i}")).storage(test.stores[i].clone());
        builder.clock(test.clock.clone()).open()
    };
    for committer in [1, 2] {
        let pending = test.groups[committer].update()?;
        deliver(committer, pending.message().as_bytes())?;
        pending.confirm()?;
    }
    for (epochs, expected) in [(0, vec![1, 2, 3]), (1, vec![1, 3]), (2, vec![3]), (3, vec![])] {
        assert_eq!(idle(&test.clients[0], epochs)?, expected);
        assert_eq!(idle(&again(0)?, epochs)?, expected);
    }
    // A Commit that was staged before the restart counts from its epoch.
    let pending = test.groups[3].update()?;
    deliver(3, pending.message().as_bytes())?;
    let reopened = again(3)?.group(test.groups[3].id())?;
    reopened.pending_commit()?.unwrap().confirm()?;
    assert_eq!(idle(&test.clients[0], 1)?, [1, 2]);
    assert_eq!(idle(&again(3)?, 1)?, [0, 1, 2]);
    let stale = reopened.idle_members(3)?;
    assert_eq!(stale.iter().map(|member| member.leaf_index).collect::<Vec<_>>(), [LeafIndex(0)]);
    let pending = reopened.remove(stale[0].leaf_index)?;
    assert!(matches!(test.groups[0].receive(pending.message())?, Received::Removed(_)));
    Ok(())
}
