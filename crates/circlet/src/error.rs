use thiserror::Error;

use crate::codec::{DecodeError, EncodeError};
use crate::crypto::{CipherSuite, CryptoError, HashReference, RngError};
use crate::identity::{CredentialRejected, CredentialType, SignerError};
use crate::rules::Violation;
use crate::schedule::Psk;
use crate::storage::StorageError;
use crate::tree::{ProposalType, TreeError};

/// Why an operation failed, by whose fault it is. Whatever it is, the group is as it was before.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A peer broke a rule of RFC 9420.
    #[error("a peer broke a rule: {0}")]
    Violation(#[from] Violation),
    /// A peer sent bytes that are no message.
    #[error("malformed message: {0}")]
    Malformed(#[from] DecodeError),
    /// The message may be sound, but something that it needs is missing here.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// The application's policy or a limit said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The caller asked for something that can't be done in this state.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// A signing key made no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The provider failed in a way that no peer can cause.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// What was read from the store is not what this version writes.
    #[error("stored data is damaged: {0}")]
    Damaged(Damaged),
    /// Something that can't happen did: a bug in this library.
    #[error("internal error")]
    Internal,
}

/// What a message needs that is not here. It may work later, or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unready {
    /// The message is for another group than the one it was given to.
    #[error("the message is for another group")]
    OtherGroup,
    /// The client is in no group with this id.
    #[error("there is no such group")]
    UnknownGroup,
    /// The message is of an epoch that the group has not reached.
    #[error("the message is of epoch {message}, the group is in epoch {current}")]
    FutureEpoch {
        /// The message's epoch.
        message: u64,
        /// The group's epoch.
        current: u64,
    },
    /// The message is of an epoch whose keys are no longer kept.
    #[error("the keys of epoch {message} are gone")]
    ForgottenEpoch {
        /// The message's epoch.
        message: u64,
    },
    /// A proposal or Commit is of an epoch that is over: another Commit was first.
    #[error("the handshake message is of epoch {message}, the group is in epoch {current}")]
    LateHandshake {
        /// The message's epoch.
        message: u64,
        /// The group's epoch.
        current: u64,
    },
    /// The key of this message was used or dropped: it is a duplicate, or very late.
    #[error("the message's key is gone: it was read before, or comes too late")]
    KeyGone,
    /// A Commit refers to a proposal that was not received.
    #[error("a Commit refers to a proposal that was not received")]
    UnknownProposal(HashReference),
    /// A pre-shared key is not known: the external one with this id, or the resumption PSK of this
    /// group and epoch.
    #[error("a pre-shared key is not known")]
    UnknownPsk(Psk),
    /// A Welcome is for none of the key packages at hand.
    #[error("the Welcome is for none of the key packages")]
    UnknownKeyPackage,
    /// The ratchet tree is not in the GroupInfo and was not given.
    #[error("the ratchet tree is missing")]
    RatchetTreeMissing,
    /// A Welcome or GroupInfo is of a cipher suite that the provider does not have.
    #[error("the provider does not have {0}")]
    UnsupportedSuite(CipherSuite),
}

/// What policy or a limit does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The application rejected a credential.
    #[error("a credential was rejected")]
    Credential,
    /// The group has as many leaves as the limit allows.
    #[error("the group has reached its limit of {0} leaves")]
    Leaves(u32),
    /// A message is too many generations ahead of its sender's ratchet.
    #[error("the message is {ahead} generations ahead, over the limit of {limit}")]
    GenerationJump {
        /// By how many generations.
        ahead: u32,
        /// The limit.
        limit: u32,
    },
    /// As many proposals wait for a Commit as the limits allow: in all, of this sender, or in
    /// bytes.
    #[error("too many proposals wait for a Commit")]
    CachedProposals,
    /// A group id is longer than the limit allows.
    #[error("a group id of more than {0} bytes")]
    GroupId(usize),
    /// What would be sent is over a limit that others may have too: they could not read it.
    #[error("a message of {actual} bytes is over the limit of {limit}")]
    MessageTooLong {
        /// The limit in bytes.
        limit: usize,
        /// The message's length in bytes.
        actual: usize,
    },
    /// A Commit would have more proposals than the limit allows.
    #[error("more than {0} proposals in a Commit")]
    Proposals(usize),
    /// A list would have more extensions than the limit allows.
    #[error("more than {0} extensions in a list")]
    Extensions(usize),
    /// A leaf is longer than the limit allows.
    #[error("a leaf of more than {0} bytes")]
    Leaf(usize),
    /// The extensions of a group are longer than the limit allows.
    #[error("a group's extensions of more than {0} bytes")]
    ExtensionsLength(usize),
    /// A group would have more external senders than the limit allows.
    #[error("more than {0} external senders of a group")]
    ExternalSenders(usize),
    /// A key package lives for longer than
    /// [`Policy::total_lifetime`](crate::group::Policy::total_lifetime), in seconds.
    #[error("a key package's lifetime is longer than {0} seconds")]
    TotalLifetime(u64),
    /// A Commit has more pre-shared keys than the limit allows.
    #[error("more than {0} pre-shared keys in a Commit")]
    Psks(usize),
    /// The policy does not let anybody join by an external Commit.
    #[error("joining by an external Commit is not allowed")]
    ExternalJoin,
    /// The policy does not let an external Commit remove the joiner's old leaf.
    #[error("an external Commit may not remove an old leaf")]
    ExternalRejoin,
    /// The policy wants a pre-shared key in every external Commit.
    #[error("an external Commit needs a pre-shared key")]
    ExternalJoinWithoutPsk,
    /// The policy does not let new members propose their own Add.
    #[error("new members may not propose their own Add")]
    NewMemberProposal,
}

