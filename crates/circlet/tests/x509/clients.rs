//! Clients with X.509 credentials, from end to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use circlet::client::{ClientBuilder, Clock};
use circlet::codec::DecodeContext;
use circlet::crypto::CipherSuite;
use circlet::group::LeafChange;
use circlet::identity::x509::{X509Fault, X509Names, X509Validator};
use circlet::identity::{Credential, CredentialCheck, CredentialType, CredentialUse, Signer};
use circlet::message::MlsMessage;
use circlet::storage::MemoryStorage;
use circlet::{Client, Error, Group, Misuse, Received, Refused};

use crate::certificates::{Content, NEXT_YEAR, NOW, P256, SUITES, email, key};
use crate::crypto_support::Seeded;
use crate::world::World;

/// A clock that a test sets.
#[derive(Clone)]
struct Time(Arc<AtomicU64>);

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// People whose certificates an authority below the root has issued.
struct Town {
    suite: CipherSuite,
    world: World,
    time: Time,
}

impl Town {
    fn new(suite: CipherSuite) -> Self {
        Self { suite, world: World::new(suite), time: Time::new() }
    }

    fn validator(&self, accept_expired_members: bool) -> X509Validator {
        let time = self.time.clone();
        let builder = self.world.builder().clock(move || time.now());
        builder.accept_expired_members(accept_expired_members).build().unwrap()
    }

    fn chain(&self, name: &'static str, seed: u64) -> Credential {
        let content = Content {
            alternative_names: vec![email(&format!("{name}@example.org"))],
            ..Content::member(name)
        };
        let issued = content.issue(&key(self.suite, seed), "Middle", &self.world.middle_key);
        Credential::x509([issued, self.world.middle_certificate()])
    }

    fn builder(&self, name: &'static str, seed: u64) -> ClientBuilder {
        self.builder_for(self.chain(name, seed), seed)
    }

    fn builder_for(&self, chain: Credential, seed: u64) -> ClientBuilder {
        Client::builder_for(chain)
            .cipher_suite(self.suite)
            .signing_key(key(self.suite, seed))
            .validator(self.validator(false))
            .clock(self.time.clone())
            .rng(Seeded(seed << 40))
    }

    fn client(&self, name: &'static str, seed: u64) -> Client {
        self.builder(name, seed).build().unwrap()
    }
}

fn address(credential: &Credential) -> String {
    let names = X509Names::presented(credential).unwrap();
    names.emails().next().unwrap().to_owned()
}

#[track_caller]
fn hears(group: &Group, wire: &[u8], from: &str, text: &[u8]) {
    match group.receive(wire).unwrap() {
        Received::Message(message) => {
            assert_eq!(address(&message.sender().credential), from);
            assert_eq!(message.data(), text);
        }
        other => panic!("{other:?}"),
    }
}

/// V-5.3-01, V-5.3-03, V-7.2-05: three clients talk, in every suite; who speaks is told by the
/// certificate.
#[test]
fn three_clients_talk() {
    for suite in SUITES {
        let town = Town::new(suite);
        let [alice, bob, carol] =
            [("alice", 11), ("bob", 12), ("carol", 13)].map(|(name, seed)| town.client(name, seed));
        let alices = alice.create_group().unwrap();
        let pending = alices.invite([bob.key_package().unwrap()]).unwrap();
        let bobs = bob.join(pending.confirm().unwrap().welcome()).unwrap();

        let pending = bobs.invite([carol.key_package().unwrap()]).unwrap();
        alices.receive(pending.message()).unwrap();
        let carols = carol.join(pending.confirm().unwrap().welcome()).unwrap();

        let wire = carols.send(b"hello").unwrap();
        hears(&alices, &wire, "carol@example.org", b"hello");
        hears(&bobs, &wire, "carol@example.org", b"hello");

        let pending = alices.update().unwrap();
        bobs.receive(pending.message()).unwrap();
        carols.receive(pending.message()).unwrap();
        pending.confirm().unwrap();
        let wire = alices.send(b"again").unwrap();
        hears(&bobs, &wire, "alice@example.org", b"again");
        hears(&carols, &wire, "alice@example.org", b"again");
    }
}

