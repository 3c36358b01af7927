//! Whose fault an error may be.

use circlet::Error;

/// Whether a peer can cause this; what is ours or the store's, nobody may cause from outside.
pub(crate) fn is_of_a_peer(error: &Error) -> bool {
    !matches!(
        error,
        Error::Internal
            | Error::Crypto(_)
            | Error::Storage(_)
            | Error::Damaged(_)
            | Error::Signer(_)
    )
}
