use crate::codec::{Decode, Encode};
use crate::error::Error;
use crate::group::{GroupState, Settings, StagedJoin};
use crate::schedule::SecretTree;
use crate::tree::{LeafIndex, NodeIndex, RatchetTree};

use super::load::{damaged, read_epoch};
use super::step::write_epoch;
use super::values::{read_secret, write_secret};
use super::{Batch, Kind, put, read};

/// An external Commit that waits for the delivery service, and the group as it will be: with its
/// whole tree, since the client has no other of the group.
pub(crate) fn put_joining(staged: &StagedJoin, batch: &mut Batch) -> Result<(), Error> {
    let StagedJoin { message, state } = staged;
    let tree = state.epoch.tree.to_bytes()?;
    put(batch, Kind::Joining.row(state.group_id()), |writer| {
        writer.opaque(message);
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
) -> Result<StagedJoin, Error> {
    let (message, own_leaf, epoch, secrets, tree) = read(value, &settings.context, |reader| {
        let message = reader.opaque()?.to_vec();
        let own_leaf = LeafIndex::decode(reader)?;
        let epoch = read_epoch(reader)?;
        let secrets = reader.vector_with(usize::MAX, "secrets", |reader| {
            Ok((NodeIndex(reader.u32()?), read_secret(reader)?))
        })?;
        let context = reader.context();
        Ok((message, own_leaf, epoch, secrets, RatchetTree::from_wire(reader.opaque()?, context)))
    })?;
    let tree = tree.map_err(damaged)?;
    let secret_tree = SecretTree::restore(epoch.width, secrets, []);
    let epoch = epoch.into_epoch(tree, secret_tree)?;
    Ok(StagedJoin { message, state: GroupState::begin(settings, own_leaf, epoch) })
}
