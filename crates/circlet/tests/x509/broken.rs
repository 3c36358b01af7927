//! Chains that are broken in one place, each with the place and the fault that is told: what
//! libraries are known to have missed (basic constraints, path length, key usage) among them.

use circlet::crypto::SignaturePublicKey;
use circlet::identity::x509::{X509Fault, X509SetupError, X509Validator};
use circlet::identity::{BasicValidator, Credential, CredentialCheck, CredentialUse, Signer};

use crate::certificates::{
    CRL_SIGN, Content, DIGITAL_SIGNATURE, ED25519, KEY_CERT_SIGN, NOW, P256, P384, RSA_KEY,
    RSA_WITH_SHA256, SUITES, X25519_KEY, authority_of, domain, email, key, rsa,
};
use crate::der::{BOOLEAN, INTEGER, NULL, object, sequence, value};
use crate::world::{Verdict, World, ask, verdict};

/// What is said of this world's chain after the change.
#[track_caller]
fn assert_fault(certificate: usize, fault: X509Fault, change: impl FnOnce(&mut World)) {
    World::new(P256).verdict().unwrap();
    assert_eq!(World::with(P256, change).verdict(), Err((certificate, fault)));
}

/// What is said of another chain with the same keys.
fn judge(world: &World, chain: Vec<Vec<u8>>) -> Verdict {
    verdict(&world.builder().build().unwrap(), chain, world.member_key.public_key())
}

/// V-5.3-02: an empty chain.
#[test]
fn v_5_3_02_empty() {
    assert_eq!(judge(&World::new(P256), Vec::new()), Err((0, X509Fault::EmptyChain)));
}

/// V-5.3-02: two certificates in one entry; the second one alone would be sound too.
#[test]
fn v_5_3_02_two_certificates_in_one_entry() {
    let world = World::new(P256);
    assert_eq!(judge(&world, vec![world.chain().concat()]), Err((0, X509Fault::TrailingData)));
    let [member, middle] = <[_; 2]>::try_from(world.chain()).unwrap();
    let chain = vec![member, [middle, world.root_certificate()].concat()];
    assert_eq!(judge(&world, chain), Err((1, X509Fault::TrailingData)));
}

/// V-5.3-02: one byte after a certificate.
#[test]
fn v_5_3_02_trailing_byte() {
    let world = World::new(P256);
    for place in 0..2 {
        let mut chain = world.chain();
        chain[place].push(0);
        assert_eq!(judge(&world, chain), Err((place, X509Fault::TrailingData)));
    }
}

/// V-5.3-02: an authority's certificate first.
#[test]
fn v_5_3_02_reversed() {
    let world = World::new(P256);
    let chain = world.chain().into_iter().rev().collect();
    assert_eq!(judge(&world, chain), Err((1, X509Fault::NotIssuer)));
    let chain = [world.chain(), vec![world.root_certificate()]].concat();
    let chain = chain.into_iter().rev().collect();
    assert_eq!(judge(&world, chain), Err((1, X509Fault::NotIssuer)));
}

/// V-5.3-02: the issuers in another order. Path building by itself would find the way.
#[test]
fn v_5_3_02_shuffled() {
    let world = World::new(P256);
    let [member, middle] = <[_; 2]>::try_from(world.chain()).unwrap();
    let chain = vec![member, world.root_certificate(), middle];
    assert_eq!(judge(&world, chain), Err((1, X509Fault::NotIssuer)));
}

/// V-5.3-02: a certificate in the midst is missing, or one too many is there.
#[test]
fn v_5_3_02_gap_and_stranger() {
    let world = World::new(P256);
    let chain = vec![world.member_certificate(), world.root_certificate()];
    assert_eq!(judge(&world, chain), Err((1, X509Fault::NotIssuer)));
    let stranger = Content::authority("Stranger");
    let stranger = stranger.issue(&key(P256, 8), "Root", &world.root_key);
    let chain = [world.chain(), vec![stranger]].concat();
    assert_eq!(judge(&world, chain), Err((2, X509Fault::NotIssuer)));
}