/// A client is opened again with the key from its store.
#[test]
fn opened_again() {
    let town = Town::new(P256);
    let store = MemoryStorage::new();
    let chain = town.chain("alice", 11);
    let builder = town.builder_for(chain.clone(), 11);
    let alice = builder.storage(store.clone()).build().unwrap();
    let group = alice.create_group().unwrap();
    let (id, epoch) = (group.id().clone(), group.epoch().unwrap());
    drop((alice, group));
    let builder = Client::builder_for(chain);
    let alice = builder.validator(town.validator(false)).storage(store.clone()).open().unwrap();
    assert_eq!(alice.group(&id).unwrap().epoch().unwrap(), epoch);
    let other = Client::builder_for(town.chain("bob", 12)).storage(store).open();
    assert!(matches!(other, Err(Error::Misuse(Misuse::OtherClient))));
}

/// V-5.3-01, V-5.1.2-01: one's own certificate has to fit one's own key, and that the suite.
#[test]
fn own_key() {
    let town = Town::new(P256);
    let built = town.builder("alice", 11).signing_key(key(P256, 12)).build();
    assert!(matches!(built, Err(Error::Refused(Refused::Credential))));
    let built =
        town.builder("alice", 11).signing_key(key(crate::certificates::ED25519, 11)).build();
    assert!(matches!(built, Err(Error::Misuse(Misuse::WrongSigner))));
    // By default certificates are not accepted at all.
    let builder = Client::builder_for(town.chain("alice", 11)).cipher_suite(P256);
    let built = builder.signing_key(key(P256, 11)).build();
    assert!(matches!(built, Err(Error::Refused(Refused::Credential))));
}

/// Another town, of whose authorities nobody here has heard.
fn elsewhere() -> Town {
    let mut elsewhere = Town::new(P256);
    (elsewhere.world.root.subject, elsewhere.world.root_key) = ("Elsewhere", key(P256, 21));
    elsewhere.world.middle_key = key(P256, 22);
    elsewhere
}

/// Who trusts the authorities of both towns.
fn trusts_both(town: &Town, elsewhere: &Town) -> X509Validator {
    X509Validator::builder()
        .trust_anchor(town.world.root_certificate())
        .trust_anchor(elsewhere.world.root_certificate())
        .clock(|| NOW)
        .build()
        .unwrap()
}

/// V-5.3-03: somebody whose authority nobody trusts is not invited, and a welcome from there is
/// refused and uses nothing up; whoever trusts both is at home with either.
#[test]
fn strangers_are_refused() {
    let (town, elsewhere) = (Town::new(P256), elsewhere());
    let store = MemoryStorage::new();
    let alice = town.builder("alice", 11).storage(store.clone()).build().unwrap();
    let mallory = elsewhere.builder("mallory", 14).validator(trusts_both(&town, &elsewhere));
    let mallory = mallory.build().unwrap();
    let verdict = town.validator(false).check(&CredentialCheck::new(
        mallory.credential(),
        key(P256, 14).public_key(),
        CredentialUse::Add,
    ));
    let error = verdict.unwrap_err();
    assert_eq!((error.certificate, error.fault), (1, X509Fault::UntrustedIssuer));

    let alices = alice.create_group().unwrap();
    let invited = alices.invite([mallory.key_package().unwrap()]);
    assert!(matches!(invited, Err(Error::Refused(Refused::Credential))));
    assert_eq!(alices.epoch().unwrap(), 0);
    assert_eq!(alices.members().unwrap().len(), 1);
    assert!(alices.pending_commit().unwrap().is_none());

    let key_package = alice.key_package().unwrap();
    let before = rows(&store);
    let theirs = mallory.create_group().unwrap();
    let welcome = theirs.invite([&key_package]).unwrap().confirm().unwrap().welcome();
    for joined in [alice.join(&welcome).map(drop), alice.receive(&welcome).map(drop)] {
        assert!(matches!(joined, Err(Error::Refused(Refused::Credential))), "{joined:?}");
    }
    assert_eq!(rows(&store), before);
    // The same Welcome is sound: with both anchors the same client joins by it.
    let chain = alice.credential().clone();
    drop(alice);
    let alice = Client::builder_for(chain).validator(trusts_both(&town, &elsewhere));
    let alice = alice.clock(town.time.clone()).storage(store).open().unwrap();
    let joined = alice.join(&welcome).unwrap();
    let wire = joined.send(b"from another town").unwrap();
    hears(&theirs, &wire, "alice@example.org", b"from another town");
}

