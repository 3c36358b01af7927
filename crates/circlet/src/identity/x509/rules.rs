//! The rules of RFC 9420 section 5.3 and RFC 5280 that are decided from the certificates alone. Path
//! building decides some of them again; here they get the certificate's place, and some of them it
//! leaves out.

use x509_cert::der::asn1::ObjectIdentifier;

use crate::crypto::{SignatureId, SignaturePublicKey, accept};
use crate::mutation::off;

use super::certificate::Certificate;
use super::error::ensure;
use super::{X509Error, X509Fault};

/// anyExtendedKeyUsage.
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// V-5.3-02: a chain has certificates, each entry is one, and each is issued by the next. Names are
/// compared byte by byte, as path building compares them.
pub(super) fn read_chain(
    entries: &[Vec<u8>],
    longest: usize,
    largest: usize,
) -> Result<Vec<Certificate<'_>>, X509Error> {
    ensure("V-5.3-02", !entries.is_empty(), 0, X509Fault::EmptyChain)?;
    ensure("x509-limits", entries.len() <= longest, longest, X509Fault::ChainTooLong)?;
    let read = |(index, entry): (usize, &'_ Vec<u8>)| {
        ensure("x509-limits", entry.len() <= largest, index, X509Fault::TooLarge)
    };
    entries.iter().enumerate().try_for_each(read)?;
    let chain: Vec<_> = (0..)
        .zip(entries)
        .map(|(index, entry)| {
            Certificate::read(entry).map_err(|fault| X509Error::new(index, fault))
        })
        .filter(|entry| entry.is_ok() || !off("V-5.3-02"))
        .collect::<Result<_, _>>()?;
    for (next, (issued, issuer)) in (1..).zip(chain.iter().zip(chain.iter().skip(1))) {
        ensure("V-5.3-02", issued.issuer == issuer.subject, next, X509Fault::NotIssuer)?;
    }
    Ok(chain)
}

/// V-5.1.2-01: the certificate's key is for the algorithm of the leaf's signature key. That one is
/// the suite's: the rules of leaves hold it to the suite's form, and no two algorithms share a form.
pub(super) fn ensure_algorithm(
    certificate: &Certificate<'_>,
    leaf: &SignaturePublicKey,
) -> Result<(), X509Error> {
    let same = accept::signature_key_form(certificate.key_algorithm, leaf.as_bytes()).is_ok();
    ensure("V-5.1.2-01", same, 0, X509Fault::OtherAlgorithm)
}

/// V-5.3-01: the key of the end entity's certificate is the leaf's signature key.
pub(super) fn ensure_key(
    certificate: &Certificate<'_>,
    leaf: &SignaturePublicKey,
) -> Result<(), X509Error> {
    ensure("V-5.3-01", certificate.key == leaf.as_bytes(), 0, X509Fault::OtherKey)
}

/// Every certificate's algorithms are among these, and each issuer's key is for the signature that
/// it made.
pub(super) fn ensure_algorithms(
    chain: &[Certificate<'_>],
    supported: impl Fn(SignatureId) -> bool,
) -> Result<(), X509Error> {
    for (index, certificate) in chain.iter().enumerate() {
        let known = supported(certificate.key_algorithm) && supported(certificate.signed_with);
        let issuer = chain.get(index.saturating_add(1));
        let fits = issuer.is_none_or(|issuer| issuer.key_algorithm == certificate.signed_with);
        ensure("x509-algorithm", known && fits, index, X509Fault::UnsupportedAlgorithm)?;
    }
    Ok(())
}

/// RFC 5280 section 4.2: a critical extension that is not understood is a reason to refuse.
pub(super) fn ensure_extensions(
    index: usize,
    certificate: &Certificate<'_>,
) -> Result<(), X509Error> {
    let known = !certificate.extensions.unknown_critical;
    ensure("RFC5280-4.2", known, index, X509Fault::UnknownCriticalExtension)
}

/// RFC 5280 sections 4.1.2.6, 4.2.1.3 and 4.2.1.9: the end entity has a name, is no authority, and
/// its key is for signatures unless nothing is said.
pub(super) fn ensure_end_entity(certificate: &Certificate<'_>) -> Result<(), X509Error> {
    let extensions = &certificate.extensions;
    let signs = extensions.key_usage.is_none_or(|usage| usage.digital_signature());
    ensure("RFC5280-4.1.2.6", certificate.is_named(), 0, X509Fault::Nameless)?;
    ensure("x509-end-entity", !extensions.authority, 0, X509Fault::AuthorityAsEndEntity)?;
    ensure("RFC5280-4.2.1.3", signs, 0, X509Fault::NotForSignatures)
}

/// RFC 5280 section 6.1.4 (k) and (n): an issuer is an authority, and its key is for signing
/// certificates unless nothing is said.
pub(super) fn ensure_issuer(index: usize, certificate: &Certificate<'_>) -> Result<(), X509Error> {
    let extensions = &certificate.extensions;
    let signs = extensions.key_usage.is_none_or(|usage| usage.key_cert_sign());
    ensure("RFC5280-6.1.4-k", extensions.authority, index, X509Fault::NotAuthority)?;
    ensure("RFC5280-6.1.4-n", signs, index, X509Fault::NotForCertificates)
}

/// RFC 5280 section 6.1.4 (l) and (m): no more authorities are below an issuer than it allows.
/// Self-issued ones count too, which RFC 5280 would let pass.
pub(super) fn ensure_path_length(
    index: usize,
    allowed: Option<usize>,
    authorities_below: usize,
) -> Result<(), X509Error> {
    let short = allowed.is_none_or(|allowed| authorities_below <= allowed);
    ensure("RFC5280-6.1.4-m", short, index, X509Fault::PathLength)
}

/// RFC 5280 section 4.2.1.12: the end entity has one of the accepted usages, and its issuers don't
/// exclude them all. Nothing is asked if no usage is demanded.
pub(super) fn ensure_extended_key_usage(
    index: usize,
    certificate: &Certificate<'_>,
    accepted: &[ObjectIdentifier],
) -> Result<(), X509Error> {
    let holds = match &certificate.extensions.extended_key_usage {
        _ if accepted.is_empty() => true,
        // An end entity that is for anything is not for this in particular.
        Some(usages) => {
            usages.iter().any(|usage| accepted.contains(usage) || index > 0 && *usage == ANY_USAGE)
        }
        None => index > 0,
    };
    ensure("RFC5280-4.2.1.12", holds, index, X509Fault::ExtendedKeyUsage)
}

/// RFC 5280 section 6.1.3 (a) (2): the time is within the certificate's validity period.
pub(super) fn ensure_valid_at(
    time: u64,
    index: usize,
    (not_before, not_after): (u64, u64),
) -> Result<(), X509Error> {
    ensure("RFC5280-6.1.3-a-2", time <= not_after, index, X509Fault::Expired)?;
    ensure("RFC5280-6.1.3-a-2", not_before <= time, index, X509Fault::NotYetValid)
}
