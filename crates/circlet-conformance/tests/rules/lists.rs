//! Lists of proposals and how they are applied (RFC 9420 sections 12.2 and 12.3).

use circlet::codec::{CustomProposal, Decode, DecodeContext};
use circlet::crypto::{Mac, Secret};
use circlet::group::StagedJoin;
use circlet::message::{
    Commit, Content, GroupId, MlsMessage, Proposal, ProposalOrRef, ReInit, Sender,
};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::testing::{Forged, Heard, Outsider, TestGroup, TestMember, default_capabilities};
use circlet::tree::{
    Extensions, LeafIndex, LeafNode, LeafNodeContent, LeafPosition, ProposalType,
    RequiredCapabilities,
};
use circlet::{Error, Unready};

use crate::support::{SUITE, assert_violation, cannot_commit};

const NH: usize = 32;

fn remove(leaf: u32) -> Proposal {
    Proposal::Remove(LeafIndex(leaf))
}

fn psk(id: &[u8], nonce: u8) -> Proposal {
    let psk = Psk::External { psk_id: id.to_vec() };
    Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![nonce; NH] })
}

fn reinit(version: u16) -> Proposal {
    let (group_id, cipher_suite) = (GroupId::new(b"a new group"), SUITE);
    Proposal::ReInit(ReInit { group_id, version, cipher_suite, extensions: Extensions::new() })
}

/// A group of four whose members have the keys `a` and `b`.
fn group() -> Result<TestGroup, Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    group.members.iter_mut().for_each(give_psks);
    group.update(0)?;
    Ok(group)
}

fn give_psks(member: &mut TestMember) {
    for id in [b"a", b"b"] {
        member.psks.external.insert(id.to_vec(), Secret::new(id));
    }
}

/// Neither can member 1 commit the list, nor does anybody take a Commit of it from member 1.
fn refuse(group: &mut TestGroup, list: &[Proposal], expected: Violation) -> Result<(), Error> {
    assert_violation(&cannot_commit(group, 1, list), expected);
    let commit = group.insider(1)?.commit().proposals(list.to_vec()).private()?;
    for i in [0, 2] {
        assert_violation(&group.refuses(i, &commit), expected);
    }
    Ok(())
}

/// V-12.2-01, V-12.2-02, V-12.4.1-01, V-12.4.2-04, V-12.1.3-01, V-12.1.4-01, V-12.1.4-02,
/// V-12.1.5-01: a proposal that is not valid by itself makes the list invalid, for the committer
/// and for everybody else; the group goes on after it.
#[test]
fn each_proposal_is_valid_by_itself() -> Result<(), Error> {
    let mut group = group()?;
    for length in [0, NH - 1, NH + 1] {
        let psk = Psk::External { psk_id: b"a".to_vec() };
        let id = PreSharedKeyId { psk, psk_nonce: vec![1; length] };
        refuse(&mut group, &[Proposal::PreSharedKey(id)], Violation::PskNonce)?;
    }
    for leaf in [4, 9, u32::MAX] {
        refuse(&mut group, &[remove(leaf)], Violation::RemoveOfBlank)?;
    }
    for usage in [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch] {
        let psk_group_id = group.members[0].state().group_id().as_bytes().to_vec();
        let psk = Psk::Resumption { usage, psk_group_id, psk_epoch: 1 };
        let id = PreSharedKeyId { psk, psk_nonce: vec![1; NH] };
        refuse(&mut group, &[Proposal::PreSharedKey(id)], Violation::PskUsage)?;
    }
    refuse(&mut group, &[reinit(0)], Violation::ReInitVersion)?;
    group.update(1)?;
    Ok(())
}

