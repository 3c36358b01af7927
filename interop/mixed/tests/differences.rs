//! What DIFFERENCES.md says of the other libraries, each in as few steps as can be. Where one of
//! these fails, that library has changed: the row goes from the document and from the table of what
//! is left out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::sync::Arc;

use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, Suite, SystemRng};
use circlet::group::{Outsider, Settings};
use circlet::identity::{Credential, Signer, SigningKey};
use circlet::message::{GroupId, Proposal as Outside};
use circlet::schedule::{PreSharedKeyId, Psk};
use circlet::tree::{ExternalSender, LeafIndex};
use circlet_mixed::member::{CommitPlan, Event, Fault, Member, Peer, Proposal, Setup};
use circlet_mixed::peers::new_member;

const EXTENSION_TYPE: u16 = 0xf123;

fn setup() -> Setup {
    Setup {
        suite: 1,
        public_handshakes: false,
        padding: false,
        grease_extensions: false,
        extension_type: EXTENSION_TYPE,
        application_ids: false,
        seed: 1,
    }
}

fn member(peer: Peer, name: &str) -> Box<dyn Member> {
    new_member(peer, name, &setup()).unwrap()
}

fn plan(by_value: Vec<Proposal>) -> CommitPlan {
    CommitPlan { by_value, tree_inside: true, ..CommitPlan::default() }
}

/// A group of these, the first its creator, each at the leaf of its place.
fn group(peers: &[Peer]) -> Vec<Box<dyn Member>> {
    let named = |(place, peer): (usize, &Peer)| member(*peer, &format!("member {place}"));
    let mut members: Vec<_> = peers.iter().enumerate().map(named).collect();
    members[0].create(b"group").unwrap();
    let (first, others) = members.split_first_mut().unwrap();
    let adds = others.iter_mut().map(|other| Proposal::Add(other.key_package().unwrap()));
    let adds = adds.collect();
    first.commit(&plan(adds)).unwrap();
    let welcome = first.accepted().unwrap().unwrap();
    for other in others {
        other.join(&welcome, None).unwrap();
    }
    members
}

/// One proposes, and all others receive it.
fn propose(members: &mut [Box<dyn Member>], by: usize, proposal: &Proposal) {
    let wire = members[by].propose(proposal).unwrap();
    for (place, member) in members.iter_mut().enumerate() {
        if place != by {
            assert_eq!(member.receive(&wire), Ok(Event::Proposal), "member {place}");
        }
    }
}

#[track_caller]
fn refuses<T: std::fmt::Debug>(outcome: Result<T, Fault>, why: &str) {
    let fault = outcome.unwrap_err();
    assert!(fault.0.contains(why), "{fault}");
}

/// Difference 1.
#[test]
fn openmls_refuses_grease_extensions() {
    let greased = Setup { grease_extensions: true, ..setup() };
    let mut ours = new_member(Peer::Circlet, "ours", &greased).unwrap();
    let mut theirs = member(Peer::OpenMls, "theirs");
    theirs.create(b"group").unwrap();
    let add = plan(vec![Proposal::Add(ours.key_package().unwrap())]);
    refuses(theirs.commit(&add), "UnsupportedExtension");

    let mut joiner = member(Peer::OpenMls, "joiner");
    ours.create(b"another").unwrap();
    ours.commit(&plan(vec![Proposal::Add(joiner.key_package().unwrap())])).unwrap();
    let welcome = ours.accepted().unwrap().unwrap();
    refuses(joiner.join(&welcome, None), "LeafNodeValidation(UnsupportedExtensions)");

    // mls-rs takes the same.
    let mut other = member(Peer::MlsRs, "other");
    ours.commit(&plan(vec![Proposal::Add(other.key_package().unwrap())])).unwrap();
    let welcome = ours.accepted().unwrap().unwrap();
    other.join(&welcome, None).unwrap();
}

