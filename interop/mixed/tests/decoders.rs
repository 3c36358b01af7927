//! The three decoders before the same bytes: they differ for the reasons of DIFFERENCES.md, each of
//! them, and for no other.
//!
//! The working group's `messages.json` is read from the folder in `CIRCLET_TEST_VECTORS`, or else
//! from `../shared/vectors` beside the checkout. Where it is missing the test says so and passes;
//! with `CIRCLET_REQUIRE_VECTORS=1` it fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use circlet_mixed::decode::{Reason, Seen};

fn look_at(path: &Path) -> Seen {
    let text = fs::read_to_string(path).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut seen = Seen::default();
    for (number, entry) in entries.iter().enumerate() {
        seen.look_at_entry(entry).unwrap_or_else(|why| panic!("entry {number}: {why}"));
    }
    seen
}

#[track_caller]
fn agree_but_for_reasons(seen: &Seen) {
    assert!(seen.unexplained.is_empty(), "{:?}", seen.unexplained.first_key_value());
    // There is something to agree on.
    assert!(seen.read > seen.samples && seen.refused > seen.mutants / 2, "{}", seen.mutants);
}

#[test]
fn on_our_own_messages() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = manifest.join("../../crates/circlet-vectors/vectors/messages.json");
    agree_but_for_reasons(&look_at(&path));
}

#[test]
fn on_the_working_groups_messages() {
    let folder = match env::var_os("CIRCLET_TEST_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let path = folder.join("messages.json");
    if !path.is_file() {
        let required = env::var("CIRCLET_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
        assert!(!required, "{} is missing, and CIRCLET_REQUIRE_VECTORS=1", path.display());
        eprintln!("SKIPPED: {} is missing; set CIRCLET_TEST_VECTORS", path.display());
        return;
    }
    let seen = look_at(&path);
    assert_eq!(seen.samples, 300 * 16);
    agree_but_for_reasons(&seen);
    for reason in Reason::ALL {
        assert!(seen.explained.contains_key(&reason), "{reason:?} is no difference any more");
    }
}
