use std::collections::BTreeMap;

use circlet::codec::Encode;
use circlet::crypto::{Rng, Secret};
use circlet::group::{
    ByReference, CommitRequest, Framing, GroupState, HandshakeFormat, JoinKeys, Judge, Opened,
    OpenedWelcome, PskSource, Settings, StagedCommit, Status, Step,
};
use circlet::identity::{BasicValidator, CredentialType, Signer, SigningKey};
use circlet::message::{GroupId, KeyPackage, MlsMessage, Proposal};
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, RequiredCapabilities};

use super::grove::template;
use super::{Env, Failure, Hex, random};

/// A group whose members all hear of every change. Of what they send, vectors are made.
pub(super) struct ActiveGroup {
    pub(super) settings: Settings,
    psks: Psks,
    members: BTreeMap<LeafIndex, Player>,
    /// How many were ever in it.
    count: u32,
}

struct Player {
    state: GroupState,
    signer: SigningKey,
}

/// Somebody who can be added.
pub(super) struct Joiner {
    pub(super) keys: JoinKeys,
    pub(super) signer: SigningKey,
}

/// What a proposal shall be.
#[derive(Clone)]
pub(super) enum Act {
    /// Adds somebody who takes part from then on.
    Add,
    /// Adds somebody who is no concern of the group's.
    AddPassive(Box<KeyPackage>),
    /// Renews the proposer's leaf; by reference only.
    Update,
    Remove(u32),
    ExternalPsk,
    /// Of the present epoch.
    ResumptionPsk,
    Extensions,
}

/// What a Commit shall be.
#[derive(Clone, Default)]
pub(super) struct Plan {
    /// The committer's leaf.
    pub(super) committer: u32,
    /// Each with the leaf that proposes it.
    pub(super) by_reference: Vec<(u32, Act)>,
    pub(super) by_value: Vec<Act>,
    pub(super) without_path: bool,
    pub(super) tree_outside: bool,
    pub(super) private: bool,
}

/// What was sent, and what came of it.
pub(super) struct Committed {
    pub(super) proposals: Vec<Hex>,
    pub(super) commit: Hex,
    pub(super) welcome: Option<Hex>,
    pub(super) ratchet_tree: Option<Hex>,
    pub(super) epoch_authenticator: Hex,
}

/// External pre-shared keys by id.
#[derive(Clone, Default)]
pub(super) struct Psks(pub(super) BTreeMap<Vec<u8>, Secret>);

impl PskSource for Psks {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        self.0.get(psk_id).cloned()
    }
}

impl Joiner {
    pub(super) fn new(
        settings: &Settings,
        number: u32,
        rng: &mut dyn Rng,
    ) -> Result<Self, Failure> {
        let signer = SigningKey::generate(&settings.suite, rng)?;
        let keys = JoinKeys::generate(settings, template(settings, number), &signer, rng)?;
        Ok(Self { keys, signer })
    }
}

impl ActiveGroup {
    /// A group of so many members.
    pub(super) fn new(
        env: &Env,
        cipher_suite: u16,
        members: u32,
        psks: Psks,
        rng: &mut dyn Rng,
    ) -> Result<Self, Failure> {
        let settings = env.settings(cipher_suite)?;
        let Joiner { keys, signer } = Joiner::new(&settings, 0, rng)?;
        let group_id = GroupId::new(&random(rng, 16)?);
        let state = GroupState::create(settings.clone(), group_id, Extensions::new(), keys, rng)?;
        let members_yet = BTreeMap::from([(LeafIndex(0), Player { state, signer })]);
        let mut group = Self { settings, psks, members: members_yet, count: 1 };
        for committer in 0..members.saturating_sub(1) {
            let plan = Plan { committer, by_value: vec![Act::Add], ..Plan::default() };
            group.commit(plan, rng)?;
        }
        Ok(group)
    }

    /// The leaves of those who take part.
    pub(super) fn leaves(&self) -> Vec<u32> {
        self.members.keys().map(|leaf| leaf.0).collect()
    }

