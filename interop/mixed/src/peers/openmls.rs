//! OpenMLS, over its RustCrypto provider.

use std::sync::Arc;

use openmls::credentials::NewSignerBundle;
use openmls::group::{MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MIXED_PLAINTEXT_WIRE_FORMAT_POLICY};
use openmls::prelude::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    ApplicationIdExtension, BasicCredential, Capabilities, Ciphersuite, CommitMessageBundle,
    CredentialWithKey, Extension, ExtensionType, Extensions, GroupContext, GroupEpoch, GroupId,
    JoinProposal, KeyPackage, LeafNode, LeafNodeIndex, LeafNodeParameters, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    OpenMlsProvider, PreSharedKeyProposal, ProcessedMessageContent, Proposal as Inner,
    ProtocolVersion, RatchetTreeIn, Sender, SenderRatchetConfiguration, StagedWelcome,
};
use openmls::schedule::{
    ExternalPsk, PreSharedKeyId, Psk, psk::ResumptionPsk, psk::ResumptionPskUsage,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use crate::member::{CommitPlan, Event, ExternalJoin, Fault, Member, Peer, Proposal, Setup, View};

/// How many past epochs are kept.
const PAST_EPOCHS: usize = 8;
/// How far messages may be out of order.
const OUT_OF_ORDER: u32 = 64;
/// How many messages may be missing.
const FORWARD: u32 = 1000;

/// A client of OpenMLS.
pub struct OpenMlsMember {
    provider: OpenMlsRustCrypto,
    suite: Ciphersuite,
    name: String,
    /// The key that the own leaf has, last, and those that it may have after the next Commit.
    signers: Vec<Arc<SignatureKeyPair>>,
    extension_type: u16,
    application_id: bool,
    config: MlsGroupJoinConfig,
    group: Option<MlsGroup>,
    /// An external Commit is made on a group of its own, in a store of its own.
    joining: Option<(MlsGroup, OpenMlsRustCrypto)>,
    psks: Vec<(Vec<u8>, Vec<u8>)>,
    welcome: Option<Vec<u8>>,
}

impl OpenMlsMember {
    /// A new client of that name.
    ///
    /// # Errors
    /// The suite is not supported.
    pub fn new(name: &str, setup: &Setup) -> Result<Self, Fault> {
        let suite = Ciphersuite::try_from(setup.suite).map_err(Fault::of)?;
        let policy = match setup.public_handshakes {
            true => MIXED_PLAINTEXT_WIRE_FORMAT_POLICY,
            false => MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(policy)
            .padding_size(if setup.padding { 64 } else { 0 })
            .max_past_epochs(PAST_EPOCHS)
            .number_of_resumption_psks(PAST_EPOCHS)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
            .build();
        let signer = SignatureKeyPair::new(suite.signature_algorithm()).map_err(Fault::of)?;
        Ok(Self {
            provider: OpenMlsRustCrypto::default(),
            suite,
            name: name.into(),
            signers: vec![Arc::new(signer)],
            extension_type: setup.extension_type,
            application_id: setup.application_ids,
            config,
            group: None,
            joining: None,
            psks: Vec::new(),
            welcome: None,
        })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::builder()
            .ciphersuites(vec![self.suite])
            .extensions(vec![ExtensionType::from(self.extension_type)])
            .build()
    }

    /// The extensions of the own leaf.
    fn leaf_extensions(&self) -> Result<Extensions<LeafNode>, Fault> {
        if !self.application_id {
            return Ok(Extensions::empty());
        }
        let id = ApplicationIdExtension::new(self.name.as_bytes());
        Extensions::single(Extension::ApplicationId(id)).map_err(Fault::of)
    }

    fn credential(&self, signer: &SignatureKeyPair) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.name.as_bytes().to_vec()).into(),
            signature_key: signer.public().into(),
        }
    }

    fn signer(&self) -> Result<Arc<SignatureKeyPair>, Fault> {
        self.signers.first().cloned().ok_or_else(|| Fault("no signature key".into()))
    }

    /// A key that the own leaf may have after the next Commit.
    fn new_signer(&mut self) -> Result<Arc<SignatureKeyPair>, Fault> {
        let signer = SignatureKeyPair::new(self.suite.signature_algorithm()).map_err(Fault::of)?;
        let signer = Arc::new(signer);
        self.signers.push(signer.clone());
        Ok(signer)
    }

    /// Keeps the key that the own leaf has now.
    fn settle_signer(&mut self) {
        let Some(leaf) = self.group.as_ref().and_then(MlsGroup::own_leaf_node) else { return };
        let own = leaf.signature_key().as_slice().to_vec();
        self.signers.retain(|signer| signer.public() == own);
    }

    fn group(&self) -> Result<&MlsGroup, Fault> {
        self.group.as_ref().ok_or_else(|| Fault("in no group".into()))
    }

    fn key_package_in(&self, bytes: &[u8]) -> Result<KeyPackage, Fault> {
        let MlsMessageBodyIn::KeyPackage(key_package) = message(bytes)?.extract() else {
            return Err(Fault("no KeyPackage".into()));
        };
        key_package.validate(self.provider.crypto(), ProtocolVersion::Mls10).map_err(Fault::of)
    }

    fn psk_id(&self, proposal: &Proposal) -> Result<PreSharedKeyId, Fault> {
        let psk = match proposal {
            Proposal::Psk(id) => Psk::External(ExternalPsk::new(id.clone())),
            Proposal::ResumptionPsk(epoch) => Psk::Resumption(ResumptionPsk::new(
                ResumptionPskUsage::Application,
                self.group()?.group_id().clone(),
                GroupEpoch::from(*epoch),
            )),
            _ => return Err(Fault("no PSK".into())),
        };
        PreSharedKeyId::new(self.suite, self.provider.rand(), psk).map_err(Fault::of)
    }

    /// A proposal by value.
    fn by_value(&self, proposal: &Proposal) -> Result<ByValue, Fault> {
        match proposal {
            Proposal::Add(key_package) => {
                Ok(ByValue::Add(Box::new(self.key_package_in(key_package)?)))
            }
            Proposal::Remove(leaf) => Ok(ByValue::Remove(LeafNodeIndex::new(*leaf))),
            Proposal::Update { .. } => Err(Fault("an Update by value".into())),
            Proposal::Psk(_) | Proposal::ResumptionPsk(_) => {
                let proposal = PreSharedKeyProposal::new(self.psk_id(proposal)?);
                Ok(ByValue::Other(Inner::PreSharedKey(Box::new(proposal))))
            }
            Proposal::Extensions(list) => Ok(ByValue::Extensions(extensions(list)?)),
            Proposal::OwnAdd | Proposal::ReInit { .. } => no_call(),
        }
    }

    fn stage(
        &mut self,
        plan: &CommitPlan,
        by_value: Vec<ByValue>,
    ) -> Result<CommitMessageBundle, Fault> {
        let old = self.signer()?;
        let new = if plan.new_key { Some(self.new_signer()?) } else { None };
        let credential = new.as_ref().map(|new| self.credential(new));
        let Self { provider, group, .. } = self;
        let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        group.set_aad(plan.authenticated_data.clone());
        let mut builder = group.commit_builder().force_self_update(!plan.without_path);
        for proposal in by_value {
            builder = match proposal {
                ByValue::Add(key_package) => builder.propose_adds([*key_package]),
                ByValue::Remove(leaf) => builder.propose_removals([leaf]),
                ByValue::Extensions(extensions) => {
                    builder.propose_group_context_extensions(extensions).map_err(Fault::of)?
                }
                ByValue::Other(proposal) => builder.add_proposal(proposal),
            };
        }
        let builder = builder.load_psks(provider.storage()).map_err(Fault::of)?;
        let builder = builder.create_group_info(true).use_ratchet_tree_extension(plan.tree_inside);
        let (rand, crypto) = (provider.rand(), provider.crypto());
        let built = match (&new, credential) {
            (Some(new), Some(credential_with_key)) => {
                let new = NewSignerBundle { signer: &**new, credential_with_key };
                builder.build_with_new_signer(rand, crypto, &*old, new, |_| true)
            }
            _ => builder.build(rand, crypto, &*old, |_| true),
        };
        built.map_err(Fault::of)?.stage_commit(&*provider).map_err(Fault::of)
    }
}

