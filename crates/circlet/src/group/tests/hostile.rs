//! Members and carriers that do what the rules allow, and more.

use super::*;
use crate::codec::Limits;
use crate::error::{Misuse, Refused};
use crate::identity::{CredentialCheck, CredentialRejected, CredentialValidator};
use crate::rules::Violation;
use crate::schedule::{PreSharedKeyId, Psk};
use crate::tree::{Capabilities, Extension, ExtensionType, RequiredCapabilities};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
const UNSUPPORTED: ExtensionType = ExtensionType(0xf001);

fn extensions(extension_type: ExtensionType, data: Vec<u8>) -> Extensions {
    [Extension { extension_type, data }].into_iter().collect()
}

fn unknown_psk() -> Proposal {
    let psk = Psk::External { psk_id: b"nobody has it".to_vec() };
    Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![7; 32] })
}

/// A proposal that the group can't take lets the others be committed, and data be sent.
#[test]
fn a_waiting_proposal_that_does_not_fit_is_left_out() {
    let gce = Proposal::GroupContextExtensions(extensions(UNSUPPORTED, Vec::new()));
    for misfit in [gce, unknown_psk()] {
        let mut members = group(SUITE, 4);
        let message = members[1].propose(misfit, &Framing::default());
        let update = members[2].propose_update(&Framing::default());
        for message in [&message, &update] {
            for i in [0, 3] {
                members[i].receive(message).unwrap();
            }
        }
        members[1].receive(&update).unwrap();
        members[2].receive(&message).unwrap();
        let commit = members[0].commit(CommitRequest::default()).unwrap();
        assert_eq!(members[0].staged.as_ref().unwrap().outcome().updated.len(), 2);
        deliver(&mut members, 0, &commit);
    }
}

#[test]
fn only_what_could_be_committed_blocks_sending() {
    let mut members = group(SUITE, 3);
    let gce = Proposal::GroupContextExtensions(extensions(UNSUPPORTED, Vec::new()));
    let message = members[1].propose(gce, &Framing::default());
    members[0].receive(&message).unwrap();
    members[0].send(b"goes");
    let update = members[2].propose_update(&Framing::default());
    members[0].receive(&update).unwrap();
    let Actor { state, signer, rng, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let refused = state.send(b"waits", &Framing::default(), false, signer, rng);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::ProposalsPending))));
}

struct NoEve;

impl CredentialValidator for NoEve {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        match check.credential.identity() {
            Some(b"eve") => Err(CredentialRejected),
            _ => Ok(()),
        }
    }
}

#[test]
fn ones_own_proposals_are_judged_too() {
    let mut members = group(SUITE, 2);
    let mut eve = Actor::new(SUITE, "eve", 5);
    let add = Proposal::Add(eve.key_package());
    let Actor { state, signer, rng, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let mut propose = |validator: &dyn CredentialValidator, now| {
        let judge = Judge { validator, psks: &NoPsks, now: Some(now) };
        state.propose(add.clone(), &judge, &Framing::default(), signer, rng).map(drop)
    };
    assert!(matches!(propose(&NoEve, NOW), Err(Error::Refused(Refused::Credential))));
    let late = propose(&BasicValidator, NOW + 1_000_000);
    assert!(matches!(late, Err(Error::Violation(Violation::Lifetime))));
    propose(&BasicValidator, NOW).unwrap();
}

#[test]
fn a_member_that_was_away_takes_what_the_others_took() {
    let mut members = group(SUITE, 2);
    let mut carol = Actor::new(SUITE, "carol", 5);
    let commit = members[0].commit_by_value(vec![Proposal::Add(carol.key_package())]);
    let opened = members[1].state().open(read(&commit), None).unwrap();
    assert!(matches!(opened, Opened::Commit(_)));
    let strict = members[1].state().open(read(&commit), Some(NOW + 1_000_000));
    assert!(matches!(strict, Err(Error::Violation(Violation::Lifetime))));
}

#[test]
fn one_sender_fills_only_its_own_part_of_the_cache() {
    let mut members = group(SUITE, 3);
    let mut context = DecodeContext::default();
    context.limits.cached_proposals_per_sender = 3;
    members[0].state.as_mut().unwrap().settings.context = Arc::new(context);
    let psk = |n: u8| {
        let psk = Psk::External { psk_id: vec![n] };
        Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![n; 32] })
    };
    for n in 0..3 {
        let message = members[1].propose(psk(n), &Framing::default());
        members[0].receive(&message).unwrap();
    }
    let message = members[1].propose(psk(3), &Framing::default());
    let full = members[0].receive(&message);
    assert!(matches!(full, Err(Error::Refused(Refused::CachedProposals))), "{full:?}");
    let update = members[2].propose_update(&Framing::default());
    members[0].receive(&update).unwrap();
}

