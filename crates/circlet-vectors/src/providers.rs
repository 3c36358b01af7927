use std::sync::Arc;

use circlet::crypto::CryptoProvider;
#[cfg(feature = "aws-lc-rs")]
use circlet::crypto::providers::AwsLcProvider;
use circlet::crypto::providers::DefaultProvider;

use crate::Problem;

/// The names of the providers in this build.
pub(crate) const PROVIDERS: &[&str] = &[
    "default",
    "portable",
    #[cfg(feature = "aws-lc-rs")]
    "aws-lc",
];

/// The provider of this name: `default`, `portable`, or with the feature `aws-lc-rs` also `aws-lc`.
///
/// # Errors
/// [`Problem::UnknownProvider`].
pub fn provider(name: &str) -> Result<Arc<dyn CryptoProvider>, Problem> {
    match name {
        "default" => Ok(Arc::new(DefaultProvider::new())),
        "portable" => Ok(Arc::new(DefaultProvider::portable())),
        #[cfg(feature = "aws-lc-rs")]
        "aws-lc" => Ok(Arc::new(AwsLcProvider::new())),
        _ => Err(Problem::UnknownProvider(name.to_owned())),
    }
}

/// All providers in this build, by name.
pub fn providers() -> impl Iterator<Item = (&'static str, Arc<dyn CryptoProvider>)> {
    PROVIDERS.iter().filter_map(|name| Some((*name, provider(name).ok()?)))
}
