use std::collections::BTreeSet;

use super::super::{MessageKey, RatchetKind, SecretTree};
use super::{KINDS, secret, suite};
use crate::codec::Limits;
use crate::crypto::{Secret, Suite, WeakSecret};
use crate::tree::{LeafIndex, NodeIndex, TreeWidth};

/// No test here goes further than this many generations.
const GENERATIONS: u32 = 4;

type Bytes = BTreeSet<Vec<u8>>;

/// Everything that somebody who holds some secrets can compute (sections 9 and 9.1).
struct Attacker {
    suite: Suite,
    known: Bytes,
}

impl Attacker {
    fn new() -> Self {
        Self { suite: suite(), known: Bytes::new() }
    }

    /// What a tree and the skipped keys beside it give away.
    fn of(tree: &SecretTree, skipped: &[MessageKey]) -> Bytes {
        let mut attacker = Self::new();
        for (node, secret) in tree.nodes() {
            attacker.learn_node(node, secret);
        }
        for (_, ratchet) in tree.ratchets() {
            attacker.learn_ratchet(ratchet.next_generation, &ratchet.secret);
        }
        for key in skipped {
            attacker.learn_key(key);
        }
        attacker.known
    }

    fn learn(&mut self, secret: &Secret) {
        self.known.insert(secret.as_bytes().to_vec());
    }

    fn learn_key(&mut self, key: &MessageKey) {
        self.learn(&key.key);
        self.learn(&key.nonce);
    }

    fn learn_node(&mut self, node: NodeIndex, secret: &Secret) {
        self.learn(secret);
        let expand = |label, context: &[u8]| {
            self.suite.expand_with_label(secret, label, context, 32).unwrap()
        };
        match (node.left(), node.right()) {
            (Some(left), Some(right)) => {
                let (to_left, to_right) = (expand("tree", b"left"), expand("tree", b"right"));
                self.learn_node(left, &to_left);
                self.learn_node(right, &to_right);
            }
            _ => {
                let ratchets = [expand("handshake", b""), expand("application", b"")];
                ratchets.iter().for_each(|ratchet| self.learn_ratchet(0, ratchet));
            }
        }
    }

    fn learn_ratchet(&mut self, from: u32, secret: &Secret) {
        let mut secret = secret.clone();
        for generation in from..GENERATIONS {
            self.learn(&secret);
            let derive = |label, length| {
                self.suite.derive_tree_secret(&secret, label, generation, length).unwrap()
            };
            let (key, nonce) = (derive("key", 16), derive("nonce", 12));
            let next = derive("secret", 32);
            self.learn_key(&MessageKey { key, nonce });
            secret = next;
        }
        self.learn(&secret);
    }
}

/// The secrets that using a key consumes (section 9.2): the key, the ratchet up to it, and every
/// node from the root to the leaf.
fn consumed_by(
    root: &Secret,
    width: TreeWidth,
    (leaf, kind): (LeafIndex, RatchetKind),
    generation: u32,
) -> Bytes {
    let suite = suite();
    let mut consumed = Attacker::new();
    let mut node = root.clone();
    consumed.learn(&node);
    for bit in (0..width.depth()).rev() {
        let side: &[u8] = if leaf.0 >> bit & 1 == 0 { b"left" } else { b"right" };
        node = suite.expand_with_label(&node, "tree", side, 32).unwrap();
        consumed.learn(&node);
    }
    let label = if kind == RatchetKind::Handshake { "handshake" } else { "application" };
    let mut ratchet = suite.expand_with_label(&node, label, b"", 32).unwrap();
    consumed.learn(&ratchet);
    for passed in 0..generation {
        ratchet = suite.derive_tree_secret(&ratchet, "secret", passed, 32).unwrap();
        consumed.learn(&ratchet);
    }
    consumed.learn(&suite.derive_tree_secret(&ratchet, "key", generation, 16).unwrap());
    consumed.learn(&suite.derive_tree_secret(&ratchet, "nonce", generation, 12).unwrap());
    consumed.known
}

/// Uses the keys in this order, at generations as given, and checks after each what is left.
fn check(width: TreeWidth, uses: &[(LeafIndex, RatchetKind, u32)]) {
    let (suite, root, limits) = (suite(), secret(7), Limits::default());
    let everything = {
        let mut attacker = Attacker::new();
        attacker.learn_node(width.root(), &root);
        attacker.known
    };
    let mut tree = SecretTree::new(width, root.clone());
    let (mut skipped, mut consumed) = (Vec::new(), Bytes::new());
    for (leaf, kind, generation) in uses {
        let (_, mut step) = tree.advance(&suite, *leaf, *kind, *generation, &limits).unwrap();
        skipped.extend(std::mem::take(&mut step.skipped).into_iter().map(|(_, key)| key));
        tree.apply(step);
        consumed.extend(consumed_by(&root, width, (*leaf, *kind), *generation));
        // Nothing that was consumed can be had again, and nothing else was lost.
        let left: Bytes = everything.difference(&consumed).cloned().collect();
        assert_eq!(Attacker::of(&tree, &skipped), left);
    }
}

