use std::collections::{BTreeMap, VecDeque};

use crate::codec::Encode;
use crate::crypto::{CryptoError, Digest, Rng};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{CredentialUse, CredentialValidator};
use crate::message::{GroupContext, GroupId};
use crate::mutation::off;
use crate::rules::leaf::{Requirements, check_creator, ensure_group_context_extensions};
use crate::schedule::{EpochSecret, SecretTree, SkippedKeys, interim_transcript_hash};
use crate::tree::{Extensions, LeafIndex, RatchetTree};

use super::apply::items_of_senders;
use super::key_epochs::KeyEpochs;
use super::past::FormerMembers;
use super::pending::ProposalCache;
use super::{EpochState, GroupState, JoinKeys, Settings, Status};

impl GroupState {
    /// Creates a group with one member: this client, whose leaf comes from a key package of its
    /// own (section 11). The epoch secret is random. Whether the cipher suite is the best that all
    /// who will be added support, [`best_cipher_suite`](super::best_cipher_suite) says before.
    ///
    /// # Errors
    /// [`Error::Violation`] if the leaf does not meet the group's own extensions;
    /// [`Misuse::WrongSigner`] if the key package is of another suite; the generator failed.
    pub fn create(
        settings: Settings,
        group_id: GroupId,
        extensions: Extensions,
        keys: JoinKeys,
        rng: &mut dyn Rng,
    ) -> Result<Self, Error> {
        let suite = &settings.suite;
        if keys.key_package.cipher_suite != suite.id() {
            return Err(Misuse::WrongSigner.into());
        }
        let limit = settings.limits().group_id_bytes;
        if group_id.as_bytes().len() > limit {
            return Err(Refused::GroupId(limit).into());
        }
        ensure_group_context_extensions(&extensions)?;
        settings.ensure_extensions(&extensions)?;
        settings.check_external_senders(&extensions)?;
        let required = extensions.required_capabilities(&settings.context)?;
        let requirements =
            Requirements { suite, extensions: &extensions, required: required.as_ref() };
        check_creator(&keys.key_package, requirements)?;

        let tree = RatchetTree::new(keys.key_package.leaf_node.clone());
        let context = GroupContext {
            cipher_suite: suite.id(),
            group_id,
            epoch: first_epoch(),
            tree_hash: tree.tree_hash(suite)?.as_bytes().to_vec(),
            confirmed_transcript_hash: Vec::new(),
            extensions,
        };
        let (secrets, encryption_secret) = EpochSecret::random(suite, rng)?.secrets(suite)?;
        let confirmation_tag = suite.mac(&secrets.confirmation_key, &[&[]])?;
        let interim_transcript_hash = interim(&settings, &confirmation_tag)?;
        let leaf = LeafIndex(0);
        let node = leaf.node().ok_or(Error::Internal)?;
        let epoch = EpochState {
            context_bytes: context.to_bytes()?.into(),
            context,
            secret_tree: SecretTree::new(tree.width(), encryption_secret),
            tree,
            secrets,
            interim_transcript_hash,
            confirmation_tag,
            private_keys: BTreeMap::from([(node, keys.leaf_key)]),
        };
        Ok(Self::begin(settings, leaf, epoch))
    }

    /// The credentials that the group itself names, which are those of its external senders: who
    /// begins a group with some has them judged as its members will.
    ///
    /// # Errors
    /// [`Refused::Credential`].
    pub fn review(&self, validator: &dyn CredentialValidator) -> Result<(), Error> {
        let extensions = &self.epoch.context.extensions;
        let reason = CredentialUse::ExternalSender;
        let items = items_of_senders(extensions, &self.settings, reason);
        items.iter().try_for_each(|item| item.ask(validator, self.group_id()))
    }

    /// The first value of a group.
    pub(crate) fn begin(settings: Settings, own_leaf: LeafIndex, epoch: EpochState) -> Self {
        let key_epochs = KeyEpochs::new(epoch.context.epoch);
        Self {
            settings,
            own_leaf,
            epoch,
            proposals: ProposalCache::default(),
            past: VecDeque::new(),
            former: FormerMembers::default(),
            key_epochs,
            skipped: SkippedKeys::new(),
            status: Status::Active,
            reinit: None,
            version: 0,
        }
    }
}

/// V-11.0-03: a group begins with epoch 0.
fn first_epoch() -> u64 {
    u64::from(off("V-11.0-03"))
}

/// V-11.0-04: over the empty confirmed transcript hash.
fn interim(settings: &Settings, tag: &crate::crypto::Mac) -> Result<Digest, CryptoError> {
    if off("V-11.0-04") {
        return settings.suite.hash(&[]);
    }
    interim_transcript_hash(&settings.suite, &[], tag)
}
