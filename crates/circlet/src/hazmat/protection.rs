//! Protecting and unprotecting single messages with raw secrets (RFC 9420 sections 6.1 to 6.3).

use std::collections::BTreeMap;

use crate::codec::{Decode, Encode};
use crate::crypto::{HpkePublicKey, Mac, Rng, Secret, Signature, SignaturePublicKey, Suite};
use crate::error::{Error, Misuse};
use crate::group::{EpochState, Framing, GroupState, Settings};
use crate::identity::{Credential, Signer};
use crate::message::{AuthenticatedContent, Content, GroupContext, MlsMessage};
use crate::schedule::{EpochSecrets, InitSecret, MessageKey, SecretTree};
use crate::tree::{
    Capabilities, Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafNodeSource, RatchetTree,
};

/// What the messages of an epoch are protected with. The epoch's group is made up: it has as many
/// members as signature keys are given.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// What is signed with every message; nothing in it is checked against the other fields.
    pub context: GroupContext,
    /// The members' signature keys, by leaf.
    pub signature_keys: Vec<SignaturePublicKey>,
    /// The root of the secret tree.
    pub encryption_secret: Secret,
    /// Encrypts the sender data.
    pub sender_data_secret: Secret,
    /// Keys the membership tag.
    pub membership_key: Secret,
}

/// One member of an [`Epoch`]. It remembers nothing: each message is protected or unprotected as
/// if it were the first one, so that **two messages of one member are encrypted with the same key**.
#[derive(Debug)]
pub struct Endpoint {
    state: GroupState,
}

impl Endpoint {
    /// The member at the leaf `own_leaf`.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`] if there is no such leaf; there are more leaves than the limit.
    pub fn new(settings: Settings, epoch: Epoch, own_leaf: LeafIndex) -> Result<Self, Error> {
        let tree = tree(&settings, &epoch.signature_keys)?;
        tree.leaf(own_leaf).ok_or(Misuse::NoSuchMember)?;
        let empty = Secret::new(&[]);
        let secrets = EpochSecrets {
            sender_data_secret: epoch.sender_data_secret,
            membership_key: epoch.membership_key,
            exporter_secret: empty.clone(),
            external_secret: empty.clone(),
            confirmation_key: empty.clone(),
            resumption_psk: empty.clone(),
            epoch_authenticator: empty.clone(),
            init_secret: InitSecret::new(empty),
        };
        let epoch = EpochState {
            context_bytes: epoch.context.to_bytes()?.into(),
            context: epoch.context,
            secret_tree: SecretTree::new(tree.width(), epoch.encryption_secret),
            tree,
            secrets,
            interim_transcript_hash: settings.suite.hash(&[])?,
            confirmation_tag: Mac(Vec::new()),
            private_keys: BTreeMap::new(),
        };
        Ok(Self { state: GroupState::begin(settings, own_leaf, epoch) })
    }

    /// Signs a content as this member and puts it into a message: application data into a
    /// PrivateMessage, a proposal or Commit as `framing` says. A Commit has the confirmation tag
    /// `confirmation_tag`, which nobody checks.
    ///
    /// # Errors
    /// [`Misuse::WrongSigner`] if the signer's key is not this member's; the generator or the
    /// signer failed.
    pub fn protect(
        &self,
        content: Content,
        confirmation_tag: Option<Mac>,
        framing: &Framing,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<MlsMessage, Error> {
        let mut signed = self.state.sign_content(content, framing, signer)?;
        signed.auth.confirmation_tag = confirmation_tag;
        let (message, _) = self.state.protect(signed, framing.padding, rng)?;
        Ok(message)
    }

    /// Decrypts a message of another member and verifies its membership tag and signature. What it
    /// says is not looked at, nor is a Commit's confirmation tag. `None` if the message says that
    /// it is this member's own.
    ///
    /// # Errors
    /// As [`GroupState::open`].
    pub fn unprotect(&self, message: MlsMessage) -> Result<Option<AuthenticatedContent>, Error> {
        self.state.unprotect(message)
    }
}

/// The key and nonce of a message's sender data (section 6.3.2), from the beginning of its
/// encrypted content.
///
/// # Errors
/// The provider failed.
pub fn sender_data_key(
    suite: &Suite,
    sender_data_secret: &Secret,
    ciphertext: &[u8],
) -> Result<MessageKey, Error> {
    crate::group::sender_data_key(suite, sender_data_secret, ciphertext)
}

/// A tree of leaves that are nothing but their signature keys.
fn tree(settings: &Settings, keys: &[SignaturePublicKey]) -> Result<RatchetTree, Error> {
    let mut leaves = keys.iter().map(|key| leaf(settings, key));
    let first = leaves.next().ok_or(Misuse::NoSuchMember)??;
    let mut tree = RatchetTree::new(first);
    for leaf in leaves {
        tree.add(leaf?, settings.limits().leaves)?;
    }
    Ok(tree)
}

fn leaf(settings: &Settings, signature_key: &SignaturePublicKey) -> Result<LeafNode, Error> {
    let content = LeafNodeContent {
        encryption_key: HpkePublicKey::new(&[]),
        signature_key: signature_key.clone(),
        credential: Credential::basic([]),
        capabilities: Capabilities::default(),
        source: LeafNodeSource::Update,
        extensions: Extensions::new(),
    };
    let mut encoded = content.to_bytes()?;
    encoded.extend(Signature(Vec::new()).to_bytes()?);
    Ok(LeafNode::from_bytes(&encoded, &settings.context)?)
}
