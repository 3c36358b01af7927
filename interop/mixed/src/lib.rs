//! Circlet, OpenMLS and mls-rs as members of the same groups, in one process.
//!
//! [`history::run`] lets a group live through a random history that a seed decides: its members
//! add, remove, update, join and come back, inject PSKs, change extensions, race and send. After
//! each epoch all of them have to see the same; every message is read by all who may, and by nobody
//! else. Where members disagree, the history ends with all that was sent.
//!
//! [`abilities::LEFT_OUT`] says what a library can't do and why; nothing else is left out.

pub mod abilities;
pub mod decode;
pub mod history;
pub mod member;
pub mod peers;
pub mod prng;
