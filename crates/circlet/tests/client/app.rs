//! An application as the documentation asks for it: after a storage failure it looks at what was
//! durable, and otherwise repeats what it did.

use std::collections::BTreeSet;

use circlet::client::{
    DeliveryId, EpochChange, GroupOptions, Outgoing, OutgoingKind, PendingCommit,
};
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
        self.repeat(|client| client.group(&room()))
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
        let options = || GroupOptions { group_id: Some(room()), ..GroupOptions::default() };
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
        self.repeat(|client| client.group(&room())?.pending_commit())
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
        self.repeat(|client| client.group(&room())?.own_member()).leaf_index
    }

    /// The last message that got out.
    pub(crate) fn last_wire(&self) -> Vec<u8> {
        self.wires.last().unwrap().clone()
    }

    /// What can be seen of the group from outside.
    pub(crate) fn view(&mut self) -> String {
        let view = self.repeat(|client| {
            let group = match client.group(&room()) {
                Ok(group) => group,
                Err(Error::Unready(Unready::UnknownGroup)) => return Ok("not in it".to_owned()),
                Err(error) => return Err(error),
            };
            let members: Vec<String> = group
                .members()?
                .iter()
                .map(|member| format!("{}@{}", member, member.leaf_index.0))
                .collect();
            let (epoch, own) = (group.epoch()?, group.own_member()?);
            let staged = group.pending_commit()?.is_some();
            let status = group.status()?;
            Ok(format!("{own} sees {epoch} {members:?} {status:?} staged={staged}"))
        });
        format!("{}: {view}; heard {:?}", self.name(), self.log)
    }

    pub(crate) fn authenticator(&mut self) -> Option<Vec<u8>> {
        self.repeat(|client| match client.group(&room()) {
            Ok(group) => Ok(Some(group.epoch_authenticator()?.as_bytes().to_vec())),
            Err(Error::Unready(Unready::UnknownGroup)) => Ok(None),
            Err(error) => Err(error),
        })
    }
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
        Received::Joined(event) => format!("joined by {}", event.welcomer().unwrap()),
        other => format!("{other:?}"),
    }
}
