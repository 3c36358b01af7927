//! Groups that take the place of others (RFC 9420 section 11.2).

use super::*;

/// V-12.4.2-15: a group that a ReInit has closed sends nothing more, on both sides, and takes no
/// handshake; what was sent before can be read, and a new group is waited for.
#[test]
fn a_closed_group_only_reads() {
    let mut members = group(SUITE, 3);
    let late = members[1].send(b"late");
    let parameters = reinit(SUITE);
    let proposal = Proposal::ReInit(parameters.clone());
    let message = members[2].propose(proposal, &Framing::default());
    for i in [0, 1] {
        members[i].receive(&message).unwrap();
    }
    let commit = members[1].commit(CommitRequest::default()).unwrap();
    deliver(&mut members, 1, &commit);
    for member in &mut members {
        assert_eq!(member.state().status(), Status::Reinitialized);
        assert_eq!(member.state().reinit(), Some(&parameters));
        let Actor { state, signer, rng, .. } = member;
        let state = state.as_ref().unwrap();
        let framing = Framing::default();
        let judge = judge(&BasicValidator, &NoPsks);
        let closed = |error: Option<Error>| {
            assert!(matches!(error, Some(Error::Misuse(Misuse::Reinitialized))), "{error:?}");
        };
        closed(state.send(b"more", &framing, true, signer, rng).err());
        let remove = Proposal::Remove(leaf(2));
        closed(state.propose(remove, &judge, &framing, signer, rng).err());
        closed(state.propose_update(&framing, signer, rng).err());
        closed(state.commit(CommitRequest::default(), &judge, signer, rng).err());
        closed(state.group_info(GroupInfoOptions::default(), signer, rng).err());
    }
    for i in [0, 2] {
        assert!(matches!(members[i].receive(&late), Ok(Heard::Message(_))));
    }
}

/// V-12.1.5-01, V-12.1.5-02: a ReInit that no group could follow is refused; one to a suite or
/// version that is not supported here closes the group, and whoever would follow it is told.
#[test]
fn a_reinit_says_what_a_group_can_be() {
    let misplaced = Extension { extension_type: ExtensionType::RATCHET_TREE, data: Vec::new() };
    let old_version = ReInit { version: 0, ..reinit(SUITE) };
    let misplaced = ReInit { extensions: [misplaced].into_iter().collect(), ..reinit(SUITE) };
    for (parameters, expected) in
        [(old_version, Violation::ReInitVersion), (misplaced, Violation::GroupContextExtensionType)]
    {
        let mut members = group(SUITE, 2);
        let by_value = vec![Proposal::ReInit(parameters)];
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        let refused = members[0].commit(request);
        assert!(matches!(refused, Err(Error::Violation(found)) if found == expected));
    }
    for parameters in
        [reinit(CipherSuite(0x0a0a)), ReInit { version: 2, ..reinit(SUITE) }, reinit(OTHER_SUITE)]
    {
        let members = closed_by(2, parameters);
        let refused = reinitialize(&old(&members[0]), &mut again(&["m0", "m1"], SUITE));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherSuite))));
    }
}

/// V-11.2-01, V-11.2-02, V-11.2-04, V-12.4.1-11: whoever of the old members creates it, the new
/// group is what the ReInit says and has the PSK of the old one's last epoch, with a fresh nonce.
#[test]
fn a_group_is_reinitialized_by_any_member() {
    for (founder, suite) in [("m0", SUITE), ("m2", SUITE), ("m1", OTHER_SUITE)] {
        let members = closed_by(3, reinit(suite));
        let names: Vec<&str> = [founder]
            .into_iter()
            .chain(["m0", "m1", "m2"].into_iter().filter(|n| *n != founder))
            .collect();
        let mut actors = again(&names, suite);
        let own = members.iter().find(|member| member.name == founder).unwrap();
        let new = reinitialize(&old(own), &mut actors).unwrap();
        let context = new.state.context();
        assert_eq!(context.group_id, reinit(suite).group_id);
        assert_eq!(context.cipher_suite, suite);
        assert_eq!(context.extensions, Extensions::new());
        let psks = psks_of(new.welcome.as_ref().unwrap(), &actors[1]);
        let [PreSharedKeyId { psk: named, psk_nonce }] = &psks[..] else { panic!("{psks:?}") };
        assert_eq!(*named, psk(ResumptionPskUsage::Reinit, b"a group", 2, 0).psk);
        assert_eq!(psk_nonce.len(), NH);
        let opened = open(&actors[1], new.welcome.as_ref().unwrap(), &old(&members[0])).unwrap();
        let (usage, continued) = opened.continued().unwrap();
        assert_eq!(usage, ResumptionPskUsage::Reinit);
        assert_eq!(*continued, old(&members[0]));
        settle(new, &mut actors, &members);
    }
}

