//! What the insider makes without a change is accepted.

use crate::crypto::CipherSuite;
use crate::error::Error;
use crate::message::Proposal;
use crate::testing::{Heard, TestGroup};

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

#[test]
fn application_data_and_proposals() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut insider = group.insider(1)?;
    for data in [b"one", b"two"] {
        let message = insider.application(data)?.padding(&[0; 7]).private()?;
        for heard in group.broadcast(1, &message)? {
            assert!(matches!(heard, Heard::Message(message) if message.data == data));
        }
    }
    let update = insider.update().proposal()?;
    let private = insider.proposal(update.clone())?.private()?;
    let public = insider.proposal(update)?.public()?;
    for message in [private, public] {
        for heard in group.broadcast(1, &message)? {
            assert!(matches!(heard, Heard::Proposal(_)));
        }
    }
    Ok(())
}

/// Commits in both framings, with a path and without, with a newcomer that joins.
#[test]
fn commits_and_welcomes() -> Result<(), Error> {
    for (private, path) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut group = TestGroup::new(SUITE, 5)?;
        group.remove(0, 2)?;
        let mut newcomer = group.newcomer("new")?;
        let add = Proposal::Add(newcomer.key_package()?);
        let mut insider = group.insider(1)?;
        let mut commit = insider.commit().proposals([add]);
        if !path {
            commit = commit.without_path();
        }
        let mut commit = if private { commit.private()? } else { commit.public()? };
        group.broadcast(1, &commit)?;
        newcomer.join(commit.welcome().build()?)?;
        group.members[1].enter(commit.next.into_state()?);
        group.members.push(newcomer);
        group.agree();
        for i in [0, 1, 3, 4, 5] {
            group.send(i, b"hello")?;
            group.update(i)?;
        }
    }
    Ok(())
}

#[test]
fn commits_by_reference() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 4)?;
    group.propose(2, None)?;
    group.propose(0, Proposal::Remove(group.members[3].leaf()))?;
    let mut insider = group.insider(1)?;
    let commit = insider.commit().waiting().private()?;
    group.broadcast(1, &commit)?;
    group.members[1].enter(commit.next.into_state()?);
    group.agree();
    group.update(2)?;
    Ok(())
}
