//! Two clients on one store: joins without a Welcome, new signature keys and groups that continue
//! others, where the one goes between the other's steps.

use circlet::client::ReInitOptions;
use circlet::group::{GroupInfoOptions, LeafChange};
use circlet::message::GroupId;
use circlet::{Client, Error, Group, Misuse, Received, Unready};

use crate::harness::{agree, client, said, text};
use crate::shared::{Moment, Two};

fn group_info(group: &Group) -> Vec<u8> {
    group.group_info(GroupInfoOptions::default()).unwrap()
}

fn is_gone<T>(confirmed: Result<T, Error>) -> bool {
    matches!(confirmed, Err(Error::Misuse(Misuse::JoinGone)))
}

/// Carol, in whose group alice is not.
fn carols_group() -> (Client, Group) {
    let carol = client("carol", 30);
    let group = carol.create_group().unwrap();
    (carol, group)
}

impl Two {
    fn application(&self) -> Client {
        self.app.client().clone()
    }
}

#[test]
fn one_of_them_stages_a_join() {
    let two = Two::new();
    let (_carol, group) = carols_group();
    let info = group_info(&group);
    let (extension, same) = (two.extension.clone(), info.clone());
    two.store.before(Moment::Write, move || drop(extension.external_join(&same).stage().unwrap()));
    let staged = two.application().external_join(&info).stage();
    assert!(matches!(staged, Err(Error::Misuse(Misuse::JoinStaged))));
    two.store.assert_happened();

    // Both see it, and either confirms it.
    let pending = two.application().pending_joins().unwrap().remove(0);
    let same = two.extension.pending_joins().unwrap().remove(0);
    assert_eq!(pending.message(), same.message());
    group.receive(pending.message()).unwrap();
    two.store.before(Moment::Write, move || drop(same.confirm().unwrap()));
    assert!(is_gone(pending.confirm()));
    two.store.assert_happened();
    let joined = [&two.application(), &two.extension].map(|one| one.group(group.id()).unwrap());
    agree(&[group, joined[0].clone(), joined[1].clone()]);
    two.finish();
}

/// Of a Welcome and an external Commit, one brings the client into the group.
#[test]
fn a_welcome_comes_before_a_join_is_staged() {
    let two = Two::new();
    let (_carol, group) = carols_group();
    let info = group_info(&group);
    let key_package = two.extension.key_package().unwrap();
    let (extension, inviting) = (two.extension.clone(), group.clone());
    two.store.before(Moment::Write, move || {
        let welcome = inviting.invite([key_package]).unwrap().confirm().unwrap().welcome();
        extension.join(&welcome).unwrap();
    });
    let staged = two.application().external_join(&info).stage();
    assert!(matches!(staged, Err(Error::Misuse(Misuse::GroupExists))), "{staged:?}");
    two.store.assert_happened();
    assert_eq!(two.alice.rows("joining"), 0);
    agree(&[group.clone(), two.application().group(group.id()).unwrap()]);
    two.finish();
}

/// The echo comes to the one while the other confirms.
#[test]
fn the_echo_comes_in_between() {
    let two = Two::new();
    let (_carol, group) = carols_group();
    let pending = two.application().external_join(group_info(&group)).stage().unwrap();
    let message = pending.message().to_vec();
    group.receive(&message).unwrap();
    let (extension, echo) = (two.extension.clone(), message.clone());
    two.store.before(Moment::Write, move || {
        assert!(matches!(extension.receive(&echo), Ok(Received::Joined(_))));
    });
    assert!(is_gone(pending.confirm()));
    two.store.assert_happened();
    assert!(matches!(two.application().receive(&message), Ok(Received::Own)));
    assert_eq!(two.extension.undelivered().unwrap().len(), 1);
    agree(&[group.clone(), two.application().group(group.id()).unwrap()]);
    two.finish();
}

#[test]
fn a_join_is_discarded_in_between() {
    let two = Two::new();
    let (_carol, group) = carols_group();
    let pending = two.application().external_join(group_info(&group)).stage().unwrap();
    let same = two.extension.pending_joins().unwrap().remove(0);
    two.store.before(Moment::Write, move || same.discard().unwrap());
    assert!(is_gone(pending.confirm()));
    two.store.assert_happened();
    assert!(two.application().group(group.id()).is_err());
    two.finish();
}

