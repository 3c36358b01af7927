use super::*;
use crate::codec::DecodeError;
use crate::rules::Violation;

fn blank_parent() -> StoredNode {
    StoredNode { content: StoredContent::Parent(None), tree_hash: Digest::new(&[7; 32]) }
}

fn stored_leaf(key: u32) -> StoredNode {
    StoredNode { content: StoredContent::Leaf(leaf(key)), tree_hash: None }
}

fn decode(bytes: &[u8]) -> Result<StoredNode, DecodeError> {
    StoredNode::from_bytes(bytes, &DecodeContext::default())
}

#[test]
fn rows_survive() {
    let (suite, mut keys) = (suite(), Keys(0));
    let mut tree = keys.tree(7);
    keys.commit(&mut tree, &suite, 2);
    tree.add(leaf(keys.next()), LIMIT).unwrap();
    tree.tree_hash(&suite).unwrap();
    for (tree, hashed) in [(reread(&tree), false), (tree, true)] {
        let mut rows = tree.all_nodes();
        // Without a hash there is nothing to store of a blank parent.
        assert_eq!(rows.len(), if hashed { 15 } else { 8 + 3 });
        for (_, row) in &rows {
            assert_eq!(decode(&row.to_bytes().unwrap()).as_ref(), Ok(row));
            assert_eq!(row.tree_hash.is_some(), hashed);
        }
        rows.reverse();
        let restored = RatchetTree::restore(tree.width(), rows).unwrap();
        assert_eq!(restored.all_nodes(), tree.all_nodes());
        assert_eq!(restored.to_bytes(), tree.to_bytes());
    }
}

#[test]
fn rows_are_as_they_are_written_today() {
    assert_eq!(blank_parent().to_bytes().unwrap(), [&[2, 0, 32][..], &[7; 32]].concat());
    let parent = ParentNode {
        encryption_key: HpkePublicKey::new(&[1, 2]),
        parent_hash: vec![3],
        unmerged_leaves: vec![LeafIndex(4)],
    };
    let row = StoredNode { content: StoredContent::Parent(Some(parent)), tree_hash: None };
    assert_eq!(row.to_bytes().unwrap(), [2, 1, 2, 1, 2, 1, 3, 4, 0, 0, 0, 4, 0]);
    let expected = [&[1][..], leaf(1).as_bytes(), &[0]].concat();
    assert_eq!(stored_leaf(1).to_bytes().unwrap(), expected);
}

#[test]
fn rows_that_are_none_are_refused() {
    let wrong = DecodeError::WrongLength { expected: 64, actual: 65 };
    assert_eq!(decode(&[&[2, 0, 0x40, 65][..], &[0; 65]].concat()), Err(wrong));
    let unknown = DecodeError::UnknownValue { kind: "NodeType", value: 0 };
    assert_eq!(decode(&[0, 0, 0]), Err(unknown));
}

#[test]
fn rows_of_no_tree_are_refused() {
    let width = TreeWidth::for_leaves(2).unwrap();
    let restore = |rows: &[(u32, StoredNode)]| {
        let rows = rows.iter().map(|(at, row)| (NodeIndex(*at), row.clone()));
        RatchetTree::restore(width, rows).err()
    };
    assert_eq!(restore(&[(2, stored_leaf(1))]), None);
    assert_eq!(restore(&[(2, stored_leaf(1)), (0, stored_leaf(2)), (1, blank_parent())]), None);
    for outside in [3, 4, u32::MAX] {
        let rows = [(2, stored_leaf(1)), (outside, stored_leaf(2))];
        assert_eq!(restore(&rows), Some(TreeError::NoSuchNode(NodeIndex(outside))));
    }
    let kind = Some(Violation::TreeNodeKind.into());
    assert_eq!(restore(&[(1, stored_leaf(1)), (2, stored_leaf(2))]), kind);
    assert_eq!(restore(&[(0, blank_parent()), (2, stored_leaf(2))]), kind);
    let narrow = Some(Violation::TreeTrailingBlank.into());
    assert_eq!(restore(&[(0, stored_leaf(1))]), narrow);
    assert_eq!(restore(&[]), narrow);
}

#[test]
fn changes_name_what_is_gone() {
    let (suite, mut keys) = (suite(), Keys(0));
    let mut tree = keys.tree(5);
    tree.tree_hash(&suite).unwrap();
    let older = tree.clone();
    tree.remove(LeafIndex(4)).unwrap();
    tree.tree_hash(&suite).unwrap();
    // The former root and the right half; the left half is the same.
    let expected = [7, 8, 9, 11].map(|at| (NodeIndex(at), None));
    assert_eq!(tree.changes_since(&older), expected);
    let back: Vec<_> = older.changes_since(&tree).into_iter().map(|(at, _)| at.0).collect();
    assert_eq!(back, [7, 8, 9, 11]);
}
