use std::fmt;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::crypto::SignaturePublicKey;
use crate::error::Error;
use crate::group::{ApplicationMessage, CommitOutcome, Member};
use crate::identity::Credential;
use crate::message::{GroupId, Proposal};
use crate::rows::{put, read, read_member, read_outcome, write_member, write_outcome};
use crate::schedule::ResumptionPskUsage;
use crate::storage::Batch;

use super::outgoing::{DeliveryId, Outgoing};
use super::{Client, Group};

/// What a received message meant. Each event is kept until it is acknowledged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Received {
    /// Application data.
    Message(Message),
    /// A proposal: it waits for a Commit.
    Proposal(ReceivedProposal),
    /// Somebody's Commit: the group is in a new epoch.
    Commit(EpochChange),
    /// This client's own staged Commit came back: it is confirmed.
    Confirmed(EpochChange),
    /// A Welcome: this client is in a new group.
    Joined(Joined),
    /// This client was removed. The group's state is deleted.
    Removed(EpochChange),
    /// A message that this client sent. Nothing has changed.
    Own,
    /// A Commit of this epoch that this client made and discarded: somebody carries it all the
    /// same. If the delivery service has accepted it, the group goes on without this client, which
    /// has to be added anew. Nothing has changed.
    Discarded,
    /// A message that was read before, or whose key was dropped because it is very late. Nothing
    /// has changed.
    Duplicate,
    /// A message of an epoch whose keys are gone, or a handshake message of one that is over:
    /// another Commit was first. Nothing has changed.
    Late {
        /// The message's epoch.
        epoch: u64,
    },
    /// A message of an epoch that the group has not reached. Nothing has changed, and it is not
    /// kept: give it again after the Commit that it waits for.
    Early {
        /// The message's epoch.
        epoch: u64,
    },
}

/// Application data from a member.
#[derive(Clone, Debug)]
pub struct Message {
    id: DeliveryId,
    message: ApplicationMessage,
}

/// A proposal that waits for a Commit.
#[derive(Clone, Debug)]
pub struct ReceivedProposal {
    id: DeliveryId,
    sender: Proposer,
    proposal: Proposal,
}

/// Who made a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proposer {
    /// A member.
    Member(Member),
    /// An external sender of the group's extensions (RFC 9420 section 12.1.8.1).
    External {
        /// Its place in the extension.
        index: u32,
        /// Who it is.
        credential: Credential,
        /// Verifies what it signs.
        signature_key: SignaturePublicKey,
    },
    /// Somebody who proposes its own Add.
    NewMember,
}

/// The proposer's credential, for people.
impl fmt::Display for Proposer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::External { credential, .. } => credential.fmt(f),
            Self::NewMember => f.write_str("a new member"),
        }
    }
}

impl Proposer {
    /// The member, if it is one.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::External { .. } | Self::NewMember => None,
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Member(member) => {
                writer.u8(1);
                write_member(member, writer);
            }
            Self::External { index, credential, signature_key } => {
                writer.u8(2);
                writer.u32(*index);
                credential.encode(writer);
                signature_key.encode(writer);
            }
            Self::NewMember => writer.u8(3),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => read_member(reader).map(Self::Member),
            2 => Ok(Self::External {
                index: reader.u32()?,
                credential: Credential::decode(reader)?,
                signature_key: SignaturePublicKey::decode(reader)?,
            }),
            3 => Ok(Self::NewMember),
            other => Err(DecodeError::UnknownValue { kind: "proposer", value: other.into() }),
        }
    }
}

/// What a Commit did to a group.
#[derive(Clone, Debug)]
pub struct EpochChange {
    id: DeliveryId,
    outcome: CommitOutcome,
    lost: bool,
    welcome: Option<Outgoing>,
}

/// A group that this client is now in.
#[derive(Clone, Debug)]
pub struct Joined {
    id: DeliveryId,
    welcomer: Option<Member>,
    continued: Option<(ResumptionPskUsage, GroupId)>,
}

impl Received {
    /// What to acknowledge the event by, if it is kept.
    #[must_use]
    pub fn id(&self) -> Option<&DeliveryId> {
        match self {
            Self::Message(event) => Some(&event.id),
            Self::Proposal(event) => Some(&event.id),
            Self::Commit(event) | Self::Confirmed(event) | Self::Removed(event) => Some(&event.id),
            Self::Joined(event) => Some(&event.id),
            Self::Own
            | Self::Discarded
            | Self::Duplicate
            | Self::Late { .. }
            | Self::Early { .. } => None,
        }
    }

