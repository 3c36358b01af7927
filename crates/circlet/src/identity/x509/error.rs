use thiserror::Error;

use crate::identity::CredentialRejected;

/// Which certificate of a chain is at fault, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("certificate {certificate}: {fault}")]
#[non_exhaustive]
pub struct X509Error {
    /// Its place in the chain: 0 is the end entity, the chain's length the trust anchor.
    pub certificate: usize,
    /// What is wrong.
    pub fault: X509Fault,
}

impl X509Error {
    pub(super) fn new(certificate: usize, fault: X509Fault) -> Self {
        Self { certificate, fault }
    }
}

/// The reason is lost: ask [`X509Validator::check`](super::X509Validator::check) to keep it.
impl From<X509Error> for CredentialRejected {
    fn from(_: X509Error) -> Self {
        Self
    }
}

/// What is wrong with a certificate, or with the chain that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum X509Fault {
    /// The credential is of another type.
    #[error("the credential is not a chain of certificates")]
    OtherCredential,
    /// The chain has no certificate.
    #[error("the chain is empty")]
    EmptyChain,
    /// The chain has more certificates than are accepted; this is the first too many.
    #[error("the chain is too long")]
    ChainTooLong,
    /// The certificate has more bytes than are accepted.
    #[error("the certificate is too large")]
    TooLarge,
    /// It is not a certificate in DER form, or one of its fields or extensions is not.
    #[error("not a certificate in DER form")]
    Malformed,
    /// Bytes follow the certificate in its entry, such as a second certificate.
    #[error("bytes follow the certificate")]
    TrailingData,
    /// It is not of version 3.
    #[error("not a certificate of version 3")]
    Version,
    /// It has two extensions of the same type.
    #[error("an extension is there twice")]
    DuplicateExtension,
    /// It holds an RSA key or signature. No cipher suite of MLS uses RSA.
    #[error("RSA is not supported")]
    Rsa,
    /// It holds a key or signature of another algorithm that no suite of the provider uses, or its
    /// issuer's key is not for the algorithm of its signature.
    #[error("the algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The key's algorithm is not that of the leaf's signature key.
    #[error("the key is for another signature algorithm than the leaf's")]
    OtherAlgorithm,
    /// The key is not the leaf's signature key.
    #[error("the key is not the leaf's")]
    OtherKey,
    /// It is not the issuer of the certificate before it.
    #[error("not the issuer of the certificate before it")]
    NotIssuer,
    /// A critical extension is not understood.
    #[error("a critical extension is unknown")]
    UnknownCriticalExtension,
    /// The end entity's certificate is that of an authority.
    #[error("a certification authority as end entity")]
    AuthorityAsEndEntity,
    /// The end entity has no name, neither as subject nor among the alternative names.
    #[error("the end entity has no name")]
    Nameless,
    /// The end entity's key is not for digital signatures.
    #[error("the key is not for digital signatures")]
    NotForSignatures,
    /// It issued a certificate and is not that of an authority.
    #[error("the issuer is not a certification authority")]
    NotAuthority,
    /// It issued a certificate and its key is not for that.
    #[error("the key is not for signing certificates")]
    NotForCertificates,
    /// There are more authorities below it than it allows.
    #[error("the path below is longer than it allows")]
    PathLength,
    /// It has none of the extended key usages that are accepted.
    #[error("no extended key usage is accepted")]
    ExtendedKeyUsage,
    /// Its time of validity is over.
    #[error("expired")]
    Expired,
    /// Its time of validity has not begun.
    #[error("not yet valid")]
    NotYetValid,
    /// Its signature is not that of its issuer: of the next certificate, or of the trust anchor
    /// with the issuer's name.
    #[error("the signature is not its issuer's")]
    BadSignature,
    /// The chain ends here, and no trust anchor has issued it.
    #[error("no trust anchor is its issuer")]
    UntrustedIssuer,
    /// A name in the path is not one that its issuers may give. This is told of the end entity,
    /// whichever certificate has the name.
    #[error("a name in the path is against an issuer's constraints")]
    NameConstraints,
    /// The path to a trust anchor is not valid for another reason. This is told of the end entity.
    #[error("the path is not valid")]
    Path,
    /// Its names are not those of the credential that it replaces, or no successor to them by the
    /// application's rule.
    #[error("not a successor to the credential before")]
    NotSuccessor,
}

/// Why there is no validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum X509SetupError {
    /// Without a trust anchor nothing is ever valid.
    #[error("there is no trust anchor")]
    NoTrustAnchor,
    /// A trust anchor can't be one; they are counted from 0 as they were given.
    #[error("trust anchor: {0}")]
    TrustAnchor(X509Error),
    /// An extended key usage is not an object identifier in dotted form.
    #[error("not an object identifier")]
    ObjectIdentifier,
}

/// A rule that whoever made the chain can break. The row is that of the conformance table, or the
/// section of RFC 5280.
pub(super) fn ensure(
    row: &str,
    holds: bool,
    certificate: usize,
    fault: X509Fault,
) -> Result<(), X509Error> {
    if holds || crate::mutation::off(row) {
        Ok(())
    } else {
        Err(X509Error::new(certificate, fault))
    }
}
