use std::collections::BTreeMap;

use crate::codec::Decode;
use crate::crypto::{HpkeKeyPair, HpkePrivateKey, Secret, Suite};
use crate::error::{Error, Unready};
use crate::identity::{CredentialUse, CredentialValidator};
use crate::message::{GroupId, GroupInfo, GroupSecrets, Welcome};
use crate::mutation::off;
use crate::rules::Violation;
use crate::rules::leaf::{
    Requirements, check_leaf_of_tree, check_membership, ensure_group_context_extensions,
    ensure_group_info_extensions, ensure_joiner_supports,
};
use crate::rules::proposals::ensure_psk_nonce;
use crate::rules::tree::{check_parent_keys, check_tree};
use crate::rules::welcome::{
    GroupInfoOf, continues, ensure_ancestors_known, ensure_group_info_signature,
    ensure_one_continues, ensure_path_secret_length, ensure_tree_hash, ensure_welcome_suite,
    ensure_welcomed_by_another, find_entry, find_own_leaf, find_tree, group_info_undecryptable,
    is_of_the_suite, joiner_secret, secrets_undecryptable, shared_path,
};
use crate::schedule::{JoinerSecret, PreSharedKeyId, Psk, ResumptionPskUsage, psk_secret};
use crate::tree::{LeafIndex, LeafNode, LeafPosition, NodeIndex, RatchetTree};

use super::apply::{item_of, items_of_senders};
use super::path::derive_path;
use super::process::Advance;
use super::review::find_psks;
use super::subgroup::Continued;
use super::{EpochState, GroupState, JoinKeys, Member, OldGroup, PskSource, ReviewItem, Settings};

/// A Welcome that was decrypted and checked but for the credentials of the members, which the
/// application has to judge (RFC 9420 section 12.4.3.1).
#[derive(Debug)]
pub struct OpenedWelcome {
    settings: Settings,
    own_leaf: LeafIndex,
    epoch: EpochState,
    welcomer: LeafIndex,
    continued: Option<Continued>,
}

impl OpenedWelcome {
    /// Decrypts and checks a Welcome with one of this client's key packages. The ratchet tree is
    /// taken from the Welcome, or else from `ratchet_tree`, encoded as in its extension. For a
    /// group that continues another, `psks` has the old one.
    ///
    /// # Errors
    /// [`Unready::UnsupportedSuite`], [`Unready::UnknownKeyPackage`] if the Welcome is for
    /// another key package, [`Unready::RatchetTreeMissing`], [`Unready::UnknownPsk`]; [`Error::Violation`] or
    /// [`Error::Malformed`] if it is not sound.
    pub fn open(
        settings: Settings,
        welcome: &Welcome,
        keys: &JoinKeys,
        ratchet_tree: Option<&[u8]>,
        psks: &dyn PskSource,
    ) -> Result<Self, Error> {
        settings.ensure_supported(welcome.cipher_suite)?;
        let secrets = decrypt_secrets(&settings, welcome, keys)?;
        let continued = continued(&secrets.psks, psks)?;
        let psks = psk_secrets(&secrets.psks, &settings.suite, continued.as_ref(), psks)?;
        let suite = settings.suite.clone();
        let joiner = joiner_secret(&suite, &secrets.joiner_secret)?;
        let group_info = decrypt_group_info(&settings, welcome, &joiner, &psks)?;
        let of = GroupInfoOf::Welcome;
        let tree = check_group_info(&settings, &group_info, of, ratchet_tree)?;
        if let Some(continued) = &continued {
            continued.check(&group_info.group_context)?;
        }
        let own = &keys.key_package.leaf_node;
        ensure_joiner_supports(own, &group_info.group_context.extensions)?;
        check_members(&settings, &group_info, &tree, Some(own))?;
        let own_leaf = find_own_leaf(&tree, own)?;
        let private_keys = derive_keys(&suite, &tree, &group_info, own_leaf, keys, &secrets)?;

        let GroupInfo { group_context, confirmation_tag, signer, .. } = group_info;
        let advance = Advance::from_joiner(&suite, group_context, joiner, &psks)?;
        // V-12.4.3.1-23: whoever sent the Welcome knows the epoch that it leads to.
        advance.verify_tag(&suite, &confirmation_tag, "V-12.4.3.1-23")?;
        let epoch = advance.into_epoch(&suite, confirmation_tag, tree, private_keys)?;
        Ok(Self { settings, own_leaf, epoch, welcomer: signer, continued })
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &GroupId {
        &self.epoch.context.group_id
    }

    /// The epoch that begins with the Welcome.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.context.epoch
    }

