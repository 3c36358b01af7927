//! Application-defined types: what can be registered, what happens where that is forgotten, and
//! proposals of such a type.

use circlet::client::ClientBuilder;
use circlet::codec::CustomProposal;
use circlet::group::LeafChange;
use circlet::identity::{
    Credential, CredentialCheck, CredentialRejected, CredentialType, CredentialValidator,
};
use circlet::message::Proposal;
use circlet::rules::Violation;
use circlet::tree::{ExtensionType, ProposalType};
use circlet::{Client, Error, Misuse, Received};

use crate::harness::{FixedClock, Person, SharedRng, agree, group, group_of};

const BADGE: CredentialType = CredentialType(0xf00d);
const TOPIC: ProposalType = ProposalType(0xf0a0);

/// Takes any badge and any name.
struct Badges;

impl CredentialValidator for Badges {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }
}

/// Judges badges, which nobody has registered.
struct Unregistered;

impl CredentialValidator for Unregistered {
    fn validate(&self, _: &CredentialCheck<'_>) -> Result<(), CredentialRejected> {
        Ok(())
    }

    fn credential_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC, BADGE]
    }
}

fn badge(number: u8) -> Credential {
    Credential::Custom { credential_type: BADGE, body: vec![number] }
}

fn talker(name: &'static str, seed: u64) -> Client {
    with_topics(&Person::new(name, seed)).build().unwrap()
}

fn with_topics(person: &Person) -> ClientBuilder {
    person.builder().register_proposal_type(TOPIC, CustomProposal::default())
}

fn assert_misuse<T: std::fmt::Debug>(result: Result<T, Error>, expected: Misuse) {
    match result {
        Err(Error::Misuse(misuse)) => assert_eq!(misuse, expected),
        other => panic!("{other:?}"),
    }
}

/// A client whose own credential is of a type that is not registered could not read its own rows:
/// it is neither made nor opened.
#[test]
fn ones_own_credential_is_of_a_registered_type() {
    let store = circlet::storage::MemoryStorage::new();
    let builder = || {
        let builder = Client::builder_for(badge(7)).validator(Badges).storage(store.clone());
        builder.clock(FixedClock).rng(SharedRng::new(1))
    };
    let expected = Misuse::UnregisteredCredentialType(BADGE);
    assert_misuse(builder().build(), expected);
    assert_misuse(builder().open_or_create(), expected);
    let group = builder().register_credential_type(BADGE).build().unwrap().create_group().unwrap();
    assert_misuse(builder().open(), expected);
    assert_misuse(builder().open_or_create(), expected);
    // Another client's credential, as the store has it.
    let other = Client::builder("alice").storage(store.clone()).open();
    assert_misuse(other, expected);
    let again = builder().register_credential_type(BADGE).open().unwrap();
    again.group(group.id()).unwrap().send("x").unwrap();
}

/// What the validator says that it can judge has to be readable.
#[test]
fn what_is_judged_is_registered() {
    let builder = || Client::builder("alice").validator(Unregistered);
    assert_misuse(builder().build(), Misuse::UnregisteredCredentialType(BADGE));
    builder().register_credential_type(BADGE).build().unwrap();
}

/// A leaf does not get a credential that its own client can't read.
#[test]
fn a_new_credential_is_of_a_registered_type() {
    let alice = Person::new("alice", 1).builder().validator(Badges).build().unwrap();
    let group = alice.create_group().unwrap();
    let change = LeafChange { credential: Some(badge(1)), ..LeafChange::default() };
    let expected = Misuse::UnregisteredCredentialType(BADGE);
    assert_misuse(group.commit().leaf(change.clone()).stage(), expected);
    assert_misuse(group.propose_leaf(change, false), expected);
    group.commit().stage().unwrap().confirm().unwrap();
}

/// A group with a member of a type that is no longer registered is not damaged.
#[test]
fn a_member_is_of_a_type_that_was_registered() {
    let alice = Person::new("alice", 1);
    let builder = || alice.builder().validator(Badges);
    let bob = Client::builder_for(badge(2)).register_credential_type(BADGE).validator(Badges);
    let bob = bob.clock(FixedClock).rng(SharedRng::new(2)).build().unwrap();
    let made = builder().register_credential_type(BADGE).build().unwrap();
    let groups = group_of(&[made, bob]);
    let opened = builder().open().unwrap();
    let group = opened.group(groups[0].id()).unwrap();
    assert_misuse(group.send("x"), Misuse::UnregisteredCredentialType(BADGE));
    let opened = builder().register_credential_type(BADGE).open().unwrap();
    agree(&[opened.group(groups[0].id()).unwrap(), groups[1].clone()]);
}

