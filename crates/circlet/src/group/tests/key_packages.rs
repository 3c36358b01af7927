//! Key packages, capabilities and GREASE (sections 7.2, 10, 11 and 13.5).

use std::collections::BTreeSet;

use super::*;
use crate::message::{GroupInfo, KeyPackage};
use crate::tree::{Capabilities, Extension, ExtensionType, is_grease};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// The GREASE values in each list of capabilities: suites, extensions, proposals, credentials.
fn grease_in(capabilities: &Capabilities) -> [Vec<u16>; 4] {
    let grease = |values: Vec<u16>| values.into_iter().filter(|value| is_grease(*value)).collect();
    [
        grease(capabilities.cipher_suites.iter().map(|suite| suite.0).collect()),
        grease(capabilities.extensions.iter().map(|kind| kind.0).collect()),
        grease(capabilities.proposals.iter().map(|kind| kind.0).collect()),
        grease(capabilities.credentials.iter().map(|kind| kind.0).collect()),
    ]
}

fn types(extensions: &Extensions) -> BTreeSet<u16> {
    extensions.iter().map(|extension| extension.extension_type.0).collect()
}

fn with_grease(grease: Grease, seed: u64) -> Actor {
    let mut actor = Actor::new(SUITE, "alice", seed);
    actor.settings.grease = grease;
    actor
}

fn key_packages(grease: Grease, count: usize) -> Vec<KeyPackage> {
    let mut actor = with_grease(grease, 1);
    (0..count).map(|_| actor.key_package()).collect()
}

fn group_info(actor: &mut Actor) -> GroupInfo {
    let Actor { state, signer, rng, .. } = actor;
    let options = GroupInfoOptions::default();
    let message = state.as_ref().unwrap().group_info(options, signer, rng).unwrap();
    let MlsMessage::GroupInfo(group_info) = message else { panic!("no GroupInfo") };
    group_info
}

/// V-7.2-08, V-10.0-09, V-13.5-01: 200 key packages have every value somewhere in every list that
/// is for them, and none elsewhere.
#[test]
fn v_13_5_01_grease_is_in_every_list_that_is_for_it() {
    let mut seen: [BTreeSet<u16>; 6] = std::array::from_fn(|_| BTreeSet::new());
    for key_package in key_packages(Grease::Everywhere, 200) {
        let leaf = &key_package.leaf_node;
        let [suites, extensions, proposals, credentials] = grease_in(&leaf.capabilities);
        assert_eq!((suites.len(), proposals.len(), credentials.len()), (1, 1, 1));
        assert!((1..=3).contains(&extensions.len()));
        let of_leaf: Vec<u16> = types(&leaf.extensions).into_iter().collect();
        let of_package: Vec<u16> = types(&key_package.extensions).into_iter().collect();
        assert_eq!((of_leaf.len(), of_package.len()), (1, 1));
        let lists = [suites, extensions, proposals, credentials, of_leaf, of_package];
        for (seen, list) in seen.iter_mut().zip(lists) {
            assert!(list.iter().all(|value| is_grease(*value)));
            seen.extend(list);
        }
        assert!(!is_grease(leaf.credential.credential_type().0));
    }
    for seen in seen {
        assert_eq!(seen.len(), 15);
    }
}

/// V-10.0-07, V-13.5-02: every extension of a leaf and its KeyPackage is in the capabilities, no
/// value twice.
#[test]
fn v_13_5_02_grease_extensions_are_among_the_capabilities() {
    for key_package in key_packages(Grease::Everywhere, 200) {
        let listed = &key_package.leaf_node.capabilities.extensions;
        let all = key_package.leaf_node.extensions.iter().chain(key_package.extensions.iter());
        for extension in all {
            assert!(listed.contains(&extension.extension_type));
        }
        assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), listed.len());
    }
}

#[test]
fn grease_goes_where_the_settings_say() {
    let [plain] = &key_packages(Grease::None, 1)[..] else { panic!() };
    assert!(grease_in(&plain.leaf_node.capabilities).iter().all(Vec::is_empty));
    for (grease, everywhere) in [(Grease::Capabilities, false), (Grease::Everywhere, true)] {
        let [key_package] = &key_packages(grease, 1)[..] else { panic!() };
        let leaf = &key_package.leaf_node;
        assert!(grease_in(&leaf.capabilities).iter().all(|list| !list.is_empty()));
        assert_eq!(!leaf.extensions.is_empty(), everywhere);
        assert_eq!(!key_package.extensions.is_empty(), everywhere);
        let mut actor = with_grease(grease, 2);
        actor.create(b"a group");
        let in_info = types(&group_info(&mut actor).extensions);
        assert_eq!(in_info.iter().any(|value| is_grease(*value)), everywhere);
    }
}

/// V-12.4.3-01, V-13.5-03: a GroupInfo has GREASE among its own extensions, not among the group's.
#[test]
fn v_12_4_3_01_a_group_info_has_grease() {
    let mut actor = with_grease(Grease::Everywhere, 3);
    actor.create(b"a group");
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let group_info = group_info(&mut actor);
        let grease: Vec<u16> =
            types(&group_info.extensions).into_iter().filter(|value| is_grease(*value)).collect();
        assert_eq!(grease.len(), 1);
        seen.extend(grease);
        assert!(group_info.group_context.extensions.is_empty());
    }
    assert_eq!(seen.len(), 15);
}

/// GREASE takes no place that an extension of the application's needs.
#[test]
fn grease_leaves_room() {
    let mut actor = Actor::new(SUITE, "alice", 4);
    let mut template = actor.template();
    let kinds = (0xf000..0xf000 + actor.settings.limits().extensions as u16).map(ExtensionType);
    template.capabilities.extensions = kinds.clone().collect();
    let empty = |extension_type| Extension { extension_type, data: Vec::new() };
    template.extensions = kinds.map(empty).collect();
    let Actor { settings, signer, rng, .. } = &mut actor;
    let keys = JoinKeys::generate(settings, template, signer, rng).unwrap();
    assert_eq!(keys.key_package.leaf_node.extensions.len(), settings.limits().extensions);
}
