use std::fmt;
use std::sync::Arc;

use super::Secret;
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

/// The output of a hash function or MAC: at most 64 bytes, held inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    length: u8,
    bytes: [u8; 64],
}

impl Digest {
    /// The longest digest in bytes.
    pub const MAX: usize = 64;

    /// Copies `bytes`; `None` if they are more than [`Self::MAX`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut held = [0; Self::MAX];
        held.get_mut(..bytes.len())?.copy_from_slice(bytes);
        // At most 64, by the line above.
        Some(Self { length: bytes.len() as u8, bytes: held })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_hex(self.as_bytes(), f)
    }
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<[u8]>);

        impl $name {
            /// Copies the encoding; whether it is a valid key is not looked at.
            #[must_use]
            pub fn new(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }

            /// The encoding.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_hex(&self.0, f)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer) {
                writer.opaque(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.opaque().map(Self::new)
            }
        }
    };
}

public_key! {
    /// `HPKEPublicKey`: a key to encrypt to (RFC 9420 section 5.1.1), as it is on the wire. Cloning
    /// shares the bytes.
    HpkePublicKey
}

public_key! {
    /// `SignaturePublicKey`: a key to verify with (RFC 9420 section 5.1.1), as it is on the wire.
    /// Cloning shares the bytes.
    SignaturePublicKey
}

/// A private key to decrypt with, in its KEM's serialized form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpkePrivateKey(pub(crate) Secret);

/// A private key to sign with: a seed for EdDSA, a scalar for ECDSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePrivateKey(pub(crate) Secret);

impl HpkePrivateKey {
    /// A private key in its KEM's serialized form, as a [`CryptoProvider`](super::CryptoProvider)
    /// makes it.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The serialized key, for a [`CryptoProvider`](super::CryptoProvider).
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl SignaturePrivateKey {
    /// A private key as a [`CryptoProvider`](super::CryptoProvider) makes it.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The key's bytes, for a [`CryptoProvider`](super::CryptoProvider).
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// An HPKE key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpkeKeyPair {
    /// Decrypts.
    pub private: HpkePrivateKey,
    /// Encrypts.
    pub public: HpkePublicKey,
}

/// A signature key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKeyPair {
    /// Signs.
    pub private: SignaturePrivateKey,
    /// Verifies.
    pub public: SignaturePublicKey,
}

pub(crate) fn fmt_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
