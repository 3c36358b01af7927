//! The service over a real connection.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails so")]

mod garbage;
mod raw;
mod scripts;
mod stage;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};

use circlet_interop::rpc::Server;
use circlet_interop::server::{Options, World};
use tonic::transport::server::TcpIncoming;

/// Starts a server on a free port of this machine; it ends with the runtime.
fn start(options: Options) -> SocketAddr {
    let incoming =
        TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap().with_nodelay(Some(true));
    let address = incoming.local_addr().unwrap();
    let server = Server::new(World::new(options));
    tokio::spawn(tonic::transport::Server::builder().serve_with_incoming(server, incoming));
    address
}

/// Runs a test with a runtime of its own.
fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test)
}
