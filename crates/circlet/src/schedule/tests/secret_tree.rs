use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{MessageKey, Ratchet, RatchetError, RatchetKind, SecretTree, SecretTreeStep};
use super::{KINDS, assert_codec, config, decode, secret, suite};
use crate::codec::{DecodeError, Encode, Limits};
use crate::crypto::{Secret, Suite};
use crate::tree::{LeafIndex, NodeIndex, TreeWidth};

const LEAF: LeafIndex = LeafIndex(0);
const APPLICATION: RatchetKind = RatchetKind::Application;

/// Section 9 word by word, from the root each time.
fn oracle(
    suite: &Suite,
    root: &Secret,
    width: TreeWidth,
    (leaf, kind): (LeafIndex, RatchetKind),
    generation: u32,
) -> MessageKey {
    let nh = suite.secret_length();
    // A leaf's number, from its highest bit, is the way to it: 0 is left, 1 is right.
    let leaf_secret = (0..width.depth()).rev().fold(root.clone(), |node, bit| {
        let side: &[u8] = if leaf.0 >> bit & 1 == 0 { b"left" } else { b"right" };
        suite.expand_with_label(&node, "tree", side, nh).unwrap()
    });
    let label = match kind {
        RatchetKind::Handshake => "handshake",
        RatchetKind::Application => "application",
    };
    let first = suite.expand_with_label(&leaf_secret, label, b"", nh).unwrap();
    let ratchet = (0..generation).fold(first, |ratchet, generation| {
        suite.derive_tree_secret(&ratchet, "secret", generation, nh).unwrap()
    });
    MessageKey {
        key: suite.derive_tree_secret(&ratchet, "key", generation, 16).unwrap(),
        nonce: suite.derive_tree_secret(&ratchet, "nonce", generation, 12).unwrap(),
    }
}

/// Every row that is stored of a tree.
#[derive(Clone, Debug, PartialEq)]
struct Rows {
    nodes: Vec<(NodeIndex, Vec<u8>)>,
    ratchets: Vec<((LeafIndex, RatchetKind), Vec<u8>)>,
}

fn rows(tree: &SecretTree) -> Rows {
    let nodes = tree.nodes().map(|(node, secret)| (node, secret.as_bytes().to_vec()));
    let ratchets = tree.ratchets().map(|(id, ratchet)| (id, ratchet.to_bytes().unwrap()));
    Rows { nodes: nodes.collect(), ratchets: ratchets.collect() }
}

fn restored(tree: &SecretTree) -> SecretTree {
    let Rows { nodes, ratchets } = rows(tree);
    SecretTree::restore(
        tree.width(),
        nodes.into_iter().map(|(node, bytes)| (node, Secret::new(&bytes))),
        ratchets.into_iter().map(|(id, bytes)| (id, decode(&bytes).unwrap())),
    )
}

fn ratchet_at(next_generation: u32) -> SecretTree {
    let ratchets =
        KINDS.map(|kind| ((LEAF, kind), Ratchet { next_generation, secret: secret(kind as u8) }));
    SecretTree::restore(TreeWidth::ONE, [], ratchets)
}

