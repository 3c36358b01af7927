use std::sync::Arc;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::crypto::HashReference;
use crate::crypto::{CipherSuite, HpkePrivateKey, Secret, SignaturePrivateKey, SignaturePublicKey};
use crate::error::Error;
use crate::group::{CachedProposal, FormerMember, JoinKeys, Member, Proposer, Status};
use crate::identity::Credential;
use crate::message::{GroupId, KeyPackage, Proposal, Sender};
use crate::tree::LeafIndex;

use super::{Batch, Kind, client_key, key_package_key, put, read};

/// The first row of a group: small, and written in every batch.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: Status,
    pub(crate) cipher_suite: CipherSuite,
    pub(crate) epoch: u64,
    pub(crate) own_leaf: LeafIndex,
    /// The number of the next event that is handed out.
    pub(crate) next_in: u64,
    /// The number of the next message that is handed out.
    pub(crate) next_out: u64,
    /// The number that the staged Commit has, if there is one.
    pub(crate) staged: Option<u64>,
    /// The hash of this client's last Commit that took effect, so that its echo is known.
    pub(crate) last_commit: Vec<u8>,
    /// The hashes of the Commits of the present epoch that this client has discarded.
    pub(crate) discarded: Vec<Vec<u8>>,
}

impl Head {
    pub(crate) fn put(&self, group: &GroupId, batch: &mut Batch) -> Result<(), Error> {
        put(batch, Kind::Head.row(group), |writer| {
            writer.u8(match self.status {
                Status::Active => 1,
                Status::Removed => 2,
                Status::Reinitialized => 3,
            });
            self.cipher_suite.encode(writer);
            writer.u64(self.epoch);
            self.own_leaf.encode(writer);
            writer.u64(self.next_in);
            writer.u64(self.next_out);
            match self.staged {
                None => writer.u8(0),
                Some(number) => {
                    writer.u8(1);
                    writer.u64(number);
                }
            }
            writer.opaque(&self.last_commit);
            writer.vector(&self.discarded);
        })
    }

    pub(crate) fn read(value: &zeroize::Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        read(value, &DecodeContext::default(), |reader| {
            Ok(Self {
                status: match reader.u8()? {
                    1 => Status::Active,
                    2 => Status::Removed,
                    3 => Status::Reinitialized,
                    other => {
                        return Err(DecodeError::UnknownValue {
                            kind: "Status",
                            value: other.into(),
                        });
                    }
                },
                cipher_suite: CipherSuite::decode(reader)?,
                epoch: reader.u64()?,
                own_leaf: LeafIndex::decode(reader)?,
                next_in: reader.u64()?,
                next_out: reader.u64()?,
                staged: match reader.u8()? {
                    0 => None,
                    1 => Some(reader.u64()?),
                    other => return Err(DecodeError::InvalidPresence(other)),
                },
                last_commit: reader.opaque()?.to_vec(),
                discarded: reader.vector()?,
            })
        })
    }
}

/// Who the client is: the row that makes a store a client's.
#[derive(Debug)]
pub(crate) struct OwnIdentity {
    pub(crate) cipher_suite: CipherSuite,
    pub(crate) credential: Credential,
    pub(crate) signature_key: SignaturePrivateKey,
}

impl OwnIdentity {
    pub(crate) fn put(&self, batch: &mut Batch) -> Result<(), Error> {
        put(batch, client_key(), |writer| {
            self.cipher_suite.encode(writer);
            self.credential.encode(writer);
            write_secret(self.signature_key.secret(), writer);
        })
    }

    pub(crate) fn read(
        value: &zeroize::Zeroizing<Vec<u8>>,
        context: &DecodeContext,
    ) -> Result<Self, Error> {
        read(value, context, |reader| {
            Ok(Self {
                cipher_suite: CipherSuite::decode(reader)?,
                credential: Credential::decode(reader)?,
                signature_key: SignaturePrivateKey::new(read_secret(reader)?),
            })
        })
    }
}

/// A key package that may still be used.
pub(crate) struct StoredKeyPackage;

