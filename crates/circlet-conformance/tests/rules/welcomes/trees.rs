//! The ratchet tree of a Welcome.

use super::*;

/// V-12.4.3.1-12, V-12.4.3.3-05: the tree is that of the GroupContext, wherever it came from.
#[test]
fn v_12_4_3_1_12_the_trees_hash() {
    let mut welcomed = Welcomed::new();
    welcomed.refuses(Violation::TreeHash, |welcome| {
        welcome.edit_context(|context| context.tree_hash[0] ^= 1)
    });
    welcomed.refuses(Violation::TreeHash, |welcome| {
        welcome.edit_context(|context| context.tree_hash.truncate(31))
    });
    welcomed.refuses(Violation::TreeHash, |welcome| {
        welcome.edit_tree(|nodes| nodes[7] = None).keep_tree_hash()
    });
    // One that came another way.
    let outside = welcomed
        .forge(|welcome| welcome.edit_context(|context| context.tree_hash[0] ^= 1).without_tree());
    let newcomer = &mut welcomed.newcomer;
    let before = newcomer.fingerprint().unwrap();
    let error = newcomer.join_with(&outside, Some(&outside.ratchet_tree)).unwrap_err();
    assert_violation(&error, Violation::TreeHash);
    assert_eq!(newcomer.fingerprint().unwrap(), before);
    welcomed.joins();
}

/// V-12.4.3.1-27: of two trees the one that is signed counts.
#[test]
fn v_12_4_3_1_27_a_tree_inside_and_one_outside() {
    let mut welcomed = Welcomed::new();
    let welcome = welcomed.forge(|welcome| welcome);
    welcomed.newcomer.join_with(&welcome, Some(b"no tree")).unwrap();
    assert_eq!(welcomed.newcomer.state().ratchet_tree().unwrap(), welcome.ratchet_tree);
}

/// V-12.4.3.1-13, V-12.4.3.1-15 to V-12.4.3.1-17, V-12.4.3.3-02 to V-12.4.3.3-04: trees whose hash
/// and signature are right.
#[test]
fn v_12_4_3_1_13_whole_trees() {
    let mut welcomed = Welcomed::new();
    type Edit = fn(&mut Vec<Option<Node>>);
    let cases: [(Violation, Edit); 12] = [
        (Violation::TreeTrailingBlank, |nodes| nodes.push(None)),
        (Violation::TreeTrailingBlank, |nodes| nodes.truncate(0)),
        // The last one is a parent, with nothing to its right.
        (Violation::TreeTrailingBlank, |nodes| {
            nodes[13] = nodes[11].clone();
            nodes.truncate(14);
        }),
        (Violation::TreeNodeKind, |nodes| nodes.swap(0, 1)),
        (Violation::ParentHash, |nodes| {
            parent(nodes, 7).encryption_key = HpkePublicKey::new(&[9; 32])
        }),
        (Violation::ParentHash, |nodes| parent(nodes, 3).parent_hash[0] ^= 1),
        // Of the other subtree; of nobody; no member.
        (Violation::UnmergedLeafMisplaced, |nodes| {
            parent(nodes, 3).unmerged_leaves = vec![LeafIndex(5)]
        }),
        (Violation::UnmergedLeafMisplaced, |nodes| {
            parent(nodes, 3).unmerged_leaves = vec![LeafIndex(8)]
        }),
        (Violation::UnmergedLeafMisplaced, |nodes| {
            parent(nodes, 3).unmerged_leaves = vec![LeafIndex(u32::MAX)];
        }),
        (Violation::UnmergedLeafSkipped, |nodes| {
            parent(nodes, 7).unmerged_leaves = vec![LeafIndex(7)];
            parent(nodes, 11).unmerged_leaves.clear();
        }),
        (Violation::ParentKeyReused, |nodes| {
            parent(nodes, 7).encryption_key = parent(nodes, 11).encryption_key.clone();
        }),
        (Violation::ParentKeyReused, |nodes| {
            let leaf = nodes[12].as_ref().and_then(Node::leaf).unwrap().encryption_key.clone();
            parent(nodes, 7).encryption_key = leaf;
        }),
    ];
    for (expected, edit) in cases {
        welcomed.refuses(expected, |welcome| welcome.edit_tree(edit));
    }
    welcomed.joins();
}

