//! What a commit costs in a warm tree of 10,000 members, and a message.

mod allocations;
mod counting;
mod population;

use std::sync::Arc;

use super::*;
use crate::rules::tree::check_tree;
use crate::tree::{LeafPosition, NodeIndex, RatchetTree, visits};

use counting::{CountingProvider, Counts};
use population::{Population, ten_thousand};

/// ⌈log2 10,000⌉.
const DEPTH: usize = 14;

/// The hash of each leaf and parent of one path, and the parent hash of each parent.
const PATH_HASHES: usize = DEPTH + 1 + DEPTH;

/// The confirmed and the interim transcript hash.
const TRANSCRIPT_HASHES: usize = 2;

/// The nodes of a blank subtree of 16 leaves: one that is so small may be hashed again when a
/// member is put into it.
const BLANK: usize = 31;

/// Nodes that a commit of one or two leaves may look at, of the 20,000 there are: twice the most that
/// was measured, 1,584. Of 1,000 members that was 958.
const VISITS: u64 = 3_200;

/// Two members whose paths meet at the root, and what they ask of their provider together.
struct Pair {
    provider: Arc<CountingProvider>,
    committer: Actor,
    receiver: Actor,
}

/// A Commit, and what it cost each side.
struct Cost {
    message: Vec<u8>,
    created: Counts,
    processed: Counts,
}

impl Pair {
    fn new(population: &Population, committer: u32, receiver: u32) -> Self {
        let provider = CountingProvider::counting();
        let committer = population.member(committer, provider.clone());
        let receiver = population.member(receiver, provider.clone());
        Self { provider, committer, receiver }
    }

    fn count<T>(&mut self, run: impl FnOnce(&mut Actor, &mut Actor) -> T) -> (T, Counts) {
        let before = self.provider.counts();
        let outcome = run(&mut self.committer, &mut self.receiver);
        (outcome, self.provider.counts() - before)
    }

    /// A Commit from its making to both members' next epoch. Nothing in either tree is replaced
    /// but the paths of these leaves, the committer's among them.
    fn commit(&mut self, request: CommitRequest, changed: &[u32]) -> Cost {
        let old = self.trees();
        let (message, created) = self.count(|committer, _| {
            let message = committer.commit(request).unwrap();
            committer.confirm();
            message
        });
        let (_, processed) = self.count(|_, receiver| receiver.receive(&message).unwrap());
        let [committer, receiver] = [self.committer.state(), self.receiver.state()];
        assert_eq!(committer.context(), receiver.context());
        assert_eq!(committer.epoch_authenticator(), receiver.epoch_authenticator());
        for (old, new) in old.iter().zip(self.trees()) {
            assert_replaces_only_paths(old, &new, changed);
        }
        println!("created:   {created:?}\nprocessed: {processed:?}");
        Cost { message, created, processed }
    }

    fn trees(&self) -> [RatchetTree; 2] {
        [&self.committer, &self.receiver].map(|member| member.state().tree().clone())
    }
}

/// Every subtree beside the paths of the changed leaves is the same value in memory, and every
/// node to store is on one of the paths.
fn assert_replaces_only_paths(old: &RatchetTree, new: &RatchetTree, changed: &[u32]) {
    let changed: Vec<NodeIndex> =
        changed.iter().map(|index| leaf(*index).node().unwrap()).collect();
    let mut waiting = vec![new.width().root()];
    let mut looked_at = 0;
    while let Some(node) = waiting.pop() {
        looked_at += 1;
        if changed.iter().any(|leaf| node.contains(*leaf)) {
            waiting.extend([node.left(), node.right()].into_iter().flatten());
        } else {
            assert!(new.shares_subtree(old, node), "{node:?}");
        }
    }
    assert!(looked_at <= changed.len() * (2 * DEPTH + 1));
    let rows = new.changes_since(old);
    assert!(rows.len() <= changed.len() * (DEPTH + 1), "{} rows", rows.len());
    for (row, _) in rows {
        assert!(changed.iter().any(|leaf| row.contains(*leaf)), "{row:?}");
    }
}

#[test]
fn the_population_is_a_group_that_a_joiner_would_accept() {
    let population = ten_thousand();
    let (tree, suite) = (population.tree(), settings(CipherSuite(1)).suite);
    check_tree(tree, &suite).unwrap();
    for (leaf_index, node) in tree.members() {
        let position = LeafPosition { group_id: b"a warm group", leaf_index };
        node.verify_signature(&suite, position).unwrap();
    }
    // Warm: nobody's path is encrypted to more than one node at each step.
    for index in 0..population.members() {
        for place in tree.filtered_direct_path(leaf(index)) {
            assert_eq!(tree.resolution(place.copath).len(), 1, "{place:?}");
        }
    }
}