#[test]
fn a_proposal_that_comes_twice_keeps_its_place() {
    let framing = Framing { handshake: HandshakeFormat::Public, ..Framing::default() };
    let mut members = group(SUITE, 2);
    let first = members[1].propose_update(&framing);
    let second = members[1].propose_update(&framing);
    members[0].receive(&first).unwrap();
    members[0].receive(&second).unwrap();
    let Opened::Proposal(again) = members[0].state().open(read(&first), None).unwrap() else {
        panic!()
    };
    assert!(again.is_known());
    members[0].receive(&first).unwrap();
    let request = CommitRequest { framing, ..CommitRequest::default() };
    let commit = members[0].commit(request).unwrap();
    let MlsMessage::Public(message) = read(&commit) else { panic!() };
    let crate::message::Content::Commit(content) = message.content.content else { panic!() };
    let MlsMessage::Public(second) = read(&second) else { panic!() };
    let suite = &members[0].settings.suite;
    let reference = second.into_unverified().reference(suite).unwrap();
    let expected = crate::message::ProposalOrRef::Reference(reference);
    assert_eq!(content.proposals, [expected]);
}

/// Comparing what a stranger requires with what a stranger lists takes no quadratic time: with
/// one it would take minutes here.
#[test]
fn long_lists_of_capabilities_are_compared_quickly() {
    let mut alice = Actor::new(SUITE, "alice", 1);
    let limits =
        Limits { leaf_bytes: usize::MAX, extensions_bytes: usize::MAX, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    alice.settings.context = Arc::new(context);
    let mut template = alice.template();
    let count = 600_000;
    let (listed, filler) = (ExtensionType(0xf001), ExtensionType(0xf002));
    let fillers = std::iter::repeat_n(filler, count);
    template.capabilities =
        Capabilities { extensions: fillers.chain([listed]).collect(), ..template.capabilities };
    let keys =
        JoinKeys::generate(&alice.settings, template, &alice.signer, &mut alice.rng).unwrap();
    let required = RequiredCapabilities {
        extension_types: vec![listed; count],
        ..RequiredCapabilities::default()
    };
    let data = required.to_bytes().unwrap();
    let required = extensions(ExtensionType::REQUIRED_CAPABILITIES, data);
    let id = GroupId::new(b"long lists");
    GroupState::create(alice.settings.clone(), id, required, keys, &mut alice.rng).unwrap();
}

/// A committer that keeps the joiner's path secret back would leave it unable to read a later
/// Commit: the joiner refuses at once.
#[test]
fn a_welcome_without_the_path_secret_that_is_due_is_refused() {
    let mut members = group(SUITE, 4);
    let mut carol = Actor::new(SUITE, "carol", 5);
    let add = Proposal::Add(carol.key_package());
    members[0].commit_by_value(vec![add]);
    let welcome = members[0].confirm().unwrap();
    let MlsMessage::Welcome(welcome) = read(&welcome) else { panic!() };
    carol.try_join(&welcome, None).unwrap();

    let suite = &carol.settings.suite;
    let keys = carol.keys.as_ref().unwrap();
    let pair = crate::crypto::HpkeKeyPair {
        private: keys.init_key.clone(),
        public: keys.key_package.init_key.clone(),
    };
    let mut forged = welcome;
    let context = forged.encrypted_group_info.clone();
    let sealed = &mut forged.secrets[0].encrypted_group_secrets;
    let plaintext = suite.decrypt_with_label(&pair, "Welcome", &context, sealed).unwrap();
    let secrets =
        crate::message::GroupSecrets::from_plaintext(plaintext.as_bytes(), &carol.settings.context);
    let stripped = crate::message::GroupSecrets { path_secret: None, ..secrets.unwrap() };
    let seed = suite.encapsulation_seed(&mut SeededRng::new(9)).unwrap();
    let plaintext = stripped.to_plaintext().unwrap();
    *sealed =
        suite.encrypt_with_label(&pair.public, "Welcome", &context, &plaintext, &seed).unwrap();
    let refused = carol.try_join(&forged, None);
    assert!(matches!(refused, Err(Error::Violation(Violation::WelcomePathSecret))));
}

#[test]
fn a_staged_commit_belongs_to_its_group() {
    let mut one = group(SUITE, 2);
    let mut other = group(SUITE, 3);
    one[0].commit_by_value(Vec::new());
    let staged = one[0].staged.take().unwrap();
    let refused = other[0].state().confirm(staged);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::CommitGone))));

    let framing = Framing::default();
    let Actor { state, signer, rng, .. } = &mut other[0];
    let (_, step) = state.as_ref().unwrap().send(b"x", &framing, false, signer, rng).unwrap();
    let mut third = Actor::new(SUITE, "third", 3);
    third.create(b"another group");
    third.state.as_mut().unwrap().version = other[0].state().version;
    assert!(matches!(third.state.as_mut().unwrap().apply(step), Err(Misuse::Stale)));
}

