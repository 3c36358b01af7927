//! Proposals and lists of them (RFC 9420 sections 12.1, 12.2 and 12.4).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Violation, ensure, ensure_row, ensure_rows};
use crate::codec::DecodeContext;
use crate::crypto::{HashReference, Suite};
use crate::message::{Proposal, ProposalOrRef, ReInit, Sender};
use crate::mutation::off;
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{LeafIndex, MLS10, ProposalType, RatchetTree};

/// A proposal of a Commit, wherever it came from.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// Who proposed it: the committer, if it is in the Commit by value.
    pub(crate) sender: Sender,
    /// Shared with the cache: a list may be tried many times.
    pub(crate) proposal: Arc<Proposal>,
    /// Its reference, if it is in the Commit by reference.
    pub(crate) reference: Option<HashReference>,
}

/// V-12.2-01 and V-12.2-02: a list of proposals that a Commit of this committer may have, by whoever
/// makes the Commit and by whoever receives it: everything that can be said before the list is
/// applied (section 12.2).
pub(crate) fn check_list(
    list: &[Resolved],
    committer: LeafIndex,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    if off("V-12.2-01") {
        return Ok(());
    }
    for item in list.iter().filter(|_| !off("V-12.2-02")) {
        check_proposal(item, tree, suite)?;
    }
    ensure_types_are_supported(list, tree)?;
    ensure_references_differ(list.iter().filter_map(|item| item.reference.as_ref()))?;
    ensure_committer_stays(list, committer)?;
    ensure_each_leaf_changes_once(list)?;
    ensure_psks_differ(list)?;
    ensure_one_group_context_extensions(list)?;
    ensure_reinit_is_alone(list)?;
    ensure_no_external_init(list)
}

/// V-12.4.1-01: the same by whoever makes the Commit, before it does.
pub(crate) fn check_list_to_send(
    list: &[Resolved],
    committer: LeafIndex,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    if off("V-12.4.1-01") { Ok(()) } else { check_list(list, committer, tree, suite) }
}

/// V-12.4.2-04: the same by whoever receives the Commit.
pub(crate) fn check_list_received(
    list: &[Resolved],
    committer: LeafIndex,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    if off("V-12.4.2-04") { Ok(()) } else { check_list(list, committer, tree, suite) }
}

/// The list of an external Commit (section 12.2): everything that can be said before it is applied.
pub(crate) fn check_external_list(
    list: &[Resolved],
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    ensure_external_commit_types(list)?;
    ensure_one_external_init(list)?;
    ensure_at_most_one_remove(list)?;
    for item in list {
        check_proposal(item, tree, suite)?;
    }
    ensure_psks_differ(list)
}

/// V-12.2-23, and V-12.4.3.2-03 where section 12.4.3.2 says the same: an external Commit has its
/// proposals by value.
pub(crate) fn ensure_by_value(proposals: &[ProposalOrRef]) -> Result<(), Violation> {
    let by_value = |item: &ProposalOrRef| matches!(item, ProposalOrRef::Proposal(_));
    let all = proposals.iter().all(by_value);
    ensure_rows(["V-12.4.3.2-03"], all, Violation::ExternalCommitReference)
}

/// V-12.2-22: beside its ExternalInit and a Remove, an external Commit may have pre-shared keys.
fn ensure_external_commit_types(list: &[Resolved]) -> Result<(), Violation> {
    let fits = |item: &Resolved| {
        matches!(
            *item.proposal,
            Proposal::ExternalInit(_) | Proposal::Remove(_) | Proposal::PreSharedKey(_)
        )
    };
    ensure(list.iter().all(fits), Violation::ExternalCommitProposal)
}

/// V-12.2-20: exactly one ExternalInit.
fn ensure_one_external_init(list: &[Resolved]) -> Result<(), Violation> {
    ensure(count(list, ProposalType::EXTERNAL_INIT) == 1, Violation::ExternalInitCount)
}

/// V-12.2-21: at most one Remove; whether the joiner may take the place of that member is for the
/// application to judge.
fn ensure_at_most_one_remove(list: &[Resolved]) -> Result<(), Violation> {
    ensure(count(list, ProposalType::REMOVE) <= 1, Violation::ExternalCommitRemoves)
}

/// V-12.1.8-03: what an external sender may propose (sections 12.1.8 and 17.4). V-12.1.2-02: no
/// Update, for it has no leaf.
pub(crate) fn ensure_external_type(
    proposal: &Proposal,
    context: &DecodeContext,
) -> Result<(), Violation> {
    let allowed = match proposal {
        Proposal::Add(_)
        | Proposal::Remove(_)
        | Proposal::PreSharedKey(_)
        | Proposal::ReInit(_)
        | Proposal::GroupContextExtensions(_) => true,
        Proposal::Custom { proposal_type, .. } => {
            context.proposal_types.get(&proposal_type.0).is_some_and(|rules| rules.external)
        }
        Proposal::Update(_) => return ensure(false, Violation::ExternalUpdate),
        Proposal::ExternalInit(_) => false,
    };
    ensure(allowed, Violation::ExternalProposalType)
}

