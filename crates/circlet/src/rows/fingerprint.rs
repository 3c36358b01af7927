//! A whole value in rows, part by part, so that tests can say that nothing has changed.

use crate::codec::Encode;
use crate::error::Error;
use crate::group::{GroupState, PastEpoch, Status};
use crate::storage::Batch;

use super::step::{put_epoch, put_nodes, put_secret_tree};
use super::values::{write_former, write_proposal, write_secret};
use super::{Kind, former_key, past_key, proposal_key, put, skipped_key};

/// A part of a group's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Status, own leaf and version.
    Status,
    /// Context, secrets and private keys of the present epoch.
    Epoch,
    Tree,
    SecretTree,
    Past,
    Former,
    Skipped,
    Proposals,
}

impl Part {
    pub(crate) const ALL: [Self; 8] = [
        Self::Status,
        Self::Epoch,
        Self::Tree,
        Self::SecretTree,
        Self::Past,
        Self::Former,
        Self::Skipped,
        Self::Proposals,
    ];
}

/// The rows of one part of a value; what no row has of it is in rows of its own.
pub(crate) fn put_part(state: &GroupState, part: Part, batch: &mut Batch) -> Result<(), Error> {
    // Destructured, so that a field that is added is not forgotten here.
    let GroupState {
        settings,
        own_leaf,
        epoch,
        proposals,
        past,
        former,
        key_epochs,
        skipped,
        status,
        reinit,
        version,
    } = state;
    let group = state.group_id();
    match part {
        Part::Status => put(batch, Kind::Head.row(group), |writer| {
            writer.u8(match status {
                Status::Active => 1,
                Status::Removed => 2,
                Status::Reinitialized => 3,
            });
            own_leaf.encode(writer);
            writer.u64(*version);
            writer.optional(reinit.as_ref());
        }),
        Part::Epoch => {
            put(batch, Kind::Head.row(group), |writer| writer.opaque(&epoch.context_bytes))?;
            put_epoch(epoch, batch)
        }
        Part::Tree => {
            // Rows hold the hashes that are known: now all of them are.
            epoch.tree.tree_hash(&settings.suite)?;
            // With the epochs of the leaves.
            let _ = key_epochs;
            put_nodes(state, batch)
        }
        Part::SecretTree => put_secret_tree(group, state.epoch(), &epoch.secret_tree, batch),
        Part::Past => past.iter().try_for_each(|past| put_past(state, past, batch)),
        Part::Former => former.iter().try_for_each(|(leaf, last, former)| {
            put(batch, former_key(group, leaf, last), |writer| write_former(former, writer))
        }),
        Part::Skipped => skipped.iter().try_for_each(|(id, sequence, key)| {
            put(batch, skipped_key(group, id), |writer| {
                writer.u64(sequence);
                key.encode(writer);
            })
        }),
        Part::Proposals => {
            let next = proposals.next_sequence();
            put(batch, Kind::Head.row(group), |writer| writer.u64(next))?;
            proposals.iter().try_for_each(|held| {
                let key = proposal_key(group, &held.reference);
                put(batch, key, |writer| write_proposal(held, writer))
            })
        }
    }
}

fn put_past(state: &GroupState, past: &PastEpoch, batch: &mut Batch) -> Result<(), Error> {
    let group = state.group_id();
    put(batch, past_key(group, past.epoch), |writer| {
        writer.opaque(&past.context_bytes);
        write_secret(&past.sender_data_secret, writer);
        write_secret(&past.resumption_psk, writer);
        writer.u8(past.secret_tree.width().depth());
    })?;
    put_secret_tree(group, past.epoch, &past.secret_tree, batch)
}