/// V-12.2-02, V-12.1.3-01, V-12.1.4-01, V-12.1.4-02, V-12.1.5-01, V-12.1.6-01: the same of
/// proposals that are sent alone.
#[test]
fn each_proposal_is_valid_when_it_is_sent() -> Result<(), Error> {
    let mut group = group()?;
    let psk_group_id = group.members[0].state().group_id().as_bytes().to_vec();
    let usage = ResumptionPskUsage::Branch;
    let branch = Psk::Resumption { usage, psk_group_id, psk_epoch: 1 };
    let branch = PreSharedKeyId { psk: branch, psk_nonce: vec![1; NH] };
    let external = Psk::External { psk_id: b"a".to_vec() };
    let short = PreSharedKeyId { psk: external, psk_nonce: vec![1; NH - 1] };
    for (proposal, expected) in [
        (remove(9), Violation::RemoveOfBlank),
        (Proposal::PreSharedKey(branch), Violation::PskUsage),
        (Proposal::PreSharedKey(short), Violation::PskNonce),
        (reinit(0), Violation::ReInitVersion),
        (Proposal::ExternalInit(vec![1; NH]), Violation::ExternalInitInMemberCommit),
    ] {
        let before = group.members[1].fingerprint()?;
        let error = group.members[1].propose(proposal.clone()).expect_err("an invalid proposal");
        assert_violation(&error, expected);
        assert_eq!(group.members[1].fingerprint()?, before);
        let sent = group.insider(1)?.proposal(proposal)?.private()?;
        assert_violation(&group.refuses(0, &sent), expected);
        assert!(!group.members[0].state().has_pending_proposals());
    }
    Ok(())
}

/// V-12.2-03, V-12.2-04: the committer stays, and renews its leaf by the path.
#[test]
fn the_committer_neither_updates_nor_removes_itself() -> Result<(), Error> {
    let mut group = group()?;
    let update = group.insider(1)?.update().proposal()?;
    refuse(&mut group, &[update], Violation::CommitterUpdates)?;
    refuse(&mut group, &[remove(1)], Violation::CommitterRemoved)?;

    group.propose(1, None)?;
    let commit = group.insider(1)?.commit().waiting().private()?;
    assert_violation(&group.refuses(0, &commit), Violation::CommitterUpdates);
    group.propose(2, remove(1))?;
    let mut eve = group.insider(1)?;
    eve.proposals.retain(|known| matches!(known.proposal, Proposal::Remove(_)));
    let commit = eve.commit().waiting().private()?;
    assert_violation(&group.refuses(0, &commit), Violation::CommitterRemoved);
    // Its own Commit leaves both out.
    let committed = group.update(1)?;
    assert!(committed.outcome.removed.is_empty());
    Ok(())
}

/// V-12.2-05: two Removes, a Remove and an Update, two Updates.
#[test]
fn each_leaf_changes_once() -> Result<(), Error> {
    let mut group = group()?;
    refuse(&mut group, &[remove(2), remove(2)], Violation::LeafTwice)?;
    group.propose(3, None)?;
    let commit = group.insider(1)?.commit().waiting().proposals([remove(3)]).private()?;
    assert_violation(&group.refuses(0, &commit), Violation::LeafTwice);
    group.propose(3, None)?;
    let commit = group.insider(1)?.commit().waiting().private()?;
    assert_violation(&group.refuses(0, &commit), Violation::LeafTwice);
    Ok(())
}

/// V-12.2-06: of a Remove and an Update of one leaf the committer takes the Remove, whichever came
/// first; of two Updates the later one.
#[test]
fn the_committer_chooses_among_what_contradicts() -> Result<(), Error> {
    for remove_first in [true, false] {
        let mut group = group()?;
        if remove_first {
            group.propose(0, remove(2))?;
        }
        group.propose(2, None)?;
        if !remove_first {
            group.propose(0, remove(2))?;
        }
        let outcome = group.update(1)?.outcome;
        assert_eq!(outcome.removed.len(), 1);
        assert_eq!(outcome.removed[0].leaf_index, LeafIndex(2));
        assert_eq!(outcome.updated.len(), 1, "the committer's own leaf alone");
    }
    let mut group = group()?;
    group.propose(2, None)?;
    let later = group.members[2].propose(None)?;
    let Heard::Proposal(proposal) = group.members[1].receive(&later)? else { panic!() };
    let Proposal::Update(leaf) = *proposal else { panic!() };
    for i in [0, 3] {
        group.members[i].receive(&later)?;
    }
    group.update(1)?;
    assert_eq!(group.members[0].state().tree().leaf(LeafIndex(2)), Some(&leaf));
    Ok(())
}

