use super::*;

const NOWHERE: [LeafIndex; 4] =
    [LeafIndex(2), LeafIndex(8), LeafIndex(1 << 31), LeafIndex(u32::MAX)];

/// Seven members around a blank leaf 2, with parents.
fn tree(suite: &Suite) -> RatchetTree {
    let mut keys = Keys(0);
    let mut tree = keys.tree(8);
    tree.remove(LeafIndex(2)).unwrap();
    keys.commit(&mut tree, suite, 7);
    tree
}

/// V-4.0-04.
#[test]
fn what_is_not_there_is_none() {
    let suite = suite();
    let tree = tree(&suite);
    for index in NOWHERE {
        assert_eq!(tree.leaf(index), None);
    }
    assert!(tree.filtered_direct_path(LeafIndex(8)).is_empty());
    assert!(tree.filtered_direct_path(LeafIndex(u32::MAX)).is_empty());
    for node in [4, 5, 15, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX].map(NodeIndex) {
        assert_eq!(tree.parent(node), None);
        assert_eq!(tree.encryption_key(node), None);
        if node.0 >= tree.width().nodes() {
            assert!(tree.resolution(node).is_empty());
            let refused = tree.subtree_hash(&suite, node);
            assert_eq!(refused, Err(TreeError::NoSuchNode(node)));
        }
    }
    assert_eq!(tree.encryption_key(NodeIndex(0)), Some(&hpke_key(1)));
    let root = tree.width().root();
    assert_eq!(tree.encryption_key(root), tree.parent(root).map(|root| &root.encryption_key));
}

#[test]
fn an_operation_that_fails_changes_nothing() {
    let suite = suite();
    let mut tree = tree(&suite);
    let before = tree.clone();
    for index in NOWHERE {
        let none = Err(TreeError::NoSuchLeaf(index));
        assert_eq!(tree.update(index, leaf(900)), none);
        assert_eq!(tree.set_leaf(index, leaf(900)), none);
        assert_eq!(tree.remove(index), none);
        assert_eq!(tree.set_path(&suite, index, &[]), Err(TreeError::NoSuchLeaf(index)));
    }
    for count in [0, 2, 4] {
        let keys = vec![hpke_key(900); count];
        let refused = tree.set_path(&suite, LeafIndex(0), &keys);
        assert_eq!(refused, Err(TreeError::PathLength { expected: 3, actual: count }));
    }
    assert!(tree.changes_since(&before).is_empty());
    assert!(!tree.has_encryption_key(&hpke_key(900)));
    assert_eq!(tree.signature_key_owner(&signature_key(900)), None);
}

#[test]
fn the_limit_counts_blank_leaves() {
    let mut tree = tree(&suite());
    // There is room: the limit is about growing.
    assert_eq!(tree.add(leaf(900), 4), Ok(LeafIndex(2)));
    let before = tree.clone();
    assert_eq!(tree.add(leaf(901), 15), Err(TreeError::TooManyLeaves { limit: 15 }));
    assert!(tree.changes_since(&before).is_empty());
    assert_eq!(tree.width(), before.width());
    assert!(!tree.has_encryption_key(&hpke_key(901)));
    assert_eq!(tree.add(leaf(901), 16), Ok(LeafIndex(8)));
}

#[test]
fn the_last_member_may_leave() {
    let suite = suite();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let mut tree = Keys(0).tree(3);
        for index in order {
            tree.remove(LeafIndex(index)).unwrap();
        }
        assert_eq!((tree.member_count(), tree.width()), (0, TreeWidth::ONE));
        assert_eq!(tree.to_bytes().unwrap(), [0]);
        tree.tree_hash(&suite).unwrap();
        assert_eq!(tree.add(leaf(900), LIMIT), Ok(LeafIndex(0)));
        let anew = RatchetTree::new(leaf(900));
        assert_eq!(tree.tree_hash(&suite), anew.tree_hash(&suite));
    }
}

#[test]
fn a_single_member_has_an_empty_path() {
    let mut tree = RatchetTree::new(leaf(1));
    assert_eq!(tree.set_path(&suite(), LeafIndex(0), &[]), Ok(Vec::new()));
    assert_eq!(tree.leaf(LeafIndex(0)), Some(&leaf(1)));
}
