//! Signatures and tags (sections 6.1 and 6.2).

use circlet::Error;
use circlet::codec::{DecodeContext, DecodeError};
use circlet::crypto::{Mac, Signature};
use circlet::message::{Content, MlsMessage, Proposal, Sender, WireFormat};
use circlet::rules::Violation;
use circlet::testing::{Heard, Outsider, TestGroup, external_senders};
use circlet::tree::{Extensions, LeafIndex};

use super::{is_heard, remove};
use crate::support::{SUITE, assert_malformed, assert_violation, open_policy};

#[track_caller]
fn refuses(group: &mut TestGroup, message: impl AsRef<[u8]>, violation: Violation) {
    assert_violation(&group.refuses(0, message), violation);
}

/// V-6.1-01: what was signed for one wire format travels in the other.
#[test]
fn a_content_in_another_frame() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let frame = insider.proposal(remove())?.signed_as(WireFormat::PublicMessage);
    refuses(&mut group, frame.private()?, Violation::ContentSignature);
    let frame = insider.proposal(remove())?.signed_as(WireFormat::PrivateMessage);
    refuses(&mut group, frame.public()?, Violation::ContentSignature);
    let commit = insider.commit().framed(|frame| frame.signed_as(WireFormat::PrivateMessage));
    refuses(&mut group, commit.public()?, Violation::ContentSignature);
    is_heard(&mut group)
}

/// V-6.1-02: a member signs without the GroupContext, or with another one.
#[test]
fn a_member_that_signs_another_context() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let mut other = insider.context.clone();
    other.tree_hash[0] ^= 1;
    for context in [None, Some(other)] {
        let frame = insider.proposal(remove())?.signed_context(context.clone());
        refuses(&mut group, frame.public()?, Violation::ContentSignature);
        let frame = insider.application(b"hello")?.signed_context(context);
        refuses(&mut group, frame.private()?, Violation::ContentSignature);
    }
    is_heard(&mut group)
}

/// A group of three with an external sender, which has the place 0.
fn with_sender() -> Result<(TestGroup, Outsider), Error> {
    let builder = TestGroup::builder(SUITE).size(3).policy(open_policy());
    let server = Outsider::new(&builder.settings()?.suite, "server", 7)?;
    let extensions = Extensions::from_iter([external_senders(&[server.entry()])?]);
    Ok((builder.extensions(extensions).build()?, server))
}

/// V-6.1-02: an external sender, and a new member that proposes, sign without the GroupContext,
/// which they need not know.
#[test]
fn an_outsider_that_signs_the_context() -> Result<(), Error> {
    let (mut group, mut server) = with_sender()?;
    let context = group.members[0].state().context().clone();
    let frame = server.external_proposal(&context, 0, remove())?;
    let frame = frame.signed_context(Some(context.clone()));
    refuses(&mut group, frame.public()?, Violation::ContentSignature);

    let mut newcomer = group.newcomer("new")?;
    let mut own = Outsider::new(newcomer.suite(), "new", 8)?;
    newcomer.signer = own.signer.clone();
    let add = Proposal::Add(newcomer.key_package()?);
    let frame = own.new_member_proposal(&context, add.clone())?;
    let frame = frame.signed_context(Some(context.clone()));
    refuses(&mut group, frame.public()?, Violation::ContentSignature);

    for message in [
        server.external_proposal(&context, 0, remove())?.public()?,
        own.new_member_proposal(&context, add)?.public()?,
    ] {
        assert!(matches!(group.members[0].receive(message)?, Heard::Proposal(_)));
    }
    Ok(())
}

/// V-6.1-03: a member's message is of a leaf that is blank, out of the tree, or another's.
#[test]
fn a_sender_that_is_another_leaf() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 5)?;
    group.remove(0, 3)?;
    let mut insider = group.insider(1)?;
    for leaf in [3, 6, 7, 8, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let frame = insider.proposal(remove())?.sender(Sender::Member(LeafIndex(leaf)));
        refuses(&mut group, frame.public()?, Violation::UnknownSender);
    }
    let frame = insider.proposal(remove())?.sender(Sender::Member(LeafIndex(2)));
    refuses(&mut group, frame.public()?, Violation::ContentSignature);
    let frame = insider.proposal(remove())?.impersonate(LeafIndex(2));
    refuses(&mut group, frame.private()?, Violation::ContentSignature);
    is_heard(&mut group)
}