#[test]
fn a_group_of_one_is_reinitialized() {
    let members = closed_by(1, reinit(SUITE));
    let mut actors = again(&["m0"], SUITE);
    let new = reinitialize(&old(&members[0]), &mut actors).unwrap();
    assert!(new.welcome.is_none());
    settle(new, &mut actors, &members);
}

/// V-11.2-05: whoever creates the new group has all old members in it, and nobody else.
#[test]
fn a_founder_takes_everybody_along() {
    let members = closed_by(3, reinit(SUITE));
    let old = old(&members[0]);
    for names in
        [&["m0", "m1"][..], &["m0", "m1", "m2", "m3"], &["m0", "m1", "m3"], &["m0", "m1", "m1"]]
    {
        let refused = reinitialize(&old, &mut again(names, SUITE));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherMembers))), "{names:?}");
    }
    let open = group(SUITE, 2);
    let refused = reinitialize(&self::old(&open[0]), &mut again(&["m0", "m1"], SUITE));
    assert!(matches!(refused, Err(Error::Misuse(Misuse::NotReinitialized))));
}

/// V-11.2-01, V-11.2-02, V-12.4.3.1-24: a Welcome that does not fit the ReInit is refused.
#[test]
fn a_welcome_that_does_not_fit_the_reinit_is_refused() {
    let members = closed_by(3, reinit(SUITE));
    let last = old(&members[0]);
    let before = members[0].state().old_group(1).unwrap();
    let mut elsewhere = Actor::new(SUITE, "m0", 77);
    elsewhere.create(b"another group");
    let elsewhere = old(&elsewhere);
    let known = Known(vec![last.clone(), before, elsewhere]);
    let of = |group_id: &[u8], epoch| psk(ResumptionPskUsage::Reinit, group_id, epoch, 1);
    let honest = || Forgery {
        group_id: reinit(SUITE).group_id,
        extensions: Extensions::new(),
        psks: vec![of(b"a group", 2)],
        commits_before: 0,
        known: &known,
    };
    let other_id = Forgery { group_id: GroupId::new(b"not the next group"), ..honest() };
    let with_external = Forgery { psks: vec![external(3), of(b"a group", 2)], ..honest() };
    let too_late = Forgery { commits_before: 1, ..honest() };
    let wrong_epoch = Forgery { psks: vec![of(b"a group", 1)], ..honest() };
    let wrong_group = Forgery { psks: vec![of(b"another group", 0)], ..honest() };
    let mut short = of(b"a group", 2);
    short.psk_nonce.pop();
    let short = Forgery { psks: vec![short], ..honest() };
    for (name, forgery, expected) in [
        ("as it should be", honest(), None),
        ("another PSK beside it", with_external, None),
        ("group id", other_id, Some(Violation::ReInitParameters)),
        ("epoch", too_late, Some(Violation::SubgroupEpoch)),
        ("PSK epoch", wrong_epoch, Some(Violation::ReInitPsk)),
        ("PSK group", wrong_group, Some(Violation::ReInitPsk)),
        ("nonce", short, Some(Violation::PskNonce)),
    ] {
        let mut actors = again(&["m0", "m1", "m2"], SUITE);
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{name}");
    }

    // The same group, to one for whom the ReInit said something else.
    for (name, parameters) in [
        ("extensions", ReInit { extensions: extensions(b"x"), ..reinit(SUITE) }),
        ("suite", reinit(OTHER_SUITE)),
        ("version", ReInit { version: 2, ..reinit(SUITE) }),
    ] {
        let mut actors = again(&["m0", "m1", "m2"], SUITE);
        let welcome = honest().welcome(&mut actors);
        let known = Known(vec![OldGroup { reinit: Some(parameters), ..last.clone() }]);
        let found = violation(join(&actors[1], &welcome, &known));
        assert_eq!(found, Some(Violation::ReInitParameters), "{name}");
    }
}

