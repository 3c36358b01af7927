//! What the tests of cryptography share: the providers, and the reader of vector files.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;

use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CryptoProvider, Rng, RngError};

/// Every provider that this build has.
pub(crate) fn providers() -> Vec<Box<dyn CryptoProvider>> {
    vec![
        Box::new(DefaultProvider::portable()),
        Box::new(DefaultProvider::new()),
        #[cfg(feature = "aws-lc-rs")]
        Box::new(circlet::crypto::providers::AwsLcProvider::new()),
    ]
}

/// One case of a vector file: lines of `name: value`, in a block that a blank line ends.
#[derive(Debug)]
pub(crate) struct Case(BTreeMap<String, String>);

impl Case {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{self:?} has no {name}"))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn number(&self, name: &str) -> u16 {
        u16::from_str_radix(self.text(name), 16).unwrap()
    }

    /// The values whose names start with this, with the rest of the name.
    pub(crate) fn starting(&self, prefix: &str) -> Vec<(&str, Vec<u8>)> {
        let named =
            self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)));
        named.map(|(rest, value)| (rest, hex(value))).collect()
    }
}

pub(crate) fn cases(file: &str) -> Vec<Case> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    };
    blocks.map(|block| Case(block.trim().lines().map(pair).collect())).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A generator whose bytes are a function of its seed alone.
pub(crate) struct Seeded(pub(crate) u64);

impl Rng for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        for byte in out {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
        Ok(())
    }
}
