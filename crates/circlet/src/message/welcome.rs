use zeroize::Zeroizing;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, EncodeError, Reader, Writer};
use crate::crypto::{CipherSuite, HashReference, HpkeCiphertext, Secret};
use crate::schedule::PreSharedKeyId;

/// Brings new members into a group (RFC 9420 section 12.4.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The group's algorithms.
    pub cipher_suite: CipherSuite,
    /// One entry for each new member.
    pub secrets: Vec<EncryptedGroupSecrets>,
    /// The [`GroupInfo`](super::GroupInfo), encrypted to all of them.
    pub encrypted_group_info: Vec<u8>,
}

/// One new member's part of a [`Welcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedGroupSecrets {
    /// The KeyPackageRef of the new member.
    pub new_member: HashReference,
    /// The [`GroupSecrets`], encrypted to the KeyPackage's init key.
    pub encrypted_group_secrets: HpkeCiphertext,
}

/// What a new member starts from (RFC 9420 section 12.4.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSecrets {
    /// The epoch's joiner secret.
    pub joiner_secret: Secret,
    /// The path secret of the lowest node above both the committer and the new member.
    pub path_secret: Option<Secret>,
    /// The pre-shared keys that the Commit injected, in its order.
    pub psks: Vec<PreSharedKeyId>,
}

impl GroupSecrets {
    /// The encoding, which is encrypted next.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn to_plaintext(&self) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        let mut writer = Writer::secret();
        writer.opaque(self.joiner_secret.as_bytes());
        match &self.path_secret {
            None => writer.u8(0),
            Some(secret) => {
                writer.u8(1);
                writer.opaque(secret.as_bytes());
            }
        }
        writer.vector(&self.psks);
        writer.finish_secret()
    }

    /// Reads what was decrypted.
    ///
    /// # Errors
    /// It is malformed.
    pub fn from_plaintext(bytes: &[u8], context: &DecodeContext) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, context);
        let joiner_secret = Secret::new(reader.opaque()?);
        let path_secret = match reader.u8()? {
            0 => None,
            1 => Some(Secret::new(reader.opaque()?)),
            other => return Err(DecodeError::InvalidPresence(other)),
        };
        let limit = reader.limits().psks;
        let psks = reader.vector_with(limit, "pre-shared keys", |r| PreSharedKeyId::decode(r))?;
        reader.finish()?;
        Ok(Self { joiner_secret, path_secret, psks })
    }
}

impl Encode for Welcome {
    fn encode(&self, writer: &mut Writer) {
        self.cipher_suite.encode(writer);
        writer.vector(&self.secrets);
        writer.opaque(&self.encrypted_group_info);
    }
}

impl Decode for Welcome {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            cipher_suite: CipherSuite::decode(reader)?,
            secrets: reader.vector_with(
                reader.limits().leaves as usize,
                "new members",
                EncryptedGroupSecrets::decode,
            )?,
            encrypted_group_info: reader.opaque()?.to_vec(),
        })
    }
}

impl Encode for EncryptedGroupSecrets {
    fn encode(&self, writer: &mut Writer) {
        self.new_member.encode(writer);
        self.encrypted_group_secrets.encode(writer);
    }
}

impl Decode for EncryptedGroupSecrets {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            new_member: HashReference::decode(reader)?,
            encrypted_group_secrets: HpkeCiphertext::decode(reader)?,
        })
    }
}
