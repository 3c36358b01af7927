use crate::codec::Encode;
use crate::crypto::{Rng, Secret, Suite};
use crate::error::{Error, Misuse, Refused};
use crate::identity::{Signer, sign_with_label};
use crate::message::{
    AuthenticatedContent, Content, FramedContent, FramedContentAuthData, MlsMessage,
    PrivateContent, PrivateMessage, PublicMessage, Sender, SenderData, WireFormat,
};
use crate::mutation::off;
use crate::rules::framing::{ratchet_kind, wire_format};
use crate::schedule::{MessageKey, RatchetError, SkippedStep};

use super::commit::Trial;
use super::step::{Change, RatchetUse};
use super::{GroupState, Member, PskSource, Step};

/// How proposals and commits travel (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandshakeFormat {
    /// Encrypted.
    #[default]
    Private,
    /// Signed only: whoever carries them can read who is in the group.
    Public,
}

/// How many bytes of zero are put behind an encrypted content, so that its length tells less
/// (RFC 9420 section 15.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// None.
    #[default]
    None,
    /// Up to the next multiple of so many bytes; 0 is as none.
    Multiple(u32),
    /// Padmé: up to the next length whose binary form ends in zeros but for its leading bits, of
    /// which there are as many as it takes to count all of its bits. Whoever sees the length of a
    /// message of at most L bytes learns O(log log L) bits of its content's. It costs 12% at most, and
    /// less the longer a content is.
    Padme,
}

/// What goes around a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// Data of the application that is authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
    /// Padding, where the content is encrypted.
    pub padding: Padding,
    /// How proposals and commits travel; application data is always encrypted.
    pub handshake: HandshakeFormat,
}

/// Application data that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationMessage {
    /// Who sent it, by the roster of its epoch.
    pub sender: Member,
    /// The epoch that it was sent in.
    pub epoch: u64,
    /// The sender's count of messages in the epoch: a gap means that one is missing.
    pub generation: u32,
    /// Data of the application that was authenticated, not encrypted.
    pub authenticated_data: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Padding {
    fn length(self, content: usize) -> usize {
        match self {
            // V-15.0-01.
            _ if off("V-15.0-01") => 0,
            Self::None | Self::Multiple(0) => 0,
            Self::Multiple(size) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                content.checked_next_multiple_of(size).map_or(0, |padded| padded - content)
            }
            Self::Padme => padme(content).map_or(0, |padded| padded - content),
        }
    }
}

/// Padmé's length for one of `length` bytes; `None` if it is too long to count. The lower bits are
/// rounded up to zeros, all but as many as it takes to write down how many bits there are.
fn padme(length: usize) -> Option<usize> {
    let Some(bits) = length.checked_ilog2() else { return Some(length) };
    let kept = bits.checked_ilog2().map_or(0, |kept| kept + 1);
    let mask = (1_usize << bits.saturating_sub(kept)) - 1;
    Some(length.checked_add(mask)? & !mask)
}

impl GroupState {
    /// Encrypts application data to the group (section 15): an encoded MLSMessage.
    ///
    /// # Errors
    /// [`Misuse::ProposalsPending`] while valid proposals wait for a Commit (section 12.4), unless
    /// `despite_proposals`; [`Misuse::NotMember`]; [`Refused::MessageTooLong`]; the generator or the signer failed.
    pub fn send(
        &self,
        data: &[u8],
        framing: &Framing,
        despite_proposals: bool,
        signer: &dyn Signer,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, Step), Error> {
        self.ensure_active()?;
        if !despite_proposals && self.must_commit()? && !off("V-12.4-01") {
            return Err(Misuse::ProposalsPending.into());
        }
        let content = Content::Application(data.to_vec());
        let signed = self.sign_content(content, framing, signer)?;
        let (message, ratchet) = self.protect(signed, framing.padding, rng)?;
        Ok((self.sendable(message.to_bytes()?)?, self.step(ratchet, Change::Nothing)))
    }

