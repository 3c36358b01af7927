//! Who is a member before a Commit is added by it only if it is removed as well (RFC 9420 section
//! 12.2), whatever key the same Commit gives it: committer and receivers see the same.

use circlet::Error;
use circlet::group::{CommitRequest, Signers, StagedCommit};
use circlet::identity::{Signer, SigningKey};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::testing::{Heard, SeededRng, TestGroup};
use circlet::tree::LeafIndex;

use crate::support::{SUITE, assert_violation};

/// V-12.2-08: the member whose Update gives up its key is not added by that key.
#[test]
fn an_update_makes_no_other_client() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    let again = Proposal::Add(group.members[2].key_package()?);
    let mut other = group.insider(2)?;
    let signer = SigningKey::generate(&other.suite().clone(), &mut other.rng)?;
    let key = signer.public_key().clone();
    let update = other.update().edit(|leaf| leaf.signature_key = key).signer(signer).proposal()?;
    let update = other.proposal(update)?.private()?;
    let add = group.members[3].propose(again.clone())?;
    for receiver in [0, 1] {
        group.members[receiver].receive(&update)?;
        group.members[receiver].receive(&add)?;
    }

    // Nobody takes both from an insider.
    let both = group.insider(1)?.commit().waiting().private()?;
    let before = group.members[0].fingerprint()?;
    assert_violation(&group.members[0].refuses(&both), Violation::AddedMember);
    // Nor does an honest member commit it, whether it is asked to or it waits.
    let request = CommitRequest { by_value: vec![again], ..CommitRequest::default() };
    let error = group.members[0].stage(request).expect_err("a member is added");
    assert_violation(&error, Violation::AddedMember);
    assert_eq!(group.members[0].fingerprint()?, before);
    let commit = group.members[0].stage(CommitRequest::default())?;
    let Heard::Commit(outcome) = group.members[1].receive(&commit)? else { panic!("no Commit") };
    assert_eq!((outcome.added.len(), outcome.updated.len()), (0, 2));
    let staged = group.members[0].staged.as_ref().unwrap();
    assert_eq!(staged.outcome().left_out.len(), 1);
    assert_eq!(outcome.updated[1].leaf_index, LeafIndex(2));
    Ok(())
}

/// V-12.2-08: nor is a committer that takes a new key: an Add of its old one that waits is left out.
#[test]
fn a_path_makes_no_other_client() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let again = Proposal::Add(group.members[0].key_package()?);
    let add = group.members[2].propose(again.clone())?;
    for receiver in [0, 1] {
        group.members[receiver].receive(&add)?;
    }
    let next = SigningKey::generate(group.members[0].suite(), &mut SeededRng::new(7))?;
    let stage = |group: &TestGroup, by_value| -> Result<StagedCommit, Error> {
        let member = &group.members[0];
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        let signers = Signers { present: &member.signer, next: Some(&next) };
        let rng = &mut SeededRng::new(8);
        Ok(member.state().commit_with(request, &member.judge(), signers, rng)?.0)
    };
    let error = stage(&group, vec![again]).expect_err("a member is added");
    assert_violation(&error, Violation::AddedMember);
    let staged = stage(&group, Vec::new())?;
    assert!(staged.outcome().added.is_empty());
    assert_eq!(staged.outcome().left_out.len(), 1);
    // An insider that commits both is refused.
    let mut eve = group.insider(0)?;
    let signer = SigningKey::generate(&eve.suite().clone(), &mut eve.rng)?;
    let key = signer.public_key().clone();
    let both = eve.commit().waiting().leaf(|leaf| leaf.signature_key = key).leaf_signer(signer);
    let both = both.private()?;
    assert_violation(&group.members[1].refuses(&both), Violation::AddedMember);
    for receiver in [1, 2] {
        let Heard::Commit(outcome) = group.members[receiver].receive(staged.message())? else {
            panic!("no Commit")
        };
        assert!(outcome.added.is_empty());
    }
    Ok(())
}