/// What the caller asked for in a state that does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The client is no longer in the group.
    #[error("the client is no longer a member of the group")]
    NotMember,
    /// The group was closed by a ReInit.
    #[error("the group is closed by a re-initialization")]
    Reinitialized,
    /// No ReInit has closed the group: there is nothing to re-initialize.
    #[error("the group is not closed by a re-initialization")]
    NotReinitialized,
    /// The new group is of a cipher suite or version that is not this client's: that of the ReInit
    /// or, for a branch, of the old group.
    #[error("the new group is of another cipher suite or version")]
    OtherSuite,
    /// The members of the new group would not be those of the old one, or not some of them.
    #[error("the members of the new group are not those of the old one")]
    OtherMembers,
    /// A Commit is staged already: confirm or discard it first.
    #[error("a Commit is staged already")]
    CommitStaged,
    /// No such Commit is staged: it was discarded, or another Commit was first.
    #[error("the staged Commit is gone")]
    CommitGone,
    /// The Commit took effect before: it was confirmed, or its echo was received.
    #[error("the Commit was confirmed before")]
    CommitConfirmed,
    /// Valid proposals wait: they must be committed before application data is sent (RFC 9420
    /// section 12.4).
    #[error("proposals wait for a Commit")]
    ProposalsPending,
    /// The state went on since the step was computed.
    #[error("the group has changed since")]
    Stale,
    /// No member has this leaf.
    #[error("no member has this leaf")]
    NoSuchMember,
    /// A member can't remove itself by its own Commit: it proposes its removal, and another member
    /// commits that.
    #[error("a member can't commit its own removal")]
    RemovesSelf,
    /// The client of this key package is a member already.
    #[error("the client of this key package is a member already")]
    AlreadyMember,
    /// The client is a member of a group with this id already.
    #[error("the client is in a group with this id already")]
    GroupExists,
    /// Key packages and GroupInfos are not received: they are used where a group is changed or
    /// joined.
    #[error("such a message is not received")]
    NotReceivable,
    /// An external Commit for this group waits already: confirm or discard it first.
    #[error("a join by an external Commit is staged already")]
    JoinStaged,
    /// No such external Commit waits: it was confirmed, or discarded.
    #[error("the staged external Commit is gone")]
    JoinGone,
    /// The message is no GroupInfo, where one was asked for.
    #[error("the message is no GroupInfo")]
    NotGroupInfo,
    /// The message is no key package, where one was asked for.
    #[error("the message is no key package")]
    NotKeyPackage,
    /// The message is no Welcome, where one was asked for.
    #[error("the message is no Welcome")]
    NotWelcome,
    /// The store holds a client already, where one was to be made.
    #[error("the store holds a client already")]
    ClientExists,
    /// The store holds no client, where one was to be opened.
    #[error("the store holds no client")]
    NoClient,
    /// The store holds a client with another credential.
    #[error("the store holds another client")]
    OtherClient,
    /// A proposal of a type that is not registered with the builder, in a row of the store or where
    /// one was to be made: see
    /// [`ClientBuilder::register_proposal_type`](crate::client::ClientBuilder::register_proposal_type).
    #[error("proposal type {:#06x} is not registered with the builder", .0.0)]
    UnregisteredProposalType(ProposalType),
    /// A credential of a type that is not registered with the builder, one's own or in a row of the
    /// store: see
    /// [`ClientBuilder::register_credential_type`](crate::client::ClientBuilder::register_credential_type).
    #[error("credential type {:#06x} is not registered with the builder", .0.0)]
    UnregisteredCredentialType(CredentialType),
    /// A type that was registered is one of RFC 9420 itself, a reserved one or one that means
    /// nothing (GREASE).
    #[error("type {0:#06x} is not for applications to define")]
    ReservedType(u16),
    /// The provider does not have the cipher suite that the group is to move to.
    #[error("the provider does not have cipher suite {}", .0.0)]
    UnsupportedSuite(CipherSuite),
    /// No member has this client's credential.
    #[error("no member has this client's credential")]
    NoOwnLeaf,
    /// Several members have this client's credential: say which leaf is meant.
    #[error("several members have this client's credential")]
    SeveralOwnLeaves,
    /// The signer's key is not the one of the member's leaf.
    #[error("the signing key is not the member's")]
    WrongSigner,
    /// Every generation of the sender's ratchet is used: a Commit has to begin a new epoch.
    #[error("no message keys are left in this epoch")]
    RatchetExhausted,
    /// An exporter was asked for more than 255 × Nh or 65,535 bytes.
    #[error("the requested length is too long")]
    ExportLength,
}

/// What is wrong with a stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Damaged {
    /// A row is missing.
    #[error("a row is missing")]
    Missing,
    /// A row can't be read.
    #[error("a row can't be read")]
    Unreadable,
    /// A row is of a version that this library does not know.
    #[error("a row is of unknown version {0}")]
    Version(u8),
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Crypto(CryptoError::Encode(error))
    }
}

impl From<RngError> for Error {
    fn from(error: RngError) -> Self {
        Self::Crypto(CryptoError::Rng(error))
    }
}

impl From<CredentialRejected> for Error {
    fn from(CredentialRejected: CredentialRejected) -> Self {
        Self::Refused(Refused::Credential)
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Violation(violation) => Self::Violation(violation),
            TreeError::Decode(error) => Self::Malformed(error),
            TreeError::Crypto(error) => Self::Crypto(error),
            TreeError::TooManyLeaves { limit } => Self::Refused(Refused::Leaves(limit)),
            _ => Self::Internal,
        }
    }
}