/// V-12.2-07, V-12.2-08: nobody is added twice, nor while it is a member; with its Remove it may be.
#[test]
fn a_client_is_in_the_group_once() -> Result<(), Error> {
    let mut group = group()?;
    let mut dora = group.newcomer("dora")?;
    let twice = [Proposal::Add(dora.key_package()?), Proposal::Add(dora.key_package()?)];
    refuse(&mut group, &twice, Violation::AddedTwice)?;
    let again = Proposal::Add(group.members[3].key_package()?);
    refuse(&mut group, std::slice::from_ref(&again), Violation::AddedMember)?;
    let commit = group.insider(1)?.commit().proposals([again, remove(3)]).private()?;
    let Heard::Commit(outcome) = group.members[0].receive(&commit)? else { panic!() };
    assert_eq!((outcome.added.len(), outcome.removed.len()), (1, 1));
    Ok(())
}

/// V-12.2-09, V-12.2-10: no PreSharedKeyID twice; the same key with another nonce is another one.
#[test]
fn a_psk_is_injected_once() -> Result<(), Error> {
    let mut group = group()?;
    refuse(&mut group, &[psk(b"a", 1), psk(b"a", 1)], Violation::PskTwice)?;
    group.commit_with(1, [psk(b"a", 1), psk(b"a", 2)])?;
    Ok(())
}

/// V-12.2-11, V-12.2-12, V-12.2-14: of some proposals there is one at most, alone or none.
#[test]
fn some_proposals_stand_alone() -> Result<(), Error> {
    let mut group = group()?;
    let extensions = || Proposal::GroupContextExtensions(Extensions::new());
    refuse(&mut group, &[extensions(), extensions()], Violation::GroupContextExtensionsTwice)?;
    refuse(&mut group, &[reinit(1), remove(2)], Violation::ReInitNotAlone)?;
    refuse(&mut group, &[reinit(1), reinit(1)], Violation::ReInitNotAlone)?;
    let init = Proposal::ExternalInit(vec![1; NH]);
    refuse(&mut group, &[init], Violation::ExternalInitInMemberCommit)
}

/// V-12.2-13: everything goes before a ReInit, also what came after it.
#[test]
fn a_reinit_waits_for_everything_else() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, reinit(1))?;
    group.propose(0, remove(3))?;
    let outcome = group.update(1)?.outcome;
    assert_eq!(outcome.reinit, None);
    assert_eq!(outcome.removed.len(), 1);
    group.propose(2, reinit(1))?;
    assert!(group.update(1)?.outcome.reinit.is_some());
    Ok(())
}

fn custom() -> Proposal {
    Proposal::Custom { proposal_type: ProposalType(0xf001), body: b"body".to_vec() }
}

/// V-12.2-15: a type that one member lacks can't be committed, but with its removal it can, and so
/// with the Add of somebody who lacks it.
#[test]
fn every_member_that_stays_supports_the_types() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    let lacking = default_capabilities(SUITE)?;
    let builder = TestGroup::builder(SUITE).size(4).context(context);
    let mut group = builder.capabilities(3, lacking.clone()).build()?;
    refuse(&mut group, &[custom()], Violation::ProposalTypeNotSupported)?;
    let mut dora = group.newcomer("dora")?;
    dora.template.capabilities = lacking;
    let add = Proposal::Add(dora.key_package()?);
    let outcome = group.commit_with(1, [custom(), remove(3), add])?.outcome;
    assert_eq!(outcome.custom.len(), 1);
    Ok(())
}

/// V-12.2-17: a reference that is not known: the Commit can be tried again once it is.
#[test]
fn a_reference_is_known() -> Result<(), Error> {
    let mut group = group()?;
    let mut eve = group.insider(1)?;
    let proposal = eve.proposal(remove(3))?.private()?;
    let reference = eve.remember(&proposal)?;
    let commit = eve.commit().waiting().private()?;
    let error = group.refuses(0, &commit);
    assert!(matches!(error, Error::Unready(Unready::UnknownProposal(it)) if it == reference));
    group.members[0].receive(&proposal)?;
    assert!(matches!(group.members[0].receive(&commit)?, Heard::Commit(_)));
    Ok(())
}

