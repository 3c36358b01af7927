use std::collections::BTreeMap;
use std::fmt;

use crate::codec::Encode;
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CryptoProvider, Digest, HashId};
use crate::error::Error;
use crate::group::GroupState;
use crate::rows::{Part, put_part};
use crate::storage::Batch;

use super::TestMember;

/// A digest of each part of a group's value, the secrets included: two are equal if no part has
/// changed. A failed `assert_eq!` shows which parts have.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint {
    group: BTreeMap<Part, Digest>,
    /// Of what a member has beside its group.
    beside: Option<Digest>,
}

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
            let pieces = batch.puts.iter().flat_map(|(key, value)| [key.as_bytes(), value]);
            Ok((part, digest_of(pieces)?))
        };
        let group = Part::ALL.into_iter().map(digest).collect::<Result<_, Error>>()?;
        Ok(Fingerprint { group, beside: None })
    }
}

impl TestMember {
    /// A digest of all that it has: every part of its group's value, if it is in one, and beside
    /// that its unused key packages with their private keys, and its pre-shared keys.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        let mut pieces = Vec::new();
        for keys in &self.keys {
            pieces.push(keys.key_package.to_bytes()?);
            for private in [&keys.init_key, &keys.leaf_key] {
                pieces.push(private.secret().as_bytes().to_vec());
            }
        }
        // What the lists have in common must not move a piece from one to another.
        pieces.push(b"external".to_vec());
        for (psk_id, secret) in &self.psks.external {
            pieces.extend([psk_id.clone(), secret.as_bytes().to_vec()]);
        }
        pieces.push(b"resumption".to_vec());
        for ((group_id, epoch), secret) in &self.psks.resumption {
            let secret = secret.as_bytes().to_vec();
            pieces.extend([group_id.clone(), epoch.to_be_bytes().to_vec(), secret]);
        }
        let beside = Some(digest_of(pieces.iter().map(Vec::as_slice))?);
        let group = match self.group() {
            Some(state) => state.fingerprint()?.group,
            None => BTreeMap::new(),
        };
        Ok(Fingerprint { group, beside })
    }
}

/// The digest of pieces, each with its length.
fn digest_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Digest, Error> {
    let mut bytes: Vec<u8> = Vec::new();
    for piece in pieces {
        bytes.extend((piece.len() as u64).to_be_bytes());
        bytes.extend_from_slice(piece);
    }
    Ok(DefaultProvider::portable().hash(HashId::SHA256, &[&bytes])?)
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &Digest| {
            let bytes = digest.as_bytes().iter().take(8);
            bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let mut map = f.debug_map();
        map.entries(self.group.iter().map(|(part, digest)| (part, short(digest))));
        map.entries(self.beside.iter().map(|digest| ("beside the group", short(digest)))).finish()
    }
}
