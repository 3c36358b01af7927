//! Resumption PSKs, re-initialization and branching (RFC 9420 sections 8.4, 8.6, 11.2 and 11.3).

use super::*;
use crate::crypto::HpkeKeyPair;
use crate::error::{Misuse, Unready};
use crate::group::commit::Composed;
use crate::group::review::find_psks;
use crate::identity::{CredentialCheck, CredentialRejected, CredentialValidator};
use crate::message::{Content, GroupSecrets, KeyPackage, ReInit, Sender};
use crate::rules::Violation;
use crate::rules::proposals::Resolved;
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{Extension, ExtensionType, MLS10};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
const OTHER_SUITE: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;
const NH: usize = 32;

/// Groups that a client knows, in the epochs that it knows of them.
#[derive(Default)]
struct Known(Vec<OldGroup>);

impl PskSource for Known {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        (psk_id == b"shared").then(|| Secret::new(&[5; NH]))
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.old_group(group_id, epoch).map(|old| old.resumption_psk)
    }

    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        let is_it = |old: &&OldGroup| old.group_id().as_bytes() == group_id && old.epoch() == epoch;
        self.0.iter().find(is_it).cloned()
    }
}

fn judge<'a>(validator: &'a dyn CredentialValidator, psks: &'a dyn PskSource) -> Judge<'a> {
    Judge { validator, psks, now: Some(NOW) }
}

fn psk(usage: ResumptionPskUsage, group_id: &[u8], psk_epoch: u64, nonce: u8) -> PreSharedKeyId {
    let psk = Psk::Resumption { usage, psk_group_id: group_id.to_vec(), psk_epoch };
    PreSharedKeyId { psk, psk_nonce: vec![nonce; NH] }
}

fn external(nonce: u8) -> PreSharedKeyId {
    let psk = Psk::External { psk_id: b"shared".to_vec() };
    PreSharedKeyId { psk, psk_nonce: vec![nonce; NH] }
}

fn application(epoch: u64, nonce: u8) -> PreSharedKeyId {
    psk(ResumptionPskUsage::Application, b"a group", epoch, nonce)
}

fn extensions(name: &[u8]) -> Extensions {
    let data = name.to_vec();
    [Extension { extension_type: ExtensionType(0xff00), data }].into_iter().collect()
}

fn reinit(cipher_suite: CipherSuite) -> ReInit {
    let group_id = GroupId::new(b"the next group");
    ReInit { group_id, version: MLS10, cipher_suite, extensions: Extensions::new() }
}

/// A group that the first member's Commit has closed.
fn closed_by(size: u64, reinit: ReInit) -> Vec<Actor> {
    let mut members = group(SUITE, size);
    let commit = members[0].commit_by_value(vec![Proposal::ReInit(reinit)]);
    deliver(&mut members, 0, &commit);
    members
}

fn old(member: &Actor) -> OldGroup {
    member.state().old_group(member.state().epoch()).unwrap()
}

/// Clients of the same people, for the new group: the old group's stay as they are.
fn again(names: &[&str], suite: CipherSuite) -> Vec<Actor> {
    (2000..).zip(names).map(|(seed, name)| Actor::new(suite, name, seed)).collect()
}

fn key_packages(actors: &mut [Actor]) -> Vec<KeyPackage> {
    actors.iter_mut().map(Actor::key_package).collect()
}

fn founding(actors: &mut [Actor]) -> Founding {
    let (founder, others) = actors.split_first_mut().unwrap();
    founder.key_package();
    let keys = founder.keys.clone().unwrap();
    Founding::new(founder.settings.clone(), keys, key_packages(others))
}

/// The first of the actors creates the group that takes the place of the old one.
fn reinitialize(old: &OldGroup, actors: &mut [Actor]) -> Result<NewGroup, Error> {
    let founding = founding(actors);
    let Actor { signer, rng, .. } = &mut actors[0];
    old.reinitialize(founding, &judge(&BasicValidator, &NoPsks), signer, rng)
}

