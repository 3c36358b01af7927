//! Key packages: of last resort, their lifetimes, what they say of their client, and what can be
//! said of them without a group.

use circlet::client::Clock;
use circlet::codec::{Decode, DecodeContext};
use circlet::crypto::CipherSuite;
use circlet::group::{Grease, Policy};
use circlet::message::{KeyPackage, MlsMessage};
use circlet::rules::Violation;
use circlet::storage::MemoryStorage;
use circlet::tree::{Extension, ExtensionType, LeafNodeSource, Lifetime, is_grease};
use circlet::{Client, Error, Group, Misuse, Received, Refused, Unready};

use crate::harness::{NOW, Person, agree, all_talk, client, group, group_of};

fn read(message: &[u8]) -> KeyPackage {
    let message = MlsMessage::from_bytes(message, &DecodeContext::default()).unwrap();
    let MlsMessage::KeyPackage(key_package) = message else { panic!("no key package") };
    key_package
}

/// A group of this client's, and the Welcome to it for whoever has the key package.
fn invited(host: &Client, key_package: &[u8]) -> (Group, Vec<u8>) {
    let group = host.create_group().unwrap();
    let welcome = group.invite([key_package]).unwrap().confirm().unwrap().welcome();
    (group, welcome.to_vec())
}

struct At(u64);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0
    }
}

/// V-10.0-01: a key package is deleted when it is used, one of last resort is not.
#[test]
fn v_10_0_01_only_a_last_resort_is_used_twice() {
    let person = Person::new("bob", 2);
    let bob = person.build();
    let hosts = [client("alice", 1), client("carol", 3), client("dave", 4)];
    let once = bob.key_package().unwrap();
    let (first, welcome) = invited(&hosts[0], &once);
    agree(&[first, bob.join(&welcome).unwrap()]);
    let (_, welcome) = invited(&hosts[1], &once);
    assert!(matches!(bob.join(&welcome), Err(Error::Unready(Unready::UnknownKeyPackage))));

    let again = bob.last_resort_key_package().unwrap();
    assert!(read(&again).is_last_resort() && !read(&once).is_last_resort());
    for host in &hosts {
        let (group, welcome) = invited(host, &again);
        // Also over a restart.
        let joined = person.open().join(&welcome).unwrap();
        all_talk(&[group.clone(), joined.clone()]);
        let pending = joined.update().unwrap();
        group.receive(pending.message()).unwrap();
        pending.confirm().unwrap();
        agree(&[group, joined]);
    }
    assert_eq!(person.open().groups().unwrap().len(), 4);
}

/// V-10.0-01: in the end a key package of last resort goes like any other.
#[test]
fn v_10_0_01_a_last_resort_ends_with_its_lifetime() {
    let person = Person::new("bob", 2);
    let again = person.build().last_resort_key_package().unwrap();
    let (_, welcome) = invited(&client("alice", 1), &again);
    let later = person.builder().clock(At(NOW + 84 * 24 * 3600)).open().unwrap();
    assert_eq!(later.delete_expired_key_packages().unwrap(), 1);
    assert!(matches!(later.join(&welcome), Err(Error::Unready(Unready::UnknownKeyPackage))));
}

/// V-7.2-10: a key package may be used from a while back, for clocks that differ.
#[test]
fn v_7_2_10_the_lifetime_of_key_packages_is_set() {
    let lifetime = |client: &Client| {
        let key_package = read(&client.key_package().unwrap());
        let LeafNodeSource::KeyPackage(lifetime) = key_package.leaf_node.source else { panic!() };
        lifetime
    };
    let usual = Lifetime { not_before: NOW - 3600, not_after: NOW + 83 * 24 * 3600 };
    assert_eq!(lifetime(&client("alice", 1)), usual);
    let set = |back, ahead| Person::new("bob", 2).builder().key_package_lifetime(back, ahead);
    let short = Lifetime { not_before: NOW - 7, not_after: NOW + 9 };
    assert_eq!(lifetime(&set(7, 9).build().unwrap()), short);
    let long = set(u64::MAX, u64::MAX);
    let policy = Policy { total_lifetime: u64::MAX, ..Policy::default() };
    let all = Lifetime { not_before: 0, not_after: u64::MAX };
    assert_eq!(lifetime(&long.policy(policy).build().unwrap()), all);

    let strict = Policy { total_lifetime: 15, ..Policy::default() };
    let refused = set(7, 9).policy(strict).build().unwrap().key_package();
    assert!(matches!(refused, Err(Error::Refused(Refused::TotalLifetime(15)))));
}

