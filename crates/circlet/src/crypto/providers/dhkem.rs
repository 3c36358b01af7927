//! DHKEM (RFC 9180 section 4.1) over any library's Diffie-Hellman function.

use zeroize::Zeroizing;

use super::DiffieHellman;
use crate::crypto::hpke::{Labeled, kem_suite_id};
use crate::crypto::{
    CryptoError, CryptoProvider, HpkeKeyPair, HpkePrivateKey, HpkePublicKey, KdfId, KemId, Secret,
    accept,
};
use crate::mutation::off;

/// One KEM with the library below it.
pub(super) struct DhKem<'a> {
    id: KemId,
    parameters: Parameters,
    provider: &'a dyn CryptoProvider,
    curve: &'a dyn DiffieHellman,
}

impl<'a> DhKem<'a> {
    pub(super) fn new(
        id: KemId,
        provider: &'a dyn CryptoProvider,
        curve: &'a dyn DiffieHellman,
    ) -> Result<Self, CryptoError> {
        let parameters = parameters(id).ok_or(CryptoError::UnsupportedAlgorithm)?;
        Ok(Self { id, parameters, provider, curve })
    }

    /// DeriveKeyPair (RFC 9180 section 7.1.3).
    pub(super) fn derive_key_pair(&self, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let suite_id = kem_suite_id(self.id);
        let labeled = self.labeled(&suite_id);
        let length = self.parameters.private_length;
        let prk = labeled.extract(&[], b"dkp_prk", ikm)?;
        let (private, public) = match self.parameters.bitmask {
            None => {
                let private = clamp(self.id, labeled.expand(&prk, b"sk", &[], length)?.as_bytes());
                let public = self.curve.public_key(private.as_bytes())?;
                (private, public)
            }
            Some(mask) => {
                first_valid_scalar(&labeled, &prk, b"candidate", length, mask, |scalar| {
                    self.curve.public_key(scalar)
                })?
            }
        };
        Ok(key_pair(private, &public))
    }

    /// DeserializePrivateKey (RFC 9180 section 7.1.2). A scalar of a NIST curve may lack leading
    /// zeros: encoders that go through integers drop them, and the working group's test vectors
    /// have such keys.
    pub(super) fn import(&self, private: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        let length = self.parameters.private_length;
        let private = match self.parameters.bitmask {
            Some(_) => left_pad(private, length)?,
            None if private.len() == length => clamp(self.id, private),
            None => return Err(CryptoError::InvalidPrivateKey),
        };
        let public = self.curve.public_key(private.as_bytes())?;
        Ok(key_pair(private, &public))
    }

    pub(super) fn check(&self, public: &[u8]) -> Result<(), CryptoError> {
        accept::hpke_public_key(self.id, public)
    }

    /// Encap, with an ephemeral key that DeriveKeyPair makes from the seed, as RFC 9180's test
    /// vectors do.
    pub(super) fn encapsulate(
        &self,
        public: &[u8],
        seed: &Secret,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        self.check(public)?;
        // A shorter seed would be a weaker key; the KEM's seed is as long as its private key.
        if seed.len() < self.parameters.private_length {
            return Err(CryptoError::InvalidLength);
        }
        let ephemeral = self.derive_key_pair(seed.as_bytes())?;
        let dh = self.agree(&ephemeral.private, public, CryptoError::InvalidHpkePublicKey)?;
        let kem_output = ephemeral.public.as_bytes().to_vec();
        let shared = self.extract_and_expand(&dh, &kem_output, public)?;
        Ok((kem_output, shared))
    }

    /// Decap.
    pub(super) fn decapsulate(
        &self,
        keys: &HpkeKeyPair,
        kem_output: &[u8],
    ) -> Result<Secret, CryptoError> {
        self.check(kem_output).map_err(|_| CryptoError::InvalidKemOutput)?;
        let dh = self.agree(&keys.private, kem_output, CryptoError::InvalidKemOutput)?;
        self.extract_and_expand(&dh, kem_output, keys.public.as_bytes())
    }

    /// V-5.1.1-03: the Diffie-Hellman function, refusing an all-zero result (RFC 9180 section 7.1.4; RFC 9420
    /// section 5.1.1 wants that check of every implementation). No accepted key leads to one: this
    /// is the second line.
    fn agree(
        &self,
        private: &HpkePrivateKey,
        public: &[u8],
        refusal: CryptoError,
    ) -> Result<Secret, CryptoError> {
        if private.secret().len() != self.parameters.private_length {
            return Err(CryptoError::InvalidPrivateKey);
        }
        let dh = self.curve.agree(private.secret().as_bytes(), public)?;
        let zero = self.parameters.bitmask.is_none() && dh == Secret::zero(dh.len());
        if zero && !off("V-5.1.1-03") {
            return Err(refusal);
        }
        Ok(dh)
    }

