use std::collections::BTreeSet;

use rustls_pki_types::{AlgorithmIdentifier, alg_id};
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::der::asn1::{AnyRef, BitString, ObjectIdentifier};
use x509_cert::der::{self, Decode, Encode, ErrorKind, Header, Reader, SliceReader, Tagged};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::crypto::SignatureId;

use super::X509Fault;

/// One certificate as it was read: well formed, and not yet trusted in any way.
pub(super) struct Certificate<'a> {
    pub(super) der: &'a [u8],
    /// What the signature is over: the TBSCertificate.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    /// The scheme of the signature.
    pub(super) signed_with: SignatureId,
    /// The distinguished names in DER form.
    pub(super) issuer: Vec<u8>,
    pub(super) subject: Vec<u8>,
    /// The validity period in seconds since the Unix epoch, both ends included.
    pub(super) not_before: u64,
    pub(super) not_after: u64,
    /// The scheme that the key is for.
    pub(super) key_algorithm: SignatureId,
    /// The key in the form of RFC 9420 section 5.1.1: for ECDSA the uncompressed point.
    pub(super) key: Vec<u8>,
    pub(super) extensions: Extensions,
}

/// What a certificate's extensions say, as far as they are understood.
pub(super) struct Extensions {
    /// Whether it is that of an authority.
    pub(super) authority: bool,
    /// How many authorities may be below it.
    pub(super) path_length: Option<usize>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) extended_key_usage: Option<Vec<ObjectIdentifier>>,
    /// The subject's alternative names, each a GeneralName in DER form.
    pub(super) alternative_names: BTreeSet<Vec<u8>>,
    pub(super) unknown_critical: bool,
}

/// The algorithms of the suites of RFC 9420 section 17.1: the scheme, how a key for it is marked,
/// and how a signature by it is marked.
pub(super) const ALGORITHMS: [(SignatureId, AlgorithmIdentifier, AlgorithmIdentifier); 5] = [
    (SignatureId::ED25519, alg_id::ED25519, alg_id::ED25519),
    (SignatureId::ED448, alg_id::ED448, alg_id::ED448),
    (SignatureId::ECDSA_P256, alg_id::ECDSA_P256, alg_id::ECDSA_SHA256),
    (SignatureId::ECDSA_P384, alg_id::ECDSA_P384, alg_id::ECDSA_SHA384),
    (SignatureId::ECDSA_P521, alg_id::ECDSA_P521, alg_id::ECDSA_SHA512),
];

/// The tree of RSA's algorithms in PKCS #1.
const PKCS1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1");

const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

impl<'a> Certificate<'a> {
    /// Reads an entry of a chain: one certificate and nothing after it.
    pub(super) fn read(entry: &'a [u8]) -> Result<Self, X509Fault> {
        let certificate = x509_cert::Certificate::from_der(entry).map_err(unreadable)?;
        let content = certificate.tbs_certificate();
        if content.version() != Version::V3 {
            return Err(X509Fault::Version);
        }
        // RFC 5280 section 4.1.1.2: the algorithm outside is the one that was signed.
        if certificate.signature_algorithm() != content.signature() {
            return Err(X509Fault::Malformed);
        }
        let key = content.subject_public_key_info();
        let validity = content.validity();
        Ok(Self {
            der: entry,
            signed: signed_part(entry).map_err(unreadable)?,
            signature: bytes(certificate.signature())?,
            signed_with: signature_algorithm(certificate.signature_algorithm())?,
            issuer: content.issuer().to_der().map_err(unreadable)?,
            subject: content.subject().to_der().map_err(unreadable)?,
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            key_algorithm: key_algorithm(&key.algorithm)?,
            key: bytes(&key.subject_public_key)?,
            extensions: Extensions::read(content)?,
        })
    }

