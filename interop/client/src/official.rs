//! The working group's own test runner: what it has written as a table like our runner's, and its
//! configurations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::Problem;
use crate::runner::{Report, Row};

/// The results of one configuration, as far as the table needs them.
#[derive(Deserialize)]
struct Results {
    scripts: BTreeMap<String, Vec<Case>>,
}

/// A configuration, whatever its scripts say.
#[derive(Serialize, Deserialize)]
struct Config {
    scripts: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Case {
    cipher_suite: u32,
    encrypt_flag: bool,
    actors: BTreeMap<String, String>,
    error: Option<serde_json::Value>,
    failed_step: Option<u64>,
}

/// Reads files named `CONFIG-SUITE.json` or `CONFIG.SCRIPT-SUITE.json`; a script of several suites is
/// one line. A file that does not have results, because the runner gave up, is a failed case of its
/// own, with the last line of the log beside it (`CONFIG-SUITE.json.log`).
///
/// # Errors
/// A file can't be read.
pub fn read(files: &[PathBuf]) -> Result<Report, Problem> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let config = stem.rsplit_once('-').map_or(&*stem, |(config, _)| config);
        let (config, only) = config
            .split_once('.')
            .map_or((config, None), |(config, script)| (config, Some(script)));
        let mut count = |script: &str, outcome: Result<(), String>| {
            let name = format!("{config}/{script}");
            rows.entry(name.clone()).or_insert_with(|| Row::new(name)).count(outcome);
        };
        let text = std::fs::read_to_string(file)?;
        let Ok(results) = serde_json::from_str::<Results>(&text) else {
            count(
                only.unwrap_or("(the runner gave up)"),
                Err(format!("{stem}: {}", last_line_of_log(file))),
            );
            continue;
        };
        for (script, cases) in &results.scripts {
            for case in cases {
                count(script, case.outcome());
            }
        }
    }
    Ok(Report { rows: rows.into_values().collect() })
}

/// Writes each script of these configurations into a file of its own, `CONFIG.SCRIPT.json`.
///
/// # Errors
/// A file can't be read or written, or is no configuration.
pub fn split(files: &[PathBuf], folder: &Path) -> Result<(), Problem> {
    std::fs::create_dir_all(folder)?;
    for file in files {
        let bad = |error: serde_json::Error| Problem::Config(file.clone(), error.to_string());
        let config: Config = serde_json::from_str(&std::fs::read_to_string(file)?).map_err(bad)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        for (name, script) in config.scripts {
            let one = Config { scripts: BTreeMap::from([(name.clone(), script)]) };
            let text = serde_json::to_string(&one).map_err(bad)?;
            std::fs::write(folder.join(format!("{stem}.{name}.json")), text)?;
        }
    }
    Ok(())
}

impl Case {
    fn outcome(&self) -> Result<(), String> {
        let Some(error) = &self.error else { return Ok(()) };
        let error = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        let format = if self.encrypt_flag { "private" } else { "public" };
        let roles = self.actors.iter().map(|(actor, client)| format!("{actor}={client}"));
        let roles: Vec<String> = roles.take(12).collect();
        let step = self.failed_step.map_or_else(|| "?".to_owned(), |step| step.to_string());
        let (suite, roles) = (self.cipher_suite, roles.join(" "));
        Err(format!("step {step}: {error} [suite {suite}, {format}, {roles}]"))
    }
}

fn last_line_of_log(file: &Path) -> String {
    let mut log = file.as_os_str().to_owned();
    log.push(".log");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("no results").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("circlet-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn configurations_are_split_into_their_scripts() {
        let folder = new_folder("split");
        let file = folder.join("commit.json");
        let (add, remove) = (r#"[{"action":"add"}]"#, r#"[{"action":"remove"}]"#);
        std::fs::write(&file, format!(r#"{{"scripts":{{"add":{add},"remove":{remove}}}}}"#))
            .unwrap();
        let into = folder.join("scripts");
        split(&[file], &into).unwrap();
        let text = |name: &str| std::fs::read_to_string(into.join(name)).unwrap();
        assert_eq!(text("commit.add.json"), format!(r#"{{"scripts":{{"add":{add}}}}}"#));
        assert_eq!(text("commit.remove.json"), format!(r#"{{"scripts":{{"remove":{remove}}}}}"#));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn cases_are_counted_by_script_over_all_suites() {
        let folder = new_folder("official");
        let case = |suite: u32, error: &str| {
            format!(
                r#"{{"cipher_suite": {suite}, "encrypt_flag": true, "actors": {{"alice": "us"}}{error}}}"#
            )
        };
        let failed = r#", "error": "no", "failed_step": 2, "failed_step_json": "{}""#;
        let one = format!(r#"{{"scripts": {{"add": [{}, {}]}}}}"#, case(1, ""), case(1, failed));
        let two = format!(r#"{{"scripts": {{"add": [{}]}}}}"#, case(2, r#", "error": null"#));
        let files = [
            ("commit-1.json", &*one),
            ("commit.add-2.json", &two),
            ("branch-1.json", ""),
            ("reinit.force_path-1.json", ""),
        ];
        let files = files.map(|(name, text)| {
            let file = folder.join(name);
            std::fs::write(&file, text).unwrap();
            file
        });
        for log in ["branch-1.json.log", "reinit.force_path-1.json.log"] {
            std::fs::write(folder.join(log), "first\npanic: so\n").unwrap();
        }

        let report = read(&files).unwrap();
        let row = |script: &str| report.rows.iter().find(|row| row.script == script).unwrap();
        assert_eq!((row("commit/add").passed, row("commit/add").failed), (2, 1));
        let error = "step 2: no [suite 1, private, alice=us]";
        assert_eq!(row("commit/add").error.as_deref(), Some(error));
        let gone = row("branch/(the runner gave up)");
        assert_eq!(gone.error.as_deref(), Some("branch-1: panic: so"));
        assert_eq!(row("reinit/force_path").failed, 1);
        assert!(!report.is_good());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
