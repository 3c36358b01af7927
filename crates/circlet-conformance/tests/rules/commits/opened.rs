//! What a Commit is protected with, seen by somebody who has the secrets of its epoch.

use circlet::Error;
use circlet::codec::Encode;
use circlet::crypto::{CryptoError, HpkeKeyPair, HpkePublicKey};
use circlet::group::{HandshakeFormat, Signers};
use circlet::hazmat::protection::{Endpoint, Epoch};
use circlet::identity::{Signer, SigningKey};
use circlet::message::{AuthenticatedContent, Content, GroupContext, MlsMessage, Proposal, Sender};
use circlet::testing::{Insider, TestGroup};
use circlet::tree::{Extensions, LeafIndex, RequiredCapabilities};

use crate::support::SUITE;

/// What member 1 finds in a Commit of member 0 with the secrets that it has in this epoch. It knows
/// no state of member 0, and the library's receiving code is given nothing but the epoch's secrets.
fn opened(eve: &Insider, message: &[u8]) -> Result<AuthenticatedContent, Error> {
    let keys = eve.tree.members().map(|(_, leaf)| leaf.signature_key.clone());
    let epoch = Epoch {
        context: eve.context.clone(),
        signature_keys: keys.collect(),
        encryption_secret: eve.encryption_secret.clone(),
        sender_data_secret: eve.secrets.sender_data_secret.clone(),
        membership_key: eve.secrets.membership_key.clone(),
    };
    let message = MlsMessage::read(message, &eve.settings.context)?;
    let endpoint = Endpoint::new(eve.settings.clone(), epoch, eve.leaf)?;
    Ok(endpoint.unprotect(message)?.expect("another member's message"))
}

/// V-12.4.1-04, V-12.4.1-05: a Commit that brings a new signature key is protected with the keys of
/// the epoch that it ends, and signed with the old key over the old context: neither the new key nor
/// the new context fits.
#[test]
fn a_commit_is_of_the_old_epoch() -> Result<(), Error> {
    for format in [HandshakeFormat::Public, HandshakeFormat::Private] {
        let mut group = TestGroup::builder(SUITE).size(3).handshake(format).build()?;
        let (old, eve) = (group.members[0].state().context().clone(), group.insider(1)?);
        let request = group.request(0)?;
        let member = &mut group.members[0];
        let (present, mut rng) = (member.signer.clone(), member.rng.fork()?);
        let next = SigningKey::generate(member.suite(), &mut rng)?;
        let signers = Signers { present: &present, next: Some(&next) };
        let (staged, step) =
            member.state().commit_with(request, &member.judge(), signers, &mut rng)?;
        member.apply(step)?;
        let message = staged.message().to_vec();
        let found = opened(&eve, &message)?;
        assert_eq!((found.content.epoch, found.content.sender), (old.epoch, SENDER));
        group.members[1].receive(&message)?;
        let new = group.members[1].state().context();
        assert_eq!(new.epoch, old.epoch + 1);
        for (context, key, fits) in [
            (&old, present.public_key(), true),
            (&old, next.public_key(), false),
            (new, present.public_key(), false),
            (new, next.public_key(), false),
        ] {
            let tbs = found.content.to_be_signed(found.wire_format, &context.to_bytes()?)?;
            let signature = &found.auth.signature;
            let verified = eve.suite().verify_with_label(key, "FramedContentTBS", &tbs, signature);
            assert_eq!(verified.err(), (!fits).then_some(CryptoError::InvalidSignature));
        }
        // The keys of the epoch that begins don't open it.
        let after = group.insider(1)?;
        assert!(opened(&after, &message).is_err());
    }
    Ok(())
}

const SENDER: Sender = Sender::Member(LeafIndex(0));

/// V-12.4.1-02, V-7.6-03: the path's secrets are encrypted under the context of the next epoch, with
/// its number, its tree and its extensions, but with the transcript hash of the old one. They are
/// decrypted here with nothing but the receiver's leaf key.
#[test]
fn a_path_is_encrypted_under_the_provisional_context() -> Result<(), Error> {
    let mut group = TestGroup::new(SUITE, 3)?;
    let (old, eve) = (group.members[0].state().context().clone(), group.insider(1)?);
    let required = RequiredCapabilities::default().to_extension()?;
    let extensions: Extensions = [required].into_iter().collect();
    let message =
        group.commit_with(0, [Proposal::GroupContextExtensions(extensions.clone())])?.message;
    let new = group.members[1].state().context().clone();
    let Content::Commit(commit) = opened(&eve, &message)?.content.content else { panic!() };
    let path = commit.path.expect("a path");
    // The copath of leaf 0 begins with leaf 1.
    let sealed = &path.nodes[0].encrypted_path_secret[0];
    let private = eve.private_keys[&eve.leaf.node().unwrap()].clone();
    let public = leaf_key(&eve);
    let keys = HpkeKeyPair { private, public };
    let confirmed_transcript_hash = old.confirmed_transcript_hash.clone();
    let provisional = GroupContext { confirmed_transcript_hash, ..new.clone() };
    assert_eq!((provisional.epoch, &provisional.extensions), (old.epoch + 1, &extensions));
    assert!(new != provisional && old.tree_hash != new.tree_hash);
    let failed = Some(CryptoError::DecryptionFailed);
    for (context, expected) in [
        (provisional.clone(), None),
        (new, failed),
        (GroupContext { epoch: old.epoch, ..provisional.clone() }, failed),
        (GroupContext { tree_hash: old.tree_hash.clone(), ..provisional.clone() }, failed),
        (GroupContext { extensions: old.extensions.clone(), ..provisional }, failed),
        (old, failed),
    ] {
        let context = context.to_bytes()?;
        let found = eve.suite().decrypt_with_label(&keys, "UpdatePathNode", &context, sealed);
        assert_eq!(found.err(), expected);
    }
    Ok(())
}

fn leaf_key(insider: &Insider) -> HpkePublicKey {
    insider.tree.leaf(insider.leaf).expect("a member").encryption_key.clone()
}
