//! Chains of X.509 certificates as credentials (RFC 9420 section 5.3, RFC 5280), with the feature
//! `x509`.
//!
//! Any client can read such credentials; the default validator refuses them. An [`X509Validator`]
//! accepts those that lead to a trust anchor:
//!
//! ```no_run
//! use circlet::crypto::providers::DefaultProvider;
//! use circlet::crypto::{CipherSuite, Suite, SystemRng};
//! use circlet::identity::x509::{X509SetupError, X509Validator};
//! use circlet::identity::{Credential, SigningKey};
//! use circlet::{Client, Error};
//!
//! fn validator(root: Vec<u8>) -> Result<X509Validator, X509SetupError> {
//!     X509Validator::builder()
//!         .trust_anchor(root)
//!         .extended_key_usage("1.3.6.1.5.5.7.3.2") // TLS client authentication
//!         .build()
//! }
//!
//! /// `certify` has a certification authority make a chain for a key, a SubjectPublicKeyInfo.
//! fn start(
//!     validator: X509Validator,
//!     certify: impl Fn(&[u8]) -> Vec<Vec<u8>>,
//! ) -> Result<Client, Error> {
//!     let cipher_suite = CipherSuite::P256_AES128GCM_SHA256_P256;
//!     let suite = Suite::new(std::sync::Arc::new(DefaultProvider::new()), cipher_suite)?;
//!     let key = SigningKey::generate(&suite, &mut SystemRng)?;
//!     let chain = certify(&key.public_key_der().expect("a key of RFC 9420's suites"));
//!     Client::builder_for(Credential::x509(chain))
//!         .cipher_suite(cipher_suite)
//!         .signing_key(key)
//!         .validator(validator)
//!         .build()
//! }
//! # fn main() {}
//! ```
//!
//! # What is checked
//!
//! - **The chain**: at least one certificate and at most six, each of at most 16 KiB, one per entry
//!   with nothing after it, the end entity's first, each issued by the next. What is missing at its
//!   end is a trust anchor: register an authority that is not a root as one, if members leave the
//!   certificates above it out.
//! - **The key**: the end entity's key is the leaf's signature key byte for byte, marked as one for
//!   the same algorithm. Ed25519 (Ed448 where the provider has it) and ECDSA on P-256, P-384 and
//!   P-521, each with the hash of the cipher suites. **RSA is not supported**, in issuers neither.
//! - **Every certificate of the chain**: version 3, no extension twice, no critical extension that
//!   is not processed (which are basic constraints, key usage, extended key usage, alternative names
//!   and name constraints), and the time within its validity.
//! - **The end entity**: a name, no authority, and a key usage, if there is one, with
//!   digitalSignature.
//! - **The issuers and the trust anchor**: basic constraints with cA, a key usage, if there is one,
//!   with keyCertSign, and the path length. The trust anchor's validity counts as well.
//! - **The path**: signatures and name constraints up to a trust anchor. A certificate beyond the
//!   anchor, such as a root that is not trusted itself, is held to its form, extensions and validity
//!   only. Name constraints are processed for domain names and IP addresses; a constraint on another
//!   kind of name refuses every certificate below that has a name of that kind.
//!
//! Names of issuers and subjects are compared byte by byte.
//!
//! # What is up to the application
//!
//! - **Who a name is.** A valid chain says that somebody trusted gave these names to this key. That
//!   they are those of the person one means to talk to is for the application to check (RFC 6125's
//!   reference identifiers): look at [`X509Names`], from [`X509Validator::check`] or of a member.
//! - **Which names may follow which**, where a member replaces its certificate: the same subject and
//!   the same alternative names by default, [`X509ValidatorBuilder::successor`] for another rule.
//! - **Revocation.** Nothing is asked of anybody. A validator of one's own that asks this one first
//!   can look at a list of revoked certificates; removing a member is a Commit.
//! - **Time.** Members have to come to the same verdict on a Commit, and a clock may stand between
//!   them: a member that was away and comes to a Commit after a certificate in it has expired
//!   refuses what the others took. Let [`X509ValidatorBuilder::clock`] give the time at which the
//!   delivery service had the message, while messages from the past are received.
//!
//! # Expired certificates
//!
//! A member with an expired certificate can still send, make Updates and Commits, and replace the
//! certificate by them: only a new one is held against the time (section 5.3.1). It is refused where its certificate is
//! judged anew, which is at a join, of all members; [`X509ValidatorBuilder::accept_expired_members`]
//! lets that pass.
//!
//! # Why a credential was refused
//!
//! A [`CredentialValidator`](super::CredentialValidator) answers yes or no, and the error of an
//! operation is [`Refused::Credential`](crate::Refused::Credential). [`X509Validator::check`] says
//! more:
//!
//! ```
//! use circlet::identity::x509::X509Validator;
//! use circlet::identity::{
//!     Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialValidator,
//! };
//!
//! struct Logged(X509Validator);
//!
//! impl CredentialValidator for Logged {
//!     fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
//!         let names = self.0.check(check).inspect_err(|error| eprintln!("{error}"))?;
//!         // … whom the application knows by one of names.emails() …
//!         names.emails().next().map(drop).ok_or(CredentialRejected)
//!     }
//!
//!     fn identity(&self, credential: &Credential) -> Option<Vec<u8>> {
//!         self.0.identity(credential)
//!     }
//!
//!     fn credential_types(&self) -> Vec<CredentialType> {
//!         self.0.credential_types()
//!     }
//! }
//! ```

mod certificate;
mod error;
mod names;
mod path;
mod request;
mod rules;
mod validator;

pub use error::{X509Error, X509Fault, X509SetupError};
pub use names::X509Names;
pub use validator::{X509Validator, X509ValidatorBuilder};
