use std::sync::Arc;

use circlet::crypto::{CryptoProvider, HashId, Rng, RngError};

/// Bytes that follow from a seed: SHA-256 of the seed and a counter. For vectors, which are public.
pub(crate) struct SeededRng {
    provider: Arc<dyn CryptoProvider>,
    seed: Vec<u8>,
    block: u64,
}

impl SeededRng {
    /// Each purpose has a stream of its own, so that one more draw in one type of vectors leaves
    /// the others as they are.
    pub(crate) fn new(provider: Arc<dyn CryptoProvider>, seed: u64, purpose: &str) -> Self {
        let seed = [&seed.to_be_bytes(), purpose.as_bytes()].concat();
        Self { provider, seed, block: 0 }
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        for chunk in out.chunks_mut(32) {
            let parts = [self.seed.as_slice(), &self.block.to_be_bytes()];
            let block = self.provider.hash(HashId::SHA256, &parts).map_err(|_| RngError)?;
            self.block += 1;
            for (byte, random) in chunk.iter_mut().zip(block.as_bytes()) {
                *byte = *random;
            }
        }
        Ok(())
    }
}
