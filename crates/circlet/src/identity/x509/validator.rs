use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use x509_cert::der::asn1::ObjectIdentifier;

use crate::crypto::CryptoProvider;
use crate::crypto::providers::DefaultProvider;
use crate::identity::{
    Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialUse,
    CredentialValidator,
};
use crate::mutation::off;

use super::certificate::Certificate;
use super::error::ensure;
use super::path::{Anchors, Moment};
use super::{X509Error, X509Fault, X509Names, X509SetupError, rules};

/// Path building goes no further than six authorities.
const LONGEST_CHAIN: usize = 7;

type Clock = dyn Fn() -> u64 + Send + Sync;
type Successor = dyn Fn(&X509Names, &X509Names) -> bool + Send + Sync;

/// Accepts chains of certificates that lead to a trust anchor; other credentials are rejected. See
/// [the module](super) for what is checked.
pub struct X509Validator {
    anchors: Anchors,
    clock: Box<Clock>,
    usages: Vec<ObjectIdentifier>,
    successor: Box<Successor>,
    accept_expired_members: bool,
    longest_chain: usize,
    largest_certificate: usize,
}

/// Makes an [`X509Validator`]. It needs a trust anchor; the rest has a default.
pub struct X509ValidatorBuilder {
    anchors: Vec<Vec<u8>>,
    provider: Option<Arc<dyn CryptoProvider>>,
    clock: Box<Clock>,
    usages: Vec<String>,
    successor: Box<Successor>,
    accept_expired_members: bool,
    longest_chain: usize,
    largest_certificate: usize,
}

impl X509Validator {
    /// Begins to make one.
    #[must_use]
    pub fn builder() -> X509ValidatorBuilder {
        X509ValidatorBuilder {
            anchors: Vec::new(),
            provider: None,
            clock: Box::new(system_time),
            usages: Vec::new(),
            successor: Box::new(|old, new| old == new),
            accept_expired_members: false,
            longest_chain: 6,
            largest_certificate: 16 << 10,
        }
    }

    /// What [`CredentialValidator::validate`] decides, with the names of a valid chain, or what is
    /// wrong with which of its certificates.
    ///
    /// # Errors
    /// The first rule that the chain breaks.
    pub fn check(&self, check: &CredentialCheck<'_>) -> Result<X509Names, X509Error> {
        let Credential::X509(entries) = check.credential else {
            return Err(X509Error::new(0, X509Fault::OtherCredential));
        };
        let chain = rules::read_chain(entries, self.longest_chain, self.largest_certificate)?;
        let end_entity = chain.first().ok_or(X509Error::new(0, X509Fault::Path))?;
        rules::ensure_algorithm(end_entity, check.signature_key)?;
        rules::ensure_key(end_entity, check.signature_key)?;
        rules::ensure_algorithms(&chain, |id| self.anchors.supports(id))?;
        self.check_certificates(&chain)?;
        let moment = self.moment(&chain, check);
        for (index, certificate) in chain.iter().enumerate() {
            let period = (certificate.not_before, certificate.not_after);
            rules::ensure_valid_at(moment.time, index, period)?;
        }
        self.anchors.verify(&chain, moment)?;
        let names = X509Names::of(end_entity);
        if let Some((replaced, key)) = check.replaced {
            self.ensure_successor(replaced, &names)?;
            if off("V-5.3-05") {
                self.check(&CredentialCheck::new(replaced, key, check.reason))?;
            }
        }
        Ok(names)
    }

    /// The rules for single certificates, but for their time.
    fn check_certificates(&self, chain: &[Certificate<'_>]) -> Result<(), X509Error> {
        for (index, certificate) in chain.iter().enumerate() {
            rules::ensure_extensions(index, certificate)?;
            match index.checked_sub(1) {
                None => rules::ensure_end_entity(certificate)?,
                Some(below) => {
                    rules::ensure_issuer(index, certificate)?;
                    let allowed = certificate.extensions.path_length;
                    rules::ensure_path_length(index, allowed, below)?;
                }
            }
            rules::ensure_extended_key_usage(index, certificate, &self.usages)?;
        }
        Ok(())
    }

    /// V-5.3-05, V-5.3-06: a new credential has to be valid now. One that a member had before and
    /// keeps in its Update counts as it was when it was last valid: there is nothing new to judge.
    /// So does, if the application wants it, that of a member or external sender whom one meets at a
    /// join.
    fn moment(&self, chain: &[Certificate<'_>], check: &CredentialCheck<'_>) -> Moment {
        let now = (self.clock)();
        let kept = check.replaced == Some((check.credential, check.signature_key));
        let as_it_was = match check.reason {
            CredentialUse::Update | CredentialUse::Commit => kept && !off("V-5.3-05"),
            CredentialUse::Join | CredentialUse::JoinExternalSender => {
                self.accept_expired_members && !off("V-5.3-06")
            }
            _ => false,
        };
        if !as_it_was {
            return Moment { time: now, expired_anchors: false };
        }
        let ends = chain.iter().map(|certificate| certificate.not_after);
        Moment { time: ends.fold(now, u64::min), expired_anchors: true }
    }

    /// V-5.3-04: the new names are a valid successor to the old. That the old credential is still
    /// valid is not asked (V-5.3-05).
    fn ensure_successor(&self, replaced: &Credential, new: &X509Names) -> Result<(), X509Error> {
        let old = X509Names::presented(replaced);
        let follows = old.is_ok_and(|old| (self.successor)(&old, new));
        ensure("V-5.3-04", follows, 0, X509Fault::NotSuccessor)
    }
}

impl CredentialValidator for X509Validator {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(self.check(check).map(drop)?)
    }

    /// The subject and the alternative names, whatever rule there is for successors. The credential
    /// was judged where it came in.
    fn identity(&self, credential: &Credential) -> Option<Vec<u8>> {
        X509Names::presented(credential).ok()?.key()
    }

    /// V-13.0-03: basic credentials, which other clients list by default, are rejected here.
    fn credential_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::X509]
    }
}

