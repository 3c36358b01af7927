use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::codec::Encode;
use crate::crypto::{HashReference, Secret, Suite};
use crate::error::{Error, Misuse, Unready};
use crate::group::{
    ApplicationMessage, CommitOutcome, CommitRequest, ExternalJoin, Framing, GroupState, JoinKeys,
    Judge, LeafTemplate, Opened, OpenedGroupInfo, OpenedWelcome, PskSource, Settings, StagedCommit,
    StagedJoin, Status, Step,
};
use crate::identity::{BasicValidator, Credential, CredentialValidator, SigningKey};
use crate::message::{GroupId, GroupInfo, KeyPackage, MlsMessage, Proposal};
use crate::schedule::PreSharedKeyId;
use crate::tree::{Extensions, LeafIndex, Lifetime};

use super::{Insider, NOW, SeededRng};

/// Pre-shared keys that a member has.
#[derive(Clone, Debug, Default)]
pub struct TestPsks {
    /// External ones by their id.
    pub external: BTreeMap<Vec<u8>, Secret>,
    /// Resumption PSKs by group and epoch.
    pub resumption: BTreeMap<(Vec<u8>, u64), Secret>,
}

impl PskSource for TestPsks {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        self.external.get(psk_id).cloned()
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.resumption.get(&(group_id.to_vec(), epoch)).cloned()
    }
}

/// One member, or somebody who may become one, with everything that a client would hold for it.
/// What is public may be changed by a test at any time.
pub struct TestMember {
    /// The identity of its credential.
    pub name: String,
    /// What its group is computed with.
    pub settings: Settings,
    /// Its signature key.
    pub signer: SigningKey,
    /// Its generator.
    pub rng: SeededRng,
    /// The pre-shared keys that it has.
    pub psks: TestPsks,
    /// Its judgement of credentials.
    pub validator: Arc<dyn CredentialValidator>,
    /// Its clock; `None` leaves lifetimes alone. Default [`NOW`].
    pub now: Option<u64>,
    /// What its key packages say. Their lifetime is around [`NOW`]: a real client takes them only with
    /// a [`FixedClock`](super::FixedClock), or if the lifetime here is changed.
    pub template: LeafTemplate,
    /// What goes around what it sends.
    pub framing: Framing,
    /// Its unused key packages.
    pub keys: Vec<JoinKeys>,
    /// Its Commit that waits for being confirmed.
    pub staged: Option<StagedCommit>,
    /// The root of the present epoch's secret tree, with the epoch: the member itself forgets it.
    encryption_secret: Option<(u64, Secret)>,
    state: Option<GroupState>,
}

/// What a member got from a message.
#[derive(Debug)]
pub enum Heard {
    /// A message that says it is the member's own.
    Own,
    /// Application data.
    Message(ApplicationMessage),
    /// A proposal, which waits now.
    Proposal(Box<Proposal>),
    /// A Commit, which took effect.
    Commit(CommitOutcome),
    /// The Welcome brought it into a group.
    Joined,
}