/// What each proposal must be by itself, in a member's Commit or sent alone (section 12.1).
pub(crate) fn check_proposal(
    item: &Resolved,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    match &*item.proposal {
        Proposal::Update(_) => ensure_member_updates(item.sender, tree),
        Proposal::Remove(removed) => ensure_removed_is_member(*removed, tree),
        Proposal::PreSharedKey(id) => {
            ensure_psk_usage(id)?;
            ensure_psk_nonce(id, suite)
        }
        Proposal::ReInit(reinit) => ensure_reinit_version(reinit),
        _ => Ok(()),
    }
}

/// V-12.1.5-01: a ReInit goes to no older version.
fn ensure_reinit_version(reinit: &ReInit) -> Result<(), Violation> {
    ensure(reinit.version >= MLS10, Violation::ReInitVersion)
}

/// V-12.1.6-01: nobody sends an ExternalInit alone: it is for external Commits, which have it by
/// value.
pub(crate) fn ensure_not_external_init(proposal: &Proposal) -> Result<(), Violation> {
    let other = !matches!(proposal, Proposal::ExternalInit(_));
    ensure_row("V-12.1.6-01", other, Violation::ExternalInitInMemberCommit)
}

/// V-12.1.2-02: only a member updates, and only its own leaf.
fn ensure_member_updates(sender: Sender, tree: &RatchetTree) -> Result<(), Violation> {
    let member = matches!(sender, Sender::Member(leaf) if tree.leaf(leaf).is_some());
    ensure(member, Violation::ExternalUpdate)
}

/// V-12.1.3-01: a Remove names a member.
fn ensure_removed_is_member(removed: LeafIndex, tree: &RatchetTree) -> Result<(), Violation> {
    ensure(tree.leaf(removed).is_some(), Violation::RemoveOfBlank)
}

/// V-12.1.4-01: re-initialization (V-11.2-03) and branching (V-11.3-03) have their own places.
pub(crate) fn ensure_psk_usage(id: &PreSharedKeyId) -> Result<(), Violation> {
    let usual = match &id.psk {
        Psk::External { .. } => true,
        Psk::Resumption { usage, .. } => match usage {
            ResumptionPskUsage::Application => true,
            ResumptionPskUsage::Reinit => off("V-11.2-03"),
            ResumptionPskUsage::Branch => off("V-11.3-03"),
        },
    };
    ensure(usual, Violation::PskUsage)
}

/// V-12.1.4-02: the nonce has the length of the KDF's output.
pub(crate) fn ensure_psk_nonce(id: &PreSharedKeyId, suite: &Suite) -> Result<(), Violation> {
    ensure(id.psk_nonce.len() == suite.secret_length(), Violation::PskNonce)
}

/// V-8.4-04: a `uint16` counts them.
pub(crate) fn ensure_psk_count(ids: &[PreSharedKeyId]) -> Result<(), Violation> {
    ensure(u16::try_from(ids.len()).is_ok(), Violation::PskCount)
}

/// V-12.2-15, and V-13.0-01 where section 13 says the same: a proposal that is not of the RFC itself
/// is supported by every member that processes the Commit. Those whom it removes don't, nor those
/// whom it adds.
pub(crate) fn ensure_types_are_supported(
    list: &[Resolved],
    tree: &RatchetTree,
) -> Result<(), Violation> {
    let kinds = list.iter().map(|item| item.proposal.proposal_type());
    let custom: BTreeSet<ProposalType> = kinds.filter(|kind| !kind.is_default()).collect();
    if custom.is_empty() {
        return Ok(());
    }
    let removed: BTreeSet<LeafIndex> = list
        .iter()
        .filter_map(|item| match *item.proposal {
            Proposal::Remove(removed) => Some(removed),
            _ => None,
        })
        .collect();
    let leaving: Vec<_> = removed.iter().filter_map(|leaf| tree.leaf(*leaf)).collect();
    let lacks = |kind: &ProposalType| {
        let all = tree.member_count().saturating_sub(tree.proposal_support(*kind));
        let going = leaving.iter().filter(|leaf| !leaf.capabilities.has_proposal(*kind)).count();
        usize::try_from(all).unwrap_or(usize::MAX) > going
    };
    let all = !custom.iter().any(lacks);
    ensure_rows(["V-13.0-01"], all, Violation::ProposalTypeNotSupported)
}

