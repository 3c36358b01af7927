//! A root, an authority below it and a member, which a test breaks in one place.

use circlet::crypto::{CipherSuite, SignaturePublicKey};
use circlet::identity::x509::{X509Fault, X509Names, X509Validator, X509ValidatorBuilder};
use circlet::identity::{Credential, CredentialCheck, CredentialUse, Signer, SigningKey};

use crate::certificates::{Content, NOW, key};

/// The keys and the contents of the certificates.
pub(crate) struct World {
    pub(crate) root_key: SigningKey,
    pub(crate) middle_key: SigningKey,
    pub(crate) member_key: SigningKey,
    pub(crate) root: Content,
    pub(crate) middle: Content,
    pub(crate) member: Content,
}

impl World {
    pub(crate) fn new(cipher_suite: CipherSuite) -> Self {
        Self {
            root_key: key(cipher_suite, 1),
            middle_key: key(cipher_suite, 2),
            member_key: key(cipher_suite, 3),
            root: Content::authority("Root"),
            middle: Content::authority("Middle"),
            member: Content::member("Alice"),
        }
    }

    pub(crate) fn with(cipher_suite: CipherSuite, change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new(cipher_suite);
        change(&mut world);
        world
    }

    pub(crate) fn root_certificate(&self) -> Vec<u8> {
        self.root.issue(&self.root_key, self.root.subject, &self.root_key)
    }

    pub(crate) fn middle_certificate(&self) -> Vec<u8> {
        self.middle.issue(&self.middle_key, self.root.subject, &self.root_key)
    }

    pub(crate) fn member_certificate(&self) -> Vec<u8> {
        self.member.issue(&self.member_key, self.middle.subject, &self.middle_key)
    }

    /// Without the root, which is the trust anchor.
    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        vec![self.member_certificate(), self.middle_certificate()]
    }

    /// Trusts the root, at a fixed time.
    pub(crate) fn builder(&self) -> X509ValidatorBuilder {
        X509Validator::builder().trust_anchor(self.root_certificate()).clock(|| NOW)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        verdict(&self.builder().build().unwrap(), self.chain(), self.member_key.public_key())
    }
}

/// The names of a valid chain, or the place and fault of what is wrong.
pub(crate) type Verdict = Result<X509Names, (usize, X509Fault)>;

/// What a validator says of a chain for one's own leaf.
pub(crate) fn verdict(
    validator: &X509Validator,
    chain: Vec<Vec<u8>>,
    leaf: &SignaturePublicKey,
) -> Verdict {
    let credential = Credential::x509(chain);
    ask(validator, &CredentialCheck::new(&credential, leaf, CredentialUse::Own))
}

pub(crate) fn ask(validator: &X509Validator, check: &CredentialCheck<'_>) -> Verdict {
    use circlet::identity::CredentialValidator;

    let verdict = validator.check(check);
    assert_eq!(validator.validate(check).is_ok(), verdict.is_ok());
    verdict.map_err(|error| (error.certificate, error.fault))
}
