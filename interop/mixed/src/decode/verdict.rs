//! Whether a library can read bytes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use circlet::codec::DecodeContext;
use circlet::message::MlsMessage;
use circlet::tree::RatchetTree;
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{MlsMessageIn, RatchetTreeIn};

use super::grammar::Shape;
use crate::member::Peer;

/// What the libraries made of the same bytes, in the order of [`Peer::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Verdicts(pub [Verdict; 3]);

/// What a library made of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They can be read.
    Reads,
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
                Verdict::Refuses => "refuses",
                Verdict::Panics => "PANICS",
            };
            write!(f, "{peer} {word}  ")?;
        }
        Ok(())
    }
}

fn verdict(peer: Peer, shape: Shape, bytes: &[u8], context: &DecodeContext) -> Verdict {
    let read = || match (peer, shape) {
        (Peer::Circlet, Shape::Message) => MlsMessage::read(bytes, context).is_ok(),
        (Peer::Circlet, Shape::Tree) => RatchetTree::from_wire(bytes, context).is_ok(),
        (Peer::OpenMls, Shape::Message) => MlsMessageIn::tls_deserialize_exact(bytes).is_ok(),
        (Peer::OpenMls, Shape::Tree) => RatchetTreeIn::tls_deserialize_exact(bytes).is_ok(),
        (Peer::MlsRs, Shape::Message) => mls_rs::MlsMessage::from_bytes(bytes).is_ok(),
        (Peer::MlsRs, Shape::Tree) => mls_rs::group::ExportedTree::from_bytes(bytes).is_ok(),
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(true) => Verdict::Reads,
        Ok(false) => Verdict::Refuses,
        Err(_) => Verdict::Panics,
    }
}
