use std::io::{self, Write};

use circlet::crypto::CipherSuite;

use crate::file::Row;

/// What is printed of one file: its rows, or why there are none.
pub(crate) struct FileResult {
    pub(crate) file: String,
    pub(crate) rows: Result<Vec<Row>, String>,
}

/// Prints a line per file and suite and a line for all together.
pub(crate) fn print(results: &[FileResult], provider: &str, out: &mut dyn Write) -> io::Result<()> {
    let width = results.iter().map(|result| result.file.len()).max().unwrap_or(0).max(4);
    let (mut passed, mut failed, mut unsupported, mut unread) = (0, 0, 0, 0);
    writeln!(out, "{:width$}  suite  passed  failed  why", "file")?;
    for FileResult { file, rows } in results {
        let rows = match rows {
            Ok(rows) => rows,
            Err(why) => {
                unread += 1;
                writeln!(out, "{file:width$}  {:>5}  {:>6}  {:>6}  {why}", "-", "-", "-")?;
                continue;
            }
        };
        for row in rows {
            passed += row.passed;
            failed += row.failed;
            unsupported += row.unsupported;
            let suite = row.suite.map_or_else(|| "-".to_owned(), |suite| suite.to_string());
            let why = why(row, provider);
            let line =
                format!("{file:width$}  {suite:>5}  {:>6}  {:>6}  {why}", row.passed, row.failed);
            writeln!(out, "{}", line.trim_end())?;
        }
    }
    let (files, cases) = (count(results.len(), "file"), count(passed, "case"));
    writeln!(out)?;
    write!(out, "{files} with provider {provider}: {cases} passed, {failed} failed")?;
    if unsupported > 0 {
        write!(out, ", {unsupported} of unsupported suites")?;
    }
    if unread > 0 {
        write!(out, ", {} not checked", count(unread, "file"))?;
    }
    writeln!(out, ".")
}

fn why(row: &Row, provider: &str) -> String {
    let unsupported = (row.unsupported > 0).then(|| {
        let suite = CipherSuite(row.suite.unwrap_or_default());
        let cases = count(row.unsupported, "case");
        format!("{cases}: provider {provider} does not have suite {suite}")
    });
    let why: Vec<String> = row.first_failure.iter().cloned().chain(unsupported).collect();
    why.join("; ")
}

fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
