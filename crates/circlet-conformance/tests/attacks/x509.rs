//! Attack 22: chains of certificates.

use circlet::crypto::CipherSuite;
use circlet::identity::x509::{X509Fault, X509Validator};
use circlet::identity::{Credential, CredentialCheck, CredentialUse, CredentialValidator, Signer};

use crate::certificates::{CRL_SIGN, Content, DIGITAL_SIGNATURE, NOW, authority_of, key};

const SUITES: [CipherSuite; 2] =
    [CipherSuite::X25519_AES128GCM_SHA256_ED25519, CipherSuite::P256_AES128GCM_SHA256_P256];

/// A root, an authority below it, and a member below that.
struct Chain {
    suite: CipherSuite,
    root: Content,
    middle: Content,
    member: Content,
}

impl Chain {
    fn new(suite: CipherSuite) -> Self {
        Self {
            suite,
            root: Content::authority("Root"),
            middle: Content::authority("Middle"),
            member: Content::member("Alice"),
        }
    }

    /// What is said of it, with one more certificate below the member's if `below` says so: issued
    /// by the member, who is no authority.
    fn verdict(&self, below: bool) -> Result<(), (usize, X509Fault)> {
        let [root, middle, member, last] = [1, 2, 3, 4].map(|seed| key(self.suite, seed));
        let anchor = self.root.issue(&root, self.root.subject, &root);
        let mut chain = vec![
            self.member.issue(&member, self.middle.subject, &middle),
            self.middle.issue(&middle, self.root.subject, &root),
        ];
        if below {
            let stolen = Content::member("Somebody Else");
            chain.insert(0, stolen.issue(&last, self.member.subject, &member));
        }
        let leaf = if below { &last } else { &member };
        let validator = X509Validator::builder().trust_anchor(anchor).clock(|| NOW);
        let validator = validator.build().unwrap();
        let credential = Credential::x509(chain);
        let check = CredentialCheck::new(&credential, leaf.public_key(), CredentialUse::Add);
        let verdict = validator.check(&check);
        assert_eq!(validator.validate(&check).is_ok(), verdict.is_ok());
        verdict.map(drop).map_err(|error| (error.certificate, error.fault))
    }
}

/// Whoever has any certificate issues others with it: a validator that only follows signatures
/// takes a member for an authority. Basic constraints, path length and key usage are held against
/// each issuer, and the validity of each certificate against the time.
///
/// V-5.3-02.
#[test]
fn attack_22_x509_chains() {
    for suite in SUITES {
        assert_eq!(Chain::new(suite).verdict(false), Ok(()));
        // The end entity as an issuer.
        assert_eq!(Chain::new(suite).verdict(true), Err((1, X509Fault::NotAuthority)));
        type Break = fn(&mut Chain);
        let cases: [(Break, (usize, X509Fault)); 9] = [
            (|chain| chain.middle.basic_constraints = None, (1, X509Fault::NotAuthority)),
            (
                |chain| chain.middle.key_usage = Some(DIGITAL_SIGNATURE | CRL_SIGN),
                (1, X509Fault::NotForCertificates),
            ),
            (|chain| chain.middle.not_after = "250101000000Z", (1, X509Fault::Expired)),
            (|chain| chain.middle.not_before = "290101000000Z", (1, X509Fault::NotYetValid)),
            (|chain| chain.member.not_after = "250601000000Z", (0, X509Fault::Expired)),
            (|chain| chain.member.key_usage = Some(CRL_SIGN), (0, X509Fault::NotForSignatures)),
            (
                |chain| chain.member.basic_constraints = Some(authority_of(None)),
                (0, X509Fault::AuthorityAsEndEntity),
            ),
            (|chain| chain.middle.issuer = Some("Another"), (1, X509Fault::UntrustedIssuer)),
            (|chain| chain.member.issuer = Some("Another"), (1, X509Fault::NotIssuer)),
        ];
        for (number, (change, expected)) in cases.into_iter().enumerate() {
            let mut chain = Chain::new(suite);
            change(&mut chain);
            assert_eq!(chain.verdict(false), Err(expected), "{number}, {suite:?}");
        }
        // A path that is longer than an authority allows.
        let mut chain = Chain::new(suite);
        chain.member.basic_constraints = Some(authority_of(None));
        chain.member.key_usage = Some(0x0400);
        assert_eq!(chain.verdict(true), Ok(()));
        chain.middle.basic_constraints = Some(authority_of(Some(0)));
        assert_eq!(chain.verdict(true), Err((2, X509Fault::PathLength)));
    }
}
