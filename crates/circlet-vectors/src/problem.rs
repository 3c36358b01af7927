use std::path::PathBuf;

use thiserror::Error;

use crate::file::type_names;
use crate::providers::PROVIDERS;

/// Why a command can't be done. Displays what happened; [`Self::advice`] says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The command line says nothing that can be done.
    #[error("{0}")]
    Usage(String),
    /// There is no provider of this name, or not in this build.
    #[error("there is no provider {0} in this build")]
    UnknownProvider(String),
    /// There is no vector type of this name.
    #[error("there is no vector type {0}")]
    UnknownType(String),
    /// A file or folder can't be read.
    #[error("{path} can't be read: {error}", path = .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file or folder can't be written.
    #[error("{path} can't be written: {error}", path = .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A folder has no `.json` file.
    #[error("{} holds no .json file", .0.display())]
    EmptyFolder(PathBuf),
    /// A file is not JSON.
    #[error("{path} is not JSON: {error}", path = .path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: serde_json::Error,
    },
    /// A file holds no cases of a known type.
    #[error("{} is not recognised as test vectors", .0.display())]
    Unrecognised(PathBuf),
    /// No vectors could be made.
    #[error("no vectors of type {name} could be made: {why}")]
    Ungenerated {
        /// The type.
        name: &'static str,
        /// Where it failed and why.
        why: String,
    },
    /// The output can't be written to.
    #[error("the output can't be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Problem {
    /// What to do about it, in one line.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Usage(_) => "Run `circlet-vectors --help` to see the commands.".to_owned(),
            Self::UnknownProvider(_) => format!(
                "Choose one of: {}; aws-lc needs a build with `--features aws-lc-rs`.",
                PROVIDERS.join(", ")
            ),
            Self::UnknownType(_) => {
                format!("Choose one of: all, {}.", type_names().collect::<Vec<_>>().join(", "))
            }
            Self::Unreadable { .. } => "Check the path and its permissions.".to_owned(),
            Self::Unwritable { .. } | Self::Output(_) => {
                "Check that the place exists, may be written and has room.".to_owned()
            }
            Self::EmptyFolder(_) => {
                "Name a folder with vector files, or the files themselves.".to_owned()
            }
            Self::NotJson { .. } => "Fetch the file again: it may be cut off.".to_owned(),
            Self::Unrecognised(_) => format!(
                "Expected a JSON array of cases with the fields of one of: {}.",
                type_names().collect::<Vec<_>>().join(", ")
            ),
            Self::Ungenerated { .. } => "This is a bug in Circlet: please report it.".to_owned(),
        }
    }
}