/// V-5.3-02: the last issuer is missing, and is no trust anchor.
#[test]
fn the_end_is_missing() {
    let world = World::new(P256);
    let chain = vec![world.member_certificate()];
    assert_eq!(judge(&world, chain), Err((0, X509Fault::UntrustedIssuer)));
}

/// V-5.3-02: entries that are no certificates, and every truncation of one that is.
#[test]
fn v_5_3_02_malformed() {
    let world = World::new(ED25519);
    for entry in [vec![], vec![0x30], vec![0; 300], b"-----BEGIN CERTIFICATE-----".to_vec()] {
        assert_eq!(judge(&world, vec![entry]), Err((0, X509Fault::Malformed)));
    }
    let [member, middle] = <[_; 2]>::try_from(world.chain()).unwrap();
    for length in 0..member.len() {
        let chain = vec![member[..length].to_vec(), middle.clone()];
        assert_eq!(judge(&world, chain), Err((0, X509Fault::Malformed)), "{length}");
    }
}

/// No bit of a certificate can be turned.
#[test]
fn every_bit_counts() {
    let world = World::new(ED25519);
    let validator = world.builder().build().unwrap();
    let chain = world.chain();
    for place in 0..2 {
        for bit in 0..chain[place].len() * 8 {
            let mut chain = chain.clone();
            chain[place][bit / 8] ^= 1 << (bit % 8);
            let said = verdict(&validator, chain, world.member_key.public_key());
            assert!(said.is_err(), "certificate {place}, bit {bit}");
        }
    }
}

/// V-5.3-01: the end entity has another key of the same kind.
#[test]
fn v_5_3_01_other_key() {
    for suite in SUITES {
        let world = World::new(suite);
        let validator = world.builder().build().unwrap();
        let other = key(suite, 4);
        let said = verdict(&validator, world.chain(), other.public_key());
        assert_eq!(said, Err((0, X509Fault::OtherKey)), "{suite:?}");
    }
}

/// V-5.1.2-01, V-5.3-01: the end entity's key is for another signature algorithm.
#[test]
fn v_5_1_2_01_other_algorithm() {
    for (ours, theirs) in SUITES.iter().zip(SUITES.iter().cycle().skip(1)) {
        let world = World::new(*theirs);
        let validator = world.builder().build().unwrap();
        let leaf = key(*ours, 3);
        let said = verdict(&validator, world.chain(), leaf.public_key());
        assert_eq!(said, Err((0, X509Fault::OtherAlgorithm)), "{ours:?}, {theirs:?}");
    }
}

/// V-5.1.2-01: the right bytes, marked as a key of X25519, which signs nothing.
#[test]
fn v_5_1_2_01_key_agreement() {
    let world = World::with(ED25519, |world| {
        world.member.key_algorithm = Some(object(X25519_KEY));
    });
    assert_eq!(world.verdict(), Err((0, X509Fault::UnsupportedAlgorithm)));
}

/// V-5.1.2-01: the point of P-256, marked as one of P-384.
#[test]
fn v_5_1_2_01_other_curve() {
    assert_fault(0, X509Fault::OtherAlgorithm, |world| {
        let algorithm = crate::certificates::key_algorithm(&key(P384, 1));
        world.member.key_algorithm = Some(algorithm);
    });
}

/// V-5.3-01: the same point in compressed form is not identical.
#[test]
fn v_5_3_01_compressed_point() {
    let world = World::new(P256);
    let validator = world.builder().build().unwrap();
    let point = world.member_key.public_key().as_bytes();
    let compressed = [&[2 | (point[64] & 1)], &point[1..33]].concat();
    let said = verdict(&validator, world.chain(), &SignaturePublicKey::new(&compressed));
    assert_eq!(said, Err((0, X509Fault::OtherAlgorithm)));
}

/// An algorithm identifier with parameters that do not belong there.
#[test]
fn parameters_where_none_belong() {
    let world = World::with(ED25519, |world| {
        world.member.key_algorithm = Some([object("1.3.101.112"), value(NULL, &[])].concat());
    });
    assert_eq!(world.verdict(), Err((0, X509Fault::UnsupportedAlgorithm)));
}

