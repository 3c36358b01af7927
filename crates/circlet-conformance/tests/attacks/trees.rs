//! Attacks 6 to 8: ratchet trees with the right hash under the right signature.

use circlet::Error;
use circlet::codec::{DecodeError, Encode};
use circlet::crypto::{HpkePublicKey, Rng};
use circlet::group::OpenedGroupInfo;
use circlet::message::{MlsMessage, Proposal, Sender};
use circlet::rules::Violation;
use circlet::testing::{Insider, Node, SeededRng, TestGroup, tree_nodes};
use circlet::tree::{LeafIndex, ParentNode};

use crate::oracle::Oracle;
use crate::support::{SUITE, refuses_welcome, violation, welcoming};

type Nodes = Vec<Option<Node>>;
type Edit = Box<dyn Fn(&mut Nodes)>;

/// What the edits below take the tree for: parents on both sides, and the new leaf unmerged.
#[test]
fn the_tree_that_is_changed() -> Result<(), Error> {
    let (_, commit) = welcoming()?;
    let nodes = tree_nodes(&commit.next.tree);
    let parents: Vec<usize> =
        (1..nodes.len()).step_by(2).filter(|at| nodes[*at].is_some()).collect();
    assert_eq!(parents, [1, 3, 7, 9, 11]);
    assert_eq!(parent(&nodes, 11).unmerged_leaves, [LeafIndex(7)]);
    Ok(())
}

fn parent(nodes: &[Option<Node>], at: usize) -> &ParentNode {
    match &nodes[at] {
        Some(Node::Parent(parent)) => parent,
        other => panic!("no parent: {other:?}"),
    }
}

fn parent_mut(nodes: &mut Nodes, at: usize) -> &mut ParentNode {
    nodes[at].as_mut().and_then(Node::parent_mut).expect("a parent")
}

/// A key that the attacker has the private part of.
fn own_key(insider: &mut Insider) -> HpkePublicKey {
    let mut rng = insider.rng.clone();
    insider.suite().generate_key_pair(&mut rng).unwrap().public
}

/// Each change is refused for this violation, and the honest tree is accepted afterwards.
fn assert_refused<'a>(
    edits: impl IntoIterator<Item = (&'a str, Violation, Edit)>,
) -> Result<(), Error> {
    let (mut newcomer, mut commit) = welcoming()?;
    for (name, expected, edit) in edits {
        let welcome = commit.welcome().edit_tree(|nodes| edit(nodes)).build()?;
        assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &welcome), expected, "{name}");
    }
    newcomer.join(commit.welcome().build()?)
}

/// Whoever welcomes somebody can give it a tree in which a parent's key is the attacker's own:
/// everything that is encrypted to that parent it can read, though it is not below. What binds
/// parents to leaves is the parent hash; with it replaced, taken away or never made, no such tree is
/// accepted.
///
/// V-7.9-03.
#[test]
fn attack_06_parent_hash_forgery() -> Result<(), Error> {
    let (_, mut commit) = welcoming()?;
    let key = own_key(&mut commit.next);
    let artificial = |unmerged_leaves: Vec<LeafIndex>, parent_hash: Vec<u8>| ParentNode {
        encryption_key: key.clone(),
        parent_hash,
        unmerged_leaves,
    };
    let mut edits: Vec<(&str, Violation, Edit)> = Vec::new();
    // Another key in an honest parent.
    for at in [1, 3, 7, 9, 11] {
        let key = key.clone();
        let edit = move |nodes: &mut Nodes| parent_mut(nodes, at).encryption_key = key.clone();
        edits.push(("another key", Violation::ParentHash, Box::new(edit)));
    }
    // A parent where there is none, without a parent hash or with one that it could have.
    let (_, honest) = welcoming()?;
    let above = parent(&tree_nodes(&honest.next.tree), 3).parent_hash.clone();
    for (at, unmerged, parent_hash) in [
        (5, vec![], vec![]),
        (5, vec![], above.clone()),
        (5, vec![LeafIndex(2), LeafIndex(3)], vec![]),
        (13, vec![LeafIndex(7)], vec![]),
        (13, vec![LeafIndex(7)], above.clone()),
        (13, vec![LeafIndex(6), LeafIndex(7)], vec![]),
    ] {
        let node = Node::Parent(artificial(unmerged, parent_hash));
        let edit = move |nodes: &mut Nodes| nodes[at] = Some(node.clone());
        edits.push(("artificial", Violation::ParentHash, Box::new(edit)));
    }
    // A parent whose hash nobody below holds any more: its child is blank, or another's.
    edits.push(("a blank link", Violation::ParentHash, Box::new(|nodes| nodes[1] = None)));
    edits.push(("a blank link", Violation::ParentHash, Box::new(|nodes| nodes[3] = None)));
    for at in [1, 3, 11] {
        let edit = move |nodes: &mut Nodes| parent_mut(nodes, at).parent_hash.clear();
        edits.push(("no parent hash", Violation::ParentHash, Box::new(edit)));
        let edit = move |nodes: &mut Nodes| parent_mut(nodes, at).parent_hash[0] ^= 1;
        edits.push(("another parent hash", Violation::ParentHash, Box::new(edit)));
    }
    // The leaves of a subtree change sides: every hash below is right, the sibling's is not.
    let edit = |nodes: &mut Nodes| parent_mut(nodes, 11).unmerged_leaves.clear();
    edits.push(("merged", Violation::ParentHash, Box::new(edit)));
    assert_refused(edits)
}

