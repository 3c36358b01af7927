//! `CONFORMANCE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::problem::Problem;
use crate::result::{Outcome, Outcomes};
use crate::row::{Note, Row, Rows};
use crate::scan::{Place, Scan, Test};
use crate::sources;

const FILE: &str = "CONFORMANCE.md";

/// Writes `CONFORMANCE.md`.
///
/// # Errors
/// A source of it is wrong, or it can't be written.
pub(crate) fn write(root: &Path) -> Result<(), Problem> {
    let table = Table::load(root)?;
    sources::write(&root.join(FILE), &table.render())?;
    println!("{FILE}: {}", table.counts());
    Ok(())
}

/// Compares `CONFORMANCE.md` with what would be written.
///
/// # Errors
/// They differ: which lines do; or a source is wrong.
pub(crate) fn check(root: &Path) -> Result<(), Problem> {
    let table = Table::load(root)?;
    let (is, should) = (sources::read(&root.join(FILE))?, table.render());
    if is == should {
        println!("{FILE} is up to date: {}", table.counts());
        return Ok(());
    }
    let mut lines = differences(&is, &should);
    lines.insert(0, format!("{FILE} is not up to date: run circlet-conformance table"));
    Err(Problem::Wrong(lines))
}

/// Lines that only one of two texts has, in the form of a diff.
fn differences(is: &str, should: &str) -> Vec<String> {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (is.lines().collect(), should.lines().collect());
    let gone = is.lines().filter(|line| !new.contains(line)).map(|line| format!("-{line}"));
    let come = should.lines().filter(|line| !old.contains(line)).map(|line| format!("+{line}"));
    gone.chain(come).collect()
}

struct Table {
    rows: Rows,
    outcomes: Outcomes,
    places: BTreeMap<String, Vec<Place>>,
    tests: BTreeMap<String, Vec<Test>>,
}

