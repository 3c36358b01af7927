use super::super::{PreSharedKeyId, Psk, ResumptionPskUsage, psk_secret};
use super::{assert_codec, decode, secret, suite};
use crate::codec::{DecodeError, Encode};
use crate::crypto::{CryptoError, Rng, RngError, Secret};

/// No byte is as the one before.
struct Ascending(u8);

impl Rng for Ascending {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

fn external(name: &[u8], nonce: u8) -> PreSharedKeyId {
    PreSharedKeyId { psk: Psk::External { psk_id: name.to_vec() }, psk_nonce: vec![nonce; 2] }
}

fn resumption(usage: ResumptionPskUsage) -> PreSharedKeyId {
    let psk = Psk::Resumption { usage, psk_group_id: b"group".to_vec(), psk_epoch: 0x0102 };
    PreSharedKeyId { psk, psk_nonce: vec![7; 2] }
}

#[test]
fn the_encoding_is_that_of_section_8_4() {
    assert_codec(&external(b"id", 9), b"\x01\x02id\x02\x09\x09");
    let usages = [
        (ResumptionPskUsage::Application, 1),
        (ResumptionPskUsage::Reinit, 2),
        (ResumptionPskUsage::Branch, 3),
    ];
    for (usage, value) in usages {
        let expected =
            [b"\x02", &[value][..], b"\x05group", &[0, 0, 0, 0, 0, 0, 1, 2], b"\x02\x07\x07"];
        assert_codec(&resumption(usage), &expected.concat());
    }
}

/// V-12.1.4-03, V-8.4-02: a nonce is what the generator gives, all of it, and another one for each
/// use.
#[test]
fn nonces_are_random() {
    let psk = || Psk::External { psk_id: b"id".to_vec() };
    let (mut rng, mut same) = (Ascending(3), Ascending(3));
    let mut seen = Vec::new();
    for length in [32, 32, 64] {
        let id = PreSharedKeyId::fresh::<RngError>(psk(), length, &mut rng).unwrap();
        let random = Secret::random(&mut same, length).unwrap();
        assert_eq!(id.psk_nonce, random.as_bytes());
        assert!(!seen.contains(&id.psk_nonce));
        seen.push(id.psk_nonce);
    }
}

/// V-2.0-04.
#[test]
fn reserved_and_unassigned_values_are_refused() {
    let mut bytes = external(b"id", 9).to_bytes().unwrap();
    for value in (0..=u8::MAX).filter(|value| !(1..=2).contains(value)) {
        bytes[0] = value;
        let error = DecodeError::UnknownValue { kind: "PSKType", value: value.into() };
        assert_eq!(decode::<PreSharedKeyId>(&bytes), Err(error));
    }
    let mut bytes = resumption(ResumptionPskUsage::Branch).to_bytes().unwrap();
    for value in (0..=u8::MAX).filter(|value| !(1..=3).contains(value)) {
        bytes[1] = value;
        let error = DecodeError::UnknownValue { kind: "ResumptionPSKUsage", value: value.into() };
        assert_eq!(decode::<PreSharedKeyId>(&bytes), Err(error));
    }
}

/// V-8.4-06.
#[test]
fn without_keys_it_is_all_zero() {
    assert_eq!(psk_secret(&suite(), &[]).unwrap(), Secret::zero(32));
}

#[test]
fn order_number_nonce_and_source_all_count() {
    let (one, two) = ((external(b"1", 1), secret(1)), (external(b"2", 1), secret(2)));
    let inputs = [
        vec![one.clone()],
        vec![one.clone(), two.clone()],
        vec![two.clone(), one.clone()],
        vec![one.clone(), one.clone()],
        vec![(external(b"1", 2), secret(1))],
        vec![(external(b"1", 1), secret(2))],
        vec![(resumption(ResumptionPskUsage::Application), secret(1))],
        vec![(resumption(ResumptionPskUsage::Branch), secret(1))],
    ];
    let secrets: Vec<Secret> =
        inputs.iter().map(|psks| psk_secret(&suite(), psks).unwrap()).collect();
    for (index, secret) in secrets.iter().enumerate() {
        assert_eq!(secret.len(), 32);
        assert!(!secrets[..index].contains(secret), "{index}");
    }
}

/// V-8.4-04.
#[test]
fn more_keys_than_their_count_can_say_are_refused() {
    let mut psks = vec![(external(b"", 0), secret(1)); 65_536];
    assert_eq!(psk_secret(&suite(), &psks), Err(CryptoError::InvalidLength));
    psks.pop();
    assert!(psk_secret(&suite(), &psks).is_ok());
}

/// V-8.4-03.
#[test]
fn the_chain_is_that_of_section_8_4() {
    let suite = suite();
    let psks = [
        (external(b"1", 1), secret(1)),
        (resumption(ResumptionPskUsage::Application), secret(2)),
        (external(b"3", 3), Secret::new(b"of another length")),
    ];
    let labels: [&[u8]; 3] = [
        b"\x01\x011\x02\x01\x01\0\0\0\x03",
        b"\x02\x01\x05group\0\0\0\0\0\0\x01\x02\x02\x07\x07\0\x01\0\x03",
        b"\x01\x013\x02\x03\x03\0\x02\0\x03",
    ];
    let zero = Secret::zero(32);
    let expected = psks.iter().zip(labels).fold(zero.clone(), |chained, ((_, psk), label)| {
        let extracted = suite.extract(&zero, psk).unwrap();
        let input = suite.expand_with_label(&extracted, "derived psk", label, 32).unwrap();
        suite.extract(&input, &chained).unwrap()
    });
    assert_eq!(psk_secret(&suite, &psks).unwrap(), expected);
}
