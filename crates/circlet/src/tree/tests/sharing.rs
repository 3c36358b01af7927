//! A warm tree of 10,000 members: what operations hash and replace.

use super::*;

const MEMBERS: u32 = 10_000;
const DEPTH: usize = 14;
/// A blank subtree of 16 leaves or fewer may be hashed again.
const BLANK: usize = 31;

struct Warm {
    counter: Arc<HashCounter>,
    suite: Suite,
    keys: Keys,
    tree: RatchetTree,
}

fn warm() -> Warm {
    let (counter, mut keys) = (HashCounter::new(), Keys(0));
    let (suite, tree) = (counter.suite(), keys.tree(MEMBERS));
    tree.tree_hash(&suite).unwrap();
    Warm { counter, suite, keys, tree }
}

/// Everything beside the path of a leaf is the same in memory.
fn assert_shared_beside(leaf: LeafIndex, old: &RatchetTree, new: &RatchetTree) {
    let node = leaf.node().unwrap();
    assert!(!new.shares_subtree(old, node) || new.leaf(leaf) == old.leaf(leaf));
    assert!(!new.shares_subtree(old, new.width().root()));
    for beside in new.width().copath(node) {
        assert!(new.shares_subtree(old, beside), "{beside:?}");
    }
    assert!(new.changes_since(old).len() <= DEPTH + 1);
}

#[test]
fn adding_many_hashes_nothing_then_each_node_once() {
    let counter = HashCounter::new();
    let (suite, mut keys) = (counter.suite(), Keys(0));
    let mut tree = keys.tree(MEMBERS);
    let hash = |tree: &RatchetTree| counter.count(|| _ = tree.tree_hash(&suite).unwrap());
    assert_eq!(hash(&tree), tree.width().nodes() as usize);
    assert_eq!(hash(&tree), 0);
    assert_eq!(hash(&tree.clone()), 0);
    let added = counter.count(|| {
        for _ in 0..100 {
            tree.add(leaf(keys.next()), LIMIT).unwrap();
        }
    });
    assert_eq!(added, 0);
    assert!(hash(&tree) <= 2 * 100 + DEPTH + BLANK);
}

#[test]
fn one_more_member_replaces_one_path() {
    let Warm { counter, suite, mut keys, mut tree } = warm();
    for _ in 0..300 {
        let old = tree.clone();
        let mut added = LeafIndex(0);
        let hashed = counter.count(|| {
            added = tree.add(leaf(keys.next()), LIMIT).unwrap();
            tree.tree_hash(&suite).unwrap();
        });
        assert!(hashed <= DEPTH + 1 + BLANK, "{hashed}");
        assert_shared_beside(added, &old, &tree);
    }
}

#[test]
fn a_commit_replaces_one_path() {
    let Warm { counter, suite, mut keys, mut tree } = warm();
    for committer in [0, 1, 4_999, 9_999, 8_192] {
        let old = tree.clone();
        let hashed = counter.count(|| {
            keys.commit(&mut tree, &suite, committer);
            tree.tree_hash(&suite).unwrap();
        });
        // A parent hash and a tree hash for each node of the path, and the leaf's tree hash.
        let path = tree.filtered_direct_path(LeafIndex(committer)).len();
        assert_eq!(hashed, path + DEPTH + 1);
        assert_shared_beside(LeafIndex(committer), &old, &tree);
    }
}

#[test]
fn removing_and_updating_replace_one_path() {
    let Warm { counter, suite, mut keys, mut tree } = warm();
    for index in [0, 1, 2, 7_777, 9_999, 9_998, 9_997] {
        let old = tree.clone();
        let hashed = counter.count(|| {
            tree.remove(LeafIndex(index)).unwrap();
            tree.tree_hash(&suite).unwrap();
        });
        assert!(hashed <= DEPTH + 1 + BLANK, "{hashed}");
        assert_shared_beside(LeafIndex(index), &old, &tree);
    }
    let old = tree.clone();
    let hashed = counter.count(|| {
        tree.update(LeafIndex(5_000), leaf(keys.next())).unwrap();
        tree.tree_hash(&suite).unwrap();
    });
    assert_eq!(hashed, DEPTH + 1);
    assert_shared_beside(LeafIndex(5_000), &old, &tree);
}

#[test]
fn blank_subtrees_are_split_and_joined_warm() {
    let (counter, mut keys) = (HashCounter::new(), Keys(0));
    let suite = counter.suite();
    let mut tree = keys.tree(1 << 10);
    let depth = 10;
    // Leaf 100 is at last the only one below 512.
    for index in (0..512).filter(|index| *index != 100) {
        tree.remove(LeafIndex(index)).unwrap();
    }
    tree.tree_hash(&suite).unwrap();
    let assert_warm = |tree: &RatchetTree, hashed: usize| {
        assert!(hashed <= depth + 1 + BLANK, "{hashed}");
        assert_eq!(tree.tree_hash(&suite), reread(tree).tree_hash(&suite));
    };
    let hashed = counter.count(|| {
        tree.remove(LeafIndex(100)).unwrap();
        tree.tree_hash(&suite).unwrap();
    });
    assert_warm(&tree, hashed);
    let hashed = counter.count(|| {
        assert_eq!(tree.add(leaf(keys.next()), LIMIT), Ok(LeafIndex(0)));
        tree.tree_hash(&suite).unwrap();
    });
    assert_warm(&tree, hashed);
}

#[test]
fn a_restored_tree_is_warm() {
    let Warm { counter, suite, mut keys, mut tree } = warm();
    keys.commit(&mut tree, &suite, 17);
    let expected = tree.tree_hash(&suite).unwrap();
    let rows = tree.all_nodes().into_iter().map(|(at, row)| {
        let bytes = row.to_bytes().unwrap();
        (at, StoredNode::from_bytes(&bytes, &DecodeContext::default()).unwrap())
    });
    let mut restored = RatchetTree::restore(tree.width(), rows).unwrap();
    let hashed = counter.count(|| assert_eq!(restored.tree_hash(&suite).unwrap(), expected));
    assert_eq!(hashed, 0);
    let hashed = counter.count(|| {
        keys.commit(&mut restored, &suite, 16);
        restored.tree_hash(&suite).unwrap();
    });
    assert_eq!(hashed, 2 * DEPTH + 1);
}

#[test]
fn growing_shares_the_former_tree_and_shrinking_gives_it_back() {
    let (suite, mut keys) = (suite(), Keys(0));
    let full = keys.tree(1 << 10);
    let root = full.width().root();
    let digest = full.tree_hash(&suite).unwrap();
    let mut wider = full.clone();
    let added = wider.add(leaf(keys.next()), LIMIT).unwrap();
    assert_eq!(wider.width().leaves(), 1 << 11);
    assert!(wider.shares_subtree(&full, root));
    wider.remove(added).unwrap();
    assert_eq!(wider.width(), full.width());
    assert!(wider.shares_subtree(&full, root));
    assert_eq!(wider.tree_hash(&suite).unwrap(), digest);
    assert!(wider.changes_since(&full).is_empty());
}