impl TestMember {
    /// Somebody who is in no group yet.
    ///
    /// # Errors
    /// No signature key could be made.
    pub fn new(settings: Settings, name: &str, seed: u64) -> Result<Self, Error> {
        let mut rng = SeededRng::new(seed);
        let signer = SigningKey::generate(&settings.suite, &mut rng)?;
        let template = LeafTemplate {
            credential: Credential::basic(name),
            capabilities: LeafTemplate::capabilities(&settings),
            lifetime: Lifetime { not_before: NOW - 3600, not_after: NOW + 86_400 },
            extensions: Extensions::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            settings,
            signer,
            rng,
            psks: TestPsks::default(),
            validator: Arc::new(BasicValidator),
            now: Some(NOW),
            template,
            framing: Framing::default(),
            keys: Vec::new(),
            staged: None,
            encryption_secret: None,
            state: None,
        })
    }

    /// The cipher suite over its provider.
    #[must_use]
    pub fn suite(&self) -> &Suite {
        &self.settings.suite
    }

    /// Its group.
    ///
    /// # Panics
    /// It is in none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that asks for it has put the member there")]
    pub fn state(&self) -> &GroupState {
        self.state.as_ref().expect("the member is in no group")
    }

    /// Its group, if it is in one.
    pub(super) fn group(&self) -> Option<&GroupState> {
        self.state.as_ref()
    }

    /// Whether it is in a group that it has not been removed from.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.status() != Status::Removed)
    }

    /// Its leaf.
    ///
    /// # Panics
    /// It is in no group.
    #[must_use]
    pub fn leaf(&self) -> LeafIndex {
        self.state().own_leaf()
    }

    /// What decides for it.
    #[must_use]
    pub fn judge(&self) -> Judge<'_> {
        Judge { validator: &*self.validator, psks: &self.psks, now: self.now }
    }

    /// Puts it into a group, or into another state of the same one.
    pub fn enter(&mut self, state: GroupState) {
        self.encryption_secret = None;
        self.state = Some(state);
        self.remember_root();
    }

    /// Takes its group away from it.
    pub fn take_state(&mut self) -> Option<GroupState> {
        self.state.take()
    }

    /// Goes on to the next value.
    ///
    /// # Errors
    /// As for [`GroupState::apply`].
    pub fn apply(&mut self, step: Step) -> Result<(), Error> {
        self.state.as_mut().ok_or(Misuse::NotMember)?.apply(step)?;
        self.remember_root();
        Ok(())
    }

    /// The misbehaving member that it could be: it knows what this one does, and no rules.
    ///
    /// # Errors
    /// [`Misuse::NotMember`].
    pub fn insider(&mut self) -> Result<Insider, Error> {
        let rng = self.rng.fork()?;
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let root = self.encryption_secret.as_ref().map(|(_, secret)| secret.clone());
        let root = root.ok_or(Misuse::NotMember)?;
        Ok(Insider::of(state, root, self.signer.clone(), self.psks.clone(), rng))
    }

    /// A new key package, which is kept until it is used.
    ///
    /// # Errors
    /// The generator failed.
    pub fn key_package(&mut self) -> Result<KeyPackage, Error> {
        let template = self.template.clone();
        let keys = JoinKeys::generate(&self.settings, template, &self.signer, &mut self.rng)?;
        let key_package = keys.key_package.clone();
        self.keys.push(keys);
        Ok(key_package)
    }

    /// Makes a group of its own.
    ///
    /// # Errors
    /// As for [`GroupState::create`].
    pub fn create(&mut self, group_id: &[u8], extensions: Extensions) -> Result<(), Error> {
        self.key_package()?;
        let keys = self.keys.pop().ok_or(Error::Internal)?;
        let (settings, group_id) = (self.settings.clone(), GroupId::new(group_id));
        let state = GroupState::create(settings, group_id, extensions, keys, &mut self.rng)?;
        self.enter(state);
        Ok(())
    }

    /// Joins by a Welcome, an MLSMessage, with whichever of its key packages that is for.
    ///
    /// # Errors
    /// As for [`OpenedWelcome::open`]; it keeps its key packages then.
    pub fn join(&mut self, welcome: impl AsRef<[u8]>) -> Result<(), Error> {
        self.join_with(welcome, None)
    }

    /// Joins by a Welcome whose ratchet tree came another way.
    ///
    /// # Errors
    /// As for [`OpenedWelcome::open`]; it keeps its key packages then.
    pub fn join_with(
        &mut self,
        welcome: impl AsRef<[u8]>,
        ratchet_tree: Option<&[u8]>,
    ) -> Result<(), Error> {
        let (index, state) = self.open_welcome(welcome, ratchet_tree)?;
        self.keys.remove(index);
        self.enter(state);
        Ok(())
    }

    /// The group that a Welcome brings it into: it does not enter that, and keeps its key package.
    ///
    /// # Errors
    /// As for [`Self::join`].
    pub fn would_join(&self, welcome: impl AsRef<[u8]>) -> Result<GroupState, Error> {
        Ok(self.open_welcome(welcome, None)?.1)
    }

    /// The group of a Welcome, and which key package that is for.
    fn open_welcome(
        &self,
        welcome: impl AsRef<[u8]>,
        ratchet_tree: Option<&[u8]>,
    ) -> Result<(usize, GroupState), Error> {
        let message = MlsMessage::read(welcome.as_ref(), &self.settings.context)?;
        let MlsMessage::Welcome(welcome) = message else { return Err(Misuse::NotWelcome.into()) };
        let mut references = Vec::new();
        for keys in &self.keys {
            references.push(keys.key_package.reference(self.suite())?);
        }
        let is_mine = |reference: &HashReference| {
            welcome.secrets.iter().any(|it| it.new_member == *reference)
        };
        let index = references.iter().position(is_mine).ok_or(Unready::UnknownKeyPackage)?;
        let keys = self.keys.get(index).ok_or(Error::Internal)?;
        let settings = self.settings.clone();
        let opened = OpenedWelcome::open(settings, &welcome, keys, ratchet_tree, &self.psks)?;
        Ok((index, opened.review(&*self.validator)?))
    }

    /// Makes an external Commit to the group of a GroupInfo: in the place of `replaces`, and with
    /// these pre-shared keys. The member enters the group with [`StagedJoin::confirm`].
    ///
    /// # Errors
    /// As for [`OpenedGroupInfo::open`], [`OpenedGroupInfo::review`] and its `join`.
    pub fn external_join(
        &mut self,
        info: GroupInfo,
        replaces: Option<LeafIndex>,
        psks: Vec<PreSharedKeyId>,
    ) -> Result<StagedJoin, Error> {
        let opened = OpenedGroupInfo::open(self.settings.clone(), info, None)?;
        let reviewed = opened.review(&*self.validator)?;
        let leaf = self.template.clone();
        let request = ExternalJoin { leaf, replaces, psks, authenticated_data: Vec::new() };
        let mut rng = self.rng.fork()?;
        reviewed.join(request, &self.judge(), &self.signer, &mut rng)
    }

    /// Encrypts application data to the group: an MLSMessage.
    ///
    /// # Errors
    /// As for [`GroupState::send`].
    pub fn send(&mut self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let (message, step) = state.send(data, &self.framing, true, &self.signer, &mut self.rng)?;
        self.apply(step)?;
        Ok(message)
    }

    /// Proposes a change: an MLSMessage. `None` proposes an Update of its own leaf.
    ///
    /// # Errors
    /// As for [`GroupState::propose`].
    pub fn propose(&mut self, proposal: impl Into<Option<Proposal>>) -> Result<Vec<u8>, Error> {
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let judge = Judge { validator: &*self.validator, psks: &self.psks, now: self.now };
        let (message, _, step) = match proposal.into() {
            Some(proposal) => {
                state.propose(proposal, &judge, &self.framing, &self.signer, &mut self.rng)?
            }
            None => state.propose_update(&self.framing, &self.signer, &mut self.rng)?,
        };
        self.apply(step)?;
        Ok(message)
    }

    /// Stages a Commit: an MLSMessage. It takes effect by [`Self::confirm`].
    ///
    /// # Errors
    /// As for [`GroupState::commit`].
    pub fn stage(&mut self, request: CommitRequest) -> Result<Vec<u8>, Error> {
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let judge = Judge { validator: &*self.validator, psks: &self.psks, now: self.now };
        let (staged, step) = state.commit(request, &judge, &self.signer, &mut self.rng)?;
        let message = staged.message().to_vec();
        self.staged = Some(staged);
        self.apply(step)?;
        Ok(message)
    }

    /// Confirms the staged Commit: what it did, and the Welcome if it added somebody.
    ///
    /// # Errors
    /// [`Misuse::CommitGone`].
    pub fn confirm(&mut self) -> Result<(CommitOutcome, Option<Vec<u8>>), Error> {
        let staged = self.staged.take().ok_or(Misuse::CommitGone)?;
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let (confirmed, step) = state.confirm(staged)?;
        self.apply(step)?;
        Ok((confirmed.outcome, confirmed.welcome))
    }

    /// Receives an MLSMessage as it came from the network.
    ///
    /// # Errors
    /// Any; the state is as it was then.
    pub fn receive(&mut self, message: impl AsRef<[u8]>) -> Result<Heard, Error> {
        let message = MlsMessage::read(message.as_ref(), &self.settings.context)?;
        if let MlsMessage::Welcome(_) = message {
            self.join(message.to_bytes()?)?;
            return Ok(Heard::Joined);
        }
        let (heard, step) = self.process(message)?;
        if let Some(step) = step {
            self.apply(step)?;
        }
        Ok(heard)
    }

    /// What it would get from an MLSMessage that is no Welcome: its state stays as it is.
    ///
    /// # Errors
    /// As for [`Self::receive`].
    pub fn would_receive(&self, message: impl AsRef<[u8]>) -> Result<Heard, Error> {
        let message = MlsMessage::read(message.as_ref(), &self.settings.context)?;
        Ok(self.process(message)?.0)
    }

    /// What it gets from a message, and the step that is to be applied then.
    fn process(&self, message: MlsMessage) -> Result<(Heard, Option<Step>), Error> {
        let state = self.state.as_ref().ok_or(Misuse::NotMember)?;
        let (heard, step) = match state.open(message, self.now)? {
            Opened::Own(_) => return Ok((Heard::Own, None)),
            Opened::Application(opened) => {
                let (message, step) = opened.accept();
                (Heard::Message(message), step)
            }
            Opened::Proposal(opened) => {
                let proposal = Box::new(opened.proposal().clone());
                let (_, step) = opened.review(state, &*self.validator)?;
                (Heard::Proposal(proposal), step)
            }
            Opened::Commit(opened) => {
                let reviewed = opened.review(&*self.validator)?;
                let (outcome, step) = state.process(reviewed, &self.psks)?;
                (Heard::Commit(outcome), step)
            }
        };
        Ok((heard, Some(step)))
    }

    /// The error that a message is refused with, a Welcome too.
    ///
    /// # Panics
    /// It was not refused, or something that the member has is another than it was.
    #[track_caller]
    #[expect(clippy::expect_used, reason = "a test that says so has to fail if it is not so")]
    pub fn refuses(&mut self, message: impl AsRef<[u8]>) -> Error {
        let before = self.fingerprint().expect("a state that can be encoded");
        let error = self.receive(message).expect_err("a message that has to be refused");
        let after = self.fingerprint().expect("a state that can be encoded");
        assert_eq!(before, after, "refused by {error}, but the state has changed");
        error
    }

    /// Keeps the root of a secret tree that has not been used.
    fn remember_root(&mut self) {
        let Some(state) = &self.state else { return };
        let tree = &state.epoch.secret_tree;
        let root = tree.nodes().find(|(node, _)| *node == tree.width().root());
        if let Some((_, secret)) = root {
            self.encryption_secret = Some((state.epoch(), secret.clone()));
        }
        if self.encryption_secret.as_ref().is_some_and(|(epoch, _)| *epoch != state.epoch()) {
            self.encryption_secret = None;
        }
    }
}

impl fmt::Debug for TestMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestMember")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
