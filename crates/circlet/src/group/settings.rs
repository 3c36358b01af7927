use std::sync::Arc;

use crate::codec::{DecodeContext, Limits};
use crate::crypto::Suite;
use crate::error::Refused;
use crate::tree::Extensions;

/// What a group is computed with: its cipher suite, the limits and the registered types. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cipher suite over a provider.
    pub suite: Suite,
    /// Limits and registered types.
    pub context: Arc<DecodeContext>,
}

impl Settings {
    /// A suite with the default limits and no registered types.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Self { suite, context: Arc::default() }
    }

    /// Nothing is sent that others with the same limits could not read.
    pub(super) fn ensure_extension_count(&self, extensions: &Extensions) -> Result<(), Refused> {
        let limit = self.limits().extensions;
        if extensions.len() <= limit { Ok(()) } else { Err(Refused::Extensions(limit)) }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.context.limits
    }
}
