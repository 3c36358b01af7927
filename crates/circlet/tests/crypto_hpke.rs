//! HPKE against RFC 9180's known answers and against an independent implementation.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod crypto_support;

use std::convert::Infallible;

use circlet::crypto::hpke::{self as ours, Psk};
use circlet::crypto::{
    AeadId, CipherSuite, CryptoError, CryptoProvider, HpkeKeyPair, KdfId, KdfSpec, KemId, Secret,
    SuiteSpec, suite_spec,
};
use crypto_support::{Case, cases, providers};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, PskBundle, Serializable};
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Shake128, Shake128Reader};

const INFO: &[u8] = b"Ode on a Grecian Urn";

#[test]
fn known_answers_of_rfc_9180() {
    let cases = cases(include_str!("data/crypto/rfc9180.txt"));
    assert_eq!(cases.len(), 18);
    for provider in providers() {
        for case in &cases {
            check(&*provider, case);
        }
    }
}

fn check(provider: &dyn CryptoProvider, case: &Case) {
    let spec = spec(case);
    let keys = provider.import_private_key(spec.kem.id, &case.bytes("sk-r")).unwrap();
    assert_eq!(keys.public.as_bytes(), case.bytes("pk-r"));
    assert_eq!(provider.derive_key_pair(spec.kem.id, &case.bytes("ikm-r")).unwrap(), keys);
    let seed = Secret::new(&case.bytes("ikm-e"));
    let enc = case.bytes("enc");
    let (kem_output, mut sender) =
        ours::setup_base_sender(provider, &spec, &keys.public, INFO, &seed).unwrap();
    let mut recipient = ours::setup_base_recipient(provider, &spec, &keys, &enc, INFO).unwrap();
    assert_eq!(kem_output, enc);

    let (mut inputs, mut ciphertexts) = (Inputs::new(), Shake128::default());
    for _ in 0..1000 {
        let (aad, plaintext) = (inputs.draw(), inputs.draw());
        let sealed = sender.seal(&aad, &plaintext).unwrap();
        ciphertexts.update(&sealed);
        assert_eq!(recipient.open(&aad, &sealed).unwrap().as_bytes(), plaintext);
    }
    assert_eq!(digest(ciphertexts).as_slice(), case.bytes("encryptions"), "{case:?}");

    let (mut inputs, mut values) = (Inputs::new(), Shake128::default());
    for length in 0..1000 {
        let context = inputs.draw();
        let value = sender.export(&context, length).unwrap();
        values.update(value.as_bytes());
        assert_eq!(recipient.export(&context, length).unwrap(), value);
    }
    assert_eq!(digest(values).as_slice(), case.bytes("exports"), "{case:?}");
}

/// Byte strings of up to 255 bytes from SHAKE128 of nothing, each after a byte with its length.
struct Inputs(Shake128Reader);

impl Inputs {
    fn new() -> Self {
        Self(Shake128::default().finalize_xof())
    }

    fn draw(&mut self) -> Vec<u8> {
        let mut length = [0];
        self.0.read(&mut length);
        let mut bytes = vec![0; usize::from(length[0])];
        self.0.read(&mut bytes);
        bytes
    }
}

fn digest(shake: Shake128) -> [u8; 16] {
    let mut out = [0; 16];
    shake.finalize_xof().read(&mut out);
    out
}

/// The suite with the case's algorithms, which need not be one of RFC 9420's.
fn spec(case: &Case) -> SuiteSpec {
    let suites = [1, 2, 3, 5].map(|suite| *suite_spec(CipherSuite(suite)).unwrap());
    let kem = KemId(case.number("kem"));
    let aead = AeadId(case.number("aead"));
    let kdf = match KdfId(case.number("kdf")) {
        KdfId::HKDF_SHA256 => KdfSpec { id: KdfId::HKDF_SHA256, length: 32 },
        KdfId::HKDF_SHA512 => KdfSpec { id: KdfId::HKDF_SHA512, length: 64 },
        other => panic!("{other:?}"),
    };
    let spec = suites.iter().find(|spec| spec.kem.id == kem).unwrap();
    let aead = suites.iter().find(|spec| spec.aead.id == aead).unwrap().aead;
    SuiteSpec { kdf, aead, ..*spec }
}

