//! Making and opening a client: its store, its credential and its key.

use circlet::client::GroupOptions;
use circlet::codec::{Decode, DecodeContext};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, Suite};
use circlet::group::LeafChange;
use circlet::identity::{
    Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialUse,
    CredentialValidator, Signer, SigningKey,
};
use circlet::message::MlsMessage;
use circlet::storage::Key;
use circlet::tree::{Extensions, ExternalSender};
use circlet::{Client, Error, Group, Misuse, Refused};
use std::sync::Arc;

use crate::harness::{FixedClock, Person, SharedRng, agree, client, group, group_of};

const BADGE: CredentialType = CredentialType(0xf00b);

/// Takes anybody; can judge X.509 too.
struct Anybody;

impl CredentialValidator for Anybody {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }

    fn credential_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::X509]
    }
}

fn key(suite: CipherSuite, seed: u64) -> SigningKey {
    let suite = Suite::new(Arc::new(DefaultProvider::new()), suite).unwrap();
    SigningKey::generate(&suite, &mut SharedRng::new(seed)).unwrap()
}

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// A client with a certificate and a key of its own, whatever its name.
fn with_certificate(seed: u64) -> Client {
    let credential = Credential::X509(vec![vec![0x30, seed as u8]]);
    let builder = Client::builder_for(credential).rng(SharedRng::new(seed));
    let builder = builder.clock(crate::harness::FixedClock).validator(Anybody);
    builder.signing_key(key(SUITE, 50 + seed)).build().unwrap()
}

#[test]
fn a_client_has_the_credential_and_the_key_that_it_is_given() {
    let clients = [with_certificate(1), with_certificate(2)];
    let groups = group_of(&clients);
    agree(&groups);
    let members = groups[0].members().unwrap();
    for (member, (client, seed)) in members.iter().zip(clients.iter().zip(1..)) {
        assert_eq!(member.credential, *client.credential());
        assert_eq!(member.signature_key, *key(SUITE, 50 + seed).public_key());
    }
    let wire = groups[0].send("signed with it").unwrap();
    groups[1].receive(&wire).unwrap();

    // Without a validator that takes it, it is nobody's.
    let alone = Client::builder_for(Credential::X509(vec![vec![0x30]])).build();
    assert!(matches!(alone, Err(Error::Refused(Refused::Credential))));
}

/// V-13.0-03, V-7.2-03: the types of credentials among the capabilities are those that the
/// validator can judge, those that are registered, and one's own; no type is there twice.
#[test]
fn v_7_2_03_credential_types_are_what_can_be_judged() {
    let types = |client: &Client| -> Vec<u16> {
        let message = client.key_package().unwrap();
        let mut context = DecodeContext::default();
        context.credential_types.insert(BADGE.0);
        let message = MlsMessage::from_bytes(&message, &context).unwrap();
        let MlsMessage::KeyPackage(key_package) = message else { panic!("no key package") };
        let listed = key_package.leaf_node.capabilities.credentials.iter().map(|kind| kind.0);
        listed.filter(|kind| !circlet::tree::is_grease(*kind)).collect()
    };
    assert_eq!(types(&client("alice", 1)), [1]);
    assert_eq!(types(&with_certificate(1)), [2]);
    let both = Person::new("bob", 2).builder().validator(Anybody).build().unwrap();
    assert_eq!(types(&both), [2, 1]);
    let badge = Credential::Custom { credential_type: BADGE, body: vec![7] };
    let own = Client::builder_for(badge).register_credential_type(BADGE).validator(Anybody);
    assert_eq!(types(&own.build().unwrap()), [2, BADGE.0]);
}

#[test]
fn a_key_of_another_suite_is_refused() {
    for other in [CipherSuite::P256_AES128GCM_SHA256_P256, CipherSuite(7)] {
        let refused = Client::builder("alice").signing_key(key(other, 1)).build();
        assert!(matches!(refused, Err(Error::Misuse(Misuse::WrongSigner))));
        let made = Client::builder("alice").cipher_suite(other).signing_key(key(other, 1));
        made.build().unwrap();
    }
}

#[test]
fn an_opened_client_keeps_its_key() {
    let person = Person::new("alice", 1);
    person.builder().signing_key(key(SUITE, 1)).build().unwrap();
    person.open();
    person.builder().signing_key(key(SUITE, 1)).open().unwrap();
    let other = || person.builder().signing_key(key(SUITE, 2));
    for refused in [other().open(), other().open_or_create()] {
        assert!(matches!(refused, Err(Error::Misuse(Misuse::WrongSigner))));
    }
}

/// Knows a person by the first word, and lets the rest change.
struct FirstWord;

impl CredentialValidator for FirstWord {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        let first = |credential: &Credential| {
            let name = credential.to_string();
            name.split(' ').next().map(str::to_owned)
        };
        match check.replaced {
            Some((old, _)) if first(old) != first(check.credential) => Err(CredentialRejected),
            _ => Ok(()),
        }
    }
}

