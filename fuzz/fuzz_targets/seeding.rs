//! Sound input to begin with, made while fuzzing, so that no corpus has to be kept.

use libfuzzer_sys::fuzzer_mutate;

/// Now and then a sound input in place of what is there, otherwise a mutation of it.
pub(crate) fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    sound: impl Fn(u32) -> Vec<u8>,
) -> usize {
    if !seed.is_multiple_of(64) {
        return fuzzer_mutate(data, size, max_size);
    }
    let sound = sound(seed / 64);
    let length = sound.len().min(max_size);
    data[..length].copy_from_slice(&sound[..length]);
    length
}