fn branch(old: &OldGroup, actors: &mut [Actor]) -> Result<NewGroup, Error> {
    let founding = founding(actors);
    let (id, extensions) = (GroupId::new(b"a branch"), Extensions::new());
    let Actor { signer, rng, .. } = &mut actors[0];
    old.branch(id, extensions, founding, &judge(&BasicValidator, &NoPsks), signer, rng)
}

fn open(actor: &Actor, welcome: &[u8], psks: &dyn PskSource) -> Result<OpenedWelcome, Error> {
    let MlsMessage::Welcome(welcome) = read(welcome) else { panic!("no Welcome") };
    let (settings, keys) = (actor.settings.clone(), actor.keys.as_ref().unwrap());
    OpenedWelcome::open(settings, &welcome, keys, None, psks)
}

fn join(actor: &Actor, welcome: &[u8], psks: &dyn PskSource) -> Result<GroupState, Error> {
    open(actor, welcome, psks)?.review(&BasicValidator)
}

/// What makes it wrong, if anything does.
fn violation(outcome: Result<GroupState, Error>) -> Option<Violation> {
    match outcome {
        Ok(_) => None,
        Err(Error::Violation(violation)) => Some(violation),
        Err(other) => panic!("{other:?}"),
    }
}

/// All actors take the new group over and talk.
fn settle(new: NewGroup, actors: &mut [Actor], old: &[Actor]) {
    assert_eq!(new.state.epoch(), 1);
    actors[0].state = Some(new.state);
    if let Some(welcome) = new.welcome {
        for actor in &mut actors[1..] {
            let own = old.iter().find(|old| old.name == actor.name).unwrap();
            let own = own.state().old_group(own.state().epoch()).unwrap();
            actor.state = Some(join(actor, &welcome, &own).unwrap());
        }
    }
    agree(actors);
    for sender in 0..actors.len() {
        let message = actors[sender].send(b"hello");
        for receiver in (0..actors.len()).filter(|receiver| *receiver != sender) {
            assert!(matches!(actors[receiver].receive(&message), Ok(Heard::Message(_))));
        }
    }
    let commit = actors[0].commit(CommitRequest::default()).unwrap();
    deliver(actors, 0, &commit);
}

/// A group that the honest way does not make: of any id, extensions and PSKs, after any number of
/// Commits before the one that adds everybody.
struct Forgery<'a> {
    group_id: GroupId,
    extensions: Extensions,
    psks: Vec<PreSharedKeyId>,
    commits_before: usize,
    known: &'a Known,
}

impl Forgery<'_> {
    fn welcome(self, actors: &mut [Actor]) -> Vec<u8> {
        let Self { group_id, extensions, psks, commits_before, known } = self;
        let Founding { settings, keys, key_packages, .. } = founding(actors);
        let Actor { signer, rng, .. } = &mut actors[0];
        let judge = judge(&BasicValidator, known);
        let mut state = GroupState::create(settings, group_id, extensions, keys, rng).unwrap();
        for _ in 0..commits_before {
            let request = CommitRequest::default();
            let (staged, step) = state.commit(request, &judge, signer, rng).unwrap();
            state.apply(step).unwrap();
            let (_, step) = state.confirm(staged).unwrap();
            state.apply(step).unwrap();
        }
        let sender = Sender::Member(state.own_leaf());
        let psks = psks.into_iter().map(Proposal::PreSharedKey);
        let proposals = key_packages.into_iter().map(Proposal::Add).chain(psks);
        let by_value = |proposal| Resolved { sender, proposal, reference: None };
        let list: Vec<Resolved> = proposals.map(by_value).collect();
        let (applied, psks) = state.try_checked(&list, judge.now, judge.psks).unwrap();
        let composed = Composed { list, applied, psks };
        let request = CommitRequest::default();
        let (staged, _) = state.commit_composed(request, composed, &judge, signer, rng).unwrap();
        staged.welcome.unwrap()
    }
}

