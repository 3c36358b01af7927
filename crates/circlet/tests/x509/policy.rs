//! What the application decides: usages, successors, and what becomes of expired certificates.

use circlet::identity::x509::{X509Fault, X509ValidatorBuilder};
use circlet::identity::{Credential, CredentialCheck, CredentialUse, Signer};

use crate::certificates::{
    ANY_USAGE, CLIENT_AUTHENTICATION, Content, EMAIL_PROTECTION, NEXT_YEAR, P256, domain, email,
    key,
};
use crate::world::{Verdict, World, ask, verdict};

type Usages = &'static [&'static str];

/// RFC 5280 section 4.2.1.12: the end entity needs an accepted usage by name; an issuer must not
/// exclude it.
#[test]
fn extended_key_usages() {
    let refused = |place| Err((place, X509Fault::ExtendedKeyUsage));
    let both: Usages = &[CLIENT_AUTHENTICATION, EMAIL_PROTECTION];
    let cases: [(Usages, Usages, Usages, Result<(), _>); 9] = [
        // accepted, the member's, the authority's, verdict
        (&[], &[], &[], Ok(())),
        (&[], &[EMAIL_PROTECTION], &[CLIENT_AUTHENTICATION], Ok(())),
        (&[CLIENT_AUTHENTICATION], &[CLIENT_AUTHENTICATION], &[], Ok(())),
        (&[CLIENT_AUTHENTICATION], both, &[ANY_USAGE], Ok(())),
        (both, &[EMAIL_PROTECTION], both, Ok(())),
        (&[CLIENT_AUTHENTICATION], &[], &[], refused(0)),
        (&[CLIENT_AUTHENTICATION], &[EMAIL_PROTECTION], &[], refused(0)),
        (&[CLIENT_AUTHENTICATION], &[ANY_USAGE], &[], refused(0)),
        (&[CLIENT_AUTHENTICATION], both, &[EMAIL_PROTECTION], refused(1)),
    ];
    for (accepted, members, authoritys, expected) in cases {
        let world = World::with(P256, |world| {
            world.member.extended_key_usage = members.to_vec();
            world.middle.extended_key_usage = authoritys.to_vec();
        });
        let demand = |builder: X509ValidatorBuilder, id: &&str| builder.extended_key_usage(id);
        let validator = accepted.iter().fold(world.builder(), demand).build().unwrap();
        let said = verdict(&validator, world.chain(), world.member_key.public_key());
        assert_eq!(said.map(drop), expected, "{accepted:?}, {members:?}, {authoritys:?}");
    }
}

/// Asks whether a certificate with this content and a new key may follow Alice's.
fn follows(
    content: &Content,
    reason: CredentialUse,
    set: impl FnOnce(X509ValidatorBuilder) -> X509ValidatorBuilder,
) -> Verdict {
    let world = World::new(P256);
    let new_key = key(P256, 6);
    let new = content.issue(&new_key, "Middle", &world.middle_key);
    let new = Credential::x509([new, world.middle_certificate()]);
    let old = Credential::x509(world.chain());
    let mut check = CredentialCheck::new(&new, new_key.public_key(), reason);
    check.replaced = Some((&old, world.member_key.public_key()));
    ask(&set(world.builder()).build().unwrap(), &check)
}

/// V-5.3-04: the same subject and the same alternative names by default, in any order.
#[test]
fn v_5_3_04_same_names() {
    for reason in [CredentialUse::Update, CredentialUse::Commit, CredentialUse::ExternalJoin] {
        let refused = Err((0, X509Fault::NotSuccessor));
        let alice = Content::member("Alice");
        follows(&alice, reason, |builder| builder).unwrap();
        let mallory = Content::member("Mallory");
        assert_eq!(follows(&mallory, reason, |builder| builder), refused);
        for names in [
            vec![],
            vec![email("other@example.org")],
            vec![email("somebody@example.org"), domain("example.org")],
        ] {
            let content = Content { alternative_names: names, ..alice.clone() };
            assert_eq!(follows(&content, reason, |builder| builder), refused);
        }
    }
}

/// V-5.3-04: the application's rule. It is asked about valid chains only.
#[test]
fn v_5_3_04_rule_of_the_application() {
    let by_email =
        |builder: X509ValidatorBuilder| builder.successor(|old, new| old.emails().eq(new.emails()));
    let mut content = Content::member("Alice Married");
    follows(&content, CredentialUse::Update, by_email).unwrap();
    content.not_after = "250301000000Z";
    let said = follows(&content, CredentialUse::Update, by_email);
    assert_eq!(said, Err((0, X509Fault::Expired)));
    let nobody = follows(&Content::member("Alice"), CredentialUse::Commit, |builder| {
        builder.successor(|_, _| false)
    });
    assert_eq!(nobody, Err((0, X509Fault::NotSuccessor)));
}

/// V-5.3-04: a basic credential has no names to compare.
#[test]
fn v_5_3_04_after_another_type() {
    let world = World::new(P256);
    let (old, new) = (Credential::basic("Alice"), Credential::x509(world.chain()));
    let leaf = world.member_key.public_key();
    let mut check = CredentialCheck::new(&new, leaf, CredentialUse::Update);
    check.replaced = Some((&old, leaf));
    let validator = world.builder().successor(|_, _| true).build().unwrap();
    assert_eq!(ask(&validator, &check), Err((0, X509Fault::NotSuccessor)));
}

