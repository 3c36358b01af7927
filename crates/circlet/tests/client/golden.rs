//! A store as version 1 of the rows wrote it, in the middle of a conversation: every later version
//! opens it and goes on.
//!
//! `cargo test -p circlet --test client -- --ignored` writes the file anew; that is right only
//! before the first release of a version of the rows.

use std::collections::BTreeSet;
use std::fmt::Write;

use circlet::client::{GroupOptions, OutgoingKind, PendingCommit, ReInitOptions};
use circlet::crypto::Secret;
use circlet::group::Status;
use circlet::message::GroupId;
use circlet::storage::{Batch, Key, MemoryStorage, Prefix, Storage};
use circlet::{Client, Group, Received};

use crate::app::describe;
use crate::crypto_support::hex;
use crate::harness::{FixedClock, Person, SharedRng, agree, all_talk, names, said, text};

const ROWS: &str = include_str!("../data/rows-v1.txt");
const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// The rows of a person, put into a new store.
fn store_of(name: &str) -> MemoryStorage {
    let store = MemoryStorage::new();
    let mut batch = Batch::default();
    for line in ROWS.lines().filter(|line| !line.starts_with('#')) {
        let [owner, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if owner == name {
            batch.puts.push((Key::from_bytes(&hex(key)).unwrap(), hex(value).into()));
        }
    }
    assert!(!batch.puts.is_empty());
    store.apply(batch).unwrap();
    store
}

fn recorded(name: &str) -> Vec<u8> {
    let start = format!("message {name} ");
    hex(ROWS.lines().find_map(|line| line.strip_prefix(&start)).unwrap())
}

fn open(name: &str, seed: u64) -> Client {
    let builder = Client::builder(name).storage(store_of(name)).clock(FixedClock);
    builder.rng(SharedRng::new(100 + seed)).open().unwrap()
}

fn main_group(client: &Client) -> Group {
    client.group(&GroupId::new(b"golden")).unwrap()
}

#[test]
fn rows_of_version_1_are_read() {
    let kinds: BTreeSet<Vec<u8>> = store_of("alice")
        .scan(&Prefix::new(&[]))
        .unwrap()
        .iter()
        .map(|(key, _)| key.component(0).unwrap().to_vec())
        .collect();
    let all = [
        "client",
        "key-package",
        "psk",
        "head",
        "epoch",
        "node",
        "secret",
        "ratchet",
        "skipped",
        "past",
        "former",
        "proposal",
        "staged",
        "reinit",
        "old-group",
        "out",
        "in",
    ];
    assert_eq!(kinds, all.iter().map(|kind| kind.as_bytes().to_vec()).collect());

    let [alice, bob, carol, dave] = [0, 1, 2, 3].map(|i| open(NAMES[i], i as u64));
    let [alices, bobs, carols] = [&alice, &bob, &carol].map(main_group);
    agree(&[alices.clone(), bobs.clone(), carols.clone()]);
    assert_eq!(names(&alices), ["alice", "bob", "carol"]);
    assert_eq!(alices.status().unwrap(), Status::Active);
    assert_eq!(alice.groups().unwrap().len(), 2, "alice was removed from the third one");

    // What waits for the application.
    let events: Vec<String> = alice.undelivered().unwrap().iter().map(describe).collect();
    let expected: Vec<String> = recorded("events")
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    assert_eq!(events, expected);
    let unsent = alice.unsent().unwrap();
    let kinds: BTreeSet<String> = unsent.iter().map(|out| format!("{:?}", out.kind())).collect();
    let all = ["Application", "Proposal", "Commit", "Welcome"];
    assert_eq!(kinds, all.iter().map(ToString::to_string).collect());
    // These rows do not say whose credentials the Welcomes are for; the Welcomes say the rest.
    for welcome in unsent.iter().filter(|out| out.kind() == OutgoingKind::Welcome) {
        assert!(!welcome.recipients().is_empty());
        assert!(welcome.recipients().iter().all(|one| one.credential.is_none()));
    }

    // Late from a past epoch, a skipped one of the present, one read before, the next in order.
    for (message, expected) in [
        ("late", Some("late")),
        ("skipped", Some("skipped")),
        ("skipped", None),
        ("read", None),
        ("next", Some("next")),
    ] {
        match alices.receive(recorded(message)).unwrap() {
            Received::Duplicate => assert_eq!(expected, None, "{message}"),
            other => assert_eq!(text(other), said("bob", expected.unwrap())),
        }
    }

    // The staged Commit, which adds dave, takes bob's Update and injects a key.
    let pending = alices.pending_commit().unwrap().unwrap();
    let commit = unsent.iter().find(|out| out.kind() == OutgoingKind::Commit).unwrap();
    assert_eq!(pending.message().as_bytes(), commit.as_bytes());
    for group in [&bobs, &carols] {
        assert!(matches!(group.receive(commit), Ok(Received::Commit(_))));
    }
    let welcome = pending.confirm().unwrap().welcome().unwrap();
    let daves = dave.join(&welcome).unwrap();
    let groups = [alices, bobs, carols, daves];
    agree(&groups);
    all_talk(&groups);
    let pending = groups[1].update().unwrap();
    for group in [&groups[0], &groups[2], &groups[3]] {
        group.receive(pending.message()).unwrap();
    }
    pending.confirm().unwrap();
    agree(&groups);

    // The group that a ReInit has closed, and the resumption PSK of one that alice is not in.
    let ended = [&alice, &bob].map(|client| client.group(&GroupId::new(b"ended")).unwrap());
    assert_eq!(ended[1].status().unwrap(), Status::Reinitialized);
    let continued = ended[0].reinitialize([bob.key_package().unwrap()]).unwrap();
    let bobs = bob.join(continued.welcome().unwrap()).unwrap();
    assert_eq!(*bobs.id(), GroupId::new(b"after the end"));
    let left = GroupId::new(b"left");
    let pending = continued.group().commit().resumption_psk(&left, 2).stage().unwrap();
    bobs.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    agree(&[continued.group().clone(), bobs]);

    // The key package, and the group that alice was removed from.
    let bobs = bob.group(&GroupId::new(b"left")).unwrap();
    let pending = bobs.invite([recorded("key-package")]).unwrap();
    let alices = alice.join(pending.confirm().unwrap().welcome()).unwrap();
    agree(&[alices, bobs]);
}

/// What the file holds.
struct Golden {
    people: Vec<Person>,
    messages: Vec<(&'static str, Vec<u8>)>,
}

#[test]
#[ignore = "writes the file that the other test reads"]
fn write_rows() {
    let golden = Golden::make();
    let mut file = "# Rows of four clients: owner, key, value. Messages: name, bytes.\n".to_owned();
    for person in &golden.people {
        for (key, row) in (person.store)().scan(&Prefix::new(&[])).unwrap() {
            let (key, value) = (to_hex(key.as_bytes()), to_hex(&row.value));
            writeln!(file, "{} {key} {value}", person.name).unwrap();
        }
    }
    for (name, bytes) in &golden.messages {
        writeln!(file, "message {name} {}", to_hex(bytes)).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rows-v1.txt");
    std::fs::write(path, file).unwrap();
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

impl Golden {
    fn make() -> Self {
        let people: Vec<Person> =
            NAMES.iter().zip(1..).map(|(name, seed)| Person::new(name, seed)).collect();
        let clients: Vec<Client> = people.iter().map(Person::build).collect();
        leave(&clients);
        end(&clients);
        let groups = begin(&clients);

        let late = groups[1].send("late").unwrap();
        let settle = |pending: PendingCommit| {
            for group in &groups {
                group.receive(pending.message()).unwrap();
            }
        };
        settle(groups[0].update().unwrap());
        // Carol's leaf changes its owner and comes back.
        let leaf = groups[2].own_member().unwrap().leaf_index;
        let commit = groups[0].remove(leaf).unwrap();
        settle(commit);
        let commit = groups[1].invite([clients[2].key_package().unwrap()]).unwrap();
        groups[0].receive(commit.message()).unwrap();
        clients[2].join(commit.confirm().unwrap().welcome()).unwrap();
        agree(&groups);

        let wires = ["skipped", "read", "next"].map(|data| groups[1].send(data).unwrap());
        groups[0].receive(&wires[1]).unwrap();
        groups[2].receive(&wires[1]).unwrap();
        let own = groups[0].send("unsent").unwrap();
        groups[1].receive(&own).unwrap();
        let update = groups[1].propose_update().unwrap();
        let own = groups[0].propose_update().unwrap();
        for (sender, wire) in [(1, &update), (0, &own)] {
            for (_, group) in groups.iter().enumerate().filter(|(i, _)| *i != sender) {
                group.receive(wire).unwrap();
            }
        }
        for client in &clients {
            client.add_psk(b"golden key", &Secret::new(&[9; 32])).unwrap();
        }
        let commit = groups[0].commit().psk(b"golden key");
        drop(commit.add(clients[3].key_package().unwrap()).stage().unwrap());

        let events: Vec<String> = clients[0].undelivered().unwrap().iter().map(describe).collect();
        let [skipped, read, next] = wires.map(|wire| wire.to_vec());
        let messages = vec![
            ("late", late.to_vec()),
            ("skipped", skipped),
            ("read", read),
            ("next", next),
            ("events", events.join("\n").into_bytes()),
            ("key-package", clients[0].key_package().unwrap()),
        ];
        Self { people, messages }
    }
}

fn options(id: &[u8]) -> GroupOptions {
    GroupOptions { group_id: Some(GroupId::new(id)), ..GroupOptions::default() }
}

/// The main group: alice, bob and carol.
fn begin(clients: &[Client]) -> Vec<Group> {
    let options = options(b"golden");
    let group = clients[0].create_group_with(options).unwrap();
    let key_packages = clients[1..3].iter().map(|client| client.key_package().unwrap());
    let welcome = group.invite(key_packages).unwrap().confirm().unwrap().welcome();
    let mut groups = vec![group];
    groups.extend(clients[1..3].iter().map(|client| client.join(&welcome).unwrap()));
    groups
}

/// A group of alice's and bob's that is to be re-initialized.
fn end(clients: &[Client]) {
    let group = clients[0].create_group_with(options(b"ended")).unwrap();
    let pending = group.invite([clients[1].key_package().unwrap()]).unwrap();
    let bobs = clients[1].join(pending.confirm().unwrap().welcome()).unwrap();
    let group_id = Some(GroupId::new(b"after the end"));
    let reinit = ReInitOptions { group_id, ..ReInitOptions::default() };
    let pending = group.commit().reinit(reinit).stage().unwrap();
    bobs.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
}

/// A group of bob's that alice was removed from, and that she has a resumption PSK of all the same.
fn leave(clients: &[Client]) {
    let options = options(b"left");
    let group = clients[1].create_group_with(options).unwrap();
    let pending = group.invite([clients[0].key_package().unwrap()]).unwrap();
    let alices = clients[0].join(pending.confirm().unwrap().welcome()).unwrap();
    let pending = group.remove(alices.own_member().unwrap().leaf_index).unwrap();
    alices.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    clients[0].add_old_group(&group.old_group().unwrap()).unwrap();
}
