use std::collections::BTreeMap;

use circlet::crypto::{HpkePrivateKey, Rng, Secret, Suite};
use circlet::group::{JoinKeys, LeafTemplate, Settings};
use circlet::hazmat::path::NewPath;
use circlet::identity::{Credential, SigningKey};
use circlet::tree::{
    Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, Lifetime,
    NodeIndex, RatchetTree,
};

use super::{Env, Failure, Hex, random};

/// A ratchet tree with everything that its members know, and no group around it.
pub(super) struct Grove {
    pub(super) settings: Settings,
    pub(super) group_id: Hex,
    pub(super) tree: RatchetTree,
    pub(super) members: BTreeMap<LeafIndex, MemberKeys>,
}

/// What one member knows.
pub(super) struct MemberKeys {
    pub(super) signer: SigningKey,
    pub(super) leaf_key: HpkePrivateKey,
    /// Of nodes above its leaf.
    pub(super) path_secrets: BTreeMap<NodeIndex, Secret>,
}

/// Somebody who is about to be added.
pub(super) struct Newcomer {
    pub(super) key_package: circlet::message::KeyPackage,
    signer: SigningKey,
    leaf_key: HpkePrivateKey,
}

/// One change of a tree. The numbers are those of leaves.
#[derive(Clone, Copy)]
pub(super) enum Change {
    Add,
    Update(u32),
    Remove(u32),
    Commit(u32),
}

use Change::{Add, Commit, Remove, Update};

/// Trees with what is special about trees.
pub(super) const SHAPES: &[&[Change]] = &[
    // Full, no parent blank.
    &[Add, Add, Add, Commit(0), Commit(2)],
    // Unmerged leaves on two levels.
    &[Add, Add, Add, Commit(0), Commit(2), Remove(1), Commit(3), Commit(0), Add, Add],
    // Blank parents above others, a blank leaf between, an Update's leaf.
    &[Add, Add, Add, Add, Commit(4), Commit(0), Update(2), Remove(1), Commit(3)],
];

impl Grove {
    /// A tree of one member and what these changes make of it.
    pub(super) fn grow(
        env: &Env,
        cipher_suite: u16,
        changes: &[Change],
        rng: &mut dyn Rng,
    ) -> Result<Self, Failure> {
        let mut grove = Self::plant(env, cipher_suite, rng)?;
        for change in changes {
            grove.apply(*change, rng)?;
        }
        Ok(grove)
    }

    /// A tree of at most `most` members after random changes.
    pub(super) fn random(
        env: &Env,
        cipher_suite: u16,
        most: u32,
        rng: &mut dyn Rng,
    ) -> Result<Self, Failure> {
        let mut grove = Self::plant(env, cipher_suite, rng)?;
        for _ in 0..3 * most {
            let members = grove.tree.member_count();
            let leaf = grove.some_member(rng)?;
            let change = match below(8, rng)? {
                0..=2 if members < most => Add,
                3 if members > 2 => Remove(leaf),
                4 => Update(leaf),
                _ if members > 1 => Commit(leaf),
                _ => Add,
            };
            grove.apply(change, rng)?;
        }
        Ok(grove)
    }

    pub(super) fn suite(&self) -> &Suite {
        &self.settings.suite
    }

    fn plant(env: &Env, cipher_suite: u16, rng: &mut dyn Rng) -> Result<Self, Failure> {
        let settings = env.settings(cipher_suite)?;
        let first = newcomer(&settings, 0, rng)?;
        let tree = RatchetTree::new(first.key_package.leaf_node.clone());
        let members = BTreeMap::from([(LeafIndex(0), first.into())]);
        Ok(Self { settings, group_id: random(rng, 32)?, tree, members })
    }

    fn apply(&mut self, change: Change, rng: &mut dyn Rng) -> Result<(), Failure> {
        match change {
            Add => {
                let newcomer = self.new_member(rng)?;
                let leaf = newcomer.key_package.leaf_node.clone();
                let index = self.tree.add(leaf, self.settings.limits().leaves)?;
                self.members.insert(index, newcomer.into());
            }
            Update(index) => {
                let index = LeafIndex(index);
                let (leaf, leaf_key) = self.new_leaf(index, rng)?;
                self.tree.update(index, leaf)?;
                self.forget_above(index);
                self.member_mut(index)?.leaf_key = leaf_key;
            }
            Remove(index) => {
                self.tree.remove(LeafIndex(index))?;
                self.members.remove(&LeafIndex(index));
                self.forget_above(LeafIndex(index));
            }
            Commit(index) => self.commit(LeafIndex(index), rng)?,
        }
        Ok(())
    }

