//! What the attacks share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use circlet::Error;
use circlet::codec::DecodeContext;
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{AeadId, CipherSuite, CryptoError};
use circlet::message::{MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{ForgedCommit, ForgedWelcome, Hooks, Spying, TestGroup, TestMember};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// The violation that an error is.
#[track_caller]
pub(crate) fn violation(error: Error) -> Violation {
    match error {
        Error::Violation(violation) => violation,
        other => panic!("another error: {other:?}"),
    }
}

/// The violation that somebody refuses a Welcome with; by the genuine one of the same Commit it
/// would join still.
#[track_caller]
pub(crate) fn refuses_welcome(
    newcomer: &mut TestMember,
    commit: &mut ForgedCommit,
    welcome: &ForgedWelcome,
) -> Violation {
    let error = newcomer.refuses(welcome);
    assert!(!newcomer.is_active());
    let genuine = commit.welcome().build().expect("a Welcome");
    newcomer.would_join(genuine).expect("a genuine Welcome");
    violation(error)
}

/// A group of seven with parents on both sides, and somebody whom member 1 adds at leaf 7.
pub(crate) fn welcoming() -> Result<(TestMember, ForgedCommit), Error> {
    let mut group = TestGroup::new(SUITE, 7)?;
    for i in [0, 4, 1] {
        group.update(i)?;
    }
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let commit = group.insider(1)?.commit().proposals([add]).private()?;
    Ok((newcomer, commit))
}

/// What was encrypted under which key and nonce.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) key: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
}

/// Notes what is encrypted.
#[derive(Default)]
pub(crate) struct Seals(Mutex<Vec<Seal>>);

/// Hooks are printed with their provider: the keys are not for that.
impl std::fmt::Debug for Seals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seals")
    }
}

impl Seals {
    /// No key came twice, with whatever nonce: the four random bytes of a reuse guard make nonces
    /// differ under a key that is used again, and hide the reuse from whoever compares both. How
    /// many keys there were.
    #[track_caller]
    pub(crate) fn assert_keys_differ(&self) -> usize {
        let seals = self.0.lock().unwrap();
        let keys: BTreeSet<&[u8]> = seals.iter().map(|seal| seal.key.as_slice()).collect();
        assert_eq!(keys.len(), seals.len(), "a key was used twice");
        seals.len()
    }

    /// Of the PrivateMessages among these that were handed out, no two are under one key. An attempt
    /// whose write was refused may have used the key that the next one uses: nobody saw it.
    #[track_caller]
    pub(crate) fn assert_keys_of_visible_differ(&self, wires: &BTreeSet<Vec<u8>>) {
        let seals = self.0.lock().unwrap();
        let mut keys = BTreeSet::new();
        for wire in wires {
            let read = MlsMessage::read(wire, &DecodeContext::default()).unwrap();
            let MlsMessage::Private(message) = read else { continue };
            let seal = seals.iter().find(|seal| seal.ciphertext == message.ciphertext).unwrap();
            assert!(keys.insert(&seal.key), "two messages under one key");
        }
    }

    /// What was encrypted since the last call.
    pub(crate) fn take(&self) -> Vec<Seal> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Hooks for Seals {
    fn seal(
        &self,
        (_, key, nonce, _, _): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        made: Result<&Vec<u8>, CryptoError>,
    ) {
        if let Ok(ciphertext) = made {
            let (key, nonce, ciphertext) = (key.to_vec(), nonce.to_vec(), ciphertext.clone());
            self.0.lock().unwrap().push(Seal { key, nonce, ciphertext });
        }
    }
}

/// A provider that notes them.
pub(crate) type SealSpy = Arc<Spying<DefaultProvider, Seals>>;

pub(crate) fn seal_spy() -> SealSpy {
    Arc::new(Spying::new(DefaultProvider::new(), Seals::default()))
}