    /// V-12.4-01: whether valid proposals wait. Found out once for each set of them.
    fn must_commit(&self) -> Result<bool, Error> {
        if let Some(found) = self.proposals.committable().get() {
            return Ok(*found);
        }
        let trial = Trial { tree: &self.epoch.tree, now: None, psks: &AnyPsk };
        let waits = !self.fitting(&[], |_| true, trial)?.is_empty();
        Ok(*self.proposals.committable().get_or_init(|| waits))
    }

    pub(super) fn sendable(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Refused> {
        self.settings.sendable(bytes)
    }

    /// Frames and signs a content of this member (section 6.1); a Commit gets its confirmation
    /// tag later. V-12.4.1-04: with keys and context of the present epoch.
    pub(crate) fn sign_content(
        &self,
        content: Content,
        framing: &Framing,
        signer: &dyn Signer,
    ) -> Result<AuthenticatedContent, Error> {
        self.ensure_signer(signer)?;
        let public = framing.handshake == HandshakeFormat::Public;
        let wire_format = wire_format(content.content_type(), public);
        let content = FramedContent {
            group_id: self.group_id().clone(),
            epoch: self.epoch(),
            sender: Sender::Member(self.own_leaf),
            authenticated_data: framing.authenticated_data.clone(),
            content,
        };
        // V-12.4.1-04: also a Commit is signed for the epoch that it ends.
        let context: &[u8] = match content.content {
            Content::Commit(_) if off("V-12.4.1-04") => &[],
            _ => &self.epoch.context_bytes,
        };
        let tbs = content.to_be_signed(wire_format, context)?;
        let signature = sign_with_label(signer, "FramedContentTBS", &tbs)?;
        let auth = FramedContentAuthData { signature, confirmation_tag: None };
        Ok(AuthenticatedContent { wire_format, content, auth })
    }

    fn ensure_signer(&self, signer: &dyn Signer) -> Result<(), Misuse> {
        let own = self.epoch.tree.leaf(self.own_leaf).map(|leaf| &leaf.signature_key);
        if own == Some(signer.public_key()) { Ok(()) } else { Err(Misuse::WrongSigner) }
    }

    /// Turns an authenticated content into the message that travels, with the key that it used.
    /// V-6.2-01: a PublicMessage gets its membership tag.
    pub(crate) fn protect(
        &self,
        signed: AuthenticatedContent,
        padding: Padding,
        rng: &mut dyn Rng,
    ) -> Result<(MlsMessage, Option<RatchetUse>), Error> {
        if signed.wire_format == WireFormat::PrivateMessage {
            let (message, used) = self.encrypt(signed, padding, rng)?;
            return Ok((MlsMessage::Private(message), Some(used)));
        }
        let AuthenticatedContent { content, auth, .. } = signed;
        let tbm = PublicMessage::to_be_maced(&content, &auth, &self.epoch.context_bytes)?;
        let key = &self.epoch.secrets.membership_key;
        let tag = self.settings.suite.mac(key, &[&tbm])?;
        let message = PublicMessage { content, auth, membership_tag: Some(tag) };
        Ok((MlsMessage::Public(message), None))
    }

    /// Section 6.3: the content under the next key of this member's ratchet, the sender data under
    /// a key from the ciphertext. V-6.3.1-04: with a reuse guard of its own for each message.
    /// V-6.3.1-07: no longer than the limit; each key encrypts one message. V-6.3.2-01: the sender
    /// is this member.
    fn encrypt(
        &self,
        signed: AuthenticatedContent,
        padding: Padding,
        rng: &mut dyn Rng,
    ) -> Result<(PrivateMessage, RatchetUse), Error> {
        let suite = &self.settings.suite;
        let AuthenticatedContent { content, auth, .. } = signed;
        let FramedContent { group_id, epoch, authenticated_data, content, .. } = content;
        let content_type = content.content_type();
        let kind = ratchet_kind(content_type);

        let tree = &self.epoch.secret_tree;
        let generation = tree.next_generation(self.own_leaf, kind);
        let (key, tree_step) = tree
            .advance(suite, self.own_leaf, kind, generation, self.settings.limits())
            .map_err(own_ratchet)?;
        let mut reuse_guard = [0; 4];
        if !off("V-6.3.1-04") {
            rng.fill(&mut reuse_guard)?;
        }

        let private = PrivateContent { content, auth };
        let plaintext = private.to_plaintext(0)?;
        let padding = padding.length(plaintext.len());
        let (limit, actual) = (self.settings.limits().message_bytes, plaintext.len() + padding);
        if actual > limit && !off("V-6.3.1-07") {
            return Err(Refused::MessageTooLong { limit, actual }.into());
        }
        let plaintext = if padding == 0 { plaintext } else { private.to_plaintext(padding)? };
        let aad = PrivateMessage::content_aad(&group_id, epoch, content_type, &authenticated_data)?;
        let nonce = guarded_nonce(&key.nonce, reuse_guard);
        let ciphertext = suite.seal(&key.key, nonce.as_bytes(), &aad, &plaintext)?;

        let sender = SenderData { leaf_index: self.own_leaf, generation, reuse_guard };
        let aad = PrivateMessage::sender_data_aad(&group_id, epoch, content_type)?;
        let secret = &self.epoch.secrets.sender_data_secret;
        let key = sender_data_key(suite, secret, &ciphertext)?;
        let encrypted_sender_data =
            suite.seal(&key.key, key.nonce.as_bytes(), &aad, &sender.to_bytes()?)?;

        let message = PrivateMessage {
            group_id,
            epoch,
            content_type,
            authenticated_data,
            encrypted_sender_data,
            ciphertext,
        };
        let skipped = SkippedStep::default();
        Ok((message, RatchetUse { epoch, tree: tree_step, skipped }))
    }
}

/// Has every pre-shared key, for asking whether proposals would be valid if it had.
struct AnyPsk;

impl PskSource for AnyPsk {
    fn external(&self, _: &[u8]) -> Option<Secret> {
        Some(Secret::new(&[]))
    }

