use crate::crypto::{CryptoError, HpkeKeyPair, Rng, Secret, Suite};

/// `init_secret`: what an epoch hands to the next one (RFC 9420 section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitSecret(Secret);

/// `joiner_secret`: what a Welcome gives to new members (RFC 9420 section 8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinerSecret(Secret);

/// The secret between `joiner_secret` and `epoch_secret`, after the PSKs have entered. The RFC
/// gives it no name (section 8).
#[derive(Debug)]
pub struct MemberSecret(Secret);

/// The key and nonce that encrypt the GroupInfo of a Welcome (RFC 9420 section 12.4.3.1).
#[derive(Clone, Debug)]
pub struct WelcomeKeys {
    /// AEAD key, Nk bytes.
    pub key: Secret,
    /// AEAD nonce, Nn bytes.
    pub nonce: Secret,
}

/// `epoch_secret`, from which every secret of an epoch is derived (RFC 9420 section 8). Deriving
/// them consumes it.
#[derive(Debug)]
pub struct EpochSecret(Secret);

/// The secrets that an epoch keeps (RFC 9420 section 8, table 4), Nh bytes each.
///
/// `encryption_secret` is not among them: the secret tree consumes it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochSecrets {
    /// Derives the keys that encrypt sender data (section 6.3.2).
    pub sender_data_secret: Secret,
    /// Derives exported secrets (section 8.5).
    pub exporter_secret: Secret,
    /// Derives the key pair for external Commits (section 8.3).
    pub external_secret: Secret,
    /// Keys the confirmation tag (section 6.1).
    pub confirmation_key: Secret,
    /// Keys the membership tag of a PublicMessage (section 6.2).
    pub membership_key: Secret,
    /// Proves membership in this epoch when it is injected later (section 8.6).
    pub resumption_psk: Secret,
    /// Equal for members that agree on the group's state (section 8.7).
    pub epoch_authenticator: Secret,
    /// Starts the next epoch's key schedule.
    pub init_secret: InitSecret,
}

impl InitSecret {
    /// An init secret that was kept, or that an external Commit brought (section 8.3).
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl JoinerSecret {
    /// A joiner secret from a Welcome.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if it is not Nh bytes long.
    pub fn new(suite: &Suite, secret: Secret) -> Result<Self, CryptoError> {
        if secret.len() != suite.secret_length() {
            return Err(CryptoError::InvalidLength);
        }
        Ok(Self(secret))
    }

    /// The joiner secret of the epoch that a Commit begins. `group_context` is that epoch's
    /// serialized GroupContext; `commit_secret` is all zero if the Commit has no path (section
    /// 12.4.2).
    ///
    /// # Errors
    /// The provider failed.
    pub fn derive(
        suite: &Suite,
        init_secret: &InitSecret,
        commit_secret: &Secret,
        group_context: &[u8],
    ) -> Result<Self, CryptoError> {
        let extracted = suite.extract(&init_secret.0, commit_secret)?;
        suite
            .expand_with_label(&extracted, "joiner", group_context, suite.secret_length())
            .map(Self)
    }

    /// The bytes, for the GroupSecrets of a Welcome.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Lets the PSKs enter: [`psk_secret`](super::psk_secret), also if there are none.
    ///
    /// # Errors
    /// The provider failed.
    pub fn with_psk(
        &self,
        suite: &Suite,
        psk_secret: &Secret,
    ) -> Result<MemberSecret, CryptoError> {
        suite.extract(&self.0, psk_secret).map(MemberSecret)
    }
}

impl MemberSecret {
    /// `welcome_secret` (section 8).
    ///
    /// # Errors
    /// The provider failed.
    pub fn welcome_secret(&self, suite: &Suite) -> Result<Secret, CryptoError> {
        suite.derive_secret(&self.0, "welcome")
    }

    /// The key and nonce of the Welcome's GroupInfo (section 12.4.3.1).
    ///
    /// # Errors
    /// The provider failed.
    pub fn welcome(&self, suite: &Suite) -> Result<WelcomeKeys, CryptoError> {
        let secret = self.welcome_secret(suite)?;
        let aead = suite.spec().aead;
        Ok(WelcomeKeys {
            key: suite.expand_with_label(&secret, "key", &[], aead.key_length)?,
            nonce: suite.expand_with_label(&secret, "nonce", &[], aead.nonce_length)?,
        })
    }

    /// The epoch secret; `group_context` is the new epoch's, serialized. The Welcome's keys, where
    /// they are needed, are taken before.
    ///
    /// # Errors
    /// The provider failed.
    pub fn epoch(self, suite: &Suite, group_context: &[u8]) -> Result<EpochSecret, CryptoError> {
        suite
            .expand_with_label(&self.0, "epoch", group_context, suite.secret_length())
            .map(EpochSecret)
    }
}

impl EpochSecret {
    /// The epoch secret of a new group (section 11).
    ///
    /// # Errors
    /// The generator failed.
    pub fn random(suite: &Suite, rng: &mut dyn Rng) -> Result<Self, CryptoError> {
        Ok(Self(Secret::random(rng, suite.secret_length())?))
    }

    /// The epoch's secrets, and beside them `encryption_secret` for
    /// [`SecretTree::new`](super::SecretTree::new).
    ///
    /// # Errors
    /// The provider failed.
    pub fn secrets(self, suite: &Suite) -> Result<(EpochSecrets, Secret), CryptoError> {
        let derive = |label| suite.derive_secret(&self.0, label);
        let secrets = EpochSecrets {
            sender_data_secret: derive("sender data")?,
            exporter_secret: derive("exporter")?,
            external_secret: derive("external")?,
            confirmation_key: derive("confirm")?,
            membership_key: derive("membership")?,
            resumption_psk: derive("resumption")?,
            epoch_authenticator: derive("authentication")?,
            init_secret: InitSecret(derive("init")?),
        };
        Ok((secrets, derive("encryption")?))
    }
}

impl EpochSecrets {
    /// `external_priv` and `external_pub` (section 8).
    ///
    /// # Errors
    /// The provider failed.
    pub fn external_key_pair(&self, suite: &Suite) -> Result<HpkeKeyPair, CryptoError> {
        suite.derive_key_pair(&self.external_secret)
    }

    /// MLS-Exporter (section 8.5): `length` bytes for use outside of MLS, bound to this epoch.
    ///
    /// # Errors
    /// [`CryptoError::InvalidLength`] if `length` is over 65,535 or 255 × Nh bytes.
    pub fn export(
        &self,
        suite: &Suite,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Secret, CryptoError> {
        let secret = suite.derive_secret(&self.exporter_secret, label)?;
        let context = suite.hash(&[context])?;
        suite.expand_with_label(&secret, "exported", context.as_bytes(), length)
    }
}
