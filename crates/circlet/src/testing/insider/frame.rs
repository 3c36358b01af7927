use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Encode, Limits, Writer};
use crate::crypto::{HashReference, Mac, Rng, Secret, Signature, Suite};
use crate::error::{Error, Misuse};
use crate::identity::{Signer, sign_with_label};
use crate::message::{
    AuthenticatedContent, Content, ContentType, FramedContent, FramedContentAuthData, GroupContext,
    MlsMessage, PrivateContent, PrivateMessage, PublicMessage, Sender, SenderData, WireFormat,
};
use crate::schedule::{MessageKey, RatchetError, RatchetKind, SecretTree};
use crate::testing::SeededRng;
use crate::tree::{LeafIndex, MLS10, TreeWidth};

use super::edits::Edits;

/// The secrets that a member's messages are protected with. An outsider has none.
#[derive(Clone)]
pub(super) struct FrameSecrets {
    pub(super) membership_key: Secret,
    pub(super) sender_data_secret: Secret,
    pub(super) encryption_secret: Secret,
    pub(super) width: TreeWidth,
    pub(super) own_leaf: LeafIndex,
    pub(super) generations: Generations,
}

/// The next generation of each ratchet.
#[derive(Clone, Default)]
pub(super) struct Generations(Arc<Mutex<BTreeMap<(LeafIndex, RatchetKind), u32>>>);

impl Generations {
    pub(super) fn new(next: BTreeMap<(LeafIndex, RatchetKind), u32>) -> Self {
        Self(Arc::new(Mutex::new(next)))
    }

    fn take(&self, leaf: LeafIndex, kind: RatchetKind) -> u32 {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = next.entry((leaf, kind)).or_default();
        let generation = *entry;
        *entry = entry.saturating_add(1);
        generation
    }
}

/// A content on its way into a message: every field that is signed, authenticated or encrypted can
/// be another than it should be, and everything that follows from it fits again.
///
/// Steps come in this order: [`edit_content`](Self::edit_content), the signature, the tags,
/// [`edit_auth`](Self::edit_auth), then for a PublicMessage the membership tag and
/// [`edit_public`](Self::edit_public), for a PrivateMessage [`edit_header`](Self::edit_header),
/// [`edit_plaintext`](Self::edit_plaintext), the encryption and
/// [`edit_private`](Self::edit_private).
#[must_use = "nothing is made before it is framed: public() or private()"]
pub struct Frame<'a> {
    suite: Suite,
    secrets: Option<FrameSecrets>,
    /// The encoded GroupContext.
    context: Vec<u8>,
    rng: SeededRng,
    signer: Arc<dyn Signer>,
    content: FramedContent,
    signed_as: Option<WireFormat>,
    signed_context: Option<Option<GroupContext>>,
    signature: Edits<'a, Signature>,
    auth: Edits<'a, FramedContentAuthData>,
    membership_tag: Edits<'a, Option<Mac>>,
    public: Edits<'a, PublicMessage>,
    ratchet_leaf: Option<LeafIndex>,
    ratchet_kind: Option<RatchetKind>,
    generation: Option<u32>,
    key: Option<MessageKey>,
    header: Edits<'a, PrivateMessage>,
    plaintext: Edits<'a, Vec<u8>>,
    sender_data: Edits<'a, SenderData>,
    private: Edits<'a, PrivateMessage>,
}

/// A message that was made against the rules, or within them.
#[derive(Clone, Debug)]
pub struct Forged {
    /// The MLSMessage.
    pub message: Vec<u8>,
    /// What is in it.
    pub content: AuthenticatedContent,
}

impl Forged {
    /// ProposalRef (section 5.2) of a proposal that was framed.
    ///
    /// # Errors
    /// Something is too long to encode.
    pub fn reference(&self, suite: &Suite) -> Result<HashReference, Error> {
        Ok(self.content.reference(suite)?)
    }
}