/// V-11.2-05, V-12.4.3.1-24: a Welcome to a group that leaves an old member out is refused, and one
/// that brings somebody along.
#[test]
fn a_welcome_without_every_old_member_is_refused() {
    let members = closed_by(3, reinit(SUITE));
    let known = Known(vec![old(&members[0])]);
    for (names, expected) in [
        (&["m0", "m1", "m2"][..], None),
        (&["m0", "m1"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "eve"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "m1"], Some(Violation::ReInitMembers)),
        (&["m0", "m1", "m2", "eve"], Some(Violation::ReInitMembers)),
    ] {
        let mut actors = again(names, SUITE);
        let forgery = Forgery {
            group_id: reinit(SUITE).group_id,
            extensions: Extensions::new(),
            psks: vec![psk(ResumptionPskUsage::Reinit, b"a group", 2, 1)],
            commits_before: 0,
            known: &known,
        };
        let welcome = forgery.welcome(&mut actors);
        assert_eq!(violation(join(&actors[1], &welcome, &known)), expected, "{names:?}");
    }
}

/// Whoever has a name before an @ is the same with whatever comes behind it.
struct ByName;

impl CredentialValidator for ByName {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }

    fn identity(&self, credential: &Credential) -> Option<Vec<u8>> {
        credential.identity()?.split(|byte| *byte == b'@').next().map(<[u8]>::to_vec)
    }
}

/// V-11.2-05, V-11.3-02: who is the same member is the application's word.
#[test]
fn the_application_says_who_is_the_same() {
    let members = closed_by(3, reinit(SUITE));
    let old = old(&members[0]);
    for (names, same) in [
        (["m0@new", "m1", "m2@phone"], true),
        (["m2", "m1@x", "m0@y"], true),
        (["m0@new", "m1", "m1@phone"], false),
        (["m0", "m1@phone", "m3@phone"], false),
    ] {
        let mut actors = again(&names, SUITE);
        let founding = founding(&mut actors);
        let Actor { signer, rng, .. } = &mut actors[0];
        let by_bytes =
            old.reinitialize(founding.clone(), &judge(&BasicValidator, &NoPsks), signer, rng);
        assert!(matches!(by_bytes, Err(Error::Misuse(Misuse::OtherMembers))));
        match old.reinitialize(founding, &judge(&ByName, &NoPsks), signer, rng) {
            Ok(new) => {
                assert!(same, "{names:?}");
                let welcome = new.welcome.unwrap();
                open(&actors[1], &welcome, &old).unwrap().review(&ByName).unwrap();
                let by_bytes = violation(join(&actors[1], &welcome, &old));
                assert_eq!(by_bytes, Some(Violation::ReInitMembers));
            }
            Err(Error::Misuse(Misuse::OtherMembers)) => assert!(!same, "{names:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    let mut actors = again(&["m1@home", "m2"], SUITE);
    let founding = founding(&mut actors);
    let Actor { signer, rng, .. } = &mut actors[0];
    let id = GroupId::new(b"a branch");
    let judge = judge(&ByName, &NoPsks);
    let new = old.branch(id, Extensions::new(), founding, &judge, signer, rng).unwrap();
    let welcome = new.welcome.unwrap();
    open(&actors[1], &welcome, &old).unwrap().review(&ByName).unwrap();
    let by_bytes = violation(join(&actors[1], &welcome, &old));
    assert_eq!(by_bytes, Some(Violation::BranchMembers));
}
