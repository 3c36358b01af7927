//! Update paths (sections 7.4 to 7.7) and what section 16 asks of them.

use std::collections::BTreeSet;

use circlet::codec::{DecodeContext, Limits};
use circlet::crypto::{HpkeCiphertext, HpkeKeyPair};
use circlet::group::HandshakeFormat;
use circlet::message::{Content, MlsMessage, Proposal, UpdatePath};
use circlet::rules::Violation;
use circlet::testing::{ForgedCommit, Heard, TestGroup};
use circlet::tree::{LeafNodeSource, NodeIndex};
use circlet::{Error, Refused};

use crate::support::{SUITE, assert_violation};

/// A group of eight, in which every parent has a key.
fn eight() -> Result<TestGroup, Error> {
    let mut group = TestGroup::new(SUITE, 8)?;
    for i in [0, 2, 4, 6, 1, 3, 5, 7] {
        group.update(i)?;
    }
    Ok(group)
}

/// All members but the insider, who is member 1, refuse the Commit, and take an honest one then.
#[track_caller]
fn all_refuse(
    mut group: TestGroup,
    commit: &ForgedCommit,
    violation: Violation,
) -> Result<(), Error> {
    let honest = group.insider(1)?.commit().private()?;
    for (i, member) in group.members.iter_mut().enumerate().filter(|(i, _)| *i != 1) {
        assert_violation(&member.refuses(commit), violation);
        assert!(matches!(member.receive(&honest)?, Heard::Commit(_)), "member {i}");
    }
    Ok(())
}

/// All members but member 1 refuse its Commit with this path.
#[track_caller]
fn all_refuse_path(edit: impl FnOnce(&mut UpdatePath), violation: Violation) -> Result<(), Error> {
    let mut group = eight()?;
    let mut insider = group.insider(1)?;
    let mut edit = Some(edit);
    let commit = insider.commit().edit_path(|path| edit.take().unwrap()(path)).private()?;
    all_refuse(group, &commit, violation)
}

/// V-7.4-03: every Commit with a path brings an encryption key that its leaf has not had.
#[test]
fn every_path_has_a_fresh_leaf_key() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let leaf = group.leaf(0)?;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let key = group.members[1].state().tree().leaf(leaf).unwrap().encryption_key.clone();
        assert!(seen.insert(key));
        group.update(0)?;
    }
    Ok(())
}

/// V-7.4-03, V-7.4-01: two Commits from one state have no key in common.
#[test]
fn two_paths_from_one_state_differ() -> Result<(), Error> {
    let mut group = eight()?;
    group.members[0].framing.handshake = HandshakeFormat::Public;
    let mut keys = BTreeSet::new();
    for _ in 0..2 {
        let request = group.request(0)?;
        let member = &group.members[0];
        let mut rng = member.rng.clone();
        let (state, judge) = (member.state(), member.judge());
        let (staged, _) = state.commit(request, &judge, &member.signer, &mut rng)?;
        let message = MlsMessage::read(staged.message(), &DecodeContext::default())?;
        let MlsMessage::Public(message) = message else { panic!("not public") };
        let Content::Commit(commit) = message.content.content else { panic!("no Commit") };
        let path = commit.path.unwrap();
        keys.insert(path.leaf_node.encryption_key.clone());
        keys.extend(path.nodes.into_iter().map(|node| node.encryption_key));
    }
    assert_eq!(keys.len(), 8);
    Ok(())
}

/// V-7.5-02: path secrets are not encrypted to those whom the same Commit adds: all members take a
/// path that was made so, and no other.
#[test]
fn new_members_get_no_path_secret() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(0)?;
    let encrypted = |path: &UpdatePath| -> usize {
        path.nodes.iter().map(|node| node.encrypted_path_secret.len()).sum()
    };
    let extra = insider.commit().proposals([add.clone()]).edit_path(|path| {
        // To member 1, and to member 2 without the new one beside it.
        assert_eq!(encrypted(path), 2);
        let last = path.nodes.last_mut().unwrap();
        let twice = last.encrypted_path_secret[0].clone();
        last.encrypted_path_secret.push(twice);
    });
    let extra = extra.private()?;
    for i in [1, 2] {
        assert_violation(&group.refuses(i, &extra), Violation::PathCiphertexts);
    }
    let mut honest = insider.commit().proposals([add]).private()?;
    for i in [1, 2] {
        assert!(matches!(group.members[i].receive(&honest)?, Heard::Commit(_)));
    }
    newcomer.join(honest.welcome().build()?)?;
    let next = honest.next.into_state()?;
    group.members[0].enter(next);
    group.members.push(newcomer);
    group.agree();
    group.update(3)?;
    Ok(())
}