/// RSA keys and signatures are told apart from what is merely unknown.
#[test]
fn rsa_is_not_supported() {
    assert_fault(0, X509Fault::Rsa, |world| world.member.key_algorithm = Some(rsa(RSA_KEY)));
    assert_fault(1, X509Fault::Rsa, |world| world.middle.key_algorithm = Some(rsa(RSA_KEY)));
    for place in 0..2 {
        assert_fault(place, X509Fault::Rsa, |world| {
            let content = [&mut world.member, &mut world.middle].into_iter().nth(place).unwrap();
            content.signature_algorithm = Some(rsa(RSA_WITH_SHA256));
        });
    }
    assert_fault(1, X509Fault::UnsupportedAlgorithm, |world| {
        world.middle.signature_algorithm = Some(object("1.2.3.4"));
    });
}

/// A signature's hash is the one that the suites pair with the curve.
#[test]
fn a_key_with_the_hash_of_another() {
    let with_sha384 = Some(crate::certificates::signature_algorithm(&key(P384, 1)));
    assert_fault(0, X509Fault::UnsupportedAlgorithm, |world| {
        world.member.signature_algorithm = with_sha384.clone();
    });
    // Here the key is the trust anchor's.
    assert_fault(1, X509Fault::UnsupportedAlgorithm, |world| {
        world.middle.signature_algorithm = with_sha384;
    });
}

/// The algorithm outside of what is signed is another one.
#[test]
fn two_algorithms() {
    let world = World::new(P256);
    let [mut member, middle] = <[_; 2]>::try_from(world.chain()).unwrap();
    let inside = crate::certificates::signature_algorithm(&world.middle_key);
    let outside = crate::certificates::signature_algorithm(&key(P384, 1));
    let start = member.windows(inside.len()).rposition(|window| window == inside).unwrap();
    member[start..start + inside.len()].copy_from_slice(&outside);
    assert_eq!(judge(&world, vec![member, middle]), Err((0, X509Fault::Malformed)));
}

/// A trust anchor of another name, and one of the same name with another key.
#[test]
fn wrong_trust_anchor() {
    let world = World::new(P256);
    let others = key(P256, 9);
    let leaf = world.member_key.public_key();
    for (name, fault) in [("Other", X509Fault::UntrustedIssuer), ("Root", X509Fault::BadSignature)]
    {
        let anchor = Content::authority(name).issue(&others, name, &others);
        let builder = X509Validator::builder().trust_anchor(anchor).clock(|| NOW);
        let validator = builder.build().unwrap();
        assert_eq!(verdict(&validator, world.chain(), leaf), Err((1, fault)));
        // A root in the chain is worth nothing by itself.
        let chain = [world.chain(), vec![world.root_certificate()]].concat();
        assert_eq!(verdict(&validator, chain, leaf), Err((2, fault)));
    }
}

/// A self-signed end entity.
#[test]
fn self_signed() {
    let world = World::new(P256);
    let member = world.member.issue(&world.member_key, "Alice", &world.member_key);
    assert_eq!(judge(&world, vec![member]), Err((0, X509Fault::UntrustedIssuer)));
}

/// Signatures by another key than the issuer's, at each place.
#[test]
fn bad_signature() {
    for suite in SUITES {
        let world = World::new(suite);
        let others = key(suite, 9);
        let [member, middle] = <[_; 2]>::try_from(world.chain()).unwrap();
        let forged = world.member.issue(&world.member_key, "Middle", &others);
        let said = judge(&world, vec![forged, middle]);
        assert_eq!(said, Err((0, X509Fault::BadSignature)), "{suite:?}");
        let forged = world.middle.issue(&world.middle_key, "Root", &others);
        let said = judge(&world, vec![member, forged]);
        assert_eq!(said, Err((1, X509Fault::BadSignature)), "{suite:?}");
    }
}