/// A proposal that waits, of a type that is no longer registered, is not damaged.
#[test]
fn a_proposal_is_of_a_type_that_was_registered() {
    let alice = Person::new("alice", 1);
    let groups = group_of(&[with_topics(&alice).build().unwrap(), talker("bob", 2)]);
    groups[0].receive(groups[1].propose_custom(TOPIC, "lunch").unwrap()).unwrap();
    let id = groups[0].id().clone();

    let opened = alice.open();
    let expected = Misuse::UnregisteredProposalType(TOPIC);
    assert_misuse(opened.group(&id).unwrap().epoch(), expected);
    assert_misuse(opened.undelivered(), expected);
    let opened = with_topics(&alice).open().unwrap();
    assert_eq!(opened.undelivered().unwrap().len(), 1);
    let pending = opened.group(&id).unwrap().commit().stage().unwrap();
    assert_eq!(pending.outcome().custom.len(), 1);
}

/// Types of the RFC, reserved ones and those that mean nothing are not an
/// application's.
#[test]
fn only_types_of_applications_are_registered() {
    let alice = || Client::builder("alice");
    let rules = CustomProposal::default;
    for kind in [0, 1, 2, 3, 4, 5, 6, 7, 0x0a0a, 0xeaea] {
        let builder = alice().register_proposal_type(ProposalType(kind), rules());
        assert_misuse(builder.build(), Misuse::ReservedType(kind));
    }
    for kind in [0, 1, 2, 3, 4, 5, 0x1a1a] {
        let builder = alice().register_extension_type(ExtensionType(kind));
        assert_misuse(builder.build(), Misuse::ReservedType(kind));
    }
    for kind in [0, 1, 2, 0x2a2a] {
        let builder = alice().register_credential_type(CredentialType(kind));
        assert_misuse(builder.open_or_create(), Misuse::ReservedType(kind));
        let builder = alice().register_credential_type(CredentialType(kind));
        assert_misuse(builder.open(), Misuse::ReservedType(kind));
    }
    let builder = alice().register_proposal_type(ProposalType(8), rules());
    let builder = builder.register_extension_type(ExtensionType(0xff00));
    builder.register_credential_type(CredentialType(3)).build().unwrap();
}

/// A member proposes something of the application's own, by itself or in its Commit.
#[test]
fn members_make_proposals_of_the_application() {
    let groups = group_of(&[talker("alice", 1), talker("bob", 2)]);
    let wire = groups[1].propose_custom(TOPIC, "lunch").unwrap();
    let Received::Proposal(event) = groups[0].receive(&wire).unwrap() else { panic!() };
    let lunch = Proposal::Custom { proposal_type: TOPIC, body: b"lunch".to_vec() };
    assert_eq!(event.proposal(), &lunch);

    let pending = groups[0].commit().custom(TOPIC, "dinner").stage().unwrap();
    let Received::Commit(change) = groups[1].receive(pending.message()).unwrap() else { panic!() };
    let confirmed = pending.confirm().unwrap();
    assert_eq!(confirmed.outcome(), change.outcome());
    let custom: Vec<_> = change.outcome().custom.iter().collect();
    assert_eq!((custom.len(), &custom[0].proposal), (2, &lunch));
    assert_eq!(custom[0].proposer.to_string(), "bob");
    assert_eq!(custom[1].proposer.to_string(), "alice");
    agree(&groups);
}

/// Nobody sends what it has not registered, or what a member can't read.
#[test]
fn a_proposal_of_the_application_is_one_that_all_know() {
    let plain = group(1).remove(0);
    let expected = Misuse::UnregisteredProposalType(TOPIC);
    assert_misuse(plain.propose_custom(TOPIC, "x"), expected);
    assert_misuse(plain.commit().custom(TOPIC, "x").stage(), expected);
    let add = ProposalType::ADD;
    assert_misuse(plain.propose_custom(add, "x"), Misuse::UnregisteredProposalType(add));

    let groups = group_of(&[talker("alice", 1), crate::harness::client("bob", 2)]);
    let unknown = |error| matches!(error, Error::Violation(Violation::ProposalTypeNotSupported));
    assert!(unknown(groups[0].propose_custom(TOPIC, "x").unwrap_err()));
    assert!(unknown(groups[0].commit().custom(TOPIC, "x").stage().unwrap_err()));
    groups[0].send("as before").unwrap();
}
