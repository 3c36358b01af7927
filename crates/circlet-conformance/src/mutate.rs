//! The mutation run.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use crate::build::{Binaries, Located, build};
use crate::problem::Problem;
use crate::result::{self, Outcome, Outcomes};
use crate::run::{Run, run as run_test};
use crate::scan::Test;
use crate::sources;

/// Runs the tests of these rows, or of all rows that have some, with the row's rule on and off,
/// and writes down what happens.
///
/// # Errors
/// A source is wrong, a row is unknown or has no test, or the tests don't build.
pub(crate) fn run(root: &Path, wanted: &[&str]) -> Result<(), Problem> {
    let rows = sources::rows(root)?;
    let mut by_row: BTreeMap<String, Vec<Test>> = BTreeMap::new();
    for test in sources::scanned(root, &rows)?.tests {
        for id in &test.ids {
            by_row.entry(id.clone()).or_default().push(test.clone());
        }
    }
    let untested = wanted.iter().filter(|row| !by_row.contains_key(**row));
    let untested: Vec<String> = untested.map(|row| format!("{row} has no test")).collect();
    if !untested.is_empty() {
        return Err(Problem::Wrong(untested));
    }
    let mut outcomes = match wanted.is_empty() {
        true => Outcomes::new(),
        false => sources::outcomes(root, &rows)?,
    };
    by_row.retain(|row, _| wanted.is_empty() || wanted.contains(&row.as_str()));
    outcomes.extend(Mutation::new(root, build(root)?).all(by_row)?);
    let text = result::write(&outcomes, &rows.order());
    sources::write(&sources::mutations(root), &text)
}

struct Mutation<'a> {
    root: &'a Path,
    binaries: Binaries,
    /// How tests ran with all rules on.
    unchanged: Mutex<BTreeMap<Located, Run>>,
}

impl<'a> Mutation<'a> {
    fn new(root: &'a Path, binaries: Binaries) -> Self {
        Self { root, binaries, unchanged: Mutex::default() }
    }

    fn all(&self, rows: BTreeMap<String, Vec<Test>>) -> Result<Outcomes, Problem> {
        let waiting: Mutex<VecDeque<_>> = Mutex::new(rows.into_iter().collect());
        let work = || {
            let mut outcomes = Outcomes::new();
            while let Some((row, tests)) = locked(&waiting).pop_front() {
                let outcome = self.row(&row, &tests)?;
                println!("{row} {outcome}");
                outcomes.insert(row, outcome);
            }
            Ok(outcomes)
        };
        let count = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            let mut all = Outcomes::new();
            for worker in workers {
                let outcomes =
                    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.extend(outcomes?);
            }
            Ok(all)
        })
    }

    /// The first test of a row that fails without its rule.
    fn row(&self, row: &str, tests: &[Test]) -> Result<Outcome, Problem> {
        let mut seen = Outcome::Survived;
        for test in tests {
            let Some(located) = self.binaries.find(self.root, test) else {
                seen = Outcome::NotBuilt(test.name());
                continue;
            };
            match self.with_all_rules(&located)? {
                Run::Passed => {}
                Run::Failed => return Ok(Outcome::Broken(test.name())),
                Run::TimedOut => return Ok(Outcome::TimedOut(test.name())),
                Run::Missing => {
                    seen = Outcome::NotBuilt(test.name());
                    continue;
                }
            }
            match run_test(&located, Some(row))? {
                Run::Failed => return Ok(Outcome::Killed(test.name())),
                Run::TimedOut => seen = Outcome::TimedOut(test.name()),
                Run::Passed | Run::Missing => {}
            }
        }
        Ok(seen)
    }

    /// Runs a test once with all rules on, whatever the number of its rows.
    fn with_all_rules(&self, test: &Located) -> Result<Run, Problem> {
        if let Some(run) = locked(&self.unchanged).get(test) {
            return Ok(*run);
        }
        let run = run_test(test, None)?;
        locked(&self.unchanged).insert(test.clone(), run);
        Ok(run)
    }
}

/// What a worker that panicked held is still whole: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
