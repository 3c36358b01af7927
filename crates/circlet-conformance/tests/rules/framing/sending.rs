//! Messages as they are sent (sections 6, 6.3 and 16).

use std::collections::BTreeSet;

use circlet::codec::{Decode, DecodeContext, Limits};
use circlet::crypto::{Rng, RngError};
use circlet::group::{CommitRequest, HandshakeFormat, Padding};
use circlet::message::{
    ContentType, MlsMessage, PrivateContent, PrivateMessage, SenderData, WireFormat,
};
use circlet::schedule::RatchetKind;
use circlet::storage::MemoryStorage;
use circlet::testing::{FailingStorage, Fault, FixedClock, Heard, Insider, SeededRng, TestGroup};
use circlet::{Client, Error, Received, Refused, Unready};

use super::{private, sender_data_key};
use crate::support::SUITE;

fn wire_format(message: &[u8]) -> WireFormat {
    MlsMessage::read(message, &DecodeContext::default()).unwrap().wire_format()
}

/// V-6.0-01, V-6.0-02: proposals and Commits are encrypted unless somebody wants it otherwise;
/// application data always is.
#[test]
fn what_is_encrypted() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let proposal = group.propose(1, None)?;
    let commit = group.update(0)?.message;
    let data = group.send(1, b"hello")?;
    for message in [&proposal, &commit, &data] {
        assert_eq!(wire_format(message), WireFormat::PrivateMessage);
    }
    let mut group = TestGroup::builder(SUITE).handshake(HandshakeFormat::Public).size(2).build()?;
    let proposal = group.propose(1, None)?;
    let commit = group.update(0)?.message;
    for message in [&proposal, &commit] {
        assert_eq!(wire_format(message), WireFormat::PublicMessage);
    }
    let data = group.send(1, b"hello")?;
    assert_eq!(wire_format(&data), WireFormat::PrivateMessage);
    Ok(())
}

/// The sender data of a message.
fn sender_data(insider: &Insider, message: &PrivateMessage) -> Result<SenderData, Error> {
    let (key, nonce) = sender_data_key(insider, message);
    let PrivateMessage { group_id, epoch, content_type, .. } = message;
    let aad = PrivateMessage::sender_data_aad(group_id, *epoch, *content_type)?;
    let sealed = &message.encrypted_sender_data;
    let plaintext = insider.suite().open(&key, nonce.as_bytes(), &aad, sealed)?;
    Ok(SenderData::from_bytes(&plaintext, &DecodeContext::default())?)
}

/// The plaintext of application data.
fn plaintext(insider: &Insider, message: &PrivateMessage) -> Result<Vec<u8>, Error> {
    let SenderData { leaf_index, generation, reuse_guard } = sender_data(insider, message)?;
    let key = insider.message_key(leaf_index, RatchetKind::Application, generation)?;
    let mut nonce = key.nonce.as_bytes().to_vec();
    for (byte, guard) in nonce.iter_mut().zip(reuse_guard) {
        *byte ^= guard;
    }
    let PrivateMessage { group_id, epoch, content_type, authenticated_data, .. } = message;
    let aad = PrivateMessage::content_aad(group_id, *epoch, *content_type, authenticated_data)?;
    Ok(insider.suite().open(&key.key, &nonce, &aad, &message.ciphertext)?)
}

/// V-6.3.1-01: padding is zeros, and as many as were asked for.
#[test]
fn padding_is_zeros() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let insider = group.insider(0)?;
    for length in [0, 1, 100, 181, 182, 183, 300] {
        group.members[1].framing.padding = Padding::Multiple(256);
        let message = private(&group.members[1].send(&vec![7; length])?);
        let plaintext = plaintext(&insider, &message)?;
        assert_eq!(plaintext.len() % 256, 0);
        let content = PrivateContent::from_plaintext(
            ContentType::Application,
            &plaintext,
            &DecodeContext::default(),
        )?;
        let content = content.to_plaintext(0)?;
        assert!(plaintext.len() - content.len() < 256);
        assert_eq!(plaintext[..content.len()], content[..]);
        assert!(plaintext[content.len()..].iter().all(|byte| *byte == 0));
    }
    Ok(())
}

/// V-6.3.1-04: each message has a reuse guard of its own: also two that were encrypted in the same
/// state, with the same key.
#[test]
fn reuse_guards_differ() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let insider = group.insider(0)?;
    let (mut guards, mut generations) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..10 {
        let member = &group.members[1];
        let (state, framing, mut rng) = (member.state(), &member.framing, member.rng.clone());
        let (message, _) = state.send(b"hello", framing, true, &member.signer, &mut rng)?;
        let data = sender_data(&insider, &private(&message))?;
        guards.insert(data.reuse_guard);
        generations.insert(data.generation);
    }
    assert_eq!((guards.len(), generations.len()), (10, 1));
    Ok(())
}

/// A generator that has nothing but zeros.
struct Zeros;

impl Rng for Zeros {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        out.fill(0);
        Ok(())
    }
}

/// V-6.3.1-04: a reuse guard of zeros is one like any other.
#[test]
fn a_reuse_guard_of_zeros() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let member = &group.members[1];
    let (state, framing) = (member.state(), &member.framing);
    let (message, _) = state.send(b"hello", framing, true, &member.signer, &mut Zeros)?;
    assert!(matches!(group.members[0].receive(message)?, Heard::Message(_)));
    Ok(())
}

