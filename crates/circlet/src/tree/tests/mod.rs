//! Leaves with made-up keys, a provider that counts its hashes, and the tests.

mod edges;
mod in_use;
mod naive;
mod operations;
mod rules;
mod sharing;
mod stored;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::codec::{Decode, DecodeContext, Encode, Writer};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::*;

pub(crate) const LIMIT: u32 = 1 << 20;

/// Hashes, and counts how often. It has every suite, since all use the same hash functions.
#[derive(Debug)]
pub(crate) struct HashCounter {
    inner: DefaultProvider,
    suites: Vec<SuiteSpec>,
    hashes: AtomicUsize,
    /// Every hash is the same: what a collision would do.
    colliding: bool,
}

impl HashCounter {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::unshared())
    }

    pub(crate) fn colliding() -> Arc<Self> {
        Arc::new(Self { colliding: true, ..Self::unshared() })
    }

    fn unshared() -> Self {
        let suites = (1..=7).filter_map(|id| suite_spec(CipherSuite(id)).copied()).collect();
        let hashes = AtomicUsize::new(0);
        Self { inner: DefaultProvider::new(), suites, hashes, colliding: false }
    }

    pub(crate) fn suite(self: &Arc<Self>) -> Suite {
        Suite::new(self.clone(), CipherSuite(1)).unwrap()
    }

    /// How often `hash` is called while `run` runs.
    pub(crate) fn count(&self, run: impl FnOnce()) -> usize {
        let before = self.hashes.load(Ordering::Relaxed);
        run();
        self.hashes.load(Ordering::Relaxed) - before
    }
}

pub(crate) fn suite_numbered(id: u16) -> Suite {
    Suite::new(HashCounter::new(), CipherSuite(id)).unwrap()
}

pub(crate) fn suite() -> Suite {
    suite_numbered(1)
}

/// What is particular about a made-up leaf.
#[derive(Clone)]
pub(crate) struct Sketch {
    pub(crate) encryption_key: u32,
    pub(crate) signature_key: u32,
    /// 1, 2, or 3 with this parent hash.
    pub(crate) parent_hash: Option<Vec<u8>>,
    pub(crate) extensions: Vec<u16>,
    pub(crate) proposals: Vec<u16>,
}

impl Sketch {
    /// A leaf of a KeyPackage whose keys are made from `key`.
    pub(crate) fn new(key: u32) -> Self {
        let (extensions, proposals) = (Vec::new(), Vec::new());
        Self { encryption_key: key, signature_key: key, parent_hash: None, extensions, proposals }
    }

    pub(crate) fn leaf(&self) -> LeafNode {
        let mut writer = Writer::new();
        hpke_key(self.encryption_key).encode(&mut writer);
        signature_key(self.signature_key).encode(&mut writer);
        writer.u16(1);
        writer.opaque(b"member");
        writer.vector(&[MLS10]);
        writer.vector(&[1u16]);
        writer.vector(&self.extensions);
        writer.vector(&self.proposals);
        writer.vector(&[1u16]);
        match &self.parent_hash {
            None => {
                writer.u8(1);
                writer.u64(0);
                writer.u64(u64::MAX);
            }
            Some(parent_hash) => {
                writer.u8(3);
                writer.opaque(parent_hash);
            }
        }
        writer.opaque(&[]);
        writer.opaque(b"no signature");
        LeafNode::from_bytes(&writer.finish().unwrap(), &DecodeContext::default()).unwrap()
    }
}

pub(crate) fn leaf(key: u32) -> LeafNode {
    Sketch::new(key).leaf()
}

pub(crate) fn committed_leaf(key: u32, parent_hash: Vec<u8>) -> LeafNode {
    Sketch { parent_hash: Some(parent_hash), ..Sketch::new(key) }.leaf()
}

pub(crate) fn hpke_key(key: u32) -> HpkePublicKey {
    HpkePublicKey::new(&[&b"encrypts"[..], &key.to_be_bytes()].concat())
}

pub(crate) fn signature_key(key: u32) -> SignaturePublicKey {
    SignaturePublicKey::new(&[&b"verifies"[..], &key.to_be_bytes()].concat())
}

/// Keys for the members and parents of a test, never the same twice.
pub(crate) struct Keys(pub(crate) u32);

impl Keys {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }

    /// A tree of `members` without parents.
    pub(crate) fn tree(&mut self, members: u32) -> RatchetTree {
        let mut tree = RatchetTree::new(leaf(self.next()));
        for _ in 1..members {
            tree.add(leaf(self.next()), LIMIT).unwrap();
        }
        tree
    }

    /// What a Commit's path does: fresh keys above a leaf, and a leaf with their parent hash.
    pub(crate) fn commit(&mut self, tree: &mut RatchetTree, suite: &Suite, index: u32) {
        let index = LeafIndex(index);
        let path = tree.filtered_direct_path(index);
        let keys: Vec<_> = path.iter().map(|_| hpke_key(self.next())).collect();
        let parent_hash = tree.set_path(suite, index, &keys).unwrap();
        tree.set_leaf(index, committed_leaf(self.next(), parent_hash)).unwrap();
    }
}

pub(crate) fn reread(tree: &RatchetTree) -> RatchetTree {
    RatchetTree::from_wire(&tree.to_bytes().unwrap(), &DecodeContext::default()).unwrap()
}

pub(crate) fn all_nodes_of(tree: &RatchetTree) -> impl Iterator<Item = NodeIndex> + use<> {
    (0..tree.width().nodes()).map(NodeIndex)
}

impl CryptoProvider for HashCounter {
    fn name(&self) -> &'static str {
        "hash counter"
    }

    fn suites(&self) -> &[SuiteSpec] {
        &self.suites
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.hashes.fetch_add(1, Ordering::Relaxed);
        self.inner.hash(id, if self.colliding { &[] } else { parts })
    }

    fn hmac(&self, _: HashId, _: &[u8], _: &[&[u8]]) -> Result<Digest, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn extract(&self, _: KdfId, _: &[u8], _: &[&[u8]]) -> Result<Secret, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn expand(&self, _: KdfId, _: &[u8], _: &[&[u8]], _: usize) -> Result<Secret, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn seal(
        &self,
        _: AeadId,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn open(
        &self,
        _: AeadId,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn derive_key_pair(&self, _: KemId, _: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn import_private_key(&self, _: KemId, _: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn check_public_key(&self, _: KemId, _: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn encapsulate(
        &self,
        _: KemId,
        _: &HpkePublicKey,
        _: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn decapsulate(&self, _: KemId, _: &HpkeKeyPair, _: &[u8]) -> Result<Secret, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn derive_signature_key_pair(
        &self,
        _: SignatureId,
        _: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn import_signature_key(
        &self,
        _: SignatureId,
        _: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn check_signature_key(&self, _: SignatureId, _: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn sign(&self, _: SignatureId, _: &SignatureKeyPair, _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }

    fn verify(&self, _: SignatureId, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm)
    }
}
