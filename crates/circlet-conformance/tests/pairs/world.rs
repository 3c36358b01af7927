//! A group in which every cell of the matrix is tried: always the same epoch, entered anew.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use circlet::codec::{CustomProposal, DecodeContext};
use circlet::crypto::{CipherSuite, HashReference, Secret};
use circlet::group::{CommitRequest, HandshakeFormat, Opened, Policy};
use circlet::message::{
    Content as FramedContent, GroupId, KeyPackage, MlsMessage, Proposal, ProposalOrRef, ReInit,
};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{Forged, Insider, Outsider, TestGroup, TestMember, external_senders};
use circlet::tree::{Extensions, LeafIndex, MLS10, ProposalType};
use circlet::{Error, Unready};

use crate::table::{
    COMMITTER, Client, Content, FIRST, RECEIVER, SECOND, Slot, Way, broken, committed,
    refused_on_receipt,
};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
const CUSTOM: ProposalType = ProposalType(0xF0A1);
const MEMBERS_ONLY: ProposalType = ProposalType(0xF0A2);

pub(crate) struct World {
    /// Nobody here ever goes on.
    pristine: TestGroup,
    /// The same members, who do.
    group: TestGroup,
    server: Outsider,
    /// Whom the members' proposals come from.
    insiders: BTreeMap<u32, Insider>,
    clients: BTreeMap<Client, TestMember>,
    key_packages: BTreeMap<(Client, usize), KeyPackage>,
    updates: BTreeMap<(u32, u8), Proposal>,
    messages: BTreeMap<Slot, Forged>,
}

impl World {
    pub(crate) fn new() -> Result<Self, Error> {
        let suite = TestGroup::builder(SUITE).settings()?.suite;
        let server = Outsider::new(&suite, "server", 7)?;
        let (mut pristine, group) = (build(&server)?, build(&server)?);
        let mut insiders = BTreeMap::new();
        for leaf in [COMMITTER, FIRST, SECOND] {
            insiders.insert(leaf, pristine.insider(leaf as usize)?);
        }
        let member = TestMember::new(pristine.members[0].settings.clone(), "m2", 1)?;
        let mut clients = BTreeMap::from([
            (Client::Member, member),
            (Client::Dora, pristine.newcomer("dora")?),
            (Client::Emil, pristine.newcomer("emil")?),
        ]);
        if let Some(client) = clients.get_mut(&Client::Member) {
            client.signer = pristine.members[SECOND as usize].signer.clone();
        }
        let (key_packages, updates) = (BTreeMap::new(), BTreeMap::new());
        let messages = BTreeMap::new();
        let mut world =
            Self { pristine, group, server, insiders, clients, key_packages, updates, messages };
        world.begin_again()?;
        Ok(world)
    }

    /// Committer and receiver are as they were at the beginning of the epoch.
    fn begin_again(&mut self) -> Result<(), Error> {
        for index in [COMMITTER, RECEIVER] {
            let state = self.pristine.insider(index as usize)?.into_state()?;
            self.group.member(index as usize)?.enter(state);
        }
        Ok(())
    }

    fn committer(&mut self) -> &mut TestMember {
        &mut self.group.members[COMMITTER as usize]
    }

    fn receiver(&mut self) -> &mut TestMember {
        &mut self.group.members[RECEIVER as usize]
    }

    /// Checks one cell of the table, on the receiver and on the committer.
    pub(crate) fn check(&mut self, cell: [Slot; 2]) -> Result<(), String> {
        self.begin_again().map_err(said)?;
        let mut list = Vec::new();
        for slot in cell {
            list.push(self.send(slot)?);
        }
        self.check_receiver(cell, list.clone())?;
        self.check_committer(cell, &list)
    }

    /// Sends what is not by value to the committer and the receiver, who take it or refuse it as
    /// the table says; how it stands in a Commit.
    fn send(&mut self, slot: Slot) -> Result<ProposalOrRef, String> {
        let proposal = self.proposal(slot).map_err(said)?;
        if slot.way == Way::Value {
            return Ok(ProposalOrRef::Proposal(Box::new(proposal)));
        }
        let reference = match (slot.way, refused_on_receipt(slot)) {
            (Way::Own, None) => self.send_own(slot, proposal).map_err(said)?,
            (_, refused) => {
                let message = self.message(slot).map_err(said)?;
                for index in [COMMITTER, RECEIVER] {
                    let member = &mut self.group.members[index as usize];
                    let error = match (slot.sender() == Some(index), refused) {
                        (true, _) => member.propose(proposal.clone()).err(),
                        (false, None) => member.receive(&message).err(),
                        (false, Some(_)) => Some(self.group.refuses(index as usize, &message)),
                    };
                    if !is_violation(&error, refused) {
                        return Err(format!("{slot:?} on receipt by {index}: {error:?}"));
                    }
                }
                message.reference(self.receiver().suite()).map_err(said)?
            }
        };
        Ok(ProposalOrRef::Reference(reference))
    }

