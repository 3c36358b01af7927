use std::fmt;

use crate::codec::Encode;
use crate::crypto::Secret;
use crate::error::{Error, Misuse};
use crate::group::{GroupInfoOptions, LeafChange, Member, Status};
use crate::message::{GroupId, KeyPackage, Proposal};
use crate::schedule::{PreSharedKeyId, Psk};
use crate::tree::{Extensions, LeafIndex, ProposalType};

use super::commit::{CommitBuilder, PendingCommit, PendingInvite};
use super::event::{Received, WaitingProposal};
use super::outgoing::Outgoing;
use super::plan::{self, OwnChange};
use super::{Client, Inner};

/// What a new group begins with.
#[derive(Clone, Debug, Default)]
pub struct GroupOptions {
    /// The group's id; random if it is not given (RFC 9420 section 11).
    pub group_id: Option<GroupId>,
    /// The group's extensions.
    pub extensions: Extensions,
}

/// A handle of one group. Cheap to clone, and usable from many threads; what they do is done one
/// after the other.
#[derive(Clone)]
pub struct Group {
    client: Client,
    id: GroupId,
}

impl Group {
    pub(super) fn new(client: Client, id: GroupId) -> Self {
        Self { client, id }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.client.inner
    }

    /// The group's id.
    #[must_use]
    pub fn id(&self) -> &GroupId {
        &self.id
    }