/// The same rule in both directions: on trees of honest groups with random histories, and on each
/// of them with one random change, the library says what an independent reading of the RFC says.
///
/// V-7.9-03.
#[test]
fn attack_06_parent_hashes_against_an_oracle() -> Result<(), Error> {
    let (mut valid, mut invalid) = (0, 0);
    for seed in 0..4 {
        let mut rng = SeededRng::new(7_000 + seed);
        let mut group = TestGroup::builder(SUITE).size(5).seed(50 * seed).build()?;
        for step in 0..25 {
            random_step(&mut group, &mut rng, step)?;
            let signer = active(&group)[0];
            let mut insider = group.insider(signer)?;
            let nodes = tree_nodes(&insider.tree);
            assert!(Oracle::new(insider.suite(), &nodes).is_valid(), "{seed}, {step}");
            assert!(opens(&mut insider, &nodes)?, "an honest tree: {seed}, {step}");
            for _ in 0..6 {
                let Some(changed) = random_change(&nodes, &mut rng) else { continue };
                let expected = Oracle::new(insider.suite(), &changed).is_valid();
                assert_eq!(opens(&mut insider, &changed)?, expected, "{seed}, {step}");
                *(if expected { &mut valid } else { &mut invalid }) += 1;
            }
        }
    }
    assert!(valid > 10 && invalid > 100, "{valid} valid, {invalid} invalid");
    Ok(())
}

fn active(group: &TestGroup) -> Vec<usize> {
    (0..group.members.len()).filter(|i| group.members[*i].is_active()).collect()
}

fn random(rng: &mut SeededRng, below: usize) -> usize {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes).unwrap();
    (u64::from_be_bytes(bytes) % below as u64) as usize
}

fn random_step(group: &mut TestGroup, rng: &mut SeededRng, step: usize) -> Result<(), Error> {
    let members = active(group);
    let by = members[random(rng, members.len())];
    match random(rng, 6) {
        0 if members.len() < 11 => drop(group.add(by, &format!("n{step}"))?),
        1 if members.len() < 11 => {
            // Without a path: the new leaf stays unmerged.
            let mut newcomer = group.newcomer(&format!("p{step}"))?;
            let add = Proposal::Add(newcomer.key_package()?);
            let mut request = group.request(by)?;
            request.by_value = vec![add];
            request.force_path = false;
            let welcome = group.commit(by, request)?.welcome.expect("a Welcome");
            newcomer.join(welcome)?;
            group.members.push(newcomer);
        }
        2 | 3 if members.len() > 3 => {
            let other = members[random(rng, members.len())];
            if other != by {
                group.remove(by, other)?;
            }
        }
        4 => {
            let other = members[random(rng, members.len())];
            group.propose(other, None)?;
            group.update(by)?;
        }
        _ => drop(group.update(by)?),
    }
    Ok(())
}