/// The old state is used up to the last moment; what was sent from it is not sent again.
#[test]
fn the_extension_sends_while_the_application_comes_back() {
    let two = Two::new();
    let info = group_info(&two.bob);
    let pending = two.application().external_join(&info).rejoin().stage().unwrap();
    let (other, bob) = (two.other.clone(), two.bob.clone());
    two.store.before(Moment::Write, move || {
        let wire = other.send("from the old state").unwrap();
        assert_eq!(text(bob.receive(&wire).unwrap()), said("alice", "from the old state"));
    });
    let message = pending.message().to_vec();
    let app = pending.confirm().unwrap();
    two.store.assert_happened();
    assert!(matches!(two.bob.receive(&message), Ok(Received::Commit(_))));
    agree(&[app, two.other.clone(), two.bob.clone()]);
    two.finish();
}

/// What this client reads of each row kind while it does something, up to a bound, and its write.
fn moments() -> impl Iterator<Item = (usize, Moment)> {
    let kinds = ["joining", "head", "key-package", "epoch"];
    let reads = kinds.into_iter().flat_map(|kind| (1..6).map(move |time| (time, kind)));
    reads.map(|(time, kind)| (time, Moment::Read(kind))).chain([(1, Moment::Write)])
}

/// A Commit that the extension takes at any moment of the confirming is not taken back by it.
#[test]
fn the_extension_goes_on_while_the_application_comes_back() {
    let mut came = 0;
    for (time, moment) in moments() {
        let two = Two::new();
        let info = group_info(&two.bob);
        let pending = two.application().external_join(&info).rejoin().stage().unwrap();
        let (other, bob) = (two.other.clone(), two.bob.clone());
        two.store.before_the(time, moment, move || {
            let commit = bob.update().unwrap();
            assert!(matches!(other.receive(commit.message()), Ok(Received::Commit(_))));
            commit.confirm().unwrap();
        });
        let confirmed = pending.confirm();
        if two.store.cancel() {
            assert!(confirmed.is_ok());
            continue;
        }
        came += 1;
        assert!(is_gone(confirmed), "{time} {moment:?}");
        assert_eq!(two.alice.rows("joining"), 0);
        two.finish();
    }
    assert!(came >= 3, "{came}");
}

/// A Welcome to a key package of last resort that the extension has joined by, used and left does
/// not bring the used keys back, at whatever moment that was.
#[test]
fn a_last_resort_is_used_in_between() {
    let mut came = 0;
    for (time, moment) in moments() {
        let two = Two::new();
        let (_carol, group) = carols_group();
        let key_package = two.extension.last_resort_key_package().unwrap();
        let welcome = group.invite([key_package]).unwrap().confirm().unwrap().welcome();
        let (extension, same) = (two.extension.clone(), welcome.clone());
        two.store.before_the(time, moment, move || {
            let joined = extension.join(&same).unwrap();
            joined.send("used").unwrap();
            joined.forget().unwrap();
        });
        let joined = two.application().join(&welcome).map(drop);
        if two.store.cancel() {
            joined.unwrap();
            continue;
        }
        came += 1;
        let forgotten = matches!(joined, Err(Error::Unready(Unready::ForgottenEpoch { .. })));
        assert!(forgotten, "{time} {moment:?}: {joined:?}");
        two.finish();
    }
    assert!(came >= 3, "{came}");
}

