//! A runner: plays scripts against any number of clients of the harness, with every assignment of
//! clients to actors, and compares what they say.
//!
//! The scripts are those of the working group's configurations, which other runners play, too; or
//! the configurations themselves, where the user has them. Beyond what the official runner does, all
//! assignments are really played, and on request StateAuth and Export are compared after each epoch,
//! which some clients only pretend to have.

mod config;
mod play;
mod random;
mod report;
pub mod script;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::Endpoint;

use play::{Cast, Play};
use random::Random;
use script::Script;

pub use report::{Report, Row};

use crate::cli::Problem;
use crate::proto::{NameRequest, SupportedCiphersuitesRequest};
use crate::rpc::Client;

/// How long a client may take for one call.
const PATIENCE: Duration = Duration::from_secs(120);

/// Over so many assignments of one script, only a random one is played.
const MOST_ASSIGNMENTS: usize = 4096;

/// What is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port` of each client.
    pub clients: Vec<String>,
    /// The kind of scripts; all but the long one if there is none.
    pub config: Option<String>,
    /// The name of a script; all if there is none.
    pub script: Option<String>,
    /// The cipher suite; all that any client has if there is none.
    pub suite: Option<u16>,
    /// Whether handshake messages are encrypted; both ways if it is not said.
    pub encrypt: Option<bool>,
    /// One random assignment of clients to actors, not all.
    pub random: bool,
    /// For all that is random.
    pub seed: u64,
    /// How many Commits the long script has.
    pub commits: usize,
    /// Whether StateAuth and Export are compared, too.
    pub states: bool,
    /// A folder with configurations in the working group's format, to be played in the place of our
    /// own scripts.
    pub configs: Option<PathBuf>,
}

impl Default for Options {
    /// Everything but the long script, which is of 100 Commits.
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            config: None,
            script: None,
            suite: None,
            encrypt: None,
            random: false,
            seed: 0,
            commits: 100,
            states: false,
            configs: None,
        }
    }
}

/// One client, as it presented itself.
#[derive(Clone, Debug)]
struct Peer {
    name: String,
    suites: Vec<u16>,
    client: Client,
}

/// Plays everything that the options say, and tells of each script as soon as it is done.
///
/// # Errors
/// A client can't be reached, a configuration can't be read, or the options make no sense. A script
/// that fails is none.
pub async fn run(options: &Options, mut tell: impl FnMut(&Row)) -> Result<Report, Problem> {
    let scripts = chosen(options)?;
    let mut peers = Vec::new();
    for address in &options.clients {
        peers.push(connect(address).await?);
    }
    if peers.is_empty() {
        return Err(Problem::Usage("--client is missing".to_owned()));
    }
    let suites = suites(options, &peers)?;
    let mut report = Report::default();
    let mut random = Random::new(options.seed);
    for script in &scripts {
        let mut row = Row::new(format!("{}/{}", script.config, script.name));
        for suite in &suites {
            let able: Vec<&Peer> =
                peers.iter().filter(|peer| peer.suites.contains(suite)).collect();
            for encrypt in [true, false] {
                if options.encrypt.is_none_or(|only| only == encrypt) {
                    play_all(script, (*suite, encrypt), &able, options, &mut random, &mut row)
                        .await;
                }
            }
        }
        tell(&row);
        report.rows.push(row);
    }
    Ok(report)
}

/// The cipher suites that all these clients have, in ascending order.
///
/// # Errors
/// A client can't be reached.
pub async fn common_suites(clients: &[String]) -> Result<Vec<u16>, Problem> {
    let mut common: Option<BTreeSet<u16>> = None;
    for address in clients {
        let suites: BTreeSet<u16> = connect(address).await?.suites.into_iter().collect();
        common = Some(match common {
            Some(common) => common.intersection(&suites).copied().collect(),
            None => suites,
        });
    }
    Ok(common.unwrap_or_default().into_iter().collect())
}

/// The scripts that the options say.
fn chosen(options: &Options) -> Result<Vec<Script>, Problem> {
    let deep = options.config.as_deref() == Some("deep_random");
    let mut scripts = match &options.configs {
        Some(folder) => config::read(folder, options.config.as_deref())?,
        None if deep => vec![scripts::deep_random(options.seed, options.commits)],
        None => scripts::all(),
    };
    let is = |wanted: &Option<String>, name: &String| wanted.as_ref().is_none_or(|w| w == name);
    scripts
        .retain(|script| is(&options.config, &script.config) && is(&options.script, &script.name));
    match scripts.is_empty() {
        true => Err(Problem::Usage("there is no such script".to_owned())),
        false => Ok(scripts),
    }
}

