//! Messages to a group: application data, proposals and Commits of every kind, in both framings.

use circlet::client::Outgoing;
use circlet::codec::DecodeContext;
use circlet::crypto::{CipherSuite, suite_spec};
use circlet::group::HandshakeFormat;
use circlet::message::{Content, ContentType, MlsMessage, PrivateMessage, WireFormat};
use circlet::{Error, Misuse, Received, Unready};

use crate::conversation::{BOB, CAROL, Conversation, PSK, extensions, group_id};
use crate::mutations::Flips;
use crate::withstand::{suites, withstand};

/// A kind of message to bob.
struct Kind {
    name: &'static str,
    /// Application data is never public.
    framings: &'static [HandshakeFormat],
    make: fn(&Conversation) -> Outgoing,
    /// What comes of the genuine message.
    expected: fn(&Received) -> bool,
    /// What comes of one whose sender data is intact: an encrypted message of one's own is known
    /// by no more than that.
    claims_own: bool,
}

const BOTH: &[HandshakeFormat] = &[HandshakeFormat::Private, HandshakeFormat::Public];
const PRIVATE: &[HandshakeFormat] = &[HandshakeFormat::Private];

const PLAIN: Kind = Kind {
    name: "application data",
    framings: PRIVATE,
    make: |c| c.alice.group().send_with(b"hello", b"in the open").unwrap(),
    expected: |received| matches!(received, Received::Message(m) if m.data() == b"hello"),
    claims_own: false,
};

fn is_proposal(received: &Received) -> bool {
    matches!(received, Received::Proposal(_))
}

fn is_commit(received: &Received) -> bool {
    matches!(received, Received::Commit(_))
}

const PROPOSAL: Kind = Kind {
    name: "proposal to remove",
    framings: BOTH,
    make: |c| c.alice.group().propose_remove(CAROL).unwrap(),
    expected: is_proposal,
    claims_own: false,
};

const COMMIT: Kind = Kind {
    name: "empty Commit with path",
    framings: BOTH,
    make: |c| c.alice.group().update().unwrap().message().clone(),
    expected: is_commit,
    claims_own: false,
};

fn data() -> Vec<Kind> {
    vec![
        PLAIN,
        Kind {
            name: "one's own application data",
            make: |c| c.bob.group().send(b"hello").unwrap(),
            expected: |received| matches!(received, Received::Own),
            claims_own: true,
            ..PLAIN
        },
    ]
}

fn proposals() -> Vec<Kind> {
    vec![
        PROPOSAL,
        Kind {
            name: "proposal to add",
            make: |c| {
                let key_package = c.stranger().client.key_package().unwrap();
                c.alice.group().propose_add(key_package).unwrap()
            },
            ..PROPOSAL
        },
        Kind {
            name: "proposal to update",
            make: |c| c.alice.group().propose_update().unwrap(),
            ..PROPOSAL
        },
        Kind {
            name: "proposal of extensions",
            make: |c| c.alice.group().propose_extensions(extensions()).unwrap(),
            ..PROPOSAL
        },
    ]
}

fn commits() -> Vec<Kind> {
    vec![
        COMMIT,
        Kind {
            name: "Commit by value without path",
            make: |c| {
                let group = c.alice.group();
                let key_package = c.stranger().client.key_package().unwrap();
                let commit = group.commit().add(key_package).psk(PSK).without_path();
                commit.stage().unwrap().message().clone()
            },
            ..COMMIT
        },
        Kind {
            name: "Commit of every kind by value",
            make: |c| {
                let group = c.alice.group();
                let commit = group.commit().add(c.stranger().client.key_package().unwrap());
                let commit = commit.remove(CAROL).psk(PSK).extensions(extensions());
                commit.stage().unwrap().message().clone()
            },
            ..COMMIT
        },
        Kind {
            name: "Commit by reference, with one's own Update",
            make: |c| {
                c.deliver(&c.bob, &c.bob.group().propose_update().unwrap());
                c.deliver(&c.alice, &c.alice.group().propose_remove(CAROL).unwrap());
                c.alice.group().commit().stage().unwrap().message().clone()
            },
            ..COMMIT
        },
        Kind {
            name: "Commit that removes the receiver",
            make: |c| c.alice.group().remove(BOB).unwrap().message().clone(),
            expected: |received| matches!(received, Received::Removed(_)),
            ..COMMIT
        },
        Kind {
            name: "one's own staged Commit",
            make: |c| c.bob.group().update().unwrap().message().clone(),
            expected: |received| matches!(received, Received::Confirmed(_)),
            claims_own: true,
            ..COMMIT
        },
    ]
}

