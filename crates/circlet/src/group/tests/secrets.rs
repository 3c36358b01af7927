//! Superseded secrets die (V-7.5-07, V-9.2-01): of all the secrets that a member's provider ever
//! made, those that are still in memory after a step are those that the member's values hold.

use super::*;
use crate::client::tests::spy::{Made, Record, Spy};
use crate::crypto::{HpkePrivateKey, WeakSecret};
use crate::message::PublicMessage;
use crate::schedule::{EpochSecrets, PreSharedKeyId, Psk, RatchetKind, SecretTree, SkippedId};
use crate::tree::NodeIndex;

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

type Bytes = Vec<u8>;

/// Members, and what their providers see.
struct Room {
    members: Vec<Actor>,
    spies: Vec<Arc<Spy>>,
    record: Record,
}

impl Room {
    /// A group of so many members, all added by the first in one Commit.
    fn new(size: usize) -> Self {
        let mut room = Self { members: Vec::new(), spies: Vec::new(), record: Record::default() };
        for i in 0..size {
            let (member, spy) = room.visitor(&format!("m{i}"));
            room.members.push(member);
            room.spies.push(spy);
        }
        room.members[0].create(b"a group");
        let adds = room.members[1..].iter_mut().map(|joiner| Proposal::Add(joiner.key_package()));
        let adds = adds.collect();
        room.members[0].commit_by_value(adds);
        room.check();
        let welcome = room.members[0].confirm().unwrap();
        for joiner in &mut room.members[1..] {
            joiner.join(&welcome);
            // A key package is used once, then the joiner deletes it (section 10).
            joiner.keys = None;
        }
        room.check();
        room
    }

    /// Somebody who is no member yet.
    fn visitor(&self, name: &str) -> (Actor, Arc<Spy>) {
        let spy = Spy::of(&self.record);
        let settings = Settings::new(Suite::new(spy.clone(), SUITE).unwrap());
        let mut rng = SeededRng::new(name.bytes().map(u64::from).sum());
        let signer = SigningKey::generate(&settings.suite, &mut rng).unwrap();
        let (name, psks) = (name.to_owned(), Psks::default());
        let actor =
            Actor { settings, signer, rng, name, keys: None, state: None, staged: None, psks };
        (actor, spy)
    }

    /// Nobody has anything in memory but what its values hold.
    fn check(&self) {
        for (member, spy) in self.members.iter().zip(&self.spies) {
            let survivors = survivors(member, spy);
            assert!(survivors.is_empty(), "{} still has {survivors:?}", member.name);
        }
    }

    fn deliver(&mut self, sender: usize, message: &[u8]) {
        deliver(&mut self.members, sender, message);
        self.check();
    }

    fn renew(&mut self, committer: usize) {
        let commit = self.members[committer].commit_by_value(Vec::new());
        self.check();
        self.deliver(committer, &commit);
    }

    fn alive(&self, member: usize, label: &str) -> usize {
        self.spies[member].alive().iter().filter(|made| made.label == label).count()
    }
}

/// The labels of secrets that are in memory and that none of the member's values holds.
fn survivors(member: &Actor, spy: &Spy) -> Vec<String> {
    let mut held = held(member);
    let mut unheld = |made: Made| match held.iter().position(|bytes| *bytes == made.bytes) {
        Some(place) => {
            held.swap_remove(place);
            None
        }
        None => Some(made.label),
    };
    spy.alive().into_iter().filter_map(&mut unheld).collect()
}

/// Every secret in a member's values. That none is left out shows in how they print.
fn held(member: &Actor) -> Vec<Bytes> {
    let Actor { signer, keys, state, staged, .. } = member;
    let mut held = vec![signer.private_key().secret().as_bytes().to_vec()];
    if let Some(keys) = keys {
        held.extend([&keys.init_key, &keys.leaf_key].map(key_bytes));
    }
    if let Some(state) = state {
        of_epoch(&state.epoch, &mut held);
        for past in &state.past {
            held.extend([&past.sender_data_secret, &past.resumption_psk].map(bytes));
            of_tree(&past.secret_tree, &mut held);
        }
        of_skipped(state, &mut held);
        held.extend(
            state.proposals.iter().filter_map(|held| held.leaf_key.as_ref()).map(key_bytes),
        );
    }
    if let Some(staged) = staged {
        of_epoch(&staged.next.epoch, &mut held);
    }
    let printed = format!("{signer:?}{keys:?}{state:?}{staged:?}");
    assert_eq!(printed.matches("[redacted]").count(), held.len());
    held
}

fn of_epoch(epoch: &EpochState, held: &mut Vec<Bytes>) {
    held.extend(secrets_of(&epoch.secrets).map(bytes));
    held.extend(epoch.private_keys.values().map(key_bytes));
    of_tree(&epoch.secret_tree, held);
}

