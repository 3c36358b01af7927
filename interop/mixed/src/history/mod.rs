//! Random histories: what a group of members of several libraries lives through, decided by a
//! seed.

mod check;
mod commit;
mod continued;
mod deliver;
mod log;
mod outside;
mod propose;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use log::{Disagreement, Line};

use crate::abilities::{Operation, can};
use crate::member::Peer;
use world::World;

/// Which history.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cipher suite's number.
    pub suite: u16,
    /// The libraries that take part: those among them that have the suite.
    pub peers: Vec<Peer>,
    /// The seed.
    pub seed: u64,
    /// Whether the steps that the table leaves out are taken all the same: a disagreement is then
    /// what the table says.
    pub everything: bool,
}

impl Options {
    /// Whether a library is asked to do something.
    fn asks(&self, peer: Peer, operation: Operation) -> bool {
        self.everything || can(peer, operation)
    }
}

/// What a history, or several, had in them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Histories.
    pub seeds: usize,
    /// Epochs that began.
    pub epochs: usize,
    /// Commits that won, external ones too, by whose they were.
    pub commits: BTreeMap<Peer, usize>,
    /// Application messages that were sent.
    pub messages: usize,
    /// How often a member read one.
    pub reads: usize,
    /// Proposals that were sent.
    pub proposals: usize,
    /// Commits that lost a race.
    pub lost: usize,
    /// Proposals of those who are no members, among all.
    pub outside: usize,
    /// Groups that took the place of another.
    pub successors: usize,
    /// Branches of a group.
    pub branches: usize,
    /// Steps that were left out by the table.
    pub left_out: BTreeMap<(Peer, Operation), usize>,
}

impl Tally {
    /// Adds another one's numbers.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.epochs += other.epochs;
        self.messages += other.messages;
        self.reads += other.reads;
        self.proposals += other.proposals;
        self.lost += other.lost;
        self.outside += other.outside;
        self.successors += other.successors;
        self.branches += other.branches;
        for (peer, count) in &other.commits {
            *self.commits.entry(*peer).or_default() += count;
        }
        for (row, count) in &other.left_out {
            *self.left_out.entry(*row).or_default() += count;
        }
    }
}

/// Lets a group live through one history.
///
/// # Errors
/// Members disagreed, or one panicked: with all that happened until then.
pub fn run(options: &Options) -> Result<Tally, Box<Disagreement>> {
    let mut world = World::new(options);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.live()));
    let what = match outcome {
        Ok(Ok(())) => return Ok(world.tally),
        Ok(Err(what)) => what.0,
        Err(_) => "a library panicked".into(),
    };
    Err(Box::new(Disagreement { options: options.clone(), what, lines: world.log.into_lines() }))
}
