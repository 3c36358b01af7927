//! A large group in which every copath is populated, made without a state for each member.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::super::*;
use crate::crypto::{Digest, HpkePrivateKey, Mac};
use crate::group::EpochState;
use crate::group::path::NewPath;
use crate::identity::Signer;
use crate::message::GroupContext;
use crate::schedule::{EpochSecret, EpochSecrets, SecretTree, interim_transcript_hash};
use crate::tree::{
    LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition, NodeIndex, RatchetTree,
};

/// All that the members of a group know together, right after an epoch began.
///
/// The tree is what it would be if every second member had committed once: real keys everywhere,
/// and no parent blank that has members on both sides.
pub(super) struct Population {
    context: GroupContext,
    tree: RatchetTree,
    secrets: EpochSecrets,
    encryption_secret: Secret,
    confirmation_tag: Mac,
    interim_transcript_hash: Digest,
    signers: Vec<SigningKey>,
    /// Of every leaf and every parent.
    private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
}

const GROUP: &[u8] = b"a warm group";

/// A warm group of 10,000.
pub(super) fn ten_thousand() -> &'static Population {
    static POPULATION: OnceLock<Population> = OnceLock::new();
    POPULATION.get_or_init(|| Population::new(10_000))
}

impl Population {
    pub(super) fn new(members: u32) -> Self {
        let settings = settings(CipherSuite(1));
        let suite = &settings.suite;
        let mut rng = SeededRng::new(members.into());
        let (mut leaves, mut signers) = (Vec::new(), Vec::new());
        let mut private_keys = BTreeMap::new();
        for index in 0..members {
            let signer = SigningKey::generate(suite, &mut rng).unwrap();
            let keys = suite.generate_key_pair(&mut rng).unwrap();
            private_keys.insert(leaf(index).node().unwrap(), keys.private);
            let content = LeafNodeContent {
                encryption_key: keys.public,
                signature_key: signer.public_key().clone(),
                credential: Credential::basic(name(index)),
                capabilities: LeafTemplate::capabilities(&settings),
                source: LeafNodeSource::Update,
                extensions: Extensions::new(),
            };
            leaves.push(LeafNode::sign(content, position(index), &signer).unwrap());
            signers.push(signer);
        }
        let mut leaves = leaves.into_iter();
        let mut tree = RatchetTree::new(leaves.next().unwrap());
        for leaf in leaves {
            tree.add(leaf, settings.limits().leaves).unwrap();
        }
        for index in (0..members).step_by(2) {
            let signer = &signers[index as usize];
            let content = LeafNodeContent::clone(tree.leaf(leaf(index)).unwrap());
            let path = NewPath::build(suite, &mut tree, position(index), content, signer, &mut rng)
                .unwrap();
            private_keys.extend(path.private_keys(leaf(index).node().unwrap()));
        }

        let context = GroupContext {
            cipher_suite: suite.id(),
            group_id: GroupId::new(GROUP),
            epoch: 1,
            tree_hash: tree.tree_hash(suite).unwrap().as_bytes().to_vec(),
            confirmed_transcript_hash: suite.hash(&[b"a commit"]).unwrap().as_bytes().to_vec(),
            extensions: Extensions::new(),
        };
        let epoch_secret = EpochSecret::random(suite, &mut rng).unwrap();
        let (secrets, encryption_secret) = epoch_secret.secrets(suite).unwrap();
        let confirmed = &context.confirmed_transcript_hash;
        let confirmation_tag = suite.mac(&secrets.confirmation_key, &[confirmed]).unwrap();
        let interim = interim_transcript_hash(suite, confirmed, &confirmation_tag).unwrap();
        Self {
            context,
            tree,
            secrets,
            encryption_secret,
            confirmation_tag,
            interim_transcript_hash: interim,
            signers,
            private_keys,
        }
    }

    pub(super) fn members(&self) -> u32 {
        self.tree.member_count()
    }

    pub(super) fn tree(&self) -> &RatchetTree {
        &self.tree
    }

    /// A member with what it knows: the keys of its own leaf and of every node above.
    pub(super) fn member(&self, index: u32, provider: Arc<dyn CryptoProvider>) -> Actor {
        let settings = Settings::new(Suite::new(provider, CipherSuite(1)).unwrap());
        let node = leaf(index).node().unwrap();
        let own = self.tree.width().direct_path(node).chain([node]);
        let private_keys = own.filter_map(|node| self.private_keys.get_key_value(&node));
        let private = self.signers[index as usize].private_key();
        let epoch = EpochState {
            context: self.context.clone(),
            context_bytes: self.context.to_bytes().unwrap().into(),
            tree: self.tree.clone(),
            secrets: self.secrets.clone(),
            interim_transcript_hash: self.interim_transcript_hash,
            confirmation_tag: self.confirmation_tag.clone(),
            private_keys: private_keys.map(|(node, key)| (*node, key.clone())).collect(),
            secret_tree: SecretTree::new(self.tree.width(), self.encryption_secret.clone()),
        };
        Actor {
            signer: SigningKey::from_private(&settings.suite, private).unwrap(),
            state: Some(GroupState::begin(settings.clone(), leaf(index), epoch)),
            settings,
            rng: SeededRng::new((1 << 32) + u64::from(index)),
            name: name(index),
            keys: None,
            staged: None,
            psks: Psks::default(),
        }
    }
}

/// As long for every member.
fn name(index: u32) -> String {
    format!("m{index:06}")
}

fn position(index: u32) -> LeafPosition<'static> {
    LeafPosition { group_id: GROUP, leaf_index: leaf(index) }
}