    /// Somebody who is not in the tree yet.
    pub(super) fn new_member(&self, rng: &mut dyn Rng) -> Result<Newcomer, Failure> {
        newcomer(&self.settings, self.tree.member_count(), rng)
    }

    /// A member's leaf for an Update, with its private key.
    pub(super) fn new_leaf(
        &self,
        index: LeafIndex,
        rng: &mut dyn Rng,
    ) -> Result<(LeafNode, HpkePrivateKey), Failure> {
        let old = self.tree.leaf(index).ok_or_else(|| Failure::missing("leaf"))?;
        let keys = self.suite().generate_key_pair(rng)?;
        let content = LeafNodeContent {
            encryption_key: keys.public,
            source: LeafNodeSource::Update,
            ..LeafNodeContent::clone(old)
        };
        let position = LeafPosition { group_id: &self.group_id, leaf_index: index };
        let leaf = LeafNode::sign(content, position, &self.member(index)?.signer)?;
        Ok((leaf, keys.private))
    }

    pub(super) fn member(&self, index: LeafIndex) -> Result<&MemberKeys, Failure> {
        self.members.get(&index).ok_or_else(|| Failure::missing("member"))
    }

    fn member_mut(&mut self, index: LeafIndex) -> Result<&mut MemberKeys, Failure> {
        self.members.get_mut(&index).ok_or_else(|| Failure::missing("member"))
    }

    /// New keys from a leaf to the root, whose secrets reach everybody below.
    fn commit(&mut self, index: LeafIndex, rng: &mut dyn Rng) -> Result<(), Failure> {
        let position = LeafPosition { group_id: &self.group_id, leaf_index: index };
        let signer = &self.member(index)?.signer.clone();
        let path = NewPath::build(&self.settings.suite, &mut self.tree, position, signer, rng)?;
        self.forget_above(index);
        for (node, secret) in path.path_secrets() {
            for (leaf, member) in &mut self.members {
                if leaf.node().is_some_and(|leaf| node.contains(leaf)) {
                    member.path_secrets.insert(node, secret.clone());
                }
            }
        }
        let node = index.node().ok_or_else(|| Failure::missing("leaf"))?;
        let leaf_key = path.private_keys(node).remove(&node);
        self.member_mut(index)?.leaf_key =
            leaf_key.ok_or_else(|| Failure::missing("private key"))?;
        Ok(())
    }

    /// The nodes above this leaf are blank or new.
    fn forget_above(&mut self, index: LeafIndex) {
        let Some(leaf) = index.node() else { return };
        for member in self.members.values_mut() {
            member.path_secrets.retain(|node, _| !node.contains(leaf));
        }
    }

    fn some_member(&self, rng: &mut dyn Rng) -> Result<u32, Failure> {
        let which = below(self.tree.member_count(), rng)?;
        let member = self.members.keys().nth(which as usize);
        member.map(|index| index.0).ok_or_else(|| Failure::missing("member"))
    }
}

impl From<Newcomer> for MemberKeys {
    fn from(newcomer: Newcomer) -> Self {
        let Newcomer { signer, leaf_key, .. } = newcomer;
        Self { signer, leaf_key, path_secrets: BTreeMap::new() }
    }
}

fn newcomer(settings: &Settings, number: u32, rng: &mut dyn Rng) -> Result<Newcomer, Failure> {
    let signer = SigningKey::generate(&settings.suite, rng)?;
    let keys = JoinKeys::generate(settings, template(settings, number), &signer, rng)?;
    let JoinKeys { key_package, leaf_key, .. } = keys;
    Ok(Newcomer { key_package, signer, leaf_key })
}

/// A leaf that never expires.
pub(super) fn template(settings: &Settings, number: u32) -> LeafTemplate {
    LeafTemplate {
        credential: Credential::basic(format!("member {number}")),
        capabilities: LeafTemplate::capabilities(settings),
        lifetime: Lifetime { not_before: 0, not_after: u64::MAX },
        extensions: Extensions::new(),
    }
}

/// A number below `bound`, nearly evenly.
pub(super) fn below(bound: u32, rng: &mut dyn Rng) -> Result<u32, Failure> {
    let mut bytes = [0; 4];
    rng.fill(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes) % bound.max(1))
}
