//! Proposals, from members and from outside (RFC 9420 sections 11.1 and 12.1).

use std::sync::Arc;

use circlet::codec::{CustomProposal, DecodeContext, DecodeError, Limits};
use circlet::group::Policy;
use circlet::identity::{CredentialCheck, CredentialRejected, CredentialUse, CredentialValidator};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::{
    Outsider, TestGroup, default_capabilities, extensions_unchecked, external_senders,
};
use circlet::tree::{
    Extension, ExtensionType, Extensions, LeafIndex, LeafNodeSource, ProposalType,
    RequiredCapabilities,
};
use circlet::{Error, Refused};

use crate::support::{SUITE, assert_malformed, assert_violation, cannot_commit};

fn remove(leaf: u32) -> Proposal {
    Proposal::Remove(LeafIndex(leaf))
}

fn custom(kind: u16) -> Proposal {
    Proposal::Custom { proposal_type: ProposalType(kind), body: b"body".to_vec() }
}

fn extensions(list: impl IntoIterator<Item = Extension>) -> Proposal {
    Proposal::GroupContextExtensions(list.into_iter().collect())
}

fn extension(kind: ExtensionType, data: &[u8]) -> Extension {
    Extension { extension_type: kind, data: data.to_vec() }
}

/// Neither can member 1 commit it, nor does anybody take a Commit of it from member 1.
fn refuse(group: &mut TestGroup, proposal: &Proposal) -> Result<[Error; 2], Error> {
    let own = cannot_commit(group, 1, std::slice::from_ref(proposal));
    let commit = group.insider(1)?.commit().proposals([proposal.clone()]).private()?;
    Ok([own, group.refuses(0, &commit)])
}

/// V-12.1-02: proposals that wait are bounded for each sender, and others are still heard.
#[test]
fn proposals_that_wait_are_bounded() -> Result<(), Error> {
    let limits = Limits { cached_proposals_per_sender: 2, ..Limits::default() };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let mut group = TestGroup::builder(SUITE).size(4).context(context).build()?;
    let mut eve = group.insider(1)?;
    for _ in 0..2 {
        let update = eve.update().proposal()?;
        group.members[0].receive(eve.proposal(update)?.private()?)?;
    }
    let update = eve.update().proposal()?;
    let error = group.refuses(0, eve.proposal(update)?.private()?);
    assert!(matches!(error, Error::Refused(Refused::CachedProposals)), "{error:?}");
    let other = group.members[2].propose(remove(3))?;
    group.members[0].receive(&other)?;
    Ok(())
}

/// V-12.1-03, V-12.1-04: what nobody registered can't be read, by itself or in a Commit, nor can
/// type 0, whatever is registered.
#[test]
fn unknown_types_are_refused() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0, CustomProposal::default());
    let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
    for kind in [0, 0x0a0a, 0xf001] {
        let mut eve = group.insider(1)?;
        let alone = eve.proposal(custom(kind))?;
        let messages = [
            alone.public()?.message,
            eve.proposal(custom(kind))?.private()?.message,
            eve.commit().proposals([custom(kind)]).public()?.message,
            eve.commit().proposals([custom(kind)]).private()?.message,
        ];
        for message in messages {
            let error = group.refuses(0, &message);
            let expected = DecodeError::UnsupportedProposal(kind);
            assert!(matches!(&error, Error::Malformed(it) if *it == expected), "{error:?}");
        }
    }
    group.update(1)?;
    Ok(())
}

/// V-12.1.2-01: an Update says that it is one and has a new key; its leaf is valid.
#[test]
fn the_leaf_of_an_update_is_valid() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let old = group.members[0].state().tree().leaf(LeafIndex(1)).unwrap().encryption_key.clone();
    let signer = group.members[2].signer.clone();
    let mut eve = group.insider(1)?;
    let commit = LeafNodeSource::Commit(vec![1; 32]);
    for (proposal, expected) in [
        (
            eve.update().edit(|leaf| leaf.encryption_key = old.clone()).proposal()?,
            Violation::UpdateKeepsEncryptionKey,
        ),
        (eve.update().edit(|leaf| leaf.source = commit).proposal()?, Violation::UpdateLeafSource),
        (eve.update().signer(signer).proposal()?, Violation::LeafSignature),
    ] {
        let message = eve.proposal(proposal)?.private()?;
        assert_violation(&group.refuses(0, message), expected);
    }
    let update = eve.update().proposal()?;
    group.members[0].receive(eve.proposal(update)?.private()?)?;
    Ok(())
}

/// V-12.1.2-04: the key of one's own Update is kept until somebody commits it.
#[test]
fn an_own_update_is_installed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    group.propose(3, None)?;
    group.update(0)?;
    group.update(1)?;
    Ok(())
}

