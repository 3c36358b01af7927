//! What a delivery service does, and what members do with it: it orders Commits, two members race
//! for an epoch, and everybody is restarted while they wait for its word.
//!
//! `cargo run --release --example delivery_service`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use circlet::client::{Outgoing, OutgoingKind};
use circlet::codec::{Decode, DecodeContext};
use circlet::message::{ContentType, MlsMessage};
use circlet::storage::FileStorage;
use circlet::{Client, Group, Received};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut service = Service::default();
    println!("\n  Circlet: members and their delivery service (MLS, RFC 9420)\n");

    heading("Four people leave key packages with the service, and Alice invites two of them");
    let names = ["alice", "bob", "carol", "dave"];
    let people = names.map(|name| Person::create(name, folder.path(), &mut service));
    let [alice, bob, carol, dave] = people;
    let mut people = [alice?, bob?, carol?, dave?];
    people[0].client.create_group()?;
    people[0].invite(&["bob", "carol"], &mut service)?;
    people[0].submit(&mut service)?;
    settle(&mut people, &mut service)?;

    heading("In one epoch, Bob renews his keys and Carol invites Dave: both have staged a Commit");
    drop(people[1].group()?.update()?);
    people[2].invite(&["dave"], &mut service)?;

    heading("Everybody is restarted from disk; what was staged is among what is unsent");
    let mut people = restart(people)?;
    people[1].submit(&mut service)?;
    people[2].submit(&mut service)?;

    heading("All fetch what the service has; whoever lost does it again, in the next epoch");
    settle(&mut people, &mut service)?;
    if people[2].group()?.pending_commit()?.is_some() {
        return Err("Carol should have lost".into());
    }
    people[2].invite(&["dave"], &mut service)?;
    people[2].submit(&mut service)?;

    heading("Carol is restarted before she hears that her Commit was accepted");
    let mut people = restart(people)?;
    settle(&mut people, &mut service)?;

    heading("All four talk");
    let wire = people[3].group()?.send("Thanks for having me.")?;
    people[3].hand_in(&wire, &mut service)?;
    settle(&mut people, &mut service)?;
    let first = people[0].group()?.epoch_authenticator()?;
    for person in &people {
        let group = person.group()?;
        if group.epoch_authenticator()? != first || group.members()?.len() != 4 {
            return Err(format!("{} is left behind", person.name).into());
        }
    }
    println!("\n  All went well.\n");
    Ok(())
}

/// A delivery service for one group, in memory. It sees no more than it needs: of handshakes their
/// epoch, of Welcomes for whom they are.
#[derive(Default)]
struct Service {
    /// Key packages by the name that they are asked for, each for one use.
    key_packages: BTreeMap<String, Vec<Vec<u8>>>,
    /// Messages to the group, in the one order that all members see.
    log: Vec<Vec<u8>>,
    /// The epoch that no Commit has ended yet.
    epoch: u64,
    /// Welcomes by the name of who is to have them.
    welcomes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Service {
    /// Takes a message to the group; of the Commits of an epoch only the first. Whoever can't tell
    /// whether a message came through hands it in again: the same one is accepted again.
    fn accept(&mut self, message: &[u8]) -> Outcome<bool> {
        if self.log.iter().any(|known| known == message) {
            return Ok(true);
        }
        let MlsMessage::Private(content) =
            MlsMessage::from_bytes(message, &DecodeContext::default())?
        else {
            return Err("only encrypted messages are accepted".into());
        };
        if content.content_type == ContentType::Commit {
            if content.epoch != self.epoch {
                return Ok(false);
            }
            self.epoch += 1;
        }
        self.log.push(message.to_vec());
        Ok(true)
    }

    /// Puts a Welcome where each new member looks for it.
    fn deliver(&mut self, welcome: &Outgoing) {
        for recipient in welcome.recipients() {
            let Some(credential) = &recipient.credential else { continue };
            note(&format!("the service has a Welcome for {credential}"));
            self.welcomes.entry(credential.to_string()).or_default().push(welcome.to_vec());
        }
    }
}

/// A person with a client on disk.
struct Person {
    name: &'static str,
    store: PathBuf,
    client: Client,
    /// How much of the service's log was taken. An application keeps that with its own data; one
    /// that is too low does no harm.
    seen: usize,
}

impl Person {
    fn create(name: &'static str, folder: &Path, service: &mut Service) -> Outcome<Self> {
        let store = folder.join(format!("{name}.circlet"));
        let client = Client::builder(name).storage(FileStorage::open(&store)?).build()?;
        for _ in 0..2 {
            let key_packages = service.key_packages.entry(name.to_owned()).or_default();
            key_packages.push(client.key_package()?);
        }
        Ok(Self { name, store, client, seen: 0 })
    }