    /// The committer proposes something itself.
    fn send_own(&mut self, slot: Slot, proposal: Proposal) -> Result<HashReference, Error> {
        let committer = self.committer();
        let mut framing = committer.framing.clone();
        framing.authenticated_data = vec![slot.place as u8];
        let (state, judge, signer) = (committer.state(), committer.judge(), &committer.signer);
        let mut rng = committer.rng.clone();
        let (message, reference, step) = match slot.content {
            Content::Update { .. } => state.propose_update(&framing, signer, &mut rng)?,
            _ => state.propose(proposal, &judge, &framing, signer, &mut rng)?,
        };
        committer.apply(step)?;
        self.receiver().receive(message)?;
        Ok(reference)
    }

    /// A committer that keeps no rules commits just the two, in this order.
    fn check_receiver(&mut self, cell: [Slot; 2], list: Vec<ProposalOrRef>) -> Result<(), String> {
        let mut insider = self.committer().insider().map_err(said)?;
        let mut commit = insider.commit();
        for item in list {
            commit = match item {
                ProposalOrRef::Reference(reference) => commit.references([reference]),
                ProposalOrRef::Proposal(proposal) => commit.proposals([*proposal]),
            };
        }
        let commit = commit.private().map_err(said)?;
        let expected = broken(&cell);
        if cell.iter().any(|slot| refused_on_receipt(*slot).is_some()) {
            let error = self.group.refuses(RECEIVER as usize, &commit);
            let unknown = matches!(error, Error::Unready(Unready::UnknownProposal(_)));
            return if unknown { Ok(()) } else { Err(format!("the receiver: {error:?}")) };
        }
        if expected.is_empty() {
            return would_follow(self.receiver(), &commit.message)
                .map_err(|error| format!("the receiver refuses a valid list: {error:?}"));
        }
        match self.group.refuses(RECEIVER as usize, &commit) {
            Error::Violation(found) if expected.contains(&found) => Ok(()),
            other => Err(format!("the receiver: {other:?}, expected {expected:?}")),
        }
    }

    /// The honest committer is given just the two, and commits what the table says.
    fn check_committer(&mut self, cell: [Slot; 2], list: &[ProposalOrRef]) -> Result<(), String> {
        let known = |slot: &Slot| refused_on_receipt(*slot).is_none();
        let known: Vec<Slot> = cell.into_iter().filter(known).collect();
        let by_value = list.iter().filter_map(|item| match item {
            ProposalOrRef::Proposal(proposal) => Some(Proposal::clone(proposal)),
            ProposalOrRef::Reference(_) => None,
        });
        let by_value = by_value.collect();
        let committer = self.committer();
        let framing = committer.framing.clone();
        let before = committer.fingerprint().map_err(said)?;
        let made = committer.stage(CommitRequest { by_value, framing, ..CommitRequest::default() });
        match (committed(&known), made) {
            (Err(expected), Err(Error::Violation(found))) if expected.contains(&found) => {
                let unchanged = committer.fingerprint().map_err(said)? == before;
                if unchanged { Ok(()) } else { Err("the committer has changed".to_owned()) }
            }
            (Ok(expected), Ok(message)) => {
                let wanted: Vec<ProposalOrRef> =
                    expected.iter().map(|slot| list[slot.place].clone()).collect();
                let found = self.follow(&message).map_err(said)?;
                let kind = |item: &ProposalOrRef| matches!(item, ProposalOrRef::Reference(_));
                let found_kinds: Vec<bool> = found.iter().map(kind).collect();
                match found == wanted {
                    true => Ok(()),
                    false => Err(format!("committed {found_kinds:?}, expected {expected:?}")),
                }
            }
            (expected, made) => {
                Err(format!("the committer: {:?}, expected {expected:?}", made.err()))
            }
        }
    }

    /// The receiver follows an honest Commit; what it has.
    fn follow(&mut self, message: &[u8]) -> Result<Vec<ProposalOrRef>, Error> {
        let found = match MlsMessage::read(message, &self.receiver().settings.context)? {
            MlsMessage::Public(message) => match message.content.content {
                FramedContent::Commit(commit) => commit.proposals,
                other => panic!("no Commit: {other:?}"),
            },
            other => panic!("no PublicMessage: {other:?}"),
        };
        self.receiver().receive(message)?;
        self.committer().confirm()?;
        let of_receiver = self.receiver().state().epoch_authenticator().clone();
        assert!(*self.committer().state().epoch_authenticator() == of_receiver);
        Ok(found)
    }

    /// A Commit that refers twice to one proposal is refused; false if there is no such proposal.
    pub(crate) fn refuses_reference_twice(&mut self, slot: Slot) -> Result<bool, Error> {
        if slot.way == Way::Value || refused_on_receipt(slot).is_some() {
            return Ok(false);
        }
        self.begin_again()?;
        let Ok(ProposalOrRef::Reference(reference)) = self.send(slot) else {
            panic!("{slot:?} was refused")
        };
        let mut insider = self.committer().insider()?;
        let commit = insider.commit().references([reference.clone(), reference]).private()?;
        let error = self.group.refuses(RECEIVER as usize, commit);
        assert!(is_violation(&Some(error), Some(Violation::ReferenceTwice)), "{slot:?}");
        Ok(true)
    }

