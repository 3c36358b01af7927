//! X.509 credentials (RFC 9420 section 5.3): certificates that are sound, certificates that are
//! broken in one place, the application's policy, and clients that talk with them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod broken;
mod certificates;
mod clients;
#[path = "../crypto_support/mod.rs"]
mod crypto_support;
mod der;
#[cfg(feature = "testing")]
mod members;
mod policy;
mod request;
mod sound;
mod world;
