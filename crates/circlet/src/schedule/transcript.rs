use crate::codec::Encode;
use crate::crypto::{CryptoError, Digest, Mac, Suite};

/// The confirmed transcript hash of an epoch (RFC 9420 section 8.2), from the interim transcript
/// hash of the epoch before, which is empty before the first Commit, and the serialized
/// ConfirmedTranscriptHashInput of the Commit between the two.
///
/// # Errors
/// The provider failed.
pub fn confirmed_transcript_hash(
    suite: &Suite,
    interim_before: &[u8],
    confirmed_input: &[u8],
) -> Result<Digest, CryptoError> {
    suite.hash(&[interim_before, confirmed_input])
}

/// The interim transcript hash of an epoch (RFC 9420 section 8.2), from its confirmed transcript
/// hash and the confirmation tag, which a new member takes from the GroupInfo.
///
/// # Errors
/// The provider failed.
pub fn interim_transcript_hash(
    suite: &Suite,
    confirmed: &[u8],
    confirmation_tag: &Mac,
) -> Result<Digest, CryptoError> {
    // InterimTranscriptHashInput holds the tag and nothing else.
    suite.hash(&[confirmed, &confirmation_tag.to_bytes()?])
}
