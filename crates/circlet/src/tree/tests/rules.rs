use std::collections::BTreeMap;

use super::*;
use crate::rules::Violation;
use crate::rules::tree::{check_parent_keys, check_tree};
use crate::tree::OriginalHashes;

type Rows = BTreeMap<NodeIndex, StoredNode>;

/// Eight leaves, leaf 5 blank. Leaf 0 set nodes 1, 3 and 7, then leaf 6 set 13, 11 and 7, then
/// leaf 3 was added: unmerged at 3 and 7.
///
/// ```text
///               7[3]
///        3[3]         11
///      1     _      _    13
///     0 1   2 3    4 _  6  7
/// ```
fn rows() -> Rows {
    let (suite, mut keys) = (suite(), Keys(0));
    let mut tree = keys.tree(8);
    tree.remove(LeafIndex(3)).unwrap();
    tree.remove(LeafIndex(5)).unwrap();
    keys.commit(&mut tree, &suite, 0);
    keys.commit(&mut tree, &suite, 6);
    // Fills leaf 3, the leftmost blank one.
    tree.add(leaf(keys.next()), LIMIT).unwrap();
    let parents: Vec<_> = tree.parents().map(|(node, _)| node.0).collect();
    assert_eq!(parents, [7, 3, 1, 11, 13]);
    assert_eq!(tree.parent(NodeIndex(7)).unwrap().unmerged_leaves, [LeafIndex(3)]);
    tree.all_nodes().into_iter().collect()
}

fn parent(rows: &mut Rows, node: u32) -> &mut ParentNode {
    match &mut rows.get_mut(&NodeIndex(node)).unwrap().content {
        StoredContent::Parent(Some(parent)) => parent,
        _ => panic!("node {node} is no parent"),
    }
}

fn unmerged(rows: &mut Rows, node: u32) -> &mut Vec<LeafIndex> {
    &mut parent(rows, node).unmerged_leaves
}

fn leaf_at(rows: &Rows, index: u32) -> &LeafNode {
    match &rows[&NodeIndex(index * 2)].content {
        StoredContent::Leaf(leaf) => leaf,
        StoredContent::Parent(_) => panic!("leaf {index} is no leaf"),
    }
}

fn parent_hash_of(rows: &Rows, index: u32) -> Vec<u8> {
    match &leaf_at(rows, index).source {
        LeafNodeSource::Commit(parent_hash) => parent_hash.clone(),
        _ => panic!("leaf {index} was set by no Commit"),
    }
}

fn put(rows: &mut Rows, node: u32, content: StoredContent) {
    rows.insert(NodeIndex(node), StoredNode { content, tree_hash: None });
}

fn verdict(mut rows: Rows) -> Result<(), TreeError> {
    rows.values_mut().for_each(|row| row.tree_hash = None);
    let tree = RatchetTree::restore(TreeWidth::for_leaves(8).unwrap(), rows).unwrap();
    let verdict = check_tree(&tree, &suite());
    assert_eq!(check_tree(&reread(&tree), &suite()), verdict);
    verdict
}

/// Changes the tree and says what it then breaks.
#[track_caller]
fn refused(violation: Violation, change: impl FnOnce(&mut Rows)) {
    let mut rows = rows();
    change(&mut rows);
    assert_eq!(verdict(rows), Err(violation.into()));
}

#[test]
fn the_unchanged_tree_passes() {
    assert_eq!(verdict(rows()), Ok(()));
}

/// V-7.1-01.
#[test]
fn unmerged_leaves_ascend() {
    let order = Violation::UnmergedLeavesOrder;
    refused(order, |rows| *unmerged(rows, 7) = vec![LeafIndex(3), LeafIndex(2)]);
    refused(order, |rows| *unmerged(rows, 7) = vec![LeafIndex(3), LeafIndex(3)]);
    refused(order, |rows| *unmerged(rows, 3) = vec![LeafIndex(3), LeafIndex(3)]);
}

