use crate::crypto::CipherSuite;
use crate::error::{Error, Misuse};
use crate::group::{Founding, Judge, NewGroup, NoPsks, OldGroup};
use crate::identity::Credential;
use crate::message::{GroupId, KeyPackage, MlsMessage, Proposal, ReInit};
use crate::rows::{Kind, put_old_group};
use crate::schedule::{Psk, ResumptionPskUsage};
use crate::storage::{Batch, StorageError};
use crate::tree::{Extensions, MLS10};

use super::commit::CommitBuilder;
use super::outgoing::Outgoing;
use super::{Client, Group, Inner};

/// The group that is to take the place of another (RFC 9420 section 12.1.5). What is not given is
/// as in the old group, but for the id, which is random.
#[derive(Clone, Debug, Default)]
pub struct ReInitOptions {
    /// The new group's id: not the old one's.
    pub group_id: Option<GroupId>,
    /// The new group's cipher suite. Every member needs a client of that suite.
    pub cipher_suite: Option<CipherSuite>,
    /// The new group's extensions.
    pub extensions: Option<Extensions>,
}

/// A group that continues another, created by this client.
#[derive(Clone, Debug)]
pub struct Continued {
    group: Group,
    welcome: Option<Outgoing>,
}

impl Continued {
    /// The new group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// The Welcome for all other members, if there are any. It is kept until it is acknowledged.
    #[must_use]
    pub fn welcome(&self) -> Option<&Outgoing> {
        self.welcome.as_ref()
    }
}

impl Group {
    /// Proposes to close the group in favour of a new one (RFC 9420 section 12.1.5). A Commit takes
    /// it along only if it has nothing else.
    ///
    /// # Errors
    /// [`Misuse::GroupExists`] if the new id is the old one's; [`Misuse::UnsupportedSuite`] if this
    /// client's provider does not have the cipher suite; [`Error::Violation`] if the extensions are not valid; otherwise as for [`Self::propose_add`].
    pub fn propose_reinit(&self, options: ReInitOptions) -> Result<Outgoing, Error> {
        let reinit = self.read_reinit(options)?;
        self.propose(Proposal::ReInit(reinit))
    }

    /// Proposes to inject a pre-shared key that all members have
    /// ([`Client::add_psk`]).
    ///
    /// # Errors
    /// As for [`Self::propose_add`].
    pub fn propose_psk(&self, psk_id: impl Into<Vec<u8>>) -> Result<Outgoing, Error> {
        self.propose_with_nonce(Psk::External { psk_id: psk_id.into() })
    }

    /// Proposes to inject the resumption PSK of an epoch of this or another group, as
    /// [`CommitBuilder::resumption_psk`].
    ///
    /// # Errors
    /// As for [`Self::propose_add`].
    pub fn propose_resumption_psk(&self, group: &GroupId, epoch: u64) -> Result<Outgoing, Error> {
        self.propose_with_nonce(resumption(group, epoch))
    }

    fn propose_with_nonce(&self, psk: Psk) -> Result<Outgoing, Error> {
        self.propose(Proposal::PreSharedKey(self.psk_id(psk)?))
    }

    /// The group that is to take the place of this one, once a Commit with a ReInit has closed it:
    /// nothing more can be sent then, and late messages can still be read. Whoever gets there first
    /// creates the new group ([`Self::reinitialize`]); the others wait for its Welcome.
    ///
    /// Anybody who knows the new group's id can make a group with it and welcome this client there.
    /// As long as this group is here, that is refused ([`Violation::ReInitPsk`]): the successor is
    /// the one whose [`Joined::continued`](super::Joined::continued) names this group.
    ///
    /// [`Violation::ReInitPsk`]: crate::rules::Violation::ReInitPsk
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn reinit(&self) -> Result<Option<ReInit>, Error> {
        self.inner().look(self.id(), |group| Ok(group.state.reinit().cloned()))
    }

