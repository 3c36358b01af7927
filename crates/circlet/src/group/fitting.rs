use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::SignaturePublicKey;
use crate::error::{Error, Unready};
use crate::message::{KeyPackage, Proposal, Sender};
use crate::mutation::off;
use crate::rules::commit::ensure_is_no_member;
use crate::rules::leaf::{check_leaf_in_group, check_newcomer, ensure_members_meet};
use crate::rules::proposals::{Resolved, ensure_types_are_supported};
use crate::schedule::PreSharedKeyId;
use crate::tree::{Extensions, LeafIndex, LeafNode, ProposalType};

use super::GroupState;
use super::apply::Applied;
use super::commit::Trial;
use super::pending::CachedProposal;

impl GroupState {
    /// V-12.4-02: the waiting proposals that are valid together with those given by value, but for
    /// those left out, in the order in which they came. One that is not valid must not keep the
    /// others from being committed (section 12.4), so that each is held by itself against what was
    /// taken before it: that needs no second try, and what one sender has here takes nothing from
    /// another. What is least likely to fail goes first.
    ///
    /// V-12.2-06: a Remove goes before an Update, and a later Update before an earlier one of the
    /// same member. A key that two want belongs to who came first with it: a copy comes later. Of
    /// several lists of extensions, or key packages of one client, the latest that is valid is
    /// taken. V-12.2-13: everything goes before a ReInit.
    pub(super) fn fitting(
        &self,
        by_value: &[Resolved],
        is_wanted: impl Fn(&CachedProposal) -> bool,
        trial: Trial<'_>,
    ) -> Result<Vec<Resolved>, Error> {
        let mut waiting: Vec<&CachedProposal> =
            self.proposals.iter().filter(|held| is_wanted(held)).collect();
        waiting.sort_by_key(|held| held.sequence);
        if off("V-12.4-02") {
            return Ok(Vec::new());
        }
        let Some(mut fitting) = Fitting::new(self, by_value, trial)? else {
            return Ok(Vec::new());
        };
        if off("V-12.2-13") && by_value.is_empty() {
            fitting.take_reinit(&waiting);
        }
        if !fitting.closed {
            fitting.take_all(&waiting)?;
        }
        if fitting.kept.is_empty() && by_value.is_empty() {
            fitting.take_reinit(&waiting);
        }
        let Fitting { mut kept, .. } = fitting;
        kept.sort_by_key(|held| held.sequence);
        Ok(kept.into_iter().map(CachedProposal::resolved).collect())
    }
}

/// The list of a Commit while it grows, and the tree and extensions with it.
struct Fitting<'a> {
    group: &'a GroupState,
    by_value: &'a [Resolved],
    trial: Trial<'a>,
    applied: Applied,
    kept: Vec<&'a CachedProposal>,
    /// Leaves with a Remove in the list.
    removed: BTreeSet<LeafIndex>,
    /// Whether the list has extensions of the group.
    extensions: bool,
    /// Whether the list has a ReInit.
    closed: bool,
    /// How many more proposals the list may have.
    room: usize,
}

impl<'a> Fitting<'a> {
    /// With what is given by value; `None` if nothing can be added to that. Whether it is valid
    /// itself is found when the list is checked as a whole.
    fn new(
        group: &'a GroupState,
        by_value: &'a [Resolved],
        trial: Trial<'a>,
    ) -> Result<Option<Self>, Error> {
        let applied = match group.apply_extensions(trial.tree, by_value) {
            Ok(applied) => applied,
            Err(error) => return misfit(error).map(|()| None),
        };
        let is =
            |wanted: ProposalType| move |item: &Resolved| item.proposal.proposal_type() == wanted;
        let fitting = Self {
            group,
            by_value,
            trial,
            applied,
            kept: Vec::new(),
            removed: BTreeSet::new(),
            extensions: by_value.iter().any(is(ProposalType::GROUP_CONTEXT_EXTENSIONS)),
            closed: by_value.iter().any(is(ProposalType::REINIT)),
            room: group.settings.limits().proposals.saturating_sub(by_value.len()),
        };
        Ok(Some(fitting).filter(|fitting| !fitting.closed))
    }

