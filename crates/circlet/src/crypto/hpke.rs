//! Hybrid public key encryption (RFC 9180): base and PSK modes, over any provider and suite.
//!
//! [`seal`] and [`open`] are the single-shot forms that MLS encrypts with. A context
//! ([`SenderContext`], [`RecipientContext`]) takes many messages in order and exports secrets,
//! which an external join needs (RFC 9420 section 8.3). The KDF of the key schedule is the suite's;
//! a KEM's own KDF is the KEM's business, see [`Labeled`].

use zeroize::Zeroizing;

use super::{
    AeadId, CryptoError, CryptoProvider, HpkeKeyPair, HpkePublicKey, KdfId, KemId, Secret,
    SuiteSpec,
};

#[cfg(test)]
mod tests;

/// Encrypts one message to a public key: the KEM output and the ciphertext (RFC 9180 section 6.1,
/// base mode). `seed` is fresh randomness of the KEM's `seed_length`.
///
/// # Errors
/// [`CryptoError::InvalidHpkePublicKey`], or the provider failed.
pub fn seal(
    provider: &dyn CryptoProvider,
    spec: &SuiteSpec,
    public: &HpkePublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    seed: &Secret,
) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
    let (kem_output, shared) = provider.encapsulate(spec.kem.id, public, seed)?;
    let schedule = Schedule::new(provider, spec, &shared, info, None)?;
    let (key, nonce) = (schedule.key()?, schedule.base_nonce()?);
    let ciphertext =
        provider.seal(spec.aead.id, key.as_bytes(), nonce.as_bytes(), aad, plaintext)?;
    Ok((kem_output, ciphertext))
}

/// Decrypts what [`seal`] made.
///
/// # Errors
/// [`CryptoError::InvalidKemOutput`], [`CryptoError::InvalidPrivateKey`] or
/// [`CryptoError::DecryptionFailed`].
pub fn open(
    provider: &dyn CryptoProvider,
    spec: &SuiteSpec,
    keys: &HpkeKeyPair,
    kem_output: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Secret, CryptoError> {
    let shared = provider.decapsulate(spec.kem.id, keys, kem_output)?;
    let schedule = Schedule::new(provider, spec, &shared, info, None)?;
    let (key, nonce) = (schedule.key()?, schedule.base_nonce()?);
    let plaintext =
        provider.open(spec.aead.id, key.as_bytes(), nonce.as_bytes(), aad, ciphertext)?;
    Ok(Secret::new(&Zeroizing::new(plaintext)))
}

/// SetupBaseS (RFC 9180 section 5.1.1): the KEM output and a context to seal with.
///
/// # Errors
/// [`CryptoError::InvalidHpkePublicKey`], or the provider failed.
pub fn setup_base_sender<'a>(
    provider: &'a dyn CryptoProvider,
    spec: &SuiteSpec,
    public: &HpkePublicKey,
    info: &[u8],
    seed: &Secret,
) -> Result<(Vec<u8>, SenderContext<'a>), CryptoError> {
    let (kem_output, shared) = provider.encapsulate(spec.kem.id, public, seed)?;
    Ok((kem_output, SenderContext(Context::new(provider, spec, &shared, info, None)?)))
}

/// SetupBaseR (RFC 9180 section 5.1.1): a context to open with.
///
/// # Errors
/// [`CryptoError::InvalidKemOutput`] or [`CryptoError::InvalidPrivateKey`].
pub fn setup_base_recipient<'a>(
    provider: &'a dyn CryptoProvider,
    spec: &SuiteSpec,
    keys: &HpkeKeyPair,
    kem_output: &[u8],
    info: &[u8],
) -> Result<RecipientContext<'a>, CryptoError> {
    let shared = provider.decapsulate(spec.kem.id, keys, kem_output)?;
    Ok(RecipientContext(Context::new(provider, spec, &shared, info, None)?))
}

/// SetupPSKS (RFC 9180 section 5.1.2).
///
/// # Errors
/// [`CryptoError::InvalidPsk`], [`CryptoError::InvalidHpkePublicKey`], or the provider failed.
pub fn setup_psk_sender<'a>(
    provider: &'a dyn CryptoProvider,
    spec: &SuiteSpec,
    public: &HpkePublicKey,
    info: &[u8],
    psk: &Psk<'_>,
    seed: &Secret,
) -> Result<(Vec<u8>, SenderContext<'a>), CryptoError> {
    psk.check()?;
    let (kem_output, shared) = provider.encapsulate(spec.kem.id, public, seed)?;
    Ok((kem_output, SenderContext(Context::new(provider, spec, &shared, info, Some(psk))?)))
}

