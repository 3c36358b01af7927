//! Tests of the testing room.
mod attacks;
mod faults;
mod honest;
