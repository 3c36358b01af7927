//! Attacks 9, 10, 14 and 15: what a Commit brings.

use circlet::codec::{CustomProposal, DecodeContext, DecodeError};
use circlet::crypto::{HpkePublicKey, Secret};
use circlet::group::{CommitRequest, Signers};
use circlet::identity::{Signer, SigningKey};
use circlet::message::{GroupId, Proposal, ReInit};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::testing::{
    ForgedCommit, Heard, Insider, TestGroup, default_capabilities, extensions_unchecked,
};
use circlet::tree::{
    Capabilities, Extension, ExtensionType, Extensions, LeafIndex, MLS10, ProposalType,
};
use circlet::{Error, Misuse};

use crate::support::{SUITE, refuses_welcome, violation};

/// What member 0 says to a Commit of member 1 in a group of four with parents.
#[track_caller]
fn refused(
    make: impl FnOnce(&mut TestGroup, &mut Insider) -> Result<ForgedCommit, Error>,
) -> Violation {
    let mut group = TestGroup::new(SUITE, 4).unwrap();
    group.update(0).unwrap();
    let mut insider = group.insider(1).unwrap();
    let commit = make(&mut group, &mut insider).unwrap();
    violation(group.refuses(0, commit))
}

fn leaf_key(insider: &Insider, leaf: u32) -> HpkePublicKey {
    insider.tree.leaf(LeafIndex(leaf)).unwrap().encryption_key.clone()
}

/// A key that stands in two places decrypts what is meant for one, and a signature key that two
/// leaves share makes one member speak as the other. Keys are looked for across leaves, paths and
/// proposals of one Commit; one that the same Commit sets free may be taken.
///
/// V-7.3-13, V-12.2-16, V-12.2-07, V-12.2-08, V-12.4.2-10, V-12.4.2-09.
#[test]
fn attack_09_duplicate_keys() -> Result<(), Error> {
    keys_in_adds();
    keys_in_updates();
    keys_in_paths();
    // Whoever is removed by the same Commit has set its keys free.
    let mut group = TestGroup::new(SUITE, 4)?;
    let mut again = group.newcomer("m2")?;
    again.signer = group.members[2].signer.clone();
    let key = leaf_key(&group.insider(1)?, 2);
    let key_package = again.forge_key_package().leaf(|leaf| leaf.encryption_key = key).build()?;
    let list = [Proposal::Remove(LeafIndex(2)), Proposal::Add(key_package)];
    let committed = group.commit_with(1, list)?;
    assert_eq!((committed.outcome.added.len(), committed.outcome.removed.len()), (1, 1));
    Ok(())
}

/// An Add with the signature or encryption key of a member, or of another Add.
fn keys_in_adds() {
    let found = refused(|group, insider| {
        let mut newcomer = group.newcomer("new")?;
        newcomer.signer = group.members[2].signer.clone();
        let add = Proposal::Add(newcomer.key_package()?);
        insider.commit().proposals([add]).private()
    });
    assert_eq!(found, Violation::AddedMember);
    let found = refused(|group, insider| {
        let mut newcomer = group.newcomer("new")?;
        let key = leaf_key(insider, 2);
        let forged = newcomer.forge_key_package().leaf(|leaf| leaf.encryption_key = key);
        let add = Proposal::Add(forged.build()?);
        insider.commit().proposals([add]).private()
    });
    assert_eq!(found, Violation::DuplicateEncryptionKey);
    let found = refused(|group, insider| {
        let (mut one, mut other) = (group.newcomer("one")?, group.newcomer("other")?);
        let first = one.key_package()?;
        let key = first.leaf_node.encryption_key.clone();
        let second = other.forge_key_package().leaf(|leaf| leaf.encryption_key = key).build()?;
        insider.commit().proposals([first, second].map(Proposal::Add)).private()
    });
    assert_eq!(found, Violation::DuplicateEncryptionKey);
    let found = refused(|group, insider| {
        let mut one = group.newcomer("one")?;
        let adds = [one.key_package()?, one.key_package()?].map(Proposal::Add);
        insider.commit().proposals(adds).private()
    });
    assert_eq!(found, Violation::AddedTwice);
}