/// V-5.3-04, V-5.3-05: a certificate that was renewed for the same key takes the old one's place: in
/// the store when the client is opened, in a group by a Commit.
#[test]
fn v_5_3_04_a_renewed_certificate() {
    let town = Town::new(P256);
    let store = MemoryStorage::new();
    let alice = town.builder("alice", 11).storage(store.clone()).build().unwrap();
    let bob = town.client("bob", 12);
    let alices = alice.create_group().unwrap();
    let pending = alices.invite([bob.key_package().unwrap()]).unwrap();
    let bobs = bob.join(pending.confirm().unwrap().welcome()).unwrap();
    let id = alices.id().clone();
    drop((alice, alices));

    town.time.set(NEXT_YEAR);
    let renewed = |content: Content, seed| {
        let content = Content { not_after: "270101000000Z", ..content };
        let issued = content.issue(&key(P256, seed), "Middle", &town.world.middle_key);
        Credential::x509([issued, town.world.middle_certificate()])
    };
    let names = vec![email("alice@example.org")];
    let content = Content { alternative_names: names, ..Content::member("alice") };
    let open = |credential: &Credential, renew: bool| {
        let builder = Client::builder_for(credential.clone()).validator(town.validator(false));
        let builder = builder.clock(town.time.clone()).storage(store.clone());
        if renew { builder.renew_credential() } else { builder }.open()
    };
    let before = rows(&store);
    let new = renewed(content.clone(), 11);
    assert!(matches!(open(&new, false), Err(Error::Misuse(Misuse::OtherClient))));
    // Another one's name, another one's key, and one that has expired as the old one has.
    let expired = {
        let content = Content { not_after: "260601000000Z", ..content.clone() };
        let issued = content.issue(&key(P256, 11), "Middle", &town.world.middle_key);
        Credential::x509([issued, town.world.middle_certificate()])
    };
    let others = Content { alternative_names: vec![email("bob@example.org")], ..content.clone() };
    for refused in [renewed(others, 11), renewed(content, 15), expired] {
        let refused = open(&refused, true);
        assert!(matches!(refused, Err(Error::Refused(Refused::Credential))), "{refused:?}");
    }
    assert_eq!(rows(&store), before);

    let alice = open(&new, true).unwrap();
    drop(alice);
    let alice = open(&new, false).unwrap();
    let alices = alice.group(&id).unwrap();
    let key = alices.own_member().unwrap().signature_key;
    let change = LeafChange { credential: Some(new.clone()), ..LeafChange::default() };
    let pending = alices.commit().leaf(change).stage().unwrap();
    bobs.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    let member = bobs.members().unwrap().remove(0);
    assert_eq!((member.credential, member.signature_key), (new, key));
    let wire = alices.send(b"renewed").unwrap();
    hears(&bobs, &wire, "alice@example.org", b"renewed");
    // Its key packages have the new one: with the old one nobody would take them any more.
    assert!(bob.check_key_package(alice.key_package().unwrap()).is_ok());
}

/// V-5.3-03: a Commit that adds somebody whom the receiver does not trust is refused and changes
/// nothing.
#[test]
fn a_commit_that_adds_a_stranger() {
    let town = Town::new(P256);
    let elsewhere = elsewhere();
    let both = trusts_both(&town, &elsewhere);
    let alice = town.builder("alice", 11).validator(both).build().unwrap();
    let store = MemoryStorage::new();
    let bob = town.builder("bob", 12).storage(store.clone()).build().unwrap();
    let mallory = elsewhere.client("mallory", 14);
    let alices = alice.create_group().unwrap();
    let pending = alices.invite([bob.key_package().unwrap()]).unwrap();
    let bobs = bob.join(pending.confirm().unwrap().welcome()).unwrap();

    let before = rows(&store);
    let pending = alices.invite([mallory.key_package().unwrap()]).unwrap();
    let received = bobs.receive(pending.message());
    assert!(matches!(received, Err(Error::Refused(Refused::Credential))));
    assert_eq!(rows(&store), before);
    pending.discard().unwrap();
    let wire = alices.send(b"still here").unwrap();
    hears(&bobs, &wire, "alice@example.org", b"still here");
}