/// V-7.2-10: a key package whose maker's clock is ahead or behind is taken as the policy says, from
/// invitations, proposals and Commits, and not a second further.
#[test]
fn v_7_2_10_the_clocks_of_others_may_differ() {
    let skewed = Policy { clock_skew: 60, ..Policy::default() };
    let of_lifetime = |seed, now, back, ahead| {
        let other = Person::new("carol", seed).builder().clock(At(now));
        other.key_package_lifetime(back, ahead).build().unwrap()
    };
    let out_of_time =
        |result: Result<(), Error>| matches!(result, Err(Error::Violation(Violation::Lifetime)));
    for (seed, now, back, ahead, skew) in [
        // It begins so many seconds from now, or has ended so many ago.
        (10, NOW + 60, 0, 100, 60),
        (11, NOW + 61, 0, 100, 61),
        (12, NOW - 160, 0, 100, 60),
        (13, NOW - 161, 0, 100, 61),
    ] {
        let people = [Person::new("alice", 1), Person::new("bob", 2)];
        let [alice, bob] =
            people.map(|one| one.builder().policy(skewed.clone()).check_received_lifetimes(true));
        let groups = group_of(&[alice.build().unwrap(), bob.build().unwrap()]);
        let strict = group_of(&[client("alice", 1), client("bob", 2)]);
        let other = of_lifetime(seed, now, back, ahead);
        let key_package = other.key_package().unwrap();
        let holds = skew <= 60;

        let checked = groups[0].client().check_key_package(&key_package).map(drop);
        assert_eq!(out_of_time(checked), !holds, "{skew}");
        assert!(out_of_time(strict[0].client().check_key_package(&key_package).map(drop)));
        assert!(out_of_time(strict[0].invite([&key_package]).map(drop)));
        assert_eq!(out_of_time(groups[0].propose_add(&key_package).map(drop)), !holds);
        if !holds {
            assert!(out_of_time(groups[0].invite([&key_package]).map(drop)));
            continue;
        }
        let proposal = groups[0].client().unsent().unwrap().pop().unwrap();
        assert!(matches!(groups[1].receive(&proposal), Ok(Received::Proposal(_))));
        let pending = groups[0].commit().stage().unwrap();
        assert_eq!(pending.outcome().added.len(), 1);
        assert!(matches!(groups[1].receive(pending.message()), Ok(Received::Commit(_))));
        let welcome = pending.confirm().unwrap().welcome().unwrap();
        let joined = other.join(&welcome).unwrap();
        agree(&[groups[0].clone(), groups[1].clone(), joined]);
    }
}

#[test]
fn grease_is_the_builders_to_choose() {
    let made = |grease| {
        let client = Person::new("alice", 1).builder().grease(grease).build().unwrap();
        let key_package = read(&client.key_package().unwrap());
        let suites = &key_package.leaf_node.capabilities.cipher_suites;
        let listed = suites.iter().any(|suite| is_grease(suite.0));
        (listed, key_package.extensions.len(), key_package.leaf_node.extensions.len())
    };
    assert_eq!(made(Grease::None), (false, 0, 0));
    assert_eq!(made(Grease::Capabilities), (true, 0, 0));
    assert_eq!(made(Grease::Everywhere), (true, 1, 1));
}