impl AsRef<[u8]> for Forged {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl<'a> Frame<'a> {
    pub(super) fn new(
        suite: Suite,
        context: &GroupContext,
        secrets: Option<FrameSecrets>,
        signer: Arc<dyn Signer>,
        rng: SeededRng,
        (sender, content): (Sender, Content),
    ) -> Result<Self, Error> {
        let content = FramedContent {
            group_id: context.group_id.clone(),
            epoch: context.epoch,
            sender,
            authenticated_data: Vec::new(),
            content,
        };
        Ok(Self {
            suite,
            secrets,
            context: context.to_bytes()?,
            rng,
            signer,
            content,
            signed_as: None,
            signed_context: None,
            signature: Edits::default(),
            auth: Edits::default(),
            membership_tag: Edits::default(),
            public: Edits::default(),
            ratchet_leaf: None,
            ratchet_kind: None,
            generation: None,
            key: None,
            header: Edits::default(),
            plaintext: Edits::default(),
            sender_data: Edits::default(),
            private: Edits::default(),
        })
    }

    /// Who says to have sent it.
    pub fn sender(mut self, sender: Sender) -> Self {
        self.content.sender = sender;
        self
    }

    /// Data of the application that is authenticated.
    pub fn authenticated_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.content.authenticated_data = data.into();
        self
    }

    /// Changes what is signed: group, epoch, sender, authenticated data, content.
    pub fn edit_content(mut self, edit: impl FnOnce(&mut FramedContent)) -> Self {
        edit(&mut self.content);
        self
    }

    pub(super) fn set_content(&mut self, content: Content) {
        self.content.content = content;
    }

    /// Whose key signs.
    pub fn signer(mut self, signer: impl Signer + 'static) -> Self {
        self.signer = Arc::new(signer);
        self
    }

    /// The wire format that is signed, where it is another than the one that travels.
    pub fn signed_as(mut self, wire_format: WireFormat) -> Self {
        self.signed_as = Some(wire_format);
        self
    }

    /// The GroupContext that is signed with the content; `None` leaves it out. Otherwise it is the
    /// group's for senders that sign it (section 6.1).
    pub fn signed_context(mut self, context: Option<GroupContext>) -> Self {
        self.signed_context = Some(context);
        self
    }

    /// Changes the signature; what comes after is over the changed one.
    pub fn edit_signature(mut self, edit: impl FnOnce(&mut Signature) + 'a) -> Self {
        self.signature.push(edit);
        self
    }

    /// Changes the signature or the confirmation tag; a membership tag is over the changed ones.
    pub fn edit_auth(mut self, edit: impl FnOnce(&mut FramedContentAuthData) + 'a) -> Self {
        self.auth.push(edit);
        self
    }

    /// Changes the confirmation tag; a membership tag is over the changed one.
    pub fn edit_confirmation_tag(self, edit: impl FnOnce(&mut Option<Mac>) + 'a) -> Self {
        self.edit_auth(|auth| edit(&mut auth.confirmation_tag))
    }

    /// Changes the membership tag, which is right before if the sender is a member.
    pub fn edit_membership_tag(mut self, edit: impl FnOnce(&mut Option<Mac>) + 'a) -> Self {
        self.membership_tag.push(edit);
        self
    }

    /// Changes the PublicMessage when it is complete.
    pub fn edit_public(mut self, edit: impl FnOnce(&mut PublicMessage) + 'a) -> Self {
        self.public.push(edit);
        self
    }

    /// Says to be another member, and encrypts with that one's ratchet, all but the signature.
    pub fn impersonate(mut self, leaf: LeafIndex) -> Self {
        self.content.sender = Sender::Member(leaf);
        self.ratchet(leaf)
    }

    /// Encrypts with the ratchet of this leaf; otherwise it is that of the sender.
    pub fn ratchet(mut self, leaf: LeafIndex) -> Self {
        self.ratchet_leaf = Some(leaf);
        self
    }

    /// Encrypts with this one of the leaf's ratchets; otherwise it is that of the content's type.
    pub fn ratchet_kind(mut self, kind: RatchetKind) -> Self {
        self.ratchet_kind = Some(kind);
        self
    }

