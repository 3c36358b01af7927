//! Two clients on one store, as an application and its notification extension: a stale write is
//! refused, the state is read again and the step repeated.

use std::sync::{Arc, Mutex};

use circlet::client::GroupOptions;
use circlet::codec::{Decode, DecodeContext};
use circlet::group::Grease;
use circlet::message::{GroupId, GroupInfo, MlsMessage};
use circlet::storage::{Batch, Key, MemoryStorage, Prefix, Row, Storage, StorageError};
use circlet::tree::ExtensionType;
use circlet::{Client, Error, Group, Misuse, Received, Unready};

use crate::harness::{Person, agree, client, said, text};

type Hook = Box<dyn FnOnce() + Send>;

/// What a hook waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Write,
    /// The first component of the key.
    Read(&'static str),
}

/// Lets something else happen on the store just before a call.
#[derive(Clone, Default)]
pub(crate) struct Hooked {
    inner: MemoryStorage,
    hook: Arc<Mutex<Option<(Moment, usize, Hook)>>>,
}

impl Hooked {
    pub(crate) fn before(&self, moment: Moment, hook: impl FnOnce() + Send + 'static) {
        self.before_the(1, moment, hook);
    }

    /// Before the moment comes for the so-manieth time.
    pub(crate) fn before_the(
        &self,
        time: usize,
        moment: Moment,
        hook: impl FnOnce() + Send + 'static,
    ) {
        let before = self.hook.lock().unwrap().replace((moment, time, Box::new(hook)));
        assert!(before.is_none());
    }

    pub(crate) fn assert_happened(&self) {
        assert!(self.hook.lock().unwrap().is_none(), "the moment did not come");
    }

    /// Whether the moment did not come; then it is not waited for any more.
    pub(crate) fn cancel(&self) -> bool {
        self.hook.lock().unwrap().take().is_some()
    }

    fn reach(&self, is_it: impl Fn(Moment) -> bool) {
        let hook = self.hook.lock().unwrap().take_if(|(moment, times, _)| {
            *times -= usize::from(is_it(*moment));
            *times == 0
        });
        if let Some((_, _, hook)) = hook {
            hook();
        }
    }

    fn reach_read(&self, bytes: &[u8]) {
        self.reach(|moment| match moment {
            Moment::Write => false,
            Moment::Read(kind) => bytes.starts_with(Prefix::new(&[kind.as_bytes()]).as_bytes()),
        });
    }
}

impl Storage for Hooked {
    fn read(&self, key: &Key) -> Result<Option<Row>, StorageError> {
        self.reach_read(key.as_bytes());
        self.inner.read(key)
    }

    fn scan(&self, prefix: &Prefix) -> Result<Vec<(Key, Row)>, StorageError> {
        self.reach_read(prefix.as_bytes());
        self.inner.scan(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<u64, StorageError> {
        self.reach(|moment| moment == Moment::Write);
        self.inner.apply(batch)
    }
}

/// Alice's application and its extension on one store, and bob, all in a group.
pub(crate) struct Two {
    pub(crate) alice: Person,
    pub(crate) store: Hooked,
    pub(crate) extension: Client,
    /// The application's handle; its store calls can be interrupted.
    pub(crate) app: Group,
    pub(crate) other: Group,
    pub(crate) bob: Group,
}

impl Two {
    pub(crate) fn new() -> Self {
        let store = Hooked::default();
        let opened = store.clone();
        let alice = Person::with_store("alice", 1, move || Box::new(opened.clone()));
        let application = alice.build();
        let inner = store.inner.clone();
        // Without GREASE in a GroupInfo, so that two of one epoch are alike.
        let builder = alice.builder().grease(Grease::Capabilities);
        let extension = builder.storage(inner).open().unwrap();
        let app = application.create_group().unwrap();
        let bob = client("bob", 2);
        let pending = app.invite([bob.key_package().unwrap()]).unwrap();
        let bob = bob.join(pending.confirm().unwrap().welcome()).unwrap();
        let other = extension.group(app.id()).unwrap();
        other.epoch().unwrap();
        Self { alice, store, extension, app, other, bob }
    }

    pub(crate) fn finish(self) {
        agree(&[self.app.clone(), self.other.clone(), self.bob.clone()]);
        for group in [&self.app, &self.other] {
            let wire = group.send("at the end").unwrap();
            assert_eq!(text(self.bob.receive(&wire).unwrap()), said("alice", "at the end"));
        }
        let wire = self.bob.send("to both").unwrap();
        assert_eq!(text(self.other.receive(&wire).unwrap()), said("bob", "to both"));
        assert!(matches!(self.app.receive(&wire), Ok(Received::Duplicate)));
        let unsent = self.extension.unsent().unwrap();
        let wires: Vec<Vec<u8>> = unsent.iter().map(|outgoing| outgoing.to_vec()).collect();
        self.alice.seals.assert_keys_of_visible_differ(&wires);
    }
}

#[test]
fn they_take_turns() {
    let two = Two::new();
    for round in 0..6u32 {
        let group = if round % 2 == 0 { &two.app } else { &two.other };
        let wire = group.send(round.to_string()).unwrap();
        let Received::Message(message) = two.bob.receive(&wire).unwrap() else { panic!() };
        assert_eq!(message.generation(), round);
    }
    let wire = two.bob.send("one").unwrap();
    assert_eq!(text(two.app.receive(&wire).unwrap()), said("bob", "one"));
    assert!(matches!(two.other.receive(&wire), Ok(Received::Duplicate)));

    let pending = two.app.update().unwrap();
    assert!(matches!(two.other.update(), Err(Error::Misuse(Misuse::CommitStaged))));
    two.bob.receive(pending.message()).unwrap();
    let found = two.other.pending_commit().unwrap().unwrap();
    assert_eq!(found.message().as_bytes(), pending.message().as_bytes());
    found.confirm().unwrap();
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitConfirmed))));

    let update = two.bob.propose_update().unwrap();
    assert!(matches!(two.other.receive(&update), Ok(Received::Proposal(_))));
    assert!(matches!(two.app.send("x"), Err(Error::Misuse(Misuse::ProposalsPending))));
    let pending = two.app.update().unwrap();
    two.bob.receive(pending.message()).unwrap();
    // The extension sees the echo of a Commit that it did not make.
    assert!(matches!(two.other.receive(pending.message()), Ok(Received::Confirmed(_))));
    assert!(matches!(two.app.receive(pending.message()), Ok(Received::Own)));
    two.finish();
}