/// V-5.3-04: a client's credential is renewed when it is opened, if that is wanted and the validator
/// takes the new one for a successor; its groups follow by a Commit.
#[test]
fn v_5_3_04_an_opened_client_renews_its_credential() {
    let person = Person::new("alice", 1);
    let store = (person.store)();
    let stored = || store.read(&Key::new(&[b"client"])).unwrap().unwrap();
    let builder = |name: &str| {
        let (store, rng) = ((person.store)(), person.rng.clone());
        Client::builder(name).storage(store).rng(rng).clock(FixedClock).validator(FirstWord)
    };
    let bob = Person::new("bob", 2).builder().validator(FirstWord).build().unwrap();
    let groups = group_of(&[builder("alice 2025").build().unwrap(), bob]);
    let id = groups[0].id().clone();
    let out = groups[0].client().key_package().unwrap();
    let before = stored();
    let refused = builder("alice 2026").open();
    assert!(matches!(refused, Err(Error::Misuse(Misuse::OtherClient))));
    let refused = builder("bob 2026").renew_credential().open();
    assert!(matches!(refused, Err(Error::Refused(Refused::Credential))));
    let other = builder("alice 2026").renew_credential().signing_key(key(SUITE, 77)).open();
    assert!(matches!(other, Err(Error::Misuse(Misuse::WrongSigner))));
    assert!(stored() == before, "a refused credential was written");

    // Another process is first with the same.
    let alice = builder("alice 2026").renew_credential().open_or_create().unwrap();
    drop(builder("alice 2026").renew_credential().open().unwrap());
    drop(alice);
    let alice = builder("alice 2026").open().unwrap();
    assert!(matches!(builder("alice 2025").open(), Err(Error::Misuse(Misuse::OtherClient))));
    let named = |group: &Group| group.own_member().unwrap().to_string();
    assert_eq!(named(&alice.create_group().unwrap()), "alice 2026");

    // Where it is a member, its leaf follows, with the same key.
    let group = alice.group(&id).unwrap();
    assert_eq!(named(&group), "alice 2025");
    let key = group.own_member().unwrap().signature_key;
    let credential = Some(alice.credential().clone());
    let change = LeafChange { credential, ..LeafChange::default() };
    let pending = group.commit().leaf(change).stage().unwrap();
    groups[1].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    assert_eq!(
        (named(&group), group.own_member().unwrap().signature_key),
        ("alice 2026".into(), key)
    );
    agree(&[group, groups[1].clone()]);

    // A key package from before is still joined by.
    let carol = Person::new("carol", 3).builder().validator(FirstWord).build().unwrap();
    let carols = carol.create_group().unwrap();
    let joined = alice.join(carols.invite([out]).unwrap().confirm().unwrap().welcome()).unwrap();
    assert_eq!(named(&joined), "alice 2025");
    agree(&[joined, carols]);
}

#[test]
fn a_client_is_made_once_and_then_opened() {
    let person = Person::new("alice", 1);
    let made = person.builder().open_or_create().unwrap();
    let group = made.create_group().unwrap();
    let opened = person.builder().open_or_create().unwrap();
    assert_eq!(opened.groups().unwrap()[0].id(), group.id());
    let again = opened.groups().unwrap()[0].own_member().unwrap();
    assert_eq!(again, group.own_member().unwrap());
    let exists = person.builder().build();
    assert!(matches!(exists, Err(Error::Misuse(Misuse::ClientExists))));
}

#[test]
fn what_is_acknowledged_is_told() {
    let groups = group(2);
    let wire = groups[0].send("x").unwrap();
    let alice = groups[0].client();
    assert!(alice.acknowledge(wire.id()).unwrap());
    assert!(!alice.acknowledge(wire.id()).unwrap());
    let received = groups[1].receive(&wire).unwrap();
    let bob = groups[1].client();
    assert!(bob.acknowledge(received.id().unwrap()).unwrap());
    assert!(!bob.acknowledge(received.id().unwrap()).unwrap());
    assert!(bob.undelivered().unwrap().is_empty());
}

#[test]
fn a_staged_commit_says_what_it_will_do() {
    let person = Person::new("alice", 1);
    let alice = person.build();
    let group = group_of(&[alice, client("bob", 2)]).remove(0);
    let pending = group.invite([client("carol", 3).key_package().unwrap()]).unwrap();
    let outcome = pending.outcome().clone();
    assert_eq!((outcome.epoch, outcome.added.len()), (2, 1));
    let reopened = person.open().group(group.id()).unwrap();
    assert_eq!(*reopened.pending_commit().unwrap().unwrap().outcome(), outcome);
    assert_eq!(*pending.confirm().unwrap().outcome(), outcome);
}

/// Takes members, but no external senders.
struct NoServers;

impl CredentialValidator for NoServers {
    fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        match check.reason {
            CredentialUse::ExternalSender => Err(CredentialRejected),
            _ => Ok(()),
        }
    }
}

/// V-12.1.7-04: external senders are judged when the group is made and when their proposal is
/// made or received, so that one that is rejected keeps nobody from committing.
#[test]
fn a_rejected_external_sender_is_in_nobodys_way() {
    let signature_key = key(SUITE, 70).public_key().clone();
    let server = ExternalSender { signature_key, credential: Credential::basic("server") };
    let extensions = Extensions::from_iter([ExternalSender::to_extension(&[server]).unwrap()]);
    let rejected = |error: Option<Error>| {
        assert!(matches!(error, Some(Error::Refused(Refused::Credential))), "{error:?}");
    };
    let strict = Person::new("alice", 71);
    let alice = strict.builder().validator(NoServers).build().unwrap();
    let options = GroupOptions { extensions: extensions.clone(), ..GroupOptions::default() };
    rejected(alice.create_group_with(options).err());
    assert_eq!(strict.rows("head"), 0);

    let groups = group_of(&[alice, client("bob", 72), client("carol", 73)]);
    rejected(groups[0].propose_extensions(extensions.clone()).err());
    let proposal = groups[1].propose_extensions(extensions).unwrap();
    groups[2].receive(&proposal).unwrap();
    rejected(groups[0].receive(&proposal).err());
    groups[0].send("not blocked").unwrap();
    let pending = groups[0].remove(groups[1].own_member().unwrap().leaf_index).unwrap();
    groups[2].receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    agree(&[groups[0].clone(), groups[2].clone()]);
}
