//! Circlet in the working group's interoperability harness: `circlet-interop serve`.

use std::process::ExitCode;

use circlet_interop::cli;

fn main() -> ExitCode {
    match cli::run(std::env::args().skip(1), &mut std::io::stdout()) {
        Ok(cli::Verdict::Good) => ExitCode::SUCCESS,
        Ok(cli::Verdict::Bad) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("circlet-interop: {problem}");
            ExitCode::from(2)
        }
    }
}
