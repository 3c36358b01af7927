//! Attacks 1 to 5: bytes and framing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use circlet::codec::{Decode, DecodeContext, DecodeError};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CryptoError, KdfId, Mac, Secret};
use circlet::group::{HandshakeFormat, OpenedGroupInfo};
use circlet::message::{Commit, GroupInfo, KeyPackage, MlsMessage, Proposal, Welcome};
use circlet::rules::Violation;
use circlet::testing::{Heard, Hooks, Spying, TestGroup};
use circlet::tree::LeafIndex;
use circlet::{Error, Refused, Unready};

use crate::support::{SUITE, refuses_welcome, violation};

/// A tag compared over the length of the shorter of the two is right when it is empty: anybody
/// forges Commits, PublicMessages and GroupInfos. Tags of every wrong length are refused, and the
/// right one is accepted afterwards.
///
/// V-6.1-08, V-6.1-09, V-6.2-02.
#[test]
fn attack_01_truncated_mac() -> Result<(), Error> {
    fn resized(tag: &mut Option<Mac>, length: usize) {
        tag.as_mut().unwrap().0.resize(length, 0);
    }
    let mut group = TestGroup::new(SUITE, 3)?;
    let mut newcomer = group.newcomer("new")?;
    let add = Proposal::Add(newcomer.key_package()?);
    let mut insider = group.insider(1)?;
    for length in [0, 1, 16, 31, 33, 64] {
        let commit = insider
            .commit()
            .framed(|frame| frame.edit_confirmation_tag(|tag| resized(tag, length)));
        let error = group.refuses(0, commit.public()?);
        assert_eq!(violation(error), Violation::ConfirmationTag, "{length}");
        let commit = insider
            .commit()
            .framed(|frame| frame.edit_confirmation_tag(|tag| resized(tag, length)));
        let error = group.refuses(0, commit.private()?);
        assert_eq!(violation(error), Violation::ConfirmationTag, "{length}");

        let commit =
            insider.commit().framed(|frame| frame.edit_membership_tag(|tag| resized(tag, length)));
        let error = group.refuses(0, commit.public()?);
        assert_eq!(violation(error), Violation::MembershipTag, "{length}");
        let remove = insider.proposal(Proposal::Remove(LeafIndex(2)))?;
        let remove = remove.edit_membership_tag(|tag| resized(tag, length)).public()?;
        let error = group.refuses(0, remove);
        assert_eq!(violation(error), Violation::MembershipTag, "{length}");

        let mut commit = insider.commit().proposals([add.clone()]).private()?;
        let welcome = commit.welcome().edit_group_info(|info| {
            info.confirmation_tag.0.resize(length, 0);
        });
        let welcome = welcome.build()?;
        let found = refuses_welcome(&mut newcomer, &mut commit, &welcome);
        assert_eq!(found, Violation::ConfirmationTag, "{length}");
    }
    let mut commit = insider.commit().proposals([add]).public()?;
    group.broadcast(1, &commit)?;
    newcomer.join(commit.welcome().build()?)
}

/// What a group sends and keeps to itself: one message of each kind.
struct Samples {
    group: TestGroup,
    newcomer: circlet::testing::TestMember,
    /// For members.
    messages: Vec<Vec<u8>>,
    welcome: Vec<u8>,
    group_info: Vec<u8>,
    key_package: Vec<u8>,
    tree: Vec<u8>,
}

impl Samples {
    fn new() -> Result<Self, Error> {
        let builder = TestGroup::builder(SUITE).size(3);
        let mut group = builder.handshake(HandshakeFormat::Public).build()?;
        group.update(1)?;
        let mut newcomer = group.newcomer("new")?;
        let add = Proposal::Add(newcomer.key_package()?);
        let mut insider = group.insider(1)?;
        let mut commit = insider.commit().proposals([add]).public()?;
        let welcome = commit.welcome().build()?;
        let key_package = circlet::codec::Encode::to_bytes(&newcomer.key_package()?)?;
        let messages = vec![
            commit.message.clone(),
            insider.commit().private()?.message,
            insider.proposal(Proposal::Remove(LeafIndex(2)))?.public()?.message,
            insider.proposal(Proposal::Remove(LeafIndex(2)))?.private()?.message,
            insider.application(b"hello")?.private()?.message,
        ];
        let group_info = insider.group_info().external_pub().message()?;
        let tree = group.members[0].state().ratchet_tree()?;
        let welcome = welcome.message;
        Ok(Self { group, newcomer, messages, welcome, group_info, key_package, tree })
    }
}

