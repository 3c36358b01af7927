//! What the rows of a client hold, and under which keys. Every value begins with the version of
//! its layout, so that a later version of this library can read an earlier one's rows.
//!
//! | key | value |
//! |---|---|
//! | `client` | the client's suite, credential and signature key |
//! | `key-package`, reference | a key package with its private keys |
//! | `psk`, id | an external pre-shared key |
//! | `head`, group | status, epoch, counters: written in every batch of the group, whose revision guards it |
//! | `epoch`, group | context, secrets and private keys of the present epoch |
//! | `node`, group, node | one node of the ratchet tree; of a leaf also the epoch that it is of |
//! | `secret`, group, epoch, node | one secret of a secret tree |
//! | `ratchet`, group, epoch, kind, leaf | one ratchet |
//! | `skipped`, group, epoch, kind, leaf, generation | one skipped message key |
//! | `past`, group, epoch | what is kept of an epoch that is over |
//! | `former`, group, leaf, epoch | who held a leaf until that epoch |
//! | `proposal`, group, reference | a proposal that waits for a Commit |
//! | `reinit`, group | the ReInit that closed the group |
//! | `old-group`, group, epoch | a group of another client that one of this client is to continue |
//! | `joining`, group | an external Commit that waits, with the group as it will be |
//! | `signer`, group, public key | a signature key that this client has in that group alone |
//! | `staged`, group | a staged Commit with the epoch that it makes |
//! | `out`, group, number | a message that was not yet acknowledged as sent |
//! | `in`, group, number | an event that was not yet acknowledged as delivered |

#[cfg(any(test, feature = "testing"))]
mod fingerprint;
mod joining;
mod load;
mod staged;
mod step;
mod subgroup;
mod values;

#[cfg(any(test, feature = "testing"))]
pub(crate) use fingerprint::{Part, put_part};
pub(crate) use joining::{Joining, joining_message, put_joining, read_joining};
pub(crate) use load::{LoadedGroup, load_group, number_u64};
pub(crate) use staged::{put_staged, read_outcome, staged_message, write_outcome};
pub(crate) use step::{delete_group, put_new_group, put_next_epoch, put_step};
pub(crate) use subgroup::{is_named_by_reinit, put_old_group, read_old_group, read_resumption_psk};
pub(crate) use values::{
    Head, OwnIdentity, StoredKeyPackage, read_member, read_proposer, write_member, write_proposer,
};

use zeroize::Zeroizing;

use crate::codec::{DecodeContext, DecodeError, Limits, Reader, Writer};
use crate::crypto::{HashReference, SignaturePublicKey};
use crate::error::{Damaged, Error, Misuse};
use crate::identity::{CredentialType, Signer, SigningKey};
use crate::message::GroupId;
use crate::schedule::{RatchetKind, SkippedId};
use crate::storage::{Batch, Key, Prefix};
use crate::tree::{LeafIndex, NodeIndex, ProposalType};

/// The version of every row that this library writes.
const VERSION: u8 = 1;

/// The first component of a row's key.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Client,
    KeyPackage,
    Psk,
    Head,
    Epoch,
    Node,
    Secret,
    Ratchet,
    Skipped,
    Past,
    Former,
    Proposal,
    Reinit,
    OldGroup,
    Joining,
    Signer,
    Staged,
    Out,
    In,
}

impl Kind {
    pub(crate) fn name(self) -> &'static [u8] {
        match self {
            Self::Client => b"client",
            Self::KeyPackage => b"key-package",
            Self::Psk => b"psk",
            Self::Head => b"head",
            Self::Epoch => b"epoch",
            Self::Node => b"node",
            Self::Secret => b"secret",
            Self::Ratchet => b"ratchet",
            Self::Skipped => b"skipped",
            Self::Past => b"past",
            Self::Former => b"former",
            Self::Proposal => b"proposal",
            Self::Reinit => b"reinit",
            Self::OldGroup => b"old-group",
            Self::Joining => b"joining",
            Self::Signer => b"signer",
            Self::Staged => b"staged",
            Self::Out => b"out",
            Self::In => b"in",
        }
    }

    /// Everything of this kind that belongs to a group.
    pub(crate) fn of_group(self, group: &GroupId) -> Prefix {
        Prefix::new(&[self.name(), group.as_bytes()])
    }

    fn of_epoch(self, group: &GroupId, epoch: u64) -> Prefix {
        Prefix::new(&[self.name(), group.as_bytes(), &epoch.to_be_bytes()])
    }

    /// What belongs to the handshake ratchets of an epoch.
    fn of_handshakes(self, group: &GroupId, epoch: u64) -> Prefix {
        let kind = kind_byte(RatchetKind::Handshake);
        Prefix::new(&[self.name(), group.as_bytes(), &epoch.to_be_bytes(), &[kind]])
    }

    /// The one row of this kind that a group has.
    pub(crate) fn row(self, group: &GroupId) -> Key {
        Key::new(&[self.name(), group.as_bytes()])
    }

    /// A row with a number, of this kind and group.
    pub(crate) fn numbered(self, group: &GroupId, number: u64) -> Key {
        Key::new(&[self.name(), group.as_bytes(), &number.to_be_bytes()])
    }
}

