//! What a client does when all goes well, and what it says when it does not.

use circlet::client::{GroupOptions, OutgoingKind};
use circlet::codec::{Decode, DecodeContext, Encode};
use circlet::crypto::Secret;
use circlet::group::{GroupInfoOptions, HandshakeFormat, Padding, Status};
use circlet::message::{GroupId, MlsMessage};
use circlet::schedule::Psk;
use circlet::storage::{Key, MemoryStorage, Prefix, Storage};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, RequiredCapabilities};
use circlet::{Client, Error, Misuse, Received, Unready};

use crate::harness::{
    FixedClock, Person, SharedRng, agree, all_talk, client, group, group_of, names, said, suites,
    text,
};

fn leaf(index: u32) -> LeafIndex {
    LeafIndex(index)
}

#[test]
fn the_way_of_the_readme() {
    let alice = Client::builder("alice").build().unwrap();
    let bob = Client::builder("bob").build().unwrap();
    let group = alice.create_group().unwrap();
    let pending = group.invite([bob.key_package().unwrap()]).unwrap();
    assert_eq!((group.epoch().unwrap(), names(&group)), (0, vec!["alice".to_owned()]));
    let welcome = pending.confirm().unwrap().welcome();
    let bobs = bob.join(&welcome).unwrap();
    let wire = group.send(b"hello").unwrap();
    assert_eq!(text(bobs.receive(&wire).unwrap()), said("alice", "hello"));
    agree(&[group, bobs]);
}

#[test]
fn every_suite_of_the_default_provider() {
    assert!(suites().len() >= 5);
    for suite in suites() {
        let build =
            |name, seed| Person::new(name, seed).builder().cipher_suite(suite).build().unwrap();
        let clients = [build("alice", 1), build("bob", 2), build("carol", 3)];
        let mut groups = group_of(&clients);
        all_talk(&groups);
        let update = groups[1].propose_update().unwrap();
        groups[0].receive(&update).unwrap();
        groups[2].receive(&update).unwrap();
        let pending = groups[0].remove(leaf(2)).unwrap();
        assert!(matches!(groups[1].receive(pending.message()), Ok(Received::Commit(_))));
        assert!(matches!(groups[2].receive(pending.message()), Ok(Received::Removed(_))));
        pending.confirm().unwrap();
        groups.pop();
        agree(&groups);
        all_talk(&groups);
    }
}

#[test]
fn public_handshakes_and_padding() {
    let build = |name, seed| {
        let builder = Person::new(name, seed).builder();
        let builder = builder.handshake(HandshakeFormat::Public).padding(Padding::Multiple(64));
        builder.build().unwrap()
    };
    let groups = group_of(&[build("alice", 1), build("bob", 2), build("carol", 3)]);
    let lengths = ["a", "a longer message"].map(|data| groups[0].send(data).unwrap().len());
    assert_eq!(lengths[0], lengths[1]);

    let proposal = groups[1].propose_update().unwrap();
    let public = MlsMessage::from_bytes(&proposal, &DecodeContext::default()).unwrap();
    assert!(matches!(public, MlsMessage::Public(_)));
    assert!(matches!(groups[1].receive(&proposal), Ok(Received::Own)));
    for group in [&groups[0], &groups[2]] {
        assert!(matches!(group.receive(&proposal), Ok(Received::Proposal(_))));
        // No key is used up by a message that is not encrypted: its content is what is known.
        assert!(matches!(group.receive(&proposal), Ok(Received::Duplicate)));
    }
    assert_eq!(groups[2].client().undelivered().unwrap().len(), 1);
    let pending = groups[2].update().unwrap();
    let Received::Commit(change) = groups[0].receive(pending.message()).unwrap() else { panic!() };
    let updated: Vec<_> = change.outcome().updated.iter().map(ToString::to_string).collect();
    assert_eq!(updated, ["bob", "carol"]);
    groups[1].receive(pending.message()).unwrap();
    assert!(matches!(groups[1].receive(pending.message()), Ok(Received::Late { epoch: 1 })));
    assert!(matches!(groups[2].receive(pending.message()), Ok(Received::Confirmed(_))));
    assert!(matches!(groups[2].receive(pending.message()), Ok(Received::Own)));
    agree(&groups);
    all_talk(&groups);
}

