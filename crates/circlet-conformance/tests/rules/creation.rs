//! How a group begins, and what it demands of its members (sections 11, 11.1).

use std::collections::BTreeSet;

use circlet::Error;
use circlet::codec::{DecodeError, Encode};
use circlet::crypto::{CipherSuite, Rng, RngError, Secret};
use circlet::group::{GroupInfoOptions, GroupState, JoinKeys, best_cipher_suite};
use circlet::identity::CredentialType;
use circlet::message::{GroupId, MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{
    SeededRng, TestGroup, TestMember, clients, default_capabilities, extensions_unchecked,
};
use circlet::tree::{
    Capabilities, Extension, ExtensionType, Extensions, LeafIndex, LeafNodeSource, ProposalType,
    RequiredCapabilities,
};

use crate::support::{SUITE, assert_malformed, assert_violation};

const EXTENSION: ExtensionType = ExtensionType(0xf001);
const PROPOSAL: ProposalType = ProposalType(0xf002);
const CREDENTIAL: CredentialType = CredentialType(0xf003);

/// A generator that keeps what it gave.
struct Recording(SeededRng, Vec<Vec<u8>>);

impl Rng for Recording {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        self.0.fill(out)?;
        self.1.push(out.to_vec());
        Ok(())
    }
}

fn somebody() -> Result<TestMember, Error> {
    TestMember::new(TestGroup::builder(SUITE).settings()?, "somebody", 3)
}

fn keys(member: &mut TestMember) -> Result<JoinKeys, Error> {
    member.key_package()?;
    Ok(member.keys.pop().unwrap())
}

/// V-11.0-03, V-11.0-04: one leaf, epoch 0, no transcript, the creator's extensions; and all secrets
/// from an epoch secret of Nh bytes that are random.
#[test]
fn a_new_group() -> Result<(), Error> {
    let mut member = somebody()?;
    let keys = keys(&mut member)?;
    let extensions = Extensions::from_iter([RequiredCapabilities::default().to_extension()?]);
    let mut rng = Recording(SeededRng::new(8), Vec::new());
    let (settings, id) = (member.settings.clone(), GroupId::new(b"a group"));
    let state = GroupState::create(settings, id.clone(), extensions.clone(), keys, &mut rng)?;
    let context = state.context();
    assert_eq!((context.epoch, &context.group_id, context.cipher_suite), (0, &id, SUITE));
    assert!(context.confirmed_transcript_hash.is_empty());
    assert_eq!(context.extensions, extensions);
    assert_eq!((state.members().count(), state.own_leaf()), (1, LeafIndex(0)));
    let suite = member.settings.suite.clone();
    assert_eq!(context.tree_hash, state.tree().tree_hash(&suite)?.as_bytes());

    let [drawn] = &rng.1[..] else { panic!("{} random values", rng.1.len()) };
    assert_eq!(drawn.len(), suite.secret_length());
    let epoch_secret = Secret::new(drawn);
    member.enter(state);
    let insider = member.insider()?;
    assert_eq!(insider.secrets.init_secret.secret(), &suite.derive_secret(&epoch_secret, "init")?);
    let confirmation_key = suite.derive_secret(&epoch_secret, "confirm")?;
    let tag = suite.mac(&confirmation_key, &[&[]])?;
    assert_eq!(insider.confirmation_tag, tag);
    // InterimTranscriptHashInput after nothing.
    assert_eq!(insider.interim_transcript_hash, suite.hash(&[&tag.to_bytes()?])?);
    Ok(())
}

/// V-11.0-03: nothing but chance tells the secrets of two groups apart that are alike.
#[test]
fn a_random_epoch_secret() -> Result<(), Error> {
    let mut member = somebody()?;
    let keys = keys(&mut member)?;
    let create = |seed| {
        let (settings, id) = (member.settings.clone(), GroupId::new(b"a group"));
        let mut rng = SeededRng::new(seed);
        GroupState::create(settings, id, Extensions::new(), keys.clone(), &mut rng)
    };
    let [one, same, other] = [create(1)?, create(1)?, create(2)?];
    assert_eq!(one.context(), other.context());
    assert_eq!(one.epoch_authenticator(), same.epoch_authenticator());
    assert_ne!(one.epoch_authenticator(), other.epoch_authenticator());
    assert_eq!(one.epoch(), 0);
    Ok(())
}

