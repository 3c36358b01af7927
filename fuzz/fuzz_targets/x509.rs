//! Chains of certificates: raw ones, and such whose authorities have signed whatever was changed, so
//! that what is behind the signatures is reached too.

#![no_main]
#![allow(dead_code, reason = "each target uses its part of what they share")]

#[path = "../../crates/circlet/tests/x509/certificates.rs"]
mod certificates;
#[path = "../../crates/circlet/tests/crypto_support/mod.rs"]
mod crypto_support;
#[path = "../../crates/circlet/tests/x509/der.rs"]
mod der;
mod seeding;

use std::sync::LazyLock;

use certificates::{
    CLIENT_AUTHENTICATION, Content, ED25519, EMAIL_PROTECTION, NOW, authority_of, domain, email,
    key, signature_algorithm, uri,
};
use circlet::identity::x509::{X509Names, X509Validator};
use circlet::identity::{
    Credential, CredentialCheck, CredentialUse, CredentialValidator, Signer, SigningKey,
};
use der::{bits, sequence, value};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

struct Scene {
    /// Of the member, of the authority that issued its certificate, and of the trust anchor.
    keys: [SigningKey; 3],
    validators: Vec<X509Validator>,
    /// What is signed in certificates of members and of authorities.
    members: Vec<Vec<u8>>,
    authorities: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(Scene::new);

impl Scene {
    fn new() -> Self {
        let keys = [3, 2, 1].map(|seed| key(ED25519, seed));
        let [member, middle, root] = &keys;
        let anchor = |content: &Content| content.issue(root, "Root", root);
        let permitted = value(0x30, &value(0xa0, &sequence(&[domain("example.org")])));
        let limited = Content {
            more: vec![("2.5.29.30", true, permitted.clone())],
            ..Content::authority("Root")
        };
        let builder = |content: &Content| {
            X509Validator::builder().trust_anchor(anchor(content)).clock(|| NOW)
        };
        let plain = Content::authority("Root");
        let validators = vec![
            builder(&plain).build().unwrap(),
            builder(&plain).extended_key_usage(CLIENT_AUTHENTICATION).build().unwrap(),
            builder(&limited).build().unwrap(),
        ];
        let usages = vec![CLIENT_AUTHENTICATION, EMAIL_PROTECTION];
        let names = vec![domain("alice.example.org"), email("a@example.org"), uri("im:a@b.org")];
        let members = [
            Content::member("Alice"),
            Content { extended_key_usage: usages, ..Content::member("Alice") },
            Content { alternative_names: names, ..Content::member("Alice") },
        ];
        let authorities = [
            Content::authority("Middle"),
            Content {
                basic_constraints: Some(authority_of(Some(0))),
                ..Content::authority("Middle")
            },
            Content { more: vec![("2.5.29.30", true, permitted)], ..Content::authority("Middle") },
        ];
        let signed = |certificate: Vec<u8>| signed_part(&certificate).unwrap().to_vec();
        let issued = |content: &Content| signed(content.issue(member, "Middle", middle));
        let of_authority = |content: &Content| signed(content.issue(middle, "Root", root));
        let scene = Self {
            validators,
            members: members.iter().map(issued).collect(),
            authorities: authorities.iter().map(of_authority).collect(),
            keys,
        };
        // Otherwise nothing behind the signatures would be fuzzed.
        let chain = scene.chain(false, &[&scene.members[0], &scene.authorities[0]]).unwrap();
        let [member, ..] = &scene.keys;
        let check = CredentialCheck::new(&chain, member.public_key(), CredentialUse::Add);
        scene.validators[0].check(&check).unwrap();
        scene
    }

    /// A chain of these parts: certificates as they are, or what its issuer has signed in each.
    fn chain(&self, raw: bool, parts: &[&[u8]]) -> Option<Credential> {
        if raw {
            return Some(Credential::x509(parts.iter().map(|part| part.to_vec())));
        }
        let certificate = |(place, part): (usize, &&[u8])| {
            let issuer = self.keys.get(place + 1).or(self.keys.last())?;
            let signature = issuer.sign(part).ok()?;
            let algorithm = sequence(&[signature_algorithm(issuer)]);
            Some(sequence(&[part.to_vec(), algorithm, bits(&signature.0)]))
        };
        let chain = parts.iter().enumerate().map(certificate).collect::<Option<Vec<_>>>()?;
        Some(Credential::x509(chain))
    }
}

/// The first value in a SEQUENCE.
fn signed_part(certificate: &[u8]) -> Option<&[u8]> {
    let content = certificate.get(header(certificate)?.0..)?;
    let (head, length) = header(content)?;
    content.get(..head + length)
}

/// How long the tag and the length of a value are, and its content.
fn header(der: &[u8]) -> Option<(usize, usize)> {
    match *der.get(1..4)? {
        [length @ 0..=127, ..] => Some((2, length.into())),
        [0x81, length, _] => Some((3, length.into())),
        [0x82, high, low] => Some((4, usize::from(high) << 8 | usize::from(low))),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let scene = &*SCENE;
    let Some((selector, mut rest)) = data.split_first() else { return };
    let mut parts = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (part, after) = after.split_at(length);
        parts.push(part);
        rest = after;
    }
    let Some(chain) = scene.chain(selector & 1 != 0, &parts) else { return };
    let [member, ..] = &scene.keys;
    for validator in &scene.validators {
        let check = CredentialCheck::new(&chain, member.public_key(), CredentialUse::Add);
        let verdict = validator.check(&check);
        assert_eq!(validator.validate(&check).is_ok(), verdict.is_ok());
        if let Ok(names) = &verdict {
            assert_eq!(X509Names::presented(&chain).as_ref(), Ok(names));
            assert!(validator.identity(&chain).is_some());
            // As a successor to itself.
            let mut update =
                CredentialCheck::new(&chain, member.public_key(), CredentialUse::Update);
            update.replaced = Some((&chain, member.public_key()));
            assert!(validator.check(&update).is_ok());
        }
        // Nobody else's key has this certificate.
        let [_, middle, _] = &scene.keys;
        let other = CredentialCheck::new(&chain, middle.public_key(), CredentialUse::Add);
        assert!(verdict.is_err() || validator.check(&other).is_err());
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    seeding::mutate(data, size, max_size, seed, |seed| {
        let scene = &*SCENE;
        let pick = |all: &'static [Vec<u8>], shift: u32| &all[(seed >> shift) as usize % all.len()];
        let parts = [pick(&scene.members, 1), pick(&scene.authorities, 4)];
        let raw = seed & 1 != 0;
        let parts = match scene.chain(false, &[parts[0], parts[1]]) {
            Some(Credential::X509(chain)) if raw => chain,
            _ => parts.map(Clone::clone).to_vec(),
        };
        let part = |part: Vec<u8>| [(part.len() as u16).to_be_bytes().to_vec(), part].concat();
        [vec![u8::from(raw)], parts.into_iter().flat_map(part).collect()].concat()
    })
});
