use std::sync::Arc;

use crate::codec::DecodeContext;
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, CryptoProvider, Suite};
use crate::error::{Error, Misuse};
use crate::group::{
    ByReference, CommitOutcome, CommitRequest, Framing, Grease, HandshakeFormat, LeafTemplate,
    Policy, Settings,
};
use crate::message::Proposal;
use crate::tree::{Capabilities, Extensions, LeafIndex};

use super::{Heard, Insider, SeededRng, TestMember};

/// A group of members that are all at hand. Who was removed keeps its place in the list, so that
/// indices don't change; it is sent nothing any more.
#[derive(Debug)]
pub struct TestGroup {
    /// The members in the order in which they joined: `m0` made the group.
    pub members: Vec<TestMember>,
    next_seed: u64,
}

/// What a [`TestGroup`] is made with.
#[derive(Clone, Debug)]
pub struct TestGroupBuilder {
    suite: CipherSuite,
    size: usize,
    group_id: Vec<u8>,
    provider: Option<Arc<dyn CryptoProvider>>,
    context: DecodeContext,
    policy: Policy,
    grease: Grease,
    extensions: Extensions,
    capabilities: Vec<(usize, Capabilities)>,
    framing: Framing,
    seed: u64,
}

/// A Commit that took effect everywhere.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The Commit, an MLSMessage.
    pub message: Vec<u8>,
    /// What it did.
    pub outcome: CommitOutcome,
    /// The Welcome if it added somebody, an MLSMessage.
    pub welcome: Option<Vec<u8>>,
}

impl TestGroupBuilder {
    /// The size of the group, the first member included. Default 2.
    #[must_use]
    pub fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// The group's id.
    #[must_use]
    pub fn group_id(mut self, group_id: impl Into<Vec<u8>>) -> Self {
        self.group_id = group_id.into();
        self
    }

    /// Everybody's provider.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Limits and registered types of all members.
    #[must_use]
    pub fn context(mut self, context: DecodeContext) -> Self {
        self.context = context;
        self
    }

    /// What all members allow.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where random values of no meaning go. Default nowhere.
    #[must_use]
    pub fn grease(mut self, grease: Grease) -> Self {
        self.grease = grease;
        self
    }

    /// The group's extensions.
    #[must_use]
    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// What one member supports.
    #[must_use]
    pub fn capabilities(mut self, member: usize, capabilities: Capabilities) -> Self {
        self.capabilities.push((member, capabilities));
        self
    }

    /// How proposals and Commits travel.
    #[must_use]
    pub fn handshake(mut self, format: HandshakeFormat) -> Self {
        self.framing.handshake = format;
        self
    }

    /// What all that is random follows from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What the members will be computed with.
    ///
    /// # Errors
    /// The provider does not support the suite.
    pub fn settings(&self) -> Result<Settings, Error> {
        let provider = self.provider.clone();
        let provider = provider.unwrap_or_else(|| Arc::new(DefaultProvider::new()));
        let mut settings = Settings::new(Suite::new(provider, self.suite)?);
        settings.context = Arc::new(self.context.clone());
        settings.policy = self.policy.clone();
        settings.grease = self.grease;
        Ok(settings)
    }

    /// Makes the group: the first member adds all others in one Commit.
    ///
    /// # Errors
    /// The group can't be made as it was described.
    pub fn build(self) -> Result<TestGroup, Error> {
        let settings = self.settings()?;
        let mut members = Vec::new();
        for i in 0..self.size {
            let seed = self.seed.wrapping_add(i as u64);
            let mut member = TestMember::new(settings.clone(), &format!("m{i}"), seed)?;
            member.framing = self.framing.clone();
            if let Some((_, own)) = self.capabilities.iter().find(|(index, _)| *index == i) {
                member.template.capabilities = own.clone();
            }
            members.push(member);
        }
        let next_seed = self.seed.wrapping_add(self.size as u64);
        let mut group = TestGroup { members, next_seed };
        if let Some((first, others)) = group.members.split_first_mut() {
            first.create(&self.group_id, self.extensions)?;
            if !others.is_empty() {
                let mut by_value = Vec::new();
                for member in others.iter_mut() {
                    by_value.push(Proposal::Add(member.key_package()?));
                }
                first.stage(CommitRequest { by_value, ..group_request(&self.framing) })?;
                let (_, welcome) = first.confirm()?;
                let welcome = welcome.ok_or(Error::Internal)?;
                others.iter_mut().try_for_each(|member| member.join(&welcome))?;
            }
        }
        group.agree();
        Ok(group)
    }
}

