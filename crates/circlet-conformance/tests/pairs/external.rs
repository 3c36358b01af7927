//! External Commits: ExternalInit with each other type, and each other type without it.

use circlet::Error;
use circlet::codec::{CustomProposal, DecodeContext};
use circlet::crypto::{CipherSuite, Mac, Secret};
use circlet::message::{
    Commit, Content, FramedContent, GroupId, MlsMessage, Proposal, ProposalOrRef, ReInit, Sender,
};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{Outsider, TestGroup, TestMember};
use circlet::tree::{Extensions, LeafIndex, MLS10, ProposalType};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
const CUSTOM: ProposalType = ProposalType(0xF0A1);

/// Three members, and somebody who was the third and lost everything but its name.
struct Door {
    group: TestGroup,
    joiner: TestMember,
}

impl Door {
    fn new() -> Result<Self, Error> {
        let mut context = DecodeContext::default();
        context.proposal_types.insert(CUSTOM.0, CustomProposal::default());
        let mut group = TestGroup::builder(SUITE).size(3).context(context).build()?;
        let settings = group.members[0].settings.clone();
        let mut joiner = TestMember::new(settings, "m2", 99)?;
        for member in group.members.iter_mut().chain([&mut joiner]) {
            member.psks.external.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
        }
        Ok(Self { group, joiner })
    }

    /// An honest external Commit.
    fn honest(
        &mut self,
        replaces: Option<LeafIndex>,
        psks: Vec<PreSharedKeyId>,
    ) -> Result<Vec<u8>, Error> {
        let info = self.group.insider(0)?.group_info().external_pub().build()?;
        Ok(self.joiner.external_join(info, replaces, psks)?.message().to_vec())
    }

    /// What the members say to an external Commit with another list, signed again. Its tag can't be
    /// right, so that a valid list is refused for its tag.
    fn refusal(&mut self, list: Vec<ProposalOrRef>) -> Result<Violation, Error> {
        let remove = ProposalOrRef::Proposal(Box::new(Proposal::Remove(LeafIndex(2))));
        let honest = self.honest(list.contains(&remove).then_some(LeafIndex(2)), Vec::new())?;
        let (commit, tag) = commit_in(&honest)?;
        let context = self.group.members[0].state().context().clone();
        let mut outsider = Outsider::new(self.joiner.suite(), "outsider", 5)?;
        outsider.signer = self.joiner.signer.clone();
        let content = Content::Commit(Commit { proposals: list, ..commit });
        let forged = outsider
            .content(&context, Sender::NewMemberCommit, content)?
            .edit_confirmation_tag(|place| *place = tag)
            .public()?;
        let refusals = [0, 1].into_iter().map(|i| match self.group.refuses(i, &forged) {
            Error::Violation(violation) => violation,
            other => panic!("another error: {other:?}"),
        });
        let refusals: Vec<Violation> = refusals.collect();
        assert_eq!(refusals[0], refusals[1]);
        Ok(refusals[0])
    }
}

fn commit_in(message: &[u8]) -> Result<(Commit, Option<Mac>), Error> {
    match MlsMessage::read(message, &DecodeContext::default())? {
        MlsMessage::Public(message) => match message.content {
            FramedContent { content: Content::Commit(commit), .. } => {
                Ok((commit, message.auth.confirmation_tag))
            }
            other => panic!("no Commit: {other:?}"),
        },
        other => panic!("no PublicMessage: {other:?}"),
    }
}

fn psk(nonce: u8) -> PreSharedKeyId {
    PreSharedKeyId { psk: Psk::External { psk_id: b"psk".to_vec() }, psk_nonce: vec![nonce; 32] }
}

/// What an external Commit may have beside its ExternalInit.
fn may_stand_beside_external_init(proposal: &Proposal) -> bool {
    matches!(proposal, Proposal::Remove(_) | Proposal::PreSharedKey(_))
}

