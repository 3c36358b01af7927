//! Random batches against the plainest store that does what [`Storage`] promises.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::{Batch, Key, Precondition, Prefix, Row, Storage, StorageError};
use super::everything;

type Components = Vec<&'static str>;

/// The store, with keys as lists of components: the model shares no code with `Key`.
#[derive(Clone, Default)]
struct Model {
    rows: BTreeMap<Components, (u64, Vec<u8>)>,
    revision: u64,
}

#[derive(Clone, Debug)]
struct Step {
    /// A key, and how far the revision asked for is from the row's own; `None` asks for absence.
    /// The flag makes it true of the model.
    preconditions: Vec<(Components, Option<u64>, bool)>,
    delete_prefixes: Vec<Components>,
    deletes: Vec<Components>,
    puts: Vec<(Components, Vec<u8>)>,
}

const CASES: u32 = 24;
const STEPS: usize = 16;

/// Runs random histories, all on one store: each begins by emptying it.
pub(super) fn follows_the_model(storage: &dyn Storage) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut revision = 0;
    let revision = std::cell::RefCell::new(&mut revision);
    TestRunner::new_with_rng(config, rng)
        .run(&vec(step(), 1..STEPS), |steps| {
            let all = Batch { delete_prefixes: vec![Prefix::new(&[])], ..Batch::default() };
            let mut newest = revision.borrow_mut();
            let mut model = Model { revision: storage.apply(all).unwrap(), ..Model::default() };
            prop_assert_eq!(model.revision, **newest + 1);
            **newest = model.revision;
            for step in steps {
                check(storage, &mut model, &step)?;
                **newest = model.revision;
            }
            Ok(())
        })
        .unwrap();
}

fn check(storage: &dyn Storage, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let step = model.fit(step);
    let batch = model.batch(&step);
    let expected = model.apply(&step);
    match storage.apply(batch) {
        Ok(revision) => prop_assert_eq!(Some(revision), expected),
        Err(StorageError::Conflict) => prop_assert_eq!(None, expected),
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    }
    prop_assert_eq!(everything(storage), model.below(&[]));
    for (components, (revision, value)) in &model.rows {
        let row = Row { revision: *revision, value: value.clone().into() };
        prop_assert_eq!(storage.read(&to_key(components)).unwrap(), Some(row));
    }
    for below in &step.delete_prefixes {
        let found = super::sorted(storage, &to_prefix(below));
        prop_assert_eq!(found, model.below(below));
    }
    Ok(())
}

impl Model {
    /// Turns preconditions that were to hold into such that do.
    fn fit(&self, step: &Step) -> Step {
        let mut step = step.clone();
        for (key, distance, holds) in &mut step.preconditions {
            if *holds {
                *distance = self.rows.contains_key(key).then_some(0);
            }
        }
        step
    }

    fn at(&self, key: &Components, distance: u64) -> u64 {
        self.rows.get(key).map_or(distance, |(revision, _)| revision + distance)
    }

    fn batch(&self, step: &Step) -> Batch {
        let precondition = |(key, distance, _): &(Components, Option<u64>, bool)| match distance {
            None => Precondition::Absent(to_key(key)),
            Some(distance) => Precondition::At(to_key(key), self.at(key, *distance)),
        };
        Batch {
            preconditions: step.preconditions.iter().map(precondition).collect(),
            delete_prefixes: step.delete_prefixes.iter().map(to_prefix).collect(),
            deletes: step.deletes.iter().map(to_key).collect(),
            puts: step.puts.iter().map(|(key, v)| (to_key(key), v.clone().into())).collect(),
        }
    }

    fn apply(&mut self, step: &Step) -> Option<u64> {
        for (key, distance, _) in &step.preconditions {
            let row = self.rows.get(key).map(|(revision, _)| *revision);
            if row != distance.map(|distance| self.at(key, distance)) {
                return None;
            }
        }
        self.revision += 1;
        for prefix in &step.delete_prefixes {
            self.rows.retain(|key, _| !key.starts_with(prefix));
        }
        for key in &step.deletes {
            self.rows.remove(key);
        }
        for (key, value) in &step.puts {
            self.rows.insert(key.clone(), (self.revision, value.clone()));
        }
        Some(self.revision)
    }

    fn below(&self, prefix: &[&'static str]) -> Vec<(Key, Row)> {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, (revision, value))| {
                (to_key(key), Row { revision: *revision, value: value.clone().into() })
            })
            .collect();
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows
    }
}

fn to_key(components: &Components) -> Key {
    super::key(components)
}

fn to_prefix(components: &Components) -> Prefix {
    super::prefix(components)
}

/// Few enough that keys meet, with the cases where components could run into each other.
fn components() -> impl Strategy<Value = Components> {
    let component = prop::sample::select(vec!["", "a", "b", "ab", "\0", "\0\0\0\u{1}a", "\u{ff}"]);
    vec(component, 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    let distance = prop::option::of(0..3u64);
    (
        vec((components(), distance, prop::bool::weighted(0.9)), 0..3),
        vec(components(), 0..2),
        vec(components(), 0..3),
        vec((components(), vec(any::<u8>(), 0..40)), 0..6),
    )
        .prop_map(|(preconditions, delete_prefixes, deletes, puts)| Step {
            preconditions,
            delete_prefixes,
            deletes,
            puts,
        })
}