/// V-11.0-04: who joins epoch 0 from outside computes the interim transcript hash from the GroupInfo,
/// and commits on it: the creator has the same.
#[test]
fn the_transcript_of_epoch_0() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 1)?;
    let mut joiner = group.newcomer("joiner")?;
    let TestMember { signer, rng, .. } = &mut group.members[0];
    let (signer, rng) = (signer.clone(), rng);
    let mut rng = rng.fork()?;
    let state = group.members[0].state();
    assert_eq!(state.epoch(), 0);
    let info = state.group_info(GroupInfoOptions::default(), &signer, &mut rng)?;
    let MlsMessage::GroupInfo(info) = info else { panic!("no GroupInfo") };
    let staged = joiner.external_join(info, None, Vec::new())?;
    group.members[0].receive(staged.message())?;
    joiner.enter(staged.confirm());
    group.members.push(joiner);
    group.agree();
    group.send(1, b"hello")?;
    Ok(())
}

/// V-11.0-01: the key packages that somebody handed out are for a suite that all have, and say that
/// there is a better one that all have: that one is it.
#[test]
fn the_best_suite_of_all() -> Result<(), Error> {
    let (better, worse) = (CipherSuite::P256_AES128GCM_SHA256_P256, SUITE);
    let key_package = |suites: &[CipherSuite], versions: &[u16]| {
        let mut member = somebody()?;
        member.template.capabilities.cipher_suites = suites.to_vec();
        member.template.capabilities.versions = versions.to_vec();
        member.key_package()
    };
    let all = [key_package(&[worse, better], &[1])?, key_package(&[better, worse], &[1, 2])?];
    assert_eq!(best_cipher_suite(&all, &[better, worse]), Some(better));
    let one_less = [all[0].clone(), key_package(&[worse], &[1])?];
    assert_eq!(best_cipher_suite(&one_less, &[better, worse]), Some(worse));
    assert_eq!(best_cipher_suite(&one_less, &[better]), None);
    let other_version = [all[0].clone(), key_package(&[better, worse], &[2])?];
    assert_eq!(best_cipher_suite(&other_version, &[better, worse]), None);
    Ok(())
}

/// V-11.0-02: where nobody chooses one, a group's id is Nh random bytes.
#[test]
fn group_ids() -> Result<(), Error> {
    let test = clients(SUITE, 1)?;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let id = test.clients[0].create_group()?.id().as_bytes().to_vec();
        assert_eq!(id.len(), 32);
        assert!(seen.insert(id));
    }
    Ok(())
}

/// V-11.0-05: the creator has to support its group's own extensions, and what they require.
#[test]
fn the_creators_own_demands() -> Result<(), Error> {
    let required = RequiredCapabilities {
        extension_types: vec![EXTENSION],
        ..RequiredCapabilities::default()
    };
    for (extension, expected) in [
        (
            Extension { extension_type: EXTENSION, data: Vec::new() },
            Violation::GroupContextExtensionSupport,
        ),
        (required.to_extension()?, Violation::RequiredCapabilities),
    ] {
        let extensions = Extensions::from_iter([extension]);
        let mut member = somebody()?;
        let error = member.create(b"a group", extensions.clone()).unwrap_err();
        assert_violation(&error, expected);
        member.template.capabilities.extensions.push(EXTENSION);
        member.create(b"a group", extensions)?;
    }
    Ok(())
}

