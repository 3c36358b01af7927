use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What came of all scripts.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each script.
    pub rows: Vec<Row>,
}

/// What came of one script: a line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Kind and name.
    pub script: String,
    /// How many cases passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// Why the first of them did.
    pub error: Option<String>,
}

impl Report {
    /// Whether there were cases, and all passed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_good)
    }

    /// How many scripts passed in all their cases.
    #[must_use]
    pub fn scripts_passed(&self) -> usize {
        self.rows.iter().filter(|row| row.is_good()).count()
    }

    /// The table in Markdown, shorter: a line for each kind of scripts, and one for each script of
    /// which a case failed.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut kinds: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let kind = row.script.split_once('/').map_or(&*row.script, |(kind, _)| kind);
            kinds.entry(kind).or_default().push(row);
        }
        let mut text = String::from("| scripts | passed | cases | passed | first error |\n");
        text.push_str("|---|---|---|---|---|\n");
        for (kind, rows) in kinds {
            let sum = |count: fn(&Row) -> usize| rows.iter().map(|row| count(row)).sum::<usize>();
            let (cases, passed) = (sum(|row| row.passed + row.failed), sum(|row| row.passed));
            let good = rows.iter().filter(|row| row.is_good()).count();
            let all = rows.len();
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {kind} | {good} of {all} | {cases} | {passed} | |");
            for row in rows.iter().filter(|row| !row.is_good()) {
                let error = cell(row.error.as_deref().unwrap_or_default());
                let (script, cases, passed) = (&row.script, row.passed + row.failed, row.passed);
                let _ = writeln!(text, "| {script} | | {cases} | {passed} | {error} |");
            }
        }
        let _ = writeln!(text, "\n{}.", self.summary());
        text
    }

    /// The line after the table.
    #[must_use]
    pub fn summary(&self) -> String {
        let cases: usize = self.rows.iter().map(|row| row.passed + row.failed).sum();
        let passed: usize = self.rows.iter().map(|row| row.passed).sum();
        let (good, all) = (self.scripts_passed(), self.rows.len());
        format!("{good} of {all} scripts passed in all their cases, {passed} of {cases} cases")
    }
}

/// As the content of a cell of a Markdown table.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

impl Row {
    /// What stands over the lines.
    pub const HEAD: &'static str =
        "script                                            cases  passed  failed  first error";

    pub(crate) fn new(script: String) -> Self {
        Self { script, passed: 0, failed: 0, error: None }
    }

    /// Whether there were cases, and all passed.
    fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    pub(crate) fn count(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                self.error.get_or_insert(error);
            }
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { script, passed, failed, error } = self;
        let error = error.as_deref().unwrap_or_default();
        let cases = passed + failed;
        write!(
            f,
            "{}",
            format!("{script:<48}  {cases:>5}  {passed:>6}  {failed:>6}  {error}").trim_end()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_sums_up_what_passed_and_names_what_did_not() {
        let row = |script: &str, passed, error: Option<&str>| Row {
            script: script.into(),
            passed,
            failed: usize::from(error.is_some()),
            error: error.map(Into::into),
        };
        let rows = vec![
            row("commit/add", 4, None),
            row("branch/base", 2, None),
            row("commit/remove", 3, Some("step 1:\na | <b")),
        ];
        let text = Report { rows }.markdown();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| branch | 1 of 1 | 2 | 2 | |",
                "| commit | 1 of 2 | 8 | 7 | |",
                "| commit/remove | | 4 | 3 | step 1: a \\| &lt;b |",
                "",
                "2 of 3 scripts passed in all their cases, 9 of 10 cases.",
            ]
        );
    }
}
