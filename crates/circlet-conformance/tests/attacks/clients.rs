//! Attacks 17, 19, 20 and 21: races, key packages, exhaustion, and what is printed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use circlet::codec::{DecodeContext, DecodeError, Encode, Limits};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CryptoError, HpkeKeyPair, KdfId, KemId, Rng, Secret};
use circlet::group::{ByReference, CommitRequest, Policy};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::storage::MemoryStorage;
use circlet::testing::{
    FixedClock, Heard, Hooks, NOW, SeededRng, Spying, TestGroup, TestMember, clients, dump,
    extensions_unchecked,
};
use circlet::tree::{Extension, ExtensionType, Extensions, LeafIndex, Lifetime};
use circlet::{Client, Error, Misuse, Received, Refused, Unready};

use crate::support::{SUITE, seal_spy, violation};

/// Two Commits for one epoch: the delivery service takes one. Whoever has its own one staged loses
/// it, also if the other removes it or comes from outside, nothing is confirmed twice, and the key of
/// a Commit that was discarded is not used again.
///
/// V-9.1-01, V-9.2-01, V-12.4.2-17, V-14.0-01, V-14.0-05.
#[test]
fn attack_17_commit_races() -> Result<(), Error> {
    let test = clients(SUITE, 3)?;
    let [zero, one, two] = &test.groups[..] else { panic!() };
    // Two at once.
    let (mine, theirs) = (zero.update()?, one.update()?);
    assert!(matches!(zero.update(), Err(Error::Misuse(Misuse::CommitStaged))));
    let Received::Commit(change) = zero.receive(theirs.message())? else { panic!() };
    assert!(change.lost_staged());
    two.receive(theirs.message())?;
    assert!(matches!(one.receive(theirs.message())?, Received::Confirmed(_)));
    assert!(matches!(mine.clone().confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    assert!(matches!(theirs.confirm(), Err(Error::Misuse(Misuse::CommitConfirmed))));
    assert!(matches!(one.receive(mine.message())?, Received::Late { .. }));
    assert!(matches!(zero.receive(mine.message())?, Received::Late { .. }));
    assert_eq!(zero.epoch_authenticator()?, two.epoch_authenticator()?);
    // Discarded, then carried all the same.
    let (discarded, kept) = (one.update()?, zero.update()?);
    let carried = discarded.message().clone();
    discarded.discard()?;
    assert!(matches!(one.receive(&carried)?, Received::Discarded));
    one.receive(kept.message())?;
    two.receive(kept.message())?;
    kept.confirm()?;
    // Removed while a Commit is staged.
    let pending = two.update()?;
    let removal = zero.remove(two.own_member()?.leaf_index)?;
    assert!(matches!(two.receive(removal.message())?, Received::Removed(_)));
    one.receive(removal.message())?;
    removal.confirm()?;
    let error = pending.confirm().unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::NotMember)), "{error:?}");
    one.receive(&zero.send(b"still here")?)?;
    an_external_commit_while_another_is_staged()?;
    interleavings()
}

fn an_external_commit_while_another_is_staged() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut joiner = group.newcomer("new")?;
    let info = group.insider(1)?.group_info().external_pub().build()?;
    let staged = joiner.external_join(info, None, Vec::new())?;
    group.members[0].stage(CommitRequest::default())?;
    let outside = staged.message().to_vec();
    group.members.push(joiner);
    for member in &mut group.members[..3] {
        assert!(matches!(member.receive(&outside)?, Heard::Commit(_)));
    }
    assert!(matches!(group.members[0].confirm(), Err(Error::Misuse(Misuse::CommitGone))));
    group.members[3].enter(staged.confirm());
    group.agree();
    group.update(0)?;
    Ok(())
}