#[test]
fn the_extension_sends_in_between() {
    let two = Two::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    for round in 0..5 {
        let (other, wires) = (two.other.clone(), sent.clone());
        let before = move || wires.lock().unwrap().push(other.send("from there").unwrap().to_vec());
        two.store.before(Moment::Write, before);
        let wire = two.app.send("from here").unwrap().to_vec();
        two.store.assert_happened();
        // What came first has the lower generation.
        let there = sent.lock().unwrap()[round].clone();
        let generations = [there, wire].map(|wire| match two.bob.receive(&wire).unwrap() {
            Received::Message(message) => message.generation() as usize,
            other => panic!("{other:?}"),
        });
        assert_eq!(generations, [2 * round, 2 * round + 1]);
    }
    two.finish();
}

#[test]
fn the_extension_receives_in_between() {
    let two = Two::new();
    let wire = two.bob.send("to one of them").unwrap();
    let (other, same) = (two.other.clone(), wire.clone());
    two.store.before(Moment::Write, move || {
        assert_eq!(text(other.receive(&same).unwrap()), said("bob", "to one of them"));
    });
    assert!(matches!(two.app.receive(&wire), Ok(Received::Duplicate)));
    two.store.assert_happened();
    assert_eq!(two.extension.undelivered().unwrap().len(), 1);

    let commit = two.bob.update().unwrap();
    let (other, same) = (two.other.clone(), commit.message().to_vec());
    two.store.before(Moment::Write, move || {
        assert!(matches!(other.receive(&same), Ok(Received::Commit(_))));
    });
    // The message was made in the epoch that it says; another one takes its place.
    let wire = two.app.send("in the new epoch").unwrap();
    two.store.assert_happened();
    commit.confirm().unwrap();
    assert_eq!(text(two.bob.receive(&wire).unwrap()), said("alice", "in the new epoch"));
    two.finish();
}

#[test]
fn the_extension_commits_in_between() {
    let two = Two::new();
    let other = two.other.clone();
    two.store.before(Moment::Write, move || drop(other.update().unwrap()));
    assert!(matches!(two.app.update(), Err(Error::Misuse(Misuse::CommitStaged))));
    two.store.assert_happened();

    let pending = two.app.pending_commit().unwrap().unwrap();
    let message = pending.message().to_vec();
    let other = two.other.clone();
    two.store.before(Moment::Write, move || {
        other.pending_commit().unwrap().unwrap().confirm().unwrap();
    });
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitConfirmed))));
    two.store.assert_happened();
    two.bob.receive(&message).unwrap();

    let pending = two.app.update().unwrap();
    let echo = pending.message().to_vec();
    let other = two.other.clone();
    two.store.before(Moment::Write, move || {
        other.pending_commit().unwrap().unwrap().discard().unwrap();
        drop(other.update().unwrap());
    });
    // It is another one now, which this handle must not take for its own.
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    two.store.assert_happened();
    assert!(matches!(two.app.receive(&echo), Ok(Received::Discarded)));
    let pending = two.app.pending_commit().unwrap().unwrap();
    two.bob.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    two.finish();
}

