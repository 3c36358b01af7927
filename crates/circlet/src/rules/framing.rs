//! Messages and what authenticates them (RFC 9420 sections 6.1 to 6.3).

use std::cmp::Ordering;

use super::{Violation, blame, ensure, ensure_rows};
use crate::codec::EncodeError;
use crate::crypto::{CryptoError, Mac, Secret, SignaturePublicKey, Suite};
use crate::message::{
    AuthenticatedContent, Content, ContentType, GroupId, PublicMessage, Sender, WireFormat,
};
use crate::mutation::{any_off, off};
use crate::schedule::RatchetKind;

/// A framed content, and what its signature is verified with.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) content: &'a AuthenticatedContent,
    /// That of the sender.
    pub(crate) key: &'a SignaturePublicKey,
    /// The encoded GroupContext.
    pub(crate) context: &'a [u8],
}

/// V-6.0-01 and V-6.0-02: application data is always encrypted, and so is all else unless the
/// application wants it to be `public`.
pub(crate) fn wire_format(content_type: ContentType, public: bool) -> WireFormat {
    match content_type {
        ContentType::Application => WireFormat::PrivateMessage,
        ContentType::Proposal | ContentType::Commit if !public && !off("V-6.0-02") => {
            WireFormat::PrivateMessage
        }
        ContentType::Proposal | ContentType::Commit => WireFormat::PublicMessage,
    }
}

/// V-6.3-02: the content type selects the ratchet (section 9.1): proposals and commits have one of
/// their own.
pub(crate) fn ratchet_kind(content_type: ContentType) -> RatchetKind {
    match content_type {
        _ if off("V-6.3-02") => RatchetKind::Application,
        ContentType::Application => RatchetKind::Application,
        ContentType::Proposal | ContentType::Commit => RatchetKind::Handshake,
    }
}

/// V-6.0-06: a message of another group is for another state.
pub(crate) fn is_of_group(message: &GroupId, own: &GroupId) -> bool {
    message == own || off("V-6.0-06")
}

/// V-6.0-07: application data may be of a past epoch, proposals and Commits may not.
pub(crate) fn reads_late(content_type: ContentType) -> bool {
    content_type == ContentType::Application || off("V-6.0-07")
}

/// What the epoch of a message is judged by.
#[derive(Clone, Copy)]
pub(crate) enum Handshake {
    None,
    Proposal,
    Commit,
    ExternalCommit,
}

impl Handshake {
    pub(crate) fn of(content_type: ContentType, sender: Sender) -> Self {
        match (content_type, sender) {
            (ContentType::Application, _) => Self::None,
            (ContentType::Proposal, _) => Self::Proposal,
            (ContentType::Commit, Sender::NewMemberCommit) => Self::ExternalCommit,
            (ContentType::Commit, _) => Self::Commit,
        }
    }
}

/// How the epoch of a message stands to the `present` one, which it has to be. V-6.0-06: a message
/// of a later epoch is for a later state. V-12.1-01: a proposal is of the present epoch;
/// V-12.4.2-01: so is a Commit. V-12.4.3.2-09: an external Commit is for the epoch of its GroupInfo
/// alone.
pub(crate) fn epoch_order(message: u64, present: u64, content: Handshake) -> Ordering {
    let row = match content {
        Handshake::None => "V-6.0-06",
        Handshake::Proposal => "V-12.1-01",
        Handshake::Commit => "V-12.4.2-01",
        Handshake::ExternalCommit => "V-12.4.3.2-09",
    };
    match message.cmp(&present) {
        _ if off(row) => Ordering::Equal,
        Ordering::Greater if off("V-6.0-06") => Ordering::Equal,
        order => order,
    }
}

/// V-6.0-01: application data is always encrypted.
pub(crate) fn ensure_encrypted_application(content_type: ContentType) -> Result<(), Violation> {
    ensure(content_type != ContentType::Application, Violation::PublicApplicationMessage)
}

/// V-6.3.2-04: the sender data names a member.
pub(crate) fn ensure_sender_is_member(member: bool) -> Result<(), Violation> {
    ensure(member, Violation::SenderDataLeaf)
}

/// V-6.2-02, and V-6.2-03, which says what it is for: the sender knows a secret of the epoch, not a
/// member's signature key alone. V-12.4.2-02: so it does of a Commit.
pub(crate) fn ensure_membership_tag<E>(
    suite: &Suite,
    membership_key: &Secret,
    message: &PublicMessage,
    context: &[u8],
) -> Result<(), E>
where
    E: From<Violation> + From<CryptoError> + From<EncodeError>,
{
    let PublicMessage { content, auth, membership_tag } = message;
    let tbm = PublicMessage::to_be_maced(content, auth, context)?;
    let tag = membership_tag.as_ref().ok_or(Violation::MembershipTag)?;
    let valid = is_mac(suite, membership_key, &tbm, tag)?;
    let valid = valid || is_commit(&content.content) && off("V-12.4.2-02");
    Ok(ensure_rows(["V-6.2-03"], valid, Violation::MembershipTag)?)
}

