//! What applications build on: past epochs and their secrets, Commits that collide, application
//! messages (RFC 9420 sections 8.5 to 8.7, 9.2, 14 and 15).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use circlet::codec::DecodeContext;
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{AeadId, CryptoError};
use circlet::group::{CommitRequest, Padding};
use circlet::message::{MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{Heard, Hooks, SeededRng, Spying, TestGroup, clients};
use circlet::tree::LeafIndex;
use circlet::{Error, Misuse, Received, Unready};

use crate::support::{SUITE, assert_violation};

/// A group of three that keeps so many past epochs.
fn keeping(past_epochs: usize) -> TestGroup {
    let mut context = DecodeContext::default();
    context.limits.past_epochs = past_epochs;
    TestGroup::builder(SUITE).size(3).context(context).build().unwrap()
}

/// V-8.5-03: each epoch exports other secrets, the same to all of its members.
#[test]
fn v_8_5_03_exported_secrets_are_of_an_epoch() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for committer in [0, 1, 2, 0] {
        let exported = |i: usize, label, context, length| {
            let secret = group.members[i].state().export(label, context, length).unwrap();
            secret.as_bytes().to_vec()
        };
        let secret = exported(0, "label", b"context", 32);
        assert!((1..3).all(|i| exported(i, "label", b"context", 32) == secret));
        assert_ne!(exported(0, "other", b"context", 32), secret);
        assert_ne!(exported(0, "label", b"other", 32), secret);
        assert_ne!(exported(0, "label", b"context", 33)[..32], secret);
        assert!(!seen.contains(&secret));
        seen.push(secret);
        group.update(committer).unwrap();
    }
}

/// V-8.7-01: the epoch authenticator is the same for those who are in one state of the group, and
/// another for those who are not.
#[test]
fn v_8_7_01_epoch_authenticators() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let authenticator = |group: &TestGroup, i: usize| {
        group.members[i].state().epoch_authenticator().as_bytes().to_vec()
    };
    let first = authenticator(&group, 0);
    group.update(1).unwrap();
    let second = authenticator(&group, 0);
    assert_ne!(first, second);
    // Two Commits for one epoch, each accepted by one.
    let one = group.members[1].stage(CommitRequest::default()).unwrap();
    let two = group.members[2].stage(CommitRequest::default()).unwrap();
    group.members[0].receive(one).unwrap();
    group.members[1].receive(two).unwrap();
    assert_eq!(group.members[0].state().epoch(), group.members[1].state().epoch());
    assert_ne!(authenticator(&group, 0), authenticator(&group, 1));
    group.members[2].confirm().unwrap();
    assert_eq!(authenticator(&group, 1), authenticator(&group, 2));
}

/// V-8.6-01: the resumption PSK of an epoch goes when as many have come after it as are kept.
#[test]
fn v_8_6_01_epochs_are_forgotten() {
    let mut group = keeping(2);
    let id = group.members[0].state().group_id().as_bytes().to_vec();
    let kept = |group: &mut TestGroup| -> Vec<u64> {
        let insider = group.insider(0).unwrap();
        let own = insider.psks.resumption.iter().filter(|((group, _), _)| *group == id);
        own.filter(|(_, psk)| !psk.is_empty()).map(|((_, epoch), _)| *epoch).collect()
    };
    let first = group.members[0].state().epoch();
    assert_eq!(kept(&mut group).last(), Some(&first));
    group.update(2).unwrap();
    group.update(2).unwrap();
    assert_eq!(kept(&mut group), [first, first + 1, first + 2]);
    group.update(2).unwrap();
    assert_eq!(kept(&mut group), [first + 1, first + 2, first + 3]);
}

/// V-14.0-02: so do the keys of its messages.
#[test]
fn v_14_0_02_past_states_are_forgotten() {
    let mut group = keeping(2);
    let late = group.members[1].send(b"late").unwrap();
    let first = group.members[0].state().epoch();
    group.update(2).unwrap();
    group.update(2).unwrap();
    assert!(matches!(group.members[0].receive(&late).unwrap(), Heard::Message(_)));
    group.update(2).unwrap();
    let error = group.refuses(2, &late);
    assert!(
        matches!(error, Error::Unready(Unready::ForgottenEpoch { message }) if message == first),
        "{error:?}"
    );
    // What is within the limit can still be read, by who has not read it.
    let within = group.members[1].send(b"within").unwrap();
    group.update(2).unwrap();
    group.update(2).unwrap();
    assert!(matches!(group.members[0].receive(&within).unwrap(), Heard::Message(_)));
    group.update(2).unwrap();
    let error = group.refuses(2, &within);
    let expected = Unready::ForgottenEpoch { message: first + 3 };
    assert!(matches!(error, Error::Unready(found) if found == expected));
}

