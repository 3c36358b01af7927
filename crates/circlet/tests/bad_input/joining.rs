//! What people join and invite with: Welcomes, ratchet trees, key packages and GroupInfos.

use circlet::client::Outgoing;
use circlet::codec::{DecodeContext, Encode};
use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, CryptoProvider};
use circlet::group::{GroupInfoOptions, HandshakeFormat};
use circlet::message::{MlsMessage, Welcome};
use circlet::{Error, Group, Misuse, Received, Unready};

use crate::conversation::{Conversation, PSK, Person};
use crate::mutations::{Flips, Mutation};
use crate::withstand::{suites, withstand};

/// What comes of bytes that are no message: the error of the decoder, as it is.
fn decoded<T>(bad: &[u8], outcome: &Result<T, Error>) -> Result<MlsMessage, bool> {
    MlsMessage::read(bad, &DecodeContext::default())
        .map_err(|error| matches!(outcome, Err(Error::Malformed(e)) if *e == error))
}

/// What may come of a bad Welcome. It is never for nobody and a violation at once: its suite is
/// there, and the key package is found, or not.
fn welcome_is_refused<T>(genuine: &Welcome, bad: &[u8], outcome: &Result<T, Error>) -> bool {
    let welcome = match decoded(bad, outcome) {
        Ok(MlsMessage::Welcome(welcome)) => welcome,
        Ok(_) => {
            return matches!(
                outcome,
                Err(Error::Misuse(Misuse::NotWelcome | Misuse::NotReceivable)
                    | Error::Unready(Unready::UnknownGroup))
            );
        }
        Err(expected) => return expected,
    };
    let named = welcome.cipher_suite;
    if !DefaultProvider::new().suites().iter().any(|spec| spec.suite == named) {
        let unsupported = Unready::UnsupportedSuite(named);
        return matches!(outcome, Err(Error::Unready(found)) if *found == unsupported);
    }
    let found = welcome.cipher_suite == genuine.cipher_suite
        && welcome.secrets.iter().any(|entry| entry.new_member == genuine.secrets[0].new_member);
    match found {
        true => matches!(outcome, Err(Error::Violation(_))),
        false => matches!(outcome, Err(Error::Unready(Unready::UnknownKeyPackage))),
    }
}

fn read_welcome(welcome: &[u8]) -> Welcome {
    match MlsMessage::read(welcome, &DecodeContext::default()).unwrap() {
        MlsMessage::Welcome(welcome) => welcome,
        other => panic!("no Welcome: {other:?}"),
    }
}

/// Dave is invited: his Welcome, and the ratchet tree if that is outside.
fn invitation(c: &Conversation, dave: &Person, inside: bool) -> (Outgoing, Option<Vec<u8>>) {
    let group = c.alice.group();
    let mut commit = group.commit().add(dave.client.key_package().unwrap()).psk(PSK);
    if !inside {
        commit = commit.tree_outside();
    }
    let staged = commit.stage().unwrap();
    let tree = staged.ratchet_tree().map(<[u8]>::to_vec);
    (staged.confirm().unwrap().welcome().unwrap(), tree)
}

#[test]
fn a_forged_welcome_uses_up_no_key_package() {
    for (suite, flips) in suites() {
        let c = Conversation::new(suite, HandshakeFormat::Private);
        let dave = c.stranger();
        let (welcome, _) = invitation(&c, &dave, true);
        let genuine = read_welcome(&welcome);
        let judge = |_, bad: &[u8], outcome: &Result<Group, Error>| {
            welcome_is_refused(&genuine, bad, outcome)
        };
        withstand(&dave, &welcome, flips, |bad| dave.client.join(bad), judge);
        let judge = |_, bad: &[u8], outcome: &Result<Received, Error>| {
            welcome_is_refused(&genuine, bad, outcome)
        };
        withstand(&dave, &welcome, Flips::OnePerByte, |bad| dave.client.receive(bad), judge);
        assert!(matches!(dave.client.receive(&welcome).unwrap(), Received::Joined(_)));
        assert_same_epoch(&c.alice, &dave);
    }
}

#[test]
fn a_forged_tree_uses_up_no_key_package() {
    for (suite, flips) in suites() {
        let c = Conversation::new(suite, HandshakeFormat::Private);
        let dave = c.stranger();
        let (welcome, tree) = invitation(&c, &dave, false);
        let tree = tree.unwrap();
        let genuine = read_welcome(&welcome);
        let client = &dave.client;

        let missing = client.join(&welcome);
        assert!(matches!(missing, Err(Error::Unready(Unready::RatchetTreeMissing))));
        let is_unsound = |_, _: &[u8], outcome: &Result<Group, Error>| {
            matches!(outcome, Err(Error::Malformed(_) | Error::Violation(_)))
        };
        withstand(&dave, &tree, flips, |bad| client.join_with_tree(&welcome, bad), is_unsound);
        let judge = |_, bad: &[u8], outcome: &Result<Group, Error>| {
            welcome_is_refused(&genuine, bad, outcome)
        };
        let entry = |bad: &[u8]| client.join_with_tree(bad, &tree);
        withstand(&dave, &welcome, Flips::OnePerByte, entry, judge);

        client.join_with_tree(&welcome, &tree).unwrap();
        assert_same_epoch(&c.alice, &dave);
    }
}

