//! Tests of the testing room.
mod attacks;
mod honest;
