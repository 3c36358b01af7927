//! What RFC 9420 says of a tree's parents (sections 7.9.2 and 12.4.3.1), written down once more over
//! an array of nodes, as slow as it is simple.

use circlet::codec::{Encode, Writer};
use circlet::crypto::Suite;
use circlet::testing::Node;
use circlet::tree::{LeafIndex, LeafNodeSource, ParentNode};

/// A tree as an array, filled with blank nodes to its full width.
pub(crate) struct Oracle<'a> {
    suite: &'a Suite,
    nodes: Vec<Option<Node>>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(suite: &'a Suite, nodes: &[Option<Node>]) -> Self {
        let mut nodes = nodes.to_vec();
        let width = (nodes.len() + 1).next_power_of_two() - 1;
        nodes.resize(width, None);
        Self { suite, nodes }
    }

    /// Whether a joiner may accept the tree, as far as its parents go.
    pub(crate) fn is_valid(&self) -> bool {
        let parents = (1..self.nodes.len()).step_by(2).filter(|at| self.nodes[*at].is_some());
        parents.into_iter().all(|at| self.unmerged_are_valid(at) && self.is_linked(at))
            && self.keys_differ()
    }

    fn parent(&self, at: usize) -> Option<&ParentNode> {
        match &self.nodes[at] {
            Some(Node::Parent(parent)) => Some(parent),
            _ => None,
        }
    }

    fn is_leaf(at: usize) -> bool {
        Self::level(at) == 0
    }

    fn level(at: usize) -> u32 {
        (at as u32).trailing_ones()
    }

    fn children(at: usize) -> [usize; 2] {
        let step = 1 << (Self::level(at) - 1);
        [at - step, at + step]
    }

    /// The first and last leaf below, as node indices.
    fn span(at: usize) -> (usize, usize) {
        let half = (1 << Self::level(at)) - 1;
        (at - half, at + half)
    }

    fn is_below(leaf: LeafIndex, at: usize) -> bool {
        let (first, last) = Self::span(at);
        (first..=last).contains(&(2 * leaf.0 as usize))
    }

    fn unmerged_are_valid(&self, at: usize) -> bool {
        let Some(parent) = self.parent(at) else { return false };
        let ascending = parent.unmerged_leaves.windows(2).all(|pair| pair[0] < pair[1]);
        ascending && parent.unmerged_leaves.iter().all(|leaf| self.is_unmerged(*leaf, at))
    }

    /// Below, not blank, and in the list of every parent between.
    fn is_unmerged(&self, leaf: LeafIndex, at: usize) -> bool {
        if !Self::is_below(leaf, at) || self.nodes[2 * leaf.0 as usize].is_none() {
            return false;
        }
        let (first, last) = Self::span(at);
        (first..=last)
            .filter(|between| between % 2 == 1 && *between != at && Self::is_below(leaf, *between))
            .filter_map(|between| self.parent(between))
            .all(|between| between.unmerged_leaves.contains(&leaf))
    }

    fn resolution(&self, at: usize) -> Vec<usize> {
        match &self.nodes[at] {
            Some(Node::Parent(parent)) => {
                let unmerged = parent.unmerged_leaves.iter().map(|leaf| 2 * leaf.0 as usize);
                [at].into_iter().chain(unmerged).collect()
            }
            Some(Node::Leaf(_)) => vec![at],
            None if Self::is_leaf(at) => Vec::new(),
            None => Self::children(at).into_iter().flat_map(|at| self.resolution(at)).collect(),
        }
    }

    /// Whether some node below holds this parent's hash, and the parent's unmerged leaves on that
    /// side are just what else the side resolves to.
    fn is_linked(&self, at: usize) -> bool {
        let Some(parent) = self.parent(at) else { return false };
        let [left, right] = Self::children(at);
        [(left, right), (right, left)].into_iter().any(|(child, sibling)| {
            let hash = self.parent_hash(parent, sibling);
            self.resolution(child).into_iter().any(|below| {
                let held = match &self.nodes[below] {
                    Some(Node::Parent(below)) => below.parent_hash == hash,
                    Some(Node::Leaf(leaf)) => {
                        matches!(&leaf.source, LeafNodeSource::Commit(held) if *held == hash)
                    }
                    None => false,
                };
                let mut others = self.resolution(child);
                others.retain(|other| *other != below);
                let mut unmerged: Vec<usize> = parent
                    .unmerged_leaves
                    .iter()
                    .filter(|leaf| Self::is_below(**leaf, child))
                    .map(|leaf| 2 * leaf.0 as usize)
                    .collect();
                others.sort_unstable();
                unmerged.sort_unstable();
                held && others == unmerged
            })
        })
    }

    fn parent_hash(&self, parent: &ParentNode, sibling: usize) -> Vec<u8> {
        let mut writer = Writer::new();
        parent.encryption_key.encode(&mut writer);
        writer.opaque(&parent.parent_hash);
        writer.opaque(&self.hash_without(sibling, &parent.unmerged_leaves));
        self.hash(writer)
    }

    /// The tree hash of a subtree as it was before these leaves were added.
    fn hash_without(&self, at: usize, added: &[LeafIndex]) -> Vec<u8> {
        let mut writer = Writer::new();
        if Self::is_leaf(at) {
            let index = (at / 2) as u32;
            writer.u8(1);
            writer.u32(index);
            let leaf = self.nodes[at].as_ref().and_then(Node::leaf);
            writer.optional(leaf.filter(|_| !added.contains(&LeafIndex(index))));
            return self.hash(writer);
        }
        let [left, right] = Self::children(at);
        let parent = self.parent(at).cloned().map(|mut parent| {
            parent.unmerged_leaves.retain(|leaf| !added.contains(leaf));
            parent
        });
        writer.u8(2);
        writer.optional(parent.as_ref());
        writer.opaque(&self.hash_without(left, added));
        writer.opaque(&self.hash_without(right, added));
        self.hash(writer)
    }

    fn hash(&self, writer: Writer) -> Vec<u8> {
        self.suite.hash(&[&writer.finish().unwrap()]).unwrap().as_bytes().to_vec()
    }

    fn keys_differ(&self) -> bool {
        let key = |node: &Node| match node {
            Node::Leaf(leaf) => leaf.encryption_key.as_bytes().to_vec(),
            Node::Parent(parent) => parent.encryption_key.as_bytes().to_vec(),
        };
        let mut seen = std::collections::BTreeSet::new();
        self.nodes.iter().flatten().all(|node| seen.insert(key(node)))
    }
}
