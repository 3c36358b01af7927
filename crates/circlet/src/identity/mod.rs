//! Who members are: credentials, the application's judgement of them, and the keys they sign with
//! (RFC 9420 section 5.3).

mod credential;
mod signer;
mod validator;
#[cfg(feature = "x509")]
pub mod x509;

pub use credential::{Credential, CredentialType};
pub use signer::{Signer, SignerError, SigningKey, sign_with_label};
pub use validator::{
    BasicValidator, CredentialCheck, CredentialRejected, CredentialUse, CredentialValidator,
};
