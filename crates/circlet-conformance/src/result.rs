//! `mutations.txt`: what the mutation run saw, one line per row.

use std::collections::BTreeMap;
use std::fmt;

/// What happened to a row's tests while its rule was off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// These tests failed: one at least. The row's other tests passed.
    Killed(Vec<String>),
    /// All passed: they don't show the rule, or it is not switched.
    Survived,
    /// This test fails also while the rule is on.
    Broken(String),
    /// This test did not end in time.
    TimedOut(String),
    /// This test is in no binary that was built.
    NotBuilt(String),
}

const SURVIVED: &str = "survived";
const KILLED: &str = "killed by ";
const BETWEEN: &str = ", ";
const BROKEN: &str = "fails with the rule on: ";
const TIMED_OUT: &str = "not ended in time: ";
const NOT_BUILT: &str = "not built: ";

impl Outcome {
    fn parse(text: &str) -> Option<Self> {
        if text == SURVIVED {
            return Some(Self::Survived);
        }
        if let Some(tests) = text.strip_prefix(KILLED) {
            let tests: Vec<String> = tests.split(BETWEEN).map(str::to_owned).collect();
            let none = tests.iter().any(|test| test.trim().is_empty());
            return (!none).then_some(Self::Killed(tests));
        }
        type Make = fn(String) -> Outcome;
        let forms: [(&str, Make); 3] =
            [(BROKEN, Self::Broken), (TIMED_OUT, Self::TimedOut), (NOT_BUILT, Self::NotBuilt)];
        let make = |(form, make): (&str, Make)| text.strip_prefix(form).map(|t| make(t.to_owned()));
        forms.into_iter().find_map(make)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(tests) => write!(f, "{KILLED}{}", tests.join(BETWEEN)),
            Self::Survived => f.write_str(SURVIVED),
            Self::Broken(test) => write!(f, "{BROKEN}{test}"),
            Self::TimedOut(test) => write!(f, "{TIMED_OUT}{test}"),
            Self::NotBuilt(test) => write!(f, "{NOT_BUILT}{test}"),
        }
    }
}

/// By row.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

/// Reads `mutations.txt`.
///
/// # Errors
/// The lines that make no sense.
pub(crate) fn parse(text: &str) -> Result<Outcomes, Vec<String>> {
    let (mut outcomes, mut wrong) = (Outcomes::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let parsed = line.split_once(' ').and_then(|(id, text)| Some((id, Outcome::parse(text)?)));
        match parsed {
            Some((id, outcome)) if !outcomes.contains_key(id) => {
                outcomes.insert(id.to_owned(), outcome);
            }
            _ => wrong.push(format!("mutations.txt:{}: {line}", index + 1)),
        }
    }
    if wrong.is_empty() { Ok(outcomes) } else { Err(wrong) }
}

/// Writes `mutations.txt`, in the order of the rows.
pub(crate) fn write(outcomes: &Outcomes, order: &BTreeMap<&str, usize>) -> String {
    let mut lines: Vec<_> = outcomes.iter().collect();
    lines.sort_by_key(|(id, _)| order.get(id.as_str()));
    lines.into_iter().map(|(id, outcome)| format!("{id} {outcome}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "V-2.0-02 survived\nV-2.0-01 killed by a::b, c/d.rs::e\nV-10.0-01 not built: c::d\n\
                    V-10.0-02 fails with the rule on: e\nV-10.0-03 not ended in time: f\n";
        let outcomes = parse(text).unwrap();
        let order = BTreeMap::from([
            ("V-2.0-02", 0),
            ("V-2.0-01", 1),
            ("V-10.0-01", 2),
            ("V-10.0-02", 3),
            ("V-10.0-03", 4),
        ]);
        assert_eq!(write(&outcomes, &order), text);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("V-2.0-01 alive\n").is_err());
        // Killed by nothing.
        assert!(parse("V-2.0-01 killed by \n").is_err());
        assert!(parse("V-2.0-01 killed by a, \n").is_err());
        assert!(parse("V-2.0-01 survived\nV-2.0-01 survived\n").is_err());
    }
}