/// V-12.4.3.1-15.
#[test]
fn unmerged_leaves_are_members_below() {
    // Blank, in the other half, and outside of the tree.
    for (node, leaf) in [(11, 5), (7, 5), (3, 4), (13, 0), (7, 8), (7, 1 << 31), (7, u32::MAX)] {
        refused(Violation::UnmergedLeafMisplaced, |rows| {
            unmerged(rows, node).push(LeafIndex(leaf));
            unmerged(rows, node).sort();
        });
    }
}

/// V-12.4.3.1-16.
#[test]
fn unmerged_leaves_are_listed_all_the_way() {
    let skipped = Violation::UnmergedLeafSkipped;
    refused(skipped, |rows| unmerged(rows, 3).clear());
    refused(skipped, |rows| unmerged(rows, 7).insert(0, LeafIndex(1)));
    refused(skipped, |rows| {
        // Listed by the next parent but one.
        *unmerged(rows, 7) = vec![LeafIndex(1), LeafIndex(3)];
        *unmerged(rows, 1) = vec![LeafIndex(1)];
    });
}

/// V-7.3-13, V-12.2-16 and V-12.4.3.1-17.
#[test]
fn keys_are_in_the_tree_once() {
    let reused = Violation::ParentKeyReused;
    refused(reused, |rows| {
        parent(rows, 1).encryption_key = parent(rows, 13).encryption_key.clone();
    });
    refused(reused, |rows| {
        parent(rows, 1).encryption_key = leaf_at(rows, 7).encryption_key.clone();
    });
    // Leaves 1 and 2 were added with the keys 2 and 3.
    let changed = |encryption_key, signature_key| {
        let sketch = Sketch { encryption_key, signature_key, ..Sketch::new(0) };
        move |rows: &mut Rows| put(rows, 2, StoredContent::Leaf(sketch.leaf()))
    };
    refused(Violation::DuplicateEncryptionKey, changed(3, 900));
    refused(Violation::DuplicateSignatureKey, changed(900, 3));
}

#[test]
fn v_7_1_02_keys_of_parents_are_valid() {
    let suite = Suite::new(Arc::new(DefaultProvider::new()), CipherSuite(1)).unwrap();
    let key = |seed| suite.derive_key_pair(&Secret::new(&[seed; 32])).unwrap().public;
    let mut rows = rows();
    for node in [1, 3, 7, 11, 13] {
        parent(&mut rows, node).encryption_key = key(node as u8);
    }
    let verdict = |rows: &Rows| {
        let tree = RatchetTree::restore(TreeWidth::for_leaves(8).unwrap(), rows.clone()).unwrap();
        check_parent_keys(&tree, &suite)
    };
    assert_eq!(verdict(&rows), Ok(()));
    for bytes in [&[][..], &[0; 32], &[9; 31], &[9; 33]] {
        for node in [1, 7, 13] {
            let mut rows = rows.clone();
            parent(&mut rows, node).encryption_key = HpkePublicKey::new(bytes);
            assert_eq!(verdict(&rows), Err(Violation::InvalidHpkeKey));
        }
    }
}

/// The chain is right: it is from what the root says.
#[test]
fn v_7_9_01_nothing_is_above_the_root() {
    let suite = suite();
    for (parent_hash, expected) in
        [(vec![], Ok(())), (vec![7], Err(TreeError::Violation(Violation::ParentHash)))]
    {
        let tree = Keys(0).tree(2);
        let (encryption_key, unmerged_leaves) = (hpke_key(900), Vec::new());
        let root = ParentNode { encryption_key, parent_hash, unmerged_leaves };
        let hash = OriginalHashes::new(&tree, &suite).parent_hash(&root, NodeIndex(2)).unwrap();
        let committed = committed_leaf(901, hash.as_bytes().to_vec());
        let mut rows: Rows = tree.all_nodes().into_iter().collect();
        put(&mut rows, 0, StoredContent::Leaf(committed));
        put(&mut rows, 1, StoredContent::Parent(Some(root.clone())));
        let tree = RatchetTree::restore(tree.width(), rows).unwrap();
        assert_eq!(check_tree(&tree, &suite), expected);
    }
}

