//! `circlet-conformance table` writes the conformance table, `circlet-conformance mutate` switches
//! each rule off and sees whether its test notices.

mod build;
mod id;
mod lexer;
mod mutate;
mod problem;
mod result;
mod row;
mod run;
mod scan;
mod sources;
mod table;
#[cfg(test)]
mod variants;

use std::io::Write;
use std::process::ExitCode;

use problem::Problem;

const HELP: &str = "\
The conformance table of Circlet.

circlet-conformance table
    Writes CONFORMANCE.md from rows.txt, mutations.txt and the sources.
circlet-conformance table --check
    Fails if CONFORMANCE.md is not what would be written, and says which lines differ.
circlet-conformance mutate [ROW...]
    Switches off the rule of each row (V-7.3-10, ...; all rows that have a test if none is named)
    and runs all of the row's tests. Writes to mutations.txt which of them notice.
";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Problem> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["table"] => table::write(&sources::root()?),
        ["table", "--check"] => table::check(&sources::root()?),
        ["mutate", rows @ ..] if rows.iter().all(|row| !row.starts_with('-')) => {
            mutate::mutate(&sources::root()?, rows)
        }
        ["--help" | "-h"] => {
            // Nobody is there to read it if this fails.
            let _ = std::io::stdout().lock().write_all(HELP.as_bytes());
            Ok(())
        }
        _ => Err(Problem::Usage(HELP)),
    }
}
