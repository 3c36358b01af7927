use crate::codec::{Encode, Writer};
use crate::error::Error;
use crate::group::{Change, EpochState, GroupState, NextEpoch, RatchetUse, Step};
use crate::message::GroupId;
use crate::mutation::off;
use crate::schedule::{EpochSecrets, SecretTree};

use super::values::{write_former, write_proposal, write_secret};
use super::{
    Kind, former_key, node_key, past_key, proposal_key, put, ratchet_key, secret_key, skipped_key,
};
use crate::storage::{Batch, Prefix};
use crate::tree::{NodeIndex, StoredNode};

/// The rows of a group that was not stored before.
pub(crate) fn put_new_group(state: &GroupState, batch: &mut Batch) -> Result<(), Error> {
    let group = state.group_id();
    delete_group(group, batch);
    put_epoch(&state.epoch, batch)?;
    put_nodes(state, batch)?;
    put_secret_tree(group, state.epoch(), &state.epoch.secret_tree, batch)
}

/// The rows that a step writes and deletes, from the state that it was computed from.
pub(crate) fn put_step(state: &GroupState, step: &Step, batch: &mut Batch) -> Result<(), Error> {
    let group = state.group_id();
    if let Some(used) = &step.ratchet {
        put_ratchet(group, used, batch)?;
    }
    match &step.change {
        Change::Nothing => Ok(()),
        Change::Proposal(cached) => {
            let key = proposal_key(group, &cached.reference);
            put(batch, key, |writer| write_proposal(cached, writer))
        }
        Change::Epoch(next) => put_next_epoch(state, next, batch),
        Change::Removed => {
            delete_group(group, batch);
            // Nothing that the ratchet wrote outlives the group.
            batch.puts.clear();
            Ok(())
        }
    }
}

/// Deletes every row of a group but its head and what was not yet acknowledged.
pub(crate) fn delete_group(group: &GroupId, batch: &mut Batch) {
    let kinds = [
        Kind::Epoch,
        Kind::Node,
        Kind::Secret,
        Kind::Ratchet,
        Kind::Skipped,
        Kind::Past,
        Kind::Former,
        Kind::Proposal,
        Kind::Staged,
        Kind::Signer,
        Kind::Reinit,
    ];
    batch.delete_prefixes.extend(kinds.map(|kind| kind.of_group(group)));
}

fn put_ratchet(group: &GroupId, used: &RatchetUse, batch: &mut Batch) -> Result<(), Error> {
    let epoch = used.epoch;
    // V-9.2-04: what a consumed key could be derived from goes from the store too.
    for node in used.tree.removed_nodes.iter().filter(|_| !off("V-9.2-04")) {
        batch.deletes.push(secret_key(group, epoch, *node));
    }
    for (node, secret) in &used.tree.added_nodes {
        put(batch, secret_key(group, epoch, *node), |writer| write_secret(secret, writer))?;
    }
    for ((leaf, kind), ratchet) in &used.tree.ratchets {
        put(batch, ratchet_key(group, epoch, *leaf, *kind), |writer| ratchet.encode(writer))?;
    }
    for id in &used.skipped.removed {
        batch.deletes.push(skipped_key(group, id));
    }
    for (id, sequence, key) in &used.skipped.inserted {
        put(batch, skipped_key(group, id), |writer| {
            writer.u64(*sequence);
            key.encode(writer);
        })?;
    }
    Ok(())
}

/// The rows that the next epoch writes and deletes: a step's, or a staged Commit's.
pub(crate) fn put_next_epoch(
    state: &GroupState,
    next: &NextEpoch,
    batch: &mut Batch,
) -> Result<(), Error> {
    let group = state.group_id();
    let last = state.epoch();
    put_past(state, batch)?;
    put_epoch(&next.epoch, batch)?;
    if let Some(reinit) = &next.reinit {
        put(batch, Kind::Reinit.row(group), |writer| reinit.encode(writer))?;
    }
    for (node, change) in &next.tree_changes {
        match change {
            Some(stored) => put_node(group, *node, stored, next.epoch.context.epoch, batch)?,
            None => batch.deletes.push(node_key(group, *node)),
        }
    }
    let forgotten = last < state.oldest_kept_after(next.epoch.context.epoch);
    for (leaf, former) in next.former.iter().filter(|_| !forgotten) {
        let key = former_key(group, *leaf, last);
        put(batch, key, |writer| write_former(former.as_ref(), writer))?;
    }
    batch.delete_prefixes.push(Kind::Proposal.of_group(group));
    batch.delete_prefixes.push(Kind::Staged.of_group(group));
    let handshakes = [Kind::Ratchet, Kind::Skipped].map(|kind| kind.of_handshakes(group, last));
    delete_all(handshakes, batch);
    delete_forgotten(state, next.epoch.context.epoch, batch);
    put_secret_tree(group, next.epoch.context.epoch, &next.epoch.secret_tree, batch)
}

