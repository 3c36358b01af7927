use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use circlet::crypto::CryptoProvider;

use crate::file::{generate, type_names, verify_file};
use crate::table::{self, FileResult};
use crate::{Problem, provider};

const HELP: &str = "\
Checks and generates the test vectors of the MLS working group.

circlet-vectors verify PATH... [--provider NAME]
    Checks vector files, or all .json files of folders. Types are recognised by content.
    Exits with 1 if a case fails, a file is not recognised, or the provider lacks a suite.

circlet-vectors generate TYPE [--seed N] [--out FILE] [--provider NAME]
circlet-vectors generate all --out FOLDER [--seed N] [--provider NAME]
    Writes vectors of one type, or of all. The same seed gives the same vectors.

Providers: default, portable, and in builds with `--features aws-lc-rs` aws-lc.
";

/// Whether everything that was checked is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is.
    Good,
    /// Something is not: the output says what.
    Bad,
}

/// Runs a command line (without the program's name) and writes what it gives to `out`.
///
/// # Errors
/// The command can't be done. Vectors that are wrong are no error, but [`Verdict::Bad`].
pub fn run(
    arguments: impl IntoIterator<Item = String>,
    out: &mut dyn Write,
) -> Result<Verdict, Problem> {
    let options = Options::parse(arguments)?;
    let (command, operands) = match options.operands.split_first() {
        Some((command, operands)) if !options.help => (command.as_str(), operands),
        None if !options.help => {
            return Err(Problem::Usage("no command was given".to_owned()));
        }
        _ => {
            out.write_all(HELP.as_bytes())?;
            return Ok(Verdict::Good);
        }
    };
    match command {
        "verify" => verify(operands, &options, out),
        "generate" => write_vectors(operands, &options, out).map(|()| Verdict::Good),
        other => Err(Problem::Usage(format!("there is no command {other}"))),
    }
}

#[derive(Default)]
struct Options {
    operands: Vec<String>,
    provider: Option<String>,
    seed: Option<u64>,
    out: Option<PathBuf>,
    help: bool,
}

impl Options {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Problem> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || {
                let missing = || Problem::Usage(format!("{name} needs a value"));
                inline.clone().or_else(|| arguments.next()).ok_or_else(missing)
            };
            match name {
                "--help" | "-h" => options.help = true,
                "--provider" => options.provider = Some(value()?),
                "--out" => options.out = Some(value()?.into()),
                "--seed" => {
                    let seed = value()?;
                    let not_a_number =
                        |_| Problem::Usage(format!("the seed {seed} is not a number below 2^64"));
                    options.seed = Some(seed.parse().map_err(not_a_number)?);
                }
                name if name.starts_with('-') => {
                    return Err(Problem::Usage(format!("there is no option {name}")));
                }
                _ => options.operands.push(argument),
            }
        }
        Ok(options)
    }

    fn provider_name(&self) -> &str {
        self.provider.as_deref().unwrap_or("default")
    }

    fn provider(&self) -> Result<Arc<dyn CryptoProvider>, Problem> {
        provider(self.provider_name())
    }
}

fn verify(paths: &[String], options: &Options, out: &mut dyn Write) -> Result<Verdict, Problem> {
    if paths.is_empty() {
        return Err(Problem::Usage("no file or folder was given".to_owned()));
    }
    if options.seed.is_some() || options.out.is_some() {
        return Err(Problem::Usage("verify takes neither --seed nor --out".to_owned()));
    }
    let provider = options.provider()?;
    let (mut results, mut advice) = (Vec::new(), BTreeSet::new());
    let mut verdict = Verdict::Good;
    for path in files(paths)? {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let rows = match verify_file(&path, Arc::clone(&provider)) {
            Ok(report) => {
                if report.failed() > 0 || report.unsupported() > 0 {
                    verdict = Verdict::Bad;
                }
                Ok(report.rows)
            }
            // One file that can't be checked does not keep the others from being checked.
            Err(problem) => {
                verdict = Verdict::Bad;
                advice.insert(problem.advice());
                Err(problem.to_string())
            }
        };
        results.push(FileResult { file, rows });
    }
    table::print(&results, options.provider_name(), out)?;
    for advice in advice {
        writeln!(out, "{advice}")?;
    }
    Ok(verdict)
}

/// The files themselves, and of folders the `.json` files in them.
fn files(paths: &[String]) -> Result<Vec<PathBuf>, Problem> {
    let mut files = Vec::new();
    for path in paths.iter().map(PathBuf::from) {
        if path.is_dir() {
            files.extend(json_files(&path)?);
        } else if path.exists() {
            files.push(path);
        } else {
            let error = std::io::ErrorKind::NotFound.into();
            return Err(Problem::Unreadable { path, error });
        }
    }
    Ok(files)
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error| Problem::Unreadable { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Problem::EmptyFolder(folder.to_owned()));
    }
    files.sort();
    Ok(files)
}

fn write_vectors(
    operands: &[String],
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Problem> {
    let [type_name] = operands else {
        return Err(Problem::Usage("generate takes exactly one type, or `all`".to_owned()));
    };
    let provider = options.provider()?;
    let seed = options.seed.unwrap_or(1);
    if type_name != "all" {
        let text = generate(type_name, seed, provider)?;
        return match &options.out {
            Some(file) => write_file(file, &text),
            None => Ok(out.write_all(text.as_bytes())?),
        };
    }
    let Some(folder) = &options.out else {
        return Err(Problem::Usage("`generate all` needs --out FOLDER".to_owned()));
    };
    fs::create_dir_all(folder)
        .map_err(|error| Problem::Unwritable { path: folder.clone(), error })?;
    for type_name in type_names() {
        let text = generate(type_name, seed, Arc::clone(&provider))?;
        write_file(&folder.join(format!("{type_name}.json")), &text)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Problem> {
    fs::write(path, text).map_err(|error| Problem::Unwritable { path: path.to_owned(), error })
}
