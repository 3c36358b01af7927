use std::cmp::Ordering;

use crate::codec::Decode;
use crate::crypto::SignaturePublicKey;
use crate::error::{Error, Refused, Unready};
use crate::message::{
    AuthenticatedContent, Content, ContentType, FramedContent, GroupId, MlsMessage, PrivateContent,
    PrivateMessage, PublicMessage, Sender, SenderData, WireFormat,
};
use crate::mutation::{any_off, off};
use crate::rules::Violation;
use crate::rules::framing::{
    Handshake, Signed, content_undecryptable, ensure_encrypted_application, ensure_membership_tag,
    ensure_sender_is_member, ensure_signed, epoch_order, is_of_group, ratchet_kind, reads_late,
    sender_data_undecryptable,
};
use crate::schedule::{MessageKey, RatchetError, SecretTree, SecretTreeStep, SkippedId};
use crate::tree::LeafIndex;

use super::protect::{guarded_nonce, sender_data_key};
use super::step::{Change, RatchetUse};
use super::{ApplicationMessage, EpochState, GroupState, OpenedCommit, OpenedProposal, Step};

/// A message that was decrypted and authenticated; nothing has changed yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum Opened {
    /// Application data.
    Application(Box<OpenedApplication>),
    /// A proposal.
    Proposal(Box<OpenedProposal>),
    /// A Commit.
    Commit(Box<OpenedCommit>),
    /// A message that says it is this client's own. An encrypted one can't be read again, so that
    /// nothing but the claim is known of it.
    Own(ContentType),
}

/// Application data that was authenticated.
#[derive(Debug)]
pub struct OpenedApplication {
    message: ApplicationMessage,
    step: Step,
}

impl OpenedApplication {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &ApplicationMessage {
        &self.message
    }

    /// The message, and the step that uses up its key.
    pub fn accept(self) -> (ApplicationMessage, Step) {
        (self.message, self.step)
    }
}

/// A framed content whose signature and, where it was public, membership tag are verified. Made
/// only in this file.
#[derive(Debug)]
pub(super) struct Verified {
    content: AuthenticatedContent,
    ratchet: Option<RatchetUse>,
}

impl Verified {
    pub(super) fn sender(&self) -> Sender {
        self.content.content.sender
    }

    pub(super) fn content(&self) -> &AuthenticatedContent {
        &self.content
    }

    pub(super) fn into_parts(self) -> (AuthenticatedContent, Option<RatchetUse>) {
        (self.content, self.ratchet)
    }
}

/// A message is verified, or claims to be this client's own.
enum Authenticated {
    Other(Box<Verified>, u32),
    Own(ContentType),
}

/// The secrets that a private message is read with: the present epoch's or a past one's.
struct ReadKeys<'a> {
    sender_data_secret: &'a crate::crypto::Secret,
    secret_tree: &'a SecretTree,
    context_bytes: &'a [u8],
}

impl GroupState {
    /// Decrypts and authenticates a message of this group. `now` is the time in seconds since the
    /// Unix epoch, for the lifetimes of added key packages.
    ///
    /// # Errors
    /// [`Error::Unready`] if the message is of another group or epoch, was read before, or refers
    /// to an unknown proposal; [`Error::Violation`] or [`Error::Malformed`] if it is not sound.
    pub fn open(&self, message: MlsMessage, now: Option<u64>) -> Result<Opened, Error> {
        let (verified, generation) = match self.authenticate(message)? {
            Authenticated::Own(content_type) => return Ok(Opened::Own(content_type)),
            Authenticated::Other(verified, generation) => (*verified, generation),
        };
        match &verified.content.content.content {
            Content::Application(_) => {
                self.open_application(verified, generation).map(Box::new).map(Opened::Application)
            }
            Content::Proposal(_) => {
                self.open_proposal(verified, now).map(Box::new).map(Opened::Proposal)
            }
            Content::Commit(_) => self.open_commit(verified, now).map(Box::new).map(Opened::Commit),
        }
    }

    /// A message's content, authenticated and not looked at; `None` if it is this client's own.
    /// Nothing is used up.
    #[cfg(feature = "hazmat")]
    pub(crate) fn unprotect(
        &self,
        message: MlsMessage,
    ) -> Result<Option<AuthenticatedContent>, Error> {
        Ok(match self.authenticate(message)? {
            Authenticated::Other(verified, _) => Some(verified.content),
            Authenticated::Own(_) => None,
        })
    }

    fn authenticate(&self, message: MlsMessage) -> Result<Authenticated, Error> {
        self.ensure_readable()?;
        match message {
            MlsMessage::Private(message) => self.open_private(&message),
            MlsMessage::Public(message) => self.open_public(message),
            _ => Err(Unready::OtherGroup.into()),
        }
    }

    /// Late messages can still be read after a ReInit, not after one's own removal.
    fn ensure_readable(&self) -> Result<(), Error> {
        match self.ensure_active() {
            Err(crate::error::Misuse::Reinitialized) | Ok(()) => Ok(()),
            Err(misuse) => Err(misuse.into()),
        }
    }