    /// What is proposed.
    fn proposal(&mut self, slot: Slot) -> Result<Proposal, Error> {
        Ok(match slot.content {
            Content::Add { client, key_package } => {
                let by = self.clients.get_mut(&client).expect("a client");
                let known = self.key_packages.entry((client, key_package));
                let key_package = match known {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(vacant) => vacant.insert(by.key_package()?).clone(),
                };
                Proposal::Add(key_package)
            }
            Content::Update { version, .. } => {
                let leaf = slot.sender().unwrap_or(FIRST);
                let by = self.insiders.get_mut(&leaf).expect("an insider");
                match self.updates.entry((leaf, version)) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(vacant) => vacant.insert(by.update().proposal()?).clone(),
                }
            }
            Content::Remove(leaf) => Proposal::Remove(LeafIndex(leaf)),
            Content::PreSharedKey { id, nonce } => {
                let (psk, psk_nonce) = (Psk::External { psk_id: vec![id] }, vec![nonce; 32]);
                Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce })
            }
            Content::ReInit(number) => Proposal::ReInit(ReInit {
                group_id: GroupId::new(&[number]),
                version: MLS10,
                cipher_suite: SUITE,
                extensions: Extensions::new(),
            }),
            Content::ExternalInit(number) => Proposal::ExternalInit(vec![number; 32]),
            Content::GroupContextExtensions(1) => {
                Proposal::GroupContextExtensions(extensions(&self.server)?)
            }
            Content::GroupContextExtensions(_) => {
                Proposal::GroupContextExtensions(Extensions::new())
            }
            Content::Custom(number) => {
                Proposal::Custom { proposal_type: CUSTOM, body: vec![number] }
            }
            Content::MembersOnly => {
                Proposal::Custom { proposal_type: MEMBERS_ONLY, body: Vec::new() }
            }
        })
    }

    /// A proposal as its sender sends it, right in all but what the table says.
    fn message(&mut self, slot: Slot) -> Result<Forged, Error> {
        if let Some(known) = self.messages.get(&slot) {
            return Ok(known.clone());
        }
        let proposal = self.proposal(slot)?;
        let context = self.pristine.members[0].state().context().clone();
        let data = [slot.place as u8];
        let message = match (slot.way, slot.sender()) {
            (_, Some(leaf)) => {
                let insider = self.insiders.get_mut(&leaf).expect("an insider");
                insider.proposal(proposal)?.authenticated_data(data).private()?
            }
            (Way::External, _) => {
                let frame = self.server.external_proposal(&context, 0, proposal)?;
                frame.authenticated_data(data).public()?
            }
            _ => {
                let client = match slot.content {
                    Content::Add { client, .. } => client,
                    _ => Client::Dora,
                };
                let mut outsider = Outsider::new(self.committer().suite(), "outsider", 8)?;
                outsider.signer = self.clients[&client].signer.clone();
                let frame = outsider.new_member_proposal(&context, proposal)?;
                frame.authenticated_data(data).public()?
            }
        };
        self.messages.insert(slot, message.clone());
        Ok(message)
    }
}

/// Four members who know an external sender, two types of their own and two pre-shared keys. The
/// same in every run.
fn build(server: &Outsider) -> Result<TestGroup, Error> {
    let mut context = DecodeContext::default();
    let custom = CustomProposal { external: true, ..CustomProposal::default() };
    context.proposal_types.insert(CUSTOM.0, custom);
    context.proposal_types.insert(MEMBERS_ONLY.0, CustomProposal::default());
    let mut group = TestGroup::builder(SUITE)
        .policy(Policy { new_member_proposals: true, ..Policy::default() })
        .size(4)
        .context(context)
        .extensions(extensions(server)?)
        .handshake(HandshakeFormat::Public)
        .build()?;
    for member in &mut group.members {
        for id in [1, 2] {
            member.psks.external.insert(vec![id], Secret::new(&[id; 32]));
        }
    }
    Ok(group)
}

fn extensions(server: &Outsider) -> Result<Extensions, Error> {
    Ok(Extensions::from_iter([external_senders(&[server.entry()])?]))
}

/// A member would follow this Commit; it does not yet.
fn would_follow(member: &TestMember, message: &[u8]) -> Result<(), Error> {
    let message = MlsMessage::read(message, &member.settings.context)?;
    let Opened::Commit(opened) = member.state().open(message, member.now)? else {
        panic!("no Commit")
    };
    let reviewed = opened.review(&*member.validator)?;
    let _not_applied = member.state().process(reviewed, &member.psks)?;
    Ok(())
}

/// The error is this violation, or there is none of either.
fn is_violation(error: &Option<Error>, expected: Option<Violation>) -> bool {
    match (error, expected) {
        (None, None) => true,
        (Some(Error::Violation(found)), Some(expected)) => *found == expected,
        _ => false,
    }
}

fn said(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