/// V-7.5-04: of a Commit that adds somebody and has a path, the nodes of the path have no unmerged
/// leaves, the new one's among them; a node beside the path lists it.
#[test]
fn a_path_merges_those_whom_its_commit_adds() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 7)?;
    for i in [0, 4, 2] {
        group.update(i)?;
    }
    let joined = group.add(0, "new")?;
    let leaf = group.leaf(joined)?;
    let tree = group.members[6].state().tree();
    let root = tree.width().root();
    assert_eq!(tree.parent(root).unwrap().unmerged_leaves, []);
    let beside = root.right().unwrap();
    assert_eq!(tree.parent(beside).unwrap().unmerged_leaves, [leaf]);
    Ok(())
}

/// V-7.5-05, V-7.9-05: the leaf's parent hash is another than the path gives: changed, cut, missing, or that
/// of a node of the path.
#[test]
fn a_wrong_parent_hash() -> Result<(), Error> {
    let edits: [fn(&mut Vec<u8>); 5] = [
        |hash| hash[0] ^= 1,
        |hash| hash.truncate(31),
        |hash| hash.push(0),
        Vec::clear,
        |hash| hash.fill(0),
    ];
    for edit in edits {
        let mut group = eight()?;
        let mut insider = group.insider(1)?;
        let commit = insider.commit().leaf(|leaf| {
            let LeafNodeSource::Commit(hash) = &mut leaf.source else { panic!("another source") };
            edit(hash);
        });
        let commit = commit.private()?;
        all_refuse(group, &commit, Violation::PathParentHash)?;
    }
    Ok(())
}

/// V-7.5-05: where the path has no nodes there is nothing to hash.
#[test]
fn a_parent_hash_of_nothing() -> Result<(), Error> {
    // Its only member commits: there is no node above it, and nobody sees it but one that joins.
    let mut group = TestGroup::new(SUITE, 1)?;
    group.update(0)?;
    let leaf = group.leaf(0)?;
    let source = &group.members[0].state().tree().leaf(leaf).unwrap().source;
    assert_eq!(*source, LeafNodeSource::Commit(Vec::new()));
    group.add(0, "new")?;
    Ok(())
}

/// V-7.5-06: a node's key is not the one that its path secret gives, at each node above the members
/// who can tell.
#[test]
fn a_wrong_public_key() -> Result<(), Error> {
    for step in 0..3 {
        let mut group = eight()?;
        let mut insider = group.insider(1)?;
        let other = insider.suite().generate_key_pair(&mut insider.rng.clone())?.public;
        let commit = insider.commit().edit_steps(|steps| steps[step].public_key = other);
        let commit = commit.private()?;
        // Member 0 derives all three, members 2 and 3 the upper two, the others the root's.
        let tells = |member: usize| match member {
            0 => true,
            2 | 3 => step >= 1,
            _ => step == 2,
        };
        for i in (0..group.members.len()).filter(|i| *i != 1) {
            if tells(i) {
                assert_violation(&group.refuses(i, &commit), Violation::PathPublicKey);
            } else {
                let heard = group.members[i].receive(&commit)?;
                assert!(matches!(heard, Heard::Commit(_)));
            }
        }
    }
    Ok(())
}

