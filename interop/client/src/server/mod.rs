//! What Circlet does at each method of the service.
//!
//! One process plays any number of actors at once: all that they have is in a [`World`], by the ids
//! that it handed out. An actor's group is a `Member`, which drives a
//! [`GroupState`](circlet::group::GroupState): every call computes a step and applies it as the last
//! thing that it does, so that a call that fails has changed nothing.

mod commits;
mod fault;
mod groups;
mod member;
mod outside;
mod proposals;
mod psks;
mod subgroups;
mod world;

pub use fault::Fault;
pub use world::{Options, World};