fn secrets_of(secrets: &EpochSecrets) -> [&Secret; 8] {
    [
        &secrets.sender_data_secret,
        &secrets.resumption_psk,
        &secrets.exporter_secret,
        &secrets.external_secret,
        &secrets.confirmation_key,
        &secrets.membership_key,
        &secrets.epoch_authenticator,
        secrets.init_secret.secret(),
    ]
}

fn of_tree(tree: &SecretTree, held: &mut Vec<Bytes>) {
    held.extend(tree.nodes().map(|(_, secret)| bytes(secret)));
    // A ratchet's encoding: four bytes of generation, one of length, the secret.
    held.extend(tree.ratchets().map(|(_, ratchet)| ratchet.to_bytes().unwrap()[5..].to_vec()));
}

/// No test here goes over so many epochs, leaves and generations.
fn of_skipped(state: &GroupState, held: &mut Vec<Bytes>) {
    let before = held.len();
    for epoch in 0..16 {
        for leaf in (0..8).map(LeafIndex) {
            for kind in [RatchetKind::Handshake, RatchetKind::Application] {
                let ids = (0..16).map(|generation| SkippedId { epoch, leaf, kind, generation });
                let keys = ids.filter_map(|id| state.skipped.find(&id));
                held.extend(keys.flat_map(|key| [bytes(&key.key), bytes(&key.nonce)]));
            }
        }
    }
    assert_eq!(held.len() - before, 2 * state.skipped.len());
}

fn bytes(secret: &Secret) -> Bytes {
    secret.as_bytes().to_vec()
}

fn key_bytes(key: &HpkePrivateKey) -> Bytes {
    bytes(key.secret())
}

/// The present epoch's secrets: first the two that its past epoch keeps, then the others, then the
/// private keys by node.
fn watch(member: &Actor) -> (Vec<WeakSecret>, Vec<WeakSecret>, Vec<(NodeIndex, WeakSecret)>) {
    let epoch = &member.state().epoch;
    let mut kept: Vec<_> = secrets_of(&epoch.secrets).map(Secret::downgrade).into();
    let others = kept.split_off(2);
    let keys = epoch.private_keys.iter().map(|(node, key)| (*node, key.secret().downgrade()));
    (kept, others, keys.collect())
}

fn all_dead(secrets: &[WeakSecret]) -> bool {
    secrets.iter().all(|secret| !secret.is_alive())
}

#[test]
fn a_survivor_is_found() {
    let mut room = Room::new(2);
    let kept = room.members[1].state().epoch.secrets.init_secret.clone();
    let mut kept_in_tree = Vec::new();
    for (_, secret) in room.members[0].state().epoch.secret_tree.nodes() {
        kept_in_tree.push(secret.clone());
    }
    let message = room.members[0].send(b"x");
    assert_eq!(survivors(&room.members[0], &room.spies[0]), ["encryption"]);
    kept_in_tree.clear();
    room.deliver(0, &message);
    let commit = room.members[0].commit_by_value(Vec::new());
    deliver(&mut room.members, 0, &commit);
    assert_eq!(survivors(&room.members[1], &room.spies[1]), ["init"]);
    drop(kept);
    room.check();
}

#[test]
fn a_message_takes_its_keys_with_it() {
    let mut room = Room::new(4);
    assert_eq!(room.alive(0, "encryption"), 1);
    let messages: Vec<_> = (0..5).map(|i| room.members[2].send(&[i])).collect();
    room.check();
    for (member, order) in [(0, [0, 1, 2, 3, 4]), (1, [4, 2, 0, 1, 3]), (3, [1, 0, 4, 3, 2])] {
        let mut newest = None;
        for (read, i) in order.into_iter().enumerate() {
            room.members[member].receive(&messages[i]).unwrap();
            room.check();
            newest = newest.max(Some(i));
            let skipped = newest.unwrap() - read;
            assert_eq!([room.alive(member, "key"), room.alive(member, "nonce")], [skipped; 2]);
        }
    }
    // Member 0 has a past epoch beside this one.
    for member in 1..4 {
        // Gone: the root and what is above the sender; here: the copath, and the two ratchets.
        let alive = ["encryption", "tree", "key", "nonce", "handshake", "application", "secret"]
            .map(|label| room.alive(member, label));
        assert_eq!(alive, [0, 2, 0, 0, 1, 0, 1]);
        assert!(room.spies[member].count("key") >= 5);
    }
}