/// RFC 5280 section 6.1.4 (k): a member's certificate issues another one, with no basic constraints
/// and with such that say no.
#[test]
fn end_entity_as_authority() {
    let world = World::new(P256);
    let victim_key = key(P256, 5);
    let victim = Content::member("Victim").issue(&victim_key, "Alice", &world.member_key);
    let chain = [vec![victim], world.chain()].concat();
    let validator = world.builder().build().unwrap();
    let said = verdict(&validator, chain, victim_key.public_key());
    assert_eq!(said, Err((1, X509Fault::NotAuthority)));
    for constraints in [None, Some(sequence(&[])), Some(sequence(&[value(INTEGER, &[3])]))] {
        assert_fault(1, X509Fault::NotAuthority, |world| {
            world.middle.basic_constraints = constraints;
        });
    }
}

/// RFC 5280 section 6.1.4 (n): an authority whose key is for other things.
#[test]
fn authority_without_cert_sign() {
    for usage in [CRL_SIGN, DIGITAL_SIGNATURE, DIGITAL_SIGNATURE | CRL_SIGN] {
        assert_fault(1, X509Fault::NotForCertificates, |world| {
            world.middle.key_usage = Some(usage);
        });
    }
}

/// RFC 5280 section 6.1.4 (m): by an authority of the chain.
#[test]
fn path_length_in_the_chain() {
    let world = World::with(P256, |world| {
        world.middle.basic_constraints = Some(authority_of(Some(0)));
    });
    let low_key = key(P256, 4);
    let low = Content::authority("Low").issue(&low_key, "Middle", &world.middle_key);
    let member = world.member.issue(&world.member_key, "Low", &low_key);
    let chain = vec![member, low, world.middle_certificate()];
    assert_eq!(judge(&world, chain), Err((2, X509Fault::PathLength)));
}

/// RFC 5280 section 6.1.4 (m): by the trust anchor, which path building would not look at.
#[test]
fn path_length_of_the_anchor() {
    assert_fault(2, X509Fault::PathLength, |world| {
        world.root.basic_constraints = Some(authority_of(Some(0)));
    });
}

/// RFC 5280 section 6.1.3 (a) (2): each certificate, and the trust anchor, which is not in the chain.
#[test]
fn expired() {
    let over = "250615115959Z";
    assert_fault(0, X509Fault::Expired, |world| world.member.not_after = over);
    assert_fault(1, X509Fault::Expired, |world| world.middle.not_after = over);
    assert_fault(2, X509Fault::Expired, |world| world.root.not_after = over);
}

/// RFC 5280 section 6.1.3 (a) (2): each certificate.
#[test]
fn not_yet_valid() {
    let soon = "250615120001Z";
    assert_fault(0, X509Fault::NotYetValid, |world| world.member.not_before = soon);
    assert_fault(1, X509Fault::NotYetValid, |world| world.middle.not_before = soon);
    assert_fault(2, X509Fault::NotYetValid, |world| world.root.not_before = soon);
}

/// RFC 5280 section 4.1.2.5: both ends of the period belong to it.
#[test]
fn the_ends_of_validity() {
    World::with(P256, |world| {
        for content in [&mut world.member, &mut world.middle, &mut world.root] {
            content.not_before = "250615120000Z";
            content.not_after = "250615120000Z";
        }
    })
    .verdict()
    .unwrap();
}

/// RFC 5280 section 4.2: critical and unknown, or known and not processed (certificate policies).
#[test]
fn unknown_critical_extension() {
    for id in ["1.3.6.1.4.1.99999.1", "2.5.29.32", "2.5.29.36", "2.5.29.31"] {
        let extension = (id, true, sequence(&[]));
        assert_fault(0, X509Fault::UnknownCriticalExtension, |world| {
            world.member.more.push(extension.clone());
        });
        assert_fault(1, X509Fault::UnknownCriticalExtension, |world| {
            world.middle.more.push(extension);
        });
    }
}

/// RFC 5280 section 4.2: no extension twice, the unknown ones neither.
#[test]
fn duplicate_extension() {
    for id in ["1.3.6.1.4.1.99999.1", "2.5.29.19"] {
        assert_fault(1, X509Fault::DuplicateExtension, |world| {
            world.middle.more.push((id, false, authority_of(None)));
            world.middle.more.push((id, false, authority_of(None)));
        });
    }
}

