//! PrivateMessages as they are received (section 6.3).

use circlet::codec::DecodeError;
use circlet::message::{ContentType, GroupId, PrivateMessage};
use circlet::rules::Violation;
use circlet::schedule::RatchetKind;
use circlet::testing::{Heard, Insider, TestGroup};
use circlet::tree::LeafIndex;
use circlet::{Error, Unready};

use super::{is_heard, remove, sender_data_key};
use crate::support::{SUITE, assert_malformed, assert_violation};

/// V-6.3-01, V-6.3.2-03: every field of the header is bound to what is encrypted.
#[test]
fn a_header_that_was_changed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let epoch = insider.context.epoch;
    let frame = insider.application(b"hello")?.authenticated_data(b"data");
    let changed = frame.edit_private(|message| message.authenticated_data[0] ^= 1).private()?;
    assert_violation(&group.refuses(0, changed), Violation::ContentDecryption);
    let frame = insider.application(b"hello")?;
    let changed = frame.edit_private(|message| message.authenticated_data.push(0)).private()?;
    assert_violation(&group.refuses(0, changed), Violation::ContentDecryption);

    let types = [ContentType::Proposal, ContentType::Commit];
    for content_type in types {
        let frame = insider.application(b"hello")?;
        let changed = frame.edit_private(|message| message.content_type = content_type);
        let error = group.refuses(0, changed.private()?);
        assert_violation(&error, Violation::SenderDataDecryption);
    }
    let frame = insider.application(b"hello")?;
    let changed = frame.edit_private(|message| message.group_id = GroupId::new(b"b group"));
    let error = group.refuses(0, changed.private()?);
    assert!(matches!(error, Error::Unready(Unready::OtherGroup)), "{error:?}");
    let frame = insider.application(b"hello")?;
    let changed = frame.edit_private(|message| message.epoch += 1).private()?;
    let error = group.refuses(0, changed);
    assert!(matches!(error, Error::Unready(Unready::FutureEpoch { .. })), "{error:?}");

    // A message of the next epoch that says to be of this one.
    let mut ahead = insider.commit().private()?.next;
    let frame = ahead.application(b"hello")?.edit_private(|message| message.epoch = epoch);
    let error = group.refuses(0, frame.private()?);
    assert_violation(&error, Violation::SenderDataDecryption);
    is_heard(&mut group)
}

/// V-6.3-01, V-6.3.2-03: every byte of both ciphertexts counts.
#[test]
fn a_ciphertext_that_was_changed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let genuine = super::private(&insider.application(b"hello")?.private()?.message);
    for byte in 0..genuine.encrypted_sender_data.len() {
        let frame = insider.application(b"hello")?;
        let changed = frame.edit_private(|message| message.encrypted_sender_data[byte] ^= 1);
        let error = group.refuses(0, changed.private()?);
        assert_violation(&error, Violation::SenderDataDecryption);
    }
    for byte in 0..genuine.ciphertext.len() {
        let frame = insider.application(b"hello")?;
        let changed = frame.edit_private(|message| message.ciphertext[byte] ^= 1).private()?;
        let error = group.refuses(0, changed);
        // The sender data's key comes from the first bytes.
        let expected = match byte < 32 {
            true => Violation::SenderDataDecryption,
            false => Violation::ContentDecryption,
        };
        assert_violation(&error, expected);
    }
    is_heard(&mut group)
}

/// V-6.3.2-02: a ciphertext that is shorter than what the sender data's key is made from.
#[test]
fn a_ciphertext_that_is_short() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for length in [0, 1, 15, 16, 31, 32] {
        let frame = insider.application(b"hello")?;
        let short = frame.edit_private(|message| message.ciphertext.truncate(length));
        let error = group.refuses(0, short.private()?);
        let expected = match length < 32 {
            true => Violation::SenderDataDecryption,
            false => Violation::ContentDecryption,
        };
        assert_violation(&error, expected);
    }
    is_heard(&mut group)
}