#[test]
fn an_epoch_takes_its_secrets_with_it() {
    let mut room = Room::new(4);
    room.renew(3);
    let message = room.members[2].send(b"x");
    room.deliver(2, &message);
    let before: Vec<_> = room.members.iter().map(watch).collect();
    room.renew(0);
    for (member, (kept, others, keys)) in room.members.iter().zip(&before) {
        assert!(all_dead(others), "{}", member.name);
        assert!(kept.iter().all(WeakSecret::is_alive));
        for (node, key) in keys {
            // Member 0's path: its leaf, 1 and the root, 3.
            let replaced = [0, 1, 3].contains(&node.0);
            assert_eq!(key.is_alive(), !replaced, "{} at {node:?}", member.name);
        }
    }
    for i in 0..5 {
        assert!(before.iter().all(|(kept, ..)| kept.iter().all(WeakSecret::is_alive)));
        room.renew(i % 4);
    }
    assert!(before.iter().all(|(kept, ..)| all_dead(kept)));
    let never = ["joiner", "epoch", "welcome", "path", "node", "extract", "shared secret", "HPKE"];
    for member in 0..4 {
        for label in never {
            assert_eq!(room.alive(member, label), 0, "{label}");
        }
        assert!(room.spies[member].count("joiner") > 0 && room.spies[member].count("path") > 0);
    }
}

/// V-4.0-05.
#[test]
fn a_blanked_node_takes_its_key_with_it() {
    let mut room = Room::new(4);
    room.renew(0);
    room.renew(2);
    // Above members 0 and 1, and on no path of member 2.
    let blanked = NodeIndex(1);
    let key_at = |room: &Room, member: usize| {
        let keys = watch(&room.members[member]).2;
        keys.into_iter().find(|(node, _)| *node == blanked).map(|(_, key)| key)
    };
    let keys = [0, 1].map(|member| key_at(&room, member).unwrap());
    let update = room.members[1].propose_update(&Framing::default());
    for member in [0, 2, 3] {
        room.members[member].receive(&update).unwrap();
    }
    room.renew(2);
    assert!(all_dead(&keys));
    assert!([0, 1].iter().all(|member| key_at(&room, *member).is_none()));
}

#[test]
fn skipped_keys_of_an_epoch_die_when_it_is_forgotten() {
    let mut room = Room::new(2);
    let messages: Vec<_> = (0..4).map(|i| room.members[0].send(&[i])).collect();
    room.members[1].receive(&messages[3]).unwrap();
    for _ in 0..5 {
        room.renew(0);
        assert_eq!(room.alive(1, "key"), 3);
    }
    room.renew(0);
    assert_eq!([room.alive(1, "key"), room.alive(1, "nonce")], [0, 0]);
}

#[test]
fn a_discarded_commit_takes_its_epoch_with_it() {
    let mut room = Room::new(3);
    let (mut eve, _) = room.visitor("eve");
    for _ in 0..2 {
        let add = Proposal::Add(eve.key_package());
        room.members[1].commit_by_value(vec![add]);
        room.check();
        let next = &room.members[1].staged.as_ref().unwrap().next.epoch;
        let mut staged: Vec<_> = secrets_of(&next.secrets).map(Secret::downgrade).into();
        staged.extend(next.secret_tree.nodes().map(|(_, secret)| secret.downgrade()));
        let (node, leaf) = (leaf(1).node().unwrap(), &next.private_keys);
        staged.push(leaf[&node].secret().downgrade());
        assert!(staged.iter().all(WeakSecret::is_alive));
        room.members[1].staged = None;
        assert!(all_dead(&staged));
        room.check();
    }
    // Somebody else is first.
    let lost = room.members[1].commit_by_value(Vec::new());
    let won = room.members[0].commit_by_value(Vec::new());
    assert_ne!(lost, won);
    room.members[1].receive(&won).unwrap();
    let staged = room.members[1].staged.take().unwrap();
    assert!(room.members[1].state().confirm(staged).is_err());
    room.check();
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut room = Room::new(3);
    let good = room.members[0].send(b"x");
    let public = Framing { handshake: HandshakeFormat::Public, ..Framing::default() };
    let request = CommitRequest { framing: public, ..CommitRequest::default() };
    let commit = room.members[0].commit(request).unwrap();
    let MlsMessage::Public(mut forged) = read(&commit) else { panic!() };
    forged.auth.confirmation_tag.as_mut().unwrap().0[0] ^= 1;
    let state = room.members[1].state();
    let context = &state.epoch.context_bytes;
    let tbm = PublicMessage::to_be_maced(&forged.content, &forged.auth, context).unwrap();
    let key = &state.epoch.secrets.membership_key;
    forged.membership_tag = Some(state.settings.suite.mac(key, &[&tbm]).unwrap());
    let mut messages = vec![MlsMessage::Public(forged).to_bytes().unwrap()];
    for flipped in [good.len() - 1, good.len() - 40] {
        let mut message = good.clone();
        message[flipped] ^= 1;
        messages.push(message);
    }
    let alive = |room: &Room| -> Vec<Bytes> {
        room.spies[1].alive().into_iter().map(|made| made.bytes).collect()
    };
    let before = alive(&room);
    for message in &messages {
        room.members[1].receive(message).unwrap_err();
        assert_eq!(alive(&room), before);
    }
    room.members[1].receive(&good).unwrap();
    room.members[1].receive(&commit).unwrap();
    room.check();
}

