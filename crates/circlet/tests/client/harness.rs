//! People with seeded generators, a fixed clock, and a provider that remembers what it encrypted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use circlet::client::{ClientBuilder, Clock};
use circlet::codec::{Decode, DecodeContext};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{
    AeadId, CipherSuite, CryptoError, CryptoProvider, Digest, HashId, HpkeKeyPair, HpkePublicKey,
    KdfId, KemId, Rng, RngError, Secret, SignatureId, SignatureKeyPair, SuiteSpec,
};
use circlet::message::MlsMessage;
use circlet::storage::{MemoryStorage, Prefix, Storage};
use circlet::{Client, Group, Received};

use crate::crypto_support::Seeded;

pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> u64 {
        NOW
    }
}

/// A seeded generator that goes on where it was when a client is opened again.
#[derive(Clone)]
pub(crate) struct SharedRng(Arc<Mutex<Seeded>>);

impl SharedRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Seeded(seed << 32))))
    }
}

impl Rng for SharedRng {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        self.0.lock().unwrap().fill(out)
    }
}

/// One person, whether the client runs or not.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) suite: CipherSuite,
    pub(crate) rng: SharedRng,
    pub(crate) seals: Seals,
    pub(crate) store: Box<dyn Fn() -> Box<dyn Storage> + Send + Sync>,
}

impl Person {
    /// With a store in memory.
    pub(crate) fn new(name: &'static str, seed: u64) -> Self {
        let store = MemoryStorage::new();
        Self::with_store(name, seed, move || Box::new(store.clone()))
    }

    pub(crate) fn with_store(
        name: &'static str,
        seed: u64,
        store: impl Fn() -> Box<dyn Storage> + Send + Sync + 'static,
    ) -> Self {
        let (rng, seals) = (SharedRng::new(seed), Seals::default());
        let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
        Self { name, suite, rng, seals, store: Box::new(store) }
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(self.name)
            .cipher_suite(self.suite)
            .storage((self.store)())
            .rng(self.rng.clone())
            .clock(FixedClock)
            .provider(Arc::new(Recorder::new(self.seals.clone())))
    }

