//! The three libraries as [`Member`]s.

mod circlet;
mod mls_rs;
mod openmls;

pub use self::circlet::CircletMember;
pub(crate) use self::circlet::SeededRng;
pub use self::openmls::OpenMlsMember;
use crate::member::{Fault, Member, Peer, Setup};

/// Whether a library has a cipher suite in this build.
#[must_use]
pub fn supports(peer: Peer, suite: u16) -> bool {
    match peer {
        Peer::Circlet => (1..=7).contains(&suite),
        Peer::OpenMls => (1..=3).contains(&suite),
        Peer::MlsRs => {
            let curve448 = matches!(suite, 4 | 6);
            (1..=7).contains(&suite) && (!curve448 || cfg!(feature = "openssl"))
        }
    }
}

/// A new client of a library.
///
/// # Errors
/// The library does not have the cipher suite.
pub fn new_member(peer: Peer, name: &str, setup: &Setup) -> Result<Box<dyn Member>, Fault> {
    match peer {
        Peer::Circlet => Ok(Box::new(CircletMember::new(name, setup)?)),
        Peer::OpenMls => Ok(Box::new(OpenMlsMember::new(name, setup)?)),
        Peer::MlsRs => match setup.suite {
            #[cfg(feature = "openssl")]
            4 | 6 => {
                let crypto = mls_rs_crypto_openssl::OpensslCryptoProvider::new();
                self::mls_rs::member(name, setup, crypto)
            }
            _ => self::mls_rs::member(name, setup, mls_rs_crypto_awslc::AwsLcCryptoProvider::new()),
        },
    }
}