fn advance(
    tree: &SecretTree,
    generation: u32,
    limits: &Limits,
) -> Result<(MessageKey, SecretTreeStep), RatchetError> {
    tree.advance(&suite(), LEAF, APPLICATION, generation, limits)
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn any_order_of_use_gives_the_keys_that_the_root_gives(
        depth in 0u8..=4,
        keep in 0usize..4,
        uses in vec((any::<u32>(), 0usize..2, 0u32..6, 0u8..4), 1..40),
    ) {
        let (suite, root) = (suite(), secret(42));
        let width = TreeWidth::from_depth(depth).unwrap();
        let limits = Limits { generation_jump: 4, skipped_keys_per_sender: keep, ..Limits::default() };
        let mut tree = SecretTree::new(width, root.clone());
        let mut heads: BTreeMap<(LeafIndex, RatchetKind), u32> = BTreeMap::new();
        for (leaf, kind, ahead, fate) in uses {
            let id = (LeafIndex(leaf % width.leaves()), KINDS[kind]);
            let head = heads.get(&id).copied().unwrap_or(0);
            prop_assert_eq!(tree.next_generation(id.0, id.1), head);
            let generation = head + ahead;
            let before = rows(&tree);
            let result = tree.advance(&suite, id.0, id.1, generation, &limits);
            prop_assert_eq!(rows(&tree), before.clone());
            if ahead > limits.generation_jump {
                prop_assert_eq!(result, Err(RatchetError::TooFarAhead { ahead, limit: 4 }));
                continue;
            }
            let (key, mut step) = result.unwrap();
            prop_assert_eq!(&key, &oracle(&suite, &root, width, id, generation));
            let skipped = std::mem::take(&mut step.skipped);
            let kept = (head..generation).rev().take(keep).collect::<Vec<_>>();
            let expected = kept.into_iter().rev().map(|passed| {
                (passed, oracle(&suite, &root, width, id, passed))
            });
            prop_assert_eq!(skipped, expected.collect::<Vec<_>>());
            match fate {
                // The message did not verify.
                0 => drop(step),
                1 => {
                    tree.apply(step);
                    tree = restored(&tree);
                    heads.insert(id, generation + 1);
                }
                _ => {
                    tree.apply(step);
                    heads.insert(id, generation + 1);
                }
            }
            for (id, head) in &heads {
                if let Some(behind) = head.checked_sub(1) {
                    let refused = tree.advance(&suite, id.0, id.1, behind, &limits);
                    prop_assert_eq!(refused, Err(RatchetError::Consumed));
                }
            }
        }
    }

    /// V-9.1-01.
    #[test]
    fn steps_from_one_state_end_the_same_in_any_order(
        first in 0u32..8,
        second in 0u32..8,
        kinds in (0usize..2, 0usize..2),
        generations in (0u32..3, 0u32..3),
        before in vec(0u32..8, 0..4),
    ) {
        let (suite, limits) = (suite(), Limits::default());
        let fresh = || {
            let mut tree = SecretTree::new(TreeWidth::from_depth(3).unwrap(), secret(1));
            for leaf in before.iter().copied().map(LeafIndex) {
                let next = tree.next_generation(leaf, APPLICATION);
                let (_, step) = tree.advance(&suite, leaf, APPLICATION, next, &limits).unwrap();
                tree.apply(step);
            }
            tree
        };
        let base = fresh();
        let a = (LeafIndex(first), KINDS[kinds.0]);
        let b = (LeafIndex(second), KINDS[kinds.1]);
        let plan = |(leaf, kind), ahead| {
            let generation = base.next_generation(leaf, kind) + ahead;
            base.advance(&suite, leaf, kind, generation, &limits).unwrap().1
        };
        let (mut forwards, mut backwards) = (fresh(), fresh());
        forwards.apply(plan(a, generations.0));
        forwards.apply(plan(b, generations.1));
        backwards.apply(plan(b, generations.1));
        backwards.apply(plan(a, generations.0));
        prop_assert_eq!(rows(&forwards), rows(&backwards));

        let mut sequential = fresh();
        sequential.apply(plan(a, generations.0));
        let generation = base.next_generation(b.0, b.1) + generations.1;
        match sequential.advance(&suite, b.0, b.1, generation, &limits) {
            Ok((_, step)) => sequential.apply(step),
            Err(error) => prop_assert_eq!((error, a), (RatchetError::Consumed, b)),
        }
        prop_assert_eq!(rows(&forwards), rows(&sequential));
    }
}

#[test]
fn the_first_use_of_a_leaf_costs_its_path_and_the_next_one_row() {
    let (suite, limits) = (suite(), Limits::default());
    let mut tree = SecretTree::new(TreeWidth::from_depth(14).unwrap(), secret(1));
    let (_, step) = tree.advance(&suite, LeafIndex(77), APPLICATION, 0, &limits).unwrap();
    assert_eq!(step.removed_nodes, [NodeIndex((1 << 14) - 1)]);
    assert_eq!((step.added_nodes.len(), step.ratchets.len()), (14, 2));
    tree.apply(step);
    for (leaf, kind) in [(77, APPLICATION), (77, RatchetKind::Handshake)] {
        let next = tree.next_generation(LeafIndex(leaf), kind);
        let (_, step) = tree.advance(&suite, LeafIndex(leaf), kind, next, &limits).unwrap();
        assert!(step.removed_nodes.is_empty() && step.added_nodes.is_empty());
        assert_eq!((step.ratchets.len(), step.skipped.len()), (1, 0));
        tree.apply(step);
    }
    let (_, step) = tree.advance(&suite, LeafIndex(76), APPLICATION, 0, &limits).unwrap();
    assert_eq!(step.removed_nodes, [NodeIndex(152)]);
    assert!(step.added_nodes.is_empty());
}

#[test]
fn leaves_outside_of_the_tree_have_no_keys() {
    let suite = suite();
    for leaves in [1, 2, 4] {
        let width = TreeWidth::for_leaves(leaves).unwrap();
        let tree = SecretTree::new(width, secret(1));
        for leaf in [leaves, leaves + 1, 1 << 30, 1 << 31, u32::MAX] {
            for kind in KINDS {
                let result = tree.advance(&suite, LeafIndex(leaf), kind, 0, &Limits::default());
                assert_eq!(result, Err(RatchetError::UnknownLeaf));
            }
        }
    }
}

