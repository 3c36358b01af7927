//! Every validity rule of RFC 9420, one small function each, named after what it demands and
//! carrying its id from the conformance table.

pub(crate) mod leaf;
pub(crate) mod proposals;
pub(crate) mod subgroup;
pub(crate) mod tree;

pub use crate::violation::Violation;
pub(crate) use crate::violation::{ensure, ensure_row};