#[test]
fn a_bad_message_changes_nothing_and_the_genuine_one_still_works() {
    for (suite, flips) in suites() {
        for kind in data().iter().chain(&proposals()).chain(&commits()) {
            for framing in kind.framings {
                try_kind(suite, flips, kind, *framing);
            }
        }
    }
}

fn try_kind(suite: CipherSuite, flips: Flips, kind: &Kind, framing: HandshakeFormat) {
    let what = format!("{} in suite {suite:?}, {framing:?}", kind.name);
    println!("{what}");
    let conversation = Conversation::new(suite, framing);
    let message = (kind.make)(&conversation);
    let bob = &conversation.bob;
    let group = bob.group();
    let authenticator = group.epoch_authenticator().unwrap();

    let intact = if kind.claims_own { Intact::Own } else { Intact::Refused };
    let judge = Judge::new(suite, &message, 1, intact);
    let of_group = |bad: &[u8]| group.receive(bad);
    withstand(bob, &message, flips, of_group, |_, bad, outcome| judge.allows(bad, outcome, true));
    let of_client = |bad: &[u8]| bob.client.receive(bad);
    withstand(bob, &message, Flips::OnePerByte, of_client, |_, bad, outcome| {
        judge.allows(bad, outcome, false)
    });

    assert_eq!(group.epoch_authenticator().unwrap(), authenticator, "{what}");
    let received = group.receive(&message).unwrap();
    assert!((kind.expected)(&received), "{what}: {received:?}");
}

/// The same for messages whose key is used up, and of epochs that are over.
#[test]
fn a_bad_message_that_was_read_before_changes_nothing() {
    for (suite, flips) in suites().filter(|(_, flips)| *flips == Flips::Every) {
        let c = Conversation::new(suite, HandshakeFormat::Private);
        let (bob, group) = (&c.bob, c.bob.group());
        let message = c.alice.group().send(b"hello").unwrap();
        group.receive(&message).unwrap();
        let entry = |bad: &[u8]| group.receive(bad);
        let judge = Judge::new(suite, &message, 1, Intact::Duplicate);
        withstand(bob, &message, flips, entry, |_, bad, outcome| judge.allows(bad, outcome, true));

        let late = c.alice.group().send(b"late").unwrap();
        let commit = c.alice.group().update().unwrap();
        group.receive(commit.message()).unwrap();
        let judge = Judge::new(suite, &late, 2, Intact::Refused);
        withstand(bob, &late, flips, entry, |_, bad, outcome| judge.allows(bad, outcome, true));
        assert!(matches!(group.receive(&late).unwrap(), Received::Message(_)));
        let judge = Judge::new(suite, &late, 2, Intact::Duplicate);
        withstand(bob, &late, flips, entry, |_, bad, outcome| judge.allows(bad, outcome, true));

        let judge = Judge::new(suite, commit.message(), 2, Intact::Refused);
        withstand(bob, commit.message(), flips, entry, |_, bad, outcome| {
            judge.allows(bad, outcome, true)
        });
    }
}

/// What may come of a private message whose sender data, and what that is encrypted with, are
/// intact, while anything else is not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intact {
    /// It fails where the content is decrypted.
    Refused,
    /// It is one's own, and can't be decrypted.
    Own,
    /// Its key is gone: it can't be decrypted.
    Duplicate,
}