/// A decoder that reads past what it was given panics before anything is authenticated: one short
/// message stops a server. Every message is cut at every byte, has every byte changed, and has one
/// byte too many.
///
/// V-2.0-03.
#[test]
fn attack_02_pre_authentication_panic() -> Result<(), Error> {
    let Samples { mut group, mut newcomer, messages, welcome, group_info, .. } = Samples::new()?;
    for message in &messages {
        for cut in 0..message.len() {
            let error = group.members[0].receive(&message[..cut]).unwrap_err();
            assert!(is_cut_off(&error), "{cut}: {error:?}");
        }
        let error = group.refuses(0, [message, &[0][..]].concat());
        assert!(matches!(error, Error::Malformed(DecodeError::TrailingBytes { count: 1 })));
        let before = group.members[0].fingerprint()?;
        for place in 0..message.len() {
            let mut changed = message.clone();
            changed[place] ^= 0xff;
            let error = group.members[0].receive(&changed).unwrap_err();
            assert!(is_of_place(&error, place, &changed), "{place}: {error:?}");
        }
        assert_eq!(group.members[0].fingerprint()?, before);
    }
    for place in 0..welcome.len() {
        assert!(is_cut_off(&newcomer.refuses(&welcome[..place])), "{place}");
        let mut changed = welcome.clone();
        changed[place] ^= 0xff;
        let error = newcomer.refuses(&changed);
        assert!(is_of_place_in_welcome(&error, place, welcome.len()), "{place}: {error:?}");
    }
    let settings = newcomer.settings.clone();
    let open = |bytes: &[u8]| match MlsMessage::read(bytes, &settings.context) {
        Ok(MlsMessage::GroupInfo(info)) => {
            OpenedGroupInfo::open(settings.clone(), info, None).map(drop)
        }
        Ok(_) => Err(Error::Internal),
        Err(error) => Err(error.into()),
    };
    open(&group_info)?;
    for place in 0..group_info.len() {
        assert!(is_cut_off(&open(&group_info[..place]).unwrap_err()), "{place}");
        let mut changed = group_info.clone();
        changed[place] ^= 0xff;
        let error = open(&changed).unwrap_err();
        assert!(is_of_place_in_group_info(&error, place, group_info.len()), "{place}: {error:?}");
    }
    for message in messages.iter().take(1) {
        assert!(matches!(group.members[0].receive(message)?, Heard::Commit(_)));
    }
    newcomer.join(&welcome)
}

fn is_cut_off(error: &Error) -> bool {
    matches!(error, Error::Malformed(DecodeError::EndOfInput { .. }))
}

/// What every MLSMessage begins with: version and wire format.
fn is_of_header(error: &Error, place: usize) -> bool {
    match place {
        0 | 1 => matches!(error, Error::Malformed(DecodeError::UnsupportedVersion(_))),
        _ => matches!(error, Error::Malformed(DecodeError::UnsupportedWireFormat(_))),
    }
}

/// What a member says to a message with one byte changed: the same for each place of a field, as
/// far as fields have the same place in all messages.
fn is_of_place(error: &Error, place: usize, message: &[u8]) -> bool {
    let private = message[3] == 2;
    let (unencrypted, last) = match private {
        true => (21, Violation::ContentDecryption),
        false => (25, Violation::MembershipTag),
    };
    match place {
        0..4 => is_of_header(error, place),
        4 => matches!(error, Error::Malformed(DecodeError::InvalidLengthPrefix)),
        5..12 => matches!(error, Error::Unready(Unready::OtherGroup)),
        12..20 => matches!(error, Error::Unready(Unready::FutureEpoch { .. })),
        // The type of the content or of the sender, of whom then the leaf follows.
        20 => matches!(error, Error::Malformed(DecodeError::UnknownValue { .. })),
        _ if place < unencrypted || place + 32 >= message.len() => {
            matches!(error, Error::Violation(found) if *found == last)
        }
        // A length or a value of what is signed and encrypted.
        _ if private => matches!(
            error,
            Error::Malformed(_)
                | Error::Violation(Violation::SenderDataDecryption | Violation::ContentDecryption)
        ),
        _ => matches!(error, Error::Malformed(_) | Error::Violation(Violation::MembershipTag)),
    }
}