#[test]
fn nothing_is_sent_that_the_others_could_not_read() {
    let mut members = group(SUITE, 2);
    let mut context = DecodeContext::default();
    context.limits.message_bytes = 10_000;
    members[0].state.as_mut().unwrap().settings.context = Arc::new(context);
    let Actor { state, signer, rng, psks, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let refused = state.send(&[0; 10_000], &Framing::default(), false, signer, rng);
    let too_long = |error| matches!(error, Error::Refused(Refused::MessageTooLong { .. }));
    assert!(refused.is_err_and(too_long));
    let framing = Framing { authenticated_data: vec![0; 10_000], ..Framing::default() };
    let request = CommitRequest { framing, ..CommitRequest::default() };
    let judge = Judge { validator: &BasicValidator, psks, now: None };
    assert!(state.commit(request, &judge, signer, rng).is_err_and(too_long));
}

#[test]
fn an_epoch_that_is_not_kept_has_no_members() {
    let mut members = group(SUITE, 2);
    assert!(members[0].state().member_in(leaf(0), 1).is_some());
    assert!(members[0].state().member_in(leaf(0), 0).is_some_and(|_| true));
    assert!(members[1].state().member_in(leaf(0), 0).is_none());
    assert!(members[0].state().member_in(leaf(0), 900).is_none());
    for _ in 0..6 {
        let commit = members[0].commit_by_value(Vec::new());
        deliver(&mut members, 0, &commit);
    }
    assert!(members[0].state().member_in(leaf(0), 1).is_none());
    assert!(members[0].state().member_in(leaf(0), 2).is_some());
}

/// What the RFC says of an extension's data is held against it, so that no implementation that
/// reads more strictly is split off.
#[test]
fn malformed_data_of_a_known_extension_is_refused() {
    for data in [&[0xff][..], &[0x40, 1, b'a'], &[1, b'a', 0], &[]] {
        let mut alice = Actor::new(SUITE, "alice", 1);
        let mut template = alice.template();
        template.extensions = extensions(ExtensionType::APPLICATION_ID, data.to_vec());
        let keys =
            JoinKeys::generate(&alice.settings, template, &alice.signer, &mut alice.rng).unwrap();
        let (settings, id) = (alice.settings.clone(), GroupId::new(b"x"));
        let created = GroupState::create(settings, id, Extensions::new(), keys, &mut alice.rng);
        assert!(matches!(created, Err(Error::Violation(Violation::MalformedExtension))));
    }
}

/// Handshake keys of an epoch that is over read nothing any more, and so are not kept.
#[test]
fn handshake_keys_die_with_their_epoch() {
    let mut members = group(SUITE, 3);
    let skipped = members[1].propose_update(&Framing::default());
    let update = members[1].propose_update(&Framing::default());
    members[0].receive(&update).unwrap();
    members[2].receive(&skipped).unwrap();
    members[2].receive(&update).unwrap();
    assert_eq!(members[0].state().skipped.len(), 1);
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 0, &commit);
    let state = members[0].state();
    assert_eq!(state.skipped.len(), 0);
    let mut kept = state.past.iter().flat_map(|past| past.secret_tree.ratchets());
    assert!(kept.all(|((_, kind), _)| kind == crate::schedule::RatchetKind::Application));
}
