//! Resumption PSKs that a Commit injects (RFC 9420 sections 8.4 and 8.6).

use super::*;

/// V-8.4-05, V-8.4-01, V-12.1.4-04: by value and by reference, of the present and of past epochs,
/// mixed with an external one; the joiner gets them from its source, in the same order.
#[test]
fn resumption_psks_enter_a_commit() {
    let mut members = group(SUITE, 3);
    for member in &mut members {
        member.psks.0.insert(b"shared".to_vec(), Secret::new(&[5; NH]));
    }
    let first = old(&members[0]);
    for sender in [1, 2] {
        let commit = members[sender].commit(CommitRequest::default()).unwrap();
        deliver(&mut members, sender, &commit);
    }
    let present = old(&members[0]);
    let proposal = Proposal::PreSharedKey(application(1, 1));
    let message = members[1].propose(proposal, &Framing::default());
    for i in [0, 2] {
        members[i].receive(&message).unwrap();
    }
    let mut dave = Actor::new(SUITE, "dave", 9);
    let by_value = vec![
        Proposal::PreSharedKey(external(2)),
        Proposal::Add(dave.key_package()),
        Proposal::PreSharedKey(application(3, 3)),
    ];
    let commit = members[0].commit_by_value(by_value);
    let welcome = members[0].staged.as_ref().unwrap().welcome.clone().unwrap();
    deliver(&mut members, 0, &commit);
    let expected = [application(1, 1), external(2), application(3, 3)];
    assert_eq!(psks_of(&welcome, &dave), expected);

    let known = Known(vec![first.clone(), present.clone()]);
    let state = join(&dave, &welcome, &known).unwrap();
    assert_eq!(state.epoch_authenticator(), members[0].state().epoch_authenticator());
    let half = Known(vec![present]);
    let error = join(&dave, &welcome, &half).unwrap_err();
    let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
    assert_eq!(named, application(1, 0).psk);
    // Not the secret of that epoch.
    let wrong = OldGroup { resumption_psk: Secret::new(&[6; NH]), ..first };
    let wrong = Known(vec![wrong, half.0[0].clone()]);
    assert_eq!(violation(join(&dave, &welcome, &wrong)), Some(Violation::WelcomeDecryption));
}

/// V-8.4-04: more than a `uint16` counts, for whoever has raised the limit that far.
#[test]
fn as_many_psks_as_can_be_counted() {
    let find = |count| find_psks(&vec![external(1); count], |_| Some(Secret::new(&[5; NH])));
    assert_eq!(find(65_535).unwrap().len(), 65_535);
    assert!(matches!(find(65_536), Err(Error::Violation(Violation::PskCount))));
}

/// V-8.6-01, V-8.4-05, V-12.4.3.1-05: PSKs of epochs that are too old are gone, and so are those of
/// other groups that nobody gives; whatever is missing is named, and nothing has changed.
#[test]
fn a_resumption_psk_that_is_missing_is_named() {
    let mut members = group(SUITE, 2);
    let kept = members[0].settings.limits().past_epochs as u64;
    for _ in 0..=kept {
        let commit = members[0].commit(CommitRequest::default()).unwrap();
        deliver(&mut members, 0, &commit);
    }
    let epoch = members[0].state().epoch();
    let oldest = epoch - kept;
    assert!(members[0].state().old_group(oldest).is_some());
    assert!(members[0].state().old_group(oldest - 1).is_none());
    assert!(members[0].state().old_group(epoch + 1).is_none());

    let elsewhere = psk(ResumptionPskUsage::Application, b"another group", 1, 1);
    for (id, known) in [
        (application(oldest, 1), true),
        (application(oldest - 1, 1), false),
        (application(epoch + 1, 1), false),
        (elsewhere.clone(), false),
    ] {
        let by_value = vec![Proposal::PreSharedKey(id.clone())];
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        match members[0].commit(request) {
            Ok(_) => assert!(known),
            Err(Error::Unready(Unready::UnknownPsk(named))) => {
                assert!(!known);
                assert_eq!(named, id.psk);
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    // The committer knows the other group, and the one who receives does not, at first.
    let mut other = Actor::new(SUITE, "m0", 77);
    other.create(b"another group");
    let theirs = OldGroup { epoch: 1, ..old(&other) };
    let by_value = vec![Proposal::PreSharedKey(elsewhere.clone())];
    let request = CommitRequest { by_value, ..CommitRequest::default() };
    let Actor { state, signer, rng, .. } = &mut members[0];
    let state = state.as_ref().unwrap();
    let (staged, _) = state.commit(request, &judge(&BasicValidator, &theirs), signer, rng).unwrap();
    let before = format!("{:?}", members[1].state());
    let error = members[1].receive(staged.message()).unwrap_err();
    let Error::Unready(Unready::UnknownPsk(named)) = error else { panic!("{error:?}") };
    assert_eq!(named, elsewhere.psk);
    assert_eq!(format!("{:?}", members[1].state()), before);

    let opened = members[1].state().open(read(staged.message()), Some(NOW)).unwrap();
    let Opened::Commit(opened) = opened else { panic!() };
    let reviewed = opened.review(&BasicValidator).unwrap();
    let (outcome, _) = members[1].state().process(reviewed, &theirs).unwrap();
    assert_eq!(outcome.epoch, epoch + 1);
}

/// V-11.2-03, V-11.3-03, V-12.1.4-01: the usages of section 11 have no place in another Commit:
/// nobody proposes or commits one, and nobody takes one.
#[test]
fn reinit_and_branch_are_no_usages_for_a_proposal() {
    for usage in [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch] {
        let mut members = group(SUITE, 2);
        let proposal = Proposal::PreSharedKey(psk(usage, b"a group", 1, 1));
        let refused = |outcome: Result<(), Error>| {
            assert!(
                matches!(outcome, Err(Error::Violation(Violation::PskUsage))),
                "{usage:?}: {outcome:?}"
            );
        };
        let request =
            CommitRequest { by_value: vec![proposal.clone()], ..CommitRequest::default() };
        refused(members[0].commit(request.clone()).map(drop));
        let [first, second] = &mut members[..] else { panic!() };
        let Actor { state, signer, rng, .. } = first;
        let state = state.as_ref().unwrap();
        let framing = Framing::default();
        let judge = judge(&BasicValidator, &NoPsks);
        refused(state.propose(proposal.clone(), &judge, &framing, signer, rng).map(drop));

        let content = Content::Proposal(proposal.clone());
        let signed = state.sign_content(content, &framing, signer).unwrap();
        let (message, _) = state.protect(signed, framing.padding, rng).unwrap();
        let before = format!("{:?}", second.state());
        refused(second.state().open(message, None).map(drop));

        let sender = Sender::Member(state.own_leaf());
        let list = vec![Resolved { sender, proposal: Arc::new(proposal), reference: None }];
        let (applied, psks) = state
            .try_checked(&list, Trial { tree: &state.epoch.tree, now: None, psks: &NoPsks })
            .unwrap();
        let composed = Composed { list, applied, psks };
        let (staged, _) =
            state.commit_composed(request, composed, &judge, Signers::of(signer), rng).unwrap();
        refused(second.state().open(read(staged.message()), None).map(drop));
        assert_eq!(format!("{:?}", second.state()), before);
    }
}
