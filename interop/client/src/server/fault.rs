use circlet::codec::{DecodeError, EncodeError};
use circlet::crypto::CryptoError;
use circlet::tree::TreeError;
use circlet::{Error, Misuse};
use thiserror::Error;
use tonic::Status;

/// Why a call failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The library said no.
    #[error("{0}")]
    Circlet(Error),
    /// There is no state with this id.
    #[error("there is no state {0}")]
    NoState(u32),
    /// There is no pending join with this id.
    #[error("there is no transaction {0}")]
    NoTransaction(u32),
    /// No group that is to be continued has this id.
    #[error("there is no re-initialization {0}")]
    NoReinit(u32),
    /// There is no external signer with this id.
    #[error("there is no external signer {0}")]
    NoSigner(u32),
    /// There is neither a state nor a pending join with this id.
    #[error("there is neither a state nor a transaction {0}")]
    NoActor(u32),
    /// No member has the identity.
    #[error("no member has this identity")]
    NoMember,
    /// The cipher suite is not among those that are supported.
    #[error("cipher suite {0} is not supported")]
    CipherSuite(u32),
    /// A number does not fit into the field that it is for.
    #[error("{0} is no extension type")]
    ExtensionType(u32),
    /// A list has an extension twice.
    #[error("extension type {0} is there twice")]
    ExtensionTwice(u16),
    /// The name of a proposal type that this method does not have.
    #[error("no such type of proposal here")]
    ProposalType,
    /// The description of a proposal is missing.
    #[error("there is no description of a proposal")]
    NoDescription,
    /// A message is of another kind than is asked for.
    #[error("the message is no {0}")]
    NotA(&'static str),
    /// No Commit of this member waits.
    #[error("no Commit of this member waits")]
    NoPendingCommit,
    /// The Commit closes no group.
    #[error("the Commit has no ReInit")]
    NotReinit,
    /// The Welcome is for a group that does not continue the one it should, in this way.
    #[error("the group of the Welcome does not continue this one")]
    NotContinued,
    /// The external signer is not among the group's external senders.
    #[error("the signer is not among the group's external senders")]
    NotExternalSender,
    /// This member is not in the group any more.
    #[error("this member was removed")]
    Removed,
    /// Every id was handed out.
    #[error("no ids are left")]
    NoIds,
}

/// All of these are errors of the library.
macro_rules! of_library {
    ($($error:ty),*) => {
        $(
            impl From<$error> for Fault {
                fn from(error: $error) -> Self {
                    Self::Circlet(error.into())
                }
            }
        )*
    };
}

of_library!(Error, CryptoError, DecodeError, EncodeError, Misuse, TreeError);

impl From<Fault> for Status {
    /// Whose fault it was, as gRPC says that.
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Circlet(error) => status_of(&error, message),
            Fault::NoState(_)
            | Fault::NoTransaction(_)
            | Fault::NoReinit(_)
            | Fault::NoSigner(_)
            | Fault::NoActor(_)
            | Fault::NoMember => Self::not_found(message),
            Fault::CipherSuite(_)
            | Fault::ExtensionType(_)
            | Fault::ExtensionTwice(_)
            | Fault::ProposalType
            | Fault::NoDescription
            | Fault::NotA(_) => Self::invalid_argument(message),
            Fault::NoPendingCommit
            | Fault::NotReinit
            | Fault::NotContinued
            | Fault::NotExternalSender
            | Fault::Removed => Self::failed_precondition(message),
            Fault::NoIds => Self::resource_exhausted(message),
        }
    }
}

fn status_of(error: &Error, message: String) -> Status {
    match error {
        Error::Violation(_) | Error::Malformed(_) => Status::invalid_argument(message),
        Error::Unready(_) | Error::Misuse(_) => Status::failed_precondition(message),
        Error::Refused(_) => Status::permission_denied(message),
        _ => Status::internal(message),
    }
}