    /// The member that sent the Welcome.
    #[must_use]
    pub fn welcomer(&self) -> Option<Member> {
        let leaf = self.epoch.tree.leaf(self.welcomer)?;
        Some(Member {
            leaf_index: self.welcomer,
            credential: leaf.credential.clone(),
            signature_key: leaf.signature_key.clone(),
        })
    }

    /// The credentials that the application has to judge: those of all other members and of the
    /// external senders.
    pub fn review_items(&self) -> impl Iterator<Item = ReviewItem> {
        let EpochState { tree, context, .. } = &self.epoch;
        let others = tree.members().filter(|(leaf_index, _)| *leaf_index != self.own_leaf);
        let others = others.map(|(_, leaf)| item_of(leaf, CredentialUse::Join));
        let reason = CredentialUse::JoinExternalSender;
        others.chain(items_of_senders(&context.extensions, &self.settings, reason))
    }

    /// The group that this one continues, by re-initialization or as a branch.
    #[must_use]
    pub fn continued(&self) -> Option<(ResumptionPskUsage, &OldGroup)> {
        self.continued.as_ref().map(|continued| (continued.usage, &continued.old))
    }

    /// Whether the members of a group that continues another are those of the old one, or for a
    /// branch some of them, as the validator sees it.
    ///
    /// # Errors
    /// [`Violation::ReInitMembers`] or [`Violation::BranchMembers`].
    pub fn check_members(&self, validator: &dyn CredentialValidator) -> Result<(), Error> {
        let Some(continued) = &self.continued else { return Ok(()) };
        continued.check_members(&self.epoch.tree, validator)
    }

    /// The application has judged every one of [`Self::review_items`], and of a group that
    /// continues another also its members ([`Self::check_members`]): the group begins.
    #[must_use]
    pub fn accept(self) -> GroupState {
        GroupState::begin(self.settings, self.own_leaf, self.epoch)
    }

    /// Asks the validator about each credential and whose it was in the old group, then accepts.
    ///
    /// # Errors
    /// [`Refused::Credential`](crate::Refused::Credential); as for [`Self::check_members`].
    pub fn review(self, validator: &dyn CredentialValidator) -> Result<GroupState, Error> {
        for item in self.review_items() {
            item.ask(validator, self.group_id())?;
        }
        // After they were judged: nobody's identity is looked for in what would be rejected.
        self.check_members(validator)?;
        Ok(self.accept())
    }
}

/// V-12.4.3.1-04: what the Welcome says to this client alone, bound to the GroupInfo beside it.
fn decrypt_secrets(
    settings: &Settings,
    welcome: &Welcome,
    keys: &JoinKeys,
) -> Result<GroupSecrets, Error> {
    let suite = &settings.suite;
    let key_package = &keys.key_package;
    if !is_of_the_suite(welcome, key_package, suite) {
        return Err(Unready::UnknownKeyPackage.into());
    }
    let entry = find_entry(welcome, key_package, suite)?.ok_or(Unready::UnknownKeyPackage)?;
    let public = keys.key_package.init_key.clone();
    let init_keys = HpkeKeyPair { private: keys.init_key.clone(), public };
    let bound: &[u8] = &welcome.encrypted_group_info;
    let context = if off("V-12.4.3.1-04") { &[] } else { bound };
    let plaintext = suite
        .decrypt_with_label(&init_keys, "Welcome", context, &entry.encrypted_group_secrets)
        .map_err(secrets_undecryptable::<Error>)?;
    Ok(GroupSecrets::from_plaintext(plaintext.as_bytes(), &settings.context)?)
}

/// V-11.3-04: the group that the Welcome continues, which has to be known here.
fn continued(ids: &[PreSharedKeyId], source: &dyn PskSource) -> Result<Option<Continued>, Error> {
    ensure_one_continues(ids)?;
    let Some(PreSharedKeyId { psk, .. }) = ids.iter().find(|id| continues(id)) else {
        return Ok(None);
    };
    let Psk::Resumption { usage, psk_group_id, psk_epoch } = psk else {
        return Err(Error::Internal);
    };
    let old = source.old_group(psk_group_id, *psk_epoch);
    let old = old.ok_or_else(|| Unready::UnknownPsk(psk.clone()))?;
    Ok(Some(Continued { usage: *usage, old }))
}