enum ByValue {
    Add(Box<KeyPackage>),
    Remove(LeafNodeIndex),
    Extensions(Extensions<GroupContext>),
    Other(Inner),
}

impl Member for OpenMlsMember {
    fn peer(&self) -> Peer {
        Peer::OpenMls
    }

    fn key_package(&mut self) -> Result<Vec<u8>, Fault> {
        let signer = self.signer()?;
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(self.capabilities())
            .leaf_node_extensions(self.leaf_extensions()?)
            .build(self.suite, &self.provider, &*signer, self.credential(&signer))
            .map_err(Fault::of)?;
        MlsMessageOut::from(bundle.into_key_package()).to_bytes().map_err(Fault::of)
    }

    fn add_psk(&mut self, id: &[u8], secret: &[u8]) -> Result<(), Fault> {
        self.psks.push((id.to_vec(), secret.to_vec()));
        store_psk(&self.provider, self.suite, id, secret)
    }

    fn create(&mut self, group_id: &[u8]) -> Result<(), Fault> {
        let signer = self.signer()?;
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(self.suite)
            .capabilities(self.capabilities())
            .with_leaf_node_extensions(self.leaf_extensions()?)
            .map_err(Fault::of)?
            .wire_format_policy(self.config.wire_format_policy())
            .padding_size(self.config.padding_size())
            .max_past_epochs(PAST_EPOCHS)
            .number_of_resumption_psks(PAST_EPOCHS)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD))
            .build();
        let id = GroupId::from_slice(group_id);
        let credential = self.credential(&signer);
        let group = MlsGroup::new_with_group_id(&self.provider, &*signer, &config, id, credential);
        self.group = Some(group.map_err(Fault::of)?);
        Ok(())
    }

    fn join(&mut self, welcome: &[u8], ratchet_tree: Option<&[u8]>) -> Result<(), Fault> {
        let MlsMessageBodyIn::Welcome(welcome) = message(welcome)?.extract() else {
            return Err(Fault("no Welcome".into()));
        };
        let tree = tree(ratchet_tree)?;
        let provider = &self.provider;
        // A member that was removed may come again.
        let mut builder = StagedWelcome::build_from_welcome(provider, &self.config, welcome)
            .map_err(Fault::of)?
            .replace_old_group();
        if let Some(tree) = tree {
            builder = builder.with_ratchet_tree(tree);
        }
        let staged = builder.build().map_err(Fault::of)?;
        self.group = Some(staged.into_group(provider).map_err(Fault::of)?);
        Ok(())
    }

    fn join_externally(&mut self, join: &ExternalJoin) -> Result<Vec<u8>, Fault> {
        let signer = self.signer()?;
        let provider = OpenMlsRustCrypto::default();
        for (id, secret) in &self.psks {
            store_psk(&provider, self.suite, id, secret)?;
        }
        let group_info: VerifiableGroupInfo = match message(&join.group_info)?.extract() {
            MlsMessageBodyIn::GroupInfo(group_info) => group_info,
            _ => return Err(Fault("no GroupInfo".into())),
        };
        let mut builder = MlsGroup::external_commit_builder().with_config(self.config.clone());
        if let Some(tree) = tree(join.ratchet_tree.as_deref())? {
            builder = builder.with_ratchet_tree(tree);
        }
        let credential = self.credential(&signer);
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(self.capabilities())
            .with_extensions(self.leaf_extensions()?)
            .build();
        let mut builder = builder
            .build_group(&provider, group_info, credential)
            .map_err(Fault::of)?
            .leaf_node_parameters(leaf);
        for psk in &join.psks {
            let id = self.psk_id(&Proposal::Psk(psk.clone()))?;
            builder = builder.add_psk_proposal(PreSharedKeyProposal::new(id));
        }
        let built = builder
            .load_psks(provider.storage())
            .map_err(Fault::of)?
            .build(provider.rand(), provider.crypto(), &*signer, |_| true)
            .map_err(Fault::of)?;
        let (group, bundle) = built.finalize(&provider).map_err(Fault::of)?;
        self.joining = Some((group, provider));
        bundle.into_commit().to_bytes().map_err(Fault::of)
    }

    fn propose(&mut self, proposal: &Proposal) -> Result<Vec<u8>, Fault> {
        let signer = self.signer()?;
        let prepared = match proposal {
            Proposal::Update { .. } => None,
            other => Some(self.by_value(other)?),
        };
        let psk = match proposal {
            Proposal::Psk(_) | Proposal::ResumptionPsk(_) => Some(self.psk_id(proposal)?),
            _ => None,
        };
        let new = match proposal {
            Proposal::Update { new_key: true } => Some(self.new_signer()?),
            _ => None,
        };
        let credential = new.as_ref().map(|new| self.credential(new));
        let Self { provider, group, .. } = self;
        let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        let made = match (prepared, psk) {
            (_, Some(id)) => {
                group.propose_pre_shared_key(provider, &*signer, id).map_err(Fault::of)
            }
            (Some(ByValue::Add(key_package)), _) => {
                group.propose_add_member(provider, &*signer, &key_package).map_err(Fault::of)
            }
            (Some(ByValue::Remove(leaf)), _) if leaf == group.own_leaf_index() => {
                return group
                    .leave_group(provider, &*signer)
                    .map_err(Fault::of)?
                    .to_bytes()
                    .map_err(Fault::of);
            }
            (Some(ByValue::Remove(leaf)), _) => {
                group.propose_remove_member(provider, &*signer, leaf).map_err(Fault::of)
            }
            (Some(ByValue::Extensions(extensions)), _) => group
                .propose_group_context_extensions(provider, extensions, &*signer)
                .map_err(Fault::of),
            (Some(ByValue::Other(_)), None) => Err(Fault("no such proposal".into())),
            (None, None) => match (&new, credential) {
                (Some(new), Some(credential_with_key)) => group
                    .propose_self_update_with_new_signer(
                        provider,
                        &*signer,
                        NewSignerBundle { signer: &**new, credential_with_key },
                        LeafNodeParameters::default(),
                    )
                    .map_err(Fault::of),
                _ => group
                    .propose_self_update(provider, &*signer, LeafNodeParameters::default())
                    .map_err(Fault::of),
            },
        };
        made?.0.to_bytes().map_err(Fault::of)
    }

    fn commit(&mut self, plan: &CommitPlan) -> Result<Vec<u8>, Fault> {
        let by_value =
            plan.by_value.iter().map(|one| self.by_value(one)).collect::<Result<_, _>>()?;
        let bundle = self.stage(plan, by_value)?;
        self.welcome = match bundle.to_welcome_msg() {
            Some(welcome) => Some(welcome.to_bytes().map_err(Fault::of)?),
            None => None,
        };
        bundle.into_commit().to_bytes().map_err(Fault::of)
    }

    fn accepted(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if let Some((group, provider)) = self.joining.take() {
            (self.group, self.provider) = (Some(group), provider);
        } else {
            let Self { provider, group, .. } = self;
            let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
            group.merge_pending_commit(provider).map_err(Fault::of)?;
        }
        self.settle_signer();
        Ok(self.welcome.take())
    }

    fn refused(&mut self) -> Result<(), Fault> {
        self.welcome = None;
        if self.joining.take().is_some() {
            return Ok(());
        }
        let Self { provider, group, .. } = self;
        let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        group.clear_pending_commit(provider.storage()).map_err(Fault::of)
    }

    fn ask(&mut self, group_id: &[u8], epoch: u64, _: &[u8]) -> Result<Vec<u8>, Fault> {
        let key_package = self.key_package()?;
        let key_package = self.key_package_in(&key_package)?;
        let (id, epoch) = (GroupId::from_slice(group_id), GroupEpoch::from(epoch));
        let signer = self.signer()?;
        let made = JoinProposal::new::<<OpenMlsRustCrypto as OpenMlsProvider>::StorageProvider>(
            key_package,
            id,
            epoch,
            &*signer,
        );
        made.map_err(Fault::of)?.to_bytes().map_err(Fault::of)
    }

    fn successor_key_package(&mut self) -> Result<Vec<u8>, Fault> {
        no_call()
    }

    fn create_successor(&mut self, _: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        no_call()
    }

    fn join_successor(&mut self, _: &[u8]) -> Result<(), Fault> {
        no_call()
    }

    fn create_branch(&mut self, _: &[u8], _: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        no_call()
    }

    fn join_branch(&mut self, _: &[u8]) -> Result<(), Fault> {
        no_call()
    }

    fn leave_branch(&mut self) {}

    fn receive(&mut self, bytes: &[u8]) -> Result<Event, Fault> {
        let message = message(bytes)?.try_into_protocol_message().map_err(Fault::of)?;
        let Self { provider, group, .. } = self;
        let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        let processed = group.process_message(provider, message).map_err(Fault::of)?;
        let sender = match processed.sender() {
            Sender::Member(leaf) => Some(leaf.u32()),
            _ => None,
        };
        let authenticated_data = processed.aad().to_vec();
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok(Event::Message { sender, data: message.into_bytes(), authenticated_data })
            }
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                group.store_pending_proposal(provider.storage(), *proposal).map_err(Fault::of)?;
                Ok(Event::Proposal)
            }
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                let removed = staged.self_removed();
                group.merge_staged_commit(provider, *staged).map_err(Fault::of)?;
                self.welcome = None;
                if removed {
                    return Ok(Event::Removed);
                }
                self.settle_signer();
                Ok(Event::Commit)
            }
            other => Err(Fault::of(other)),
        }
    }

    fn send(&mut self, data: &[u8], authenticated_data: &[u8]) -> Result<Vec<u8>, Fault> {
        let signer = self.signer()?;
        let Self { provider, group, .. } = self;
        let group = group.as_mut().ok_or_else(|| Fault("in no group".into()))?;
        group.set_aad(authenticated_data.to_vec());
        let message = group.create_message(provider, &*signer, data).map_err(Fault::of)?;
        message.to_bytes().map_err(Fault::of)
    }

    fn group_info(&mut self, tree_inside: bool) -> Result<Vec<u8>, Fault> {
        let (signer, crypto) = (self.signer()?, self.provider.crypto());
        let info = self.group()?.export_group_info(crypto, &*signer, tree_inside);
        info.map_err(Fault::of)?.to_bytes().map_err(Fault::of)
    }

    fn view(&mut self) -> Result<View, Fault> {
        let group = self.group()?;
        let crypto = self.provider.crypto();
        let exported = group.export_secret(crypto, View::LABEL, View::CONTEXT, View::LENGTH);
        let row = |member: openmls::prelude::Member| {
            let identity = member.credential.serialized_content().to_vec();
            (member.index.u32(), identity, member.signature_key)
        };
        let tree = group.export_ratchet_tree().tls_serialize_detached().map_err(Fault::of)?;
        Ok(View {
            epoch: group.epoch().as_u64(),
            authenticator: group.epoch_authenticator().as_slice().to_vec(),
            exported: exported.map_err(Fault::of)?,
            roster: group.members().map(row).collect(),
            ratchet_tree: tree,
            extensions: group.extensions().iter().map(split).collect::<Result<_, _>>()?,
        })
    }
}

