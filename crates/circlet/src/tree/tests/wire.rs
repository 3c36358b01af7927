use super::*;
use crate::codec::{DecodeError, Limits};
use crate::rules::Violation;

#[derive(Clone, Copy)]
enum Wire {
    Blank,
    Leaf,
    Parent,
}
use Wire::{Blank, Leaf, Parent};

fn encoded(nodes: &[Wire]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(|writer| {
        for (key, node) in (1..).zip(nodes) {
            match node {
                Blank => writer.u8(0),
                Leaf => {
                    writer.raw(&[1, 1]);
                    leaf(key).encode(writer);
                }
                Parent => {
                    writer.raw(&[1, 2]);
                    hpke_key(key).encode(writer);
                    writer.raw(&[0, 0]);
                }
            }
        }
    });
    writer.finish().unwrap()
}

fn read(nodes: &[Wire]) -> Result<RatchetTree, TreeError> {
    RatchetTree::from_wire(&encoded(nodes), &DecodeContext::default())
}

fn broken(violation: Violation) -> Option<TreeError> {
    Some(violation.into())
}

/// V-12.4.3.3-02 and V-12.4.3.3-04.
#[test]
fn the_last_node_is_a_leaf() {
    for nodes in [
        &[][..],
        &[Blank],
        &[Blank; 3],
        &[Leaf, Blank],
        &[Leaf, Blank, Blank],
        &[Leaf, Parent],
        &[Leaf, Parent, Blank],
        &[Leaf, Blank, Leaf, Parent],
        &[Leaf, Blank, Leaf, Blank, Leaf, Parent],
    ] {
        assert_eq!(read(nodes).err(), broken(Violation::TreeTrailingBlank), "{}", nodes.len());
    }
}

/// V-12.4.3.3-03.
#[test]
fn leaves_and_parents_have_their_places() {
    for nodes in [
        &[Parent][..],
        &[Leaf, Blank, Parent],
        &[Leaf, Leaf, Leaf],
        &[Parent, Blank, Leaf],
        &[Leaf, Blank, Leaf, Leaf, Leaf],
        &[Leaf, Blank, Leaf, Blank, Parent, Blank, Leaf],
    ] {
        assert_eq!(read(nodes).err(), broken(Violation::TreeNodeKind), "{}", nodes.len());
    }
}

/// V-7.9-03.
#[test]
fn a_parent_without_members_is_refused() {
    let nodes = [Blank, Parent, Blank, Blank, Leaf];
    assert_eq!(read(&nodes).err(), broken(Violation::ParentHash));
    let nodes = [Leaf, Blank, Leaf, Blank, Blank, Parent, Blank, Blank, Leaf];
    assert_eq!(read(&nodes).err(), broken(Violation::ParentHash));
}

#[test]
fn the_width_is_limited() {
    let limits = Limits { leaves: 4, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let mut nodes = vec![Leaf, Blank, Leaf, Blank, Leaf];
    assert!(RatchetTree::from_wire(&encoded(&nodes), &context).is_ok());
    nodes.extend([Blank, Leaf]);
    assert!(RatchetTree::from_wire(&encoded(&nodes), &context).is_ok());
    nodes.extend([Blank, Leaf]);
    let refused = RatchetTree::from_wire(&encoded(&nodes), &context);
    assert_eq!(refused.err(), Some(TreeError::TooManyLeaves { limit: 4 }));
    // Five leaves make a tree of eight.
    let limits = Limits { leaves: 7, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let refused = RatchetTree::from_wire(&encoded(&nodes), &context);
    assert_eq!(refused.err(), Some(TreeError::TooManyLeaves { limit: 7 }));
}

#[test]
fn malformed_bytes_are_refused() {
    let unknown = DecodeError::UnknownValue { kind: "NodeType", value: 3 };
    for (bytes, expected) in [
        (vec![], DecodeError::EndOfInput { missing: 1 }),
        (vec![2, 1], DecodeError::EndOfInput { missing: 1 }),
        (vec![1, 2], DecodeError::InvalidPresence(2)),
        (vec![2, 1, 3], unknown),
        ([encoded(&[Leaf]), vec![0]].concat(), DecodeError::TrailingBytes { count: 1 }),
    ] {
        let refused = RatchetTree::from_wire(&bytes, &DecodeContext::default());
        assert_eq!(refused.err(), Some(TreeError::Decode(expected)));
    }
    let whole = encoded(&[Leaf, Parent, Leaf]);
    for length in 0..whole.len() {
        assert!(RatchetTree::from_wire(&whole[..length], &DecodeContext::default()).is_err());
    }
}

/// V-12.4.3.3-01.
#[test]
fn blanks_at_the_right_edge_are_not_written() {
    let mut tree = Keys(0).tree(9);
    assert_eq!(tree.width().leaves(), 16);
    for index in [7, 6, 5] {
        tree.remove(LeafIndex(index)).unwrap();
    }
    let nodes = [[Leaf, Blank].repeat(5), vec![Blank; 6], vec![Leaf]].concat();
    let bytes = tree.to_bytes().unwrap();
    assert_eq!(bytes.len(), encoded(&nodes).len());
    assert_eq!(reread(&tree).to_bytes().unwrap(), bytes);
    tree.remove(LeafIndex(8)).unwrap();
    assert_eq!(reread(&tree).to_bytes(), tree.to_bytes());
    assert_eq!(tree.to_bytes().unwrap().len(), encoded(&[Leaf, Blank].repeat(5)).len() - 1);
}

#[test]
fn a_sparse_tree_is_read_and_hashed() {
    let nodes = [vec![Leaf], vec![Blank; (1 << 17) - 1], vec![Leaf]].concat();
    let tree = read(&nodes).unwrap();
    assert_eq!((tree.member_count(), tree.width().leaves()), (2, 1 << 17));
    assert_eq!(tree.to_bytes().unwrap(), encoded(&nodes));
    let counter = HashCounter::new();
    let suite = counter.suite();
    let hashed = counter.count(|| _ = tree.tree_hash(&suite).unwrap());
    assert_eq!(hashed, tree.width().nodes() as usize);
}
