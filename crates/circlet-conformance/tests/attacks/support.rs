//! What the attacks share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use circlet::Error;
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{AeadId, CipherSuite, CryptoError};
use circlet::rules::Violation;
use circlet::testing::{ForgedWelcome, Hooks, Spying, TestMember};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// The violation that an error is.
#[track_caller]
pub(crate) fn violation(error: Error) -> Violation {
    match error {
        Error::Violation(violation) => violation,
        other => panic!("another error: {other:?}"),
    }
}

/// The violation that somebody refuses a Welcome with; it keeps its key packages.
#[track_caller]
pub(crate) fn refuses_welcome(newcomer: &mut TestMember, welcome: &ForgedWelcome) -> Violation {
    let kept = newcomer.keys.len();
    let error = newcomer.join(welcome).expect_err("a Welcome that has to be refused");
    assert_eq!(newcomer.keys.len(), kept);
    violation(error)
}

/// Notes under which keys and nonces something was encrypted.
#[derive(Debug, Default)]
pub(crate) struct Seals(Mutex<Vec<(Vec<u8>, Vec<u8>)>>);

impl Seals {
    /// All pairs so far: no pair may ever come twice.
    #[track_caller]
    pub(crate) fn assert_differ(&self) -> usize {
        let seals = self.0.lock().unwrap();
        let differ: BTreeSet<&(Vec<u8>, Vec<u8>)> = seals.iter().collect();
        assert_eq!(differ.len(), seals.len(), "a key was used twice with one nonce");
        seals.len()
    }

    /// The pairs since the last call.
    pub(crate) fn take(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Hooks for Seals {
    fn seal(
        &self,
        (_, key, nonce, _, _): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        made: Result<&Vec<u8>, CryptoError>,
    ) {
        if made.is_ok() {
            self.0.lock().unwrap().push((key.to_vec(), nonce.to_vec()));
        }
    }
}

/// A provider that notes them.
pub(crate) type SealSpy = Arc<Spying<DefaultProvider, Seals>>;

pub(crate) fn seal_spy() -> SealSpy {
    Arc::new(Spying::new(DefaultProvider::new(), Seals::default()))
}