/// Random rounds: whoever wants to commits, some think better of it, one is first.
fn interleavings() -> Result<(), Error> {
    let spy = seal_spy();
    let mut group = TestGroup::builder(SUITE).size(4).provider(spy.clone()).build()?;
    let mut rng = SeededRng::new(17);
    for round in 0..40 {
        let mut choices = [0; 8];
        rng.fill(&mut choices).unwrap();
        let mut staged = Vec::new();
        for (i, choice) in choices[..4].iter().enumerate() {
            for _ in 0..choice % 3 {
                let request = group.request(i)?;
                staged.push((i, group.members[i].stage(request)?));
            }
            if choice % 5 == 0 {
                group.members[i].staged = None;
                staged.retain(|(by, _)| *by != i);
            }
            let hello = group.members[i].send(b"meanwhile")?;
            group.broadcast(i, &hello)?;
        }
        // Only the last that a member has staged can still be confirmed.
        let last = |(by, message): &(usize, Vec<u8>)| {
            staged.iter().rev().find(|(other, _)| other == by).map(|(_, it)| it) == Some(message)
        };
        let candidates: Vec<_> = staged.iter().filter(|it| last(it)).collect();
        let Some((winner, message)) =
            candidates.get(choices[5] as usize % candidates.len().max(1)).copied()
        else {
            continue;
        };
        group.broadcast(*winner, message)?;
        group.members[*winner].confirm()?;
        for (loser, late) in staged.iter().filter(|(by, _)| by != winner) {
            if group.members[*loser].staged.is_some() {
                let error = group.members[*loser].confirm().unwrap_err();
                assert!(matches!(error, Error::Misuse(Misuse::CommitGone)), "{round}");
            }
            // What would be made for a check that the winner goes on, and not sent, would be under
            // keys that are used again. The next round's Commit is genuine.
            let error = group.members[*winner].refuses(late);
            assert!(matches!(error, Error::Unready(Unready::LateHandshake { .. })), "{round}");
        }
        group.agree();
    }
    assert!(spy.hooks().assert_keys_differ() > 300);
    Ok(())
}

/// A key package is for one group and for some time. A Welcome that is given twice, or a second one
/// for the same key package, lets nobody in a second time; lifetimes that are over, too long or
/// overflow are refused by who adds and by who receives; what a Welcome that fails has used is still
/// there. A key package of last resort may be used again.
///
/// V-7.2-09, V-7.3-07, V-7.3-08, V-10.0-01.
#[test]
fn attack_19_key_package_reuse() -> Result<(), Error> {
    let (store, clock) = (MemoryStorage::new(), FixedClock::default());
    let bob = Client::builder("bob").cipher_suite(SUITE).storage(store.clone());
    let bob = bob.rng(SeededRng::new(1)).clock(clock.clone()).build()?;
    let test = clients(SUITE, 2)?;
    let inviting = |from: usize, key_package: &[u8]| -> Result<Vec<u8>, Error> {
        let group = test.clients[from].create_group()?;
        Ok(group.invite([key_package])?.confirm()?.welcome().as_bytes().to_vec())
    };
    let key_package = bob.key_package()?;
    let welcomes = [inviting(0, &key_package)?, inviting(1, &key_package)?];
    let before = dump(&store)?;
    for place in (30..welcomes[0].len()).step_by(37) {
        let mut broken = welcomes[0].clone();
        broken[place] ^= 1;
        let error = bob.join(&broken).unwrap_err();
        // Whom it is for ends there.
        match place < 41 {
            true => assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage))),
            false => assert_eq!(violation(error), Violation::WelcomeDecryption, "{place}"),
        }
    }
    assert!(dump(&store)? == before);
    bob.join(&welcomes[0])?;
    let after = dump(&store)?;
    assert!(before.keys().any(|key| !after.contains_key(key)), "the init key is still there");
    for again in &welcomes {
        let error = bob.join(again).unwrap_err();
        assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");
    }
    assert!(dump(&store)? == after);
    let last = bob.last_resort_key_package()?;
    bob.join(&inviting(0, &last)?)?;
    bob.join(&inviting(1, &last)?)?;
    assert_eq!(bob.groups()?.len(), 3);
    lifetimes()
}

