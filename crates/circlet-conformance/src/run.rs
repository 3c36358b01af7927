//! Running tests, with a rule on or off.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::build::Located;
use crate::problem::Problem;

/// What a test did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Passed,
    Failed,
    TimedOut,
    /// The binary has no such test.
    Missing,
}

/// The longest that one test may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What tests did.
pub(crate) type Runs = BTreeMap<Located, Run>;

/// Runs tests by their exact names, one after the other, with the rule of the row `off` switched
/// off. Those of one binary share a process, as long as none of them takes it down.
///
/// # Errors
/// A binary can't be run.
pub(crate) fn run(tests: &BTreeSet<Located>, off: Option<&str>) -> Result<Runs, Problem> {
    let tests: Vec<&Located> = tests.iter().collect();
    let mut runs = Runs::new();
    for of_binary in tests.chunk_by(|a, b| a.binary == b.binary) {
        let mut waiting = of_binary.to_vec();
        while !waiting.is_empty() {
            let before = waiting.len();
            let seen = in_one_process(&waiting, off)?;
            waiting.retain(|test| match seen.runs.get(&test.name) {
                Some(run) => runs.insert((*test).clone(), *run).is_some(),
                None => true,
            });
            if seen.ended || waiting.len() == before {
                runs.extend(waiting.drain(..).map(|test| (test.clone(), Run::Missing)));
            }
        }
    }
    Ok(runs)
}

/// What a process said before it ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// By the name of the test.
    runs: BTreeMap<String, Run>,
    /// Whether it came to the end of its list.
    ended: bool,
}

fn in_one_process(tests: &[&Located], off: Option<&str>) -> Result<Seen, Problem> {
    let Some(first) = tests.first() else { return Ok(Seen::default()) };
    let mut command = Command::new(&first.binary);
    command
        .current_dir(&first.folder)
        .args(tests.iter().map(|test| test.name.as_str()))
        .args(["--exact", "--include-ignored", "--test-threads=1"])
        .env_remove("CIRCLET_MUTATE")
        // Nobody reads how a test failed.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if std::env::var_os("CIRCLET_REQUIRE_VECTORS").is_none() {
        // A test that passes because its vectors are missing shows nothing.
        command.env("CIRCLET_REQUIRE_VECTORS", "1");
    }
    if let Some(row) = off {
        command.env("CIRCLET_MUTATE", row);
    }
    let failed = |error| Problem::Program("a test", error);
    let mut child = command.spawn().map_err(failed)?;
    let output = listen(&mut child);
    let mut text = Vec::new();
    // Each test says something when it begins and when it ends.
    let stopped_by = loop {
        match output.recv_timeout(LIMIT) {
            Ok(bytes) => text.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => break Run::Failed,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().map_err(failed)?;
                break Run::TimedOut;
            }
        }
    };
    child.wait().map_err(failed)?;
    Ok(seen(&String::from_utf8_lossy(&text), stopped_by))
}

/// Hands on what a process says, until it says nothing more.
fn listen(child: &mut Child) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // What was read before an error is enough.
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let read = buffer.get(..count).unwrap_or_default().to_vec();
                if sender.send(read).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// Reads the lines `test NAME ... ok`. The test whose line has no end was stopped.
fn seen(text: &str, stopped_by: Run) -> Seen {
    let mut seen = Seen::default();
    for line in text.lines() {
        let Some(line) = line.strip_prefix("test ") else { continue };
        if line.starts_with("result: ") {
            seen.ended = true;
            break;
        }
        let Some((name, verdict)) = line.split_once(" ... ") else { continue };
        let name = name.trim_end_matches(" - should panic").to_owned();
        let run = match verdict {
            "ok" => Run::Passed,
            _ if verdict.starts_with("FAILED") => Run::Failed,
            _ => stopped_by,
        };
        seen.runs.insert(name, run);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run by the test below: dies if this rule is off.
    #[test]
    fn a_probe_that_dies() {
        if std::env::var("CIRCLET_MUTATE").as_deref() == Ok("V-0.0-01") {
            std::process::abort();
        }
    }

    /// Run by the test below: fails if this rule is off.
    #[test]
    fn probe() {
        assert_ne!(std::env::var("CIRCLET_MUTATE").as_deref(), Ok("V-0.0-00"));
    }

    #[test]
    fn a_run_is_told_by_what_each_test_does() {
        let located = |name: &str| Located {
            binary: std::env::current_exe().unwrap(),
            folder: ".".into(),
            name: format!("run::tests::{name}"),
        };
        let tests = ["a_probe_that_dies", "prob", "probe"].map(located).into();
        let ran = |off| run(&tests, off).unwrap().into_values().collect::<Vec<_>>();
        assert_eq!(ran(None), [Run::Passed, Run::Missing, Run::Passed]);
        assert_eq!(ran(Some("V-0.0-00")), [Run::Passed, Run::Missing, Run::Failed]);
        // Those after one that takes the process down run in another.
        assert_eq!(ran(Some("V-0.0-01")), [Run::Failed, Run::Missing, Run::Passed]);
    }

    #[test]
    fn lines_of_a_run() {
        let text = "\nrunning 4 tests\ntest a::b ... ok\ntest c - should panic ... FAILED\n";
        let expected = [("a::b".to_owned(), Run::Passed), ("c".to_owned(), Run::Failed)];
        let found = seen(&format!("{text}test d ... "), Run::TimedOut);
        assert!(!found.ended);
        assert_eq!(found.runs.get("d"), Some(&Run::TimedOut));
        assert!(expected.iter().all(|(name, run)| found.runs.get(name) == Some(run)));
        let found = seen(&format!("{text}\ntest result: FAILED. 1 passed\n"), Run::Failed);
        assert_eq!(found, Seen { runs: expected.into(), ended: true });
    }
}
