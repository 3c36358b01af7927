use std::fmt;
use std::sync::Arc;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::CipherSuite;
use crate::mutation::off;
use crate::tree::{Extensions, MLS10};

/// A group's id: bytes that the application or a random generator chose. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(Arc<[u8]>);

/// What all members of an epoch agree on (RFC 9420 section 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupContext {
    /// The group's algorithms.
    pub cipher_suite: CipherSuite,
    /// The group.
    pub group_id: GroupId,
    /// How many commits there were.
    pub epoch: u64,
    /// The hash of the ratchet tree's root.
    pub tree_hash: Vec<u8>,
    /// The hash over all commits.
    pub confirmed_transcript_hash: Vec<u8>,
    /// The group's extensions.
    pub extensions: Extensions,
}

impl GroupId {
    /// Copies the bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for GroupId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Hexadecimal.
impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({self})")
    }
}

impl Encode for GroupId {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

impl Decode for GroupId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let limit = reader.limits().group_id_bytes;
        reader.opaque_within(limit, "group id").map(Self::new)
    }
}

impl Encode for GroupContext {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(MLS10);
        self.cipher_suite.encode(writer);
        self.group_id.encode(writer);
        writer.u64(self.epoch);
        writer.opaque(&self.tree_hash);
        writer.opaque(&self.confirmed_transcript_hash);
        self.extensions.encode(writer);
    }
}

impl Decode for GroupContext {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_version(reader)?;
        Ok(Self {
            cipher_suite: CipherSuite::decode(reader)?,
            group_id: GroupId::decode(reader)?,
            epoch: reader.u64()?,
            tree_hash: reader.opaque()?.to_vec(),
            confirmed_transcript_hash: reader.opaque()?.to_vec(),
            extensions: Extensions::decode(reader)?,
        })
    }
}

/// V-6.0-03: reads a ProtocolVersion; there is only one.
pub(super) fn read_version(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match reader.u16()? {
        MLS10 => Ok(()),
        _ if off("V-6.0-03") => Ok(()),
        other => Err(DecodeError::UnsupportedVersion(other)),
    }
}