/// V-12.4.3.1-05 and, for the nonces, V-12.1.4-02.
pub(super) fn psk_secrets(
    ids: &[PreSharedKeyId],
    suite: &Suite,
    continued: Option<&Continued>,
    source: &dyn PskSource,
) -> Result<Vec<(PreSharedKeyId, Secret)>, Error> {
    for id in ids {
        ensure_psk_nonce(id, suite)?;
    }
    find_psks(ids, |psk| match psk {
        Psk::External { psk_id } => source.external(psk_id),
        Psk::Resumption { usage: ResumptionPskUsage::Application, psk_group_id, psk_epoch } => {
            source.resumption(psk_group_id, *psk_epoch)
        }
        // The one that the Welcome continues.
        Psk::Resumption { .. } => continued.map(|continued| continued.old.resumption_psk.clone()),
    })
}

/// V-12.4.3.1-07.
fn decrypt_group_info(
    settings: &Settings,
    welcome: &Welcome,
    joiner: &JoinerSecret,
    psks: &[(PreSharedKeyId, Secret)],
) -> Result<GroupInfo, Error> {
    let suite = &settings.suite;
    let keys = joiner.with_psk(suite, &psk_secret(suite, psks)?)?.welcome(suite)?;
    let plaintext = suite
        .open(&keys.key, keys.nonce.as_bytes(), &[], &welcome.encrypted_group_info)
        .map_err(group_info_undecryptable::<Error>)?;
    let group_info = GroupInfo::from_bytes(&plaintext, &settings.context)?;
    ensure_welcome_suite(&group_info, suite)?;
    Ok(group_info)
}

/// What a GroupInfo must be to whoever joins with it (section 12.4.3): finds its tree, verifies
/// its signature, and holds the tree against its hash.
pub(super) fn check_group_info(
    settings: &Settings,
    group_info: &GroupInfo,
    of: GroupInfoOf,
    ratchet_tree: Option<&[u8]>,
) -> Result<RatchetTree, Error> {
    ensure_group_info_extensions(&group_info.extensions)?;
    let bytes = find_tree(group_info, ratchet_tree).ok_or(Unready::RatchetTreeMissing)?;
    let tree = RatchetTree::from_wire(bytes, &settings.context)?;
    let suite = &settings.suite;
    ensure_group_info_signature(group_info, of, &tree, suite)?;
    ensure_tree_hash(tree.tree_hash(suite)?.as_bytes(), group_info)?;
    Ok(tree)
}

/// The tree, and every leaf in it, among them the joiner's `own` if it has one. Lifetimes are left
/// alone: a member's key package may have expired since it was added (section 7.3).
pub(super) fn check_members(
    settings: &Settings,
    group_info: &GroupInfo,
    tree: &RatchetTree,
    own: Option<&LeafNode>,
) -> Result<(), Error> {
    let suite = &settings.suite;
    check_tree(tree, suite)?;
    check_parent_keys(tree, suite)?;
    let extensions = &group_info.group_context.extensions;
    ensure_group_context_extensions(extensions)?;
    settings.ensure_extensions(extensions)?;
    extensions.external_senders(&settings.context)?;
    let required = extensions.required_capabilities(&settings.context)?;
    let requirements = Requirements { suite, extensions, required: required.as_ref() };
    let group_id = group_info.group_context.group_id.as_bytes();
    for (leaf_index, leaf) in tree.members() {
        settings.ensure_leaf_length(leaf)?;
        check_leaf_of_tree(leaf, own, LeafPosition { group_id, leaf_index }, requirements)?;
    }
    Ok(check_membership(tree, tree.members().map(|(_, leaf)| leaf))?)
}

/// The private keys of a joiner.
fn derive_keys(
    suite: &Suite,
    tree: &RatchetTree,
    group_info: &GroupInfo,
    own_leaf: LeafIndex,
    keys: &JoinKeys,
    secrets: &GroupSecrets,
) -> Result<BTreeMap<NodeIndex, HpkePrivateKey>, Error> {
    ensure_welcomed_by_another(group_info.signer, own_leaf)?;
    let own = own_leaf.node().ok_or(Error::Internal)?;
    let mut private_keys = BTreeMap::from([(own, keys.leaf_key.clone())]);
    if let Some(path_secret) = &secrets.path_secret {
        ensure_path_secret_length(path_secret, suite)?;
        let places = shared_path(tree, group_info.signer, own_leaf)?;
        let violation = Violation::WelcomePathSecret;
        let read = derive_path(suite, tree, &places, path_secret.clone(), violation)?;
        private_keys.extend(read.private_keys);
    }
    ensure_ancestors_known(tree, own_leaf, own, &private_keys)?;
    Ok(private_keys)
}