    /// Creates the group that takes the place of this one, with the key packages of all other
    /// members (RFC 9420 section 11.2). Any member may do this. For a ReInit to another cipher
    /// suite, see [`Client::reinitialize`].
    ///
    /// Where two members do it at once, each has a group of its own with the new id, and the other's
    /// Welcome gives [`Misuse::GroupExists`]. The application says who gives way, by a rule that all
    /// know, such as that the committer of the ReInit creates the group, or that the delivery
    /// service's first Welcome counts: the other one [forgets](Self::forget) the group that it has
    /// made, and joins by the Welcome.
    ///
    /// This group stays as it is; once all late messages are read, [`Self::forget`] it. A member
    /// that has not joined the new group yet needs the old one for that.
    ///
    /// # Errors
    /// As for [`Client::reinitialize`].
    pub fn reinitialize<K: AsRef<[u8]>>(
        &self,
        key_packages: impl IntoIterator<Item = K>,
    ) -> Result<Continued, Error> {
        self.client().reinitialize(&self.old_group()?, key_packages)
    }

    /// Creates a group with some of the members of this one: this client and those whose key
    /// packages are given (RFC 9420 section 11.3). It has the same extensions.
    ///
    /// # Errors
    /// [`Misuse::OtherMembers`] if a key package is of nobody in this group;
    /// [`Misuse::GroupExists`]; otherwise as for [`Client::reinitialize`].
    pub fn branch<K: AsRef<[u8]>>(
        &self,
        group_id: GroupId,
        key_packages: impl IntoIterator<Item = K>,
    ) -> Result<Continued, Error> {
        let (old, extensions) = self.inner().look(self.id(), |group| {
            let state = &group.state;
            let old = state.old_group(state.epoch()).ok_or(Misuse::NotMember)?;
            Ok((old, state.context().extensions.clone()))
        })?;
        self.client().found(key_packages, Batch::default(), |founding, inner| {
            let (group_id, extensions) = (group_id.clone(), extensions.clone());
            let judge = inner.founding_judge();
            old.branch(group_id, extensions, founding, &judge, &inner.signer, &mut inner.rng())
        })
    }

    /// The group as it is in the present epoch, with the epoch's resumption PSK: for another client
    /// of the same member, such as one for the cipher suite of a ReInit
    /// ([`Client::add_old_group`], [`Client::reinitialize`]). Nobody else may have it.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn old_group(&self) -> Result<OldGroup, Error> {
        self.inner().look(self.id(), |group| {
            let state = &group.state;
            state.old_group(state.epoch()).ok_or(Misuse::NotMember.into())
        })
    }

    pub(super) fn read_reinit(&self, options: ReInitOptions) -> Result<ReInit, Error> {
        let ReInitOptions { group_id, cipher_suite, extensions } = options;
        let inner = self.inner();
        let group_id = group_id.map_or_else(|| inner.random_group_id(), Ok)?;
        if group_id == *self.id() {
            return Err(Misuse::GroupExists.into());
        }
        let suite = cipher_suite.unwrap_or(inner.settings.suite.id());
        // Whoever asks for the move is the first who has to be able to go along.
        if !inner.settings.suite.provider().suites().iter().any(|spec| spec.suite == suite) {
            return Err(Misuse::UnsupportedSuite(suite).into());
        }
        Ok(ReInit {
            group_id,
            version: MLS10,
            cipher_suite: suite,
            extensions: extensions.map_or_else(|| self.extensions(), Ok)?,
        })
    }
}

impl CommitBuilder<'_> {
    /// Closes the group in favour of a new one (RFC 9420 section 11.2): nothing else may be in the
    /// Commit. [`Self::stage`] gives [`Misuse::UnsupportedSuite`] if this client's provider does not
    /// have the new cipher suite. Once it is confirmed, [`Group::reinitialize`] creates the new one.
    pub fn reinit(self, options: ReInitOptions) -> Self {
        match self.group().read_reinit(options) {
            Ok(reinit) => self.propose(Proposal::ReInit(reinit)),
            Err(error) => self.fail(error),
        }
    }

    /// Injects the resumption PSK of an epoch of this or another group, which all members were in:
    /// of the present epoch, or of a past one that is still kept. It proves that, and links the
    /// groups (RFC 9420 section 8.6).
    pub fn resumption_psk(self, group: &GroupId, epoch: u64) -> Self {
        self.inject(resumption(group, epoch))
    }
}

fn resumption(group: &GroupId, psk_epoch: u64) -> Psk {
    let psk_group_id = group.as_bytes().to_vec();
    Psk::Resumption { usage: ResumptionPskUsage::Application, psk_group_id, psk_epoch }
}

