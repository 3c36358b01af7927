//! The experiment that all tests repeat: bad variants of a genuine input, each without effect.

use std::fmt::Debug;

use circlet::crypto::CipherSuite;

use crate::conversation::Person;
use crate::mutations::{Flips, Mutation, mutations};

/// The suites of this build with the flips that each is tried with.
pub(crate) fn suites() -> impl Iterator<Item = (CipherSuite, Flips)> {
    let curve448: &[u16] = if cfg!(feature = "curve448") { &[4, 6] } else { &[] };
    let every = [1, 2].map(|suite| (CipherSuite(suite), Flips::Every));
    let others = [3, 5, 7].iter().chain(curve448);
    every.into_iter().chain(others.map(|suite| (CipherSuite(*suite), Flips::OnePerByte)))
}

/// Gives every bad variant of a genuine input to `entry`, and what comes of it to `judge`, which
/// says whether it may. The store stays as it is, byte for byte.
pub(crate) fn withstand<T: Debug, E: Debug>(
    victim: &Person,
    genuine: &[u8],
    flips: Flips,
    entry: impl Fn(&[u8]) -> Result<T, E>,
    judge: impl Fn(Mutation, &[u8], &Result<T, E>) -> bool,
) {
    let before = victim.rows();
    for mutation in mutations(genuine, flips) {
        let bad = mutation.apply(genuine);
        assert_ne!(bad, genuine);
        let outcome = entry(&bad);
        assert!(judge(mutation, &bad, &outcome), "{mutation:?}: {outcome:?}");
        assert!(victim.rows() == before, "{mutation:?} changed the store");
    }
}