/// V-6.3-02: a content type that does not exist; a proposal under the key of a handshake message
/// that says to be application data, and the other way round.
#[test]
fn another_content_type() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let message = insider.application(b"hello")?.private()?.message;
    // Version, wire format, group id with its length, epoch.
    let place = 2 + 2 + 1 + insider.context.group_id.as_bytes().len() + 8;
    assert_eq!(message[place], 1);
    for content_type in [0, 4, 255] {
        let mut message = message.clone();
        message[place] = content_type;
        let error = group.refuses(0, message);
        let unknown = matches!(error, Error::Malformed(DecodeError::UnknownValue { .. }));
        assert!(unknown, "{error:?}");
    }
    let disguise =
        |content_type| move |message: &mut PrivateMessage| message.content_type = content_type;
    let frame = insider.proposal(remove())?.edit_header(disguise(ContentType::Application));
    let error = group.refuses(0, frame.private()?);
    assert_violation(&error, Violation::ContentDecryption);
    let frame = insider.application(b"hello")?.edit_header(disguise(ContentType::Commit));
    let error = group.refuses(0, frame.private()?);
    assert_violation(&error, Violation::ContentDecryption);
    // Under the key of the other ratchet it is decrypted, and is no proposal.
    let frame = insider.application(b"hello")?.edit_header(disguise(ContentType::Proposal));
    let error = group.refuses(0, frame.ratchet_kind(RatchetKind::Handshake).private()?);
    // The length of the data and its first letter.
    assert_malformed(&error, DecodeError::UnsupportedProposal(0x0568));

    let proposal = insider.proposal(remove())?.private()?;
    assert!(matches!(group.members[0].receive(proposal)?, Heard::Proposal(_)));
    is_heard(&mut group)
}

/// V-6.3-03: one's own messages come back: it is said so, and nothing changes.
#[test]
fn ones_own_messages_come_back() -> Result<(), Error> {
    for handshake in
        [circlet::group::HandshakeFormat::Private, circlet::group::HandshakeFormat::Public]
    {
        let mut group = TestGroup::builder(SUITE).handshake(handshake).size(3).build()?;
        let member = &mut group.members[1];
        let messages = [member.send(b"hello")?, member.propose(None)?];
        for message in messages {
            let before = member.fingerprint()?;
            assert!(matches!(member.receive(message)?, Heard::Own));
            assert_eq!(before, member.fingerprint()?);
        }
        let request = circlet::group::CommitRequest {
            framing: member.framing.clone(),
            ..circlet::group::CommitRequest::default()
        };
        let commit = member.stage(request)?;
        assert!(matches!(member.receive(commit)?, Heard::Own));
        member.staged = None;
        is_heard(&mut group)?;
    }
    Ok(())
}

/// V-6.3.1-02: a byte of the padding is not zero: the first, one in the midst, the last.
#[test]
fn padding_that_is_not_zero() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for place in [0, 1, 50, 98, 99] {
        let mut padding = vec![0; 100];
        padding[place] = 1;
        let frames = [insider.application(b"hello")?, insider.proposal(remove())?];
        for frame in frames {
            let error = group.refuses(0, frame.padding(&padding).private()?);
            let malformed = matches!(error, Error::Malformed(DecodeError::NonZeroPadding));
            assert!(malformed, "{error:?}");
        }
    }
    for padding in [&[][..], &[0], &[0; 1000]] {
        let padded = insider.application(b"hello")?.padding(padding).private()?;
        assert!(matches!(group.members[0].receive(padded)?, Heard::Message(_)));
    }
    Ok(())
}

/// V-6.3.1-03: a message that was refused for its padding uses up nothing: its generation, and the
/// next, can still be read.
#[test]
fn padding_that_is_refused_desynchronizes_nobody() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let padded = insider.application(b"hello")?.generation(0).padding(&[1]).private()?;
    group.refuses(0, padded);
    for generation in [1, 0, 2] {
        let genuine = insider.application(b"hello")?.generation(generation).private()?;
        let Heard::Message(message) = group.members[0].receive(genuine)? else { panic!("no data") };
        assert_eq!(message.generation, generation);
    }
    Ok(())
}

/// V-6.3.1-08: a plaintext that ends before content and signature do, or says to be longer.
#[test]
fn a_plaintext_that_is_cut() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for length in [0, 1, 5, 6, 7, 40, 71] {
        let frame = insider.application(b"hello")?;
        let cut = frame.edit_plaintext(|plaintext| {
            // The data and its length, the signature and its length.
            assert_eq!(plaintext.len(), 6 + 66);
            plaintext.truncate(length);
        });
        let error = group.refuses(0, cut.private()?);
        assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    }
    let frame = insider.application(b"hello")?.padding(&[0; 8]);
    let longer = frame.edit_plaintext(|plaintext| {
        plaintext.splice(..1, [0x40, 0xff]);
    });
    let error = group.refuses(0, longer.private()?);
    assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    is_heard(&mut group)
}

