mod conversation;
mod hostile;
mod key_packages;
mod made_up_suite;
mod outside;
mod scale;
mod secrets;
mod subgroup;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::codec::{Decode, DecodeContext, Encode};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, CryptoProvider, Secret, Suite};
use crate::error::Error;
use crate::identity::{BasicValidator, Credential, SigningKey};
use crate::message::{GroupId, MlsMessage, Proposal, Welcome};
pub(super) use crate::testing::{NOW, SeededRng};
use crate::tree::{Extensions, LeafIndex, Lifetime};

#[derive(Default)]
pub(super) struct Psks(pub(super) BTreeMap<Vec<u8>, Secret>);

impl PskSource for Psks {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        self.0.get(psk_id).cloned()
    }
}

/// One member with everything that a client would hold for it.
pub(super) struct Actor {
    pub(super) settings: Settings,
    pub(super) signer: SigningKey,
    pub(super) rng: SeededRng,
    pub(super) name: String,
    pub(super) keys: Option<JoinKeys>,
    pub(super) state: Option<GroupState>,
    pub(super) staged: Option<StagedCommit>,
    pub(super) psks: Psks,
}

pub(super) fn settings(suite: CipherSuite) -> Settings {
    Settings::new(Suite::new(Arc::new(DefaultProvider::new()), suite).unwrap())
}

impl Actor {
    pub(super) fn new(suite: CipherSuite, name: &str, seed: u64) -> Self {
        let settings = settings(suite);
        let mut rng = SeededRng::new(seed);
        let signer = SigningKey::generate(&settings.suite, &mut rng).unwrap();
        let name = name.to_owned();
        let psks = Psks::default();
        Self { settings, signer, rng, name, keys: None, state: None, staged: None, psks }
    }

    pub(super) fn template(&self) -> LeafTemplate {
        LeafTemplate {
            credential: Credential::basic(&self.name),
            capabilities: LeafTemplate::capabilities(&self.settings),
            lifetime: Lifetime { not_before: NOW - 3600, not_after: NOW + 86_400 },
            extensions: Extensions::new(),
        }
    }

    pub(super) fn key_package(&mut self) -> crate::message::KeyPackage {
        let template = self.template();
        let keys =
            JoinKeys::generate(&self.settings, template, &self.signer, &mut self.rng).unwrap();
        self.keys.insert(keys).key_package.clone()
    }

    pub(super) fn create(&mut self, group_id: &[u8]) {
        self.key_package();
        let keys = self.keys.take().unwrap();
        let group_id = GroupId::new(group_id);
        let extensions = Extensions::new();
        let state =
            GroupState::create(self.settings.clone(), group_id, extensions, keys, &mut self.rng);
        self.state = Some(state.unwrap());
    }

    pub(super) fn state(&self) -> &GroupState {
        self.state.as_ref().unwrap()
    }

    fn apply(&mut self, step: Step) {
        self.state.as_mut().unwrap().apply(step).unwrap();
    }

    pub(super) fn send(&mut self, data: &[u8]) -> Vec<u8> {
        let state = self.state.as_ref().unwrap();
        let framing = Framing::default();
        let (message, step) =
            state.send(data, &framing, false, &self.signer, &mut self.rng).unwrap();
        self.apply(step);
        message
    }

    pub(super) fn commit(&mut self, request: CommitRequest) -> Result<Vec<u8>, Error> {
        let state = self.state.as_ref().unwrap();
        let judge = Judge { validator: &BasicValidator, psks: &self.psks, now: Some(NOW) };
        let (staged, step) = state.commit(request, &judge, &self.signer, &mut self.rng)?;
        let message = staged.message().to_vec();
        self.staged = Some(staged);
        self.apply(step);
        Ok(message)
    }

    pub(super) fn commit_by_value(&mut self, by_value: Vec<Proposal>) -> Vec<u8> {
        self.commit(CommitRequest { by_value, ..CommitRequest::default() }).unwrap()
    }