/// V-6.1-07: whoever receives a framed content verifies its signature; V-6.3.1-06: also when it was
/// encrypted; V-12.4.2-03: that of a Commit; V-12.1-01: that of a proposal. What is signed and with which key, each of
/// [`is_signed`]'s rows says.
pub(crate) fn ensure_signed<E>(
    signed: Signed<'_>,
    others: impl Fn() -> Vec<SignaturePublicKey>,
) -> Result<(), E>
where
    E: From<Violation> + From<EncodeError>,
{
    let AuthenticatedContent { wire_format, content, .. } = signed.content;
    let valid = is_signed(signed, others)?
        || *wire_format == WireFormat::PrivateMessage && off("V-6.3.1-06")
        || is_commit(&content.content) && off("V-12.4.2-03")
        || matches!(content.content, Content::Proposal(_)) && off("V-12.1-01");
    Ok(ensure(valid, Violation::ContentSignature)?)
}

/// V-6.1-03 to V-6.1-06 and, for external Commits, V-12.4.3.2-04: the signature is the sender's, not
/// that of one of `others`. V-6.1-01: it is over the wire format that the content travelled in.
/// V-6.1-02: it is over the GroupContext, too, where the sender knows that, and nowhere else.
fn is_signed(
    signed: Signed<'_>,
    others: impl Fn() -> Vec<SignaturePublicKey>,
) -> Result<bool, EncodeError> {
    let Signed { suite, content, key, context } = signed;
    let AuthenticatedContent { wire_format, content, auth } = content;
    let verify = |key: &SignaturePublicKey, tbs: &[u8]| {
        suite.verify_with_label(key, "FramedContentTBS", tbs, &auth.signature).is_ok()
    };
    let tbs = content.to_be_signed(*wire_format, context)?;
    if verify(key, &tbs) {
        return Ok(true);
    }
    let (own_key, with_context): (&[&str], bool) = match content.sender {
        Sender::Member(_) => (&["V-6.1-03"], true),
        Sender::External(_) => (&["V-6.1-04"], false),
        Sender::NewMemberCommit => (&["V-6.1-05", "V-12.4.3.2-04"], true),
        Sender::NewMemberProposal => (&["V-6.1-06"], false),
    };
    if off("V-6.1-01") {
        let other = match wire_format {
            WireFormat::PrivateMessage => WireFormat::PublicMessage,
            _ => WireFormat::PrivateMessage,
        };
        return Ok(verify(key, &content.to_be_signed(other, context)?));
    }
    if off("V-6.1-02") {
        let other = match with_context {
            true => content.to_be_signed(*wire_format, &[])?,
            false => [&tbs, context].concat(),
        };
        return Ok(verify(key, &other));
    }
    Ok(any_off(own_key) && others().iter().any(|other| verify(other, &tbs)))
}

/// V-6.1-08: the confirmation tag is that of the epoch. `row` says the same of the message that
/// brings the tag.
pub(crate) fn ensure_confirmation_tag<E>(
    suite: &Suite,
    confirmation_key: &Secret,
    confirmed_transcript_hash: &[u8],
    tag: &Mac,
    row: &'static str,
) -> Result<(), E>
where
    E: From<Violation> + From<CryptoError>,
{
    let valid = is_mac(suite, confirmation_key, confirmed_transcript_hash, tag)?;
    Ok(ensure_rows([row], valid, Violation::ConfirmationTag)?)
}

/// V-6.1-09: compares a tag in constant time, its length included.
fn is_mac(suite: &Suite, key: &Secret, over: &[u8], tag: &Mac) -> Result<bool, CryptoError> {
    match suite.verify_mac(key, &[over], tag) {
        Ok(()) => Ok(true),
        Err(CryptoError::InvalidMac) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_commit(content: &Content) -> bool {
    content.content_type() == ContentType::Commit
}

/// V-6.3.2-03: what is not what its sender encrypted can't be decrypted.
pub(crate) fn sender_data_undecryptable<E: From<Violation> + From<CryptoError>>(
    error: CryptoError,
) -> E {
    blame(error, CryptoError::DecryptionFailed, Violation::SenderDataDecryption)
}

/// V-6.3-01: the same of the content.
pub(crate) fn content_undecryptable<E: From<Violation> + From<CryptoError>>(
    error: CryptoError,
) -> E {
    blame(error, CryptoError::DecryptionFailed, Violation::ContentDecryption)
}
