//! Killed between any two operations and opened again, a client goes on where it was and never
//! uses a message key twice.

use circlet::Received;
use circlet::storage::{Key, MemoryStorage, Prefix, Storage};

use crate::app::{App, Habits, describe};
use crate::script::{JOINS, SCRIPTS, SUBGROUPS, Script, TALK, World};

const TIDY: Habits = Habits { acknowledges: true, dies_of_failures: false };

/// What a run shows: what everybody sees after each step, what was sent, and what is in the stores.
struct Run {
    views: Vec<Vec<String>>,
    wires: Vec<Vec<Vec<u8>>>,
    rows: Vec<Vec<(Key, Vec<u8>)>>,
}

impl Run {
    fn of(world: &mut World, stores: &[MemoryStorage], after: impl FnMut(&mut World)) -> Self {
        let views = world.run(after);
        for app in &world.apps {
            app.person.seals.assert_all_keys_differ();
            app.person.seals.assert_keys_of_visible_differ(&app.wires);
        }
        let wires = world.apps.iter().map(|app| app.wires.clone()).collect();
        let rows = |store: &MemoryStorage| {
            let rows = store.scan(&Prefix::new(&[])).unwrap().into_iter();
            rows.map(|(key, row)| (key, row.value.to_vec())).collect()
        };
        Self { views, wires, rows: stores.iter().map(rows).collect() }
    }
}

/// Nobody is killed.
fn model(script: &'static Script, habits: Habits) -> Run {
    let (mut world, stores) = World::in_memory(script, habits);
    Run::of(&mut world, &stores, |_| {})
}

/// Since opening draws no randomness, everything is the same to the byte.
fn assert_as_model(seen: &Run, model: &Run) {
    for (step, (seen, expected)) in seen.views.iter().zip(&model.views).enumerate() {
        assert_eq!(seen, expected, "after step {step}");
    }
    assert_eq!(seen.views.len(), model.views.len());
    assert_eq!(seen.wires, model.wires);
    if !seen.rows.is_empty() {
        assert!(seen.rows == model.rows, "other rows");
    }
}

/// Runs every script in memory, and does this after every step.
fn assert_all_as_model(habits: Habits, after: impl Fn(&mut World)) {
    for script in SCRIPTS {
        let (mut world, stores) = World::in_memory(script, habits);
        let seen = Run::of(&mut world, &stores, &after);
        assert_as_model(&seen, &model(script, habits));
    }
}

/// What a person has heard at the end.
fn assert_heard(script: &'static Script, expected: &[(&str, &str)]) {
    let Run { views, .. } = model(script, TIDY);
    let last = views.last().unwrap();
    for (name, expected) in expected {
        let heard = last.iter().find(|view| view.starts_with(name)).unwrap();
        assert!(heard.contains(expected), "{expected} is not in {heard}");
    }
}

