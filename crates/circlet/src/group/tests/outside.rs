//! Those who are no members: external Commits, external senders, new members that propose.

use super::*;
use crate::codec::CustomProposal;
use crate::error::{Refused, Unready};
use crate::identity::{CredentialCheck, CredentialRejected, CredentialUse, CredentialValidator};
use crate::message::{GroupInfo, Sender};
use crate::rules::Violation;
use crate::rules::proposals::Resolved;
use crate::schedule::{PreSharedKeyId, Psk};
use crate::tree::{
    Capabilities, Extension, ExtensionType, ExternalSender, ProposalType, RequiredCapabilities,
};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

fn group_info(actor: &Actor) -> GroupInfo {
    let options = GroupInfoOptions::default();
    let message = actor.state().group_info(options, &actor.signer, &mut SeededRng::new(5)).unwrap();
    let MlsMessage::GroupInfo(info) = message else { panic!("no GroupInfo") };
    info
}

fn request(actor: &Actor) -> ExternalJoin {
    let leaf = actor.template();
    ExternalJoin { leaf, replaces: None, psks: Vec::new(), authenticated_data: b"hello".to_vec() }
}

fn join(actor: &mut Actor, info: GroupInfo, request: ExternalJoin) -> Result<StagedJoin, Error> {
    let judge = Judge { validator: &BasicValidator, psks: &actor.psks, now: Some(NOW) };
    OpenedGroupInfo::open(actor.settings.clone(), info, None)?.review(&BasicValidator)?.join(
        request,
        &judge,
        &actor.signer,
        &mut actor.rng,
    )
}

fn external_psk(id: &[u8]) -> PreSharedKeyId {
    PreSharedKeyId { psk: Psk::External { psk_id: id.to_vec() }, psk_nonce: vec![7; 32] }
}

/// V-12.2-20, V-12.4.3.2-01, V-12.4.3.2-05: somebody joins without a Welcome, in every suite.
#[test]
fn somebody_joins_by_an_external_commit() {
    for suite in crate::crypto::providers::DefaultProvider::new().suites() {
        let mut members = group(suite.suite, 3);
        let mut dora = Actor::new(suite.suite, "dora", 7);
        let request = request(&dora);
        let staged = join(&mut dora, group_info(&members[1]), request).unwrap();
        let message = staged.message().to_vec();
        for member in &mut members {
            let Heard::Commit(outcome) = member.receive(&message).unwrap() else { panic!() };
            assert!(outcome.external);
            assert_eq!(outcome.committer.to_string(), "dora");
            assert_eq!(outcome.added, std::slice::from_ref(&outcome.committer));
            assert!(outcome.removed.is_empty() && outcome.updated.is_empty());
        }
        dora.state = Some(staged.confirm());
        members.push(dora);
        agree(&members);
        let hello = members[3].send(b"hello");
        for member in &mut members[..3] {
            assert!(
                matches!(member.receive(&hello).unwrap(), Heard::Message(m) if m.data == b"hello")
            );
        }
        let commit = members[0].commit_by_value(Vec::new());
        deliver(&mut members, 0, &commit);
        let commit = members[3].commit_by_value(vec![Proposal::Remove(leaf(1))]);
        assert!(matches!(members[1].receive(&commit).unwrap(), Heard::Commit(o) if o.removes_own));
        members.remove(1);
        deliver(&mut members, 2, &commit);
    }
}

