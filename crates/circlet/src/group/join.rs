use std::collections::BTreeMap;

use crate::codec::Decode;
use crate::crypto::{CryptoError, HpkeKeyPair, HpkePrivateKey, Mac, Secret, Suite};
use crate::error::{Error, Unready};
use crate::identity::{CredentialUse, CredentialValidator};
use crate::message::{EncryptedGroupSecrets, GroupId, GroupInfo, GroupSecrets, Welcome};
use crate::mutation::off;
use crate::rules::leaf::{
    Requirements, check_leaf, check_membership, ensure_group_context_extensions,
    ensure_group_info_extensions, ensure_joiner_supports, ensure_rows,
};
use crate::rules::proposals::ensure_psk_nonce;
use crate::rules::tree::{check_parent_keys, check_tree};
use crate::rules::{Violation, ensure, ensure_row};
use crate::schedule::{JoinerSecret, PreSharedKeyId, Psk, ResumptionPskUsage, psk_secret};
use crate::tree::{ExtensionType, LeafIndex, LeafPosition, NodeIndex, PathNode, RatchetTree};

use super::apply::{item_of, items_of_senders};
use super::open::blame;
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
    /// [`Unready::UnknownKeyPackage`] if the Welcome is for another key package,
    /// [`Unready::RatchetTreeMissing`], [`Unready::UnknownPsk`]; [`Error::Violation`] or
    /// [`Error::Malformed`] if it is not sound.
    pub fn open(
        settings: Settings,
        welcome: &Welcome,
        keys: &JoinKeys,
        ratchet_tree: Option<&[u8]>,
        psks: &dyn PskSource,
    ) -> Result<Self, Error> {
        let secrets = decrypt_secrets(&settings, welcome, keys)?;
        let continued = continued(&secrets.psks, psks)?;
        let psks = psk_secrets(&secrets.psks, &settings.suite, continued.as_ref(), psks)?;
        let suite = settings.suite.clone();
        // V-12.4.3.1-08.
        let joiner = JoinerSecret::new(&suite, secrets.joiner_secret.clone())
            .map_err(|_| Violation::WelcomeSecretLength)?;
        let group_info = decrypt_group_info(&settings, welcome, &joiner, &psks)?;
        let tree = check_group_info(&settings, &group_info, ratchet_tree)?;
        if let Some(continued) = &continued {
            continued.check(&group_info.group_context)?;
        }
        ensure_joiner_supports(&keys.key_package.leaf_node, &group_info.group_context.extensions)?;
        check_members(&settings, &group_info, &tree)?;
        let own_leaf = find_own_leaf(&tree, keys)?;
        let private_keys = derive_keys(&suite, &tree, &group_info, own_leaf, keys, &secrets)?;

        let GroupInfo { group_context, confirmation_tag, signer, .. } = group_info;
        let advance = Advance::from_joiner(&suite, group_context, joiner, &psks)?;
        ensure_confirmation_tag(&advance, &suite, &confirmation_tag)?;
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

/// V-12.4.3.1-23: whoever sent the Welcome knows the epoch that it leads to.
fn ensure_confirmation_tag(advance: &Advance, suite: &Suite, tag: &Mac) -> Result<(), Error> {
    match advance.verify_tag(suite, tag) {
        Err(Error::Violation(Violation::ConfirmationTag)) if off("V-12.4.3.1-23") => Ok(()),
        verified => verified,
    }
}

/// V-12.4.3.1-04: what the Welcome says to this client alone, bound to the GroupInfo beside it.
fn decrypt_secrets(
    settings: &Settings,
    welcome: &Welcome,
    keys: &JoinKeys,
) -> Result<GroupSecrets, Error> {
    let suite = &settings.suite;
    let entry = find_entry(suite, welcome, keys)?;
    let public = keys.key_package.init_key.clone();
    let init_keys = HpkeKeyPair { private: keys.init_key.clone(), public };
    let bound: &[u8] = &welcome.encrypted_group_info;
    let context = if off("V-12.4.3.1-04") { &[] } else { bound };
    let plaintext = suite
        .decrypt_with_label(&init_keys, "Welcome", context, &entry.encrypted_group_secrets)
        .map_err(|error| match error {
            CryptoError::InvalidKemOutput => Violation::WelcomeDecryption.into(),
            other => undecryptable(other),
        })?;
    Ok(GroupSecrets::from_plaintext(plaintext.as_bytes(), &settings.context)?)
}

/// V-12.4.3.1-02: the key package is of the Welcome's suite, and the Welcome has an entry for it;
/// V-12.4.3.1-03: if it has several, the first one counts.
fn find_entry<'a>(
    suite: &Suite,
    welcome: &'a Welcome,
    keys: &JoinKeys,
) -> Result<&'a EncryptedGroupSecrets, Error> {
    let key_package = &keys.key_package;
    let same = welcome.cipher_suite == suite.id() && key_package.cipher_suite == suite.id();
    if !same && !off("V-12.4.3.1-02") {
        return Err(Unready::UnknownKeyPackage.into());
    }
    let reference = key_package.reference(suite)?;
    let mut entries = welcome.secrets.iter().filter(|entry| entry.new_member == reference);
    let entry = if off("V-12.4.3.1-03") { entries.next_back() } else { entries.next() };
    Ok(entry.ok_or(Unready::UnknownKeyPackage)?)
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