    fn take_all(&mut self, waiting: &[&'a CachedProposal]) -> Result<(), Error> {
        let mut leaves = self.latest_leaves(waiting);
        if !self.take_removes(waiting, &leaves) || !self.add_those_by_value() {
            self.kept.clear();
            return Ok(());
        }
        leaves.retain(|held| match held.sender {
            Sender::Member(sender) if is_update(held) => !self.removed.contains(&sender),
            _ => true,
        });
        // Twice, for a leaf that fits when another one has changed.
        for _ in 0..2 {
            self.take_extensions(waiting);
            let mut fit: Vec<_> =
                leaves.iter().copied().filter(|held| self.ensure_leaf_fits(held).is_ok()).collect();
            keep_owners(&mut fit);
            fit.iter().filter(|held| is_update(held)).for_each(|held| self.take_update(held));
            self.take_extensions(waiting);
            self.take_adds(&fit);
            let kept: BTreeSet<u64> = self.kept.iter().map(|held| held.sequence).collect();
            leaves.retain(|held| !kept.contains(&held.sequence));
        }
        self.take_custom(waiting);
        self.take_psks(waiting)
    }

    fn keep(&mut self, held: &'a CachedProposal) -> bool {
        let Some(room) = self.room.checked_sub(1) else { return false };
        self.room = room;
        self.kept.push(held);
        true
    }

    /// The Adds, and of each member's Updates the one that counts. V-7.3-07: the committer answers
    /// for the lifetimes of all that it adds.
    fn latest_leaves(&self, waiting: &[&'a CachedProposal]) -> Vec<&'a CachedProposal> {
        let mut latest: BTreeMap<LeafIndex, u64> = BTreeMap::new();
        for held in waiting.iter().filter(|held| is_update(held)) {
            if let Sender::Member(sender) = held.sender {
                let sequence = latest.entry(sender).or_insert(held.sequence);
                *sequence = if off("V-12.2-06") { *sequence } else { held.sequence };
            }
        }
        let counts = |held: &&CachedProposal| match (&*held.proposal, held.sender) {
            (Proposal::Update(_), Sender::Member(sender)) => {
                sender != self.group.own_leaf && latest.get(&sender) == Some(&held.sequence)
            }
            (Proposal::Add(key_package), _) => {
                let (now, leaf) = (self.trial.now, &key_package.leaf_node);
                now.is_none_or(|now| self.group.settings.ensure_lifetime_to_send(leaf, now).is_ok())
            }
            _ => false,
        };
        waiting.iter().copied().filter(counts).collect()
    }

    /// V-12.2-06: Removes, which nothing stands in the way of. False if those by value can't be
    /// applied.
    fn take_removes(
        &mut self,
        waiting: &[&'a CachedProposal],
        leaves: &[&'a CachedProposal],
    ) -> bool {
        for item in self.by_value {
            if let Proposal::Remove(leaf) = *item.proposal {
                if self.applied.tree.remove(leaf).is_err() {
                    return false;
                }
                self.removed.insert(leaf);
            }
        }
        let updates = |leaf| leaves.iter().any(|held| held.sender == Sender::Member(leaf));
        for held in waiting.iter().rev() {
            let Proposal::Remove(leaf) = *held.proposal else { continue };
            let open = leaf != self.group.own_leaf && !self.removed.contains(&leaf);
            let there = self.applied.tree.leaf(leaf).is_some();
            if !open || !there || off("V-12.2-06") && updates(leaf) || !self.keep(held) {
                continue;
            }
            self.removed.insert(leaf);
            if self.applied.tree.remove(leaf).is_err() {
                return false;
            }
        }
        true
    }

    /// False if they can't be applied.
    fn add_those_by_value(&mut self) -> bool {
        let limit = self.group.settings.limits().leaves;
        self.by_value.iter().all(|item| match &*item.proposal {
            Proposal::Add(key_package) => {
                let leaf = &key_package.leaf_node;
                let fits = check_newcomer(&self.applied.tree, None, leaf).is_ok();
                fits && self.applied.tree.add(leaf.clone(), limit).is_ok()
            }
            _ => true,
        })
    }

    /// The latest list of extensions that everybody supports who will be in the group.
    fn take_extensions(&mut self, waiting: &[&'a CachedProposal]) {
        if self.extensions || self.room == 0 {
            return;
        }
        for held in waiting.iter().rev() {
            let Proposal::GroupContextExtensions(new) = &*held.proposal else { continue };
            let settings = &self.group.settings;
            let Ok(required) = new.required_capabilities(&settings.context) else { continue };
            let tree = &self.applied.tree;
            if ensure_members_meet(tree, new, required.as_ref()).is_ok()
                && settings.ensure_senders_are_readable(new, tree).is_ok()
            {
                self.applied.extensions = Extensions::clone(new);
                self.applied.required = required;
                self.extensions = self.keep(held);
                return;
            }
        }
    }

    /// Whether a leaf fits those that are in the tree. All else about it was checked when it came.
    fn ensure_leaf_fits(&self, held: &CachedProposal) -> Result<(), Error> {
        let settings = &self.group.settings;
        let (leaf, place): (&LeafNode, Option<LeafIndex>) = match (&*held.proposal, held.sender) {
            (Proposal::Add(key_package), _) => {
                let (leaf, present) = (&key_package.leaf_node, &self.group.epoch.tree);
                settings.ensure_total_lifetime(leaf)?;
                ensure_is_no_member(present, |owner| self.removed.contains(&owner), leaf)?;
                (leaf, None)
            }
            (Proposal::Update(leaf), Sender::Member(sender)) => (leaf, Some(sender)),
            _ => return Err(Error::Internal),
        };
        check_leaf_in_group(leaf, self.applied.requirements(settings))?;
        Ok(check_newcomer(&self.applied.tree, place, leaf)?)
    }

    fn take_update(&mut self, held: &'a CachedProposal) {
        let (Proposal::Update(leaf), Sender::Member(sender)) = (&*held.proposal, held.sender)
        else {
            return;
        };
        let fits = self.ensure_leaf_fits(held).is_ok();
        let there = self.applied.tree.leaf(sender).is_some();
        if fits && there && self.keep(held) {
            // The leaf is there: it can be replaced.
            let _ = self.applied.tree.update(sender, leaf.clone());
        }
    }

    /// Of each client's key packages the latest that fits; those that members propose first.
    fn take_adds(&mut self, fit: &[&'a CachedProposal]) {
        let adds = || fit.iter().copied().filter_map(|held| Some((held, added(held)?)));
        let mut clients: BTreeMap<&SignaturePublicKey, Vec<(&'a CachedProposal, &KeyPackage)>> =
            BTreeMap::new();
        for (held, key_package) in adds() {
            clients
                .entry(&key_package.leaf_node.signature_key)
                .or_default()
                .push((held, key_package));
        }
        let of_member = |held: &CachedProposal| matches!(held.sender, Sender::Member(_));
        let (members, outsiders): (Vec<_>, Vec<_>) = adds().partition(|(held, _)| of_member(held));
        let limit = self.group.settings.limits().leaves;
        for (_, key_package) in members.into_iter().chain(outsiders) {
            let key = &key_package.leaf_node.signature_key;
            let Some(candidates) = clients.remove(key) else { continue };
            for (held, key_package) in candidates.into_iter().rev() {
                if self.room == 0 || self.ensure_leaf_fits(held).is_err() {
                    continue;
                }
                let leaf = key_package.leaf_node.clone();
                if self.applied.tree.add(leaf, limit).is_ok() {
                    self.keep(held);
                    break;
                }
            }
        }
    }

    /// Proposals of types that the application registered: each as far as all support it who are
    /// in the group and stay.
    fn take_custom(&mut self, waiting: &[&'a CachedProposal]) {
        let removes = |item: &Resolved| matches!(*item.proposal, Proposal::Remove(_));
        let by_value = self.by_value.iter().filter(|item| removes(item)).cloned();
        let kept = self.kept.iter().map(|held| held.resolved()).filter(removes);
        let mut list: Vec<Resolved> = by_value.chain(kept).collect();
        let mut supported: BTreeMap<ProposalType, bool> = BTreeMap::new();
        for held in waiting {
            let Proposal::Custom { proposal_type, .. } = *held.proposal else { continue };
            let supported = supported.entry(proposal_type).or_insert_with(|| {
                list.push(held.resolved());
                let supported = ensure_types_are_supported(&list, &self.group.epoch.tree).is_ok();
                list.pop();
                supported
            });
            if *supported {
                self.keep(held);
            }
        }
    }

    /// Pre-shared keys that are there, each looked up by itself. Where there are too many, every
    /// sender has its turn.
    fn take_psks(&mut self, waiting: &[&'a CachedProposal]) -> Result<(), Error> {
        let by_value: Vec<&PreSharedKeyId> =
            self.by_value.iter().filter_map(|item| psk_of(&item.proposal)).collect();
        let mut room = self.group.settings.limits().psks.saturating_sub(by_value.len());
        let mut seen: BTreeSet<&PreSharedKeyId> = by_value.into_iter().collect();
        let psks = waiting.iter().rev().filter_map(|held| Some((*held, psk_of(&held.proposal)?)));
        let differ: Vec<_> = psks.filter(|(_, id)| seen.insert(id)).collect();
        for (held, id) in in_turn(differ) {
            if room == 0 || self.room == 0 {
                break;
            }
            match self.group.psk_secrets(std::slice::from_ref(id), self.trial.psks) {
                Ok(_) => {
                    self.keep(held);
                    room -= 1;
                }
                Err(Error::Unready(Unready::UnknownPsk(psk))) => {
                    if !self.trial.psks.is_missing(&psk) {
                        return Err(Unready::UnknownPsk(psk).into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The latest ReInit, which stands alone.
    fn take_reinit(&mut self, waiting: &[&'a CachedProposal]) {
        let fits = |held: &&&CachedProposal| match &*held.proposal {
            Proposal::ReInit(parameters) => self.group.check_reinit(parameters).is_ok(),
            _ => false,
        };
        let found = waiting.iter().rev().find(fits).copied();
        self.closed = found.is_some_and(|held| self.keep(held));
    }
}

/// What a list by value is refused for is found when it is checked as a whole.
fn misfit(error: Error) -> Result<(), Error> {
    match error {
        Error::Violation(_) | Error::Refused(_) | Error::Unready(_) | Error::Malformed(_) => Ok(()),
        error => Err(error),
    }
}

fn is_update(held: &CachedProposal) -> bool {
    matches!(*held.proposal, Proposal::Update(_))
}

fn added(held: &CachedProposal) -> Option<&KeyPackage> {
    match &*held.proposal {
        Proposal::Add(key_package) => Some(key_package),
        _ => None,
    }
}

fn psk_of(proposal: &Proposal) -> Option<&PreSharedKeyId> {
    match proposal {
        Proposal::PreSharedKey(id) => Some(id),
        _ => None,
    }
}

/// Who presents a key, and for what.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim<'a> {
    /// A member by its Update, or nobody yet but the client that signs with this key.
    member: Option<Sender>,
    client: &'a SignaturePublicKey,
    signs: bool,
}

/// Drops what has a key that something else had before: whoever copies a key comes later. The key
/// packages of one client may have its keys in common.
fn keep_owners(leaves: &mut Vec<&CachedProposal>) {
    let mut owners: BTreeMap<&[u8], Claim<'_>> = BTreeMap::new();
    leaves.retain(|held| {
        let (leaf, member): (&LeafNode, _) = match &*held.proposal {
            Proposal::Add(key_package) => (&key_package.leaf_node, None),
            Proposal::Update(leaf) => (leaf, Some(held.sender)),
            _ => return false,
        };
        let claim = |signs| Claim { member, client: &leaf.signature_key, signs };
        let claims = [
            (leaf.signature_key.as_bytes(), claim(true)),
            (leaf.encryption_key.as_bytes(), claim(false)),
        ];
        let free = claims.iter().all(|(key, own)| owners.get(key).is_none_or(|held| held == own));
        if free {
            owners.extend(claims);
        }
        free
    });
}

/// Everybody's first, then everybody's second, and so on.
fn in_turn<T>(list: Vec<(&CachedProposal, T)>) -> Vec<(&CachedProposal, T)> {
    let mut turns: BTreeMap<Sender, usize> = BTreeMap::new();
    let mut list: Vec<_> = list
        .into_iter()
        .map(|(held, item)| {
            let turn = turns.entry(held.sender).or_default();
            *turn += 1;
            (*turn, held, item)
        })
        .collect();
    list.sort_by_key(|(turn, held, _)| (*turn, held.sequence));
    list.into_iter().map(|(_, held, item)| (held, item)).collect()
}