/// The PSKs that a Welcome names to its first reader.
fn psks_of(welcome: &[u8], reader: &Actor) -> Vec<PreSharedKeyId> {
    let MlsMessage::Welcome(welcome) = read(welcome) else { panic!("no Welcome") };
    let suite = &reader.settings.suite;
    let JoinKeys { key_package, init_key, .. } = reader.keys.as_ref().unwrap();
    let reference = key_package.reference(suite).unwrap();
    let entry = welcome.secrets.iter().find(|entry| entry.new_member == reference).unwrap();
    let keys = HpkeKeyPair { private: init_key.clone(), public: key_package.init_key.clone() };
    let context = &welcome.encrypted_group_info;
    let secrets = &entry.encrypted_group_secrets;
    let plaintext = suite.decrypt_with_label(&keys, "Welcome", context, secrets).unwrap();
    let context = DecodeContext::default();
    GroupSecrets::from_plaintext(plaintext.as_bytes(), &context).unwrap().psks
}

/// V-8.4-05, V-8.4-01, V-12.1.4-04: by value and by reference, of the present and of past epochs,
/// mixed with an external one; the joiner gets them from its source, in the same order.
#[test]
fn resumption_psks_enter_a_commit() {
    let mut members = group(SUITE, 3);
    for member in &mut members {
        member.psks.0.insert(b"shared".to_vec(), Secret::new(&[5; NH]));
    }
    let first = old(&members[0]);
    for sender in [1, 2] {
        let commit = members[sender].commit(CommitRequest::default()).unwrap();
        deliver(&mut members, sender, &commit);
    }
    let present = old(&members[0]);
    let proposal = Proposal::PreSharedKey(application(1, 1));
    let message = members[1].propose(proposal, &Framing::default());
    for i in [0, 2] {
        members[i].receive(&message).unwrap();
    }
    let mut dave = Actor::new(SUITE, "dave", 9);
    let by_value = vec![
        Proposal::PreSharedKey(external(2)),
        Proposal::Add(dave.key_package()),
        Proposal::PreSharedKey(application(3, 3)),
    ];
    let commit = members[0].commit_by_value(by_value);
    let welcome = members[0].staged.as_ref().unwrap().welcome.clone().unwrap();
    deliver(&mut members, 0, &commit);
    let expected = [application(1, 1), external(2), application(3, 3)];
    assert_eq!(psks_of(&welcome, &dave), expected);

    let known = Known(vec![first.clone(), present.clone()]);
    let state = join(&dave, &welcome, &known).unwrap();
    assert_eq!(state.epoch_authenticator(), members[0].state().epoch_authenticator());
    let half = Known(vec![present]);
    let error = join(&dave, &welcome, &half).unwrap_err();
    let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
    assert_eq!(named, application(1, 0).psk);
    // Not the secret of that epoch.
    let wrong = OldGroup { resumption_psk: Secret::new(&[6; NH]), ..first };
    let wrong = Known(vec![wrong, half.0[0].clone()]);
    assert_eq!(violation(join(&dave, &welcome, &wrong)), Some(Violation::WelcomeDecryption));
}

/// V-8.4-04: more than a `uint16` counts, for whoever has raised the limit that far.
#[test]
fn as_many_psks_as_can_be_counted() {
    let find = |count| find_psks(&vec![external(1); count], |_| Some(Secret::new(&[5; NH])));
    assert_eq!(find(65_535).unwrap().len(), 65_535);
    assert!(matches!(find(65_536), Err(Error::Violation(Violation::PskCount))));
}