/// Of two Commits with new signature keys one is staged, and the other's key goes nowhere.
#[test]
fn both_stage_a_new_signature_key() {
    let two = Two::new();
    let key = |group: &Group| group.own_member().unwrap().signature_key;
    let first = key(&two.app);
    let other = two.other.clone();
    two.store.before(Moment::Write, move || {
        drop(other.commit().new_signature_key().stage().unwrap());
    });
    let staged = two.app.commit().new_signature_key().stage();
    assert!(matches!(staged, Err(Error::Misuse(Misuse::CommitStaged))));
    two.store.assert_happened();
    assert_eq!(two.alice.rows("signer"), 1);

    // Discarded by the one and made anew, while the other would confirm.
    let pending = two.app.pending_commit().unwrap().unwrap();
    let other = two.other.clone();
    two.store.before(Moment::Write, move || {
        other.pending_commit().unwrap().unwrap().discard().unwrap();
        drop(other.commit().new_signature_key().stage().unwrap());
    });
    assert!(matches!(pending.confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    two.store.assert_happened();
    assert_eq!(two.alice.rows("signer"), 1);
    let pending = two.app.pending_commit().unwrap().unwrap();
    two.bob.receive(pending.message()).unwrap();
    // The other one signs with the key that is in the store, old or new.
    let wire = two.other.send("old key").unwrap();
    pending.confirm().unwrap();
    assert_eq!(text(two.bob.receive(&wire).unwrap()), said("alice", "old key"));
    assert!(key(&two.other) != first && key(&two.other) == key(&two.app));
    two.finish();
}

/// An Update with a new key by the one; the other confirms its Commit without it, or takes somebody's
/// Commit with it.
#[test]
fn a_new_signature_key_is_proposed_in_between() {
    for taken in [false, true] {
        let two = Two::new();
        let pending = (!taken).then(|| two.app.update().unwrap());
        let update = two.other.propose_leaf(LeafChange::default(), true).unwrap();
        assert_eq!(two.alice.rows("signer"), 1);
        two.bob.receive(&update).unwrap();
        match pending {
            Some(pending) => {
                two.bob.receive(pending.message()).unwrap();
                pending.confirm().unwrap();
            }
            None => {
                let commit = two.bob.update().unwrap();
                let (other, same) = (two.other.clone(), commit.message().to_vec());
                two.store.before(Moment::Write, move || drop(other.receive(&same).unwrap()));
                let received = two.app.receive(commit.message()).unwrap();
                assert!(!matches!(received, Received::Commit(_)), "{received:?}");
                two.store.assert_happened();
                commit.confirm().unwrap();
            }
        }
        assert_eq!(two.alice.rows("signer"), usize::from(taken));
        two.finish();
    }
}

#[test]
fn one_of_them_makes_the_new_group() {
    let two = Two::new();
    let id = GroupId::new(b"next");
    let options = ReInitOptions { group_id: Some(id.clone()), ..ReInitOptions::default() };
    let pending = two.app.commit().reinit(options).stage().unwrap();
    two.bob.receive(pending.message()).unwrap();
    pending.confirm().unwrap();
    let bobs = two.bob.client().clone();
    let key_packages = [(); 2].map(|()| bobs.key_package().unwrap());
    let [first, second] = key_packages;
    let other = two.other.clone();
    two.store.before(Moment::Write, move || drop(other.reinitialize([first]).unwrap()));
    let exists = two.app.reinitialize([second]);
    assert!(matches!(exists, Err(Error::Misuse(Misuse::GroupExists))), "{exists:?}");
    two.store.assert_happened();

    let unsent = two.application().unsent().unwrap();
    let welcome: Vec<_> = unsent.iter().filter(|out| *out.id().group_id() == id).collect();
    assert_eq!(welcome.len(), 1);
    let bobs = bobs.join(welcome[0]).unwrap();
    let joined = [&two.application(), &two.extension].map(|one| one.group(&id).unwrap());
    agree(&[bobs, joined[0].clone(), joined[1].clone()]);
}

/// A branch is of the epoch that the group was in when it was begun.
#[test]
fn the_group_goes_on_while_a_branch_is_made() {
    let two = Two::new();
    let bobs = two.bob.client().clone();
    let key_package = bobs.key_package().unwrap();
    let (other, bob) = (two.other.clone(), two.bob.clone());
    two.store.before(Moment::Write, move || {
        let commit = bob.update().unwrap();
        other.receive(commit.message()).unwrap();
        commit.confirm().unwrap();
    });
    let branch = two.app.branch(GroupId::new(b"branch"), [key_package]).unwrap();
    two.store.assert_happened();
    let bobs = bobs.join(branch.welcome().unwrap()).unwrap();
    let others = two.extension.group(bobs.id()).unwrap();
    agree(&[bobs, branch.group().clone(), others]);
    two.finish();
}
