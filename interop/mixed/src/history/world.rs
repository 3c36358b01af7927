//! The group, its members and what is on its way between them.

use crate::abilities::Operation;
use crate::member::{Fault, Member, Peer, Proposal, Setup, View};
use crate::peers::{new_member, supports};
use crate::prng::Prng;

use super::log::Log;
use super::outside::Bystander;
use super::{Options, Tally};

/// An extension type that every member is told to support, from the range for private use.
pub(super) const EXTENSION_TYPE: u16 = 0xf123;
/// The group's greatest size.
const MEMBERS: usize = 8;
/// How many epochs late a message may come.
pub(super) const LATE_EPOCHS: u64 = 3;
/// How many epochs back a resumption PSK may be of.
const RESUMPTION_EPOCHS: u64 = 3;

/// What members disagreed about.
#[derive(Debug)]
pub(super) struct What(pub(super) String);

/// A client.
pub(super) struct Player {
    pub(super) name: String,
    pub(super) member: Box<dyn Member>,
    /// The first epoch that it was in without a break since.
    pub(super) since: u64,
    /// Which of the waiting proposals it has not received yet.
    pub(super) inbox: Vec<usize>,
}

/// A proposal that was sent in this epoch.
pub(super) struct Waiting {
    pub(super) by: String,
    pub(super) proposal: Proposal,
    pub(super) wire: Vec<u8>,
}

/// An application message and who has not read it yet.
pub(super) struct Letter {
    pub(super) epoch: u64,
    pub(super) sender: String,
    pub(super) sender_leaf: u32,
    pub(super) sender_key: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) authenticated_data: Vec<u8>,
    pub(super) wire: Vec<u8>,
    pub(super) readers: Vec<String>,
}

