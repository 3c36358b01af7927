//! What the tests of all sections share.

use circlet::Error;
use circlet::crypto::CipherSuite;
use circlet::group::Policy;
use circlet::rules::Violation;

/// The suite that a test of a rule runs in where the rule is the same in all.
pub(crate) const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// A policy under which everything is allowed that the RFC allows.
pub(crate) fn open_policy() -> Policy {
    Policy { new_member_proposals: true, ..Policy::default() }
}

/// The error is this violation and no other.
#[track_caller]
pub(crate) fn assert_violation(error: &Error, expected: Violation) {
    assert!(
        matches!(error, Error::Violation(violation) if *violation == expected),
        "expected {expected:?}, got {error:?}"
    );
}
