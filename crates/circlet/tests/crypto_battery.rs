//! One battery for every provider, and each reading what the others made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod crypto_support;

use std::sync::Arc;

use circlet::crypto::{
    AeadId, CipherSuite, CryptoError, CryptoProvider, HashId, HpkeKeyPair, HpkePublicKey, KdfId,
    KemId, Mac, Secret, SignatureId, SignaturePrivateKey, Suite, SuiteSpec,
};
use crypto_support::{Case, Seeded, cases, providers};

#[test]
fn every_provider_has_its_suites_in_the_order_of_the_table() {
    for provider in providers() {
        let suites: Vec<u16> = provider.suites().iter().map(|spec| spec.suite.0).collect();
        let all = cfg!(feature = "curve448") && provider.name() != "aws-lc";
        let expected: &[u16] = if all { &[1, 2, 3, 4, 5, 6, 7] } else { &[1, 2, 3, 5, 7] };
        assert_eq!(suites, expected, "{}", provider.name());
    }
}

#[test]
fn v_5_1_04_an_unknown_suite_is_an_error_of_its_own() {
    for provider in providers() {
        let provider: Arc<dyn CryptoProvider> = provider.into();
        for unknown in [0, 0x0a0a, 0xf00f].map(CipherSuite) {
            let refused = Suite::new(provider.clone(), unknown).err();
            assert_eq!(refused, Some(CryptoError::UnsupportedCipherSuite(unknown)));
        }
    }
}

#[test]
fn v_6_1_09_a_mac_is_compared_with_its_length() {
    for (provider, spec) in each_suite() {
        let suite = Suite::new(provider.into(), spec.suite).unwrap();
        let key = Secret::new(&[7; 32]);
        let mac = suite.mac(&key, &[b"content"]).unwrap();
        let verify = |mac: Vec<u8>| suite.verify_mac(&key, &[b"content"], &Mac(mac));
        assert_eq!(verify(mac.0.clone()), Ok(()));
        for length in 0..mac.0.len() {
            assert_eq!(verify(mac.0[..length].to_vec()), Err(CryptoError::InvalidMac));
        }
        assert_eq!(verify([&mac.0[..], &[0]].concat()), Err(CryptoError::InvalidMac));
        for index in 0..mac.0.len() {
            let mut changed = mac.0.clone();
            changed[index] ^= 0x80;
            assert_eq!(verify(changed), Err(CryptoError::InvalidMac));
        }
    }
}

#[test]
fn hash_mac_and_kdf_known_answers() {
    for (provider, case) in each("hash") {
        let (id, kdf) = (HashId(case.number("id")), KdfId(case.number("kdf")));
        let hash = |parts: &[&[u8]]| provider.hash(id, parts).unwrap();
        assert_eq!(hash(&[b"abc"]).as_bytes(), case.bytes("hash-of-abc"));
        assert_eq!(hash(&[b"a", b"", b"bc"]), hash(&[b"abc"]));
        let message: [&[u8]; 3] = [b"what do ya want", b"", b" for nothing?"];
        let mac = provider.hmac(id, b"Jefe", &message).unwrap();
        assert_eq!(mac.as_bytes(), case.bytes("mac-short-key"));
        let mac = provider.hmac(id, &[0xaa; 200], &message).unwrap();
        assert_eq!(mac.as_bytes(), case.bytes("mac-long-key"));
        let prk = provider.extract(kdf, b"salt", &[b"input ", b"keying material"]).unwrap();
        assert_eq!(prk.as_bytes(), case.bytes("prk"));
        let okm = case.bytes("okm");
        for length in [0, 1, 31, 32, 33, 48, 64, 65, 127, 128, 129, 150] {
            let out = provider.expand(kdf, prk.as_bytes(), &[b"in", b"", b"fo"], length).unwrap();
            assert_eq!(out.as_bytes(), &okm[..length]);
        }
    }
}

#[test]
fn the_kdf_has_a_longest_output_and_takes_any_key() {
    for provider in providers() {
        for spec in provider.suites() {
            let (id, longest) = (spec.kdf.id, 255 * spec.kdf.length);
            assert_eq!(provider.expand(id, b"key", &[], longest).unwrap().len(), longest);
            for length in [longest + 1, usize::MAX] {
                let result = provider.expand(id, b"key", &[], length);
                assert_eq!(result, Err(CryptoError::InvalidLength));
            }
            assert_eq!(provider.expand(id, b"", &[b"info"], 9).unwrap().len(), 9);
            assert_eq!(provider.extract(id, b"", &[]).unwrap().len(), spec.kdf.length);
        }
    }
}

