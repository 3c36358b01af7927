use std::collections::BTreeMap;

use crate::crypto::Secret;
use crate::error::{Error, Unready};
use crate::group::{GroupState, OldGroup, PskSource};
use crate::message::{GroupId, Proposal};
use crate::rows::{Kind, psk_key, read, read_old_group, read_resumption_psk};
use crate::schedule::{Psk, ResumptionPskUsage};

use super::Inner;

/// The pre-shared keys that were loaded for an operation, and those that are known to be missing.
#[derive(Default)]
pub(super) struct LoadedPsks {
    external: BTreeMap<Vec<u8>, Option<Secret>>,
    resumption: BTreeMap<(Vec<u8>, u64), Option<Secret>>,
    old_groups: BTreeMap<(Vec<u8>, u64), Option<OldGroup>>,
}

impl PskSource for LoadedPsks {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        self.external.get(psk_id).cloned().flatten()
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.resumption.get(&(group_id.to_vec(), epoch)).cloned().flatten()
    }

    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        self.old_groups.get(&(group_id.to_vec(), epoch)).cloned().flatten()
    }

    fn is_missing(&self, psk: &Psk) -> bool {
        match psk {
            Psk::External { psk_id } => self.external.contains_key(psk_id),
            Psk::Resumption { usage, psk_group_id, psk_epoch } => {
                let key = &(psk_group_id.clone(), *psk_epoch);
                match usage {
                    ResumptionPskUsage::Application => self.resumption.contains_key(key),
                    _ => self.old_groups.contains_key(key),
                }
            }
        }
    }
}

impl Inner {
    /// Looks for a pre-shared key that an operation asked for; an error if it did so before. Other
    /// groups are read from the store as it is, not through their slots: whoever has one group in
    /// hand waits for no other.
    pub(super) fn load_psk(&self, psks: &mut LoadedPsks, psk: Psk) -> Result<(), Error> {
        if psks.is_missing(&psk) {
            return Err(Unready::UnknownPsk(psk).into());
        }
        match psk {
            Psk::External { psk_id } => {
                let secret = self.external_psk(&psk_id)?;
                psks.external.insert(psk_id, secret);
            }
            Psk::Resumption { usage, psk_group_id, psk_epoch } => {
                let id = GroupId::new(&psk_group_id);
                let key = (psk_group_id, psk_epoch);
                if usage == ResumptionPskUsage::Application {
                    psks.resumption.insert(key, self.resumption_psk(&id, psk_epoch)?);
                } else {
                    psks.old_groups.insert(key, self.old_group(&id, psk_epoch)?);
                }
            }
        }
        Ok(())
    }

    /// Looks for all keys that proposals that wait name, so that an operation that asked for one of
    /// them does not begin anew for each of the others.
    pub(super) fn load_waiting_psks(
        &self,
        state: &GroupState,
        psks: &mut LoadedPsks,
    ) -> Result<(), Error> {
        for (_, proposal) in state.waiting_proposals() {
            match proposal {
                Proposal::PreSharedKey(id) if !psks.is_missing(&id.psk) => {
                    self.load_psk(psks, id.psk.clone())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn external_psk(&self, psk_id: &[u8]) -> Result<Option<Secret>, Error> {
        let Some(row) = self.storage.read(&psk_key(psk_id))? else { return Ok(None) };
        let context = &self.settings.context;
        read(&row.value, context, |reader| reader.opaque().map(Secret::new)).map(Some)
    }

    fn resumption_psk(&self, id: &GroupId, epoch: u64) -> Result<Option<Secret>, Error> {
        let context = &self.settings.context;
        match read_resumption_psk(&*self.storage, id, epoch, context)? {
            Some(secret) => Ok(Some(secret)),
            None => Ok(self.kept_old_group(id, epoch)?.map(|old| old.resumption_psk)),
        }
    }

    /// A group of this client, or one that it was given ([`Client::add_old_group`]).
    ///
    /// [`Client::add_old_group`]: super::Client::add_old_group
    fn old_group(&self, id: &GroupId, epoch: u64) -> Result<Option<OldGroup>, Error> {
        if self.is_member(id)? {
            let loaded = self.read_group(id)?;
            if let Some(old) = loaded.state.old_group(epoch) {
                return Ok(Some(old));
            }
        }
        self.kept_old_group(id, epoch)
    }

    fn kept_old_group(&self, id: &GroupId, epoch: u64) -> Result<Option<OldGroup>, Error> {
        match self.storage.read(&Kind::OldGroup.numbered(id, epoch))? {
            Some(row) => read_old_group(&row.value, &self.settings.context).map(Some),
            None => Ok(None),
        }
    }
}
