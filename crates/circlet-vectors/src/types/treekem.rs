use std::collections::BTreeMap;

use circlet::codec::{Decode, Encode};
use circlet::crypto::{HpkePrivateKey, Rng, Secret, SignaturePrivateKey, Suite};
use circlet::hazmat::path::{NewPath, PathMember, merge, node_key_pair, read};
use circlet::identity::{Signer, SigningKey};
use circlet::message::{GroupContext, GroupId, UpdatePath};
use circlet::tree::{Extensions, LeafIndex, LeafPosition, NodeIndex, RatchetTree};
use serde::{Deserialize, Serialize};

use super::grove::{Grove, MemberKeys, SHAPES};
use super::tree_validation::{read_tree, write_tree};
use super::{At, Env, Failure, Hex, VectorType, expect_bytes, expect_equal, random};
use crate::seeded::SeededRng;

/// Update paths, each from a member to all others (RFC 9420 sections 7.4 to 7.6).
pub(crate) struct TreeKem;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    group_id: Hex,
    epoch: u64,
    confirmed_transcript_hash: Hex,
    ratchet_tree: Hex,
    leaves_private: Vec<LeafPrivate>,
    update_paths: Vec<PathFrom>,
}

/// What a member knows. Blank leaves have none.
#[derive(Debug, Serialize, Deserialize)]
struct LeafPrivate {
    index: u32,
    encryption_priv: Hex,
    signature_priv: Hex,
    path_secrets: Vec<PathSecret>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PathSecret {
    node: u32,
    path_secret: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct PathFrom {
    sender: u32,
    update_path: Hex,
    /// By leaf: what the path gives to its member; none for the sender and for blank leaves.
    path_secrets: Vec<Option<Hex>>,
    commit_secret: Hex,
    tree_hash_after: Hex,
}

/// A member with the keys that it can read with.
struct Member {
    signer: SigningKey,
    private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
}

/// A tree and its members, as a case describes them.
struct Group<'a> {
    case: &'a Case,
    suite: Suite,
    tree: RatchetTree,
    members: BTreeMap<LeafIndex, Member>,
}

impl VectorType for TreeKem {
    const NAME: &'static str = "treekem";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let group = Group::read(case, env)?;
        for (number, path) in case.update_paths.iter().enumerate() {
            group.check_path(path, env).at(format!("update_paths[{number}]"))?;
        }
        let mut rng = SeededRng::new(env.provider.clone(), 0, "paths");
        for sender in group.members.keys() {
            group.check_own_path(*sender, &mut rng).at(format!("own path of leaf {sender}"))?;
        }
        Ok(())
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            for shape in SHAPES.iter().skip(1) {
                let grove = Grove::grow(env, cipher_suite, shape, rng)?;
                cases.push(make(cipher_suite, &grove, rng)?);
            }
            let grove = Grove::random(env, cipher_suite, 5, rng)?;
            cases.push(make(cipher_suite, &grove, rng)?);
        }
        Ok(cases)
    }
}

impl<'a> Group<'a> {
    fn read(case: &'a Case, env: &Env) -> Result<Self, Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let tree = read_tree("ratchet_tree", &case.ratchet_tree, env)?;
        let mut members = BTreeMap::new();
        for (number, leaf) in case.leaves_private.iter().enumerate() {
            let member =
                read_member(&suite, &tree, leaf).at(format!("leaves_private[{number}]"))?;
            members.insert(LeafIndex(leaf.index), member);
        }
        expect_equal("leaves_private", &members.len(), &tree.members().count())?;
        Ok(Self { case, suite, tree, members })
    }

