use std::fmt;

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
        !self.rows.is_empty() && self.rows.iter().all(|row| row.failed == 0 && row.passed > 0)
    }

    /// How many scripts passed in all their cases.
    #[must_use]
    pub fn scripts_passed(&self) -> usize {
        self.rows.iter().filter(|row| row.failed == 0 && row.passed > 0).count()
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

impl Row {
    /// What stands over the lines.
    pub const HEAD: &'static str =
        "script                                            cases  passed  failed  first error";

    pub(crate) fn new(script: String) -> Self {
        Self { script, passed: 0, failed: 0, error: None }
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