/// V-12.4.3.1-06: one group can continue one other.
fn ensure_one_continues(ids: &[PreSharedKeyId]) -> Result<(), Violation> {
    let count = ids.iter().filter(|id| continues(id)).count();
    ensure(count <= 1, Violation::WelcomePskUsage)
}

fn continues(id: &PreSharedKeyId) -> bool {
    match id.psk {
        Psk::External { .. } => false,
        Psk::Resumption { usage, .. } => usage != ResumptionPskUsage::Application,
    }
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
        .map_err(undecryptable)?;
    let group_info = GroupInfo::from_bytes(&plaintext, &settings.context)?;
    ensure_welcome_suite(&group_info, suite)?;
    Ok(group_info)
}

/// V-12.4.3.1-11: the group is of the key package's cipher suite. That it is of version 1 is seen
/// where it is read.
fn ensure_welcome_suite(group_info: &GroupInfo, suite: &Suite) -> Result<(), Violation> {
    let same = group_info.group_context.cipher_suite == suite.id();
    ensure(same, Violation::WelcomeCipherSuite)
}

fn undecryptable(error: CryptoError) -> Error {
    blame(error, CryptoError::DecryptionFailed, Violation::WelcomeDecryption)
}

/// What a GroupInfo must be to whoever joins with it (section 12.4.3): finds its tree, verifies
/// its signature, and holds the tree against its hash.
pub(super) fn check_group_info(
    settings: &Settings,
    group_info: &GroupInfo,
    ratchet_tree: Option<&[u8]>,
) -> Result<RatchetTree, Error> {
    ensure_group_info_extensions(&group_info.extensions)?;
    let bytes = find_tree(group_info, ratchet_tree)?;
    let tree = RatchetTree::from_wire(bytes, &settings.context)?;
    let suite = &settings.suite;
    ensure_group_info_signature(group_info, &tree, suite)?;
    let hash = tree.tree_hash(suite)?;
    ensure_tree_hash(hash.as_bytes() == group_info.group_context.tree_hash)?;
    Ok(tree)
}

/// V-12.4.3.1-01: the tree comes with the GroupInfo or another way; V-12.4.3.1-27: if it comes
/// both ways, the one that is signed counts.
fn find_tree<'a>(
    group_info: &'a GroupInfo,
    outside: Option<&'a [u8]>,
) -> Result<&'a [u8], Unready> {
    let inside = group_info.extensions.find(ExtensionType::RATCHET_TREE);
    let found = if off("V-12.4.3.1-27") { outside.or(inside) } else { inside.or(outside) };
    found.ok_or(Unready::RatchetTreeMissing)
}

/// V-12.4.3-04 and V-12.4.3.1-09: the GroupInfo is signed by the member that it names.
fn ensure_group_info_signature(
    group_info: &GroupInfo,
    tree: &RatchetTree,
    suite: &Suite,
) -> Result<(), Violation> {
    let signer = tree.leaf(group_info.signer).ok_or(Violation::GroupInfoSigner)?;
    let valid = group_info.verify_signature(suite, &signer.signature_key).is_ok();
    ensure_rows(["V-12.4.3.1-09"], valid, Violation::GroupInfoSignature)
}

