//! All decoders: nothing panics, and what is read is written back as it was.

use crate::crypto_support::Seeded;
use crate::mutations::{Flips, Random, mutations};
use crate::samples;
use crate::wire_types::{all, context};

#[test]
fn every_decoder_reads_some_sample_and_only_canonical_ones() {
    let (context, samples) = (context(), samples::all());
    for wire_type in all() {
        let read = samples.iter().filter(|sample| (wire_type.check)(sample, &context)).count();
        assert!(read > 0, "no sample of {}", wire_type.name);
    }
}

#[test]
fn no_decoder_panics_on_mutated_samples_or_reads_other_than_canonical_ones() {
    let (context, types) = (context(), all());
    for sample in samples::all().iter().filter(|sample| sample.len() < 8_000) {
        for mutation in mutations(sample, Flips::OnePerByte) {
            let bytes = mutation.apply(sample);
            for wire_type in &types {
                (wire_type.check)(&bytes, &context);
            }
        }
    }
}

/// Parts of samples in another order, which get further than single flips.
#[test]
fn no_decoder_panics_on_spliced_samples() {
    let (context, types, samples) = (context(), all(), samples::all());
    let mut random = Random(Seeded(2));
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(3) {
            let sample = &samples[random.below(samples.len())];
            let from = random.below(sample.len());
            let to = from + random.below(sample.len().min(from + 200) - from + 1);
            bytes.extend_from_slice(&sample[from..to]);
        }
        for wire_type in &types {
            (wire_type.check)(&bytes, &context);
        }
    }
}

#[test]
fn no_decoder_panics_on_random_bytes() {
    let (context, types) = (context(), all());
    let mut random = Random(Seeded(1));
    for round in 0..50_000 {
        let length = random.below(64);
        let mut bytes = random.bytes(length);
        if round % 2 == 0 {
            // Small numbers are types and lengths that exist.
            bytes.iter_mut().for_each(|byte| *byte &= 7);
        }
        for wire_type in &types {
            (wire_type.check)(&bytes, &context);
        }
    }
}
