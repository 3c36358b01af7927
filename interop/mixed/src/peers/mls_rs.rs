//! mls-rs.

use std::sync::{Arc, Mutex, PoisonError};

use mls_rs::client_builder::{MlsConfig, PaddingMode};
use mls_rs::error::MlsError;
use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::ApplicationIdExt;
use mls_rs::group::{
    CommitEffect, ExportedTree, Group, GroupContext, ReceivedMessage, ReinitClient, Roster,
};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{
    CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle,
};
use mls_rs::psk::{ExternalPskId, PreSharedKey};
use mls_rs::storage_provider::in_memory::{InMemoryGroupStateStorage, InMemoryPreSharedKeyStorage};
use mls_rs::{
    CipherSuite, CipherSuiteProvider, Client, CryptoProvider, Extension, ExtensionList, MlsMessage,
    MlsRules, ProtocolVersion,
};

use crate::member::{CommitPlan, Event, ExternalJoin, Fault, Member, Peer, Proposal, Setup, View};

/// How many past epochs are kept.
const PAST_EPOCHS: usize = 8;

/// A client of mls-rs.
struct MlsRsMember<C: MlsConfig, P> {
    client: Client<C>,
    crypto: P,
    suite: CipherSuite,
    identity: Vec<u8>,
    leaf_extensions: ExtensionList,
    psks: InMemoryPreSharedKeyStorage,
    groups: InMemoryGroupStateStorage,
    options: Arc<Mutex<CommitOptions>>,
    group: Option<Group<C>>,
    /// An external Commit is made on a group of its own.
    joining: Option<Group<C>>,
    welcome: Option<Vec<u8>>,
    /// What makes the group that takes the place of one that is closed.
    successor: Option<ReinitClient<C>>,
    /// The group that the present one is a branch of.
    parent: Option<Group<C>>,
}

/// What the group's setup and the present plan ask for.
#[derive(Clone, Debug)]
struct Rules {
    encryption: EncryptionOptions,
    options: Arc<Mutex<CommitOptions>>,
}

impl MlsRules for Rules {
    type Error = std::convert::Infallible;

    fn filter_proposals(
        &self,
        _: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Self::Error> {
        Ok(proposals)
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        _: &ProposalBundle,
    ) -> Result<CommitOptions, Self::Error> {
        Ok(*self.options.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn encryption_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
    ) -> Result<EncryptionOptions, Self::Error> {
        Ok(self.encryption)
    }
}

/// A new client of that name over this provider.
///
/// # Errors
/// The suite is not supported.
pub(super) fn member<P: CryptoProvider + Clone + 'static>(
    name: &str,
    setup: &Setup,
    crypto: P,
) -> Result<Box<dyn Member>, Fault> {
    let suite = CipherSuite::from(setup.suite);
    let identity = name.as_bytes().to_vec();
    let (signing_identity, signer) = new_signer(&crypto, suite, &identity)?;
    let psks = InMemoryPreSharedKeyStorage::default();
    let groups = InMemoryGroupStateStorage::new().with_max_epoch_retention(PAST_EPOCHS);
    let groups = groups.map_err(Fault::of)?;
    let options = Arc::new(Mutex::new(CommitOptions::new()));
    let padding = if setup.padding { PaddingMode::StepFunction } else { PaddingMode::None };
    let rules = Rules {
        encryption: EncryptionOptions::new(!setup.public_handshakes, padding),
        options: options.clone(),
    };
    let client = Client::builder()
        .identity_provider(BasicIdentityProvider::new())
        .crypto_provider(crypto.clone())
        .mls_rules(rules)
        .psk_store(psks.clone())
        .group_state_storage(groups.clone())
        .extension_type(ExtensionType::from(setup.extension_type))
        .signing_identity(signing_identity, signer, suite)
        .build();
    let mut leaf_extensions = ExtensionList::new();
    if setup.application_ids {
        let id = ApplicationIdExt::new(identity.clone());
        leaf_extensions.set_from(id).map_err(Fault::of)?;
    }
    Ok(Box::new(MlsRsMember {
        client,
        crypto,
        suite,
        identity,
        leaf_extensions,
        psks,
        groups,
        options,
        group: None,
        joining: None,
        welcome: None,
        successor: None,
        parent: None,
    }))
}

type Signer = mls_rs::crypto::SignatureSecretKey;

fn new_signer<P: CryptoProvider>(
    crypto: &P,
    suite: CipherSuite,
    identity: &[u8],
) -> Result<(SigningIdentity, Signer), Fault> {
    let provider = crypto.cipher_suite_provider(suite);
    let provider = provider.ok_or_else(|| Fault("no such suite".into()))?;
    let (secret, public) = provider.signature_key_generate().map_err(Fault::of)?;
    let credential = BasicCredential::new(identity.to_vec()).into_credential();
    Ok((SigningIdentity::new(credential, public), secret))
}

impl<C: MlsConfig, P: CryptoProvider> MlsRsMember<C, P> {
    fn group(&mut self) -> Result<&mut Group<C>, Fault> {
        self.group.as_mut().ok_or_else(|| Fault("in no group".into()))
    }

