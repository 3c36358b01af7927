//! All pairs of proposals in one Commit.
