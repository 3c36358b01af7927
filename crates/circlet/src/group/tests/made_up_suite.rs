//! A group in a suite that nobody has registered, with keys, KEM outputs and signatures as long as
//! post-quantum ones: nothing above the provider knows sizes or algorithms.

use super::*;
use crate::client::{Client, ClientBuilder, Clock, Group, Received};
use crate::crypto::{
    AeadId, AeadSpec, CryptoError, Digest, HashId, HashSpec, HpkeKeyPair, HpkePrivateKey,
    HpkePublicKey, KdfId, KdfSpec, KemId, KemSpec, SignatureId, SignatureKeyPair,
    SignaturePrivateKey, SignaturePublicKey, SignatureSpec, SuiteSpec,
};
use crate::error::Unready;
use crate::rules::Violation;
use crate::storage::MemoryStorage;

const SUITE: CipherSuite = CipherSuite(0xF0F0);
const KEM: KemId = KemId(0xF0F1);
const SIGNATURE: SignatureId = SignatureId(0xF0F2);

const HPKE_PUBLIC: usize = 1568;
const HPKE_PRIVATE: usize = 3168;
const KEM_OUTPUT: usize = 1568;
const SIGNATURE_PUBLIC: usize = 2592;
const SIGNATURE_PRIVATE: usize = 4896;
const SIGNED: usize = 4627;

const SPEC: SuiteSpec = SuiteSpec {
    suite: SUITE,
    name: "MADE_UP",
    kem: KemSpec {
        id: KEM,
        seed_length: 64,
        secret_length: 32,
        output_length: KEM_OUTPUT,
        public_length: HPKE_PUBLIC,
        private_length: HPKE_PRIVATE,
    },
    kdf: KdfSpec { id: KdfId::HKDF_SHA512, length: 64 },
    aead: AeadSpec { id: AeadId::AES_256_GCM, key_length: 32, nonce_length: 12, tag_length: 16 },
    hash: HashSpec { id: HashId::SHA512, length: 64 },
    signature: SignatureSpec { id: SIGNATURE, seed_length: 32, public_length: SIGNATURE_PUBLIC },
};

/// X25519 and Ed25519, each value followed by as many bytes made from it as the sizes ask for.
#[derive(Debug)]
struct MadeUp {
    inner: DefaultProvider,
}

impl MadeUp {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: DefaultProvider::new() })
    }

    fn fill(&self, core: &[u8], length: usize) -> Vec<u8> {
        let filler =
            self.inner.expand(KdfId::HKDF_SHA512, core, &[b"filler"], length - core.len()).unwrap();
        [core, filler.as_bytes()].concat()
    }

    /// The value of which these are the bytes, with the filler checked.
    fn core<const N: usize>(
        &self,
        bytes: &[u8],
        length: usize,
        refusal: CryptoError,
    ) -> Result<[u8; N], CryptoError> {
        let core = *bytes.first_chunk::<N>().ok_or(refusal)?;
        if bytes.len() == length && self.fill(&core, length) == bytes {
            Ok(core)
        } else {
            Err(refusal)
        }
    }

    fn hpke(&self, keys: &HpkeKeyPair) -> HpkeKeyPair {
        let (private, public) = (keys.private.secret().as_bytes(), keys.public.as_bytes());
        HpkeKeyPair {
            private: HpkePrivateKey::new(Secret::new(&self.fill(private, HPKE_PRIVATE))),
            public: HpkePublicKey::new(&self.fill(public, HPKE_PUBLIC)),
        }
    }

    fn signature(&self, keys: &SignatureKeyPair) -> SignatureKeyPair {
        let (private, public) = (keys.private.secret().as_bytes(), keys.public.as_bytes());
        SignatureKeyPair {
            private: SignaturePrivateKey::new(Secret::new(&self.fill(private, SIGNATURE_PRIVATE))),
            public: SignaturePublicKey::new(&self.fill(public, SIGNATURE_PUBLIC)),
        }
    }
}