    fn check_path(&self, given: &PathFrom, env: &Env) -> Result<(), Failure> {
        let sender = LeafIndex(given.sender);
        let path = UpdatePath::from_bytes(&given.update_path, &env.context).at("update_path")?;
        expect_bytes("update_path", path.to_bytes()?, &given.update_path)?;
        let position = self.position(sender);
        path.leaf_node.verify_signature(&self.suite, position).at("update_path")?;

        let mut tree = self.tree.clone();
        merge(&self.suite, &mut tree, sender, &path).at("update_path")?;
        expect_bytes("tree_hash_after", tree.tree_hash(&self.suite)?, &given.tree_hash_after)?;
        let context = self.context(&tree)?;
        let width = tree.width().leaves() as usize;
        expect_equal("path_secrets", &given.path_secrets.len(), &width)?;
        for (leaf, secret) in (0..).map(LeafIndex).zip(&given.path_secrets) {
            let reads = leaf != sender && self.members.contains_key(&leaf);
            let field = format!("path_secrets[{leaf}]");
            expect_equal(&field, &secret.is_some(), &reads)?;
            let Some(secret) = secret else { continue };
            let read = self.read_path(&tree, (sender, &path), leaf, &context).at(&field)?;
            expect_bytes(&field, read.path_secret.as_bytes(), secret)?;
            expect_bytes("commit_secret", read.commit_secret.as_bytes(), &given.commit_secret)?;
        }
        Ok(())
    }

    /// A path of our own from this leaf: everybody else reads the same from it.
    fn check_own_path(&self, sender: LeafIndex, rng: &mut dyn Rng) -> Result<(), Failure> {
        let signer = &self.member(sender)?.signer;
        let mut built = self.tree.clone();
        let new = NewPath::build(&self.suite, &mut built, self.position(sender), signer, rng)?;
        let context = self.context(&built)?;
        let path = new.encrypt(&self.suite, &built, &context, rng)?;

        let mut tree = self.tree.clone();
        merge(&self.suite, &mut tree, sender, &path)?;
        expect_bytes("tree", write_tree(&tree)?, write_tree(&built)?)?;
        for leaf in self.members.keys().filter(|leaf| **leaf != sender) {
            let read = self.read_path(&tree, (sender, &path), *leaf, &context)?;
            let expected = path_secret_for(&new, *leaf)?;
            expect_bytes("path_secret", read.path_secret.as_bytes(), expected.as_bytes())?;
            let expected = new.commit_secret().as_bytes();
            expect_bytes("commit_secret", read.commit_secret.as_bytes(), expected)?;
        }
        Ok(())
    }

    fn read_path(
        &self,
        tree: &RatchetTree,
        path: (LeafIndex, &UpdatePath),
        leaf: LeafIndex,
        context: &[u8],
    ) -> Result<circlet::hazmat::path::PathSecrets, Failure> {
        let member = PathMember { leaf, private_keys: &self.member(leaf)?.private_keys };
        Ok(read(&self.suite, tree, path, member, context)?)
    }

    fn member(&self, leaf: LeafIndex) -> Result<&Member, Failure> {
        self.members.get(&leaf).ok_or_else(|| Failure::missing(format!("leaf {leaf}")))
    }

    fn position(&self, leaf_index: LeafIndex) -> LeafPosition<'_> {
        LeafPosition { group_id: &self.case.group_id, leaf_index }
    }

    fn context(&self, tree: &RatchetTree) -> Result<Vec<u8>, Failure> {
        let Case { group_id, epoch, confirmed_transcript_hash, .. } = self.case;
        context(&self.suite, tree, group_id, *epoch, confirmed_transcript_hash)
    }
}

/// A leaf's secrets, held against the keys in the tree.
fn read_member(suite: &Suite, tree: &RatchetTree, given: &LeafPrivate) -> Result<Member, Failure> {
    let index = LeafIndex(given.index);
    let leaf = tree.leaf(index).ok_or_else(|| Failure::mismatch("index"))?;
    let node = index.node().ok_or_else(|| Failure::mismatch("index"))?;
    let private = SignaturePrivateKey::new(Secret::new(&given.signature_priv));
    let signer = SigningKey::from_private(suite, &private).at("signature_priv")?;
    expect_bytes("signature_priv", signer.public_key(), &leaf.signature_key)?;
    let keys = suite.provider().import_private_key(suite.spec().kem.id, &given.encryption_priv)?;
    expect_bytes("encryption_priv", &keys.public, &leaf.encryption_key)?;
    let mut private_keys = BTreeMap::from([(node, keys.private)]);
    for secret in &given.path_secrets {
        let node = NodeIndex(secret.node);
        let keys = node_key_pair(suite, &Secret::new(&secret.path_secret))?;
        let expected = tree.encryption_key(node).ok_or_else(|| Failure::mismatch("node"))?;
        expect_bytes("path_secret", &keys.public, expected)?;
        private_keys.insert(node, keys.private);
    }
    Ok(Member { signer, private_keys })
}