/// V-7.5-06: a node's path secret does not follow from the one below it: those who get the lower
/// one refuse it, those who get the upper one go on.
#[test]
fn a_path_secret_that_does_not_follow() -> Result<(), Error> {
    let mut group = eight()?;
    let mut insider = group.insider(1)?;
    let root = insider.tree.width().root();
    let commit = insider.commit().edit_seals(|seal| {
        if seal.node != root {
            seal.plaintext[3] ^= 1;
        }
    });
    let commit = commit.private()?;
    for i in [0, 2, 3] {
        assert_violation(&group.refuses(i, &commit), Violation::PathPublicKey);
    }
    for i in [4, 5, 6, 7] {
        assert!(matches!(group.members[i].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-7.5-07: after a Commit nobody has a private key that it replaced, or of a node that it
/// blanked: all that a member keeps are those of the public keys in the tree.
#[test]
fn replaced_private_keys_are_gone() -> Result<(), Error> {
    let mut group = eight()?;
    for removes in [None, Some(7)] {
        match removes {
            None => group.update(1)?,
            Some(removed) => group.remove(1, removed)?,
        };
        for i in (0..8).filter(|i| Some(*i) != removes) {
            let mut insider = group.insider(i)?;
            for (node, private) in insider.private_keys.clone() {
                let public = insider.tree.encryption_key(node).cloned();
                let public = public.unwrap_or_else(|| panic!("member {i}: {node:?} is blank"));
                let suite = insider.suite().clone();
                let seed = suite.encapsulation_seed(&mut insider.rng)?;
                let sealed = suite.encrypt_with_label(&public, "any", &[], b"text", &seed)?;
                let keys = HpkeKeyPair { private, public };
                let opened = suite.decrypt_with_label(&keys, "any", &[], &sealed)?;
                assert_eq!(opened.as_bytes(), b"text", "member {i}: {node:?}");
            }
        }
    }
    Ok(())
}

/// V-7.5-08: a committer with nobody beside it makes a path without nodes, and the epoch is a new
/// one: alone from the beginning, or because it removes all others.
#[test]
fn a_path_without_nodes() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 1)?;
    let before = group.members[0].state().epoch_authenticator().clone();
    group.update(0)?;
    let after = group.members[0].state().epoch_authenticator().clone();
    assert_ne!(before.as_bytes(), after.as_bytes());

    let mut group = TestGroup::new(SUITE, 3)?;
    let removes = [Proposal::Remove(group.leaf(1)?), Proposal::Remove(group.leaf(2)?)];
    let committed = group.commit_with(0, removes)?;
    assert_eq!(committed.outcome.removed.len(), 2);
    assert_eq!(group.members[0].state().members().count(), 1);
    group.add(0, "new")?;
    Ok(())
}

/// V-7.6-01: a path with a node too few, at either end, or too many.
#[test]
fn a_path_of_another_length() -> Result<(), Error> {
    all_refuse_path(|path| drop(path.nodes.pop()), Violation::PathLength)?;
    all_refuse_path(|path| drop(path.nodes.remove(0)), Violation::PathLength)?;
    all_refuse_path(|path| path.nodes.clear(), Violation::PathLength)?;
    let mut group = eight()?;
    let mut insider = group.insider(1)?;
    let other = insider.suite().generate_key_pair(&mut insider.rng.clone())?.public;
    let commit = insider.commit().edit_path(|path| {
        let mut extra = path.nodes[2].clone();
        extra.encryption_key = other;
        path.nodes.push(extra);
    });
    let commit = commit.private()?;
    all_refuse(group, &commit, Violation::PathLength)
}

/// V-7.6-02: a ciphertext too few or too many at any node: all refuse it, not only those whom it
/// is for.
#[test]
fn another_number_of_ciphertexts() -> Result<(), Error> {
    let edits: [fn(&mut Vec<HpkeCiphertext>); 3] = [
        |sealed| drop(sealed.pop()),
        |sealed| sealed.push(sealed[0].clone()),
        |sealed| sealed.insert(0, sealed[0].clone()),
    ];
    for node in 0..3 {
        for edit in edits {
            let change = |path: &mut UpdatePath| edit(&mut path.nodes[node].encrypted_path_secret);
            all_refuse_path(change, Violation::PathCiphertexts)?;
        }
    }
    Ok(())
}

/// V-7.6-04: each recipient finds its own among several ciphertexts of one node.
#[test]
fn everybody_finds_its_ciphertext() -> Result<(), Error> {
    // The right half has no parents: four recipients of the root's secret.
    let mut group = TestGroup::new(SUITE, 8)?;
    let mut insider = group.insider(0)?;
    let commit = insider.commit().edit_path(|path| {
        assert_eq!(path.nodes.last().unwrap().encrypted_path_secret.len(), 4);
    });
    let commit = commit.private()?;
    group.broadcast(0, &commit)?;
    Ok(())
}

/// V-7.6-04: two ciphertexts in each other's place, a changed one, one for another context, and one
/// of another length: whoever reads it refuses the Commit.
#[test]
fn a_ciphertext_that_cannot_be_decrypted() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 8)?;
    let mut insider = group.insider(0)?;
    let commit = insider.commit().edit_path(|path| {
        path.nodes.last_mut().unwrap().encrypted_path_secret.swap(1, 2);
    });
    let swapped = commit.private()?;
    for i in [5, 6] {
        assert_violation(&group.refuses(i, &swapped), Violation::PathDecryption);
    }
    let edits: [fn(&mut HpkeCiphertext); 4] = [
        |sealed| sealed.kem_output[0] ^= 1,
        |sealed| sealed.ciphertext[0] ^= 1,
        |sealed| sealed.ciphertext.clear(),
        |sealed| sealed.kem_output.truncate(31),
    ];
    for edit in edits {
        let commit = insider.commit().edit_path(|path| {
            edit(&mut path.nodes.last_mut().unwrap().encrypted_path_secret[3]);
        });
        let commit = commit.private()?;
        assert_violation(&group.refuses(7, &commit), Violation::PathDecryption);
    }
    let victim = group.leaf(7)?.node().unwrap();
    for length in [0, 31, 33] {
        let commit = insider.commit().edit_seals(|seal| {
            if seal.recipient == victim {
                seal.plaintext.resize(length, 7);
            }
        });
        let commit = commit.private()?;
        assert_violation(&group.refuses(7, &commit), Violation::PathDecryption);
    }
    for i in [1, 4, 5, 6, 7] {
        let honest = insider.commit().private()?;
        assert!(matches!(group.members[i].receive(&honest)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-7.6-03, V-7.6-04: path secrets are bound to the context of the next epoch, each field of it.
#[test]
fn a_path_of_another_context() -> Result<(), Error> {
    let edits: [fn(&mut circlet::message::GroupContext); 4] = [
        |context| context.epoch -= 1,
        |context| context.group_id = circlet::message::GroupId::new(b"another"),
        |context| context.tree_hash[0] ^= 1,
        |context| context.confirmed_transcript_hash[0] ^= 1,
    ];
    for edit in edits {
        let mut group = eight()?;
        let commit = group.insider(1)?.commit().edit_path_context(edit).private()?;
        all_refuse(group, &commit, Violation::PathDecryption)?;
    }
    Ok(())
}

/// V-7.7-02: a Commit that makes the tree wider than the limit.
#[test]
fn a_tree_that_becomes_too_wide() -> Result<(), Error> {
    let context =
        DecodeContext { limits: Limits { leaves: 4, ..Limits::default() }, ..Default::default() };
    let mut group = TestGroup::builder(SUITE).context(context).size(4).build()?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    let commit = insider.commit().proposals([add.clone()]).private()?;
    let error = group.refuses(0, commit);
    assert!(matches!(error, Error::Refused(Refused::Leaves(4))), "{error:?}");
    let error = group.commit_with(0, [add.clone()]).expect_err("a fifth member");
    assert!(matches!(error, Error::Refused(Refused::Leaves(4))), "{error:?}");
    let removed = Proposal::Remove(group.leaf(3)?);
    let commit = insider.commit().proposals([removed, add]).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-16.0-03: every Commit says whose keys changed: who has not changed its own for long can be
/// told, and be removed.
#[test]
fn who_does_not_update_can_be_removed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut idle: BTreeSet<_> = (0..4).map(|i| group.leaf(i)).collect::<Result<_, Error>>()?;
    group.propose(2, None)?;
    for committer in [0, 1] {
        for member in group.update(committer)?.outcome.updated {
            idle.remove(&member.leaf_index);
        }
    }
    let idle: Vec<_> = idle.into_iter().collect();
    assert_eq!(idle, [group.leaf(3)?]);
    group.commit_with(0, [Proposal::Remove(idle[0])])?;
    assert!(!group.members[3].is_active());
    Ok(())
}

/// V-16.0-06: of a path that is wrong for some, the victim's error names the rule, and its state is
/// whole: it comes back by an external Commit.
#[test]
fn the_victim_of_a_wrong_path_recovers() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut insider = group.insider(0)?;
    let victim: NodeIndex = group.leaf(3)?.node().unwrap();
    let commit = insider.commit().edit_seals(|seal| {
        if seal.recipient == victim {
            seal.plaintext[0] ^= 1;
        }
    });
    let commit = commit.private()?;
    let error = group.refuses(3, &commit);
    let Error::Violation(violation) = error else { panic!("another error: {error:?}") };
    assert_eq!(
        (violation, violation.id(), violation.section()),
        (Violation::PathPublicKey, "V-7.5-06", "7.5")
    );
    for i in [1, 2] {
        assert!(matches!(group.members[i].receive(&commit)?, Heard::Commit(_)));
    }
    let next = commit.next.into_state()?;
    group.members[0].enter(next);

    let info = group.insider(1)?.group_info().external_pub().build()?;
    let lost = &mut group.members[3];
    let staged = lost.external_join(info, Some(lost.leaf()), Vec::new())?;
    let message = staged.message().to_vec();
    lost.enter(staged.confirm());
    group.broadcast(3, message)?;
    group.agree();
    Ok(())
}
