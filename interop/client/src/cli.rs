//! The command line.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use circlet::group::Grease;
use thiserror::Error;
use tonic::transport::server::TcpIncoming;

use crate::rpc::Server;
use crate::server::{Options, World};

const HELP: &str = "\
Circlet in the MLS working group's interoperability harness.

circlet-interop serve --port N [--host ADDRESS] [--grease all|capabilities|off] [--suites 1,2,…]
    Offers the service mls_client.MLSClient on this port, of 127.0.0.1 unless --host says otherwise.
    Port 0 takes a free one; the first line of output says which.
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
        "--help" | "help" => {
            out.write_all(HELP.as_bytes())?;
            Ok(Verdict::Good)
        }
        other => Err(Problem::Usage(format!("there is no command {other}"))),
    }
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
        let value = value_of(&option, &mut arguments)?;
        match option.as_str() {
            "--port" => port = Some(parse(&option, &value)?),
            "--host" => address.set_ip(parse(&option, &value)?),
            "--grease" => options.grease = grease(&value)?,
            "--suites" => options.suites = list(&option, &value)?,
            _ => return Err(Problem::Usage(format!("there is no option {option}"))),
        }
    }
    address.set_port(port.ok_or_else(|| Problem::Usage("--port is missing".to_owned()))?);
    Ok((address, options))
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
