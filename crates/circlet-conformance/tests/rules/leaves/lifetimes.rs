//! Lifetimes (sections 7.2 and 7.3).

use circlet::message::{KeyPackage, MlsMessage, Proposal};
use circlet::rules::Violation;
use circlet::testing::{Heard, NOW, TestGroup, clients};
use circlet::tree::{LeafNodeSource, Lifetime};
use circlet::{Client, Error, Refused};

use crate::support::{SUITE, assert_violation};

const YEAR: u64 = 365 * 24 * 3600;
const EXPIRED: Lifetime = Lifetime { not_before: NOW - 100, not_after: NOW - 1 };
const NOT_YET: Lifetime = Lifetime { not_before: NOW + 1, not_after: NOW + 100 };

fn key_package(group: &mut TestGroup, lifetime: Lifetime) -> Result<KeyPackage, Error> {
    let mut newcomer = group.newcomer("new")?;
    let source = LeafNodeSource::KeyPackage(lifetime);
    newcomer.forge_key_package().leaf(|leaf| leaf.source = source).build()
}

/// V-7.2-09: a lifetime that ends before it begins, in a Commit and alone.
#[test]
fn a_lifetime_that_ends_before_it_begins() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let inverted = Lifetime { not_before: NOW, not_after: NOW - 1 };
    let add = Proposal::Add(key_package(&mut group, inverted)?);
    let mut insider = group.insider(1)?;
    let error = group.refuses(0, insider.proposal(add.clone())?.private()?);
    assert_violation(&error, Violation::LifetimeInverted);
    let error = group.refuses(0, insider.commit().proposals([add]).private()?);
    assert_violation(&error, Violation::LifetimeInverted);
    Ok(())
}

/// V-7.2-09: lifetimes of more than the application allows, to the second; the greatest is not too
/// great to be counted.
#[test]
fn a_lifetime_that_is_too_long() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let too_long = [
        Lifetime { not_before: NOW - 1, not_after: NOW + YEAR },
        Lifetime { not_before: 0, not_after: u64::MAX },
    ];
    for lifetime in too_long {
        let add = Proposal::Add(key_package(&mut group, lifetime)?);
        let mut insider = group.insider(1)?;
        for message in [
            insider.proposal(add.clone())?.private()?.message,
            insider.commit().proposals([add]).private()?.message,
        ] {
            let error = group.refuses(0, message);
            assert!(matches!(error, Error::Refused(Refused::TotalLifetime(YEAR))), "{error:?}");
        }
    }
    let longest = Lifetime { not_before: NOW - 1, not_after: NOW - 1 + YEAR };
    let add = Proposal::Add(key_package(&mut group, longest)?);
    let mut insider = group.insider(1)?;
    group.members[0].receive(insider.commit().proposals([add]).private()?)?;
    Ok(())
}

/// V-7.3-07: nobody proposes or commits a KeyPackage that is over, or not yet begun.
#[test]
fn key_packages_out_of_time_are_not_sent() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 2)?;
    for lifetime in [EXPIRED, NOT_YET] {
        let add = Proposal::Add(key_package(&mut group, lifetime)?);
        let before = group.members[0].fingerprint()?;
        let error = group.members[0].propose(add.clone()).expect_err("a proposal out of time");
        assert_violation(&error, Violation::Lifetime);
        let error = group.commit_with(0, [add]).expect_err("a Commit out of time");
        assert_violation(&error, Violation::Lifetime);
        assert_eq!(before, group.members[0].fingerprint()?);
    }
    for lifetime in [
        Lifetime { not_before: NOW, not_after: NOW + 10 },
        Lifetime { not_before: NOW - 10, not_after: NOW },
    ] {
        let add = Proposal::Add(key_package(&mut group, lifetime)?);
        group.commit_with(0, [add])?;
    }
    Ok(())
}

/// V-7.3-08: whoever receives one refuses it, unless the application does not want it so.
#[test]
fn key_packages_out_of_time_are_refused() -> Result<(), Error> {
    for lifetime in [EXPIRED, NOT_YET] {
        let mut group = TestGroup::new(SUITE, 3)?;
        let add = Proposal::Add(key_package(&mut group, lifetime)?);
        let mut insider = group.insider(1)?;
        let error = group.refuses(0, insider.proposal(add.clone())?.private()?);
        assert_violation(&error, Violation::Lifetime);
        let commit = insider.commit().proposals([add]).private()?;
        assert_violation(&group.refuses(0, &commit), Violation::Lifetime);
        group.members[2].now = None;
        assert!(matches!(group.members[2].receive(&commit)?, Heard::Commit(_)));
    }
    Ok(())
}

/// V-7.3-08: that a member's KeyPackage is over by now is no reason to refuse the tree.
#[test]
fn members_stay_when_their_key_packages_are_over() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let later = NOW + 100 * YEAR;
    for member in &mut group.members {
        member.now = Some(later);
    }
    let mut newcomer = group.newcomer("new")?;
    newcomer.now = Some(later);
    newcomer.template.lifetime = Lifetime { not_before: later - 10, not_after: later + 10 };
    let joined = group.add_member(0, newcomer)?;
    group.update(joined)?;
    Ok(())
}

/// V-7.2-10: a KeyPackage can be used by those whose clocks are behind: by an hour, or as the
/// application says.
#[test]
fn clocks_differ() -> Result<(), Error> {
    let test = clients(SUITE, 1)?;
    let begins = |client: &Client| -> Result<u64, Error> {
        let bytes = client.key_package()?;
        let context = circlet::codec::DecodeContext::default();
        let MlsMessage::KeyPackage(key_package) = MlsMessage::read(&bytes, &context)? else {
            panic!("no KeyPackage");
        };
        let LeafNodeSource::KeyPackage(lifetime) = key_package.leaf_node.source else {
            panic!("no lifetime");
        };
        Ok(lifetime.not_before)
    };
    assert_eq!(begins(&test.clients[0])?, NOW - 3600);
    let ahead = Client::builder("ahead").cipher_suite(SUITE).clock(test.clock.clone());
    let ahead = ahead.key_package_lifetime(7200, 86_400).build()?;
    assert_eq!(begins(&ahead)?, NOW - 7200);
    let key_package = ahead.key_package()?;
    test.clock.set(NOW - 7200);
    test.groups[0].invite([key_package])?.confirm()?;
    Ok(())
}