/// V-12.2-18: no reference twice, nor the same Remove by value and by reference.
#[test]
fn a_proposal_is_referred_to_once() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, psk(b"a", 1))?;
    let commit = group.insider(1)?.commit().waiting().waiting().private()?;
    assert_violation(&group.refuses(0, &commit), Violation::ReferenceTwice);
    let commit = group.insider(1)?.commit().waiting().proposals([psk(b"a", 1)]).private()?;
    assert_violation(&group.refuses(0, &commit), Violation::PskTwice);
    Ok(())
}

/// V-12.2-19: who sent a proposal is its sender still when another commits it.
#[test]
fn a_reference_keeps_its_sender() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, None)?;
    let outcome = group.update(1)?.outcome;
    let updated: Vec<_> = outcome.updated.iter().map(|member| member.leaf_index).collect();
    assert_eq!(updated, [LeafIndex(1), LeafIndex(2)]);
    Ok(())
}

/// Somebody who joins by an external Commit, and the Commit.
fn join(
    group: &mut TestGroup,
    joiner: &mut TestMember,
    replaces: Option<LeafIndex>,
    psks: Vec<PreSharedKeyId>,
) -> Result<StagedJoin, Error> {
    let info = group.insider(0)?.group_info().external_pub().build()?;
    joiner.external_join(info, replaces, psks)
}

/// The Commit with something else in it, signed again. Its tag is wrong, which is found out last.
fn again(
    group: &TestGroup,
    joiner: &TestMember,
    message: &[u8],
    edit: impl FnOnce(&mut Commit),
) -> Result<Forged, Error> {
    let MlsMessage::Public(message) = MlsMessage::from_bytes(message, &DecodeContext::default())?
    else {
        panic!("no PublicMessage")
    };
    let Content::Commit(mut commit) = message.content.content else { panic!("no Commit") };
    edit(&mut commit);
    let mut outsider = Outsider::new(joiner.suite(), &joiner.name, 7)?;
    outsider.signer = joiner.signer.clone();
    let context = group.members[0].state().context();
    let frame = outsider.content(context, Sender::NewMemberCommit, Content::Commit(commit))?;
    frame.edit_confirmation_tag(|tag| *tag = Some(Mac(vec![0; NH]))).public()
}

fn by_value(proposal: Proposal) -> ProposalOrRef {
    ProposalOrRef::Proposal(Box::new(proposal))
}

/// V-12.2-20, V-12.2-21, V-12.2-22, V-12.2-23: what the list of an external Commit may have.
#[test]
fn the_list_of_an_external_commit() -> Result<(), Error> {
    let mut group = group()?;
    group.propose(2, remove(3))?;
    let waiting = group.insider(0)?.proposals[0].reference.clone();
    let mut dora = group.newcomer("dora")?;
    let mut emil = group.newcomer("emil")?;
    let honest = join(&mut group, &mut dora, None, Vec::new())?.message().to_vec();
    let init = Proposal::ExternalInit(vec![1; NH]);
    let update = group.insider(1)?.update().proposal()?;
    let extensions = Proposal::GroupContextExtensions(Extensions::new());
    let not_allowed = [Proposal::Add(emil.key_package()?), update, extensions, reinit(1)];
    type Edit = Box<dyn FnOnce(&mut Commit)>;
    let add = |list: Vec<ProposalOrRef>| -> Edit {
        Box::new(move |commit: &mut Commit| commit.proposals.extend(list))
    };
    let mut cases: Vec<(Edit, Violation)> = vec![
        (Box::new(|commit| commit.proposals.clear()), Violation::ExternalInitCount),
        (add(vec![by_value(init)]), Violation::ExternalInitCount),
        (add(vec![by_value(remove(2)), by_value(remove(3))]), Violation::ExternalCommitRemoves),
        (add(vec![ProposalOrRef::Reference(waiting)]), Violation::ExternalCommitReference),
    ];
    for proposal in not_allowed {
        cases.push((add(vec![by_value(proposal)]), Violation::ExternalCommitProposal));
    }
    for (edit, expected) in cases {
        let message = again(&group, &dora, &honest, edit)?;
        assert_violation(&group.refuses(1, &message), expected);
    }
    // With nothing but a wrong tag, that is what it is refused for.
    let message = again(&group, &dora, &honest, |_| ())?;
    assert_violation(&group.refuses(1, &message), Violation::ConfirmationTag);
    assert!(matches!(group.members[1].receive(&honest)?, Heard::Commit(it) if it.external));
    Ok(())
}

