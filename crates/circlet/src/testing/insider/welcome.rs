use crate::codec::Encode;
use crate::crypto::{Mac, Secret, Signature};
use crate::error::Error;
use crate::identity::SigningKey;
use crate::message::{
    EncryptedGroupSecrets, GroupContext, GroupInfo, GroupSecrets, KeyPackage, MlsMessage, Welcome,
};
use crate::schedule::{PreSharedKeyId, psk_secret};
use crate::tree::{Extension, ExtensionType, Extensions, LeafIndex};

use super::Insider;
use super::commit::{ForgedCommit, PathStep};
use super::edits::{EditOfLeaf, Edits};
use super::nodes::{Node, encode_nodes, nodes_hash, tree_nodes};

/// The changes to a GroupInfo.
struct InfoEdits<'a> {
    nodes: Edits<'a, Vec<Option<Node>>>,
    rehash: bool,
    tree_inside: bool,
    context: Edits<'a, GroupContext>,
    info: Edits<'a, GroupInfo>,
    signer: Option<SigningKey>,
    signature: Edits<'a, Signature>,
}

impl Default for InfoEdits<'_> {
    fn default() -> Self {
        Self {
            nodes: Edits::default(),
            rehash: true,
            tree_inside: true,
            context: Edits::default(),
            info: Edits::default(),
            signer: None,
            signature: Edits::default(),
        }
    }
}

/// A GroupInfo that is complete but for its tag and signature.
struct Draft {
    context: GroupContext,
    ratchet_tree: Vec<u8>,
}

impl InfoEdits<'_> {
    /// The tree and the context that has its hash.
    fn draft(&mut self, insider: &Insider) -> Result<Draft, Error> {
        let mut nodes = tree_nodes(&insider.tree);
        let mut context = insider.context.clone();
        if self.nodes.apply(&mut nodes) && self.rehash {
            context.tree_hash = nodes_hash(insider.suite(), &nodes)?.as_bytes().to_vec();
        }
        self.context.apply(&mut context);
        Ok(Draft { context, ratchet_tree: encode_nodes(&nodes)? })
    }

    fn sign(&mut self, draft: &Draft, tag: Mac, insider: &Insider) -> Result<GroupInfo, Error> {
        let mut extensions = Extensions::new();
        if self.tree_inside {
            let data = draft.ratchet_tree.clone();
            extensions.set(Extension { extension_type: ExtensionType::RATCHET_TREE, data });
        }
        let mut info = GroupInfo {
            group_context: draft.context.clone(),
            extensions,
            confirmation_tag: tag,
            signer: insider.leaf,
            signature: Signature(Vec::new()),
        };
        self.info.apply(&mut info);
        let mut info = sign_group_info(info, self.signer.as_ref().unwrap_or(&insider.signer))?;
        self.signature.apply(&mut info.signature);
        Ok(info)
    }
}

/// Signs a GroupInfo as it is, once more: every field of it may have been changed.
///
/// # Errors
/// The signer failed, or something is too long to encode.
pub fn sign_group_info(
    info: GroupInfo,
    signer: &dyn crate::identity::Signer,
) -> Result<GroupInfo, Error> {
    let GroupInfo { group_context, extensions, confirmation_tag, signer: leaf, .. } = info;
    Ok(GroupInfo::sign(group_context, extensions, confirmation_tag, leaf, signer)?)
}

macro_rules! info_edits {
    ($name:ident) => {
        impl<'a> $name<'a> {
            /// Changes the nodes of the tree, blank ones included; the tree hash is computed again.
            pub fn edit_tree(mut self, edit: impl FnOnce(&mut Vec<Option<Node>>) + 'a) -> Self {
                self.edits.nodes.push(edit);
                self
            }

            /// Leaves the tree hash as it was before the tree was changed.
            pub fn keep_tree_hash(mut self) -> Self {
                self.edits.rehash = false;
                self
            }

            /// Leaves the tree out of the GroupInfo.
            pub fn without_tree(mut self) -> Self {
                self.edits.tree_inside = false;
                self
            }

            /// Changes the GroupContext; what is derived from it is derived from the changed one.
            pub fn edit_context(mut self, edit: impl FnOnce(&mut GroupContext) + 'a) -> Self {
                self.edits.context.push(edit);
                self
            }

            /// Changes the GroupInfo before it is signed: nothing else follows it.
            pub fn edit_group_info(mut self, edit: impl FnOnce(&mut GroupInfo) + 'a) -> Self {
                self.edits.info.push(edit);
                self
            }

            /// Whose key signs the GroupInfo; the signer's leaf is said in it.
            pub fn signer(mut self, signer: SigningKey) -> Self {
                self.edits.signer = Some(signer);
                self
            }

            /// Changes the signature of the GroupInfo.
            pub fn edit_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
                self.edits.signature.push(edit);
                self
            }
        }
    };
}

