//! What the insider can break, one rule at a time: the error is that of the rule, and nothing has
//! changed for those who refuse.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Encode};
use crate::crypto::{CipherSuite, Mac, Secret};
use crate::error::{Error, Refused, Unready};
use crate::identity::Signer;
use crate::message::{ContentType, Proposal, Sender, WireFormat};
use crate::rules::Violation;
use crate::schedule::RatchetKind;
use crate::testing::{
    ForgedCommit, ForgedWelcome, Heard, Node, Outsider, TestGroup, TestMember, tree_nodes,
};
use crate::tree::{LeafIndex, LeafNodeSource, Lifetime, NodeIndex};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

#[track_caller]
fn violation(error: Error) -> Violation {
    match error {
        Error::Violation(violation) => violation,
        other => panic!("another error: {other:?}"),
    }
}

/// The violation that somebody refuses a Welcome with; it keeps its key packages.
#[track_caller]
fn refuses_welcome(newcomer: &mut TestMember, welcome: &ForgedWelcome) -> Violation {
    let kept = newcomer.keys.len();
    let error = newcomer.join(welcome).expect_err("a Welcome that has to be refused");
    assert_eq!(newcomer.keys.len(), kept);
    violation(error)
}

/// V-6.1-08: in either framing; of any length.
#[test]
fn a_wrong_confirmation_tag() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let edits: [fn(&mut Mac); 5] = [
        |tag| tag.0[0] ^= 1,
        |tag| tag.0.clear(),
        |tag| tag.0.truncate(1),
        |tag| tag.0.truncate(31),
        |tag| tag.0.push(0),
    ];
    for edit in edits {
        let edit = |tag: &mut Option<Mac>| edit(tag.as_mut().unwrap());
        let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(edit));
        assert_eq!(
            violation(group.members[0].refuses(commit.public()?)),
            Violation::ConfirmationTag
        );
        let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(edit));
        assert_eq!(
            violation(group.members[0].refuses(commit.private()?)),
            Violation::ConfirmationTag
        );
    }
    Ok(())
}

/// A Commit without its tag, and a proposal with one, can't be read.
#[test]
fn tags_that_are_missing_or_too_many() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(|tag| *tag = None));
    let error = group.members[0].refuses(commit.private()?);
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    let proposal = insider.proposal(Proposal::Remove(LeafIndex(2)))?;
    let proposal = proposal.edit_confirmation_tag(|tag| *tag = Some(Mac(vec![7; 32]))).private()?;
    let error = group.members[0].refuses(proposal);
    assert!(matches!(error, Error::Malformed(DecodeError::NonZeroPadding)), "{error:?}");
    Ok(())
}

/// V-6.2-02.
#[test]
fn a_wrong_membership_tag() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for length in [0, 1, 31] {
        let proposal = insider.proposal(Proposal::Remove(LeafIndex(2)))?;
        let shorter = proposal.edit_membership_tag(|tag| tag.as_mut().unwrap().0.truncate(length));
        let error = group.members[0].refuses(shorter.public()?);
        assert_eq!(violation(error), Violation::MembershipTag);
    }
    Ok(())
}

/// V-6.1-03 and V-6.1-07: what is signed is not what travels.
#[test]
fn a_wrong_signature() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let other = group.members[2].signer.clone();
    let context = insider.context.clone();
    let mut frame = || insider.proposal(Proposal::Remove(LeafIndex(2)));
    for message in [
        frame()?.signer(other).public()?,
        frame()?.edit_signature(|signature| signature.0[5] ^= 1).public()?,
        frame()?.signed_as(WireFormat::PrivateMessage).public()?,
        frame()?.signed_context(None).public()?,
        frame()?.impersonate(LeafIndex(2)).public()?,
        frame()?.impersonate(LeafIndex(2)).private()?,
        frame()?.edit_header(|header| header.authenticated_data = vec![1]).private()?,
    ] {
        assert_eq!(violation(group.members[0].refuses(message)), Violation::ContentSignature);
    }
    let message = frame()?.signed_context(Some(context)).private()?;
    assert!(matches!(group.members[0].receive(message)?, Heard::Proposal(_)));
    Ok(())
}