fn lifetimes() -> Result<(), Error> {
    let longest = Policy::default().total_lifetime;
    let of = |not_before, not_after| Lifetime { not_before, not_after };
    for (lifetime, expected) in [
        (of(NOW - 9, NOW - 1), Some(Violation::Lifetime)),
        (of(NOW + 1, NOW + 2), Some(Violation::Lifetime)),
        (of(NOW + 1, NOW), Some(Violation::LifetimeInverted)),
        (of(u64::MAX, 0), Some(Violation::LifetimeInverted)),
        (of(0, u64::MAX), None),
        (of(NOW, u64::MAX), None),
        (of(NOW, NOW + longest + 1), None),
    ] {
        let mut group = TestGroup::new(SUITE, 2)?;
        let mut newcomer = group.newcomer("new")?;
        newcomer.template.lifetime = lifetime;
        let forged = newcomer.forge_key_package().build()?;
        let mut insider = group.insider(1)?;
        let commit = insider.commit().proposals([Proposal::Add(forged.clone())]).private()?;
        let received = group.refuses(0, commit);
        let request = group.request(0)?;
        let request = CommitRequest { by_value: vec![Proposal::Add(forged)], ..request };
        let sent = group.members[0].stage(request).unwrap_err();
        for error in [received, sent] {
            match expected {
                Some(expected) => assert_eq!(violation(error), expected, "{lifetime:?}"),
                None => assert!(
                    matches!(error, Error::Refused(Refused::TotalLifetime(limit)) if limit == longest),
                    "{lifetime:?}: {error:?}"
                ),
            }
        }
    }
    Ok(())
}

/// A member that keeps every rule and sends without end: proposals that wait, messages far ahead of
/// which the keys between are kept, keys to inject, lists. Each has a limit, which is an error and no
/// loss for others, and the memory that is held stays within it.
///
/// V-12.1-02.
#[test]
fn attack_20_resource_exhaustion() -> Result<(), Error> {
    let limits = Limits {
        cached_proposals: 20,
        cached_proposals_per_sender: 8,
        cached_proposal_bytes: 4_096,
        psks: 4,
        extensions: 16,
        generation_jump: 1_000,
        skipped_keys_per_sender: 50,
        skipped_keys: 80,
        leaves: 8,
        message_bytes: 64 * 1024,
        ..Limits::default()
    };
    let context = DecodeContext { limits, ..DecodeContext::default() };
    let mut group = TestGroup::builder(SUITE).size(4).context(context).build()?;
    proposals_that_wait(&mut group)?;

    let mut insider = group.insider(1)?;
    insider.psks.external.insert(b"psk".to_vec(), Secret::new(&[1; 32]));
    let psks = (0..5).map(|nonce| {
        let psk = Psk::External { psk_id: b"psk".to_vec() };
        Proposal::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![nonce; 32] })
    });
    let error = group.refuses(0, insider.commit().proposals(psks).private()?);
    assert!(matches!(error, Error::Refused(Refused::Psks(4))), "{error:?}");

    let many = (0..17).map(|number| Extension {
        extension_type: ExtensionType(0xF000 + number),
        data: Vec::new(),
    });
    let many = Proposal::GroupContextExtensions(extensions_unchecked(many.collect()));
    let error = group.refuses(0, insider.commit().proposals([many]).private()?);
    assert!(matches!(error, Error::Malformed(DecodeError::TooMany { .. })), "{error:?}");
    let data = vec![0; 70_000];
    let giant = Extension { extension_type: ExtensionType(0xF000), data };
    let giant = Proposal::GroupContextExtensions(Extensions::from_iter([giant]));
    let commit = insider.commit().proposals([giant]).private()?;
    let error = group.refuses(0, commit);
    assert!(matches!(error, Error::Malformed(DecodeError::MessageTooLong { .. })), "{error:?}");

    let mut adds = Vec::new();
    for number in 0..5 {
        let mut newcomer = group.newcomer(&format!("n{number}"))?;
        adds.push(Proposal::Add(newcomer.key_package()?));
    }
    let commit = insider.commit().proposals(adds).private()?;
    let error = group.refuses(0, commit);
    assert!(matches!(error, Error::Refused(Refused::Leaves(8))), "{error:?}");
    group.update(2)?;
    keys_that_are_skipped(&mut group)
}