/// V-12.2-21, V-12.4.2-07: whoever lost its state comes back in the place of its old leaf, also with
/// the same signature key.
#[test]
fn a_member_comes_back_by_an_external_commit() {
    for old in [0, 1, 2] {
        let mut members = group(SUITE, 4);
        let info = group_info(&members[3]);
        let mut again = members.remove(old);
        again.psks.0.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
        for member in &mut members {
            member.psks.0.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
        }
        let before = again.state.take().unwrap();
        let replaces = Some(before.own_leaf());
        let psks = vec![external_psk(b"psk")];
        let request = ExternalJoin { replaces, psks, ..request(&again) };
        let staged = join(&mut again, info, request).unwrap();
        let message = staged.message().to_vec();
        for member in &mut members {
            let Heard::Commit(outcome) = member.receive(&message).unwrap() else { panic!() };
            assert_eq!(outcome.removed.len(), 1);
            assert_eq!(outcome.removed[0].credential, outcome.added[0].credential);
            assert_eq!(outcome.added[0].leaf_index, before.own_leaf());
        }
        // The old self learns that it was removed.
        again.state = Some(before);
        assert!(matches!(again.receive(&message).unwrap(), Heard::Commit(o) if o.removes_own));
        again.state = Some(staged.confirm());
        members.push(again);
        agree(&members);
        let commit = members[0].commit_by_value(Vec::new());
        deliver(&mut members, 0, &commit);
    }
}

/// V-12.4.3.2-10: a signature key that a member has is not taken twice.
#[test]
fn a_member_does_not_join_twice() {
    let mut members = group(SUITE, 3);
    let info = group_info(&members[0]);
    let request = request(&members[2]);
    let result = join(&mut members[2], info, request);
    let expected = Violation::DuplicateSignatureKey;
    assert!(matches!(result, Err(Error::Violation(violation)) if violation == expected));
}

/// V-12.4.3.2-01: a GroupInfo without `external_pub` is not for joining.
#[test]
fn a_group_info_without_external_pub_is_refused() {
    let mut members = group(SUITE, 2);
    let options = GroupInfoOptions { external_pub: false, ..GroupInfoOptions::default() };
    let message =
        members[0].state().group_info(options, &members[0].signer, &mut SeededRng::new(5)).unwrap();
    let MlsMessage::GroupInfo(info) = message else { panic!("no GroupInfo") };
    let request = request(&members[1]);
    let result = join(&mut members[1], info, request);
    assert!(matches!(result, Err(Error::Violation(Violation::ExternalPub))));
}

/// V-12.4.3.2-08: what the application does not allow is refused, and nothing changes.
#[test]
fn policy_refuses_external_commits() {
    type Set = fn(&mut Policy);
    let cases: [(Set, Refused, bool); 3] = [
        (|policy| policy.external_joins = false, Refused::ExternalJoin, false),
        (|policy| policy.external_rejoins = false, Refused::ExternalRejoin, true),
        (|policy| policy.external_psk_required = true, Refused::ExternalJoinWithoutPsk, false),
    ];
    for (set, expected, rejoins) in cases {
        let mut members = group(SUITE, 3);
        let info = group_info(&members[0]);
        let mut dora = Actor::new(SUITE, if rejoins { "m2" } else { "dora" }, 9);
        let replaces = rejoins.then_some(leaf(2));
        let request = ExternalJoin { replaces, ..request(&dora) };
        let message = join(&mut dora, info, request).unwrap().message().to_vec();
        set(&mut members[1].state.as_mut().unwrap().settings.policy);
        let error = members[1].receive(&message).unwrap_err();
        assert!(matches!(error, Error::Refused(refused) if refused == expected), "{error:?}");
        members[1].state.as_mut().unwrap().settings.policy = Policy::default();
        assert!(members[1].receive(&message).is_ok());
    }
}

/// Judges who comes from outside by its name.
struct Doorkeeper;

impl CredentialValidator for Doorkeeper {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        let outside = matches!(check.reason, CredentialUse::ExternalJoin | CredentialUse::SelfAdd);
        match outside && check.credential.identity() != Some(b"dora") {
            true => Err(CredentialRejected),
            false => BasicValidator.validate(check),
        }
    }
}

