//! What DIFFERENCES.md says that a decoder takes and a group refuses: whoever reads more than
//! others does not accept more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use circlet_mixed::member::{CommitPlan, Member, Peer, Proposal, Setup};
use circlet_mixed::peers::new_member;

fn member(peer: Peer, name: &str) -> Box<dyn Member> {
    let setup = Setup {
        suite: 1,
        public_handshakes: true,
        padding: false,
        grease_extensions: false,
        extension_type: 0xf123,
        application_ids: false,
        seed: 1,
    };
    new_member(peer, name, &setup).unwrap()
}

fn plan(by_value: Vec<Proposal>) -> CommitPlan {
    CommitPlan { by_value, tree_inside: true, ..CommitPlan::default() }
}

/// Circlet's group with one more member, which joins by the Welcome and the tree beside it.
fn invited(
    peer: Peer,
    change_tree: impl Fn(Vec<u8>) -> Vec<u8>,
) -> (Box<dyn Member>, Box<dyn Member>, Result<(), String>) {
    let mut ours = member(Peer::Circlet, "ours");
    let mut joiner = member(peer, "joiner");
    ours.create(b"group").unwrap();
    let add = vec![Proposal::Add(joiner.key_package().unwrap())];
    ours.commit(&CommitPlan { tree_inside: false, ..plan(add) }).unwrap();
    let welcome = ours.accepted().unwrap().unwrap();
    let tree = change_tree(ours.view().unwrap().ratchet_tree);
    let joined = joiner.join(&welcome, Some(&tree)).map_err(|fault| fault.0);
    (ours, joiner, joined)
}

/// A tree of less than 16,384 bytes with these nodes more.
fn with_nodes(tree: &[u8], more: &[u8]) -> Vec<u8> {
    let content = [&tree[2..], more].concat();
    let length = u16::try_from(content.len()).unwrap() | 0x4000;
    [&length.to_be_bytes()[..], &content].concat()
}

/// `TreeShape`.
#[test]
fn trees_with_blank_nodes_at_the_end() {
    for peer in Peer::ALL {
        assert_eq!(invited(peer, |tree| tree).2, Ok(()), "{peer}");
        for blank in 1..=4 {
            let joined = invited(peer, |tree| with_nodes(&tree, &vec![0; blank])).2;
            assert!(joined.is_err(), "{peer}: {blank}");
        }
        let joined = invited(peer, |_| vec![0]).2;
        assert!(joined.is_err(), "{peer}: no node");
    }
}

/// `BehindTree`: mls-rs ignores it.
#[test]
fn bytes_behind_a_tree() {
    for peer in Peer::ALL {
        let joined = invited(peer, |tree| [&tree[..], b"behind"].concat()).2;
        assert_eq!(joined.is_ok(), peer == Peer::MlsRs, "{peer}: {joined:?}");
    }
}

/// `MessageVersion`.
#[test]
fn messages_of_another_version() {
    for peer in Peer::ALL {
        let (mut ours, mut joiner, _) = invited(peer, |tree| tree);
        let mut refuses = |mut message: Vec<u8>| {
            message[1] = 2;
            let outcome = joiner.receive(&message);
            assert!(outcome.is_err(), "{peer}: {outcome:?}");
        };
        refuses(ours.send(b"data", b"").unwrap());
        refuses(ours.propose(&Proposal::Extensions(vec![])).unwrap());
        refuses(ours.commit(&plan(vec![])).unwrap());

        let mut key_package = member(Peer::Circlet, "new").key_package().unwrap();
        key_package[1] = 2;
        let added = joiner.commit(&plan(vec![Proposal::Add(key_package)]));
        // To mls-rs the KeyPackage's own version counts alone.
        assert_eq!(added.is_ok(), peer == Peer::MlsRs, "{peer}: {added:?}");
    }
}

/// `KeyPackageVersion` and `CipherSuite`: bytes 4 to 7 of the message.
#[test]
fn key_packages_of_another_version_or_suite() {
    for peer in Peer::ALL {
        for at in [5, 7] {
            let (_, mut joiner, _) = invited(peer, |tree| tree);
            let mut key_package = member(Peer::Circlet, "new").key_package().unwrap();
            key_package[at] = 0xf0;
            let added = joiner.commit(&plan(vec![Proposal::Add(key_package)]));
            assert!(added.is_err(), "{peer}: {at}");
        }
    }
}