fn ensure<T: PartialEq>(id: T, expected: T) -> Result<(), CryptoError> {
    if id == expected { Ok(()) } else { Err(CryptoError::UnsupportedAlgorithm) }
}

impl CryptoProvider for MadeUp {
    fn name(&self) -> &'static str {
        "made up"
    }

    fn suites(&self) -> &[SuiteSpec] {
        &[SPEC]
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
        self.inner.seal(id, key, nonce, aad, plaintext)
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
        ensure(id, KEM)?;
        Ok(self.hpke(&self.inner.derive_key_pair(KemId::X25519, ikm)?))
    }

    fn import_private_key(&self, id: KemId, private: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        ensure(id, KEM)?;
        let core = self.core::<32>(private, HPKE_PRIVATE, CryptoError::InvalidPrivateKey)?;
        Ok(self.hpke(&self.inner.import_private_key(KemId::X25519, &core)?))
    }

    fn check_public_key(&self, id: KemId, public: &[u8]) -> Result<(), CryptoError> {
        ensure(id, KEM)?;
        let core = self.core::<32>(public, HPKE_PUBLIC, CryptoError::InvalidHpkePublicKey)?;
        self.inner.check_public_key(KemId::X25519, &core)
    }

    fn encapsulate(
        &self,
        id: KemId,
        public: &HpkePublicKey,
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        self.check_public_key(id, public.as_bytes())?;
        assert_eq!(seed.len(), SPEC.kem.seed_length);
        let core = HpkePublicKey::new(&public.as_bytes()[..32]);
        let (output, shared) = self.inner.encapsulate(KemId::X25519, &core, seed)?;
        Ok((self.fill(&output, KEM_OUTPUT), shared))
    }

    fn decapsulate(
        &self,
        id: KemId,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError> {
        let imported = self.import_private_key(id, keys.private.secret().as_bytes())?;
        assert_eq!(imported.public, keys.public);
        let core = HpkeKeyPair {
            private: HpkePrivateKey::new(Secret::new(&keys.private.secret().as_bytes()[..32])),
            public: HpkePublicKey::new(&keys.public.as_bytes()[..32]),
        };
        let output = self.core::<32>(kem_output, KEM_OUTPUT, CryptoError::InvalidKemOutput)?;
        self.inner.decapsulate(KemId::X25519, &core, &output)
    }

    fn derive_signature_key_pair(
        &self,
        id: SignatureId,
        seed: &Secret,
    ) -> Result<SignatureKeyPair, CryptoError> {
        ensure(id, SIGNATURE)?;
        Ok(self.signature(&self.inner.derive_signature_key_pair(SignatureId::ED25519, seed)?))
    }

    fn import_signature_key(
        &self,
        id: SignatureId,
        private: &[u8],
    ) -> Result<SignatureKeyPair, CryptoError> {
        ensure(id, SIGNATURE)?;
        let core = self.core::<32>(private, SIGNATURE_PRIVATE, CryptoError::InvalidPrivateKey)?;
        Ok(self.signature(&self.inner.import_signature_key(SignatureId::ED25519, &core)?))
    }

    fn check_signature_key(&self, id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
        ensure(id, SIGNATURE)?;
        let core = self.core::<32>(public, SIGNATURE_PUBLIC, CryptoError::InvalidSignatureKey)?;
        self.inner.check_signature_key(SignatureId::ED25519, &core)
    }

    fn sign(
        &self,
        id: SignatureId,
        keys: &SignatureKeyPair,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        ensure(id, SIGNATURE)?;
        let private = keys.private.secret().as_bytes();
        let core = self.core::<32>(private, SIGNATURE_PRIVATE, CryptoError::InvalidPrivateKey)?;
        let keys = self.inner.import_signature_key(SignatureId::ED25519, &core)?;
        Ok(self.fill(&self.inner.sign(SignatureId::ED25519, &keys, message)?, SIGNED))
    }

    fn verify(
        &self,
        id: SignatureId,
        public: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.check_signature_key(id, public)?;
        let core = self.core::<64>(signature, SIGNED, CryptoError::InvalidSignature)?;
        self.inner.verify(SignatureId::ED25519, &public[..32], message, &core)
    }
}