/// Everything in the store.
fn rows(store: &MemoryStorage) -> Vec<(Vec<u8>, Vec<u8>)> {
    use circlet::storage::{Prefix, Storage};

    let rows = store.scan(&Prefix::new(&[])).unwrap();
    rows.into_iter().map(|(key, row)| (key.as_bytes().to_vec(), row.value.to_vec())).collect()
}

/// V-5.3-05, V-5.3-06: members whose certificates have expired are still heard, and can still
/// commit; whoever joins then decides by its own policy.
#[test]
fn v_5_3_06_expired_members_go_on() {
    let town = Town::new(P256);
    let (alice, bob) = (town.client("alice", 11), town.client("bob", 12));
    let alices = alice.create_group().unwrap();
    let pending = alices.invite([bob.key_package().unwrap()]).unwrap();
    let bobs = bob.join(pending.confirm().unwrap().welcome()).unwrap();
    let early = bobs.send(b"before").unwrap();

    town.time.set(NEXT_YEAR);
    hears(&alices, &early, "bob@example.org", b"before");
    let wire = bobs.send(b"after").unwrap();
    hears(&alices, &wire, "bob@example.org", b"after");
    let pending = bobs.update().unwrap();
    alices.receive(pending.message()).unwrap();
    pending.confirm().unwrap();

    for (accept, name, seed) in [(false, "carol", 13), (true, "dave", 14)] {
        let content = Content { not_after: "270101000000Z", ..Content::member(name) };
        let issued = content.issue(&key(P256, seed), "Middle", &town.world.middle_key);
        let credential = Credential::x509([issued, town.world.middle_certificate()]);
        let builder = town.builder_for(credential, seed);
        let joiner = builder.validator(town.validator(accept)).build().unwrap();
        let pending = alices.invite([joiner.key_package().unwrap()]).unwrap();
        bobs.receive(pending.message()).unwrap();
        let joined = joiner.join(pending.confirm().unwrap().welcome());
        match accept {
            false => assert!(matches!(joined, Err(Error::Refused(Refused::Credential)))),
            true => assert!(joined.is_ok()),
        }
    }
}

/// V-13.0-03: who is judged by chains of certificates does not claim to support basic credentials.
#[test]
fn only_certificates_are_supported() {
    let town = Town::new(P256);
    let alice = town.client("alice", 10);
    let message =
        MlsMessage::read(&alice.key_package().unwrap(), &DecodeContext::default()).unwrap();
    let MlsMessage::KeyPackage(key_package) = message else { panic!("no KeyPackage") };
    let mut types = key_package.leaf_node.capabilities.credentials.clone();
    types.retain(|kind| kind.0 & 0x0f0f != 0x0a0a);
    assert_eq!(types, [CredentialType::X509]);
}

/// V-7.2-05, V-5.3-08: a group takes certificates only while all its members can read them; a client
/// with a basic credential that accepts them says so.
#[test]
fn capabilities() {
    use circlet::identity::{CredentialCheck, CredentialRejected, CredentialValidator};

    struct Either(X509Validator, Vec<CredentialType>);
    impl CredentialValidator for Either {
        fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
            match check.credential {
                Credential::Basic(_) => Ok(()),
                _ => self.0.validate(check),
            }
        }

        fn credential_types(&self) -> Vec<CredentialType> {
            self.1.clone()
        }
    }

    let town = Town::new(P256);
    let alice = town.client("alice", 11);
    let plain = |types: &[CredentialType]| {
        Client::builder("bob")
            .cipher_suite(P256)
            .validator(Either(town.validator(false), types.to_vec()))
            .clock(town.time.clone())
            .rng(Seeded(12 << 40))
    };
    let group = plain(&[CredentialType::BASIC]).build().unwrap().create_group().unwrap();
    let invited = group.invite([alice.key_package().unwrap()]);
    assert!(matches!(invited, Err(Error::Violation(_))), "{invited:?}");
    let both = [CredentialType::BASIC, CredentialType::X509];
    let bob = plain(&both).build().unwrap();
    let group = bob.create_group().unwrap();
    // Nor is she in a group with somebody whom she can't judge.
    let invited = group.invite([alice.key_package().unwrap()]);
    assert!(matches!(invited, Err(Error::Violation(_))), "{invited:?}");
    let either = Either(town.validator(false), both.to_vec());
    let open = town.builder("alice", 13).validator(either).build().unwrap();
    group.invite([open.key_package().unwrap()]).unwrap().discard().unwrap();
}
