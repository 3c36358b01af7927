use std::fmt;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

/// A credential type's code point (RFC 9420 section 17.5). Unknown values are kept as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialType(pub u16);

impl CredentialType {
    /// An identity without proof.
    pub const BASIC: Self = Self(1);
    /// A chain of X.509 certificates.
    pub const X509: Self = Self(2);

    /// Whether RFC 9420 itself defines it, so that it is not registered.
    #[must_use]
    pub fn is_default(self) -> bool {
        matches!(self, Self::BASIC | Self::X509)
    }
}

/// What binds a member's signature key to an identity (RFC 9420 section 5.3). Whether it does is
/// for the application to say: see [`CredentialValidator`](super::CredentialValidator).
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// An identity that the application defines, without proof.
    Basic(Vec<u8>),
    /// Certificates in DER form, the end entity's first.
    X509(Vec<Vec<u8>>),
    /// A type that the application registered, with
    /// [`ClientBuilder::register_credential_type`](crate::client::ClientBuilder::register_credential_type)
    /// or in its [`DecodeContext`](crate::codec::DecodeContext).
    Custom {
        /// The type.
        credential_type: CredentialType,
        /// The content of its `opaque<V>`.
        body: Vec<u8>,
    },
}

impl Credential {
    /// A basic credential.
    #[must_use]
    pub fn basic(identity: impl AsRef<[u8]>) -> Self {
        Self::Basic(identity.as_ref().to_vec())
    }

    /// A chain of certificates in DER form: the end entity's first, each issued by the next. Those
    /// that all peers are known to possess may be left out at the end.
    #[must_use]
    pub fn x509(chain: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        Self::X509(chain.into_iter().map(Into::into).collect())
    }

    /// The type.
    #[must_use]
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::Basic(_) => CredentialType::BASIC,
            Self::X509(_) => CredentialType::X509,
            Self::Custom { credential_type, .. } => *credential_type,
        }
    }

    /// The identity of a basic credential.
    #[must_use]
    pub fn identity(&self) -> Option<&[u8]> {
        match self {
            Self::Basic(identity) => Some(identity),
            _ => None,
        }
    }
}

/// A basic identity as text, other types by their name: for people, not for comparing.
impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic(identity) => match std::str::from_utf8(identity) {
                Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
                _ => identity.escape_ascii().fmt(f),
            },
            Self::X509(chain) => write!(f, "X.509 chain of {} certificates", chain.len()),
            Self::Custom { credential_type, .. } => {
                write!(f, "credential of type {:#06x}", credential_type.0)
            }
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({self})")
    }
}

impl Encode for CredentialType {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for CredentialType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16().map(Self)
    }
}

impl Encode for Credential {
    fn encode(&self, writer: &mut Writer) {
        self.credential_type().encode(writer);
        match self {
            Self::Basic(body) | Self::Custom { body, .. } => writer.opaque(body),
            Self::X509(chain) => writer.vector(chain),
        }
    }
}

impl Decode for Credential {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let credential_type = CredentialType::decode(reader)?;
        let limit = reader.limits().credential_bytes;
        let opaque =
            |reader: &mut Reader<'_>| reader.opaque_within(limit, "credential").map(<[u8]>::to_vec);
        match credential_type {
            CredentialType::BASIC => opaque(reader).map(Self::Basic),
            CredentialType::X509 => {
                // The list as a whole is within the limit, then each of its certificates.
                let chain = reader.clone().opaque_within(limit, "credential").map(drop);
                chain.and_then(|()| reader.vector()).map(Self::X509)
            }
            CredentialType(other) if reader.context().credential_types.contains(&other) => {
                Ok(Self::Custom { credential_type, body: opaque(reader)? })
            }
            CredentialType(other) => Err(DecodeError::UnsupportedCredential(other)),
        }
    }
}
