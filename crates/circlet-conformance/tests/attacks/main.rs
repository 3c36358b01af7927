//! Known attacks on implementations of MLS, one named test each, over the public API alone. Each
//! attacker holds the right keys, so that nothing stops it but the rule in question.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails so"
)]

mod clients;
mod commits;
mod membership;
mod messages;
mod oracle;
mod storage;
mod support;
mod trees;
mod welcomes;
mod x509;

// Certificates of any content, which the library's own tests have too.
#[path = "../../../circlet/tests/x509/certificates.rs"]
#[allow(dead_code, reason = "each program uses its part")]
mod certificates;
#[path = "../../../circlet/tests/x509/der.rs"]
#[allow(dead_code, reason = "each program uses its part")]
mod der;

/// The generator that certificates' keys come from.
mod crypto_support {
    use circlet::crypto::{Rng, RngError};
    use circlet::testing::SeededRng;

    pub(crate) struct Seeded(pub(crate) u64);

    impl Rng for Seeded {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
            self.0 += 1;
            SeededRng::new(self.0).fill(out)
        }
    }
}