fn supervised(group: &mut TestGroup) -> Result<Outsider, Error> {
    let server = Outsider::new(group.members[0].suite(), "server", 7)?;
    let senders = external_senders(&[server.entry()])?;
    group.commit_with(0, [extensions([senders])])?;
    Ok(server)
}

/// V-12.1.8-02: there is no external sender without the extension, nor past its end.
#[test]
fn external_senders_are_listed() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let context = group.members[0].state().context().clone();
    let mut stranger = Outsider::new(group.members[0].suite(), "stranger", 8)?;
    let message = stranger.external_proposal(&context, 0, remove(2))?.public()?;
    assert_violation(&group.refuses(0, message), Violation::ExternalSenderUnknown);
    let mut server = supervised(&mut group)?;
    let context = group.members[0].state().context().clone();
    for index in [1, u32::MAX] {
        let message = server.external_proposal(&context, index, remove(2))?.public()?;
        assert_violation(&group.refuses(0, message), Violation::ExternalSenderUnknown);
    }
    let message = stranger.external_proposal(&context, 0, remove(2))?.public()?;
    assert_violation(&group.refuses(0, message), Violation::ContentSignature);
    let message = server.external_proposal(&context, 0, remove(2))?.public()?;
    group.members[0].receive(message)?;
    Ok(())
}

/// V-12.1.8-03, V-12.1.2-02: an external sender sends no Update, no ExternalInit, and a registered
/// type only if it is registered for that.
#[test]
fn external_senders_send_some_types() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    let for_all = CustomProposal { external: true, ..CustomProposal::default() };
    context.proposal_types.insert(0xf002, for_all);
    let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
    let mut server = supervised(&mut group)?;
    let context = group.members[0].state().context().clone();
    let update = group.insider(1)?.update().proposal()?;
    let message = server.external_proposal(&context, 0, update.clone())?.public()?;
    assert_violation(&group.refuses(0, message), Violation::ExternalUpdate);
    for proposal in [Proposal::ExternalInit(vec![1; 32]), custom(0xf001)] {
        let message = server.external_proposal(&context, 0, proposal)?.public()?;
        assert_violation(&group.refuses(0, message), Violation::ExternalProposalType);
    }
    let message = server.external_proposal(&context, 0, custom(0xf002))?.public()?;
    group.members[0].receive(message)?;
    for proposal in [update, remove(2)] {
        let message = server.new_member_proposal(&context, proposal)?.public()?;
        assert_violation(&group.refuses(0, message), Violation::NewMemberProposalType);
    }
    Ok(())
}

/// V-12.1.8-04: a new member proposes itself where the application lets it.
#[test]
fn new_members_propose_themselves_by_policy() -> Result<(), Error> {
    for allowed in [true, false] {
        let policy = Policy { new_member_proposals: allowed, ..Policy::default() };
        let mut group = TestGroup::builder(SUITE).size(2).policy(policy).build()?;
        let mut dora = group.newcomer("dora")?;
        let context = group.members[0].state().context().clone();
        let mut outside = Outsider::new(group.members[0].suite(), "dora", 9)?;
        outside.signer = dora.signer.clone();
        let add = Proposal::Add(dora.key_package()?);
        let message = outside.new_member_proposal(&context, add)?.public()?;
        if allowed {
            group.members[0].receive(message)?;
        } else {
            let error = group.refuses(0, message);
            assert!(matches!(error, Error::Refused(Refused::NewMemberProposal)), "{error:?}");
        }
    }
    Ok(())
}

/// V-12.1.8-02, V-12.1.8-03, V-12.3-02: an external sender takes itself off the list. What it has
/// sent in this epoch was authenticated by the list of this epoch, and can be committed with that;
/// in the next epoch nothing of it is heard. Its pre-shared keys are held to the same rules as any.
#[test]
fn an_external_sender_leaves() -> Result<(), Error> {
    use circlet::crypto::Secret;
    use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut server = supervised(&mut group)?;
    for member in &mut group.members {
        member.psks.external.insert(b"a".to_vec(), Secret::new(b"a"));
    }
    let context = group.members[0].state().context().clone();
    let external = Psk::External { psk_id: b"a".to_vec() };
    let id = |psk: &Psk, length| {
        let psk = psk.clone();
        Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![1; length] })
    };
    let psk_group_id = context.group_id.as_bytes().to_vec();
    for usage in [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch] {
        let psk_group_id = psk_group_id.clone();
        let psk = Psk::Resumption { usage, psk_group_id, psk_epoch: context.epoch };
        let message = server.external_proposal(&context, 0, id(&psk, 32))?.public()?;
        assert_violation(&group.refuses(0, message), Violation::PskUsage);
    }
    let message = server.external_proposal(&context, 0, id(&external, 31))?.public()?;
    assert_violation(&group.refuses(0, message), Violation::PskNonce);
    for proposal in [extensions([]), remove(3), id(&external, 32)] {
        let message = server.external_proposal(&context, 0, proposal)?.public()?;
        group.broadcast(9, message)?;
    }
    let outcome = group.update(1)?.outcome;
    assert_eq!(outcome.removed.len(), 1);
    let context = group.members[0].state().context().clone();
    assert_eq!(context.extensions.len(), 0);
    let message = server.external_proposal(&context, 0, remove(2))?.public()?;
    assert_violation(&group.refuses(0, message), Violation::ExternalSenderUnknown);
    Ok(())
}

