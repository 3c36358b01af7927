use circlet::codec::Limits;
use circlet::crypto::{Rng, Secret, Suite};
use circlet::hazmat::protection::sender_data_key;
use circlet::schedule::{MessageKey, RatchetKind, SecretTree};
use circlet::tree::{LeafIndex, TreeWidth};
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, random};

/// Message keys from the secret tree, and the keys of sender data (RFC 9420 sections 6.3.2 and 9).
pub(crate) struct SecretTreeKeys;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    encryption_secret: Hex,
    sender_data: SenderData,
    /// For each leaf, the keys of some of its generations, ascending.
    leaves: Vec<Vec<Generation>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SenderData {
    sender_data_secret: Hex,
    ciphertext: Hex,
    key: Hex,
    nonce: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    generation: u32,
    application_key: Hex,
    application_nonce: Hex,
    handshake_key: Hex,
    handshake_nonce: Hex,
}

impl VectorType for SecretTreeKeys {
    const NAME: &'static str = "secret-tree";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        case.sender_data.verify(&suite).at("sender_data")?;
        let mut ratchets = Ratchets::new(env, &suite, case.leaves.len(), &case.encryption_secret)?;
        for (leaf, generations) in (0..).zip(&case.leaves) {
            for (position, given) in generations.iter().enumerate() {
                let place = format!("leaves[{leaf}][{position}]");
                let computed = ratchets.generation(LeafIndex(leaf), given.generation).at(&place)?;
                given.compare(&computed).at(&place)?;
            }
        }
        Ok(())
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            let suite = env.suite(cipher_suite)?;
            for leaves in [1, 8] {
                let encryption_secret = random(rng, suite.secret_length())?;
                let sender_data = SenderData::generate(&suite, rng)?;
                let mut ratchets = Ratchets::new(env, &suite, leaves, &encryption_secret)?;
                let leaves = (0..)
                    .take(leaves)
                    .map(|leaf| {
                        [0, 15]
                            .into_iter()
                            .map(|generation| ratchets.generation(LeafIndex(leaf), generation))
                            .collect()
                    })
                    .collect::<Result<_, Failure>>()?;
                cases.push(Case { cipher_suite, encryption_secret, sender_data, leaves });
            }
        }
        Ok(cases)
    }
}

impl SenderData {
    fn generate(suite: &Suite, rng: &mut dyn Rng) -> Result<Self, Failure> {
        let sender_data_secret = random(rng, suite.secret_length())?;
        let ciphertext = random(rng, 77)?;
        let MessageKey { key, nonce } =
            sender_data_key(suite, &Secret::new(&sender_data_secret), &ciphertext)?;
        let (key, nonce) = (Hex::from(&key), Hex::from(&nonce));
        Ok(Self { sender_data_secret, ciphertext, key, nonce })
    }

    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        let secret = Secret::new(&self.sender_data_secret);
        let MessageKey { key, nonce } = sender_data_key(suite, &secret, &self.ciphertext)?;
        expect_bytes("key", key.as_bytes(), &self.key)?;
        expect_bytes("nonce", nonce.as_bytes(), &self.nonce)
    }
}

/// A secret tree and what it takes to use it.
struct Ratchets<'a> {
    suite: &'a Suite,
    limits: &'a Limits,
    tree: SecretTree,
}

impl<'a> Ratchets<'a> {
    fn new(
        env: &'a Env,
        suite: &'a Suite,
        leaves: usize,
        encryption_secret: &[u8],
    ) -> Result<Self, Failure> {
        let leaves = u32::try_from(leaves).ok().filter(|leaves| *leaves > 0);
        let width = leaves.and_then(TreeWidth::for_leaves);
        let width = width.ok_or_else(|| Failure::missing("leaves"))?;
        let tree = SecretTree::new(width, Secret::new(encryption_secret));
        Ok(Self { suite, limits: &env.context.limits, tree })
    }

    fn generation(&mut self, leaf: LeafIndex, generation: u32) -> Result<Generation, Failure> {
        let application = self.use_key(leaf, RatchetKind::Application, generation)?;
        let handshake = self.use_key(leaf, RatchetKind::Handshake, generation)?;
        Ok(Generation {
            generation,
            application_key: Hex::from(&application.key),
            application_nonce: Hex::from(&application.nonce),
            handshake_key: Hex::from(&handshake.key),
            handshake_nonce: Hex::from(&handshake.nonce),
        })
    }

    fn use_key(
        &mut self,
        leaf: LeafIndex,
        kind: RatchetKind,
        generation: u32,
    ) -> Result<MessageKey, Failure> {
        let (key, step) = self.tree.advance(self.suite, leaf, kind, generation, self.limits)?;
        self.tree.apply(step);
        Ok(key)
    }
}

impl Generation {
    fn compare(&self, computed: &Self) -> Result<(), Failure> {
        expect_bytes("application_key", &computed.application_key, &self.application_key)?;
        expect_bytes("application_nonce", &computed.application_nonce, &self.application_nonce)?;
        expect_bytes("handshake_key", &computed.handshake_key, &self.handshake_key)?;
        expect_bytes("handshake_nonce", &computed.handshake_nonce, &self.handshake_nonce)
    }
}
