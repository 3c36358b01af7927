//! Every type that is read from bytes, with the check that reading it is canonical: whatever is
//! read is written back as the very bytes that it was read from.

use circlet::codec::{CustomProposal, Decode, DecodeContext, DecodeError, Encode};
use circlet::crypto::{
    CipherSuite, HashReference, HpkeCiphertext, HpkePublicKey, Mac, Signature, SignaturePublicKey,
};
use circlet::identity::{Credential, CredentialType};
use circlet::message::{
    AuthenticatedContent, Commit, ContentType, EncryptedGroupSecrets, FramedContent, GroupContext,
    GroupId, GroupInfo, GroupSecrets, KeyPackage, MlsMessage, PrivateContent, PrivateMessage,
    Proposal, ProposalOrRef, PublicMessage, ReInit, Sender, SenderData, UpdatePath, UpdatePathNode,
    Welcome, WireFormat,
};
use circlet::schedule::{
    MessageKey, PreSharedKeyId, Ratchet, RatchetKind, ResumptionPskUsage, SkippedId,
};
use circlet::storage::Key;
use circlet::tree::{
    Capabilities, Extension, ExtensionType, Extensions, ExternalSender, LeafIndex, LeafNode,
    LeafNodeContent, ParentNode, ProposalType, RatchetTree, RequiredCapabilities, StoredNode,
};

/// A type that is read from bytes.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each program uses its part")]
pub(crate) struct WireType {
    pub(crate) name: &'static str,
    /// Reads the bytes and says whether they are such a value.
    pub(crate) read: fn(&[u8], &DecodeContext) -> bool,
    /// The same, and what is read is written again.
    ///
    /// # Panics
    /// It is not written as it was read.
    pub(crate) check: fn(&[u8], &DecodeContext) -> bool,
}

/// A context with a registered proposal and a registered credential type.
pub(crate) fn context() -> DecodeContext {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    context.credential_types.insert(0xf002);
    context
}

macro_rules! wire_types {
    ($($type:ty),* $(,)?) => {
        vec![$(WireType {
            name: stringify!($type),
            read: |bytes, context| <$type>::from_bytes(bytes, context).is_ok(),
            check: canonical::<$type>,
        }),*]
    };
}

/// All of them.
pub(crate) fn all() -> Vec<WireType> {
    let mut types = wire_types![
        u16,
        u32,
        Vec<u8>,
        CipherSuite,
        HashReference,
        HpkeCiphertext,
        HpkePublicKey,
        Mac,
        Signature,
        SignaturePublicKey,
        Credential,
        CredentialType,
        AuthenticatedContent,
        Commit,
        ContentType,
        EncryptedGroupSecrets,
        FramedContent,
        GroupContext,
        GroupId,
        GroupInfo,
        KeyPackage,
        MlsMessage,
        PrivateMessage,
        Proposal,
        ProposalOrRef,
        PublicMessage,
        ReInit,
        Sender,
        SenderData,
        UpdatePath,
        UpdatePathNode,
        Welcome,
        WireFormat,
        MessageKey,
        PreSharedKeyId,
        Ratchet,
        RatchetKind,
        ResumptionPskUsage,
        SkippedId,
        Capabilities,
        Extension,
        ExtensionType,
        Extensions,
        ExternalSender,
        LeafIndex,
        LeafNode,
        LeafNodeContent,
        ParentNode,
        ProposalType,
        RequiredCapabilities,
        StoredNode,
    ];
    types.extend(by_hand());
    types
}

/// Those that are read by something else than [`Decode`].
fn by_hand() -> Vec<WireType> {
    fn both(name: &'static str, check: fn(&[u8], &DecodeContext) -> bool) -> WireType {
        WireType { name, read: check, check }
    }
    vec![
        WireType {
            name: "RatchetTree",
            read: |bytes, context| RatchetTree::from_wire(bytes, context).is_ok(),
            check: |bytes, context| match RatchetTree::from_wire(bytes, context) {
                Ok(tree) => same(&tree.to_bytes().unwrap(), bytes),
                Err(_) => false,
            },
        },
        both("GroupSecrets", |bytes, context| match GroupSecrets::from_plaintext(bytes, context) {
            Ok(secrets) => same(&secrets.to_plaintext().unwrap(), bytes),
            Err(_) => false,
        }),
        both("private application", |b, c| private_content(ContentType::Application, b, c)),
        both("private proposal", |b, c| private_content(ContentType::Proposal, b, c)),
        both("private commit", |b, c| private_content(ContentType::Commit, b, c)),
        both("storage key", |bytes, _| match Key::from_bytes(bytes) {
            Some(key) => same(key.as_bytes(), bytes),
            None => false,
        }),
        both("message within limits", |bytes, context| {
            let mut context = context.clone();
            context.limits.message_bytes = 256;
            let read = MlsMessage::read(bytes, &context);
            let too_long = matches!(read, Err(DecodeError::MessageTooLong { .. }));
            assert_eq!(too_long, bytes.len() > 256);
            read.is_ok()
        }),
    ]
}

fn canonical<T: Decode + Encode>(bytes: &[u8], context: &DecodeContext) -> bool {
    match T::from_bytes(bytes, context) {
        Ok(value) => same(&value.to_bytes().unwrap(), bytes),
        Err(_) => false,
    }
}

/// The content is canonical, and only zeros follow it.
fn private_content(content_type: ContentType, bytes: &[u8], context: &DecodeContext) -> bool {
    let Ok(content) = PrivateContent::from_plaintext(content_type, bytes, context) else {
        return false;
    };
    let length = content.to_plaintext(0).unwrap().len();
    let padding = bytes.len().checked_sub(length).unwrap();
    same(&content.to_plaintext(padding).unwrap(), bytes)
}

fn same(written: &[u8], read: &[u8]) -> bool {
    assert_eq!(written, read, "not canonical");
    true
}
