//! Certificates of any content, sound and unsound.

use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, SignatureId, Suite};
use circlet::identity::{Signer, SigningKey};

use crate::crypto_support::Seeded;
use crate::der::{
    BOOLEAN, INTEGER, NULL, OCTET_STRING, SET, UTC_TIME, UTF8_STRING, bits, object, sequence, value,
};

pub(crate) const ED25519: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
pub(crate) const P256: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;
pub(crate) const P521: CipherSuite = CipherSuite::P521_AES256GCM_SHA512_P521;
pub(crate) const P384: CipherSuite = CipherSuite::P384_AES256GCM_SHA384_P384;
/// Suites 1, 2, 5 and 7: one for each signature scheme that the default provider has.
pub(crate) const SUITES: [CipherSuite; 4] = [ED25519, P256, P521, P384];

/// 2025-06-15 12:00:00 UTC, within the validity of every certificate that is not told otherwise.
pub(crate) const NOW: u64 = 1_749_988_800;
/// A year later, when members' certificates have expired and those of authorities have not.
pub(crate) const NEXT_YEAR: u64 = 1_781_524_800;

pub(crate) const DIGITAL_SIGNATURE: u16 = 0x8000;
pub(crate) const KEY_CERT_SIGN: u16 = 0x0400;
pub(crate) const CRL_SIGN: u16 = 0x0200;

pub(crate) const CLIENT_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const EMAIL_PROTECTION: &str = "1.3.6.1.5.5.7.3.4";
pub(crate) const ANY_USAGE: &str = "2.5.29.37.0";

pub(crate) const RSA_WITH_SHA256: &str = "1.2.840.113549.1.1.11";
pub(crate) const RSA_KEY: &str = "1.2.840.113549.1.1.1";
pub(crate) const X25519_KEY: &str = "1.3.101.110";

/// A key that is the same for the same suite and seed.
pub(crate) fn key(cipher_suite: CipherSuite, seed: u64) -> SigningKey {
    let suite = Suite::new(std::sync::Arc::new(DefaultProvider::new()), cipher_suite).unwrap();
    SigningKey::generate(&suite, &mut Seeded(seed << 32)).unwrap()
}

/// What a certificate is to say.
#[derive(Clone)]
pub(crate) struct Content {
    /// The encoding of the version: 2 is version 3, and version 1 is left out.
    pub(crate) version: Option<u8>,
    pub(crate) subject: &'static str,
    /// Another issuer than who signs.
    pub(crate) issuer: Option<&'static str>,
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    /// The extension's content.
    pub(crate) basic_constraints: Option<Vec<u8>>,
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended_key_usage: Vec<&'static str>,
    /// GeneralNames in DER form.
    pub(crate) alternative_names: Vec<Vec<u8>>,
    /// Id, criticality and content of further extensions.
    pub(crate) more: Vec<(&'static str, bool, Vec<u8>)>,
    /// The content of the key's AlgorithmIdentifier, if it is to be wrong.
    pub(crate) key_algorithm: Option<Vec<u8>>,
    /// The content of the signature's AlgorithmIdentifier, if it is to be wrong.
    pub(crate) signature_algorithm: Option<Vec<u8>>,
}

impl Content {
    /// Of a member of groups, for a year.
    pub(crate) fn member(subject: &'static str) -> Self {
        Self {
            version: Some(2),
            subject,
            issuer: None,
            not_before: "250101000000Z",
            not_after: "260101000000Z",
            basic_constraints: None,
            key_usage: Some(DIGITAL_SIGNATURE),
            extended_key_usage: Vec::new(),
            alternative_names: vec![email("somebody@example.org")],
            more: Vec::new(),
            key_algorithm: None,
            signature_algorithm: None,
        }
    }

    /// Of a certification authority, for ten years.
    pub(crate) fn authority(subject: &'static str) -> Self {
        Self {
            not_before: "200101000000Z",
            not_after: "300101000000Z",
            basic_constraints: Some(authority_of(None)),
            key_usage: Some(KEY_CERT_SIGN | CRL_SIGN),
            alternative_names: Vec::new(),
            ..Self::member(subject)
        }
    }

