use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::crypto::HashReference;
use crate::error::Error;
use crate::group::{ApplicationMessage, CommitOutcome, Member, Proposer};
use crate::message::{GroupId, Proposal};
use crate::rows::{
    put, read, read_member, read_outcome, read_proposer, write_member, write_outcome,
    write_proposer,
};
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
    /// Somebody joined by an external Commit in the place of this client: itself elsewhere, after
    /// it had lost its state, or somebody whom the validator takes for it. Nothing has changed, for
    /// this client can't verify that the others have accepted that. If the delivery service has,
    /// this client is no member any more: [`Group::forget`] the group, or join it again
    /// ([`ExternalJoinBuilder::rejoin`]).
    ///
    /// [`ExternalJoinBuilder::rejoin`]: super::ExternalJoinBuilder::rejoin
    Replaced(EpochChange),
    /// A message that this client sent, or that says so: of an encrypted one no more can be told.
    /// Nothing has changed. A Commit that this client knows nothing of may be that of a copy of its
    /// state, such as one from a backup. If the delivery service has accepted it, what comes next
    /// is [`Early`](Self::Early), and this client has to be added anew.
    Own,
    /// A Commit of this epoch that this client made and discarded: somebody carries it all the
    /// same. If the delivery service has accepted it, the group goes on without this client, which
    /// comes back by an external Commit ([`ExternalJoinBuilder::rejoin`]) or has to be added anew.
    /// Nothing has changed.
    ///
    /// [`ExternalJoinBuilder::rejoin`]: super::ExternalJoinBuilder::rejoin
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
    reference: HashReference,
    sender: Proposer,
    proposal: Proposal,
}

/// One of the proposals that wait for a Commit: somebody else's, or one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingProposal {
    /// What a Commit refers to it by: see [`CommitBuilder::without`](super::CommitBuilder::without)
    /// and [`CommitOutcome::left_out`].
    pub reference: HashReference,
    /// Who made it.
    pub sender: Proposer,
    /// What is proposed.
    pub proposal: Proposal,
}

/// What a Commit did to a group.
#[derive(Clone, Debug)]
pub struct EpochChange {
    id: DeliveryId,
    outcome: CommitOutcome,
    lost: bool,
    welcome: Option<Outgoing>,
}

/// The group that another one continues.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Continuation {
    /// Whether it was re-initialized or branched.
    pub usage: ResumptionPskUsage,
    /// The group that was there before.
    pub group_id: GroupId,
    /// The epoch that it was in.
    pub epoch: u64,
}

/// A group that this client is now in.
#[derive(Clone, Debug)]
pub struct Joined {
    id: DeliveryId,
    welcomer: Option<Member>,
    continued: Option<Continuation>,
}

impl Received {
    /// What to acknowledge the event by, if it is kept.
    #[must_use]
    pub fn id(&self) -> Option<&DeliveryId> {
        match self {
            Self::Message(event) => Some(&event.id),
            Self::Proposal(event) => Some(&event.id),
            Self::Commit(event)
            | Self::Confirmed(event)
            | Self::Removed(event)
            | Self::Replaced(event) => Some(&event.id),
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
                event.reference.encode(writer);
                write_proposer(&event.sender, writer);
                event.proposal.encode(writer);
            }
            Self::Commit(event) => event.write(3, writer),
            Self::Confirmed(event) => event.write(4, writer),
            Self::Removed(event) => event.write(5, writer),
            Self::Replaced(event) => event.write(7, writer),
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
                    Some(Continuation { usage, group_id, epoch }) => {
                        writer.u8(1);
                        usage.encode(writer);
                        group_id.encode(writer);
                        writer.u64(*epoch);
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
                reference: HashReference::decode(reader)?,
                sender: read_proposer(reader)?,
                proposal: Proposal::decode(reader)?,
            })),
            3 => EpochChange::read(id, reader).map(Self::Commit),
            4 => EpochChange::read(id, reader).map(Self::Confirmed),
            5 => EpochChange::read(id, reader).map(Self::Removed),
            7 => EpochChange::read(id, reader).map(Self::Replaced),
            6 => Ok(Self::Joined(Joined {
                id,
                welcomer: match reader.u8()? {
                    0 => None,
                    1 => Some(read_member(reader)?),
                    other => return Err(DecodeError::InvalidPresence(other)),
                },
                continued: match reader.u8()? {
                    0 => None,
                    1 => Some(Continuation {
                        usage: ResumptionPskUsage::decode(reader)?,
                        group_id: GroupId::decode(reader)?,
                        epoch: reader.u64()?,
                    }),
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
    pub(super) fn new(
        id: DeliveryId,
        reference: HashReference,
        sender: Proposer,
        proposal: Proposal,
    ) -> Self {
        Self { id, reference, sender, proposal }
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

    /// What a Commit refers to it by. A Commit leaves it out by
    /// [`CommitBuilder::without`](super::CommitBuilder::without), and says in
    /// [`CommitOutcome::left_out`] that it did.
    #[must_use]
    pub fn reference(&self) -> &HashReference {
        &self.reference
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
    pub(super) fn new(id: DeliveryId, welcomer: Member, continued: Option<Continuation>) -> Self {
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
    /// 11.2 and 11.3): this client was in that one too, and so was everybody here, in that epoch. A
    /// branch may be of an epoch that is over, and its roster of that time: look at it, if somebody
    /// has been removed since.
    #[must_use]
    pub fn continued(&self) -> Option<&Continuation> {
        self.continued.as_ref()
    }

    pub(super) fn into_group(self, client: &Client) -> Group {
        Group::new(client.clone(), self.id.group_id().clone())
    }
}