/// V-8.6-01, V-8.4-05, V-12.4.3.1-05: PSKs of epochs that are too old are gone, and so are those of
/// other groups that nobody gives; whatever is missing is named, and nothing has changed.
#[test]
fn a_resumption_psk_that_is_missing_is_named() {
    let mut members = group(SUITE, 2);
    let kept = members[0].settings.limits().past_epochs as u64;
    for _ in 0..=kept {
        let commit = members[0].commit(CommitRequest::default()).unwrap();
        deliver(&mut members, 0, &commit);
    }
    let epoch = members[0].state().epoch();
    let oldest = epoch - kept;
    assert!(members[0].state().old_group(oldest).is_some());
    assert!(members[0].state().old_group(oldest - 1).is_none());
    assert!(members[0].state().old_group(epoch + 1).is_none());

    let elsewhere = psk(ResumptionPskUsage::Application, b"another group", 1, 1);
    for (id, known) in [
        (application(oldest, 1), true),
        (application(oldest - 1, 1), false),
        (application(epoch + 1, 1), false),
        (elsewhere.clone(), false),
    ] {
        let by_value = vec![Proposal::PreSharedKey(id.clone())];
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        match members[0].commit(request) {
            Ok(_) => assert!(known),
            Err(Error::Unready(Unready::UnknownPsk(named))) => {
                assert!(!known);
                assert_eq!(named, id.psk);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    // The committer knows the other group, and the one who receives does not, at first.
    let mut other = Actor::new(SUITE, "m0", 77);
    other.create(b"another group");
    let theirs = OldGroup { epoch: 1, ..old(&other) };
    let by_value = vec![Proposal::PreSharedKey(elsewhere.clone())];
    let request = CommitRequest { by_value, ..CommitRequest::default() };
    let Actor { state, signer, rng, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let (staged, _) = state.commit(request, &judge(&BasicValidator, &theirs), signer, rng).unwrap();
    let before = format!("{:?}", members[1].state());
    let error = members[1].receive(staged.message()).unwrap_err();
    let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
    assert_eq!(named, elsewhere.psk);
    assert_eq!(format!("{:?}", members[1].state()), before);

    let opened = members[1].state().open(read(staged.message()), Some(NOW)).unwrap();
    let Opened::Commit(opened) = opened else { panic!() };
    let reviewed = opened.review(&BasicValidator).unwrap();
    let (outcome, _) = members[1].state().process(reviewed, &theirs).unwrap();
    assert_eq!(outcome.epoch, epoch + 1);
}

/// V-11.2-03, V-11.3-03, V-12.1.4-01: the usages of section 11 have no place in another Commit:
/// nobody proposes or commits one, and nobody takes one.
#[test]
fn reinit_and_branch_are_no_usages_for_a_proposal() {
    for usage in [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch] {
        let mut members = group(SUITE, 2);
        let proposal = Proposal::PreSharedKey(psk(usage, b"a group", 1, 1));
        let refused = |outcome: Result<(), Error>| {
            assert!(
                matches!(outcome, Err(Error::Violation(Violation::PskUsage))),
                "{usage:?}: {outcome:?}"
            );
        };
        let request =
            CommitRequest { by_value: vec![proposal.clone()], ..CommitRequest::default() };
        refused(members[0].commit(request.clone()).map(drop));
        let [first, second] = &mut members[..] else { panic!() };
        let Actor { state, signer, rng, .. } = first;
        let state = state.as_ref().unwrap();
        let framing = Framing::default();
        let judge = judge(&BasicValidator, &NoPsks);
        refused(state.propose(proposal.clone(), &judge, &framing, signer, rng).map(drop));

        let content = Content::Proposal(proposal.clone());
        let signed = state.sign_content(content, &framing, signer).unwrap();
        let (message, _) = state.protect(signed, framing.padding, rng).unwrap();
        let before = format!("{:?}", second.state());
        refused(second.state().open(message, None).map(drop));

        let sender = Sender::Member(state.own_leaf());
        let list = vec![Resolved { sender, proposal, reference: None }];
        let (applied, psks) = state.try_checked(&list, None, &NoPsks).unwrap();
        let composed = Composed { list, applied, psks };
        let (staged, _) = state.commit_composed(request, composed, &judge, signer, rng).unwrap();
        refused(second.state().open(read(staged.message()), None).map(drop));
        assert_eq!(format!("{:?}", second.state()), before);
    }
}

/// V-12.4.2-15: a group that a ReInit has closed sends nothing more, on both sides, and takes no
/// handshake; what was sent before can be read, and a new group is waited for.
#[test]
fn a_closed_group_only_reads() {
    let mut members = group(SUITE, 3);
    let late = members[1].send(b"late");
    let parameters = reinit(SUITE);
    let proposal = Proposal::ReInit(parameters.clone());
    let message = members[2].propose(proposal, &Framing::default());
    for i in [0, 1] {
        members[i].receive(&message).unwrap();
    }
    let commit = members[1].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 1, &commit);
    for member in &mut members {
        assert_eq!(member.state().status(), Status::Reinitialized);
        assert_eq!(member.state().reinit(), Some(&parameters));
        let Actor { state, signer, rng, .. } = member;
        let state = state.as_ref().unwrap();
        let framing = Framing::default();
        let judge = judge(&BasicValidator, &NoPsks);
        let closed = |error: Option<Error>| {
            assert!(matches!(error, Some(Error::Misuse(Misuse::Reinitialized))), "{error:?}");
        };
        closed(state.send(b"more", &framing, true, signer, rng).err());
        let remove = Proposal::Remove(leaf(2));
        closed(state.propose(remove, &judge, &framing, signer, rng).err());
        closed(state.propose_update(&framing, signer, rng).err());
        closed(state.commit(CommitRequest::default(), &judge, signer, rng).err());
        closed(state.group_info(GroupInfoOptions::default(), signer).err());
    }
    for i in [0, 2] {
        assert!(matches!(members[i].receive(&late), Ok(Heard::Message(_))));
    }
}

/// V-12.1.5-01, V-12.1.5-02: a ReInit that no group could follow is refused; one to a suite or
/// version that is not supported here closes the group, and whoever would follow it is told.
#[test]
fn a_reinit_says_what_a_group_can_be() {
    let misplaced = Extension { extension_type: ExtensionType::RATCHET_TREE, data: Vec::new() };
    let old_version = ReInit { version: 0, ..reinit(SUITE) };
    let misplaced = ReInit { extensions: [misplaced].into_iter().collect(), ..reinit(SUITE) };
    for (parameters, expected) in
        [(old_version, Violation::ReInitVersion), (misplaced, Violation::GroupContextExtensionType)]
    {
        let mut members = group(SUITE, 2);
        let by_value = vec![Proposal::ReInit(parameters)];
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        let refused = members[0].commit(request);
        assert!(matches!(refused, Err(Error::Violation(found)) if found == expected));
    }
    for parameters in
        [reinit(CipherSuite(0x0a0a)), ReInit { version: 2, ..reinit(SUITE) }, reinit(OTHER_SUITE)]
    {
        let members = closed_by(2, parameters);
        let refused = reinitialize(&old(&members[0]), &mut again(&["m0", "m1"], SUITE));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherSuite))));
    }
}