    /// Whether it has a name of any kind.
    pub(super) fn is_named(&self) -> bool {
        // An empty sequence has a tag and a length.
        self.subject.len() > 2 || !self.extensions.alternative_names.is_empty()
    }
}

impl Extensions {
    fn read(content: &TbsCertificate) -> Result<Self, X509Fault> {
        let mut read = Self {
            authority: false,
            path_length: None,
            key_usage: None,
            extended_key_usage: None,
            alternative_names: BTreeSet::new(),
            unknown_critical: false,
        };
        let mut seen = BTreeSet::new();
        for extension in content.extensions().into_iter().flatten() {
            if !seen.insert(extension.extn_id) {
                return Err(X509Fault::DuplicateExtension);
            }
            let value = extension.extn_value.as_bytes();
            read.take(extension.extn_id, extension.critical, value).map_err(unreadable)?;
        }
        Ok(read)
    }

    fn take(&mut self, id: ObjectIdentifier, critical: bool, value: &[u8]) -> der::Result<()> {
        match id {
            BASIC_CONSTRAINTS => {
                let constraints = BasicConstraints::from_der(value)?;
                self.authority = constraints.ca;
                self.path_length = constraints.path_len_constraint.map(usize::from);
            }
            KEY_USAGE => self.key_usage = Some(KeyUsage::from_der(value)?),
            EXTENDED_KEY_USAGE => {
                self.extended_key_usage = Some(ExtendedKeyUsage::from_der(value)?.0);
            }
            ALTERNATIVE_NAME => self.alternative_names = general_names(value)?,
            // Held against the names of the path when that is built.
            NAME_CONSTRAINTS => {}
            // RFC 5280 section 4.2: what is critical and not processed is a reason to refuse.
            _ => self.unknown_critical |= critical,
        }
        Ok(())
    }
}

/// The end entity's part of RFC 5280 section 4.2.1.6, name by name.
fn general_names(value: &[u8]) -> der::Result<BTreeSet<Vec<u8>>> {
    let names = AnyRef::from_der(value)?;
    names.tag().assert_eq(der::Tag::Sequence)?;
    let mut reader = SliceReader::new(names.value())?;
    let mut found = BTreeSet::new();
    while !reader.is_finished() {
        found.insert(reader.tlv_bytes()?.to_vec());
    }
    Ok(found)
}

/// The first element of the outer sequence, as it stands there.
fn signed_part(certificate: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(certificate)?;
    Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

fn key_algorithm(found: &AlgorithmIdentifierOwned) -> Result<SignatureId, X509Fault> {
    find_algorithm(found, |(_, key, _)| key)
}

fn signature_algorithm(found: &AlgorithmIdentifierOwned) -> Result<SignatureId, X509Fault> {
    find_algorithm(found, |(_, _, signature)| signature)
}

type Algorithm = (SignatureId, AlgorithmIdentifier, AlgorithmIdentifier);

fn find_algorithm(
    found: &AlgorithmIdentifierOwned,
    marked: impl Fn(&Algorithm) -> &AlgorithmIdentifier,
) -> Result<SignatureId, X509Fault> {
    let encoded = found.to_der().map_err(unreadable)?;
    let content = AnyRef::from_der(&encoded).map_err(unreadable)?.value();
    if let Some((id, ..)) = ALGORITHMS.iter().find(|row| marked(row).as_ref() == content) {
        return Ok(*id);
    }
    match found.oid.parent() {
        Some(PKCS1) => Err(X509Fault::Rsa),
        _ => Err(X509Fault::UnsupportedAlgorithm),
    }
}

fn bytes(bits: &BitString) -> Result<Vec<u8>, X509Fault> {
    bits.as_bytes().map(<[u8]>::to_vec).ok_or(X509Fault::Malformed)
}

fn unreadable(error: der::Error) -> X509Fault {
    match error.kind() {
        ErrorKind::TrailingData { .. } => X509Fault::TrailingData,
        _ => X509Fault::Malformed,
    }
}