impl TestGroup {
    /// A group of this size: all defaults, no GREASE, and the same in every run.
    ///
    /// # Errors
    /// The default provider does not support the suite.
    pub fn new(suite: CipherSuite, size: usize) -> Result<Self, Error> {
        Self::builder(suite).size(size).build()
    }

    /// Says what a group is to be made with.
    #[must_use]
    pub fn builder(suite: CipherSuite) -> TestGroupBuilder {
        TestGroupBuilder {
            suite,
            size: 2,
            group_id: b"a group".to_vec(),
            provider: None,
            context: DecodeContext::default(),
            policy: Policy::default(),
            grease: Grease::None,
            extensions: Extensions::new(),
            capabilities: Vec::new(),
            framing: Framing::default(),
            seed: 1000,
        }
    }

    /// Somebody who is in no group, with the settings of the first member.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`] if the group has no members.
    pub fn newcomer(&mut self, name: &str) -> Result<TestMember, Error> {
        let first = self.members.first().ok_or(Misuse::NoSuchMember)?;
        let mut newcomer = TestMember::new(first.settings.clone(), name, self.next_seed)?;
        newcomer.framing = first.framing.clone();
        self.next_seed = self.next_seed.wrapping_add(1);
        Ok(newcomer)
    }

    /// The member with this index.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`].
    pub fn member(&mut self, index: usize) -> Result<&mut TestMember, Error> {
        Ok(self.members.get_mut(index).ok_or(Misuse::NoSuchMember)?)
    }

    /// The misbehaving member that this one could be.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`], [`Misuse::NotMember`].
    pub fn insider(&mut self, index: usize) -> Result<Insider, Error> {
        self.member(index)?.insider()
    }

    /// The error that a member refuses a message with, after which it takes what is genuine still.
    ///
    /// # Panics
    /// It was not refused, or something that the member has is another than it was; or as for
    /// [`Self::goes_on`].
    #[track_caller]
    #[expect(clippy::expect_used, reason = "a test that says so has to fail if it is not so")]
    pub fn refuses(&mut self, index: usize, message: impl AsRef<[u8]>) -> Error {
        let error = self.member(index).expect("a member").refuses(message);
        self.goes_on(index);
        error
    }

    /// A member takes a Commit and an application message of another one in the same epoch. Neither
    /// changes anything: they are made and processed, and their steps not applied.
    ///
    /// # Panics
    /// It takes them of nobody.
    #[track_caller]
    #[expect(clippy::expect_used, reason = "a test that says so has to fail if it is not so")]
    pub fn goes_on(&self, index: usize) {
        let receiver = self.members.get(index).expect("a member");
        let context = receiver.state().context();
        let mut others = self.members.iter().filter(|sender| {
            let is_other = sender.is_active() && sender.leaf() != receiver.leaf();
            is_other && sender.state().context() == context
        });
        // One is enough: of another an insider may have used the keys that it would use next.
        let mut refused = Vec::new();
        let taken = others.any(|sender| {
            takes_genuine(receiver, sender).map_err(|error| refused.push(error)).is_ok()
        });
        assert!(taken, "nothing genuine is taken any more: {refused:?}");
    }

    /// Gives a message to every member but the sender: what each of them got from it. A staged
    /// Commit of the sender waits for its confirmation still.
    ///
    /// # Errors
    /// The first that a member refuses it with.
    pub fn broadcast(
        &mut self,
        from: usize,
        message: impl AsRef<[u8]>,
    ) -> Result<Vec<Heard>, Error> {
        let mut heard = Vec::new();
        for (i, member) in self.members.iter_mut().enumerate() {
            if i != from && member.is_active() {
                heard.push(member.receive(&message)?);
            }
        }
        Ok(heard)
    }

    /// A member says something that all others read.
    ///
    /// # Errors
    /// It could not be sent, or not be read.
    ///
    /// # Panics
    /// A member read something else.
    pub fn send(&mut self, from: usize, data: &[u8]) -> Result<Vec<u8>, Error> {
        let message = self.member(from)?.send(data)?;
        for heard in self.broadcast(from, &message)? {
            assert!(matches!(&heard, Heard::Message(message) if message.data == data), "{heard:?}");
        }
        Ok(message)
    }

    /// A member proposes something, and all others cache it. `None` is an Update.
    ///
    /// # Errors
    /// It could not be proposed, or a member refused it.
    pub fn propose(
        &mut self,
        from: usize,
        proposal: impl Into<Option<Proposal>>,
    ) -> Result<Vec<u8>, Error> {
        let message = self.member(from)?.propose(proposal)?;
        self.broadcast(from, &message)?;
        Ok(message)
    }