pub(super) struct World {
    pub(super) options: Options,
    pub(super) setup: Setup,
    pub(super) prng: Prng,
    pub(super) log: Log,
    pub(super) tally: Tally,
    pub(super) players: Vec<Player>,
    /// Those who were removed.
    pub(super) gone: Vec<Player>,
    /// Those who are to be added.
    pub(super) candidates: Vec<Player>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) letters: Vec<Letter>,
    pub(super) psks: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) view: Option<View>,
    /// Whether each member frames handshakes in its own way.
    each_its_own: bool,
    /// Whether proposals may contradict others that wait: the committer has to choose.
    pub(super) contradictions: bool,
    names: usize,
    pub(super) group_id: Vec<u8>,
    /// Whose key may be among the group's external senders.
    pub(super) bystander: Option<Bystander>,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        let mut prng = Prng::new(options.seed.wrapping_mul(7).wrapping_add(options.suite.into()));
        let mut tally = Tally { seeds: 1, ..Tally::default() };
        let mut bear = |operation| {
            let has_suite = |peer: &&Peer| supports(**peer, options.suite);
            let can_not = |peer: &&Peer| !options.asks(**peer, operation);
            let unable = options.peers.iter().filter(has_suite).filter(can_not);
            let unable =
                unable.map(|peer| *tally.left_out.entry((*peer, operation)).or_default() += 1);
            unable.count() == 0
        };
        let contradictions = prng.percent(30);
        let each_its_own = prng.percent(20);
        let setup = Setup {
            suite: options.suite,
            public_handshakes: prng.percent(50),
            padding: prng.percent(50),
            grease_extensions: bear(Operation::GreaseExtensions) && prng.percent(50),
            extension_type: EXTENSION_TYPE,
            application_ids: bear(Operation::ApplicationIds) && prng.percent(50),
            seed: prng.next(),
        };
        Self {
            options: options.clone(),
            setup,
            prng,
            log: Log::default(),
            tally,
            players: Vec::new(),
            gone: Vec::new(),
            candidates: Vec::new(),
            waiting: Vec::new(),
            letters: Vec::new(),
            psks: Vec::new(),
            view: None,
            each_its_own,
            contradictions,
            names: 0,
            group_id: Vec::new(),
            bystander: None,
        }
    }

    /// The whole history.
    pub(super) fn live(&mut self) -> Result<(), What> {
        self.log.say(format!("{:?}", self.setup));
        for _ in 0..2 {
            let (id, secret) = (self.prng.bytes(8), self.prng.bytes(32));
            self.psks.push((id, secret));
        }
        let mut creator = self.new_player()?;
        self.group_id = self.prng.bytes(16);
        self.bystander = Some(Bystander::new(self.setup.suite, self.prng.next())?);
        self.log.say(format!("{} creates the group", creator.name));
        let created = creator.member.create(&self.group_id);
        self.done(created, &creator.name, "creates the group")?;
        self.players.push(creator);
        self.check_views()?;
        for _ in 0..20 + self.prng.below(21) {
            self.step()?;
        }
        self.deliver_old(u64::MAX)
    }

    fn step(&mut self) -> Result<(), What> {
        let alone = self.players.len() < 2;
        match self.prng.below(100) {
            _ if alone => self.commit(),
            0..36 => self.commit(),
            36..62 => self.propose(),
            62..88 => self.send(),
            88..93 => self.join_externally(),
            93..96 => self.come_back(),
            96..98 => self.reinitialize(),
            _ => self.branch(),
        }?;
        self.deliver_some()
    }

    /// A client with a name of its own, who has all PSKs.
    pub(super) fn new_player(&mut self) -> Result<Player, What> {
        let peers = self.options.peers.clone();
        let peers: Vec<_> =
            peers.into_iter().filter(|peer| supports(*peer, self.setup.suite)).collect();
        let peer = *self.prng.pick(&peers).ok_or(What("no library has the suite".into()))?;
        let initial = peer.name().chars().next().unwrap_or('?');
        let name = format!("{initial}{}", self.names);
        self.names += 1;
        let mut setup = self.setup.clone();
        setup.public_handshakes ^= self.each_its_own && self.prng.percent(50);
        let made = new_member(peer, &name, &setup);
        let mut member = self.done(made, &name, "is made")?;
        for (id, secret) in self.psks.clone() {
            let kept = member.add_psk(&id, &secret);
            self.done(kept, &name, "keeps a PSK")?;
        }
        Ok(Player { name, member, since: 0, inbox: Vec::new() })
    }

    /// A client to be added: a new one, or one that was removed before.
    pub(super) fn new_candidate(&mut self) -> Result<Vec<u8>, What> {
        let mut player = match self.gone.is_empty() || self.prng.percent(60) {
            true => self.new_player()?,
            false => {
                let at = self.prng.below(self.gone.len());
                self.gone.swap_remove(at)
            }
        };
        let key_package = player.member.key_package();
        let key_package = self.done(key_package, &player.name, "makes a KeyPackage")?;
        self.log.sent(format!("{} has a KeyPackage", player.name), &key_package);
        self.candidates.push(player);
        Ok(key_package)
    }

    pub(super) fn has_room(&self) -> bool {
        self.players.len() + self.candidates.len() < MEMBERS
    }

    pub(super) fn epoch(&self) -> u64 {
        self.view.as_ref().map_or(0, |view| view.epoch)
    }

    /// The signature key of the member at a leaf.
    pub(super) fn key_of(&self, leaf: u32) -> Option<&[u8]> {
        let found = self.view.as_ref()?.roster.iter().find(|(at, _, _)| *at == leaf)?;
        Some(&found.2)
    }

    pub(super) fn leaf_of(&self, name: &str) -> Option<u32> {
        self.view.as_ref().and_then(|view| view.leaf_of(name))
    }

    /// Whether these proposals, or those that wait, add somebody.
    pub(super) fn adds(&self, by_value: &[Proposal]) -> bool {
        let waiting = self.waiting.iter().map(|waiting| &waiting.proposal);
        by_value.iter().chain(waiting).any(Proposal::adds)
    }

    /// An epoch whose resumption PSK all members have.
    pub(super) fn common_epoch(&mut self) -> Option<u64> {
        let since = self.players.iter().map(|player| player.since).max()?;
        let last = self.epoch();
        let first = since.max(last.saturating_sub(RESUMPTION_EPOCHS));
        let present = self.everybody(Operation::PresentResumptionPsk);
        let last = if present { last } else { last.checked_sub(1)? };
        let count = usize::try_from(last.checked_sub(first)?).ok()? + 1;
        Some(first + self.prng.below(count) as u64)
    }

    /// Whether all members can bear something; those who can't are counted.
    pub(super) fn everybody(&mut self, operation: Operation) -> bool {
        let able = (0..self.players.len()).filter(|at| self.able(*at, operation)).count();
        able == self.players.len()
    }

    /// Whether this member can do something; else it is counted as left out.
    pub(super) fn able(&mut self, at: usize, operation: Operation) -> bool {
        let Some(peer) = self.players.get(at).map(|player| player.member.peer()) else {
            return false;
        };
        self.peer_able(peer, operation)
    }

    /// As [`Self::able`].
    pub(super) fn peer_able(&mut self, peer: Peer, operation: Operation) -> bool {
        let able = self.options.asks(peer, operation);
        if !able {
            *self.tally.left_out.entry((peer, operation)).or_default() += 1;
        }
        able
    }

    /// A group's extensions.
    pub(super) fn some_extensions(&mut self) -> Vec<(u16, Vec<u8>)> {
        let mut list = Vec::new();
        if self.prng.percent(60) {
            list.push((EXTENSION_TYPE, self.prng.bytes(3)));
        }
        let bare = self.everybody(Operation::ExtensionNotRequired);
        if self.prng.percent(40) || (!bare && !list.is_empty()) {
            // RequiredCapabilities: that extension, no proposal, basic credentials.
            let [high, low] = EXTENSION_TYPE.to_be_bytes();
            list.push((3, vec![2, high, low, 0, 2, 0, 1]));
        }
        if self.prng.percent(60) {
            // ExternalSenders: one, or none.
            let one = self.prng.percent(70);
            let senders = self.bystander.as_ref().filter(|_| one).map(Bystander::extension);
            list.push((5, senders.unwrap_or_else(|| vec![0])));
        }
        list
    }

    /// Ends the history unless a member did what it was asked to.
    pub(super) fn done<T>(
        &mut self,
        outcome: Result<T, Fault>,
        name: &str,
        did: &str,
    ) -> Result<T, What> {
        outcome.map_err(|fault| What(format!("{name} {did}: {fault}")))
    }
}