#[test]
fn a_tree_that_lost_its_rows_says_so() {
    let tree = SecretTree::restore(TreeWidth::from_depth(2).unwrap(), [], []);
    assert_eq!(advance(&tree, 0, &Limits::default()), Err(RatchetError::UnknownLeaf));
}

/// V-15.0-06.
#[test]
fn a_jump_may_be_as_long_as_the_limit() {
    let limits = Limits { generation_jump: 100, ..Limits::default() };
    for head in [0, 1, 5000, u32::MAX - 102, u32::MAX - 101] {
        let tree = ratchet_at(head);
        let (_, step) = advance(&tree, head + 100, &limits).unwrap();
        assert_eq!(step.ratchets[0].1.next_generation(), head + 101);
        let passed: Vec<u32> = step.skipped.iter().map(|(generation, _)| *generation).collect();
        assert_eq!(passed, (head..head + 100).collect::<Vec<u32>>());
        let refused = advance(&tree, head + 101, &limits);
        if head + 101 == u32::MAX {
            assert_eq!(refused, Err(RatchetError::Exhausted));
        } else {
            assert_eq!(refused, Err(RatchetError::TooFarAhead { ahead: 101, limit: 100 }));
        }
    }
}

#[test]
fn far_jumps_are_refused_before_any_work() {
    // If the ratchet were stepped first, this would not end.
    let (fresh, limits) = (ratchet_at(0), Limits::default());
    for (generation, error) in [
        (10_001, RatchetError::TooFarAhead { ahead: 10_001, limit: 10_000 }),
        (u32::MAX - 1, RatchetError::TooFarAhead { ahead: u32::MAX - 1, limit: 10_000 }),
        (u32::MAX, RatchetError::Exhausted),
    ] {
        assert_eq!(advance(&fresh, generation, &limits), Err(error));
    }
    let boundless = Limits { generation_jump: u32::MAX, ..limits };
    assert_eq!(advance(&fresh, u32::MAX, &boundless), Err(RatchetError::Exhausted));
}

/// V-9.1-03.
#[test]
fn the_last_generation_is_never_used() {
    let limits = Limits { generation_jump: u32::MAX, ..Limits::default() };
    let mut tree = ratchet_at(u32::MAX - 2);
    for generation in [u32::MAX - 2, u32::MAX - 1] {
        assert_eq!(tree.next_generation(LEAF, APPLICATION), generation);
        assert_eq!(advance(&tree, u32::MAX, &limits), Err(RatchetError::Exhausted));
        let (_, step) = advance(&tree, generation, &limits).unwrap();
        tree.apply(step);
    }
    assert_eq!(tree.next_generation(LEAF, APPLICATION), u32::MAX);
    assert_eq!(advance(&tree, u32::MAX, &limits), Err(RatchetError::Exhausted));
    assert_eq!(advance(&tree, u32::MAX - 1, &limits), Err(RatchetError::Consumed));
}

/// V-9.2-02.
#[test]
fn a_jump_keeps_the_newest_keys_within_both_limits() {
    for (per_sender, total, kept) in [(3, 10, 3), (10, 3, 3), (0, 10, 0), (usize::MAX, 50, 20)] {
        let limits = Limits {
            skipped_keys_per_sender: per_sender,
            skipped_keys: total,
            ..Limits::default()
        };
        let (_, step) = advance(&ratchet_at(100), 120, &limits).unwrap();
        let passed: Vec<u32> = step.skipped.iter().map(|(generation, _)| *generation).collect();
        assert_eq!(passed, (120 - kept..120).collect::<Vec<u32>>());
    }
}

#[test]
fn the_encoding_of_rows_is_fixed() {
    let ratchet = Ratchet { next_generation: 0x0102, secret: Secret::new(b"secret") };
    assert_codec(&ratchet, b"\0\0\x01\x02\x06secret");
    let key = MessageKey { key: Secret::new(b"key"), nonce: Secret::new(b"nonce") };
    assert_codec(&key, b"\x03key\x05nonce");
    assert_codec(&RatchetKind::Handshake, &[1]);
    assert_codec(&RatchetKind::Application, &[2]);
    for value in [0, 3, 255] {
        let error = DecodeError::UnknownValue { kind: "RatchetKind", value: value.into() };
        assert_eq!(decode::<RatchetKind>(&[value]), Err(error));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let mut tree = SecretTree::new(TreeWidth::from_depth(1).unwrap(), Secret::new(b"hidden"));
    let (key, step) = advance(&tree, 2, &Limits::default()).unwrap();
    let printed = format!("{key:?}{step:?}");
    assert_eq!(printed.matches("[redacted]").count(), 2 + 1 + 2 + 4);
    tree.apply(step);
    assert_eq!(format!("{tree:?}").matches("[redacted]").count(), 1 + 2);
    assert!(!printed.contains("104, 105"));
}
