use super::*;
use crate::crypto::providers::DefaultProvider;

fn context(provider: &DefaultProvider, nonce_length: usize) -> Context<'_> {
    Context {
        provider,
        suite_id: [0; 10],
        kdf: KdfId::HKDF_SHA256,
        aead: AeadId::AES_128_GCM,
        key: Secret::zero(16),
        base_nonce: Secret::new(&vec![0xff; nonce_length]),
        exporter_secret: Secret::zero(32),
        sequence: 0,
    }
}

#[test]
fn the_nonce_is_the_base_nonce_with_the_sequence_number_added_bitwise() {
    let provider = DefaultProvider::portable();
    let mut context = context(&provider, 12);
    context.sequence = 0x0102;
    let expected = [[0xff; 10].as_slice(), &[0xfe, 0xfd]].concat();
    assert_eq!(*context.next_nonce().unwrap(), expected);
}

#[test]
fn a_sequence_number_that_has_run_out_is_refused() {
    let provider = DefaultProvider::portable();
    let mut sender = SenderContext(context(&provider, 12));
    sender.0.sequence = u64::MAX - 1;
    assert!(sender.seal(b"", b"last").is_ok());
    assert_eq!(sender.seal(b"", b"over"), Err(CryptoError::MessageLimitReached));
    let mut recipient = RecipientContext(context(&provider, 12));
    recipient.0.sequence = u64::MAX;
    assert_eq!(recipient.open(b"", b"over"), Err(CryptoError::MessageLimitReached));
}

#[test]
fn a_short_nonce_runs_out_sooner() {
    let provider = DefaultProvider::portable();
    let mut context = context(&provider, 1);
    context.sequence = 254;
    assert_eq!(*context.next_nonce().unwrap(), [1]);
    context.sequence = 255;
    assert_eq!(context.next_nonce(), Err(CryptoError::MessageLimitReached));
}