/// V-12.2-22: nor has it a proposal of a type that the application registered, though all members
/// support that, and external senders may send it.
#[test]
fn a_registered_type_in_an_external_commit() -> Result<(), Error> {
    for external in [false, true] {
        let mut context = DecodeContext::default();
        let rules = CustomProposal { path_required: false, external };
        context.proposal_types.insert(0xf001, rules);
        let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
        let mut dora = group.newcomer("dora")?;
        let honest = join(&mut group, &mut dora, None, Vec::new())?.message().to_vec();
        let custom = || Proposal::Custom { proposal_type: ProposalType(0xf001), body: Vec::new() };
        let message =
            again(&group, &dora, &honest, |commit| commit.proposals.push(by_value(custom())))?;
        let expected = Violation::ExternalCommitProposal;
        assert_violation(&group.refuses(1, &message), expected);
        // A member may commit one.
        let commit = group.insider(0)?.commit().proposals([custom()]).private()?;
        assert!(matches!(group.members[1].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-12.2-21: whoever comes back brings a new encryption key.
#[test]
fn whoever_comes_back_has_a_new_key() -> Result<(), Error> {
    let mut group = group()?;
    let mut back = group.newcomer("m3")?;
    let staged = join(&mut group, &mut back, Some(LeafIndex(3)), Vec::new())?;
    let honest = staged.message().to_vec();
    let old = group.members[0].state().tree().leaf(LeafIndex(3)).unwrap().clone();
    let group_id = group.members[0].state().group_id().as_bytes().to_vec();
    let message = again(&group, &back, &honest, |commit| {
        let path = commit.path.as_mut().unwrap();
        let encryption_key = old.encryption_key.clone();
        let content = LeafNodeContent { encryption_key, ..LeafNodeContent::clone(&path.leaf_node) };
        let position = LeafPosition { group_id: &group_id, leaf_index: LeafIndex(3) };
        path.leaf_node = LeafNode::sign(content, position, &back.signer).unwrap();
    })?;
    assert_violation(&group.refuses(1, &message), Violation::PathKeepsEncryptionKey);
    assert!(matches!(group.members[1].receive(&honest)?, Heard::Commit(it) if it.external));
    Ok(())
}

/// V-12.2-22, V-8.3-01, V-8.3-02: any number of pre-shared keys goes with an external Commit, whose
/// init secret both sides find.
#[test]
fn an_external_commit_has_pre_shared_keys() -> Result<(), Error> {
    let mut group = group()?;
    let mut dora = group.newcomer("dora")?;
    give_psks(&mut dora);
    let psks = [psk(b"a", 1), psk(b"b", 2), psk(b"a", 3)].into_iter().map(|it| match it {
        Proposal::PreSharedKey(id) => id,
        other => panic!("{other:?}"),
    });
    let staged = join(&mut group, &mut dora, None, psks.collect())?;
    group.broadcast(9, staged.message())?;
    dora.enter(staged.confirm());
    group.members.push(dora);
    group.agree();
    Ok(())
}

/// V-12.1.6-02, V-8.3-02: a KEM output that is none, and one for another key, which gives the
/// members another init secret.
#[test]
fn a_kem_output_is_one_for_the_group() -> Result<(), Error> {
    let mut group = group()?;
    let mut dora = group.newcomer("dora")?;
    let honest = join(&mut group, &mut dora, None, Vec::new())?.message().to_vec();
    for (length, expected) in [
        (0, Violation::ExternalInitOutput),
        (NH - 1, Violation::ExternalInitOutput),
        (NH + 1, Violation::ExternalInitOutput),
        (NH, Violation::ConfirmationTag),
    ] {
        let edit = |commit: &mut Commit| {
            commit.proposals = vec![by_value(Proposal::ExternalInit(vec![9; length]))];
        };
        let message = again(&group, &dora, &honest, edit)?;
        assert_violation(&group.refuses(1, &message), expected);
    }
    Ok(())
}

/// V-12.3-01: whatever the order of the list, Removes come before Adds: the leaf that becomes free
/// is taken, by the first of them. (Of the seven steps, extensions before all else and pre-shared keys
/// in the order of the list can be told too, by the tests of V-12.3-02 and V-8.4-01. Updates leave
/// every leaf where it is, and ExternalInit and ReInit never stand beside what they could come before
/// or after: nobody can tell.)
#[test]
fn removes_come_before_adds() -> Result<(), Error> {
    let mut group = group()?;
    let (mut dora, mut emil) = (group.newcomer("dora")?, group.newcomer("emil")?);
    let adds = [Proposal::Add(dora.key_package()?), Proposal::Add(emil.key_package()?)];
    let list = [adds[0].clone(), remove(2), adds[1].clone()];
    let commit = group.insider(1)?.commit().proposals(list).private()?;
    let Heard::Commit(outcome) = group.members[0].receive(&commit)? else { panic!() };
    let places = outcome.added.iter().map(|it| (it.to_string(), it.leaf_index));
    let expected = [("dora".to_owned(), LeafIndex(2)), ("emil".to_owned(), LeafIndex(4))];
    assert!(places.eq(expected), "{:?}", outcome.added);
    Ok(())
}

/// V-12.3-03: the tree is cut after the Removes and before the Adds, as a committer does it that
/// is not this library's own.
#[test]
fn a_tree_is_cut_before_it_grows() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 5)?;
    let mut dora = group.newcomer("dora")?;
    let add = Proposal::Add(dora.key_package()?);
    let commit = group.insider(1)?.commit().proposals([remove(4), add]).private()?;
    let Heard::Commit(outcome) = group.members[0].receive(&commit)? else { panic!() };
    assert_eq!(outcome.added[0].leaf_index, LeafIndex(4));
    let hash = group.members[0].state().tree().tree_hash(group.members[0].suite())?;
    assert_eq!(hash.as_bytes(), commit.next.context.tree_hash);
    Ok(())
}

fn required(types: &[u16]) -> Result<Proposal, Error> {
    let extension_types = Vec::new();
    let proposal_types = types.iter().copied().map(ProposalType).collect();
    let required =
        RequiredCapabilities { extension_types, proposal_types, credential_types: Vec::new() };
    let extension = required.to_extension()?;
    Ok(Proposal::GroupContextExtensions([extension].into_iter().collect()))
}

/// V-12.3-02, V-11.1-01: the new extensions count for all else in the list: an Add has to have what
/// they begin to require, and need not have what they cease to.
#[test]
fn new_extensions_count_for_the_whole_list() -> Result<(), Error> {
    let mut context = DecodeContext::default();
    context.proposal_types.insert(0xf001, CustomProposal::default());
    let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
    let mut dora = group.newcomer("dora")?;
    dora.template.capabilities = default_capabilities(SUITE)?;
    let add = Proposal::Add(dora.key_package()?);
    let begins = [add.clone(), required(&[0xf001])?];
    refuse(&mut group, &begins, Violation::RequiredCapabilities)?;
    group.commit_with(1, [required(&[0xf001])?])?;
    refuse(&mut group, std::slice::from_ref(&add), Violation::RequiredCapabilities)?;
    let ceases = Proposal::GroupContextExtensions(Extensions::new());
    let outcome = group.commit_with(1, [add, ceases])?.outcome;
    assert_eq!(outcome.added.len(), 1);
    Ok(())
}
