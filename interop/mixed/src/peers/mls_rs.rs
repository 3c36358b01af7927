//! mls-rs.

use std::sync::{Arc, Mutex, PoisonError};

use mls_rs::client_builder::{MlsConfig, PaddingMode};
use mls_rs::error::MlsError;
use mls_rs::extension::ExtensionType;
use mls_rs::group::{CommitEffect, ExportedTree, Group, GroupContext, ReceivedMessage, Roster};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{
    CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle,
};
use mls_rs::psk::{ExternalPskId, PreSharedKey};
use mls_rs::storage_provider::in_memory::{InMemoryGroupStateStorage, InMemoryPreSharedKeyStorage};
use mls_rs::{
    CipherSuite, CipherSuiteProvider, Client, CryptoProvider, Extension, ExtensionList, MlsMessage,
    MlsRules,
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
    psks: InMemoryPreSharedKeyStorage,
    groups: InMemoryGroupStateStorage,
    options: Arc<Mutex<CommitOptions>>,
    group: Option<Group<C>>,
    /// An external Commit is made on a group of its own.
    joining: Option<Group<C>>,
    welcome: Option<Vec<u8>>,
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
    Ok(Box::new(MlsRsMember {
        client,
        crypto,
        suite,
        identity,
        psks,
        groups,
        options,
        group: None,
        joining: None,
        welcome: None,
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
        let none = ExtensionList::new;
        bytes(self.client.generate_key_package_message(none(), none(), None))
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), Fault> {
        self.psks.insert(ExternalPskId::new(id.to_vec()), PreSharedKey::new(secret.to_vec()));
        Ok(())
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Fault> {
        let none = ExtensionList::new;
        let group = self.client.create_group_with_id(group_id.to_vec(), none(), none(), None);
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
        let mut builder = self.client.external_commit_builder().map_err(Fault::of)?;
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
        let mut commit =
            self.group()?.commit_builder().authenticated_data(plan.authenticated_data.clone());
        for proposal in &plan.by_value {
            let added = match proposal {
                Proposal::Add(key_package) => commit.add_member(message(key_package)?),
                Proposal::Remove(leaf) => commit.remove_member(*leaf),
                Proposal::Update { .. } => return Err(Fault("an Update by value".into())),
                Proposal::Psk(id) => commit.add_external_psk(ExternalPskId::new(id.clone())),
                Proposal::ResumptionPsk(epoch) => commit.add_resumption_psk(*epoch),
                Proposal::Extensions(list) => commit.set_group_context_ext(extensions(list)),
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