/// An Update and an Add, or two members, with one key.
fn keys_in_updates() {
    let found = refused(|group, insider| {
        let mut newcomer = group.newcomer("new")?;
        let key_package = newcomer.key_package()?;
        let key = key_package.leaf_node.encryption_key.clone();
        let mut other = group.insider(2)?;
        let update = other.update().edit(|leaf| leaf.encryption_key = key).proposal()?;
        let update = other.proposal(update)?.private()?;
        group.members[0].receive(&update)?;
        insider.remember(&update)?;
        insider.commit().waiting().proposals([Proposal::Add(key_package)]).private()
    });
    assert_eq!(found, Violation::DuplicateEncryptionKey);
    let found = refused(|group, insider| {
        let mut other = group.insider(2)?;
        let signer = group.members[3].signer.clone();
        let key = signer.public_key().clone();
        let leaf = other.update().edit(|leaf| leaf.signature_key = key).signer(signer);
        let update = leaf.proposal()?;
        let update = other.proposal(update)?.private()?;
        group.members[0].receive(&update)?;
        insider.remember(&update)?;
        insider.commit().waiting().private()
    });
    assert_eq!(found, Violation::DuplicateSignatureKey);
}

/// A path with a key of the tree, the same key twice, another leaf's or the old one.
fn keys_in_paths() {
    let found = refused(|_, insider| {
        let key = leaf_key(insider, 3);
        insider.commit().edit_steps(|steps| steps[1].public_key = key).private()
    });
    assert_eq!(found, Violation::PathKeyReused);
    let found = refused(|_, insider| {
        let edit = |steps: &mut Vec<circlet::testing::PathStep>| {
            steps[1].public_key = steps[0].public_key.clone();
        };
        insider.commit().edit_steps(edit).private()
    });
    assert_eq!(found, Violation::PathKeyReused);
    let found = refused(|_, insider| {
        let key = leaf_key(insider, 3);
        insider.commit().leaf(|leaf| leaf.encryption_key = key).private()
    });
    assert_eq!(found, Violation::PathKeyReused);
    let found = refused(|_, insider| {
        let key = leaf_key(insider, 1);
        insider.commit().leaf(|leaf| leaf.encryption_key = key).private()
    });
    assert_eq!(found, Violation::PathKeepsEncryptionKey);
    let found = refused(|group, insider| {
        let signer = group.members[3].signer.clone();
        let key = signer.public_key().clone();
        insider.commit().leaf(|leaf| leaf.signature_key = key).leaf_signer(signer).private()
    });
    assert_eq!(found, Violation::DuplicateSignatureKey);
}

/// One subtree gets path secrets that don't belong to the path: its members are cut off from a
/// Commit that all others follow (section 16.12). They notice, keep what they had, and come back by
/// an external Commit.
///
/// V-7.5-06, V-7.6-04.
#[test]
fn attack_10_partial_path_corruption() -> Result<(), Error> {
    for wrong in [true, false] {
        let mut group = TestGroup::new(SUITE, 4)?;
        let victim = LeafIndex(3);
        let mut insider = group.insider(0)?;
        let commit = insider.commit().edit_seals(|seal| {
            if Some(seal.recipient) == victim.node() {
                match wrong {
                    true => seal.plaintext[0] ^= 1,
                    false => seal.context.push(0),
                }
            }
        });
        let commit = commit.private()?;
        let expected = if wrong { Violation::PathPublicKey } else { Violation::PathDecryption };
        assert_eq!(violation(group.refuses(3, &commit)), expected);
        let before = group.members[3].fingerprint()?;
        for i in [1, 2] {
            assert!(matches!(group.members[i].receive(&commit)?, Heard::Commit(_)));
        }
        group.members[0].enter(commit.next.into_state()?);

        // The others are in an epoch that the victim has not reached: it sees that, no more. Nobody
        // is left who could send it something genuine.
        let early = group.members[1].send(b"without you")?;
        let error = group.members[3].refuses(&early);
        assert!(matches!(error, Error::Unready(circlet::Unready::FutureEpoch { .. })));
        assert_eq!(group.members[3].fingerprint()?, before);

        let info = group.insider(2)?.group_info().external_pub().build()?;
        let staged = group.members[3].external_join(info, Some(victim), Vec::new())?;
        let back = staged.message().to_vec();
        group.broadcast(3, &back)?;
        group.members[3].enter(staged.confirm());
        group.agree();
        group.send(3, b"back")?;
    }
    Ok(())
}

