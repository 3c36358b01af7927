//! The working group's configurations: JSON files, one for each kind of script.
//!
//! A field's name may be written in either of the two ways that occur in these files, so that what a
//! script asks for is done.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::script::{Script, Step};
use crate::cli::Problem;

#[derive(Deserialize)]
struct File {
    scripts: BTreeMap<String, Vec<Step>>,
}

/// The scripts of all files of a folder, or of the one of this name. The long one counts only if it
/// is asked for.
pub(super) fn read(folder: &Path, only: Option<&str>) -> Result<Vec<Script>, Problem> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut scripts = Vec::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let config = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.is_some_and(|only| only != config) || only.is_none() && config == "deep_random" {
            continue;
        }
        let bad = |error: &dyn std::fmt::Display| Problem::Config(path.clone(), error.to_string());
        let text = std::fs::read(path).map_err(|error| bad(&error))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| bad(&error))?;
        let of_file = file.scripts.into_iter();
        scripts.extend(of_file.map(|(name, steps)| Script { config: config.clone(), name, steps }));
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::script::{Action, Description};

    #[test]
    fn a_file_in_the_format_of_the_working_group_is_read() {
        let text = r#"{"scripts": {"a": [
            {"action": "createGroup", "actor": "alice", "members": ["bob"]},
            {"action": "installExternalPSK", "clients": ["alice", "bob"]},
            {"action": "externalPSKProposal", "pskID": 1, "actor": "bob"},
            {"action": "groupContextExtensionsProposal", "actor": "alice", "extensions": [
                {"extension_type": 3, "extension_data": "AAAA"}
            ]},
            {"action": "fullCommit", "actor": "alice", "byReference": [2, 3], "force_path": true,
             "byValue": [
                {"proposalType": "remove", "removed": "bob"},
                {"proposalType": "reinit", "changeGroupID": true, "changeCipherSuite": true}
             ]},
            {"action": "reinit", "committer": "alice", "welcomer": "bob", "changeCiphersuite": true,
             "forcePath": true}
        ]}}"#;
        let file: File = serde_json::from_str(text).unwrap();
        let steps = &file.scripts["a"];
        assert!(matches!(&steps[0].action, Action::CreateGroup { members } if members == &["bob"]));
        assert!(matches!(steps[2].action, Action::ExternalPskProposal { psk: 1 }));
        let Action::GroupContextExtensionsProposal { extensions } = &steps[3].action else {
            panic!("{:?}", steps[3]);
        };
        assert_eq!(extensions[0].extension_data, [0, 0, 0]);
        let Action::FullCommit(commit) = &steps[4].action else { panic!("{:?}", steps[4]) };
        assert!(commit.change.force_path && !commit.change.external_tree);
        assert_eq!(commit.change.by_reference, [2, 3]);
        let Description::ReInit(parameters) = &commit.change.by_value[1] else { panic!() };
        assert!(parameters.change_group_id && parameters.change_cipher_suite);
        let Action::ReInit(reinit) = &steps[5].action else { panic!("{:?}", steps[5]) };
        assert!(reinit.parameters.change_cipher_suite && reinit.force_path);
        assert!(
            serde_json::from_str::<File>(r#"{"scripts": {"a": [{"action": "fly"}]}}"#).is_err()
        );
    }
}