/// The content is another than the header says, or padded with something.
#[test]
fn a_plaintext_that_is_not_what_it_should_be() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let padded = insider.application(b"hello")?.padding(&[0, 0, 1]).private()?;
    let error = group.members[0].refuses(padded);
    assert!(matches!(error, Error::Malformed(DecodeError::NonZeroPadding)), "{error:?}");
    let other_type = |header: &mut crate::message::PrivateMessage| {
        header.content_type = ContentType::Proposal;
    };
    let message = insider.application(b"hello")?.ratchet_kind(RatchetKind::Handshake);
    let error = group.members[0].refuses(message.edit_header(other_type).private()?);
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    let nothing = insider.application(b"hello")?.edit_plaintext(Vec::clear).private()?;
    let error = group.members[0].refuses(nothing);
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    Ok(())
}

/// Another member's leaf in the sender data: that member's own message can still be read.
#[test]
fn another_members_ratchet_is_not_used_up() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let victim = group.leaf(2)?;
    let genuine = group.members[2].send(b"genuine")?;
    let burn = insider.application(b"not mine")?.impersonate(victim).private()?;
    let error = group.members[0].refuses(burn);
    assert_eq!(violation(error), Violation::ContentSignature);
    let other_key = insider.application(b"mine")?;
    let other_key = other_key.edit_sender_data(|data| data.leaf_index = victim).private()?;
    let error = group.members[0].refuses(other_key);
    assert_eq!(violation(error), Violation::ContentDecryption);
    let heard = group.members[0].receive(genuine)?;
    assert!(matches!(heard, Heard::Message(message) if message.data == b"genuine"));
    Ok(())
}

/// V-9.1-03, and generations that are too far ahead.
#[test]
fn generations_at_the_edges() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for (generation, exhausted) in [(u32::MAX, true), (u32::MAX - 1, false), (10_001, false)] {
        let message = insider.application(b"far")?;
        let message = message.edit_sender_data(|data| data.generation = generation).private()?;
        match group.members[0].refuses(message) {
            Error::Violation(Violation::RatchetExhausted) => assert!(exhausted),
            Error::Refused(Refused::GenerationJump { .. }) => assert!(!exhausted),
            other => panic!("{other:?}"),
        }
    }
    let message = insider.application(b"near")?.generation(9_000).private()?;
    assert!(matches!(group.members[0].receive(message)?, Heard::Message(_)));
    let message = insider.application(b"again")?.generation(9_000).private()?;
    let error = group.members[0].refuses(message);
    assert!(matches!(error, Error::Unready(Unready::KeyGone)), "{error:?}");
    Ok(())
}

fn refused_by(
    size: usize,
    commit: impl FnOnce(&mut TestGroup) -> Result<ForgedCommit, Error>,
) -> Result<Violation, Error> {
    let mut group = TestGroup::new(SUITE, size)?;
    group.update(0)?;
    let commit = commit(&mut group)?;
    Ok(violation(group.members[0].refuses(commit)))
}

