use std::sync::Arc;

use circlet::codec::DecodeContext;
use circlet::crypto::{CipherSuite, CryptoProvider, Suite};
use circlet::group::{Grease, Policy, Settings};

use crate::failure::Failure;

/// What a check runs with.
pub(crate) struct Env {
    pub(crate) provider: Arc<dyn CryptoProvider>,
    pub(crate) context: DecodeContext,
}

impl Env {
    pub(crate) fn new(provider: Arc<dyn CryptoProvider>) -> Self {
        Self { provider, context: DecodeContext::default() }
    }

    /// The code points of all suites that the provider has, ascending.
    pub(crate) fn suites(&self) -> Vec<u16> {
        let mut suites: Vec<u16> = self.provider.suites().iter().map(|spec| spec.suite.0).collect();
        suites.sort_unstable();
        suites
    }

    pub(crate) fn suite(&self, cipher_suite: u16) -> Result<Suite, Failure> {
        Ok(Suite::new(Arc::clone(&self.provider), CipherSuite(cipher_suite))?)
    }

    pub(crate) fn settings(&self, cipher_suite: u16) -> Result<Settings, Failure> {
        let suite = self.suite(cipher_suite)?;
        let context = Arc::new(self.context.clone());
        // A vector is what it says and nothing else, and lives for as long as its maker liked.
        let policy = Policy { total_lifetime: u64::MAX, ..Policy::default() };
        Ok(Settings { context, policy, grease: Grease::None, ..Settings::new(suite) })
    }
}