#[test]
fn who_is_removed_has_nothing_left() {
    let mut room = Room::new(4);
    for sender in [2, 0] {
        let messages = [room.members[sender].send(b"x"), room.members[sender].send(b"y")];
        room.members[3].receive(&messages[1]).unwrap();
    }
    room.renew(3);
    let update = room.members[3].propose_update(&Framing::default());
    for member in 0..3 {
        room.members[member].receive(&update).unwrap();
    }
    let request = CommitRequest {
        by_value: vec![Proposal::Remove(leaf(3))],
        by_reference: ByReference::Nothing,
        ..CommitRequest::default()
    };
    let commit = room.members[1].commit(request).unwrap();
    assert!(room.spies[3].alive().len() > 20);
    room.members[3].receive(&commit).unwrap();
    let left: Vec<_> = room.spies[3].alive().into_iter().map(|made| made.label).collect();
    assert_eq!(left, ["signature key"]);
    room.check();
    room.members.pop();
    room.deliver(1, &commit);
}

#[test]
fn a_joiner_keeps_nothing_of_the_welcome() {
    let mut room = Room::new(3);
    let (mut eve, spy) = room.visitor("eve");
    let psk = Secret::new(&[7; 32]);
    let psk_id = PreSharedKeyId {
        psk: Psk::External { psk_id: b"shared".to_vec() },
        psk_nonce: vec![1; 32],
    };
    for member in room.members.iter_mut().chain([&mut eve]) {
        member.psks.0.insert(b"shared".to_vec(), Secret::new(psk.as_bytes()));
    }
    let watched: Vec<_> =
        room.members.iter().map(|member| member.psks.0[b"shared".as_slice()].downgrade()).collect();
    let by_value = vec![Proposal::Add(eve.key_package()), Proposal::PreSharedKey(psk_id)];
    let commit = room.members[0].commit_by_value(by_value);
    for member in [1, 2] {
        room.members[member].receive(&commit).unwrap();
    }
    let welcome = room.members[0].confirm().unwrap();
    eve.join(&welcome);
    let keys = eve.keys.take().unwrap();
    let (init_key, leaf_key) =
        (keys.init_key.secret().downgrade(), keys.leaf_key.secret().downgrade());
    drop(keys);
    assert!(!init_key.is_alive() && leaf_key.is_alive());
    room.members.push(eve);
    room.spies.push(spy);
    room.check();
    for member in 0..4 {
        for label in ["joiner", "epoch", "welcome", "path", "derived psk", "extract", "key"] {
            assert_eq!(room.alive(member, label), 0, "{label}");
        }
        assert!(room.spies[member].count("derived psk") > 0);
    }
    // The pre-shared keys themselves are the application's.
    assert!(watched.iter().all(WeakSecret::is_alive));
    room.members.iter_mut().for_each(|member| member.psks.0.clear());
    assert!(all_dead(&watched));
    room.renew(3);
    assert!(!leaf_key.is_alive());
}

#[test]
fn the_key_of_an_update_lives_as_long_as_its_leaf() {
    let mut room = Room::new(3);
    let proposed = |room: &mut Room| {
        let update = room.members[1].propose_update(&Framing::default());
        for member in [0, 2] {
            room.members[member].receive(&update).unwrap();
        }
        room.check();
        let held = room.members[1].state().proposals.iter().next().unwrap();
        held.leaf_key.as_ref().unwrap().secret().downgrade()
    };
    let replaced = watch(&room.members[1]).2;
    let committed = proposed(&mut room);
    room.renew(2);
    assert!(committed.is_alive());
    let own = leaf(1).node().unwrap();
    assert!(replaced.iter().all(|(node, key)| *node != own || !key.is_alive()));
    // Left out of the next Commit, and gone with the epoch.
    let left_out = proposed(&mut room);
    let request = CommitRequest { by_reference: ByReference::Nothing, ..CommitRequest::default() };
    let commit = room.members[0].commit(request).unwrap();
    room.deliver(0, &commit);
    assert!(!left_out.is_alive() && committed.is_alive());
    // One's own Commit brings a new leaf in the place of the Update.
    let own = proposed(&mut room);
    room.renew(1);
    assert!(!own.is_alive() && !committed.is_alive());
}