#[test]
fn aead_known_answers_and_refusals() {
    let nonce: Vec<u8> = (0..12).collect();
    for (provider, case) in each("aead") {
        let (id, key) = (AeadId(case.number("id")), case.bytes("key"));
        let (text, aad) =
            (b"Beauty is truth, truth beauty".as_slice(), b"associated data".as_slice());
        let sealed = provider.seal(id, &key, &nonce, aad, text).unwrap();
        assert_eq!(sealed, case.bytes("sealed"));
        assert_eq!(provider.open(id, &key, &nonce, aad, &sealed).unwrap(), text);
        let empty = provider.seal(id, &key, &nonce, b"", b"").unwrap();
        assert_eq!(empty, case.bytes("sealed-empty"));
        assert_eq!(provider.open(id, &key, &nonce, b"", &empty).unwrap(), b"");
        let failed = Err(CryptoError::DecryptionFailed);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(provider.open(id, &key, &nonce, aad, &changed), failed);
            assert_eq!(provider.open(id, &key, &nonce, aad, &sealed[..index]), failed);
        }
        assert_eq!(provider.open(id, &key, &nonce, b"other", &sealed), failed);
        for wrong in [vec![], key[1..].to_vec(), [key.as_slice(), &[0]].concat()] {
            let invalid = Err(CryptoError::InvalidLength);
            assert_eq!(provider.seal(id, &wrong, &nonce, aad, text), invalid);
            assert_eq!(provider.open(id, &wrong, &nonce, aad, &sealed), invalid);
        }
        for wrong in [&nonce[..11], &[0; 13], &[]] {
            let invalid = Err(CryptoError::InvalidLength);
            assert_eq!(provider.seal(id, &key, wrong, aad, text), invalid);
            assert_eq!(provider.open(id, &key, wrong, aad, &sealed), invalid);
        }
    }
}

#[test]
fn eddsa_known_answers() {
    for (provider, case) in each("eddsa") {
        let id = SignatureId(case.number("id"));
        if !has_scheme(&*provider, id) {
            continue;
        }
        let keys = provider.import_signature_key(id, &case.bytes("seed")).unwrap();
        assert_eq!(keys.public.as_bytes(), case.bytes("public"));
        assert_eq!(provider.derive_signature_key_pair(id, keys.private.secret()).unwrap(), keys);
        let signature = provider.sign(id, &keys, b"a message").unwrap();
        assert_eq!(signature, case.bytes("signature"));
    }
}

#[test]
fn ecdsa_keys_are_derived_alike_by_all() {
    for (provider, case) in each("ecdsa") {
        let id = SignatureId(case.number("id"));
        let seed = Secret::new(&case.bytes("seed"));
        let keys = provider.derive_signature_key_pair(id, &seed).unwrap();
        assert_eq!(keys.private.secret().as_bytes(), case.bytes("private"), "{}", provider.name());
        assert_eq!(keys.public.as_bytes(), case.bytes("public"));
        assert_eq!(provider.import_signature_key(id, &case.bytes("private")).unwrap(), keys);
    }
}

#[test]
fn x448_known_answer() {
    for (provider, case) in each("kem") {
        let id = KemId(case.number("id"));
        if !provider.suites().iter().any(|spec| spec.kem.id == id) {
            continue;
        }
        let keys = provider.derive_key_pair(id, b"recipient").unwrap();
        assert_eq!(keys.public.as_bytes(), case.bytes("public"));
        let seed = Secret::new(&[7; 56]);
        let (output, secret) = provider.encapsulate(id, &keys.public, &seed).unwrap();
        assert_eq!(output, case.bytes("output"));
        assert_eq!(secret.as_bytes(), case.bytes("secret"));
        assert_eq!(provider.decapsulate(id, &keys, &output).unwrap(), secret);
    }
}

#[test]
fn key_pairs_have_the_sizes_of_the_table() {
    for (provider, spec) in each_suite() {
        let kem = &spec.kem;
        let keys = provider.derive_key_pair(kem.id, b"input").unwrap();
        assert_eq!(keys.public.as_bytes().len(), kem.public_length);
        assert_eq!(keys.private.secret().len(), kem.private_length);
        assert_eq!(provider.derive_key_pair(kem.id, b"input").unwrap(), keys);
        assert_ne!(provider.derive_key_pair(kem.id, b"other").unwrap(), keys);
        let imported = provider.import_private_key(kem.id, keys.private.secret().as_bytes());
        assert_eq!(imported.unwrap(), keys);
        let seed = Secret::new(&vec![9; kem.seed_length]);
        let (output, secret) = provider.encapsulate(kem.id, &keys.public, &seed).unwrap();
        assert_eq!((output.len(), secret.len()), (kem.output_length, kem.secret_length));
        let seed = Secret::new(&vec![9; spec.signature.seed_length]);
        let keys = provider.derive_signature_key_pair(spec.signature.id, &seed).unwrap();
        assert_eq!(keys.public.as_bytes().len(), spec.signature.public_length);
        provider.check_signature_key(spec.signature.id, keys.public.as_bytes()).unwrap();
    }
}