info_edits!(GroupInfoForgery);
info_edits!(WelcomeForgery);

/// A GroupInfo on its way, with the epoch's own confirmation tag.
#[must_use = "nothing is made before build() or message()"]
pub struct GroupInfoForgery<'a> {
    insider: &'a mut Insider,
    edits: InfoEdits<'a>,
    external_pub: bool,
}

impl<'a> GroupInfoForgery<'a> {
    pub(super) fn new(insider: &'a mut Insider) -> Self {
        Self { insider, edits: InfoEdits::default(), external_pub: false }
    }

    /// Puts the key for external joins into it.
    pub fn external_pub(mut self) -> Self {
        self.external_pub = true;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// The signer failed, or something is too long to encode.
    pub fn build(mut self) -> Result<GroupInfo, Error> {
        let draft = self.edits.draft(self.insider)?;
        if self.external_pub {
            let suite = self.insider.suite();
            let data = self.insider.secrets.external_key_pair(suite)?.public.to_bytes()?;
            let extension = Extension { extension_type: ExtensionType::EXTERNAL_PUB, data };
            let mut info = std::mem::take(&mut self.edits.info);
            self.edits.info.push(move |value: &mut GroupInfo| {
                value.extensions.set(extension);
                info.apply(value);
            });
        }
        let tag = self.insider.confirmation_tag.clone();
        self.edits.sign(&draft, tag, self.insider)
    }

    /// Makes an MLSMessage of it.
    ///
    /// # Errors
    /// As for [`Self::build`].
    pub fn message(self) -> Result<Vec<u8>, Error> {
        Ok(MlsMessage::GroupInfo(self.build()?).to_bytes()?)
    }
}

/// A Welcome on its way.
///
/// Steps come in this order: [`edit_tree`](Self::edit_tree), the tree hash,
/// [`edit_context`](Self::edit_context), the key schedule from the joiner secret on with its
/// confirmation tag, [`edit_group_info`](Self::edit_group_info), the signature,
/// [`edit_group_info_bytes`](Self::edit_group_info_bytes), the encryption, then for each new
/// member [`edit_secrets`](Self::edit_secrets) and
/// [`edit_secrets_bytes`](Self::edit_secrets_bytes), and [`edit_welcome`](Self::edit_welcome).
#[must_use = "nothing is made before build()"]
pub struct WelcomeForgery<'a> {
    insider: &'a mut Insider,
    edits: InfoEdits<'a>,
    added: Vec<(LeafIndex, KeyPackage)>,
    steps: Vec<PathStep>,
    joiner_secret: Secret,
    psks: Vec<(PreSharedKeyId, Secret)>,
    info_bytes: Edits<'a, Vec<u8>>,
    secrets: EditOfLeaf<'a, GroupSecrets>,
    secrets_bytes: EditOfLeaf<'a, Vec<u8>>,
    welcome: Edits<'a, Welcome>,
}

/// A Welcome, and the tree that belongs to it.
#[derive(Clone, Debug)]
pub struct ForgedWelcome {
    /// The MLSMessage.
    pub message: Vec<u8>,
    /// The ratchet tree, encoded as in its extension.
    pub ratchet_tree: Vec<u8>,
    /// The GroupInfo inside.
    pub group_info: GroupInfo,
}

impl AsRef<[u8]> for ForgedWelcome {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl<'a> WelcomeForgery<'a> {
    pub(super) fn new(commit: &'a mut ForgedCommit) -> Self {
        Self {
            added: commit.added.clone(),
            steps: commit.steps.clone(),
            joiner_secret: commit.joiner_secret.clone(),
            psks: commit.psks.clone(),
            insider: &mut commit.next,
            edits: InfoEdits::default(),
            info_bytes: Edits::default(),
            secrets: None,
            secrets_bytes: None,
            welcome: Edits::default(),
        }
    }

    /// Who it is for, in which place.
    pub fn recipients(mut self, added: Vec<(LeafIndex, KeyPackage)>) -> Self {
        self.added = added;
        self
    }

