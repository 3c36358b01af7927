//! The working group's vectors: all types, all suites, every provider of this build.
//!
//! They are read from the folder in `CIRCLET_TEST_VECTORS`, or else from `../shared/vectors` beside
//! the checkout. Where there is no such folder or file the test says so and passes; with
//! `CIRCLET_REQUIRE_VECTORS=1` it fails.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::path::PathBuf;

use circlet_vectors::{providers, verify_file};

/// What a file holds at least.
struct Expected {
    cases: usize,
    suites: &'static [u16],
}

const NONE: &[u16] = &[];
const FIRST: &[u16] = &[1];
const ALL: &[u16] = &[1, 2, 3, 4, 5, 6, 7];

macro_rules! files {
    ($($test:ident $file:literal $cases:literal $suites:ident;)*) => {
        $(
            #[test]
            fn $test() {
                check($file, Expected { cases: $cases, suites: $suites });
            }
        )*
    };
}

files! {
    crypto_basics "crypto-basics" 7 ALL;
    deserialization "deserialization" 14 NONE;
    key_schedule "key-schedule" 7 ALL;
    message_protection "message-protection" 7 ALL;
    messages "messages" 300 NONE;
    passive_client_handling_commit "passive-client-handling-commit" 91 ALL;
    passive_client_random "passive-client-random" 1 FIRST;
    passive_client_welcome "passive-client-welcome" 56 ALL;
    psk_secret "psk_secret" 77 ALL;
    secret_tree "secret-tree" 21 ALL;
    transcript_hashes "transcript-hashes" 7 ALL;
    tree_math "tree-math" 10 NONE;
    tree_operations "tree-operations" 5 FIRST;
    tree_validation "tree-validation" 98 ALL;
    treekem "treekem" 77 ALL;
    welcome "welcome" 7 ALL;
}

fn check(name: &str, expected: Expected) {
    let folder = folder();
    let path = folder.join(format!("{name}.json"));
    if !path.is_file() {
        let required = env::var("CIRCLET_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
        assert!(!required, "{} is missing, and CIRCLET_REQUIRE_VECTORS=1", path.display());
        // Not `eprintln!`, which is not shown when a test passes.
        let place = path.display();
        let message = format!("SKIPPED {name}: {place} is missing; set CIRCLET_TEST_VECTORS\n");
        std::io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    for (provider_name, provider) in providers() {
        let known: BTreeSet<u16> = provider.suites().iter().map(|spec| spec.suite.0).collect();
        let report = verify_file(&path, provider).unwrap();
        let mut suites = BTreeSet::new();
        for row in &report.rows {
            let place = format!("{name}, suite {:?}, provider {provider_name}", row.suite);
            assert_eq!(row.first_failure, None, "{place}");
            assert_eq!(row.failed, 0, "{place}");
            suites.extend(row.suite);
            // Of the providers only one over AWS-LC has fewer suites than the RFC.
            let is_known = row.suite.is_none_or(|suite| known.contains(&suite));
            assert!(is_known || provider_name == "aws-lc", "{place}");
            assert_eq!(row.unsupported > 0, !is_known, "{place}");
        }
        assert_eq!(suites, expected.suites.iter().copied().collect(), "{name}");
        let cases = report.passed() + report.unsupported();
        assert!(cases >= expected.cases, "{name} has only {cases} cases");
    }
}

fn folder() -> PathBuf {
    match env::var_os("CIRCLET_TEST_VECTORS") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    }
}
