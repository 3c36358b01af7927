//! The TLS presentation language as MLS uses it (RFC 9420 section 2).
//!
//! Decoding is strict: length prefixes are minimal, nothing trails a value, and a length is
//! compared with the input that is left before anything is allocated for it. A [`Reader`] carries
//! a [`DecodeContext`]: the limits, and the types that the application registered because their
//! bodies have no length on the wire.

mod error;
mod limits;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{DecodeError, EncodeError};
pub use limits::{CustomProposal, DecodeContext, Limits};
pub(crate) use reader::push;
pub use reader::{Decode, Reader};
pub use writer::{Encode, Writer};

/// The greatest length of a variable-size vector in bytes, 2^30 − 1 (section 2.1.2).
pub const MAX_VECTOR_LENGTH: usize = (1 << 30) - 1;