/// V-9.2-03: a message that can't be decrypted uses no key up.
#[test]
fn v_9_2_03_failed_decryption_uses_no_key_up() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut messages = Vec::new();
    for i in 0..6_u8 {
        messages.push(group.members[1].send(&[i]).unwrap());
    }
    let genuine = &messages[5];
    let mut broken = genuine.clone();
    *broken.last_mut().unwrap() ^= 1;
    // The sender data's key is from the beginning of the ciphertext.
    let error = group.refuses(0, &broken);
    assert_violation(&error, Violation::ContentDecryption);
    for i in [5, 0, 3] {
        let heard = group.members[0].receive(&messages[i]).unwrap();
        assert!(matches!(heard, Heard::Message(message) if message.data == [i as u8]));
    }
    let error = group.refuses(0, &messages[5]);
    assert!(matches!(error, Error::Unready(Unready::KeyGone)), "{error:?}");
}

/// V-14.0-01: of two Commits for one epoch either may be first. Whose Commit was not accepted
/// processes the other, can't go on with its own, and commits anew.
#[test]
fn v_14_0_01_two_commits_at_once() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut group = TestGroup::new(SUITE, 3).unwrap();
        let accepted = group.members[first].stage(CommitRequest::default()).unwrap();
        let late = group.members[second].stage(CommitRequest::default()).unwrap();
        for other in [second, 2] {
            assert!(matches!(group.members[other].receive(&accepted).unwrap(), Heard::Commit(_)));
        }
        group.members[first].confirm().unwrap();
        for other in [first, 2] {
            let error = group.refuses(other, &late);
            assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })), "{error:?}");
        }
        let before = group.members[second].fingerprint().unwrap();
        let error = group.members[second].confirm().unwrap_err();
        assert!(matches!(error, Error::Misuse(Misuse::CommitGone)), "{error:?}");
        assert_eq!(group.members[second].fingerprint().unwrap(), before);
        group.agree();
        group.update(second).unwrap();
        group.update(first).unwrap();
    }
}

/// V-14.0-01, of clients: the loser learns that its Commit is lost.
#[test]
fn a_client_whose_commit_was_not_first() {
    let test = clients(SUITE, 3).unwrap();
    let [alice, bob, carol] = [0, 1, 2].map(|i| &test.groups[i]);
    let (accepted, late) = (alice.update().unwrap(), bob.update().unwrap());
    let (wire, lost) = (accepted.message().as_bytes(), late.message().as_bytes());
    for other in [bob, carol] {
        assert!(matches!(other.receive(wire).unwrap(), Received::Commit(_)));
    }
    assert!(matches!(carol.receive(lost).unwrap(), Received::Late { .. }));
    let wire = wire.to_vec();
    accepted.confirm().unwrap();
    assert!(matches!(late.confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    assert!(matches!(alice.receive(&wire).unwrap(), Received::Own));
    let again = bob.update().unwrap();
    for other in [alice, carol] {
        assert!(matches!(other.receive(again.message()).unwrap(), Received::Commit(_)));
    }
    again.confirm().unwrap();
    assert_eq!(alice.epoch_authenticator().unwrap(), bob.epoch_authenticator().unwrap());
}

/// V-14.0-01: whatever comes first while a Commit waits, an external Commit or one's own removal:
/// it is processed, and the waiting one is gone.
#[test]
fn what_comes_while_a_commit_waits() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut joiner = group.newcomer("new").unwrap();
    let info = group.insider(0).unwrap().group_info().external_pub().build().unwrap();
    let joined = joiner.external_join(info, None, Vec::new()).unwrap();
    group.members[1].stage(CommitRequest::default()).unwrap();
    for member in &mut group.members {
        member.receive(joined.message()).unwrap();
    }
    joiner.enter(joined.confirm());
    group.members.push(joiner);
    let error = group.members[1].confirm().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::CommitGone)), "{error:?}");
    group.update(1).unwrap();

    let late = group.members[1].stage(CommitRequest::default()).unwrap();
    let removed = group.remove(0, 1).unwrap();
    assert!(!group.members[1].is_active());
    assert_eq!(removed.outcome.removed.len(), 1);
    let error = group.members[1].confirm().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NotMember)), "{error:?}");
    let error = group.refuses(2, &late);
    assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })), "{error:?}");
    group.update(3).unwrap();
}