    /// A Commit of one member that all others process and it confirms; all agree then.
    ///
    /// # Errors
    /// It could not be made, or a member refused it.
    ///
    /// # Panics
    /// The members don't agree.
    pub fn commit(&mut self, from: usize, request: CommitRequest) -> Result<Committed, Error> {
        let message = self.member(from)?.stage(request)?;
        self.broadcast(from, &message)?;
        let (outcome, welcome) = self.member(from)?.confirm()?;
        self.agree();
        Ok(Committed { message, outcome, welcome })
    }

    /// A Commit of one member with these proposals by value and all that wait.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    ///
    /// # Panics
    /// The members don't agree.
    pub fn commit_with(
        &mut self,
        from: usize,
        by_value: impl Into<Vec<Proposal>>,
    ) -> Result<Committed, Error> {
        let request = self.request(from)?;
        self.commit(from, CommitRequest { by_value: by_value.into(), ..request })
    }

    /// A Commit with a path and all proposals that wait.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    ///
    /// # Panics
    /// The members don't agree.
    pub fn update(&mut self, from: usize) -> Result<Committed, Error> {
        self.commit_with(from, [])
    }

    /// A member adds somebody new, who joins; its index.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    ///
    /// # Panics
    /// The members don't agree.
    pub fn add(&mut self, from: usize, name: &str) -> Result<usize, Error> {
        let newcomer = self.newcomer(name)?;
        self.add_member(from, newcomer)
    }

    /// A member adds somebody who is at hand, and who joins; its index.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    ///
    /// # Panics
    /// The members don't agree.
    pub fn add_member(&mut self, from: usize, mut newcomer: TestMember) -> Result<usize, Error> {
        let add = Proposal::Add(newcomer.key_package()?);
        let committed = self.commit_with(from, [add])?;
        newcomer.join(committed.welcome.ok_or(Error::Internal)?)?;
        self.members.push(newcomer);
        self.agree();
        Ok(self.members.len() - 1)
    }

    /// A member removes another.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    ///
    /// # Panics
    /// The members don't agree.
    pub fn remove(&mut self, from: usize, removed: usize) -> Result<Committed, Error> {
        let leaf = self.member(removed)?.leaf();
        self.commit_with(from, [Proposal::Remove(leaf)])
    }

    /// A member's leaf.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`].
    pub fn leaf(&mut self, index: usize) -> Result<LeafIndex, Error> {
        Ok(self.member(index)?.leaf())
    }

    /// What a Commit of this member has beside proposals by value: a path, all that wait, the tree
    /// in the Welcome.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`].
    pub fn request(&mut self, from: usize) -> Result<CommitRequest, Error> {
        Ok(group_request(&self.member(from)?.framing))
    }

    /// All members who have not been removed are in the same state of the group.
    ///
    /// # Panics
    /// They are not.
    pub fn agree(&self) {
        let mut active = self.members.iter().filter(|member| member.is_active());
        let Some(first) = active.next().map(TestMember::state) else { return };
        for member in active {
            let state = member.state();
            assert_eq!(state.context(), first.context());
            assert_eq!(state.epoch_authenticator(), first.epoch_authenticator());
            assert_eq!(state.ratchet_tree().ok(), first.ratchet_tree().ok());
        }
    }
}

/// What a sender would send now.
fn takes_genuine(receiver: &TestMember, sender: &TestMember) -> Result<(), Error> {
    let (state, judge, signer) = (sender.state(), sender.judge(), &sender.signer);
    let mut rng = SeededRng::new(77);
    // What waits may be what a test has made unfit.
    let by_reference = ByReference::Nothing;
    let request = CommitRequest { by_reference, ..group_request(&sender.framing) };
    let (staged, _) = state.commit(request, &judge, signer, &mut rng)?;
    let heard = receiver.would_receive(staged.message())?;
    assert!(matches!(&heard, Heard::Commit(_)), "{heard:?}");
    let (message, _) = state.send(b"genuine", &sender.framing, true, signer, &mut rng)?;
    let heard = receiver.would_receive(message)?;
    assert!(matches!(&heard, Heard::Message(it) if it.data == b"genuine"), "{heard:?}");
    Ok(())
}

fn group_request(framing: &Framing) -> CommitRequest {
    CommitRequest { framing: framing.clone(), ..CommitRequest::default() }
}

/// The capabilities that members of test groups have by default.
///
/// # Errors
/// The default provider does not support the suite.
pub fn default_capabilities(suite: CipherSuite) -> Result<Capabilities, Error> {
    Ok(LeafTemplate::capabilities(&TestGroup::builder(suite).settings()?))
}