/// V-6.3.2-01: the sender data of a message names who sent it.
#[test]
fn sender_data_is_the_senders() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    for i in 0..3 {
        let leaf = group.leaf(i)?;
        let message = group.send(i, b"hello")?;
        let data = sender_data(&group.insider((i + 1) % 3)?, &private(&message))?;
        assert_eq!((data.leaf_index, data.generation), (leaf, 0));
    }
    Ok(())
}

/// V-6.3.1-07: what would be too long is not sent, whatever it is, and nothing is used up.
#[test]
fn what_is_too_long_is_not_sent() -> Result<(), Error> {
    let limits = Limits { message_bytes: 4096, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let mut group = TestGroup::builder(SUITE).context(context).size(2).build()?;
    let before = group.members[0].fingerprint()?;
    for length in [4096, 10_000] {
        let error = group.members[0].send(&vec![7; length]).expect_err("too much");
        let too_long = matches!(error, Error::Refused(Refused::MessageTooLong { limit: 4096, .. }));
        assert!(too_long, "{error:?}");
    }
    group.members[0].framing.authenticated_data = vec![7; 4096];
    let error = group.members[0].send(b"").expect_err("too much");
    assert!(matches!(error, Error::Refused(Refused::MessageTooLong { .. })), "{error:?}");
    let framing = group.members[0].framing.clone();
    let request = CommitRequest { framing, ..CommitRequest::default() };
    let error = group.members[0].stage(request).expect_err("too much");
    assert!(matches!(error, Error::Refused(Refused::MessageTooLong { .. })), "{error:?}");
    assert_eq!(before, group.members[0].fingerprint()?);
    group.members[0].framing.authenticated_data = Vec::new();
    group.send(0, &[7; 3900])?;
    Ok(())
}

fn client(name: &str, seed: u64, storage: FailingStorage<MemoryStorage>) -> Result<Client, Error> {
    let builder = Client::builder(name).cipher_suite(SUITE).storage(storage);
    builder.rng(SeededRng::new(seed)).clock(FixedClock::default()).build()
}

/// V-6.3.1-05: what could not be written is not sent; what was written, though nobody knew, is not
/// encrypted with again.
#[test]
fn a_key_is_used_up_before_its_message_is_seen() -> Result<(), Error> {
    let store = FailingStorage::new(MemoryStorage::new());
    let alice = client("alice", 1, store.clone())?;
    let bob = client("bob", 2, FailingStorage::new(MemoryStorage::new()))?;
    let group = alice.create_group()?;
    let welcome = group.invite([bob.key_package()?])?.confirm()?.welcome();
    let heard = bob.join(&welcome)?;
    let unsent = alice.unsent()?.len();

    let hears = |wire: &[u8]| match heard.receive(wire) {
        Ok(Received::Message(message)) => (message.generation(), message.data().to_vec()),
        other => panic!("{other:?}"),
    };
    for fault in [Fault::Before, Fault::Lost] {
        store.fail(0, fault);
        assert!(group.send(b"nobody sees this").is_err());
        assert_eq!(alice.unsent()?.len(), unsent);
    }
    let sent = group.send(b"first")?;
    assert_eq!(hears(sent.as_bytes()), (0, b"first".to_vec()));
    store.fail(0, Fault::After);
    assert!(group.send(b"second").is_err());
    let sent = group.send(b"third")?;
    assert_eq!(hears(sent.as_bytes()), (2, b"third".to_vec()));
    let waiting = alice.unsent()?;
    let second = waiting.iter().find(|it| wire_of(it.as_bytes(), sent.as_bytes()));
    assert!(second.is_some());
    Ok(())
}

/// Whether it is another message than this one.
fn wire_of(message: &[u8], other: &[u8]) -> bool {
    message != other && wire_format(message) == WireFormat::PrivateMessage
}

/// V-16.0-05: a KeyPackage is for one use, and its private keys go with it; one of last resort
/// stays.
#[test]
fn a_key_package_is_for_one_use() -> Result<(), Error> {
    let alice = client("alice", 1, FailingStorage::new(MemoryStorage::new()))?;
    let bob = client("bob", 2, FailingStorage::new(MemoryStorage::new()))?;
    let invited = |key_package: &[u8]| -> Result<Vec<u8>, Error> {
        let welcome = alice.create_group()?.invite([key_package.to_vec()])?.confirm()?.welcome();
        Ok(welcome.as_bytes().to_vec())
    };
    let once = bob.key_package()?;
    bob.join(invited(&once)?)?;
    let error = bob.join(invited(&once)?).expect_err("a key package that was used");
    assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");
    let always = bob.last_resort_key_package()?;
    bob.join(invited(&always)?)?;
    bob.join(invited(&always)?)?;
    Ok(())
}

/// V-16.0-07: by the generation of a message it can be told how many before it are missing.
#[test]
fn gaps_can_be_told() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let sent = [b"a", b"b", b"c", b"d"].map(|data| group.members[1].send(data).unwrap());
    for generation in [0, 3, 1] {
        let heard = group.members[0].receive(&sent[generation as usize])?;
        let Heard::Message(message) = heard else { panic!("no data") };
        assert_eq!(message.generation, generation);
    }
    Ok(())
}
