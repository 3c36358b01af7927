//! An application as the documentation asks for it: after a storage failure it looks at what was
//! durable, and otherwise repeats what it did.

use std::collections::BTreeSet;

use circlet::client::{
    Continued, DeliveryId, EpochChange, GroupOptions, Outgoing, OutgoingKind, PendingCommit,
    PendingJoin,
};
use circlet::group::{GroupInfoOptions, OldGroup};
use circlet::message::GroupId;
use circlet::storage::StorageError;
use circlet::tree::LeafIndex;
use circlet::{Client, Error, Group, Misuse, Received, Unready};

use crate::harness::Person;

/// What an application does beside talking.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// Whether it acknowledges what it has taken over.
    pub(crate) acknowledges: bool,
    /// Whether it is killed by a storage failure, or goes on with the same handles.
    pub(crate) dies_of_failures: bool,
}

pub(crate) struct App {
    pub(crate) person: Person,
    client: Option<Client>,
    habits: Habits,
    /// The group that it is busy with.
    pub(crate) room: GroupId,
    taken: BTreeSet<DeliveryId>,
    /// What it has heard, in order.
    pub(crate) log: Vec<String>,
    /// Everything that got out.
    pub(crate) wires: Vec<Vec<u8>>,
    pub(crate) failures: usize,
}

pub(crate) fn room() -> GroupId {
    GroupId::new(b"the room")
}

impl App {
    pub(crate) fn new(person: Person, habits: Habits) -> Self {
        let mut app = Self {
            person,
            client: None,
            habits,
            room: room(),
            taken: BTreeSet::new(),
            log: Vec::new(),
            wires: Vec::new(),
            failures: 0,
        };
        app.client = Some(loop {
            match app.person.builder().build() {
                Ok(client) => break client,
                // The failed attempt was written after all.
                Err(Error::Misuse(Misuse::ClientExists)) if app.failures > 0 => {
                    break app.person.open();
                }
                Err(error) => app.note_failure(&error),
            }
        });
        app
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.person.name
    }

    pub(crate) fn group(&mut self) -> Group {
        let id = self.room.clone();
        self.repeat(|client| client.group(&id))
    }

    /// Killed and started again.
    pub(crate) fn crash(&mut self) {
        self.client = None;
        self.client = Some(loop {
            match self.person.builder().open() {
                Ok(client) => break client,
                Err(error) => self.note_failure(&error),
            }
        });
    }

    fn note_failure(&mut self, error: &Error) {
        let by_store =
            matches!(error, Error::Storage(StorageError::Unknown(_) | StorageError::Failed(_)));
        assert!(by_store, "{}: {error:?}", self.person.name);
        self.failures += 1;
        assert!(self.failures < 100, "no way out of {error:?}");
    }

    fn recover(&mut self, error: &Error) {
        self.note_failure(error);
        if self.habits.dies_of_failures {
            self.crash();
        }
    }

    /// Something that may be done again whatever became of it.
    fn repeat<T>(&mut self, what: impl Fn(&Client) -> Result<T, Error>) -> T {
        loop {
            match what(self.client()) {
                Ok(result) => return result,
                Err(error) => self.recover(&error),
            }
        }
    }

    pub(crate) fn create(&mut self) {
        let id = self.room.clone();
        let options = || GroupOptions { group_id: Some(id.clone()), ..GroupOptions::default() };
        while let Err(error) = self.client().create_group_with(options()) {
            self.recover(&error);
            if self.repeat(Client::groups).len() == 1 {
                return;
            }
        }
    }

    pub(crate) fn key_package(&mut self) -> Vec<u8> {
        self.repeat(Client::key_package)
    }

    pub(crate) fn send(&mut self, data: &str) -> Vec<u8> {
        self.outgoing(|group| group.send(data))
    }

    /// Application data or a proposal.
    pub(crate) fn outgoing(&mut self, make: impl Fn(&Group) -> Result<Outgoing, Error>) -> Vec<u8> {
        loop {
            let group = self.group();
            let error = match make(&group) {
                Ok(outgoing) => return self.hand_out(&outgoing),
                Err(error) => error,
            };
            drop(group);
            self.recover(&error);
            if let Some(outgoing) = self.new_unsent() {
                return self.hand_out(&outgoing);
            }
        }
    }

    fn new_unsent(&mut self) -> Option<Outgoing> {
        let unsent = self.repeat(Client::unsent);
        let mut unsent = unsent.into_iter();
        unsent.find(|out| out.kind() != OutgoingKind::Commit && !self.taken.contains(out.id()))
    }

    fn hand_out(&mut self, outgoing: &Outgoing) -> Vec<u8> {
        self.wires.push(outgoing.to_vec());
        if outgoing.kind() != OutgoingKind::Commit {
            assert!(self.taken.insert(outgoing.id().clone()), "{outgoing:?} came twice");
            self.acknowledge(outgoing.id());
        }
        outgoing.to_vec()
    }