    /// What the member at a leaf signs with.
    pub(super) fn signature_key(&self, leaf: u32) -> Result<Hex, Failure> {
        Ok(self.player(LeafIndex(leaf))?.signer.public_key().as_bytes().into())
    }

    /// Sends the proposals of the plan, then its Commit; all members follow.
    pub(super) fn commit(&mut self, plan: Plan, rng: &mut dyn Rng) -> Result<Committed, Failure> {
        let mut joiners = Vec::new();
        let mut proposals = Vec::new();
        let framing = framing(plan.private);
        for (proposer, act) in plan.by_reference {
            let message = self.propose(LeafIndex(proposer), act, &framing, &mut joiners, rng)?;
            proposals.push(message.into());
        }
        let committer = LeafIndex(plan.committer);
        let by_value = plan.by_value.into_iter();
        let by_value = by_value.map(|act| self.proposal(committer, act, &mut joiners, rng));
        let request = CommitRequest {
            by_value: by_value.collect::<Result<_, Failure>>()?,
            by_reference: ByReference::Fitting,
            force_path: !plan.without_path,
            tree_in_welcome: !plan.tree_outside,
            framing,
            ..CommitRequest::default()
        };
        let judge = Judge { validator: &BasicValidator, psks: &self.psks, now: None };
        let player = self.player(committer)?;
        let (staged, step) = player.state.commit(request, &judge, &player.signer, rng)?;
        self.apply(committer, step)?;
        let commit = staged.message().to_vec();
        let ratchet_tree = staged.ratchet_tree().map(Hex::from);
        let welcome = self.follow(committer, staged)?;
        if let Some(welcome) = &welcome {
            self.let_in(welcome, ratchet_tree.as_deref(), joiners)?;
        }
        let epoch_authenticator = self.agree(committer)?;
        Ok(Committed {
            proposals,
            commit: commit.into(),
            welcome,
            ratchet_tree,
            epoch_authenticator,
        })
    }

    fn propose(
        &mut self,
        proposer: LeafIndex,
        act: Act,
        framing: &Framing,
        joiners: &mut Vec<Joiner>,
        rng: &mut dyn Rng,
    ) -> Result<Vec<u8>, Failure> {
        let (message, _, step) = match act {
            Act::Update => {
                let Player { state, signer } = self.player(proposer)?;
                state.propose_update(framing, signer, rng)?
            }
            act => {
                let proposal = self.proposal(proposer, act, joiners, rng)?;
                let judge = Judge { validator: &BasicValidator, psks: &self.psks, now: None };
                let Player { state, signer } = self.player(proposer)?;
                state.propose(proposal, &judge, framing, signer, rng)?
            }
        };
        self.apply(proposer, step)?;
        for leaf in self.others(proposer) {
            let Opened::Proposal(proposal) = self.open(leaf, &message)? else {
                return Err(Failure::mismatch("content_type"));
            };
            let (_, step) = proposal.review(&self.player(leaf)?.state, &BasicValidator)?;
            self.apply(leaf, step)?;
        }
        Ok(message)
    }

    fn proposal(
        &mut self,
        proposer: LeafIndex,
        act: Act,
        joiners: &mut Vec<Joiner>,
        rng: &mut dyn Rng,
    ) -> Result<Proposal, Failure> {
        Ok(match act {
            Act::Add => {
                let joiner = Joiner::new(&self.settings, self.count, rng)?;
                self.count += 1;
                let key_package = joiner.keys.key_package.clone();
                joiners.push(joiner);
                Proposal::Add(key_package)
            }
            Act::AddPassive(key_package) => Proposal::Add(*key_package),
            Act::Update => return Err(Failure::accepted("an Update by value")),
            Act::Remove(leaf) => Proposal::Remove(LeafIndex(leaf)),
            Act::ExternalPsk => {
                let psk_id = self.psks.0.keys().next().cloned();
                let psk_id = psk_id.ok_or_else(|| Failure::missing("external_psks"))?;
                self.psk(Psk::External { psk_id }, rng)?
            }
            Act::ResumptionPsk => {
                let state = &self.player(proposer)?.state;
                let psk = Psk::Resumption {
                    usage: ResumptionPskUsage::Application,
                    psk_group_id: state.group_id().as_bytes().to_vec(),
                    psk_epoch: state.epoch(),
                };
                self.psk(psk, rng)?
            }
            Act::Extensions => Proposal::GroupContextExtensions(extensions()?),
        })
    }

