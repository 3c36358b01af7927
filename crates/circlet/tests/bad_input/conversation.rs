//! A group of three whose every run is the same, with its members' stores open to the test.

use circlet::client::{Clock, GroupOptions, Outgoing};
use circlet::codec::Encode;
use circlet::crypto::{CipherSuite, Secret};
use circlet::group::HandshakeFormat;
use circlet::identity::CredentialType;
use circlet::message::GroupId;
use circlet::storage::{Key, MemoryStorage, Prefix, Row, Storage};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, RequiredCapabilities};
use circlet::{Client, Group};

use crate::crypto_support::Seeded;

/// When everything happens, in seconds since the Unix epoch.
pub(crate) const NOW: u64 = 1_700_000_000;
/// The name of a pre-shared key that everybody has.
pub(crate) const PSK: &[u8] = b"psk";

/// The leaves, in the order in which people joined.
pub(crate) const BOB: LeafIndex = LeafIndex(1);
pub(crate) const CAROL: LeafIndex = LeafIndex(2);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> u64 {
        NOW
    }
}

/// A client and all that it has stored.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) store: MemoryStorage,
    name: &'static str,
}

/// Alice has made a group and invited bob and carol, who joined: epoch 1.
pub(crate) struct Conversation {
    pub(crate) suite: CipherSuite,
    pub(crate) handshake: HandshakeFormat,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    pub(crate) carol: Person,
}

pub(crate) fn group_id() -> GroupId {
    GroupId::new(b"group")
}

impl Person {
    pub(crate) fn new(suite: CipherSuite, name: &'static str, handshake: HandshakeFormat) -> Self {
        let store = MemoryStorage::new();
        let seed = name.bytes().fold(0, |seed, byte| seed << 8 | u64::from(byte));
        let builder = Client::builder(name).cipher_suite(suite).storage(store.clone());
        let client = builder.rng(Seeded(seed)).clock(Fixed).handshake(handshake).build().unwrap();
        client.add_psk(PSK, &Secret::new(&[7; 32])).unwrap();
        Self { client, store, name }
    }

    /// Another client on another store.
    pub(crate) fn open(&self, store: MemoryStorage) -> Result<Client, circlet::Error> {
        Client::builder(self.name).storage(store).rng(Seeded(99)).clock(Fixed).open()
    }

    pub(crate) fn group(&self) -> Group {
        self.client.group(&group_id()).unwrap()
    }

    /// The whole store, revisions included.
    pub(crate) fn rows(&self) -> Vec<(Key, Row)> {
        self.store.scan(&Prefix::new(&[])).unwrap()
    }
}

impl Conversation {
    pub(crate) fn new(suite: CipherSuite, handshake: HandshakeFormat) -> Self {
        let person = |name| Person::new(suite, name, handshake);
        let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
        let options = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
        let group = alice.client.create_group_with(options).unwrap();
        let packages = [bob.client.key_package().unwrap(), carol.client.key_package().unwrap()];
        let welcome = group.invite(packages).unwrap().confirm().unwrap().welcome();
        bob.client.join(&welcome).unwrap();
        carol.client.join(&welcome).unwrap();
        Self { suite, handshake, alice, bob, carol }
    }

    /// Somebody who is not in the group.
    pub(crate) fn stranger(&self) -> Person {
        Person::new(self.suite, "dave", self.handshake)
    }

    /// Everybody but its sender receives a message.
    pub(crate) fn deliver(&self, sender: &Person, message: &Outgoing) {
        for person in [&self.alice, &self.bob, &self.carol] {
            if person.name != sender.name {
                person.group().receive(message).unwrap();
            }
        }
    }
}

/// Extensions that every member supports.
pub(crate) fn extensions() -> Extensions {
    let required = RequiredCapabilities {
        credential_types: vec![CredentialType::BASIC],
        ..RequiredCapabilities::default()
    };
    let data = required.to_bytes().unwrap();
    let extension_type = ExtensionType::REQUIRED_CAPABILITIES;
    Extensions::from_iter([Extension { extension_type, data }])
}

/// Extensions that nobody can read.
pub(crate) fn broken_extensions() -> impl Iterator<Item = Extensions> {
    let kinds = [ExtensionType::REQUIRED_CAPABILITIES, ExtensionType::EXTERNAL_SENDERS];
    let bodies: [&[u8]; 4] = [&[], &[0xff], &[0xbf, 0xff, 0xff, 0xff], &[0, 0, 0, 0]];
    let all = kinds.into_iter().flat_map(move |kind| bodies.map(|body| (kind, body.to_vec())));
    all.map(|(extension_type, data)| Extensions::from_iter([Extension { extension_type, data }]))
}