fn is_of_place_in_welcome(error: &Error, place: usize, length: usize) -> bool {
    let undecryptable = matches!(error, Error::Violation(Violation::WelcomeDecryption));
    match place {
        0..4 => is_of_header(error, place),
        4 | 5 => matches!(error, Error::Unready(Unready::UnsupportedSuite(_))),
        // After two lengths, the reference of the key package.
        9..41 => matches!(error, Error::Unready(Unready::UnknownKeyPackage)),
        _ if place + 32 >= length => undecryptable,
        _ => undecryptable || matches!(error, Error::Malformed(_)),
    }
}

fn is_of_place_in_group_info(error: &Error, place: usize, length: usize) -> bool {
    match place {
        0..4 => is_of_header(error, place),
        _ if place + 64 >= length => {
            matches!(error, Error::Violation(Violation::GroupInfoSignature))
        }
        _ => matches!(
            error,
            Error::Malformed(_)
                | Error::Violation(_)
                | Error::Unready(Unready::UnsupportedSuite(_) | Unready::RatchetTreeMissing)
        ),
    }
}

type Read<'a> = &'a dyn Fn(&[u8]);

/// A length prefix that claims a gigabyte makes a decoder allocate it. Whatever is claimed, wherever
/// it stands: what is held at any time is a small multiple of what came.
#[test]
fn attack_03_length_bombs() -> Result<(), Error> {
    let samples = Samples::new()?;
    let context = DecodeContext::default();
    let bombs: [&[u8]; 4] =
        [&[0xbf, 0xff, 0xff, 0xff], &[0x80, 0, 0x40, 0], &[0x7f, 0xff], &[0xff; 9]];
    let bounded = |bytes: &[u8], read: Read<'_>| {
        let held = allocation_counter::measure(|| read(bytes)).bytes_max;
        let bound = 64 * bytes.len() as u64 + 4_096;
        assert!(held <= bound, "{held} bytes for {}", bytes.len());
    };
    let whole = |bytes: &[u8]| drop(MlsMessage::read(bytes, &context));
    let parts: [Read<'_>; 4] = [
        &|bytes| drop(Commit::from_bytes(bytes, &context)),
        &|bytes| drop(KeyPackage::from_bytes(bytes, &context)),
        &|bytes| drop(GroupInfo::from_bytes(bytes, &context)),
        &|bytes| drop(Welcome::from_bytes(bytes, &context)),
    ];
    let Samples { messages, welcome, group_info, key_package, .. } = &samples;
    for sample in messages.iter().chain([welcome, group_info, key_package]) {
        for cut in 0..sample.len() {
            let bytes = [&sample[..cut], bombs[cut % bombs.len()]].concat();
            bounded(&bytes, &whole);
            parts.iter().for_each(|part| bounded(&bytes, part));
        }
    }
    // Trees that claim to be large, and one that is: blank nodes take a byte each on the wire.
    let MlsMessage::GroupInfo(info) = MlsMessage::read(group_info, &context)? else { panic!() };
    let settings = &samples.group.members[0].settings;
    let open = |bytes: &[u8]| {
        let mut info = info.clone();
        info.extensions = circlet::tree::Extensions::new();
        assert!(OpenedGroupInfo::open(settings.clone(), info, Some(bytes)).is_err());
    };
    let blank_nodes = [&[0x80, 0x01, 0x00, 0x00][..], &[0; 65_536]].concat();
    let nested = [&[0xbf, 0xff, 0xff, 0xff, 1, 2][..], &[0xbf, 0xff, 0xff, 0xff]].concat();
    for tree in [&samples.tree[..20], &nested, &blank_nodes] {
        let held = allocation_counter::measure(|| open(tree)).bytes_max;
        assert!(held <= 64 * tree.len() as u64 + 64 * 1024, "{held} for {}", tree.len());
    }
    Ok(())
}

/// How often keys were expanded.
#[derive(Debug, Default)]
struct Expansions(AtomicUsize);