/// V-6.1-04: an external sender that the group does not know, or with another's key; and one where
/// there is no list.
#[test]
fn an_external_sender_that_is_unknown() -> Result<(), Error> {
    let (mut group, mut server) = with_sender()?;
    let context = group.members[0].state().context().clone();
    for index in [1, 2, u32::MAX] {
        let message = server.external_proposal(&context, index, remove())?.public()?;
        refuses(&mut group, message, Violation::ExternalSenderUnknown);
    }
    let mut other = Outsider::new(&server.suite, "server", 9)?;
    let message = other.external_proposal(&context, 0, remove())?.public()?;
    refuses(&mut group, message, Violation::ContentSignature);
    let message = server.external_proposal(&context, 0, remove())?.public()?;
    group.members[0].receive(message)?;

    let mut group = TestGroup::new(SUITE, 3)?;
    let context = group.members[0].state().context().clone();
    let message = server.external_proposal(&context, 0, remove())?.public()?;
    refuses(&mut group, message, Violation::ExternalSenderUnknown);
    is_heard(&mut group)
}

/// V-6.1-04: an external sender that says to be another one.
#[test]
fn an_external_sender_in_the_place_of_another() -> Result<(), Error> {
    let builder = TestGroup::builder(SUITE).size(3);
    let suite = builder.settings()?.suite;
    let mut servers = [Outsider::new(&suite, "one", 7)?, Outsider::new(&suite, "two", 8)?];
    let entries = external_senders(&[servers[0].entry(), servers[1].entry()])?;
    let mut group = builder.extensions(Extensions::from_iter([entries])).build()?;
    let context = group.members[0].state().context().clone();
    let message = servers[1].external_proposal(&context, 0, remove())?.public()?;
    refuses(&mut group, message, Violation::ContentSignature);
    let message = servers[1].external_proposal(&context, 1, remove())?.public()?;
    assert!(matches!(group.members[0].receive(message)?, Heard::Proposal(_)));
    Ok(())
}

/// V-6.1-04: an external sender proposes what only members may.
#[test]
fn an_external_sender_that_updates() -> Result<(), Error> {
    let (mut group, mut server) = with_sender()?;
    let context = group.members[0].state().context().clone();
    let update = group.insider(1)?.update().proposal()?;
    let init = Proposal::ExternalInit(vec![7; 32]);
    for (proposal, expected) in
        [(update, Violation::ExternalUpdate), (init, Violation::ExternalProposalType)]
    {
        let message = server.external_proposal(&context, 0, proposal)?.public()?;
        refuses(&mut group, message, expected);
    }
    Ok(())
}

/// V-6.1-05: an external Commit that is signed with another key than that of its path's leaf, or
/// has no path.
#[test]
fn an_external_commit_with_another_signature() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let info = group.insider(1)?.group_info().external_pub().build()?;
    let mut joiner = group.newcomer("joiner")?;
    let staged = joiner.external_join(info, None, Vec::new())?;
    let genuine = staged.message().to_vec();
    let read = MlsMessage::read(&genuine, &DecodeContext::default())?;
    let MlsMessage::Public(genuine_content) = read else { panic!("not public") };
    let context = group.members[0].state().context().clone();
    let mut other = Outsider::new(joiner.suite(), "other", 9)?;
    let content = genuine_content.content.content.clone();
    let tag = genuine_content.auth.confirmation_tag.clone();
    let frame = other.content(&context, Sender::NewMemberCommit, content)?;
    let frame = frame.edit_confirmation_tag(|it| *it = tag.clone());
    refuses(&mut group, frame.public()?, Violation::ContentSignature);

    let Content::Commit(mut commit) = genuine_content.content.content else { panic!("no Commit") };
    commit.path = None;
    let frame = other.content(&context, Sender::NewMemberCommit, Content::Commit(commit))?;
    let frame = frame.edit_confirmation_tag(|it| *it = tag.clone());
    refuses(&mut group, frame.public()?, Violation::PathMissing);

    assert!(matches!(group.members[0].receive(genuine)?, Heard::Commit(_)));
    Ok(())
}

