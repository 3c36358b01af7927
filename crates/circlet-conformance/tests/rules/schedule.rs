//! From epoch to epoch: the GroupContext, the transcript, external init and pre-shared keys
//! (sections 8.1 to 8.4).

use circlet::client::GroupOptions;
use circlet::codec::{DecodeError, Encode};
use circlet::crypto::hpke::setup_base_recipient;
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::{GroupInfoOptions, HandshakeFormat, OpenedGroupInfo};
use circlet::message::{GroupInfo, MlsMessage, Proposal, WireFormat};
use circlet::rules::Violation;
use circlet::schedule::{
    InitSecret, PreSharedKeyId, Psk, ResumptionPskUsage, confirmed_transcript_hash,
};
use circlet::testing::{SeededRng, TestGroup, TestMember, clients};
use circlet::tree::{Extension, ExtensionType};
use circlet::{Error, Unready};

use crate::support::{SUITE, assert_violation};

const OTHER_SUITE: CipherSuite = CipherSuite::P256_AES128GCM_SHA256_P256;

/// V-8.1-02: each Commit begins the epoch after; the one after the last can't begin, whoever commits.
#[test]
fn the_last_epoch() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    for _ in 0..3 {
        let epoch = group.members[0].state().epoch();
        let committed = group.update(1)?;
        assert_eq!(committed.outcome.epoch, epoch + 1);
        assert_eq!(group.members[0].state().epoch(), epoch + 1);
    }
    let at = |group: &mut TestGroup, epoch| {
        for i in 0..2 {
            let mut insider = group.insider(i)?;
            insider.context.epoch = epoch;
            group.members[i].enter(insider.into_state()?);
        }
        Ok::<_, Error>(())
    };
    at(&mut group, u64::MAX - 1)?;
    group.update(1)?;
    assert_eq!(group.members[0].state().epoch(), u64::MAX);
    let commit = group.insider(1)?.commit().private()?;
    // No Commit is genuine any more, a message is.
    assert_violation(&group.members[0].refuses(&commit), Violation::EpochOverflow);
    let request = group.request(0)?;
    assert_violation(&group.members[0].stage(request).unwrap_err(), Violation::EpochOverflow);
    group.send(1, b"the end")?;
    Ok(())
}

/// V-8.1-05: a GroupInfo of a version that there is not, or of another suite than the joiner expects.
#[test]
fn another_version_or_suite() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let settings = group.members[0].settings.clone();
    let mut insider = group.insider(1)?;
    let other = insider
        .group_info()
        .external_pub()
        .edit_group_info(|info| info.group_context.cipher_suite = OTHER_SUITE)
        .build()?;
    let error = OpenedGroupInfo::open(settings.clone(), other, None).unwrap_err();
    assert_violation(&error, Violation::GroupContextVersion);

    let mut message = insider.group_info().external_pub().message()?;
    let MlsMessage::GroupInfo(sound) = MlsMessage::read(&message, &settings.context)? else {
        panic!("no GroupInfo")
    };
    OpenedGroupInfo::open(settings.clone(), sound, None)?;
    // After version and wire format of the MLSMessage.
    message[5] = 2;
    let error = MlsMessage::read(&message, &settings.context).unwrap_err();
    assert!(matches!(error, DecodeError::UnsupportedVersion(2)), "{error:?}");

    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut commit = insider.commit().proposals([add]).private()?;
    let welcome = commit.welcome().edit_group_info_bytes(|bytes| bytes[1] = 2).build()?;
    let error = newcomer.refuses(&welcome);
    assert!(matches!(error, Error::Malformed(DecodeError::UnsupportedVersion(2))), "{error:?}");
    newcomer.join(commit.welcome().build()?)?;
    Ok(())
}

