//! The command line.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use circlet::group::Grease;
use thiserror::Error;
use tonic::transport::server::TcpIncoming;

use crate::official;
use crate::rpc::Server;
use crate::runner::{self, Report, Row};
use crate::server::{Options, World};

const HELP: &str = "\
Circlet in the MLS working group's interoperability harness.

circlet-interop serve --port N [--host ADDRESS] [--grease all|capabilities|off] [--suites 1,2,…]
        [--unbound-reinit]
    Offers the service mls_client.MLSClient on this port, of 127.0.0.1 unless --host says otherwise.
    Port 0 takes a free one; the first line of output says which. GREASE goes into the lists of
    capabilities and into extensions (all), into the lists alone, or nowhere. Only those suites are
    offered that are named, or all. --unbound-reinit joins the group after a ReInit also where the
    pre-shared key is missing that binds it to the old one (section 11.2): for peers without it.

circlet-interop run --client HOST:PORT [--client HOST:PORT]… [--config NAME [--script NAME]]
        [--suite N] [--public | --private] [--random] [--seed N] [--states] [--configs FOLDER]
        [--commits N]
    Plays scripts against these clients, which any implementation may be, with every assignment of
    clients to actors; with --random, and where there are more than 4096 of them, with one for each
    suite and format of handshake messages.
    Configs: welcome_join, application, commit, external_join, external_proposals, reinit, branch, and
    if it is asked for deep_random, of so many Commits. --states compares StateAuth and Export, too.
    --configs plays the working group's files in a folder in the place of our own scripts.
    Exits with 1 if a case fails.

circlet-interop suites --client HOST:PORT [--client HOST:PORT]…
    The cipher suites that all these clients have.

circlet-interop split --into FOLDER FILE…
    Writes each script of the working group's configs into a file of its own, CONFIG.SCRIPT.json.

circlet-interop report [--name NAME | --markdown] FILE…
    The table of what the working group's runner has written, one file CONFIG-SUITE.json or
    CONFIG.SCRIPT-SUITE.json for each run; as Markdown a line for each config. Exits with 1 if a case
    failed.
";

/// Whether everything that was tested is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is.
    Good,
    /// Something is not: the output says what.
    Bad,
}

/// Why a command could not be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The command line makes no sense.
    #[error("{0}; see --help")]
    Usage(String),
    /// Reading, writing or the network failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A configuration can't be read.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Config(PathBuf, String),
    /// A client does not say who it is.
    #[error("{0}: {1}")]
    Client(String, String),
    /// The server or the connection to one failed.
    #[error("{}", chain(.0))]
    Transport(#[from] tonic::transport::Error),
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Runs a command line (without the program's name) and writes what it gives to `out`.
///
/// # Errors
/// The command can't be done. A script that fails is no error, but [`Verdict::Bad`].
pub fn run(
    arguments: impl IntoIterator<Item = String>,
    out: &mut dyn Write,
) -> Result<Verdict, Problem> {
    let mut arguments = arguments.into_iter();
    let command = arguments.next().unwrap_or_else(|| "--help".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command.as_str() {
        "serve" => {
            let (address, options) = serve_options(arguments)?;
            runtime.block_on(serve(address, options, out))?;
            Ok(Verdict::Good)
        }
        "run" => {
            let options = run_options(arguments)?;
            writeln!(out, "{}", Row::HEAD)?;
            let report = runtime.block_on(runner::run(&options, |row| {
                // A table that nobody reads any more is no reason to stop.
                let _ = writeln!(out, "{row}").and_then(|()| out.flush());
            }))?;
            finish(&report, out)
        }
        "suites" => {
            let options = run_options(arguments)?;
            let suites = runtime.block_on(runner::common_suites(&options.clients))?;
            let suites: Vec<String> = suites.iter().map(u16::to_string).collect();
            writeln!(out, "{}", suites.join(" "))?;
            Ok(Verdict::Good)
        }
        "report" => {
            let ReportOptions { name, markdown, files } = report_options(arguments)?;
            let report = official::read(&files)?;
            if markdown {
                out.write_all(report.markdown().as_bytes())?;
                return Ok(verdict(&report));
            }
            writeln!(out, "{name}\n{}", Row::HEAD)?;
            for row in &report.rows {
                writeln!(out, "{row}")?;
            }
            finish(&report, out)
        }
        "split" => {
            let (folder, files) = split_options(arguments)?;
            official::split(&files, &folder)?;
            Ok(Verdict::Good)
        }
        "--help" | "help" => {
            out.write_all(HELP.as_bytes())?;
            Ok(Verdict::Good)
        }
        other => Err(Problem::Usage(format!("there is no command {other}"))),
    }
}

fn finish(report: &Report, out: &mut dyn Write) -> Result<Verdict, Problem> {
    writeln!(out, "{}", report.summary())?;
    Ok(verdict(report))
}

fn verdict(report: &Report) -> Verdict {
    if report.is_good() { Verdict::Good } else { Verdict::Bad }
}

async fn serve(address: SocketAddr, options: Options, out: &mut dyn Write) -> Result<(), Problem> {
    let incoming = TcpIncoming::bind(address)?.with_nodelay(Some(true));
    writeln!(out, "listening on {}", incoming.local_addr()?)?;
    out.flush()?;
    let server = Server::new(World::new(options));
    tonic::transport::Server::builder().serve_with_incoming(server, incoming).await?;
    Ok(())
}

fn serve_options(
    mut arguments: impl Iterator<Item = String>,
) -> Result<(SocketAddr, Options), Problem> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut port = None;
    let mut options = Options::default();
    while let Some(option) = arguments.next() {
        if option == "--unbound-reinit" {
            options.unbound_reinit = true;
            continue;
        }
        let value = value_of(&option, &mut arguments)?;
        match option.as_str() {
            "--port" => port = Some(parse(&option, &value)?),
            "--host" => address.set_ip(parse(&option, &value)?),
            "--grease" => options.grease = grease(&value)?,
            "--suites" => options.suites = list(&option, &value)?,
            _ => return Err(no_option(&option)),
        }
    }
    address.set_port(port.ok_or_else(|| Problem::Usage("--port is missing".to_owned()))?);
    Ok((address, options))
}

fn run_options(mut arguments: impl Iterator<Item = String>) -> Result<runner::Options, Problem> {
    let mut options = runner::Options::default();
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--public" => options.encrypt = Some(false),
            "--private" => options.encrypt = Some(true),
            "--random" => options.random = true,
            "--states" => options.states = true,
            _ => {
                let value = value_of(&option, &mut arguments)?;
                match option.as_str() {
                    "--client" => options.clients.push(value),
                    "--config" => options.config = Some(value),
                    "--script" => options.script = Some(value),
                    "--suite" => options.suite = Some(parse(&option, &value)?),
                    "--seed" => options.seed = parse(&option, &value)?,
                    "--commits" => options.commits = parse(&option, &value)?,
                    "--configs" => options.configs = Some(value.into()),
                    _ => return Err(no_option(&option)),
                }
            }
        }
    }
    Ok(options)
}

