use std::collections::BTreeSet;
use std::sync::Arc;

use crate::crypto::{CipherSuite, Rng, Secret};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{Credential, CredentialValidator, Signer};
use crate::message::{GroupContext, GroupId, KeyPackage, Proposal, ReInit, Sender};
use crate::mutation::off;
use crate::rules::leaf::ensure_group_context_extensions;
use crate::rules::proposals::{Resolved, check_list};
use crate::rules::subgroup::{
    are_among, are_the_same, ensure_branch_parameters, ensure_first_epoch, ensure_members_stay,
    ensure_members_were_there, ensure_psk_of_reinit, ensure_reinit_parameters,
};
use crate::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use crate::tree::{Extensions, LeafIndex, MLS10, RatchetTree};

use super::commit::{Composed, StagedCommit, Trial};
use super::{CommitRequest, GroupState, JoinKeys, Judge, PskSource, Settings, Signers, Status};

/// A group as it was in one of its epochs: what it takes to create or to join a group that
/// continues it, by re-initialization or as a branch (RFC 9420 sections 11.2 and 11.3).
///
/// It holds the epoch's resumption PSK, a secret: whoever has it passes for a member of that epoch.
/// Give it to nobody but another client of the same member, such as one for the cipher suite of a
/// ReInit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldGroup {
    pub(crate) group_id: GroupId,
    pub(crate) epoch: u64,
    pub(crate) cipher_suite: CipherSuite,
    /// One for each leaf.
    pub(crate) members: Vec<Credential>,
    pub(crate) resumption_psk: Secret,
    /// The ReInit of the Commit that began the epoch, which is the last then.
    pub(crate) reinit: Option<ReInit>,
}

/// What a group that continues another is founded with.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The suite, limits and policy.
    pub settings: Settings,
    /// The founder's own key package with its private keys.
    pub keys: JoinKeys,
    /// The key packages of all other members.
    pub key_packages: Vec<KeyPackage>,
    /// Whether the first Commit has a path, which renews the founder's keys. RFC 9420 section 11
    /// has it so.
    pub force_path: bool,
    /// Whether the Welcome has the ratchet tree inside. Otherwise the joiners get it from
    /// [`NewGroup::ratchet_tree`].
    pub tree_in_welcome: bool,
}

/// A group that continues another, in its first epoch with more than one member.
#[derive(Debug)]
#[non_exhaustive]
pub struct NewGroup {
    /// The group.
    pub state: GroupState,
    /// The Welcome for all other members, an encoded MLSMessage; `None` if there are none.
    pub welcome: Option<Vec<u8>>,
    /// The ratchet tree, encoded as in its extension, if it is not in the Welcome.
    pub ratchet_tree: Option<Vec<u8>>,
}

impl Founding {
    /// With a path, and the tree in the Welcome.
    #[must_use]
    pub fn new(settings: Settings, keys: JoinKeys, key_packages: Vec<KeyPackage>) -> Self {
        Self { settings, keys, key_packages, force_path: true, tree_in_welcome: true }
    }

    fn credentials(&self) -> Vec<&Credential> {
        let all = self.key_packages.iter().chain([&self.keys.key_package]);
        all.map(|key_package| &key_package.leaf_node.credential).collect()
    }
}

impl OldGroup {
    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.group_id
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The group's algorithms.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// The members of the epoch, by leaf.
    #[must_use]
    pub fn members(&self) -> &[Credential] {
        &self.members
    }

    /// The group that is to take the place of this one, if a ReInit has closed it.
    #[must_use]
    pub fn reinit(&self) -> Option<&ReInit> {
        self.reinit.as_ref()
    }