/// V-6.1-06: a new member proposes something other than its own Add, or signs with another key.
#[test]
fn a_new_member_that_proposes_something_else() -> Result<(), Error> {
    let mut group = TestGroup::builder(SUITE).size(3).policy(open_policy()).build()?;
    let context = group.members[0].state().context().clone();
    let mut newcomer = group.newcomer("new")?;
    let mut own = Outsider::new(newcomer.suite(), "new", 8)?;
    let message = own.new_member_proposal(&context, remove())?.public()?;
    refuses(&mut group, message, Violation::NewMemberProposalType);
    let anothers = Proposal::Add(newcomer.key_package()?);
    let message = own.new_member_proposal(&context, anothers)?.public()?;
    refuses(&mut group, message, Violation::ContentSignature);
    newcomer.signer = own.signer.clone();
    let add = Proposal::Add(newcomer.key_package()?);
    let members = group.members[1].signer.clone();
    let message = own.new_member_proposal(&context, add.clone())?.signer(members).public()?;
    refuses(&mut group, message, Violation::ContentSignature);
    let message = own.new_member_proposal(&context, add)?.public()?;
    assert!(matches!(group.members[0].receive(&message)?, Heard::Proposal(_)));
    Ok(())
}

const BREAKS: [fn(&mut Signature); 4] =
    [|it| it.0.clear(), |it| it.0.truncate(63), |it| it.0.push(0), |it| it.0.fill(0)];

/// V-6.1-07, V-6.3.1-06: every bit of a signature counts, and its length: of a proposal, a Commit
/// and application data, in both frames.
#[test]
fn a_signature_that_is_none() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for bit in 0..512 {
        let frame = insider.proposal(remove())?;
        let frame = frame.edit_signature(|it| it.0[bit / 8] ^= 1 << (bit % 8));
        refuses(&mut group, frame.public()?, Violation::ContentSignature);
    }
    for edit in BREAKS {
        let frame = insider.application(b"hello")?.edit_signature(edit);
        refuses(&mut group, frame.private()?, Violation::ContentSignature);
        let frame = insider.proposal(remove())?.edit_signature(edit);
        refuses(&mut group, frame.public()?, Violation::ContentSignature);
        let commit = insider.commit().framed(|frame| frame.edit_signature(edit));
        refuses(&mut group, commit.private()?, Violation::ContentSignature);
        let commit = insider.commit().framed(|frame| frame.edit_signature(edit));
        refuses(&mut group, commit.public()?, Violation::ContentSignature);
    }
    is_heard(&mut group)
}

/// Tags that are almost right: with another bit, or of another length.
const TAG_EDITS: [fn(&mut Mac); 6] = [
    |tag| tag.0[0] ^= 1,
    |tag| tag.0[31] ^= 0x80,
    |tag| tag.0.clear(),
    |tag| tag.0.truncate(1),
    |tag| tag.0.truncate(31),
    |tag| tag.0.push(0),
];

/// V-6.1-08, V-6.1-09: a confirmation tag with another bit or of another length, in both frames.
#[test]
fn a_wrong_confirmation_tag() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for edit in TAG_EDITS {
        let change = |tag: &mut Option<Mac>| edit(tag.as_mut().unwrap());
        let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(change));
        refuses(&mut group, commit.public()?, Violation::ConfirmationTag);
        let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(change));
        refuses(&mut group, commit.private()?, Violation::ConfirmationTag);
    }
    let honest = insider.commit().private()?;
    assert!(matches!(group.members[0].receive(honest)?, Heard::Commit(_)));
    Ok(())
}

