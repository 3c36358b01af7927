//! What the attacks share.

use circlet::Error;
use circlet::crypto::CipherSuite;
use circlet::rules::Violation;
use circlet::testing::{ForgedWelcome, TestMember};

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