/// V-7.2-04, V-13.0-03: a type that is registered, or stands in one's leaf, is among the
/// capabilities; then it does no harm in a group.
#[test]
fn v_7_2_04_extensions_of_ones_own_are_among_the_capabilities() {
    let [registered, in_leaf] = [ExtensionType(0xf001), ExtensionType(0xf002)];
    let alice = Person::new("alice", 1)
        .builder()
        .register_extension_type(registered)
        .leaf_extension(Extension { extension_type: in_leaf, data: vec![1, 2, 3] })
        .leaf_extension(Extension::application_id("a phone").unwrap())
        .build()
        .unwrap();
    let leaf = &read(&alice.key_package().unwrap()).leaf_node;
    let mut listed = leaf.capabilities.extensions.clone();
    listed.retain(|kind| !is_grease(kind.0));
    listed.sort_unstable();
    assert_eq!(listed, [registered, in_leaf]);
    assert_eq!(leaf.extensions.find(in_leaf), Some(&[1, 2, 3][..]));

    let group = client("bob", 2).create_group().unwrap();
    group.invite([alice.key_package().unwrap()]).unwrap().confirm().unwrap();
    let found = group.members_with_application_id(b"a phone").unwrap();
    assert_eq!(found, group.members().unwrap()[1..]);
}

/// V-11.0-01: the creator learns which suite all have, and who says less than its client wrote is
/// found out.
#[test]
fn v_11_0_01_the_best_suite_for_a_group() {
    let [p256, x25519] =
        [CipherSuite::P256_AES128GCM_SHA256_P256, CipherSuite::X25519_AES128GCM_SHA256_ED25519];
    let alice = client("alice", 1);
    let bob = client("bob", 2).key_package().unwrap();
    let carol = Person::new("carol", 3).builder().cipher_suite(p256).build().unwrap();
    let carol = carol.key_package().unwrap();
    let best = |preference: &[CipherSuite]| alice.best_cipher_suite([&bob, &carol], preference);
    assert_eq!(best(&[p256, x25519]).unwrap(), Some(p256));
    assert_eq!(best(&[x25519, p256]).unwrap(), Some(x25519));
    assert_eq!(best(&[CipherSuite(0x0a0a), CipherSuite(0xf0ff)]).unwrap(), None);

    // Suite 2 is struck out of what bob has.
    let suites = &read(&bob).leaf_node.capabilities.cipher_suites;
    let listed: Vec<u8> = suites.iter().flat_map(|suite| suite.0.to_be_bytes()).collect();
    let at = bob.windows(listed.len()).position(|window| window == listed).unwrap();
    let place = suites.iter().position(|suite| *suite == p256).unwrap();
    let mut struck = bob.clone();
    struck[at + 2 * place] = 0xf0;
    let refused = alice.best_cipher_suite([&struck], &[p256, x25519]).unwrap_err();
    let found = [Violation::KeyPackageSignature, Violation::LeafSignature];
    assert!(matches!(refused, Error::Violation(violation) if found.contains(&violation)));
}

/// V-10.1-06, V-7.3-07: a key package is checked before there is a group.
#[test]
fn v_10_1_06_a_downloaded_key_package_is_checked() {
    let alice = client("alice", 1);
    let key_package = alice.key_package().unwrap();
    let checked = client("bob", 2).check_key_package(&key_package).unwrap();
    assert_eq!(checked.leaf_node.credential, *alice.credential());
    for (now, in_time) in
        [(NOW - 3601, false), (NOW - 3600, true), (NOW + 83 * 86_400, true), (NOW * 2, false)]
    {
        let bob = Person::new("bob", 2).builder().clock(At(now)).build().unwrap();
        let checked = bob.check_key_package(&key_package);
        assert_eq!(checked.is_ok(), in_time);
        let late = |error| matches!(error, Error::Violation(Violation::Lifetime));
        assert!(checked.map_or_else(late, |_| true));
    }
    let wire = group(2)[0].send("no key package").unwrap();
    let refused = alice.check_key_package(&wire);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::NotKeyPackage))));
    let long = Policy { total_lifetime: 10, ..Policy::default() };
    let strict = Person::new("bob", 2).builder().storage(MemoryStorage::new()).policy(long);
    let refused = strict.build().unwrap().check_key_package(&key_package);
    assert!(matches!(refused, Err(Error::Refused(Refused::TotalLifetime(10)))));
}
