//! Proposals that are sent by themselves.

use crate::abilities::Operation;
use crate::member::Proposal;

use super::world::{Waiting, What, World};

impl World {
    /// Somebody proposes something.
    pub(super) fn propose(&mut self) -> Result<(), What> {
        match self.prng.below(100) {
            0..15 => return self.propose_from_outside(),
            15..23 => return self.ask_to_join(),
            _ => {}
        }
        let at = self.prng.below(self.players.len());
        self.read_inbox(at)?;
        let Some((operation, proposal)) = self.some_proposal(at)? else { return Ok(()) };
        if !self.able(at, operation) {
            self.drop_candidate(&proposal);
            return Ok(());
        }
        let Some(player) = self.players.get_mut(at) else { return Ok(()) };
        let name = player.name.clone();
        let wire = player.member.propose(&proposal);
        let wire = self.done(wire, &name, &format!("proposes {}", words(&proposal)))?;
        self.spread_proposal(name, proposal, wire);
        Ok(())
    }

    /// A proposal is on its way to all others.
    pub(super) fn spread_proposal(&mut self, by: String, proposal: Proposal, wire: Vec<u8>) {
        self.log.sent(format!("{by} proposes {}", words(&proposal)), &wire);
        self.tally.proposals += 1;
        let number = self.waiting.len();
        for player in self.players.iter_mut().filter(|player| player.name != by) {
            player.inbox.push(number);
        }
        self.waiting.push(Waiting { by, proposal, wire });
    }

    /// A client that was to be added is not.
    pub(super) fn drop_candidate(&mut self, proposal: &Proposal) {
        if matches!(proposal, Proposal::Add(_)) {
            let candidate = self.candidates.pop();
            self.gone.extend(candidate.filter(|candidate| candidate.since > 0));
        }
    }

    /// Something that this member may propose now. What contradicts a proposal that waits is left
    /// out, unless this epoch has contradictions.
    fn some_proposal(&mut self, at: usize) -> Result<Option<(Operation, Proposal)>, What> {
        let Some(own) = self.players.get(at).and_then(|player| self.leaf_of(&player.name)) else {
            return Ok(None);
        };
        let has = |test: fn(&Proposal) -> bool| self.waiting.iter().any(|one| test(&one.proposal));
        let adds = has(Proposal::adds);
        let resumes = has(|one| matches!(one, Proposal::ResumptionPsk(_)));
        let extends = !self.contradictions && has(|one| matches!(one, Proposal::Extensions(_)));
        let again = self.contradictions && self.prng.percent(20);
        Ok(match self.prng.below(8) {
            0 if again && has(|one| matches!(one, Proposal::Add(_))) => {
                let same = self.waiting.iter().find(|one| matches!(one.proposal, Proposal::Add(_)));
                same.map(|one| (Operation::ProposeAddAgain, one.proposal.clone()))
            }
            0 | 1 if self.has_room() && !resumes => {
                Some((Operation::ProposeAdd, Proposal::Add(self.new_candidate()?)))
            }
            2 => self
                .other_free_leaf(own)
                .map(|leaf| (Operation::ProposeRemove, Proposal::Remove(leaf))),
            3 if self.free(own) => Some((Operation::ProposeOwnRemoval, Proposal::Remove(own))),
            4 if self.free(own) => {
                Some((Operation::ProposeUpdate, Proposal::Update { new_key: false }))
            }
            5 if self.free(own) => {
                Some((Operation::ProposeNewKey, Proposal::Update { new_key: true }))
            }
            6 if !adds && self.prng.percent(50) => {
                let epoch = self.common_epoch();
                epoch.map(|epoch| (Operation::ProposeResumptionPsk, Proposal::ResumptionPsk(epoch)))
            }
            6 => {
                let psk = self.some_psk();
                psk.map(|psk| (Operation::ProposePsk, Proposal::Psk(psk)))
            }
            7 if !extends => {
                Some((Operation::ProposeExtensions, Proposal::Extensions(self.some_extensions())))
            }
            _ => None,
        })
    }

    /// Another member's leaf that no waiting proposal is about.
    pub(super) fn other_leaf(&mut self, own: u32) -> Option<u32> {
        let view = self.view.as_ref()?;
        let leaves = view.roster.iter().map(|(leaf, _, _)| *leaf);
        let leaves: Vec<_> = leaves.filter(|leaf| *leaf != own && !self.touched(*leaf)).collect();
        self.prng.pick(&leaves).copied()
    }

    /// Another member's leaf that may be proposed to be removed.
    fn other_free_leaf(&mut self, own: u32) -> Option<u32> {
        if !self.contradictions {
            return self.other_leaf(own);
        }
        let roster = &self.view.as_ref()?.roster;
        let leaves: Vec<_> =
            roster.iter().map(|(leaf, _, _)| *leaf).filter(|leaf| *leaf != own).collect();
        self.prng.pick(&leaves).copied()
    }

    /// Whether this leaf may be proposed to be changed.
    fn free(&self, leaf: u32) -> bool {
        self.contradictions || !self.touched(leaf)
    }

    /// Whether a waiting proposal is about this leaf.
    pub(super) fn touched(&self, leaf: u32) -> bool {
        self.waiting.iter().any(|waiting| match waiting.proposal {
            Proposal::Remove(removed) => removed == leaf,
            Proposal::Update { .. } => self.leaf_of(&waiting.by) == Some(leaf),
            _ => false,
        })
    }

    /// The id of a PSK that everybody has.
    pub(super) fn some_psk(&mut self) -> Option<Vec<u8>> {
        self.prng.pick(&self.psks).map(|(id, _)| id.clone())
    }
}

/// A proposal in words.
pub(super) fn words(proposal: &Proposal) -> String {
    match proposal {
        Proposal::Add(_) => "an Add".into(),
        Proposal::OwnAdd => "its own Add".into(),
        Proposal::Remove(leaf) => format!("to remove leaf {leaf}"),
        Proposal::Update { new_key: false } => "an Update".into(),
        Proposal::Update { new_key: true } => "an Update with a new signature key".into(),
        Proposal::Psk(_) => "an external PSK".into(),
        Proposal::ResumptionPsk(epoch) => format!("the resumption PSK of epoch {epoch}"),
        Proposal::Extensions(list) => {
            let types: Vec<_> = list.iter().map(|(extension_type, _)| *extension_type).collect();
            format!("the extensions {types:?}")
        }
        Proposal::ReInit { .. } => "a ReInit".into(),
    }
}