/// V-7.9-03 and V-12.4.3.1-13.
#[test]
fn every_byte_of_a_parent_is_bound() {
    for node in [1, 3, 7, 11, 13] {
        refused(Violation::ParentHash, |rows| {
            parent(rows, node).encryption_key = hpke_key(900);
        });
    }
    for node in [3, 11, 7] {
        refused(Violation::ParentHash, |rows| parent(rows, node).parent_hash.push(0));
    }
    // Node 3 is no part of the chain to 7 any more, but of what node 1 has the hash of.
    for node in [1, 3, 13, 11] {
        refused(Violation::ParentHash, |rows| parent(rows, node).parent_hash.clear());
        refused(Violation::ParentHash, |rows| parent(rows, node).parent_hash[0] ^= 1);
    }
}

#[test]
fn members_below_are_bound() {
    let hash = Violation::ParentHash;
    // Each leaf was there when a parent above it was set.
    for index in [0, 1, 2, 4, 6, 7] {
        refused(hash, |rows| put(rows, index * 2, StoredContent::Leaf(leaf(900))));
    }
    refused(hash, |rows| {
        let (a, b) = (leaf_at(rows, 1).clone(), leaf_at(rows, 2).clone());
        put(rows, 2, StoredContent::Leaf(b));
        put(rows, 4, StoredContent::Leaf(a));
    });
    refused(hash, |rows| {
        let (a, b) = (leaf_at(rows, 0).clone(), leaf_at(rows, 6).clone());
        put(rows, 0, StoredContent::Leaf(b));
        put(rows, 12, StoredContent::Leaf(a));
    });
    refused(hash, |rows| _ = rows.remove(&NodeIndex(4)));
    // A leaf that came later is bound by no parent yet.
    let mut rows = rows();
    put(&mut rows, 6, StoredContent::Leaf(leaf(900)));
    assert_eq!(verdict(rows), Ok(()));
}

/// V-7.9-06.
#[test]
fn a_chain_begins_at_a_committed_leaf() {
    for index in [0, 6] {
        refused(Violation::ParentHash, |rows| {
            let key = leaf_at(rows, index).encryption_key.as_bytes();
            let key = u32::from_be_bytes(*key.last_chunk().unwrap());
            put(rows, index * 2, StoredContent::Leaf(leaf(key)));
        });
    }
    // The parent hash of another leaf does not help.
    refused(Violation::ParentHash, |rows| {
        let parent_hash = parent_hash_of(rows, 6);
        put(rows, 0, StoredContent::Leaf(committed_leaf(900, parent_hash)));
    });
}

#[test]
fn parents_of_nobodys_making_are_refused() {
    let made_up = |parent_hash: Vec<u8>| {
        let unmerged_leaves = Vec::new();
        ParentNode { encryption_key: hpke_key(900), parent_hash, unmerged_leaves }
    };
    for node in [5, 9] {
        refused(Violation::ParentHash, |rows| {
            // It lists leaf 3, so that the lists are right.
            let mut parent = made_up(Vec::new());
            parent.unmerged_leaves.extend((node == 5).then_some(LeafIndex(3)));
            put(rows, node, StoredContent::Parent(Some(parent)));
        });
        refused(Violation::ParentHash, |rows| {
            let mut parent = made_up(parent_hash_of(rows, 0));
            parent.unmerged_leaves.extend((node == 5).then_some(LeafIndex(3)));
            put(rows, node, StoredContent::Parent(Some(parent)));
        });
    }
}