#[test]
fn the_extension_learns_of_the_removal_in_between() {
    let two = Two::new();
    let alice = two.app.own_member().unwrap().leaf_index;
    let removal = two.bob.remove(alice).unwrap();
    let other = two.other.clone();
    let message = removal.message().to_vec();
    two.store.before(Moment::Write, move || {
        assert!(matches!(other.receive(&message), Ok(Received::Removed(_))));
    });
    assert!(matches!(two.app.send("x"), Err(Error::Misuse(Misuse::NotMember))));
    two.store.assert_happened();
    removal.confirm().unwrap();

    let application = two.app.client().clone();
    let key_package = two.extension.key_package().unwrap();
    let welcome = two.bob.invite([key_package]).unwrap().confirm().unwrap().welcome();
    let extension = two.extension.clone();
    let same = welcome.clone();
    two.store.before(Moment::Write, move || drop(extension.join(&same).unwrap()));
    let gone = application.join(&welcome).unwrap_err();
    assert!(matches!(gone, Error::Unready(Unready::UnknownKeyPackage)), "{gone:?}");
    two.store.assert_happened();
    two.finish();
}

#[test]
fn one_key_package_brings_into_one_group() {
    let two = Two::new();
    let application = two.app.client().clone();
    let key_package = application.key_package().unwrap();
    let [first, second] = [3, 4].map(|seed| {
        let group = client("carol", seed).create_group().unwrap();
        group.invite([&key_package]).unwrap().confirm().unwrap().welcome()
    });
    let extension = two.extension.clone();
    two.store.before(Moment::Write, move || drop(extension.join(&first).unwrap()));
    // There is no such group: it is the key package that is gone.
    let gone = application.join(&second).unwrap_err();
    assert!(matches!(gone, Error::Unready(Unready::UnknownKeyPackage)), "{gone:?}");
    two.store.assert_happened();
    assert_eq!(application.groups().unwrap().len(), 2);
    two.finish();
}

#[test]
fn one_group_is_created() {
    let two = Two::new();
    let application = two.app.client().clone();
    let options =
        || GroupOptions { group_id: Some(GroupId::new(b"same")), ..GroupOptions::default() };
    let extension = two.extension.clone();
    two.store.before(Moment::Write, move || {
        // Two batches: the application's first one is its own.
        drop(extension.create_group_with(options()).unwrap());
    });
    let exists = application.create_group_with(options()).unwrap_err();
    assert!(matches!(exists, Error::Misuse(Misuse::GroupExists)), "{exists:?}");
    two.store.assert_happened();
    two.finish();
}

/// A state that is read while another writer goes on is read again, and never one half of each.
#[test]
fn a_commit_while_the_state_is_read() {
    let kinds = [
        "head", "epoch", "node", "secret", "ratchet", "past", "former", "skipped", "proposal",
        "staged",
    ];
    for (seed, kind) in kinds.into_iter().enumerate() {
        for use_it in [
            |group: &Group| drop(group.send("x").unwrap()),
            |group: &Group| assert!(group.epoch().unwrap() > 0),
            |group: &Group| drop(group.members().unwrap()),
            |group: &Group| drop(group.epoch_authenticator().unwrap()),
            |group: &Group| drop(group.receive(b"no message").unwrap_err()),
        ] {
            let two = Two::new();
            // The tree grows, and the oldest member's leaf changes.
            let other = two.other.clone();
            let bob = two.bob.clone();
            let carol = client("carol", 10 + seed as u64);
            let fresh = two.alice.open().group(two.app.id()).unwrap();
            two.store.before(Moment::Read(kind), move || {
                let pending = other.invite([carol.key_package().unwrap()]).unwrap();
                bob.receive(pending.message()).unwrap();
                pending.confirm().unwrap();
            });
            use_it(&fresh);
            two.store.assert_happened();
            agree(&[fresh.clone(), two.other.clone()]);
            let wire = fresh.send("whole").unwrap();
            assert_eq!(text(two.bob.receive(&wire).unwrap()), said("alice", "whole"), "{kind}");
            two.finish();
        }
    }
}

#[test]
fn what_is_seen_while_another_writer_goes_on_is_whole() {
    for kind in ["epoch", "node", "secret", "past"] {
        let two = Two::new();
        let (other, bob) = (two.other.clone(), two.bob.clone());
        let carol = client("carol", 20);
        let fresh = two.alice.builder().grease(Grease::Capabilities).open().unwrap();
        let fresh = fresh.group(two.app.id()).unwrap();
        two.store.before(Moment::Read(kind), move || {
            let pending = other.invite([carol.key_package().unwrap()]).unwrap();
            bob.receive(pending.message()).unwrap();
            pending.confirm().unwrap();
        });
        // One look: what it shows is of one epoch.
        let info = group_info(&fresh);
        two.store.assert_happened();
        let expected = group_info(&two.other);
        assert_eq!(info.group_context, expected.group_context, "{kind}");
        assert_eq!(info.confirmation_tag, expected.confirmation_tag, "{kind}");
        let tree = |info: &GroupInfo| {
            let tree = info.extensions.find(ExtensionType::RATCHET_TREE);
            tree.map(<[u8]>::to_vec).unwrap()
        };
        assert_eq!(tree(&info), tree(&expected), "{kind}");
        two.finish();
    }
}

fn group_info(group: &Group) -> GroupInfo {
    let bytes = group.group_info(circlet::group::GroupInfoOptions::default()).unwrap();
    match MlsMessage::from_bytes(&bytes, &DecodeContext::default()).unwrap() {
        MlsMessage::GroupInfo(info) => info,
        other => panic!("{other:?}"),
    }
}
