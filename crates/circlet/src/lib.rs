//! Messaging Layer Security (RFC 9420): end-to-end encrypted groups.
//!
//! A [`Client`] has one identity and its key packages and groups, all in one store. A [`Group`] is
//! a handle of one of its groups: it sends, receives ([`Received`]), and stages Commits that the
//! delivery service accepts or refuses. Whatever a client hands out was written to the store
//! before.
//!
//! ```
//! use circlet::{Client, Received};
//!
//! fn main() -> Result<(), circlet::Error> {
//!     let alice = Client::builder("alice").build()?; // default cipher suite, in memory
//!     let bob = Client::builder("bob").build()?;
//!
//!     let group = alice.create_group()?;
//!     let pending = group.invite([bob.key_package()?])?; // nothing has changed yet
//!     // … the delivery service has accepted pending.message() …
//!     let welcome = pending.confirm()?.welcome();
//!     let bobs = bob.join(&welcome)?;
//!
//!     let wire = group.send(b"hello")?;
//!     if let Received::Message(message) = bobs.receive(&wire)? {
//!         assert_eq!(message.sender().to_string(), "alice");
//!         assert_eq!(message.data(), b"hello");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Where things are
//!
//! Most applications need [`client`], a store from [`storage`] and a validator of [`identity`].
//! The rest is the protocol, layer by layer, for those who look closer.
//!
//! | module | holds |
//! |---|---|
//! | [`client`] | clients, group handles, events and outgoing messages |
//! | [`storage`] | the trait of a store, a store in memory and one in a file |
//! | [`identity`] | credentials, and the application's judgement of them |
//! | [`group`] | a group as a value, and the steps from one value to the next |
//! | [`rules`] | the validity rules of the RFC that a peer can break |
//! | [`message`] | what goes over the wire |
//! | [`schedule`] | key schedule, pre-shared keys, secret tree and ratchets |
//! | [`tree`] | the ratchet tree |
//! | [`crypto`] | cipher suites, providers, HPKE, and which keys and signatures are accepted |
//! | [`codec`] | the encoding, and the [limits](codec::Limits) of what is accepted |
//! | `testing` | with the feature of that name, for tests: seeded clients, faults, a member that keeps no rules |
//!
//! Every operation gives an [`Error`] that says whose fault it was, and leaves the group as it was
//! then.
//!
//! # Features
//!
//! - `graviola` (default): formally verified assembly where the machine has what it needs.
//! - `file-storage` (default): a store in one file.
//! - `aws-lc-rs`: a second provider, which needs a C compiler.
//! - `curve448`: cipher suites 4 and 6; read SECURITY.md before.
//! - `x509`: chains of X.509 certificates as credentials.
//! - `hazmat`: raw secrets for test vectors. Dangerous, and not covered by semantic versioning.
//! - `testing`: for tests, ours and yours: groups in one line, stores that fail, a member that
//!   breaks rules. No stability promise.

mod error;
mod mutation;
mod rows;
mod violation;

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
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tree;

pub use client::{Client, Group, Received};
pub use error::{Damaged, Error, Misuse, Refused, Unready};

/// The programs in the documents are compiled and run as doc tests.
#[cfg(all(doctest, feature = "file-storage"))]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../INTEGRATION.md")]
    struct Integration;
}
