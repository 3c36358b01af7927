//! The mutation run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use crate::build::{Binaries, Located, build};
use crate::problem::Problem;
use crate::result::{self, Outcome, Outcomes};
use crate::run::{Run, Runs, run};
use crate::scan::Test;
use crate::sources;

/// Runs the tests of these rows, or of all rows that have some, with the row's rule on and off,
/// and writes down which of them notice.
///
/// # Errors
/// A source is wrong, a row is unknown, has no test or no rule, or the tests don't build.
pub(crate) fn mutate(root: &Path, wanted: &[&str]) -> Result<(), Problem> {
    let rows = sources::rows(root)?;
    let found = sources::scanned(root, &rows)?;
    // Where a note stands for the row and no code has its id, there is no rule to switch off.
    let noted = rows.all().filter(|row| row.note.is_some()).map(|row| row.id.clone());
    let mut ruleless: BTreeSet<String> = noted.collect();
    found.places.iter().for_each(|place| _ = ruleless.remove(&place.id));
    let mut by_row: BTreeMap<String, Vec<Test>> = BTreeMap::new();
    for test in found.tests {
        for id in test.ids.iter().filter(|id| !ruleless.contains(*id)) {
            by_row.entry(id.clone()).or_default().push(test.clone());
        }
    }
    let untested = wanted.iter().filter(|row| !by_row.contains_key(**row));
    let untested: Vec<String> =
        untested.map(|row| format!("{row} has no test, or no rule")).collect();
    if !untested.is_empty() {
        return Err(Problem::Wrong(untested));
    }
    let mut outcomes = match wanted.is_empty() {
        true => Outcomes::new(),
        false => sources::outcomes(root, &rows)?,
    };
    by_row.retain(|row, _| wanted.is_empty() || wanted.contains(&row.as_str()));
    let mutation = Mutation::new(root, &build(root)?, by_row)?;
    println!("{} tests pass with all rules on", mutation.passed());
    let seen = mutation.all()?;
    println!("{}", Noticed::of(&seen, &mutation.rows));
    outcomes.extend(seen);
    let text = result::write(&outcomes, &rows.order());
    sources::write(&sources::mutations(root), &text)
}

/// A row's tests: what the table calls each, and where it is.
type Tests = Vec<(String, Option<Located>)>;

struct Mutation {
    rows: BTreeMap<String, Tests>,
    /// How tests ran with all rules on.
    unchanged: Runs,
}

impl Mutation {
    fn new(
        root: &Path,
        binaries: &Binaries,
        by_row: BTreeMap<String, Vec<Test>>,
    ) -> Result<Self, Problem> {
        let locate = |test: Test| (test.name(), binaries.find(root, &test));
        let rows: BTreeMap<String, Tests> = by_row
            .into_iter()
            .map(|(row, tests)| (row, tests.into_iter().map(locate).collect()))
            .collect();
        let all = rows.values().flatten().filter_map(|(_, located)| located.clone());
        let mut by_binary: BTreeMap<PathBuf, BTreeSet<Located>> = BTreeMap::new();
        for test in all {
            by_binary.entry(test.binary.clone()).or_default().insert(test);
        }
        let runs = in_parallel(by_binary.into_values().collect(), |tests| run(&tests, None))?;
        Ok(Self { rows, unchanged: runs.into_iter().flatten().collect() })
    }

    fn passed(&self) -> usize {
        self.unchanged.values().filter(|run| **run == Run::Passed).count()
    }

    fn all(&self) -> Result<Outcomes, Problem> {
        let outcomes = in_parallel(self.rows.iter().collect(), |(row, tests)| {
            let outcome = self.row(row, tests)?;
            println!("{row} {outcome}");
            Ok((row.clone(), outcome))
        })?;
        Ok(outcomes.into_iter().collect())
    }

    /// Which tests of a row fail without its rule.
    fn row(&self, row: &str, tests: &Tests) -> Result<Outcome, Problem> {
        let mut seen = Outcome::Survived;
        let mut sound = BTreeSet::new();
        for (name, located) in tests {
            match located.as_ref().and_then(|located| Some((located, self.unchanged.get(located)?)))
            {
                Some((located, Run::Passed)) => _ = sound.insert(located.clone()),
                Some((_, Run::Failed)) => return Ok(Outcome::Broken(name.clone())),
                Some((_, Run::TimedOut)) => return Ok(Outcome::TimedOut(name.clone())),
                Some((_, Run::Missing)) | None => seen = Outcome::NotBuilt(name.clone()),
            }
        }
        let runs = run(&sound, Some(row))?;
        let of = |wanted: Run| -> Vec<String> {
            let ran = |test: &Option<Located>| {
                test.as_ref().is_some_and(|test| runs.get(test) == Some(&wanted))
            };
            tests.iter().filter(|(_, test)| ran(test)).map(|(name, _)| name.clone()).collect()
        };
        let noticed = of(Run::Failed);
        Ok(match of(Run::TimedOut).pop() {
            _ if !noticed.is_empty() => Outcome::Killed(noticed),
            Some(name) => Outcome::TimedOut(name),
            None => seen,
        })
    }
}

/// How many of the tests that name a row noticed that its rule was off.
struct Noticed {
    noticed: usize,
    listed: usize,
}

impl Noticed {
    fn of(outcomes: &Outcomes, rows: &BTreeMap<String, Tests>) -> Self {
        let noticed = |outcome: &Outcome| match outcome {
            Outcome::Killed(tests) => tests.len(),
            _ => 0,
        };
        Self {
            noticed: outcomes.values().map(noticed).sum(),
            listed: rows.values().map(Vec::len).sum(),
        }
    }
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noticed, listed } = self;
        write!(f, "of {listed} pairs of a row and a test that names it, {noticed} noticed")
    }
}

/// Does a list of work, one piece for each processor at a time.
fn in_parallel<T: Send, R: Send>(
    work: Vec<T>,
    step: impl Fn(T) -> Result<R, Problem> + Sync,
) -> Result<Vec<R>, Problem> {
    let waiting: Mutex<VecDeque<T>> = Mutex::new(work.into());
    let next = || locked(&waiting).pop_front();
    let worker = || {
        let mut done = Vec::new();
        while let Some(piece) = next() {
            done.push(step(piece)?);
        }
        Ok(done)
    };
    let count = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let done: Result<Vec<R>, Problem> =
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.extend(done?);
        }
        Ok(all)
    })
}

/// What a worker that panicked held is still whole: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
