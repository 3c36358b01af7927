//! Circlet, through its public API only.

use circlet::client::{Continued, DeliveryId, PendingCommit, PendingJoin, ReInitOptions};
use circlet::crypto::{CipherSuite, Rng, RngError, Secret};
use circlet::group::{Grease, GroupInfoOptions, HandshakeFormat, LeafChange, Padding, Policy};
use circlet::message::GroupId;
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex};
use circlet::{Client, Group, Received};

use crate::member::{CommitPlan, Event, ExternalJoin, Fault, Member, Peer, Proposal, Setup, View};
use crate::prng::Prng;

/// A client of this project.
pub struct CircletMember {
    client: Client,
    group: Option<Group>,
    /// The group that the present one is a branch of.
    parent: Option<Group>,
    staged: Option<Staged>,
}

enum Staged {
    Commit(Box<PendingCommit>),
    Join(PendingJoin),
}

/// Randomness that repeats.
pub(crate) struct SeededRng(Prng);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Prng::new(seed))
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        out.fill_with(|| self.0.next().to_le_bytes()[0]);
        Ok(())
    }
}

impl CircletMember {
    /// A new client of that name.
    ///
    /// # Errors
    /// The suite is not supported.
    pub fn new(name: &str, setup: &Setup) -> Result<Self, Fault> {
        let number =
            name.bytes().fold(setup.seed, |sum, byte| sum.rotate_left(9) ^ u64::from(byte));
        let handshake = if setup.public_handshakes {
            HandshakeFormat::Public
        } else {
            HandshakeFormat::Private
        };
        let padding = if setup.padding { Padding::Multiple(64) } else { Padding::None };
        let grease =
            if setup.grease_extensions { Grease::Everywhere } else { Grease::Capabilities };
        let mut builder = Client::builder(name)
            .cipher_suite(CipherSuite(setup.suite))
            .rng(SeededRng::new(number))
            .handshake(handshake)
            .padding(padding)
            .grease(grease)
            .policy(Policy { new_member_proposals: true, ..Policy::default() })
            .register_extension_type(ExtensionType(setup.extension_type));
        if setup.application_ids {
            builder = builder.leaf_extension(Extension::application_id(name).map_err(Fault::of)?);
        }
        let client = builder.build().map_err(Fault::of)?;
        Ok(Self { client, group: None, parent: None, staged: None })
    }

    fn group(&self) -> Result<&Group, Fault> {
        self.group.as_ref().ok_or_else(|| Fault("in no group".into()))
    }

    /// Goes to a group that continues the present one. Gives its Welcome.
    fn begin(&mut self, continued: &Continued) -> Result<Vec<u8>, Fault> {
        let welcome = continued.welcome().ok_or_else(|| Fault("no Welcome".into()))?;
        self.acknowledge(welcome.id())?;
        self.group = Some(continued.group().clone());
        Ok(welcome.to_vec())
    }

    /// What was handed out is forgotten.
    fn acknowledge(&self, id: &DeliveryId) -> Result<(), Fault> {
        self.client.acknowledge(id).map(drop).map_err(Fault::of)
    }
}

impl Member for CircletMember {
    fn peer(&self) -> Peer {
        Peer::Circlet
    }

