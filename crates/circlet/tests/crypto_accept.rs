//! Which keys and signatures are accepted: the vectors of `data/crypto/accept.txt`, the same with
//! every provider. How they are made is in `accept.py` beside them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod crypto_support;

use circlet::crypto::{
    CryptoError, CryptoProvider, HpkePublicKey, KemId, Secret, SignatureId, accept,
};
use crypto_support::{Case, cases, providers};

/// V-5.1.1-02, V-5.1.2-03.
#[test]
fn every_provider_gives_the_expected_verdict_on_signatures() {
    let mut checked = 0;
    for case in vectors("signature") {
        let id = scheme(case.text("algorithm"));
        let (key, message) = (case.bytes("key"), case.bytes("message"));
        let signature = case.bytes("signature");
        let expected = match case.text("verdict") {
            "accepted" => Ok(()),
            "bad key" => Err(CryptoError::InvalidSignatureKey),
            "bad signature" => Err(CryptoError::InvalidSignature),
            other => panic!("{other}"),
        };
        let expected_key = match expected {
            Err(CryptoError::InvalidSignatureKey) => expected,
            _ => Ok(()),
        };
        for provider in providers().iter().filter(|provider| has_scheme(&***provider, id)) {
            let found = provider.verify(id, &key, &message, &signature);
            assert_eq!(found, expected, "{}: {case:?}", provider.name());
            let found = provider.check_signature_key(id, &key);
            assert_eq!(found, expected_key, "{}: {case:?}", provider.name());
            checked += 1;
        }
    }
    assert!(checked >= 2 * 171, "{checked}");
}

/// V-5.1.1-01, V-5.1.1-03.
#[test]
fn every_provider_gives_the_expected_verdict_on_kem_keys() {
    let mut checked = 0;
    for case in vectors("kem") {
        let id = kem(case.text("algorithm"));
        let key = HpkePublicKey::new(&case.bytes("key"));
        let mut results = Vec::new();
        for provider in providers().iter().filter(|provider| has_kem(&***provider, id)) {
            let own = provider.derive_key_pair(id, b"own key").unwrap();
            let seed = Secret::new(&vec![3; own.private.secret().len()]);
            let check = provider.check_public_key(id, key.as_bytes());
            let encapsulated = provider.encapsulate(id, &key, &seed);
            let decapsulated = provider.decapsulate(id, &own, key.as_bytes());
            if case.text("verdict") == "accepted" {
                assert_eq!(check, Ok(()), "{}: {case:?}", provider.name());
                results.push((encapsulated.unwrap(), decapsulated.unwrap()));
            } else {
                let refused = Err(CryptoError::InvalidHpkePublicKey);
                assert_eq!(check, refused, "{}: {case:?}", provider.name());
                assert_eq!(encapsulated.err(), Some(CryptoError::InvalidHpkePublicKey));
                assert_eq!(decapsulated.err(), Some(CryptoError::InvalidKemOutput));
            }
            checked += 1;
        }
        // Accepting alike is not enough: a u that one library reduced and another did not would
        // give different secrets.
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{case:?}");
    }
    assert!(checked >= 2 * 73, "{checked}");
}

#[test]
fn every_scheme_and_kem_has_accepted_and_refused_cases() {
    for algorithm in [
        "ed25519",
        "ed448",
        "ecdsa-p256",
        "ecdsa-p384",
        "ecdsa-p521",
        "p256",
        "p384",
        "p521",
        "x25519",
        "x448",
    ] {
        let of: Vec<Case> =
            all().into_iter().filter(|case| case.text("algorithm") == algorithm).collect();
        for accepted in [true, false] {
            let count =
                of.iter().filter(|case| (case.text("verdict") == "accepted") == accepted).count();
            assert!(count > 0, "{algorithm} {accepted}");
        }
    }
}

/// V-5.1.2-04.
#[test]
fn emitted_ecdsa_signatures_are_der_with_low_s() {
    for case in vectors("signature").iter().filter(|case| case.text("case") == "high s") {
        let id = scheme(case.text("algorithm"));
        let high = case.bytes("signature");
        let fixed = accept::signature(id, &high).unwrap();
        let low = accept::encode_ecdsa(id, &fixed).unwrap();
        assert_ne!(low, high);
        // Low already: the second time changes nothing.
        let again = accept::encode_ecdsa(id, &accept::signature(id, &low).unwrap()).unwrap();
        assert_eq!(again, low);
        for provider in providers() {
            provider.verify(id, &case.bytes("key"), &case.bytes("message"), &low).unwrap();
        }
    }
}

#[test]
fn what_no_ecdsa_signature_can_be_is_not_encoded() {
    let id = SignatureId::ECDSA_P256;
    for fixed in [vec![], vec![0; 64], vec![0xff; 64], vec![1; 63], vec![1; 65]] {
        assert_eq!(accept::encode_ecdsa(id, &fixed), Err(CryptoError::Library));
    }
    let result = accept::encode_ecdsa(SignatureId::ED25519, &[1; 64]);
    assert_eq!(result, Err(CryptoError::UnsupportedAlgorithm));
}

#[test]
fn an_algorithm_without_rules_is_unsupported() {
    let unsupported = Some(CryptoError::UnsupportedAlgorithm);
    assert_eq!(accept::hpke_public_key(KemId(0xfff0), &[1; 32]).err(), unsupported);
    assert_eq!(accept::signature_key(SignatureId(0xfff0), &[1; 32]).err(), unsupported);
    assert_eq!(accept::signature(SignatureId(0xfff0), &[1; 64]).err(), unsupported);
}

#[test]
fn no_ecdsa_signature_survives_a_changed_byte_or_length() {
    for case in vectors("signature") {
        let id = scheme(case.text("algorithm"));
        if case.text("case") != "an ordinary signature, low s" {
            continue;
        }
        let (key, message) = (case.bytes("key"), case.bytes("message"));
        let signature = case.bytes("signature");
        for provider in providers() {
            for index in 0..signature.len() {
                let mut changed = signature.clone();
                changed[index] ^= 1 << (index % 8);
                let result = provider.verify(id, &key, &message, &changed);
                assert_eq!(result, Err(CryptoError::InvalidSignature));
                let result = provider.verify(id, &key, &message, &signature[..index]);
                assert_eq!(result, Err(CryptoError::InvalidSignature));
            }
        }
    }
}

fn all() -> Vec<Case> {
    cases(include_str!("data/crypto/accept.txt"))
}

fn vectors(kind: &str) -> Vec<Case> {
    all().into_iter().filter(|case| case.text("kind") == kind).collect()
}

fn has_scheme(provider: &dyn CryptoProvider, id: SignatureId) -> bool {
    provider.suites().iter().any(|spec| spec.signature.id == id)
}

fn has_kem(provider: &dyn CryptoProvider, id: KemId) -> bool {
    provider.suites().iter().any(|spec| spec.kem.id == id)
}

fn scheme(name: &str) -> SignatureId {
    match name {
        "ed25519" => SignatureId::ED25519,
        "ed448" => SignatureId::ED448,
        "ecdsa-p256" => SignatureId::ECDSA_P256,
        "ecdsa-p384" => SignatureId::ECDSA_P384,
        "ecdsa-p521" => SignatureId::ECDSA_P521,
        other => panic!("{other}"),
    }
}

fn kem(name: &str) -> KemId {
    match name {
        "x25519" => KemId::X25519,
        "x448" => KemId::X448,
        "p256" => KemId::P256,
        "p384" => KemId::P384,
        "p521" => KemId::P521,
        other => panic!("{other}"),
    }
}