/// V-12.4.3.1-12 and V-12.4.3.3-05: the tree is the one that the GroupContext has the hash of,
/// wherever it came from.
fn ensure_tree_hash(same: bool) -> Result<(), Violation> {
    ensure_rows(["V-12.4.3.3-05"], same, Violation::TreeHash)
}

/// V-12.4.3.1-13 to V-12.4.3.1-17 and V-12.4.3.1-25: the tree, and every leaf in it
/// (V-12.4.3.1-14). Lifetimes are left alone: a member's key package may have expired since it was
/// added (section 7.3).
pub(super) fn check_members(
    settings: &Settings,
    group_info: &GroupInfo,
    tree: &RatchetTree,
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
    for (leaf_index, leaf) in tree.members().filter(|_| !off("V-12.4.3.1-14")) {
        settings.ensure_leaf_length(leaf)?;
        check_leaf(leaf, LeafPosition { group_id, leaf_index }, requirements)?;
    }
    Ok(check_membership(tree, tree.members().map(|(_, leaf)| leaf))?)
}

/// V-12.4.3.1-18: the leaf of the key package, every bit of it, is in the tree.
fn find_own_leaf(tree: &RatchetTree, keys: &JoinKeys) -> Result<LeafIndex, Violation> {
    let own = &keys.key_package.leaf_node;
    let place = tree.signature_key_owner(&own.signature_key).ok_or(Violation::OwnLeafMissing)?;
    let same = tree.leaf(place).is_some_and(|leaf| leaf == own);
    ensure(same, Violation::OwnLeafMissing)?;
    Ok(place)
}

/// V-12.4.3-05: nobody welcomes itself.
fn ensure_welcomed_by_another(signer: LeafIndex, own_leaf: LeafIndex) -> Result<(), Violation> {
    ensure(signer != own_leaf, Violation::GroupInfoSigner)
}

/// V-12.4.3.1-20 to V-12.4.3.1-22: the private keys of a joiner.
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

/// V-12.4.3.1-08, of the path secret.
fn ensure_path_secret_length(path_secret: &Secret, suite: &Suite) -> Result<(), Violation> {
    ensure(path_secret.len() == suite.secret_length(), Violation::WelcomeSecretLength)
}

/// V-12.4.3.1-20: the path secret is of the lowest node above both; V-12.4.3.1-21: from there on
/// up it is the signer's filtered direct path that has secrets.
fn shared_path(
    tree: &RatchetTree,
    signer: LeafIndex,
    own_leaf: LeafIndex,
) -> Result<Vec<PathNode>, Violation> {
    let ancestor = tree.width().common_ancestor(own_leaf, signer);
    let above = |node: NodeIndex| own_leaf.node().is_some_and(|own| node.contains(own));
    let mut places = tree.filtered_direct_path(signer);
    if off("V-12.4.3.1-21") {
        let all = signer.node().into_iter().flat_map(|leaf| tree.width().direct_path(leaf));
        places = all.map(|node| PathNode { node, copath: node }).collect();
    }
    places.retain(|place| above(place.node));
    let fits = places.first().map(|place| place.node) == ancestor;
    ensure_row("V-12.4.3.1-20", fits, Violation::WelcomePathSecret)?;
    Ok(places)
}

/// V-12.4.3.1-22: without a path secret only the own leaf's key is known, which is enough where
/// the leaf is unmerged all the way up. The tree invariant (section 4.2) from the joiner's side: it knows the key of every node above
/// it that does not list it as unmerged. A Welcome that keeps a path secret back would leave the
/// joiner unable to read a later Commit that is addressed to such a node.
fn ensure_ancestors_known(
    tree: &RatchetTree,
    own_leaf: LeafIndex,
    own: NodeIndex,
    known: &BTreeMap<NodeIndex, HpkePrivateKey>,
) -> Result<(), Violation> {
    let complete = tree.width().direct_path(own).all(|node| match tree.parent(node) {
        Some(parent) => {
            known.contains_key(&node) || parent.unmerged_leaves.binary_search(&own_leaf).is_ok()
        }
        None => true,
    });
    ensure_row("V-12.4.3.1-22", complete, Violation::WelcomePathSecret)
}