    /// The certificate for a key, by an authority with this name and key.
    pub(crate) fn issue(&self, key: &SigningKey, issuer: &str, signer: &SigningKey) -> Vec<u8> {
        let algorithm = self.signature_algorithm.clone();
        let algorithm = sequence(&[algorithm.unwrap_or_else(|| signature_algorithm(signer))]);
        let key_algorithm = self.key_algorithm.clone().unwrap_or_else(|| key_algorithm(key));
        let version = self.version.map(|version| value(0xa0, &value(INTEGER, &[version])));
        let extensions = self.extensions();
        let extensions = match extensions.is_empty() {
            true => Vec::new(),
            false => value(0xa3, &sequence(&extensions)),
        };
        let signed = sequence(&[
            version.unwrap_or_default(),
            value(INTEGER, &[7]),
            algorithm.clone(),
            name(self.issuer.unwrap_or(issuer)),
            sequence(&[
                value(UTC_TIME, self.not_before.as_bytes()),
                value(UTC_TIME, self.not_after.as_bytes()),
            ]),
            name(self.subject),
            sequence(&[sequence(&[key_algorithm]), bits(key.public_key().as_bytes())]),
            extensions,
        ]);
        let signature = signer.sign(&signed).unwrap();
        sequence(&[signed, algorithm, bits(&signature.0)])
    }

    fn extensions(&self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        if let Some(constraints) = &self.basic_constraints {
            all.push(extension("2.5.29.19", true, constraints));
        }
        if let Some(usage) = self.key_usage {
            let [first, second] = usage.to_be_bytes();
            assert_eq!(second, 0, "none of the tests needs the ninth bit");
            let unused = first.trailing_zeros() as u8;
            all.push(extension("2.5.29.15", true, &value(3, &[unused, first])));
        }
        if !self.extended_key_usage.is_empty() {
            let usages: Vec<_> = self.extended_key_usage.iter().map(|id| object(id)).collect();
            all.push(extension("2.5.29.37", false, &sequence(&usages)));
        }
        if !self.alternative_names.is_empty() {
            all.push(extension("2.5.29.17", false, &sequence(&self.alternative_names)));
        }
        all.extend(
            self.more.iter().map(|(id, critical, content)| extension(id, *critical, content)),
        );
        all
    }
}

/// BasicConstraints of an authority, with a path length.
pub(crate) fn authority_of(path_length: Option<u8>) -> Vec<u8> {
    let length = path_length.map(|length| value(INTEGER, &[length]));
    sequence(&[value(BOOLEAN, &[0xff]), length.unwrap_or_default()])
}

/// A name with one common name; with none if that is empty.
pub(crate) fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return sequence(&[]);
    }
    let text = value(UTF8_STRING, common_name.as_bytes());
    sequence(&[value(SET, &sequence(&[object("2.5.4.3"), text]))])
}

pub(crate) fn email(address: &str) -> Vec<u8> {
    value(0x81, address.as_bytes())
}

pub(crate) fn domain(name: &str) -> Vec<u8> {
    value(0x82, name.as_bytes())
}

pub(crate) fn uri(uri: &str) -> Vec<u8> {
    value(0x86, uri.as_bytes())
}

/// The content of an AlgorithmIdentifier of RSA.
pub(crate) fn rsa(id: &str) -> Vec<u8> {
    [object(id), value(NULL, &[])].concat()
}

fn extension(id: &str, critical: bool, content: &[u8]) -> Vec<u8> {
    let critical = if critical { value(BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[object(id), critical, value(OCTET_STRING, content)])
}

pub(crate) fn key_algorithm(key: &SigningKey) -> Vec<u8> {
    let curve = match key.algorithm() {
        SignatureId::ED25519 => return object("1.3.101.112"),
        SignatureId::ED448 => return object("1.3.101.113"),
        SignatureId::ECDSA_P256 => "1.2.840.10045.3.1.7",
        SignatureId::ECDSA_P384 => "1.3.132.0.34",
        SignatureId::ECDSA_P521 => "1.3.132.0.35",
        other => panic!("{other:?}"),
    };
    [object("1.2.840.10045.2.1"), object(curve)].concat()
}

pub(crate) fn signature_algorithm(key: &SigningKey) -> Vec<u8> {
    object(match key.algorithm() {
        SignatureId::ED25519 => "1.3.101.112",
        SignatureId::ED448 => "1.3.101.113",
        SignatureId::ECDSA_P256 => "1.2.840.10045.4.3.2",
        SignatureId::ECDSA_P384 => "1.2.840.10045.4.3.3",
        SignatureId::ECDSA_P521 => "1.2.840.10045.4.3.4",
        other => panic!("{other:?}"),
    })
}
