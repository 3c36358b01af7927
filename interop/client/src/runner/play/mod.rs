//! One script, one suite, one format of handshake messages, and a client for each actor.

mod basic;
mod commits;
mod outside;
mod subgroups;

use std::collections::BTreeMap;

use thiserror::Error;
use tonic::Status;

use super::random::Random;
use super::script::{Action, Description, NewParameters, Script, Step, StepIndex};
use crate::proto::*;
use crate::rpc::Client;

/// What a case failed of.
#[derive(Clone, Debug, Error)]
pub(super) enum Failure {
    /// A client gave a status.
    #[error("{method} of {actor}: {status}")]
    Status {
        /// Whose client.
        actor: String,
        /// The function of the stub.
        method: &'static str,
        /// Code and message.
        status: String,
    },
    /// Two actors differ in something.
    #[error("{actor} does not agree about the {about}")]
    Disagreement {
        /// Who.
        actor: String,
        /// What about.
        about: &'static str,
    },
    /// The script names something that is not there.
    #[error("the script has no {0} there")]
    Script(&'static str),
    /// The actors' clients have no other suite in common.
    #[error("the clients have no other cipher suite in common")]
    NoOtherSuite,
}

/// What a case is played with.
pub(super) struct Cast {
    pub(super) suite: u16,
    pub(super) encrypt: bool,
    /// Each actor's client, and the suites that it has.
    pub(super) clients: BTreeMap<String, (Client, Vec<u16>)>,
    /// Whether StateAuth and Export are compared, too.
    pub(super) states: bool,
    pub(super) random: Random,
}

/// Something that a step made, for later ones.
enum Made {
    Group(Vec<u8>),
    KeyPackage(Vec<u8>),
    Psk { id: Vec<u8>, secret: Vec<u8> },
    Proposal(Vec<u8>),
    Commit { commit: Vec<u8>, welcome: Vec<u8>, ratchet_tree: Vec<u8> },
    Message { authenticated_data: Vec<u8>, plaintext: Vec<u8>, ciphertext: Vec<u8> },
    Nothing,
}

/// A case while it is played.
pub(super) struct Play {
    cast: Cast,
    states: BTreeMap<String, u32>,
    transactions: BTreeMap<String, u32>,
    signers: BTreeMap<String, u32>,
    made: Vec<Made>,
}

/// Calls a function of an actor's stub.
macro_rules! call {
    ($play:ident, $actor:expr, $method:ident, $request:expr) => {{
        let (actor, request): (&str, _) = ($actor, $request);
        $play.client(actor)?.$method(request).await.map_err(|status| {
            $crate::runner::play::Failure::of_status(actor, stringify!($method), &status)
        })
    }};
}
use call;

impl Failure {
    fn of_status(actor: &str, method: &'static str, status: &Status) -> Self {
        let status = format!("{:?}: {}", status.code(), status.message());
        Self::Status { actor: actor.to_owned(), method, status }
    }
}

impl Play {
    /// Plays a script and frees the actors' states afterwards, whatever came of it. A failure comes
    /// with the number of its step, which is one more than there are if it was in freeing.
    pub(super) async fn play(script: &Script, cast: Cast) -> Result<(), (StepIndex, Failure)> {
        let (states, made) = (BTreeMap::new(), Vec::new());
        let (transactions, signers) = (BTreeMap::new(), BTreeMap::new());
        let mut play = Self { cast, states, transactions, signers, made };
        let mut outcome = Ok(());
        for (index, step) in script.steps.iter().enumerate() {
            match play.step(step).await {
                Ok(made) => play.made.push(made),
                Err(failure) => {
                    outcome = Err((index, failure));
                    break;
                }
            }
        }
        let freed = play.free().await.map_err(|failure| (script.steps.len(), failure));
        outcome.and(freed)
    }

    async fn step(&mut self, Step { actor, action }: &Step) -> Result<Made, Failure> {
        match action {
            Action::CreateGroup { members } => self.create_group(actor, members).await,
            Action::CreateKeyPackage => self.create_key_package(actor).await,
            Action::JoinGroup { welcome } => self.join_group(actor, *welcome).await,
            Action::ExternalJoin(join) => self.external_join(actor, join).await,
            Action::InstallExternalPsk { clients } => self.install_psk(clients).await,
            Action::GroupInfo { external_tree } => {
                self.group_info(actor, *external_tree).await?;
                Ok(Made::Nothing)
            }
            Action::FullCommit(commit) => self.full_commit(actor, commit).await,
            Action::Commit(change) => self.commit(actor, change).await,
            Action::HandleCommit { commit, by_reference } => {
                self.handle_earlier_commit(actor, *commit, by_reference).await
            }
            Action::HandlePendingCommit => {
                self.handle_pending_commit(actor).await?;
                Ok(Made::Nothing)
            }
            Action::Protect { authenticated_data, plaintext } => {
                self.protect(actor, authenticated_data, plaintext).await
            }
            Action::Unprotect { ciphertext } => self.unprotect(actor, *ciphertext).await,
            Action::ReInit(reinit) => self.reinit(reinit).await,
            Action::Branch(branch) => self.branch(actor, branch).await,
            Action::NewMemberAddProposal { joiner } => self.new_member_add(actor, joiner).await,
            Action::AddExternalSigner { signer } => self.add_external_signer(actor, signer).await,
            Action::ExternalSignerProposal { member, description } => {
                self.external_signer_proposal(actor, member, description).await
            }
            proposal => self.propose(actor, proposal).await,
        }
    }

    async fn free(&mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for (actor, state_id) in std::mem::take(&mut self.states) {
            let freed = call!(self, &actor, free, FreeRequest { state_id });
            outcome = outcome.and(freed.map(|_| ()));
        }
        outcome
    }