/// Whoever sends a proposal sends one that every member can read: its body has no length on the
/// wire (section 12.1).
pub(crate) fn ensure_type_is_readable(
    proposal: &Proposal,
    tree: &RatchetTree,
) -> Result<(), Violation> {
    let kind = proposal.proposal_type();
    let readable = kind.is_default() || tree.proposal_support(kind) == tree.member_count();
    ensure(readable, Violation::ProposalTypeNotSupported)
}

/// V-12.2-18: no proposal is referred to twice. A receiver asks this before it looks for any of
/// them.
pub(crate) fn ensure_references_differ<'a>(
    mut references: impl Iterator<Item = &'a HashReference>,
) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    ensure(references.all(|reference| seen.insert(reference)), Violation::ReferenceTwice)
}

/// V-12.2-03 and V-12.2-04: the committer neither updates nor removes itself.
fn ensure_committer_stays(list: &[Resolved], committer: LeafIndex) -> Result<(), Violation> {
    let own = Sender::Member(committer);
    let updates =
        list.iter().any(|item| matches!(*item.proposal, Proposal::Update(_)) && item.sender == own);
    ensure(!updates, Violation::CommitterUpdates)?;
    let removes = |item: &Resolved| matches!(*item.proposal, Proposal::Remove(removed) if removed == committer);
    ensure(!list.iter().any(removes), Violation::CommitterRemoved)
}

/// V-12.2-05: at most one Update or Remove of each leaf.
fn ensure_each_leaf_changes_once(list: &[Resolved]) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    let mut leaves = list.iter().filter_map(|item| match (&*item.proposal, item.sender) {
        (Proposal::Update(_), Sender::Member(leaf)) => Some(leaf),
        (Proposal::Remove(removed), _) => Some(*removed),
        _ => None,
    });
    ensure(leaves.all(|leaf| seen.insert(leaf)), Violation::LeafTwice)
}

/// V-12.2-09 and V-12.2-10: no PreSharedKeyID twice. Its nonce is part of it: the same key may come
/// with another one.
fn ensure_psks_differ(list: &[Resolved]) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut ids = list.iter().filter_map(|item| match &*item.proposal {
        Proposal::PreSharedKey(id) => Some(id),
        _ => None,
    });
    let differ = ids.all(|id| seen.insert(id) && (!off("V-12.2-10") || keys.insert(&id.psk)));
    ensure(differ, Violation::PskTwice)
}

/// V-12.2-11: at most one GroupContextExtensions.
fn ensure_one_group_context_extensions(list: &[Resolved]) -> Result<(), Violation> {
    let count = count(list, ProposalType::GROUP_CONTEXT_EXTENSIONS);
    ensure(count <= 1, Violation::GroupContextExtensionsTwice)
}

/// V-12.2-12: a ReInit stands alone.
fn ensure_reinit_is_alone(list: &[Resolved]) -> Result<(), Violation> {
    let alone = count(list, ProposalType::REINIT) == 0 || list.len() == 1;
    ensure(alone, Violation::ReInitNotAlone)
}

/// V-12.2-14: ExternalInit belongs to external Commits.
fn ensure_no_external_init(list: &[Resolved]) -> Result<(), Violation> {
    let none = count(list, ProposalType::EXTERNAL_INIT) == 0;
    ensure(none, Violation::ExternalInitInMemberCommit)
}

fn count(list: &[Resolved], kind: ProposalType) -> usize {
    list.iter().filter(|item| item.proposal.proposal_type() == kind).count()
}

/// V-12.4-04 and V-12.4-05: a Commit needs a path unless all it has is of types that do without
/// (sections 12.4 and 17.4).
pub(crate) fn path_required(list: &[Resolved], context: &DecodeContext) -> bool {
    let does_without = |item: &Resolved| match &*item.proposal {
        Proposal::Add(_) | Proposal::PreSharedKey(_) | Proposal::ReInit(_) => true,
        Proposal::Custom { proposal_type, .. } => {
            let registered = context.proposal_types.get(&proposal_type.0);
            registered.is_some_and(|rules| !rules.path_required)
        }
        _ => false,
    };
    if off("V-12.4-04") {
        return false;
    }
    list.is_empty() || !list.iter().all(|item| does_without(item) && !off("V-12.4-05"))
}

/// V-12.4.2-06: the path is there where it is needed.
pub(crate) fn ensure_path(
    list: &[Resolved],
    has_path: bool,
    context: &DecodeContext,
) -> Result<(), Violation> {
    let there = has_path || !path_required(list, context);
    ensure_row("V-12.4.2-06", there, Violation::PathMissing)
}
