//! Application messages, and the delivery of whatever is on its way.

use crate::abilities::Operation;
use crate::member::Event;

use super::world::{Letter, Waiting, What, World};

impl World {
    /// Somebody sends, unless a proposal has to be committed before (RFC 9420 section 12.4).
    pub(super) fn send(&mut self) -> Result<(), What> {
        let waiting = self.waiting.len();
        let free = |name: &str, inbox: &[usize]| {
            inbox.len() == waiting - self.waiting.iter().filter(|one| one.by == name).count()
                && self.waiting.iter().all(|one| one.by != name)
        };
        let able: Vec<_> = (0..self.players.len())
            .filter(|at| self.players.get(*at).is_some_and(|one| free(&one.name, &one.inbox)))
            .collect();
        let Some(at) = self.prng.pick(&able).copied() else { return Ok(()) };
        for _ in 0..1 + self.prng.below(4) {
            self.send_one(at)?;
        }
        Ok(())
    }

    fn send_one(&mut self, at: usize) -> Result<(), What> {
        let length = self.prng.below(100);
        let (data, authenticated_data) = (self.prng.bytes(length), self.prng.bytes(length / 9));
        let epoch = self.epoch();
        let Some(player) = self.players.get_mut(at) else { return Ok(()) };
        let sender = player.name.clone();
        let wire = player.member.send(&data, &authenticated_data);
        let wire = self.done(wire, &sender, "sends")?;
        self.log.sent(format!("{sender} sends in epoch {epoch}"), &wire);
        self.tally.messages += 1;
        let sender_leaf = self.leaf_of(&sender).unwrap_or_default();
        let sender_key = self.key_of(sender_leaf).unwrap_or_default().to_vec();
        let names = self.players.iter().map(|player| player.name.clone());
        let readers = names.filter(|name| *name != sender).collect();
        self.letters.push(Letter {
            epoch,
            sender,
            sender_leaf,
            sender_key,
            data,
            authenticated_data,
            wire,
            readers,
        });
        Ok(())
    }

    /// Some messages arrive, in any order.
    pub(super) fn deliver_some(&mut self) -> Result<(), What> {
        let mut ways = Vec::new();
        for (number, letter) in self.letters.iter().enumerate() {
            ways.extend(letter.readers.iter().map(|reader| (number, reader.clone())));
        }
        self.prng.shuffle(&mut ways);
        ways.truncate(ways.len() / 2);
        for (number, reader) in ways {
            self.deliver(number, &reader)?;
        }
        self.try_outsiders()?;
        self.letters.retain(|letter| !letter.readers.is_empty());
        Ok(())
    }

    /// Whatever is of an epoch before this one arrives.
    pub(super) fn deliver_old(&mut self, before: u64) -> Result<(), What> {
        let mut ways = Vec::new();
        for (number, letter) in self.letters.iter().enumerate() {
            if letter.epoch < before {
                ways.extend(letter.readers.iter().map(|reader| (number, reader.clone())));
            }
        }
        self.prng.shuffle(&mut ways);
        for (number, reader) in ways {
            self.deliver(number, &reader)?;
        }
        self.letters.retain(|letter| !letter.readers.is_empty());
        Ok(())
    }