    fn client(&mut self, actor: &str) -> Result<&mut Client, Failure> {
        let found = self.cast.clients.get_mut(actor);
        found.map(|(client, _)| client).ok_or(Failure::Script("actor"))
    }

    fn state(&self, actor: &str) -> Result<u32, Failure> {
        self.states.get(actor).copied().ok_or(Failure::Script("state"))
    }

    fn transaction(&self, actor: &str) -> Result<u32, Failure> {
        self.transactions.get(actor).copied().ok_or(Failure::Script("pending join"))
    }

    fn suite(&self) -> u32 {
        u32::from(self.cast.suite)
    }

    fn enter(&mut self, actor: &str, state_id: u32) {
        self.states.insert(actor.to_owned(), state_id);
    }

    fn group_id(&self) -> Result<Vec<u8>, Failure> {
        let group = self.made.iter().find_map(|made| match made {
            Made::Group(id) => Some(id.clone()),
            _ => None,
        });
        group.ok_or(Failure::Script("group"))
    }

    fn key_package(&self, step: StepIndex) -> Result<Vec<u8>, Failure> {
        match self.made.get(step) {
            Some(Made::KeyPackage(key_package)) => Ok(key_package.clone()),
            _ => Err(Failure::Script("key package")),
        }
    }

    fn psk(&self, step: StepIndex) -> Result<PreSharedKey, Failure> {
        match self.made.get(step) {
            Some(Made::Psk { id, secret }) => {
                Ok(PreSharedKey { psk_id: id.clone(), psk_secret: secret.clone() })
            }
            _ => Err(Failure::Script("pre-shared key")),
        }
    }

    fn proposal(&self, step: StepIndex) -> Result<Vec<u8>, Failure> {
        match self.made.get(step) {
            Some(Made::Proposal(proposal)) => Ok(proposal.clone()),
            _ => Err(Failure::Script("proposal")),
        }
    }

    fn proposals(&self, steps: &[StepIndex]) -> Result<Vec<Vec<u8>>, Failure> {
        steps.iter().map(|step| self.proposal(*step)).collect()
    }

    /// A proposal in the words of the service.
    fn describe(&mut self, description: &Description) -> Result<ProposalDescription, Failure> {
        let of_type = |name: &str| ProposalDescription {
            proposal_type: name.as_bytes().to_vec(),
            ..ProposalDescription::default()
        };
        Ok(match description {
            Description::Add { key_package } => ProposalDescription {
                key_package: self.key_package(*key_package)?,
                ..of_type("add")
            },
            Description::Remove { removed } => {
                ProposalDescription { removed_id: removed.as_bytes().to_vec(), ..of_type("remove") }
            }
            Description::ExternalPsk { psk } => {
                ProposalDescription { psk_id: self.psk(*psk)?.psk_id, ..of_type("externalPSK") }
            }
            Description::ResumptionPsk { epoch } => {
                ProposalDescription { epoch_id: *epoch, ..of_type("resumptionPSK") }
            }
            Description::GroupContextExtensions { extensions } => ProposalDescription {
                extensions: to_proto(extensions),
                ..of_type("groupContextExtensions")
            },
            Description::ReInit(parameters) => ProposalDescription {
                extensions: to_proto(&parameters.extensions),
                group_id: self.next_parameters(parameters)?,
                cipher_suite: self.suite(),
                ..of_type("reinit")
            },
        })
    }

    /// The next group's id; the cipher suite changes for all that follows.
    fn next_parameters(&mut self, parameters: &NewParameters) -> Result<Vec<u8>, Failure> {
        let mut group_id = self.group_id()?;
        if parameters.change_group_id {
            group_id.extend(b"++");
        }
        if parameters.change_cipher_suite {
            let mut suites = self.cast.clients.values().map(|(_, suites)| suites.clone());
            let mut common = suites.next().unwrap_or_default();
            for others in suites {
                common.retain(|suite| others.contains(suite));
            }
            common.retain(|suite| *suite != self.cast.suite);
            let next = self.cast.random.pick(&common);
            self.cast.suite = next.copied().ok_or(Failure::NoOtherSuite)?;
        }
        Ok(group_id)
    }

    /// These are all in the epoch with this authenticator. Where clients say more of their states
    /// than the scripts ask for, that is compared, too.
    async fn agree(&mut self, actors: &[&str], authenticator: &[u8]) -> Result<(), Failure> {
        let mut exported: Option<Vec<u8>> = None;
        if !self.cast.states {
            return Ok(());
        }
        for actor in actors {
            let state_id = self.state(actor)?;
            let auth = call!(self, actor, state_auth, StateAuthRequest { state_id })?;
            same(actor, "state's authenticator", &auth.state_auth_secret, authenticator)?;
            let request = ExportRequest {
                state_id,
                label: "interop".to_owned(),
                context: authenticator.to_vec(),
                key_length: 48,
            };
            let secret = call!(self, actor, export, request)?.exported_secret;
            same(actor, "exported secret", &secret, exported.as_ref().unwrap_or(&secret))?;
            if secret.len() != 48 {
                return Err(disagreement(actor, "exported secret's length"));
            }
            exported = Some(secret);
        }
        Ok(())
    }
}

/// What an actor says is what it should be.
fn same(actor: &str, about: &'static str, found: &[u8], expected: &[u8]) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(disagreement(actor, about)) }
}

fn disagreement(actor: &str, about: &'static str) -> Failure {
    Failure::Disagreement { actor: actor.to_owned(), about }
}

fn to_proto(extensions: &[super::script::Extension]) -> Vec<Extension> {
    extensions.iter().cloned().map(Extension::from).collect()
}
