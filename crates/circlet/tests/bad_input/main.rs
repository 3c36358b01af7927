//! Bad input, at every entry point: a typed error, no panic, nothing changed, and what is genuine
//! still works after it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod arguments;
mod conversation;
#[path = "../crypto_support/mod.rs"]
mod crypto_support;
mod decoders;
mod joining;
mod messages;
mod mutations;
mod samples;
mod stored;
mod wire_types;
mod withstand;