    /// V-16.0-07: with the generation, by which gaps can be told.
    fn open_application(
        &self,
        verified: Verified,
        generation: u32,
    ) -> Result<OpenedApplication, Error> {
        let FramedContent { epoch, sender, authenticated_data, content, .. } =
            verified.content.content;
        let (Content::Application(data), Sender::Member(sender)) = (content, sender) else {
            return Err(Error::Internal);
        };
        let sender = self.member_in(sender, epoch).ok_or(Violation::UnknownSender)?;
        let generation = if off("V-16.0-07") { 0 } else { generation };
        let message = ApplicationMessage { sender, epoch, generation, authenticated_data, data };
        let step = self.step(verified.ratchet, Change::Nothing);
        Ok(OpenedApplication { message, step })
    }

    /// Section 6.2.
    fn open_public(&self, message: PublicMessage) -> Result<Authenticated, Error> {
        let content = &message.content;
        self.ensure_group(&content.group_id)?;
        let content_type = content.content.content_type();
        ensure_encrypted_application(content_type)?;
        self.ensure_present_epoch(content.epoch, Handshake::of(content_type, content.sender))?;
        let Sender::Member(sender) = content.sender else {
            let content = message.into_unverified();
            self.verify_outsider(&content)?;
            let verified = Verified { content, ratchet: None };
            return Ok(Authenticated::Other(Box::new(verified), 0));
        };
        let context = &self.epoch.context_bytes;
        let EpochState { secrets, .. } = &self.epoch;
        let suite = &self.settings.suite;
        ensure_membership_tag::<Error>(suite, &secrets.membership_key, &message, context)?;
        let content = message.into_unverified();
        self.verify_signature(&content, sender, context)?;
        if self.is_own(sender) {
            return Ok(Authenticated::Own(content_type));
        }
        let verified = Verified { content, ratchet: None };
        Ok(Authenticated::Other(Box::new(verified), 0))
    }

    /// V-6.3-03: whoever carries messages may bring one's own. The key of an encrypted one is gone.
    /// V-12.4.2-18: one's own Commit takes effect where it waits, and in no other way: of one that
    /// does not wait, the secrets that its path would give are not known.
    fn is_own(&self, sender: LeafIndex) -> bool {
        sender == self.own_leaf && !any_off(&["V-6.3-03", "V-12.4.2-18"])
    }

    /// Section 6.3. Nothing is used up: the ratchet's step is for when all is well.
    /// V-6.3-01, V-6.3.1-03 and V-6.3.2-06: a message that is not what its header and sender data
    /// say leaves every key where it was.
    fn open_private(&self, message: &PrivateMessage) -> Result<Authenticated, Error> {
        self.ensure_group(&message.group_id)?;
        let keys = self.read_keys(message)?;
        let sender = self.open_sender_data(message, &keys)?;
        let leaf = sender.leaf_index;
        ensure_sender_is_member(self.member_in(leaf, message.epoch).is_some())?;
        if self.is_own(leaf) {
            return Ok(Authenticated::Own(message.content_type));
        }
        let (key, ratchet) = self.message_key(message, sender, keys.secret_tree)?;
        let aad = PrivateMessage::content_aad(
            &message.group_id,
            message.epoch,
            message.content_type,
            &message.authenticated_data,
        )?;
        let nonce = guarded_nonce(&key.nonce, sender.reuse_guard);
        let suite = &self.settings.suite;
        let plaintext = suite
            .open(&key.key, nonce.as_bytes(), &aad, &message.ciphertext)
            .map(zeroize::Zeroizing::new)
            .map_err(content_undecryptable::<Error>)?;
        let context = &self.settings.context;
        let PrivateContent { content, auth } =
            PrivateContent::from_plaintext(message.content_type, &plaintext, context)?;
        let content = AuthenticatedContent {
            wire_format: WireFormat::PrivateMessage,
            content: FramedContent {
                group_id: message.group_id.clone(),
                epoch: message.epoch,
                sender: Sender::Member(leaf),
                authenticated_data: message.authenticated_data.clone(),
                content,
            },
            auth,
        };
        self.verify_signature(&content, leaf, keys.context_bytes)?;
        let verified = Verified { content, ratchet: Some(ratchet) };
        Ok(Authenticated::Other(Box::new(verified), sender.generation))
    }

