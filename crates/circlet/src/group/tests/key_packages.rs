//! Key packages, capabilities and GREASE (sections 7.2, 10, 11 and 13.5).

use std::collections::BTreeSet;

use super::*;
use crate::error::Refused;
use crate::identity::{CredentialType, Signer};
use crate::message::{GroupInfo, KeyPackage};
use crate::rules::Violation;
use crate::tree::{
    Capabilities, Extension, ExtensionType, ExternalSender, ProposalType, RequiredCapabilities,
    is_grease,
};

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

fn lifetime(total: u64) -> Lifetime {
    Lifetime { not_before: NOW - 10, not_after: (NOW - 10).saturating_add(total) }
}

/// A key package with this lifetime, by a maker whose policy allows anything.
fn living(name: &str, lifetime: Lifetime) -> KeyPackage {
    let mut actor = Actor::new(SUITE, name, 70 + name.len() as u64);
    actor.settings.policy.total_lifetime = u64::MAX;
    let template = LeafTemplate { lifetime, ..actor.template() };
    let Actor { settings, signer, rng, .. } = &mut actor;
    JoinKeys::generate(settings, template, signer, rng).unwrap().key_package
}

fn add(key_package: KeyPackage) -> CommitRequest {
    CommitRequest { by_value: vec![Proposal::Add(key_package)], ..CommitRequest::default() }
}

/// V-7.2-09: a key package lives for no longer than the policy allows, whoever adds it: it is
/// neither proposed nor committed, and refused in a proposal and in a Commit.
#[test]
fn v_7_2_09_a_total_lifetime_is_bounded() {
    const YEAR: u64 = 365 * 24 * 3600;
    let too_long = |error: Error| matches!(error, Error::Refused(Refused::TotalLifetime(YEAR)));
    let mut members = group(SUITE, 3);
    let commit = members[0].commit(add(living("just so", lifetime(YEAR)))).unwrap();
    deliver(&mut members[..], 0, &commit);

    let longest = Lifetime { not_before: 0, not_after: u64::MAX };
    for lifetime in [lifetime(YEAR + 1), longest] {
        let key_package = living("too long", lifetime);
        let refused = members[0].commit(add(key_package.clone())).unwrap_err();
        assert!(too_long(refused));
        let Actor { state, psks, signer, rng, .. } = &mut members[0];
        let judge = Judge { validator: &BasicValidator, psks, now: Some(NOW) };
        let proposal = Proposal::Add(key_package.clone());
        let framing = Framing::default();
        let state = state.as_ref().unwrap();
        let refused = state.propose(proposal, &judge, &framing, signer, rng).unwrap_err();
        assert!(too_long(refused));

        // A member whose own policy is another one.
        members[1].state.as_mut().unwrap().settings.policy.total_lifetime = u64::MAX;
        let framing = Framing::default();
        let proposed = members[1].propose(Proposal::Add(key_package.clone()), &framing);
        assert!(too_long(members[0].receive(&proposed).unwrap_err()));
        let mut request = add(key_package);
        request.by_reference = ByReference::Nothing;
        let committed = members[1].commit(request).unwrap();
        assert!(too_long(members[2].receive(&committed).unwrap_err()));
        members[1].staged = None;
    }
}

/// V-7.2-09: a lifetime that ends before it begins is no matter of policy.
#[test]
fn v_7_2_09_an_inverted_lifetime_is_a_violation() {
    let mut members = group(SUITE, 2);
    let inverted = Lifetime { not_before: NOW + 1, not_after: NOW };
    let refused = members[0].commit(add(living("inverted", inverted))).unwrap_err();
    assert!(matches!(refused, Error::Violation(Violation::LifetimeInverted)));
}

/// V-7.2-09: who was added under another policy stays, for those too who join later.
#[test]
fn the_lifetimes_in_a_tree_are_left_alone() {
    let mut alice = Actor::new(SUITE, "alice", 1);
    alice.settings.policy.total_lifetime = u64::MAX;
    alice.create(b"a group");
    alice.commit(add(living("for ever", lifetime(u64::MAX)))).unwrap();
    alice.confirm();
    let mut bob = Actor::new(SUITE, "bob", 2);
    alice.commit(add(bob.key_package())).unwrap();
    let welcome = alice.confirm().unwrap();
    bob.join(&welcome);
    agree(&[alice, bob]);
}

