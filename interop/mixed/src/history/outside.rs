//! Proposals of those who are no members (RFC 9420 section 12.1.8).

use std::sync::Arc;

use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, Secret, Suite};
use circlet::group::{Outsider, Settings};
use circlet::identity::{Credential, Signer, SigningKey};
use circlet::message::{GroupId, MlsMessage, Proposal as Inner};
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::tree::{Extension, ExtensionType, Extensions, ExternalSender, LeafIndex};

use crate::abilities::Operation;
use crate::member::{Fault, Proposal};
use crate::peers::SeededRng;

use super::world::{What, World};

/// An external sender, such as a server.
pub(super) struct Bystander {
    settings: Settings,
    key: SigningKey,
    rng: SeededRng,
    extension: Vec<u8>,
}

impl Bystander {
    pub(super) fn new(suite: u16, seed: u64) -> Result<Self, What> {
        let made = || -> Result<Self, circlet::Error> {
            let suite = Suite::new(Arc::new(DefaultProvider::new()), CipherSuite(suite))?;
            let mut rng = SeededRng::new(seed);
            let key = SigningKey::generate(&suite, &mut rng)?;
            let sender = ExternalSender {
                signature_key: key.public_key().clone(),
                credential: Credential::basic("bystander"),
            };
            let extension = ExternalSender::to_extension(&[sender])?.data;
            Ok(Self { settings: Settings::new(suite), key, rng, extension })
        };
        made().map_err(|error| What(format!("the external sender: {error}")))
    }

    /// The content of an external_senders extension with this sender alone.
    pub(super) fn extension(&self) -> Vec<u8> {
        self.extension.clone()
    }

    fn propose(
        &mut self,
        group_id: &[u8],
        epoch: u64,
        proposal: &Proposal,
    ) -> Result<Vec<u8>, Fault> {
        let inner = match proposal {
            Proposal::Add(bytes) => {
                match MlsMessage::read(bytes, &self.settings.context).map_err(Fault::of)? {
                    MlsMessage::KeyPackage(key_package) => Inner::Add(key_package),
                    other => return Err(Fault::of(other)),
                }
            }
            Proposal::Remove(leaf) => Inner::Remove(LeafIndex(*leaf)),
            Proposal::Psk(id) => {
                let nonce = Secret::random(&mut self.rng, self.settings.suite.secret_length());
                let psk_nonce = nonce.map_err(Fault::of)?.as_bytes().to_vec();
                let psk = Psk::External { psk_id: id.clone() };
                Inner::PreSharedKey(PreSharedKeyId { psk, psk_nonce })
            }
            Proposal::Extensions(list) => {
                let one = |(extension_type, data): &(u16, Vec<u8>)| Extension {
                    extension_type: ExtensionType(*extension_type),
                    data: data.clone(),
                };
                Inner::GroupContextExtensions(Extensions::from_iter(list.iter().map(one)))
            }
            other => return Err(Fault::of(other)),
        };
        let outsider = Outsider {
            settings: self.settings.clone(),
            group_id: GroupId::new(group_id),
            epoch,
            authenticated_data: Vec::new(),
        };
        outsider.propose(0, inner, &self.key).map_err(Fault::of)
    }
}

impl World {
    /// The external sender proposes something, if the group has let it in.
    pub(super) fn propose_from_outside(&mut self) -> Result<(), What> {
        let Some(bystander) = &self.bystander else { return Ok(()) };
        let entry = (5, bystander.extension());
        if self.view.as_ref().is_none_or(|view| !view.extensions.contains(&entry)) {
            return Ok(());
        }
        let Some((operation, proposal)) = self.outside_proposal()? else { return Ok(()) };
        if !self.everybody(operation) {
            self.drop_candidate(&proposal);
            return Ok(());
        }
        let (epoch, group_id) = (self.epoch(), self.group_id.clone());
        let Some(bystander) = &mut self.bystander else { return Ok(()) };
        let wire = bystander.propose(&group_id, epoch, &proposal);
        let wire = self.done(wire, "the external sender", "proposes")?;
        self.tally.outside += 1;
        self.spread_proposal("the external sender".into(), proposal, wire);
        Ok(())
    }

    /// Something that an external sender may propose now.
    fn outside_proposal(&mut self) -> Result<Option<(Operation, Proposal)>, What> {
        let waits = |test: fn(&Proposal) -> bool| {
            self.waiting.iter().any(|waiting| test(&waiting.proposal))
        };
        let resumes = waits(|one| matches!(one, Proposal::ResumptionPsk(_)));
        let extends = !self.contradictions && waits(|one| matches!(one, Proposal::Extensions(_)));
        Ok(match self.prng.below(4) {
            0 if self.has_room() && !resumes => {
                Some((Operation::OutsideAdd, Proposal::Add(self.new_candidate()?)))
            }
            1 => {
                // No member has this leaf, so that any may be meant.
                let leaf = self.other_leaf(u32::MAX);
                leaf.map(|leaf| (Operation::OutsideRemove, Proposal::Remove(leaf)))
            }
            2 => self.some_psk().map(|psk| (Operation::OutsidePsk, Proposal::Psk(psk))),
            3 if !extends => {
                let extensions = self.some_extensions();
                Some((Operation::OutsideExtensions, Proposal::Extensions(extensions)))
            }
            _ => None,
        })
    }

    /// Somebody who is no member proposes its own Add.
    pub(super) fn ask_to_join(&mut self) -> Result<(), What> {
        let resumes = |one: &Proposal| matches!(one, Proposal::ResumptionPsk(_));
        let resumed = self.waiting.iter().any(|waiting| resumes(&waiting.proposal));
        if !self.has_room() || resumed || !self.everybody(Operation::AskToJoin) {
            return Ok(());
        }
        let mut player = self.new_player()?;
        if !self.peer_able(player.member.peer(), Operation::AskToJoin) {
            return Ok(());
        }
        let helper = self.prng.below(self.players.len());
        let Some(member) = self.players.get_mut(helper) else { return Ok(()) };
        let name = member.name.clone();
        let group_info = member.member.group_info(true);
        let group_info = self.done(group_info, &name, "makes a GroupInfo")?;
        let (group_id, epoch) = (self.group_id.clone(), self.epoch());
        let wire = player.member.ask(&group_id, epoch, &group_info);
        let wire = self.done(wire, &player.name, "asks to be added")?;
        let by = player.name.clone();
        self.candidates.push(player);
        self.tally.outside += 1;
        self.spread_proposal(by, Proposal::OwnAdd, wire);
        Ok(())
    }
}