/// V-6.3.2-04: the sender data names a leaf that is blank, or outside of the tree.
#[test]
fn sender_data_of_no_member() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 5)?;
    group.remove(0, 3)?;
    let mut insider = group.insider(1)?;
    for leaf in [3, 5, 7, 8, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let frame = insider.application(b"hello")?;
        let frame = frame.edit_sender_data(|data| data.leaf_index = LeafIndex(leaf));
        assert_violation(&group.refuses(0, frame.private()?), Violation::SenderDataLeaf);
    }
    // With the ratchet of the blank leaf, too.
    let frame = insider.application(b"hello")?.impersonate(LeafIndex(3)).private()?;
    assert_violation(&group.refuses(0, frame), Violation::SenderDataLeaf);
    is_heard(&mut group)
}

/// Encrypts the sender data again, changed.
fn reseal(insider: &Insider, message: &mut PrivateMessage, edit: impl FnOnce(&mut Vec<u8>)) {
    let suite = insider.suite();
    let (key, nonce) = sender_data_key(insider, message);
    let PrivateMessage { group_id, epoch, content_type, .. } = &*message;
    let aad = PrivateMessage::sender_data_aad(group_id, *epoch, *content_type).unwrap();
    let sealed = &message.encrypted_sender_data;
    let mut plaintext = suite.open(&key, nonce.as_bytes(), &aad, sealed).unwrap();
    assert_eq!(plaintext.len(), 12);
    edit(&mut plaintext);
    let sealed = suite.seal(&key, nonce.as_bytes(), &aad, &plaintext).unwrap();
    message.encrypted_sender_data = sealed;
}

/// V-6.3.2-05: sender data that is shorter or longer than 12 bytes.
#[test]
fn sender_data_of_another_length() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let insider = group.insider(1)?;
    for length in [0, 4, 11] {
        let frame = group.insider(1)?.application(b"hello")?;
        let cut = |message: &mut PrivateMessage| {
            reseal(&insider, message, |data| data.truncate(length));
        };
        let error = group.refuses(0, frame.edit_private(cut).private()?);
        assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    }
    for more in [1, 100] {
        let frame = group.insider(1)?.application(b"hello")?;
        let longer = |message: &mut PrivateMessage| {
            reseal(&insider, message, |data| data.resize(12 + more, 0));
        };
        let error = group.refuses(0, frame.edit_private(longer).private()?);
        assert!(matches!(error, Error::Malformed(DecodeError::TrailingBytes { .. })), "{error:?}");
    }
    is_heard(&mut group)
}

/// V-6.3.2-06: a member that says to be another burns none of the other's keys.
#[test]
fn another_members_ratchet_is_not_used_up() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let victim = group.leaf(2)?;
    let first = group.members[2].send(b"first")?;
    let second = group.members[2].send(b"second")?;
    for generation in [0, 1, 5, 9_000] {
        let burn = insider.application(b"not mine")?.impersonate(victim).generation(generation);
        let error = group.refuses(0, burn.private()?);
        assert_violation(&error, Violation::ContentSignature);
        let burn = insider.application(b"mine")?.edit_sender_data(|data| {
            data.leaf_index = victim;
            data.generation = generation;
        });
        let error = group.refuses(0, burn.private()?);
        assert_violation(&error, Violation::ContentDecryption);
    }
    for genuine in [second, first] {
        assert!(matches!(group.members[0].receive(genuine)?, Heard::Message(_)));
    }
    Ok(())
}

/// V-6.3.2-07: a message comes twice.
#[test]
fn a_message_comes_twice() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for message in [
        insider.application(b"hello")?.private()?,
        insider.application(b"later")?.generation(7).private()?,
        insider.application(b"skipped")?.generation(3).private()?,
        insider.proposal(remove())?.private()?,
    ] {
        group.members[0].receive(&message)?;
        let error = group.refuses(0, &message);
        assert!(matches!(error, Error::Unready(Unready::KeyGone)), "{error:?}");
    }
    Ok(())
}