    fn read_keys(&self, message: &PrivateMessage) -> Result<ReadKeys<'_>, Error> {
        if !reads_late(message.content_type) || message.epoch >= self.epoch() {
            // The leaf is not known yet, but that it is a member's.
            let content = Handshake::of(message.content_type, Sender::Member(self.own_leaf));
            self.ensure_present_epoch(message.epoch, content)?;
            return Ok(ReadKeys {
                sender_data_secret: &self.epoch.secrets.sender_data_secret,
                secret_tree: &self.epoch.secret_tree,
                context_bytes: &self.epoch.context_bytes,
            });
        }
        let past = self
            .past_epoch(message.epoch)
            .ok_or(Unready::ForgottenEpoch { message: message.epoch })?;
        Ok(ReadKeys {
            sender_data_secret: &past.sender_data_secret,
            secret_tree: &past.secret_tree,
            context_bytes: &past.context_bytes,
        })
    }

    /// V-6.3.2-05: section 6.3.2; what is decrypted is a SenderData and nothing else.
    fn open_sender_data(
        &self,
        message: &PrivateMessage,
        keys: &ReadKeys<'_>,
    ) -> Result<SenderData, Error> {
        let suite = &self.settings.suite;
        let aad = PrivateMessage::sender_data_aad(
            &message.group_id,
            message.epoch,
            message.content_type,
        )?;
        let key = sender_data_key(suite, keys.sender_data_secret, &message.ciphertext)?;
        let plaintext = suite
            .open(&key.key, key.nonce.as_bytes(), &aad, &message.encrypted_sender_data)
            .map_err(sender_data_undecryptable::<Error>)?;
        Ok(SenderData::from_bytes(&plaintext, &self.settings.context)?)
    }

    /// The key of a message: one that was skipped, or one ahead of the sender's ratchet.
    fn message_key(
        &self,
        message: &PrivateMessage,
        sender: SenderData,
        secret_tree: &SecretTree,
    ) -> Result<(MessageKey, RatchetUse), Error> {
        let SenderData { leaf_index: leaf, generation, .. } = sender;
        let (epoch, kind) = (message.epoch, ratchet_kind(message.content_type));
        let limits = self.settings.limits();
        let id = SkippedId { epoch, leaf, kind, generation };
        if generation < secret_tree.next_generation(leaf, kind) {
            let key = self.skipped.find(&id).ok_or(Unready::KeyGone)?.clone();
            let skipped = self.skipped.plan(id, Vec::new(), limits);
            return Ok((key, RatchetUse { epoch, tree: SecretTreeStep::default(), skipped }));
        }
        let suite = &self.settings.suite;
        let (key, mut tree) =
            secret_tree.advance(suite, leaf, kind, generation, limits).map_err(ratchet_error)?;
        if epoch < self.epoch() {
            // Section 9.2: no handshake message of that epoch will be read any more.
            tree.ratchets.retain(|((_, of), _)| *of == kind);
        }
        let keys = std::mem::take(&mut tree.skipped);
        let skipped = self.skipped.plan(id, keys, limits);
        Ok((key, RatchetUse { epoch, tree, skipped }))
    }

    /// V-6.1-03: a member signs with the key of its leaf, by the roster of the content's epoch
    /// (V-6.0-08).
    fn verify_signature(
        &self,
        content: &AuthenticatedContent,
        sender: LeafIndex,
        context_bytes: &[u8],
    ) -> Result<(), Error> {
        let epoch = if off("V-6.0-08") { self.epoch() } else { content.content.epoch };
        let member = self.member_in(sender, epoch);
        let key: SignaturePublicKey = member.ok_or(Violation::UnknownSender)?.signature_key;
        self.verify_content(content, &key, context_bytes)
    }

    pub(super) fn verify_content(
        &self,
        content: &AuthenticatedContent,
        key: &SignaturePublicKey,
        context: &[u8],
    ) -> Result<(), Error> {
        let signed = Signed { suite: &self.settings.suite, content, key, context };
        ensure_signed(signed, || self.known_keys())
    }

    /// Everybody's key whom the group knows.
    fn known_keys(&self) -> Vec<SignaturePublicKey> {
        let members = self.epoch.tree.members().map(|(_, leaf)| leaf.signature_key.clone());
        let senders = self.epoch.context.extensions.external_senders(&self.settings.context);
        let senders = senders.ok().flatten().into_iter().flatten();
        members.chain(senders.map(|sender| sender.signature_key)).collect()
    }

    fn ensure_group(&self, group_id: &GroupId) -> Result<(), Unready> {
        if is_of_group(group_id, self.group_id()) { Ok(()) } else { Err(Unready::OtherGroup) }
    }

    fn ensure_present_epoch(&self, message: u64, content: Handshake) -> Result<(), Unready> {
        let current = self.epoch();
        match epoch_order(message, current, content) {
            Ordering::Equal => Ok(()),
            Ordering::Less => Err(Unready::LateHandshake { message, current }),
            Ordering::Greater => Err(Unready::FutureEpoch { message, current }),
        }
    }
}

fn ratchet_error(error: RatchetError) -> Error {
    match error {
        RatchetError::Consumed => Unready::KeyGone.into(),
        RatchetError::TooFarAhead { ahead, limit } => {
            Refused::GenerationJump { ahead, limit }.into()
        }
        RatchetError::Exhausted => Violation::RatchetExhausted.into(),
        RatchetError::UnknownLeaf => Violation::SenderDataLeaf.into(),
        RatchetError::Crypto(error) => error.into(),
    }
}
