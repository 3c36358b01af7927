//! Commits and what they lead to.

use crate::abilities::Operation;
use crate::member::{CommitPlan, Event, ExternalJoin, Proposal};

use super::propose::words;
use super::world::{LATE_EPOCHS, Player, What, World};

/// A Commit that was made and waits for the delivery service's word.
struct Made {
    /// The committer: a member, or the one who joins.
    by: String,
    wire: Vec<u8>,
    plan: CommitPlan,
    /// Whether it is an external Commit.
    external: bool,
    /// The one who joins by it and is no member.
    joiner: Option<Player>,
}

impl World {
    /// Somebody commits; now and then two do, and one wins.
    pub(super) fn commit(&mut self) -> Result<(), What> {
        let first = self.prng.below(self.players.len());
        let mut made: Vec<Made> = self.make(first)?.into_iter().collect();
        if self.players.len() > 1 && self.prng.percent(20) {
            let second = (first + 1 + self.prng.below(self.players.len() - 1)) % self.players.len();
            made.extend(self.make(second)?);
        }
        self.decide(made)
    }

    /// Somebody joins by an external Commit; now and then a member commits at the same time.
    pub(super) fn join_externally(&mut self) -> Result<(), What> {
        if !self.has_room() {
            return Ok(());
        }
        let player = self.new_player()?;
        let peer = player.member.peer();
        if !self.peer_able(peer, Operation::ExternalJoin) {
            return Ok(());
        }
        let mut made = vec![self.make_external(Some(player), None)?];
        if self.prng.percent(20) {
            let at = self.prng.below(self.players.len());
            made.extend(self.make(at)?);
        }
        self.decide(made)
    }

    /// A member that has lost its state joins again in the place of its old leaf.
    pub(super) fn come_back(&mut self) -> Result<(), What> {
        let at = self.prng.below(self.players.len());
        if !self.able(at, Operation::Rejoin) || self.players.len() < 2 {
            return Ok(());
        }
        let made = self.make_external(None, Some(at))?;
        self.decide(vec![made])
    }

    /// A member makes this Commit, and it wins.
    pub(super) fn commit_plan(&mut self, at: usize, plan: CommitPlan) -> Result<(), What> {
        self.read_inbox(at)?;
        let made = self.make_plan(at, plan)?;
        self.decide(made.into_iter().collect())
    }

    /// A member makes a Commit.
    fn make(&mut self, at: usize) -> Result<Option<Made>, What> {
        self.read_inbox(at)?;
        if !self.commits(at) {
            return Ok(None);
        }
        let plan = self.plan(at)?;
        self.make_plan(at, plan)
    }

    fn make_plan(&mut self, at: usize, plan: CommitPlan) -> Result<Option<Made>, What> {
        let Some(player) = self.players.get_mut(at) else { return Ok(None) };
        let by = player.name.clone();
        let what: Vec<_> = plan.by_value.iter().map(words).collect();
        let CommitPlan { without_path, new_key, tree_inside, .. } = plan;
        let what = format!(
            "commits {what:?}, no path: {without_path}, new key: {new_key}, tree inside: {tree_inside}"
        );
        let wire = player.member.commit(&plan);
        let wire = self.done(wire, &by, &what)?;
        self.log.sent(format!("{by} {what}"), &wire);
        Ok(Some(Made { by, wire, plan, external: false, joiner: None }))
    }

