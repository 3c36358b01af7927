use std::fmt;
use std::path::PathBuf;

/// Why a command could not be done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The command line makes no sense.
    Usage(&'static str),
    /// A file can't be read or written.
    File(PathBuf, std::io::Error),
    /// A program can't be run.
    Program(&'static str, std::io::Error),
    /// What is written somewhere is wrong, by place.
    Wrong(Vec<String>),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(help) => write!(f, "there is no such command\n\n{help}"),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Program(name, error) => write!(f, "{name}: {error}"),
            Self::Wrong(lines) => f.write_str(&lines.join("\n")),
        }
    }
}

impl std::error::Error for Problem {}
