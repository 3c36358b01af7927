use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::{Secret, SignaturePublicKey};
use crate::identity::Credential;
use crate::mutation::off;
use crate::schedule::SecretTree;
use crate::tree::{LeafIndex, TreeWidth};

/// What is kept of an epoch that is over: enough to read late messages and to inject its
/// resumption PSK, and nothing that could send or commit.
#[derive(Debug)]
pub(crate) struct PastEpoch {
    pub(crate) epoch: u64,
    /// The encoded GroupContext, under which the epoch's messages are signed.
    pub(crate) context_bytes: Arc<[u8]>,
    pub(crate) sender_data_secret: Secret,
    pub(crate) resumption_psk: Secret,
    pub(crate) secret_tree: SecretTree,
}

impl PastEpoch {
    /// V-8.6-01: the resumption PSKs of so many past epochs are kept; V-14.0-02: so are the keys that
    /// messages are read with, and all others go.
    pub(crate) fn stays(&mut self) -> bool {
        if off("V-8.6-01") {
            self.secret_tree = SecretTree::restore(TreeWidth::ONE, [], []);
            return true;
        }
        if off("V-14.0-02") {
            self.resumption_psk = Secret::new(&[]);
            return true;
        }
        false
    }
}

/// Who held a leaf before it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormerMember {
    pub(crate) credential: Credential,
    pub(crate) signature_key: SignaturePublicKey,
}

/// The owners of leaves that have changed since, by leaf and the last epoch in which they held
/// it; `None` where the leaf was blank.
///
/// One row serves all past epochs: the owner in an epoch is the first entry at or after it, else
/// the present one.
#[derive(Debug, Default)]
pub(crate) struct FormerMembers(BTreeMap<(LeafIndex, u64), Option<FormerMember>>);

/// What [`FormerMembers`] knows of a leaf in an epoch.
pub(crate) enum Owner<'a> {
    /// It was this one, or nobody.
    Former(Option<&'a FormerMember>),
    /// It has not changed since.
    Present,
}

impl FormerMembers {
    pub(crate) fn owner(&self, leaf: LeafIndex, epoch: u64) -> Owner<'_> {
        match self.0.range((leaf, epoch)..=(leaf, u64::MAX)).next() {
            Some((_, former)) => Owner::Former(former.as_ref()),
            None => Owner::Present,
        }
    }

    /// The leaves that have changed.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = LeafIndex> {
        self.0.keys().map(|(leaf, _)| *leaf)
    }

    pub(crate) fn insert(
        &mut self,
        leaf: LeafIndex,
        last_epoch: u64,
        former: Option<FormerMember>,
    ) {
        self.0.insert((leaf, last_epoch), former);
    }

    /// The entries that no kept epoch needs any more.
    pub(crate) fn before(&self, epoch: u64) -> Vec<(LeafIndex, u64)> {
        self.0.keys().filter(|(_, last)| *last < epoch).copied().collect()
    }

    /// All entries, in order.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LeafIndex, u64, Option<&FormerMember>)> {
        self.0.iter().map(|((leaf, last), former)| (*leaf, *last, former.as_ref()))
    }

    pub(crate) fn remove(&mut self, keys: &[(LeafIndex, u64)]) {
        for key in keys {
            self.0.remove(key);
        }
    }
}
