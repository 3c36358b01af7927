//! Messages and what authenticates them (RFC 9420 sections 6.1 to 6.3).

use super::{Violation, blame, ensure, ensure_rows};
use crate::codec::EncodeError;
use crate::crypto::{CryptoError, Mac, Secret, SignaturePublicKey, Suite};
use crate::message::{
    AuthenticatedContent, Content, ContentType, PublicMessage, Sender, WireFormat,
};
use crate::mutation::{any_off, off};

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
/// encrypted; V-12.4.2-03: that of a Commit. What is signed and with which key, each of
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
        || is_commit(&content.content) && off("V-12.4.2-03");
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
