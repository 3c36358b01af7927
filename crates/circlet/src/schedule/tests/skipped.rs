use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{MessageKey, RatchetKind, SkippedId, SkippedKeys, SkippedStep};
use super::{KINDS, assert_codec, config, message_key};
use crate::codec::Limits;
use crate::tree::LeafIndex;

fn id(epoch: u64, leaf: u32, generation: u32) -> SkippedId {
    SkippedId { epoch, leaf: LeafIndex(leaf), kind: RatchetKind::Application, generation }
}

fn limits(per_sender: usize, total: usize) -> Limits {
    Limits { skipped_keys_per_sender: per_sender, skipped_keys: total, ..Limits::default() }
}

fn keys(generations: std::ops::Range<u32>) -> Vec<(u32, MessageKey)> {
    generations.map(|generation| (generation, message_key(generation))).collect()
}

/// Jumps to the end of `generations`, none of which has come.
fn jump(
    kept: &mut SkippedKeys,
    (epoch, leaf): (u64, u32),
    generations: std::ops::Range<u32>,
    limits: &Limits,
) -> SkippedStep {
    let message = id(epoch, leaf, generations.end);
    kept.apply(kept.plan(message, keys(generations.clone()), limits));
    kept.plan(message, keys(generations), limits)
}

/// The limits as the documentation says them, on a list in order of age.
#[derive(Default)]
struct Model(Vec<SkippedId>);

impl Model {
    fn message(&mut self, message: SkippedId, passed: Vec<SkippedId>, limits: &Limits) {
        self.0.retain(|kept| *kept != message);
        self.0.extend(passed);
        let of_sender = |kept: &SkippedId| (kept.epoch, kept.leaf) == (message.epoch, message.leaf);
        while self.0.iter().filter(|kept| of_sender(kept)).count() > limits.skipped_keys_per_sender
        {
            let oldest = self.0.iter().position(of_sender).unwrap();
            self.0.remove(oldest);
        }
        let excess = self.0.len().saturating_sub(limits.skipped_keys);
        self.0.drain(..excess);
    }
}

/// What a store holds that is told of every step.
#[derive(Default)]
struct Rows(BTreeMap<SkippedId, (u64, MessageKey)>);

impl Rows {
    fn write(&mut self, step: &SkippedStep) {
        for removed in &step.removed {
            assert!(self.0.remove(removed).is_some(), "a row is deleted that was never written");
        }
        for (id, sequence, key) in &step.inserted {
            assert!(self.0.insert(*id, (*sequence, key.clone())).is_none());
        }
    }

    fn load(&self) -> SkippedKeys {
        SkippedKeys::restore(self.0.iter().map(|(id, (age, key))| (*id, *age, key.clone())))
    }

    fn by_age(&self) -> Vec<SkippedId> {
        let mut ages: Vec<(u64, SkippedId)> =
            self.0.iter().map(|(id, (age, _))| (*age, *id)).collect();
        ages.sort();
        ages.into_iter().map(|(_, id)| id).collect()
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Ahead { epoch: u64, leaf: u32, kind: usize, passed: u32 },
    Late { which: prop::sample::Index },
    Restart,
    Expire { oldest: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0u64..3, 0u32..3, 0usize..2, 0u32..8).prop_map(|(epoch, leaf, kind, passed)| {
            Event::Ahead { epoch, leaf, kind, passed }
        }),
        4 => any::<prop::sample::Index>().prop_map(|which| Event::Late { which }),
        1 => Just(Event::Restart),
        1 => (0u64..3).prop_map(|oldest| Event::Expire { oldest }),
    ]
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn the_limits_hold_and_the_oldest_go_first(
        per_sender in 0usize..8,
        total in 0usize..16,
        events in vec(event(), 1..40),
    ) {
        let limits = limits(per_sender, total);
        let (mut kept, mut model, mut rows) =
            (SkippedKeys::new(), Model::default(), Rows::default());
        let mut heads: BTreeMap<(u64, u32, usize), u32> = BTreeMap::new();
        for event in events {
            let step = match event {
                Event::Ahead { epoch, leaf, kind, passed } => {
                    let head = heads.entry((epoch, leaf, kind)).or_default();
                    let generations = *head..*head + passed;
                    *head = generations.end + 1;
                    let of = SkippedId { kind: KINDS[kind], ..id(epoch, leaf, generations.end) };
                    let passed =
                        generations.clone().map(|generation| SkippedId { generation, ..of });
                    model.message(of, passed.collect(), &limits);
                    kept.plan(of, keys(generations), &limits)
                }
                Event::Late { .. } if model.0.is_empty() => continue,
                Event::Late { which } => {
                    let used = *which.get(&model.0);
                    prop_assert_eq!(kept.find(&used), Some(&message_key(used.generation)));
                    model.message(used, Vec::new(), &limits);
                    kept.plan(used, Vec::new(), &limits)
                }
                Event::Restart => {
                    kept = rows.load();
                    SkippedStep::default()
                }
                Event::Expire { oldest } => {
                    model.0.retain(|kept| kept.epoch >= oldest);
                    kept.plan_expiry(oldest)
                }
            };
            rows.write(&step);
            kept.apply(step);
            prop_assert_eq!(&rows.by_age(), &model.0);
            prop_assert_eq!(kept.len(), model.0.len());
            prop_assert_eq!(kept.is_empty(), model.0.is_empty());
            for id in &model.0 {
                prop_assert_eq!(kept.find(id), Some(&message_key(id.generation)));
            }
        }
    }
}