fn psk(nonce: u8) -> Proposal {
    let psk = Psk::External { psk_id: b"psk".to_vec() };
    Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![nonce; 32] })
}

/// Lists that are harmless piece by piece and not together: the same key injected twice, extensions
/// that nobody supports or that belong elsewhere, a leaf that is updated and removed, a Commit that
/// leaves out the path which its list requires, something beside a ReInit, a type that not everybody
/// has. All pairs of types are in the test `pairs`; this is one of each known case.
///
/// V-12.2-05, V-12.2-09, V-12.2-11, V-12.2-12, V-12.2-15, V-12.4-04, V-12.1.7-05.
#[test]
fn attack_14_proposal_list_smuggling() -> Result<(), Error> {
    let with_psk = |nonces: [u8; 2]| {
        refused(|_, insider| {
            insider.psks.external.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
            insider.commit().proposals(nonces.map(psk)).private()
        })
    };
    assert_eq!(with_psk([1, 1]), Violation::PskTwice);

    let extensions = |extension_type, data: &[u8]| {
        let extension = Extension { extension_type, data: data.to_vec() };
        Proposal::GroupContextExtensions(extensions_unchecked(vec![extension]))
    };
    for (proposal, expected) in [
        (extensions(ExtensionType(0xF0F0), b"x"), Violation::GroupContextExtensionSupport),
        (extensions(ExtensionType::RATCHET_TREE, &[0]), Violation::GroupContextExtensionType),
        (extensions(ExtensionType::EXTERNAL_PUB, &[0]), Violation::GroupContextExtensionType),
        (extensions(ExtensionType::APPLICATION_ID, &[0]), Violation::GroupContextExtensionType),
    ] {
        let found = refused(|_, insider| insider.commit().proposals([proposal]).private());
        assert_eq!(found, expected);
    }
    let twice = || Proposal::GroupContextExtensions(Extensions::new());
    let found = refused(|_, insider| insider.commit().proposals([twice(), twice()]).private());
    assert_eq!(found, Violation::GroupContextExtensionsTwice);

    let found = refused(|group, insider| {
        let mut other = group.insider(2)?;
        let update = other.update().proposal()?;
        let update = other.proposal(update)?.private()?;
        group.members[0].receive(&update)?;
        insider.remember(&update)?;
        insider.commit().waiting().proposals([Proposal::Remove(LeafIndex(2))]).private()
    });
    assert_eq!(found, Violation::LeafTwice);

    for list in [vec![], vec![Proposal::Remove(LeafIndex(2))], vec![twice()]] {
        let found = refused(|_, insider| insider.commit().proposals(list).without_path().private());
        assert_eq!(found, Violation::PathMissing);
    }
    let reinit = || {
        Proposal::ReInit(ReInit {
            group_id: GroupId::new(b"next"),
            version: MLS10,
            cipher_suite: SUITE,
            extensions: Extensions::new(),
        })
    };
    for other in [reinit(), Proposal::Remove(LeafIndex(2)), twice()] {
        let list = [reinit(), other];
        let found = refused(|_, insider| insider.commit().proposals(list).private());
        assert_eq!(found, Violation::ReInitNotAlone);
    }
    types_that_not_everybody_has()
}

fn types_that_not_everybody_has() -> Result<(), Error> {
    let kind = ProposalType(0xF0A1);
    let custom = Proposal::Custom { proposal_type: kind, body: vec![1] };
    // Registered by all, supported by all but one.
    let mut context = DecodeContext::default();
    context.proposal_types.insert(kind.0, CustomProposal::default());
    let without = Capabilities { proposals: Vec::new(), ..default_capabilities(SUITE)? };
    let builder = TestGroup::builder(SUITE).size(4).context(context).capabilities(2, without);
    let mut group = builder.build()?;
    let commit = group.insider(1)?.commit().proposals([custom.clone()]).private()?;
    let error = group.refuses(0, commit);
    assert_eq!(violation(error), Violation::ProposalTypeNotSupported);
    // Who leaves by the same Commit need not support it.
    let list = [custom.clone(), Proposal::Remove(LeafIndex(2))];
    let commit = group.insider(1)?.commit().proposals(list).private()?;
    assert!(matches!(group.members[0].receive(commit)?, Heard::Commit(_)));
    // Registered by nobody: where the list ends can't be told.
    let mut group = TestGroup::new(SUITE, 2)?;
    let commit = group.insider(1)?.commit().proposals([custom]).private()?;
    let error = group.refuses(0, commit);
    assert!(matches!(error, Error::Malformed(DecodeError::UnsupportedProposal(0xF0A1))));
    Ok(())
}

