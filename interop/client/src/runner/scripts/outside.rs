//! From outside: external Commits and proposals of those who are no members.

use super::{
    Action, Description, ExternalJoin, ReInit, Script, StepIndex, names, no_requirements, refer,
    script,
};
use crate::runner::script::NewParameters;

/// Joining by an external Commit.
pub(super) fn external_join() -> Vec<Script> {
    let bob = || ExternalJoin { joiner: "bob".to_owned(), ..ExternalJoin::default() };
    vec![
        script("external_join", "normal", |s| {
            s.create("alice", &[]);
            s.step("alice", Action::ExternalJoin(bob()));
        }),
        script("external_join", "with_psk", |s| {
            s.create("alice", &[]);
            let psks = vec![s.psk(&["alice"])];
            s.step("alice", Action::ExternalJoin(ExternalJoin { psks, ..bob() }));
        }),
        script("external_join", "removing_prior", |s| {
            s.create("alice", &[]);
            s.step("alice", Action::ExternalJoin(bob()));
            s.step("alice", Action::ExternalJoin(ExternalJoin { remove_prior: true, ..bob() }));
        }),
        script("external_join", "with_external_tree", |s| {
            s.create("alice", &[]);
            s.step("alice", Action::ExternalJoin(ExternalJoin { external_tree: true, ..bob() }));
        }),
        script("external_join", "with_more_members", |s| {
            s.create("alice", &["bob", "charlie", "diana"]);
            let (joiner, members) = ("ellen".to_owned(), names(&["alice", "bob", "charlie"]));
            let join = ExternalJoin { joiner, members, ..ExternalJoin::default() };
            s.step("diana", Action::ExternalJoin(join));
        }),
    ]
}

/// A group with external signers, and what they propose.
struct Signed<'a> {
    script: &'a mut Script,
    others: &'a [&'a str],
}

impl Signed<'_> {
    /// Alice lets somebody propose from outside.
    fn admit(&mut self, signer: &str) {
        let signer = signer.to_owned();
        let admit = self.script.step("alice", Action::AddExternalSigner { signer });
        self.script.commit_these("alice", &[admit], self.others);
    }

    fn propose(&mut self, signer: &str, description: Description) -> StepIndex {
        let member = "alice".to_owned();
        self.script.step(signer, Action::ExternalSignerProposal { member, description })
    }
}

/// Proposals of those who are no members.
pub(super) fn external_proposals() -> Vec<Script> {
    vec![
        script("external_proposals", "joiner_signed_add", |s| {
            s.create("alice", &[]);
            let joiner = "bob".to_owned();
            let add = s.step("alice", Action::NewMemberAddProposal { joiner });
            s.commit("alice", refer(&[add]), &[], &["bob"]);
        }),
        signed("external_add", &["bob"], |mut group| {
            group.admit("ds");
            let key_package = group.script.key_package("charlie");
            let add = group.propose("ds", Description::Add { key_package });
            group.script.commit("alice", refer(&[add]), &["bob"], &["charlie"]);
        }),
        signed("external_remove", &["bob", "charlie"], |mut group| {
            group.admit("ds");
            let removed = "bob".to_owned();
            let remove = group.propose("ds", Description::Remove { removed });
            group.script.commit_these("alice", &[remove], &["charlie"]);
        }),
        signed("external_psk", &["bob", "charlie"], |mut group| {
            let psk = group.script.psk(&["alice", "bob", "charlie"]);
            group.admit("ds");
            propose_and_commit(group, "ds", vec![Description::ExternalPsk { psk }]);
        }),
        signed("resumption_psk", &["bob", "charlie"], |mut group| {
            group.admit("ds");
            propose_and_commit(group, "ds", vec![Description::ResumptionPsk { epoch: 2 }]);
        }),
        signed("group_context_extensions", &["bob", "charlie"], |mut group| {
            group.admit("ds");
            let extensions = vec![no_requirements()];
            let description = Description::GroupContextExtensions { extensions };
            propose_and_commit(group, "ds", vec![description]);
        }),
        signed("multiple_external", &["bob", "charlie"], |mut group| {
            let psks = [(); 2].map(|()| group.script.psk(&["alice", "bob", "charlie"]));
            group.admit("ds1");
            group.admit("ds2");
            let both = psks.map(|psk| Description::ExternalPsk { psk });
            propose_and_commit(group, "ds1", both.to_vec());
        }),
        signed("external_reinit", &["bob", "charlie"], external_reinit),
    ]
}

fn signed(name: &str, others: &[&str], write: impl FnOnce(Signed<'_>)) -> Script {
    script("external_proposals", name, |script| {
        script.create("alice", others);
        write(Signed { script, others });
    })
}

fn propose_and_commit(mut group: Signed<'_>, signer: &str, descriptions: Vec<Description>) {
    let proposals: Vec<_> =
        descriptions.into_iter().map(|words| group.propose(signer, words)).collect();
    group.script.commit_these("alice", &proposals, group.others);
}

fn external_reinit(mut group: Signed<'_>) {
    group.admit("ds");
    let parameters = NewParameters {
        extensions: vec![no_requirements()],
        change_group_id: true,
        change_cipher_suite: true,
    };
    let proposal = group.propose("ds", Description::ReInit(parameters));
    let reinit = ReInit {
        committer: "alice".to_owned(),
        welcomer: "bob".to_owned(),
        members: names(&["charlie"]),
        force_path: true,
        external_reinit_proposal: proposal,
        ..ReInit::default()
    };
    group.script.step("", Action::ReInit(reinit));
}
