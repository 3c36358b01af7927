//! Runs histories and prints a table.
//!
//! `circlet-mixed --suite 1..7|all --seeds N --first S [--pair circlet,openmls,mls-rs]
//! [--everything yes]`: with the last, the steps that the table leaves out are taken too.
//!
//! `circlet-mixed decode messages.json` mutates the working group's messages and says where the
//! three decoders differ.

use std::process::ExitCode;

use circlet_mixed::abilities::LEFT_OUT;
use circlet_mixed::decode::Seen;
use circlet_mixed::history::{Options, Tally, run};
use circlet_mixed::member::Peer;
use circlet_mixed::peers::supports;

const USAGE: &str = "circlet-mixed [--suite 1..7|all] [--seeds N] [--first S] [--pair circlet,openmls,mls-rs] \
     [--everything yes]";

struct Arguments {
    suites: Vec<u16>,
    seeds: u64,
    first: u64,
    peers: Vec<Peer>,
    everything: bool,
}

fn main() -> ExitCode {
    let mut given = std::env::args().skip(1);
    if given.next().as_deref() == Some("decode") {
        return decode(given.next().as_deref().unwrap_or_default());
    }
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("{}.\n", versions());
    println!(
        "| suite | members of | seeds | epochs | commits by | proposals | from outside | messages | read | lost races | successors | branches | disagreements |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut disagreements = 0;
    let mut sum = Tally::default();
    for suite in &arguments.suites {
        let (tally, disagreed) = run_suite(*suite, &arguments);
        disagreements += disagreed;
        sum.add(&tally);
    }
    println!("\nWhat was left out, and how often a member met it:\n");
    for row in LEFT_OUT {
        if let Some(count) = sum.left_out.get(&(row.peer, row.operation)) {
            println!("- {} `{}`, {count} times: {}", row.peer, row.operation, row.why);
        }
    }
    ExitCode::from(u8::from(disagreements > 0))
}

/// The versions of the libraries that this program was built with.
fn versions() -> String {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let package = LOCK.split("[[package]]").find(|one| one.contains(&format!("\"{name}\"\nv")));
        let line = package.and_then(|one| one.lines().find(|line| line.starts_with("version")));
        line.and_then(|line| line.split('"').nth(1)).unwrap_or("?").to_owned()
    };
    let name = |peer: &Peer| format!("{peer} {}", version(peer.name()));
    Peer::ALL.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Prints one row, and each disagreement on standard error. Gives their number.
fn run_suite(suite: u16, arguments: &Arguments) -> (Tally, usize) {
    let peers: Vec<_> =
        arguments.peers.iter().copied().filter(|peer| supports(*peer, suite)).collect();
    let mut tally = Tally::default();
    let mut disagreements = 0;
    for seed in arguments.first..arguments.first.saturating_add(arguments.seeds) {
        match run(&Options { suite, peers: peers.clone(), seed, everything: arguments.everything })
        {
            Ok(one) => tally.add(&one),
            Err(disagreement) => {
                disagreements += 1;
                eprintln!("{disagreement}");
            }
        }
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
    let commits: Vec<_> =
        tally.commits.iter().map(|(peer, count)| format!("{peer} {count}")).collect();
    println!(
        "| {suite} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {disagreements} |",
        names.join(", "),
        tally.seeds,
        tally.epochs,
        commits.join(", "),
        tally.proposals,
        tally.outside,
        tally.messages,
        tally.reads,
        tally.lost,
        tally.successors,
        tally.branches,
    );
    (tally, disagreements)
}

/// Prints the kinds of differences of a file.
fn decode(path: &str) -> ExitCode {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap_or_default();
    let mut seen = Seen::default();
    for (number, entry) in entries.iter().enumerate() {
        if let Err(why) = seen.look_at_entry(entry) {
            println!("entry {number}: {why}");
        }
    }
    println!(
        "{} samples, {} mutants: {} read by all, {} refused by all",
        seen.samples, seen.mutants, seen.read, seen.refused
    );
    for (reason, count) in &seen.explained {
        println!("{reason:?}: {count}");
    }
    for ((field, mutation, verdicts), (count, first)) in &seen.unexplained {
        let first: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("UNEXPLAINED {field} {mutation}: {verdicts} ({count})  {first}");
    }
    ExitCode::from(u8::from(!seen.unexplained.is_empty()))
}

fn arguments(mut given: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments {
        suites: vec![1],
        seeds: 25,
        first: 0,
        peers: Peer::ALL.to_vec(),
        everything: false,
    };
    while let Some(name) = given.next() {
        let value = given.next()?;
        match name.as_str() {
            "--suite" if value == "all" => arguments.suites = (1..=7).collect(),
            "--suite" => {
                let suite = value.parse().ok().filter(|suite| (1..=7).contains(suite))?;
                arguments.suites = vec![suite];
            }
            "--everything" => arguments.everything = value == "yes",
            "--seeds" => arguments.seeds = value.parse().ok()?,
            "--first" => arguments.first = value.parse().ok()?,
            "--pair" => {
                arguments.peers = value.split(',').map(Peer::of_name).collect::<Option<_>>()?;
            }
            _ => return None,
        }
    }
    Some(arguments)
}