/// V-11.2-01, V-11.2-02, V-11.2-04, V-12.4.1-11: whoever of the old members creates it, the new
/// group is what the ReInit says and has the PSK of the old one's last epoch, with a fresh nonce.
#[test]
fn a_group_is_reinitialized_by_any_member() {
    for (founder, suite) in [("m0", SUITE), ("m2", SUITE), ("m1", OTHER_SUITE)] {
        let members = closed_by(3, reinit(suite));
        let names: Vec<&str> = [founder]
            .into_iter()
            .chain(["m0", "m1", "m2"].into_iter().filter(|n| *n != founder))
            .collect();
        let mut actors = again(&names, suite);
        let own = members.iter().find(|member| member.name == founder).unwrap();
        let new = reinitialize(&old(own), &mut actors).unwrap();
        let context = new.state.context();
        assert_eq!(context.group_id, reinit(suite).group_id);
        assert_eq!(context.cipher_suite, suite);
        assert_eq!(context.extensions, Extensions::new());
        let psks = psks_of(new.welcome.as_ref().unwrap(), &actors[1]);
        let [PreSharedKeyId { psk: named, psk_nonce }] = &psks[..] else { panic!("{psks:?}") };
        assert_eq!(*named, psk(ResumptionPskUsage::Reinit, b"a group", 2, 0).psk);
        assert_eq!(psk_nonce.len(), NH);
        let opened = open(&actors[1], new.welcome.as_ref().unwrap(), &old(&members[0])).unwrap();
        let (usage, continued) = opened.continued().unwrap();
        assert_eq!(usage, ResumptionPskUsage::Reinit);
        assert_eq!(*continued, old(&members[0]));
        settle(new, &mut actors, &members);
    }
}