    fn extract_and_expand(
        &self,
        dh: &Secret,
        kem_output: &[u8],
        public: &[u8],
    ) -> Result<Secret, CryptoError> {
        let suite_id = kem_suite_id(self.id);
        let labeled = self.labeled(&suite_id);
        let prk = labeled.extract(&[], b"eae_prk", dh.as_bytes())?;
        let context = [kem_output, public].concat();
        labeled.expand(&prk, b"shared_secret", &context, self.parameters.secret_length)
    }

    fn labeled<'b>(&'b self, suite_id: &'b [u8]) -> Labeled<'b> {
        Labeled { provider: self.provider, kdf: self.parameters.kdf, suite_id }
    }
}

/// The first of the expanded candidates that is a private key, and its public key (RFC 9180 section
/// 7.1.3, for the NIST curves). `public_key` refuses zero and what is not below the order.
pub(super) fn first_valid_scalar(
    labeled: &Labeled<'_>,
    prk: &Secret,
    label: &[u8],
    length: usize,
    mask: u8,
    public_key: impl Fn(&[u8]) -> Result<Vec<u8>, CryptoError>,
) -> Result<(Secret, Vec<u8>), CryptoError> {
    for counter in 0..=u8::MAX {
        let candidate = labeled.expand(prk, label, &[counter], length)?;
        let mut bytes = Zeroizing::new(candidate.as_bytes().to_vec());
        if let Some(first) = bytes.first_mut() {
            *first &= mask;
        }
        match public_key(&bytes) {
            Ok(public) => return Ok((Secret::new(&bytes), public)),
            Err(CryptoError::InvalidPrivateKey) => {}
            Err(error) => return Err(error),
        }
    }
    Err(CryptoError::InvalidPrivateKey)
}

/// A big-endian integer at its full length.
pub(super) fn left_pad(scalar: &[u8], length: usize) -> Result<Secret, CryptoError> {
    let missing = length.checked_sub(scalar.len()).ok_or(CryptoError::InvalidPrivateKey)?;
    let mut padded = Zeroizing::new(vec![0; length]);
    if let Some(target) = padded.get_mut(missing..) {
        target.copy_from_slice(scalar);
    }
    Ok(Secret::new(&padded))
}

/// A private key of X25519 or X448 in its one serialized form (RFC 9180 section 7.1.2).
fn clamp(id: KemId, private: &[u8]) -> Secret {
    let mut clamped = Zeroizing::new(private.to_vec());
    if let [first, .., last] = &mut **clamped {
        match id {
            KemId::X25519 => {
                *first &= 0xf8;
                *last = *last & 0x7f | 0x40;
            }
            _ => {
                *first &= 0xfc;
                *last |= 0x80;
            }
        }
    }
    Secret::new(&clamped)
}

fn key_pair(private: Secret, public: &[u8]) -> HpkeKeyPair {
    HpkeKeyPair { private: HpkePrivateKey::new(private), public: HpkePublicKey::new(public) }
}

/// What RFC 9180 section 7.1 fixes for a DHKEM.
struct Parameters {
    /// The KEM's own KDF.
    kdf: KdfId,
    /// Nsecret in bytes.
    secret_length: usize,
    /// Nsk in bytes.
    private_length: usize,
    /// Of the NIST curves alone: what of a candidate's first byte is kept.
    bitmask: Option<u8>,
}

fn parameters(id: KemId) -> Option<Parameters> {
    let (kdf, secret_length, private_length, bitmask) = match id {
        KemId::P256 => (KdfId::HKDF_SHA256, 32, 32, Some(0xff)),
        KemId::P384 => (KdfId::HKDF_SHA384, 48, 48, Some(0xff)),
        KemId::P521 => (KdfId::HKDF_SHA512, 64, 66, Some(0x01)),
        KemId::X25519 => (KdfId::HKDF_SHA256, 32, 32, None),
        KemId::X448 => (KdfId::HKDF_SHA512, 64, 56, None),
        _ => return None,
    };
    Some(Parameters { kdf, secret_length, private_length, bitmask })
}