/// Somebody whom member 1 adds at leaf 7, and another one at leaf 8 who is in no parent's list.
fn with_another() -> Welcomed {
    let mut group = TestGroup::new(SUITE, 7).unwrap();
    group.update(1).unwrap();
    let [mut newcomer, mut other] = ["new", "other"].map(|name| group.newcomer(name).unwrap());
    let adds = [&mut newcomer, &mut other].map(|it| Proposal::Add(it.key_package().unwrap()));
    let mut insider = group.insider(1).unwrap();
    let commit = insider.commit().proposals(adds).without_path().public().unwrap();
    Welcomed { newcomer, commit }
}

/// V-12.4.3.1-14: every leaf is valid: here its signature, and what the group requires.
#[test]
fn v_12_4_3_1_14_leaves() {
    let mut welcomed = with_another();
    welcomed.refuses(Violation::LeafSignature, |welcome| {
        welcome.edit_tree(|nodes| {
            let leaf = nodes[16].as_ref().and_then(Node::leaf).unwrap();
            let content = LeafNodeContent::clone(leaf);
            let leaf = leaf_with_signature(content, Signature(vec![7; 64])).unwrap();
            nodes[16] = Some(Node::Leaf(leaf));
        })
    });
    let required = RequiredCapabilities {
        credential_types: vec![circlet::identity::CredentialType(0xf001)],
        ..RequiredCapabilities::default()
    };
    welcomed.refuses(Violation::RequiredCapabilities, |welcome| {
        welcome.edit_context(move |context| {
            context.extensions.set(required.to_extension().unwrap());
        })
    });
    welcomed.joins();
}

/// V-12.4.3.1-18: the leaf of the key package is in the tree, every bit of it.
#[test]
fn v_12_4_3_1_18_the_own_leaf() {
    let mut welcomed = Welcomed::without_path();
    let signer = welcomed.newcomer.signer.clone();
    welcomed.refuses(Violation::OwnLeafMissing, |welcome| {
        welcome.edit_tree(move |nodes| {
            let leaf = nodes[14].as_ref().and_then(Node::leaf).unwrap();
            let mut content = LeafNodeContent::clone(leaf);
            content.extensions.set(Extension::application_id(b"another").unwrap());
            let nowhere = LeafPosition { group_id: &[], leaf_index: LeafIndex(0) };
            let leaf = LeafNode::sign(content, nowhere, &signer).unwrap();
            nodes[14] = Some(Node::Leaf(leaf));
        })
    });
    // The tree as it was before.
    welcomed.refuses(Violation::OwnLeafMissing, |welcome| {
        welcome.edit_tree(|nodes| {
            nodes.truncate(13);
            nodes.iter_mut().flatten().filter_map(Node::parent_mut).for_each(|parent| {
                parent.unmerged_leaves.clear();
            });
        })
    });
    welcomed.joins();
}

/// V-12.4.3.1-19: the own leaf is there once.
#[test]
fn v_12_4_3_1_19_the_own_leaf_twice() {
    let mut welcomed = Welcomed::without_path();
    welcomed.refuses(Violation::DuplicateEncryptionKey, |welcome| {
        welcome.edit_tree(|nodes| {
            let own = nodes[14].clone();
            nodes.extend([None, own]);
        })
    });
    welcomed.joins();
}

/// V-12.4.3.3-06: a ratchet tree has no place in a GroupContext.
#[test]
fn v_12_4_3_3_06_a_tree_in_the_context() {
    let mut welcomed = Welcomed::new();
    for kind in [ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB] {
        welcomed.refuses(Violation::GroupContextExtensionType, |welcome| {
            welcome.edit_context(move |context| context.extensions.set(extension(kind.0, &[0])))
        });
    }
    welcomed.joins();
}
