//! A tree in the array form of RFC 9420 appendix C that computes everything from scratch, as the
//! RFC's text says it: what the persistent tree is compared with.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{LeafIndex, LeafNode, LeafNodeSource, ParentNode};
use crate::codec::{Encode, Writer};
use crate::crypto::{HpkePublicKey, Suite};
use crate::rules::Violation;

#[derive(Clone)]
pub(super) struct Naive {
    pub(super) nodes: Vec<Option<Node>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Leaf(LeafNode),
    Parent(ParentNode),
}

fn level(x: usize) -> usize {
    let mut k = 0;
    while (x >> k) & 1 == 1 {
        k += 1;
    }
    k
}

fn left(x: usize) -> usize {
    x ^ (1 << (level(x) - 1))
}

fn right(x: usize) -> usize {
    x ^ (3 << (level(x) - 1))
}

impl Naive {
    pub(super) fn new(leaf: LeafNode) -> Self {
        Self { nodes: vec![Some(Node::Leaf(leaf))] }
    }

    pub(super) fn root(&self) -> usize {
        self.nodes.len() / 2
    }

    fn parent_of(&self, x: usize) -> usize {
        let k = level(x);
        let b = (x >> (k + 1)) & 1;
        (x | (1 << k)) ^ (b << (k + 1))
    }

    fn direct_path(&self, mut x: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while x != self.root() {
            x = self.parent_of(x);
            path.push(x);
        }
        path
    }

    /// The nodes of the filtered direct path of a leaf's node, each with its copath child.
    pub(super) fn filtered_direct_path(&self, leaf: usize) -> Vec<(usize, usize)> {
        let mut path = Vec::new();
        let mut below = leaf;
        for above in self.direct_path(leaf) {
            let copath = if left(above) == below { right(above) } else { left(above) };
            if !self.resolution(copath).is_empty() {
                path.push((above, copath));
            }
            below = above;
        }
        path
    }

    pub(super) fn resolution(&self, x: usize) -> Vec<usize> {
        match &self.nodes[x] {
            Some(Node::Leaf(_)) => vec![x],
            Some(Node::Parent(parent)) => {
                let unmerged = parent.unmerged_leaves.iter().map(|leaf| leaf.0 as usize * 2);
                std::iter::once(x).chain(unmerged).collect()
            }
            None if level(x) == 0 => Vec::new(),
            None => [self.resolution(left(x)), self.resolution(right(x))].concat(),
        }
    }

    pub(super) fn members(&self) -> Vec<u32> {
        (0..self.nodes.len())
            .step_by(2)
            .filter(|x| self.nodes[*x].is_some())
            .map(|x| x as u32 / 2)
            .collect()
    }

    pub(super) fn leaf(&self, x: usize) -> Option<&LeafNode> {
        match &self.nodes[x] {
            Some(Node::Leaf(leaf)) => Some(leaf),
            _ => None,
        }
    }

