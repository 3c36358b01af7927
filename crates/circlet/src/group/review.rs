use crate::crypto::{Secret, SignaturePublicKey};
use crate::error::{Error, Unready};
use crate::identity::{Credential, CredentialCheck, CredentialUse, CredentialValidator};
use crate::message::GroupId;
use crate::mutation::{any_off, off};
use crate::rules::proposals::ensure_psk_count;
use crate::schedule::{PreSharedKeyId, Psk};

use super::{GroupState, OldGroup};

/// Where pre-shared keys come from (RFC 9420 section 8.4).
pub trait PskSource {
    /// The key with this id.
    fn external(&self, psk_id: &[u8]) -> Option<Secret>;

    /// The resumption PSK of another group, or of an epoch that the group itself no longer keeps,
    /// for a use that the application decides.
    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        let _ = (group_id, epoch);
        None
    }

    /// A group as it was in this epoch, for a Welcome to one that continues it (sections 11.2 and
    /// 11.3): [`GroupState::old_group`] gives it.
    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        let _ = (group_id, epoch);
        None
    }

    /// Whether this key, which was not found, is known not to be there. A source that loads keys
    /// as they are asked for says no until it has looked.
    fn is_missing(&self, psk: &Psk) -> bool {
        let _ = psk;
        true
    }
}

/// No pre-shared keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPsks;

impl PskSource for NoPsks {
    fn external(&self, _: &[u8]) -> Option<Secret> {
        None
    }
}

/// Everything that the application decides or supplies while a message is processed.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// Judges credentials.
    pub validator: &'a dyn CredentialValidator,
    /// Supplies pre-shared keys.
    pub psks: &'a dyn PskSource,
    /// The time in seconds since the Unix epoch, against which lifetimes of key packages are
    /// held; `None` to leave lifetimes alone.
    pub now: Option<u64>,
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("now", &self.now).finish_non_exhaustive()
    }
}

/// One credential that the application has to judge before a change goes on.
#[derive(Clone, Debug)]
pub struct ReviewItem {
    /// The credential.
    pub credential: Credential,
    /// The key that it is presented with.
    pub signature_key: SignaturePublicKey,
    /// The credential and key that it replaces.
    pub replaced: Option<(Credential, SignaturePublicKey)>,
    /// Why.
    pub reason: CredentialUse,
}

impl ReviewItem {
    /// V-5.3-03: the application judges the credential, V-7.3-01 where it is that of a leaf, and
    /// V-5.3-04: as the successor of the one that it replaces.
    pub(super) fn ask(
        &self,
        validator: &dyn CredentialValidator,
        group_id: &GroupId,
    ) -> Result<(), Error> {
        let replaced = self.replaced.as_ref().filter(|_| !off("V-5.3-04"));
        let check = CredentialCheck {
            credential: &self.credential,
            signature_key: &self.signature_key,
            replaced: replaced.map(|(credential, key)| (credential, key)),
            group_id: Some(group_id.as_bytes()),
            reason: self.reason,
        };
        let of_leaf = self.reason != CredentialUse::ExternalSender;
        match validator.validate(&check) {
            Err(_) if off("V-5.3-03") || of_leaf && off("V-7.3-01") => Ok(()),
            judged => Ok(judged?),
        }
    }
}

impl GroupState {
    /// The secrets of these pre-shared keys, in their order (section 8.4).
    pub(super) fn psk_secrets(
        &self,
        ids: &[PreSharedKeyId],
        source: &dyn PskSource,
    ) -> Result<Vec<(PreSharedKeyId, Secret)>, Error> {
        find_psks(ids, |psk| match psk {
            Psk::External { psk_id } => source.external(psk_id),
            Psk::Resumption { psk_group_id, psk_epoch, .. } => self
                .resumption_psk(psk_group_id, *psk_epoch)
                .or_else(|| source.resumption(psk_group_id, *psk_epoch)),
        })
    }
}

/// V-8.4-05 and V-8.4-07: the secret of each key; an error that names the first that is missing.
pub(super) fn find_psks(
    ids: &[PreSharedKeyId],
    find: impl Fn(&Psk) -> Option<Secret>,
) -> Result<Vec<(PreSharedKeyId, Secret)>, Error> {
    ensure_psk_count(ids)?;
    let find = |id: &PreSharedKeyId| {
        let secret = find(&id.psk).or_else(|| unknown_psk(&id.psk));
        Ok((id.clone(), secret.ok_or_else(|| Unready::UnknownPsk(id.psk.clone()))?))
    };
    ids.iter().map(find).collect()
}

/// V-8.4-05, V-8.4-07, V-12.4.2-05 and V-12.4.3.1-05: nothing stands in for a key that is missing,
/// neither in a Commit nor in a Welcome.
fn unknown_psk(psk: &Psk) -> Option<Secret> {
    let row = match psk {
        Psk::Resumption { .. } => "V-8.4-05",
        Psk::External { .. } => "V-8.4-07",
    };
    any_off(&[row, "V-12.4.2-05", "V-12.4.3.1-05"]).then(|| Secret::new(&[]))
}
