//! Framing (section 6).

mod authenticity;
mod encrypted;
mod sending;

use circlet::codec::{DecodeContext, DecodeError};
use circlet::crypto::Mac;
use circlet::message::{Content, MlsMessage, Proposal, Sender};
use circlet::rules::Violation;
use circlet::testing::{Heard, Outsider, TestGroup};
use circlet::tree::LeafIndex;
use circlet::{Error, Unready};

use crate::support::{SUITE, assert_violation};

/// Everybody but member 1 still hears it.
fn is_heard(group: &mut TestGroup) -> Result<(), Error> {
    group.send(1, b"genuine").map(drop)
}

fn remove() -> Proposal {
    Proposal::Remove(LeafIndex(2))
}

/// V-6.0-01: application data in a PublicMessage, with a signature and a membership tag that are
/// right.
#[test]
fn application_data_in_public() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let public = group.insider(1)?.application(b"for all to see")?.public()?;
    let error = group.refuses(0, public);
    assert_violation(&error, Violation::PublicApplicationMessage);
    is_heard(&mut group)
}

/// V-6.0-03: an MLSMessage of another version.
#[test]
fn another_version() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let genuine = group.members[1].send(b"hello")?;
    for version in [0, 2, 0x0100, 0xffff_u16] {
        let mut message = genuine.clone();
        message[..2].copy_from_slice(&version.to_be_bytes());
        let error = group.refuses(0, &message);
        let unsupported = DecodeError::UnsupportedVersion(version);
        assert!(matches!(&error, Error::Malformed(found) if *found == unsupported), "{error:?}");
    }
    assert!(matches!(group.members[0].receive(&genuine)?, Heard::Message(_)));
    Ok(())
}

/// V-6.0-04: an MLSMessage of an unknown wire format.
#[test]
fn another_wire_format() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let genuine = group.members[1].send(b"hello")?;
    for wire_format in [0, 6, 0x0100, 0xf000, 0xffff_u16] {
        let mut message = genuine.clone();
        message[2..4].copy_from_slice(&wire_format.to_be_bytes());
        let error = group.refuses(0, &message);
        let unsupported = DecodeError::UnsupportedWireFormat(wire_format);
        assert!(matches!(&error, Error::Malformed(found) if *found == unsupported), "{error:?}");
    }
    assert!(matches!(group.members[0].receive(&genuine)?, Heard::Message(_)));
    Ok(())
}

/// V-6.0-05: a sender that is no member has its kind of content, in a PublicMessage: an external
/// sender and a new member propose, a joiner commits, none sends application data.
#[test]
fn senders_and_contents_that_do_not_fit() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let context = insider.context.clone();
    let commit = insider.commit().public()?.content.content.content;
    let mut outsider = Outsider::new(&insider.settings.suite, "server", 7)?;
    for (sender, content) in [
        (Sender::External(0), commit.clone()),
        (Sender::NewMemberProposal, commit),
        (Sender::NewMemberCommit, Content::Proposal(remove())),
    ] {
        let commits = matches!(content, Content::Commit(_));
        let tag = |tag: &mut Option<Mac>| *tag = commits.then(|| Mac(vec![7; 32]));
        let frame = outsider.content(&context, sender, content.clone())?;
        let message = frame.edit_confirmation_tag(tag).public()?;
        assert_violation(&group.refuses(0, message), Violation::SenderTypeForbidden);
        // Nor can a member say to be such a sender, even with a right signature of its own.
        let frame = insider.content(content)?.sender(sender);
        let message = frame.edit_confirmation_tag(tag).public()?;
        assert_violation(&group.refuses(0, message), Violation::SenderTypeForbidden);
    }
    for sender in [Sender::External(0), Sender::NewMemberProposal, Sender::NewMemberCommit] {
        let data = Content::Application(b"hello".to_vec());
        let message = outsider.content(&context, sender, data)?.public()?;
        let error = group.refuses(0, message);
        assert_violation(&error, Violation::PublicApplicationMessage);
    }
    // In a PrivateMessage there is no place for it: the sender is the member whose leaf it names.
    let message = insider.proposal(remove())?.sender(Sender::External(0)).private()?;
    assert_violation(&group.refuses(0, message), Violation::ContentSignature);
    is_heard(&mut group)
}