/// V-5.3-03, V-5.3-04, V-12.1.8-04: the application judges who joins, in whose place, and who
/// proposes itself.
#[test]
fn the_validator_judges_who_comes_from_outside() {
    for (name, replaces, accepted) in
        [("dora", None, true), ("eve", None, false), ("dora", Some(leaf(2)), false)]
    {
        let members = group(SUITE, 3);
        let mut joiner = Actor::new(SUITE, name, 11);
        let all = Everybody;
        let judge = Judge { validator: &all, psks: &NoPsks, now: None };
        let request = ExternalJoin { replaces, ..request(&joiner) };
        let message = OpenedGroupInfo::open(joiner.settings.clone(), group_info(&members[0]), None)
            .unwrap()
            .accept()
            .join(request, &judge, &joiner.signer, &mut joiner.rng)
            .unwrap()
            .message()
            .to_vec();
        let Opened::Commit(opened) = members[1].state().open(read(&message), None).unwrap() else {
            panic!("no Commit")
        };
        assert_eq!(opened.review(&Doorkeeper).is_ok(), accepted, "{name}");

        let mut members = members;
        members[1].state.as_mut().unwrap().settings.policy.new_member_proposals = true;
        let outsider = outsider(&members[0]);
        let key_package = joiner.key_package();
        let message = outsider.propose_own_add(key_package, &joiner.signer).unwrap();
        let Opened::Proposal(opened) = members[1].state().open(read(&message), None).unwrap()
        else {
            panic!("no proposal")
        };
        assert_eq!(opened.review(members[1].state(), &Doorkeeper).is_ok(), name == "dora");
    }
}

struct Everybody;

impl CredentialValidator for Everybody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }
}

fn outsider(member: &Actor) -> Outsider {
    Outsider {
        settings: member.settings.clone(),
        group_id: member.state().group_id().clone(),
        epoch: member.state().epoch(),
        authenticated_data: Vec::new(),
    }
}

/// A group with one external sender, `ds`.
fn supervised(size: u64) -> (Vec<Actor>, SigningKey) {
    let mut members = group(SUITE, size);
    let ds = Actor::new(SUITE, "ds", 77);
    let sender = ExternalSender {
        signature_key: crate::identity::Signer::public_key(&ds.signer).clone(),
        credential: Credential::basic("ds"),
    };
    let mut writer = crate::codec::Writer::new();
    writer.vector(&[sender]);
    let extension_type = ExtensionType::EXTERNAL_SENDERS;
    let extension = Extension { extension_type, data: writer.finish().unwrap() };
    let extensions = Extensions::from_iter([extension]);
    let commit = members[0].commit_by_value(vec![Proposal::GroupContextExtensions(extensions)]);
    deliver(&mut members, 0, &commit);
    (members, ds.signer)
}

/// V-12.1.8-02, V-12.1.8-03, V-12.2-19: an external sender proposes all that it may, and a member
/// commits it.
#[test]
fn an_external_sender_proposes() {
    let (mut members, ds) = supervised(3);
    let mut dora = Actor::new(SUITE, "dora", 8);
    let outsider = outsider(&members[0]);
    let psk = external_psk(b"psk");
    for member in &mut members {
        member.psks.0.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
    }
    dora.psks.0.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
    let extensions = members[0].state().context().extensions.clone();
    let proposals = [
        Proposal::Add(dora.key_package()),
        Proposal::Remove(leaf(2)),
        Proposal::PreSharedKey(psk),
        Proposal::GroupContextExtensions(extensions),
    ];
    for proposal in proposals {
        let message = outsider.propose(0, proposal, &ds).unwrap();
        for member in &mut members {
            assert!(matches!(member.receive(&message).unwrap(), Heard::Proposal));
        }
    }
    let waiting: Vec<_> = members[0].state().waiting_proposals().map(|(who, _)| who).collect();
    assert_eq!(waiting, [Sender::External(0); 4]);
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    let Heard::Commit(outcome) = members[2].receive(&commit).unwrap() else { panic!() };
    assert!(outcome.removes_own);
    members.remove(2);
    let Heard::Commit(outcome) = members[1].receive(&commit).unwrap() else { panic!() };
    assert_eq!((outcome.added.len(), outcome.removed.len()), (1, 1));
    let welcome = members[0].confirm().unwrap();
    dora.join(&welcome);
    members.push(dora);
    agree(&members);
}

