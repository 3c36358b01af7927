//! The tests, built so that a rule can be switched off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::problem::Problem;
use crate::scan::Test;

const PACKAGES: [&str; 3] = ["circlet", "circlet-vectors", "circlet-conformance"];

/// The binaries of tests, by the file that each is built from.
pub(crate) struct Binaries(BTreeMap<PathBuf, PathBuf>);

/// A test where it can be run.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
pub(crate) struct Located {
    pub(crate) binary: PathBuf,
    /// The folder that its tests run in.
    pub(crate) folder: PathBuf,
    /// Its name as the binary lists it.
    pub(crate) name: String,
}

/// Builds all tests with `--cfg circlet_mutate`, in a target folder of their own.
///
/// # Errors
/// They don't build.
pub(crate) fn build(root: &Path) -> Result<Binaries, Problem> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg circlet_mutate");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
        .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
        .env("RUSTFLAGS", flags.trim())
        .env("CARGO_TARGET_DIR", target.join("mutate"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Problem::Program("cargo", error))?;
    if !output.status.success() {
        return Err(Problem::Wrong(vec!["the tests don't build".to_owned()]));
    }
    Ok(binaries(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads cargo's messages.
fn binaries(messages: &str) -> Binaries {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifact = |message: Value| {
        let test = message.pointer("/profile/test")?.as_bool()?;
        let executable = message.get("executable")?.as_str()?;
        let source = message.pointer("/target/src_path")?.as_str()?;
        test.then(|| (source.into(), executable.into()))
    };
    Binaries(messages.filter_map(artifact).collect())
}

impl Binaries {
    /// Where a test is; `None` if its file is in no binary.
    pub(crate) fn find(&self, root: &Path, test: &Test) -> Option<Located> {
        let path = Path::new(&test.file);
        let folder: PathBuf = path.components().take(2).collect();
        let within = path.strip_prefix(&folder).ok()?;
        let mut parts: Vec<String> =
            within.with_extension("").iter().map(|part| part.to_string_lossy().into()).collect();
        if parts.last().is_some_and(|part| part == "mod") {
            parts.pop();
        }
        let kind = parts.first()?.clone();
        let (sources, depth) = match kind.as_str() {
            "src" => (vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()], 1),
            _ => {
                let name = parts.get(1)?;
                (vec![format!("tests/{name}.rs"), format!("tests/{name}/main.rs")], 2)
            }
        };
        let folder = root.join(folder);
        let binary = sources.iter().find_map(|source| self.0.get(&folder.join(source)))?.clone();
        let mut modules: Vec<String> = parts.split_off(depth);
        if modules.last().is_some_and(|part| matches!(part.as_str(), "lib" | "main")) {
            modules.pop();
        }
        modules.push(test.path.clone());
        Some(Located { binary, folder, name: modules.join("::") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_in_their_binary() {
        let message = |source: &str, executable: &str, test: bool| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"src_path\":\"/r/crates/{source}\"}},\
                 \"profile\":{{\"test\":{test}}},\"executable\":{executable}}}\n"
            )
        };
        let built = binaries(
            &[
                message("circlet/src/lib.rs", "null", false),
                message("circlet/src/lib.rs", "\"/t/lib\"", true),
                message("circlet/tests/cost.rs", "\"/t/cost\"", true),
                message("circlet/tests/client/main.rs", "\"/t/client\"", true),
                "not json\n".to_owned(),
            ]
            .concat(),
        );
        let find = |file: &str, path: &str| {
            let test = Test { file: format!("crates/{file}"), path: path.into(), ids: vec![] };
            let found = built.find(Path::new("/r"), &test)?;
            assert_eq!(found.folder, Path::new("/r/crates/circlet"));
            Some(format!("{} {}", found.binary.display(), found.name))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(find("circlet/src/codec/tests.rs", "a"), some("/t/lib codec::tests::a"));
        assert_eq!(find("circlet/src/tree/mod.rs", "tests::a"), some("/t/lib tree::tests::a"));
        assert_eq!(find("circlet/src/tree/tests/mod.rs", "a"), some("/t/lib tree::tests::a"));
        assert_eq!(find("circlet/src/lib.rs", "a"), some("/t/lib a"));
        assert_eq!(find("circlet/tests/cost.rs", "a"), some("/t/cost a"));
        assert_eq!(find("circlet/tests/client/main.rs", "a"), some("/t/client a"));
        assert_eq!(find("circlet/tests/client/late.rs", "a"), some("/t/client late::a"));
        assert_eq!(find("circlet/tests/other.rs", "a"), None);
        assert_eq!(find("circlet-vectors/src/cli.rs", "a"), None);
    }
}