impl Hooks for Expansions {
    fn expand(
        &self,
        (_, _, _, _): (KdfId, &[u8], &[&[u8]], usize),
        _: Result<&Secret, CryptoError>,
    ) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A member says that its message is of generation 2^32 − 1: whoever computes the key has four
/// billion steps to do, or adds to a number that has no room. A jump over the limit costs nothing
/// and changes nothing, also where head and limit together would overflow.
///
/// V-9.1-03.
#[test]
fn attack_04_generation_denial_of_service() -> Result<(), Error> {
    let spy = Arc::new(Spying::new(DefaultProvider::new(), Expansions::default()));
    let mut group = TestGroup::builder(SUITE).size(3).provider(spy.clone()).build()?;
    let mut insider = group.insider(1)?;
    let claims =
        [u32::MAX, u32::MAX - 1, u32::MAX - 10_000, 1 << 31, 20_000, 10_001].map(|claimed| {
            let message = insider.application(b"far").unwrap();
            let message = message.edit_sender_data(|data| data.generation = claimed);
            (claimed, message.private().unwrap())
        });
    let near = insider.application(b"near")?.generation(9_999).private()?;
    for head in [0, 10_000] {
        for (claimed, message) in &claims {
            let before = spy.hooks().0.load(Ordering::SeqCst);
            let error = group.members[0].refuses(message);
            let spent = spy.hooks().0.load(Ordering::SeqCst) - before;
            // Beside what was counted.
            group.goes_on(0);
            match (claimed.checked_sub(head), error) {
                (_, Error::Violation(Violation::RatchetExhausted)) => {
                    assert_eq!(*claimed, u32::MAX)
                }
                (Some(ahead), Error::Refused(Refused::GenerationJump { ahead: said, limit })) => {
                    assert_eq!((said, limit), (ahead, 10_000));
                    assert_ne!(*claimed, u32::MAX, "there is no such generation");
                }
                // Within the limit there is a key, which is another.
                (Some(ahead), Error::Violation(Violation::ContentDecryption)) => {
                    assert!(ahead <= 10_000);
                    continue;
                }
                other => panic!("{claimed}: {other:?}"),
            }
            assert!(spent <= 16, "{claimed}: {spent} expansions");
        }
        match group.members[0].receive(&near) {
            Ok(Heard::Message(_)) => assert_eq!(head, 0),
            Err(Error::Unready(Unready::KeyGone)) => assert_ne!(head, 0),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

/// Whoever has the group's secrets can encrypt with anybody's ratchet. If a message that is not
/// signed by its sender uses up the key, the genuine message can't be read any more. It can; a second
/// time it can't, nor can a copy of it move anything.
///
/// V-6.1-03, V-6.3.1-06, V-6.3.2-04.
#[test]
fn attack_05_ratchet_burn() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let victim = group.leaf(2)?;
    let genuine = group.members[2].send(b"genuine")?;
    let mut insider = group.insider(1)?;
    // The key is the victim's, the signature is not.
    for generation in [0, 0, 7] {
        let burn = insider.application(b"not mine")?.impersonate(victim).generation(generation);
        assert_eq!(violation(group.refuses(0, burn.private()?)), Violation::ContentSignature);
    }
    // The sender data is the victim's, the key is not.
    let burn = insider.application(b"mine")?.edit_sender_data(|data| data.leaf_index = victim);
    assert_eq!(violation(group.refuses(0, burn.private()?)), Violation::ContentDecryption);
    // Nobody's leaf.
    let burn = insider.application(b"x")?.edit_sender_data(|data| data.leaf_index = LeafIndex(9));
    assert_eq!(violation(group.refuses(0, burn.private()?)), Violation::SenderDataLeaf);

    let heard = group.members[0].receive(&genuine)?;
    assert!(matches!(heard, Heard::Message(message) if message.data == b"genuine"));
    let error = group.refuses(0, &genuine);
    assert!(matches!(error, Error::Unready(Unready::KeyGone)), "{error:?}");
    let next = group.members[2].send(b"the next")?;
    assert!(matches!(group.members[0].receive(&next)?, Heard::Message(_)));
    // A type that nobody registered can't be read, and burns nothing either.
    let unknown = insider.proposal(Proposal::Custom {
        proposal_type: circlet::tree::ProposalType(0xFF00),
        body: vec![1],
    })?;
    let error = group.refuses(0, unknown.private()?);
    assert!(matches!(error, Error::Malformed(DecodeError::UnsupportedProposal(0xFF00))));
    Ok(())
}
