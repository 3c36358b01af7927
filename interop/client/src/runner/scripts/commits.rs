//! Commits of every kind of proposal, by reference and by value.

use super::{
    Change, Description, Script, StepIndex, no_external_senders, no_requirements, refer, script,
};

/// All of them are Alice's.
pub(super) fn commit() -> Vec<Script> {
    vec![
        script("commit", "empty", |s| {
            s.create("alice", &["bob"]);
            s.commit_these("alice", &[], &["bob"]);
        }),
        script("commit", "add", add),
        script("commit", "remove", remove),
        script("commit", "update", |s| {
            s.create("alice", &["bob"]);
            let update = s.update("bob");
            s.commit_these("alice", &[update], &["bob"]);
        }),
        script("commit", "group_context_extensions", group_context_extensions),
        script("commit", "external_psk", external_psk),
        script("commit", "resumption_psk", resumption_psk),
        script("commit", "all_together_alice_proposes", |s| all_together(s, "alice")),
        script("commit", "all_together_bob_proposes", |s| all_together(s, "bob")),
    ]
}

/// Three are added by two proposers and the committer; then three more, without a path.
fn add(s: &mut Script) {
    s.create("alice", &["bob"]);
    add_three(s, ["charlie1", "charlie2", "charlie3"], &["bob"], true);
    let members = ["bob", "charlie1", "charlie2"];
    add_three(s, ["charlie4", "charlie5", "charlie6"], &members, false);
}

fn add_three(s: &mut Script, joiners: [&str; 3], members: &[&str], force_path: bool) {
    let [first, second, third] = joiners.map(|joiner| s.key_package(joiner));
    let by_reference = vec![s.add("alice", first), s.add("bob", second)];
    let by_value = vec![Description::Add { key_package: third }];
    let change = Change { by_reference, by_value, force_path, ..Change::default() };
    s.commit("alice", change, members, &joiners);
}

fn remove(s: &mut Script) {
    s.create("alice", &["bob"]);
    let joiners = ["charlie1", "charlie2", "charlie3"];
    let key_packages = joiners.map(|joiner| s.key_package(joiner));
    let adds = key_packages.map(|key_package| s.add("alice", key_package));
    s.commit("alice", refer(&adds), &["bob"], &joiners);

    let by_reference = vec![s.remove("alice", "charlie1"), s.remove("bob", "charlie2")];
    let by_value = vec![removed("charlie3")];
    s.commit("alice", Change { by_reference, by_value, ..Change::default() }, &["bob"], &[]);
}

fn removed(name: &str) -> Description {
    Description::Remove { removed: name.to_owned() }
}

/// Extensions come, go and come back.
fn group_context_extensions(s: &mut Script) {
    s.create("alice", &["bob"]);
    let both = s.extend("alice", vec![no_requirements(), no_external_senders()]);
    s.commit_these("alice", &[both], &["bob"]);
    let none = s.extend("bob", Vec::new());
    s.commit_these("alice", &[none], &["bob"]);
    let by_value =
        vec![Description::GroupContextExtensions { extensions: vec![no_requirements()] }];
    s.commit("alice", Change { by_value, ..Change::default() }, &["bob"], &[]);
}

/// Three keys from three sides, with a path and without.
fn external_psk(s: &mut Script) {
    s.create("alice", &["bob"]);
    let psks = [(); 3].map(|()| s.psk(&["alice", "bob"]));
    for force_path in [true, false] {
        let [first, second, psk] = psks;
        let by_reference = vec![s.inject("alice", first), s.inject("bob", second)];
        let by_value = vec![Description::ExternalPsk { psk }];
        let change = Change { by_reference, by_value, force_path, ..Change::default() };
        s.commit("alice", change, &["bob"], &[]);
    }
}

/// Keys of this epoch and of two before.
fn resumption_psk(s: &mut Script) {
    s.create("alice", &["bob"]);
    s.commit_these("alice", &[], &["bob"]);
    s.commit_these("alice", &[], &["bob"]);
    for present in [3, 4] {
        let by_reference = vec![s.resume("alice", present - 2), s.resume("bob", present - 1)];
        let by_value = vec![Description::ResumptionPsk { epoch: present }];
        let change = Change { by_reference, by_value, force_path: true, ..Change::default() };
        s.commit("alice", change, &["bob"], &[]);
    }
}

/// One Commit with all kinds of proposals of one proposer, and more by value.
fn all_together(s: &mut Script, proposer: &str) {
    s.create("alice", &["bob"]);
    let joiners = ["charlie1", "charlie2"];
    let key_packages = joiners.map(|joiner| s.key_package(joiner));
    let adds = key_packages.map(|key_package| s.add("alice", key_package));
    s.commit("alice", refer(&adds), &["bob"], &joiners);
    let first: StepIndex = s.psk(&["alice", "bob"]);
    let second = s.psk(&["alice", "bob"]);

    let mut by_reference = vec![
        s.invite(proposer, "charlie3"),
        s.remove(proposer, "charlie1"),
        s.extend(proposer, vec![no_requirements(), no_external_senders()]),
        s.inject(proposer, first),
        s.resume(proposer, 1),
    ];
    if proposer != "alice" {
        by_reference.push(s.update(proposer));
    }
    let by_value = vec![
        Description::Add { key_package: s.key_package("charlie4") },
        removed("charlie2"),
        Description::ExternalPsk { psk: second },
        Description::ResumptionPsk { epoch: 2 },
    ];
    s.commit("alice", Change { by_reference, by_value, ..Change::default() }, &["bob"], &[]);
}