async fn connect(address: &str) -> Result<Peer, Problem> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.timeout(PATIENCE);
    let mut client = Client::new(endpoint.connect().await?);
    let told = |status: tonic::Status| Problem::Client(address.to_owned(), status.to_string());
    let name = client.name(NameRequest {}).await.map_err(told)?.name;
    let suites = client.supported_ciphersuites(SupportedCiphersuitesRequest {}).await;
    let suites = suites.map_err(told)?.ciphersuites;
    let suites = suites.into_iter().filter_map(|suite| u16::try_from(suite).ok()).collect();
    Ok(Peer { name, suites, client })
}

/// The suites that any client has, or the one that was asked for.
fn suites(options: &Options, peers: &[Peer]) -> Result<Vec<u16>, Problem> {
    let mut suites: Vec<u16> = peers.iter().flat_map(|peer| peer.suites.clone()).collect();
    suites.sort_unstable();
    suites.dedup();
    if let Some(only) = options.suite {
        suites.retain(|suite| *suite == only);
    }
    match suites.is_empty() {
        true => Err(Problem::Usage("no client has such a cipher suite".to_owned())),
        false => Ok(suites),
    }
}

/// One script in one suite and format, with all assignments of these clients to its actors.
async fn play_all(
    script: &Script,
    (suite, encrypt): (u16, bool),
    peers: &[&Peer],
    options: &Options,
    random: &mut Random,
    row: &mut Row,
) {
    let actors: Vec<&str> = script.actors().into_iter().collect();
    for assignment in assignments(peers.len(), actors.len(), options.random, random) {
        let players = actors.iter().zip(assignment);
        let players = players.filter_map(|(actor, place)| Some((*actor, *peers.get(place)?)));
        let players: BTreeMap<&str, &Peer> = players.collect();
        let clients = players
            .iter()
            .map(|(actor, peer)| ((*actor).to_owned(), (peer.client.clone(), peer.suites.clone())));
        let cast = Cast {
            suite,
            encrypt,
            clients: clients.collect(),
            states: options.states,
            random: Random::new(random.next()),
        };
        let outcome = Play::play(script, cast).await;
        row.count(outcome.map_err(|(step, failure)| {
            let roles = players.iter().map(|(actor, peer)| format!("{actor}={}", peer.name));
            let roles: Vec<String> = roles.take(12).collect();
            let format = if encrypt { "private" } else { "public" };
            format!("step {step}: {failure} [suite {suite}, {format}, {}]", roles.join(" "))
        }));
    }
}

/// Which client plays which actor, all ways or a random one.
fn assignments(clients: usize, actors: usize, one: bool, random: &mut Random) -> Vec<Vec<usize>> {
    let exponent = u32::try_from(actors).unwrap_or(u32::MAX);
    let count = clients.checked_pow(exponent).filter(|count| *count <= MOST_ASSIGNMENTS);
    match count.filter(|_| !one) {
        Some(count) => (0..count).map(|number| digits(number, clients, actors)).collect(),
        None => vec![(0..actors).map(|_| random.below(clients)).collect()],
    }
}

/// The digits of a number in this base.
fn digits(mut number: usize, base: usize, length: usize) -> Vec<usize> {
    let base = base.max(1);
    let mut digits = Vec::new();
    for _ in 0..length {
        digits.push(number % base);
        number /= base;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_assignments_are_played_unless_they_are_too_many() {
        let mut random = Random::new(1);
        let mut all = assignments(3, 4, false, &mut random);
        assert_eq!(all.len(), 81);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 81);
        assert!(all.iter().flatten().all(|client| *client < 3));
        assert_eq!(assignments(1, 5, false, &mut random), [[0; 5]]);
        assert_eq!(assignments(2, 840, false, &mut random).len(), 1);
        assert_eq!(assignments(2, 3, true, &mut random).len(), 1);
    }

    #[test]
    fn there_are_39_scripts_and_the_long_one_repeats() {
        let scripts = scripts::all();
        assert_eq!(scripts.len(), 39);
        let deep = |seed| format!("{:?}", scripts::deep_random(seed, 10));
        assert_eq!(deep(7), deep(7));
        assert_ne!(deep(7), deep(8));
    }

    #[test]
    fn actors_are_found_wherever_a_step_names_them() {
        let actors = |config, name| {
            let options = Options {
                config: Some(String::from(config)),
                script: Some(String::from(name)),
                ..Options::default()
            };
            let scripts = chosen(&options).unwrap();
            scripts[0].actors().into_iter().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(actors("external_proposals", "external_add"), ["alice", "bob", "charlie", "ds"]);
        assert_eq!(actors("external_join", "with_psk"), ["alice", "bob"]);
        assert_eq!(actors("reinit", "force_path").len(), 5);
    }
}
