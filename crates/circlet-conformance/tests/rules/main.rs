//! The rules of RFC 9420 that a peer can break, each broken once by a member that holds the right
//! keys: the exact error, and a state that is as it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails so"
)]

mod support;

mod application;
mod commits;
mod creation;
mod extensibility;
mod external;
mod framing;
mod key_packages;
mod leaves;
mod lists;
mod paths;
mod proposals;
mod same_client;
mod schedule;
mod second_reading;
mod welcomes;