fn required(kind: u16) -> Result<Extension, Error> {
    let proposal_types = vec![ProposalType(kind)];
    let extension_types = Vec::new();
    let credential_types = Vec::new();
    let required = RequiredCapabilities { extension_types, proposal_types, credential_types };
    Ok(required.to_extension()?)
}

/// V-12.1.7-01, V-12.1.7-03, V-11.1-01, V-11.1-02: new extensions ask nothing of a member that it
/// lacks, of those who stay.
#[test]
fn extensions_suit_all_members() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    context.extension_types.insert(0xf003);
    let builder = TestGroup::builder(SUITE).size(4).context(context);
    let mut group = builder.capabilities(3, default_capabilities(SUITE)?).build()?;
    let requires = extensions([required(0xf001)?]);
    for error in refuse(&mut group, &requires)? {
        assert_violation(&error, Violation::GroupContextRequirements);
    }
    let holds = extensions([extension(ExtensionType(0xf003), b"x")]);
    for error in refuse(&mut group, &holds)? {
        assert_violation(&error, Violation::GroupContextExtensionSupport);
    }
    group.commit_with(1, [requires, remove(3)])?;
    Ok(())
}

/// V-12.1.7-05: nothing of another place stands in a GroupContext, and no type twice.
#[test]
fn extensions_belong_to_a_group() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    for kind in
        [ExtensionType::RATCHET_TREE, ExtensionType::EXTERNAL_PUB, ExtensionType::APPLICATION_ID]
    {
        let misplaced = extensions([extension(kind, &[0])]);
        for error in refuse(&mut group, &misplaced)? {
            assert_violation(&error, Violation::GroupContextExtensionType);
        }
        let alone = group.insider(1)?.proposal(misplaced)?.private()?;
        let error = group.refuses(0, alone);
        assert_violation(&error, Violation::GroupContextExtensionType);
    }
    let empty = required(1)?;
    let twice = extensions_unchecked(vec![empty.clone(), empty]);
    let twice = Proposal::GroupContextExtensions(twice);
    let commit = group.insider(1)?.commit().proposals([twice]).private()?;
    let error = group.refuses(0, commit);
    let kind = ExtensionType::REQUIRED_CAPABILITIES.0;
    assert_malformed(&error, DecodeError::DuplicateExtension(kind));
    Ok(())
}

/// V-11.1-03, V-12.1.8-05: the extensions of the RFC hold what they should and nothing else.
#[test]
fn extensions_are_whole() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let server = Outsider::new(group.members[0].suite(), "server", 7)?;
    let mut senders = external_senders(&[server.entry()])?;
    senders.data.push(0);
    let mut requires = required(1)?;
    requires.data.push(0);
    for malformed in [senders, requires] {
        let proposal = extensions([malformed]);
        for error in refuse(&mut group, &proposal)? {
            assert_malformed(&error, DecodeError::TrailingBytes { count: 1 });
        }
        let alone = group.insider(1)?.proposal(proposal)?.private()?;
        let error = group.refuses(0, alone);
        assert_malformed(&error, DecodeError::TrailingBytes { count: 1 });
    }
    // The same one twice is nothing but a waste.
    let twice = external_senders(&[server.entry(), server.entry()])?;
    group.commit_with(1, [extensions([twice])])?;
    Ok(())
}

/// Takes nobody for an external sender.
struct NoServers;

impl CredentialValidator for NoServers {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        match check.reason {
            CredentialUse::ExternalSender => Err(CredentialRejected),
            _ => Ok(()),
        }
    }
}

/// V-12.1.7-04: the application judges the credentials of external senders, at both ends.
#[test]
fn external_senders_are_judged() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let server = Outsider::new(group.members[0].suite(), "server", 7)?;
    let proposal = extensions([external_senders(&[server.entry()])?]);
    for i in [0, 1] {
        group.members[i].validator = Arc::new(NoServers);
    }
    for error in refuse(&mut group, &proposal)? {
        assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    }
    group.commit_with(1, [Proposal::GroupContextExtensions(Extensions::new())])?;
    Ok(())
}