    /// Whether a member can commit what waits.
    fn commits(&mut self, at: usize) -> bool {
        let name = self.players.get(at).map(|player| player.name.clone());
        let own = name.and_then(|name| self.leaf_of(&name));
        let (mut removes_own, mut extends) = (false, 0);
        let (mut updated, mut touched, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in &self.waiting {
            match &waiting.proposal {
                Proposal::Remove(leaf) => {
                    removes_own |= Some(*leaf) == own;
                    touched.push(*leaf);
                }
                Proposal::Update { .. } => {
                    let leaf = self.leaf_of(&waiting.by);
                    updated.extend(leaf);
                    touched.extend(leaf);
                }
                Proposal::Extensions(_) => extends += 1,
                Proposal::Add(key_package) => added.push(key_package),
                _ => {}
            }
        }
        let twice = |leaf| touched.iter().filter(|one| *one == leaf).count() > 1;
        let count = added.len();
        added.sort_unstable();
        added.dedup();
        let doubled = added.len() < count;
        (!removes_own || self.able(at, Operation::CommitBeforeOwnRemoval))
            && (extends < 2 || self.able(at, Operation::CommitSeveralExtensions))
            && (!doubled || self.able(at, Operation::CommitDoubleAdds))
            && (!updated.iter().any(twice) || self.able(at, Operation::CommitContradictingUpdates))
    }

    fn plan(&mut self, at: usize) -> Result<CommitPlan, What> {
        let own = self.players.get(at).and_then(|player| self.leaf_of(&player.name));
        let own = own.unwrap_or_default();
        let mut plan = CommitPlan { tree_inside: true, ..CommitPlan::default() };
        let length = self.prng.below(20);
        plan.authenticated_data = self.prng.bytes(length);
        let resumes = |one: &Proposal| matches!(one, Proposal::ResumptionPsk(_));
        let resumed = self.waiting.iter().any(|waiting| resumes(&waiting.proposal));
        let few = self.players.len() < 3;
        let adds = if few { 80 } else { 30 };
        if self.has_room()
            && !resumed
            && self.prng.percent(adds)
            && self.able(at, Operation::AddByValue)
        {
            for _ in 0..1 + self.prng.below(2) {
                let key_package = self.new_candidate()?;
                plan.by_value.push(Proposal::Add(key_package));
            }
        }
        if !few && self.prng.percent(25) && self.able(at, Operation::RemoveByValue) {
            plan.by_value.extend(self.other_leaf(own).map(Proposal::Remove));
        }
        let psk = |one: &Proposal| matches!(one, Proposal::Psk(_) | Proposal::ResumptionPsk(_));
        let waits = self.waiting.iter().any(|waiting| psk(&waiting.proposal));
        let psks = !waits || self.able(at, Operation::PsksByValueAndReference);
        if psks && self.prng.percent(15) && self.able(at, Operation::PskByValue) {
            plan.by_value.extend(self.some_psk().map(Proposal::Psk));
        }
        if psks
            && !self.adds(&plan.by_value)
            && self.prng.percent(20)
            && self.able(at, Operation::ResumptionPskByValue)
        {
            plan.by_value.extend(self.common_epoch().map(Proposal::ResumptionPsk));
        }
        let extends = |one: &Proposal| matches!(one, Proposal::Extensions(_));
        let extended = self.waiting.iter().any(|waiting| extends(&waiting.proposal));
        if !extended && self.prng.percent(15) && self.able(at, Operation::ExtensionsByValue) {
            plan.by_value.push(Proposal::Extensions(self.some_extensions()));
        }
        plan.new_key = self.prng.percent(15) && self.able(at, Operation::NewKeyInCommit);
        plan.without_path =
            !plan.new_key && self.prng.percent(40) && self.able(at, Operation::WithoutPath);
        plan.tree_inside = !(self.prng.percent(40) && self.able(at, Operation::TreeBeside));
        Ok(plan)
    }

    /// Somebody makes an external Commit: one who is no member, or the member at `back`.
    fn make_external(&mut self, joiner: Option<Player>, back: Option<usize>) -> Result<Made, What> {
        let mut helper = self.prng.below(self.players.len());
        if Some(helper) == back {
            helper = (helper + 1) % self.players.len();
        }
        let tree_inside = self.prng.percent(50);
        let psk = if self.prng.percent(30) { self.some_psk() } else { None };
        let resumption = match back {
            Some(at) if self.prng.percent(50) => {
                let able = self.able(at, Operation::RejoinWithResumptionPsk);
                if able { self.common_epoch() } else { None }
            }
            _ => None,
        };
        let Some(member) = self.players.get_mut(helper) else { return Err(What("nobody".into())) };
        let name = member.name.clone();
        let info = member.member.group_info(tree_inside);
        let group_info = self.done(info, &name, "makes a GroupInfo")?;
        self.log.sent(format!("{name} makes a GroupInfo, tree inside: {tree_inside}"), &group_info);
        let tree = self.view.as_ref().map(|view| view.ratchet_tree.clone());
        let ratchet_tree = if tree_inside { None } else { tree };
        let old = back.and_then(|at| self.players.get(at)).map(|player| player.name.clone());
        let replaces = old.as_ref().and_then(|name| self.leaf_of(name));
        let mut join =
            ExternalJoin { group_info, ratchet_tree, replaces, psks: Vec::new(), resumption };
        let mut joiner = joiner;
        let player = match (&mut joiner, back) {
            (Some(player), _) => Some(player),
            (None, Some(at)) => self.players.get_mut(at),
            (None, None) => None,
        };
        let Some(player) = player else { return Err(What("nobody".into())) };
        let peer = player.member.peer();
        join.psks.extend(psk.filter(|_| self.options.asks(peer, Operation::ExternalJoinWithPsk)));
        let (by, psks) = (player.name.clone(), join.psks.len());
        let what = format!(
            "joins externally, replacing {replaces:?}, with {psks} PSKs and that of {resumption:?}"
        );
        let wire = player.member.join_externally(&join);
        let wire = self.done(wire, &by, &what)?;
        self.log.sent(format!("{by} {what}"), &wire);
        Ok(Made { by, wire, plan: CommitPlan::default(), external: true, joiner })
    }

    /// One of the Commits wins.
    fn decide(&mut self, mut made: Vec<Made>) -> Result<(), What> {
        self.prng.shuffle(&mut made);
        let Some(mut winner) = made.pop() else { return Ok(()) };
        // Messages are late enough some time.
        let late = self.prng.below(LATE_EPOCHS as usize) as u64;
        self.deliver_old(self.epoch().saturating_sub(late))?;
        for loser in &mut made {
            self.tally.lost += 1;
            self.log.say(format!("{}'s Commit loses", loser.by));
            // A member may learn that from the winner's Commit.
            let told = loser.joiner.is_some() || self.prng.percent(50);
            let player = match &mut loser.joiner {
                Some(joiner) => Some(joiner),
                None => self.players.iter_mut().find(|player| player.name == loser.by),
            };
            if told && let Some(player) = player {
                let refused = player.member.refused();
                self.done(refused, &loser.by.clone(), "takes its Commit back")?;
            }
        }
        let welcome = self.accept(&mut winner)?;
        self.spread(&winner)?;
        self.welcome(&winner, welcome)?;
        self.settle(&winner)?;
        self.check_views()?;
        for loser in &made {
            for player in self.players.iter_mut().filter(|player| player.name != loser.by) {
                if let Ok(event) = player.member.receive(&loser.wire) {
                    let name = &player.name;
                    return Err(What(format!("{name} took the Commit that lost: {event:?}")));
                }
            }
        }
        Ok(())
    }

    /// The committer goes on to the new epoch.
    fn accept(&mut self, winner: &mut Made) -> Result<Option<Vec<u8>>, What> {
        let by = winner.by.clone();
        if let Some(joiner) = winner.joiner.take() {
            self.players.push(joiner);
        }
        let Some(at) = self.players.iter().position(|player| player.name == by) else {
            return Err(What("nobody".into()));
        };
        let Some(player) = self.players.get_mut(at) else { return Ok(None) };
        player.inbox.clear();
        let accepted = player.member.accepted();
        let view = player.member.view();
        let welcome = self.done(accepted, &by, "goes on to its epoch")?;
        let view = self.done(view, &by, "sees its epoch")?;
        // Whoever comes back has lost what it was: it reads no older messages.
        let Some(player) = self.players.get_mut(at) else { return Ok(None) };
        if winner.external {
            player.since = view.epoch;
            for letter in &mut self.letters {
                letter.readers.retain(|reader| *reader != by);
            }
        }
        *self.tally.commits.entry(player.member.peer()).or_default() += 1;
        self.tally.epochs += 1;
        self.log.say(format!("{by}'s Commit begins epoch {}", view.epoch));
        self.view = Some(view);
        Ok(welcome)
    }

    /// The others receive the Commit.
    fn spread(&mut self, winner: &Made) -> Result<(), What> {
        for at in 0..self.players.len() {
            if self.players.get(at).is_none_or(|player| player.name == winner.by) {
                continue;
            }
            self.read_inbox(at)?;
            let spoiled = self.spoiled(at, &winner.wire);
            let Some(player) = self.players.get_mut(at) else { continue };
            let stays = self.view.as_ref().is_some_and(|view| view.leaf_of(&player.name).is_some());
            let what = format!("{} receives the Commit of {}", player.name, winner.by);
            if let Some(spoiled) = &spoiled
                && let Ok(event) = player.member.receive(spoiled)
            {
                return Err(What(format!("{what}, with a bit flipped: {event:?}")));
            }
            match (player.member.receive(&winner.wire), stays) {
                (Ok(Event::Commit), true) | (Ok(Event::Removed), false) => {}
                (Ok(event), _) => return Err(What(format!("{what} as {event:?}"))),
                (Err(fault), _) => return Err(What(format!("{what}: {fault}"))),
            }
        }
        Ok(())
    }

    /// Those who were added join, with the tree inside the Welcome or beside it.
    fn welcome(&mut self, winner: &Made, welcome: Option<Vec<u8>>) -> Result<(), What> {
        let Some(view) = self.view.clone() else { return Ok(()) };
        let candidates = std::mem::take(&mut self.candidates);
        let (joins, rest): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|candidate| view.leaf_of(&candidate.name).is_some());
        if let Some(welcome) = &welcome {
            self.log.sent(format!("{} sends a Welcome", winner.by), welcome);
        }
        // Who was a member once is one of those who are gone.
        self.gone.extend(rest.into_iter().filter(|candidate| candidate.since > 0));
        for mut candidate in joins {
            let Some(welcome) = &welcome else {
                return Err(What(format!("no Welcome for {}", candidate.name)));
            };
            let tree = (!winner.plan.tree_inside).then_some(view.ratchet_tree.as_slice());
            let peer = candidate.member.peer();
            if self.prng.percent(20) && self.peer_able(peer, Operation::SpoiledWelcome) {
                let mut spoiled = welcome.clone();
                let place = self.prng.below(spoiled.len());
                spoiled.get_mut(place).into_iter().for_each(|byte| *byte ^= 1);
                // Where it hits another joiner's secrets, it is as good as the genuine one.
                if candidate.member.join(&spoiled, tree).is_ok() {
                    self.log.say(format!("{} has joined by a spoiled Welcome", candidate.name));
                    candidate.since = view.epoch;
                    candidate.inbox.clear();
                    self.players.push(candidate);
                    continue;
                }
            }
            let joined = candidate.member.join(welcome, tree);
            self.done(joined, &candidate.name, "joins by the Welcome")?;
            candidate.since = view.epoch;
            candidate.inbox.clear();
            self.players.push(candidate);
        }
        Ok(())
    }

    /// Those who were removed are gone, and no proposal waits any more.
    fn settle(&mut self, winner: &Made) -> Result<(), What> {
        let Some(view) = self.view.clone() else { return Ok(()) };
        for proposal in &winner.plan.by_value {
            if let Proposal::Remove(leaf) = proposal
                && let Some(stayed) = view.roster.iter().find(|(at, _, _)| at == leaf)
                && self
                    .players
                    .iter()
                    .any(|player| player.name.as_bytes() == stayed.1 && player.since < view.epoch)
            {
                return Err(What(format!("leaf {leaf} was removed and is there")));
            }
        }
        self.waiting.clear();
        let (stay, mut gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.players)
            .into_iter()
            .partition(|player| view.leaf_of(&player.name).is_some());
        self.players = stay;
        for player in &mut gone {
            player.inbox.clear();
            player.since = player.since.max(1);
            for letter in &mut self.letters {
                letter.readers.retain(|reader| *reader != player.name);
            }
        }
        self.gone.append(&mut gone);
        for player in &mut self.players {
            player.inbox.clear();
        }
        Ok(())
    }
}
