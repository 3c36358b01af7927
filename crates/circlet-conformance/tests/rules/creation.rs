//! Making groups, and the pre-shared keys and versions of groups (RFC 9420 sections 8.1, 8.4 and 11).

use std::collections::BTreeSet;

use circlet::Error;
use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::{CipherSuite, Mac};
use circlet::group::OpenedGroupInfo;
use circlet::message::{GroupContext, Proposal};
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, interim_transcript_hash};
use circlet::testing::{TestGroup, clients};
use circlet::tree::{
    Extension, ExtensionType, Extensions, LeafIndex, LeafNodeSource, ProposalType,
    RequiredCapabilities,
};

use crate::support::{SUITE, assert_violation};

/// V-11.0-02: a group that is given no id has one that nobody could guess.
#[test]
fn group_ids_are_random() -> Result<(), Error> {
    let test = clients(SUITE, 2)?;
    let mut ids = BTreeSet::new();
    for client in &test.clients {
        for _ in 0..10 {
            let group = client.create_group()?;
            assert_eq!(group.id().as_bytes().len(), 32);
            assert!(ids.insert(group.id().clone()));
        }
    }
    Ok(())
}

/// V-11.0-03, V-11.0-04, V-11.0-06: what a group begins as: epoch 0, one leaf that comes from a
/// KeyPackage, no transcript, the extensions as they were given, secrets of its own.
#[test]
fn a_group_begins() -> Result<(), Error> {
    let mut secrets = BTreeSet::new();
    for seed in [1, 2] {
        let mut group = TestGroup::builder(SUITE).size(1).seed(seed).build()?;
        let insider = group.insider(0)?;
        let GroupContext { epoch, confirmed_transcript_hash, extensions, tree_hash, .. } =
            &insider.context;
        assert_eq!((*epoch, confirmed_transcript_hash.len(), extensions.len()), (0, 0, 0));
        assert_eq!(insider.tree.member_count(), 1);
        assert_eq!(insider.tree.tree_hash(insider.suite())?.as_bytes(), tree_hash);
        let leaf = insider.tree.leaf(LeafIndex(0)).unwrap();
        assert!(matches!(leaf.source, LeafNodeSource::KeyPackage(_)));
        let suite = insider.suite();
        let tag: Mac = suite.mac(&insider.secrets.confirmation_key, &[b""])?;
        assert_eq!(tag.0, insider.confirmation_tag.0);
        let interim = interim_transcript_hash(suite, b"", &tag)?;
        assert_eq!(interim.as_bytes(), insider.interim_transcript_hash.as_bytes());
        assert!(secrets.insert(insider.encryption_secret.as_bytes().to_vec()));
    }
    Ok(())
}

/// V-11.0-05, V-11.1-01, V-11.1-03: the creator has what the group requires, and can read it.
#[test]
fn the_creator_meets_its_own_demands() -> Result<(), Error> {
    let required = RequiredCapabilities {
        extension_types: Vec::new(),
        proposal_types: vec![ProposalType(0xf001)],
        credential_types: Vec::new(),
    };
    let extension = required.to_extension()?;
    let builder = || TestGroup::builder(SUITE).size(1);
    let error = builder().extensions([extension.clone()].into_iter().collect()).build();
    assert_violation(&error.unwrap_err(), Violation::RequiredCapabilities);
    let mut trailing = extension;
    trailing.data.push(0);
    let error = builder().extensions([trailing].into_iter().collect()).build().unwrap_err();
    assert!(matches!(error, Error::Malformed(_)), "{error:?}");
    let unsupported = Extension { extension_type: ExtensionType(0xf002), data: Vec::new() };
    let error = builder().extensions([unsupported].into_iter().collect()).build().unwrap_err();
    assert_violation(&error, Violation::GroupContextExtensionSupport);
    builder().extensions(Extensions::new()).build()?;
    Ok(())
}

/// V-8.1-05: a GroupInfo of another version can't be read, and one of another suite than is
/// expected is refused.
#[test]
fn a_group_is_of_a_known_version_and_suite() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    let mut insider = group.insider(0)?;
    let info = insider.group_info().external_pub().build()?;
    let bytes = info.to_bytes()?;
    // The GroupContext is first: version, cipher suite.
    for version in [0, 2, 0x0a0a_u16] {
        let mut bytes = bytes.clone();
        bytes[..2].copy_from_slice(&version.to_be_bytes());
        let context = DecodeContext::default();
        assert!(circlet::message::GroupInfo::from_bytes(&bytes, &context).is_err());
    }
    let settings = TestGroup::builder(CipherSuite(3)).settings()?;
    let error = OpenedGroupInfo::open(settings, info.clone(), None).unwrap_err();
    assert_violation(&error, Violation::GroupContextVersion);
    OpenedGroupInfo::open(group.members[0].settings.clone(), info, None)?;
    Ok(())
}

/// V-8.4-02, V-12.1.4-03: every use of a pre-shared key has a nonce of its own, Nh bytes long.
#[test]
fn psk_nonces_are_fresh() -> Result<(), Error> {
    let test = clients(SUITE, 2)?;
    let mut nonces = BTreeSet::new();
    for _ in 0..10 {
        test.groups[0].propose_psk(b"a key")?;
    }
    for (_, proposal) in test.groups[0].waiting_proposals()? {
        let Proposal::PreSharedKey(PreSharedKeyId { psk_nonce, .. }) = proposal else { panic!() };
        assert_eq!(psk_nonce.len(), 32);
        assert!(nonces.insert(psk_nonce));
    }
    assert_eq!(nonces.len(), 10);
    Ok(())
}