/// Every order of the items, each once.
fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    (0..items.len())
        .flat_map(|chosen| {
            let rest: Vec<T> = [&items[..chosen], &items[chosen + 1..]].concat();
            permutations(&rest).into_iter().map(move |tail| [&[items[chosen]], &tail[..]].concat())
        })
        .collect()
}

/// V-9.2-01.
#[test]
fn what_is_kept_is_exactly_what_was_not_consumed() {
    for leaves in [1, 2, 4] {
        let all: Vec<LeafIndex> = (0..leaves).map(LeafIndex).collect();
        for order in permutations(&all) {
            for kind in KINDS {
                let uses: Vec<_> = order.iter().map(|leaf| (*leaf, kind, leaf.0 % 3)).collect();
                check(TreeWidth::for_leaves(leaves).unwrap(), &uses);
            }
        }
    }
}

#[test]
fn the_same_holds_along_both_ratchets_of_one_leaf() {
    let ascending: Vec<Vec<u32>> =
        (1u32..8).map(|set| (0..3).filter(|bit| set >> bit & 1 == 1).collect()).collect();
    for handshake in &ascending {
        for application in &ascending {
            for turn in 0..2 {
                let mut uses = Vec::new();
                uses.extend(handshake.iter().map(|at| (LeafIndex(1), KINDS[0], *at)));
                uses.extend(application.iter().map(|at| (LeafIndex(1), KINDS[1], *at)));
                if turn == 1 {
                    // Alternate between the two as long as both go on.
                    uses.sort_by_key(|(_, kind, at)| (*at, *kind));
                }
                check(TreeWidth::for_leaves(2).unwrap(), &uses);
            }
        }
    }
}

#[test]
fn the_example_of_section_9_2_is_kept_to() {
    // D sends at generation 1 and generation 0 has not come.
    let (suite, limits) = (suite(), Limits::default());
    let width = TreeWidth::for_leaves(4).unwrap();
    let mut tree = SecretTree::new(width, secret(1));
    let sender = (LeafIndex(3), RatchetKind::Application);
    let (_, step) = tree.advance(&suite, sender.0, sender.1, 1, &limits).unwrap();
    assert_eq!(step.skipped.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0]);
    tree.apply(step);
    // E and C, AR2 and HR0.
    let nodes: Vec<NodeIndex> = tree.nodes().map(|(node, _)| node).collect();
    assert_eq!(nodes, [NodeIndex(1), NodeIndex(4)]);
    let ratchets: Vec<_> = tree.ratchets().map(|(id, at)| (id, at.next_generation())).collect();
    assert_eq!(ratchets, [((LeafIndex(3), RatchetKind::Handshake), 0), (sender, 2)]);
}

/// Watches every secret that a tree keeps.
fn watch(tree: &SecretTree) -> Vec<WeakSecret> {
    let nodes = tree.nodes().map(|(_, secret)| secret.downgrade());
    nodes.chain(tree.ratchets().map(|(_, ratchet)| ratchet.secret.downgrade())).collect()
}

fn alive(watched: &[WeakSecret]) -> usize {
    watched.iter().filter(|secret| secret.is_alive()).count()
}

/// V-9.2-01.
#[test]
fn superseded_secrets_die() {
    let (suite, limits) = (suite(), Limits::default());
    let encryption_secret = secret(1);
    let root = encryption_secret.downgrade();
    let mut tree = SecretTree::new(TreeWidth::for_leaves(8).unwrap(), encryption_secret);
    let kind = RatchetKind::Application;
    for (leaf, generation) in [(3, 0), (2, 1), (7, 0), (3, 1), (3, 5), (4, 2), (0, 0), (2, 2)] {
        let before = watch(&tree);
        let (key, step) = tree.advance(&suite, LeafIndex(leaf), kind, generation, &limits).unwrap();
        let mut used = vec![key.key.downgrade(), key.nonce.downgrade()];
        used.extend(step.skipped.iter().map(|(_, key)| key.key.downgrade()));
        drop(key);
        tree.apply(step);
        // A node on a leaf's first use, one ratchet later.
        assert_eq!(alive(&before), before.len() - 1);
        assert_eq!(alive(&used), 0);
    }
    assert!(!root.is_alive());
}

/// V-9.2-03.
#[test]
fn a_step_that_is_dropped_takes_nothing_with_it() {
    let (suite, limits) = (suite(), Limits::default());
    let mut tree = SecretTree::new(TreeWidth::for_leaves(4).unwrap(), secret(1));
    let kind = RatchetKind::Handshake;
    for leaf in (0..4).map(LeafIndex) {
        let before = watch(&tree);
        let (key, step) = tree.advance(&suite, leaf, kind, 3, &limits).unwrap();
        let made = [key.key.downgrade(), step.ratchets[1].1.secret.downgrade()];
        drop((key, step));
        assert_eq!((alive(&before), alive(&made)), (before.len(), 0));
        assert_eq!(tree.next_generation(leaf, kind), 0);
        let (_, step) = tree.advance(&suite, leaf, kind, 3, &limits).unwrap();
        tree.apply(step);
    }
}