/// V-12.1.8-02, V-12.1.8-03, V-6.1-04: no other sender, no other type, no other key.
#[test]
fn an_external_sender_may_not_do_everything() {
    let (mut members, ds) = supervised(2);
    let outsider = outsider(&members[0]);
    let remove = Proposal::Remove(leaf(1));
    let unknown = outsider.propose(1, remove.clone(), &ds).unwrap();
    let other = Actor::new(SUITE, "other", 78).signer;
    let forged = outsider.propose(0, remove, &other).unwrap();
    for (message, expected) in
        [(unknown, Violation::ExternalSenderUnknown), (forged, Violation::ContentSignature)]
    {
        let error = members[0].receive(&message).unwrap_err();
        assert!(matches!(error, Error::Violation(violation) if violation == expected));
        assert!(!members[0].state().has_pending_proposals());
    }
    let leaf_node = members[1].state().tree().leaf(leaf(1)).unwrap().clone();
    let init = Proposal::ExternalInit(vec![1; 32]);
    for (proposal, expected) in [
        (Proposal::Update(leaf_node), Violation::ExternalUpdate),
        (init, Violation::ExternalProposalType),
    ] {
        let error = outsider.propose(0, proposal, &ds).unwrap_err();
        assert!(matches!(error, Error::Violation(violation) if violation == expected));
    }
}

/// V-6.1-06, V-12.1.8-04: somebody asks to be added, and is.
#[test]
fn a_new_member_proposes_itself() {
    let mut members = group(SUITE, 2);
    let mut dora = Actor::new(SUITE, "dora", 8);
    let key_package = dora.key_package();
    let message = outsider(&members[0]).propose_own_add(key_package, &dora.signer).unwrap();

    let error = members[1].receive(&message).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::NewMemberProposal)));
    for member in &mut members {
        member.state.as_mut().unwrap().settings.policy.new_member_proposals = true;
        assert!(matches!(member.receive(&message).unwrap(), Heard::Proposal));
    }
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    members[1].receive(&commit).unwrap();
    let welcome = members[0].confirm().unwrap();
    dora.join(&welcome);
    members.push(dora);
    agree(&members);
}

/// V-12.4.3.2-09: a GroupInfo is good for one external Commit; the epoch is over after it.
#[test]
fn a_group_info_is_for_one_join() {
    let mut members = group(SUITE, 2);
    let info = group_info(&members[0]);
    let mut messages = Vec::new();
    for (name, seed) in [("dora", 8), ("emil", 9)] {
        let mut joiner = Actor::new(SUITE, name, seed);
        let request = request(&joiner);
        messages.push(join(&mut joiner, info.clone(), request).unwrap().message().to_vec());
    }
    assert!(members[1].receive(&messages[0]).is_ok());
    let error = members[1].receive(&messages[1]).unwrap_err();
    assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })));
}

