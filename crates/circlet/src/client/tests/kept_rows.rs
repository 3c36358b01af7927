//! No row that is kept can derive a key that was consumed (V-9.2-01 to V-9.2-04, V-14.0-05): after
//! each step of a conversation, whoever has the whole store of a client and has seen all messages
//! can't decrypt one that this client has sent or read.

use std::collections::{BTreeMap, BTreeSet};

use super::device::{Device, group_id};
use super::spy::Record;
use crate::client::{GroupOptions, OutgoingKind, PendingCommit, Received};
use crate::crypto::CipherSuite;
use crate::error::{Error, Misuse, Unready};
use crate::rows::{Kind, StoredKeyPackage};
use crate::storage::{Key, Prefix, Row, Storage};
use crate::tree::LeafIndex;

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// A row that was overwritten or deleted.
struct Superseded {
    owner: usize,
    kind: String,
    overwritten: bool,
    row: Row,
}

struct Run {
    record: Record,
    devices: Vec<Device>,
    /// What each store held after the step before.
    before: Vec<BTreeMap<Key, Row>>,
    superseded: Vec<Superseded>,
    steps: usize,
}

impl Run {
    fn new(names: &[&str]) -> Self {
        let record = Record::default();
        let devices: Vec<_> = names.iter().map(|name| Device::new(name, SUITE, &record)).collect();
        let before = devices.iter().map(|device| device.rows().into_iter().collect()).collect();
        let mut run = Self { record, devices, before, superseded: Vec::new(), steps: 0 };
        let options = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
        run.devices[0].client.create_group_with(options).unwrap();
        run.check();
        run
    }

    /// The keys of contents that this client consumed and that these rows give away.
    fn given_away<'a>(&self, owner: usize, rows: impl Iterator<Item = &'a Row>) -> usize {
        let derivable = self.record.derivable(rows.map(|row| row.value.as_slice()));
        let consumed = self.devices[owner].spy.content_keys();
        consumed.iter().filter(|key| derivable.has(key)).count()
    }

    /// Every store as it is now, after a step.
    fn check(&mut self) {
        self.steps += 1;
        for owner in 0..self.devices.len() {
            let rows: BTreeMap<Key, Row> = self.devices[owner].rows().into_iter().collect();
            let name = &self.devices[owner].name;
            assert_eq!(self.given_away(owner, rows.values()), 0, "{name}, step {}", self.steps);
            for (key, row) in std::mem::take(&mut self.before[owner]) {
                let now = rows.get(&key);
                if now.is_none_or(|now| now.value != row.value) {
                    let kind = String::from_utf8(key.component(0).unwrap().to_vec()).unwrap();
                    let overwritten = now.is_some();
                    self.superseded.push(Superseded { owner, kind, overwritten, row });
                }
            }
            self.before[owner] = rows;
        }
    }

    fn send(&mut self, sender: usize, data: &[u8]) -> Vec<u8> {
        let wire = self.devices[sender].group().send(data).unwrap().as_bytes().to_vec();
        self.check();
        wire
    }

    fn receive(&mut self, receiver: usize, wire: &[u8]) -> Received {
        let received = self.devices[receiver].client.receive(wire).unwrap();
        self.check();
        received
    }

    fn read(&mut self, receiver: usize, wire: &[u8], data: &[u8]) {
        let received = self.receive(receiver, wire);
        assert!(matches!(received, Received::Message(message) if message.data() == data));
    }

    fn all_receive(&mut self, receivers: &[usize], wire: &[u8]) {
        for receiver in receivers {
            self.receive(*receiver, wire);
        }
    }

    /// The delivery service has accepted the Commit: its sender learns it, then the others do.
    fn confirm(&mut self, pending: PendingCommit, others: &[usize]) -> Option<Vec<u8>> {
        let wire = pending.message().as_bytes().to_vec();
        self.check();
        let welcome = pending.confirm().unwrap().welcome();
        self.check();
        self.all_receive(others, &wire);
        welcome.map(|welcome| welcome.as_bytes().to_vec())
    }

    fn renew(&mut self, committer: usize, others: &[usize]) {
        let pending = self.devices[committer].group().update().unwrap();
        self.confirm(pending, others);
    }

    fn reopen(&mut self, device: usize) {
        self.devices[device].reopen();
        self.check();
    }
}

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
const DAVE: usize = 3;

/// Alice invites Bob and Carol.
fn three_join(run: &mut Run) {
    let key_packages = [BOB, CAROL].map(|who| run.devices[who].client.key_package().unwrap());
    run.check();
    let group = run.devices[ALICE].group();
    let pending = group.commit().add(&key_packages[0]).add(&key_packages[1]).stage().unwrap();
    let welcome = run.confirm(pending, &[]).unwrap();
    for joiner in [BOB, CAROL] {
        assert!(matches!(run.receive(joiner, &welcome), Received::Joined(_)));
    }
}

