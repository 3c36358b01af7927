//! A long script in which members come and go.

use super::{Action, Change, Description, ExternalJoin, Script, script};
use crate::runner::random::Random;

/// How many are in the group in the beginning, and how many may be.
const SIZES: (usize, usize) = (5, 200);

/// How many are added by one Commit at most.
const MOST_ADDS: usize = 20;

/// One long script: of its Commits one in ten is external, and half of these bring back a member.
/// All others add, update and remove up to two members in five.
pub(in crate::runner) fn deep_random(seed: u64, commits: usize) -> Script {
    script("deep_random", "random", |script| {
        let mut group = Growing { script, random: Random::new(seed), members: Vec::new(), next: 0 };
        group.begin();
        for _ in 0..commits {
            match group.random.once_in(10) && group.members.len() > 1 {
                true => group.external_join(),
                false => group.commit(),
            }
        }
    })
}

struct Growing<'a> {
    script: &'a mut Script,
    random: Random,
    members: Vec<String>,
    next: usize,
}

impl Growing<'_> {
    fn newcomer(&mut self) -> String {
        self.next += 1;
        format!("actor{}", self.next)
    }

    fn begin(&mut self) {
        let creator = self.newcomer();
        let joiners: Vec<String> = (1..SIZES.0).map(|_| self.newcomer()).collect();
        self.script.create(&creator, &[]);
        let by_value = self.adds(&joiners);
        self.finish(&creator, Change { by_value, ..Change::default() }, &[], &joiners);
        self.members.push(creator);
        self.members.extend(joiners);
    }

    fn adds(&mut self, joiners: &[String]) -> Vec<Description> {
        let add = |joiner: &String| {
            let key_package = self.script.key_package(joiner);
            Description::Add { key_package }
        };
        joiners.iter().map(add).collect()
    }

    fn external_join(&mut self) {
        let remove_prior = self.random.once_in(2);
        let joiner = match self.random.pick(&self.members).cloned().filter(|_| remove_prior) {
            Some(member) => member,
            None => self.newcomer(),
        };
        let mut others = self.members.clone();
        others.retain(|member| *member != joiner);
        let Some(adder) = self.random.take(&mut others, 1).pop() else { return };
        let join = ExternalJoin {
            joiner: joiner.clone(),
            members: others,
            remove_prior,
            ..ExternalJoin::default()
        };
        self.script.step(&adder, Action::ExternalJoin(join));
        if !remove_prior {
            self.members.push(joiner);
        }
    }

    fn commit(&mut self) {
        let size = self.members.len();
        let room = SIZES.1.saturating_sub(size).min(MOST_ADDS);
        let adds = self.random.below(room + 1);
        let removes = self.random.below(size * 2 / 5 + 1);
        let updates = self.random.below(size * 2 / 5 + 1);

        let joiners: Vec<String> = (0..adds).map(|_| self.newcomer()).collect();
        let leavers = self.random.take(&mut self.members, removes);
        let mut others = self.members.clone();
        let updaters = self.random.take(&mut others, updates);
        let Some(committer) = self.random.take(&mut others, 1).pop() else { return };

        let by_reference = updaters.iter().map(|actor| self.script.update(actor)).collect();
        let mut by_value = self.adds(&joiners);
        by_value.extend(leavers.into_iter().map(|removed| Description::Remove { removed }));
        let change = Change { by_reference, by_value, ..Change::default() };
        let following = [others, updaters].concat();
        self.finish(&committer, change, &following, &joiners);
        self.members.extend(joiners);
    }

    fn finish(&mut self, committer: &str, change: Change, others: &[String], joiners: &[String]) {
        let (others, joiners): (Vec<&str>, Vec<&str>) = (
            others.iter().map(String::as_str).collect(),
            joiners.iter().map(String::as_str).collect(),
        );
        self.script.commit(committer, change, &others, &joiners);
    }
}