    /// The store lets one client in at a time: the old one is gone before.
    fn restart(self) -> Outcome<Self> {
        let Self { name, store, client, seen } = self;
        drop(client);
        let client = Client::builder(name).storage(FileStorage::open(&store)?).open()?;
        Ok(Self { name, store, client, seen })
    }

    fn group(&self) -> Outcome<Group> {
        Ok(self.client.groups()?.into_iter().next().ok_or("not in the group")?)
    }

    /// Stages a Commit. It is kept, so that it need not be remembered here.
    fn invite(&self, names: &[&str], service: &mut Service) -> Outcome {
        let mut key_packages = Vec::new();
        for name in names {
            let found = service.key_packages.get_mut(*name).and_then(Vec::pop);
            key_packages.push(found.ok_or("no key package is left")?);
        }
        drop(self.group()?.invite(key_packages)?);
        Ok(())
    }

    /// Hands in everything that has not been acknowledged, such as after a restart.
    fn submit(&self, service: &mut Service) -> Outcome {
        for message in self.client.unsent()? {
            self.hand_in(&message, service)?;
        }
        Ok(())
    }

    fn hand_in(&self, message: &Outgoing, service: &mut Service) -> Outcome {
        if message.kind() == OutgoingKind::Welcome {
            service.deliver(message);
            self.client.acknowledge(message.id())?;
            return Ok(());
        }
        let accepted = service.accept(message)?;
        let (name, kind, epoch) = (self.name, message.kind(), message.epoch());
        let verdict = if accepted { "accepted" } else { "refused" };
        note(&format!("{name} hands in: {kind:?} of epoch {epoch}, {verdict}"));
        // A Commit that was accepted is confirmed when it comes back, and one that was refused is
        // dropped with the Commit that was first.
        if accepted && message.kind() != OutgoingKind::Commit {
            self.client.acknowledge(message.id())?;
        }
        Ok(())
    }

    /// Takes what the service has for this person.
    fn fetch(&mut self, service: &mut Service) -> Outcome {
        for welcome in service.welcomes.remove(self.name).unwrap_or_default() {
            self.take(&welcome)?;
            // What was before is not for new members.
            self.seen = service.log.len();
        }
        if self.client.groups()?.is_empty() {
            return Ok(());
        }
        while let Some(message) = service.log.get(self.seen) {
            self.take(message)?;
            self.seen += 1;
        }
        // Confirmed Commits have brought forth Welcomes.
        let welcome = |message: &Outgoing| message.kind() == OutgoingKind::Welcome;
        for message in self.client.unsent()?.iter().filter(|message| welcome(message)) {
            self.hand_in(message, service)?;
        }
        Ok(())
    }

    fn take(&self, message: &[u8]) -> Outcome {
        let received = self.client.receive(message)?;
        let name = self.name;
        match &received {
            Received::Message(message) => {
                let text = String::from_utf8_lossy(message.data());
                note(&format!("{name} reads «{text}», from {}", message.sender()));
            }
            Received::Commit(change) => {
                let (epoch, committer) = (change.outcome().epoch, &change.outcome().committer);
                let lost = if change.lost_staged() { ", and lost a Commit of its own" } else { "" };
                note(&format!("{name} enters epoch {epoch} with {committer}{lost}"));
            }
            Received::Confirmed(change) => {
                note(&format!("{name} enters epoch {} as it asked for", change.outcome().epoch));
            }
            Received::Joined(_) => note(&format!("{name} joins")),
            // One's own message, or one that came twice.
            Received::Own | Received::Duplicate | Received::Late { .. } => {}
            other => return Err(format!("{name} did not expect {other:?}").into()),
        }
        // The application has it now: it need not come again after a restart.
        if let Some(id) = received.id() {
            self.client.acknowledge(id)?;
        }
        Ok(())
    }
}

/// Everybody fetches, twice: the second time what came of the first.
fn settle(people: &mut [Person; 4], service: &mut Service) -> Outcome {
    for _ in 0..2 {
        for person in people.iter_mut() {
            person.fetch(service)?;
        }
    }
    Ok(())
}

fn restart(people: [Person; 4]) -> Outcome<[Person; 4]> {
    let [alice, bob, carol, dave] = people.map(Person::restart);
    Ok([alice?, bob?, carol?, dave?])
}

fn heading(text: &str) {
    println!("\n  ■ {text}");
}

fn note(text: &str) {
    println!("    · {text}");
}
