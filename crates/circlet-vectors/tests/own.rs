//! Our own vectors, which are in the repository, and what generates them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::PathBuf;

use circlet_vectors::{
    Report, generate, provider, providers, type_names, verify_file, verify_json,
};
use serde_json::Value;

/// The seed of the vectors in the repository.
const SEED: u64 = 1;

fn path(type_name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    folder.join(format!("{type_name}.json"))
}

fn assert_all_passed(report: &Report, what: &str) {
    let failures: Vec<_> = report.rows.iter().filter_map(|row| row.first_failure.clone()).collect();
    assert!(failures.is_empty(), "{what}: {failures:?}");
    assert_eq!(report.failed(), 0, "{what}");
    assert!(report.passed() > 0, "{what}");
}

#[test]
fn every_provider_accepts_our_vectors() {
    for type_name in type_names() {
        for (provider_name, provider) in providers() {
            let report = verify_file(&path(type_name), provider).unwrap();
            assert_all_passed(&report, &format!("{type_name}, provider {provider_name}"));
            assert!(report.unsupported() == 0 || provider_name == "aws-lc", "{type_name}");
        }
    }
}

#[test]
fn our_vectors_are_all_types_and_small() {
    let mut total = 0;
    for entry in fs::read_dir(path("").parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let type_name = name.strip_suffix(".json").unwrap();
        assert!(type_names().any(|known| known == type_name), "{name} is of no known type");
        total += entry.metadata().unwrap().len();
    }
    assert!(total < 2 << 20, "the vectors have {total} bytes");
}

/// The portable provider's signatures are all deterministic.
#[test]
fn the_same_seed_gives_the_same_vectors() {
    for type_name in type_names() {
        let again = generate(type_name, SEED, provider("portable").unwrap()).unwrap();
        let committed = fs::read_to_string(path(type_name)).unwrap();
        assert!(
            again == committed,
            "{type_name} is generated differently: after an intended change, write them anew \
             with `circlet-vectors generate all --provider portable --out \
             crates/circlet-vectors/vectors`"
        );
    }
}

#[test]
fn another_seed_gives_other_vectors() {
    // What has no random part.
    let fixed = ["deserialization", "tree-math"];
    for type_name in type_names() {
        let [one, two] =
            [SEED, 2].map(|seed| generate(type_name, seed, provider("default").unwrap()).unwrap());
        assert_eq!(one == two, fixed.contains(&type_name), "{type_name}");
    }
}

/// Providers may draw nonces for ECDSA, so that only the shape is the same.
#[test]
fn what_one_provider_generates_every_other_accepts() {
    for type_name in type_names() {
        let committed = fs::read_to_string(path(type_name)).unwrap();
        let committed: Value = serde_json::from_str(&committed).unwrap();
        for (maker_name, maker) in providers() {
            let text = generate(type_name, SEED, maker).unwrap();
            let made: Value = serde_json::from_str(&text).unwrap();
            let what = format!("{type_name}, made by {maker_name}");
            if maker_name != "aws-lc" {
                assert_eq!(shape(&made), shape(&committed), "{what}");
            }
            for (checker_name, checker) in providers() {
                let report = verify_json(made.clone(), checker).unwrap();
                assert_all_passed(&report, &format!("{what}, checked by {checker_name}"));
            }
        }
    }
}

/// The value with every text replaced by an empty one.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::String(String::new()),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), shape(field))).collect()
        }
        other => other.clone(),
    }
}