#[test]
fn an_empty_commit_costs_one_path() {
    let pairs = [(0, 9_999), (9_999, 0), (4_999, 5_000), (8_192, 8_191)];
    for (committer, receiver) in pairs {
        let mut pair = Pair::new(ten_thousand(), committer, receiver);
        // Once more, from a tree that a commit has changed.
        for _ in 0..2 {
            let path = pair.committer.state().tree().filtered_direct_path(leaf(committer)).len();
            let Cost { created, processed, .. } =
                pair.commit(CommitRequest::default(), &[committer]);
            assert!(path <= DEPTH);
            assert_eq!(created.encapsulations, path);
            assert_eq!(created.key_pairs, path + 1);
            assert_eq!(created.signatures, 2);
            assert_eq!((created.verifications, created.decapsulations), (0, 0));
            let hashes = DEPTH + 1 + path + TRANSCRIPT_HASHES;
            assert_eq!(created.hashes, hashes);

            assert_eq!(processed.hashes, hashes);
            assert_eq!(processed.verifications, 2);
            assert_eq!(processed.decapsulations, 1);
            assert_eq!((processed.signatures, processed.encapsulations), (0, 0));
            assert!(processed.key_pairs <= path);
            assert!(processed.checked_keys <= path + 3);
            for counts in [created, processed] {
                assert!(counts.hashed_bytes <= 12 << 10, "{counts:?}");
                assert!(counts.derivations <= 16 * DEPTH + 64, "{counts:?}");
            }
        }
    }
}

#[test]
fn removing_costs_two_paths() {
    let mut pair = Pair::new(ten_thousand(), 0, 9_999);
    let removed = Proposal::Remove(leaf(5_001));
    let request = CommitRequest { by_value: vec![removed], ..CommitRequest::default() };
    let Cost { created, processed, .. } = pair.commit(request, &[0, 5_001]);
    // The blank path of the removed leaf is encrypted to around.
    assert!(created.encapsulations <= 2 * DEPTH);
    assert_eq!((processed.decapsulations, processed.verifications), (1, 2));
    assert_two_paths(created, processed);
}

#[test]
fn adding_costs_two_paths() {
    let mut pair = Pair::new(ten_thousand(), 0, 9_999);
    let mut joiner = Actor::new(CipherSuite(1), "newcomer", 7);
    let add = Proposal::Add(joiner.key_package());
    for tree_in_welcome in [true, false] {
        let old = pair.committer.state().tree().clone();
        let by_value = vec![add.clone()];
        let request = CommitRequest { by_value, tree_in_welcome, ..CommitRequest::default() };
        let (_, created) = pair.count(|committer, _| committer.commit(request).unwrap());
        // The path, and the newcomer's own secrets.
        assert_eq!(created.encapsulations, DEPTH + 1);
        assert!(created.hashes <= PATH_HASHES + DEPTH + TRANSCRIPT_HASHES + BLANK, "{created:?}");
        let staged = pair.committer.staged.take().unwrap();
        assert!(staged.next.tree_changes.len() <= 2 * (DEPTH + 1));
        assert_replaces_only_paths(&old, &staged.next.epoch.tree, &[0, 10_000]);
    }
    let request = CommitRequest { by_value: vec![add], ..CommitRequest::default() };
    let Cost { created, processed, .. } = pair.commit(request, &[0, 10_000]);
    assert_eq!(processed.decapsulations, 1);
    // The content, the path's leaf, the key package and its leaf.
    assert_eq!(processed.verifications, 4);
    assert_two_paths(created, processed);
}

#[test]
fn committing_an_update_by_reference_costs_two_paths() {
    let mut pair = Pair::new(ten_thousand(), 0, 9_999);
    let mut updater = ten_thousand().member(4_321, pair.provider.clone());
    let proposal = updater.propose_update(&Framing::default());
    let (_, proposed) = pair.count(|committer, receiver| {
        committer.receive(&proposal).unwrap();
        receiver.receive(&proposal).unwrap();
    });
    assert!(proposed.hashes <= 4, "{proposed:?}");
    let Cost { message, created, processed } = pair.commit(CommitRequest::default(), &[0, 4_321]);
    assert_eq!((processed.decapsulations, processed.verifications), (1, 3));
    assert_two_paths(created, processed);
    // The updater reads the path with its new key.
    updater.receive(&message).unwrap();
    assert_eq!(updater.state().context(), pair.committer.state().context());
}

fn assert_two_paths(created: Counts, processed: Counts) {
    for counts in [created, processed] {
        assert!(counts.hashes <= PATH_HASHES + DEPTH + TRANSCRIPT_HASHES + BLANK, "{counts:?}");
        assert!(counts.hashed_bytes <= 24 << 10, "{counts:?}");
        assert!(counts.derivations <= 32 * DEPTH + 64, "{counts:?}");
        assert!(counts.key_pairs <= DEPTH + 1, "{counts:?}");
        assert!(counts.checked_keys <= 3 * DEPTH, "{counts:?}");
    }
}