fn actor(name: &str, seed: u64) -> Actor {
    let settings = Settings::new(Suite::new(MadeUp::new(), SUITE).unwrap());
    let mut rng = SeededRng::new(seed);
    let signer = SigningKey::generate(&settings.suite, &mut rng).unwrap();
    let (name, psks) = (name.to_owned(), Psks::default());
    Actor { settings, signer, rng, name, keys: None, state: None, staged: None, psks }
}

fn made_up_group(size: u64) -> Vec<Actor> {
    let mut members: Vec<Actor> = (0..size).map(|i| actor(&format!("m{i}"), i)).collect();
    members[0].create(b"a group");
    let adds = members[1..].iter_mut().map(|member| Proposal::Add(member.key_package())).collect();
    members[0].commit_by_value(adds);
    let welcome = members[0].confirm().unwrap();
    members[1..].iter_mut().for_each(|member| member.join(&welcome));
    agree(&members);
    members
}

fn text(heard: Heard) -> (Credential, Vec<u8>) {
    match heard {
        Heard::Message(message) => (message.sender.credential, message.data),
        other => panic!("no message: {other:?}"),
    }
}

fn everybody_talks(members: &mut [Actor]) {
    for sender in 0..members.len() {
        let message = members[sender].send(b"hello");
        assert!(message.len() > SIGNED);
        for receiver in (0..members.len()).filter(|receiver| *receiver != sender) {
            let heard = members[receiver].receive(&message).unwrap();
            let sender = Credential::basic(&members[sender].name);
            assert_eq!(text(heard), (sender, b"hello".to_vec()));
        }
    }
}

#[test]
fn the_provider_is_sound_and_its_sizes_are_as_said() {
    let provider = MadeUp::new();
    let keys = provider.derive_key_pair(KEM, &[1; 64]).unwrap();
    assert_eq!(keys.public.as_bytes().len(), HPKE_PUBLIC);
    assert_eq!(keys.private.secret().len(), HPKE_PRIVATE);
    let imported = provider.import_private_key(KEM, keys.private.secret().as_bytes()).unwrap();
    assert_eq!(imported, keys);
    let (output, shared) = provider.encapsulate(KEM, &keys.public, &Secret::new(&[2; 64])).unwrap();
    assert_eq!((output.len(), shared.len()), (KEM_OUTPUT, 32));
    assert_eq!(provider.decapsulate(KEM, &keys, &output).unwrap(), shared);

    let signer = provider.derive_signature_key_pair(SIGNATURE, &Secret::new(&[3; 32])).unwrap();
    assert_eq!(signer.public.as_bytes().len(), SIGNATURE_PUBLIC);
    let signature = provider.sign(SIGNATURE, &signer, b"x").unwrap();
    assert_eq!(signature.len(), SIGNED);
    let public = signer.public.as_bytes();
    provider.verify(SIGNATURE, public, b"x", &signature).unwrap();
    assert!(provider.verify(SIGNATURE, public, b"y", &signature).is_err());
    for at in [0, 40, 100, 1567] {
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        assert!(provider.decapsulate(KEM, &keys, &flipped(&output)).is_err());
        assert!(provider.check_public_key(KEM, &flipped(keys.public.as_bytes())).is_err());
        assert!(provider.verify(SIGNATURE, public, b"x", &flipped(&signature)).is_err());
        assert!(provider.verify(SIGNATURE, &flipped(public), b"x", &signature).is_err());
    }
}