    pub(crate) fn build(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub(crate) fn open(&self) -> Client {
        self.builder().open().unwrap()
    }

    /// How many rows of this kind the store has.
    pub(crate) fn rows(&self, kind: &str) -> usize {
        (self.store)().scan(&Prefix::new(&[kind.as_bytes()])).unwrap().len()
    }
}

/// How many rows of each kind a store has.
pub(crate) fn row_kinds(store: &MemoryStorage) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (key, _) in store.scan(&Prefix::new(&[])).unwrap() {
        let kind = String::from_utf8_lossy(key.component(0).unwrap()).into_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// A client alone, with a store in memory.
pub(crate) fn client(name: &'static str, seed: u64) -> Client {
    Person::new(name, seed).build()
}

/// A group of these, all added by the first in one Commit.
pub(crate) fn group_of(clients: &[Client]) -> Vec<Group> {
    let group = clients[0].create_group().unwrap();
    let mut groups = vec![group.clone()];
    if clients.len() > 1 {
        let key_packages = clients[1..].iter().map(|client| client.key_package().unwrap());
        let welcome = group.invite(key_packages).unwrap().confirm().unwrap().welcome();
        groups.extend(clients[1..].iter().map(|client| client.join(&welcome).unwrap()));
    }
    agree(&groups);
    groups
}

/// So many clients in a group.
pub(crate) fn group(size: u64) -> Vec<Group> {
    const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
    let clients: Vec<Client> = (0..size).map(|i| client(NAMES[i as usize], i + 1)).collect();
    group_of(&clients)
}

pub(crate) fn names(group: &Group) -> Vec<String> {
    group.members().unwrap().iter().map(ToString::to_string).collect()
}

/// All see the same group.
pub(crate) fn agree(groups: &[Group]) {
    let first = &groups[0];
    for group in groups {
        assert_eq!(group.epoch().unwrap(), first.epoch().unwrap());
        assert_eq!(group.members().unwrap(), first.members().unwrap());
        assert_eq!(group.extensions().unwrap(), first.extensions().unwrap());
        assert_eq!(group.epoch_authenticator().unwrap(), first.epoch_authenticator().unwrap());
        let export = |group: &Group| group.export("a label", b"a context", 40).unwrap();
        assert_eq!(export(group), export(first));
    }
}

/// The sender's name and the data.
pub(crate) fn text(received: Received) -> (String, String) {
    match received {
        Received::Message(message) => {
            (message.sender().to_string(), String::from_utf8_lossy(message.data()).into_owned())
        }
        other => panic!("no message: {other:?}"),
    }
}

pub(crate) fn said(name: &str, data: &str) -> (String, String) {
    (name.to_owned(), data.to_owned())
}

/// Every one says something that all others read.
pub(crate) fn all_talk(groups: &[Group]) {
    for (i, sender) in groups.iter().enumerate() {
        let name = sender.client().credential().to_string();
        let wire = sender.send(&name).unwrap();
        for (_, receiver) in groups.iter().enumerate().filter(|(j, _)| *j != i) {
            assert_eq!(text(receiver.receive(&wire).unwrap()), said(&name, &name));
        }
    }
}

/// What was encrypted, by the ciphertext: the key and the nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seals(Arc<Mutex<Vec<Seal>>>);

#[derive(Clone, Debug)]
struct Seal {
    key: Vec<u8>,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Seals {
    /// No key was used twice, with whatever nonce. HPKE and sender data keys are fresh each time,
    /// message keys by their ratchet.
    pub(crate) fn assert_all_keys_differ(&self) {
        let seals = self.0.lock().unwrap();
        let mut keys = BTreeMap::new();
        for seal in seals.iter() {
            assert!(keys.insert(&seal.key, &seal.nonce).is_none(), "a key was used twice");
        }
        assert!(!keys.is_empty());
    }

    /// Of the ciphertexts that got out, no two are under one key. An attempt whose write was
    /// refused may have used the key that the next one then uses: its ciphertext was not seen.
    pub(crate) fn assert_keys_of_visible_differ(&self, wires: &[Vec<u8>]) {
        let seals = self.0.lock().unwrap();
        let by_ciphertext: BTreeMap<&[u8], &Seal> =
            seals.iter().map(|seal| (seal.ciphertext.as_slice(), seal)).collect();
        let mut keys: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        let mut private = 0;
        for wire in wires {
            let message = MlsMessage::from_bytes(wire, &DecodeContext::default()).unwrap();
            let MlsMessage::Private(message) = message else { continue };
            private += 1;
            let seal = by_ciphertext[message.ciphertext.as_slice()];
            let other = keys.insert(&seal.key, &seal.ciphertext);
            let same = other.is_none_or(|other| other == seal.ciphertext);
            assert!(same, "two messages under one key");
        }
        assert!(private > 0 || wires.is_empty());
    }
}

/// The default provider, but what it encrypts is remembered.
#[derive(Debug)]
pub(crate) struct Recorder {
    inner: DefaultProvider,
    seals: Seals,
}

impl Recorder {
    pub(crate) fn new(seals: Seals) -> Self {
        Self { inner: DefaultProvider::new(), seals }
    }
}

impl CryptoProvider for Recorder {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn suites(&self) -> &[SuiteSpec] {
        self.inner.suites()
    }

    fn hash(&self, id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.inner.hash(id, parts)
    }

    fn hmac(&self, id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
        self.inner.hmac(id, key, parts)
    }

    fn extract(&self, id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
        self.inner.extract(id, salt, ikm)
    }

    fn expand(
        &self,
        id: KdfId,
        key: &[u8],
        info: &[&[u8]],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        self.inner.expand(id, key, info, length)
    }

    fn seal(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let ciphertext = self.inner.seal(id, key, nonce, aad, plaintext)?;
        let (key, nonce) = (key.to_vec(), nonce.to_vec());
        let seal = Seal { key, nonce, ciphertext: ciphertext.clone() };
        self.seals.0.lock().unwrap().push(seal);
        Ok(ciphertext)
    }

    fn open(
        &self,
        id: AeadId,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.open(id, key, nonce, aad, ciphertext)
    }

    fn derive_key_pair(&self, id: KemId, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.inner.derive_key_pair(id, ikm)
    }

    fn import_private_key(&self, id: KemId, private: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        self.inner.import_private_key(id, private)
    }

    fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError> {
        self.inner.check_public_key(id, public)
    }

    fn encapsulate(
        &self,
        id: KemId,
        public: &HpkePublicKey,
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        self.inner.encapsulate(id, public, seed)
    }

    fn decapsulate(
        &self,
        id: KemId,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError> {
        self.inner.decapsulate(id, keys, kem_output)
    }

    fn derive_signature_key_pair(
        &self,
        id: SignatureId,
        seed: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError> {
        self.inner.derive_signature_key_pair(id, seed)
    }

    fn import_signature_key(
        &self,
        id: SignatureId,
        private: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError> {
        self.inner.import_signature_key(id, private)
    }

    fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
        self.inner.check_signature_key(id, public)
    }

    fn sign(
        &self,
        id: SignatureId,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.sign(id, keys, message)
    }

    fn verify(
        &self,
        id: SignatureId,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.verify(id, public, message, signature)
    }
}

/// The suites of the default provider.
pub(crate) fn suites() -> Vec<CipherSuite> {
    DefaultProvider::new().suites().iter().map(|spec| spec.suite).collect()
}
