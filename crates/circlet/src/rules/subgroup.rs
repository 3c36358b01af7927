//! Groups that continue others: by re-initialization or as a branch (RFC 9420 sections 11.2, 11.3
//! and 12.4.3.1).

use std::collections::{HashMap, HashSet};

use super::{Violation, ensure, ensure_row};
use crate::crypto::CipherSuite;
use crate::identity::{Credential, CredentialValidator};
use crate::message::{GroupContext, ReInit};
use crate::tree::MLS10;

/// V-12.4.3.1-24, V-11.2-01 and V-11.3-02: a group that continues another is joined in the epoch
/// that its first Commit begins.
pub(crate) fn ensure_first_epoch(context: &GroupContext) -> Result<(), Violation> {
    ensure(context.epoch == 1, Violation::SubgroupEpoch)
}

/// V-11.2-02 and V-12.4.3.1-24: the PSK is of the epoch that a ReInit began, which is the old
/// group's last. `reinit` is the ReInit that began the PSK's epoch, if one did.
pub(crate) fn ensure_psk_of_reinit(reinit: Option<&ReInit>) -> Result<(), Violation> {
    ensure(reinit.is_some(), Violation::ReInitPsk)
}

/// V-12.4.2-15: whoever holds a group that a ReInit has closed joins the one that the ReInit names
/// by a Welcome that meets section 11.2, and by no other.
pub(crate) fn ensure_reinit_is_followed(follows: bool) -> Result<(), Violation> {
    ensure_row("V-12.4.2-15", follows, Violation::ReInitPsk)
}

/// V-11.2-01: the new group is what the ReInit says. That a GroupContext is of version 1 is seen
/// where it is read.
pub(crate) fn ensure_reinit_parameters(
    context: &GroupContext,
    reinit: &ReInit,
) -> Result<(), Violation> {
    let same = reinit.version == MLS10
        && reinit.cipher_suite == context.cipher_suite
        && reinit.group_id == context.group_id
        && reinit.extensions == context.extensions;
    ensure(same, Violation::ReInitParameters)
}

/// V-11.2-05: the members of a re-initialized group are those of the old one.
pub(crate) fn ensure_members_stay(
    old: &[Credential],
    new: &[&Credential],
    validator: &dyn CredentialValidator,
) -> Result<(), Violation> {
    ensure(are_the_same(old, new, validator), Violation::ReInitMembers)
}

/// V-11.3-02: a branch has the cipher suite and version of the old group, of which only one can be
/// read.
pub(crate) fn ensure_branch_parameters(
    context: &GroupContext,
    old: CipherSuite,
) -> Result<(), Violation> {
    ensure(context.cipher_suite == old, Violation::BranchParameters)
}

/// V-11.3-02: every member of a branch is one of the old group.
pub(crate) fn ensure_members_were_there(
    old: &[Credential],
    new: &[&Credential],
    validator: &dyn CredentialValidator,
) -> Result<(), Violation> {
    ensure(are_among(old, new, validator), Violation::BranchMembers)
}

/// Whether each member of one list is one of the other, and they are as many: a client that is in
/// the old group twice is in the new one twice.
pub(crate) fn are_the_same(
    old: &[Credential],
    new: &[&Credential],
    validator: &dyn CredentialValidator,
) -> bool {
    if old.len() != new.len() {
        return false;
    }
    let mut left: HashMap<Identity<'_>, usize> = HashMap::new();
    for credential in old {
        *left.entry(identity(credential, validator)).or_default() += 1;
    }
    new.iter().all(|credential| match left.get_mut(&identity(credential, validator)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    })
}

/// Whether each new member matches some old one.
pub(crate) fn are_among(
    old: &[Credential],
    new: &[&Credential],
    validator: &dyn CredentialValidator,
) -> bool {
    let old: HashSet<_> = old.iter().map(|credential| identity(credential, validator)).collect();
    new.iter().all(|credential| old.contains(&identity(credential, validator)))
}

/// Whether two credentials stand for the same member.
pub(crate) fn is_same_member(
    old: &Credential,
    new: &Credential,
    validator: &dyn CredentialValidator,
) -> bool {
    identity(old, validator) == identity(new, validator)
}

/// Whom a credential stands for.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    /// Whom the validator takes it for.
    Known(Vec<u8>),
    /// Nobody but itself.
    Only(&'a Credential),
}

fn identity<'a>(credential: &'a Credential, validator: &dyn CredentialValidator) -> Identity<'a> {
    validator.identity(credential).map_or(Identity::Only(credential), Identity::Known)
}