#[test]
fn hpke_and_labels_work_with_it() {
    let suite = Suite::new(MadeUp::new(), SUITE).unwrap();
    let mut rng = SeededRng::new(1);
    let keys = suite.generate_key_pair(&mut rng).unwrap();
    let seed = suite.encapsulation_seed(&mut rng).unwrap();
    let sealed = suite.encrypt_with_label(&keys.public, "x", b"context", b"text", &seed).unwrap();
    assert_eq!(sealed.kem_output.len(), KEM_OUTPUT);
    let opened = suite.decrypt_with_label(&keys, "x", b"context", &sealed).unwrap();
    assert_eq!(opened.as_bytes(), b"text");
    assert!(suite.decrypt_with_label(&keys, "y", b"context", &sealed).is_err());
}

#[test]
fn a_group_lives_in_it() {
    let mut members = made_up_group(5);
    everybody_talks(&mut members);
    for committer in [4, 0, 2] {
        let commit = members[committer].commit_by_value(Vec::new());
        // A path of at least two nodes, each encrypted to somebody.
        assert!(commit.len() > 2 * (HPKE_PUBLIC + KEM_OUTPUT) + 2 * SIGNED);
        deliver(&mut members, committer, &commit);
    }
    everybody_talks(&mut members);
    let without_path = CommitRequest { force_path: false, ..CommitRequest::default() };
    let mut dave = actor("dave", 10);
    let by_value = vec![Proposal::Add(dave.key_package())];
    let commit = members[3].commit(CommitRequest { by_value, ..without_path }).unwrap();
    for i in [0, 1, 2, 4] {
        members[i].receive(&commit).unwrap();
    }
    let welcome = members[3].confirm().unwrap();
    dave.join(&welcome);
    members.push(dave);
    agree(&members);
    everybody_talks(&mut members);
}

#[test]
fn proposals_by_reference_and_late_messages_work_in_it() {
    for handshake in [HandshakeFormat::Private, HandshakeFormat::Public] {
        let framing = Framing { handshake, ..Framing::default() };
        let mut members = made_up_group(4);
        let late: Vec<_> = (0..3u8).map(|i| members[3].send(&[i])).collect();
        assert_eq!(text(members[0].receive(&late[2]).unwrap()).1, [2]);
        let update = members[1].propose_update(&framing);
        let mut dave = actor("dave", 10);
        for receiver in [0, 2, 3] {
            members[receiver].receive(&update).unwrap();
        }
        let remove = members[2].propose(Proposal::Remove(leaf(3)), &framing);
        let add = members[2].propose(Proposal::Add(dave.key_package()), &framing);
        for receiver in [0, 1, 3] {
            members[receiver].receive(&remove).unwrap();
            members[receiver].receive(&add).unwrap();
        }
        let request = CommitRequest { framing, ..CommitRequest::default() };
        let commit = members[0].commit(request).unwrap();
        let Heard::Commit(outcome) = members[3].receive(&commit).unwrap() else { panic!() };
        assert!(outcome.removes_own);
        for i in [1, 2] {
            members[i].receive(&commit).unwrap();
        }
        let welcome = members[0].confirm().unwrap();
        dave.join(&welcome);
        members[3] = dave;
        agree(&members);
        everybody_talks(&mut members);
        // By the roster of their epoch, also now that the leaf is Dave's.
        let heard = text(members[0].receive(&late[0]).unwrap());
        assert_eq!(heard, (Credential::basic("m3"), vec![0]));
        let again = members[0].receive(&late[2]);
        assert!(matches!(again, Err(Error::Unready(Unready::KeyGone))));
        assert_eq!(text(members[1].receive(&late[1]).unwrap()).1, [1]);
    }
}