impl X509ValidatorBuilder {
    /// Trusts a certification authority: its certificate in DER form. It need not be a root.
    #[must_use]
    pub fn trust_anchor(mut self, certificate: impl Into<Vec<u8>>) -> Self {
        self.anchors.push(certificate.into());
        self
    }

    /// The cryptographic provider that verifies signatures. Algorithms that none of its suites uses
    /// are not supported in certificates either.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// The time in seconds since the Unix epoch; the operating system's clock by default.
    #[must_use]
    pub fn clock(mut self, now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Box::new(now);
        self
    }

    /// Demands an extended key usage: an object identifier in dotted form, such as
    /// `1.3.6.1.5.5.7.3.2`. Of several, a certificate needs one. The end entity has to name it
    /// (anyExtendedKeyUsage does not count); issuers only must not exclude it. By default any usage
    /// is accepted, and none.
    #[must_use]
    pub fn extended_key_usage(mut self, id: &str) -> Self {
        self.usages.push(id.to_owned());
        self
    }

    /// Which names may follow which where a member replaces its certificate: called with the old
    /// and the new. By default both have the same subject and the same alternative names.
    #[must_use]
    pub fn successor(
        mut self,
        rule: impl Fn(&X509Names, &X509Names) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.successor = Box::new(rule);
        self
    }

    /// Whether one joins groups with members or external senders whose certificates have expired: then the chain must
    /// have been valid as a whole at the time when its first certificate expired. Off by default,
    /// since RFC 9420 section 5.3.1 has a joiner validate all members' credentials. Whatever is
    /// presented anew has to be valid now in any case.
    #[must_use]
    pub fn accept_expired_members(mut self, accept: bool) -> Self {
        self.accept_expired_members = accept;
        self
    }

    /// How many certificates a chain may have: 6 by default, at most 7.
    #[must_use]
    pub fn longest_chain(mut self, certificates: usize) -> Self {
        self.longest_chain = certificates.min(LONGEST_CHAIN);
        self
    }

    /// How many bytes a certificate may have: 16 KiB by default. The credential as a whole is
    /// within [`Limits::credential_bytes`](crate::codec::Limits::credential_bytes).
    #[must_use]
    pub fn largest_certificate(mut self, bytes: usize) -> Self {
        self.largest_certificate = bytes;
        self
    }

    /// Makes the validator.
    ///
    /// # Errors
    /// [`X509SetupError`]: there is no trust anchor, one is not the certificate of an authority, or
    /// an extended key usage is not an object identifier. The validity of trust anchors is judged
    /// when they are used.
    pub fn build(self) -> Result<X509Validator, X509SetupError> {
        let provider = self.provider.unwrap_or_else(|| Arc::new(DefaultProvider::new()));
        let mut anchors = Anchors::new(provider);
        for certificate in &self.anchors {
            anchors.add(certificate).map_err(X509SetupError::TrustAnchor)?;
        }
        if anchors.len() == 0 {
            return Err(X509SetupError::NoTrustAnchor);
        }
        let usages = self.usages.iter().map(|id| ObjectIdentifier::new(id));
        let usages: Result<_, _> = usages.collect();
        Ok(X509Validator {
            anchors,
            clock: self.clock,
            usages: usages.map_err(|_| X509SetupError::ObjectIdentifier)?,
            successor: self.successor,
            accept_expired_members: self.accept_expired_members,
            longest_chain: self.longest_chain,
            largest_certificate: self.largest_certificate,
        })
    }
}

/// A clock that is before the epoch is wrong, and everything not yet valid.
fn system_time() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_secs())
}

impl fmt::Debug for X509Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Validator")
            .field("trust_anchors", &self.anchors.len())
            .field("accept_expired_members", &self.accept_expired_members)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for X509ValidatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509ValidatorBuilder")
            .field("trust_anchors", &self.anchors.len())
            .field("accept_expired_members", &self.accept_expired_members)
            .finish_non_exhaustive()
    }
}