    /// Creates the group that takes the place of this one, as its ReInit says (section 11.2). Any
    /// member may do this, not only the one that committed the ReInit; the others join the first
    /// of these groups whose Welcome they get. The founding has a key package of each of them, for
    /// the new cipher suite. The new group is in epoch 1: nobody else was in epoch 0, so that the
    /// Commit between them is not sent.
    ///
    /// # Errors
    /// [`Misuse::NotReinitialized`]; [`Misuse::OtherSuite`] if the settings are not of the ReInit's
    /// suite or version; [`Misuse::OtherMembers`] if the key packages are not those of all other
    /// members; [`Error::Violation`] if a key package or the ReInit's extensions are not valid;
    /// [`Refused`]; the generator or the signer failed.
    pub fn reinitialize(
        &self,
        founding: Founding,
        judge: &Judge<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<NewGroup, Error> {
        let reinit = self.reinit.as_ref().ok_or(Misuse::NotReinitialized)?;
        if reinit.version != MLS10 || reinit.cipher_suite != founding.settings.suite.id() {
            return Err(Misuse::OtherSuite.into());
        }
        if !are_the_same(&self.members, &founding.credentials(), judge.validator) {
            return Err(Misuse::OtherMembers.into());
        }
        let ReInit { group_id, extensions, .. } = reinit.clone();
        let usage = ResumptionPskUsage::Reinit;
        self.found(usage, (group_id, extensions), founding, judge, signer, rng)
    }

    /// Creates a group with some of the members of this one (section 11.3), in epoch 1.
    ///
    /// # Errors
    /// [`Misuse::OtherSuite`]; [`Misuse::OtherMembers`] if a key package is of nobody in the old
    /// group; otherwise as for [`Self::reinitialize`].
    pub fn branch(
        &self,
        group_id: GroupId,
        extensions: Extensions,
        founding: Founding,
        judge: &Judge<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<NewGroup, Error> {
        if founding.settings.suite.id() != self.cipher_suite {
            return Err(Misuse::OtherSuite.into());
        }
        if !are_among(&self.members, &founding.credentials(), judge.validator) {
            return Err(Misuse::OtherMembers.into());
        }
        let usage = ResumptionPskUsage::Branch;
        self.found(usage, (group_id, extensions), founding, judge, signer, rng)
    }

    /// A group with its first Commit, which adds all others and injects the PSK, and nothing else.
    fn found(
        &self,
        usage: ResumptionPskUsage,
        (group_id, extensions): (GroupId, Extensions),
        founding: Founding,
        judge: &Judge<'_>,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<NewGroup, Error> {
        let Founding { settings, keys, key_packages, force_path, tree_in_welcome } = founding;
        let alone = GroupState::create(settings.clone(), group_id, extensions, keys, rng)?;
        alone.review(judge.validator)?;
        let psk = self.psk_id(usage, settings.suite.secret_length(), rng)?;
        let list = first_list(&alone, key_packages, psk)?;
        let trial = Trial { tree: &alone.epoch.tree, now: judge.now, psks: self };
        let (applied, psks) = alone.try_checked(&list, trial)?;
        let request = CommitRequest { force_path, tree_in_welcome, ..CommitRequest::default() };
        let composed = Composed { list, applied, psks };
        let (staged, _) =
            alone.commit_composed(request, composed, judge, Signers::of(signer), rng)?;
        Ok(begin(alone, staged))
    }

    /// V-11.2-02, V-11.3-01 and V-12.4.1-11: names the PSK, with a fresh nonce (V-12.1.4-03).
    fn psk_id(
        &self,
        usage: ResumptionPskUsage,
        length: usize,
        rng: &mut dyn Rng,
    ) -> Result<PreSharedKeyId, Error> {
        let usage = if off("V-11.3-01") { ResumptionPskUsage::Reinit } else { usage };
        let usage = if off("V-12.4.1-11") { ResumptionPskUsage::Application } else { usage };
        let psk_group_id = self.group_id.as_bytes().to_vec();
        let psk = Psk::Resumption { usage, psk_group_id, psk_epoch: self.epoch };
        PreSharedKeyId::fresh(psk, length, rng)
    }
}

/// Its own resumption PSK, and itself.
impl PskSource for OldGroup {
    fn external(&self, _: &[u8]) -> Option<Secret> {
        None
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.old_group(group_id, epoch).map(|old| old.resumption_psk)
    }

    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        let is_this = group_id == self.group_id.as_bytes() && epoch == self.epoch;
        is_this.then(|| self.clone())
    }
}

/// The list of a first Commit. The PSK is of a usage that is valid here only (V-12.1.4-01), and so
/// is not among what is checked as in any other Commit.
fn first_list(
    alone: &GroupState,
    key_packages: Vec<KeyPackage>,
    psk: PreSharedKeyId,
) -> Result<Vec<Resolved>, Error> {
    let founder = alone.own_leaf();
    let by_value = |proposal| {
        let proposal = Arc::new(proposal);
        Resolved { sender: Sender::Member(founder), proposal, reference: None }
    };
    let mut list: Vec<Resolved> =
        key_packages.into_iter().map(Proposal::Add).map(by_value).collect();
    check_list(&list, founder, alone.tree(), &alone.settings().suite)?;
    list.push(by_value(Proposal::PreSharedKey(psk)));
    let limit = alone.settings().limits().proposals;
    if list.len() > limit { Err(Refused::Proposals(limit).into()) } else { Ok(list) }
}

/// Nobody else was in the epoch before the first Commit: nothing is kept of it.
fn begin(alone: GroupState, staged: StagedCommit) -> NewGroup {
    let StagedCommit { next, welcome, ratchet_tree, .. } = staged;
    let (settings, own_leaf) = (alone.settings.clone(), alone.own_leaf);
    // The old tree lets go first, so that the new one can take over its index.
    drop(alone);
    let mut state = GroupState::begin(settings, own_leaf, next.epoch);
    state.epoch.tree.compact();
    NewGroup { state, welcome, ratchet_tree }
}

impl GroupState {
    /// What it takes to continue this group from an epoch: the present one, or one whose keys are
    /// still kept. `None` for any other, and after this client was removed.
    #[must_use]
    pub fn old_group(&self, epoch: u64) -> Option<OldGroup> {
        if self.status == Status::Removed {
            return None;
        }
        Some(OldGroup {
            resumption_psk: self.resumption_psk(self.group_id().as_bytes(), epoch)?,
            group_id: self.group_id().clone(),
            epoch,
            cipher_suite: self.epoch.context.cipher_suite,
            members: self.credentials_in(epoch),
            reinit: self.reinit.clone().filter(|_| epoch == self.epoch()),
        })
    }

