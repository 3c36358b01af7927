//! Checks and generates the test vectors of the MLS working group.
//!
//! [`verify_file`] recognises a file's type from its content and checks every case in it;
//! [`generate`] writes cases of the same formats, so that others can check Circlet.

mod cli;
mod env;
mod failure;
mod fields;
mod file;
mod hex_bytes;
mod problem;
mod providers;
mod registry;
mod seeded;
mod table;
mod types;

pub use cli::{Verdict, run};
pub use file::{Report, Row, generate, type_names, verify_file, verify_json};
pub use problem::Problem;
pub use providers::{provider, providers};
