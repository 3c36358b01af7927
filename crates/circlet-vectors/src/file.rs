use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use circlet::crypto::CryptoProvider;
use serde_json::Value;

use crate::Problem;
use crate::env::Env;
use crate::registry::{Checked, Entry, Outcome};
use crate::seeded::SeededRng;
use crate::types::ALL;

/// What the check of one file gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The recognised type's name.
    pub type_name: &'static str,
    /// One row for each suite, ascending; cases without a suite come first.
    pub rows: Vec<Row>,
}

/// What the check of a file's cases of one suite gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The suite's code point; `None` for cases without one.
    pub suite: Option<u16>,
    /// Cases that are right.
    pub passed: usize,
    /// Cases that are wrong.
    pub failed: usize,
    /// Cases that could not be checked, since the provider does not have their suite.
    pub unsupported: usize,
    /// The first failure: which case, which field, why.
    pub first_failure: Option<String>,
}

impl Report {
    /// Cases that are right.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.rows.iter().map(|row| row.passed).sum()
    }

    /// Cases that are wrong.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.rows.iter().map(|row| row.failed).sum()
    }

    /// Cases whose suite the provider does not have.
    #[must_use]
    pub fn unsupported(&self) -> usize {
        self.rows.iter().map(|row| row.unsupported).sum()
    }
}

/// The names of all vector types, as [`generate`] takes them.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|entry| entry.name)
}

/// Recognises a file's type from its first case and checks every case.
///
/// # Errors
/// The file can't be read, is not JSON, or its type is not known. A case that is wrong is no
/// error: it is in the report.
pub fn verify_file(path: &Path, provider: Arc<dyn CryptoProvider>) -> Result<Report, Problem> {
    let file =
        File::open(path).map_err(|error| Problem::Unreadable { path: path.to_owned(), error })?;
    let json = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| Problem::NotJson { path: path.to_owned(), error })?;
    verify_json(json, provider).ok_or_else(|| Problem::Unrecognised(path.to_owned()))
}

/// As [`verify_file`]; `None` if the type is not known.
#[must_use]
pub fn verify_json(json: Value, provider: Arc<dyn CryptoProvider>) -> Option<Report> {
    let Value::Array(cases) = json else { return None };
    let entry = Entry::recognise(cases.first()?)?;
    let env = Env::new(provider);
    let mut rows = BTreeMap::<Option<u16>, Row>::new();
    for (number, case) in cases.into_iter().enumerate() {
        let Checked { suite, outcome } = (entry.check)(case, &env);
        let row = rows.entry(suite).or_insert_with(|| Row { suite, ..Row::default() });
        match outcome {
            Outcome::Passed => row.passed += 1,
            Outcome::Unsupported => row.unsupported += 1,
            Outcome::Failed(why) => {
                row.failed += 1;
                row.first_failure.get_or_insert_with(|| format!("[{number}].{why}"));
            }
        }
    }
    Some(Report { type_name: entry.name, rows: rows.into_values().collect() })
}

/// Makes vectors of a type for every suite of the provider, as a JSON text with one case per line.
/// They follow from the seed, except for ECDSA signatures of a provider that draws their nonces
/// itself.
///
/// # Errors
/// [`Problem::UnknownType`]; [`Problem::Ungenerated`] if the library has a bug.
pub fn generate(
    type_name: &str,
    seed: u64,
    provider: Arc<dyn CryptoProvider>,
) -> Result<String, Problem> {
    let entry =
        Entry::named(type_name).ok_or_else(|| Problem::UnknownType(type_name.to_owned()))?;
    let mut rng = SeededRng::new(Arc::clone(&provider), seed, entry.name);
    let cases = (entry.generate)(&Env::new(provider), &mut rng)
        .map_err(|error| Problem::Ungenerated { name: entry.name, why: error.to_string() })?;
    let lines: Vec<String> =
        cases.as_array().into_iter().flatten().map(|case| format!("  {case}")).collect();
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}