#[test]
fn a_key_that_the_provider_refuses_does_not_get_in() {
    let mut members = made_up_group(2);
    let mut dave = actor("dave", 10);
    let key_package = dave.key_package();
    let mut content = crate::message::KeyPackageContent::clone(&key_package);
    let mut init_key = content.init_key.as_bytes().to_vec();
    *init_key.last_mut().unwrap() ^= 1;
    content.init_key = HpkePublicKey::new(&init_key);
    let forged = crate::message::KeyPackage::sign(content, &dave.signer).unwrap();
    let request = |key_package| CommitRequest {
        by_value: vec![Proposal::Add(key_package)],
        ..CommitRequest::default()
    };
    let refused = members[0].commit(request(forged));
    assert!(matches!(refused, Err(Error::Violation(Violation::InvalidHpkeKey))), "{refused:?}");
    members[0].commit(request(key_package)).unwrap();
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        NOW
    }
}

fn builder(name: &str, storage: &MemoryStorage, seed: u64) -> ClientBuilder {
    Client::builder(name)
        .provider(MadeUp::new())
        .storage(storage.clone())
        .rng(SeededRng::new(seed))
        .clock(Stopped)
}

fn reopen(name: &str, storage: &MemoryStorage, seed: u64) -> (Client, Group) {
    let client = builder(name, storage, seed).open().unwrap();
    let group = client.groups().unwrap().remove(0);
    (client, group)
}

fn assert_read(received: &Received, data: &[u8]) {
    assert!(matches!(received, Received::Message(message) if message.data() == data));
}

#[test]
fn clients_keep_it_in_their_stores() {
    let [at_alice, at_bob, at_carol] = [(); 3].map(|()| MemoryStorage::new());
    let new = |name, storage, seed| builder(name, storage, seed).cipher_suite(SUITE).build();
    let alice = new("alice", &at_alice, 1).unwrap();
    let bob = new("bob", &at_bob, 2).unwrap();
    let carol = new("carol", &at_carol, 3).unwrap();
    let group = alice.create_group().unwrap();
    let key_packages = [bob.key_package().unwrap(), carol.key_package().unwrap()];
    drop((bob, carol));
    let (bob, carol) = (
        builder("bob", &at_bob, 4).open().unwrap(),
        builder("carol", &at_carol, 5).open().unwrap(),
    );
    let welcome = group.invite(key_packages).unwrap().confirm().unwrap().welcome();
    let (bobs, carols) = (bob.join(&welcome).unwrap(), carol.join(&welcome).unwrap());
    let skipped = bobs.send(b"skipped").unwrap();
    let read = bobs.send(b"read").unwrap();
    for group in [&group, &carols] {
        assert_read(&group.receive(&read).unwrap(), b"read");
    }
    let update = carols.propose_update().unwrap();
    group.receive(&update).unwrap();
    bobs.receive(&update).unwrap();
    let staged = group.update().unwrap().message().as_bytes().to_vec();
    drop((alice, bob, carol, group, bobs, carols));

    let (_alice, group) = reopen("alice", &at_alice, 6);
    let (_bob, bobs) = reopen("bob", &at_bob, 7);
    let (_carol, carols) = reopen("carol", &at_carol, 8);
    let pending = group.pending_commit().unwrap().unwrap();
    assert_eq!(pending.message().as_bytes(), staged);
    pending.confirm().unwrap();
    for group in [&bobs, &carols] {
        assert!(matches!(group.receive(&staged).unwrap(), Received::Commit(_)));
    }
    let authenticators = [&group, &bobs, &carols].map(|group| group.epoch_authenticator().unwrap());
    assert!(authenticators.iter().all(|other| *other == authenticators[0]));
    for group in [&group, &carols] {
        assert_read(&group.receive(&skipped).unwrap(), b"skipped");
    }
    let pending = carols.remove(bobs.own_member().unwrap().leaf_index).unwrap();
    let wire = pending.message().as_bytes().to_vec();
    assert!(matches!(group.receive(&wire).unwrap(), Received::Commit(_)));
    assert!(matches!(bobs.receive(&wire).unwrap(), Received::Removed(_)));
    pending.confirm().unwrap();
    let between = group.send(b"between us").unwrap();
    assert_read(&carols.receive(&between).unwrap(), b"between us");
}