#[test]
fn wrong_kem_inputs_are_refused() {
    for (provider, spec) in each_suite() {
        let id = spec.kem.id;
        let keys = provider.derive_key_pair(id, b"input").unwrap();
        let invalid = Some(CryptoError::InvalidPrivateKey);
        let nist = spec.kem.public_length % 2 == 1;
        let long = vec![1; spec.kem.private_length + 1];
        assert_eq!(provider.import_private_key(id, &long).err(), invalid);
        if nist {
            assert_eq!(provider.import_private_key(id, &[]).err(), invalid);
            assert_eq!(
                provider
                    .import_private_key(id, &long[2..].iter().map(|_| 0).collect::<Vec<_>>())
                    .err(),
                invalid
            );
            let full = vec![0xff; spec.kem.private_length];
            assert_eq!(provider.import_private_key(id, &full).err(), invalid);
            // A scalar without its leading zeros.
            let short = provider.import_private_key(id, &[5]).unwrap();
            let mut padded = vec![0; spec.kem.private_length];
            *padded.last_mut().unwrap() = 5;
            assert_eq!(provider.import_private_key(id, &padded).unwrap(), short);
        } else {
            assert_eq!(provider.import_private_key(id, &long[2..]).err(), invalid);
        }
        let short = Secret::new(&vec![1; spec.kem.seed_length - 1]);
        let result = provider.encapsulate(id, &keys.public, &short);
        assert_eq!(result.err(), Some(CryptoError::InvalidLength));
        let key = HpkePublicKey::new(&keys.public.as_bytes()[1..]);
        let seed = Secret::new(&vec![1; spec.kem.seed_length]);
        let result = provider.encapsulate(id, &key, &seed);
        assert_eq!(result.err(), Some(CryptoError::InvalidHpkePublicKey));
        let wrong = circlet::crypto::HpkePrivateKey::new(Secret::new(&[1; 7]));
        let wrong = HpkeKeyPair { private: wrong, public: keys.public.clone() };
        let result = provider.decapsulate(id, &wrong, keys.public.as_bytes());
        assert_eq!(result.err(), invalid);
    }
}

#[test]
fn wrong_signature_inputs_are_refused() {
    for (provider, spec) in each_suite() {
        let (id, length) = (spec.signature.id, spec.signature.seed_length);
        let invalid = Some(CryptoError::InvalidPrivateKey);
        let seed = Secret::new(&vec![4; length]);
        let keys = provider.derive_signature_key_pair(id, &seed).unwrap();
        for wrong in [length - 1, length + 1, 0] {
            let seed = Secret::new(&vec![4; wrong]);
            let result = provider.derive_signature_key_pair(id, &seed);
            assert_eq!(result.err(), Some(CryptoError::InvalidLength));
        }
        assert_eq!(provider.import_signature_key(id, &vec![1; length + 1]).err(), invalid);
        if !matches!(id, SignatureId::ED25519 | SignatureId::ED448) {
            assert_eq!(provider.import_signature_key(id, &vec![0; length]).err(), invalid);
            assert_eq!(provider.import_signature_key(id, &vec![0xff; length]).err(), invalid);
        }
        let mut wrong = keys.clone();
        wrong.private = SignaturePrivateKey::new(Secret::new(&[1; 7]));
        assert_eq!(provider.sign(id, &wrong, b"message").err(), invalid);
        let signature = provider.sign(id, &keys, b"message").unwrap();
        let verify = |key: &[u8], message: &[u8]| provider.verify(id, key, message, &signature);
        assert_eq!(verify(keys.public.as_bytes(), b"message"), Ok(()));
        assert_eq!(verify(keys.public.as_bytes(), b"massage"), Err(CryptoError::InvalidSignature));
        let other = Secret::new(&vec![5; length]);
        let other = provider.derive_signature_key_pair(id, &other).unwrap();
        assert_eq!(verify(other.public.as_bytes(), b"message"), Err(CryptoError::InvalidSignature));
        assert_eq!(verify(b"", b"message"), Err(CryptoError::InvalidSignatureKey));
    }
}

#[test]
fn an_unknown_algorithm_is_unsupported() {
    let unsupported = Some(CryptoError::UnsupportedAlgorithm);
    for provider in providers() {
        assert_eq!(provider.hash(HashId(0xfff0), &[]).err(), unsupported);
        assert_eq!(provider.hmac(HashId(0xfff0), &[], &[]).err(), unsupported);
        assert_eq!(provider.extract(KdfId(0xfff0), &[], &[]).err(), unsupported);
        assert_eq!(provider.expand(KdfId(0xfff0), &[], &[], 1).err(), unsupported);
        assert_eq!(provider.seal(AeadId(0xfff0), &[], &[], &[], &[]).err(), unsupported);
        assert_eq!(provider.open(AeadId(0xfff0), &[], &[], &[], &[]).err(), unsupported);
        assert_eq!(provider.derive_key_pair(KemId(0xfff0), &[]).err(), unsupported);
        let result = provider.verify(SignatureId(0xfff0), &[], &[], &[]);
        assert_eq!(result.err(), unsupported);
    }
}