/// V-12.4.1-05: a member changes its signature key in a Commit that also adds somebody: the Commit
/// is signed with the old key, the GroupInfo in the Welcome with the new one.
#[test]
fn a_commit_changes_the_signature_key() {
    let mut members = group(SUITE, 3);
    let mut dora = Actor::new(SUITE, "dora", 8);
    let add = Proposal::Add(dora.key_package());
    let next = Actor::new(SUITE, "next", 99).signer;
    let request = CommitRequest { by_value: vec![add], ..CommitRequest::default() };
    let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: Some(NOW) };
    let actor = &mut members[0];
    let signers = Signers { present: &actor.signer, next: Some(&next) };
    let (staged, step) = actor
        .state
        .as_ref()
        .unwrap()
        .commit_with(request, &judge, signers, &mut actor.rng)
        .unwrap();
    actor.apply(step);
    let message = staged.message().to_vec();
    actor.staged = Some(staged);
    for member in &mut members[1..] {
        let Heard::Commit(outcome) = member.receive(&message).unwrap() else { panic!() };
        assert_eq!(outcome.updated[0].signature_key, *crate::identity::Signer::public_key(&next));
    }
    let welcome = members[0].confirm().unwrap();
    members[0].signer = next;
    dora.join(&welcome);
    members.push(dora);
    agree(&members);
    let hello = members[0].send(b"hello");
    assert!(members[3].receive(&hello).is_ok());
    let commit = members[0].commit_by_value(Vec::new());
    deliver(&mut members, 0, &commit);
}

/// V-12.1.2-04: the same by an Update that another member commits.
#[test]
fn an_update_changes_the_signature_key() {
    let mut members = group(SUITE, 3);
    let next = Actor::new(SUITE, "next", 99).signer;
    let actor = &mut members[1];
    let signers = Signers { present: &actor.signer, next: Some(&next) };
    let (message, _, step) = actor
        .state
        .as_ref()
        .unwrap()
        .propose_leaf(
            &LeafChange::default(),
            &BasicValidator,
            &Framing::default(),
            signers,
            &mut actor.rng,
        )
        .unwrap();
    actor.apply(step);
    for other in [0, 2] {
        assert!(matches!(members[other].receive(&message).unwrap(), Heard::Proposal));
    }
    let commit = members[0].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 0, &commit);
    members[1].signer = next;
    let hello = members[1].send(b"hello");
    assert!(members[0].receive(&hello).is_ok());
}

/// A credential that is not accepted in the place of the old one stops the Commit.
#[test]
fn a_new_identity_is_judged_before_it_is_sent() {
    let mut members = group(SUITE, 2);
    let leaf =
        LeafChange { credential: Some(Credential::basic("mallory")), ..LeafChange::default() };
    let request = CommitRequest { leaf, ..CommitRequest::default() };
    let error = members[0].commit(request).unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Credential)));
}

fn custom() -> Proposal {
    Proposal::Custom { proposal_type: ProposalType(0xf001), body: b"body".to_vec() }
}

/// A group whose members but the last have a proposal type of the application.
fn with_custom_type(rules: CustomProposal) -> Vec<Actor> {
    let mut members: Vec<Actor> =
        (0..3).map(|i| Actor::new(SUITE, &format!("m{i}"), 1000 + i)).collect();
    for member in &mut members[..2] {
        let mut context = DecodeContext::default();
        context.proposal_types.insert(0xf001, rules);
        member.settings.context = Arc::new(context);
    }
    members[0].create(b"a group");
    let adds = members[1..].iter_mut().map(|member| Proposal::Add(member.key_package())).collect();
    members[0].commit_by_value(adds);
    let welcome = members[0].confirm().unwrap();
    members[1..].iter_mut().for_each(|member| member.join(&welcome));
    members
}