/// Extensions whose content is not what their type says.
#[test]
fn malformed_extension() {
    for id in ["2.5.29.15", "2.5.29.17", "2.5.29.37"] {
        assert_fault(0, X509Fault::Malformed, |world| {
            world.member.key_usage = None;
            world.member.alternative_names.clear();
            world.member.more.push((id, false, value(BOOLEAN, &[0xff])));
        });
    }
    assert_fault(1, X509Fault::Malformed, |world| {
        world.middle.basic_constraints = Some(value(BOOLEAN, &[0xff]));
    });
}

/// RFC 5280 section 4.2.1.3: the end entity's key is not for signatures.
#[test]
fn end_entity_not_for_signatures() {
    for usage in [0x2000, 0x0800, 0x4000, CRL_SIGN] {
        assert_fault(0, X509Fault::NotForSignatures, |world| {
            world.member.key_usage = Some(usage);
        });
    }
}

/// An authority's own certificate is not one for a member, whatever else it says.
#[test]
fn authority_as_end_entity() {
    assert_fault(0, X509Fault::AuthorityAsEndEntity, |world| {
        world.member.basic_constraints = Some(authority_of(None));
        world.member.key_usage = Some(DIGITAL_SIGNATURE | KEY_CERT_SIGN);
    });
}

/// RFC 5280 section 4.1.2.6: no name at all.
#[test]
fn nameless() {
    assert_fault(0, X509Fault::Nameless, |world| {
        world.member.subject = "";
        world.member.alternative_names.clear();
    });
}

/// RFC 5280 section 4.1.2.1: version 1 (which has a version that DER leaves out), with extensions and
/// as it was meant without; version 1 and 2 written out; a version that there is not.
#[test]
fn other_versions() {
    type Change = fn(&mut Content);
    let without_extensions: Change = |content| {
        content.version = None;
        (content.basic_constraints, content.key_usage) = (None, None);
        content.alternative_names.clear();
    };
    let versions: [(Change, X509Fault); 5] = [
        (|content| content.version = None, X509Fault::Version),
        (without_extensions, X509Fault::Version),
        (|content| content.version = Some(0), X509Fault::Version),
        (|content| content.version = Some(1), X509Fault::Version),
        (|content| content.version = Some(3), X509Fault::Malformed),
    ];
    for place in 0..2 {
        for (change, fault) in versions {
            assert_fault(place, fault, |world| {
                let content =
                    [&mut world.member, &mut world.middle].into_iter().nth(place).unwrap();
                change(content);
            });
        }
    }
}

/// RFC 5280 section 4.2.1.10: permitted and excluded names, by an authority and by the anchor.
#[test]
fn name_constraints() {
    let permitted = |name| sequence(&[value(0xa0, &sequence(&[domain(name)]))]);
    let excluded = |name| sequence(&[value(0xa1, &sequence(&[domain(name)]))]);
    for (constraints, holds) in [
        (permitted("example.org"), true),
        (permitted("example.net"), false),
        (excluded("example.org"), false),
        (excluded("example.net"), true),
    ] {
        for at_anchor in [false, true] {
            let world = World::with(P256, |world| {
                world.member.alternative_names = vec![domain("alice.example.org")];
                let issuer = if at_anchor { &mut world.root } else { &mut world.middle };
                issuer.more.push(("2.5.29.30", true, constraints.clone()));
            });
            let expected = if holds { Ok(()) } else { Err((0, X509Fault::NameConstraints)) };
            assert_eq!(world.verdict().map(drop), expected);
        }
    }
}

/// RFC 5280 section 4.2.1.10: a constraint that can't be processed refuses the names that it is
/// about, even those that it permits, and no others.
#[test]
fn name_constraints_of_other_kinds() {
    for (name, holds) in [(email("alice@example.org"), false), (domain("example.org"), true)] {
        let world = World::with(P256, |world| {
            world.member.alternative_names = vec![name];
            let permitted = sequence(&[value(0xa0, &sequence(&[email("example.org")]))]);
            world.middle.more.push(("2.5.29.30", true, permitted));
        });
        let expected = if holds { Ok(()) } else { Err((0, X509Fault::NameConstraints)) };
        assert_eq!(world.verdict().map(drop), expected);
    }
}