/// V-8.2-03: the wire format in the transcript is the one that the Commit came in. Everything else
/// follows from the wrong transcript, so that only the tag can tell.
#[test]
fn the_wire_format_in_the_transcript() -> Result<(), Error> {
    let formats = [WireFormat::PublicMessage, WireFormat::PrivateMessage];
    for (sent, hashed) in [(formats[0], formats[1]), (formats[1], formats[0])] {
        let mut group = TestGroup::new(SUITE, 2)?;
        let mut insider = group.insider(1)?;
        let commit = |insider: &mut circlet::testing::Insider, confirmed: Option<Vec<u8>>| {
            // The same Commit in each run.
            insider.rng = SeededRng::new(7);
            let commit = insider.commit().edit_context(|context| {
                if let Some(confirmed) = confirmed {
                    context.confirmed_transcript_hash = confirmed;
                }
            });
            match sent {
                WireFormat::PublicMessage => commit.public(),
                _ => commit.private(),
            }
        };
        let mut content = commit(&mut insider, None)?.content;
        assert_eq!(content.wire_format, sent);
        content.wire_format = hashed;
        let input = content.confirmed_transcript_hash_input()?;
        let interim = insider.interim_transcript_hash;
        let suite = insider.suite().clone();
        let confirmed = confirmed_transcript_hash(&suite, interim.as_bytes(), &input)?;
        let wrong = commit(&mut insider, Some(confirmed.as_bytes().to_vec()))?;
        content.wire_format = sent;
        assert_eq!(wrong.content.auth.signature, content.auth.signature);
        assert_violation(&group.refuses(0, &wrong), Violation::ConfirmationTag);
        let right = commit(&mut insider, None)?;
        group.members[0].receive(&right)?;
    }
    Ok(())
}

/// V-8.2-03: both formats in one group.
#[test]
fn a_group_of_both_formats() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    group.members[1].framing.handshake = HandshakeFormat::Public;
    group.members[2].framing.handshake = HandshakeFormat::Private;
    for sender in [1, 2, 2, 1] {
        group.update(sender)?;
    }
    Ok(())
}

/// V-8.3-01: the init secret is what HPKE exports, with nothing for its info, in Nh bytes.
#[test]
fn the_external_init_secret() -> Result<(), Error> {
    for suite in [SUITE, OTHER_SUITE, CipherSuite::P521_AES256GCM_SHA512_P521] {
        let suite = TestGroup::builder(suite).settings()?.suite;
        let mut rng = SeededRng::new(4);
        let keys = suite.generate_key_pair(&mut rng)?;
        let (kem_output, secret) = InitSecret::for_external_join(&suite, &keys.public, &mut rng)?;
        let context =
            setup_base_recipient(suite.provider(), suite.spec(), &keys, &kem_output, b"")?;
        let expected = context.export(b"MLS 1.0 external init secret", suite.spec().hash.length)?;
        assert_eq!(secret.secret(), &expected);
        let received = InitSecret::from_external_init(&suite, &keys, &kem_output)?;
        assert_eq!(received.secret(), &expected);
    }
    Ok(())
}

/// The external Commit of somebody new, who enters the group.
fn join(joiner: &mut TestMember, info: GroupInfo) -> Result<Vec<u8>, Error> {
    let staged = joiner.external_join(info, None, Vec::new())?;
    let message = staged.message().to_vec();
    joiner.enter(staged.confirm());
    Ok(message)
}

/// V-8.3-02: members use the external key of the epoch that the Commit ends: whoever encrypts to that
/// of the epoch before is refused.
#[test]
fn the_external_key_of_the_epoch() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let suite = group.members[0].settings.suite.clone();
    let old = group.insider(1)?.secrets.external_key_pair(&suite)?.public.to_bytes()?;
    group.update(0)?;
    let mut insider = group.insider(1)?;
    let old = Extension { extension_type: ExtensionType::EXTERNAL_PUB, data: old };
    let stale = insider.group_info().edit_group_info(|info| info.extensions.set(old)).build()?;
    let message = join(&mut group.newcomer("misled")?, stale)?;
    for receiver in [0, 2] {
        assert_violation(&group.refuses(receiver, &message), Violation::ConfirmationTag);
    }

    let mut rng = SeededRng::new(6);
    let TestMember { signer, .. } = &group.members[0];
    let options = GroupInfoOptions::default();
    let info = group.members[0].state().group_info(options, signer, &mut rng)?;
    let MlsMessage::GroupInfo(info) = info else { panic!("no GroupInfo") };
    let mut joiner = group.newcomer("joiner")?;
    let message = join(&mut joiner, info)?;
    for member in &mut group.members {
        member.receive(&message)?;
    }
    group.members.push(joiner);
    group.agree();
    Ok(())
}

/// One use of an external PSK.
fn external(name: &[u8], nonce: u8) -> PreSharedKeyId {
    PreSharedKeyId { psk: Psk::External { psk_id: name.to_vec() }, psk_nonce: vec![nonce; 32] }
}

fn give(member: &mut TestMember, name: &[u8]) {
    member.psks.external.insert(name.to_vec(), Secret::new(&[name[0]; 32]));
}

