use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader};
use crate::crypto::{Digest, HpkePrivateKey, Mac, Secret, SignaturePrivateKey};
use crate::error::{Damaged, Error};
use crate::group::{
    EpochState, FormerMembers, GroupState, KeyEpochs, PastEpoch, ProposalCache, Settings,
    StagedCommit, Status,
};
use crate::identity::SigningKey;
use crate::message::{GroupContext, GroupId, ReInit};
use crate::schedule::{
    EpochSecrets, InitSecret, MessageKey, Ratchet, RatchetKind, SecretTree, SkippedId, SkippedKeys,
};
use crate::tree::{LeafIndex, NodeIndex, RatchetTree, StoredNode, TreeWidth};

use super::staged::read_staged;
use super::values::{Head, read_former, read_proposal, read_secret};
use super::{Kind, read};
use crate::storage::{Key, Row, Storage};

/// A group as the store holds it.
#[derive(Debug)]
pub(crate) struct LoadedGroup {
    pub(crate) head: Head,
    /// The revision of the head, which the group's next write is conditional on.
    pub(crate) revision: u64,
    pub(crate) state: GroupState,
    pub(crate) staged: Option<StagedCommit>,
    /// The signature keys that the client has in this group alone: that of its leaf, and those that
    /// a staged Commit or a proposal would bring.
    pub(crate) signers: Vec<SigningKey>,
}

/// A present epoch as it is stored, before its tree and secret tree.
pub(super) struct EpochRow {
    context: GroupContext,
    pub(super) width: TreeWidth,
    secrets: EpochSecrets,
    interim_transcript_hash: Digest,
    confirmation_tag: Mac,
    private_keys: BTreeMap<NodeIndex, HpkePrivateKey>,
}

/// A past epoch as it is stored, before its secret tree.
pub(super) struct PastRow {
    context_bytes: Arc<[u8]>,
    sender_data_secret: Secret,
    pub(super) resumption_psk: Secret,
    width: TreeWidth,
}

/// Reads a group whose head is at hand.
pub(crate) fn load_group(
    storage: &dyn Storage,
    group: &GroupId,
    head: Head,
    revision: u64,
    settings: Settings,
) -> Result<LoadedGroup, Error> {
    let context = settings.context.clone();
    let row = storage.read(&Kind::Epoch.row(group))?.ok_or(missing())?;
    let epoch = read(&row.value, &context, read_epoch)?;
    let (nodes, key_epochs) = load_nodes(storage, group, &context)?;
    let tree = RatchetTree::restore(epoch.width, nodes).map_err(damaged)?;
    ensure_coherent(&head, &epoch.context, &tree, group)?;
    let mut secrets = load_secrets(storage, group, &context)?;
    let secret_tree = secrets.take(head.epoch, epoch.width);
    let past = load_past(storage, group, &context, &mut secrets)?;
    let mut state = GroupState {
        own_leaf: head.own_leaf,
        epoch: epoch.into_epoch(tree, secret_tree)?,
        proposals: ProposalCache::default(),
        past,
        former: load_former(storage, group, &context)?,
        key_epochs,
        skipped: load_skipped(storage, group, &context)?,
        status: head.status,
        reinit: load_reinit(storage, group, &head, &context)?,
        version: 0,
        settings,
    };
    for (_, row) in scan(storage, Kind::Proposal, group)? {
        state.proposals.insert(read(&row.value, &context, read_proposal)?);
    }
    let staged = match storage.read(&Kind::Staged.row(group))? {
        Some(row) => Some(read_staged(&row.value, &state, &context)?),
        None => None,
    };
    let signers = load_signers(storage, group, &state)?;
    Ok(LoadedGroup { head, revision, state, staged, signers })
}

/// The nodes of the tree, and since when the leaves among them are there.
fn load_nodes(
    storage: &dyn Storage,
    group: &GroupId,
    context: &DecodeContext,
) -> Result<(Vec<(NodeIndex, StoredNode)>, KeyEpochs), Error> {
    let (mut nodes, mut epochs) = (Vec::new(), Vec::new());
    for (key, row) in scan(storage, Kind::Node, group)? {
        let node = NodeIndex(number_u32(&key, 2)?);
        let stored = read(&row.value, context, |reader| {
            let stored = StoredNode::decode(reader)?;
            if let Some(leaf) = node.leaf() {
                epochs.push((leaf, reader.u64()?));
            }
            Ok(stored)
        })?;
        nodes.push((node, stored));
    }
    Ok((nodes, KeyEpochs::restore(&epochs)))
}

