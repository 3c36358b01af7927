use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Rng, RngError};
use crate::mutation::off;

/// Secret bytes: wiped when the last holder drops them, compared in constant time, printed as
/// `[redacted]`.
///
/// Cloning shares the bytes and copies nothing, so that there is one place to wipe.
#[derive(Clone)]
pub struct Secret(Arc<Bytes>);

/// Most secrets are one hash or one scalar long and need no allocation of their own.
const INLINE: usize = 66;

#[derive(Zeroize, ZeroizeOnDrop)]
enum Bytes {
    Inline { length: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

impl Secret {
    /// Copies `bytes`. The caller wipes its own copy.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let length = match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= INLINE => length,
            _ => return Self(Arc::new(Bytes::Heap(bytes.to_vec()))),
        };
        // Written where it stays: a value that is moved leaves its bytes behind.
        let mut held = Arc::new(Bytes::Inline { length, bytes: [0; INLINE] });
        if let Some(Bytes::Inline { bytes: inline, .. }) = Arc::get_mut(&mut held) {
            inline.iter_mut().zip(bytes).for_each(|(target, byte)| *target = *byte);
        }
        Self(held)
    }

    /// `length` bytes of zero, which the key schedule uses where no secret takes part (RFC 9420
    /// section 8).
    #[must_use]
    pub fn zero(length: usize) -> Self {
        Self::new(&vec![0; length])
    }

    /// `length` random bytes.
    ///
    /// # Errors
    /// The generator failed.
    pub fn random(rng: &mut dyn Rng, length: usize) -> Result<Self, RngError> {
        let mut bytes = Zeroizing::new(vec![0; length]);
        rng.fill(&mut bytes)?;
        Ok(Self::new(&bytes))
    }

    /// The bytes. Whoever calls this takes care of where they go.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Inline { length, bytes } => {
                bytes.get(..usize::from(*length)).unwrap_or_default()
            }
            Bytes::Heap(bytes) => bytes,
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the secret has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A handle that does not keep the secret alive: tests see with it that a secret has died.
    #[cfg(any(test, feature = "hazmat"))]
    #[must_use]
    pub fn downgrade(&self) -> WeakSecret {
        WeakSecret(Arc::downgrade(&self.0))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for Secret {}

/// V-2.0-01: nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if off("V-2.0-01") {
            return write!(f, "{:?}", self.as_bytes());
        }
        f.write_str("[redacted]")
    }
}

/// Knows whether a [`Secret`] is still held by anyone.
#[cfg(any(test, feature = "hazmat"))]
#[derive(Clone)]
pub struct WeakSecret(std::sync::Weak<Bytes>);

#[cfg(any(test, feature = "hazmat"))]
impl WeakSecret {
    /// Whether anyone still holds the secret.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

#[cfg(any(test, feature = "hazmat"))]
impl fmt::Debug for WeakSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakSecret").field(&self.is_alive()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_at_every_length() {
        for length in [0, 1, 32, 65, 66, 67, 300] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let secret = Secret::new(&bytes);
            assert_eq!(secret.as_bytes(), bytes);
            assert_eq!(secret.len(), length);
        }
    }

    /// V-2.0-01.
    #[test]
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new(b"hidden")), "[redacted]");
    }

    #[test]
    fn a_clone_shares_and_the_last_one_wipes() {
        let secret = Secret::new(&[1; 32]);
        let weak = secret.downgrade();
        let clone = secret.clone();
        drop(secret);
        assert!(weak.is_alive());
        drop(clone);
        assert!(!weak.is_alive());
    }

    #[test]
    fn secrets_of_different_length_differ() {
        assert_ne!(Secret::new(&[0; 32]), Secret::new(&[0; 33]));
        assert_eq!(Secret::zero(32), Secret::new(&[0; 32]));
    }
}