/// The whole tree.
pub(super) fn put_nodes(state: &GroupState, batch: &mut Batch) -> Result<(), Error> {
    for (node, stored) in state.epoch.tree.all_nodes() {
        let since = node.leaf().map_or(0, |leaf| state.key_epochs.of(leaf));
        put_node(state.group_id(), node, &stored, since, batch)?;
    }
    Ok(())
}

/// A node; of a leaf also the epoch in which it came to be what it is.
fn put_node(
    group: &GroupId,
    node: NodeIndex,
    stored: &StoredNode,
    since: u64,
    batch: &mut Batch,
) -> Result<(), Error> {
    put(batch, node_key(group, node), |writer| {
        stored.encode(writer);
        if node.leaf().is_some() {
            writer.u64(since);
        }
    })
}

/// Deletes what is kept of epochs that are now too old.
fn delete_forgotten(state: &GroupState, epoch: u64, batch: &mut Batch) {
    let group = state.group_id();
    let oldest = state.oldest_kept_after(epoch);
    let kept = state.past.iter().map(|past| past.epoch).chain([state.epoch()]);
    for forgotten in kept.filter(|past| *past < oldest) {
        let past = past_key(group, forgotten);
        batch.puts.retain(|(key, _)| *key != past);
        batch.deletes.push(past);
        let kinds = [Kind::Secret, Kind::Ratchet, Kind::Skipped];
        delete_all(kinds.map(|kind| kind.of_epoch(group, forgotten)), batch);
    }
    for (leaf, last) in state.former.before(oldest) {
        batch.deletes.push(former_key(group, leaf, last));
    }
}

/// Deletes what is stored below these prefixes, and what the same batch was about to put there.
fn delete_all<const N: usize>(prefixes: [Prefix; N], batch: &mut Batch) {
    batch.puts.retain(|(key, _)| !prefixes.iter().any(|prefix| prefix.contains(key)));
    batch.delete_prefixes.extend(prefixes);
}

fn put_past(state: &GroupState, batch: &mut Batch) -> Result<(), Error> {
    let present = &state.epoch;
    put(batch, past_key(state.group_id(), state.epoch()), |writer| {
        writer.opaque(&present.context_bytes);
        write_secret(&present.secrets.sender_data_secret, writer);
        write_secret(&present.secrets.resumption_psk, writer);
        writer.u8(present.secret_tree.width().depth());
    })
}

pub(super) fn put_epoch(epoch: &EpochState, batch: &mut Batch) -> Result<(), Error> {
    let key = Kind::Epoch.row(&epoch.context.group_id);
    put(batch, key, |writer| write_epoch(epoch, writer))
}

pub(super) fn write_epoch(epoch: &EpochState, writer: &mut Writer) {
    epoch.context.encode(writer);
    writer.u8(epoch.tree.width().depth());
    write_secrets(&epoch.secrets, writer);
    writer.opaque(epoch.interim_transcript_hash.as_bytes());
    epoch.confirmation_tag.encode(writer);
    writer.nested(|writer| {
        for (node, key) in &epoch.private_keys {
            writer.u32(node.0);
            write_secret(key.secret(), writer);
        }
    });
}

fn write_secrets(secrets: &EpochSecrets, writer: &mut Writer) {
    // Destructured, so that a secret that is added is not forgotten here.
    let EpochSecrets {
        sender_data_secret,
        exporter_secret,
        external_secret,
        confirmation_key,
        membership_key,
        resumption_psk,
        epoch_authenticator,
        init_secret,
    } = secrets;
    for secret in [
        sender_data_secret,
        exporter_secret,
        external_secret,
        confirmation_key,
        membership_key,
        resumption_psk,
        epoch_authenticator,
        init_secret.secret(),
    ] {
        write_secret(secret, writer);
    }
}

pub(super) fn put_secret_tree(
    group: &GroupId,
    epoch: u64,
    tree: &SecretTree,
    batch: &mut Batch,
) -> Result<(), Error> {
    for (node, secret) in tree.nodes() {
        put(batch, secret_key(group, epoch, node), |writer| write_secret(secret, writer))?;
    }
    for ((leaf, kind), ratchet) in tree.ratchets() {
        put(batch, ratchet_key(group, epoch, leaf, kind), |writer| ratchet.encode(writer))?;
    }
    Ok(())
}
