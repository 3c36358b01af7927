//! Entry points whose arguments are no messages, and bytes that never were one.

use circlet::client::GroupOptions;
use circlet::crypto::CipherSuite;
use circlet::group::HandshakeFormat;
use circlet::message::GroupId;
use circlet::schedule::Psk;
use circlet::tree::{LeafIndex, NodeIndex, RatchetTree, TreeWidth};
use circlet::{Client, Error, Misuse, Unready};

use crate::conversation::{Conversation, broken_extensions, group_id};
use crate::crypto_support::Seeded;
use crate::mutations::Random;

const SUITE: CipherSuite = CipherSuite::X25519_AES128GCM_SHA256_ED25519;

/// Numbers around which arithmetic goes wrong.
const EDGES: [u32; 8] = [3, 4, 0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, !1, !0];

#[test]
fn random_bytes_are_refused_everywhere() {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let (client, group) = (&c.bob.client, c.bob.group());
    let before = c.bob.rows();
    let key_package = c.stranger().client.key_package().unwrap();
    let mut random = Random(Seeded(9420));
    for round in 0..20_000 {
        let length = random.below(200);
        let mut bytes = random.bytes(length);
        if round % 2 == 0 {
            // What follows has a chance to be looked at.
            let head = [0, 1, 0, random.below(7) as u8];
            bytes.splice(..0, head);
        }
        let outcomes = [
            client.receive(&bytes).err(),
            client.join(&bytes).err(),
            client.join_with_tree(&bytes, &bytes).err(),
            group.receive(&bytes).err(),
            group.invite([&bytes]).err(),
            group.invite([&key_package, &bytes]).err(),
            group.propose_add(&bytes).err(),
        ];
        for outcome in outcomes {
            let refused = match &outcome {
                Some(Error::Malformed(_) | Error::Violation(_) | Error::Misuse(_)) => true,
                Some(Error::Unready(reason)) => matches!(
                    reason,
                    Unready::OtherGroup | Unready::UnknownGroup | Unready::UnknownKeyPackage
                ),
                _ => false,
            };
            assert!(refused, "{bytes:?}: {outcome:?}");
        }
    }
    assert!(c.bob.rows() == before);
}

#[test]
fn leaves_that_are_not_there() {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let group = c.bob.group();
    let before = c.bob.rows();
    for leaf in EDGES.map(LeafIndex) {
        let missing = |error| matches!(error, Error::Misuse(Misuse::NoSuchMember));
        assert!(group.remove(leaf).is_err_and(missing), "{leaf:?}");
        assert!(group.propose_remove(leaf).is_err_and(missing), "{leaf:?}");
        assert!(group.commit().remove(leaf).remove(leaf).stage().is_err());
    }
    assert!(c.bob.rows() == before);
}

#[test]
fn extensions_that_nobody_can_read() {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let group = c.bob.group();
    let before = c.bob.rows();
    let unsound =
        |error: Option<Error>| matches!(error, Some(Error::Violation(_) | Error::Malformed(_)));
    for extensions in broken_extensions() {
        assert!(unsound(group.propose_extensions(extensions.clone()).err()), "{extensions:?}");
        assert!(unsound(group.commit().extensions(extensions.clone()).stage().err()));
        let options = GroupOptions { group_id: Some(GroupId::new(b"new")), extensions };
        assert!(unsound(c.bob.client.create_group_with(options).err()));
    }
    assert!(c.bob.rows() == before);
}

#[test]
fn names_lengths_and_orders_that_make_no_sense() {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let (client, group) = (&c.bob.client, c.bob.group());
    let before = c.bob.rows();
    for length in [255 * 32 + 1, 65_535, 65_536, usize::MAX] {
        let exported = group.export("label", b"", length);
        assert!(matches!(exported, Err(Error::Misuse(Misuse::ExportLength))), "{length}");
    }
    let unknown = client.group(&GroupId::new(b"another"));
    assert!(matches!(unknown, Err(Error::Unready(Unready::UnknownGroup))));
    let twice = GroupOptions { group_id: Some(group_id()), ..GroupOptions::default() };
    let twice = client.create_group_with(twice);
    assert!(matches!(twice, Err(Error::Misuse(Misuse::GroupExists))));
    let psk = group.commit().psk(b"unknown".as_slice()).stage();
    assert!(
        matches!(psk, Err(Error::Unready(Unready::UnknownPsk(Psk::External { psk_id }))) if psk_id == b"unknown")
    );
    let nobody: [&[u8]; 0] = [];
    assert!(matches!(group.invite(nobody), Err(Error::Misuse(Misuse::NotKeyPackage))));
    for suite in [0, 8, 0x0a0a, 0xffff].map(CipherSuite) {
        assert!(Client::builder("x").cipher_suite(suite).build().is_err());
    }
    assert!(c.bob.rows() == before);
}

#[test]
fn every_number_may_be_asked_of_a_tree() {
    let c = Conversation::new(SUITE, HandshakeFormat::Private);
    let bytes = c.alice.group().ratchet_tree().unwrap();
    let tree = RatchetTree::from_wire(&bytes, &Default::default()).unwrap();
    for number in EDGES.into_iter().chain(5..70) {
        let (leaf, node) = (LeafIndex(number), NodeIndex(number));
        assert!(tree.leaf(leaf).is_none() && tree.parent(node).is_none() || number < 7);
        assert!(tree.resolution(node).len() <= 3);
        let mut changed = tree.clone();
        assert_eq!(changed.remove(leaf).is_err(), number > 2);
        assert_eq!(node.left().is_some(), node.leaf().is_none());
        let _ = (node.right(), node.contains(NodeIndex(!0)), TreeWidth::for_leaves(number));
        let _ = tree.filtered_direct_path(leaf);
    }
}