/// V-14.0-03: making a Commit changes nothing but the ratchet that it was encrypted with.
#[test]
fn v_14_0_03_a_commit_that_is_made_changes_nothing() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    group.propose(2, None).unwrap();
    let member = &mut group.members[1];
    let before = member.fingerprint().unwrap();
    let mut rng = member.rng.clone();
    let commit =
        member.state().commit(CommitRequest::default(), &member.judge(), &member.signer, &mut rng);
    let (staged, step) = commit.unwrap();
    assert_eq!(member.fingerprint().unwrap(), before);
    let (context, authenticator) =
        (member.state().context().clone(), member.state().epoch_authenticator().clone());
    member.apply(step).unwrap();
    assert_eq!(*member.state().context(), context);
    assert_eq!(*member.state().epoch_authenticator(), authenticator);
    assert!(member.state().has_pending_proposals());
    drop(staged);
    group.send(1, b"still here").unwrap();
    group.update(0).unwrap();
}

/// V-14.0-04: a Welcome is there when its Commit was accepted, not before.
#[test]
fn v_14_0_04_a_welcome_comes_after_its_commit() {
    let test = clients(SUITE, 2).unwrap();
    let newcomer = circlet::Client::builder("new").cipher_suite(SUITE).rng(SeededRng::new(5));
    let newcomer = newcomer.clock(test.clock.clone()).build().unwrap();
    let pending = test.groups[0].invite([newcomer.key_package().unwrap()]).unwrap();
    let is_welcome = |bytes: &[u8]| {
        let read = MlsMessage::read(bytes, &DecodeContext::default()).unwrap();
        matches!(read, MlsMessage::Welcome(_))
    };
    // The one that brought the second client in is never acknowledged here.
    let welcomes = || {
        let unsent = test.clients[0].unsent().unwrap();
        unsent.iter().filter(|message| is_welcome(message.as_bytes())).count()
    };
    assert_eq!(welcomes(), 1);
    // Another Commit is first: nobody is welcomed.
    let other = test.groups[1].update().unwrap();
    test.groups[0].receive(other.message()).unwrap();
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    assert_eq!(welcomes(), 1);
    other.confirm().unwrap();
    let pending = test.groups[0].invite([newcomer.key_package().unwrap()]).unwrap();
    let welcome = pending.confirm().unwrap().welcome();
    assert!(is_welcome(welcome.as_bytes()));
    assert_eq!(welcomes(), 2);
}

/// The keys that messages were encrypted with.
#[derive(Debug, Default)]
struct Sealed(Mutex<Vec<Vec<u8>>>);

impl Hooks for Sealed {
    fn seal(
        &self,
        (_, key, _, _, _): (AeadId, &[u8], &[u8], &[u8], &[u8]),
        _: Result<&Vec<u8>, CryptoError>,
    ) {
        self.0.lock().unwrap().push(key.to_vec());
    }
}

