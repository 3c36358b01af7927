//! Groups of some members of others (RFC 9420 section 11.3).

use super::*;

/// V-11.3-01, V-12.1.4-03: a branch has the PSK with usage branch and a nonce of its own.
#[test]
fn a_group_is_branched() {
    let members = group(SUITE, 4);
    let mut nonces = Vec::new();
    for (founder, others) in [("m0", ["m1", "m3"]), ("m2", ["m3", "m0"])] {
        let mut actors = again(&[founder, others[0], others[1]], SUITE);
        actors.iter_mut().zip(0..).for_each(|(actor, i)| {
            actor.rng = SeededRng::new(3000 + 10 * nonces.len() as u64 + i);
        });
        let new = branch(&old(&members[0]), &mut actors).unwrap();
        assert_eq!(new.state.tree().member_count(), 3);
        let psks = psks_of(new.welcome.as_ref().unwrap(), &actors[1]);
        let [PreSharedKeyId { psk: named, psk_nonce }] = &psks[..] else { panic!("{psks:?}") };
        assert_eq!(*named, psk(ResumptionPskUsage::Branch, b"a group", 1, 0).psk);
        assert_eq!(psk_nonce.len(), NH);
        assert!(!nonces.contains(psk_nonce));
        nonces.push(psk_nonce.clone());
        settle(new, &mut actors, &members);
    }
    // The old group goes on.
    assert_eq!(members[0].state().status(), Status::Active);
}

/// A branch is of an epoch: a joiner that is further on knows who was in it then.
#[test]
fn a_branch_is_joined_from_a_later_epoch() {
    let mut members = group(SUITE, 3);
    let then = old(&members[0]);
    let mut actors = again(&["m0", "m1", "m2"], SUITE);
    let new = branch(&then, &mut actors).unwrap();
    let commit = members[0].commit_by_value(vec![Proposal::Remove(leaf(2))]);
    members[1].receive(&commit).unwrap();
    let welcome = new.welcome.unwrap();
    let known = members[1].state().old_group(1).unwrap();
    assert_eq!(known, then);
    assert_eq!(known.members().len(), 3);
    join(&actors[1], &welcome, &known).unwrap();
    let present = old(&members[1]);
    assert_eq!(present.members().len(), 2);
    // Had the branch been of the present epoch, there would be one too many.
    let wrong = OldGroup { members: present.members, ..known };
    assert_eq!(violation(join(&actors[1], &welcome, &wrong)), Some(Violation::BranchMembers));
}

/// V-11.3-02: a founder of a branch has only members of the old group in it, and its suite.
#[test]
fn a_founder_of_a_branch_brings_nobody_along() {
    let members = group(SUITE, 3);
    let old = old(&members[0]);
    let refused = branch(&old, &mut again(&["m0", "m1", "eve"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    let refused = branch(&old, &mut again(&["eve", "m1"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))));
    let refused = branch(&old, &mut again(&["m0", "m1"], OTHER_SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherSuite))));
}

/// V-11.3-02, V-11.3-04, V-12.4.3.1-24: a Welcome to what is no branch of the old group is refused.
#[test]
fn a_welcome_to_no_branch_is_refused() {
    let members = group(SUITE, 3);
    let known = Known(vec![old(&members[0])]);
    let names = &["m0", "m1"][..];
    for (name, suite, names, commits_before, expected) in [
        ("as it should be", SUITE, names, 0, None),
        ("suite", OTHER_SUITE, names, 0, Some(Violation::BranchParameters)),
        ("epoch", SUITE, names, 1, Some(Violation::SubgroupEpoch)),
        ("outsider", SUITE, &["m0", "m1", "eve"], 0, Some(Violation::BranchMembers)),
        ("founder", SUITE, &["eve", "m1"], 0, Some(Violation::BranchMembers)),
    ] {
        let mut actors = again(names, suite);
        let forgery = Forgery {
            group_id: GroupId::new(b"a branch"),
            extensions: Extensions::new(),
            psks: vec![psk(ResumptionPskUsage::Branch, b"a group", 1, 1)],
            commits_before,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{name}");
        let error = join(&actors[1], &welcome, &Known::default()).unwrap_err();
        let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
        assert_eq!(named, psk(ResumptionPskUsage::Branch, b"a group", 1, 0).psk);
    }
}

/// V-12.4.3.1-06: a group continues one other.
#[test]
fn a_welcome_with_two_origins_is_refused() {
    use ResumptionPskUsage::{Application, Branch, Reinit};
    let members = closed_by(2, reinit(SUITE));
    let known = Known(vec![old(&members[0]), members[0].state().old_group(1).unwrap()]);
    let twice = Some(Violation::WelcomePskUsage);
    for (usages, expected) in [
        ([Branch, Branch], twice),
        ([Branch, Reinit], twice),
        ([Reinit, Reinit], twice),
        ([Reinit, Application], None),
        ([Application, Application], None),
    ] {
        let mut actors = again(&["m0", "m1"], SUITE);
        let forgery = Forgery {
            group_id: reinit(SUITE).group_id,
            extensions: Extensions::new(),
            psks: vec![psk(usages[0], b"a group", 2, 1), psk(usages[1], b"a group", 2, 2)],
            commits_before: 0,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{usages:?}");
    }
}