/// V-12.2-15, V-13.0-01: a type that one member lacks can't be committed, but with its removal it
/// can; the outcome has what was proposed.
#[test]
fn members_that_leave_need_not_support_a_proposal() {
    let mut members = with_custom_type(CustomProposal::default());
    let request = CommitRequest { by_value: vec![custom()], ..CommitRequest::default() };
    let error = members[0].commit(request).unwrap_err();
    assert!(matches!(error, Error::Violation(Violation::ProposalTypeNotSupported)));
    let commit = members[0].commit_by_value(vec![custom(), Proposal::Remove(leaf(2))]);
    members.pop();
    let outcome = match read_with(&members[1], &commit) {
        Heard::Commit(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome.custom.len(), 1);
    assert_eq!(outcome.custom[0].proposal, custom());
    assert_eq!(outcome.custom[0].proposer.to_string(), "m0");
}

/// Opens and processes a Commit of a group with registered types, without going on.
fn read_with(actor: &Actor, message: &[u8]) -> Heard {
    let message = MlsMessage::from_bytes(message, &actor.settings.context).unwrap();
    let Opened::Commit(opened) = actor.state().open(message, Some(NOW)).unwrap() else { panic!() };
    let reviewed = opened.review(&BasicValidator).unwrap();
    Heard::Commit(actor.state().process(reviewed, &actor.psks).unwrap().0)
}

/// V-12.4-05: whether a Commit with such a proposal needs a path is for the registration to say.
#[test]
fn a_registered_type_says_whether_it_needs_a_path() {
    for path_required in [true, false] {
        let rules = CustomProposal { path_required, ..CustomProposal::default() };
        let mut members = with_custom_type(rules);
        let commit = members[0].commit_by_value(vec![Proposal::Remove(leaf(2))]);
        members.pop();
        members[1].receive(&commit).unwrap();
        members[0].confirm();
        let key = |actor: &Actor| {
            let leaf = actor.state().tree().leaf(leaf(0)).unwrap();
            leaf.encryption_key.clone()
        };
        let before = key(&members[0]);
        let request = CommitRequest {
            by_value: vec![custom()],
            force_path: false,
            ..CommitRequest::default()
        };
        members[0].commit(request).unwrap();
        members[0].confirm();
        assert_eq!(key(&members[0]) != before, path_required);
    }
}

/// V-12.2-07, V-12.2-08: nobody is added twice, or while it is a member; with its removal it is.
#[test]
fn a_client_is_added_once() {
    let mut members = group(SUITE, 3);
    let mut dora = Actor::new(SUITE, "dora", 8);
    let twice = vec![Proposal::Add(dora.key_package()), Proposal::Add(dora.key_package())];
    let member = vec![Proposal::Add(members[2].key_package())];
    for (by_value, expected) in [(twice, Violation::AddedTwice), (member, Violation::AddedMember)] {
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        let error = members[0].commit(request).unwrap_err();
        assert!(matches!(error, Error::Violation(violation) if violation == expected));
    }
    let again = Proposal::Add(members[2].key_package());
    let commit = members[0].commit_by_value(vec![again, Proposal::Remove(leaf(2))]);
    members[1].receive(&commit).unwrap();
    let welcome = members[0].confirm().unwrap();
    members[2].join(&welcome);
    agree(&members);
}

/// An external Commit that says to take a member's place has nobody's word but its own: the member
/// gives nothing up for it, and the genuine Commit that follows is read.
#[test]
fn an_external_commit_wipes_nobody() {
    let mut members = group(SUITE, 3);
    let mut joiner = Actor::new(SUITE, "m2", 12);
    let request = ExternalJoin { replaces: Some(leaf(2)), ..request(&joiner) };
    let message = join(&mut joiner, group_info(&members[0]), request).unwrap().message().to_vec();
    let before = members[2].state().epoch_authenticator().clone();
    assert!(matches!(members[2].receive(&message).unwrap(), Heard::Commit(o) if o.removes_own));
    assert_eq!(members[2].state().status(), Status::Active);
    assert_eq!(*members[2].state().epoch_authenticator(), before);
    let commit = members[0].commit_by_value(Vec::new());
    deliver(&mut members, 0, &commit);
}

/// A pre-shared key of another group is not what the policy asks for.
#[test]
fn another_groups_psk_proves_nothing() {
    let own = |group: &[u8]| PreSharedKeyId {
        psk: Psk::Resumption {
            usage: crate::schedule::ResumptionPskUsage::Application,
            psk_group_id: group.to_vec(),
            psk_epoch: 1,
        },
        psk_nonce: vec![7; 32],
    };
    let policy = Policy { external_psk_required: true, ..Policy::default() };
    for (group_id, accepted) in [(b"a group".as_slice(), true), (b"another", false)] {
        let list = [Resolved {
            sender: Sender::NewMemberCommit,
            proposal: Arc::new(Proposal::PreSharedKey(own(group_id))),
            reference: None,
        }];
        let result = policy.ensure_external_commit(&list, &GroupId::new(b"a group"));
        assert_eq!(result.is_ok(), accepted);
    }
}

/// A flood of proposals from outside that fit nowhere does not keep a Remove from being committed.
#[test]
fn what_outsiders_propose_does_not_stand_in_the_way_of_a_remove() {
    let (mut members, ds) = supervised(3);
    let outsider = outsider(&members[0]);
    for number in 0..80u8 {
        let proposal = Proposal::PreSharedKey(external_psk(&[number]));
        let message = outsider.propose(0, proposal, &ds).unwrap();
        members[0].receive(&message).unwrap();
    }
    let remove = members[1].propose(Proposal::Remove(leaf(2)), &Framing::default());
    members[0].receive(&remove).unwrap();
    let judge = Judge { validator: &BasicValidator, psks: &NoPsks, now: Some(NOW) };
    let actor = &mut members[0];
    let (staged, _) = actor
        .state
        .as_ref()
        .unwrap()
        .commit(CommitRequest::default(), &judge, &actor.signer, &mut actor.rng)
        .unwrap();
    assert_eq!(staged.outcome().removed.len(), 1);
}

/// New capabilities alone: what random extensions the leaf had and they don't mirror goes.
#[test]
fn capabilities_change_alone() {
    let mut members = group(SUITE, 2);
    let capabilities = LeafTemplate::capabilities(&members[0].settings);
    let leaf = LeafChange { capabilities: Some(capabilities), ..LeafChange::default() };
    let commit = members[0].commit(CommitRequest { leaf, ..CommitRequest::default() }).unwrap();
    deliver(&mut members, 0, &commit);
}

/// What the committer's new leaf supports may be required in the same Commit: both sides judge the
/// tree with the path in it. And what it no longer supports keeps a waiting proposal out.
#[test]
fn a_capability_is_announced_and_required_at_once() {
    let new = ExtensionType(0xf0f1);
    let mut members = group(SUITE, 2);
    let mut capabilities = LeafTemplate::capabilities(&members[0].settings);
    let before = capabilities.clone();
    capabilities.extensions.push(new);
    let change = |capabilities: &Capabilities| CommitRequest {
        leaf: LeafChange { capabilities: Some(capabilities.clone()), ..LeafChange::default() },
        ..CommitRequest::default()
    };
    let commit = members[1].commit(change(&capabilities)).unwrap();
    deliver(&mut members, 1, &commit);

    let required = RequiredCapabilities { extension_types: vec![new], ..Default::default() };
    let required = Extensions::from_iter([required.to_extension().unwrap()]);
    let by_value = vec![Proposal::GroupContextExtensions(required.clone())];
    let alone = CommitRequest { by_value: by_value.clone(), ..CommitRequest::default() };
    let error = members[0].commit(alone).unwrap_err();
    assert!(matches!(error, Error::Violation(Violation::GroupContextRequirements)), "{error:?}");
    let commit = members[0].commit(CommitRequest { by_value, ..change(&capabilities) }).unwrap();
    deliver(&mut members, 0, &commit);

    // The requirement goes, then somebody proposes it anew while the committer gives it up.
    let none = Proposal::GroupContextExtensions(Extensions::new());
    let commit = members[0].commit_by_value(vec![none]);
    deliver(&mut members, 0, &commit);
    let again = Proposal::GroupContextExtensions(required);
    let again = members[1].propose(again, &Framing::default());
    members[0].receive(&again).unwrap();
    let commit = members[0].commit(change(&before)).unwrap();
    deliver(&mut members, 0, &commit);
    assert!(members[1].state().context().extensions.is_empty());
}