#[test]
fn a_group_of_one_is_reinitialized() {
    let members = closed_by(1, reinit(SUITE));
    let mut actors = again(&["m0"], SUITE);
    let new = reinitialize(&old(&members[0]), &mut actors).unwrap();
    assert!(new.welcome.is_none());
    settle(new, &mut actors, &members);
}

/// V-11.2-05: whoever creates the new group has all old members in it, and nobody else.
#[test]
fn a_founder_takes_everybody_along() {
    let members = closed_by(3, reinit(SUITE));
    let old = old(&members[0]);
    for names in
        [&["m0", "m1"][..], &["m0", "m1", "m2", "m3"], &["m0", "m1", "m3"], &["m0", "m1", "m1"]]
    {
        let refused = reinitialize(&old, &mut again(names, SUITE));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))), "{names:?}");
    }
    let open = group(SUITE, 2);
    let refused = reinitialize(&self::old(&open[0]), &mut again(&["m0", "m1"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::NotReinitialized))));
}

/// V-11.2-01, V-11.2-02, V-12.4.3.1-24: a Welcome that does not fit the ReInit is refused.
#[test]
fn a_welcome_that_does_not_fit_the_reinit_is_refused() {
    let members = closed_by(3, reinit(SUITE));
    let last = old(&members[0]);
    let before = members[0].state().old_group(1).unwrap();
    let mut elsewhere = Actor::new(SUITE, "m0", 77);
    elsewhere.create(b"another group");
    let elsewhere = old(&elsewhere);
    let known = Known(vec![last.clone(), before, elsewhere]);
    let of = |group_id: &[u8], epoch| psk(ResumptionPskUsage::Reinit, group_id, epoch, 1);
    let honest = || Forgery {
        group_id: reinit(SUITE).group_id,
        extensions: Extensions::new(),
        psks: vec![of(b"a group", 2)],
        commits_before: 0,
        known: &known,
    };
    let other_id = Forgery { group_id: GroupId::new(b"not the next group"), ..honest() };
    let with_external = Forgery { psks: vec![external(3), of(b"a group", 2)], ..honest() };
    let too_late = Forgery { commits_before: 1, ..honest() };
    let wrong_epoch = Forgery { psks: vec![of(b"a group", 1)], ..honest() };
    let wrong_group = Forgery { psks: vec![of(b"another group", 0)], ..honest() };
    let mut short = of(b"a group", 2);
    short.psk_nonce.pop();
    let short = Forgery { psks: vec![short], ..honest() };
    for (name, forgery, expected) in [
        ("as it should be", honest(), None),
        ("another PSK beside it", with_external, None),
        ("group id", other_id, Some(Violation::ReInitParameters)),
        ("epoch", too_late, Some(Violation::SubgroupEpoch)),
        ("PSK epoch", wrong_epoch, Some(Violation::ReInitPsk)),
        ("PSK group", wrong_group, Some(Violation::ReInitPsk)),
        ("nonce", short, Some(Violation::PskNonce)),
    ] {
        let mut actors = again(&["m0", "m1", "m2"], SUITE);
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{name}");
    }

    // The same group, to one for whom the ReInit said something else.
    for (name, parameters) in [
        ("extensions", ReInit { extensions: extensions(b"x"), ..reinit(SUITE) }),
        ("suite", reinit(OTHER_SUITE)),
        ("version", ReInit { version: 2, ..reinit(SUITE) }),
    ] {
        let mut actors = again(&["m0", "m1", "m2"], SUITE);
        let welcome = honest().welcome(&mut actors);
        let known = Known(vec![OldGroup { reinit: Some(parameters), ..last.clone() }]);
        let found = violation(join(&actors[1], &welcome, &known));
        assert_eq!(found, Some(Violation::ReInitParameters), "{name}");
    }
}