/// What stands in a row's last column.
#[derive(Debug, PartialEq, Eq)]
enum Status<'a> {
    Shown,
    Note(&'a Note),
    /// The same, though the row has a place and tests: the mutation run went over them, and none
    /// failed.
    Survived(&'a Note),
    /// What the mutation run saw, where it was not a failing test.
    Open(Option<&'a Outcome>),
}

impl Table {
    fn load(root: &Path) -> Result<Self, Problem> {
        let rows = sources::rows(root)?;
        let outcomes = sources::outcomes(root, &rows)?;
        let scan = sources::scanned(root, &rows)?;
        Ok(Self::new(rows, outcomes, scan))
    }

    fn new(rows: Rows, outcomes: Outcomes, scan: Scan) -> Self {
        let mut table = Self { rows, outcomes, places: BTreeMap::new(), tests: BTreeMap::new() };
        for place in scan.places {
            table.places.entry(place.id.clone()).or_default().push(place);
        }
        for test in scan.tests {
            for id in &test.ids {
                table.tests.entry(id.clone()).or_default().push(test.clone());
            }
        }
        table
    }

    fn places(&self, row: &Row) -> &[Place] {
        self.places.get(&row.id).map_or(&[], Vec::as_slice)
    }

    fn tests(&self, row: &Row) -> &[Test] {
        self.tests.get(&row.id).map_or(&[], Vec::as_slice)
    }

    /// The row's tests that failed without its rule, as far as they are still there; none if the
    /// rule is gone.
    fn noticed(&self, row: &Row) -> Vec<&Test> {
        let Some(Outcome::Killed(names)) = self.outcomes.get(&row.id) else { return Vec::new() };
        if self.places(row).is_empty() {
            return Vec::new();
        }
        self.tests(row).iter().filter(|test| names.contains(&test.name())).collect()
    }

    fn status<'a>(&'a self, row: &'a Row) -> Status<'a> {
        let outcome = self.outcomes.get(&row.id);
        match (outcome, &row.note) {
            (Some(Outcome::Killed(_)), _) if !self.noticed(row).is_empty() => Status::Shown,
            (outcome, Some(Note::But(_))) => {
                Status::Open(outcome.filter(|seen| !matches!(seen, Outcome::Killed(_))))
            }
            (Some(Outcome::Survived), Some(note)) => Status::Survived(note),
            (_, Some(note)) => Status::Note(note),
            // What a test showed that is gone, or of a rule that is, counts no longer.
            (Some(Outcome::Killed(_)), None) => Status::Open(None),
            (outcome, None) => Status::Open(outcome),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in self.rows.all() {
            let status = self.status(row);
            counts.survived += usize::from(matches!(status, Status::Survived(_)));
            let count = match status {
                Status::Shown => &mut counts.shown,
                Status::Note(note) | Status::Survived(note) => counts.of_note(note),
                Status::Open(_) => &mut counts.open,
            };
            *count += 1;
        }
        counts
    }

    fn render(&self) -> String {
        let mut text = introduction(&self.counts());
        for section in &self.rows.sections {
            // Writing to a string does not fail.
            let _ = write!(text, "\n## {} {}\n\n{HEAD}", section.number, section.title);
            for row in &section.rows {
                text.push_str(&self.line(row));
            }
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let places = self.places(row).iter().map(|place| link(&place.file, &place.item));
        let noticed = self.noticed(row);
        let (showing, beside): (Vec<&Test>, Vec<&Test>) =
            self.tests(row).iter().partition(|test| noticed.contains(test));
        let showing = showing.into_iter().map(|test| link(&test.file, &test.path));
        let beside = beside.into_iter().map(|test| format!("({})", link(&test.file, &test.path)));
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            row.id,
            row.level,
            escaped(&row.demand),
            places.collect::<Vec<_>>().join("<br>"),
            showing.chain(beside).collect::<Vec<_>>().join("<br>"),
            last_column(&self.status(row), row),
        )
    }
}

fn last_column(status: &Status<'_>, row: &Row) -> String {
    match status {
        Status::Shown => match &row.note {
            Some(Note::But(text)) => format!("killed, but {}", escaped(text)),
            _ => "killed".to_owned(),
        },
        Status::Note(note) => noted(note, ""),
        Status::Survived(note) => noted(note, ", survived"),
        Status::Open(Some(Outcome::Survived)) => "open (its tests pass without it)".to_owned(),
        Status::Open(Some(Outcome::Broken(_))) => "open (a test fails)".to_owned(),
        Status::Open(Some(Outcome::TimedOut(_))) => "open (a test takes too long)".to_owned(),
        Status::Open(_) => "open".to_owned(),
    }
}

fn noted(note: &Note, survived: &str) -> String {
    let (kind, text) = match note {
        Note::Type(text) => ("by type", text),
        Note::Value(text) => ("by value", text),
        Note::Untested(text) => ("untested", text),
        Note::Wrong(text) => ("row wrong", text),
        Note::But(text) => ("open, but", text),
    };
    format!("{kind}{survived}: {}", escaped(text))
}

fn link(file: &str, item: &str) -> String {
    let short = file.strip_prefix("crates/circlet/src/").unwrap_or(file);
    let short = short.strip_prefix("crates/").unwrap_or(short);
    format!("[{short}::{item}]({file})")
}

/// Text that has no meaning to Markdown.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '|' | '<' | '>' | '*' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    shown: usize,
    by_type: usize,
    by_value: usize,
    untested: usize,
    wrong: usize,
    open: usize,
    /// Of these, those that have a note and survived.
    survived: usize,
}

impl Counts {
    fn of_note(&mut self, note: &Note) -> &mut usize {
        match note {
            Note::Type(_) => &mut self.by_type,
            Note::Value(_) => &mut self.by_value,
            Note::Untested(_) => &mut self.untested,
            Note::Wrong(_) => &mut self.wrong,
            Note::But(_) => &mut self.open,
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, by_type, by_value, untested, wrong, open, survived } = self;
        write!(
            f,
            "{shown} enforced and shown, {by_type} by type, {by_value} by value, \
             {untested} untested with reason, {wrong} rows wrong, {open} open; \
             {survived} with a reason survived the mutation run"
        )
    }
}

const HEAD: &str = "\
| id | level | demand | enforced in | shown by | result |
|---|---|---|---|---|---|
";

fn introduction(counts: &Counts) -> String {
    let Counts { shown, by_type, by_value, untested, wrong, open, survived } = counts;
    let all = shown + by_type + by_value + untested + wrong + open;
    format!(
        "\
# Conformance

What [RFC 9420](https://www.rfc-editor.org/rfc/rfc9420) demands, and what Circlet does about it: one
row per demand. A row's id has the number of its section; its level is M for MUST, S for SHOULD, I for
what is implied. The demands are in our words: where a row and the RFC differ, the RFC is right.

This file is written by `cargo run -p circlet-conformance -- table`; don't edit it. The rows are in
`crates/circlet-conformance/rows.txt`, the places and the tests are those whose comments or names have
the row's id, and the results are from the mutation run (`crates/circlet-conformance/mutations.txt`):
it switches off the rule of one row and runs that row's tests. Where a row demands that something is
accepted, its switch adds the refusal that the row forbids (in the sources: `tolerate_…`).

A row is shown by the tests that fail while it is switched. Tests in parentheses name the row too, and
go with it: they pass without its rule, or there is no rule that could be switched off. See
[CONTRIBUTING.md](CONTRIBUTING.md) for how a rule gets its row.

| result | rows | means |
|---|---|---|
| killed | {shown} | without the rule a test of it fails |
| by type | {by_type} | what the row forbids can't be expressed, or there is nothing to go on with |
| by value | {by_value} | a computation, whose result the named vectors compare |
| untested | {untested} | for the reason that is given |
| row wrong | {wrong} | the row misreads the RFC |
| open | {open} | not done, or not shown |
| | {all} | |

{survived} of the rows by type and by value have survived: they have a place and tests, the mutation
run went over them, and no test failed. No switch leaves these rules out, since without what enforces
them there is nothing to go on with, or no one line that does: their tests show that the forbidden is
refused, and not what refuses it.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;

    const ROWS: &str = "\
## 7.3 Leaves
V-7.3-01 M Shown <T>.
    but: not always
V-7.3-02 M Survived.
V-7.3-03 M Without a test.
V-7.3-04 S By value.
    value: a|b.json
V-7.3-05 I Its test is gone.
V-7.3-06 I No place.
V-7.3-07 I Survived, with a reason.
    type: a|b
";
    const LIBRARY: &str = "/// V-7.3-01 to V-7.3-03: so.\nfn f() {}\n/// V-7.3-05\nfn g() {}\n";
    const TESTS: &str = "/// V-7.3-01\n#[test]\nfn a_too() {}\n#[test]\nfn v_7_3_01_a() {}\n\
        /// V-7.3-02, V-7.3-06\n#[test]\nfn b() {}\n";
    const RESULTS: &str = "\
V-7.3-01 killed by crates/circlet/tests/t.rs::v_7_3_01_a, crates/circlet/tests/t.rs::gone
V-7.3-02 survived
V-7.3-05 killed by crates/circlet/tests/t.rs::gone
V-7.3-06 killed by crates/circlet/tests/t.rs::b
V-7.3-07 survived
";

    fn table() -> Table {
        let mut found = scan("crates/circlet/src/a.rs", LIBRARY);
        found.merge(scan("crates/circlet/tests/t.rs", TESTS));
        let outcomes = crate::result::parse(RESULTS).unwrap();
        Table::new(Rows::parse(ROWS).unwrap(), outcomes, found)
    }

    #[test]
    fn a_row_counts_only_with_place_test_and_result() {
        let table = table();
        let lines: Vec<String> = table.rows.all().map(|row| table.line(row)).collect();
        let a = "[a.rs::f](crates/circlet/src/a.rs)";
        let t = |name| format!("[circlet/tests/t.rs::{name}](crates/circlet/tests/t.rs)");
        assert_eq!(
            lines,
            [
                format!(
                    "| V-7.3-01 | M | Shown \\<T\\>. | {a} | {}<br>({}) | killed, but not always |\n",
                    t("v_7_3_01_a"),
                    t("a_too"),
                ),
                format!(
                    "| V-7.3-02 | M | Survived. | {a} | ({}) | open (its tests pass without it) |\n",
                    t("b")
                ),
                format!("| V-7.3-03 | M | Without a test. | {a} |  | open |\n"),
                "| V-7.3-04 | S | By value. |  |  | by value: a\\|b.json |\n".to_owned(),
                "| V-7.3-05 | I | Its test is gone. | [a.rs::g](crates/circlet/src/a.rs) |  | open |\n"
                    .to_owned(),
                format!("| V-7.3-06 | I | No place. |  | ({}) | open |\n", t("b")),
                "| V-7.3-07 | I | Survived, with a reason. |  |  | by type, survived: a\\|b |\n"
                    .to_owned(),
            ]
        );
        let counts =
            Counts { shown: 1, by_type: 1, by_value: 1, open: 4, survived: 1, ..Counts::default() };
        assert_eq!(table.counts(), counts);
        assert!(table.render().contains("| killed | 1 | "));
        assert!(table.render().contains("\n1 of the rows by type and by value have survived: "));
    }

    #[test]
    fn differences_name_the_lines() {
        assert_eq!(differences("a\nb\nc\n", "a\nB\nc\n"), ["-b", "+B"]);
    }
}