fn load_signers(
    storage: &dyn Storage,
    group: &GroupId,
    state: &GroupState,
) -> Result<Vec<SigningKey>, Error> {
    let Settings { suite, context, .. } = state.settings();
    let key = |(_, row): (Key, Row)| {
        let private = SignaturePrivateKey::new(read(&row.value, context, read_secret)?);
        SigningKey::from_private(suite, &private).map_err(damaged)
    };
    scan(storage, Kind::Signer, group)?.into_iter().map(key).collect()
}

/// Rows that were written together belong together.
fn ensure_coherent(
    head: &Head,
    context: &GroupContext,
    tree: &RatchetTree,
    group: &GroupId,
) -> Result<(), Error> {
    let coherent = context.group_id == *group
        && context.epoch == head.epoch
        && context.cipher_suite == head.cipher_suite
        && tree.leaf(head.own_leaf).is_some();
    if coherent { Ok(()) } else { Err(unreadable()) }
}

/// The secret trees of all epochs.
#[derive(Default)]
struct Secrets {
    nodes: BTreeMap<u64, Vec<(NodeIndex, Secret)>>,
    ratchets: BTreeMap<u64, Vec<StoredRatchet>>,
}

type StoredRatchet = ((LeafIndex, RatchetKind), Ratchet);

impl Secrets {
    fn take(&mut self, epoch: u64, width: TreeWidth) -> SecretTree {
        let nodes = self.nodes.remove(&epoch).unwrap_or_default();
        SecretTree::restore(width, nodes, self.ratchets.remove(&epoch).unwrap_or_default())
    }
}

fn load_secrets(
    storage: &dyn Storage,
    group: &GroupId,
    context: &DecodeContext,
) -> Result<Secrets, Error> {
    let mut secrets = Secrets::default();
    for (key, row) in scan(storage, Kind::Secret, group)? {
        let node = NodeIndex(number_u32(&key, 3)?);
        let secret = read(&row.value, context, read_secret)?;
        secrets.nodes.entry(number_u64(&key, 2)?).or_default().push((node, secret));
    }
    for (key, row) in scan(storage, Kind::Ratchet, group)? {
        let kind = ratchet_kind(&key, 3)?;
        let leaf = LeafIndex(number_u32(&key, 4)?);
        let ratchet = read(&row.value, context, Ratchet::decode)?;
        let of_epoch = secrets.ratchets.entry(number_u64(&key, 2)?).or_default();
        of_epoch.push(((leaf, kind), ratchet));
    }
    Ok(secrets)
}

fn load_past(
    storage: &dyn Storage,
    group: &GroupId,
    context: &DecodeContext,
    secrets: &mut Secrets,
) -> Result<VecDeque<PastEpoch>, Error> {
    let mut past = BTreeMap::new();
    for (key, row) in scan(storage, Kind::Past, group)? {
        let epoch = number_u64(&key, 2)?;
        let PastRow { context_bytes, sender_data_secret, resumption_psk, width } =
            read(&row.value, context, read_past)?;
        let secret_tree = secrets.take(epoch, width);
        past.insert(
            epoch,
            PastEpoch { epoch, context_bytes, sender_data_secret, resumption_psk, secret_tree },
        );
    }
    Ok(past.into_values().collect())
}

/// A group that is closed says by what.
fn load_reinit(
    storage: &dyn Storage,
    group: &GroupId,
    head: &Head,
    context: &DecodeContext,
) -> Result<Option<ReInit>, Error> {
    if head.status != Status::Reinitialized {
        return Ok(None);
    }
    let row = storage.read(&Kind::Reinit.row(group))?.ok_or(missing())?;
    read(&row.value, context, ReInit::decode).map(Some)
}

fn load_former(
    storage: &dyn Storage,
    group: &GroupId,
    context: &DecodeContext,
) -> Result<FormerMembers, Error> {
    let mut former = FormerMembers::default();
    for (key, row) in scan(storage, Kind::Former, group)? {
        let (leaf, last) = (LeafIndex(number_u32(&key, 2)?), number_u64(&key, 3)?);
        former.insert(leaf, last, read(&row.value, context, read_former)?);
    }
    Ok(former)
}

