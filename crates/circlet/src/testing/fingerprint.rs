use std::collections::BTreeMap;
use std::fmt;

use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CryptoProvider, Digest, HashId};
use crate::error::Error;
use crate::group::GroupState;
use crate::rows::{Part, put_part};
use crate::storage::Batch;

/// A digest of each part of a group's value, the secrets included: two are equal if no part has
/// changed. A failed `assert_eq!` shows which parts have.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<Part, Digest>);

impl GroupState {
    /// A digest of every part of the value: context, tree, secrets, private keys, ratchets, skipped
    /// keys, past epochs, former members, waiting proposals with their private keys, status and
    /// version. What a message that was refused has left as it was has the same fingerprint.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let digest = |part| {
            let mut batch = Batch::default();
            put_part(self, part, &mut batch)?;
            batch.puts.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut bytes: Vec<u8> = Vec::new();
            for (key, value) in &batch.puts {
                for piece in [key.as_bytes(), value.as_slice()] {
                    bytes.extend((piece.len() as u64).to_be_bytes());
                    bytes.extend_from_slice(piece);
                }
            }
            let digest = DefaultProvider::portable().hash(HashId::SHA256, &[&bytes])?;
            Ok((part, digest))
        };
        Part::ALL.into_iter().map(digest).collect::<Result<_, Error>>().map(Fingerprint)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &Digest| {
            let bytes = digest.as_bytes().iter().take(8);
            bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        f.debug_map().entries(self.0.iter().map(|(part, digest)| (part, short(digest)))).finish()
    }
}