/// SetupPSKR (RFC 9180 section 5.1.2).
///
/// # Errors
/// [`CryptoError::InvalidPsk`], [`CryptoError::InvalidKemOutput`] or
/// [`CryptoError::InvalidPrivateKey`].
pub fn setup_psk_recipient<'a>(
    provider: &'a dyn CryptoProvider,
    spec: &SuiteSpec,
    keys: &HpkeKeyPair,
    kem_output: &[u8],
    info: &[u8],
    psk: &Psk<'_>,
) -> Result<RecipientContext<'a>, CryptoError> {
    psk.check()?;
    let shared = provider.decapsulate(spec.kem.id, keys, kem_output)?;
    Ok(RecipientContext(Context::new(provider, spec, &shared, info, Some(psk))?))
}

/// A pre-shared key and its identifier. Both have to be there, and the key takes at least 32 bytes
/// (RFC 9180 sections 5.1.2 and 9.5).
#[derive(Clone, Copy, Debug)]
pub struct Psk<'a> {
    /// The key.
    pub key: &'a Secret,
    /// Its identifier.
    pub id: &'a [u8],
}

impl Psk<'_> {
    const MIN_LENGTH: usize = 32;

    fn check(&self) -> Result<(), CryptoError> {
        if self.key.len() < Self::MIN_LENGTH || self.id.is_empty() {
            return Err(CryptoError::InvalidPsk);
        }
        Ok(())
    }
}

/// Seals messages in order, for the holder of one private key.
#[derive(Debug)]
pub struct SenderContext<'a>(Context<'a>);

/// Opens messages in the order in which they were sealed.
#[derive(Debug)]
pub struct RecipientContext<'a>(Context<'a>);

impl SenderContext<'_> {
    /// Context.Seal (RFC 9180 section 5.2): encrypts the next message.
    ///
    /// # Errors
    /// [`CryptoError::MessageLimitReached`], or the provider failed.
    pub fn seal(&mut self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let context = &mut self.0;
        let nonce = context.next_nonce()?;
        let key = context.key.as_bytes();
        let ciphertext = context.provider.seal(context.aead, key, &nonce, aad, plaintext)?;
        context.sequence = context.sequence.saturating_add(1);
        Ok(ciphertext)
    }

    /// Context.Export (RFC 9180 section 5.3): a secret of `length` bytes that the recipient's
    /// context exports too.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `length` is over 255 × Nh bytes.
    pub fn export(&self, exporter_context: &[u8], length: usize) -> Result<Secret, CryptoError> {
        self.0.export(exporter_context, length)
    }
}

impl RecipientContext<'_> {
    /// Context.Open (RFC 9180 section 5.2): decrypts the next message. A message that does not
    /// decrypt leaves the context where it was.
    ///
    /// # Errors
    /// [`CryptoError::DecryptionFailed`] or [`CryptoError::MessageLimitReached`].
    pub fn open(&mut self, aad: &[u8], ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let context = &mut self.0;
        let nonce = context.next_nonce()?;
        let key = context.key.as_bytes();
        let plaintext = context.provider.open(context.aead, key, &nonce, aad, ciphertext)?;
        context.sequence = context.sequence.saturating_add(1);
        Ok(Secret::new(&Zeroizing::new(plaintext)))
    }

    /// Context.Export (RFC 9180 section 5.3): the secret that the sender's context exports too.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `length` is over 255 × Nh bytes.
    pub fn export(&self, exporter_context: &[u8], length: usize) -> Result<Secret, CryptoError> {
        self.0.export(exporter_context, length)
    }
}

/// LabeledExtract and LabeledExpand (RFC 9180 section 4), which a KEM needs as much as HPKE does.
#[derive(Clone, Copy, Debug)]
pub struct Labeled<'a> {
    /// Has the KDF.
    pub provider: &'a dyn CryptoProvider,
    /// The KDF.
    pub kdf: KdfId,
    /// "KEM" and the KEM's number, or "HPKE" and the numbers of KEM, KDF and AEAD.
    pub suite_id: &'a [u8],
}

impl Labeled<'_> {
    /// LabeledExtract.
    ///
    /// # Errors
    /// The provider failed.
    pub fn extract(&self, salt: &[u8], label: &[u8], ikm: &[u8]) -> Result<Secret, CryptoError> {
        self.provider.extract(self.kdf, salt, &[VERSION, self.suite_id, label, ikm])
    }

    /// LabeledExpand to `length` bytes.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `length` is over 65,535 or 255 × Nh bytes.
    pub fn expand(
        &self,
        prk: &Secret,
        label: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        let short = u16::try_from(length).map_err(|_| CryptoError::InvalidLength)?.to_be_bytes();
        let info = [&short[..], VERSION, self.suite_id, label, info];
        self.provider.expand(self.kdf, prk.as_bytes(), &info, length)
    }
}

const VERSION: &[u8] = b"HPKE-v1";

/// The `suite_id` of a KEM's own [`Labeled`] operations (RFC 9180 section 4.1).
#[must_use]
pub fn kem_suite_id(kem: KemId) -> [u8; 5] {
    let [high, low] = kem.0.to_be_bytes();
    [b'K', b'E', b'M', high, low]
}

