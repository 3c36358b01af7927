//! The scripts: what the working group's configurations make happen, in our own words, under the
//! names that its tables have.

mod commits;
mod deep_random;
mod outside;
mod subgroups;
mod welcomes;

use super::script::{
    Action, Branch, Change, Description, Extension, ExternalJoin, FullCommit, ReInit, Script, Step,
    StepIndex,
};

pub(super) use deep_random::deep_random;

/// All scripts but the long one.
#[must_use]
pub(super) fn all() -> Vec<Script> {
    [
        welcomes::welcome_join(),
        welcomes::application(),
        commits::commit(),
        outside::external_join(),
        outside::external_proposals(),
        subgroups::reinit(),
        subgroups::branch(),
    ]
    .concat()
}

/// A required_capabilities extension that requires nothing.
fn no_requirements() -> Extension {
    Extension { extension_type: 3, extension_data: vec![0; 3] }
}

/// An external_senders extension with nobody in it.
fn no_external_senders() -> Extension {
    Extension { extension_type: 5, extension_data: vec![0] }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A script of this kind and name.
fn script(config: &str, name: &str, write: impl FnOnce(&mut Script)) -> Script {
    let (config, name) = (config.to_owned(), name.to_owned());
    let mut script = Script { config, name, steps: Vec::new() };
    write(&mut script);
    script
}

/// Each adds a step and gives its number.
impl Script {
    fn step(&mut self, actor: &str, action: Action) -> StepIndex {
        self.steps.push(Step { actor: actor.to_owned(), action });
        self.steps.len() - 1
    }

    fn create(&mut self, actor: &str, members: &[&str]) -> StepIndex {
        self.step(actor, Action::CreateGroup { members: names(members) })
    }

    fn key_package(&mut self, actor: &str) -> StepIndex {
        self.step(actor, Action::CreateKeyPackage)
    }

    fn psk(&mut self, clients: &[&str]) -> StepIndex {
        self.step("", Action::InstallExternalPsk { clients: names(clients) })
    }

    fn add(&mut self, actor: &str, key_package: StepIndex) -> StepIndex {
        self.step(actor, Action::AddProposal { key_package })
    }

    /// A key package of somebody, and the proposal to add it.
    fn invite(&mut self, actor: &str, joiner: &str) -> StepIndex {
        let key_package = self.key_package(joiner);
        self.add(actor, key_package)
    }

    fn update(&mut self, actor: &str) -> StepIndex {
        self.step(actor, Action::UpdateProposal)
    }

    fn remove(&mut self, actor: &str, removed: &str) -> StepIndex {
        self.step(actor, Action::RemoveProposal { removed: removed.to_owned() })
    }

    fn inject(&mut self, actor: &str, psk: StepIndex) -> StepIndex {
        self.step(actor, Action::ExternalPskProposal { psk })
    }

    fn resume(&mut self, actor: &str, epoch: u64) -> StepIndex {
        self.step(actor, Action::ResumptionPskProposal { epoch })
    }

    fn extend(&mut self, actor: &str, extensions: Vec<Extension>) -> StepIndex {
        self.step(actor, Action::GroupContextExtensionsProposal { extensions })
    }

    fn commit(
        &mut self,
        actor: &str,
        change: Change,
        members: &[&str],
        joiners: &[&str],
    ) -> StepIndex {
        let (members, joiners) = (names(members), names(joiners));
        self.step(actor, Action::FullCommit(FullCommit { change, members, joiners }))
    }

    /// A Commit of these proposals and no others.
    fn commit_these(&mut self, actor: &str, these: &[StepIndex], members: &[&str]) -> StepIndex {
        self.commit(actor, refer(these), members, &[])
    }

    fn protect(&mut self, actor: &str, number: u32) -> StepIndex {
        let (plaintext, authenticated_data) = (format!("text {number}"), format!("data {number}"));
        self.step(actor, Action::Protect { authenticated_data, plaintext })
    }

    fn unprotect(&mut self, actor: &str, ciphertext: StepIndex) -> StepIndex {
        self.step(actor, Action::Unprotect { ciphertext })
    }
}

/// A Commit of these proposals.
fn refer(these: &[StepIndex]) -> Change {
    Change { by_reference: these.to_vec(), ..Change::default() }
}
