use circlet::identity::x509::{X509Fault, X509Validator};
use circlet::identity::{Credential, Signer};

use crate::certificates::{
    Content, ED25519, NOW, P256, P384, SUITES, authority_of, domain, email, key, uri,
};
use crate::world::{World, verdict};

/// V-5.3-01, V-5.3-02: a member's certificate by the root itself, in every suite.
#[test]
fn one_certificate() {
    for suite in SUITES {
        let world = World::new(suite);
        let member = world.member.issue(&world.member_key, "Root", &world.root_key);
        let validator = world.builder().build().unwrap();
        verdict(&validator, vec![member], world.member_key.public_key()).unwrap();
    }
}

/// V-5.3-01, V-5.3-02: through an authority, in every suite.
#[test]
fn two_certificates() {
    for suite in SUITES {
        World::new(suite).verdict().unwrap();
    }
}

/// V-5.3-02: with the root at the chain's end, which may as well be left out.
#[test]
fn three_certificates() {
    for suite in SUITES {
        let world = World::new(suite);
        let chain = [world.chain(), vec![world.root_certificate()]].concat();
        let validator = world.builder().build().unwrap();
        verdict(&validator, chain, world.member_key.public_key()).unwrap();
    }
}

/// Every provider comes to the same verdict.
#[test]
fn every_provider() {
    for provider in crate::crypto_support::providers() {
        let provider: std::sync::Arc<dyn circlet::crypto::CryptoProvider> = provider.into();
        for suite in SUITES {
            let world = World::new(suite);
            let validator = world.builder().provider(provider.clone()).build().unwrap();
            let leaf = world.member_key.public_key();
            verdict(&validator, world.chain(), leaf).unwrap();
            let mut chain = world.chain();
            *chain[0].last_mut().unwrap() ^= 1;
            let said = verdict(&validator, chain, leaf);
            assert_eq!(said, Err((0, X509Fault::BadSignature)), "{provider:?}, {suite:?}");
        }
    }
}

/// Suite 6, where the provider has it.
#[cfg(feature = "curve448")]
#[test]
fn ed448() {
    let suite = circlet::crypto::CipherSuite::X448_CHACHA20POLY1305_SHA512_ED448;
    World::new(suite).verdict().unwrap();
    let world = World::with(P256, |world| world.middle_key = key(suite, 2));
    world.verdict().unwrap();
}

/// Path lengths that just suffice, through two authorities.
#[test]
fn path_lengths_that_suffice() {
    let world = World::with(P256, |world| {
        world.root.basic_constraints = Some(authority_of(Some(2)));
        world.middle.basic_constraints = Some(authority_of(Some(1)));
    });
    let low_key = key(P256, 4);
    let mut low = Content::authority("Low");
    low.basic_constraints = Some(authority_of(Some(0)));
    let low = low.issue(&low_key, "Middle", &world.middle_key);
    let member = world.member.issue(&world.member_key, "Low", &low_key);
    let chain = vec![member, low, world.middle_certificate()];
    let validator = world.builder().build().unwrap();
    verdict(&validator, chain, world.member_key.public_key()).unwrap();
}

/// The authorities' algorithms are their own business.
#[test]
fn algorithms_can_be_mixed() {
    let world = World::with(ED25519, |world| {
        world.root_key = key(P384, 1);
        world.middle_key = key(P256, 2);
    });
    world.verdict().unwrap();
}

/// An authority below a root can be the trust anchor, whether or not the chain goes on.
#[test]
fn an_authority_below_the_root_can_be_trusted() {
    let world = World::new(P256);
    let validator = X509Validator::builder()
        .trust_anchor(world.middle_certificate())
        .clock(|| NOW)
        .build()
        .unwrap();
    let leaf = world.member_key.public_key();
    let whole = [world.chain(), vec![world.root_certificate()]].concat();
    for length in 1..=3 {
        verdict(&validator, whole[..length].to_vec(), leaf).unwrap();
    }
}

/// A root that changed its key: two anchors with the same name.
#[test]
fn anchors_can_share_a_name() {
    let world = World::new(P256);
    let other_key = key(P256, 9);
    let other = world.root.issue(&other_key, "Root", &other_key);
    let leaf = world.member_key.public_key();
    for anchors in
        [[other.clone(), world.root_certificate()], [world.root_certificate(), other.clone()]]
    {
        let [first, second] = anchors;
        let builder = X509Validator::builder().trust_anchor(first).trust_anchor(second);
        let validator = builder.clock(|| NOW).build().unwrap();
        verdict(&validator, world.chain(), leaf).unwrap();
    }
}

/// A root that was issued anew for the same key: the old certificate, which has expired, does not
/// stand in the way.
#[test]
fn an_expired_anchor_leaves_the_place_to_another() {
    let world = World::new(P256);
    let mut old = world.root.clone();
    old.not_after = "240101000000Z";
    let old = old.issue(&world.root_key, "Root", &world.root_key);
    let builder = X509Validator::builder().trust_anchor(old);
    let validator = builder.trust_anchor(world.root_certificate()).clock(|| NOW).build().unwrap();
    verdict(&validator, world.chain(), world.member_key.public_key()).unwrap();
}

/// Key usage is optional (RFC 5280 section 4.2.1.3), and so is a subject if there are other names.
#[test]
fn what_may_be_missing() {
    World::with(P256, |world| {
        world.root.key_usage = None;
        world.middle.key_usage = None;
        world.member.key_usage = None;
        world.member.subject = "";
    })
    .verdict()
    .unwrap();
}

/// An extension that is not critical may be unknown.
#[test]
fn unknown_extensions_pass_unless_critical() {
    World::with(P256, |world| {
        for content in [&mut world.root, &mut world.middle, &mut world.member] {
            content.more.push(("1.3.6.1.4.1.99999.1", false, vec![5, 0]));
        }
    })
    .verdict()
    .unwrap();
}

/// The names are those of the first certificate.
#[test]
fn names() {
    let world = World::with(P256, |world| {
        world.member.alternative_names = vec![
            email("alice@example.org"),
            domain("a.example.org"),
            domain("b.example.org"),
            uri("im:alice@example.org"),
        ];
    });
    let names = world.verdict().unwrap();
    assert_eq!(names.subject(), crate::certificates::name("Alice"));
    assert_eq!(names.emails().collect::<Vec<_>>(), ["alice@example.org"]);
    assert_eq!(names.domains().collect::<Vec<_>>(), ["a.example.org", "b.example.org"]);
    assert_eq!(names.uris().collect::<Vec<_>>(), ["im:alice@example.org"]);
    assert_eq!(names.alternative().count(), 4);
    let presented = circlet::identity::x509::X509Names::presented;
    assert_eq!(presented(&Credential::x509(world.chain())).unwrap(), names);
    assert!(!format!("{names:?}").contains("alice"));
}
