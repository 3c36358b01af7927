//! `circlet-vectors verify` and `circlet-vectors generate`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| {
        // A name that is no Unicode is a file that isn't found.
        argument.to_string_lossy().into_owned()
    });
    match circlet_vectors::run(arguments, &mut std::io::stdout().lock()) {
        Ok(circlet_vectors::Verdict::Good) => ExitCode::SUCCESS,
        Ok(circlet_vectors::Verdict::Bad) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("error: {problem}");
            eprintln!("{}", problem.advice());
            ExitCode::from(2)
        }
    }
}
