//! Groups that continue others: re-initialization (RFC 9420 section 11.2) and branching (11.3).

use circlet::codec::DecodeContext;
use circlet::message::MlsMessage;

use crate::abilities::Operation;
use crate::member::{CommitPlan, Event, Proposal, View};

use super::world::{What, World};

impl World {
    /// The group is closed, and all members go on in one that takes its place.
    pub(super) fn reinitialize(&mut self) -> Result<(), What> {
        if self.players.len() < 2 || !self.waiting.is_empty() || !self.everybody(Operation::ReInit)
        {
            return Ok(());
        }
        if self.has_blanks() && !self.everybody(Operation::ReInitWithBlanks) {
            return Ok(());
        }
        let group_id = self.prng.bytes(16);
        let extensions = self.some_extensions();
        let reinit = Proposal::ReInit { group_id: group_id.clone(), extensions };
        let mut plan = CommitPlan { tree_inside: true, ..CommitPlan::default() };
        if self.prng.percent(50) {
            let at = self.prng.below(self.players.len());
            let Some(player) = self.players.get_mut(at) else { return Ok(()) };
            let (name, wire) = (player.name.clone(), player.member.propose(&reinit));
            let wire = self.done(wire, &name, "proposes a ReInit")?;
            self.spread_proposal(name, reinit, wire);
        } else {
            plan.by_value.push(reinit);
        }
        let committer = self.prng.below(self.players.len());
        self.commit_plan(committer, plan)?;
        // A closed group still reads what was sent in it.
        self.deliver_old(u64::MAX)?;
        self.letters.clear();
        self.succeed(group_id)
    }

    /// Any member creates the group that takes the place of the closed one, and the others join.
    fn succeed(&mut self, group_id: Vec<u8>) -> Result<(), What> {
        let creator = self.prng.below(self.players.len());
        let mut key_packages = Vec::new();
        for at in (0..self.players.len()).filter(|at| *at != creator) {
            let Some(player) = self.players.get_mut(at) else { continue };
            let (name, key_package) = (player.name.clone(), player.member.successor_key_package());
            let key_package = self.done(key_package, &name, "makes a KeyPackage")?;
            self.log.sent(format!("{name} has a KeyPackage for the successor"), &key_package);
            key_packages.push(key_package);
        }
        self.prng.shuffle(&mut key_packages);
        let Some(player) = self.players.get_mut(creator) else { return Ok(()) };
        let (name, welcome) = (player.name.clone(), player.member.create_successor(&key_packages));
        let welcome = self.done(welcome, &name, "creates the successor")?;
        self.log.sent(format!("{name} creates the successor"), &welcome);
        for at in (0..self.players.len()).filter(|at| *at != creator) {
            let Some(player) = self.players.get_mut(at) else { continue };
            let (name, joined) = (player.name.clone(), player.member.join_successor(&welcome));
            self.done(joined, &name, "joins the successor")?;
        }
        self.group_id = group_id;
        for player in &mut self.players {
            player.since = 1;
        }
        self.tally.successors += 1;
        self.check_views()
    }

    /// Some members make a branch, talk there, and leave it.
    pub(super) fn branch(&mut self) -> Result<(), What> {
        if self.players.len() < 2 || !self.everybody(Operation::Branch) {
            return Ok(());
        }
        let mut places: Vec<_> = (0..self.players.len()).collect();
        self.prng.shuffle(&mut places);
        places.truncate(2 + self.prng.below(places.len() - 1));
        let Some((creator, others)) = places.split_first() else { return Ok(()) };
        let mut key_packages = Vec::new();
        for at in others {
            let Some(player) = self.players.get_mut(*at) else { continue };
            let (name, key_package) = (player.name.clone(), player.member.key_package());
            let key_package = self.done(key_package, &name, "makes a KeyPackage")?;
            if self.has_other_key(&name, &key_package)
                && !self.able(*at, Operation::BranchWithOtherKey)
            {
                return Ok(());
            }
            key_packages.push(key_package);
        }
        let group_id = self.prng.bytes(16);
        let Some(player) = self.players.get_mut(*creator) else { return Ok(()) };
        let name = player.name.clone();
        let welcome = player.member.create_branch(&group_id, &key_packages);
        let welcome = self.done(welcome, &name, "creates a branch")?;
        self.log.sent(format!("{name} creates a branch of {}", places.len()), &welcome);
        for at in others {
            let Some(player) = self.players.get_mut(*at) else { continue };
            let (name, joined) = (player.name.clone(), player.member.join_branch(&welcome));
            self.done(joined, &name, "joins the branch")?;
        }
        self.talk_in_branch(&places)?;
        for at in &places {
            self.players.get_mut(*at).into_iter().for_each(|player| player.member.leave_branch());
        }
        self.tally.branches += 1;
        Ok(())
    }

    /// The members of a branch see the same, which others don't, and read each other.
    fn talk_in_branch(&mut self, places: &[usize]) -> Result<(), What> {
        let mut first: Option<View> = None;
        for at in places {
            let Some(player) = self.players.get_mut(*at) else { continue };
            let (name, view) = (player.name.clone(), player.member.view());
            let view = self.done(view, &name, "sees the branch")?;
            let same = first.as_ref().map_or(Ok(()), |first| match view.difference(first) {
                Some(what) => Err(What(format!("{name} sees another {what} of the branch"))),
                None => Ok(()),
            });
            same?;
            if view.roster.len() != places.len() || view.epoch != 1 {
                return Err(What(format!("{name} sees another branch")));
            }
            first = Some(view);
        }
        for at in places {
            let data = self.prng.bytes(9);
            let Some(player) = self.players.get_mut(*at) else { continue };
            let (sender, wire) = (player.name.clone(), player.member.send(&data, b""));
            let wire = self.done(wire, &sender, "sends in the branch")?;
            for (reader, player) in self.players.iter_mut().enumerate() {
                let read = player.member.receive(&wire);
                let inside = places.contains(&reader) && reader != *at;
                let right = match &read {
                    Ok(Event::Message { data: read, .. }) => inside && *read == data,
                    Ok(Event::Nothing) => reader == *at,
                    Ok(_) => false,
                    Err(_) => !inside,
                };
                if !right {
                    let name = &player.name;
                    return Err(What(format!("{name} reads {sender} in the branch: {read:?}")));
                }
            }
        }
        Ok(())
    }

    fn has_blanks(&self) -> bool {
        let roster = self.view.as_ref().map_or(&[][..], |view| &view.roster);
        let last = roster.iter().map(|(leaf, _, _)| *leaf as usize).max();
        last.is_some_and(|last| last >= roster.len())
    }

    /// Whether a KeyPackage of this member does not have its key in the group.
    fn has_other_key(&self, name: &str, key_package: &[u8]) -> bool {
        let Ok(MlsMessage::KeyPackage(found)) =
            MlsMessage::read(key_package, &DecodeContext::default())
        else {
            return true;
        };
        let present = self.leaf_of(name).and_then(|leaf| self.key_of(leaf));
        present != Some(found.leaf_node.signature_key.as_bytes())
    }
}
