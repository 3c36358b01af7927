use std::fmt;
use std::ops::Deref;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::crypto::HashReference;
use crate::error::{Damaged, Error};
use crate::identity::Credential;
use crate::message::{GroupId, MlsMessage};
use crate::rows::{Kind, number_u64, put, read, unbounded};
use crate::storage::{Batch, Key};

/// Names an event or a message that is kept until [`Client::acknowledge`](super::Client::acknowledge).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    group: GroupId,
    number: u64,
    outgoing: bool,
}

/// A message to be sent, as bytes. It is kept until it is acknowledged.
#[derive(Clone)]
pub struct Outgoing {
    id: DeliveryId,
    epoch: u64,
    kind: OutgoingKind,
    bytes: Vec<u8>,
    ratchet_tree: Option<Vec<u8>>,
    recipients: Vec<Recipient>,
}

/// Whom a Welcome is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// The KeyPackageRef of the key package that it was made with (RFC 9420 section 5.2), of which
    /// [`KeyPackage::reference`](crate::message::KeyPackage::reference) is the other side.
    pub key_package: HashReference,
    /// The credential in that key package; `None` if an earlier version of this library has kept
    /// the Welcome.
    pub credential: Option<Credential>,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutgoingKind {
    /// Application data, to the group.
    Application,
    /// A proposal, to the group.
    Proposal,
    /// A Commit, to the group: the delivery service says which one of an epoch is accepted.
    Commit,
    /// A Welcome, to the new members only.
    Welcome,
}

impl DeliveryId {
    pub(super) fn incoming(group: &GroupId, number: u64) -> Self {
        Self { group: group.clone(), number, outgoing: false }
    }

    pub(super) fn outgoing(group: &GroupId, number: u64) -> Self {
        Self { group: group.clone(), number, outgoing: true }
    }

    pub(super) fn of_row(key: &Key, outgoing: bool) -> Result<Self, Error> {
        let unreadable = Error::Damaged(Damaged::Unreadable);
        let group = GroupId::new(key.component(1).ok_or(unreadable)?);
        Ok(Self { group, number: number_u64(key, 2)?, outgoing })
    }

    pub(super) fn key(&self) -> Key {
        let kind = if self.outgoing { Kind::Out } else { Kind::In };
        kind.numbered(&self.group, self.number)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.group
    }

    /// The id as bytes that stay the same over restarts. Whoever keeps them with what was
    /// delivered knows it when it comes a second time.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.key().as_bytes().to_vec()
    }

    /// An id from its bytes; `None` if they are not one's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Key::from_bytes(bytes)?;
        let outgoing = match key.component(0)? {
            kind if kind == Kind::Out.name() => true,
            kind if kind == Kind::In.name() => false,
            _ => return None,
        };
        let id = Self::of_row(&key, outgoing).ok()?;
        (id.key() == key).then_some(id)
    }
}

impl Outgoing {
    pub(super) fn new(id: DeliveryId, epoch: u64, kind: OutgoingKind, bytes: Vec<u8>) -> Self {
        Self { id, epoch, kind, bytes, ratchet_tree: None, recipients: Vec::new() }
    }

    /// A Welcome for these credentials, in the order in which it has its secrets.
    pub(super) fn welcome(
        id: DeliveryId,
        epoch: u64,
        bytes: Vec<u8>,
        credentials: impl ExactSizeIterator<Item = Credential>,
        context: &DecodeContext,
    ) -> Result<Self, Error> {
        let mut recipients = recipients(&bytes, context)?;
        if recipients.len() == credentials.len() {
            for (recipient, credential) in recipients.iter_mut().zip(credentials) {
                recipient.credential = Some(credential);
            }
        }
        Ok(Self { recipients, ..Self::new(id, epoch, OutgoingKind::Welcome, bytes) })
    }

    pub(super) fn with_ratchet_tree(self, ratchet_tree: Option<Vec<u8>>) -> Self {
        Self { ratchet_tree, ..self }
    }

    /// The epoch that it is of; for a Welcome the one that it leads into. A message that waits
    /// unsent while the group goes on is read by the members of its own epoch only, and the others
    /// forget that epoch's keys: encrypt its content anew instead.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The ratchet tree that goes with a Welcome, encoded as in its extension, if the Welcome does
    /// not have it inside.
    #[must_use]
    pub fn ratchet_tree(&self) -> Option<&[u8]> {
        self.ratchet_tree.as_deref()
    }

    /// Whom a Welcome is for, one for each new member; nobody in particular for other messages.
    #[must_use]
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        self.id.group_id()
    }

    /// What to acknowledge it by.
    #[must_use]
    pub fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// Where it goes.
    #[must_use]
    pub fn kind(&self) -> OutgoingKind {
        self.kind
    }

    /// The encoded MLSMessage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn put(&self, batch: &mut Batch) -> Result<(), Error> {
        put(batch, self.id.key(), |writer| {
            writer.u8(match self.kind {
                OutgoingKind::Application => 1,
                OutgoingKind::Proposal => 2,
                OutgoingKind::Commit => 3,
                // 4 is a Welcome without its recipients, as rows had it before.
                OutgoingKind::Welcome => 5,
            });
            writer.u64(self.epoch);
            writer.optional(self.ratchet_tree.as_ref());
            if self.kind == OutgoingKind::Welcome {
                writer.vector(&self.recipients);
            }
            writer.raw(&self.bytes);
        })
    }

    pub(super) fn read(
        id: DeliveryId,
        value: &zeroize::Zeroizing<Vec<u8>>,
        context: &DecodeContext,
    ) -> Result<Self, Error> {
        let (outgoing, complete) = read(value, context, |reader| {
            let number = reader.u8()?;
            let kind = match number {
                1 => OutgoingKind::Application,
                2 => OutgoingKind::Proposal,
                3 => OutgoingKind::Commit,
                4 | 5 => OutgoingKind::Welcome,
                other => {
                    let value = other.into();
                    return Err(DecodeError::UnknownValue { kind: "outgoing message", value });
                }
            };
            let (epoch, ratchet_tree) = (reader.u64()?, reader.optional()?);
            let recipients = if number == 5 { reader.vector()? } else { Vec::new() };
            let bytes = reader.take(reader.rest().len())?.to_vec();
            Ok((Self { id, epoch, kind, bytes, ratchet_tree, recipients }, number != 4))
        })?;
        match complete {
            true => Ok(outgoing),
            false => Ok(Self { recipients: recipients(&outgoing.bytes, context)?, ..outgoing }),
        }
    }
}

/// What a Welcome itself says of whom it is for.
fn recipients(welcome: &[u8], context: &DecodeContext) -> Result<Vec<Recipient>, Error> {
    // One's own message is not held against limits.
    let context = DecodeContext { limits: unbounded(), ..context.clone() };
    let MlsMessage::Welcome(welcome) = MlsMessage::read(welcome, &context)? else {
        return Err(Error::Internal);
    };
    let references = welcome.secrets.into_iter().map(|entry| entry.new_member);
    Ok(references.map(|key_package| Recipient { key_package, credential: None }).collect())
}

impl Encode for Recipient {
    fn encode(&self, writer: &mut Writer) {
        self.key_package.encode(writer);
        writer.optional(self.credential.as_ref());
    }
}

impl Decode for Recipient {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { key_package: HashReference::decode(reader)?, credential: reader.optional()? })
    }
}

impl Deref for Outgoing {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for Outgoing {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing({:?}, {} bytes, {:?})", self.kind, self.bytes.len(), self.id)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.outgoing { "out" } else { "in" };
        write!(f, "{}/{direction}/{}", self.group, self.number)
    }
}
