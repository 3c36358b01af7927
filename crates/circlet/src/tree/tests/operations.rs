//! Random operations on a tree and on the naive one, compared after each.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use super::naive::{Naive, Node};
use super::*;
use crate::identity::CredentialType;
use crate::rules::tree::check_tree;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(Choice),
    Update(Choice),
    Remove(Choice),
    SetLeaf(Choice),
    /// Sets the path of a member and a leaf with its parent hash.
    Commit(Choice),
    /// Writes what changed since the last time.
    Store,
    Compact,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    member: prop::sample::Index,
    /// Keys of some other node instead of fresh ones.
    same_encryption_key: bool,
    same_signature_key: bool,
    extension: u16,
}

fn choice() -> impl Strategy<Value = Choice> {
    let rarely = || prop::bool::weighted(0.02);
    (any::<prop::sample::Index>(), rarely(), rarely(), 0..4u16).prop_map(
        |(member, same_encryption_key, same_signature_key, extension)| Choice {
            member,
            same_encryption_key,
            same_signature_key,
            extension,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => choice().prop_map(Step::Add),
        1 => choice().prop_map(Step::Update),
        3 => choice().prop_map(Step::Remove),
        1 => choice().prop_map(Step::SetLeaf),
        6 => choice().prop_map(Step::Commit),
        1 => Just(Step::Store),
        1 => Just(Step::Compact),
    ]
}

struct Both {
    tree: RatchetTree,
    naive: Naive,
    suite: Suite,
    keys: Keys,
    /// The tree as it was stored last.
    older: Option<RatchetTree>,
    rows: BTreeMap<NodeIndex, StoredNode>,
}

/// V-7.8-02.
#[test]
fn random_operations_agree_with_the_naive_tree() {
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let steps = (1..24u32, prop::collection::vec(step(), 1..60));
    TestRunner::new_with_rng(config, rng)
        .run(&steps, |(members, steps)| {
            let mut both = Both::new(members);
            both.compare()?;
            steps.into_iter().try_for_each(|step| {
                both.step(step);
                both.compare()
            })
        })
        .unwrap();
}

/// Groups as honest members make them: proposals with removals or updates are committed with a
/// path, additions with or without.
#[test]
fn honest_trees_pass_every_rule() {
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let index = any::<prop::sample::Index>;
    let commit = (0..4u32, prop::collection::vec(index(), 0..3), index());
    let commits = (1..40u32, prop::collection::vec(commit, 1..30));
    TestRunner::new_with_rng(config, rng)
        .run(&commits, |(members, commits)| {
            let (suite, mut keys) = (suite(), Keys(0));
            let mut tree = keys.tree(members);
            for (adds, removes, committer) in commits {
                let choose = |tree: &RatchetTree, index: prop::sample::Index| {
                    let members: Vec<_> = tree.members().map(|(leaf, _)| leaf).collect();
                    *index.get(&members)
                };
                let committer = choose(&tree, committer);
                let mut path = adds % 2 == 0;
                for remove in removes {
                    let removed = choose(&tree, remove);
                    if removed != committer {
                        tree.remove(removed).unwrap();
                        path = true;
                    }
                }
                for _ in 0..adds {
                    tree.add(leaf(keys.next()), LIMIT).unwrap();
                }
                if path {
                    keys.commit(&mut tree, &suite, committer.0);
                }
                prop_assert_eq!(check_tree(&tree, &suite), Ok(()));
                prop_assert_eq!(check_tree(&reread(&tree), &suite), Ok(()));
            }
            Ok(())
        })
        .unwrap();
}

impl Both {
    fn new(members: u32) -> Self {
        let mut keys = Keys(0);
        let first = leaf(keys.next());
        let (mut tree, mut naive) = (RatchetTree::new(first.clone()), Naive::new(first));
        for _ in 1..members {
            let added = leaf(keys.next());
            naive.add(added.clone());
            tree.add(added, LIMIT).unwrap();
        }
        Self { tree, naive, suite: suite(), keys, older: None, rows: BTreeMap::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add(choice) => {
                let added = self.sketch(choice).leaf();
                let index = self.tree.add(added.clone(), LIMIT).unwrap();
                self.naive.add(added.clone());
                assert_eq!(self.tree.leaf(index), Some(&added));
            }
            Step::Update(choice) => {
                let (index, updated) = (self.member(choice), self.sketch(choice).leaf());
                self.tree.update(index, updated.clone()).unwrap();
                self.naive.blank_path(index.0 as usize * 2);
                self.naive.set_leaf(index.0 as usize * 2, updated);
            }
            Step::Remove(choice) if self.tree.member_count() > 1 => {
                let index = self.member(choice);
                self.tree.remove(index).unwrap();
                self.naive.remove(index.0 as usize * 2);
            }
            Step::Remove(_) => {}
            Step::SetLeaf(choice) => {
                let (index, updated) = (self.member(choice), self.sketch(choice).leaf());
                self.tree.set_leaf(index, updated.clone()).unwrap();
                self.naive.set_leaf(index.0 as usize * 2, updated);
            }
            Step::Commit(choice) => self.commit(choice),
            Step::Store => self.store(),
            Step::Compact => {
                self.older = None;
                self.rows.clear();
                self.tree.compact();
            }
        }
    }

    fn commit(&mut self, choice: Choice) {
        let index = self.member(choice);
        let length = self.tree.filtered_direct_path(index).len();
        let keys: Vec<_> =
            (0..length).map(|_| hpke_key(self.sketch(choice).encryption_key)).collect();
        let parent_hash = self.tree.set_path(&self.suite, index, &keys).unwrap();
        let x = index.0 as usize * 2;
        assert_eq!(parent_hash, self.naive.set_path(&self.suite, x, &keys));
        let sketch = self.sketch(choice);
        let committed = Sketch { parent_hash: Some(parent_hash), ..sketch }.leaf();
        self.tree.set_leaf(index, committed.clone()).unwrap();
        self.naive.set_leaf(x, committed);
    }

    fn store(&mut self) {
        self.tree.tree_hash(&self.suite).unwrap();
        let changes = match &self.older {
            Some(older) => self.tree.changes_since(older),
            None => self.tree.all_nodes().into_iter().map(|(at, row)| (at, Some(row))).collect(),
        };
        for (at, row) in changes {
            match row {
                Some(row) => self.rows.insert(at, row),
                None => self.rows.remove(&at),
            };
        }
        assert_eq!(self.rows, self.tree.all_nodes().into_iter().collect());
        let restored = RatchetTree::restore(self.tree.width(), self.rows.clone()).unwrap();
        assert_eq!(restored.to_bytes(), self.tree.to_bytes());
        assert_eq!(restored.all_nodes(), self.tree.all_nodes());
        self.older = Some(self.tree.clone());
    }

    fn member(&self, choice: Choice) -> LeafIndex {
        LeafIndex(*choice.member.get(&self.naive.members()))
    }

    fn sketch(&mut self, choice: Choice) -> Sketch {
        let fresh = self.keys.next();
        let (encryption_key, signature_key) = (
            if choice.same_encryption_key { 1 } else { fresh },
            if choice.same_signature_key { 1 } else { fresh },
        );
        // A type twice in one leaf still counts one member.
        let extensions = vec![100, 100 + choice.extension, 100];
        let proposals = vec![200 + choice.extension];
        Sketch { encryption_key, signature_key, extensions, proposals, parent_hash: None }
    }

    fn compare(&self) -> TestCaseResult {
        let (tree, naive, suite) = (&self.tree, &self.naive, &self.suite);
        prop_assert_eq!(tree.width().nodes() as usize, naive.nodes.len());
        let digest = tree.tree_hash(suite).unwrap();
        prop_assert_eq!(digest.as_bytes(), naive.tree_hash(suite, naive.root(), &[]));
        for at in all_nodes_of(tree) {
            let x = at.0 as usize;
            let hash = tree.subtree_hash(suite, at).unwrap();
            prop_assert_eq!(hash.as_bytes(), naive.tree_hash(suite, x, &[]));
            prop_assert_eq!(tree.parent(at), naive.parent(x));
            prop_assert_eq!(at.leaf().and_then(|leaf| tree.leaf(leaf)), naive.leaf(x));
            let resolution: Vec<_> =
                tree.resolution(at).iter().map(|node| node.0 as usize).collect();
            prop_assert_eq!(resolution, naive.resolution(x));
            let Some(leaf) = at.leaf() else { continue };
            let path = tree.filtered_direct_path(leaf).into_iter();
            let path: Vec<_> =
                path.map(|step| (step.node.0 as usize, step.copath.0 as usize)).collect();
            prop_assert_eq!(path, naive.filtered_direct_path(x));
        }
        prop_assert_eq!(tree.to_bytes().unwrap(), naive.wire());
        let again = reread(tree);
        prop_assert_eq!(again.to_bytes(), tree.to_bytes());
        prop_assert_eq!(again.tree_hash(suite).unwrap(), digest);
        let expected = naive.violation(suite).map_or(Ok(()), |broken| Err(broken.into()));
        prop_assert_eq!(check_tree(tree, suite), expected);
        self.compare_in_use()?;
        prop_assert_eq!(in_use_of(&again), in_use_of(tree));
        Ok(())
    }

    fn compare_in_use(&self) -> TestCaseResult {
        let (tree, naive) = (&self.tree, &self.naive);
        let members: Vec<_> =
            naive.members().into_iter().map(|i| naive.leaf(i as usize * 2).unwrap()).collect();
        let count = |holds: &dyn Fn(&LeafNode) -> bool| {
            members.iter().filter(|leaf| holds(leaf)).count() as u32
        };
        prop_assert_eq!(tree.member_count(), members.len() as u32);
        for id in (100..104).chain([1]).map(ExtensionType) {
            let expected = count(&|leaf| leaf.capabilities.has_extension(id));
            prop_assert_eq!(tree.extension_support(id), expected);
        }
        for id in (200..204).chain([1]).map(ProposalType) {
            let expected = count(&|leaf| leaf.capabilities.has_proposal(id));
            prop_assert_eq!(tree.proposal_support(id), expected);
        }
        let all = members.len() as u32;
        prop_assert_eq!(tree.credential_support(CredentialType::BASIC), all);
        prop_assert_eq!(tree.credential_support(CredentialType::X509), 0);
        prop_assert_eq!(tree.credential_use(CredentialType::BASIC), all);
        prop_assert!(tree.credential_types().eq([CredentialType::BASIC]));
        for key in 0..=self.keys.0 {
            let has = |x: &usize| match &naive.nodes[*x] {
                Some(Node::Leaf(leaf)) => leaf.encryption_key == hpke_key(key),
                Some(Node::Parent(parent)) => parent.encryption_key == hpke_key(key),
                None => false,
            };
            let owners: Vec<_> =
                (0..naive.nodes.len()).filter(has).map(|x| NodeIndex(x as u32)).collect();
            let mut found: Vec<_> = tree.encryption_key_owners(&hpke_key(key)).collect();
            found.sort();
            prop_assert_eq!(tree.has_encryption_key(&hpke_key(key)), !owners.is_empty());
            prop_assert_eq!(found, owners);
            let signs = |leaf: &LeafNode| leaf.signature_key == signature_key(key);
            let owner = tree.signature_key_owner(&signature_key(key));
            prop_assert_eq!(owner.is_some(), count(&signs) > 0);
            prop_assert!(owner.is_none_or(|index| signs(tree.leaf(index).unwrap())));
        }
        Ok(())
    }
}

type Everything = (bool, bool, Vec<u32>, Vec<u32>);

fn in_use_of(tree: &RatchetTree) -> Everything {
    (
        tree.has_repeated_encryption_key(),
        tree.has_repeated_signature_key(),
        (100..104).map(|id| tree.extension_support(ExtensionType(id))).collect(),
        (200..204).map(|id| tree.proposal_support(ProposalType(id))).collect(),
    )
}
