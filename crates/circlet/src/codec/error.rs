use thiserror::Error;

/// Why bytes are not a value of the expected type (RFC 9420 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a value, or a length prefix claims more than is left.
    #[error("the input ends {missing} bytes too early")]
    EndOfInput {
        /// Bytes that were claimed beyond the end of the input.
        missing: usize,
    },
    /// Bytes follow a value that should fill its input.
    #[error("{count} bytes follow the value")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A vector's length prefix is longer than it has to be (section 2.1.2).
    #[error("a length prefix is not minimal")]
    NonMinimalLength,
    /// A vector's length prefix begins with the bits 11 (section 2.1.2).
    #[error("a length prefix begins with the invalid bits 11")]
    InvalidLengthPrefix,
    /// The presence octet of an optional value is neither 0 nor 1 (section 2.1.1).
    #[error("presence octet {0} is neither 0 nor 1")]
    InvalidPresence(u8),
    /// A closed enumeration has no such value.
    #[error("{kind} has no value {value}")]
    UnknownValue {
        /// The enumeration's name in the RFC.
        kind: &'static str,
        /// The value found.
        value: u16,
    },
    /// The protocol version is not mls10.
    #[error("protocol version {0} is not supported")]
    UnsupportedVersion(u16),
    /// The wire format is not one of RFC 9420 (section 6).
    #[error("wire format {0} is not supported")]
    UnsupportedWireFormat(u16),
    /// A proposal type that nobody registered: its body has no length on the wire, so the
    /// message can't be read any further.
    #[error("proposal type {0:#06x} is not registered")]
    UnsupportedProposal(u16),
    /// A credential type that nobody registered: its body has no length on the wire.
    #[error("credential type {0:#06x} is not registered")]
    UnsupportedCredential(u16),
    /// An extension type occurs twice in one list (section 13.4).
    #[error("extension type {0:#06x} occurs twice")]
    DuplicateExtension(u16),
    /// A fixed-size value has another length.
    #[error("expected {expected} bytes, got {actual}")]
    WrongLength {
        /// Bytes that the value has.
        expected: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The message is longer than [`Limits::message_bytes`](super::Limits::message_bytes).
    #[error("a message of {actual} bytes is over the limit of {limit}")]
    MessageTooLong {
        /// The limit in bytes.
        limit: usize,
        /// The message's length in bytes.
        actual: usize,
    },
    /// A value is longer than its limit in [`Limits`](super::Limits) allows.
    #[error("a {what} of {actual} bytes is over the limit of {limit}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
        /// The value's length in bytes.
        actual: usize,
    },
    /// A list has more items than its limit in [`Limits`](super::Limits) allows.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What the list holds.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The padding of a decrypted message has a byte other than zero (section 6.3.1).
    #[error("padding is not all zero")]
    NonZeroPadding,
}

/// Why a value has no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A vector is longer than 2^30 − 1 bytes (RFC 9420 section 2.1.2).
    #[error("a vector of {0} bytes is too long to encode")]
    VectorTooLong(usize),
}