/// Who has the same names is the same member of a group that continues another, whatever the
/// certificate.
#[test]
fn same_member() {
    use circlet::identity::CredentialValidator;

    let world = World::new(P256);
    let validator = world.builder().successor(|_, _| true).build().unwrap();
    let issued = |content: &Content, seed| {
        let certificate = content.issue(&key(P256, seed), "Middle", &world.middle_key);
        Credential::x509([certificate, world.middle_certificate()])
    };
    let alice = issued(&Content::member("Alice"), 3);
    let renewed = issued(&Content::member("Alice"), 6);
    let mallory = issued(&Content::member("Mallory"), 6);
    let basic = Credential::basic("Alice");
    assert!(validator.identity(&alice).is_some());
    assert_eq!(validator.identity(&alice), validator.identity(&renewed));
    assert_ne!(validator.identity(&alice), validator.identity(&mallory));
    assert_eq!(validator.identity(&basic), None);
}

/// V-5.3-05: an expired certificate can be replaced by a valid one, in an Update and in a Commit,
/// and not by one that has expired as well, whatever is accepted of members at a join.
#[test]
fn v_5_3_05_expired_and_replaced() {
    for (reason, accept) in [
        (CredentialUse::Update, false),
        (CredentialUse::Update, true),
        (CredentialUse::Commit, false),
        (CredentialUse::Commit, true),
    ] {
        let set = |builder: X509ValidatorBuilder| {
            builder.clock(|| NEXT_YEAR).accept_expired_members(accept)
        };
        let mut content = Content::member("Alice");
        assert_eq!(follows(&content, reason, set), Err((0, X509Fault::Expired)));
        content.not_after = "270101000000Z";
        follows(&content, reason, set).unwrap();
    }
}

/// V-5.3-06: a member that keeps its credential and key presents nothing new; who joins from
/// outside does, also in the place of an old leaf with the same.
#[test]
fn v_5_3_06_kept() {
    let world = World::new(P256);
    let credential = Credential::x509(world.chain());
    let leaf = world.member_key.public_key();
    let validator = world.builder().clock(|| NEXT_YEAR).build().unwrap();
    for (reason, expected) in [
        (CredentialUse::Update, Ok(())),
        (CredentialUse::Commit, Ok(())),
        (CredentialUse::ExternalJoin, Err((0, X509Fault::Expired))),
    ] {
        let mut check = CredentialCheck::new(&credential, leaf, reason);
        check.replaced = Some((&credential, leaf));
        assert_eq!(ask(&validator, &check).map(drop), expected, "{reason:?}");
        // With another key it is not the same.
        let other = key(P256, 4);
        check.replaced = Some((&credential, other.public_key()));
        assert_eq!(ask(&validator, &check), Err((0, X509Fault::Expired)), "{reason:?}");
    }
}

/// V-5.3-06: expired members and external senders are accepted at a join if the application wants it, and nowhere else.
#[test]
fn v_5_3_06_expired_members_at_a_join() {
    let world = World::new(P256);
    let credential = Credential::x509(world.chain());
    let leaf = world.member_key.public_key();
    let reasons = [
        CredentialUse::Own,
        CredentialUse::Join,
        CredentialUse::Add,
        CredentialUse::Update,
        CredentialUse::Commit,
        CredentialUse::ExternalSender,
        CredentialUse::JoinExternalSender,
        CredentialUse::SelfAdd,
        CredentialUse::ExternalJoin,
    ];
    for reason in reasons {
        for accept in [false, true] {
            let builder = world.builder().clock(|| NEXT_YEAR).accept_expired_members(accept);
            let check = CredentialCheck::new(&credential, leaf, reason);
            let said = ask(&builder.build().unwrap(), &check).map(drop);
            let met = [CredentialUse::Join, CredentialUse::JoinExternalSender];
            let passes = accept && met.contains(&reason);
            let expected = if passes { Ok(()) } else { Err((0, X509Fault::Expired)) };
            assert_eq!(said, expected, "{reason:?}, {accept}");
        }
    }
}

/// V-5.3-06: what is accepted must have been valid as a whole once: not a certificate from the
/// future, and no issuer that came after the certificate had expired.
#[test]
fn v_5_3_06_never_valid() {
    let judge = |change: fn(&mut World)| {
        let world = World::with(P256, change);
        let credential = Credential::x509(world.chain());
        let leaf = world.member_key.public_key();
        let check = CredentialCheck::new(&credential, leaf, CredentialUse::Join);
        let builder = world.builder().clock(|| NEXT_YEAR).accept_expired_members(true);
        ask(&builder.build().unwrap(), &check).map(drop)
    };
    judge(|world| world.middle.not_after = "250701000000Z").unwrap();
    judge(|world| world.root.not_after = "260201000000Z").unwrap();
    let said = judge(|world| world.middle.not_before = "260301000000Z");
    assert_eq!(said, Err((1, X509Fault::NotYetValid)));
    let said = judge(|world| world.root.not_before = "260301000000Z");
    assert_eq!(said, Err((2, X509Fault::NotYetValid)));
    let said = judge(|world| {
        world.member.not_before = "280101000000Z";
        world.member.not_after = "290101000000Z";
    });
    assert_eq!(said, Err((0, X509Fault::NotYetValid)));
}
