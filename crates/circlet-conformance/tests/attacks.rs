//! Known attacks on implementations of MLS, one test each.
