//! Running one test, with a rule on or off.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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

/// Runs a test by its exact name, with the rule of the row `off` switched off.
///
/// # Errors
/// The binary can't be run.
pub(crate) fn run(test: &Located, off: Option<&str>) -> Result<Run, Problem> {
    let mut command = Command::new(&test.binary);
    command
        .current_dir(&test.folder)
        .args([test.name.as_str(), "--exact", "--include-ignored", "--test-threads=1"])
        .env_remove("CIRCLET_MUTATE")
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
    let output = drain(&mut child);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if began.elapsed() > LIMIT {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok(Run::TimedOut);
        }
        thread::sleep(Duration::from_millis(5));
    };
    let output = output.and_then(|output| output.join().ok()).unwrap_or_default();
    Ok(match status.success() {
        false => Run::Failed,
        true if output.contains("test result: ok. 1 passed") => Run::Passed,
        true => Run::Missing,
    })
}

/// Reads what a test says while it runs, so that it never waits for a reader.
fn drain(child: &mut Child) -> Option<thread::JoinHandle<String>> {
    let mut stdout = child.stdout.take()?;
    Some(thread::spawn(move || {
        let mut text = Vec::new();
        // What was read before an error is enough.
        let _ = stdout.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run by the test below: fails if this rule is off.
    #[test]
    fn probe() {
        assert_ne!(std::env::var("CIRCLET_MUTATE").as_deref(), Ok("V-0.0-00"));
    }

    #[test]
    fn a_run_is_told_by_what_the_test_does() {
        let located = |name: &str| Located {
            binary: std::env::current_exe().unwrap(),
            folder: ".".into(),
            name: format!("run::tests::{name}"),
        };
        assert_eq!(run(&located("probe"), None).unwrap(), Run::Passed);
        assert_eq!(run(&located("probe"), Some("V-0.0-01")).unwrap(), Run::Passed);
        assert_eq!(run(&located("probe"), Some("V-0.0-00")).unwrap(), Run::Failed);
        assert_eq!(run(&located("prob"), None).unwrap(), Run::Missing);
    }
}
