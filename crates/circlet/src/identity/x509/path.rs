//! The path from an end entity to a trust anchor: signatures and name constraints.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};

use crate::crypto::{CryptoProvider, SignatureId};

use super::certificate::{ALGORITHMS, Certificate};
use super::rules::{ensure_extensions, ensure_issuer, ensure_path_length, ensure_valid_at};
use super::{X509Error, X509Fault};

/// The trust anchors, and what signatures are verified with.
pub(super) struct Anchors {
    provider: Arc<dyn CryptoProvider>,
    algorithms: Vec<Algorithm>,
    /// What path building takes of the anchors: name, key and name constraints.
    anchors: Vec<TrustAnchor<'static>>,
    /// The rest, in the same order.
    bounds: Vec<Bounds>,
}

/// The moment at which a path has to be valid.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Seconds since the Unix epoch.
    pub(super) time: u64,
    /// Whether a trust anchor's end of validity is left alone.
    pub(super) expired_anchors: bool,
}

/// What a trust anchor's certificate says of its use.
struct Bounds {
    not_before: u64,
    not_after: u64,
    path_length: Option<usize>,
}

/// A signature scheme of our own provider, for path building.
struct Algorithm {
    provider: Arc<dyn CryptoProvider>,
    id: SignatureId,
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
}

impl Anchors {
    pub(super) fn new(provider: Arc<dyn CryptoProvider>) -> Self {
        let used = |id| provider.suites().iter().any(|spec| spec.signature.id == id);
        let algorithms = ALGORITHMS
            .into_iter()
            .filter(|(id, ..)| used(*id))
            .map(|(id, key, signature)| Algorithm {
                provider: Arc::clone(&provider),
                id,
                key,
                signature,
            })
            .collect();
        Self { algorithms, provider, anchors: Vec::new(), bounds: Vec::new() }
    }

    /// Takes a certificate as a trust anchor, if it is that of an authority.
    pub(super) fn add(&mut self, entry: &[u8]) -> Result<(), X509Error> {
        let index = self.anchors.len();
        let error = |fault| X509Error::new(index, fault);
        let certificate = Certificate::read(entry).map_err(error)?;
        if !self.supports(certificate.key_algorithm) {
            return Err(error(X509Fault::UnsupportedAlgorithm));
        }
        ensure_extensions(index, &certificate)?;
        ensure_issuer(index, &certificate)?;
        let entry = CertificateDer::from(entry);
        let anchor = webpki::anchor_from_trusted_cert(&entry);
        self.anchors.push(anchor.map_err(|_| error(X509Fault::Malformed))?.to_owned());
        self.bounds.push(Bounds {
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            path_length: certificate.extensions.path_length,
        });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether signatures by this scheme can be verified.
    pub(super) fn supports(&self, id: SignatureId) -> bool {
        self.algorithms.iter().any(|algorithm| algorithm.id == id)
    }

    /// Builds the path from the chain's first certificate to a trust anchor (RFC 5280 section 6.1).
    /// A certificate of the chain beyond the anchor is not looked at here.
    pub(super) fn verify(
        &self,
        chain: &[Certificate<'_>],
        moment: Moment,
    ) -> Result<(), X509Error> {
        let entries: Vec<_> = chain.iter().map(|entry| CertificateDer::from(entry.der)).collect();
        let (first, issuers) =
            entries.split_first().ok_or(X509Error::new(0, X509Fault::EmptyChain))?;
        let end_entity =
            EndEntityCert::try_from(first).map_err(|_| X509Error::new(0, X509Fault::Malformed))?;
        let algorithms: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm as _).collect();
        // Why an anchor that the path reached can't be used: another one may do.
        let refused = Cell::new(None);
        let judge = |path: &VerifiedPath<'_>| {
            self.ensure_anchor(path, moment, chain.len()).map_err(|error| {
                refused.set(Some(error));
                webpki::Error::UnknownIssuer
            })
        };
        let path = end_entity.verify_for_usage(
            &algorithms,
            &self.anchors,
            issuers,
            UnixTime::since_unix_epoch(Duration::from_secs(moment.time)),
            AnyUsage,
            None,
            Some(&judge),
        );
        match path {
            Ok(_) => Ok(()),
            Err(error) => Err(refused.get().unwrap_or_else(|| self.explain(chain, &error))),
        }
    }

    /// What RFC 5280 asks of issuers and path building leaves alone in a trust anchor.
    fn ensure_anchor(
        &self,
        path: &VerifiedPath<'_>,
        moment: Moment,
        index: usize,
    ) -> Result<(), X509Error> {
        let place = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let bounds = place.and_then(|place| self.bounds.get(place));
        let bounds = bounds.ok_or(X509Error::new(index, X509Fault::Path))?;
        let not_after = if moment.expired_anchors { u64::MAX } else { bounds.not_after };
        ensure_valid_at(moment.time, index, (bounds.not_before, not_after))?;
        ensure_path_length(index, bounds.path_length, path.intermediate_certificates().count())
    }

    /// Path building says what is wrong; here the certificate gets its place.
    fn explain(&self, chain: &[Certificate<'_>], error: &webpki::Error) -> X509Error {
        use webpki::Error as E;

        let last = chain.len().saturating_sub(1);
        match error {
            E::UnknownIssuer => X509Error::new(last, X509Fault::UntrustedIssuer),
            E::InvalidSignatureForPublicKey => {
                X509Error::new(self.forged(chain).unwrap_or(last), X509Fault::BadSignature)
            }
            // Within the chain that was looked at before: this is about the trust anchor's key.
            E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                X509Error::new(last, X509Fault::UnsupportedAlgorithm)
            }
            E::NameConstraintViolation
            | E::UnsupportedNameType
            | E::MalformedDnsIdentifier
            | E::MalformedNameConstraint
            | E::InvalidNetworkMaskConstraint => X509Error::new(0, X509Fault::NameConstraints),
            _ => X509Error::new(0, X509Fault::Path),
        }
    }

    /// The first certificate that the next one in the chain has not signed.
    fn forged(&self, chain: &[Certificate<'_>]) -> Option<usize> {
        let issuers = chain.iter().skip(1);
        chain.iter().zip(issuers).position(|(issued, issuer)| {
            let (id, signature) = (issued.signed_with, &issued.signature);
            self.provider.verify(id, &issuer.key, issued.signed, signature).is_err()
        })
    }
}

/// Extended key usages are judged by the rules, with the application's policy.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let verdict = self.provider.verify(self.id, public_key, message, signature);
        verdict.map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Algorithm").field(&self.id).finish()
    }
}
