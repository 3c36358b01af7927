//! What the tests of all sections share.

use circlet::Error;
use circlet::codec::DecodeError;
use circlet::crypto::CipherSuite;
use circlet::group::{CommitRequest, Policy};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::TestGroup;

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

/// What was read is malformed in this way and no other.
#[track_caller]
pub(crate) fn assert_malformed(error: &Error, expected: DecodeError) {
    assert!(
        matches!(error, Error::Malformed(found) if *found == expected),
        "expected {expected:?}, got {error:?}"
    );
}

/// The error with which a member does not commit a list. What it has is as it was, and it takes what
/// others send still.
#[track_caller]
pub(crate) fn cannot_commit(group: &mut TestGroup, by: usize, list: &[Proposal]) -> Error {
    let before = group.members[by].fingerprint().unwrap();
    let request = CommitRequest { by_value: list.to_vec(), ..CommitRequest::default() };
    let error = group.members[by].stage(request).expect_err("a list that nobody may commit");
    assert_eq!(group.members[by].fingerprint().unwrap(), before);
    group.goes_on(by);
    error
}