/// Difference 2.
#[test]
fn openmls_wants_extensions_among_the_required_capabilities() {
    let mut members = group(&[Peer::Circlet, Peer::OpenMls, Peer::MlsRs]);
    let extension = Proposal::Extensions(vec![(EXTENSION_TYPE, b"data".to_vec())]);
    let commit = members[0].commit(&plan(vec![extension])).unwrap();
    assert_eq!(members[2].receive(&commit), Ok(Event::Commit));
    refuses(members[1].receive(&commit), "ExtensionNotInRequiredCapabilities");
}

/// Difference 3.
#[test]
fn openmls_does_not_commit_while_its_own_removal_waits() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[peer, Peer::Circlet]);
        propose(&mut members, 1, &Proposal::Remove(0));
        let commit = members[0].commit(&plan(vec![]));
        if peer == Peer::OpenMls {
            refuses(commit, "CannotRemoveSelf");
        } else {
            assert_eq!(members[1].receive(&commit.unwrap()), Ok(Event::Commit));
        }
    }
}

/// Difference 4.
#[test]
fn openmls_does_not_choose_among_extensions() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[peer, Peer::Circlet]);
        propose(&mut members, 1, &Proposal::Extensions(vec![]));
        propose(&mut members, 1, &Proposal::Extensions(vec![(5, vec![0])]));
        let commit = members[0].commit(&plan(vec![]));
        if peer == Peer::OpenMls {
            refuses(commit, "TooManyGCEProposals");
        } else {
            assert_eq!(members[1].receive(&commit.unwrap()), Ok(Event::Commit));
        }
    }
}

/// Difference 5.
#[test]
fn openmls_does_not_choose_among_adds_of_one_client() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[peer, Peer::Circlet, Peer::Circlet]);
        let add = Proposal::Add(member(Peer::Circlet, "new").key_package().unwrap());
        propose(&mut members, 1, &add);
        propose(&mut members, 2, &add);
        let commit = members[0].commit(&plan(vec![]));
        if peer == Peer::OpenMls {
            refuses(commit, "DuplicateSignatureKey");
        } else {
            assert_eq!(members[1].receive(&commit.unwrap()), Ok(Event::Commit));
        }
    }
}

/// Difference 6.
#[test]
fn openmls_computes_the_psk_secret_in_another_order() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[peer, Peer::Circlet, Peer::OpenMls, Peer::MlsRs]);
        for member in &mut members {
            member.add_psk(b"one", &[1; 32]).unwrap();
            member.add_psk(b"two", &[2; 32]).unwrap();
        }
        propose(&mut members, 1, &Proposal::Psk(b"one".to_vec()));
        let commit = members[0].commit(&plan(vec![Proposal::Psk(b"two".to_vec())])).unwrap();
        if peer == Peer::OpenMls {
            refuses(members[1].receive(&commit), "Violation(ConfirmationTag)");
            refuses(members[2].receive(&commit), "ConfirmationTagMismatch");
            refuses(members[3].receive(&commit), "InvalidConfirmationTag");
        } else {
            for member in &mut members[1..] {
                assert_eq!(member.receive(&commit), Ok(Event::Commit), "{peer}");
            }
        }
    }
}

/// Difference 7.
#[test]
fn mls_rs_commits_an_update_beside_the_removal_of_its_leaf() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[peer, Peer::Circlet, Peer::OpenMls, Peer::MlsRs]);
        propose(&mut members, 1, &Proposal::Update { new_key: false });
        propose(&mut members, 2, &Proposal::Remove(1));
        propose(&mut members, 3, &Proposal::Update { new_key: false });
        let commit = members[0].commit(&plan(vec![])).unwrap();
        if peer == Peer::MlsRs {
            refuses(members[1].receive(&commit), "Violation(LeafTwice)");
            refuses(members[3].receive(&commit), "UpdatingNonExistingMember");
            assert!(members[2].receive(&commit).is_err());
        } else {
            assert_eq!(members[1].receive(&commit), Ok(Event::Removed), "{peer}");
            assert_eq!(members[2].receive(&commit), Ok(Event::Commit), "{peer}");
            assert_eq!(members[3].receive(&commit), Ok(Event::Commit), "{peer}");
        }
    }
}

