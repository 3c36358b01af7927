use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use circlet::crypto::Secret;
use circlet::group::{OldGroup, PskSource};

type Keys = Arc<Mutex<BTreeMap<Vec<u8>, Secret>>>;

/// The external pre-shared keys of one actor, and behind them those that were stored for nobody in
/// particular. Clones share them: what is stored for a pending join or for a state is there for all
/// states that come of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Psks {
    own: Keys,
    common: Keys,
}

/// An actor's keys, and the group that a Welcome continues.
#[derive(Debug)]
pub(super) struct Continuing<'a> {
    pub(super) psks: &'a Psks,
    pub(super) old: &'a OldGroup,
}

impl Psks {
    /// Those of a new actor, with these as the common ones.
    pub(super) fn of_actor(&self) -> Self {
        Self { own: Keys::default(), common: Arc::clone(&self.own) }
    }

    pub(super) fn store(&self, psk_id: Vec<u8>, secret: &[u8]) {
        held(&self.own).insert(psk_id, Secret::new(secret));
    }

    /// Takes over what the other has.
    pub(super) fn absorb(&self, other: &Self) {
        let others = held(&other.own).clone();
        held(&self.own).extend(others);
    }
}

impl PskSource for Psks {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        let own = held(&self.own).get(psk_id).cloned();
        own.or_else(|| held(&self.common).get(psk_id).cloned())
    }
}

impl PskSource for Continuing<'_> {
    fn external(&self, psk_id: &[u8]) -> Option<Secret> {
        self.psks.external(psk_id)
    }

    fn resumption(&self, group_id: &[u8], epoch: u64) -> Option<Secret> {
        self.old.resumption(group_id, epoch)
    }

    fn old_group(&self, group_id: &[u8], epoch: u64) -> Option<OldGroup> {
        self.old.old_group(group_id, epoch)
    }
}

fn held(keys: &Keys) -> MutexGuard<'_, BTreeMap<Vec<u8>, Secret>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}