fn hpke_suite_id(spec: &SuiteSpec) -> [u8; 10] {
    let ([kem1, kem0], [kdf1, kdf0]) = (spec.kem.id.0.to_be_bytes(), spec.kdf.id.0.to_be_bytes());
    let [aead1, aead0] = spec.aead.id.0.to_be_bytes();
    [b'H', b'P', b'K', b'E', kem1, kem0, kdf1, kdf0, aead1, aead0]
}

/// KeySchedule (RFC 9180 section 5.1) up to the secret from which keys are expanded: a single-shot
/// message has no use for the exporter secret.
struct Schedule<'a> {
    provider: &'a dyn CryptoProvider,
    spec: &'a SuiteSpec,
    suite_id: [u8; 10],
    secret: Secret,
    /// `key_schedule_context`.
    context: Vec<u8>,
}

impl<'a> Schedule<'a> {
    fn new(
        provider: &'a dyn CryptoProvider,
        spec: &'a SuiteSpec,
        shared: &Secret,
        info: &[u8],
        psk: Option<&Psk<'_>>,
    ) -> Result<Self, CryptoError> {
        let suite_id = hpke_suite_id(spec);
        let labeled = Labeled { provider, kdf: spec.kdf.id, suite_id: &suite_id };
        let (mode, psk, psk_id) = match psk {
            None => (0x00, [].as_slice(), [].as_slice()),
            Some(psk) => (0x01, psk.key.as_bytes(), psk.id),
        };
        let psk_id_hash = labeled.extract(&[], b"psk_id_hash", psk_id)?;
        let info_hash = labeled.extract(&[], b"info_hash", info)?;
        let context = [&[mode], psk_id_hash.as_bytes(), info_hash.as_bytes()].concat();
        let secret = labeled.extract(shared.as_bytes(), b"secret", psk)?;
        Ok(Self { provider, spec, suite_id, secret, context })
    }

    fn key(&self) -> Result<Secret, CryptoError> {
        self.expand(b"key", self.spec.aead.key_length)
    }

    fn base_nonce(&self) -> Result<Secret, CryptoError> {
        self.expand(b"base_nonce", self.spec.aead.nonce_length)
    }

    fn exporter_secret(&self) -> Result<Secret, CryptoError> {
        self.expand(b"exp", self.spec.kdf.length)
    }

    fn expand(&self, label: &[u8], length: usize) -> Result<Secret, CryptoError> {
        let (provider, kdf) = (self.provider, self.spec.kdf.id);
        Labeled { provider, kdf, suite_id: &self.suite_id }.expand(
            &self.secret,
            label,
            &self.context,
            length,
        )
    }
}

#[derive(Debug)]
struct Context<'a> {
    provider: &'a dyn CryptoProvider,
    suite_id: [u8; 10],
    kdf: KdfId,
    aead: AeadId,
    key: Secret,
    base_nonce: Secret,
    exporter_secret: Secret,
    sequence: u64,
}

impl<'a> Context<'a> {
    fn new(
        provider: &'a dyn CryptoProvider,
        spec: &SuiteSpec,
        shared: &Secret,
        info: &[u8],
        psk: Option<&Psk<'_>>,
    ) -> Result<Self, CryptoError> {
        let schedule = Schedule::new(provider, spec, shared, info, psk)?;
        Ok(Self {
            provider,
            suite_id: schedule.suite_id,
            kdf: spec.kdf.id,
            aead: spec.aead.id,
            key: schedule.key()?,
            base_nonce: schedule.base_nonce()?,
            exporter_secret: schedule.exporter_secret()?,
            sequence: 0,
        })
    }

    /// ComputeNonce, unless the sequence number has run out (RFC 9180 section 5.2). A counter of
    /// 64 bits runs out before any nonce of 8 bytes or more does.
    fn next_nonce(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut nonce = Zeroizing::new(self.base_nonce.as_bytes().to_vec());
        let bits = u32::try_from(nonce.len().saturating_mul(8)).unwrap_or(u32::MAX);
        let limit = 1_u64.checked_shl(bits).map_or(u64::MAX, |count| count.saturating_sub(1));
        if self.sequence >= limit {
            return Err(CryptoError::MessageLimitReached);
        }
        let sequence = self.sequence.to_be_bytes();
        for (byte, counter) in nonce.iter_mut().rev().zip(sequence.iter().rev()) {
            *byte ^= counter;
        }
        Ok(nonce)
    }

    fn export(&self, exporter_context: &[u8], length: usize) -> Result<Secret, CryptoError> {
        Labeled { provider: self.provider, kdf: self.kdf, suite_id: &self.suite_id }.expand(
            &self.exporter_secret,
            b"sec",
            exporter_context,
            length,
        )
    }
}
