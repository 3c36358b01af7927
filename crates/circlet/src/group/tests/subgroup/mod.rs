//! Resumption PSKs, re-initialization and branching (RFC 9420 sections 8.4, 8.6, 11.2 and 11.3).

mod branch;
mod reinit;
mod resumption;

use super::*;
use crate::crypto::HpkeKeyPair;
use crate::error::{Misuse, Unready};
use crate::group::commit::{Composed, Trial};
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
        let list: Vec<Resolved> = proposals.map(Arc::new).map(by_value).collect();
        let (applied, psks) = state
            .try_checked(&list, Trial { tree: &state.epoch.tree, now: judge.now, psks: judge.psks })
            .unwrap();
        let composed = Composed { list, applied, psks };
        let request = CommitRequest::default();
        let (staged, _) =
            state.commit_composed(request, composed, &judge, Signers::of(signer), rng).unwrap();
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