/// Gives out its bytes again and again.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("a KEM draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("a KEM draws bytes")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0[..out.len()]);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// Both implementations, from the same seeds, make and read the same bytes, in both modes.
fn compare<A: hpke::aead::Aead, F: hpke::kdf::Kdf, K: Kem>(suite: CipherSuite) {
    for provider in providers() {
        let spec = *suite_spec(suite).unwrap();
        for round in 0..4_u8 {
            let seed = Secret::new(&vec![round ^ 0x5a; spec.kem.seed_length]);
            let keys = provider.derive_key_pair(spec.kem.id, &[round; 40]).unwrap();
            let (private, public) = K::derive_keypair(&[round; 40]);
            assert_eq!(private.to_bytes().as_slice(), keys.private.secret().as_bytes());
            assert_eq!(public.to_bytes().as_slice(), keys.public.as_bytes());
            let psk = Secret::new(&[round; 32]);
            let other = Other::<K> { private, public };
            let with_psk = Psk { key: &psk, id: b"id" };
            compare_mode::<A, F, K>(&*provider, &spec, &keys, &other, &seed, None);
            compare_mode::<A, F, K>(&*provider, &spec, &keys, &other, &seed, Some(with_psk));
        }
    }
}

struct Other<K: Kem> {
    private: K::PrivateKey,
    public: K::PublicKey,
}

fn compare_mode<A: hpke::aead::Aead, F: hpke::kdf::Kdf, K: Kem>(
    provider: &dyn CryptoProvider,
    spec: &SuiteSpec,
    keys: &HpkeKeyPair,
    other: &Other<K>,
    seed: &Secret,
    psk: Option<Psk<'_>>,
) {
    let key = psk.map(|psk| psk.key.as_bytes().to_vec()).unwrap_or_default();
    let (send_mode, receive_mode) = match &psk {
        None => (OpModeS::Base, OpModeR::Base),
        Some(_) => (
            OpModeS::Psk(PskBundle::new(&key, b"id").unwrap()),
            OpModeR::Psk(PskBundle::new(&key, b"id").unwrap()),
        ),
    };
    let (kem_output, mut sender) = match &psk {
        None => ours::setup_base_sender(provider, spec, &keys.public, INFO, seed),
        Some(psk) => ours::setup_psk_sender(provider, spec, &keys.public, INFO, psk, seed),
    }
    .unwrap();
    let mut rng = Fixed(seed.as_bytes().to_vec());
    let (enc, mut their_sender) =
        hpke::setup_sender_with_rng::<A, F, K>(&send_mode, &other.public, INFO, &mut rng).unwrap();
    assert_eq!(enc.to_bytes().as_slice(), kem_output);
    let mut recipient = match &psk {
        None => ours::setup_base_recipient(provider, spec, keys, &enc.to_bytes(), INFO),
        Some(psk) => ours::setup_psk_recipient(provider, spec, keys, &enc.to_bytes(), INFO, psk),
    }
    .unwrap();
    let enc = K::EncappedKey::from_bytes(&kem_output).unwrap();
    let mut their_recipient =
        hpke::setup_receiver::<A, F, K>(&receive_mode, &other.private, &enc, INFO).unwrap();
    for number in 0..3_u8 {
        let plaintext = vec![number; 50 * usize::from(number)];
        let sealed = sender.seal(&[number], &plaintext).unwrap();
        assert_eq!(their_sender.seal(&plaintext, &[number]).unwrap(), sealed);
        assert_eq!(recipient.open(&[number], &sealed).unwrap().as_bytes(), plaintext);
        assert_eq!(their_recipient.open(&sealed, &[number]).unwrap(), plaintext);
    }
    let mut exported = [0; 77];
    their_sender.export(b"context", &mut exported).unwrap();
    assert_eq!(sender.export(b"context", 77).unwrap().as_bytes(), exported);
    assert_eq!(recipient.export(b"context", 77).unwrap().as_bytes(), exported);
}

#[test]
fn agrees_with_another_implementation_in_suite_1() {
    use hpke::{aead::AesGcm128, kdf::HkdfSha256, kem::X25519HkdfSha256};
    compare::<AesGcm128, HkdfSha256, X25519HkdfSha256>(CipherSuite(1));
}

#[test]
fn agrees_with_another_implementation_in_suite_2() {
    use hpke::{aead::AesGcm128, kdf::HkdfSha256, kem::DhP256HkdfSha256};
    compare::<AesGcm128, HkdfSha256, DhP256HkdfSha256>(CipherSuite(2));
}

#[test]
fn agrees_with_another_implementation_in_suite_3() {
    use hpke::{aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256};
    compare::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(CipherSuite(3));
}

#[test]
fn agrees_with_another_implementation_in_suite_5() {
    use hpke::{aead::AesGcm256, kdf::HkdfSha512, kem::DhP521HkdfSha512};
    compare::<AesGcm256, HkdfSha512, DhP521HkdfSha512>(CipherSuite(5));
}

#[test]
fn agrees_with_another_implementation_in_suite_7() {
    use hpke::{aead::AesGcm256, kdf::HkdfSha384, kem::DhP384HkdfSha384};
    compare::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(CipherSuite(7));
}

