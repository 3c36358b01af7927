//! Whatever a client is given: bytes, and messages of a member that holds the right keys and does
//! what it likes with them. Nothing panics, and what is refused changes nothing.

#![no_main]
#![allow(dead_code, reason = "each target uses its part of what they share")]

#[path = "../../crates/circlet/tests/bad_input/conversation.rs"]
mod conversation;
#[path = "../../crates/circlet/tests/crypto_support/mod.rs"]
mod crypto_support;
mod insider;
mod seeding;

use std::sync::LazyLock;

use circlet::crypto::CipherSuite;
use circlet::group::HandshakeFormat;
use circlet::storage::{Batch, Key, MemoryStorage, Row, Storage};
use circlet::{Client, Error, Received, Unready};
use conversation::{Conversation, PSK, extensions, group_id};
use insider::Insider;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

struct Scene {
    c: Conversation,
    insider: Insider,
    /// What bob holds when an input comes.
    rows: Vec<(Key, Row)>,
    /// Messages of others to bob that he has not seen.
    genuine: Vec<Vec<u8>>,
    /// Contents that the insider could send.
    contents: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

impl Scene {
    fn new() -> Self {
        let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
        let c = Conversation::new(suite, HandshakeFormat::Public);
        let insider = Insider::join(&c);
        let hello = c.alice.group().send(b"hello").unwrap().to_vec();
        // Bob knows of an Update of his own and of one proposal.
        c.deliver(&c.bob, &c.bob.group().propose_update().unwrap());
        let proposal = c.carol.group().propose_extensions(extensions()).unwrap();
        c.deliver(&c.carol, &proposal);
        let (alice, stranger) = (c.alice.group(), c.stranger());
        let key_package = stranger.client.key_package().unwrap();
        let genuine = vec![
            hello,
            alice.propose_add(&key_package).unwrap().to_vec(),
            alice.propose_update().unwrap().to_vec(),
            alice.update().unwrap().message().to_vec(),
            c.carol.group().commit().add(&key_package).psk(PSK).stage().unwrap().message().to_vec(),
            key_package,
        ];
        let contents = insider.contents(&c.stranger().client.key_package().unwrap());
        let rows = c.bob.rows();
        let scene = Self { c, insider, rows, genuine, contents };
        scene.assert_sound();
        scene
    }

    /// Otherwise nothing behind the authentication would be fuzzed.
    fn assert_sound(&self) {
        let receive = |message: &[u8]| self.bob().0.receive(message);
        assert!(self.genuine.iter().filter(|message| receive(message).is_ok()).count() >= 4);
        let message = |content: &Vec<u8>| self.insider.message(content, 1).unwrap();
        let outcomes = self.contents.iter().map(|content| receive(&message(content)));
        let accepted = outcomes.filter(|outcome| matches!(outcome, Ok(Received::Proposal(_))));
        assert!(accepted.count() >= 2);
    }

    /// Bob as he was, with a store of his own.
    fn bob(&self) -> (Client, MemoryStorage) {
        let store = MemoryStorage::new();
        let puts = self.rows.iter().map(|(key, row)| (key.clone(), row.value.clone())).collect();
        store.apply(Batch { puts, ..Batch::default() }).unwrap();
        (self.c.bob.open(store.clone()).unwrap(), store)
    }
}

fn revision(store: &MemoryStorage) -> Vec<(Key, Row)> {
    store.scan(&circlet::storage::Prefix::new(&[])).unwrap()
}

/// What a peer can cause.
fn is_of_a_peer(error: &Error) -> bool {
    !matches!(
        error,
        Error::Internal
            | Error::Crypto(_)
            | Error::Storage(_)
            | Error::Damaged(_)
            | Error::Signer(_)
    )
}

fuzz_target!(|data: &[u8]| {
    let scene = &*SCENE;
    let Some((selector, bytes)) = data.split_first() else { return };
    let (bob, store) = scene.bob();
    let message = match selector % 4 {
        0 => Some(bytes.to_vec()),
        _ => scene.insider.message(bytes, *selector),
    };
    let Some(message) = message else { return };
    let before = revision(&store);
    let group = bob.group(&group_id()).unwrap();
    let outcome = if selector & 4 == 0 { group.receive(&message) } else { bob.receive(&message) };
    let changed = revision(&store) != before;
    match outcome {
        Ok(
            Received::Message(_)
            | Received::Proposal(_)
            | Received::Commit(_)
            | Received::Removed(_),
        ) => {
            let forged = selector % 4 == 0 && !scene.genuine.contains(&message);
            assert!(changed && !forged, "forged");
        }
        Ok(_) => assert!(!changed),
        Err(Error::Unready(Unready::UnknownPsk(_))) => assert!(!changed),
        Err(error) => {
            assert!(is_of_a_peer(&error), "{error:?}");
            assert!(!changed, "{error:?}");
        }
    }
    if selector % 4 == 0 {
        assert!(bob.join(&message).is_err() && bob.join_with_tree(&message, bytes).is_err());
        if !scene.genuine.contains(&message) {
            assert!(group.invite([&message]).is_err());
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let (selector, index) = ((seed >> 16) as u8, seed as usize);
        let from = if selector % 4 == 0 { &SCENE.genuine } else { &SCENE.contents };
        [&[selector], from[index % from.len()].as_slice()].concat()
    })
});