/// Difference 8.
#[test]
fn mls_rs_refuses_late_messages_of_changed_senders() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[Peer::Circlet, peer]);
        let late = members[0].send(b"late", b"").unwrap();
        let new_key = CommitPlan { new_key: true, ..plan(vec![]) };
        let commit = members[0].commit(&new_key).unwrap();
        members[0].accepted().unwrap();
        assert_eq!(members[1].receive(&commit), Ok(Event::Commit));
        let read = members[1].receive(&late);
        if peer == Peer::MlsRs {
            refuses(read, "MemberNotFound");
        } else {
            assert!(matches!(read, Ok(Event::Message { .. })), "{peer}: {read:?}");
        }
    }
}

/// Difference 9.
#[test]
fn mls_rs_wants_application_id_among_the_capabilities() {
    let named = Setup { application_ids: true, ..setup() };
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut ours = new_member(Peer::Circlet, "ours", &named).unwrap();
        let mut joiner = member(peer, "joiner");
        ours.create(b"group").unwrap();
        ours.commit(&plan(vec![Proposal::Add(joiner.key_package().unwrap())])).unwrap();
        let welcome = ours.accepted().unwrap().unwrap();
        let joined = joiner.join(&welcome, None);
        if peer == Peer::MlsRs {
            refuses(joined, "ExtensionNotInCapabilities(ExtensionType(1))");
        } else {
            joined.unwrap();
        }
    }
    // Not even its own.
    let mut alone = new_member(Peer::MlsRs, "alone", &named).unwrap();
    refuses(alone.create(b"another"), "ExtensionNotInCapabilities(ExtensionType(1))");
}

/// Difference 10.
#[test]
fn mls_rs_loses_the_key_of_a_spoiled_message() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut members = group(&[Peer::Circlet, peer]);
        let message = members[0].send(b"data", b"").unwrap();
        assert!(members[1].receive(&flipped(&message)).is_err(), "{peer}");
        let read = members[1].receive(&message);
        if peer == Peer::MlsRs {
            refuses(read, "KeyMissing(0)");
        } else {
            assert!(matches!(read, Ok(Event::Message { .. })), "{peer}: {read:?}");
        }
    }
}

/// Difference 11.
#[test]
fn openmls_loses_the_keys_of_a_spoiled_welcome() {
    for peer in [Peer::Circlet, Peer::OpenMls, Peer::MlsRs] {
        let mut ours = member(Peer::Circlet, "ours");
        let mut joiner = member(peer, "joiner");
        ours.create(b"group").unwrap();
        ours.commit(&plan(vec![Proposal::Add(joiner.key_package().unwrap())])).unwrap();
        let welcome = ours.accepted().unwrap().unwrap();
        assert!(joiner.join(&flipped(&welcome), None).is_err(), "{peer}");
        let joined = joiner.join(&welcome, None);
        if peer == Peer::OpenMls {
            refuses(joined, "NoMatchingKeyPackage");
        } else {
            joined.unwrap();
        }
    }
}

/// The same with one bit of the last byte flipped.
fn flipped(message: &[u8]) -> Vec<u8> {
    let mut flipped = message.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    flipped
}

/// A group of these whose external senders are one, with a proposal of its.
fn from_outside(peers: &[Peer], proposal: Outside) -> (Vec<Box<dyn Member>>, Vec<u8>) {
    let suite = Suite::new(Arc::new(DefaultProvider::new()), CipherSuite(1)).unwrap();
    let key = SigningKey::generate(&suite, &mut SystemRng).unwrap();
    let (signature_key, credential) = (key.public_key().clone(), Credential::basic("server"));
    let sender = ExternalSender { signature_key, credential };
    let data = ExternalSender::to_extension(&[sender]).unwrap().data;
    let mut members = group(peers);
    let commit = members[0].commit(&plan(vec![Proposal::Extensions(vec![(5, data)])])).unwrap();
    members[0].accepted().unwrap();
    for member in &mut members[1..] {
        assert_eq!(member.receive(&commit), Ok(Event::Commit));
    }
    let outsider = Outsider {
        settings: Settings::new(suite),
        group_id: GroupId::new(b"group"),
        epoch: members[0].view().unwrap().epoch,
        authenticated_data: Vec::new(),
    };
    (members, outsider.propose(0, proposal, &key).unwrap())
}

