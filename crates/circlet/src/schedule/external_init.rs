use super::InitSecret;
use crate::crypto::hpke::{setup_base_recipient, setup_base_sender};
use crate::crypto::{CryptoError, HpkeKeyPair, HpkePublicKey, Rng, Secret, Suite};
use crate::mutation::off;

/// V-8.3-01: what the KEM of an external Commit is exported with (RFC 9420 section 8.3).
fn exporter_context() -> &'static [u8] {
    if off("V-8.3-01") { b"external init" } else { b"MLS 1.0 external init secret" }
}

impl InitSecret {
    /// A new member's init secret, and the KEM output for its ExternalInit, from which
    /// the members get the same. `external_pub` is that of the GroupInfo.
    ///
    /// # Errors
    /// [`CryptoError::InvalidHpkePublicKey`]; the generator failed.
    pub fn for_external_join(
        suite: &Suite,
        external_pub: &HpkePublicKey,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<u8>, Self), CryptoError> {
        let seed = suite.encapsulation_seed(rng)?;
        let (kem_output, context) =
            setup_base_sender(suite.provider(), suite.spec(), external_pub, &[], &seed)?;
        let secret = context.export(exporter_context(), suite.secret_length())?;
        Ok((kem_output, Self::new(secret)))
    }

    /// V-8.3-02: the same from the KEM output of an ExternalInit, with the external key pair of the
    /// epoch that the external Commit ends.
    ///
    /// # Errors
    /// [`CryptoError::InvalidKemOutput`], or the provider failed.
    pub fn from_external_init(
        suite: &Suite,
        external_keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Self, CryptoError> {
        if off("V-8.3-02") {
            return Ok(Self::new(Secret::zero(suite.secret_length())));
        }
        let context =
            setup_base_recipient(suite.provider(), suite.spec(), external_keys, kem_output, &[])?;
        Ok(Self::new(context.export(exporter_context(), suite.secret_length())?))
    }
}
