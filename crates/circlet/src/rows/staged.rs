use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader, Writer};
use crate::error::Error;
use crate::group::{
    AppliedProposal, CommitOutcome, EpochState, GroupState, NextEpoch, StagedCommit,
};
use crate::message::{GroupId, Proposal, ReInit};
use crate::schedule::SecretTree;
use crate::tree::{LeafIndex, NodeIndex, RatchetTree, StoredNode};

use super::load::{EpochRow, damaged, read_epoch};
use super::step::write_epoch;
use super::values::{
    read_former, read_member, read_proposer, read_secret, write_former, write_member,
    write_proposer, write_secret,
};
use super::{Kind, put, read};
use crate::storage::Batch;

/// A staged Commit: the next epoch, as changes to the present one.
pub(crate) fn put_staged(
    group: &GroupId,
    number: u64,
    staged: &StagedCommit,
    batch: &mut Batch,
) -> Result<(), Error> {
    put(batch, Kind::Staged.row(group), |writer| {
        writer.u64(number);
        writer.opaque(&staged.message);
        writer.u64(staged.parent_epoch);
        writer.opaque(&staged.parent_transcript_hash);
        write_optional(staged.welcome.as_deref(), writer);
        write_optional(staged.ratchet_tree.as_deref(), writer);
        write_outcome(&staged.outcome, writer);
        write_next(&staged.next, writer);
    })
}

/// Only the number, the epoch and the message of a staged Commit.
pub(crate) fn staged_message(
    value: &zeroize::Zeroizing<Vec<u8>>,
) -> Result<(u64, u64, Vec<u8>), Error> {
    read(value, &DecodeContext::default(), |reader| {
        let (number, message) = (reader.u64()?, reader.opaque()?.to_vec());
        let epoch = reader.u64()?;
        reader.take(reader.rest().len())?;
        Ok((number, epoch, message))
    })
}

pub(super) fn read_staged(
    value: &zeroize::Zeroizing<Vec<u8>>,
    present: &GroupState,
    context: &DecodeContext,
) -> Result<StagedCommit, Error> {
    struct Parts {
        message: Vec<u8>,
        parent_epoch: u64,
        parent_transcript_hash: Vec<u8>,
        welcome: Option<Vec<u8>>,
        ratchet_tree: Option<Vec<u8>>,
        outcome: CommitOutcome,
        next: NextRow,
    }
    let parts = read(value, context, |reader| {
        reader.u64()?;
        Ok(Parts {
            message: reader.opaque()?.to_vec(),
            parent_epoch: reader.u64()?,
            parent_transcript_hash: reader.opaque()?.to_vec(),
            welcome: reader.optional()?,
            ratchet_tree: reader.optional()?,
            outcome: read_outcome(reader)?,
            next: read_next(reader)?,
        })
    })?;
    Ok(StagedCommit {
        message: parts.message,
        parent_epoch: parts.parent_epoch,
        parent_transcript_hash: parts.parent_transcript_hash,
        next: parts.next.into_next(present)?,
        welcome: parts.welcome,
        ratchet_tree: parts.ratchet_tree,
        outcome: parts.outcome,
    })
}

fn write_next(next: &NextEpoch, writer: &mut Writer) {
    write_epoch(&next.epoch, writer);
    // The secret tree of an epoch that has not begun is its encryption secret and no more.
    writer.nested(|writer| {
        for (node, secret) in next.epoch.secret_tree.nodes() {
            writer.u32(node.0);
            write_secret(secret, writer);
        }
    });
    writer.nested(|writer| {
        for (node, change) in &next.tree_changes {
            writer.u32(node.0);
            writer.optional(change.as_ref());
        }
    });
    writer.nested(|writer| {
        for (leaf, former) in &next.former {
            leaf.encode(writer);
            write_former(former.as_ref(), writer);
        }
    });
    writer.optional(next.reinit.as_ref());
}

/// A staged epoch as it is stored, before it is put on top of the present one.
struct NextRow {
    epoch: EpochRow,
    secrets: Vec<(NodeIndex, crate::crypto::Secret)>,
    tree_changes: Vec<(NodeIndex, Option<StoredNode>)>,
    former: Vec<(LeafIndex, Option<crate::group::FormerMember>)>,
    reinit: Option<ReInit>,
}

fn read_next(reader: &mut Reader<'_>) -> Result<NextRow, DecodeError> {
    Ok(NextRow {
        epoch: read_epoch(reader)?,
        secrets: reader.vector_with(usize::MAX, "secrets", |reader| {
            Ok((NodeIndex(reader.u32()?), read_secret(reader)?))
        })?,
        tree_changes: reader.vector_with(usize::MAX, "nodes", |reader| {
            Ok((NodeIndex(reader.u32()?), reader.optional()?))
        })?,
        former: reader.vector_with(usize::MAX, "members", |reader| {
            Ok((LeafIndex::decode(reader)?, read_former(reader)?))
        })?,
        reinit: reader.optional()?,
    })
}

impl NextRow {
    fn into_next(self, present: &GroupState) -> Result<NextEpoch, Error> {
        let mut nodes: std::collections::BTreeMap<NodeIndex, StoredNode> =
            present.epoch.tree.all_nodes().into_iter().collect();
        for (node, change) in &self.tree_changes {
            match change {
                Some(stored) => nodes.insert(*node, stored.clone()),
                None => nodes.remove(node),
            };
        }
        let tree = RatchetTree::restore(self.epoch.width, nodes).map_err(damaged)?;
        let secret_tree = SecretTree::restore(self.epoch.width, self.secrets, []);
        let epoch: EpochState = self.epoch.into_epoch(tree, secret_tree)?;
        Ok(NextEpoch {
            epoch,
            tree_changes: self.tree_changes,
            former: self.former,
            reinit: self.reinit,
        })
    }
}

fn write_optional(bytes: Option<&[u8]>, writer: &mut Writer) {
    match bytes {
        None => writer.u8(0),
        Some(bytes) => {
            writer.u8(1);
            writer.opaque(bytes);
        }
    }
}

pub(crate) fn write_outcome(outcome: &CommitOutcome, writer: &mut Writer) {
    writer.u64(outcome.epoch);
    write_member(&outcome.committer, writer);
    writer.u8(outcome.external.into());
    for list in [&outcome.added, &outcome.removed, &outcome.updated] {
        writer.nested(|writer| list.iter().for_each(|member| write_member(member, writer)));
    }
    writer.u8(outcome.removes_own.into());
    match &outcome.reinit {
        None => writer.u8(0),
        Some(reinit) => {
            writer.u8(1);
            reinit.encode(writer);
        }
    }
    writer.nested(|writer| {
        for custom in &outcome.custom {
            write_proposer(&custom.proposer, writer);
            custom.proposal.encode(writer);
        }
    });
    writer.vector(&outcome.left_out);
}

pub(crate) fn read_outcome(reader: &mut Reader<'_>) -> Result<CommitOutcome, DecodeError> {
    let epoch = reader.u64()?;
    let committer = read_member(reader)?;
    let external = reader.u8()? != 0;
    let mut members = || reader.vector_with(usize::MAX, "members", |reader| read_member(reader));
    let (added, removed, updated) = (members()?, members()?, members()?);
    Ok(CommitOutcome {
        epoch,
        committer,
        external,
        added,
        removed,
        updated,
        removes_own: reader.u8()? != 0,
        reinit: reader.optional::<ReInit>()?,
        custom: reader.vector_with(usize::MAX, "proposals", |reader| {
            Ok(AppliedProposal::new(read_proposer(reader)?, Proposal::decode(reader)?))
        })?,
        left_out: reader.vector()?,
    })
}