/// V-12.2-22: ExternalInit with each type, in both orders, and each type without it.
#[test]
fn external_init_with_each_type() -> Result<(), Error> {
    let mut door = Door::new()?;
    let (honest, _) = commit_in(&door.honest(None, Vec::new())?)?;
    let external_init = honest.proposals[0].clone();
    let mut newcomer = door.group.newcomer("dora")?;
    let others = [
        Proposal::Add(newcomer.key_package()?),
        door.group.insider(1)?.update().proposal()?,
        Proposal::Remove(LeafIndex(2)),
        Proposal::PreSharedKey(psk(1)),
        Proposal::ReInit(ReInit {
            group_id: GroupId::new(b"next"),
            version: MLS10,
            cipher_suite: SUITE,
            extensions: Extensions::new(),
        }),
        Proposal::GroupContextExtensions(Extensions::new()),
        Proposal::Custom { proposal_type: CUSTOM, body: vec![1] },
    ];
    for proposal in others {
        let beside = may_stand_beside_external_init(&proposal);
        let kind = proposal.proposal_type();
        let other = ProposalOrRef::Proposal(Box::new(proposal));
        let expected = match beside {
            true => Violation::ConfirmationTag,
            false => Violation::ExternalCommitProposal,
        };
        let list = vec![external_init.clone(), other.clone()];
        assert_eq!(door.refusal(list)?, expected, "{kind:?}");
        let list = vec![other.clone(), external_init.clone()];
        assert_eq!(door.refusal(list)?, expected, "{kind:?} first");
        let without = match beside {
            true => Violation::ExternalInitCount,
            false => Violation::ExternalCommitProposal,
        };
        assert_eq!(door.refusal(vec![other])?, without, "{kind:?} alone");
    }
    Ok(())
}

/// V-12.2-09, V-12.2-20 and V-12.2-21: what may be there once or often.
#[test]
fn external_commits_with_two_of_a_type() -> Result<(), Error> {
    let mut door = Door::new()?;
    let (honest, _) = commit_in(&door.honest(None, Vec::new())?)?;
    let init = honest.proposals[0].clone();
    let by_value = |proposal| ProposalOrRef::Proposal(Box::new(proposal));
    let remove = |leaf| by_value(Proposal::Remove(LeafIndex(leaf)));
    let key = |nonce| by_value(Proposal::PreSharedKey(psk(nonce)));
    for (list, expected) in [
        (vec![], Violation::ExternalInitCount),
        (vec![init.clone(), init.clone()], Violation::ExternalInitCount),
        (vec![init.clone(), remove(1), remove(2)], Violation::ExternalCommitRemoves),
        (vec![init.clone(), remove(2), remove(2)], Violation::ExternalCommitRemoves),
        (vec![init.clone(), key(1), key(1)], Violation::PskTwice),
        (vec![init.clone(), key(1), key(2)], Violation::ConfirmationTag),
        (vec![key(1), remove(2), init.clone()], Violation::ConfirmationTag),
    ] {
        assert_eq!(door.refusal(list.clone())?, expected, "{list:?}");
    }
    Ok(())
}

/// V-12.2-23: nothing by reference, not even what it might have by value.
#[test]
fn external_commits_with_references() -> Result<(), Error> {
    let mut door = Door::new()?;
    let (honest, _) = commit_in(&door.honest(None, Vec::new())?)?;
    let remove = door.group.insider(0)?.proposal(Proposal::Remove(LeafIndex(2)))?.private()?;
    let reference = remove.reference(door.joiner.suite())?;
    door.group.member(1)?.receive(&remove)?;
    let list = [honest.proposals, vec![ProposalOrRef::Reference(reference)]].concat();
    assert_eq!(door.refusal(list)?, Violation::ExternalCommitReference);
    Ok(())
}

/// The honest ones are followed.
#[test]
fn valid_external_commits() -> Result<(), Error> {
    for (replaces, psks) in [
        (None, vec![]),
        (Some(LeafIndex(2)), vec![]),
        (None, vec![psk(1)]),
        (None, vec![psk(1), psk(2)]),
        (Some(LeafIndex(2)), vec![psk(1)]),
    ] {
        let mut door = Door::new()?;
        let commit = door.honest(replaces, psks)?;
        door.group.broadcast(2, &commit)?;
        door.group.members.truncate(2);
        door.group.agree();
    }
    Ok(())
}