#[test]
fn a_plan_changes_nothing() {
    let mut kept = SkippedKeys::new();
    jump(&mut kept, (1, 1), 0..5, &limits(10, 10));
    let step = kept.plan(id(1, 1, 2), keys(6..30), &limits(2, 1));
    assert_eq!((step.inserted.len(), step.removed.len()), (1, 5));
    assert_eq!((kept.plan_expiry(9).removed.len(), kept.len()), (5, 5));
    for generation in 0..5 {
        assert!(kept.find(&id(1, 1, generation)).is_some());
    }
}

/// V-15.0-05.
#[test]
fn one_sender_does_not_push_out_another_before_the_group_is_full() {
    let (mut kept, limits) = (SkippedKeys::new(), limits(3, 5));
    jump(&mut kept, (1, 1), 0..3, &limits);
    jump(&mut kept, (1, 2), 0..100, &limits);
    let left = |kept: &SkippedKeys, leaf| {
        (0..100).filter(|at| kept.find(&id(1, leaf, *at)).is_some()).collect::<Vec<u32>>()
    };
    assert_eq!((left(&kept, 1), left(&kept, 2)), (vec![1, 2], vec![97, 98, 99]));
    // The same leaf in another epoch is another sender.
    jump(&mut kept, (2, 2), 0..2, &limits);
    assert_eq!((left(&kept, 1), left(&kept, 2)), (vec![], vec![97, 98, 99]));
}

#[test]
fn keys_that_are_kept_already_are_not_written_again() {
    let mut kept = SkippedKeys::new();
    let again = jump(&mut kept, (1, 1), 0..5, &limits(10, 10));
    assert_eq!(again, SkippedStep::default());
}

#[test]
fn lower_limits_are_reached_with_the_next_message() {
    let mut kept = SkippedKeys::new();
    jump(&mut kept, (1, 1), 0..50, &limits(100, 100));
    jump(&mut kept, (1, 2), 0..50, &limits(100, 100));
    let step = kept.plan(id(1, 2, 51), Vec::new(), &limits(20, 30));
    assert_eq!((step.removed.len(), step.inserted.len()), (70, 0));
}

#[test]
fn used_evicted_and_expired_keys_die() {
    let mut kept = SkippedKeys::new();
    let limits = limits(10, 10);
    jump(&mut kept, (1, 1), 0..4, &limits);
    jump(&mut kept, (2, 1), 0..4, &limits);
    let watch = |kept: &SkippedKeys, id| {
        let key = kept.find(&id).unwrap();
        [key.key.downgrade(), key.nonce.downgrade()]
    };
    let used = watch(&kept, id(2, 1, 2));
    let evicted = watch(&kept, id(1, 1, 0));
    let expired = watch(&kept, id(1, 1, 3));
    kept.apply(kept.plan(id(2, 1, 2), Vec::new(), &limits));
    assert!(used.iter().all(|secret| !secret.is_alive()));
    jump(&mut kept, (2, 2), 0..4, &limits);
    assert!(evicted.iter().all(|secret| !secret.is_alive()));
    assert!(expired.iter().all(|secret| secret.is_alive()));
    kept.apply(kept.plan_expiry(2));
    assert!(expired.iter().all(|secret| !secret.is_alive()));
}

#[test]
fn any_stored_sequence_number_is_borne() {
    let rows = [(id(1, 1, 0), u64::MAX), (id(1, 1, 1), u64::MAX), (id(1, 2, 0), 0)];
    let rows = rows.map(|(id, age)| (id, age, message_key(id.generation)));
    let mut kept = SkippedKeys::restore(rows);
    jump(&mut kept, (1, 1), 5..9, &limits(10, 10));
    assert_eq!(kept.len(), 7);
    kept.apply(kept.plan(id(1, 2, 9), keys(1..2), &limits(0, 0)));
    assert!(kept.is_empty());
}

#[test]
fn the_encoding_of_ids_is_fixed() {
    let id = SkippedId { kind: RatchetKind::Handshake, ..id(0x0102, 0x0304, 0x0506) };
    assert_codec(&id, &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 1, 0, 0, 5, 6]);
}
