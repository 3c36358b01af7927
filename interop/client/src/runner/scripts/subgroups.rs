//! Groups that continue others.

use super::{Action, Branch, ReInit, Script, names, no_external_senders, no_requirements, script};
use crate::runner::script::NewParameters;

const OTHERS: &[&str] = &["bob", "charlie", "diana", "eliza"];

/// Alice proposes, Bob commits, Charlie welcomes, unless Alice does it all.
pub(super) fn reinit() -> Vec<Script> {
    let usual = || ReInit {
        proposer: "alice".to_owned(),
        committer: "bob".to_owned(),
        welcomer: "charlie".to_owned(),
        members: names(&["diana", "eliza"]),
        ..ReInit::default()
    };
    let another_id = || NewParameters { change_group_id: true, ..NewParameters::default() };
    let with = |name, reinit: ReInit| {
        script("reinit", name, |s| {
            s.create("alice", OTHERS);
            s.step("", Action::ReInit(reinit));
        })
    };
    let suite = NewParameters { change_cipher_suite: true, ..NewParameters::default() };
    let extensions = vec![no_requirements(), no_external_senders()];
    let extended = NewParameters { extensions, ..NewParameters::default() };
    let alone = ReInit {
        committer: "alice".to_owned(),
        welcomer: "alice".to_owned(),
        members: names(OTHERS),
        parameters: another_id(),
        ..usual()
    };
    let outside = ReInit { parameters: another_id(), external_tree: true, ..usual() };
    let with_path = ReInit { parameters: another_id(), force_path: true, ..usual() };
    vec![
        with("change_ciphersuite", ReInit { parameters: suite, ..usual() }),
        with("change_group_id", ReInit { parameters: another_id(), ..usual() }),
        with("change_extensions", ReInit { parameters: extended, ..usual() }),
        with("all_same_actor", alone),
        with("external_tree", outside),
        with("force_path", with_path),
    ]
}

/// All members of a group in another one.
pub(super) fn branch() -> Vec<Script> {
    let base = || Branch { members: names(OTHERS), ..Branch::default() };
    let with = |name, branch: Branch| {
        script("branch", name, |s| {
            s.create("alice", OTHERS);
            s.step("alice", Action::Branch(branch));
        })
    };
    let extensions = vec![no_requirements(), no_external_senders()];
    vec![
        with("base", base()),
        with("with_extensions", Branch { extensions, ..base() }),
        with("external_tree", Branch { external_tree: true, ..base() }),
        with("force_path", Branch { force_path: true, ..base() }),
    ]
}