#[test]
fn a_welcome_comes_as_a_message_and_the_joining_is_an_event() {
    let (alice, bob) = (Person::new("alice", 1), Person::new("bob", 2));
    let (alices, bobs) = (alice.build(), bob.build());
    let group = alices.create_group().unwrap();
    let pending = group.invite([bobs.key_package().unwrap()]).unwrap();
    let welcome = pending.confirm().unwrap().welcome();
    assert_eq!(welcome.kind(), OutgoingKind::Welcome);
    let Received::Joined(joined) = bobs.receive(&welcome).unwrap() else { panic!() };
    assert_eq!(
        (joined.group_id(), joined.welcomer().unwrap().to_string()),
        (group.id(), "alice".into())
    );
    assert!(matches!(bobs.receive(&welcome), Err(Error::Unready(Unready::UnknownKeyPackage))));
    drop(bobs);
    let bobs = bob.open();
    let events = bobs.undelivered().unwrap();
    let [Received::Joined(again)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(again.id(), joined.id());
    bobs.acknowledge(again.id()).unwrap();
    assert!(bobs.undelivered().unwrap().is_empty());
    agree(&[group, bobs.group(joined.group_id()).unwrap()]);
}

#[test]
fn the_tree_may_come_separately() {
    let groups = group(2);
    let carol = client("carol", 3);
    let pending = groups[0]
        .commit()
        .add(carol.key_package().unwrap())
        .tree_outside()
        .without_path()
        .stage()
        .unwrap();
    let tree = pending.ratchet_tree().unwrap().to_vec();
    groups[1].receive(pending.message()).unwrap();
    let welcome = pending.confirm().unwrap().welcome().unwrap();
    assert_eq!(tree, groups[0].ratchet_tree().unwrap());
    let missing = carol.join(&welcome).unwrap_err();
    assert!(matches!(missing, Error::Unready(Unready::RatchetTreeMissing)));
    // The key package can still be used.
    let joined = carol.join_with_tree(&welcome, &tree).unwrap();
    let groups = [groups, vec![joined]].concat();
    agree(&groups);
    all_talk(&groups);
}

#[test]
fn extensions_are_the_groups() {
    let mut extensions = Extensions::new();
    let data = RequiredCapabilities::default().to_bytes().unwrap();
    extensions.set(Extension { extension_type: ExtensionType::REQUIRED_CAPABILITIES, data });
    let (alice, bob) = (client("alice", 1), client("bob", 2));
    let options = GroupOptions {
        group_id: Some(GroupId::new(b"with extensions")),
        extensions: extensions.clone(),
    };
    let first = alice.create_group_with(options).unwrap();
    let pending = first.invite([bob.key_package().unwrap()]).unwrap();
    let second = bob.join(pending.confirm().unwrap().welcome()).unwrap();
    assert_eq!(second.extensions().unwrap(), extensions);
    assert_eq!(second.id().as_bytes(), b"with extensions");

    let pending = second.commit().extensions(Extensions::new()).stage().unwrap();
    first.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    assert!(first.extensions().unwrap().is_empty());
    let proposal = second.propose_extensions(extensions.clone()).unwrap();
    first.receive(&proposal).unwrap();
    let pending = first.update().unwrap();
    second.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    assert_eq!(first.extensions().unwrap(), extensions);
    agree(&[first, second]);
}

#[test]
fn a_pre_shared_key_is_injected_and_its_lack_is_told() {
    let groups = group(2);
    let secret = Secret::new(&[7; 32]);
    let unknown = groups[0].commit().psk(b"shared").stage().unwrap_err();
    assert!(
        matches!(unknown, Error::Unready(Unready::UnknownPsk(Psk::External { psk_id })) if psk_id == b"shared")
    );
    groups[0].client().add_psk(b"shared", &secret).unwrap();
    let pending = groups[0].commit().psk(b"shared").without_path().stage().unwrap();
    let unknown = groups[1].receive(pending.message()).unwrap_err();
    assert!(
        matches!(unknown, Error::Unready(Unready::UnknownPsk(Psk::External { psk_id })) if psk_id == b"shared")
    );
    groups[1].client().add_psk(b"shared", &secret).unwrap();
    assert!(matches!(groups[1].receive(pending.message()), Ok(Received::Commit(_))));
    pending.confirm().unwrap();
    agree(&groups);

    // Another secret under the same id gives no epoch.
    let carol = client("carol", 3);
    let invite = groups[0].commit().psk(b"shared").add(carol.key_package().unwrap());
    let pending = invite.stage().unwrap();
    let welcome = pending.confirm().unwrap().welcome().unwrap();
    assert!(matches!(carol.join(&welcome), Err(Error::Unready(Unready::UnknownPsk(_)))));
    carol.add_psk(b"shared", &Secret::new(&[8; 32])).unwrap();
    assert!(matches!(carol.join(&welcome), Err(Error::Violation(_))));
    carol.add_psk(b"shared", &secret).unwrap();
    agree(&[groups[0].clone(), carol.join(&welcome).unwrap()]);
}

#[test]
fn a_group_describes_itself() {
    let groups = group(2);
    let info = groups[0].group_info(GroupInfoOptions::default()).unwrap();
    let info = MlsMessage::from_bytes(&info, &DecodeContext::default()).unwrap();
    let MlsMessage::GroupInfo(info) = info else { panic!() };
    assert_eq!((info.group_context.epoch, info.signer), (1, leaf(0)));
    let tree = info.extensions.find(ExtensionType::RATCHET_TREE).unwrap();
    assert_eq!(tree, groups[1].ratchet_tree().unwrap());
    assert!(info.extensions.find(ExtensionType::EXTERNAL_PUB).is_some());
    let bare = GroupInfoOptions { ratchet_tree: false, external_pub: false };
    let bare = groups[1].group_info(bare).unwrap();
    assert!(bare.len() < tree.len());
    assert!(matches!(groups[0].client().receive(&bare), Err(Error::Misuse(Misuse::NotReceivable))));

    let (epoch, secret) = groups[0].export("label", b"context", 70).unwrap();
    assert_eq!((epoch, secret.len()), (1, 70));
    let (_, other) = groups[1].export("label", b"another context", 70).unwrap();
    assert_ne!(secret, other);
    assert!(matches!(
        groups[0].export("label", b"", 70_000),
        Err(Error::Misuse(Misuse::ExportLength))
    ));
}

#[test]
fn proposals_that_wait_hold_messages_back_unless_allowed() {
    let lax = Person::new("bob", 2).builder().send_despite_proposals(true).build().unwrap();
    let groups = group_of(&[client("alice", 1), lax, client("carol", 3)]);
    let proposal = groups[2].propose_remove(leaf(1)).unwrap();
    for group in &groups[..2] {
        group.receive(&proposal).unwrap();
    }
    for group in [&groups[0], &groups[2]] {
        assert!(matches!(group.send("x"), Err(Error::Misuse(Misuse::ProposalsPending))));
    }
    let wire = groups[1].send("despite it").unwrap();
    assert_eq!(text(groups[0].receive(&wire).unwrap()), said("bob", "despite it"));
    // Who is to be removed can't commit that.
    let pending = groups[0].commit().without_waiting_proposals().stage().unwrap();
    for group in &groups[1..] {
        group.receive(pending.message()).unwrap();
    }
    pending.confirm().unwrap();
    assert_eq!(names(&groups[0]).len(), 3);
    // The proposal went with its epoch.
    all_talk(&groups);
}

#[test]
fn who_is_removed_is_told_and_keeps_nothing_of_the_group() {
    let store = MemoryStorage::new();
    let opened = store.clone();
    let carol = Person::with_store("carol", 3, move || Box::new(opened.clone()));
    let carols = carol.build();
    let mut groups = group_of(&[client("alice", 1), client("bob", 2), carols.clone()]);
    all_talk(&groups);
    let unsent = groups[2].send("never acknowledged").unwrap();
    groups[2].send("never acknowledged either").unwrap();
    carols.acknowledge(unsent.id()).unwrap();
    drop(groups[2].update().unwrap());

    let pending = groups[0].remove(leaf(2)).unwrap();
    groups[1].receive(pending.message()).unwrap();
    let Received::Removed(change) = groups[2].receive(pending.message()).unwrap() else { panic!() };
    pending.confirm().unwrap();
    assert!(change.outcome().removes_own && change.lost_staged());
    assert_eq!(change.outcome().committer.to_string(), "alice");

    let gone = groups.pop().unwrap();
    let id = gone.id().clone();
    let rows = store.scan(&Prefix::new(&[])).unwrap();
    let kinds = |of: &[u8]| -> Vec<String> {
        let of_group = rows.iter().filter(|(key, _)| key.component(1) == Some(of));
        let kind = |(key, _): &(Key, _)| String::from_utf8_lossy(key.component(0).unwrap()).into();
        let mut kinds: Vec<String> = of_group.map(kind).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(id.as_bytes()), ["in", "out", "head"]);

    for client in [carols, carol.open()] {
        let group = gone.clone();
        assert!(matches!(group.send("x"), Err(Error::Misuse(Misuse::NotMember))));
        assert!(matches!(group.epoch(), Err(Error::Misuse(Misuse::NotMember))));
        assert!(matches!(group.update(), Err(Error::Misuse(Misuse::NotMember))));
        assert_eq!(group.status().unwrap(), Status::Removed);
        assert!(matches!(client.group(&id), Err(Error::Unready(Unready::UnknownGroup))));
        assert!(client.groups().unwrap().is_empty());
        let events = client.undelivered().unwrap();
        assert!(matches!(events.last(), Some(Received::Removed(_))), "{events:?}");
    }

    // Come back with a new Welcome: events and messages go on under new numbers.
    let client = carol.open();
    let before = client.undelivered().unwrap().len();
    let pending = groups[1].invite([client.key_package().unwrap()]).unwrap();
    groups[0].receive(pending.message()).unwrap();
    let welcome = pending.confirm().unwrap().welcome();
    assert!(matches!(client.receive(&welcome), Ok(Received::Joined(_))));
    let events = client.undelivered().unwrap();
    assert_eq!(events.len(), before + 1);
    assert!(matches!(events.last(), Some(Received::Joined(_))));
    groups.push(client.group(&id).unwrap());
    agree(&groups);
    all_talk(&groups);
    assert_eq!(client.unsent().unwrap().len(), 3);
}

#[test]
fn two_groups_in_one_client() {
    let clients = [client("alice", 1), client("bob", 2)];
    let (one, two) = (group_of(&clients), group_of(&clients));
    let (first, second) = (one[0].send("first").unwrap(), two[0].send("second").unwrap());
    let other = one[1].receive(&second).unwrap_err();
    assert!(matches!(other, Error::Unready(Unready::OtherGroup)));
    assert_eq!(text(clients[1].receive(&second).unwrap()), said("alice", "second"));
    assert_eq!(text(clients[1].receive(&first).unwrap()), said("alice", "first"));
    let mut ids: Vec<_> = [&one[0], &two[0]].map(|group| group.id().clone()).into();
    ids.sort();
    let groups = clients[1].groups().unwrap();
    assert_eq!(groups.iter().map(|group| group.id().clone()).collect::<Vec<_>>(), ids);
    assert_ne!(one[0].epoch_authenticator().unwrap(), two[0].epoch_authenticator().unwrap());
}

#[test]
fn what_is_misused_is_told() {
    let store = MemoryStorage::new();
    let builder = |name: &str| {
        Client::builder(name).storage(store.clone()).clock(FixedClock).rng(SharedRng::new(1))
    };
    let none = builder("alice").open().unwrap_err();
    assert!(matches!(none, Error::Misuse(Misuse::NoClient)));
    let alice = builder("alice").build().unwrap();
    for wrong in [builder("alice").build(), builder("bob").build()] {
        assert!(matches!(wrong.unwrap_err(), Error::Misuse(Misuse::ClientExists)));
    }
    for wrong in [builder("bob").open(), builder("bob").open_or_create()] {
        assert!(matches!(wrong.unwrap_err(), Error::Misuse(Misuse::OtherClient)));
    }
    assert_eq!(builder("alice").open().unwrap().credential(), alice.credential());

    let options =
        || GroupOptions { group_id: Some(GroupId::new(b"one")), ..GroupOptions::default() };
    let group = alice.create_group_with(options()).unwrap();
    let exists = alice.create_group_with(options()).unwrap_err();
    assert!(matches!(exists, Error::Misuse(Misuse::GroupExists)));
    let unknown = alice.group(&GroupId::new(b"another")).unwrap_err();
    assert!(matches!(unknown, Error::Unready(Unready::UnknownGroup)));

    let strangers = group_of(&[client("bob", 2), client("carol", 3)]);
    let wire = strangers[0].send("x").unwrap();
    assert!(matches!(alice.receive(&wire), Err(Error::Unready(Unready::UnknownGroup))));
    assert!(matches!(alice.join(&wire), Err(Error::Misuse(Misuse::NotWelcome))));
    assert!(matches!(group.invite([&wire]), Err(Error::Misuse(Misuse::NotKeyPackage))));
    assert!(matches!(group.propose_add(&wire), Err(Error::Misuse(Misuse::NotKeyPackage))));
    assert!(matches!(group.invite::<&[u8]>([]), Err(Error::Misuse(Misuse::NotKeyPackage))));
    let key_package = alice.key_package().unwrap();
    assert!(matches!(alice.receive(&key_package), Err(Error::Misuse(Misuse::NotReceivable))));
    assert!(matches!(alice.receive(b"nonsense"), Err(Error::Malformed(_))));
    assert!(matches!(group.remove(leaf(9)), Err(Error::Misuse(Misuse::NoSuchMember))));
    assert!(matches!(group.remove(leaf(0)), Err(Error::Misuse(Misuse::RemovesSelf))));
    let again = group.invite([&key_package]);
    assert!(matches!(again, Err(Error::Misuse(Misuse::AlreadyMember))));

    // A Welcome into a group that one is in.
    let dave = client("dave", 4);
    let same = dave.create_group_with(options()).unwrap();
    let welcome = same.invite([&key_package]).unwrap().confirm().unwrap().welcome();
    assert!(matches!(alice.join(&welcome), Err(Error::Misuse(Misuse::GroupExists))));
    assert_eq!(names(&group), ["alice"]);

    // Nobody's ids, and another group's.
    assert!(!alice.acknowledge(wire.id()).unwrap());
    assert!(!alice.acknowledge(wire.id()).unwrap());
}
