use super::*;
use crate::error::{Misuse, Unready};
use crate::rules::Violation;
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{Extension, ExtensionType, RequiredCapabilities};

const SUITES: &[CipherSuite] = &[
    CipherSuite::X25519_AES128GCM_SHA256_ED25519,
    CipherSuite::P256_AES128GCM_SHA256_P256,
    CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519,
    CipherSuite::P521_AES256GCM_SHA512_P521,
    CipherSuite::P384_AES256GCM_SHA384_P384,
    #[cfg(feature = "curve448")]
    CipherSuite::X448_AES256GCM_SHA512_ED448,
    #[cfg(feature = "curve448")]
    CipherSuite::X448_CHACHA20POLY1305_SHA512_ED448,
];
const SUITE: CipherSuite = SUITES[0];

fn text(heard: Heard) -> (u32, Vec<u8>) {
    match heard {
        Heard::Message(message) => (message.sender.leaf_index.0, message.data),
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn three_members_talk_and_one_leaves() {
    for suite in SUITES {
        let mut members = group(*suite, 3);
        agree(&members);
        for sender in 0..3 {
            let message = members[sender].send(b"hello");
            for receiver in (0..3).filter(|receiver| *receiver != sender) {
                let heard = members[receiver].receive(&message).unwrap();
                assert_eq!(text(heard), (sender as u32, b"hello".to_vec()));
            }
        }
        let commit = members[1].commit_by_value(vec![Proposal::Remove(leaf(2))]);
        let Heard::Commit(outcome) = members[2].receive(&commit).unwrap() else { panic!() };
        assert!(outcome.removes_own);
        assert_eq!(members[2].state().status(), Status::Removed);
        let mut removed = members.pop().unwrap();
        deliver(&mut members, 1, &commit);
        let message = members[0].send(b"between us");
        assert!(matches!(removed.receive(&message), Err(Error::Misuse(Misuse::NotMember))));
        assert_eq!(text(members[1].receive(&message).unwrap()).1, b"between us");
    }
}

#[test]
fn commits_by_value_and_by_reference_public_and_private() {
    for handshake in [HandshakeFormat::Private, HandshakeFormat::Public] {
        let framing = Framing { handshake, ..Framing::default() };
        let mut members = group(SUITE, 5);
        let mut dave = Actor::new(SUITE, "dave", 7);
        let update = members[1].propose_update(&framing);
        deliver_to_others(&mut members, 1, &update);
        let add = members[2].propose(Proposal::Add(dave.key_package()), &framing);
        deliver_to_others(&mut members, 2, &add);
        let remove = members[3].propose(Proposal::Remove(leaf(4)), &framing);
        deliver_to_others(&mut members, 3, &remove);
        let own_update = members[0].propose_update(&framing);
        deliver_to_others(&mut members, 0, &own_update);
        let psk_id = b"shared before".to_vec();
        for member in members.iter_mut().chain([&mut dave]) {
            member.psks.0.insert(psk_id.clone(), Secret::new(&[5; 32]));
        }
        let nonce = |byte| vec![byte; 32];
        let external = PreSharedKeyId { psk: Psk::External { psk_id }, psk_nonce: nonce(1) };
        let request = CommitRequest {
            by_value: vec![Proposal::PreSharedKey(external)],
            framing: framing.clone(),
            ..CommitRequest::default()
        };
        let commit = members[0].commit(request).unwrap();
        let Heard::Commit(outcome) = members[4].receive(&commit).unwrap() else { panic!() };
        assert!(outcome.removes_own);
        members.remove(4);
        for member in &mut members[1..] {
            member.receive(&commit).unwrap();
        }
        let welcome = members[0].confirm().unwrap();
        dave.join(&welcome);
        members.push(dave);
        agree(&members);
        assert_eq!(members[4].state().own_leaf(), leaf(4));

        let resumption = PreSharedKeyId {
            psk: Psk::Resumption {
                usage: ResumptionPskUsage::Application,
                psk_group_id: b"a group".to_vec(),
                psk_epoch: 1,
            },
            psk_nonce: nonce(2),
        };
        let mut extensions = Extensions::new();
        let required = RequiredCapabilities::default().to_bytes().unwrap();
        let extension_type = ExtensionType::REQUIRED_CAPABILITIES;
        extensions.set(Extension { extension_type, data: required });
        let request = CommitRequest {
            by_value: vec![Proposal::GroupContextExtensions(extensions.clone())],
            framing: framing.clone(),
            ..CommitRequest::default()
        };
        let commit = members[4].commit(request).unwrap();
        deliver(&mut members, 4, &commit);
        assert_eq!(members[0].state().context().extensions, extensions);
        let dave = members.pop().unwrap();
        let commit = members[2].commit(CommitRequest {
            by_value: vec![
                Proposal::PreSharedKey(resumption),
                Proposal::Remove(dave.state().own_leaf()),
            ],
            framing,
            ..CommitRequest::default()
        });
        deliver(&mut members, 2, &commit.unwrap());
    }
}

fn deliver_to_others(members: &mut [Actor], sender: usize, message: &[u8]) {
    for (i, member) in members.iter_mut().enumerate() {
        if i != sender {
            assert!(matches!(member.receive(message).unwrap(), Heard::Proposal));
        }
    }
}

#[test]
fn a_commit_without_path_adds_and_one_with_path_follows() {
    let mut members = group(SUITE, 3);
    let mut dave = Actor::new(SUITE, "dave", 7);
    let request = CommitRequest {
        by_value: vec![Proposal::Add(dave.key_package())],
        force_path: false,
        tree_in_welcome: false,
        ..CommitRequest::default()
    };
    let commit = members[1].commit(request).unwrap();
    let tree = members[1].staged.as_ref().unwrap().ratchet_tree().unwrap().to_vec();
    let welcome = {
        for i in [0, 2] {
            members[i].receive(&commit).unwrap();
        }
        members[1].confirm().unwrap()
    };
    let MlsMessage::Welcome(welcome) = read(&welcome) else { panic!() };
    let missing = dave.try_join(&welcome, None);
    assert!(matches!(missing, Err(Error::Unready(Unready::RatchetTreeMissing))));
    dave.state = Some(dave.try_join(&welcome, Some(&tree)).unwrap());
    members.push(dave);
    agree(&members);
    for committer in [3, 0, 2, 1] {
        let commit = members[committer].commit_by_value(Vec::new());
        deliver(&mut members, committer, &commit);
    }
}

#[test]
fn messages_out_of_order_and_late_ones_are_read_once() {
    let mut members = group(SUITE, 2);
    let messages: Vec<Vec<u8>> = (0..5u8).map(|i| members[0].send(&[i])).collect();
    for i in [3, 0, 4] {
        let heard = members[1].receive(&messages[i]).unwrap();
        assert_eq!(text(heard).1, [i as u8]);
    }
    let commit = members[1].commit_by_value(Vec::new());
    deliver(&mut members, 1, &commit);
    assert_eq!(text(members[1].receive(&messages[2]).unwrap()).1, [2]);
    for message in [&messages[2], &messages[0]] {
        let again = members[1].receive(message);
        assert!(matches!(again, Err(Error::Unready(Unready::KeyGone))), "{again:?}");
    }
    for _ in 0..4 {
        let commit = members[0].commit_by_value(Vec::new());
        deliver(&mut members, 0, &commit);
    }
    assert_eq!(text(members[1].receive(&messages[1]).unwrap()).1, [1]);
}

#[test]
fn a_late_message_belongs_to_who_held_the_leaf_then() {
    let mut members = group(SUITE, 3);
    let late = members[2].send(b"before I go");
    let too_late = members[2].send(b"and after");
    let commit = members[0].commit_by_value(vec![Proposal::Remove(leaf(2))]);
    let gone = members.pop().unwrap();
    deliver(&mut members, 0, &commit);
    let mut eve = Actor::new(SUITE, "eve", 77);
    let commit = members[0].commit_by_value(vec![Proposal::Add(eve.key_package())]);
    members[1].receive(&commit).unwrap();
    let welcome = members[0].confirm().unwrap();
    eve.join(&welcome);
    assert_eq!(eve.state().own_leaf(), gone.state().own_leaf());
    let Heard::Message(message) = members[1].receive(&late).unwrap() else { panic!() };
    assert_eq!(message.sender.credential, Credential::basic("m2"));
    let own = eve.send(b"hello");
    let Heard::Message(message) = members[1].receive(&own).unwrap() else { panic!() };
    assert_eq!(message.sender.credential, Credential::basic("eve"));
    for _ in 0..5 {
        let commit = members[0].commit_by_value(Vec::new());
        members[1].receive(&commit).unwrap();
        members[0].confirm();
    }
    let error = members[1].receive(&too_late).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::ForgottenEpoch { message: 1 })));
}