#[test]
fn a_client_makes_no_key_package_that_its_own_policy_refuses() {
    let mut actor = Actor::new(SUITE, "alice", 1);
    actor.settings.policy.total_lifetime = 100;
    for (total, fits) in [(100, true), (101, false)] {
        let template = LeafTemplate { lifetime: lifetime(total), ..actor.template() };
        let Actor { settings, signer, rng, .. } = &mut actor;
        let made = JoinKeys::generate(settings, template, signer, rng);
        assert_eq!(made.is_ok(), fits);
        let refused = |error| matches!(error, Error::Refused(Refused::TotalLifetime(100)));
        assert!(made.map_or_else(refused, |_| true));
    }
}

fn create(actor: &mut Actor, template: LeafTemplate, extensions: Extensions) -> Result<(), Error> {
    let Actor { settings, signer, rng, .. } = actor;
    let keys = JoinKeys::generate(settings, template, signer, rng)?;
    GroupState::create(settings.clone(), GroupId::new(b"a group"), extensions, keys, rng).map(drop)
}

/// V-11.0-05: the creator's own leaf meets what the group demands.
#[test]
fn v_11_0_05_a_creator_is_held_against_its_own_demands() {
    let mut alice = Actor::new(SUITE, "alice", 1);
    let private = Extension { extension_type: ExtensionType(0xf001), data: vec![1] };
    let required = RequiredCapabilities {
        extension_types: vec![ExtensionType(0xf001)],
        ..RequiredCapabilities::default()
    };
    let mut knowing = alice.template();
    knowing.capabilities.extensions.push(ExtensionType(0xf001));
    for extension in [private, required.to_extension().unwrap()] {
        let extensions = Extensions::from_iter([extension]);
        let template = alice.template();
        let refused = create(&mut alice, template, extensions.clone()).unwrap_err();
        assert!(matches!(
            refused,
            Error::Violation(
                Violation::GroupContextExtensionSupport | Violation::RequiredCapabilities
            )
        ));
        create(&mut alice, knowing.clone(), extensions).unwrap();
    }
}

/// V-13.5-03, V-13.5-05: a value that means nothing is supported by nobody, though all list it.
#[test]
fn v_13_5_03_grease_is_in_no_group_context() {
    let mut alice = Actor::new(SUITE, "alice", 1);
    let grease = ExtensionType(0x0a0a);
    let mut template = alice.template();
    template.capabilities.extensions.push(grease);
    let extension = Extension { extension_type: grease, data: Vec::new() };
    let extensions = Extensions::from_iter([extension]);
    let refused = create(&mut alice, template.clone(), extensions).unwrap_err();
    assert!(matches!(refused, Error::Violation(Violation::GroupContextExtensionSupport)));

    let mut demands = [(); 3].map(|()| RequiredCapabilities::default());
    demands[0].extension_types.push(grease);
    demands[1].proposal_types.push(ProposalType(0x0a0a));
    demands[2].credential_types.push(CredentialType(0x0a0a));
    template.capabilities.proposals.push(ProposalType(0x0a0a));
    template.capabilities.credentials.push(CredentialType(0x0a0a));
    for required in demands {
        let extensions = Extensions::from_iter([required.to_extension().unwrap()]);
        let refused = create(&mut alice, template.clone(), extensions).unwrap_err();
        assert!(matches!(refused, Error::Violation(Violation::RequiredCapabilities)));
    }
}

/// V-12.4.3-02, V-13.0-08: a joiner supports what the group has.
#[test]
fn v_12_4_3_02_a_joiner_supports_the_groups_extensions() {
    let mut alice = Actor::new(SUITE, "alice", 1);
    let [default, private] = [ExtensionType::EXTERNAL_SENDERS, ExtensionType(0xf001)]
        .map(|extension_type| Extension { extension_type, data: Vec::new() });
    let own = alice.key_package().leaf_node.clone();
    let supports = |extensions: [&Extension; 1]| {
        let extensions = extensions.into_iter().cloned().collect();
        crate::rules::leaf::ensure_joiner_supports(&own, &extensions)
    };
    assert_eq!(supports([&default]), Ok(()));
    assert_eq!(supports([&private]), Err(Violation::GroupContextExtensionUnknown));
}

