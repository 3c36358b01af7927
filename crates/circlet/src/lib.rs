//! Messaging Layer Security (RFC 9420): end-to-end encrypted groups.

mod error;

pub mod client;
pub mod codec;
pub mod crypto;
pub mod group;
#[cfg(feature = "hazmat")]
pub mod hazmat;
pub mod identity;
pub mod message;
pub mod rules;
pub mod schedule;
pub mod storage;
pub mod tree;

pub use client::{Client, Group, Received};
pub use error::{Damaged, Error, Misuse, Refused, Unready};