    fn deliver(&mut self, number: usize, reader: &str) -> Result<(), What> {
        let again = self.prng.percent(10);
        let at = self.players.iter().position(|player| player.name == reader);
        let (Some(letter), Some(at)) = (self.letters.get_mut(number), at) else { return Ok(()) };
        letter.readers.retain(|name| name != reader);
        let (leaf, key) = (letter.sender_leaf, letter.sender_key.clone());
        let changed = self.key_of(leaf) != Some(&key);
        if changed && !self.able(at, Operation::LateFromChanged) {
            return Ok(());
        }
        let wire = self.letters.get(number).map(|letter| letter.wire.clone());
        let spoiled = wire.and_then(|wire| self.spoiled(at, &wire));
        let (Some(letter), Some(player)) = (self.letters.get(number), self.players.get_mut(at))
        else {
            return Ok(());
        };
        let what = format!("a message of {} in epoch {}", letter.sender, letter.epoch);
        if let Some(spoiled) = &spoiled
            && let Ok(event) = player.member.receive(spoiled)
        {
            return Err(What(format!("{reader} took {what} with a bit flipped: {event:?}")));
        }
        let event = player.member.receive(&letter.wire);
        let read = event.map_err(|fault| What(format!("{reader} can't read {what}: {fault}")))?;
        let Event::Message { sender, data, authenticated_data } = read else {
            return Err(What(format!("{reader} took {what} for {read:?}")));
        };
        self.tally.reads += 1;
        if data != letter.data || authenticated_data != letter.authenticated_data {
            return Err(What(format!("{reader} read something else in {what}")));
        }
        if sender.is_some_and(|sender| sender != letter.sender_leaf) {
            return Err(What(format!("{reader} takes {what} for one of leaf {sender:?}")));
        }
        let twice = if again { player.member.receive(&letter.wire) } else { Ok(Event::Nothing) };
        if let Ok(event) = twice
            && event != Event::Nothing
        {
            return Err(What(format!("{reader} read {what} twice: {event:?}")));
        }
        Ok(())
    }

    /// Who was removed before an epoch, or added after it, does not read its messages.
    fn try_outsiders(&mut self) -> Result<(), What> {
        let at = self.prng.below(self.letters.len());
        let Some(letter) = self.letters.get(at) else { return Ok(()) };
        let present = self.view.as_ref().map_or(0, |view| view.epoch) == letter.epoch;
        let gone = self.gone.iter_mut().filter(|_| present);
        let later = self.players.iter_mut().filter(|player| player.since > letter.epoch);
        for player in gone.chain(later) {
            if let Ok(event) = player.member.receive(&letter.wire) {
                let (name, epoch) = (&player.name, letter.epoch);
                return Err(What(format!("{name} read a message of epoch {epoch}: {event:?}")));
            }
        }
        Ok(())
    }

    /// Now and then a message comes with a bit flipped before it comes as it is: nobody takes it,
    /// and it harms nobody.
    pub(super) fn spoiled(&mut self, at: usize, wire: &[u8]) -> Option<Vec<u8>> {
        if !self.prng.percent(10) || !self.able(at, Operation::SpoiledMessage) {
            return None;
        }
        let mut spoiled = wire.to_vec();
        let place = self.prng.below(spoiled.len());
        let bit = self.prng.below(8);
        spoiled.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << bit);
        Some(spoiled)
    }

    /// A member receives the proposals that it has not received yet, in any order.
    pub(super) fn read_inbox(&mut self, at: usize) -> Result<(), What> {
        let Some(player) = self.players.get_mut(at) else { return Ok(()) };
        let mut inbox = std::mem::take(&mut player.inbox);
        self.prng.shuffle(&mut inbox);
        for number in inbox {
            let wire = self.waiting.get(number).map(|one| one.wire.clone());
            let spoiled = wire.and_then(|wire| self.spoiled(at, &wire));
            let (Some(player), Some(one)) = (self.players.get_mut(at), self.waiting.get(number))
            else {
                continue;
            };
            let words = super::propose::words(&one.proposal);
            let what = format!("{} receives {words} of {}", player.name, one.by);
            if let Some(spoiled) = &spoiled
                && let Ok(event) = player.member.receive(spoiled)
            {
                return Err(What(format!("{what}, with a bit flipped: {event:?}")));
            }
            // Where signatures are deterministic, two such proposals are one.
            let same = |other: &&Waiting| other.by == one.by && other.proposal == one.proposal;
            let known = self.waiting.iter().filter(same).count() > 1;
            match player.member.receive(&one.wire) {
                Ok(Event::Proposal) => {}
                Ok(Event::Nothing) if known => {}
                Ok(event) => return Err(What(format!("{what} as {event:?}"))),
                Err(fault) => return Err(What(format!("{what}: {fault}"))),
            }
        }
        Ok(())
    }
}
