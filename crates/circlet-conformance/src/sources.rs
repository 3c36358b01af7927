//! The files that the table is made from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::Problem;
use crate::result::{self, Outcomes};
use crate::row::Rows;
use crate::scan::{Scan, scan};

const CRATE: &str = "crates/circlet-conformance";

/// The root of the repository: the nearest folder above that has this crate.
///
/// # Errors
/// There is none.
pub(crate) fn root() -> Result<PathBuf, Problem> {
    let here = std::env::current_dir().map_err(|error| Problem::File(".".into(), error))?;
    let found = here.ancestors().find(|folder| folder.join(CRATE).join("rows.txt").is_file());
    let missing = || Problem::Wrong(vec!["not in a checkout of Circlet".to_owned()]);
    found.map(Path::to_owned).ok_or_else(missing)
}

/// Where the results of the mutation run are.
pub(crate) fn mutations(root: &Path) -> PathBuf {
    root.join(CRATE).join("mutations.txt")
}

pub(crate) fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| Problem::File(path.to_owned(), error))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Problem> {
    fs::write(path, text).map_err(|error| Problem::File(path.to_owned(), error))
}

/// The rows.
///
/// # Errors
/// `rows.txt` is not well-formed.
pub(crate) fn rows(root: &Path) -> Result<Rows, Problem> {
    Rows::parse(&read(&root.join(CRATE).join("rows.txt"))?)
}

/// The results of the last mutation run; none if there was none.
///
/// # Errors
/// `mutations.txt` is not well-formed, or names a row that does not exist.
pub(crate) fn outcomes(root: &Path, rows: &Rows) -> Result<Outcomes, Problem> {
    let path = mutations(root);
    if !path.exists() {
        return Ok(Outcomes::new());
    }
    let outcomes = result::parse(&read(&path)?).map_err(Problem::Wrong)?;
    let order = rows.order();
    let unknown: Vec<String> = outcomes
        .keys()
        .filter(|id| !order.contains_key(id.as_str()))
        .map(|id| format!("mutations.txt: there is no row {id}"))
        .collect();
    if unknown.is_empty() { Ok(outcomes) } else { Err(Problem::Wrong(unknown)) }
}

/// What the sources say of the rows.
///
/// # Errors
/// An id in them is malformed, or of no row.
pub(crate) fn scanned(root: &Path, rows: &Rows) -> Result<Scan, Problem> {
    let mut found = Scan::default();
    for path in source_files(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        found.merge(scan(&name, &read(&path)?));
    }
    let order = rows.order();
    let unknown = found.named.iter().filter(|(id, _)| !order.contains_key(id.as_str()));
    let unknown = unknown.map(|(id, place)| format!("{place}: there is no row {id}"));
    found.wrong.extend(unknown.collect::<Vec<_>>());
    if found.wrong.is_empty() { Ok(found) } else { Err(Problem::Wrong(found.wrong)) }
}

/// The sources and tests of the workspace, in alphabetical order. This crate's own sources are no
/// source of truth: ids in them are examples.
pub(crate) fn source_files(root: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut folders = vec![
        root.join("crates/circlet/src"),
        root.join("crates/circlet/tests"),
        root.join("crates/circlet-vectors/src"),
        root.join("crates/circlet-vectors/tests"),
        root.join(CRATE).join("tests"),
    ];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let failed = |error| Problem::File(folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_name_rows_that_exist() {
        let root = root().unwrap();
        let rows = rows(&root).unwrap();
        let found = scanned(&root, &rows).unwrap();
        assert!(found.places.len() > 50 && found.tests.len() > 100);
        outcomes(&root, &rows).unwrap();
    }
}