/// V-11.0-01, V-13.5-05: the first suite of the creator's that all have, GREASE left out.
#[test]
fn v_11_0_01_the_best_suite_is_one_that_all_have() {
    let with = |suites: &[u16], versions: &[u16]| {
        let mut actor = Actor::new(SUITE, "somebody", 1);
        let mut template = actor.template();
        template.capabilities.cipher_suites = suites.iter().copied().map(CipherSuite).collect();
        template.capabilities.versions = versions.to_vec();
        let Actor { settings, signer, rng, .. } = &mut actor;
        JoinKeys::generate(settings, template, signer, rng).unwrap().key_package
    };
    let best = |key_packages: &[KeyPackage], preference: &[u16]| {
        let preference: Vec<CipherSuite> = preference.iter().copied().map(CipherSuite).collect();
        best_cipher_suite(key_packages, &preference).map(|suite| suite.0)
    };
    let [one, two] = [with(&[0x0a0a, 1, 2, 7], &[1]), with(&[3, 2, 1, 0x0a0a], &[9, 1])];
    assert_eq!(best(&[one.clone(), two.clone()], &[7, 2, 1]), Some(2));
    assert_eq!(best(&[one.clone(), two.clone()], &[1, 2]), Some(1));
    assert_eq!(best(std::slice::from_ref(&one), &[7, 2, 1]), Some(7));
    assert_eq!(best(&[one.clone(), two], &[0x0a0a, 5, 7]), None);
    assert_eq!(best(&[one, with(&[1, 2], &[2])], &[1, 2]), None);
    assert_eq!(best(&[], &[0x0a0a, 4]), Some(4));
}

/// V-13.0-03, V-7.2-01, V-7.2-03: capabilities are what provider and application have, default
/// types left out.
#[test]
fn v_13_0_03_capabilities_are_what_is_supported() {
    let mut settings = settings(SUITE);
    let mut context = DecodeContext::default();
    context.extension_types.extend([1, 0xf001]);
    context.proposal_types.insert(3, crate::codec::CustomProposal::default());
    context.proposal_types.insert(0xf002, crate::codec::CustomProposal::default());
    context.credential_types.extend([1, 0xf003]);
    settings.context = Arc::new(context);
    let capabilities = LeafTemplate::capabilities_with(
        &settings,
        &[CredentialType::X509, CredentialType::BASIC, CredentialType::X509],
    );
    let provided = settings.suite.provider().suites().iter().map(|spec| spec.suite);
    assert_eq!(
        capabilities,
        Capabilities {
            versions: vec![1],
            cipher_suites: provided.collect(),
            extensions: vec![ExtensionType(0xf001)],
            proposals: vec![ProposalType(0xf002)],
            credentials: [2, 1, 0xf003].map(CredentialType).to_vec(),
        }
    );
}

/// V-5.3-07: several members may have the same application_id, which is nobody's proof.
#[test]
fn v_5_3_07_members_are_found_by_application_id() {
    let with_id = |name: &str, seed: u64, id: Option<&str>| {
        let mut actor = Actor::new(SUITE, name, seed);
        let mut template = actor.template();
        template.extensions =
            id.map(|id| Extension::application_id(id).unwrap()).into_iter().collect();
        let Actor { settings, signer, rng, .. } = &mut actor;
        actor.keys = Some(JoinKeys::generate(settings, template, signer, rng).unwrap());
        actor
    };
    let joiners = [("b", Some("twice")), ("c", None), ("d", Some("once")), ("e", Some("twice"))];
    let mut alice = with_id("a", 10, Some(""));
    let keys = alice.keys.take().unwrap();
    let Actor { settings, rng, .. } = &mut alice;
    let id = GroupId::new(b"a group");
    let state = GroupState::create(settings.clone(), id, Extensions::new(), keys, rng).unwrap();
    alice.state = Some(state);
    let actors = (11..).zip(joiners).map(|(seed, (name, id))| with_id(name, seed, id));
    let adds = actors.map(|actor| Proposal::Add(actor.keys.unwrap().key_package)).collect();
    alice.commit_by_value(adds);
    alice.confirm();
    let found = |id: &str| -> Vec<u32> {
        let members = alice.state().members_with_application_id(id.as_bytes());
        members.iter().map(|member| member.leaf_index.0).collect()
    };
    assert_eq!(found("twice"), [1, 4]);
    assert_eq!(found("once"), [3]);
    assert_eq!(found(""), [0]);
    assert!(found("twic").is_empty() && found("nobody").is_empty());
}