/// One change of a parent; `None` where there is none to change.
fn random_change(nodes: &Nodes, rng: &mut SeededRng) -> Option<Nodes> {
    let mut changed = nodes.clone();
    let parents: Vec<usize> =
        (1..nodes.len()).step_by(2).filter(|at| nodes[*at].is_some()).collect();
    let at = *parents.get(random(rng, parents.len().max(1)))?;
    let leaf = LeafIndex(random(rng, nodes.len().div_ceil(2)) as u32);
    match random(rng, 6) {
        0 => changed[at] = None,
        1 => {
            let other = parents[random(rng, parents.len())];
            changed[at].as_mut()?.parent_mut()?.parent_hash =
                parent(nodes, other).parent_hash.clone();
        }
        2 => changed[at].as_mut()?.parent_mut()?.parent_hash.clear(),
        3 => {
            let unmerged = &mut changed[at].as_mut()?.parent_mut()?.unmerged_leaves;
            unmerged.push(leaf);
            unmerged.sort_unstable();
        }
        4 => drop(changed[at].as_mut()?.parent_mut()?.unmerged_leaves.pop()),
        _ => {
            let place = 2 * random(rng, nodes.len() / 2) + 1;
            changed.swap(at, place);
        }
    }
    Some(changed)
}

/// Whether somebody would join by this tree, under a GroupInfo that is right for it.
fn opens(insider: &mut Insider, nodes: &Nodes) -> Result<bool, Error> {
    let settings = insider.settings.clone();
    let nodes = nodes.clone();
    let info = insider.group_info().external_pub().edit_tree(|held| *held = nodes).build()?;
    match OpenedGroupInfo::open(settings, info, None) {
        Ok(_) => Ok(true),
        Err(Error::Violation(
            Violation::ParentHash
            | Violation::UnmergedLeavesOrder
            | Violation::UnmergedLeafMisplaced
            | Violation::UnmergedLeafSkipped
            | Violation::ParentKeyReused,
        )) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Lists of unmerged leaves say who does not know a parent's key, and what was there when its parent
/// hash was made. Somebody who can write them at will hides who is below, or reads what it should
/// not. Each rule of such a list is broken once.
///
/// V-7.1-01, V-12.4.3.1-15, V-12.4.3.1-16.
#[test]
fn attack_07_unmerged_leaves_forgery() -> Result<(), Error> {
    let list = |at: usize, leaves: &[u32]| -> Edit {
        let leaves: Vec<LeafIndex> = leaves.iter().copied().map(LeafIndex).collect();
        Box::new(move |nodes| parent_mut(nodes, at).unmerged_leaves = leaves.clone())
    };
    let hidden: Edit = Box::new(|nodes| {
        parent_mut(nodes, 7).unmerged_leaves = vec![LeafIndex(7)];
        parent_mut(nodes, 11).unmerged_leaves.clear();
    });
    assert_refused([
        ("unsorted", Violation::UnmergedLeavesOrder, list(11, &[7, 6])),
        ("twice", Violation::UnmergedLeavesOrder, list(11, &[7, 7])),
        ("not below", Violation::UnmergedLeafMisplaced, list(3, &[5])),
        ("not there at all", Violation::UnmergedLeafMisplaced, list(3, &[4_000_000_000])),
        ("the largest", Violation::UnmergedLeafMisplaced, list(7, &[u32::MAX])),
        ("skipped between", Violation::UnmergedLeafSkipped, hidden),
        ("skipped below", Violation::UnmergedLeafSkipped, list(7, &[0])),
        ("merged before", Violation::ParentHash, list(11, &[6, 7])),
        ("left out", Violation::ParentHash, list(11, &[])),
    ])?;

    // A leaf that is blank: member 5 was removed, and an old list still names it.
    let mut group = TestGroup::new(SUITE, 7)?;
    for i in [0, 4] {
        group.update(i)?;
    }
    group.remove(4, 5)?;
    let mut insider = group.insider(4)?;
    let info = insider.group_info().external_pub().edit_tree(|nodes| {
        parent_mut(nodes, 11).unmerged_leaves = vec![LeafIndex(5)];
    });
    let error = OpenedGroupInfo::open(group.members[0].settings.clone(), info.build()?, None);
    assert_eq!(violation(error.unwrap_err()), Violation::UnmergedLeafMisplaced);
    Ok(())
}

/// A tree on the wire is an array, and leaves and parents alternate in it: another kind in a place,
/// an even length, blank nodes at the end or an index beyond every tree make a reader take one thing
/// for another or count past its end.
///
/// V-6.1-03, V-6.3.2-04, V-12.1.3-01, V-12.4.3-04, V-12.4.3.3-02, V-12.4.3.3-03.
#[test]
fn attack_08_tree_shape_confusion() -> Result<(), Error> {
    let trailing: Edit = Box::new(|nodes| nodes.push(None));
    let more: Edit = Box::new(|nodes| nodes.extend([None, None, None]));
    let swapped: Edit = Box::new(|nodes| nodes.swap(0, 1));
    let leaf_in_the_middle: Edit = Box::new(|nodes| nodes[7] = nodes[0].clone());
    let parent_below: Edit = Box::new(|nodes| nodes[12] = nodes[11].clone());
    let parent_at_the_end: Edit = Box::new(|nodes| {
        let parent = nodes[11].clone();
        nodes.push(parent);
    });
    assert_refused([
        ("blank at the end", Violation::TreeTrailingBlank, trailing),
        ("blank nodes at the end", Violation::TreeTrailingBlank, more),
        ("swapped", Violation::TreeNodeKind, swapped),
        ("a leaf as the root", Violation::TreeNodeKind, leaf_in_the_middle),
        ("a parent as a leaf", Violation::TreeNodeKind, parent_below),
    ])?;
    let (mut newcomer, mut commit) = welcoming()?;
    let even = commit.welcome().edit_tree(|nodes| parent_at_the_end(nodes)).build()?;
    // A parent at the end has no leaf on its right.
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &even), Violation::TreeTrailingBlank);
    for (cut, expected) in [
        (0, Violation::TreeTrailingBlank),
        // A tree of one, and the signer is another.
        (1, Violation::GroupInfoSigner),
        (2, Violation::TreeTrailingBlank),
        (14, Violation::TreeTrailingBlank),
    ] {
        let welcome = commit.welcome().edit_tree(|nodes| nodes.truncate(cut)).build()?;
        assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &welcome), expected, "{cut}");
    }
    for (data, expected) in [
        (&[][..], DecodeError::EndOfInput { missing: 1 }),
        (&[1, 2], DecodeError::InvalidPresence(2)),
        (&[1, 7], DecodeError::InvalidPresence(7)),
        (&[0, 0], DecodeError::TrailingBytes { count: 1 }),
    ] {
        let welcome = commit.welcome().without_tree().build()?;
        let error = newcomer.join_with(&welcome, Some(data)).unwrap_err();
        assert!(matches!(&error, Error::Malformed(found) if *found == expected), "{error:?}");
    }

    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for index in [3, 1 << 23, 1 << 24, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
        let leaf = LeafIndex(index);
        let commit = insider.commit().proposals([Proposal::Remove(leaf)]).private()?;
        let error = group.refuses(0, commit);
        assert_eq!(violation(error), Violation::RemoveOfBlank, "{index}");
        let sent = insider.proposal(Proposal::Remove(leaf))?.private()?;
        assert_eq!(violation(group.refuses(0, sent)), Violation::RemoveOfBlank);
        let sent = insider.application(b"x")?.edit_sender_data(|data| data.leaf_index = leaf);
        let error = group.refuses(0, sent.private()?);
        assert_eq!(violation(error), Violation::SenderDataLeaf, "{index}");
        let sent = insider.commit().framed(|frame| frame.sender(Sender::Member(leaf))).public()?;
        let error = group.refuses(0, sent);
        assert_eq!(violation(error), Violation::UnknownSender, "{index}");
        let info = insider.group_info().external_pub().edit_group_info(|info| info.signer = leaf);
        let error = OpenedGroupInfo::open(insider_settings(&group), info.build()?, None);
        assert_eq!(violation(error.unwrap_err()), Violation::GroupInfoSigner, "{index}");
    }
    let commit = insider.commit().private()?;
    let read = MlsMessage::read(&commit.message, &group.members[0].settings.context)?;
    assert_eq!(read.to_bytes()?, commit.message);
    let padded = [commit.message.as_slice(), &[0]].concat();
    let error = group.refuses(0, padded);
    assert!(matches!(error, Error::Malformed(DecodeError::TrailingBytes { count: 1 })));
    group.broadcast(1, &commit)?;
    Ok(())
}

fn insider_settings(group: &TestGroup) -> circlet::group::Settings {
    group.members[0].settings.clone()
}