/// V-6.1-08, V-6.3.1-09: a Commit without confirmation tag can't be read; nor can a message with
/// one that is no Commit: in a PrivateMessage it stands where zeros should be.
#[test]
fn a_confirmation_tag_in_the_wrong_place() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().framed(|frame| frame.edit_confirmation_tag(|tag| *tag = None));
    let error = group.refuses(0, commit.private()?);
    assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    for frame in [insider.proposal(remove())?, insider.application(b"hello")?] {
        let frame = frame.edit_confirmation_tag(|tag| *tag = Some(Mac(vec![7; 32])));
        let error = group.refuses(0, frame.private()?);
        assert!(matches!(error, Error::Malformed(DecodeError::NonZeroPadding)), "{error:?}");
    }
    let frame = insider.proposal(remove())?;
    let frame = frame.edit_confirmation_tag(|tag| *tag = Some(Mac(vec![7; 32])));
    let error = group.refuses(0, frame.public()?);
    // It is taken for the membership tag, which then is left over.
    assert_malformed(&error, DecodeError::TrailingBytes { count: 33 });
    is_heard(&mut group)
}

/// V-6.2-02, V-6.1-09: a membership tag with another bit or of another length.
#[test]
fn a_wrong_membership_tag() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for edit in TAG_EDITS {
        let change = |tag: &mut Option<Mac>| edit(tag.as_mut().unwrap());
        let frame = insider.proposal(remove())?.edit_membership_tag(change);
        refuses(&mut group, frame.public()?, Violation::MembershipTag);
        let commit = insider.commit().framed(|frame| frame.edit_membership_tag(change));
        refuses(&mut group, commit.public()?, Violation::MembershipTag);
    }
    let genuine = insider.proposal(remove())?.public()?;
    assert!(matches!(group.members[0].receive(genuine)?, Heard::Proposal(_)));
    Ok(())
}

/// V-6.2-02: a membership tag that was made with the key of another epoch.
#[test]
fn a_membership_tag_of_another_epoch() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let old = group.insider(1)?.secrets.membership_key;
    group.update(0)?;
    let mut insider = group.insider(1)?;
    insider.secrets.membership_key = old;
    let message = insider.proposal(remove())?.public()?;
    refuses(&mut group, message, Violation::MembershipTag);
    is_heard(&mut group)
}

/// V-6.2-01, V-6.2-02: a member's message without membership tag, and one of an external sender
/// with one, can't be read.
#[test]
fn a_membership_tag_in_the_wrong_place() -> Result<(), Error> {
    let (mut group, mut server) = with_sender()?;
    let frame = group.insider(1)?.proposal(remove())?.edit_membership_tag(|tag| *tag = None);
    let error = group.refuses(0, frame.public()?);
    assert!(matches!(error, Error::Malformed(DecodeError::EndOfInput { .. })), "{error:?}");
    let context = group.members[0].state().context().clone();
    let frame = server.external_proposal(&context, 0, remove())?;
    let frame = frame.edit_membership_tag(|tag| *tag = Some(Mac(vec![7; 32])));
    let error = group.refuses(0, frame.public()?);
    assert!(matches!(error, Error::Malformed(DecodeError::TrailingBytes { .. })), "{error:?}");
    Ok(())
}

/// V-6.2-03: somebody who has a member's signature key, knows the public state of the group and
/// carries its messages can't speak for the member.
#[test]
fn a_stolen_signature_key() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let context = group.members[0].state().context().clone();
    let mut thief = Outsider::new(group.members[0].suite(), "thief", 7)?;
    thief.signer = group.members[1].signer.clone();
    for tag in [vec![7; 32], vec![0; 32], Vec::new()] {
        let sender = Sender::Member(LeafIndex(1));
        let frame = thief.content(&context, sender, Content::Proposal(remove()))?;
        let frame = frame.edit_membership_tag(|it| *it = Some(Mac(tag)));
        refuses(&mut group, frame.public()?, Violation::MembershipTag);
    }
    is_heard(&mut group)
}
