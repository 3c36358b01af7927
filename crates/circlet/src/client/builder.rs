use std::fmt;
use std::sync::Arc;

use crate::codec::{CustomProposal, DecodeContext, Limits};
use crate::crypto::providers::DefaultProvider;
use crate::crypto::{CipherSuite, CryptoProvider, Rng, SignaturePublicKey, Suite, SystemRng};
use crate::error::{Error, Misuse};
use crate::group::{Grease, HandshakeFormat, Padding, Policy, Settings};
use crate::identity::{
    BasicValidator, Credential, CredentialCheck, CredentialType, CredentialUse,
    CredentialValidator, Signer, SigningKey,
};
use crate::rows::{OwnIdentity, client_key};
use crate::storage::{Batch, MemoryStorage, Precondition, Storage, StorageError};
use crate::tree::{Extension, ExtensionType, ProposalType, is_grease};

use super::Client;
use super::driver::{ATTEMPTS, Defaults, Inner};

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
    storage: Arc<dyn Storage>,
    validator: Arc<dyn CredentialValidator>,
    rng: Box<dyn Rng>,
    clock: Arc<dyn Clock>,
    signing_key: Option<SigningKey>,
    renews_credential: bool,
    context: DecodeContext,
    policy: Policy,
    grease: Grease,
    defaults: Defaults,
}

