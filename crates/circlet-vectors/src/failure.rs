use std::fmt;

use circlet::codec::{DecodeError, EncodeError};
use circlet::crypto::{CryptoError, RngError};
use circlet::identity::SignerError;
use circlet::schedule::RatchetError;
use circlet::tree::TreeError;
use thiserror::Error;

/// Why a case failed: where and what.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Field names and positions from the outside in; empty if it concerns the whole case.
    field: String,
    reason: Reason,
}

/// What is wrong with a field.
#[derive(Debug, Error)]
pub(crate) enum Reason {
    /// The computed value is another than the one in the file.
    #[error("differs from what was computed")]
    Mismatch,
    /// What has to be refused was accepted.
    #[error("was accepted, and has to be refused")]
    Accepted,
    /// A value that the file has to hold, or an operation has to give, is not there.
    #[error("is missing")]
    Missing,
    #[error("{0}")]
    Circlet(#[from] circlet::Error),
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Encode(#[from] EncodeError),
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("{0}")]
    Ratchet(#[from] RatchetError),
    #[error("{0}")]
    Rng(#[from] RngError),
    #[error("{0}")]
    Signer(#[from] SignerError),
}

/// Says where something failed.
pub(crate) trait At<T> {
    /// Puts `field` before the place that is known so far.
    fn at(self, field: impl fmt::Display) -> Result<T, Failure>;
}

impl Failure {
    pub(crate) fn mismatch(field: impl fmt::Display) -> Self {
        Self { field: field.to_string(), reason: Reason::Mismatch }
    }

    pub(crate) fn accepted(field: impl fmt::Display) -> Self {
        Self { field: field.to_string(), reason: Reason::Accepted }
    }

    pub(crate) fn missing(field: impl fmt::Display) -> Self {
        Self { field: field.to_string(), reason: Reason::Missing }
    }

    /// Puts `field` before the place that is known so far.
    pub(crate) fn at(mut self, field: impl fmt::Display) -> Self {
        self.field = match self.field.as_str() {
            "" => field.to_string(),
            inner => format!("{field}.{inner}"),
        };
        self
    }
}

impl<T, E: Into<Failure>> At<T> for Result<T, E> {
    fn at(self, field: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| error.into().at(field))
    }
}

/// The computed value is the one in the file.
pub(crate) fn expect_bytes(
    field: impl fmt::Display,
    computed: impl AsRef<[u8]>,
    given: impl AsRef<[u8]>,
) -> Result<(), Failure> {
    expect_equal(field, &computed.as_ref(), &given.as_ref())
}

/// The computed value is the one in the file.
pub(crate) fn expect_equal<T: PartialEq + ?Sized>(
    field: impl fmt::Display,
    computed: &T,
    given: &T,
) -> Result<(), Failure> {
    if computed == given { Ok(()) } else { Err(Failure::mismatch(field)) }
}

impl<E: Into<Reason>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { field: String::new(), reason: error.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}", self.reason),
            field => write!(f, "{field}: {}", self.reason),
        }
    }
}
