//! All pairs of proposals in one Commit: every type with every type, each by value or by reference,
//! the one by reference from every type of sender, in both orders. What is expected of each comes
//! from one table ([`table`]); it is held against the committer and against a receiver.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails so"
)]

mod external;
mod table;
mod world;

use circlet::Error;

use table::{Content, KINDS, Kind, Slot, WAYS, related};
use world::World;

/// V-12.2-01, V-12.2-03 to V-12.2-14, V-12.2-17, V-12.1.6-01, V-12.1.8-03, V-12.1.8-04, V-6.1-06: each pair is accepted or refused as the table
/// says; whoever commits leaves out what does not fit, and everybody follows.
#[test]
fn all_pairs_in_a_members_commit() -> Result<(), Error> {
    let mut world = World::new()?;
    let (mut cells, mut failures) = (0, Vec::new());
    for cell in cells_of_members() {
        cells += 1;
        if let Err(failure) = world.check(cell) {
            failures.push(format!("{cell:?}: {failure}"));
        }
    }
    println!("{cells} cells");
    assert!(failures.is_empty(), "{} of {cells} cells:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(cells, CELLS);
    Ok(())
}

/// How many cells the matrix has.
const CELLS: usize = 2_450;

fn cells_of_members() -> impl Iterator<Item = [Slot; 2]> {
    let kinds = KINDS.into_iter().flat_map(|a| KINDS.into_iter().map(move |b| (a, b)));
    kinds.flat_map(|(a, b)| related(a, b)).flat_map(|contents| {
        let ways = WAYS.into_iter().flat_map(|a| WAYS.into_iter().map(move |b| [a, b]));
        ways.map(move |[a, b]| [Slot::new(contents[0], a, 0), Slot::new(contents[1], b, 1)])
    })
}

/// V-12.2-18: whatever a Commit refers to, it refers to once.
#[test]
fn no_reference_comes_twice() -> Result<(), Error> {
    let mut world = World::new()?;
    let mut checked = 0;
    for kind in KINDS {
        for way in WAYS {
            let slot = Slot::new(kind.content(), way, 0);
            checked += usize::from(world.refuses_reference_twice(slot)?);
        }
    }
    // Of Add four, of Update two, of ExternalInit none, of the six others three each.
    assert_eq!(checked, 4 + 2 + 6 * 3);
    Ok(())
}

/// V-12.1.8-03: of the application's own types, external senders send those that are registered so.
#[test]
fn a_type_that_is_for_members_alone() -> Result<(), Error> {
    let mut world = World::new()?;
    for way in WAYS {
        for other in WAYS {
            let (members_only, custom) = (Content::MembersOnly, Kind::Custom.content());
            let cell = [Slot::new(members_only, way, 0), Slot::new(custom, other, 1)];
            assert_eq!(world.check(cell), Ok(()));
            let cell = [Slot::new(custom, other, 0), Slot::new(members_only, way, 1)];
            assert_eq!(world.check(cell), Ok(()));
        }
    }
    Ok(())
}
