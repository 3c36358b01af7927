use circlet::crypto::{Rng, Suite};
use circlet::hazmat::tree::check_tree;
use circlet::tree::{LeafPosition, NodeIndex, RatchetTree};
use serde::{Deserialize, Serialize};

use super::grove::{Grove, SHAPES};
use super::{At, Env, Failure, Hex, VectorType, expect_bytes, expect_equal};

/// Tree hashes, parent hashes, resolutions and leaf signatures (RFC 9420 sections 4.1.1, 7.8 and
/// 7.9).
pub(crate) struct TreeValidation;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    tree: Hex,
    group_id: Hex,
    /// By node, also of those behind the last that is not blank.
    tree_hashes: Vec<Hex>,
    /// As `tree_hashes`.
    resolutions: Vec<Vec<u32>>,
}

impl VectorType for TreeValidation {
    const NAME: &'static str = "tree-validation";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let tree = read_tree("tree", &case.tree, env)?;
        let computed = compute(case.cipher_suite, &suite, &tree, &case.group_id)?;
        expect_equal("resolutions", &computed.resolutions.len(), &case.resolutions.len())?;
        for (node, (computed, given)) in
            computed.resolutions.iter().zip(&case.resolutions).enumerate()
        {
            expect_equal(format!("resolutions[{node}]"), computed, given)?;
        }
        expect_equal("tree_hashes", &computed.tree_hashes.len(), &case.tree_hashes.len())?;
        for (node, (computed, given)) in
            computed.tree_hashes.iter().zip(&case.tree_hashes).enumerate()
        {
            expect_bytes(format!("tree_hashes[{node}]"), computed, given)?;
        }
        check_tree(&tree, &suite).at("tree")?;
        for (leaf_index, leaf) in tree.members() {
            let position = LeafPosition { group_id: &case.group_id, leaf_index };
            leaf.verify_signature(&suite, position).at(format!("tree, leaf {leaf_index}"))?;
        }
        Ok(())
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            for shape in SHAPES {
                let grove = Grove::grow(env, cipher_suite, shape, rng)?;
                cases.push(compute(cipher_suite, grove.suite(), &grove.tree, &grove.group_id)?);
            }
            let grove = Grove::random(env, cipher_suite, 6, rng)?;
            cases.push(compute(cipher_suite, grove.suite(), &grove.tree, &grove.group_id)?);
        }
        Ok(cases)
    }
}

/// Reads a tree whose encoding is the one that we would write.
pub(super) fn read_tree(field: &str, bytes: &[u8], env: &Env) -> Result<RatchetTree, Failure> {
    let tree = RatchetTree::from_wire(bytes, &env.context).at(field)?;
    expect_bytes(field, write_tree(&tree)?, bytes)?;
    Ok(tree)
}

pub(super) fn write_tree(tree: &RatchetTree) -> Result<Vec<u8>, Failure> {
    Ok(circlet::codec::Encode::to_bytes(tree)?)
}

fn compute(
    cipher_suite: u16,
    suite: &Suite,
    tree: &RatchetTree,
    group_id: &[u8],
) -> Result<Case, Failure> {
    let nodes = || (0..tree.width().nodes()).map(NodeIndex);
    let hash = |node| Ok(tree.subtree_hash(suite, node)?.as_bytes().into());
    let resolution = |node| tree.resolution(node).iter().map(|node| node.0).collect();
    Ok(Case {
        cipher_suite,
        tree: write_tree(tree)?.into(),
        group_id: group_id.into(),
        tree_hashes: nodes().map(hash).collect::<Result<_, Failure>>()?,
        resolutions: nodes().map(resolution).collect(),
    })
}