/// Says exactly what may come of a bad message.
struct Judge {
    genuine: MlsMessage,
    epoch: u64,
    intact: Intact,
    /// Nh of the suite: as much of the ciphertext goes into the sender data's key (section 6.3.2).
    sample: usize,
}

impl Judge {
    fn new(suite: CipherSuite, genuine: &Outgoing, epoch: u64, intact: Intact) -> Self {
        let genuine = MlsMessage::read(genuine, &DecodeContext::default()).unwrap();
        Self { genuine, epoch, intact, sample: suite_spec(suite).unwrap().kdf.length }
    }

    fn allows(&self, bad: &[u8], outcome: &Result<Received, Error>, by_group: bool) -> bool {
        let message = match MlsMessage::read(bad, &DecodeContext::default()) {
            Ok(message) => message,
            Err(error) => return matches!(outcome, Err(Error::Malformed(e)) if *e == error),
        };
        let (id, epoch) = match &message {
            MlsMessage::Private(message) => (&message.group_id, message.epoch),
            MlsMessage::Public(message) => (&message.content.group_id, message.content.epoch),
            other => return self.allows_other(other.wire_format(), outcome, by_group),
        };
        if *id != group_id() {
            let expected = if by_group { Unready::OtherGroup } else { Unready::UnknownGroup };
            return matches!(outcome, Err(Error::Unready(reason)) if *reason == expected);
        }
        match message {
            MlsMessage::Public(message) if is_application(&message.content.content) => {
                matches!(outcome, Err(Error::Violation(_)))
            }
            _ if epoch > self.epoch => {
                matches!(outcome, Ok(Received::Early { epoch: said }) if *said == epoch)
            }
            MlsMessage::Public(_) if epoch < self.epoch => is_late(outcome, epoch),
            MlsMessage::Public(_) => matches!(outcome, Err(Error::Violation(_))),
            MlsMessage::Private(message) => self.allows_private(&message, outcome),
            _ => false,
        }
    }

    fn allows_other(
        &self,
        format: WireFormat,
        outcome: &Result<Received, Error>,
        by_group: bool,
    ) -> bool {
        match (outcome, format) {
            (Err(Error::Unready(Unready::OtherGroup)), _) => by_group,
            (Err(Error::Unready(Unready::UnknownKeyPackage)), WireFormat::Welcome) => !by_group,
            (Err(Error::Misuse(Misuse::NotReceivable)), _) => !by_group,
            _ => false,
        }
    }

    fn allows_private(&self, bad: &PrivateMessage, outcome: &Result<Received, Error>) -> bool {
        let application = bad.content_type == ContentType::Application;
        // Bob joined in epoch 1: it is the first whose application data he can read.
        if bad.epoch < self.epoch && (!application || bad.epoch < 1) {
            return is_late(outcome, bad.epoch);
        }
        match self.intact {
            _ if !self.has_sender_data_of_the_genuine(bad) => is_violation(outcome),
            Intact::Refused => is_violation(outcome),
            Intact::Own => matches!(outcome, Ok(Received::Own)),
            Intact::Duplicate => matches!(outcome, Ok(Received::Duplicate)),
        }
    }

    fn has_sender_data_of_the_genuine(&self, bad: &PrivateMessage) -> bool {
        let MlsMessage::Private(genuine) = &self.genuine else { return false };
        let sample = |message: &PrivateMessage| {
            message.ciphertext.get(..self.sample).unwrap_or(&message.ciphertext).to_vec()
        };
        (bad.epoch, bad.content_type) == (genuine.epoch, genuine.content_type)
            && bad.encrypted_sender_data == genuine.encrypted_sender_data
            && sample(bad) == sample(genuine)
    }
}

fn is_application(content: &Content) -> bool {
    matches!(content, Content::Application(_))
}

fn is_late(outcome: &Result<Received, Error>, epoch: u64) -> bool {
    matches!(outcome, Ok(Received::Late { epoch: said }) if *said == epoch)
}

fn is_violation(outcome: &Result<Received, Error>) -> bool {
    matches!(outcome, Err(Error::Violation(_)))
}