    fn save(&mut self) -> Result<(), Fault> {
        self.group()?.write_to_storage().map_err(Fault::of)
    }

    /// What makes the group that takes the place of the present one.
    fn successor(&mut self) -> Result<ReinitClient<C>, Fault> {
        if let Some(successor) = self.successor.take() {
            return Ok(successor);
        }
        let closed = self.group.take().ok_or_else(|| Fault("in no group".into()))?;
        closed.get_reinit_client(None, None).map_err(Fault::of)
    }

    fn set_options(&self, plan: &CommitPlan) {
        let options = CommitOptions::new()
            .with_path_required(!plan.without_path)
            .with_ratchet_tree_extension(plan.tree_inside);
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

impl<C: MlsConfig, P: CryptoProvider> Member for MlsRsMember<C, P> {
    fn peer(&self) -> Peer {
        Peer::MlsRs
    }

    fn key_package(&mut self) -> Result<Vec<u8>, Fault> {
        let leaf = self.leaf_extensions.clone();
        bytes(self.client.generate_key_package_message(ExtensionList::new(), leaf, None))
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), Fault> {
        self.psks.insert(ExternalPskId::new(id.to_vec()), PreSharedKey::new(secret.to_vec()));
        Ok(())
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Fault> {
        let leaf = self.leaf_extensions.clone();
        let none = ExtensionList::new();
        let group = self.client.create_group_with_id(group_id.to_vec(), none, leaf, None);
        self.group = Some(group.map_err(Fault::of)?);
        self.save()
    }

    fn join(&mut self, welcome: &[u8], ratchet_tree: Option<&[u8]>) -> Result<(), Fault> {
        let welcome = message(welcome)?;
        let (group, _) =
            self.client.join_group(tree(ratchet_tree)?, &welcome, None).map_err(Fault::of)?;
        // A member that was removed may come again: its old epochs are not those before the new.
        self.groups.delete_group(group.group_id());
        self.group = Some(group);
        self.save()
    }

    fn join_externally(&mut self, join: &ExternalJoin) -> Result<Vec<u8>, Fault> {
        let builder = self.client.external_commit_builder().map_err(Fault::of)?;
        let mut builder = builder.with_leaf_node_extensions(self.leaf_extensions.clone());
        if let Some(tree) = tree(join.ratchet_tree.as_deref())? {
            builder = builder.with_tree_data(tree);
        }
        if let Some(leaf) = join.replaces {
            builder = builder.with_removal(leaf);
        }
        for psk in &join.psks {
            builder = builder.with_external_psk(ExternalPskId::new(psk.clone()));
        }
        let (group, commit) = builder.build(message(&join.group_info)?).map_err(Fault::of)?;
        self.joining = Some(group);
        commit.to_bytes().map_err(Fault::of)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, Fault> {
        let none = Vec::new;
        let made = match proposal {
            Proposal::Add(key_package) => self.group()?.propose_add(message(key_package)?, none()),
            Proposal::OwnAdd => return Err(Fault("its own Add as a member".into())),
            Proposal::Remove(leaf) => self.group()?.propose_remove(*leaf, none()),
            Proposal::Update { new_key: false } => self.group()?.propose_update(none()),
            Proposal::Update { new_key: true } => {
                let (identity, signer) = new_signer(&self.crypto, self.suite, &self.identity)?;
                self.group()?.propose_update_with_identity(signer, identity, none())
            }
            Proposal::Psk(id) => {
                self.group()?.propose_external_psk(ExternalPskId::new(id.clone()), none())
            }
            Proposal::ResumptionPsk(epoch) => self.group()?.propose_resumption_psk(*epoch, none()),
            Proposal::Extensions(list) => {
                self.group()?.propose_group_context_extensions(extensions(list), none())
            }
            Proposal::ReInit { group_id, extensions: list } => {
                let (suite, list) = (self.suite, extensions(list));
                let id = Some(group_id.clone());
                self.group()?.propose_reinit(id, ProtocolVersion::MLS_10, suite, list, none())
            }
        };
        let message = bytes(made)?;
        self.save()?;
        Ok(message)
    }

    fn commit(&mut self, plan: &CommitPlan) -> Result<Vec<u8>, Fault> {
        self.set_options(plan);
        let new_signer = match plan.new_key {
            true => Some(new_signer(&self.crypto, self.suite, &self.identity)?),
            false => None,
        };
        let group = self.group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        let mut commit = group.commit_builder().authenticated_data(plan.authenticated_data.clone());
        for proposal in &plan.by_value {
            let added = match proposal {
                Proposal::Add(key_package) => commit.add_member(message(key_package)?),
                Proposal::Remove(leaf) => commit.remove_member(*leaf),
                Proposal::OwnAdd | Proposal::Update { .. } => {
                    return Err(Fault("not by value".into()));
                }
                Proposal::Psk(id) => commit.add_external_psk(ExternalPskId::new(id.clone())),
                Proposal::ResumptionPsk(epoch) => commit.add_resumption_psk(*epoch),
                Proposal::Extensions(list) => commit.set_group_context_ext(extensions(list)),
                Proposal::ReInit { group_id, extensions: list } => {
                    let id = Some(group_id.clone());
                    commit.reinit(id, ProtocolVersion::MLS_10, self.suite, extensions(list))
                }
            };
            commit = added.map_err(Fault::of)?;
        }
        if let Some((identity, signer)) = new_signer {
            commit = commit.set_new_signing_identity(signer, identity);
        }
        let made = commit.build().map_err(Fault::of)?;
        self.welcome = match made.welcome_messages().first() {
            Some(welcome) => Some(welcome.to_bytes().map_err(Fault::of)?),
            None => None,
        };
        made.commit_message().to_bytes().map_err(Fault::of)
    }

    fn accepted(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(joined) = self.joining.take() {
            // The old state's epochs are not those before the new one's.
            self.groups.delete_group(joined.group_id());
            self.group = Some(joined);
        } else {
            self.group()?.apply_pending_commit().map_err(Fault::of)?;
        }
        self.save()?;
        Ok(self.welcome.take())
    }

    fn refused(&mut self) -> Result<(), Fault> {
        self.welcome = None;
        if self.joining.take().is_none() {
            self.group()?.clear_pending_commit();
        }
        Ok(())
    }

    fn ask(&mut self, _: &[u8], _: u64, group_info: &[u8]) -> Result<Vec<u8>, Fault> {
        let (none, leaf) = (ExtensionList::new(), self.leaf_extensions.clone());
        let group_info = message(group_info)?;
        bytes(self.client.external_add_proposal(&group_info, None, vec![], none, leaf, None))
    }

    fn successor_key_package(&mut self) -> Result<Vec<u8>, Fault> {
        let successor = self.successor()?;
        let key_package = bytes(successor.generate_key_package(None));
        self.successor = Some(successor);
        key_package
    }

    fn create_successor(&mut self, key_packages: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        self.set_options(&CommitPlan { tree_inside: true, ..CommitPlan::default() });
        let leaf = self.leaf_extensions.clone();
        let made = self.successor()?.commit(messages(key_packages)?, leaf, None);
        let (group, welcomes) = made.map_err(Fault::of)?;
        self.group = Some(group);
        self.save()?;
        only(welcomes)
    }

    fn join_successor(&mut self, welcome: &[u8]) -> Result<(), Fault> {
        let joined = self.successor()?.join(&message(welcome)?, None, None);
        self.group = Some(joined.map_err(Fault::of)?.0);
        self.save()
    }

    fn create_branch(
        &mut self,
        group_id: &[u8],
        key_packages: &[Vec<u8>],
    ) -> Result<Vec<u8>, Fault> {
        self.set_options(&CommitPlan { tree_inside: true, ..CommitPlan::default() });
        let key_packages = messages(key_packages)?;
        let made = self.group()?.branch(group_id.to_vec(), key_packages, None);
        let (branch, welcomes) = made.map_err(Fault::of)?;
        self.parent = self.group.replace(branch);
        self.save()?;
        only(welcomes)
    }

    fn join_branch(&mut self, welcome: &[u8]) -> Result<(), Fault> {
        let joined = self.group()?.join_subgroup(&message(welcome)?, None, None);
        self.parent = self.group.replace(joined.map_err(Fault::of)?.0);
        self.save()
    }

    fn leave_branch(&mut self) {
        self.group = self.parent.take();
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Event, Fault> {
        let message = message(bytes)?;
        let received = self.group()?.process_incoming_message(message).map_err(Fault::of)?;
        self.save()?;
        match received {
            ReceivedMessage::ApplicationMessage(message) => Ok(Event::Message {
                sender: Some(message.sender_index),
                data: message.data().to_vec(),
                authenticated_data: message.authenticated_data.clone(),
            }),
            ReceivedMessage::Proposal(_) => Ok(Event::Proposal),
            ReceivedMessage::Commit(commit) => {
                self.welcome = None;
                match commit.effect {
                    CommitEffect::Removed { .. } => Ok(Event::Removed),
                    _ => Ok(Event::Commit),
                }
            }
            other => Err(Fault::of(other)),
        }
    }

    fn send(&mut self, data: &[u8], authenticated_data: &[u8]) -> Result<Vec<u8>, Fault> {
        let authenticated_data = authenticated_data.to_vec();
        let message = bytes(self.group()?.encrypt_application_message(data, authenticated_data))?;
        self.save()?;
        Ok(message)
    }

    fn group_info(&mut self, tree_inside: bool) -> Result<Vec<u8>, Fault> {
        bytes(self.group()?.group_info_message_allowing_ext_commit(tree_inside))
    }

    fn view(&mut self) -> Result<View, Fault> {
        let group = self.group()?;
        let exported = group.export_secret(View::LABEL.as_bytes(), View::CONTEXT, View::LENGTH);
        let row = |member: mls_rs::group::Member| {
            let identity = member.signing_identity.credential.as_basic();
            let identity = identity.map(|basic| basic.identifier().to_vec()).unwrap_or_default();
            (member.index, identity, member.signing_identity.signature_key.as_bytes().to_vec())
        };
        let extension = |one: &Extension| (*one.extension_type(), one.extension_data().to_vec());
        Ok(View {
            epoch: group.current_epoch(),
            authenticator: group.epoch_authenticator().map_err(Fault::of)?.as_bytes().to_vec(),
            exported: exported.map_err(Fault::of)?.as_bytes().to_vec(),
            roster: group.roster().members_iter().map(row).collect(),
            ratchet_tree: group.export_tree().to_bytes().map_err(Fault::of)?,
            extensions: group.context().extensions.iter().map(extension).collect(),
        })
    }
}

fn message(bytes: &[u8]) -> Result<MlsMessage, Fault> {
    MlsMessage::from_bytes(bytes).map_err(Fault::of)
}

fn messages(list: &[Vec<u8>]) -> Result<Vec<MlsMessage>, Fault> {
    list.iter().map(|bytes| message(bytes)).collect()
}

/// All joiners have one Welcome.
fn only(welcomes: Vec<MlsMessage>) -> Result<Vec<u8>, Fault> {
    match welcomes.as_slice() {
        [welcome] => welcome.to_bytes().map_err(Fault::of),
        _ => Err(Fault(format!("{} Welcomes", welcomes.len()))),
    }
}

fn bytes(message: Result<MlsMessage, MlsError>) -> Result<Vec<u8>, Fault> {
    message.and_then(|message| message.to_bytes()).map_err(Fault::of)
}

fn tree(bytes: Option<&[u8]>) -> Result<Option<ExportedTree<'static>>, Fault> {
    bytes.map(ExportedTree::from_bytes).transpose().map_err(Fault::of)
}

fn extensions(list: &[(u16, Vec<u8>)]) -> ExtensionList {
    let mut extensions = ExtensionList::new();
    for (extension_type, data) in list {
        extensions.set(Extension::new(ExtensionType::from(*extension_type), data.clone()));
    }
    extensions
}
