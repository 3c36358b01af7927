use std::fmt;
use std::sync::Arc;

use crate::codec::{CustomProposal, DecodeContext, Limits};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, CryptoProvider, Rng, Suite, SystemRng};
use crate::error::{Error, Misuse};
use crate::group::{HandshakeFormat, Padding, Settings};
use crate::identity::{
    BasicValidator, Credential, CredentialCheck, CredentialType, CredentialUse,
    CredentialValidator, Signer, SigningKey,
};
use crate::rows::{OwnIdentity, client_key};
use crate::storage::{Batch, MemoryStorage, Precondition, Storage};
use crate::tree::ProposalType;

use super::Client;
use super::driver::{Defaults, Inner};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Seconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        elapsed.map_or(0, |elapsed| elapsed.as_secs())
    }
}

/// Makes or opens a [`Client`]. Whatever is not said has a default: cipher suite 1, the default
/// provider, a store in memory, basic credentials, encrypted handshakes without padding.
///
/// ```
/// use circlet::Client;
/// use circlet::crypto::CipherSuite;
/// use circlet::storage::MemoryStorage;
///
/// # fn main() -> Result<(), circlet::Error> {
/// let store = MemoryStorage::new();
/// let alice = Client::builder("alice")
///     .cipher_suite(CipherSuite::P256_AES128GCM_SHA256_P256)
///     .storage(store.clone())
///     .build()?;
/// drop(alice);
/// let again = Client::builder("alice").storage(store).open()?;
/// assert_eq!(again.credential().to_string(), "alice");
/// # Ok(())
/// # }
/// ```
pub struct ClientBuilder {
    credential: Credential,
    cipher_suite: CipherSuite,
    provider: Option<Arc<dyn CryptoProvider>>,
    signing_key: Option<SigningKey>,
    storage: Arc<dyn Storage>,
    validator: Arc<dyn CredentialValidator>,
    rng: Box<dyn Rng>,
    clock: Arc<dyn Clock>,
    context: DecodeContext,
    defaults: Defaults,
}

