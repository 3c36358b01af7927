//! Killed between any two operations and opened again, a client goes on where it was and never
//! uses a message key twice.

use circlet::Received;

use crate::app::{App, Habits, describe};
use crate::script::{STEPS, World};

const TIDY: Habits = Habits { acknowledges: true, dies_of_failures: false };

/// What an uninterrupted run shows, and what it sent.
fn model(habits: Habits) -> (Vec<Vec<String>>, Vec<Vec<Vec<u8>>>) {
    let mut world = World::in_memory(habits);
    let views = world.run(|_| {});
    assert_keys(&world);
    let wires = world.apps.iter().map(|app| app.wires.clone()).collect();
    (views, wires)
}

fn assert_keys(world: &World) {
    for app in &world.apps {
        app.person.seals.assert_all_keys_differ();
        app.person.seals.assert_keys_of_visible_differ(&app.wires);
    }
}

/// Since opening draws no randomness, everything is the same to the byte.
fn assert_as_model(world: &mut World, habits: Habits, mut after: impl FnMut(&mut World)) {
    let (views, wires) = model(habits);
    let seen = world.run(&mut after);
    for (step, (seen, expected)) in seen.iter().zip(&views).enumerate() {
        assert_eq!(seen, expected, "after step {step}");
    }
    assert_eq!(seen.len(), STEPS.len());
    for (app, expected) in world.apps.iter().zip(&wires) {
        assert_eq!(app.wires, *expected, "{}", app.name());
    }
    assert_keys(world);
}

#[test]
fn the_conversation_is_what_it_should_be() {
    let (views, _) = model(TIDY);
    let last = views.last().unwrap();
    let heard = |name: &str| last.iter().find(|view| view.starts_with(name)).unwrap();
    for (name, expected) in [
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
    ] {
        assert!(heard(name).contains(expected), "{expected} is not in {}", heard(name));
    }
}

#[test]
fn everybody_is_killed_after_every_step() {
    let mut world = World::in_memory(TIDY);
    assert_as_model(&mut world, TIDY, |world| world.apps.iter_mut().for_each(App::crash));
}

#[test]
fn one_is_killed_after_every_step() {
    for killed in 0..3 {
        let mut world = World::in_memory(TIDY);
        assert_as_model(&mut world, TIDY, |world| world.apps[killed].crash());
    }
}

#[cfg(feature = "file-storage")]
#[test]
fn everybody_is_killed_after_every_step_on_disk() {
    use circlet::storage::FileStorage;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_owned();
    let mut world = World::new(TIDY, |i| {
        let path = folder.join(i.to_string());
        Box::new(move || Box::new(FileStorage::open(&path).unwrap()))
    });
    assert_as_model(&mut world, TIDY, |world| world.apps.iter_mut().for_each(App::crash));
}

#[test]
fn what_nobody_acknowledges_comes_again_in_its_order() {
    let habits = Habits { acknowledges: false, dies_of_failures: false };
    let mut world = World::in_memory(habits);
    assert_as_model(&mut world, habits, |world| world.apps.iter_mut().for_each(App::crash));
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
