use super::LeafIndex;
use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::HpkePublicKey;

/// The content of a parent that is not blank (RFC 9420 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentNode {
    /// Encrypts to every member below, but for the unmerged leaves.
    pub encryption_key: HpkePublicKey,
    /// The hash of the parents above (section 7.9); empty at the root.
    pub parent_hash: Vec<u8>,
    /// Leaves below that don't know the private key, in ascending order.
    pub unmerged_leaves: Vec<LeafIndex>,
}

impl Encode for ParentNode {
    fn encode(&self, writer: &mut Writer) {
        self.encryption_key.encode(writer);
        writer.opaque(&self.parent_hash);
        writer.vector(&self.unmerged_leaves);
    }
}

impl Decode for ParentNode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            encryption_key: HpkePublicKey::decode(reader)?,
            parent_hash: reader.opaque()?.to_vec(),
            unmerged_leaves: reader.vector()?,
        })
    }
}