    fn credentials_in(&self, epoch: u64) -> Vec<Credential> {
        let present = self.epoch.tree.members().map(|(leaf, _)| leaf);
        let leaves: BTreeSet<LeafIndex> = present.chain(self.former.leaves()).collect();
        let members = leaves.into_iter().filter_map(|leaf| self.member_in(leaf, epoch));
        members.map(|member| member.credential).collect()
    }

    /// V-12.1.5-02: a ReInit that no group could follow closes none. Another suite or version is
    /// none of that: it is for another client.
    pub(super) fn check_reinit(&self, reinit: &ReInit) -> Result<(), Error> {
        if off("V-12.1.5-02") {
            return Ok(());
        }
        let limit = self.settings.limits().group_id_bytes;
        if reinit.group_id.as_bytes().len() > limit {
            return Err(Refused::GroupId(limit).into());
        }
        ensure_group_context_extensions(&reinit.extensions)?;
        self.settings.ensure_extensions(&reinit.extensions)?;
        reinit.extensions.required_capabilities(&self.settings.context)?;
        reinit.extensions.external_senders(&self.settings.context)?;
        Ok(())
    }
}

/// The group that a Welcome continues, and how.
#[derive(Debug)]
pub(super) struct Continued {
    pub(super) usage: ResumptionPskUsage,
    pub(super) old: OldGroup,
}

impl Continued {
    /// V-12.4.3.1-24, without what the application has to judge.
    pub(super) fn check(&self, context: &GroupContext) -> Result<(), Error> {
        ensure_first_epoch(context)?;
        match (self.usage, &self.old.reinit) {
            (ResumptionPskUsage::Reinit, reinit) => {
                ensure_psk_of_reinit(reinit.as_ref())?;
                if let Some(reinit) = reinit {
                    ensure_reinit_parameters(context, reinit)?;
                }
            }
            (ResumptionPskUsage::Branch, _) => {
                ensure_branch_parameters(context, self.old.cipher_suite)?;
            }
            (ResumptionPskUsage::Application, _) => return Err(Error::Internal),
        }
        Ok(())
    }

    /// V-12.4.3.1-24: the members of the new group against those of the old one.
    pub(super) fn check_members(
        &self,
        tree: &RatchetTree,
        validator: &dyn CredentialValidator,
    ) -> Result<(), Error> {
        let new: Vec<&Credential> = tree.members().map(|(_, leaf)| &leaf.credential).collect();
        let old = &self.old.members;
        Ok(match self.usage {
            ResumptionPskUsage::Reinit => ensure_members_stay(old, &new, validator),
            _ => ensure_members_were_there(old, &new, validator),
        }?)
    }
}