fn context(
    suite: &Suite,
    tree: &RatchetTree,
    group_id: &[u8],
    epoch: u64,
    confirmed_transcript_hash: &[u8],
) -> Result<Vec<u8>, Failure> {
    let context = GroupContext {
        cipher_suite: suite.id(),
        group_id: GroupId::new(group_id),
        epoch,
        tree_hash: tree.tree_hash(suite)?.as_bytes().to_vec(),
        confirmed_transcript_hash: confirmed_transcript_hash.to_vec(),
        extensions: Extensions::new(),
    };
    Ok(context.to_bytes()?)
}

fn path_secret_for(path: &NewPath, leaf: LeafIndex) -> Result<&Secret, Failure> {
    let node = leaf.node().ok_or_else(|| Failure::missing("leaf"))?;
    let lowest = path.path_secrets().find(|(above, _)| above.contains(node));
    lowest.map(|(_, secret)| secret).ok_or_else(|| Failure::missing("path_secret"))
}

fn make(cipher_suite: u16, grove: &Grove, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let mut case = Case {
        cipher_suite,
        group_id: grove.group_id.clone(),
        epoch: 7,
        confirmed_transcript_hash: random(rng, grove.suite().spec().hash.length)?,
        ratchet_tree: write_tree(&grove.tree)?.into(),
        leaves_private: grove.members.iter().map(|(leaf, keys)| describe(*leaf, keys)).collect(),
        update_paths: Vec::new(),
    };
    for sender in grove.members.keys() {
        case.update_paths.push(make_path(&case, grove, *sender, rng)?);
    }
    Ok(case)
}

fn describe(leaf: LeafIndex, keys: &MemberKeys) -> LeafPrivate {
    let secret = |(node, secret): (&NodeIndex, &Secret)| PathSecret {
        node: node.0,
        path_secret: secret.into(),
    };
    LeafPrivate {
        index: leaf.0,
        encryption_priv: keys.leaf_key.secret().into(),
        signature_priv: keys.signer.private_key().secret().into(),
        path_secrets: keys.path_secrets.iter().map(secret).collect(),
    }
}

fn make_path(
    case: &Case,
    grove: &Grove,
    sender: LeafIndex,
    rng: &mut dyn Rng,
) -> Result<PathFrom, Failure> {
    let suite = grove.suite();
    let mut tree = grove.tree.clone();
    let position = LeafPosition { group_id: &grove.group_id, leaf_index: sender };
    let signer = &grove.member(sender)?.signer;
    let path = NewPath::build(suite, &mut tree, position, signer, rng)?;
    let context =
        context(suite, &tree, &grove.group_id, case.epoch, &case.confirmed_transcript_hash)?;
    let update_path = path.encrypt(suite, &tree, &context, rng)?;
    let secret = |leaf: LeafIndex| {
        let reads = leaf != sender && grove.members.contains_key(&leaf);
        reads.then(|| path_secret_for(&path, leaf).map(Hex::from)).transpose()
    };
    let leaves = (0..tree.width().leaves()).map(LeafIndex);
    Ok(PathFrom {
        sender: sender.0,
        update_path: update_path.to_bytes()?.into(),
        path_secrets: leaves.map(secret).collect::<Result<_, Failure>>()?,
        commit_secret: path.commit_secret().into(),
        tree_hash_after: tree.tree_hash(suite)?.as_bytes().into(),
    })
}