    /// Confirms the staged Commit and gives its Welcome.
    pub(super) fn confirm(&mut self) -> Option<Vec<u8>> {
        let staged = self.staged.take().unwrap();
        let (confirmed, step) = self.state().confirm(staged).unwrap();
        self.apply(step);
        confirmed.welcome
    }

    pub(super) fn join(&mut self, welcome: &[u8]) {
        let MlsMessage::Welcome(welcome) = read(welcome) else { panic!("no Welcome") };
        self.state = Some(self.try_join(&welcome, None).unwrap());
    }

    pub(super) fn try_join(
        &mut self,
        welcome: &Welcome,
        tree: Option<&[u8]>,
    ) -> Result<GroupState, Error> {
        let keys = self.keys.as_ref().unwrap();
        OpenedWelcome::open(self.settings.clone(), welcome, keys, tree, &self.psks)?
            .review(&BasicValidator)
    }

    pub(super) fn propose(&mut self, proposal: Proposal, framing: &Framing) -> Vec<u8> {
        let state = self.state.as_ref().unwrap();
        let judge = Judge { validator: &BasicValidator, psks: &self.psks, now: Some(NOW) };
        let (message, _, step) =
            state.propose(proposal, &judge, framing, &self.signer, &mut self.rng).unwrap();
        self.apply(step);
        message
    }

    pub(super) fn propose_update(&mut self, framing: &Framing) -> Vec<u8> {
        let state = self.state.as_ref().unwrap();
        let (message, _, step) =
            state.propose_update(framing, &self.signer, &mut self.rng).unwrap();
        self.apply(step);
        message
    }

    pub(super) fn receive(&mut self, message: &[u8]) -> Result<Heard, Error> {
        let opened = self.state().open(read(message), Some(NOW))?;
        let (heard, step) = match opened {
            Opened::Own(_) => return Ok(Heard::Own),
            Opened::Application(opened) => {
                let (message, step) = opened.accept();
                (Heard::Message(message), step)
            }
            Opened::Proposal(opened) => {
                let (_, step) = opened.review(self.state(), &BasicValidator)?;
                (Heard::Proposal, step)
            }
            Opened::Commit(opened) => {
                let reviewed = opened.review(&BasicValidator)?;
                let (outcome, step) = self.state().process(reviewed, &self.psks)?;
                (Heard::Commit(outcome), step)
            }
        };
        self.apply(step);
        Ok(heard)
    }
}

#[derive(Debug)]
pub(super) enum Heard {
    Own,
    Message(ApplicationMessage),
    Proposal,
    Commit(CommitOutcome),
}

pub(super) fn read(message: &[u8]) -> MlsMessage {
    MlsMessage::from_bytes(message, &DecodeContext::default()).unwrap()
}

/// A group of so many members, `m0` its creator, all added in one Commit.
pub(super) fn group(suite: CipherSuite, size: u64) -> Vec<Actor> {
    let mut members: Vec<Actor> =
        (0..size).map(|i| Actor::new(suite, &format!("m{i}"), 1000 + i)).collect();
    members[0].create(b"a group");
    let adds: Vec<Proposal> =
        members[1..].iter_mut().map(|member| Proposal::Add(member.key_package())).collect();
    if !adds.is_empty() {
        members[0].commit_by_value(adds);
        let welcome = members[0].confirm().unwrap();
        members[1..].iter_mut().for_each(|member| member.join(&welcome));
    }
    members
}

/// Everybody but the sender receives; the sender confirms its staged Commit, if it has one.
pub(super) fn deliver(members: &mut [Actor], sender: usize, message: &[u8]) {
    for (i, member) in members.iter_mut().enumerate() {
        if i != sender {
            member.receive(message).unwrap();
        }
    }
    if members[sender].staged.is_some() {
        members[sender].confirm();
    }
    agree(members);
}

pub(super) fn agree(members: &[Actor]) {
    let first = members[0].state();
    for member in members {
        let state = member.state();
        assert_eq!(state.context(), first.context());
        assert_eq!(state.epoch_authenticator(), first.epoch_authenticator());
    }
}

pub(super) fn leaf(index: u32) -> LeafIndex {
    LeafIndex(index)
}