impl StoredKeyPackage {
    pub(crate) fn put(
        reference: &HashReference,
        keys: &JoinKeys,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        put(batch, key_package_key(reference), |writer| {
            keys.key_package.encode(writer);
            write_secret(keys.init_key.secret(), writer);
            write_secret(keys.leaf_key.secret(), writer);
        })
    }

    pub(crate) fn read(
        value: &zeroize::Zeroizing<Vec<u8>>,
        context: &DecodeContext,
    ) -> Result<JoinKeys, Error> {
        read(value, context, |reader| {
            Ok(JoinKeys {
                key_package: KeyPackage::decode(reader)?,
                init_key: HpkePrivateKey::new(read_secret(reader)?),
                leaf_key: HpkePrivateKey::new(read_secret(reader)?),
            })
        })
    }
}

pub(crate) fn write_secret(secret: &Secret, writer: &mut Writer) {
    writer.opaque(secret.as_bytes());
}

pub(crate) fn read_secret(reader: &mut Reader<'_>) -> Result<Secret, DecodeError> {
    reader.opaque().map(Secret::new)
}

pub(super) fn write_former(former: Option<&FormerMember>, writer: &mut Writer) {
    match former {
        None => writer.u8(0),
        Some(former) => {
            writer.u8(1);
            former.credential.encode(writer);
            former.signature_key.encode(writer);
        }
    }
}

pub(super) fn read_former(reader: &mut Reader<'_>) -> Result<Option<FormerMember>, DecodeError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Ok(Some(FormerMember {
            credential: Credential::decode(reader)?,
            signature_key: SignaturePublicKey::decode(reader)?,
        })),
        other => Err(DecodeError::InvalidPresence(other)),
    }
}

pub(crate) fn write_member(member: &Member, writer: &mut Writer) {
    member.leaf_index.encode(writer);
    member.credential.encode(writer);
    member.signature_key.encode(writer);
}

pub(crate) fn read_member(reader: &mut Reader<'_>) -> Result<Member, DecodeError> {
    Ok(Member {
        leaf_index: LeafIndex::decode(reader)?,
        credential: Credential::decode(reader)?,
        signature_key: SignaturePublicKey::decode(reader)?,
    })
}

pub(crate) fn write_proposer(proposer: &Proposer, writer: &mut Writer) {
    match proposer {
        Proposer::Member(member) => {
            writer.u8(1);
            write_member(member, writer);
        }
        Proposer::External { index, credential, signature_key } => {
            writer.u8(2);
            writer.u32(*index);
            credential.encode(writer);
            signature_key.encode(writer);
        }
        Proposer::NewMember => writer.u8(3),
    }
}

pub(crate) fn read_proposer(reader: &mut Reader<'_>) -> Result<Proposer, DecodeError> {
    match reader.u8()? {
        1 => read_member(reader).map(Proposer::Member),
        2 => Ok(Proposer::External {
            index: reader.u32()?,
            credential: Credential::decode(reader)?,
            signature_key: SignaturePublicKey::decode(reader)?,
        }),
        3 => Ok(Proposer::NewMember),
        other => Err(DecodeError::UnknownValue { kind: "proposer", value: other.into() }),
    }
}

pub(super) fn write_proposal(cached: &CachedProposal, writer: &mut Writer) {
    writer.u64(cached.sequence);
    cached.reference.encode(writer);
    cached.sender.encode(writer);
    cached.proposal.encode(writer);
    match &cached.leaf_key {
        None => writer.u8(0),
        Some(key) => {
            writer.u8(1);
            write_secret(key.secret(), writer);
        }
    }
}

pub(super) fn read_proposal(reader: &mut Reader<'_>) -> Result<CachedProposal, DecodeError> {
    Ok(CachedProposal {
        sequence: reader.u64()?,
        reference: HashReference::decode(reader)?,
        sender: Sender::decode(reader)?,
        proposal: Arc::new(Proposal::decode(reader)?),
        leaf_key: match reader.u8()? {
            0 => None,
            1 => Some(HpkePrivateKey::new(read_secret(reader)?)),
            other => return Err(DecodeError::InvalidPresence(other)),
        },
    })
}
