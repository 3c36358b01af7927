//! Tests of the testing room.
mod honest;
