//! What is encrypted in a Welcome, as bytes.

use circlet::codec::DecodeError;

use super::*;
use crate::support::assert_malformed;

/// What is encrypted in a Welcome is malformed if it is cut off anywhere, or longer than it says.
#[test]
fn encrypted_objects_are_whole() {
    let mut welcomed = Welcomed::new();
    // GroupSecrets: two secrets of 32 bytes with their lengths, a presence octet between, no PSK.
    let ends = [1, 33, 34, 35, 67, 68];
    for length in 0..68 {
        let error = welcomed
            .error(|welcome| welcome.edit_secrets_bytes(move |_, bytes| bytes.truncate(length)));
        let end = ends.into_iter().find(|end| *end > length).unwrap();
        assert_malformed(&error, DecodeError::EndOfInput { missing: end - length });
        let count = 1 + length;
        let error = welcomed.error(|welcome| {
            welcome.edit_secrets_bytes(move |_, bytes| bytes.resize(bytes.len() + count, 0))
        });
        assert_malformed(&error, DecodeError::TrailingBytes { count });
    }
    for length in (0..400).step_by(13) {
        let error = welcomed
            .error(|welcome| welcome.edit_group_info_bytes(move |bytes| bytes.truncate(length)));
        assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
        let count = 1 + length;
        let error = welcomed.error(|welcome| {
            welcome.edit_group_info_bytes(move |bytes| bytes.resize(bytes.len() + count, 0))
        });
        assert_malformed(&error, DecodeError::TrailingBytes { count });
    }
    welcomed.joins();
}