impl ClientBuilder {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            credential,
            cipher_suite: CipherSuite::X25519_AES128GCM_SHA256_ED25519,
            provider: None,
            storage: Arc::new(MemoryStorage::new()),
            validator: Arc::new(BasicValidator),
            rng: Box::new(SystemRng),
            clock: Arc::new(SystemClock),
            signing_key: None,
            renews_credential: false,
            context: DecodeContext::default(),
            policy: Policy::default(),
            grease: Grease::default(),
            defaults: Defaults::default(),
        }
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

    /// The signature key, which has to be of the client's cipher suite; a new client makes a fresh
    /// one if it is not given. The store keeps it: an opened client has its own.
    #[must_use]
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_key = Some(key);
        self
    }

    /// Lets [`Self::open`] put this builder's credential in the place of the one that the store has,
    /// such as a certificate that was renewed for the same key: if the validator accepts it as a
    /// successor ([`CredentialUse::Own`], with the old one as
    /// [`replaced`](CredentialCheck::replaced)). Key packages and groups from now on begin with it.
    /// In a group that this client is in already, it takes a Commit:
    /// [`CommitBuilder::leaf`](super::CommitBuilder::leaf) with the new credential. Key packages
    /// that are out keep the old one, and are still joined by.
    #[must_use]
    pub fn renew_credential(mut self) -> Self {
        self.renews_credential = true;
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

    /// From how many seconds back to how many ahead each key package may be used. Default one hour
    /// back, for clocks that differ, and 83 days ahead. Both together can't be more than
    /// [`Policy::total_lifetime`].
    #[must_use]
    pub fn key_package_lifetime(mut self, back: u64, ahead: u64) -> Self {
        (self.defaults.leaf.back, self.defaults.leaf.ahead) = (back, ahead);
        self
    }

    /// Puts an extension into the leaf of every key package, such as [`Extension::application_id`].
    /// Its type is among the client's capabilities then.
    #[must_use]
    pub fn leaf_extension(mut self, extension: Extension) -> Self {
        self.defaults.leaf.extensions.set(extension);
        self
    }

    /// What the application allows of all that RFC 9420 does.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where random values of no meaning go (RFC 9420 section 13.5). Default
    /// [`Grease::Everywhere`].
    #[must_use]
    pub fn grease(mut self, grease: Grease) -> Self {
        self.grease = grease;
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

    /// Registers an application-defined extension type: the client knows what to do with it, and
    /// so it is among its capabilities. Without that, the client is in no group that has such an
    /// extension; in leaves, KeyPackages and GroupInfos it is ignored. Types of RFC 9420 itself and
    /// those that mean nothing ([`is_grease`]) can't be registered: [`Misuse::ReservedType`] when
    /// the client is made or opened.
    #[must_use]
    pub fn register_extension_type(mut self, extension_type: ExtensionType) -> Self {
        self.context.extension_types.insert(extension_type.0);
        self
    }

    /// Registers an application-defined proposal type, whose body is one `opaque<V>`: without
    /// that, a message with such a proposal can't be read. It is among the client's capabilities,
    /// and what the proposal means is the application's: see
    /// [`Group::propose_custom`](super::Group::propose_custom).
    ///
    /// It has to be registered at every start: a group in whose rows there is such a proposal gives
    /// [`Misuse::UnregisteredProposalType`] until it is. Which types can be registered:
    /// [`Self::register_extension_type`].
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
    ///
    /// It has to be registered at every start: without it, a client with such a credential is
    /// neither made nor opened, and a group with such a member gives
    /// [`Misuse::UnregisteredCredentialType`]. Basic credentials and X.509 chains need no
    /// registration ([`CredentialValidator::credential_types`]). Which types can be registered:
    /// [`Self::register_extension_type`].
    ///
    /// ```
    /// # use circlet::Client;
    /// # use circlet::identity::{Credential, CredentialCheck, CredentialRejected};
    /// use circlet::identity::{CredentialType, CredentialValidator};
    ///
    /// const BADGE: CredentialType = CredentialType(0xf00b);
    ///
    /// struct Badges;
    ///
    /// impl CredentialValidator for Badges {
    ///     fn validate(&self, check: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
    ///         match check.credential {
    ///             Credential::Custom { credential_type: BADGE, body } if !body.is_empty() => Ok(()),
    ///             _ => Err(CredentialRejected),
    ///         }
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), circlet::Error> {
    /// let badge = Credential::Custom { credential_type: BADGE, body: b"7".to_vec() };
    /// let builder = Client::builder_for(badge).register_credential_type(BADGE);
    /// let alice = builder.validator(Badges).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn register_credential_type(mut self, credential_type: CredentialType) -> Self {
        self.context.credential_types.insert(credential_type.0);
        self
    }

    /// Makes a new client.
    ///
    /// # Errors
    /// [`Misuse::ClientExists`] if the store holds a client already; [`Misuse::WrongSigner`] if the
    /// given key is of another suite; the suite is not supported;
    /// [`Refused::Credential`](crate::Refused::Credential) if the validator rejects one's own;
    /// [`Misuse::UnregisteredCredentialType`]; [`Misuse::ReservedType`]; the store or the generator
    /// failed.
    pub fn build(mut self) -> Result<Client, Error> {
        self.ensure_types()?;
        let (settings, signer) = self.make()?;
        Ok(self.client(settings, signer))
    }

    /// Opens the client that the store holds.
    ///
    /// # Errors
    /// [`Misuse::NoClient`] if the store holds none, [`Misuse::OtherClient`] if it is one with
    /// another credential ([`Self::renew_credential`] lets a new one in),
    /// [`Misuse::WrongSigner`] if another key is given than it has;
    /// [`Refused::Credential`](crate::Refused::Credential) if the validator rejects the new one;
    /// [`Misuse::UnregisteredCredentialType`]; [`Misuse::ReservedType`]; [`Error::Damaged`]; the
    /// store failed.
    pub fn open(self) -> Result<Client, Error> {
        self.ensure_types()?;
        let (settings, signer) = self.find()?.ok_or(Misuse::NoClient)?;
        Ok(self.client(settings, signer))
    }

    /// Opens the client that the store holds, and makes one if it holds none.
    ///
    /// ```
    /// use circlet::Client;
    /// use circlet::storage::MemoryStorage;
    ///
    /// # fn main() -> Result<(), circlet::Error> {
    /// let store = MemoryStorage::new();
    /// let first = Client::builder("alice").storage(store.clone()).open_or_create()?;
    /// let group = first.create_group()?;
    /// let second = Client::builder("alice").storage(store).open_or_create()?;
    /// assert_eq!(second.groups()?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Self::open`] and [`Self::build`].
    pub fn open_or_create(mut self) -> Result<Client, Error> {
        self.ensure_types()?;
        let (settings, signer) = match self.find()? {
            Some(found) => found,
            None => match self.make() {
                // Somebody else was first.
                Err(Error::Misuse(Misuse::ClientExists)) => self.find()?.ok_or(Misuse::NoClient)?,
                made => made?,
            },
        };
        Ok(self.client(settings, signer))
    }

    /// What is registered is for applications to define, and what the client says that it has can
    /// be read.
    fn ensure_types(&self) -> Result<(), Misuse> {
        let DecodeContext { extension_types, proposal_types, credential_types, .. } = &self.context;
        let extensions = extension_types.iter().copied();
        let proposals = proposal_types.keys().copied();
        let credentials = credential_types.iter().copied();
        let of_rfc = extensions
            .clone()
            .filter(|kind| ExtensionType(*kind).is_default())
            .chain(proposals.clone().filter(|kind| ProposalType(*kind).is_default()))
            .chain(credentials.clone().filter(|kind| CredentialType(*kind).is_default()));
        let all = extensions.chain(proposals).chain(credentials);
        let mut reserved = of_rfc.chain(all.filter(|kind| *kind == 0 || is_grease(*kind)));
        if let Some(kind) = reserved.next() {
            return Err(Misuse::ReservedType(kind));
        }
        let judged = self.validator.credential_types();
        let mut named = judged.into_iter().chain([self.credential.credential_type()]);
        let unregistered =
            |kind: &CredentialType| !kind.is_default() && !credential_types.contains(&kind.0);
        match named.find(unregistered) {
            Some(kind) => Err(Misuse::UnregisteredCredentialType(kind)),
            None => Ok(()),
        }
    }

    /// Writes a new client's row.
    fn make(&mut self) -> Result<(Settings, SigningKey), Error> {
        let settings = self.settings(self.cipher_suite)?;
        let signer = self.own_key(&settings.suite)?;
        let key = signer.public_key();
        let check = CredentialCheck::new(&self.credential, key, CredentialUse::Own);
        self.validator.validate(&check)?;
        let identity = OwnIdentity {
            cipher_suite: settings.suite.id(),
            credential: self.credential.clone(),
            signature_key: signer.private_key().clone(),
        };
        let mut batch = Batch::default();
        batch.preconditions.push(Precondition::Absent(client_key()));
        identity.put(&mut batch)?;
        match self.storage.apply(batch) {
            Ok(_) => Ok((settings, signer)),
            Err(StorageError::Conflict) => Err(Misuse::ClientExists.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the client's row, if there is one, and renews its credential, if that is wanted. Where
    /// another writer was first, it is read again.
    fn find(&self) -> Result<Option<(Settings, SigningKey)>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.storage.read(&client_key())? else { return Ok(None) };
            let identity = OwnIdentity::read(&row.value, &self.context)?;
            let is_new = identity.credential != self.credential;
            if is_new && !self.renews_credential {
                return Err(Misuse::OtherClient.into());
            }
            let settings = self.settings(identity.cipher_suite)?;
            let signer = SigningKey::from_private(&settings.suite, &identity.signature_key)?;
            let key = signer.public_key();
            if self.signing_key.as_ref().is_some_and(|given| given.public_key() != key) {
                return Err(Misuse::WrongSigner.into());
            }
            if !is_new {
                return Ok(Some((settings, signer)));
            }
            match self.renew(identity, key, row.revision) {
                Err(Error::Storage(StorageError::Conflict)) => {}
                renewed => return renewed.map(|()| Some((settings, signer))),
            }
        }
        Err(StorageError::Conflict.into())
    }

    /// V-5.3-04: a new credential is a valid successor to the old, by the application's word.
    fn renew(
        &self,
        identity: OwnIdentity,
        key: &SignaturePublicKey,
        revision: u64,
    ) -> Result<(), Error> {
        let mut check = CredentialCheck::new(&self.credential, key, CredentialUse::Own);
        check.replaced = Some((&identity.credential, key));
        self.validator.validate(&check)?;
        let identity = OwnIdentity { credential: self.credential.clone(), ..identity };
        let mut batch = Batch::default();
        batch.preconditions.push(Precondition::At(client_key(), revision));
        identity.put(&mut batch)?;
        self.storage.apply(batch)?;
        Ok(())
    }

    /// The key of a new client: the given one, as this suite's provider has it, or a fresh one.
    fn own_key(&mut self, suite: &Suite) -> Result<SigningKey, Error> {
        let Some(given) = &self.signing_key else {
            return Ok(SigningKey::generate(suite, &mut self.rng)?);
        };
        let own = SigningKey::from_private(suite, given.private_key());
        let own = own.map_err(|_| Misuse::WrongSigner)?;
        match own.public_key() == given.public_key() {
            true => Ok(own),
            false => Err(Misuse::WrongSigner.into()),
        }
    }

    fn settings(&self, cipher_suite: CipherSuite) -> Result<Settings, Error> {
        let provider = self.provider.clone();
        let provider = provider.unwrap_or_else(|| Arc::new(DefaultProvider::new()));
        Ok(Settings {
            suite: Suite::new(provider, cipher_suite)?,
            context: Arc::new(self.context.clone()),
            policy: self.policy.clone(),
            grease: self.grease,
        })
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