    fn acknowledge(&mut self, id: &DeliveryId) {
        if self.habits.acknowledges {
            self.repeat(|client| client.acknowledge(id));
        }
    }

    pub(crate) fn stage(
        &mut self,
        make: impl Fn(&Group) -> Result<PendingCommit, Error>,
    ) -> Vec<u8> {
        loop {
            let group = self.group();
            let staged = make(&group);
            drop(group);
            let pending = match staged {
                Ok(pending) => Some(pending),
                Err(error) => {
                    self.recover(&error);
                    self.pending()
                }
            };
            if let Some(pending) = pending {
                return self.hand_out(pending.message());
            }
        }
    }

    pub(crate) fn pending(&mut self) -> Option<PendingCommit> {
        let id = self.room.clone();
        self.repeat(|client| client.group(&id)?.pending_commit())
    }

    /// Gives the Welcome, if there is one.
    pub(crate) fn confirm(&mut self) -> Option<Vec<u8>> {
        let mut pending = self.pending().unwrap();
        let welcome = loop {
            let error = match pending.confirm() {
                Ok(confirmed) => break confirmed.welcome(),
                Err(error) => error,
            };
            self.recover(&error);
            match self.pending() {
                Some(still) => pending = still,
                None => break self.new_unsent(),
            }
        };
        welcome.map(|welcome| self.hand_out(&welcome))
    }

    pub(crate) fn discard(&mut self) {
        while let Some(pending) = self.pending() {
            match pending.discard() {
                Ok(()) => assert!(self.pending().is_none()),
                Err(error) => self.recover(&error),
            }
        }
    }

    /// Takes a message of the network, and says what it was.
    pub(crate) fn receive(&mut self, wire: &[u8]) -> Received {
        loop {
            let received = match self.client().receive(wire) {
                Ok(received) => Some(received),
                Err(error) => {
                    self.recover(&error);
                    let undelivered = self.repeat(Client::undelivered);
                    let mut undelivered = undelivered.into_iter();
                    undelivered.find(|event| !self.taken.contains(event.id().unwrap()))
                }
            };
            let Some(mut received) = received else { continue };
            self.log.push(describe(&received));
            if let Some(id) = received.id().cloned() {
                assert!(self.taken.insert(id.clone()), "{received:?} came twice");
                self.acknowledge(&id);
            }
            if let Received::Confirmed(change) = &mut received {
                // Where the event came from the store, the Welcome is among the unsent.
                let welcome = change.welcome().cloned().or_else(|| self.new_unsent());
                welcome.map(|welcome| self.hand_out(&welcome));
            }
            return received;
        }
    }

    pub(crate) fn own_leaf(&mut self) -> LeafIndex {
        let id = self.room.clone();
        self.repeat(|client| client.group(&id)?.own_member()).leaf_index
    }

    /// The last message that got out.
    pub(crate) fn last_wire(&self) -> Vec<u8> {
        self.wires.last().unwrap().clone()
    }

    pub(crate) fn group_info(&mut self) -> Vec<u8> {
        let id = self.room.clone();
        self.repeat(|client| client.group(&id)?.group_info(GroupInfoOptions::default()))
    }

    /// Stages an external Commit.
    pub(crate) fn stage_join(&mut self, group_info: &[u8], rejoin: bool) -> Vec<u8> {
        let message = loop {
            let join = self.client().external_join(group_info);
            let staged = if rejoin { join.rejoin() } else { join }.stage();
            let error = match staged {
                Ok(pending) => break pending.message().to_vec(),
                Err(error) => error,
            };
            self.recover(&error);
            if let Some(pending) = self.pending_join() {
                break pending.message().to_vec();
            }
        };
        self.wires.push(message.clone());
        message
    }

    fn pending_join(&mut self) -> Option<PendingJoin> {
        let pending = self.repeat(Client::pending_joins);
        pending.into_iter().find(|pending| *pending.group_id() == self.room)
    }

    /// Whether the client has joined; otherwise the group went on without it.
    pub(crate) fn confirm_join(&mut self) -> bool {
        let Some(mut pending) = self.pending_join() else { return false };
        loop {
            let message = pending.message().to_vec();
            let error = match pending.confirm() {
                Ok(_) => return true,
                Err(Error::Misuse(Misuse::JoinGone)) => return false,
                Err(error) => error,
            };
            self.recover(&error);
            match self.pending_join() {
                Some(still) => pending = still,
                // The echo tells which of the two it was.
                None => return self.is_own(&message),
            }
        }
    }

    fn is_own(&mut self, message: &[u8]) -> bool {
        self.repeat(|client| match client.receive(message) {
            Err(Error::Misuse(Misuse::NotMember)) => Ok(false),
            received => Ok(matches!(received?, Received::Own)),
        })
    }