    fn key_package(&mut self) -> Result<Vec<u8>, Fault> {
        self.client.key_package().map_err(Fault::of)
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), Fault> {
        self.client.add_psk(id, &Secret::new(secret)).map_err(Fault::of)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Fault> {
        let options = circlet::client::GroupOptions {
            group_id: Some(GroupId::new(group_id)),
            ..Default::default()
        };
        self.group = Some(self.client.create_group_with(options).map_err(Fault::of)?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], ratchet_tree: Option<&[u8]>) -> Result<(), Fault> {
        let joined = match ratchet_tree {
            Some(tree) => self.client.join_with_tree(welcome, tree),
            None => self.client.join(welcome),
        };
        self.group = Some(joined.map_err(Fault::of)?);
        Ok(())
    }

    fn join_externally(&mut self, join: &ExternalJoin) -> Result<Vec<u8>, Fault> {
        let mut builder = self.client.external_join(&join.group_info);
        if let Some(tree) = &join.ratchet_tree {
            builder = builder.ratchet_tree(tree.clone());
        }
        if let Some(leaf) = join.replaces {
            builder = builder.rejoin().replacing(LeafIndex(leaf));
        }
        for psk in &join.psks {
            builder = builder.psk(psk.clone());
        }
        if let (Some(epoch), Some(group)) = (join.resumption, &self.group) {
            builder = builder.resumption_psk(group.id(), epoch);
        }
        let pending = builder.stage().map_err(Fault::of)?;
        let message = pending.message().to_vec();
        self.staged = Some(Staged::Join(pending));
        Ok(message)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, Fault> {
        let group = self.group()?;
        let message = match proposal {
            Proposal::Add(key_package) => group.propose_add(key_package),
            Proposal::OwnAdd => return Err(Fault("its own Add as a member".into())),
            Proposal::Remove(leaf) => group.propose_remove(LeafIndex(*leaf)),
            Proposal::Update { new_key: false } => group.propose_update(),
            Proposal::Update { new_key: true } => group.propose_leaf(LeafChange::default(), true),
            Proposal::Psk(id) => group.propose_psk(id.clone()),
            Proposal::ResumptionPsk(epoch) => group.propose_resumption_psk(group.id(), *epoch),
            Proposal::Extensions(list) => group.propose_extensions(extensions(list)),
            Proposal::ReInit { .. } => group.propose_reinit(reinit(proposal)),
        };
        let message = message.map_err(Fault::of)?;
        self.acknowledge(message.id())?;
        Ok(message.to_vec())
    }

    fn commit(&mut self, plan: &CommitPlan) -> Result<Vec<u8>, Fault> {
        let group = self.group()?;
        let mut commit = group.commit().authenticated_data(plan.authenticated_data.clone());
        for proposal in &plan.by_value {
            commit = match proposal {
                Proposal::Add(key_package) => commit.add(key_package),
                Proposal::Remove(leaf) => commit.remove(LeafIndex(*leaf)),
                Proposal::OwnAdd | Proposal::Update { .. } => {
                    return Err(Fault("not by value".into()));
                }
                Proposal::Psk(id) => commit.psk(id.clone()),
                Proposal::ResumptionPsk(epoch) => commit.resumption_psk(group.id(), *epoch),
                Proposal::Extensions(list) => commit.extensions(extensions(list)),
                Proposal::ReInit { .. } => commit.reinit(reinit(proposal)),
            };
        }
        if plan.without_path {
            commit = commit.without_path();
        }
        if plan.new_key {
            commit = commit.new_signature_key();
        }
        if !plan.tree_inside {
            commit = commit.tree_outside();
        }
        let pending = commit.stage().map_err(Fault::of)?;
        let message = pending.message().to_vec();
        self.staged = Some(Staged::Commit(Box::new(pending)));
        Ok(message)
    }

    fn accepted(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match self.staged.take() {
            Some(Staged::Commit(pending)) => {
                let welcome = pending.confirm().map_err(Fault::of)?.welcome();
                let Some(welcome) = welcome else { return Ok(None) };
                self.acknowledge(welcome.id())?;
                Ok(Some(welcome.to_vec()))
            }
            Some(Staged::Join(pending)) => {
                self.group = Some(pending.confirm().map_err(Fault::of)?);
                Ok(None)
            }
            None => Err(Fault("nothing staged".into())),
        }
    }

    fn refused(&mut self) -> Result<(), Fault> {
        match self.staged.take() {
            Some(Staged::Commit(pending)) => pending.discard().map_err(Fault::of),
            Some(Staged::Join(pending)) => pending.discard().map_err(Fault::of),
            None => Err(Fault("nothing staged".into())),
        }
    }

    fn ask(&mut self, group_id: &[u8], epoch: u64, _: &[u8]) -> Result<Vec<u8>, Fault> {
        self.client.propose_own_add(&GroupId::new(group_id), epoch).map_err(Fault::of)
    }

    fn successor_key_package(&mut self) -> Result<Vec<u8>, Fault> {
        self.key_package()
    }

    fn create_successor(&mut self, key_packages: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        let old = self.group()?.clone();
        let continued = old.reinitialize(key_packages).map_err(Fault::of)?;
        let welcome = self.begin(&continued)?;
        old.forget().map_err(Fault::of)?;
        Ok(welcome)
    }

    fn join_successor(&mut self, welcome: &[u8]) -> Result<(), Fault> {
        let old = self.group()?.clone();
        let joined = self.client.join(welcome).map_err(Fault::of)?;
        old.forget().map_err(Fault::of)?;
        self.group = Some(joined);
        Ok(())
    }

    fn create_branch(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
    ) -> Result<Vec<u8>, Fault> {
        let parent = self.group()?.clone();
        let continued = parent.branch(GroupId::new(group_id), key_packages).map_err(Fault::of)?;
        let welcome = self.begin(&continued)?;
        self.parent = Some(parent);
        Ok(welcome)
    }

    fn join_branch(&mut self, welcome: &[u8]) -> Result<(), Fault> {
        let joined = self.client.join(welcome).map_err(Fault::of)?;
        self.parent = self.group.replace(joined);
        Ok(())
    }

    fn leave_branch(&mut self) {
        self.group = self.parent.take();
    }

    fn receive(&mut self, message: &[u8]) -> Result<Event, Fault> {
        let received = self.group()?.receive(message).map_err(Fault::of)?;
        if let Some(id) = received.id() {
            self.acknowledge(id)?;
        }
        match received {
            Received::Message(message) => Ok(Event::Message {
                sender: Some(message.sender().leaf_index.0),
                data: message.data().to_vec(),
                authenticated_data: message.authenticated_data().to_vec(),
            }),
            Received::Proposal(_) => Ok(Event::Proposal),
            Received::Commit(_) => {
                self.staged = None;
                Ok(Event::Commit)
            }
            Received::Removed(_) => Ok(Event::Removed),
            Received::Duplicate => Ok(Event::Nothing),
            other => Err(Fault::of(other)),
        }
    }

    fn send(&mut self, data: &[u8], authenticated_data: &[u8]) -> Result<Vec<u8>, Fault> {
        let message = self.group()?.send_with(data, authenticated_data).map_err(Fault::of)?;
        self.acknowledge(message.id())?;
        Ok(message.to_vec())
    }

    fn group_info(&mut self, tree_inside: bool) -> Result<Vec<u8>, Fault> {
        let options = GroupInfoOptions { ratchet_tree: tree_inside, external_pub: true };
        self.group()?.group_info(options).map_err(Fault::of)
    }

    fn view(&mut self) -> Result<View, Fault> {
        let group = self.group()?;
        let (epoch, exported) =
            group.export(View::LABEL, View::CONTEXT, View::LENGTH).map_err(Fault::of)?;
        let members = group.members().map_err(Fault::of)?;
        let row = |member: circlet::group::Member| {
            let identity = member.credential.identity().unwrap_or_default().to_vec();
            (member.leaf_index.0, identity, member.signature_key.as_bytes().to_vec())
        };
        let extensions = group.extensions().map_err(Fault::of)?;
        Ok(View {
            epoch,
            authenticator: group.epoch_authenticator().map_err(Fault::of)?.as_bytes().to_vec(),
            exported: exported.as_bytes().to_vec(),
            roster: members.into_iter().map(row).collect(),
            ratchet_tree: group.ratchet_tree().map_err(Fault::of)?,
            extensions: extensions
                .iter()
                .map(|one| (one.extension_type.0, one.data.clone()))
                .collect(),
        })
    }
}

fn reinit(proposal: &Proposal) -> ReInitOptions {
    let Proposal::ReInit { group_id, extensions: list } = proposal else {
        return ReInitOptions::default();
    };
    let (group_id, extensions) = (Some(GroupId::new(group_id)), Some(extensions(list)));
    ReInitOptions { group_id, extensions, ..ReInitOptions::default() }
}

fn extensions(list: &[(u16, Vec<u8>)]) -> Extensions {
    let mut extensions = Extensions::new();
    for (extension_type, data) in list {
        extensions
            .set(Extension { extension_type: ExtensionType(*extension_type), data: data.clone() });
    }
    extensions
}