#[test]
fn a_staged_commit_takes_the_present_as_it_then_is() {
    let mut members = group(SUITE, 2);
    let commit = members[0].commit_by_value(Vec::new());
    let messages: Vec<Vec<u8>> = (0..3).map(|i| members[1].send(&[i])).collect();
    for message in &messages {
        members[0].receive(message).unwrap();
    }
    deliver(&mut members, 0, &commit);
    for message in &messages {
        let again = members[0].receive(message);
        assert!(matches!(again, Err(Error::Unready(Unready::KeyGone))));
    }
}

#[test]
fn a_discarded_commit_gives_no_key_back() {
    let mut members = group(SUITE, 2);
    let first = members[0].commit_by_value(Vec::new());
    members[0].staged = None;
    let second = members[0].commit_by_value(Vec::new());
    // Both can be decrypted, since they are of different generations.
    members[1].state().open(read(&first), None).unwrap();
    deliver(&mut members, 0, &second);
    let late = members[1].receive(&first).unwrap_err();
    assert!(matches!(late, Error::Unready(Unready::LateHandshake { message: 1, current: 2 })));
}

#[test]
fn proposals_are_committed_before_data_is_sent() {
    let mut members = group(SUITE, 2);
    let update = members[1].propose_update(&Framing::default());
    members[0].receive(&update).unwrap();
    let Actor { state, signer, rng, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let framing = Framing::default();
    let refused = state.send(b"x", &framing, false, signer, rng);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::ProposalsPending))));
    assert!(state.send(b"x", &framing, true, signer, rng).is_ok());
}

