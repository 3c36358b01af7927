use std::collections::BTreeSet;

use super::super::{
    EpochSecret, EpochSecrets, InitSecret, JoinerSecret, confirmed_transcript_hash,
    interim_transcript_hash, psk_secret,
};
use super::{secret, suite};
use crate::crypto::{CryptoError, Mac, Rng, RngError, Secret};

/// Each call gives other bytes.
struct Counting(u8);

impl Rng for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        self.0 = self.0.checked_add(1).ok_or(RngError)?;
        out.fill(self.0);
        Ok(())
    }
}

/// The secrets of an epoch from everything that goes into it.
fn epoch(init: u8, commit: u8, psk: u8, context: &[u8]) -> (EpochSecrets, Secret) {
    let suite = suite();
    JoinerSecret::derive(&suite, &InitSecret::new(secret(init)), &secret(commit), context)
        .and_then(|joiner| joiner.with_psk(&suite, &secret(psk)))
        .and_then(|member| member.epoch(&suite, context))
        .and_then(|epoch| epoch.secrets(&suite))
        .unwrap()
}

fn all(secrets: &EpochSecrets) -> [&Secret; 8] {
    [
        &secrets.sender_data_secret,
        &secrets.exporter_secret,
        &secrets.external_secret,
        &secrets.confirmation_key,
        &secrets.membership_key,
        &secrets.resumption_psk,
        &secrets.epoch_authenticator,
        secrets.init_secret.secret(),
    ]
}

#[test]
fn every_input_changes_every_secret_of_the_epoch() {
    let inputs =
        [(1, 2, 3, b"a"), (9, 2, 3, b"a"), (1, 9, 3, b"a"), (1, 2, 9, b"a"), (1, 2, 3, b"b")];
    let mut seen = BTreeSet::new();
    for (init, commit, psk, context) in inputs {
        let (secrets, encryption_secret) = epoch(init, commit, psk, context);
        for secret in all(&secrets).into_iter().chain([&encryption_secret]) {
            assert_eq!(secret.len(), 32);
            assert!(seen.insert(secret.as_bytes().to_vec()));
        }
    }
    assert_eq!(seen.len(), 45);
}

#[test]
fn a_new_member_reaches_the_epoch_that_the_members_are_in() {
    let suite = suite();
    let no_psk = psk_secret(&suite, &[]).unwrap();
    let init = InitSecret::new(secret(1));
    let joiner = JoinerSecret::derive(&suite, &init, &secret(2), b"context").unwrap();
    let member = joiner.with_psk(&suite, &no_psk).unwrap();
    let keys = member.welcome(&suite).unwrap();
    let (secrets, _) = member.epoch(&suite, b"context").unwrap().secrets(&suite).unwrap();

    let sent = Secret::new(joiner.secret().as_bytes());
    let newcomer = JoinerSecret::new(&suite, sent).unwrap().with_psk(&suite, &no_psk).unwrap();
    let read = newcomer.welcome(&suite).unwrap();
    assert_eq!((&read.key, &read.nonce), (&keys.key, &keys.nonce));
    assert_eq!((keys.key.len(), keys.nonce.len()), (16, 12));
    let (theirs, _) = newcomer.epoch(&suite, b"context").unwrap().secrets(&suite).unwrap();
    assert_eq!(theirs, secrets);
}

#[test]
fn a_joiner_secret_has_the_length_of_the_kdf() {
    for length in [0, 31, 33, 64] {
        let refused = JoinerSecret::new(&suite(), Secret::zero(length));
        assert_eq!(refused, Err(CryptoError::InvalidLength));
    }
}

#[test]
fn a_new_group_begins_at_random() {
    let (suite, mut rng) = (suite(), Counting(0));
    let mut next = || EpochSecret::random(&suite, &mut rng)?.secrets(&suite);
    assert_ne!(next().unwrap(), next().unwrap());
    assert_eq!(
        EpochSecret::random(&suite, &mut Counting(u8::MAX)).map(|_| ()),
        Err(CryptoError::Rng(RngError))
    );
}

#[test]
fn the_exporter_separates_labels_contexts_and_lengths() {
    let (secrets, _) = epoch(1, 2, 3, b"");
    let suite = suite();
    let export = |label, context, length| secrets.export(&suite, label, context, length);
    let value = export("label", b"context", 32).unwrap();
    assert_eq!(export("label", b"context", 32).unwrap(), value);
    assert_ne!(export("Label", b"context", 32).unwrap(), value);
    assert_ne!(export("label", b"", 32).unwrap(), value);
    // The length is part of what is expanded: a longer value is no continuation of a shorter one.
    assert_ne!(export("label", b"context", 33).unwrap().as_bytes()[..32], *value.as_bytes());
    assert_eq!(export("", &[0; 100_000], 0).unwrap().len(), 0);
}

/// V-8.0-06.
#[test]
fn the_exporter_ends_where_hkdf_and_the_length_field_do() {
    let (secrets, _) = epoch(1, 2, 3, b"");
    let suite = suite();
    assert_eq!(secrets.export(&suite, "label", b"", 255 * 32).unwrap().len(), 255 * 32);
    for length in [255 * 32 + 1, 65_535, 65_536, 65_536 + 32, usize::MAX] {
        let refused = secrets.export(&suite, "label", b"", length);
        assert_eq!(refused, Err(CryptoError::InvalidLength), "{length}");
    }
}

#[test]
fn the_external_key_pair_is_the_epochs() {
    let suite = suite();
    let key = |init| epoch(init, 2, 3, b"").0.external_key_pair(&suite).unwrap();
    assert_eq!(key(1), key(1));
    assert_ne!(key(1).public, key(7).public);
}

#[test]
fn transcript_hashes_are_over_the_concatenation() {
    let suite = suite();
    let confirmed = confirmed_transcript_hash(&suite, b"before", b"commit").unwrap();
    assert_eq!(confirmed, suite.hash(&[b"beforecommit"]).unwrap());
    let interim = interim_transcript_hash(&suite, b"confirmed", &Mac(b"tag".to_vec())).unwrap();
    assert_eq!(interim, suite.hash(&[b"confirmed\x03tag"]).unwrap());
}

#[test]
fn nothing_secret_is_printed() {
    let (secrets, encryption_secret) = epoch(1, 2, 3, b"");
    let printed = format!("{secrets:?} {encryption_secret:?}");
    assert_eq!(printed.matches("[redacted]").count(), 9);
    let init = InitSecret::new(secret(0xab));
    assert_eq!(format!("{init:?}"), "InitSecret([redacted])");
}