/// Whatever the counts do not show, such as copies of indexes: what a commit allocates grows with
/// the path, and the path from 100 to 10,000 members doubles.
#[test]
fn a_commit_allocates_as_much_as_its_path_is_long() {
    let hundred = Population::new(100);
    let [small, large] = [(&hundred, 99), (ten_thousand(), 9_999)].map(|(population, last)| {
        let mut pair = Pair::new(population, 0, last);
        // The first commit finds the trees' indexes shared, as after a join; the second one not.
        [0, 1].map(|_| {
            let mut message = Vec::new();
            let created = allocation_counter::measure(|| {
                message = pair.committer.commit(CommitRequest::default()).unwrap();
                pair.committer.confirm();
            });
            let processed = allocation_counter::measure(|| {
                pair.receiver.receive(&message).unwrap();
            });
            [created.bytes_total, processed.bytes_total]
        })
    });
    println!(
        "bytes allocated by a commit, [created, processed]: {small:?} of 100, {large:?} of 10,000"
    );
    for (small, large) in small.iter().flatten().zip(large.iter().flatten()) {
        assert!(*large <= small * 5 / 2, "{small} bytes of 100 members, {large} of 10,000");
    }
}

/// What neither the provider nor the allocator sees, such as a walk over all members that looks for
/// one. A lookup goes down from the root, and each level of a path needs some of them.
#[test]
fn a_commit_looks_at_no_more_than_the_paths() {
    let thousand = Population::new(1_000);
    let [few, many] = [&thousand, ten_thousand()].map(visits_of_commits);
    println!("nodes looked at, [created, processed]: {few:?} of 1,000, {many:?} of 10,000");
    for (few, many) in few.iter().flatten().zip(many.iter().flatten()) {
        assert!(*many > DEPTH as u64 && *many <= VISITS, "{many}");
        assert!(*many <= few * 2, "{few} of 1,000 members, {many} of 10,000");
    }
}

/// How many nodes the committer and the receiver of each Commit look at: an Update by reference, no
/// proposal, a Remove, an Add. All of these leaves are far from both ends, so that whoever looks for
/// one of them from either end passes many.
fn visits_of_commits(population: &Population) -> [[u64; 2]; 4] {
    let members = population.members();
    let mut pair = Pair::new(population, members / 2, members - members / 4);
    let mut updater = population.member(members / 3, pair.provider.clone());
    let mut joiner = Actor::new(CipherSuite(1), "newcomer", 7);
    let update = updater.propose_update(&Framing::default());
    pair.committer.receive(&update).unwrap();
    pair.receiver.receive(&update).unwrap();
    let remove = vec![Proposal::Remove(leaf(members / 2 + members / 8))];
    let lists = [vec![], vec![], remove, vec![Proposal::Add(joiner.key_package())]];
    lists.map(|by_value| {
        let added = by_value.iter().any(|proposal| matches!(proposal, Proposal::Add(_)));
        let request = CommitRequest { by_value, ..CommitRequest::default() };
        let (message, mut created) = visits(|| {
            let message = pair.committer.commit(request).unwrap();
            pair.committer.confirm();
            message
        });
        let (_, processed) = visits(|| pair.receiver.receive(&message).unwrap());
        if added {
            // The newcomer is sent the whole tree: that is one walk over it, and not two.
            created = created.checked_sub(2 * u64::from(members) - 1).unwrap();
        }
        [created, processed]
    })
}

/// What was verified when it came is not verified again by whoever commits it, nor looked for more
/// than once.
#[test]
fn committing_what_waits_verifies_nothing() {
    let provider = CountingProvider::counting();
    let mut members = group(CipherSuite(1), 3);
    let mut messages = vec![members[2].propose_update(&Framing::default())];
    for number in 0..24_u64 {
        let mut new = Actor::new(CipherSuite(1), &format!("n{number}"), 50_000 + number);
        let add = Proposal::Add(new.key_package());
        messages.push(members[1].propose(add, &Framing::default()));
        let psk = crate::schedule::Psk::External { psk_id: number.to_be_bytes().to_vec() };
        let id = crate::schedule::PreSharedKeyId { psk, psk_nonce: vec![7; 32] };
        messages.push(members[1].propose(Proposal::PreSharedKey(id), &Framing::default()));
    }
    members[0].state.as_mut().unwrap().settings.suite =
        crate::crypto::Suite::new(provider.clone(), CipherSuite(1)).unwrap();
    messages.iter().for_each(|message| drop(members[0].receive(message).unwrap()));
    let before = provider.counts();
    members[0].commit(CommitRequest::default()).unwrap();
    let cost = provider.counts() - before;
    let outcome = members[0].staged.as_ref().unwrap().outcome();
    assert_eq!((outcome.added.len(), outcome.updated.len()), (24, 2));
    assert_eq!(cost.verifications, 0);
}