    pub(crate) fn discard_join(&mut self) {
        while let Some(pending) = self.pending_join() {
            match pending.discard() {
                Ok(()) => assert!(self.pending_join().is_none()),
                Err(error) => self.recover(&error),
            }
        }
    }

    /// Makes the group with this id, which continues the present one, and gives its Welcome.
    pub(crate) fn found(
        &mut self,
        id: &GroupId,
        make: impl Fn(&Group) -> Result<Continued, Error>,
    ) -> Vec<u8> {
        let room = self.room.clone();
        self.found_by_client(id, |client| make(&client.group(&room)?))
    }

    /// The same of a group of another client.
    pub(crate) fn found_by_client(
        &mut self,
        id: &GroupId,
        make: impl Fn(&Client) -> Result<Continued, Error>,
    ) -> Vec<u8> {
        loop {
            let error = match make(self.client()) {
                Ok(continued) => return self.hand_out(continued.welcome().unwrap()),
                Err(error) => error,
            };
            self.recover(&error);
            if self.is_in(id) {
                let welcome = self.new_unsent().unwrap();
                return self.hand_out(&welcome);
            }
        }
    }

    fn is_in(&mut self, id: &GroupId) -> bool {
        self.repeat(Client::groups).iter().any(|group| group.id() == id)
    }

    /// Joins by a Welcome, not as an event.
    pub(crate) fn join(&mut self, id: &GroupId, welcome: &[u8]) {
        while let Err(error) = self.client().join(welcome) {
            self.recover(&error);
            if self.is_in(id) {
                return;
            }
        }
    }

    pub(crate) fn old_group(&mut self) -> OldGroup {
        let id = self.room.clone();
        self.repeat(|client| client.group(&id)?.old_group())
    }

    pub(crate) fn add_old_group(&mut self, old: &OldGroup) {
        self.repeat(|client| client.add_old_group(old));
    }

    pub(crate) fn forget(&mut self) {
        let id = self.room.clone();
        while self.is_in(&id) {
            if let Err(error) = self.group().forget() {
                self.recover(&error);
            }
        }
    }

    /// What can be seen of the groups from outside.
    pub(crate) fn view(&mut self) -> String {
        let views = self.repeat(|client| {
            let groups = client.groups()?;
            groups.iter().map(view_of).collect::<Result<Vec<_>, _>>()
        });
        let joins = self.repeat(Client::pending_joins).len();
        let views = if views.is_empty() { "not in it".to_owned() } else { views.join("; ") };
        format!("{}: {views}; joins={joins}; heard {:?}", self.name(), self.log)
    }

    pub(crate) fn authenticator(&mut self) -> Option<Vec<u8>> {
        let id = self.room.clone();
        self.repeat(|client| match client.group(&id) {
            Ok(group) => Ok(Some(group.epoch_authenticator()?.as_bytes().to_vec())),
            Err(Error::Unready(Unready::UnknownGroup)) => Ok(None),
            Err(error) => Err(error),
        })
    }
}

fn view_of(group: &Group) -> Result<String, Error> {
    let members: Vec<String> = group
        .members()?
        .iter()
        .map(|member| format!("{}@{}", member, member.leaf_index.0))
        .collect();
    let (epoch, own) = (group.epoch()?, group.own_member()?);
    let staged = group.pending_commit()?.is_some();
    let (id, status) = (group.id(), group.status()?);
    Ok(format!("{own} sees {id} {epoch} {members:?} {status:?} staged={staged}"))
}

/// An event as a line of text.
pub(crate) fn describe(received: &Received) -> String {
    let change = |what: &str, change: &EpochChange| {
        let outcome = change.outcome();
        let names = |members: &[circlet::group::Member]| -> Vec<String> {
            members.iter().map(ToString::to_string).collect()
        };
        format!(
            "{what} {} by {}, added {:?}, removed {:?}, updated {:?}, lost {}",
            outcome.epoch,
            outcome.committer,
            names(&outcome.added),
            names(&outcome.removed),
            names(&outcome.updated),
            change.lost_staged()
        )
    };
    match received {
        Received::Message(message) => format!(
            "{} in {}/{}: {}",
            message.sender(),
            message.epoch(),
            message.generation(),
            String::from_utf8_lossy(message.data())
        ),
        Received::Proposal(event) => {
            format!("{} proposes {:?}", event.sender(), event.proposal().proposal_type())
        }
        Received::Commit(event) => change("commit", event),
        Received::Confirmed(event) => change("confirmed", event),
        Received::Removed(event) => change("removed", event),
        Received::Joined(event) => match (event.welcomer(), event.continued()) {
            (Some(welcomer), None) => format!("joined by {welcomer}"),
            (Some(welcomer), Some(old)) => {
                format!("joined by {welcomer} after {} of {}", old.epoch, old.group_id)
            }
            (None, _) => "joined by a Commit".to_owned(),
        },
        other => format!("{other:?}"),
    }
}