/// V-12.4.2-10, V-7.5-05, V-7.5-06, V-7.6-01, V-7.6-02 and V-7.6-04: paths that are wrong in one
/// thing, under a confirmation tag that is right.
#[test]
fn paths() -> Result<(), Error> {
    let found = refused_by(4, |group| {
        let mut insider = group.insider(1)?;
        let commit = insider.commit();
        commit.edit_steps(|steps| steps[1].public_key = steps[0].public_key.clone()).private()
    });
    assert_eq!(found?, Violation::PathKeyReused);

    let found = refused_by(4, |group| {
        let mut insider = group.insider(1)?;
        let commit = insider.commit();
        commit.leaf(|leaf| leaf.source = LeafNodeSource::Commit(vec![1; 32])).public()
    });
    assert_eq!(found?, Violation::PathParentHash);

    let found = refused_by(4, |group| {
        let mut insider = group.insider(2)?;
        let other = insider.suite().generate_key_pair(&mut insider.rng.clone())?.public;
        insider.commit().edit_steps(|steps| steps[1].public_key = other).public()
    });
    assert_eq!(found?, Violation::PathPublicKey);

    let found = refused_by(4, |group| {
        group.insider(1)?.commit().edit_path(|path| drop(path.nodes.pop())).public()
    });
    assert_eq!(found?, Violation::PathLength);

    let found = refused_by(4, |group| {
        let mut insider = group.insider(1)?;
        let edit = |path: &mut crate::message::UpdatePath| {
            let twice = path.nodes[0].encrypted_path_secret[0].clone();
            path.nodes[0].encrypted_path_secret.push(twice);
        };
        insider.commit().edit_path(edit).public()
    });
    assert_eq!(found?, Violation::PathCiphertexts);

    let found = refused_by(4, |group| {
        group.insider(1)?.commit().edit_path_context(|context| context.epoch -= 1).public()
    });
    assert_eq!(found?, Violation::PathDecryption);

    let found = refused_by(4, |group| {
        let other = group.members[3].signer.clone();
        group.insider(1)?.commit().leaf_signer(other).public()
    });
    assert_eq!(found?, Violation::LeafSignature);
    Ok(())
}