#[test]
fn each_provider_reads_what_every_other_made() {
    let providers: Vec<Arc<dyn CryptoProvider>> = providers().into_iter().map(Arc::from).collect();
    for maker in &providers {
        for reader in &providers {
            for spec in maker.suites() {
                if let Ok(reading) = Suite::new(reader.clone(), spec.suite) {
                    let making = Suite::new(maker.clone(), spec.suite).unwrap();
                    exchange(&making, &reading, spec.suite);
                }
            }
        }
    }
}

fn exchange(making: &Suite, reading: &Suite, suite: CipherSuite) {
    for round in 0..8 {
        let mut rng = Seeded(u64::from(suite.0) << 8 | round);
        let keys = reading.generate_key_pair(&mut rng).unwrap();
        making.check_public_key(&keys.public).unwrap();
        let seed = making.encapsulation_seed(&mut rng).unwrap();
        let encrypted =
            making.encrypt_with_label(&keys.public, "label", b"context", b"text", &seed).unwrap();
        let again =
            reading.encrypt_with_label(&keys.public, "label", b"context", b"text", &seed).unwrap();
        assert_eq!(encrypted, again);
        let decrypted = reading.decrypt_with_label(&keys, "label", b"context", &encrypted).unwrap();
        assert_eq!(decrypted.as_bytes(), b"text");
        let mut draws = [Seeded(round), Seeded(round)];
        let signer = making.generate_signature_key_pair(&mut draws[0]).unwrap();
        assert_eq!(reading.generate_signature_key_pair(&mut draws[1]).unwrap(), signer);
        let signature = making.sign_with_label(&signer, "label", b"content").unwrap();
        reading.check_signature_key(&signer.public).unwrap();
        reading.verify_with_label(&signer.public, "label", b"content", &signature).unwrap();
        let result = reading.verify_with_label(&signer.public, "other", b"content", &signature);
        assert_eq!(result, Err(CryptoError::InvalidSignature));
        let secret = making.derive_secret(&Secret::new(&[1; 64]), "label").unwrap();
        assert_eq!(reading.derive_secret(&Secret::new(&[1; 64]), "label").unwrap(), secret);
        let mac = making.mac(&secret, &[b"one", b"two"]).unwrap();
        reading.verify_mac(&secret, &[b"onetwo"], &mac).unwrap();
    }
}

#[test]
fn a_mismatched_eddsa_public_key_does_not_change_the_signature() {
    for (provider, spec) in each_suite() {
        let id = spec.signature.id;
        if !matches!(id, SignatureId::ED25519 | SignatureId::ED448) {
            continue;
        }
        let seed = |byte| Secret::new(&vec![byte; spec.signature.seed_length]);
        let keys = provider.derive_signature_key_pair(id, &seed(1)).unwrap();
        let mut mixed = provider.derive_signature_key_pair(id, &seed(2)).unwrap();
        mixed.private = keys.private.clone();
        // Signing one message under two public keys would give the private key away.
        let signature = provider.sign(id, &keys, b"message").unwrap();
        assert_eq!(provider.sign(id, &mixed, b"message").unwrap(), signature);
    }
}

#[test]
fn only_the_default_provider_of_a_build_with_acceleration_uses_it() {
    assert_eq!(providers()[0].name(), "portable");
    let names: &[&str] =
        if cfg!(feature = "graviola") { &["default", "portable"] } else { &["portable"] };
    assert!(names.contains(&providers()[1].name()));
}

fn each(kind: &str) -> Vec<(Box<dyn CryptoProvider>, Case)> {
    let count = providers().len();
    let of_kind = |case: &Case| case.text("kind") == kind;
    let pairs = (0..count).flat_map(|index| {
        let cases = cases(include_str!("data/crypto/primitives.txt")).into_iter().filter(of_kind);
        cases.map(move |case| (providers().remove(index), case))
    });
    let pairs: Vec<_> = pairs.collect();
    assert!(pairs.len() >= count, "no case of {kind}");
    pairs
}

fn each_suite() -> Vec<(Box<dyn CryptoProvider>, SuiteSpec)> {
    let pair = |index: usize| {
        let suites = providers().remove(index).suites().to_vec();
        suites.into_iter().map(move |spec| (providers().remove(index), spec))
    };
    (0..providers().len()).flat_map(pair).collect()
}

fn has_scheme(provider: &dyn CryptoProvider, id: SignatureId) -> bool {
    provider.suites().iter().any(|spec| spec.signature.id == id)
}