impl Client {
    /// Creates the group that takes the place of one that a ReInit has closed, with the key
    /// packages of all other members, encoded MLSMessages. The old group is one of this client's
    /// ([`Group::reinitialize`] is shorter then) or of another client of the same member: a client
    /// has one cipher suite, and a ReInit may ask for another.
    ///
    /// # Errors
    /// [`Misuse::NotReinitialized`]; [`Misuse::OtherSuite`] if the ReInit asks for another cipher
    /// suite than this client's; [`Misuse::OtherMembers`] if the key packages are not those of all
    /// other members; [`Misuse::NotKeyPackage`]; [`Misuse::GroupExists`] if this client is in the
    /// new group already; [`Error::Violation`] if a key package is not valid;
    /// [`Refused::Credential`](crate::Refused::Credential); the store or the generator failed.
    pub fn reinitialize<K: AsRef<[u8]>>(
        &self,
        old: &OldGroup,
        key_packages: impl IntoIterator<Item = K>,
    ) -> Result<Continued, Error> {
        // What was kept of the group for joining its successor has served.
        let delete_prefixes = vec![Kind::OldGroup.of_group(old.group_id())];
        let batch = Batch { delete_prefixes, ..Batch::default() };
        self.found(key_packages, batch, |founding, inner| {
            let judge = inner.founding_judge();
            old.reinitialize(founding, &judge, &inner.signer, &mut inner.rng())
        })
    }

    /// Keeps a group of another client of the same member, so that this client can join the group
    /// that continues it. Joining the group that takes its place after a ReInit deletes it.
    ///
    /// # Errors
    /// The store failed.
    pub fn add_old_group(&self, old: &OldGroup) -> Result<(), Error> {
        let mut batch = Batch::default();
        put_old_group(old, &mut batch)?;
        self.inner.storage.apply(batch)?;
        Ok(())
    }

    /// Deletes what [`Self::add_old_group`] has kept of a group.
    ///
    /// # Errors
    /// The store failed.
    pub fn remove_old_group(&self, id: &GroupId) -> Result<(), Error> {
        let delete_prefixes = vec![Kind::OldGroup.of_group(id)];
        self.inner.storage.apply(Batch { delete_prefixes, ..Batch::default() })?;
        Ok(())
    }

    /// The new group and its Welcome are written in one batch.
    fn found<K: AsRef<[u8]>>(
        &self,
        key_packages: impl IntoIterator<Item = K>,
        batch: Batch,
        found: impl Fn(Founding, &Inner) -> Result<NewGroup, Error>,
    ) -> Result<Continued, Error> {
        let inner = &*self.inner;
        let key_packages: Result<Vec<KeyPackage>, Error> =
            key_packages.into_iter().map(|bytes| self.read_key_package(bytes.as_ref())).collect();
        let key_packages = key_packages?;
        let of = |key_package: &KeyPackage| key_package.leaf_node.credential.clone();
        let others: Vec<Credential> = key_packages.iter().map(of).collect();
        let founding = Founding::new(inner.settings.clone(), inner.join_keys()?, key_packages);
        let NewGroup { state, welcome, .. } = found(founding, inner)?;
        let (id, epoch) = (state.group_id().clone(), state.epoch());
        let begun = inner.begin(state, batch, |beginning| {
            let Some(welcome) = welcome else { return Ok(None) };
            let id = beginning.next_out();
            let (others, context) = (others.into_iter(), &inner.settings.context);
            let welcome = Outgoing::welcome(id, epoch, welcome, others, context)?;
            welcome.put(beginning.batch)?;
            Ok(Some(welcome))
        });
        let welcome = match begun {
            Err(Error::Storage(StorageError::Conflict)) => Err(Misuse::GroupExists.into()),
            other => other,
        }?;
        Ok(Continued { group: Group::new(self.clone(), id), welcome })
    }

    pub(super) fn read_key_package(&self, bytes: &[u8]) -> Result<KeyPackage, Error> {
        match MlsMessage::read(bytes, &self.inner.settings.context)? {
            MlsMessage::KeyPackage(key_package) => Ok(key_package),
            _ => Err(Misuse::NotKeyPackage.into()),
        }
    }
}

impl Inner {
    fn founding_judge(&self) -> Judge<'_> {
        Judge { validator: &*self.validator, psks: &NoPsks, now: Some(self.clock.now()) }
    }
}