/// A Welcome's entries are of no concern to the others who join with it: a bad one keeps out only
/// whom it is for.
#[test]
fn a_forged_entry_of_somebody_else_is_harmless() {
    let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
    let c = Conversation::new(suite, HandshakeFormat::Private);
    let (dave, erin) = (c.stranger(), Person::new(suite, "erin", HandshakeFormat::Private));
    let packages = [&dave, &erin].map(|person| person.client.key_package().unwrap());
    let welcome = c.alice.group().invite(packages).unwrap().confirm().unwrap().welcome();
    let mut forged = read_welcome(&welcome);
    let entries: Vec<_> = forged.secrets.iter().map(|entry| entry.new_member.clone()).collect();
    forged.secrets[1].encrypted_group_secrets.ciphertext[0] ^= 1;
    let forged = MlsMessage::Welcome(forged).to_bytes().unwrap();

    // Whose entry comes second is decided by the order of the key packages, as they were added.
    assert_eq!(entries.len(), 2);
    let before = erin.rows();
    assert!(matches!(erin.client.join(&forged), Err(Error::Violation(_))));
    assert!(erin.rows() == before);
    dave.client.join(&forged).unwrap();
    erin.client.join(&welcome).unwrap();
    assert_same_epoch(&dave, &erin);
}

#[test]
fn a_forged_key_package_is_not_added() {
    for (suite, flips) in suites() {
        let c = Conversation::new(suite, HandshakeFormat::Private);
        let dave = c.stranger();
        let key_package = dave.client.key_package().unwrap();
        let group = c.alice.group();
        let invite = |bad: &[u8]| group.invite([bad]);
        withstand(&c.alice, &key_package, flips, invite, key_package_is_refused);
        let add = |bad: &[u8]| group.commit().add(bad).stage();
        withstand(&c.alice, &key_package, Flips::OnePerByte, add, key_package_is_refused);
        let propose = |bad: &[u8]| group.propose_add(bad);
        withstand(&c.alice, &key_package, Flips::OnePerByte, propose, key_package_is_refused);

        let welcome = group.invite([&key_package]).unwrap().confirm().unwrap().welcome();
        dave.client.join(&welcome).unwrap();
        assert_same_epoch(&c.alice, &dave);
    }
}

fn key_package_is_refused<T>(_: Mutation, bad: &[u8], outcome: &Result<T, Error>) -> bool {
    match decoded(bad, outcome) {
        Ok(MlsMessage::KeyPackage(_)) => matches!(outcome, Err(Error::Violation(_))),
        Ok(_) => matches!(outcome, Err(Error::Misuse(Misuse::NotKeyPackage))),
        Err(expected) => expected,
    }
}

/// GroupInfos are not received yet, neither good nor bad ones.
#[test]
fn a_group_info_is_refused_as_what_it_is() {
    let suite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;
    let c = Conversation::new(suite, HandshakeFormat::Private);
    let group_info = c.alice.group().group_info(GroupInfoOptions::default()).unwrap();
    let receive = |bad: &[u8]| c.bob.client.receive(bad);
    let is_refused = |bad: &[u8], outcome: &Result<Received, Error>| match decoded(bad, outcome) {
        Ok(MlsMessage::Welcome(_)) => {
            matches!(outcome, Err(Error::Unready(Unready::UnknownKeyPackage)))
        }
        Ok(MlsMessage::GroupInfo(_) | MlsMessage::KeyPackage(_)) => {
            matches!(outcome, Err(Error::Misuse(Misuse::NotReceivable)))
        }
        Ok(_) => matches!(outcome, Err(Error::Unready(Unready::UnknownGroup))),
        Err(expected) => expected,
    };
    withstand(&c.bob, &group_info, Flips::Every, receive, |_, bad, outcome| {
        is_refused(bad, outcome)
    });
    assert!(is_refused(&group_info, &receive(&group_info)));
    let by_group = c.bob.group().receive(&group_info);
    assert!(matches!(by_group, Err(Error::Unready(Unready::OtherGroup))));
}

fn assert_same_epoch(a: &Person, b: &Person) {
    let authenticator = |person: &Person| person.group().epoch_authenticator().unwrap();
    assert_eq!(authenticator(a), authenticator(b));
}