#[derive(Default)]
struct ReportOptions {
    name: String,
    markdown: bool,
    files: Vec<PathBuf>,
}

fn report_options(mut arguments: impl Iterator<Item = String>) -> Result<ReportOptions, Problem> {
    let mut options = ReportOptions::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--name" => options.name = value_of(&argument, &mut arguments)?,
            "--markdown" => options.markdown = true,
            option if option.starts_with("--") => return Err(no_option(option)),
            file => options.files.push(file.into()),
        }
    }
    Ok(options)
}

fn split_options(
    mut arguments: impl Iterator<Item = String>,
) -> Result<(PathBuf, Vec<PathBuf>), Problem> {
    let (mut folder, mut files) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--into" => folder = Some(value_of(&argument, &mut arguments)?.into()),
            option if option.starts_with("--") => return Err(no_option(option)),
            file => files.push(file.into()),
        }
    }
    Ok((folder.ok_or_else(|| Problem::Usage("--into is missing".to_owned()))?, files))
}

fn no_option(option: &str) -> Problem {
    Problem::Usage(format!("there is no option {option}"))
}

fn grease(value: &str) -> Result<Grease, Problem> {
    match value {
        "all" => Ok(Grease::Everywhere),
        "capabilities" => Ok(Grease::Capabilities),
        "off" => Ok(Grease::None),
        _ => Err(Problem::Usage(format!("--grease is not {value}"))),
    }
}

/// The value of an option, which is the next argument.
fn value_of(option: &str, arguments: &mut impl Iterator<Item = String>) -> Result<String, Problem> {
    arguments.next().ok_or_else(|| Problem::Usage(format!("{option} has no value")))
}

fn parse<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|_| Problem::Usage(format!("{option} can't be {value}")))
}

fn list<T: std::str::FromStr>(option: &str, value: &str) -> Result<Vec<T>, Problem> {
    value.split(',').map(|item| parse(option, item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(arguments: &str) -> String {
        let arguments = arguments.split_whitespace().map(str::to_owned);
        run(arguments, &mut Vec::new()).unwrap_err().to_string()
    }

    #[test]
    fn a_command_line_that_makes_no_sense_is_refused() {
        for (arguments, expected) in [
            ("dance", "there is no command dance"),
            ("serve", "--port is missing"),
            ("serve --port", "--port has no value"),
            ("serve --port 70000", "--port can't be 70000"),
            ("serve --port 0 --grease some", "--grease is not some"),
            ("serve --port 0 --suites 1,x", "--suites can't be x"),
            ("serve --port 0 --speed 9", "there is no option --speed"),
            ("run", "--client is missing"),
            ("run --client a:1 --config none", "there is no such script"),
            ("run --client a:1 --suite one", "--suite can't be one"),
            ("run --whatever x", "there is no option --whatever"),
            ("report --whatever x", "there is no option --whatever"),
            ("split a.json", "--into is missing"),
        ] {
            let found = problem(arguments);
            assert!(found.starts_with(expected), "{arguments}: {found}");
        }
        assert!(problem("run --client 127.0.0.1:1").contains("error"));
        assert!(problem("run --client a:1 --configs /nowhere").starts_with("/nowhere: "));
    }

    #[test]
    fn help_is_given() {
        for arguments in [vec![], vec!["--help".to_owned()]] {
            let mut out = Vec::new();
            assert_eq!(run(arguments, &mut out).unwrap(), Verdict::Good);
            assert_eq!(out, HELP.as_bytes());
        }
    }
}