#[test]
fn the_conversation_is_what_it_should_be() {
    let expected = [
        // Out of order, twice, and late, by the roster of the epoch.
        ("bob", r#""alice in 1/2: third", "Duplicate", "alice in 1/0: first", "Duplicate""#),
        ("bob", r#""alice in 1/1: second""#),
        ("bob", "removed 4 by alice, added [], removed [\\\"bob\\\"]"),
        ("bob", r#""joined by carol""#),
        // Of epochs before bob came back.
        ("bob", r#""Late { epoch: 2 }", "Late { epoch: 1 }""#),
        ("alice", "confirmed 2 by alice"),
        ("alice", r#""carol in 2/0: I am new", "Discarded""#),
        ("alice", "commit 3 by bob, added [], removed [], updated [\\\"bob\\\"], lost true"),
        ("carol", r#""alice in 2/0: a late one""#),
        ("carol", r#""bob in 5/0: goodbye""#),
    ];
    assert_heard(&TALK, &expected);
}

#[test]
fn the_joins_are_what_they_should_be() {
    let expected = [
        ("alice", r#""bob in 1/0: the two of us", "Late { epoch: 1 }", "commit 3 by carol"#),
        ("carol", r#""joined by a Commit", "Own", "alice proposes ProposalType(2)""#),
        ("alice", r#"commit 4 by bob, added [], removed [], updated [\"alice\", \"bob\"]"#),
        ("bob", r#""Discarded""#),
        ("alice", r#"commit 6 by bob, added [], removed [], updated [\"bob\"], lost true"#),
        // Bob comes back; what he had staged before is of an epoch that is over.
        ("bob", r#""alice in 6/0: while bob is coming back", "Late { epoch: 6 }""#),
        ("alice", r#"commit 7 by bob, added [\"bob\"], removed [\"bob\"]"#),
        ("carol", r#""bob in 7/0: all back""#),
        // Carol is overtaken, and then removed.
        ("alice", r#""Late { epoch: 7 }", "commit 9 by bob, added [], removed [\"carol\"]"#),
        ("alice", r#""Late { epoch: 8 }""#),
        ("bob", r#"commit 10 by carol, added [\"carol\"], removed []"#),
        ("alice", r#""carol in 10/0: goodbye""#),
    ];
    assert_heard(&JOINS, &expected);
}

#[test]
fn the_subgroups_are_what_they_should_be() {
    let expected = [
        ("bob", r#"joined by alice after 1 of 74686520726f6f6d"#),
        ("alice", r#""bob in 1/0: in the branch", "commit 2 by bob"#),
        ("alice", r#""carol proposes ProposalType(5)", "carol in 1/0: early""#),
        ("alice", r#""joined by bob after 3 of 74686520726f6f6d", "bob in 1/0: in the next room""#),
        ("alice", r#"746865206e65787420726f6f6d 2 ["bob@0", "alice@1", "carol@2"] Reinit"#),
    ];
    assert_heard(&SUBGROUPS, &expected);
}

#[test]
fn everybody_is_killed_after_every_step() {
    assert_all_as_model(TIDY, |world| world.apps.iter_mut().for_each(App::crash));
}

#[test]
fn one_is_killed_after_every_step() {
    for killed in 0..3 {
        assert_all_as_model(TIDY, |world| {
            world.apps.iter_mut().skip(killed).step_by(3).for_each(App::crash);
        });
    }
}

#[cfg(feature = "file-storage")]
#[test]
fn everybody_is_killed_after_every_step_on_disk() {
    use circlet::storage::FileStorage;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_owned();
    for (script, number) in SCRIPTS.into_iter().zip(0..) {
        let mut world = World::new(script, TIDY, |i| {
            let path = folder.join(format!("{number} {i}"));
            Box::new(move || Box::new(FileStorage::open(&path).unwrap()))
        });
        let seen = Run::of(&mut world, &[], |world| world.apps.iter_mut().for_each(App::crash));
        assert_as_model(&seen, &model(script, TIDY));
    }
}

#[test]
fn what_nobody_acknowledges_comes_again_in_its_order() {
    let habits = Habits { acknowledges: false, dies_of_failures: false };
    let (mut world, stores) = World::in_memory(&TALK, habits);
    let seen = Run::of(&mut world, &stores, |world| world.apps.iter_mut().for_each(App::crash));
    assert_as_model(&seen, &model(&TALK, habits));
    for app in &mut world.apps {
        app.crash();
        let undelivered = app.client().undelivered().unwrap();
        let kept = |line: &&String| {
            !line.starts_with("Late") && !["Own", "Duplicate", "Discarded"].contains(&line.as_str())
        };
        let expected: Vec<&String> = app.log.iter().filter(kept).collect();
        let lines: Vec<String> = undelivered.iter().map(describe).collect();
        assert_eq!(lines.iter().collect::<Vec<_>>(), expected);
        assert!(lines.len() > 5);

        let unsent = app.client().unsent().unwrap();
        let bytes: Vec<Vec<u8>> = unsent.iter().map(|outgoing| outgoing.to_vec()).collect();
        let is_commit = |wire: &&Vec<u8>| !bytes.contains(wire);
        let sent: Vec<&Vec<u8>> = app.wires.iter().filter(|wire| !is_commit(wire)).collect();
        assert_eq!(bytes.iter().collect::<Vec<_>>(), sent);
        assert!(bytes.len() > 2);

        let ids = undelivered.iter().filter_map(Received::id).chain(unsent.iter().map(|o| o.id()));
        for id in ids.clone().chain(ids) {
            // The second time changes nothing.
            app.client().acknowledge(id).unwrap();
        }
        assert!(app.client().undelivered().unwrap().is_empty());
        assert!(app.client().unsent().unwrap().is_empty());
    }
}