    fn resumption(&self, _: &[u8], _: u64) -> Option<Secret> {
        Some(Secret::new(&[]))
    }
}

/// V-6.3.1-04: the reuse guard changes the first four bytes of the nonce.
pub(super) fn guarded_nonce(nonce: &Secret, reuse_guard: [u8; 4]) -> Secret {
    let mut bytes = zeroize::Zeroizing::new(nonce.as_bytes().to_vec());
    for (byte, guard) in bytes.iter_mut().zip(reuse_guard) {
        *byte ^= guard;
    }
    Secret::new(&bytes)
}

/// V-6.3.2-02: the sender data's key comes from the beginning of the ciphertext.
pub(crate) fn sender_data_key(
    suite: &Suite,
    sender_data_secret: &Secret,
    ciphertext: &[u8],
) -> Result<MessageKey, Error> {
    let sample = ciphertext.get(..suite.secret_length()).unwrap_or(ciphertext);
    let aead = suite.spec().aead;
    Ok(MessageKey {
        key: suite.expand_with_label(sender_data_secret, "key", sample, aead.key_length)?,
        nonce: suite.expand_with_label(sender_data_secret, "nonce", sample, aead.nonce_length)?,
    })
}

fn own_ratchet(error: RatchetError) -> Error {
    match error {
        RatchetError::Exhausted => Misuse::RatchetExhausted.into(),
        RatchetError::Crypto(error) => error.into(),
        _ => Error::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_tells_little_and_costs_little() {
        for (length, padded) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 3),
            (8, 8),
            (9, 10),
            (11, 12),
            (15, 16),
            (100, 104),
            (1_000, 1_024),
            (65_536, 65_536),
            (65_537, 67_584),
            (1 << 40, 1 << 40),
        ] {
            assert_eq!(padme(length), Some(padded), "{length}");
        }
        let mut lengths = std::collections::BTreeSet::new();
        for length in 1..200_000 {
            let padded = padme(length).unwrap();
            assert!(padded >= length && (padded - length) * 100 <= length * 12, "{length}");
            assert_eq!(padme(padded), Some(padded), "{length}");
            lengths.insert(padded);
        }
        assert!(lengths.len() < 400, "{}", lengths.len());
        assert_eq!(padme(usize::MAX), None);
        assert_eq!(Padding::Padme.length(usize::MAX), 0);
        assert_eq!(Padding::Padme.length(9), 1);
    }
}
