use crate::codec::{Decode, Encode};
use crate::error::Error;
use crate::group::{GroupState, Settings, StagedJoin};
use crate::schedule::SecretTree;
use crate::tree::{LeafIndex, NodeIndex, RatchetTree};

/// A join that waits, and whether it may take the place of this client's state of the group.
pub(crate) struct Joining {
    pub(crate) staged: StagedJoin,
    pub(crate) replaces_state: bool,
    /// The latest epoch of the group that this client knew of when it was staged. Where that has
    /// changed since, something else has overtaken the join.
    pub(crate) seen: Option<u64>,
}

use super::load::{damaged, read_epoch};
use super::step::write_epoch;
use super::values::{read_secret, write_secret};
use super::{Batch, Kind, put, read};

/// An external Commit that waits for the delivery service, and the group as it will be: with its
/// whole tree, since the client has no other of the group.
pub(crate) fn put_joining(joining: &Joining, batch: &mut Batch) -> Result<(), Error> {
    let Joining { staged: StagedJoin { message, state }, replaces_state, seen } = joining;
    let tree = state.epoch.tree.to_bytes()?;
    put(batch, Kind::Joining.row(state.group_id()), |writer| {
        writer.opaque(message);
        writer.u8((*replaces_state).into());
        writer.u8(seen.is_some().into());
        writer.u64(seen.unwrap_or_default());
        state.own_leaf.encode(writer);
        write_epoch(&state.epoch, writer);
        // The secret tree of an epoch that has not begun is its encryption secret and no more.
        writer.nested(|writer| {
            for (node, secret) in state.epoch.secret_tree.nodes() {
                writer.u32(node.0);
                write_secret(secret, writer);
            }
        });
        writer.opaque(&tree);
    })
}

/// Only the message of a join that waits.
pub(crate) fn joining_message(value: &zeroize::Zeroizing<Vec<u8>>) -> Result<Vec<u8>, Error> {
    read(value, &crate::codec::DecodeContext::default(), |reader| {
        let message = reader.opaque()?.to_vec();
        reader.take(reader.rest().len())?;
        Ok(message)
    })
}

pub(crate) fn read_joining(
    value: &zeroize::Zeroizing<Vec<u8>>,
    settings: Settings,
) -> Result<Joining, Error> {
    let (message, replaces_state, seen, own_leaf, epoch, secrets, tree) =
        read(value, &settings.context, |reader| {
            let message = reader.opaque()?.to_vec();
            let replaces_state = reader.u8()? != 0;
            let (has_seen, seen) = (reader.u8()? != 0, reader.u64()?);
            let seen = has_seen.then_some(seen);
            let own_leaf = LeafIndex::decode(reader)?;
            let epoch = read_epoch(reader)?;
            let secrets = reader.vector_with(usize::MAX, "secrets", |reader| {
                Ok((NodeIndex(reader.u32()?), read_secret(reader)?))
            })?;
            let context = reader.context();
            let tree = RatchetTree::from_wire(reader.opaque()?, context);
            Ok((message, replaces_state, seen, own_leaf, epoch, secrets, tree))
        })?;
    let tree = tree.map_err(damaged)?;
    let secret_tree = SecretTree::restore(epoch.width, secrets, []);
    // Known hashes are kept in the rows.
    tree.tree_hash(&settings.suite)?;
    let epoch = epoch.into_epoch(tree, secret_tree)?;
    let state = GroupState::begin(settings, own_leaf, epoch);
    Ok(Joining { staged: StagedJoin { message, state }, replaces_state, seen })
}