/// In order, out of order, twice, changed on the way; some messages stay behind for later.
fn they_talk(run: &mut Run) -> Vec<Vec<u8>> {
    for sender in [ALICE, BOB, CAROL] {
        let wire = run.send(sender, b"hello");
        let receivers = [ALICE, BOB, CAROL].into_iter().filter(|receiver| *receiver != sender);
        receivers.for_each(|receiver| run.read(receiver, &wire, b"hello"));
    }
    let wires: Vec<_> = (0..7u8).map(|i| run.send(BOB, &[i])).collect();
    for i in [5, 1, 0] {
        run.read(ALICE, &wires[i], &[i as u8]);
        assert!(matches!(run.receive(ALICE, &wires[i]), Received::Duplicate));
    }
    run.read(CAROL, &wires[6], &[6]);
    let mut changed = wires[3].clone();
    *changed.last_mut().unwrap() ^= 1;
    for receiver in [ALICE, CAROL] {
        let refused = run.devices[receiver].client.receive(&changed);
        assert!(matches!(refused, Err(Error::Violation(_))));
        run.check();
    }
    run.read(CAROL, &wires[3], &[3]);
    wires
}

/// Staged, overtaken by messages, discarded, staged anew, reopened, and confirmed by its echo.
fn alice_commits(run: &mut Run) {
    let update = run.devices[CAROL].group().propose_update().unwrap().as_bytes().to_vec();
    run.check();
    run.all_receive(&[ALICE, BOB], &update);
    let first = run.devices[ALICE].group().update().unwrap();
    run.check();
    let discarded = first.message().as_bytes().to_vec();
    first.discard().unwrap();
    run.check();
    run.reopen(ALICE);
    let second = run.devices[ALICE].group().update().unwrap();
    run.check();
    let wire = second.message().as_bytes().to_vec();
    assert_ne!(discarded, wire);
    run.reopen(ALICE);
    run.all_receive(&[BOB, CAROL], &wire);
    let (early, late) = (run.send(BOB, b"early"), run.receive(CAROL, &discarded));
    assert!(matches!(late, Received::Late { .. }));
    assert!(matches!(run.receive(ALICE, &early), Received::Early { .. }));
    assert!(matches!(run.receive(ALICE, &wire), Received::Confirmed(_)));
    run.read(ALICE, &early, b"early");
}

/// Dave is proposed by Carol, committed by Bob, with a pre-shared key.
fn dave_joins(run: &mut Run) {
    for device in &run.devices {
        let psk = crate::crypto::Secret::new(&[9; 32]);
        device.client.add_psk(b"shared", &psk).unwrap();
    }
    let key_package = run.devices[DAVE].client.key_package().unwrap();
    let proposal = run.devices[CAROL].group().propose_add(key_package).unwrap();
    run.check();
    run.all_receive(&[ALICE, BOB], proposal.as_bytes());
    let pending = run.devices[BOB].group().commit().psk(b"shared").stage().unwrap();
    let welcome = run.confirm(pending, &[ALICE, CAROL]).unwrap();
    run.receive(DAVE, &welcome);
    let wire = run.send(DAVE, b"hi");
    [ALICE, BOB, CAROL].into_iter().for_each(|receiver| run.read(receiver, &wire, b"hi"));
}

/// Carol's last message comes late, and she knows nothing any more.
fn carol_leaves(run: &mut Run) {
    let last = run.send(CAROL, b"goodbye");
    let unread = run.send(ALICE, b"you will not read this");
    let pending = run.devices[DAVE].group().remove(LeafIndex(2)).unwrap();
    let wire = pending.message().as_bytes().to_vec();
    run.confirm(pending, &[ALICE, BOB]);
    run.read(ALICE, &last, b"goodbye");
    run.reopen(BOB);
    run.read(BOB, &last, b"goodbye");
    assert!(matches!(run.receive(CAROL, &wire), Received::Removed(_)));
    let gone = run.devices[CAROL].client.receive(&unread);
    assert!(matches!(gone, Err(Error::Misuse(Misuse::NotMember))));
    let kinds = ["client", "head", "in", "out", "psk"].map(|kind| kind.as_bytes().to_vec());
    for (key, _) in run.devices[CAROL].rows() {
        assert!(kinds.contains(&key.component(0).unwrap().to_vec()), "{key:?}");
    }
}

fn conversation() -> Run {
    let mut run = Run::new(&["alice", "bob", "carol", "dave"]);
    three_join(&mut run);
    let wires = they_talk(&mut run);
    alice_commits(&mut run);
    run.read(ALICE, &wires[2], &[2]);
    dave_joins(&mut run);
    (0..4).for_each(|device| run.reopen(device));
    run.read(ALICE, &wires[6], &[6]);
    carol_leaves(&mut run);
    run.read(ALICE, &wires[3], &[3]);
    for committer in [ALICE, BOB, DAVE, ALICE] {
        let others: Vec<_> = [ALICE, BOB, DAVE].into_iter().filter(|i| *i != committer).collect();
        run.renew(committer, &others);
        let wire = run.send(committer, b"again");
        others.iter().for_each(|receiver| run.read(*receiver, &wire, b"again"));
    }
    assert!(matches!(run.receive(ALICE, &wires[4]), Received::Late { epoch: 1 }));
    run
}

