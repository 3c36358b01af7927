//! Dangerous: raw secrets and single steps of the protocol, for test vectors.
//!
//! What is here takes protocol values apart that the rest of the library keeps together: it
//! protects messages without a group's state to remember the keys that were used, and builds state
//! from secrets that somebody wrote down. An application that uses it has none of the guarantees
//! that MLS gives. It is for tools that check an implementation of RFC 9420, it is behind the
//! feature `hazmat`, and nothing in it is covered by semantic versioning.

pub mod path;
pub mod protection;
pub mod tree;