/// What the library has no call for.
fn no_call<T>() -> Result<T, Fault> {
    Err(Fault("there is no such call".into()))
}

fn message(bytes: &[u8]) -> Result<MlsMessageIn, Fault> {
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(Fault::of)
}

fn tree(bytes: Option<&[u8]>) -> Result<Option<RatchetTreeIn>, Fault> {
    bytes.map(RatchetTreeIn::tls_deserialize_exact).transpose().map_err(Fault::of)
}

fn store_psk(
    provider: &OpenMlsRustCrypto,
    suite: Ciphersuite,
    id: &[u8],
    secret: &[u8],
) -> Result<(), Fault> {
    let psk = Psk::External(ExternalPsk::new(id.to_vec()));
    let id = PreSharedKeyId::new(suite, provider.rand(), psk).map_err(Fault::of)?;
    id.store(provider, secret).map_err(Fault::of)
}

fn extensions(list: &[(u16, Vec<u8>)]) -> Result<Extensions<GroupContext>, Fault> {
    let read = |(extension_type, data): &(u16, Vec<u8>)| {
        let mut bytes = extension_type.to_be_bytes().to_vec();
        let data = openmls::prelude::tls_codec::VLBytes::new(data.clone());
        bytes.extend(data.tls_serialize_detached().map_err(Fault::of)?);
        Extension::tls_deserialize_exact(&bytes).map_err(Fault::of)
    };
    let list = list.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Extensions::from_vec(list).map_err(Fault::of)
}

/// An extension's type and data: the bytes behind the type are `opaque<V>`.
fn split(extension: &Extension) -> Result<(u16, Vec<u8>), Fault> {
    let bytes = extension.tls_serialize_detached().map_err(Fault::of)?;
    let data = bytes.get(2..).unwrap_or_default();
    let data = openmls::prelude::tls_codec::VLBytes::tls_deserialize_exact(data);
    Ok((u16::from(extension.extension_type()), data.map_err(Fault::of)?.as_slice().to_vec()))
}