/// V-10.1-06: a key package is checked without a group.
#[test]
fn v_10_1_06_a_key_package_is_checked_by_itself() {
    let settings = settings(SUITE);
    let sound = living("sound", lifetime(100));
    settings.check_key_package(&sound, None).unwrap();
    settings.check_key_package(&sound, Some(NOW)).unwrap();
    let late = settings.check_key_package(&sound, Some(NOW + 91)).unwrap_err();
    assert!(matches!(late, Error::Violation(Violation::Lifetime)));
    let long = settings.check_key_package(&living("long", lifetime(u64::MAX)), None).unwrap_err();
    assert!(matches!(long, Error::Refused(Refused::TotalLifetime(_))));
    let other = CipherSuite::P256_AES128GCM_SHA256_P256;
    let other = Actor::new(other, "other", 1).key_package();
    let refused = settings.check_key_package(&other, None).unwrap_err();
    assert!(matches!(refused, Error::Violation(Violation::KeyPackageSuite)));
    let mut forged = crate::message::KeyPackageContent::clone(&sound);
    forged.leaf_node = living("another", lifetime(100)).leaf_node.clone();
    let mallory = Actor::new(SUITE, "mallory", 5);
    let forged = KeyPackage::sign(forged, &mallory.signer).unwrap();
    let refused = settings.check_key_package(&forged, None).unwrap_err();
    assert!(matches!(refused, Error::Violation(Violation::KeyPackageSignature)));
}

/// V-10.0-01, V-10.0-07: a key package of last resort says so, and its leaf lists the extension.
#[test]
fn v_10_0_07_a_last_resort_is_listed() {
    for grease in [Grease::None, Grease::Everywhere] {
        let mut actor = with_grease(grease, 1);
        let template = actor.template();
        assert!(!actor.key_package().is_last_resort());
        let Actor { settings, signer, rng, .. } = &mut actor;
        let keys = JoinKeys::generate_last_resort(settings, template, signer, rng).unwrap();
        assert!(keys.key_package.is_last_resort());
        let kind = ExtensionType::LAST_RESORT;
        assert_eq!(keys.key_package.extensions.find(kind), Some(&[][..]));
        assert!(keys.key_package.leaf_node.capabilities.extensions.contains(&kind));
        settings.check_key_package(&keys.key_package, None).unwrap();
    }
}

/// V-11.1-01: what is required is read as it was written, and so are those who may propose.
#[test]
fn group_extensions_are_read_as_they_were_made() {
    let context = DecodeContext::default();
    let required = RequiredCapabilities {
        extension_types: vec![ExtensionType(7)],
        proposal_types: vec![ProposalType(8), ProposalType(9)],
        credential_types: vec![CredentialType::BASIC],
    };
    let senders = [("one", 1), ("two", 2)].map(|(name, seed)| ExternalSender {
        signature_key: Actor::new(SUITE, name, seed).signer.public_key().clone(),
        credential: Credential::basic(name),
    });
    let made = [required.to_extension(), ExternalSender::to_extension(&senders)];
    let extensions: Extensions = made.into_iter().map(Result::unwrap).collect();
    assert_eq!(extensions.required_capabilities(&context).unwrap(), Some(required));
    assert_eq!(extensions.external_senders(&context).unwrap(), Some(senders.to_vec()));
}