/// Two ciphertexts of one node are swapped: who reads one of them can't, the others can.
#[test]
fn ciphertexts_that_are_swapped() -> Result<(), Error> {
    // The right half has no parents: four recipients of the root's secret.
    let mut group = TestGroup::new(SUITE, 8)?;
    let mut insider = group.insider(0)?;
    let commit = insider.commit().edit_path(|path| {
        let sealed = &mut path.nodes.last_mut().unwrap().encrypted_path_secret;
        sealed.swap(1, 2);
    });
    let commit = commit.public()?;
    for i in [5, 6] {
        assert_eq!(violation(group.members[i].refuses(&commit)), Violation::PathDecryption);
    }
    for i in [1, 4, 7] {
        assert!(matches!(group.members[i].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// A secret that is wrong for one subtree alone: its members refuse, the others go on.
#[test]
fn a_path_secret_that_is_wrong_for_some() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut insider = group.insider(0)?;
    let victim = group.leaf(3)?.node().unwrap();
    let commit = insider.commit().edit_seals(|seal| {
        if seal.recipient == victim {
            seal.plaintext[0] ^= 1;
        }
    });
    let commit = commit.private()?;
    assert_eq!(violation(group.members[3].refuses(&commit)), Violation::PathPublicKey);
    for i in [1, 2] {
        assert!(matches!(group.members[i].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-12.2-03, V-12.2-04, V-12.2-05, V-12.1.3-01 and V-12.4-04: lists of proposals.
#[test]
fn lists_of_proposals() -> Result<(), Error> {
    let found = refused_by(4, |group| {
        let mut insider = group.insider(1)?;
        let update = insider.update().proposal()?;
        insider.commit().proposals([update]).private()
    });
    assert_eq!(found?, Violation::CommitterUpdates);
    let lists: [(&[u32], Violation); 3] = [
        (&[1], Violation::CommitterRemoved),
        (&[2, 2], Violation::LeafTwice),
        (&[9], Violation::RemoveOfBlank),
    ];
    for (removed, expected) in lists {
        let removes = removed.iter().map(|leaf| Proposal::Remove(LeafIndex(*leaf)));
        let found = refused_by(4, |group| group.insider(1)?.commit().proposals(removes).private());
        assert_eq!(found?, expected);
    }
    let found = refused_by(4, |group| group.insider(1)?.commit().without_path().public());
    assert_eq!(found?, Violation::PathMissing);
    Ok(())
}

/// V-10.1-04, V-7.2-09, V-10.1-03 and V-7.3-10.
#[test]
fn key_packages() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let other = group.members[0].signer.clone();
    let lifetime = Lifetime { not_before: 9, not_after: 8 };
    let inverted = LeafNodeSource::KeyPackage(lifetime);
    for (key_package, expected) in [
        (newcomer.forge_key_package().same_keys().build()?, Violation::KeyPackageInitKey),
        (
            newcomer.forge_key_package().leaf(|leaf| leaf.source = inverted).build()?,
            Violation::LifetimeInverted,
        ),
        (newcomer.forge_key_package().signer(other).build()?, Violation::KeyPackageSignature),
        (
            newcomer
                .forge_key_package()
                .leaf(|leaf| leaf.source = LeafNodeSource::Update)
                .build()?,
            Violation::KeyPackageLeafSource,
        ),
    ] {
        let mut insider = group.insider(1)?;
        let commit = insider.commit().proposals([Proposal::Add(key_package)]).private()?;
        assert_eq!(violation(group.members[0].refuses(commit)), expected);
    }
    Ok(())
}

/// A group of seven with parents on both sides, and somebody whom member 1 adds at leaf 7.
fn welcoming() -> Result<(TestMember, ForgedCommit), Error> {
    let mut group = TestGroup::new(SUITE, 7)?;
    for i in [0, 4, 1] {
        group.update(i)?;
    }
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let commit = group.insider(1)?.commit().proposals([add]).private()?;
    Ok((newcomer, commit))
}

/// V-12.4.3.1-08, V-12.4.3.1-20, V-12.4.3-04, V-12.4.3-05, V-6.1-08.
#[test]
fn welcomes() -> Result<(), Error> {
    let (mut newcomer, mut commit) = welcoming()?;
    let wrong = commit.welcome().edit_secrets(|_, secrets| {
        secrets.path_secret = Some(Secret::new(&[7; 32]));
    });
    let found = refuses_welcome(&mut newcomer, &wrong.build()?);
    assert_eq!(found, Violation::WelcomePathSecret);
    let without = commit.welcome().edit_secrets(|_, secrets| secrets.path_secret = None);
    let found = refuses_welcome(&mut newcomer, &without.build()?);
    assert_eq!(found, Violation::WelcomePathSecret);
    let short = commit.welcome().edit_secrets(|_, secrets| {
        secrets.path_secret = Some(Secret::new(&[7; 31]));
    });
    let found = refuses_welcome(&mut newcomer, &short.build()?);
    assert_eq!(found, Violation::WelcomeSecretLength);
    let long = commit.welcome().joiner_secret(Secret::new(&[7; 33])).build()?;
    let found = refuses_welcome(&mut newcomer, &long);
    assert_eq!(found, Violation::WelcomeSecretLength);
    let other = newcomer.signer.clone();
    let found = refuses_welcome(&mut newcomer, &commit.welcome().signer(other).build()?);
    assert_eq!(found, Violation::GroupInfoSignature);
    let own = commit.added[0].0;
    let own_signer = newcomer.signer.clone();
    let itself = commit.welcome().edit_group_info(|info| info.signer = own).signer(own_signer);
    let found = refuses_welcome(&mut newcomer, &itself.build()?);
    assert_eq!(found, Violation::GroupInfoSigner);
    let tag = commit.welcome().edit_group_info(|info| info.confirmation_tag.0.truncate(8));
    let found = refuses_welcome(&mut newcomer, &tag.build()?);
    assert_eq!(found, Violation::ConfirmationTag);
    newcomer.join(commit.welcome().build()?)?;
    Ok(())
}

/// V-12.4.3.3-02, V-12.4.3.3-03, V-12.4.3.1-12, V-12.4.3.1-15, V-12.4.3.1-16, V-7.9-03: trees whose
/// hash and signature are right.
#[test]
fn trees() -> Result<(), Error> {
    let (mut newcomer, mut commit) = welcoming()?;
    // The newcomer is in the list of the one parent that the committer's path has left alone.
    let nodes = tree_nodes(&commit.next.tree);
    let Some(Node::Parent(parent)) = &nodes[11] else { panic!("no parent above the newcomer") };
    assert_eq!(parent.unmerged_leaves, [commit.added[0].0]);
    type Edit = fn(&mut Vec<Option<Node>>);
    let edits: BTreeMap<&str, (Violation, Edit)> = BTreeMap::from([
        ("trailing blank", (Violation::TreeTrailingBlank, (|nodes| nodes.push(None)) as Edit)),
        ("kind", (Violation::TreeNodeKind, |nodes| nodes.swap(0, 1))),
        (
            "parent hash",
            (Violation::ParentHash, |nodes| {
                let root = nodes[7].as_mut().unwrap().parent_mut().unwrap();
                root.encryption_key = crate::crypto::HpkePublicKey::new(&[9; 32]);
            }),
        ),
        (
            "misplaced",
            (Violation::UnmergedLeafMisplaced, |nodes| {
                nodes[3].as_mut().unwrap().parent_mut().unwrap().unmerged_leaves =
                    vec![LeafIndex(5)];
            }),
        ),
        (
            "order",
            (Violation::UnmergedLeavesOrder, |nodes| {
                let root = nodes[7].as_mut().unwrap().parent_mut().unwrap();
                root.unmerged_leaves = vec![LeafIndex(5), LeafIndex(4)];
            }),
        ),
        (
            "skipped",
            (Violation::UnmergedLeafSkipped, |nodes| {
                let root = nodes[7].as_mut().unwrap().parent_mut().unwrap();
                root.unmerged_leaves = vec![LeafIndex(7)];
                nodes[11].as_mut().unwrap().parent_mut().unwrap().unmerged_leaves.clear();
            }),
        ),
    ]);
    for (name, (expected, edit)) in edits {
        let welcome = commit.welcome().edit_tree(edit).build()?;
        assert_eq!(refuses_welcome(&mut newcomer, &welcome), expected, "{name}");
    }
    let stale = commit.welcome().edit_tree(|nodes| nodes[7] = None).keep_tree_hash().build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &stale), Violation::TreeHash);
    Ok(())
}

/// A Welcome without its tree, which comes another way.
#[test]
fn a_tree_outside() -> Result<(), Error> {
    let (mut newcomer, mut commit) = welcoming()?;
    let welcome = commit.welcome().without_tree().build()?;
    let error = newcomer.join(&welcome).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::RatchetTreeMissing)));
    newcomer.join_with(&welcome, Some(&welcome.ratchet_tree))?;
    assert_eq!(newcomer.state().ratchet_tree()?, welcome.ratchet_tree);
    Ok(())
}

/// Somebody from outside signs as an external sender or a new member: with the right signature,
/// which is without the GroupContext.
#[test]
fn an_outsider_signs_what_belongs_to_its_sender_type() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let context = group.members[0].state().context().clone();
    let mut outsider = Outsider::new(group.members[0].suite(), "server", 7)?;
    let proposal = Proposal::Remove(LeafIndex(1));
    let forged = outsider.external_proposal(&context, 0, proposal.clone())?.public()?;
    let content = &forged.content;
    assert_eq!(content.content.sender, Sender::External(0));
    let suite = group.members[0].suite();
    let verify = |content: &crate::message::AuthenticatedContent| {
        let context = context.to_bytes().unwrap();
        let tbs = content.content.to_be_signed(WireFormat::PublicMessage, &context).unwrap();
        let key = outsider.signer.public_key();
        suite.verify_with_label(key, "FramedContentTBS", &tbs, &content.auth.signature)
    };
    verify(content)?;
    assert!(group.members[0].receive(&forged).is_err());
    Ok(())
}

/// The group's own state is as it was before whatever the insider made.
#[test]
fn making_something_changes_nothing() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let before = group.members[1].fingerprint()?;
    let mut insider = group.insider(1)?;
    insider.application(b"x")?.private()?;
    insider.commit().private()?;
    let info = insider.group_info().external_pub().edit_tree(|nodes| nodes.truncate(1)).build()?;
    assert_eq!(info.extensions.len(), 2);
    assert_eq!(group.members[1].fingerprint()?, before);
    group.members[1].send(b"x")?;
    assert_ne!(group.members[1].fingerprint()?, before);
    assert_eq!(NodeIndex(1).left(), Some(NodeIndex(0)));
    Ok(())
}
