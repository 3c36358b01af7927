//! Clients in conversation: over crashes, failing stores and shared ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails so"
)]

#[path = "../crypto_support/mod.rs"]
mod crypto_support;

mod app;
mod coming_back;
mod commits;
mod conversation;
mod crash;
mod external;
mod faults;
mod golden;
mod harness;
mod housekeeping;
mod identity;
mod key_packages;
mod late;
mod script;
mod shared;
mod shared_joins;
mod subgroup;
mod threads;
mod types;
mod waiting;
