//! Circlet in the MLS working group's interoperability harness.
//!
//! The harness is a gRPC service that every implementation offers, and a runner that plays scripts
//! against any number of them: it tells one to create a group, another to join it, and compares what
//! they say. [`server`] is that service over Circlet, by its public API alone; [`runner`] is a runner
//! of our own, so that Circlet can be held against itself and others without the official one.
//!
//! | module | holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`proto`] | the messages of the service |
//! | [`rpc`] | the table of its 34 methods, as a server and as a client |
//! | [`server`] | what Circlet does at each of them |
//! | [`runner`] | scripts, and who plays them |
//! | [`official`] | what the working group's own runner has written |

pub mod cli;
pub mod official;
pub mod proto;
pub mod rpc;
pub mod runner;
pub mod server;