/// Of one member at most so many; the others' have room.
fn proposals_that_wait(group: &mut TestGroup) -> Result<(), Error> {
    let mut insider = group.insider(1)?;
    let member = &mut group.members[0];
    let mut held = 0;
    for number in 0..200_u32 {
        let data = number.to_be_bytes();
        let sent = insider.proposal(Proposal::Remove(LeafIndex(3)))?.authenticated_data(data);
        let sent = sent.public()?;
        match number {
            0..8 => drop(member.receive(&sent)?),
            8 => assert!(matches!(member.refuses(&sent), Error::Refused(Refused::CachedProposals))),
            _ => {
                let measured = allocation_counter::measure(|| {
                    assert!(matches!(
                        member.receive(&sent),
                        Err(Error::Refused(Refused::CachedProposals))
                    ));
                });
                held += measured.bytes_current;
            }
        }
    }
    assert_eq!(held, 0);
    let update = group.members[2].propose(None)?;
    assert!(matches!(group.members[0].receive(&update)?, Heard::Proposal(_)));
    for i in [1, 3] {
        group.members[i].receive(&update)?;
    }
    group.commit(
        2,
        CommitRequest { by_reference: ByReference::Nothing, ..CommitRequest::default() },
    )?;
    Ok(())
}

/// However far and however often somebody jumps ahead, so many keys are kept.
fn keys_that_are_skipped(group: &mut TestGroup) -> Result<(), Error> {
    let mut senders = [group.insider(1)?, group.insider(2)?, group.insider(3)?];
    let member = &mut group.members[0];
    let mut held = Vec::new();
    for round in 1..=30_u32 {
        let mut in_round = 0;
        for sender in &mut senders {
            let ahead = sender.application(b"ahead")?.generation(round * 900).private()?;
            let measured = allocation_counter::measure(|| {
                assert!(matches!(member.receive(&ahead), Ok(Heard::Message(_))));
            });
            in_round += measured.bytes_current;
        }
        held.push(in_round);
    }
    // All that was kept in 90 jumps over 899 keys each: 80 keys, each less than a kilobyte.
    let all: i64 = held.iter().sum();
    assert!(all < 80 * 1_024, "{held:?}");
    let later: i64 = held[5..].iter().sum();
    assert!(later < 16 * 1_024, "it grows: {held:?}");
    // The latest of those that were passed over can be read, the earlier ones are gone.
    let [first, _, last] = &mut senders;
    let late = last.application(b"late")?.generation(30 * 900 - 1).private()?;
    assert!(matches!(member.receive(&late)?, Heard::Message(_)));
    let gone = first.application(b"gone")?.generation(900 - 1).private()?;
    assert!(matches!(member.refuses(&gone), Error::Unready(Unready::KeyGone)));
    // The members themselves are behind what was sent in their place.
    let next = first.application(b"next")?.generation(30 * 900 + 1).private()?;
    assert!(matches!(member.receive(&next)?, Heard::Message(_)));
    Ok(())
}

/// What was derived in a run.
#[derive(Default)]
struct Derived(Mutex<Vec<Vec<u8>>>);

/// Hooks are printed with their provider: these would show what they look for.
impl Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived")
    }
}

impl Derived {
    fn note(&self, secret: &[u8]) {
        self.0.lock().unwrap().push(secret.to_vec());
    }
}

impl Hooks for Derived {
    fn extract(&self, _: (KdfId, &[u8], &[&[u8]]), made: Result<&Secret, CryptoError>) {
        made.into_iter().for_each(|secret| self.note(secret.as_bytes()));
    }

    fn expand(&self, _: (KdfId, &[u8], &[&[u8]], usize), made: Result<&Secret, CryptoError>) {
        made.into_iter().for_each(|secret| self.note(secret.as_bytes()));
    }

    fn derive_key_pair(&self, _: (KemId, &[u8]), made: Result<&HpkeKeyPair, CryptoError>) {
        made.into_iter().for_each(|pair| self.note(pair.private.secret().as_bytes()));
    }
}