/// V-9.2-04.
#[test]
fn no_kept_row_derives_a_consumed_key() {
    let run = conversation();
    assert!(run.steps > 100);
    assert!(run.devices.iter().all(|device| device.spy.content_keys().len() > 5));
    // Had a row been kept to the end that was overwritten or deleted, it would have been seen.
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for superseded in &run.superseded {
        let Superseded { owner, kind, overwritten, row } = superseded;
        let rows = run.before[*owner].values().chain([row]);
        let found = run.given_away(*owner, rows) > 0;
        *seen.entry(kind).or_default() += usize::from(found);
        // A ratchet's row is overwritten only when a key of it is consumed.
        assert!(found || !(kind == "ratchet" && *overwritten));
    }
    for (kind, least) in
        [("ratchet", 20), ("secret", 20), ("skipped", 4), ("key-package", 3), ("epoch", 10)]
    {
        assert!(seen.get(kind) >= Some(&least), "{kind}: {seen:?}");
    }
    assert!(seen["staged"] > 0 && seen["head"] == 0 && seen["node"] == 0, "{seen:?}");
}

/// Where signatures are deterministic, the same proposal sent twice is one proposal in two messages,
/// and the key of each is consumed (RFC 9420 section 9.2).
#[test]
fn a_proposal_that_waits_already_uses_its_key_up() {
    let mut run = Run::new(&["alice", "bob", "carol"]);
    three_join(&mut run);
    let propose = |run: &mut Run| {
        let wire = run.devices[BOB].group().propose_remove(LeafIndex(2)).unwrap();
        run.check();
        wire.as_bytes().to_vec()
    };
    let (first, second) = (propose(&mut run), propose(&mut run));
    assert_ne!(first, second);
    let before = run.devices[ALICE].spy.content_keys().len();
    assert!(matches!(run.receive(ALICE, &first), Received::Proposal(_)));
    assert!(matches!(run.receive(ALICE, &second), Received::Duplicate));
    assert_eq!(run.devices[ALICE].spy.content_keys().len(), before + 2);
    // Neither is read again, and nothing more is written.
    let rows = run.devices[ALICE].rows();
    for wire in [&first, &second] {
        assert!(matches!(run.receive(ALICE, wire), Received::Duplicate));
    }
    assert_eq!(run.devices[ALICE].rows(), rows);
    // The first of an order that is the other way round.
    assert!(matches!(run.receive(CAROL, &second), Received::Proposal(_)));
    assert!(matches!(run.receive(CAROL, &first), Received::Duplicate));
}

/// V-14.0-05.
#[test]
fn no_key_encrypts_twice() {
    let run = conversation();
    let sealed = run.record.sealed();
    let pairs: BTreeSet<_> = sealed.iter().map(|sealed| (&sealed.key, &sealed.nonce)).collect();
    assert_eq!(pairs.len(), sealed.len());
    let contents = || sealed.iter().filter(|sealed| sealed.content).map(|sealed| &sealed.key);
    assert!(contents().count() > 20);
    assert_eq!(contents().collect::<BTreeSet<_>>().len(), contents().count());
}

#[test]
fn a_join_uses_the_key_package_up_and_a_failed_one_does_not() {
    let record = Record::default();
    let [alice, bob] = ["alice", "bob"].map(|name| Device::new(name, SUITE, &record));
    let options = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
    let group = alice.client.create_group_with(options).unwrap();
    let (used, spare) = (bob.client.key_package().unwrap(), bob.client.key_package().unwrap());
    assert_ne!(used, spare);
    let pending = group.commit().add(&used).tree_outside().stage().unwrap();
    let tree = pending.ratchet_tree().unwrap().to_vec();
    let welcome = pending.confirm().unwrap().welcome().unwrap();
    assert_eq!(welcome.kind(), OutgoingKind::Welcome);

    let key_packages = || bob.storage.scan(&Prefix::new(&[Kind::KeyPackage.name()])).unwrap();
    let before = key_packages();
    assert_eq!(before.len(), 2);
    let missing = bob.client.join(&welcome);
    assert!(matches!(missing, Err(Error::Unready(Unready::RatchetTreeMissing))));
    let mut other = tree.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(bob.client.join_with_tree(&welcome, &other).is_err());
    let mut changed = welcome.as_bytes().to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let refused = bob.client.join_with_tree(&changed, &tree);
    assert!(matches!(refused, Err(Error::Violation(_))));
    assert_eq!(key_packages(), before);

    bob.client.join_with_tree(&welcome, &tree).unwrap();
    let left = key_packages();
    assert_eq!(left.len(), 1);
    let (gone, _) = before.iter().partition::<Vec<_>, _>(|row| !left.contains(row));
    let keys = StoredKeyPackage::read(&gone[0].1.value, &Default::default()).unwrap();
    let init_key = keys.init_key.secret().as_bytes();
    let rows = bob.rows();
    let holds = |row: &Row| row.value.windows(init_key.len()).any(|bytes| bytes == init_key);
    assert!(holds(&gone[0].1));
    assert!(!rows.iter().any(|(_, row)| holds(row)));
    let again = bob.client.join_with_tree(&welcome, &tree);
    assert!(matches!(again, Err(Error::Unready(Unready::UnknownKeyPackage))));
}
