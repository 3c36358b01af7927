//! What a script is.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::proto;

/// What some actors do, step by step. Later steps name earlier ones by their number, for what those
/// have made: a key package, a proposal, a message.
///
/// The working group's files are read into this, too, so that the names of fields are theirs there.
#[derive(Clone, Debug)]
pub struct Script {
    /// The kind of script, which is the name of the working group's file.
    pub config: String,
    /// Its own name.
    pub name: String,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// Who does it; nobody, if it is for several.
    #[serde(default)]
    pub actor: String,
    /// What.
    #[serde(flatten)]
    pub action: Action,
}

/// The number of a step.
pub type StepIndex = usize;

/// What happens in one step.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Action {
    /// Creates a group and adds the members in one Commit without proposals before.
    CreateGroup {
        /// Who is in it beside the actor.
        #[serde(default)]
        members: Vec<String>,
    },
    /// Makes a key package.
    CreateKeyPackage,
    /// Joins by the Welcome of a Commit.
    JoinGroup {
        /// The Commit's step.
        welcome: StepIndex,
    },
    /// Somebody joins by an external Commit with the actor's GroupInfo.
    ExternalJoin(ExternalJoin),
    /// Gives a new pre-shared key to these.
    #[serde(rename = "installExternalPSK")]
    InstallExternalPsk {
        /// Who gets it.
        clients: Vec<String>,
    },
    /// Publishes a GroupInfo.
    GroupInfo {
        /// Whether the tree is outside.
        #[serde(default)]
        external_tree: bool,
    },
    /// Proposes an Add.
    AddProposal {
        /// The key package's step.
        key_package: StepIndex,
    },
    /// Proposes an Update.
    UpdateProposal,
    /// Proposes a Remove.
    RemoveProposal {
        /// Who shall go.
        removed: String,
    },
    /// Proposes to inject an external key.
    #[serde(rename = "externalPSKProposal")]
    ExternalPskProposal {
        /// The step that installed it.
        #[serde(rename = "pskID", alias = "pskId")]
        psk: StepIndex,
    },
    /// Proposes to inject a resumption key.
    #[serde(rename = "resumptionPSKProposal")]
    ResumptionPskProposal {
        /// Its epoch.
        #[serde(rename = "epochID", alias = "epochId")]
        epoch: u64,
    },
    /// Proposes extensions for the group.
    GroupContextExtensionsProposal {
        /// All of them.
        #[serde(default)]
        extensions: Vec<Extension>,
    },
    /// Makes a Commit that all follow.
    FullCommit(FullCommit),
    /// Makes a Commit that nobody follows yet.
    Commit(Change),
    /// Follows a Commit.
    HandleCommit {
        /// The Commit's step.
        commit: StepIndex,
        /// The proposals that it refers to.
        #[serde(default)]
        by_reference: Vec<StepIndex>,
    },
    /// Its own Commit was accepted.
    HandlePendingCommit,
    /// Sends application data.
    Protect {
        /// Authenticated, not encrypted.
        #[serde(default)]
        authenticated_data: String,
        /// The data.
        plaintext: String,
    },
    /// Reads application data.
    Unprotect {
        /// The step that sent it.
        ciphertext: StepIndex,
    },
    /// Moves all to a new group.
    #[serde(rename = "reinit")]
    ReInit(ReInit),
    /// Makes a group of members of this one.
    Branch(Branch),
    /// Somebody who is no member proposes its own Add, with the actor's GroupInfo.
    NewMemberAddProposal {
        /// Who.
        joiner: String,
    },
    /// Proposes to let somebody propose from outside.
    AddExternalSigner {
        /// Who.
        signer: String,
    },
    /// The actor, who is no member, proposes something.
    ExternalSignerProposal {
        /// Who gives the GroupInfo.
        member: String,
        /// What.
        description: Description,
    },
}

/// How somebody joins by an external Commit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalJoin {
    /// Who joins.
    pub joiner: String,
    /// Who follows beside the actor.
    #[serde(default)]
    pub members: Vec<String>,
    /// Whether the tree is outside of the GroupInfo.
    #[serde(default, alias = "external_tree")]
    pub external_tree: bool,
    /// Whether the joiner's old leaf goes.
    #[serde(default)]
    pub remove_prior: bool,
    /// The steps that installed keys to be injected.
    #[serde(default)]
    pub psks: Vec<StepIndex>,
}

/// What a Commit has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Proposals of earlier steps.
    #[serde(default)]
    pub by_reference: Vec<StepIndex>,
    /// Further ones.
    #[serde(default)]
    pub by_value: Vec<Description>,
    /// Whether there is a path in any case.
    #[serde(default, alias = "force_path")]
    pub force_path: bool,
    /// Whether the tree is outside of the Welcome.
    #[serde(default, alias = "external_tree")]
    pub external_tree: bool,
}