/// What programs print ends in logs that many people read. Everything that a group gives is printed
/// in every way that Rust prints, with the errors of messages that fail; no eight bytes of a secret
/// are in it.
///
/// V-2.0-01.
#[test]
fn attack_21_secrets_in_debug() -> Result<(), Error> {
    let spy = Arc::new(Spying::new(DefaultProvider::new(), Derived::default()));
    let mut group = TestGroup::builder(SUITE).size(3).provider(spy.clone()).build()?;
    let mut texts = Vec::new();
    let mut print = |value: &dyn Debug| {
        texts.extend([format!("{value:?}"), format!("{value:#?}"), format!("{value:02x?}")]);
    };
    let psk = [0x5a, 0x17, 0xc4, 0x99, 0x03, 0xe1, 0x42, 0x7f, 0x28, 0xbd, 0x66, 0x0e];
    for member in &mut group.members {
        member.psks.external.insert(b"psk".to_vec(), Secret::new(&psk));
        print(&member.psks);
        print(&member.signer);
    }
    let mut newcomer: TestMember = group.newcomer("new")?;
    let key_package = newcomer.key_package()?;
    print(&newcomer.keys);
    group.members[0].stage(CommitRequest {
        by_value: vec![Proposal::Add(key_package)],
        ..CommitRequest::default()
    })?;
    print(&group.members[0].staged);
    let (outcome, welcome) = group.members[0].confirm()?;
    print(&outcome);
    print(&welcome.map(|welcome| newcomer.join(welcome)));
    print(&group.members[1].propose(None)?);
    for member in &group.members {
        print(&member);
        print(member.state());
        print(member.state().epoch_authenticator());
        print(&member.settings);
    }
    let sent = group.members[1].send(b"hello")?;
    print(&group.refuses(1, &sent[..20]));
    print(&group.refuses(2, newcomer.send(b"x")?));

    let psks: Vec<u8> = psk.to_vec();
    let mut secrets = spy.hooks().0.lock().unwrap().clone();
    assert!(secrets.len() > 100);
    secrets.push(psks);
    for member in group.members.iter().chain([&newcomer]) {
        secrets.push(member.signer.private_key().secret().as_bytes().to_vec());
    }
    let windows: HashSet<&[u8]> = secrets.iter().flat_map(|secret| secret.windows(8)).collect();
    for text in &texts {
        assert!(!shows(text, &windows), "a secret is in: {text}");
    }
    // Whoever looks would have found them.
    for planted in secrets.iter().filter(|secret| secret.len() >= 8).step_by(17) {
        let hex: String = planted.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in
            [format!("{planted:?}"), format!("{planted:#?}"), format!("{planted:02x?}"), hex]
        {
            assert!(shows(&format!("Secret({text})"), &windows), "{text}");
        }
    }
    assert!(group.members[0].state().context().to_bytes().is_ok());
    Ok(())
}

/// Whether eight bytes in a row of a secret are in a text, as a list of numbers or in hexadecimal.
fn shows(text: &str, windows: &HashSet<&[u8]>) -> bool {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let lists = [10, 16].map(|radix| -> Vec<Option<u8>> {
        words.iter().map(|word| u8::from_str_radix(word, radix).ok()).collect()
    });
    let mut runs: Vec<Vec<u8>> = Vec::new();
    for list in &lists {
        runs.extend(list.split(Option::is_none).map(|run| run.iter().copied().flatten().collect()));
    }
    for word in words.iter().filter(|word| word.len() >= 16) {
        for start in [0, 1] {
            let digits = &word[start..word.len() - (word.len() - start) % 2];
            let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
            let bytes: Vec<Option<u8>> =
                pairs.map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
            let split = bytes.split(Option::is_none);
            runs.extend(split.map(|run| run.iter().copied().flatten().collect::<Vec<u8>>()));
        }
    }
    runs.iter().any(|run| run.windows(8).any(|window| windows.contains(window)))
}
