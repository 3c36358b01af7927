use std::collections::BTreeSet;

use circlet::crypto::Rng;
use serde_json::Value;

use crate::env::Env;
use crate::failure::Failure;
use crate::fields::field_names;
use crate::types::{ALL, VectorType};

/// A vector type behind function pointers, so that types of all kinds are in one list.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The names of a case's fields.
    fields: fn() -> &'static [&'static str],
    /// Checks one case.
    pub(crate) check: fn(Value, &Env) -> Checked,
    /// Makes cases, as a JSON array.
    pub(crate) generate: fn(&Env, &mut dyn Rng) -> Result<Value, Ungenerated>,
}

/// What a check of one case gave.
pub(crate) struct Checked {
    pub(crate) suite: Option<u16>,
    pub(crate) outcome: Outcome,
}

/// Whether a case is right.
pub(crate) enum Outcome {
    Passed,
    /// Where it failed and why.
    Failed(String),
    /// The provider does not have the case's suite.
    Unsupported,
}

/// Why no vectors were made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ungenerated {
    #[error("{0}")]
    Failed(Failure),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Entry {
    pub(crate) const fn of<T: VectorType>() -> Self {
        Self {
            name: T::NAME,
            fields: field_names::<T::Case>,
            check: check::<T>,
            generate: generate::<T>,
        }
    }

    /// The type with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|entry| entry.name == name)
    }

    /// The type whose cases have exactly the fields of this one.
    pub(crate) fn recognise(case: &Value) -> Option<&'static Self> {
        let given: BTreeSet<&str> = case.as_object()?.keys().map(String::as_str).collect();
        ALL.iter().find(|entry| (entry.fields)().iter().copied().collect::<BTreeSet<_>>() == given)
    }
}

fn check<T: VectorType>(case: Value, env: &Env) -> Checked {
    let case: T::Case = match serde_json::from_value(case) {
        Ok(case) => case,
        Err(error) => {
            let outcome = Outcome::Failed(format!("the case can't be read: {error}"));
            return Checked { suite: None, outcome };
        }
    };
    let suite = T::suite(&case);
    if suite.is_some_and(|suite| !env.suites().contains(&suite)) {
        return Checked { suite, outcome: Outcome::Unsupported };
    }
    let outcome = match T::verify(&case, env) {
        Ok(()) => Outcome::Passed,
        Err(failure) => Outcome::Failed(failure.to_string()),
    };
    Checked { suite, outcome }
}

fn generate<T: VectorType>(env: &Env, rng: &mut dyn Rng) -> Result<Value, Ungenerated> {
    let cases = T::generate(env, rng).map_err(Ungenerated::Failed)?;
    Ok(serde_json::to_value(cases)?)
}