fn load_skipped(
    storage: &dyn Storage,
    group: &GroupId,
    context: &DecodeContext,
) -> Result<SkippedKeys, Error> {
    let rows = scan(storage, Kind::Skipped, group)?.into_iter().map(|(key, row)| {
        let id = SkippedId {
            epoch: number_u64(&key, 2)?,
            kind: ratchet_kind(&key, 3)?,
            leaf: LeafIndex(number_u32(&key, 4)?),
            generation: number_u32(&key, 5)?,
        };
        let (sequence, message_key) =
            read(&row.value, context, |reader| Ok((reader.u64()?, MessageKey::decode(reader)?)))?;
        Ok((id, sequence, message_key))
    });
    Ok(SkippedKeys::restore(rows.collect::<Result<Vec<_>, Error>>()?))
}

pub(super) fn read_past(reader: &mut Reader<'_>) -> Result<PastRow, DecodeError> {
    Ok(PastRow {
        context_bytes: Arc::from(reader.opaque()?),
        sender_data_secret: read_secret(reader)?,
        resumption_psk: read_secret(reader)?,
        width: read_width(reader)?,
    })
}

pub(super) fn read_epoch(reader: &mut Reader<'_>) -> Result<EpochRow, DecodeError> {
    Ok(EpochRow {
        context: GroupContext::decode(reader)?,
        width: read_width(reader)?,
        secrets: EpochSecrets {
            sender_data_secret: read_secret(reader)?,
            exporter_secret: read_secret(reader)?,
            external_secret: read_secret(reader)?,
            confirmation_key: read_secret(reader)?,
            membership_key: read_secret(reader)?,
            resumption_psk: read_secret(reader)?,
            epoch_authenticator: read_secret(reader)?,
            init_secret: InitSecret::new(read_secret(reader)?),
        },
        interim_transcript_hash: {
            let bytes = reader.opaque()?;
            let expected = Digest::MAX;
            Digest::new(bytes).ok_or(DecodeError::WrongLength { expected, actual: bytes.len() })?
        },
        confirmation_tag: Mac::decode(reader)?,
        private_keys: reader
            .vector_with(usize::MAX, "keys", |reader| {
                Ok((NodeIndex(reader.u32()?), HpkePrivateKey::new(read_secret(reader)?)))
            })?
            .into_iter()
            .collect(),
    })
}

impl EpochRow {
    /// The epoch and its resumption PSK.
    pub(super) fn resumption_psk(&self) -> (u64, Secret) {
        (self.context.epoch, self.secrets.resumption_psk.clone())
    }

    pub(super) fn into_epoch(
        self,
        tree: RatchetTree,
        secret_tree: SecretTree,
    ) -> Result<EpochState, Error> {
        Ok(EpochState {
            context_bytes: self.context.to_bytes()?.into(),
            context: self.context,
            tree,
            secrets: self.secrets,
            interim_transcript_hash: self.interim_transcript_hash,
            confirmation_tag: self.confirmation_tag,
            private_keys: self.private_keys,
            secret_tree,
        })
    }
}

fn read_width(reader: &mut Reader<'_>) -> Result<TreeWidth, DecodeError> {
    let depth = reader.u8()?;
    TreeWidth::from_depth(depth)
        .ok_or(DecodeError::UnknownValue { kind: "depth", value: depth.into() })
}

fn scan(storage: &dyn Storage, kind: Kind, group: &GroupId) -> Result<Vec<(Key, Row)>, Error> {
    Ok(storage.scan(&kind.of_group(group))?)
}

pub(crate) fn number_u64(key: &Key, index: usize) -> Result<u64, Error> {
    let bytes = key.component(index).and_then(|component| component.try_into().ok());
    bytes.map(u64::from_be_bytes).ok_or(unreadable())
}

fn number_u32(key: &Key, index: usize) -> Result<u32, Error> {
    let bytes = key.component(index).and_then(|component| component.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or(unreadable())
}

fn ratchet_kind(key: &Key, index: usize) -> Result<RatchetKind, Error> {
    match key.component(index) {
        Some([1]) => Ok(RatchetKind::Handshake),
        Some([2]) => Ok(RatchetKind::Application),
        _ => Err(unreadable()),
    }
}

pub(super) fn damaged<E>(_: E) -> Error {
    unreadable()
}

fn unreadable() -> Error {
    Error::Damaged(Damaged::Unreadable)
}

fn missing() -> Error {
    Error::Damaged(Damaged::Missing)
}