#[test]
fn single_shot_is_the_first_message_of_a_context() {
    for provider in providers() {
        for spec in provider.suites() {
            let keys = provider.derive_key_pair(spec.kem.id, b"recipient").unwrap();
            let seed = Secret::new(&vec![7; spec.kem.seed_length]);
            let (kem_output, ciphertext) =
                ours::seal(&*provider, spec, &keys.public, b"info", b"aad", b"text", &seed)
                    .unwrap();
            let (same_output, mut sender) =
                ours::setup_base_sender(&*provider, spec, &keys.public, b"info", &seed).unwrap();
            assert_eq!(kem_output, same_output);
            assert_eq!(kem_output.len(), spec.kem.output_length);
            assert_eq!(sender.seal(b"aad", b"text").unwrap(), ciphertext);
            let open = |info: &[u8], aad: &[u8], ciphertext: &[u8]| {
                ours::open(&*provider, spec, &keys, &kem_output, info, aad, ciphertext)
            };
            assert_eq!(open(b"info", b"aad", &ciphertext).unwrap().as_bytes(), b"text");
            let failed = Err(CryptoError::DecryptionFailed);
            assert_eq!(open(b"other", b"aad", &ciphertext), failed);
            assert_eq!(open(b"info", b"other", &ciphertext), failed);
            assert_eq!(open(b"info", b"aad", &ciphertext[1..]), failed);
            assert_eq!(open(b"info", b"aad", b""), failed);
            let stranger = provider.derive_key_pair(spec.kem.id, b"stranger").unwrap();
            let result =
                ours::open(&*provider, spec, &stranger, &kem_output, b"info", b"aad", &ciphertext);
            assert_eq!(result, failed);
            let short = &kem_output[1..];
            let result = ours::open(&*provider, spec, &keys, short, b"info", b"aad", &ciphertext);
            assert_eq!(result, Err(CryptoError::InvalidKemOutput));
        }
    }
}

#[test]
fn a_message_that_does_not_open_leaves_the_context_where_it_was() {
    let provider = &*providers().remove(0);
    let spec = &provider.suites()[0];
    let keys = provider.derive_key_pair(spec.kem.id, b"recipient").unwrap();
    let seed = Secret::new(&[7; 32]);
    let (kem_output, mut sender) =
        ours::setup_base_sender(provider, spec, &keys.public, b"", &seed).unwrap();
    let mut recipient =
        ours::setup_base_recipient(provider, spec, &keys, &kem_output, b"").unwrap();
    let first = sender.seal(b"", b"first").unwrap();
    let second = sender.seal(b"", b"second").unwrap();
    assert_eq!(recipient.open(b"", &second), Err(CryptoError::DecryptionFailed));
    assert_eq!(recipient.open(b"", &first).unwrap().as_bytes(), b"first");
    assert_eq!(recipient.open(b"", &first), Err(CryptoError::DecryptionFailed));
    assert_eq!(recipient.open(b"", &second).unwrap().as_bytes(), b"second");
}

#[test]
fn a_psk_needs_32_bytes_and_an_identifier() {
    let provider = &*providers().remove(0);
    let spec = &provider.suites()[0];
    let keys = provider.derive_key_pair(spec.kem.id, b"recipient").unwrap();
    let seed = Secret::new(&[7; 32]);
    for (length, id) in [(32, b"".as_slice()), (31, b"id"), (0, b"id"), (0, b"")] {
        let key = Secret::new(&vec![1; length]);
        let psk = Psk { key: &key, id };
        let sent = ours::setup_psk_sender(provider, spec, &keys.public, b"", &psk, &seed);
        assert_eq!(sent.err(), Some(CryptoError::InvalidPsk));
        let received =
            ours::setup_psk_recipient(provider, spec, &keys, keys.public.as_bytes(), b"", &psk);
        assert_eq!(received.err(), Some(CryptoError::InvalidPsk));
    }
}

#[test]
fn an_export_has_a_longest_length() {
    let provider = &*providers().remove(0);
    let spec = &provider.suites()[0];
    let keys = provider.derive_key_pair(spec.kem.id, b"recipient").unwrap();
    let (_, sender) =
        ours::setup_base_sender(provider, spec, &keys.public, b"", &Secret::new(&[7; 32])).unwrap();
    assert_eq!(sender.export(b"", 255 * 32).unwrap().len(), 255 * 32);
    for length in [255 * 32 + 1, 65_535, 65_536, usize::MAX] {
        assert_eq!(sender.export(b"", length), Err(CryptoError::InvalidLength));
    }
}

#[test]
fn debug_shows_no_secret() {
    let provider = &*providers().remove(0);
    let spec = &provider.suites()[0];
    let keys = provider.derive_key_pair(spec.kem.id, b"recipient").unwrap();
    let (_, sender) =
        ours::setup_base_sender(provider, spec, &keys.public, b"", &Secret::new(&[7; 32])).unwrap();
    let shown = format!("{sender:?}");
    assert_eq!(shown.matches("[redacted]").count(), 3, "{shown}");
}
