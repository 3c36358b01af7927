use thiserror::Error;

/// The random number generator failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the random number generator failed")]
pub struct RngError;

/// A source of cryptographically secure random bytes. It is handed in, so that a seeded run
/// repeats and no other crate's trait is part of this API.
pub trait Rng: Send {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// No randomness could be had.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        getrandom::fill(out).map_err(|_| RngError)
    }
}

impl<R: Rng + ?Sized> Rng for Box<R> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
        (**self).fill(out)
    }
}