    /// The client that this is a handle of.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many commits there were.
    ///
    /// # Errors
    /// [`Misuse::NotMember`] after this client was removed; the store failed.
    pub fn epoch(&self) -> Result<u64, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.epoch()))
    }

    /// Whether the group can be used.
    ///
    /// # Errors
    /// The store failed.
    pub fn status(&self) -> Result<Status, Error> {
        match self.inner().look(&self.id, |group| Ok(group.state.status())) {
            Err(Error::Misuse(Misuse::NotMember)) => Ok(Status::Removed),
            other => other,
        }
    }

    /// The members, by leaf.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.members().collect()))
    }

    /// The members whose leaf has this application_id (RFC 9420 section 5.3.3), by leaf. Nobody
    /// vouches for it, and several may have the same: only the credential says who somebody is.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn members_with_application_id(&self, id: &[u8]) -> Result<Vec<Member>, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.members_with_application_id(id)))
    }

    /// The other members whose encryption key has been the same for at least so many epochs, by
    /// leaf: it changes with a member's own Commits and with its Updates that were committed. Who
    /// was there before this client counts from when this client joined. An application should
    /// remove who does not change its key for long (RFC 9420 section 16.6): what the group says
    /// may be read by whoever gets hold of that key.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn idle_members(&self, epochs: u64) -> Result<Vec<Member>, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.idle_members(epochs).collect()))
    }

    /// This client as a member.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn own_member(&self) -> Result<Member, Error> {
        self.inner().look(&self.id, |group| {
            let state = &group.state;
            state.member(state.own_leaf()).ok_or(Error::Internal)
        })
    }

    /// The group's extensions.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn extensions(&self) -> Result<Extensions, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.context().extensions.clone()))
    }

    /// Encrypts data to the group. The message is kept as unsent until it is acknowledged.
    ///
    /// While proposals wait that this client could commit, they have to be committed first (RFC
    /// 9420 section 12.4), also those that it made itself. Its own Update or removal, which only
    /// another member can commit, does not count.
    ///
    /// # Errors
    /// [`Misuse::ProposalsPending`] while proposals wait for a Commit, unless the builder allows
    /// it; [`Misuse::NotMember`]; the store or the generator failed.
    pub fn send(&self, data: impl AsRef<[u8]>) -> Result<Outgoing, Error> {
        self.send_with(data, &[])
    }

    /// Encrypts data to the group, with data that is authenticated and not encrypted.
    ///
    /// # Errors
    /// As for [`Self::send`].
    pub fn send_with(
        &self,
        data: impl AsRef<[u8]>,
        authenticated_data: &[u8],
    ) -> Result<Outgoing, Error> {
        let data = data.as_ref();
        self.inner().run(&self.id, |group, env| plan::send(group, data, authenticated_data, env))
    }

    /// Takes a message of this group.
    ///
    /// # Errors
    /// [`Unready::OtherGroup`](crate::Unready::OtherGroup) if it is of another group;
    /// [`Error::Violation`] or [`Error::Malformed`] if it is not sound;
    /// [`Refused::Credential`](crate::Refused::Credential). The group is as it was then, and no
    /// key is used up. Messages that come twice, too early or too late are no errors: see
    /// [`Received`].
    pub fn receive(&self, message: impl AsRef<[u8]>) -> Result<Received, Error> {
        self.inner().receive(&self.id, message.as_ref())
    }

    /// The proposals that wait for a Commit, this client's own included, in the order in which they
    /// came.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn waiting_proposals(&self) -> Result<Vec<WaitingProposal>, Error> {
        self.inner().look(&self.id, |group| {
            let mut held: Vec<_> = group.state.proposals.iter().collect();
            held.sort_by_key(|held| held.sequence);
            let waiting = held.into_iter().map(|held| {
                Ok(WaitingProposal {
                    reference: held.reference.clone(),
                    sender: group.state.proposer(held.sender)?,
                    proposal: Proposal::clone(&held.proposal),
                })
            });
            waiting.collect()
        })
    }

    /// Begins a Commit.
    pub fn commit(&self) -> CommitBuilder<'_> {
        CommitBuilder::new(self)
    }

    /// Stages a Commit that adds the clients of these key packages.
    ///
    /// # Errors
    /// As for [`CommitBuilder::stage`]; [`Misuse::NotKeyPackage`]; [`Error::Malformed`] if the bytes
    /// are no message at all; [`Misuse::AlreadyMember`].
    pub fn invite<K: AsRef<[u8]>>(
        &self,
        key_packages: impl IntoIterator<Item = K>,
    ) -> Result<PendingInvite, Error> {
        let mut commit = self.commit();
        for key_package in key_packages {
            commit = commit.add(key_package);
        }
        commit.stage_invite()
    }

    /// Stages a Commit that removes a member.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`]; [`Misuse::RemovesSelf`]; otherwise as for [`CommitBuilder::stage`].
    pub fn remove(&self, leaf_index: LeafIndex) -> Result<PendingCommit, Error> {
        self.commit().remove(leaf_index).stage()
    }

    /// Stages a Commit that renews this client's keys. It takes the proposals that wait, but no
    /// ReInit: that takes [`Self::commit`].
    ///
    /// # Errors
    /// As for [`CommitBuilder::stage`].
    pub fn update(&self) -> Result<PendingCommit, Error> {
        self.commit().without_reinit().stage()
    }

    /// The Commit that is staged, such as before a restart.
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn pending_commit(&self) -> Result<Option<PendingCommit>, Error> {
        self.inner().look(&self.id, |group| {
            let found = group.head.staged.zip(group.staged.as_ref());
            Ok(found.map(|(number, staged)| PendingCommit::found(self, number, staged)))
        })
    }

    /// Proposes to add the client of a key package.
    ///
    /// # Errors
    /// [`Misuse::NotKeyPackage`]; [`Error::Violation`] if the key package is not valid;
    /// [`Misuse::NotMember`]; the store or the generator failed.
    pub fn propose_add(&self, key_package: impl AsRef<[u8]>) -> Result<Outgoing, Error> {
        let key_package = self.read_key_package(key_package.as_ref())?;
        self.propose(Proposal::Add(key_package))
    }

    /// Proposes to remove a member; its own leaf, to leave the group: another member has to commit
    /// it. A Commit of this client can't take its own removal along, and as every Commit it ends
    /// what waits: propose it again then.
    ///
    /// # Errors
    /// [`Misuse::NoSuchMember`]; otherwise as for [`Self::propose_add`].
    pub fn propose_remove(&self, leaf_index: LeafIndex) -> Result<Outgoing, Error> {
        self.propose(Proposal::Remove(leaf_index))
    }

    /// Proposes a new encryption key for this client's own leaf.
    ///
    /// # Errors
    /// As for [`Self::propose_add`].
    pub fn propose_update(&self) -> Result<Outgoing, Error> {
        self.propose_change(OwnChange::default())
    }

    /// Proposes other changes to this client's own leaf too, which the validator judges, and a new
    /// signature key if it shall have one: from the Commit on that takes the Update, this client
    /// signs with it in this group.
    ///
    /// # Errors
    /// As for [`Self::propose_add`].
    pub fn propose_leaf(
        &self,
        leaf: LeafChange,
        new_signature_key: bool,
    ) -> Result<Outgoing, Error> {
        self.propose_change(OwnChange { leaf, signature_key: new_signature_key })
    }

    fn propose_change(&self, change: OwnChange) -> Result<Outgoing, Error> {
        self.inner().run(&self.id, |group, env| plan::propose_update(group, &change, env))
    }

    /// Proposes to replace the group's extensions by these.
    ///
    /// # Errors
    /// [`Error::Violation`] if they are not valid; otherwise as for [`Self::propose_add`].
    pub fn propose_extensions(&self, extensions: Extensions) -> Result<Outgoing, Error> {
        self.propose(Proposal::GroupContextExtensions(extensions))
    }

    /// Proposes something of the application's own, of a type that every member has registered
    /// ([`ClientBuilder::register_proposal_type`](super::ClientBuilder::register_proposal_type)).
    /// What it means is for the application to say: the group carries it, and everybody who takes
    /// the Commit finds it in [`CommitOutcome::custom`](crate::group::CommitOutcome::custom), in
    /// the same order and with its proposer.
    ///
    /// ```
    /// # use circlet::{Client, Received};
    /// use circlet::codec::CustomProposal;
    /// use circlet::message::Proposal;
    /// use circlet::tree::ProposalType;
    ///
    /// const TOPIC: ProposalType = ProposalType(0xf0a0); // for private use
    ///
    /// # fn main() -> Result<(), circlet::Error> {
    /// let client = |name: &str| {
    ///     Client::builder(name).register_proposal_type(TOPIC, CustomProposal::default()).build()
    /// };
    /// let (alice, bob) = (client("alice")?, client("bob")?);
    /// # let group = alice.create_group()?;
    /// # let bobs = bob.join(group.invite([bob.key_package()?])?.confirm()?.welcome())?;
    /// let wire = bobs.propose_custom(TOPIC, "lunch")?;
    /// group.receive(&wire)?;
    ///
    /// let pending = group.commit().stage()?;
    /// if let Received::Commit(change) = bobs.receive(pending.message())? {
    ///     let applied = &change.outcome().custom[0];
    ///     assert_eq!(applied.proposer.to_string(), "bob");
    ///     let Proposal::Custom { proposal_type: TOPIC, body } = &applied.proposal else { panic!() };
    ///     assert_eq!(body, b"lunch");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Misuse::UnregisteredProposalType`]; [`Error::Violation`] if a member does not have the
    /// type among its capabilities; otherwise as for [`Self::propose_add`].
    pub fn propose_custom(
        &self,
        proposal_type: ProposalType,
        body: impl Into<Vec<u8>>,
    ) -> Result<Outgoing, Error> {
        self.propose(Proposal::Custom { proposal_type, body: body.into() })
    }

    pub(super) fn propose(&self, proposal: Proposal) -> Result<Outgoing, Error> {
        self.inner().run(&self.id, |group, env| plan::propose(group, proposal.clone(), env))
    }

    /// Deletes the group from this client with all its events and messages, without a word to
    /// anybody, and whatever state its rows are in: the others still count it as
    /// a member until one of them removes it. To leave properly, have the own leaf removed
    /// ([`Self::propose_remove`]). A later Welcome to the group can be joined again.
    ///
    /// # Errors
    /// [`Unready::UnknownGroup`](crate::Unready::UnknownGroup); the store failed.
    pub fn forget(self) -> Result<(), Error> {
        self.inner().forget(&self.id)
    }

    /// A secret of `length` bytes for the application, which all members of the epoch share (RFC
    /// 9420 section 8.5), with the epoch that it is of: ask for a new one after each Commit. The
    /// label should say what the secret is for and be used for nothing else, so that no two uses
    /// get the same one; IANA has a registry of labels (section 17.8).
    ///
    /// # Errors
    /// [`Misuse::ExportLength`]; [`Misuse::NotMember`]; the store failed.
    pub fn export(
        &self,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<(u64, Secret), Error> {
        self.inner().look(&self.id, |group| {
            Ok((group.state.epoch(), group.state.export(label, context, length)?))
        })
    }

    /// A value that members compare to know that they are in the same epoch and see the same
    /// group (RFC 9420 section 8.7).
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn epoch_authenticator(&self) -> Result<Secret, Error> {
        self.inner().look(&self.id, |group| Ok(group.state.epoch_authenticator().clone()))
    }

    /// Describes the group to those who want to join, a signed GroupInfo in an encoded MLSMessage
    /// (RFC 9420 section 12.4.3).
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn group_info(&self, options: GroupInfoOptions) -> Result<Vec<u8>, Error> {
        let inner = self.inner();
        let info = inner.look(&self.id, |group| {
            group.state.group_info(options, inner.signer_of(group), &mut inner.rng())
        })?;
        Ok(info.to_bytes()?)
    }

    /// The ratchet tree, encoded as in its extension, for joiners whose Welcome does not have it
    /// (RFC 9420 section 12.4.3.3).
    ///
    /// # Errors
    /// As for [`Self::epoch`].
    pub fn ratchet_tree(&self) -> Result<Vec<u8>, Error> {
        self.inner().look(&self.id, |group| group.state.ratchet_tree())
    }

    pub(super) fn read_key_package(&self, bytes: &[u8]) -> Result<KeyPackage, Error> {
        self.client.read_key_package(bytes)
    }

    /// A use of a pre-shared key, with a fresh nonce (RFC 9420 section 8.4).
    pub(super) fn psk_id(&self, psk: Psk) -> Result<PreSharedKeyId, Error> {
        let length = self.inner().settings.suite.secret_length();
        PreSharedKeyId::fresh(psk, length, &mut self.inner().rng())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).finish_non_exhaustive()
    }
}