    pub(super) fn put(&self, batch: &mut Batch) -> Result<(), Error> {
        let Some(id) = self.id() else { return Ok(()) };
        put(batch, id.key(), |writer| self.write(writer))
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Message(Message { message, .. }) => {
                writer.u8(1);
                write_member(&message.sender, writer);
                writer.u64(message.epoch);
                writer.u32(message.generation);
                writer.opaque(&message.authenticated_data);
                writer.opaque(&message.data);
            }
            Self::Proposal(event) => {
                writer.u8(2);
                event.sender.write(writer);
                event.proposal.encode(writer);
            }
            Self::Commit(event) => event.write(3, writer),
            Self::Confirmed(event) => event.write(4, writer),
            Self::Removed(event) => event.write(5, writer),
            Self::Joined(event) => {
                writer.u8(6);
                match &event.welcomer {
                    None => writer.u8(0),
                    Some(welcomer) => {
                        writer.u8(1);
                        write_member(welcomer, writer);
                    }
                }
                match &event.continued {
                    None => writer.u8(0),
                    Some((usage, group)) => {
                        writer.u8(1);
                        usage.encode(writer);
                        group.encode(writer);
                    }
                }
            }
            Self::Own
            | Self::Discarded
            | Self::Duplicate
            | Self::Late { .. }
            | Self::Early { .. } => {}
        }
    }

    pub(super) fn read(
        id: DeliveryId,
        value: &zeroize::Zeroizing<Vec<u8>>,
        context: &DecodeContext,
    ) -> Result<Self, Error> {
        read(value, context, |reader| match reader.u8()? {
            1 => Ok(Self::Message(Message { id, message: read_message(reader)? })),
            2 => Ok(Self::Proposal(ReceivedProposal {
                id,
                sender: Proposer::read(reader)?,
                proposal: Proposal::decode(reader)?,
            })),
            3 => EpochChange::read(id, reader).map(Self::Commit),
            4 => EpochChange::read(id, reader).map(Self::Confirmed),
            5 => EpochChange::read(id, reader).map(Self::Removed),
            6 => Ok(Self::Joined(Joined {
                id,
                welcomer: match reader.u8()? {
                    0 => None,
                    1 => Some(read_member(reader)?),
                    other => return Err(DecodeError::InvalidPresence(other)),
                },
                continued: match reader.u8()? {
                    0 => None,
                    1 => Some((ResumptionPskUsage::decode(reader)?, GroupId::decode(reader)?)),
                    other => return Err(DecodeError::InvalidPresence(other)),
                },
            })),
            other => Err(DecodeError::UnknownValue { kind: "event", value: other.into() }),
        })
    }
}

fn read_message(reader: &mut Reader<'_>) -> Result<ApplicationMessage, DecodeError> {
    Ok(ApplicationMessage {
        sender: read_member(reader)?,
        epoch: reader.u64()?,
        generation: reader.u32()?,
        authenticated_data: reader.opaque()?.to_vec(),
        data: reader.opaque()?.to_vec(),
    })
}

impl Message {
    pub(super) fn new(id: DeliveryId, message: ApplicationMessage) -> Self {
        Self { id, message }
    }

    /// What to acknowledge it by.
    #[must_use]
    pub fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        self.id.group_id()
    }

    /// Who sent it, by the roster of the epoch that it was sent in.
    #[must_use]
    pub fn sender(&self) -> &Member {
        &self.message.sender
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.message.data
    }

    /// Data of the application that was authenticated, not encrypted.
    #[must_use]
    pub fn authenticated_data(&self) -> &[u8] {
        &self.message.authenticated_data
    }

    /// The epoch that it was sent in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.message.epoch
    }

    /// The sender's count of messages in that epoch: a gap means that one is missing.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.message.generation
    }
}

impl ReceivedProposal {
    pub(super) fn new(id: DeliveryId, sender: Proposer, proposal: Proposal) -> Self {
        Self { id, sender, proposal }
    }

    /// What to acknowledge it by.
    #[must_use]
    pub fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// Who proposed.
    #[must_use]
    pub fn sender(&self) -> &Proposer {
        &self.sender
    }

    /// What is proposed.
    #[must_use]
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }
}

impl EpochChange {
    pub(super) fn new(id: DeliveryId, outcome: CommitOutcome, lost: bool) -> Self {
        Self { id, outcome, lost, welcome: None }
    }

    pub(super) fn with_welcome(mut self, welcome: Option<Outgoing>) -> Self {
        self.welcome = welcome;
        self
    }

    /// What to acknowledge it by.
    #[must_use]
    pub fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        self.id.group_id()
    }

    /// What was done and by whom.
    #[must_use]
    pub fn outcome(&self) -> &CommitOutcome {
        &self.outcome
    }

    /// Whether a Commit that this client had staged was dropped, because this one was first.
    #[must_use]
    pub fn lost_staged(&self) -> bool {
        self.lost
    }

    /// The Welcome for those who were added, where this client's own Commit was confirmed. After
    /// a restart it is among [`Client::unsent`].
    #[must_use]
    pub fn welcome(&self) -> Option<&Outgoing> {
        self.welcome.as_ref()
    }

    fn write(&self, kind: u8, writer: &mut Writer) {
        writer.u8(kind);
        write_outcome(&self.outcome, writer);
        writer.u8(self.lost.into());
    }

    fn read(id: DeliveryId, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let outcome = read_outcome(reader)?;
        Ok(Self { id, outcome, lost: reader.u8()? != 0, welcome: None })
    }
}

impl Joined {
    pub(super) fn new(
        id: DeliveryId,
        welcomer: Member,
        continued: Option<(ResumptionPskUsage, GroupId)>,
    ) -> Self {
        Self { id, welcomer: Some(welcomer), continued }
    }

    /// By an external Commit.
    pub(super) fn by_commit(id: DeliveryId) -> Self {
        Self { id, welcomer: None, continued: None }
    }

    /// What to acknowledge it by.
    #[must_use]
    pub fn id(&self) -> &DeliveryId {
        &self.id
    }

    /// The group; [`Client::group`] gives its handle.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        self.id.group_id()
    }

    /// The member that sent the Welcome; `None` if this client joined by an external Commit.
    #[must_use]
    pub fn welcomer(&self) -> Option<&Member> {
        self.welcomer.as_ref()
    }

    /// The group that this one continues, by re-initialization or as a branch (RFC 9420 sections
    /// 11.2 and 11.3): this client was in that one too, and so was everybody here.
    #[must_use]
    pub fn continued(&self) -> Option<(ResumptionPskUsage, &GroupId)> {
        self.continued.as_ref().map(|(usage, group)| (*usage, group))
    }

    pub(super) fn into_group(self, client: &Client) -> Group {
        Group::new(client.clone(), self.id.group_id().clone())
    }
}
