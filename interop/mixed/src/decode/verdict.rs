//! Whether a library can read bytes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use circlet::codec::{DecodeContext, Encode as _};
use circlet::message::MlsMessage;
use circlet::tree::RatchetTree;
use mls_rs::group::ExportedTree;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{MlsMessageIn, RatchetTreeIn};

use super::grammar::Shape;
use crate::member::Peer;

/// What the libraries made of the same bytes, in the order of [`Peer::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdicts(pub [Verdict; 3]);

/// What a library made of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They can be read, and are written again as they were, where the library lets one see that.
    Reads,
    /// They are read, and written again as others or not at all.
    Alters,
    /// They can't.
    Refuses,
    /// It panicked.
    Panics,
}

impl Verdicts {
    /// Asks all three.
    #[must_use]
    pub fn of(shape: Shape, bytes: &[u8], context: &DecodeContext) -> Self {
        Self(Peer::ALL.map(|peer| verdict(peer, shape, bytes, context)))
    }

    /// Whether all made the same of them.
    #[must_use]
    pub fn agree(&self) -> bool {
        let [first, rest @ ..] = self.0;
        rest.iter().all(|other| *other == first)
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (peer, verdict) in Peer::ALL.iter().zip(self.0) {
            let word = match verdict {
                Verdict::Reads => "reads",
                Verdict::Alters => "ALTERS",
                Verdict::Refuses => "refuses",
                Verdict::Panics => "PANICS",
            };
            write!(f, "{peer} {word}  ")?;
        }
        Ok(())
    }
}

fn verdict(peer: Peer, shape: Shape, bytes: &[u8], context: &DecodeContext) -> Verdict {
    // OpenMLS writes only what it has verified.
    let read = || match (peer, shape) {
        (Peer::Circlet, Shape::Message) => {
            MlsMessage::read(bytes, context).ok().map(|read| read.to_bytes().ok())
        }
        (Peer::Circlet, Shape::Tree) => {
            RatchetTree::from_wire(bytes, context).ok().map(|read| read.to_bytes().ok())
        }
        (Peer::OpenMls, Shape::Message) => {
            MlsMessageIn::tls_deserialize_exact(bytes).ok().map(|_| Some(bytes.to_vec()))
        }
        (Peer::OpenMls, Shape::Tree) => RatchetTreeIn::tls_deserialize_exact(bytes)
            .ok()
            .map(|read| read.tls_serialize_detached().ok()),
        (Peer::MlsRs, Shape::Message) => {
            mls_rs::MlsMessage::from_bytes(bytes).ok().map(|read| read.to_bytes().ok())
        }
        (Peer::MlsRs, Shape::Tree) => {
            ExportedTree::from_bytes(bytes).ok().map(|read| read.to_bytes().ok())
        }
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Some(Some(written))) if bytes == written => Verdict::Reads,
        Ok(Some(_)) => Verdict::Alters,
        Ok(None) => Verdict::Refuses,
        Err(_) => Verdict::Panics,
    }
}