/// A scheme that is known and that the provider does not have.
#[cfg(not(feature = "curve448"))]
#[test]
fn the_provider_lacks_the_algorithm() {
    assert_fault(0, X509Fault::UnsupportedAlgorithm, |world| {
        world.middle.key_algorithm = Some(object("1.3.101.113"));
        world.member.signature_algorithm = Some(object("1.3.101.113"));
    });
}

/// The limits: one certificate or one byte too many.
#[test]
fn limits() {
    let world = World::new(ED25519);
    let leaf = world.member_key.public_key();
    let chain = [world.chain(), vec![world.root_certificate()]].concat();
    let within = |length| world.builder().longest_chain(length).build().unwrap();
    verdict(&within(3), chain.clone(), leaf).unwrap();
    assert_eq!(verdict(&within(2), chain.clone(), leaf), Err((2, X509Fault::ChainTooLong)));
    // However many there are, they are not read first.
    let many = vec![Vec::new(); 60_000];
    assert_eq!(judge(&world, many.clone()), Err((6, X509Fault::ChainTooLong)));
    assert_eq!(verdict(&within(1000), many, leaf), Err((7, X509Fault::ChainTooLong)));

    let within = |bytes| world.builder().largest_certificate(bytes).build().unwrap();
    let largest = chain.iter().map(Vec::len).max().unwrap();
    let place = chain.iter().position(|certificate| certificate.len() == largest).unwrap();
    verdict(&within(largest), chain.clone(), leaf).unwrap();
    assert_eq!(verdict(&within(largest - 1), chain, leaf), Err((place, X509Fault::TooLarge)));
}

/// Credentials of other types; and the default validator takes no certificates, valid as they be.
#[test]
fn other_credentials() {
    use circlet::identity::CredentialValidator;

    let world = World::new(P256);
    let validator = world.builder().build().unwrap();
    let leaf = world.member_key.public_key();
    let basic = Credential::basic("alice");
    let said = ask(&validator, &CredentialCheck::new(&basic, leaf, CredentialUse::Add));
    assert_eq!(said, Err((0, X509Fault::OtherCredential)));
    let chain = Credential::x509(world.chain());
    let check = CredentialCheck::new(&chain, leaf, CredentialUse::Add);
    BasicValidator.validate(&check).unwrap_err();
}

/// What can't be a trust anchor, and validators that can't be.
#[test]
fn setup() {
    let refused = |content: &Content| {
        let signer = key(P256, 1);
        let good = World::new(P256).root_certificate();
        let bad = content.issue(&signer, "Root", &signer);
        let built = X509Validator::builder().trust_anchor(good).trust_anchor(bad).build();
        match built.unwrap_err() {
            X509SetupError::TrustAnchor(error) => (error.certificate, error.fault),
            other => panic!("{other:?}"),
        }
    };
    let root = Content::authority("Root");
    assert_eq!(refused(&Content::member("Root")), (1, X509Fault::NotAuthority));
    let content = Content { key_usage: Some(CRL_SIGN), ..root.clone() };
    assert_eq!(refused(&content), (1, X509Fault::NotForCertificates));
    let content = Content { key_algorithm: Some(rsa(RSA_KEY)), ..root.clone() };
    assert_eq!(refused(&content), (1, X509Fault::Rsa));
    let more = vec![("1.2.3", true, Vec::new())];
    let content = Content { more, ..root.clone() };
    assert_eq!(refused(&content), (1, X509Fault::UnknownCriticalExtension));

    let built = X509Validator::builder().build();
    assert_eq!(built.unwrap_err(), X509SetupError::NoTrustAnchor);
    let built = World::new(P256).builder().extended_key_usage("client").build();
    assert_eq!(built.unwrap_err(), X509SetupError::ObjectIdentifier);
}
