use circlet::codec::{Decode, Encode};
use circlet::crypto::{Rng, Suite};
use circlet::message::Proposal;
use circlet::tree::{LeafIndex, RatchetTree};
use serde::{Deserialize, Serialize};

use super::grove::{Change, Grove};
use super::tree_validation::{read_tree, write_tree};
use super::{At, Env, Failure, Hex, VectorType, expect_bytes};

/// Proposals that are applied to a tree (RFC 9420 section 12.1).
pub(crate) struct TreeOperations;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    tree_before: Hex,
    proposal: Hex,
    proposal_sender: u32,
    tree_hash_before: Hex,
    tree_after: Hex,
    tree_hash_after: Hex,
}

impl VectorType for TreeOperations {
    const NAME: &'static str = "tree-operations";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let mut tree = read_tree("tree_before", &case.tree_before, env)?;
        let proposal = Proposal::from_bytes(&case.proposal, &env.context).at("proposal")?;
        expect_bytes("proposal", proposal.to_bytes()?, &case.proposal)?;
        expect_bytes("tree_hash_before", tree.tree_hash(&suite)?, &case.tree_hash_before)?;
        apply(&mut tree, &proposal, LeafIndex(case.proposal_sender), env).at("proposal")?;
        expect_bytes("tree_after", write_tree(&tree)?, &case.tree_after)?;
        expect_bytes("tree_hash_after", tree.tree_hash(&suite)?, &case.tree_hash_after)
    }

    /// An Add that widens the tree and one that fills a blank leaf, an Update, a Remove, and one
    /// that narrows the tree.
    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let two = [Change::Add, Change::Commit(0)];
        let three = [Change::Add, Change::Add, Change::Commit(0), Change::Commit(2)];
        let gap = [Change::Add, Change::Add, Change::Commit(2), Change::Remove(1)];
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            let grow =
                |shape: &[Change], rng: &mut dyn Rng| Grove::grow(env, cipher_suite, shape, rng);
            for shape in [two.as_slice(), &gap] {
                let grove = grow(shape, rng)?;
                let add = Proposal::Add(grove.new_member(rng)?.key_package);
                cases.push(make(cipher_suite, &grove, &add, LeafIndex(0), env)?);
            }
            let grove = grow(&three, rng)?;
            let sender = LeafIndex(1);
            let update = Proposal::Update(grove.new_leaf(sender, rng)?.0);
            cases.push(make(cipher_suite, &grove, &update, sender, env)?);
            for removed in [1, 2] {
                let remove = Proposal::Remove(LeafIndex(removed));
                cases.push(make(cipher_suite, &grow(&three, rng)?, &remove, LeafIndex(0), env)?);
            }
        }
        Ok(cases)
    }
}

fn make(
    cipher_suite: u16,
    grove: &Grove,
    proposal: &Proposal,
    sender: LeafIndex,
    env: &Env,
) -> Result<Case, Failure> {
    let hash = |suite: &Suite, tree: &RatchetTree| -> Result<Hex, Failure> {
        Ok(tree.tree_hash(suite)?.as_bytes().into())
    };
    let mut after = grove.tree.clone();
    apply(&mut after, proposal, sender, env)?;
    Ok(Case {
        cipher_suite,
        tree_before: write_tree(&grove.tree)?.into(),
        proposal: proposal.to_bytes()?.into(),
        proposal_sender: sender.0,
        tree_hash_before: hash(grove.suite(), &grove.tree)?,
        tree_after: write_tree(&after)?.into(),
        tree_hash_after: hash(grove.suite(), &after)?,
    })
}

fn apply(
    tree: &mut RatchetTree,
    proposal: &Proposal,
    sender: LeafIndex,
    env: &Env,
) -> Result<(), Failure> {
    match proposal {
        Proposal::Add(key_package) => {
            tree.add(key_package.leaf_node.clone(), env.context.limits.leaves)?;
        }
        Proposal::Update(leaf) => tree.update(sender, leaf.clone())?,
        Proposal::Remove(removed) => tree.remove(*removed)?,
        _ => return Err(Failure::mismatch("proposal_type")),
    }
    Ok(())
}