/// Difference 12.
#[test]
fn openmls_takes_no_psks_from_external_senders() {
    let psk = Psk::External { psk_id: b"psk".to_vec() };
    let proposal = Outside::PreSharedKey(PreSharedKeyId { psk, psk_nonce: vec![7; 32] });
    let peers = [Peer::Circlet, Peer::OpenMls, Peer::MlsRs];
    let (mut members, wire) = from_outside(&peers, proposal);
    for (member, peer) in members.iter_mut().zip(peers) {
        let received = member.receive(&wire);
        match peer {
            Peer::OpenMls => refuses(received, "UnsupportedProposalType"),
            _ => assert_eq!(received, Ok(Event::Proposal)),
        }
    }
    // What else an external sender may propose it takes.
    let (mut members, wire) = from_outside(&peers, Outside::Remove(LeafIndex(2)));
    members.iter_mut().for_each(|one| assert_eq!(one.receive(&wire), Ok(Event::Proposal)));
}

/// The members close their group.
fn close(members: &mut [Box<dyn Member>]) {
    let reinit = Proposal::ReInit { group_id: b"successor".to_vec(), extensions: Vec::new() };
    let commit = members[0].commit(&plan(vec![reinit])).unwrap();
    members[0].accepted().unwrap();
    for member in &mut members[1..] {
        assert_eq!(member.receive(&commit), Ok(Event::Commit));
    }
}

/// Difference 13.
#[test]
fn mls_rs_wants_the_successors_tree_to_be_as_long() {
    for blank in [false, true] {
        let mut members = group(&[Peer::Circlet, Peer::Circlet, Peer::MlsRs]);
        if blank {
            let commit = members[0].commit(&plan(vec![Proposal::Remove(1)])).unwrap();
            members[0].accepted().unwrap();
            assert_eq!(members[2].receive(&commit), Ok(Event::Commit));
            members.remove(1);
        }
        close(&mut members);
        let others = members[1..].iter_mut();
        let key_packages: Vec<_> = others.map(|one| one.successor_key_package().unwrap()).collect();
        let welcome = members[0].create_successor(&key_packages).unwrap();
        let joined = members.last_mut().unwrap().join_successor(&welcome);
        if blank {
            refuses(joined, "NotASubgroup");
        } else {
            joined.unwrap();
        }
    }
}

/// Difference 14.
#[test]
fn mls_rs_signs_in_a_branch_with_the_groups_key() {
    for new_key in [false, true] {
        let mut members = group(&[Peer::Circlet, Peer::MlsRs]);
        let commit = members[1].commit(&CommitPlan { new_key, ..plan(vec![]) }).unwrap();
        members[1].accepted().unwrap();
        assert_eq!(members[0].receive(&commit), Ok(Event::Commit));
        let key_package = members[1].key_package().unwrap();
        let welcome = members[0].create_branch(b"branch", &[key_package]).unwrap();
        members[1].join_branch(&welcome).unwrap();
        let wire = members[1].send(b"data", b"").unwrap();
        let read = members[0].receive(&wire);
        if new_key {
            refuses(read, "ContentSignature");
        } else {
            assert!(matches!(read, Ok(Event::Message { .. })), "{read:?}");
        }
    }
}

/// No difference: nobody adds a member by the key that its Update gives up in the same Commit, when it
/// is told to. (What Circlet makes of one that waits, and at a receiver, its own tests show.)
#[test]
fn nobody_adds_a_member_by_its_old_key() {
    for (peer, why) in [
        (Peer::Circlet, "AlreadyMember"),
        (Peer::OpenMls, "DuplicateSignatureKey"),
        (Peer::MlsRs, "DuplicateLeafData"),
    ] {
        let mut members = group(&[peer, Peer::Circlet]);
        let again = Proposal::Add(members[1].key_package().unwrap());
        propose(&mut members, 1, &Proposal::Update { new_key: true });
        refuses(members[0].commit(&plan(vec![again])), why);
    }
}
