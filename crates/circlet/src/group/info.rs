use crate::codec::Encode;
use crate::crypto::{HpkePublicKey, Mac, Rng};
use crate::error::Error;
use crate::identity::Signer;
use crate::message::{GroupContext, GroupInfo, MlsMessage};
use crate::mutation::off;
use crate::tree::{Extension, ExtensionType, Extensions, LeafIndex, RatchetTree, grease_extension};

use super::{Grease, GroupState, Member};

/// What a GroupInfo has beside the group's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupInfoOptions {
    /// The ratchet tree (RFC 9420 section 12.4.3.3).
    pub ratchet_tree: bool,
    /// The key for external joins (section 12.4.3.2).
    pub external_pub: bool,
}

impl Default for GroupInfoOptions {
    /// The tree and the key.
    fn default() -> Self {
        Self { ratchet_tree: true, external_pub: true }
    }
}

impl GroupState {
    /// Describes the group to those who want to join (section 12.4.3), an MLSMessage.
    ///
    /// # Errors
    /// [`Misuse::NotMember`](crate::Misuse::NotMember); the generator or the signer failed.
    pub fn group_info(
        &self,
        options: GroupInfoOptions,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<MlsMessage, Error> {
        self.ensure_active()?;
        let suite = &self.settings.suite;
        let external = match options.external_pub {
            true => Some(self.epoch.secrets.external_key_pair(suite)?.public),
            false => None,
        };
        let tag = self.epoch.confirmation_tag.clone();
        let group_info = sign_group_info(
            &self.epoch.context,
            &self.epoch.tree,
            tag,
            external.as_ref(),
            options.ratchet_tree,
            (self.own_leaf, signer),
            (self.settings.grease, rng),
        )?;
        Ok(MlsMessage::GroupInfo(group_info))
    }

    /// The members whose leaf has this application_id (section 5.3.3), by leaf. It is whatever a
    /// member wrote there, and nobody vouches for it: several may have the same, and only the
    /// credential says who somebody is.
    #[must_use]
    pub fn members_with_application_id(&self, id: &[u8]) -> Vec<Member> {
        // V-5.3-07. An id that is too long to encode is nobody's.
        let Ok(sought) = Extension::application_id(id) else { return Vec::new() };
        let tree = &self.epoch.tree;
        let found = tree.members().filter(|(_, leaf)| {
            leaf.extensions.find(sought.extension_type) == Some(sought.data.as_slice())
        });
        found.filter_map(|(leaf_index, _)| self.member(leaf_index)).collect()
    }

    /// The ratchet tree, encoded as in its extension (section 12.4.3.3).
    ///
    /// # Errors
    /// The tree is too large to encode.
    pub fn ratchet_tree(&self) -> Result<Vec<u8>, Error> {
        Ok(self.epoch.tree.to_bytes()?)
    }
}

pub(super) fn sign_group_info(
    context: &GroupContext,
    tree: &RatchetTree,
    confirmation_tag: Mac,
    external_pub: Option<&HpkePublicKey>,
    ratchet_tree: bool,
    (own_leaf, signer): (LeafIndex, &dyn Signer),
    (grease, rng): (Grease, &mut dyn Rng),
) -> Result<GroupInfo, Error> {
    let mut extensions = Extensions::new();
    // V-12.4.3-06: the tree and the key for external joins are there where they are asked for.
    if ratchet_tree || off("V-12.4.3-06") {
        let data = tree.to_bytes()?;
        extensions.set(Extension { extension_type: ExtensionType::RATCHET_TREE, data });
    }
    if let Some(key) = external_pub {
        let data = key.to_bytes()?;
        extensions.set(Extension { extension_type: ExtensionType::EXTERNAL_PUB, data });
    }
    // V-12.4.3-01 and V-13.5-01.
    if grease == Grease::Everywhere && !off("V-12.4.3-01") && !off("V-13.5-01") {
        extensions.set(grease_extension(rng)?);
    }
    Ok(GroupInfo::sign(context.clone(), extensions, confirmation_tag, own_leaf, signer)?)
}