impl ClientBuilder {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            credential,
            cipher_suite: CipherSuite::X25519_AES128GCM_SHA256_ED25519,
            provider: None,
            signing_key: None,
            storage: Arc::new(MemoryStorage::new()),
            validator: Arc::new(BasicValidator),
            rng: Box::new(SystemRng),
            clock: Arc::new(SystemClock),
            context: DecodeContext::default(),
            defaults: Defaults::default(),
        }
    }

    /// Another credential than the basic one with the builder's name. Its type is among the
    /// client's capabilities; the validator has to accept it.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        if credential.credential_type() != CredentialType::BASIC {
            self.context.credential_types.insert(credential.credential_type().0);
        }
        self.credential = credential;
        self
    }

    /// The signature key of a new client, where its credential was made for one: an opened client
    /// has the key that it was made with.
    #[must_use]
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_key = Some(key);
        self
    }

    /// The cipher suite of the client's keys and groups; an opened client keeps its own.
    #[must_use]
    pub fn cipher_suite(mut self, cipher_suite: CipherSuite) -> Self {
        self.cipher_suite = cipher_suite;
        self
    }

    /// The cryptographic provider.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn CryptoProvider>) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Where the client's state lives. One store holds one client.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.storage = Arc::new(storage);
        self
    }

    /// The application's judgement of credentials.
    #[must_use]
    pub fn validator(mut self, validator: impl CredentialValidator + 'static) -> Self {
        self.validator = Arc::new(validator);
        self
    }

    /// The source of randomness.
    #[must_use]
    pub fn rng(mut self, rng: impl Rng + 'static) -> Self {
        self.rng = Box::new(rng);
        self
    }

    /// The clock that lifetimes of key packages are held against.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The bounds on what is accepted and kept.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.context.limits = limits;
        self
    }

    /// How proposals and commits travel.
    #[must_use]
    pub fn handshake(mut self, format: HandshakeFormat) -> Self {
        self.defaults.handshake = format;
        self
    }

    /// How encrypted messages are padded.
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.defaults.padding = padding;
        self
    }

    /// Lets application messages be sent while proposals wait for a Commit, against RFC 9420
    /// section 12.4.
    #[must_use]
    pub fn send_despite_proposals(mut self, allowed: bool) -> Self {
        self.defaults.send_despite_proposals = allowed;
        self
    }

    /// Holds key packages that others add against the present time too, as RFC 9420 section 7.3
    /// recommends. Off by default: a member that was away for long, or whose clock differs, would
    /// refuse a Commit that everybody else has accepted, and be left behind.
    #[must_use]
    pub fn check_received_lifetimes(mut self, check: bool) -> Self {
        self.defaults.check_received_lifetimes = check;
        self
    }

    /// Registers an application-defined proposal type, whose body is one `opaque<V>`: without
    /// that, a message with such a proposal can't be read. It is among the client's capabilities.
    #[must_use]
    pub fn register_proposal_type(
        mut self,
        proposal_type: ProposalType,
        rules: CustomProposal,
    ) -> Self {
        self.context.proposal_types.insert(proposal_type.0, rules);
        self
    }

    /// Registers an application-defined credential type, whose body is one `opaque<V>`. It is
    /// among the client's capabilities; the validator judges such credentials.
    #[must_use]
    pub fn register_credential_type(mut self, credential_type: CredentialType) -> Self {
        self.context.credential_types.insert(credential_type.0);
        self
    }

    /// Makes a new client, with a fresh signature key unless it was given one.
    ///
    /// # Errors
    /// [`Misuse::WrongStore`] if the store holds a client already; [`Misuse::WrongSigner`] if the
    /// signature key is not for the suite; the suite is not supported;
    /// [`Refused::Credential`](crate::Refused::Credential) if the validator rejects one's own; the
    /// store or the generator failed.
    pub fn build(mut self) -> Result<Client, Error> {
        let settings = self.settings(self.cipher_suite)?;
        let signer = match self.signing_key.take() {
            Some(key) if key.algorithm() == settings.suite.spec().signature.id => key,
            Some(_) => return Err(Misuse::WrongSigner.into()),
            None => SigningKey::generate(&settings.suite, &mut self.rng)?,
        };
        let key = signer.public_key();
        let check = CredentialCheck::new(&self.credential, key, CredentialUse::Own);
        self.validator.validate(&check)?;
        let client = self.client(settings, signer);
        let mut batch = Batch::default();
        batch.preconditions.push(Precondition::Absent(client_key()));
        client.inner.identity().put(&mut batch)?;
        match client.inner.storage.apply(batch) {
            Ok(_) => Ok(client),
            Err(crate::storage::StorageError::Conflict) => Err(Misuse::WrongStore.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the client that the store holds.
    ///
    /// # Errors
    /// [`Misuse::WrongStore`] if the store holds none, or one with another name;
    /// [`Error::Damaged`]; the store failed.
    pub fn open(self) -> Result<Client, Error> {
        let row = self.storage.read(&client_key())?.ok_or(Misuse::WrongStore)?;
        let identity = OwnIdentity::read(&row.value, &self.context)?;
        if identity.credential != self.credential {
            return Err(Misuse::WrongStore.into());
        }
        let settings = self.settings(identity.cipher_suite)?;
        let signer = SigningKey::from_private(&settings.suite, &identity.signature_key)?;
        Ok(self.client(settings, signer))
    }

    fn settings(&self, cipher_suite: CipherSuite) -> Result<Settings, Error> {
        let provider = self.provider.clone();
        let provider = provider.unwrap_or_else(|| Arc::new(DefaultProvider::new()));
        let context = Arc::new(self.context.clone());
        Ok(Settings { context, ..Settings::new(Suite::new(provider, cipher_suite)?) })
    }

    fn client(self, settings: Settings, signer: SigningKey) -> Client {
        let Self { credential, storage, validator, rng, clock, defaults, .. } = self;
        let inner =
            Inner::new(settings, credential, signer, storage, validator, rng, clock, defaults);
        Client { inner: Arc::new(inner) }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credential", &self.credential)
            .field("cipher_suite", &self.cipher_suite)
            .field("context", &self.context)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}