/// V-11.2-05, V-12.4.3.1-24: a Welcome to a group that leaves an old member out is refused, and one
/// that brings somebody along.
#[test]
fn a_welcome_without_every_old_member_is_refused() {
    let members = closed_by(3, reinit(SUITE));
    let known = Known(vec![old(&members[0])]);
    for (names, expected) in [
        (&["m0", "m1", "m2"][..], None),
        (&["m0", "m1"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "eve"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "m1"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "m2", "eve"], Some(Violation::ReInitMembers)),
    ] {
        let mut actors = again(names, SUITE);
        let forgery = Forgery {
            group_id: reinit(SUITE).group_id,
            extensions: Extensions::new(),
            psks: vec![psk(ResumptionPskUsage::Reinit, b"a group", 2, 1)],
            commits_before: 0,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{names:?}");
    }
}

/// Whoever has a name before an @ is the same with whatever comes behind it.
struct ByName;

impl CredentialValidator for ByName {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }

    fn is_same_member(&self, old: &Credential, new: &Credential) -> bool {
        let name = |credential: &Credential| {
            credential
                .identity()
                .map(|name| name.split(|byte| *byte == b'@').next().map(<[u8]>::to_vec))
        };
        name(old) == name(new)
    }
}

/// V-11.2-05, V-11.3-02: who is the same member is the application's word.
#[test]
fn the_application_says_who_is_the_same() {
    let members = closed_by(3, reinit(SUITE));
    let old = old(&members[0]);
    for (names, same) in [
        (["m0@new", "m1", "m2@phone"], true),
        (["m2", "m1@x", "m0@y"], true),
        (["m0@new", "m1", "m1@phone"], false),
        (["m0", "m1@phone", "m3@phone"], false),
    ] {
        let mut actors = again(&names, SUITE);
        let founding = founding(&mut actors);
        let Actor { signer, rng, .. } = &mut actors[0];
        let by_bytes =
            old.reinitialize(founding.clone(), &judge(&BasicValidator, &NoPsks), signer, rng);
        assert!(matches!(by_bytes, Err(Error::Misuse(Misuse::OtherMembers))));
        match old.reinitialize(founding, &judge(&ByName, &NoPsks), signer, rng) {
            Ok(new) => {
                assert!(same, "{names:?}");
                let welcome = new.welcome.unwrap();
                open(&actors[1], &welcome, &old).unwrap().review(&ByName).unwrap();
                let by_bytes = violation(join(&actors[1], &welcome, &old));
                assert_eq!(by_bytes, Some(Violation::ReInitMembers));
            }
            Err(Error::Misuse(Misuse::OtherMembers)) => assert!(!same, "{names:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut actors = again(&["m1@home", "m2"], SUITE);
    let founding = founding(&mut actors);
    let Actor { signer, rng, .. } = &mut actors[0];
    let id = GroupId::new(b"a branch");
    let judge = judge(&ByName, &NoPsks);
    let new = old.branch(id, Extensions::new(), founding, &judge, signer, rng).unwrap();
    let welcome = new.welcome.unwrap();
    open(&actors[1], &welcome, &old).unwrap().review(&ByName).unwrap();
    let by_bytes = violation(join(&actors[1], &welcome, &old));
    assert_eq!(by_bytes, Some(Violation::BranchMembers));
}

/// V-11.3-01, V-12.1.4-03: a branch has the PSK with usage branch and a nonce of its own.
#[test]
fn a_group_is_branched() {
    let members = group(SUITE, 4);
    let mut nonces = Vec::new();
    for (founder, others) in [("m0", ["m1", "m3"]), ("m2", ["m3", "m0"])] {
        let mut actors = again(&[founder, others[0], others[1]], SUITE);
        actors.iter_mut().zip(0..).for_each(|(actor, i)| {
            actor.rng = SeededRng::new(3000 + 10 * nonces.len() as u64 + i);
        });
        let new = branch(&old(&members[0]), &mut actors).unwrap();
        assert_eq!(new.state.tree().member_count(), 3);
        let psks = psks_of(new.welcome.as_ref().unwrap(), &actors[1]);
        let [PreSharedKeyId { psk: named, psk_nonce }] = &psks[..] else { panic!("{psks:?}") };
        assert_eq!(*named, psk(ResumptionPskUsage::Branch, b"a group", 1, 0).psk);
        assert_eq!(psk_nonce.len(), NH);
        assert!(!nonces.contains(psk_nonce));
        nonces.push(psk_nonce.clone());
        settle(new, &mut actors, &members);
    }
    // The old group goes on.
    assert_eq!(members[0].state().status(), Status::Active);
}

/// A branch is of an epoch: a joiner that is further on knows who was in it then.
#[test]
fn a_branch_is_joined_from_a_later_epoch() {
    let mut members = group(SUITE, 3);
    let then = old(&members[0]);
    let mut actors = again(&["m0", "m1", "m2"], SUITE);
    let new = branch(&then, &mut actors).unwrap();
    let commit = members[0].commit_by_value(vec![Proposal::Remove(leaf(2))]);
    members[1].receive(&commit).unwrap();
    let welcome = new.welcome.unwrap();
    let known = members[1].state().old_group(1).unwrap();
    assert_eq!(known, then);
    assert_eq!(known.members().len(), 3);
    join(&actors[1], &welcome, &known).unwrap();
    let present = old(&members[1]);
    assert_eq!(present.members().len(), 2);
    // Had the branch been of the present epoch, there would be one too many.
    let wrong = OldGroup { members: present.members, ..known };
    assert_eq!(violation(join(&actors[1], &welcome, &wrong)), Some(Violation::BranchMembers));
}

/// V-11.3-02: a founder of a branch has only members of the old group in it, and its suite.
#[test]
fn a_founder_of_a_branch_brings_nobody_along() {
    let members = group(SUITE, 3);
    let old = old(&members[0]);
    let refused = branch(&old, &mut again(&["m0", "m1", "eve"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    let refused = branch(&old, &mut again(&["eve", "m1"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    let refused = branch(&old, &mut again(&["m0", "m1"], OTHER_SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherSuite))));
}

/// V-11.3-02, V-11.3-04, V-12.4.3.1-24: a Welcome to what is no branch of the old group is refused.
#[test]
fn a_welcome_to_no_branch_is_refused() {
    let members = group(SUITE, 3);
    let known = Known(vec![old(&members[0])]);
    let names = &["m0", "m1"][..];
    for (name, suite, names, commits_before, expected) in [
        ("as it should be", SUITE, names, 0, None),
        ("suite", OTHER_SUITE, names, 0, Some(Violation::BranchParameters)),
        ("epoch", SUITE, names, 1, Some(Violation::SubgroupEpoch)),
        ("outsider", SUITE, &["m0", "m1", "eve"], 0, Some(Violation::BranchMembers)),
        ("founder", SUITE, &["eve", "m1"], 0, Some(Violation::BranchMembers)),
    ] {
        let mut actors = again(names, suite);
        let forgery = Forgery {
            group_id: GroupId::new(b"a branch"),
            extensions: Extensions::new(),
            psks: vec![psk(ResumptionPskUsage::Branch, b"a group", 1, 1)],
            commits_before,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{name}");
        let error = join(&actors[1], &welcome, &Known::default()).unwrap_err();
        let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
        assert_eq!(named, psk(ResumptionPskUsage::Branch, b"a group", 1, 0).psk);
    }
}

/// V-12.4.3.1-06: a group continues one other.
#[test]
fn a_welcome_with_two_origins_is_refused() {
    use ResumptionPskUsage::{Application, Branch, Reinit};
    let members = closed_by(2, reinit(SUITE));
    let known = Known(vec![old(&members[0]), members[0].state().old_group(1).unwrap()]);
    let twice = Some(Violation::WelcomePskUsage);
    for (usages, expected) in [
        ([Branch, Branch], twice),
        ([Branch, Reinit], twice),
        ([Reinit, Reinit], twice),
        ([Reinit, Application], None),
        ([Application, Application], None),
    ] {
        let mut actors = again(&["m0", "m1"], SUITE);
        let forgery = Forgery {
            group_id: reinit(SUITE).group_id,
            extensions: Extensions::new(),
            psks: vec![psk(usages[0], b"a group", 2, 1), psk(usages[1], b"a group", 2, 2)],
            commits_before: 0,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{usages:?}");
    }
}