/// V-8.4-01: a Welcome has the PSKs in the order of the Commit; in another one nobody can decrypt it.
#[test]
fn the_order_of_psks() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut newcomer = group.newcomer("new")?;
    let names = [b"one", b"two", b"and"];
    for member in group.members.iter_mut().chain([&mut newcomer]) {
        names.iter().for_each(|name| give(member, *name));
    }
    let add = Proposal::Add(newcomer.key_package()?);
    let psks = || names.iter().map(|name| Proposal::PreSharedKey(external(*name, 1)));
    let proposals: Vec<Proposal> = psks().chain([add]).collect();
    let mut commit = group.insider(1)?.commit().proposals(proposals.clone()).private()?;
    let welcome = commit.welcome().edit_secrets(|_, secrets| secrets.psks.reverse()).build()?;
    let error = newcomer.refuses(&welcome);
    assert_violation(&error, Violation::WelcomeDecryption);

    let committed = group.commit_with(0, proposals)?;
    newcomer.join(committed.welcome.unwrap())?;
    group.members.push(newcomer);
    group.agree();
    Ok(())
}

/// V-8.4-02: each use of a PSK has a nonce of its own, of Nh bytes.
#[test]
fn a_nonce_for_each_use() -> Result<(), Error> {
    let test = clients(SUITE, 2)?;
    for client in &test.clients {
        client.add_psk(b"shared", &Secret::new(&[5; 32]))?;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let _ = test.groups[0].propose_psk(b"shared".to_vec())?;
    }
    for waiting in test.groups[0].waiting_proposals()? {
        let Proposal::PreSharedKey(id) = waiting.proposal else { panic!("another one") };
        assert_eq!(id.psk, external(b"shared", 0).psk);
        assert_eq!(id.psk_nonce.len(), 32);
        assert!(!seen.contains(&id.psk_nonce));
        seen.push(id.psk_nonce);
    }
    assert_eq!(seen.len(), 3);
    // Nh of the group's suite.
    let other = clients(CipherSuite::P521_AES256GCM_SHA512_P521, 1)?;
    let group = other.clients[0].create_group_with(GroupOptions::default())?;
    other.clients[0].add_psk(b"shared", &Secret::new(&[5; 64]))?;
    let _ = group.propose_psk(b"shared".to_vec())?;
    let waiting = group.waiting_proposals()?;
    assert!(matches!(&waiting[0].proposal, Proposal::PreSharedKey(id) if id.psk_nonce.len() == 64));
    Ok(())
}

/// The Commit and its Welcome are refused for want of this key, and accepted with it.
fn assert_missing(
    id: PreSharedKeyId,
    give: impl Fn(&mut circlet::testing::TestPsks),
) -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let missing =
        |error: &Error| matches!(error, Error::Unready(Unready::UnknownPsk(psk)) if *psk == id.psk);
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    give(&mut insider.psks);
    let proposals = [Proposal::PreSharedKey(id.clone()), add];
    let mut commit = insider.commit().proposals(proposals.clone()).private()?;
    let welcome = commit.welcome().build()?;

    let error = group.refuses(0, &commit);
    assert!(missing(&error), "{error:?}");
    let error = newcomer.refuses(&welcome);
    assert!(missing(&error), "{error:?}");
    let request = group.request(2)?;
    let error = group.commit(
        2,
        circlet::group::CommitRequest {
            by_value: vec![Proposal::PreSharedKey(id.clone())],
            ..request
        },
    );
    let error = error.unwrap_err();
    assert!(missing(&error), "{error:?}");

    for i in [0, 2] {
        give(&mut group.members[i].psks);
        group.members[i].receive(&commit)?;
    }
    give(&mut newcomer.psks);
    newcomer.join(&welcome)?;
    group.members[1].enter(commit.next.into_state()?);
    group.members.push(newcomer);
    group.agree();
    Ok(())
}

/// V-8.4-05: a resumption PSK of a group or of an epoch that is not known.
#[test]
fn a_resumption_psk_that_is_missing() -> Result<(), Error> {
    for (group_id, epoch) in [(&b"another group"[..], 1), (b"a group", 77)] {
        let usage = ResumptionPskUsage::Application;
        let psk = Psk::Resumption { usage, psk_group_id: group_id.to_vec(), psk_epoch: epoch };
        assert_missing(PreSharedKeyId { psk, psk_nonce: vec![1; 32] }, |psks| {
            psks.resumption.insert((group_id.to_vec(), epoch), Secret::new(&[9; 32]));
        })?;
    }
    Ok(())
}

/// V-8.4-07: an external PSK that is not in the store.
#[test]
fn an_external_psk_that_is_missing() -> Result<(), Error> {
    assert_missing(external(b"missing", 1), |psks| {
        psks.external.insert(b"missing".to_vec(), Secret::new(&[9; 32]));
    })
}
