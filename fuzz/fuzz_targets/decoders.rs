//! Every decoder, chosen by the first byte. Whatever is read is written back as it was.

#![no_main]
#![allow(dead_code, reason = "each target uses its part of what they share")]

#[path = "../../crates/circlet/tests/bad_input/conversation.rs"]
mod conversation;
#[path = "../../crates/circlet/tests/crypto_support/mod.rs"]
mod crypto_support;
#[path = "../../crates/circlet/tests/bad_input/samples.rs"]
mod samples;
mod seeding;
#[path = "../../crates/circlet/tests/bad_input/wire_types.rs"]
mod wire_types;

use std::sync::LazyLock;

use circlet::codec::DecodeContext;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use wire_types::WireType;

static TYPES: LazyLock<(Vec<WireType>, DecodeContext)> =
    LazyLock::new(|| (wire_types::all(), wire_types::context()));

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(samples::all);

fuzz_target!(|data: &[u8]| {
    let Some((selector, bytes)) = data.split_first() else { return };
    let (types, context) = &*TYPES;
    let wire_type = &types[usize::from(*selector) % types.len()];
    (wire_type.check)(bytes, context);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let sample = &SAMPLES[seed as usize % SAMPLES.len()];
        [&[(seed >> 16) as u8], sample.as_slice()].concat()
    })
});
