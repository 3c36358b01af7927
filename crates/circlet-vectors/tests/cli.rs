//! The commands, as they are typed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use circlet_vectors::{Problem, Verdict, run, type_names};

fn own() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// What a command line gives, and its output.
fn command(arguments: &[&str]) -> (Result<Verdict, Problem>, String) {
    let mut out = Vec::new();
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    let result = run(arguments, &mut out);
    (result, String::from_utf8(out).unwrap())
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_folder_gives_a_table_with_a_line_per_suite() {
    let (result, out) = command(&["verify", text(&own())]);
    assert_eq!(result.unwrap(), Verdict::Good, "{out}");
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["file", "suite", "passed", "failed", "why"]);
    for suite in ["1", "2", "3", "4", "5", "6", "7"] {
        let line = ["crypto-basics.json", suite, "1", "0"];
        assert!(lines.iter().any(|found| *found == line), "{out}");
    }
    assert!(out.contains(" 0 failed."), "{out}");
}

#[test]
fn files_are_recognised_by_content_and_one_bad_one_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(own().join("psk_secret.json"), folder.path().join("a.json")).unwrap();
    fs::write(folder.path().join("b.json"), "[{\"something\": \"else\"}]").unwrap();
    fs::write(folder.path().join("c.json"), "[{").unwrap();
    fs::write(folder.path().join("d.json"), "[]").unwrap();
    let wrong = fs::read_to_string(own().join("tree-math.json")).unwrap();
    let wrong = wrong.replacen("\"root\":0", "\"root\":5", 1);
    fs::write(folder.path().join("e.json"), wrong).unwrap();
    fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();

    let (result, out) = command(&["verify", "--provider=portable", text(folder.path())]);
    assert_eq!(result.unwrap(), Verdict::Bad);
    let line = |file: &str| out.lines().find(|line| line.starts_with(file)).unwrap().to_owned();
    assert!(line("a.json").contains("     4       0"), "{out}");
    assert!(line("b.json").contains("not recognised"), "{out}");
    assert!(line("c.json").contains("is not JSON"), "{out}");
    assert!(line("d.json").contains("not recognised"), "{out}");
    assert!(line("e.json").contains("[0].root: differs"), "{out}");
    assert!(out.contains("5 files with provider portable"), "{out}");
    assert!(out.contains("1 failed, 3 files not checked."), "{out}");
    assert!(!out.contains("notes.txt"), "{out}");
}

#[test]
fn a_suite_that_the_provider_lacks_is_said_and_bad() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("psk.json");
    let case = "{\"cipher_suite\":61440,\"psks\":[],\"psk_secret\":\"\"}";
    fs::write(&file, format!("[{case},{case}]")).unwrap();
    let (result, out) = command(&["verify", text(&file)]);
    assert_eq!(result.unwrap(), Verdict::Bad);
    assert!(out.contains("2 cases: provider default does not have suite 0xf000"), "{out}");
}

#[test]
fn what_is_generated_can_be_verified() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let (result, printed) = command(&["generate", "all", "--seed", "7", "--out", text(&out)]);
    assert_eq!((result.unwrap(), printed.as_str()), (Verdict::Good, ""));
    assert_eq!(fs::read_dir(&out).unwrap().count(), type_names().count());
    let (result, table) = command(&["verify", text(&out)]);
    assert_eq!(result.unwrap(), Verdict::Good, "{table}");

    let file = folder.path().join("one.json");
    let (_, printed) = command(&["generate", "tree-math"]);
    command(&["generate", "tree-math", "--out", text(&file)]).0.unwrap();
    assert_eq!(printed, fs::read_to_string(&file).unwrap());
}

#[test]
fn what_cannot_be_done_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let empty = text(folder.path());
    for (arguments, what, advice) in [
        (vec![], "no command", "--help"),
        (vec!["frobnicate"], "no command frobnicate", "--help"),
        (vec!["verify"], "no file or folder", "--help"),
        (vec!["verify", "/no/such/file"], "/no/such/file can't be read", "Check the path"),
        (vec!["verify", empty], "holds no .json", "Name a folder"),
        (vec!["verify", empty, "--seed", "1"], "neither --seed", "--help"),
        (vec!["verify", empty, "--provider", "best"], "no provider best", "default, portable"),
        (vec!["verify", empty, "--fast"], "no option --fast", "--help"),
        (vec!["verify", empty, "--provider"], "--provider needs a value", "--help"),
        (vec!["generate"], "exactly one type", "--help"),
        (vec!["generate", "all"], "needs --out", "--help"),
        (vec!["generate", "poems"], "no vector type poems", "crypto-basics"),
        (vec!["generate", "tree-math", "--seed", "x"], "seed x is not a number", "--help"),
        (vec!["generate", "tree-math", "--out", empty], "can't be written", "Check that"),
    ] {
        let problem = command(&arguments).0.unwrap_err();
        assert!(problem.to_string().contains(what), "{arguments:?}: {problem}");
        assert!(problem.advice().contains(advice), "{arguments:?}: {}", problem.advice());
        assert!(!problem.to_string().contains('\n') && !problem.advice().contains('\n'));
    }
    let (result, help) = command(&["verify", "--help"]);
    assert_eq!(result.unwrap(), Verdict::Good);
    assert!(help.contains("circlet-vectors generate"), "{help}");
}