/// V-11.0-06: the creator's leaf is from a KeyPackage, with a lifetime, so that who joins later finds
/// a valid tree.
#[test]
fn the_creators_leaf() -> Result<(), Error> {
    let mut member = somebody()?;
    for source in [LeafNodeSource::Update, LeafNodeSource::Commit(vec![7; 32])] {
        let _ = member.forge_key_package().leaf(|leaf| leaf.source = source).build()?;
        let keys = member.keys.pop().unwrap();
        let (settings, id) = (member.settings.clone(), GroupId::new(b"a group"));
        let created = GroupState::create(settings, id, Extensions::new(), keys, &mut member.rng);
        assert_violation(&created.unwrap_err(), Violation::KeyPackageLeafSource);
    }
    member.create(b"a group", Extensions::new())?;
    let leaf = member.state().tree().leaf(LeafIndex(0)).unwrap();
    assert!(matches!(leaf.source, LeafNodeSource::KeyPackage(_)));
    Ok(())
}

/// Capabilities with one value more in each list.
fn knowing() -> Result<Capabilities, Error> {
    let mut capabilities = default_capabilities(SUITE)?;
    capabilities.extensions.push(EXTENSION);
    capabilities.proposals.push(PROPOSAL);
    capabilities.credentials.push(CREDENTIAL);
    Ok(capabilities)
}

/// Requirements that only [`knowing`] members meet, one kind each.
fn demands() -> [RequiredCapabilities; 3] {
    let mut demands = [(); 3].map(|()| RequiredCapabilities::default());
    demands[0].extension_types.push(EXTENSION);
    demands[1].proposal_types.push(PROPOSAL);
    demands[2].credential_types.push(CREDENTIAL);
    demands
}

fn extensions(required: &RequiredCapabilities) -> Result<Extensions, Error> {
    Ok(Extensions::from_iter([required.to_extension()?]))
}

/// V-11.1-01: nobody is added who lacks what the group requires, by an honest member or by one that
/// does not look.
#[test]
fn new_members_meet_the_requirements() -> Result<(), Error> {
    for required in demands() {
        let builder = TestGroup::builder(SUITE).size(3).extensions(extensions(&required)?);
        let builder = (0..3).try_fold(builder, |builder, member| {
            Ok::<_, Error>(builder.capabilities(member, knowing()?))
        })?;
        let mut group = builder.build()?;
        let mut newcomer = group.newcomer("new")?;
        let add = Proposal::Add(newcomer.key_package()?);
        let error = group.commit_with(0, [add.clone()]).unwrap_err();
        assert_violation(&error, Violation::RequiredCapabilities);
        let commit = group.insider(1)?.commit().proposals([add]).private()?;
        for receiver in [0, 2] {
            let error = group.refuses(receiver, &commit);
            assert_violation(&error, Violation::RequiredCapabilities);
        }
        newcomer.template.capabilities = knowing()?;
        group.add_member(0, newcomer)?;
    }
    Ok(())
}

/// V-11.1-01, V-11.1-02: nothing is required from now on that one present member lacks.
#[test]
fn present_members_meet_the_requirements() -> Result<(), Error> {
    for required in demands() {
        let builder = TestGroup::builder(SUITE).size(3);
        let builder = builder.capabilities(0, knowing()?).capabilities(1, knowing()?);
        let mut group = builder.build()?;
        let proposal = Proposal::GroupContextExtensions(extensions(&required)?);
        let error = group.commit_with(0, [proposal.clone()]).unwrap_err();
        assert_violation(&error, Violation::GroupContextRequirements);
        let commit = group.insider(1)?.commit().proposals([proposal.clone()]).private()?;
        for receiver in [0, 2] {
            let error = group.refuses(receiver, &commit);
            assert_violation(&error, Violation::GroupContextRequirements);
        }
        // Without that member it is allowed.
        let remove = Proposal::Remove(group.leaf(2)?);
        group.commit_with(0, [remove, proposal])?;
    }
    Ok(())
}

