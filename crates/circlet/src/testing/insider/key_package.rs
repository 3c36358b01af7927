use crate::crypto::{HpkeKeyPair, Signature};
use crate::error::Error;
use crate::group::JoinKeys;
use crate::identity::SigningKey;
use crate::message::{GroupId, KeyPackage, KeyPackageContent};
use crate::testing::TestMember;
use crate::tree::{Extensions, LeafIndex, LeafNodeContent, LeafNodeSource};

use super::edits::Edits;
use super::leaf::LeafSigning;

/// A KeyPackage on its way: any content, signed by any keys.
#[must_use = "nothing is made before build()"]
pub struct KeyPackageForgery<'a> {
    member: &'a mut TestMember,
    leaf: LeafSigning<'a>,
    same_keys: bool,
    content: Edits<'a, KeyPackageContent>,
    signer: Option<SigningKey>,
    signature: Edits<'a, Signature>,
}

impl TestMember {
    /// A key package that may break rules. It is kept with its private keys, so that the member
    /// can join by it.
    pub fn forge_key_package(&mut self) -> KeyPackageForgery<'_> {
        KeyPackageForgery {
            member: self,
            leaf: LeafSigning::default(),
            same_keys: false,
            content: Edits::default(),
            signer: None,
            signature: Edits::default(),
        }
    }
}

impl<'a> KeyPackageForgery<'a> {
    /// Changes the leaf before it is signed.
    pub fn leaf(mut self, edit: impl FnOnce(&mut LeafNodeContent) + 'a) -> Self {
        self.leaf.content.push(edit);
        self
    }

    /// Whose key signs the leaf.
    pub fn leaf_signer(mut self, signer: SigningKey) -> Self {
        self.leaf.signer = Some(signer);
        self
    }

    /// The place that the leaf is signed for, if its source is one that has a place.
    pub fn leaf_position(mut self, group_id: GroupId, leaf_index: LeafIndex) -> Self {
        self.leaf.position = Some((group_id, leaf_index));
        self
    }

    /// Changes the signature of the leaf.
    pub fn edit_leaf_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
        self.leaf.signature.push(edit);
        self
    }

    /// The init key is the leaf's encryption key.
    pub fn same_keys(mut self) -> Self {
        self.same_keys = true;
        self
    }

    /// Changes the KeyPackage before it is signed.
    pub fn edit(mut self, edit: impl FnOnce(&mut KeyPackageContent) + 'a) -> Self {
        self.content.push(edit);
        self
    }

    /// Whose key signs the KeyPackage.
    pub fn signer(mut self, signer: SigningKey) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Changes the signature of the KeyPackage.
    pub fn edit_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
        self.signature.push(edit);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// A signer or the generator failed, or something is too long to encode.
    pub fn build(mut self) -> Result<KeyPackage, Error> {
        let member = self.member;
        let suite = member.settings.suite.clone();
        let leaf_keys = suite.generate_key_pair(&mut member.rng)?;
        let init_keys: HpkeKeyPair = match self.same_keys {
            true => leaf_keys.clone(),
            false => suite.generate_key_pair(&mut member.rng)?,
        };
        let template = member.template.clone();
        let leaf = LeafNodeContent {
            encryption_key: leaf_keys.public,
            signature_key: crate::identity::Signer::public_key(&member.signer).clone(),
            credential: template.credential,
            capabilities: template.capabilities,
            source: LeafNodeSource::KeyPackage(template.lifetime),
            extensions: template.extensions,
        };
        let nowhere = (&GroupId::new(&[]), LeafIndex(0));
        let mut content = KeyPackageContent {
            cipher_suite: suite.id(),
            init_key: init_keys.public,
            leaf_node: self.leaf.sign(leaf, nowhere, &member.signer)?,
            extensions: Extensions::new(),
        };
        self.content.apply(&mut content);
        let signer = self.signer.as_ref().unwrap_or(&member.signer);
        let mut key_package = KeyPackage::sign(content, signer)?;
        let mut signature = key_package.signature().clone();
        if self.signature.apply(&mut signature) {
            let content = KeyPackageContent::clone(&key_package);
            key_package = KeyPackage::with_signature(content, signature)?;
        }
        member.keys.push(JoinKeys {
            key_package: key_package.clone(),
            init_key: init_keys.private,
            leaf_key: leaf_keys.private,
        });
        Ok(key_package)
    }
}
