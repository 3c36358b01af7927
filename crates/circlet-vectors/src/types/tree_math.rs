use circlet::crypto::Rng;
use circlet::tree::{NodeIndex, TreeWidth};
use serde::{Deserialize, Serialize};

use super::{Env, Failure, VectorType, expect_equal};

/// Node numbers of a tree (RFC 9420 appendix C).
pub(crate) struct TreeMath;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    n_leaves: u32,
    n_nodes: u32,
    root: u32,
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    parent: Vec<Option<u32>>,
    sibling: Vec<Option<u32>>,
}

impl VectorType for TreeMath {
    const NAME: &'static str = "tree-math";
    type Case = Case;

    fn suite(_: &Case) -> Option<u16> {
        None
    }

    fn verify(case: &Case, _: &Env) -> Result<(), Failure> {
        let computed = compute(case.n_leaves)?;
        expect_equal("n_nodes", &computed.n_nodes, &case.n_nodes)?;
        expect_equal("root", &computed.root, &case.root)?;
        expect_each("left", &computed.left, &case.left)?;
        expect_each("right", &computed.right, &case.right)?;
        expect_each("parent", &computed.parent, &case.parent)?;
        expect_each("sibling", &computed.sibling, &case.sibling)
    }

    fn generate(_: &Env, _: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        (0..8).map(|depth| compute(1 << depth)).collect()
    }
}

fn compute(n_leaves: u32) -> Result<Case, Failure> {
    let width = TreeWidth::for_leaves(n_leaves)
        .filter(|width| width.leaves() == n_leaves)
        .ok_or_else(|| Failure::mismatch("n_leaves"))?;
    let number = |node: Option<NodeIndex>| node.map(|node| node.0);
    let nodes = || (0..width.nodes()).map(NodeIndex);
    Ok(Case {
        n_leaves,
        n_nodes: width.nodes(),
        root: width.root().0,
        left: nodes().map(|node| number(node.left())).collect(),
        right: nodes().map(|node| number(node.right())).collect(),
        parent: nodes().map(|node| number(width.parent(node))).collect(),
        sibling: nodes().map(|node| number(width.sibling(node))).collect(),
    })
}

fn expect_each(
    field: &str,
    computed: &[Option<u32>],
    given: &[Option<u32>],
) -> Result<(), Failure> {
    expect_equal(field, &computed.len(), &given.len())?;
    let wrong = computed.iter().zip(given).position(|(computed, given)| computed != given);
    wrong.map_or(Ok(()), |node| Err(Failure::mismatch(format!("{field}[{node}]"))))
}