/// A member that takes a new signature key by a Commit which also adds somebody: the Commit is signed
/// with the old key, the GroupInfo for the new member with the new one. The wrong one of the two is
/// refused; and a new key is never dropped silently because a Commit could do without a path.
///
/// V-6.1-03, V-12.4.1-05, V-12.4.3-04.
#[test]
fn attack_15_signer_rotation_confusion() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    let old = insider.signer.clone();
    let new = SigningKey::generate(&insider.suite().clone(), &mut insider.rng)?;
    let rotate = |insider: &mut Insider, framed_by: SigningKey| {
        let key = new.public_key().clone();
        let commit = insider.commit().proposals([add.clone()]);
        let commit = commit.leaf(|leaf| leaf.signature_key = key).leaf_signer(new.clone());
        commit.framed(|frame| frame.signer(framed_by)).private()
    };
    let wrong = rotate(&mut insider, new.clone())?;
    assert_eq!(violation(group.refuses(0, wrong)), Violation::ContentSignature);
    let mut commit = rotate(&mut insider, old.clone())?;
    let welcome = commit.welcome().signer(old.clone()).build()?;
    assert_eq!(
        refuses_welcome(&mut newcomer, &mut commit, &welcome),
        Violation::GroupInfoSignature
    );
    newcomer.join(commit.welcome().build()?)?;
    group.broadcast(1, &commit)?;
    group.members[1].enter(commit.next.into_state()?);
    // From now on the old key is nobody's.
    let stale = group.insider(1)?.application(b"x")?.signer(old).private()?;
    assert_eq!(violation(group.refuses(0, stale)), Violation::ContentSignature);
    group.members[1].signer = new;
    group.members.push(newcomer);
    group.send(1, b"hello")?;
    group.agree();
    rotations_without_a_path()
}

/// What could do without a path has one where the committer's key changes.
fn rotations_without_a_path() -> Result<(), Error> {
    let reinit = Proposal::ReInit(ReInit {
        group_id: GroupId::new(b"next"),
        version: MLS10,
        cipher_suite: SUITE,
        extensions: Extensions::new(),
    });
    for kind in 0..3 {
        let mut group = TestGroup::new(SUITE, 3)?;
        let mut newcomer = group.newcomer("new")?;
        group.members.iter_mut().for_each(|member| {
            member.psks.external.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
        });
        let list = match kind {
            0 => Proposal::Add(newcomer.key_package()?),
            1 => psk(1),
            _ => reinit.clone(),
        };
        let member = &mut group.members[1];
        let mut rng = member.rng.clone();
        let new = SigningKey::generate(&member.settings.suite, &mut rng)?;
        let signers = Signers { present: &member.signer, next: Some(&new) };
        let request =
            CommitRequest { by_value: vec![list], force_path: false, ..CommitRequest::default() };
        let (staged, step) =
            member.state().commit_with(request, &member.judge(), signers, &mut rng)?;
        let message = staged.message().to_vec();
        member.apply(step)?;
        member.staged = Some(staged);
        member.confirm()?;
        member.signer = new.clone();
        group.broadcast(1, &message)?;
        group.agree();
        let leaf = group.members[0].state().tree().leaf(LeafIndex(1)).unwrap();
        assert_eq!(leaf.signature_key, *new.public_key(), "{kind}");
        // A closed group is not written to any more.
        let sent = group.members[1].send(b"hello");
        match kind {
            2 => assert!(matches!(sent, Err(Error::Misuse(Misuse::Reinitialized)))),
            _ => drop(group.members[0].receive(sent?)?),
        }
    }
    Ok(())
}
