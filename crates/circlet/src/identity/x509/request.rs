use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{self, Encode, Tag};

use super::certificate::ALGORITHMS;
use crate::identity::{Signer, SigningKey};

impl SigningKey {
    /// The public key as a SubjectPublicKeyInfo in DER form (RFC 5280 section 4.1.2.7): what a
    /// certification authority or a certificate request takes. `None` if the scheme is none of RFC
    /// 9420's suites.
    ///
    /// ```
    /// # use circlet::crypto::providers::DefaultProvider;
    /// # use circlet::crypto::{CipherSuite, Suite, SystemRng};
    /// # use circlet::identity::SigningKey;
    /// # fn main() -> Result<(), circlet::crypto::CryptoError> {
    /// let suite = Suite::new(std::sync::Arc::new(DefaultProvider::new()), CipherSuite(1))?;
    /// let key = SigningKey::generate(&suite, &mut SystemRng)?;
    /// let der = key.public_key_der().expect("Ed25519");
    /// assert_eq!(der.len(), 44);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn public_key_der(&self) -> Option<Vec<u8>> {
        let (_, algorithm, _) = ALGORITHMS.iter().find(|(id, ..)| *id == self.algorithm())?;
        encode(algorithm, self.public_key().as_bytes()).ok()
    }
}

fn encode(algorithm: &[u8], key: &[u8]) -> der::Result<Vec<u8>> {
    let mut content = Any::new(Tag::Sequence, algorithm)?.to_der()?;
    content.extend(BitString::from_bytes(key)?.to_der()?);
    Any::new(Tag::Sequence, content)?.to_der()
}
