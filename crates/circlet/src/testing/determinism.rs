use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::client::Clock;
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CryptoProvider, HashId, Rng, RngError};

/// The time in tests, in seconds since the Unix epoch: that of a [`FixedClock`] and of everybody in
/// this module. A client with the system's clock is years later: build it with a [`FixedClock`], or
/// give a [`TestMember`](super::TestMember) a lifetime of today.
pub const NOW: u64 = 1_700_000_000;

/// SHA-256 in counter mode over a seed: the same bytes in every run. Clones share the stream, so
/// that a client that is opened again goes on where it was.
#[derive(Clone, Debug)]
pub struct SeededRng(Arc<Mutex<Stream>>);

#[derive(Debug)]
struct Stream {
    provider: DefaultProvider,
    seed: u64,
    counter: u64,
}

impl SeededRng {
    /// The stream of this seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let provider = DefaultProvider::portable();
        Self(Arc::new(Mutex::new(Stream { provider, seed, counter: 0 })))
    }

    /// A stream of its own that follows from this one, which goes on.
    ///
    /// # Errors
    /// The hash function failed.
    pub fn fork(&mut self) -> Result<Self, RngError> {
        let mut seed = [0; 8];
        self.fill(&mut seed)?;
        Ok(Self::new(u64::from_be_bytes(seed)))
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in out.chunks_mut(32) {
            let (seed, counter) = (stream.seed.to_be_bytes(), stream.counter.to_be_bytes());
            let block = stream.provider.hash(HashId::SHA256, &[&seed, &counter]);
            let block = block.map_err(|_| RngError)?;
            for (to, from) in chunk.iter_mut().zip(block.as_bytes()) {
                *to = *from;
            }
            stream.counter += 1;
        }
        Ok(())
    }
}

/// A clock that stands still until it is set. Clones show the same time.
///
/// ```
/// use circlet::client::Clock;
/// use circlet::testing::{FixedClock, NOW};
/// let clock = FixedClock::default();
/// clock.advance(60);
/// assert_eq!(clock.now(), NOW + 60);
/// ```
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicU64>);

impl FixedClock {
    /// A clock that shows this time, in seconds since the Unix epoch.
    #[must_use]
    pub fn at(now: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    /// Sets the time.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::SeqCst);
    }

    /// Lets so many seconds pass.
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Default for FixedClock {
    /// A clock that shows [`NOW`].
    fn default() -> Self {
        Self::at(NOW)
    }
}

impl Clock for FixedClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
