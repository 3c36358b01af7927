//! Members that replace their certificates, in groups as values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use circlet::codec::DecodeContext;
use circlet::identity::{Credential, CredentialType, Signer, SigningKey};
use circlet::testing::{Heard, TestGroup, TestMember};
use circlet::tree::{Extensions, LeafNodeContent};
use circlet::{Error, Refused};

use crate::certificates::{Content, NEXT_YEAR, NOW, P256, key};
use crate::world::World;

/// Alice and Bob, a year after their certificates were made.
struct YearAfter {
    world: World,
    group: TestGroup,
}

impl YearAfter {
    fn new() -> Result<Self, Error> {
        let world = World::new(P256);
        let now = Arc::new(AtomicU64::new(NOW));
        let mut context = DecodeContext::default();
        context.credential_types.insert(CredentialType::X509.0);
        let builder = TestGroup::builder(P256).context(context);
        let settings = builder.settings()?;
        let mut group = builder.build()?;
        let member = |name, seed| {
            let mut member = TestMember::new(settings.clone(), name, seed)?;
            let now = now.clone();
            let clock = move || now.load(Ordering::Relaxed);
            member.validator = Arc::new(world.builder().clock(clock).build().unwrap());
            member.signer = key(P256, seed);
            member.template.credential = chain(&world, &Content::member(name), &member.signer);
            Ok::<_, Error>(member)
        };
        let mut alice = member("Alice", 11)?;
        let bob = member("Bob", 12)?;
        alice.create(b"with certificates", Extensions::new())?;
        group.members = vec![alice];
        group.add_member(0, bob)?;
        now.store(NEXT_YEAR, Ordering::Relaxed);
        Ok(Self { world, group })
    }

    /// Bob's new certificate, for a new key.
    fn renewed(&self, change: impl FnOnce(&mut Content)) -> (Credential, SigningKey) {
        let mut content = Content { not_after: "270101000000Z", ..Content::member("Bob") };
        change(&mut content);
        let signer = key(P256, 22);
        (chain(&self.world, &content, &signer), signer)
    }

    /// What Alice has to refuse: Bob's new certificate has expired too, is somebody else's, or is
    /// for another key than the new leaf has.
    fn refused(&self) -> [(Credential, SigningKey); 3] {
        let (expired, signer) = self.renewed(|content| content.not_after = "260601000000Z");
        let (other, _) = self.renewed(|content| content.subject = "Alice");
        let (renewed, _) = self.renewed(|_| {});
        [(expired, signer.clone()), (other, signer), (renewed, key(P256, 23))]
    }
}

fn chain(world: &World, content: &Content, signer: &SigningKey) -> Credential {
    let issued = content.issue(signer, "Middle", &world.middle_key);
    Credential::x509([issued, world.middle_certificate()])
}

/// Puts a credential and its key into a leaf.
fn replace(
    credential: Credential,
    signer: &SigningKey,
) -> impl FnOnce(&mut LeafNodeContent) + use<> {
    let signature_key = signer.public_key().clone();
    move |leaf| {
        leaf.credential = credential;
        leaf.signature_key = signature_key;
    }
}

/// V-5.3-01, V-5.3-03, V-5.3-04, V-5.3-05: an Update by a member whose certificate has expired is
/// accepted if the new one is valid, for this member, and for the new key.
#[test]
fn v_5_3_05_update() -> Result<(), Error> {
    let mut after = YearAfter::new()?;
    let mut bob = after.group.insider(1)?;
    for (credential, signer) in after.refused() {
        let leaf = bob.update().edit(replace(credential, &signer)).signer(signer);
        let update = leaf.proposal()?;
        let message = bob.proposal(update)?.private()?;
        let error = after.group.members[0].refuses(message);
        assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    }
    let (credential, signer) = after.renewed(|_| {});
    let renewed = credential.clone();
    let leaf = bob.update().edit(replace(credential, &signer)).signer(signer);
    let update = leaf.proposal()?;
    let message = bob.proposal(update)?.private()?;
    let heard = after.group.members[0].receive(message)?;
    assert!(matches!(heard, Heard::Proposal(_)), "{heard:?}");
    // Bob's member, unlike the insider, does not know the new keys, and stays behind.
    let request = after.group.request(0)?;
    let alice = &mut after.group.members[0];
    alice.stage(request)?;
    alice.confirm()?;
    assert!(alice.state().members().any(|member| member.credential == renewed));
    Ok(())
}

/// V-5.3-01, V-5.3-03, V-5.3-04, V-5.3-05: the same of a Commit; what follows is signed with the new
/// key.
#[test]
fn v_5_3_05_commit() -> Result<(), Error> {
    let mut after = YearAfter::new()?;
    let mut bob = after.group.insider(1)?;
    for (credential, signer) in after.refused() {
        let commit = bob.commit().leaf(replace(credential, &signer)).leaf_signer(signer);
        let error = after.group.members[0].refuses(commit.private()?);
        assert!(matches!(error, Error::Refused(Refused::Credential)), "{error:?}");
    }
    let (credential, signer) = after.renewed(|_| {});
    let commit = bob.commit().leaf(replace(credential.clone(), &signer));
    let commit = commit.leaf_signer(signer.clone()).private()?;
    after.group.broadcast(1, &commit)?;
    let member = &mut after.group.members[1];
    member.enter(commit.next.into_state()?);
    member.signer = signer;
    after.group.agree();
    let wire = after.group.members[1].send(b"renewed")?;
    match after.group.members[0].receive(wire)? {
        Heard::Message(message) => assert_eq!(message.sender.credential, credential),
        other => panic!("{other:?}"),
    }
    Ok(())
}

/// V-5.3-06: what members with expired certificates say and commit is accepted.
#[test]
fn v_5_3_06_unchanged() -> Result<(), Error> {
    let mut after = YearAfter::new()?;
    after.group.send(1, b"after a year")?;
    after.group.propose(1, None)?;
    after.group.update(0)?;
    after.group.update(1)?;
    Ok(())
}
