use crate::crypto::{HpkeKeyPair, HpkePrivateKey, Signature};
use crate::error::{Error, Misuse};
use crate::identity::{Signer, SigningKey};
use crate::message::{GroupId, Proposal};
use crate::tree::{LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, LeafPosition};

use super::Insider;
use super::edits::Edits;

/// How a leaf is signed.
#[derive(Default)]
pub(super) struct LeafSigning<'a> {
    pub(super) content: Edits<'a, LeafNodeContent>,
    pub(super) signer: Option<SigningKey>,
    pub(super) position: Option<(GroupId, LeafIndex)>,
    pub(super) signature: Edits<'a, Signature>,
}

impl LeafSigning<'_> {
    /// Makes the changes, and signs for `position` with `signer` where nothing else was said.
    pub(super) fn sign(
        &mut self,
        mut content: LeafNodeContent,
        (group_id, leaf_index): (&GroupId, LeafIndex),
        signer: &SigningKey,
    ) -> Result<LeafNode, Error> {
        self.content.apply(&mut content);
        let (group_id, leaf_index) = match &self.position {
            Some((group_id, leaf_index)) => (group_id, *leaf_index),
            None => (group_id, leaf_index),
        };
        let position = LeafPosition { group_id: group_id.as_bytes(), leaf_index };
        let signer: &dyn Signer = self.signer.as_ref().unwrap_or(signer);
        let leaf = LeafNode::sign(content, position, signer)?;
        let mut signature = leaf.signature().clone();
        match self.signature.apply(&mut signature) {
            true => Ok(LeafNode::with_signature(LeafNodeContent::clone(&leaf), signature)?),
            false => Ok(leaf),
        }
    }
}

/// A leaf on its way into an Update: any content, signed by any key for any place.
#[must_use = "nothing is made before build() or proposal()"]
pub struct LeafForgery<'a> {
    insider: &'a mut Insider,
    signing: LeafSigning<'a>,
}

/// A leaf with the private key of its encryption key.
#[derive(Clone, Debug)]
pub struct ForgedLeaf {
    /// The leaf.
    pub leaf: LeafNode,
    /// Belongs to the encryption key that the leaf had before it was changed.
    pub private_key: HpkePrivateKey,
}

impl<'a> LeafForgery<'a> {
    pub(super) fn new(insider: &'a mut Insider) -> Self {
        Self { insider, signing: LeafSigning::default() }
    }

    /// Changes the leaf before it is signed.
    pub fn edit(mut self, edit: impl FnOnce(&mut LeafNodeContent) + 'a) -> Self {
        self.signing.content.push(edit);
        self
    }

    /// Whose key signs.
    pub fn signer(mut self, signer: SigningKey) -> Self {
        self.signing.signer = Some(signer);
        self
    }

    /// The place that it is signed for, where that is not its own.
    pub fn position(mut self, group_id: GroupId, leaf_index: LeafIndex) -> Self {
        self.signing.position = Some((group_id, leaf_index));
        self
    }

    /// Changes the signature.
    pub fn edit_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
        self.signing.signature.push(edit);
        self
    }

    /// Makes the leaf.
    ///
    /// # Errors
    /// The insider's leaf is blank; the generator or the signer failed.
    pub fn build(mut self) -> Result<ForgedLeaf, Error> {
        let insider = self.insider;
        let old = insider.tree.leaf(insider.leaf).ok_or(Misuse::NoSuchMember)?.clone();
        let suite = insider.settings.suite.clone();
        let HpkeKeyPair { public, private } = suite.generate_key_pair(&mut insider.rng)?;
        let content = LeafNodeContent {
            encryption_key: public,
            source: LeafNodeSource::Update,
            ..LeafNodeContent::clone(&old)
        };
        let place = (&insider.context.group_id, insider.leaf);
        let leaf = self.signing.sign(content, place, &insider.signer)?;
        Ok(ForgedLeaf { leaf, private_key: private })
    }

    /// Makes an Update of it.
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn proposal(self) -> Result<Proposal, Error> {
        Ok(Proposal::Update(self.build()?.leaf))
    }
}