/// V-11.1-01: default extension and proposal types need not be listed, but credential types do.
#[test]
fn default_types_need_no_listing() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let required = RequiredCapabilities {
        extension_types: (1..=5).map(ExtensionType).collect(),
        proposal_types: (1..=7).map(ProposalType).collect(),
        credential_types: vec![CredentialType::BASIC],
    };
    group.commit_with(0, [Proposal::GroupContextExtensions(extensions(&required)?)])?;
    group.add(0, "new")?;

    let required = RequiredCapabilities {
        credential_types: vec![CredentialType::X509],
        ..RequiredCapabilities::default()
    };
    let builder = TestGroup::builder(SUITE).size(2);
    let mut capabilities = default_capabilities(SUITE)?;
    capabilities.credentials.push(CredentialType::X509);
    let mut group = builder.capabilities(0, capabilities).build()?;
    let proposal = Proposal::GroupContextExtensions(extensions(&required)?);
    let error = group.commit_with(0, [proposal]).unwrap_err();
    assert_violation(&error, Violation::GroupContextRequirements);
    Ok(())
}

/// A required_capabilities extension with these bytes.
fn raw(data: &[u8]) -> Extension {
    let extension_type = ExtensionType::REQUIRED_CAPABILITIES;
    Extension { extension_type, data: data.to_vec() }
}

/// V-11.1-03: what is required can't be read, in a new group, in a change of the extensions and in a
/// Welcome.
#[test]
fn malformed_requirements() -> Result<(), Error> {
    let sound = raw(&[0, 0, 0]);
    let short = DecodeError::EndOfInput { missing: 1 };
    for (data, expected) in [
        (&[][..], short),
        (&[0, 0], short),
        (&[0, 0, 0, 0], DecodeError::TrailingBytes { count: 1 }),
        (&[1, 7, 0, 0], short),
        (&[0xc0, 0, 0], DecodeError::InvalidLengthPrefix),
    ] {
        let list = Extensions::from_iter([raw(data)]);
        let error = somebody()?.create(b"a group", list.clone()).unwrap_err();
        assert_malformed(&error, expected);

        let mut group = TestGroup::new(SUITE, 3)?;
        let mut newcomer = group.newcomer("new")?;
        let add = Proposal::Add(newcomer.key_package()?);
        let mut insider = group.insider(1)?;
        let proposal = Proposal::GroupContextExtensions(list.clone());
        let commit = insider.commit().proposals([proposal]).private()?;
        let error = group.refuses(0, &commit);
        assert_malformed(&error, expected);

        let mut commit = insider.commit().proposals([add]).private()?;
        let welcome = commit.welcome().edit_context(|context| context.extensions = list).build()?;
        let error = newcomer.refuses(&welcome);
        assert_malformed(&error, expected);
        newcomer.join(commit.welcome().build()?)?;
    }
    let mut group = TestGroup::new(SUITE, 2)?;
    let list = Extensions::from_iter([sound]);
    group.commit_with(0, [Proposal::GroupContextExtensions(list)])?;
    Ok(())
}

/// V-11.1-03: requirements that are there twice.
#[test]
fn requirements_twice() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let twice = extensions_unchecked(vec![raw(&[0, 0, 0]), raw(&[0, 0, 0])]);
    let duplicate = |error: &Error| {
        let kind = ExtensionType::REQUIRED_CAPABILITIES.0;
        matches!(error, Error::Malformed(DecodeError::DuplicateExtension(found)) if *found == kind)
    };
    let mut insider = group.insider(1)?;
    let proposal = Proposal::GroupContextExtensions(twice.clone());
    let commit = insider.commit().proposals([proposal]).private()?;
    let error = group.refuses(0, &commit);
    assert!(duplicate(&error), "{error:?}");

    let mut commit = insider.commit().proposals([add]).private()?;
    let welcome = commit.welcome().edit_context(|context| context.extensions = twice).build()?;
    let error = newcomer.refuses(&welcome);
    assert!(duplicate(&error), "{error:?}");
    newcomer.join(commit.welcome().build()?)?;
    Ok(())
}