#[test]
fn unmerged_leaves_are_bound() {
    let hash = Violation::ParentHash;
    // One that was merged, listed all the way.
    refused(hash, |rows| unmerged(rows, 13).push(LeafIndex(7)));
    refused(hash, |rows| {
        *unmerged(rows, 3) = vec![LeafIndex(2), LeafIndex(3)];
        *unmerged(rows, 7) = vec![LeafIndex(2), LeafIndex(3)];
    });
    // One that was not, listed nowhere; or by the lower parent alone.
    refused(hash, |rows| {
        unmerged(rows, 3).clear();
        unmerged(rows, 7).clear();
    });
    refused(hash, |rows| unmerged(rows, 7).clear());
}

/// V-7.9-04: whether the leaf that came later is left or right of the one that set the parent.
#[test]
fn a_later_leaf_beside_the_chain_is_listed() {
    for (committer, later) in [(0, 1), (1, 0)] {
        let (suite, mut keys) = (suite(), Keys(0));
        let mut tree = keys.tree(3);
        tree.remove(LeafIndex(later)).unwrap();
        keys.commit(&mut tree, &suite, committer);
        assert_eq!(tree.add(leaf(keys.next()), LIMIT), Ok(LeafIndex(later)));
        assert_eq!(check_tree(&tree, &suite), Ok(()));
        let mut rows: Rows = tree.all_nodes().into_iter().collect();
        unmerged(&mut rows, 3).clear();
        rows.values_mut().for_each(|row| row.tree_hash = None);
        let unlisted = RatchetTree::restore(tree.width(), rows).unwrap();
        assert_eq!(check_tree(&unlisted, &suite), Err(Violation::ParentHash.into()));
    }
}

/// With a hash function that resists collisions nobody can make such a tree.
#[test]
fn two_chains_to_one_parent_are_refused() {
    let (suite, mut keys) = (HashCounter::colliding().suite(), Keys(0));
    let mut tree = keys.tree(2);
    keys.commit(&mut tree, &suite, 0);
    assert_eq!(check_tree(&tree, &suite), Ok(()));
    let parent_hash = suite.hash(&[]).unwrap().as_bytes().to_vec();
    tree.set_leaf(LeafIndex(1), committed_leaf(900, parent_hash)).unwrap();
    assert_eq!(check_tree(&tree, &suite), Err(Violation::ParentHash.into()));
}

/// The other child has a parent hash too, from an earlier Commit.
#[test]
fn either_child_may_continue_the_chain() {
    for committer in [0, 1] {
        let (suite, mut keys) = (suite(), Keys(0));
        let mut tree = keys.tree(2);
        keys.commit(&mut tree, &suite, 1 - committer);
        keys.commit(&mut tree, &suite, committer);
        assert_eq!(check_tree(&tree, &suite), Ok(()));
    }
}

/// Every parent above four leaves or more lists a quarter of those below it. Original tree hashes of
/// a subtree are the same for all its ancestors.
#[test]
fn checking_many_unmerged_leaves_is_linear() {
    const LEAVES: u32 = 1 << 10;
    let (counter, mut keys) = (HashCounter::new(), Keys(0));
    let suite = counter.suite();
    let mut tree = keys.tree(LEAVES);
    for index in (3..LEAVES).step_by(4).rev() {
        tree.remove(LeafIndex(index)).unwrap();
    }
    for index in (0..tree.width().leaves()).filter(|index| index % 4 != 3) {
        keys.commit(&mut tree, &suite, index);
    }
    for _ in (3..LEAVES).step_by(4) {
        tree.add(leaf(keys.next()), LIMIT).unwrap();
    }
    assert_eq!(tree.member_count(), LEAVES);
    let root = tree.parent(tree.width().root()).unwrap();
    assert_eq!(root.unmerged_leaves.len() as u32, LEAVES / 4);
    tree.tree_hash(&suite).unwrap();
    let hashed = counter.count(|| check_tree(&tree, &suite).unwrap());
    assert!(hashed <= 5 * LEAVES as usize, "{hashed}");
}