#[test]
fn a_wrong_confirmation_tag_changes_nothing() {
    let mut members = group(SUITE, 2);
    let framing = Framing { handshake: HandshakeFormat::Public, ..Framing::default() };
    let request = CommitRequest { framing, ..CommitRequest::default() };
    let commit = members[0].commit(request).unwrap();
    let MlsMessage::Public(mut message) = read(&commit) else { panic!() };
    message.auth.confirmation_tag.as_mut().unwrap().0[0] ^= 1;
    // The holder of the membership key can make the tag fit again.
    let state = members[1].state();
    let context = &state.epoch.context_bytes;
    let tbm = crate::message::PublicMessage::to_be_maced(&message.content, &message.auth, context);
    let key = &state.epoch.secrets.membership_key;
    let tag = state.settings.suite.mac(key, &[&tbm.unwrap()]).unwrap();
    message.membership_tag = Some(tag);
    let forged = MlsMessage::Public(message).to_bytes().unwrap();
    let error = members[1].receive(&forged).unwrap_err();
    assert!(matches!(error, Error::Violation(Violation::ConfirmationTag)), "{error:?}");
    deliver(&mut members, 0, &commit);
}

/// A committer takes exactly the proposals that somebody else has chosen, in that order, and gives
/// the Welcome to a delivery service that takes both at once.
#[test]
fn a_commit_of_chosen_proposals_has_these_and_no_others() {
    let mut members = group(SUITE, 4);
    let framing = Framing::default();
    let mut dave = Actor::new(SUITE, "dave", 7);
    let add = members[1].propose(Proposal::Add(dave.key_package()), &framing);
    deliver_to_others(&mut members, 1, &add);
    let update = members[2].propose_update(&framing);
    deliver_to_others(&mut members, 2, &update);
    let remove = members[0].propose(Proposal::Remove(leaf(3)), &framing);
    deliver_to_others(&mut members, 0, &remove);
    let waiting = |member: &Actor| {
        let mut waiting: Vec<_> = member.state().proposals.iter().cloned().collect();
        waiting.sort_by_key(|held| held.sequence);
        waiting.into_iter().map(|held| held.reference).collect::<Vec<_>>()
    };
    let references = waiting(&members[0]);
    let exactly = |chosen: &[usize]| CommitRequest {
        by_reference: ByReference::Exactly(chosen.iter().map(|i| references[*i].clone()).collect()),
        ..CommitRequest::default()
    };

    // Not valid together: the member that updates itself can't be the committer.
    let refused = members[2].commit(exactly(&[1, 0]));
    assert!(matches!(refused, Err(Error::Violation(_))), "{refused:?}");
    assert!(members[2].staged.is_none());

    let commit = members[0].commit(exactly(&[1, 0])).unwrap();
    let staged = members[0].staged.as_ref().unwrap();
    let outcome = staged.outcome();
    assert_eq!((outcome.added.len(), outcome.removed.len()), (1, 0));
    let early = staged.welcome().unwrap().to_vec();
    for member in &mut members[1..] {
        member.receive(&commit).unwrap();
    }
    let welcome = members[0].confirm().unwrap();
    assert_eq!(early, welcome);
    dave.join(&welcome);
    members.push(dave);
    agree(&members);

    // What was left out is gone with its epoch.
    let gone = members[0].commit(exactly(&[2]));
    assert!(matches!(gone, Err(Error::Unready(crate::error::Unready::UnknownProposal(_)))));
}