    /// Encrypts with the key of this generation; otherwise it is the next one.
    pub fn generation(mut self, generation: u32) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Encrypts with this key.
    pub fn key(mut self, key: MessageKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Changes group, epoch, content type or authenticated data of the PrivateMessage before it is
    /// encrypted; what is signed stays as it was.
    pub fn edit_header(mut self, edit: impl FnOnce(&mut PrivateMessage) + 'a) -> Self {
        self.header.push(edit);
        self
    }

    /// Changes the plaintext: content, signature, tag and then padding.
    pub fn edit_plaintext(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.plaintext.push(edit);
        self
    }

    /// Puts these bytes behind the content.
    pub fn padding(self, padding: &'a [u8]) -> Self {
        self.edit_plaintext(|plaintext| plaintext.extend_from_slice(padding))
    }

    /// Changes what the sender data says; the key stays the same.
    pub fn edit_sender_data(mut self, edit: impl FnOnce(&mut SenderData) + 'a) -> Self {
        self.sender_data.push(edit);
        self
    }

    /// Changes the PrivateMessage when it is complete.
    pub fn edit_private(mut self, edit: impl FnOnce(&mut PrivateMessage) + 'a) -> Self {
        self.private.push(edit);
        self
    }

    /// Makes a PublicMessage.
    ///
    /// # Errors
    /// The signer failed, or something is too long to encode.
    pub fn public(self) -> Result<Forged, Error> {
        self.build(WireFormat::PublicMessage)
    }

    /// Makes a PrivateMessage.
    ///
    /// # Errors
    /// [`Misuse::NotMember`] for an outsider; the signer failed, there is no such ratchet, or
    /// something is too long to encode.
    pub fn private(self) -> Result<Forged, Error> {
        self.build(WireFormat::PrivateMessage)
    }

    fn build(mut self, wire_format: WireFormat) -> Result<Forged, Error> {
        let mut signed = self.sign(wire_format)?;
        self.apply_auth(&mut signed);
        self.protect(signed)
    }

    /// Signs the content, with the signature's changes made.
    pub(super) fn sign(&mut self, wire_format: WireFormat) -> Result<AuthenticatedContent, Error> {
        let tbs = self.to_be_signed(self.signed_as.unwrap_or(wire_format))?;
        let mut signature = sign_with_label(&*self.signer, "FramedContentTBS", &tbs)?;
        self.signature.apply(&mut signature);
        let auth = FramedContentAuthData { signature, confirmation_tag: None };
        Ok(AuthenticatedContent { wire_format, content: self.content.clone(), auth })
    }

    fn to_be_signed(&self, wire_format: WireFormat) -> Result<Vec<u8>, Error> {
        let Some(context) = &self.signed_context else {
            return Ok(self.content.to_be_signed(wire_format, &self.context)?);
        };
        let mut writer = Writer::new();
        writer.u16(MLS10);
        wire_format.encode(&mut writer);
        self.content.encode(&mut writer);
        if let Some(context) = context {
            context.encode(&mut writer);
        }
        Ok(writer.finish()?)
    }

    /// Makes the changes of signature and tag.
    pub(super) fn apply_auth(&mut self, signed: &mut AuthenticatedContent) {
        self.auth.apply(&mut signed.auth);
    }

    /// Puts a signed content into the message of its wire format.
    pub(super) fn protect(mut self, signed: AuthenticatedContent) -> Result<Forged, Error> {
        let message = match signed.wire_format {
            WireFormat::PrivateMessage => MlsMessage::Private(self.encrypt(&signed)?),
            _ => MlsMessage::Public(self.authenticate(&signed)?),
        };
        Ok(Forged { message: message.to_bytes()?, content: signed })
    }

    fn authenticate(&mut self, signed: &AuthenticatedContent) -> Result<PublicMessage, Error> {
        let AuthenticatedContent { content, auth, .. } = signed.clone();
        let mut membership_tag = None;
        if let (Some(secrets), Sender::Member(_)) = (&self.secrets, content.sender) {
            let tbm = PublicMessage::to_be_maced(&content, &auth, &self.context)?;
            membership_tag = Some(self.suite.mac(&secrets.membership_key, &[&tbm])?);
        }
        self.membership_tag.apply(&mut membership_tag);
        let mut message = PublicMessage { content, auth, membership_tag };
        self.public.apply(&mut message);
        Ok(message)
    }

    /// Section 6.3.
    fn encrypt(&mut self, signed: &AuthenticatedContent) -> Result<PrivateMessage, Error> {
        let secrets = self.secrets.clone().ok_or(Misuse::NotMember)?;
        let content = &signed.content;
        let mut message = PrivateMessage {
            group_id: content.group_id.clone(),
            epoch: content.epoch,
            content_type: content.content.content_type(),
            authenticated_data: content.authenticated_data.clone(),
            encrypted_sender_data: Vec::new(),
            ciphertext: Vec::new(),
        };
        self.header.apply(&mut message);

        let (key, mut sender_data) = self.message_key(&secrets, content)?;
        let private =
            PrivateContent { content: content.content.clone(), auth: signed.auth.clone() };
        let mut plaintext = private.to_plaintext(0)?.to_vec();
        self.plaintext.apply(&mut plaintext);
        let PrivateMessage { group_id, epoch, content_type, authenticated_data, .. } = &message;
        let aad = PrivateMessage::content_aad(group_id, *epoch, *content_type, authenticated_data)?;
        let sender_data_aad = PrivateMessage::sender_data_aad(group_id, *epoch, *content_type)?;
        let mut nonce = key.nonce.as_bytes().to_vec();
        for (byte, guard) in nonce.iter_mut().zip(sender_data.reuse_guard) {
            *byte ^= guard;
        }
        let suite = &self.suite;
        message.ciphertext = suite.seal(&key.key, &nonce, &aad, &plaintext)?;

        self.sender_data.apply(&mut sender_data);
        let sample = message.ciphertext.get(..suite.secret_length());
        let sample = sample.unwrap_or(&message.ciphertext);
        let (secret, aead) = (&secrets.sender_data_secret, suite.spec().aead);
        let key = suite.expand_with_label(secret, "key", sample, aead.key_length)?;
        let nonce = suite.expand_with_label(secret, "nonce", sample, aead.nonce_length)?;
        message.encrypted_sender_data =
            suite.seal(&key, nonce.as_bytes(), &sender_data_aad, &sender_data.to_bytes()?)?;
        self.private.apply(&mut message);
        Ok(message)
    }

    fn message_key(
        &mut self,
        secrets: &FrameSecrets,
        content: &FramedContent,
    ) -> Result<(MessageKey, SenderData), Error> {
        let leaf_index = match (self.ratchet_leaf, content.sender) {
            (Some(leaf), _) | (None, Sender::Member(leaf)) => leaf,
            _ => secrets.own_leaf,
        };
        let kind = self.ratchet_kind.unwrap_or(match content.content.content_type() {
            ContentType::Application => RatchetKind::Application,
            ContentType::Proposal | ContentType::Commit => RatchetKind::Handshake,
        });
        let next = || secrets.generations.take(leaf_index, kind);
        let generation = self.generation.unwrap_or_else(next);
        let mut reuse_guard = [0; 4];
        self.rng.fill(&mut reuse_guard)?;
        let sender_data = SenderData { leaf_index, generation, reuse_guard };
        let key = match self.key.take() {
            Some(key) => key,
            None => message_key(&self.suite, secrets, leaf_index, kind, generation)?,
        };
        Ok((key, sender_data))
    }
}

/// The key of a message of any member: whoever has the root of the secret tree has them all.
pub(super) fn message_key(
    suite: &Suite,
    secrets: &FrameSecrets,
    leaf: LeafIndex,
    kind: RatchetKind,
    generation: u32,
) -> Result<MessageKey, Error> {
    let tree = SecretTree::new(secrets.width, secrets.encryption_secret.clone());
    let limits = Limits { generation_jump: u32::MAX, skipped_keys: 0, ..Limits::default() };
    let found = tree.advance(suite, leaf, kind, generation, &limits);
    let (key, _) = found.map_err(|error| match error {
        RatchetError::Crypto(error) => Error::Crypto(error),
        RatchetError::Exhausted => Misuse::RatchetExhausted.into(),
        _ => Misuse::NoSuchMember.into(),
    })?;
    Ok(key)
}
