//! The rules of RFC 9420 that a peer can break, each broken once by a member that holds the right
//! keys: the exact error, and a state, key packages and pre-shared keys that are as they were. What is
//! genuine is taken afterwards (`TestGroup::refuses`); where a test asks `TestMember::refuses`, it
//! goes on with something genuine itself, or says why there is nothing.

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