/// A Commit and those who follow it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FullCommit {
    /// What it has.
    #[serde(flatten)]
    pub change: Change,
    /// The other members that stay.
    #[serde(default)]
    pub members: Vec<String>,
    /// Who joins by it.
    #[serde(default)]
    pub joiners: Vec<String>,
}

/// A proposal in words.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "proposalType", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Description {
    /// An Add.
    Add {
        /// The key package's step.
        key_package: StepIndex,
    },
    /// A Remove.
    Remove {
        /// Who shall go.
        removed: String,
    },
    /// A PreSharedKey with an external key.
    #[serde(rename = "externalPSK")]
    ExternalPsk {
        /// The step that installed it.
        #[serde(rename = "pskID", alias = "pskId")]
        psk: StepIndex,
    },
    /// A PreSharedKey with a key of this group.
    #[serde(rename = "resumptionPSK")]
    ResumptionPsk {
        /// Its epoch.
        #[serde(rename = "epochID", alias = "epochId")]
        epoch: u64,
    },
    /// GroupContextExtensions.
    GroupContextExtensions {
        /// All of them.
        #[serde(default)]
        extensions: Vec<Extension>,
    },
    /// A ReInit.
    #[serde(rename = "reinit")]
    ReInit(NewParameters),
}

/// What is new after a ReInit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewParameters {
    /// The group's extensions.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// Whether the group's id changes.
    #[serde(default, rename = "changeGroupID", alias = "changeGroupId")]
    pub change_group_id: bool,
    /// Whether the cipher suite changes.
    #[serde(default, alias = "changeCiphersuite")]
    pub change_cipher_suite: bool,
}

/// A re-initialization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReInit {
    /// Who proposes it; nobody, if `external_reinit_proposal` does.
    #[serde(default)]
    pub proposer: String,
    /// Who commits it.
    pub committer: String,
    /// Who creates the new group.
    pub welcomer: String,
    /// All others.
    #[serde(default)]
    pub members: Vec<String>,
    /// What is new.
    #[serde(flatten)]
    pub parameters: NewParameters,
    /// Whether the first Commit has a path in any case.
    #[serde(default, alias = "force_path")]
    pub force_path: bool,
    /// Whether the tree is outside of the Welcome.
    #[serde(default, alias = "external_tree")]
    pub external_tree: bool,
    /// The step of an external signer's proposal.
    #[serde(default)]
    pub external_reinit_proposal: StepIndex,
}

/// A group of members of another one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// Who is in it beside the actor.
    #[serde(default)]
    pub members: Vec<String>,
    /// Its extensions.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// Whether the first Commit has a path in any case.
    #[serde(default, alias = "force_path")]
    pub force_path: bool,
    /// Whether the tree is outside of the Welcome.
    #[serde(default, alias = "external_tree")]
    pub external_tree: bool,
}

/// An extension of a group.
#[derive(Clone, Debug, Deserialize)]
pub struct Extension {
    /// Its code point.
    pub extension_type: u32,
    /// Its content.
    #[serde(deserialize_with = "from_base64")]
    pub extension_data: Vec<u8>,
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

impl From<Extension> for proto::Extension {
    fn from(extension: Extension) -> Self {
        let Extension { extension_type, extension_data } = extension;
        Self { extension_type, extension_data }
    }
}

impl Script {
    /// Everybody in it.
    #[must_use]
    pub fn actors(&self) -> BTreeSet<&str> {
        let mut actors: BTreeSet<&str> = self.steps.iter().flat_map(Step::actors).collect();
        actors.remove("");
        actors
    }
}

fn all(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

impl Step {
    fn actors(&self) -> Vec<&str> {
        let mut actors = vec![self.actor.as_str()];

        actors.extend(match &self.action {
            Action::CreateGroup { members } => all(members),
            Action::InstallExternalPsk { clients } => all(clients),
            Action::ExternalJoin(join) => [all(&join.members), vec![&join.joiner]].concat(),
            Action::FullCommit(commit) => [all(&commit.members), all(&commit.joiners)].concat(),
            Action::ReInit(reinit) => {
                let roles = vec![&*reinit.proposer, &*reinit.committer, &*reinit.welcomer];
                [all(&reinit.members), roles].concat()
            }
            Action::Branch(branch) => all(&branch.members),
            Action::NewMemberAddProposal { joiner } => vec![joiner.as_str()],
            Action::AddExternalSigner { signer } => vec![signer.as_str()],
            Action::ExternalSignerProposal { member, .. } => vec![member.as_str()],
            _ => Vec::new(),
        });
        actors
    }
}
