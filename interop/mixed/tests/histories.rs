//! Seeded histories of each cipher suite: members of all libraries that have it agree in each of
//! them.

#![allow(clippy::panic, reason = "helpers of tests")]

use circlet_mixed::history::{Options, Tally, run};
use circlet_mixed::member::Peer;
use circlet_mixed::peers::supports;

const SEEDS: u64 = 25;

/// All libraries together.
fn agree(suite: u16) {
    let peers: Vec<_> = Peer::ALL.into_iter().filter(|peer| supports(*peer, suite)).collect();
    let tally = agree_among(suite, &peers);
    // A history that does nothing shows nothing.
    for peer in &peers {
        assert!(tally.commits.get(peer).is_some_and(|count| *count > 50), "{peer}: {tally:?}");
    }
    assert!(tally.epochs > 200 && tally.proposals > 100 && tally.lost > 20, "{tally:?}");
    assert!(tally.messages > 200 && tally.reads > tally.messages, "{tally:?}");
    assert!(tally.outside > 10, "{tally:?}");
}

fn options(suite: u16, peers: &[Peer], seed: u64) -> Options {
    Options { suite, peers: peers.to_vec(), seed, everything: false }
}

fn agree_among(suite: u16, peers: &[Peer]) -> Tally {
    let mut sum = Tally::default();
    for seed in 0..SEEDS {
        match run(&options(suite, peers, seed)) {
            Ok(tally) => sum.add(&tally),
            Err(disagreement) => panic!("{disagreement}"),
        }
    }
    sum
}

#[test]
fn suite_1() {
    agree(1);
}

#[test]
fn suite_2() {
    agree(2);
}

#[test]
fn suite_3() {
    agree(3);
}

/// X448 and Ed448: mls-rs takes part where its OpenSSL provider is built.
#[test]
fn suite_4() {
    agree(4);
}

#[test]
fn suite_5() {
    agree(5);
}

/// As suite 4.
#[test]
fn suite_6() {
    agree(6);
}

#[test]
fn suite_7() {
    agree(7);
}

/// With mls-rs alone, Circlet's GREASE is in extensions too, and those of a GroupContext need not
/// be required.
#[test]
fn circlet_and_mls_rs() {
    let tally = agree_among(1, &[Peer::Circlet, Peer::MlsRs]);
    assert!(tally.successors > 3 && tally.branches > 3, "{tally:?}");
}

#[test]
fn circlet_and_openmls() {
    agree_among(1, &[Peer::Circlet, Peer::OpenMls]);
}

/// A history ends where members disagree, with all that was sent: the known differences are found
/// where the table does not leave them out.
#[test]
fn a_disagreement_is_found_and_told() {
    for (peer, what) in [(Peer::OpenMls, "joins by the Welcome"), (Peer::MlsRs, "KeyMissing")] {
        let everything =
            |seed| Options { everything: true, ..options(1, &[Peer::Circlet, peer], seed) };
        let found: Vec<_> = (0..20).filter_map(|seed| run(&everything(seed)).err()).collect();
        assert!(found.len() > 10, "{peer}: {}", found.len());
        assert!(found.iter().any(|one| one.what.contains(what)), "{peer}");
        let mut wires = 0;
        for disagreement in found {
            let text = disagreement.to_string();
            assert!(text.contains(&format!("seed {}", disagreement.options.seed)));
            for line in &disagreement.lines {
                let hex: String = line.wire.iter().map(|byte| format!("{byte:02x}")).collect();
                assert!(text.contains(&line.words) && text.contains(&hex));
                wires += usize::from(!hex.is_empty());
            }
        }
        assert!(wires > 20, "{peer}: {wires}");
    }
}