/// V-6.0-06: a message of another group, or of an epoch that has not begun: an error of its own,
/// after which it can be brought again.
#[test]
fn another_group_or_epoch() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut other = TestGroup::builder(SUITE).group_id(b"another".to_vec()).build()?;
    let message = other.members[1].send(b"hello")?;
    let error = group.refuses(0, message);
    assert!(matches!(error, Error::Unready(Unready::OtherGroup)), "{error:?}");
    let message = other.insider(1)?.proposal(Proposal::Remove(LeafIndex(0)))?.public()?;
    let error = group.refuses(0, message);
    assert!(matches!(error, Error::Unready(Unready::OtherGroup)), "{error:?}");

    // Member 0 gets everything before the Commit that begins its epoch.
    let commit = group.insider(1)?.commit().private()?;
    let (bytes, mut ahead) = (commit.message.clone(), commit.next);
    let current = group.members[0].state().epoch();
    let early = [
        ahead.application(b"early")?.private()?,
        ahead.proposal(remove())?.private()?,
        ahead.proposal(remove())?.public()?,
    ];
    for message in &early {
        let error = group.refuses(0, message);
        let future = Unready::FutureEpoch { message: current + 1, current };
        assert!(matches!(&error, Error::Unready(found) if *found == future), "{error:?}");
    }
    group.members[0].receive(bytes)?;
    for message in early.iter().take(2) {
        group.members[0].receive(message)?;
    }
    Ok(())
}

/// V-6.0-07: proposals and Commits of an epoch that is over are refused; application data of it is
/// read.
#[test]
fn handshake_messages_of_a_past_epoch() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let data = insider.application(b"late")?.private()?;
    let handshake = [
        insider.proposal(remove())?.private()?.message,
        insider.proposal(remove())?.public()?.message,
        insider.commit().private()?.message,
        insider.commit().public()?.message,
    ];
    let message = group.members[0].state().epoch();
    group.update(2)?;
    for late in handshake {
        let error = group.refuses(0, late);
        let expected = Unready::LateHandshake { message, current: message + 1 };
        assert!(matches!(&error, Error::Unready(found) if *found == expected), "{error:?}");
    }
    assert!(matches!(group.members[0].receive(data)?, Heard::Message(_)));
    Ok(())
}

/// V-6.0-08: who sent a late message is told by the roster of its epoch, though the leaf has
/// another owner by now.
#[test]
fn a_late_message_of_a_former_member() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let leaf = group.leaf(1)?;
    let late = group.members[1].send(b"late")?;
    group.remove(0, 1)?;
    let joined = group.add(0, "another")?;
    assert_eq!(group.leaf(joined)?, leaf);
    let Heard::Message(message) = group.members[0].receive(&late)? else { panic!("no data") };
    assert_eq!(message.sender.credential.identity(), Some(b"m1".as_slice()));
    assert_eq!(message.sender.leaf_index, leaf);
    group.send(joined, b"hello")?;
    Ok(())
}

/// Reads a PrivateMessage.
fn private(bytes: &[u8]) -> circlet::message::PrivateMessage {
    match MlsMessage::read(bytes, &DecodeContext::default()) {
        Ok(MlsMessage::Private(message)) => message,
        other => panic!("no PrivateMessage: {other:?}"),
    }
}

/// The key and nonce of a message's sender data (section 6.3.2).
fn sender_data_key(
    insider: &circlet::testing::Insider,
    message: &circlet::message::PrivateMessage,
) -> (circlet::crypto::Secret, circlet::crypto::Secret) {
    let suite = insider.suite();
    let sample = &message.ciphertext[..suite.secret_length()];
    let (secret, aead) = (&insider.secrets.sender_data_secret, suite.spec().aead);
    (
        suite.expand_with_label(secret, "key", sample, aead.key_length).unwrap(),
        suite.expand_with_label(secret, "nonce", sample, aead.nonce_length).unwrap(),
    )
}