/// V-14.0-05: the key of a Commit that was discarded is spent.
#[test]
fn v_14_0_05_a_discarded_commit_keeps_its_key() {
    let spy = Arc::new(Spying::new(DefaultProvider::new(), Sealed::default()));
    let mut group = TestGroup::builder(SUITE).size(3).provider(spy.clone()).build().unwrap();
    for _ in 0..3 {
        group.members[1].stage(CommitRequest::default()).unwrap();
        group.members[1].staged = None;
    }
    group.members[1].propose(Proposal::Remove(LeafIndex(2))).unwrap();
    group.members[1].stage(CommitRequest::default()).unwrap();
    let keys = spy.hooks().0.lock().unwrap();
    assert!(keys.len() > 10);
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

/// V-15.0-01: padding hides how long a content is, as its sender chooses.
#[test]
fn v_15_0_01_padding() {
    let mut group = TestGroup::new(SUITE, 2).unwrap();
    for (padding, hides) in
        [(Padding::None, false), (Padding::Multiple(0), false), (Padding::Multiple(256), true)]
    {
        group.members[1].framing.padding = padding;
        let lengths: BTreeSet<usize> =
            [1, 2, 40].map(|length| group.send(1, &vec![7; length]).unwrap().len()).into();
        assert_eq!(lengths.len() == 1, hides, "{padding:?}: {lengths:?}");
    }
    // Of 200 lengths Padmé leaves a few, and makes none much longer.
    let mut lengths = |padding| -> Vec<usize> {
        group.members[1].framing.padding = padding;
        (300..500).map(|length| group.send(1, &vec![7; length]).unwrap().len()).collect()
    };
    let (bare, padded) = (lengths(Padding::None), lengths(Padding::Padme));
    let differ = |lengths: &[usize]| lengths.iter().collect::<BTreeSet<_>>().len();
    assert!(differ(&bare) == 200 && differ(&padded) < 16, "{padded:?}");
    assert!(
        bare.iter()
            .zip(&padded)
            .all(|(bare, padded)| (bare..=&(bare + bare / 8)).contains(&padded))
    );
}

/// V-9.1-01, V-15.0-03: a key encrypts one message, and generations don't begin again: what is encrypted
/// with one key has the length limit of a message.
#[test]
fn v_15_0_03_a_key_encrypts_one_message() {
    let spy = Arc::new(Spying::new(DefaultProvider::new(), Sealed::default()));
    let mut group = TestGroup::builder(SUITE).provider(spy.clone()).build().unwrap();
    for i in 0..100_u8 {
        group.send(usize::from(i % 2), &[i; 50]).unwrap();
    }
    let keys = spy.hooks().0.lock().unwrap();
    assert!(keys.len() >= 200);
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

/// V-15.0-04: once a Commit was applied, nothing is encrypted in the epoch before: also not what
/// was begun there.
#[test]
fn v_15_0_04_messages_after_a_commit() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let commit = group.members[0].stage(CommitRequest::default()).unwrap();
    let member = &mut group.members[1];
    let (framing, mut rng) = (member.framing.clone(), member.rng.clone());
    let begun = member.state().send(b"begun before", &framing, true, &member.signer, &mut rng);
    let (_, step) = begun.unwrap();
    member.receive(commit).unwrap();
    let before = member.fingerprint().unwrap();
    let error = member.apply(step).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::Stale)), "{error:?}");
    assert_eq!(member.fingerprint().unwrap(), before);
    let sent = member.send(b"after").unwrap();
    let read = MlsMessage::read(&sent, &member.settings.context).unwrap();
    let MlsMessage::Private(message) = read else { panic!("{read:?}") };
    assert_eq!(message.epoch, member.state().epoch());
}

/// V-15.0-07: data that was authenticated reaches the application as the sender signed it, or not
/// at all.
#[test]
fn v_15_0_07_authenticated_data() {
    let mut group = TestGroup::new(SUITE, 3).unwrap();
    let mut insider = group.insider(1).unwrap();
    let said = |data: &'static [u8], insider: &mut circlet::testing::Insider| {
        insider.application(b"hello").unwrap().authenticated_data(data)
    };
    // Changed on its way, and changed under the sender's own key.
    let changed = said(b"so", &mut insider).edit_private(|it| it.authenticated_data[0] ^= 1);
    let error = group.refuses(0, changed.private().unwrap());
    assert_violation(&error, Violation::ContentDecryption);
    let changed = said(b"so", &mut insider).edit_header(|it| it.authenticated_data[0] ^= 1);
    let error = group.refuses(0, changed.private().unwrap());
    assert_violation(&error, Violation::ContentSignature);
    let genuine = said(b"so", &mut insider).private().unwrap();
    let heard = group.members[0].receive(&genuine).unwrap();
    assert!(matches!(heard, Heard::Message(message) if message.authenticated_data == b"so"));
}
