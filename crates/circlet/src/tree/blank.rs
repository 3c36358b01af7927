use std::sync::{Arc, OnceLock};

use super::hash;
use super::subtree::Place;
use crate::crypto::{CryptoError, Digest, Suite};

/// A subtree without members. Its hash depends on its place, so that it is computed for each, and
/// kept: here, and for its parts down to [`KEPT_LEVEL`], so that splitting it to add a member
/// needs none of them again.
pub(super) struct Blank {
    hash: OnceLock<Digest>,
    /// Only above [`KEPT_LEVEL`].
    halves: OnceLock<[Arc<Blank>; 2]>,
}

/// Below this height a blank subtree's parts are not kept: hashing 16 leaves again is cheap, while
/// keeping them would let a blank node, one byte on the wire, take a hundred bytes of memory.
const KEPT_LEVEL: u32 = 4;

impl Blank {
    pub(super) fn new() -> Self {
        Self { hash: OnceLock::new(), halves: OnceLock::new() }
    }

    /// The blank subtree of two halves.
    pub(super) fn join(place: Place, left: &Arc<Self>, right: &Arc<Self>) -> Self {
        let joined = Self::new();
        if place.level() > KEPT_LEVEL {
            // Empty until this line.
            let _ = joined.halves.set([left.clone(), right.clone()]);
        }
        joined
    }

    /// Its two halves.
    pub(super) fn halves(&self, place: Place) -> [Arc<Self>; 2] {
        let fresh = || [Arc::new(Self::new()), Arc::new(Self::new())];
        match place.level() > KEPT_LEVEL {
            true => self.halves.get_or_init(fresh).clone(),
            false => fresh(),
        }
    }

    /// The tree hash.
    pub(super) fn hash(&self, suite: &Suite, place: Place) -> Result<Digest, CryptoError> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let digest = if place.level() > KEPT_LEVEL {
            let [left, right] = self.halves(place);
            let (left, right) =
                (left.hash(suite, place.left())?, right.hash(suite, place.right())?);
            hash::parent(suite, None, &left, &right)?
        } else {
            hash::blank(suite, place)?
        };
        // Whoever sets it first sets the same value.
        let _ = self.hash.set(digest);
        Ok(digest)
    }
}