    pub(super) fn parent(&self, x: usize) -> Option<&ParentNode> {
        match &self.nodes[x] {
            Some(Node::Parent(parent)) => Some(parent),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, leaf: LeafNode) {
        let free = (0..self.nodes.len()).step_by(2).find(|x| self.nodes[*x].is_none());
        let x = free.unwrap_or(self.nodes.len() + 1);
        if free.is_none() {
            self.nodes.resize(self.nodes.len() * 2 + 1, None);
        }
        self.nodes[x] = Some(Node::Leaf(leaf));
        for above in self.direct_path(x) {
            if let Some(Node::Parent(parent)) = &mut self.nodes[above] {
                parent.unmerged_leaves.push(LeafIndex(x as u32 / 2));
                parent.unmerged_leaves.sort();
            }
        }
    }

    pub(super) fn set_leaf(&mut self, x: usize, leaf: LeafNode) {
        self.nodes[x] = Some(Node::Leaf(leaf));
    }

    pub(super) fn blank_path(&mut self, x: usize) {
        for above in self.direct_path(x) {
            self.nodes[above] = None;
        }
    }

    pub(super) fn remove(&mut self, x: usize) {
        self.blank_path(x);
        self.nodes[x] = None;
        let right_is_blank = |nodes: &[Option<Node>]| {
            nodes.len() > 1 && nodes.iter().skip(nodes.len() / 2 + 1).all(Option::is_none)
        };
        while right_is_blank(&self.nodes) {
            self.nodes.truncate(self.nodes.len() / 2);
        }
    }

    pub(super) fn set_path(
        &mut self,
        suite: &Suite,
        leaf: usize,
        keys: &[HpkePublicKey],
    ) -> Vec<u8> {
        let path = self.filtered_direct_path(leaf);
        self.blank_path(leaf);
        let mut above = Vec::new();
        for ((x, copath), key) in path.into_iter().zip(keys).rev() {
            let parent = ParentNode {
                encryption_key: key.clone(),
                parent_hash: above,
                unmerged_leaves: Vec::new(),
            };
            above = self.parent_hash(suite, &parent, copath, false);
            self.nodes[x] = Some(Node::Parent(parent));
        }
        above
    }

    /// Section 7.8, with these leaves blanked and taken from all unmerged leaves.
    pub(super) fn tree_hash(&self, suite: &Suite, x: usize, without: &[LeafIndex]) -> Vec<u8> {
        let mut writer = Writer::new();
        if level(x) == 0 {
            let index = LeafIndex(x as u32 / 2);
            writer.u8(1);
            writer.u32(index.0);
            writer.optional(self.leaf(x).filter(|_| !without.contains(&index)));
        } else {
            let mut parent = self.parent(x).cloned();
            if let Some(parent) = &mut parent {
                parent.unmerged_leaves.retain(|leaf| !without.contains(leaf));
            }
            writer.u8(2);
            writer.optional(parent.as_ref());
            writer.opaque(&self.tree_hash(suite, left(x), without));
            writer.opaque(&self.tree_hash(suite, right(x), without));
        }
        suite.hash(&[&writer.finish().unwrap()]).unwrap().as_bytes().to_vec()
    }

    /// Section 7.9.
    fn parent_hash(
        &self,
        suite: &Suite,
        parent: &ParentNode,
        sibling: usize,
        is_root: bool,
    ) -> Vec<u8> {
        let mut writer = Writer::new();
        parent.encryption_key.encode(&mut writer);
        writer.opaque(if is_root { &[] } else { &parent.parent_hash });
        writer.opaque(&self.tree_hash(suite, sibling, &parent.unmerged_leaves));
        suite.hash(&[&writer.finish().unwrap()]).unwrap().as_bytes().to_vec()
    }

    fn below(&self, x: usize) -> Vec<usize> {
        match level(x) {
            0 => vec![x],
            _ => [self.below(left(x)), vec![x], self.below(right(x))].concat(),
        }
    }

    /// Section 7.9.2, top down: every descendant of every parent is tried.
    fn is_parent_hash_valid(&self, suite: &Suite) -> bool {
        (1..self.nodes.len()).step_by(2).all(|p| {
            let Some(parent) = self.parent(p) else { return true };
            let mut valid = 0;
            for (child, sibling) in [(left(p), right(p)), (right(p), left(p))] {
                let hash = self.parent_hash(suite, parent, sibling, p == self.root());
                let below = self.below(child);
                let resolution: BTreeSet<usize> = self.resolution(child).into_iter().collect();
                let unmerged = parent.unmerged_leaves.iter().map(|leaf| leaf.0 as usize * 2);
                let unmerged: BTreeSet<usize> = unmerged.filter(|x| below.contains(x)).collect();
                for d in below {
                    let field = match &self.nodes[d] {
                        Some(Node::Parent(parent)) => Some(&parent.parent_hash),
                        Some(Node::Leaf(leaf)) => match &leaf.source {
                            LeafNodeSource::Commit(hash) => Some(hash),
                            _ => None,
                        },
                        None => None,
                    };
                    let mut rest = resolution.clone();
                    if rest.remove(&d) && rest == unmerged && field == Some(&hash) {
                        valid += 1;
                    }
                }
            }
            valid == 1
        })
    }

    /// What is wrong with a tree whose lists of unmerged leaves are right.
    pub(super) fn violation(&self, suite: &Suite) -> Option<Violation> {
        let (mut keys, mut signers) = (BTreeMap::new(), BTreeSet::new());
        let mut same_signer = false;
        for (x, node) in self.nodes.iter().enumerate() {
            let key = match node {
                None => continue,
                Some(Node::Leaf(leaf)) => {
                    same_signer |= !signers.insert(&leaf.signature_key);
                    &leaf.encryption_key
                }
                Some(Node::Parent(parent)) => &parent.encryption_key,
            };
            keys.entry(key).or_insert_with(Vec::new).push(x);
        }
        let mut repeated = keys.values().filter(|owners| owners.len() > 1).flatten().peekable();
        if repeated.peek().is_some() {
            return Some(match repeated.any(|x| x % 2 == 1) {
                true => Violation::ParentKeyReused,
                false => Violation::DuplicateEncryptionKey,
            });
        }
        if same_signer {
            return Some(Violation::DuplicateSignatureKey);
        }
        (!self.is_parent_hash_valid(suite)).then_some(Violation::ParentHash)
    }

    /// Section 12.4.3.3.
    pub(super) fn wire(&self) -> Vec<u8> {
        let last = self.nodes.iter().rposition(Option::is_some);
        let mut writer = Writer::new();
        writer.nested(|writer| {
            for node in &self.nodes[..last.map_or(0, |last| last + 1)] {
                match node {
                    None => writer.u8(0),
                    Some(Node::Leaf(leaf)) => {
                        writer.raw(&[1, 1]);
                        leaf.encode(writer);
                    }
                    Some(Node::Parent(parent)) => {
                        writer.raw(&[1, 2]);
                        parent.encode(writer);
                    }
                }
            }
        });
        writer.finish().unwrap()
    }
}