    fn psk(&self, psk: Psk, rng: &mut dyn Rng) -> Result<Proposal, Failure> {
        let psk_nonce = random(rng, self.settings.suite.secret_length())?.0;
        Ok(Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce }))
    }

    /// Everybody goes on to the next epoch; who is removed leaves. Gives the Welcome.
    fn follow(
        &mut self,
        committer: LeafIndex,
        staged: StagedCommit,
    ) -> Result<Option<Hex>, Failure> {
        for leaf in self.others(committer) {
            let Opened::Commit(commit) = self.open(leaf, staged.message())? else {
                return Err(Failure::mismatch("content_type"));
            };
            let reviewed = commit.review(&BasicValidator)?;
            let (_, step) = self.player(leaf)?.state.process(reviewed, &self.psks)?;
            self.apply(leaf, step)?;
        }
        let (confirmed, step) = self.player(committer)?.state.confirm(staged)?;
        self.apply(committer, step)?;
        self.members.retain(|_, player| player.state.status() == Status::Active);
        Ok(confirmed.welcome.map(Hex::from))
    }

    fn let_in(
        &mut self,
        welcome: &[u8],
        ratchet_tree: Option<&[u8]>,
        joiners: Vec<Joiner>,
    ) -> Result<(), Failure> {
        let MlsMessage::Welcome(welcome) = MlsMessage::read(welcome, &self.settings.context)?
        else {
            return Err(Failure::mismatch("welcome"));
        };
        for Joiner { keys, signer } in joiners {
            let settings = self.settings.clone();
            let opened = OpenedWelcome::open(settings, &welcome, &keys, ratchet_tree, &self.psks)?;
            let state = opened.review(&BasicValidator)?;
            self.members.insert(state.own_leaf(), Player { state, signer });
        }
        Ok(())
    }

    /// The epoch authenticator, which is the same for all.
    fn agree(&self, leaf: LeafIndex) -> Result<Hex, Failure> {
        let authenticator = self.player(leaf)?.state.epoch_authenticator();
        let same = |player: &Player| player.state.epoch_authenticator() == authenticator;
        if !self.members.values().all(same) {
            return Err(Failure::mismatch("epoch_authenticator"));
        }
        Ok(authenticator.into())
    }

    fn open(&self, leaf: LeafIndex, message: &[u8]) -> Result<Opened, Failure> {
        let message = MlsMessage::read(message, &self.settings.context)?;
        Ok(self.player(leaf)?.state.open(message, None)?)
    }

    fn apply(&mut self, leaf: LeafIndex, step: Step) -> Result<(), Failure> {
        let player = self.members.get_mut(&leaf).ok_or_else(|| Failure::missing("member"))?;
        Ok(player.state.apply(step).map_err(circlet::Error::from)?)
    }

    fn player(&self, leaf: LeafIndex) -> Result<&Player, Failure> {
        self.members.get(&leaf).ok_or_else(|| Failure::missing("member"))
    }

    fn others(&self, leaf: LeafIndex) -> Vec<LeafIndex> {
        self.members.keys().copied().filter(|other| *other != leaf).collect()
    }
}

fn framing(private: bool) -> Framing {
    let handshake = match private {
        true => HandshakeFormat::Private,
        false => HandshakeFormat::Public,
    };
    Framing { handshake, ..Framing::default() }
}

/// Demands what everybody has.
fn extensions() -> Result<Extensions, Failure> {
    let required = RequiredCapabilities {
        credential_types: vec![CredentialType::BASIC],
        ..RequiredCapabilities::default()
    };
    let mut extensions = Extensions::new();
    extensions.set(Extension {
        extension_type: ExtensionType::REQUIRED_CAPABILITIES,
        data: required.to_bytes()?,
    });
    Ok(extensions)
}