pub(crate) fn client_key() -> Key {
    Key::new(&[Kind::Client.name()])
}

pub(crate) fn key_package_key(reference: &HashReference) -> Key {
    Key::new(&[Kind::KeyPackage.name(), reference.as_bytes()])
}

pub(crate) fn psk_key(psk_id: &[u8]) -> Key {
    Key::new(&[Kind::Psk.name(), psk_id])
}

fn node_key(group: &GroupId, node: NodeIndex) -> Key {
    Key::new(&[Kind::Node.name(), group.as_bytes(), &node.0.to_be_bytes()])
}

fn secret_key(group: &GroupId, epoch: u64, node: NodeIndex) -> Key {
    let (epoch, node) = (epoch.to_be_bytes(), node.0.to_be_bytes());
    Key::new(&[Kind::Secret.name(), group.as_bytes(), &epoch, &node])
}

fn ratchet_key(group: &GroupId, epoch: u64, leaf: LeafIndex, kind: RatchetKind) -> Key {
    let (epoch, leaf) = (epoch.to_be_bytes(), leaf.0.to_be_bytes());
    Key::new(&[Kind::Ratchet.name(), group.as_bytes(), &epoch, &[kind_byte(kind)], &leaf])
}

fn skipped_key(group: &GroupId, id: &SkippedId) -> Key {
    Key::new(&[
        Kind::Skipped.name(),
        group.as_bytes(),
        &id.epoch.to_be_bytes(),
        &[kind_byte(id.kind)],
        &id.leaf.0.to_be_bytes(),
        &id.generation.to_be_bytes(),
    ])
}

pub(crate) fn signer_key(group: &GroupId, public: &SignaturePublicKey) -> Key {
    Key::new(&[Kind::Signer.name(), group.as_bytes(), public.as_bytes()])
}

fn past_key(group: &GroupId, epoch: u64) -> Key {
    Kind::Past.numbered(group, epoch)
}

fn former_key(group: &GroupId, leaf: LeafIndex, last_epoch: u64) -> Key {
    let (leaf, epoch) = (leaf.0.to_be_bytes(), last_epoch.to_be_bytes());
    Key::new(&[Kind::Former.name(), group.as_bytes(), &leaf, &epoch])
}

fn proposal_key(group: &GroupId, reference: &HashReference) -> Key {
    Key::new(&[Kind::Proposal.name(), group.as_bytes(), reference.as_bytes()])
}

fn kind_byte(kind: RatchetKind) -> u8 {
    match kind {
        RatchetKind::Handshake => 1,
        RatchetKind::Application => 2,
    }
}

/// A signature key that the client has in this group alone.
pub(crate) fn put_signer(
    group: &GroupId,
    signer: &SigningKey,
    batch: &mut Batch,
) -> Result<(), Error> {
    let key = signer_key(group, signer.public_key());
    put(batch, key, |writer| values::write_secret(signer.private_key().secret(), writer))
}

/// Puts a row: its version, then what `content` writes.
pub(crate) fn put(
    batch: &mut Batch,
    key: Key,
    content: impl FnOnce(&mut Writer),
) -> Result<(), Error> {
    let mut writer = Writer::secret();
    writer.u8(VERSION);
    content(&mut writer);
    batch.puts.push((key, writer.finish_secret()?));
    Ok(())
}

/// Reads a row that [`put`] wrote.
pub(crate) fn read<T>(
    value: &Zeroizing<Vec<u8>>,
    context: &DecodeContext,
    content: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    // What was accepted when it came in is not held against limits that were lowered since.
    let context = DecodeContext { limits: unbounded(), ..context.clone() };
    let mut reader = Reader::new(value, &context);
    match reader.u8().map_err(unreadable)? {
        VERSION => {}
        other => return Err(Error::Damaged(Damaged::Version(other))),
    }
    let read = content(&mut reader).map_err(unreadable)?;
    reader.finish().map_err(unreadable)?;
    Ok(read)
}

/// A row with a type that was registered when it was written, and is not now, is as sound as before.
fn unreadable(error: DecodeError) -> Error {
    match error {
        DecodeError::UnsupportedProposal(kind) => {
            Misuse::UnregisteredProposalType(ProposalType(kind)).into()
        }
        DecodeError::UnsupportedCredential(kind) => {
            Misuse::UnregisteredCredentialType(CredentialType(kind)).into()
        }
        _ => Error::Damaged(Damaged::Unreadable),
    }
}

/// For what was accepted before, or made by this client.
pub(crate) fn unbounded() -> Limits {
    Limits {
        message_bytes: usize::MAX,
        group_id_bytes: usize::MAX,
        credential_bytes: usize::MAX,
        leaves: 1 << 31,
        proposals: usize::MAX,
        extensions: usize::MAX,
        psks: usize::MAX,
        ..Limits::default()
    }
}