    /// Another joiner secret, of any length, from which the rest of the key schedule follows.
    pub fn joiner_secret(mut self, secret: Secret) -> Self {
        self.joiner_secret = secret;
        self
    }

    /// Other pre-shared keys, which enter the key schedule too.
    pub fn psks(mut self, psks: Vec<(PreSharedKeyId, Secret)>) -> Self {
        self.psks = psks;
        self
    }

    /// Changes the encoded GroupInfo before it is encrypted.
    pub fn edit_group_info_bytes(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.info_bytes.push(edit);
        self
    }

    /// Changes what each new member gets: nothing else follows it.
    pub fn edit_secrets(mut self, edit: impl FnMut(LeafIndex, &mut GroupSecrets) + 'a) -> Self {
        self.secrets = Some(Box::new(edit));
        self
    }

    /// Changes the encoded GroupSecrets of each new member before they are encrypted.
    pub fn edit_secrets_bytes(mut self, edit: impl FnMut(LeafIndex, &mut Vec<u8>) + 'a) -> Self {
        self.secrets_bytes = Some(Box::new(edit));
        self
    }

    /// Changes the Welcome when it is complete.
    pub fn edit_welcome(mut self, edit: impl FnOnce(&mut Welcome) + 'a) -> Self {
        self.welcome.push(edit);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// A signer or the generator failed, or something is too long to encode.
    pub fn build(mut self) -> Result<ForgedWelcome, Error> {
        let draft = self.edits.draft(self.insider)?;
        let suite = self.insider.settings.suite.clone();
        // Not by JoinerSecret, which has a length.
        let psk_secret = psk_secret(&suite, &self.psks)?;
        let member = suite.extract(&self.joiner_secret, &psk_secret)?;
        let context = draft.context.to_bytes()?;
        let epoch = suite.expand_with_label(&member, "epoch", &context, suite.secret_length())?;
        let confirmation_key = suite.derive_secret(&epoch, "confirm")?;
        let tag = suite.mac(&confirmation_key, &[&draft.context.confirmed_transcript_hash])?;
        let group_info = self.edits.sign(&draft, tag, self.insider)?;

        let mut plaintext = group_info.to_bytes()?;
        self.info_bytes.apply(&mut plaintext);
        let welcome_secret = suite.derive_secret(&member, "welcome")?;
        let aead = suite.spec().aead;
        let key = suite.expand_with_label(&welcome_secret, "key", &[], aead.key_length)?;
        let nonce = suite.expand_with_label(&welcome_secret, "nonce", &[], aead.nonce_length)?;
        let encrypted_group_info = suite.seal(&key, nonce.as_bytes(), &[], &plaintext)?;

        let mut secrets = Vec::new();
        for (leaf, key_package) in std::mem::take(&mut self.added) {
            secrets.push(self.encrypt(leaf, &key_package, &encrypted_group_info)?);
        }
        let mut welcome = Welcome { cipher_suite: suite.id(), secrets, encrypted_group_info };
        self.welcome.apply(&mut welcome);
        let message = MlsMessage::Welcome(welcome).to_bytes()?;
        Ok(ForgedWelcome { message, ratchet_tree: draft.ratchet_tree, group_info })
    }

    fn encrypt(
        &mut self,
        leaf: LeafIndex,
        key_package: &KeyPackage,
        encrypted_group_info: &[u8],
    ) -> Result<EncryptedGroupSecrets, Error> {
        let suite = self.insider.settings.suite.clone();
        let node = leaf.node().ok_or(Error::Internal)?;
        let above = self.steps.iter().find(|step| step.place.node.contains(node));
        let mut secrets = GroupSecrets {
            joiner_secret: self.joiner_secret.clone(),
            path_secret: above.map(|step| step.path_secret.clone()),
            psks: self.psks.iter().map(|(id, _)| id.clone()).collect(),
        };
        if let Some(edit) = &mut self.secrets {
            edit(leaf, &mut secrets);
        }
        let mut plaintext = secrets.to_plaintext()?.to_vec();
        if let Some(edit) = &mut self.secrets_bytes {
            edit(leaf, &mut plaintext);
        }
        let seed = suite.encapsulation_seed(&mut self.insider.rng)?;
        let init_key = &key_package.init_key;
        Ok(EncryptedGroupSecrets {
            new_member: key_package.reference(&suite)?,
            encrypted_group_secrets: suite.encrypt_with_label(
                init_key,
                "Welcome",
                encrypted_group_info,
                &plaintext,
                &seed,
            )?,
        })
    }
}
