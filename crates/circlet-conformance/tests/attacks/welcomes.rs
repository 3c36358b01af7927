//! Attack 16: Welcomes that bind a joiner to something else than it believes.

use circlet::client::GroupOptions;
use circlet::crypto::{HpkeCiphertext, Secret};
use circlet::message::GroupId;
use circlet::rules::Violation;
use circlet::schedule::{PreSharedKeyId, Psk, ResumptionPskUsage};
use circlet::testing::{ForgedCommit, TestMember, clients, dump};
use circlet::tree::LeafIndex;
use circlet::{Client, Error, Misuse, Unready};

use crate::support::{SUITE, refuses_welcome, welcoming};

/// A Welcome comes from somebody whom the joiner does not know yet, and all that it believes of the
/// group is in it: who signed, which secrets, which group, which old group it continues. Each of
/// these is wrong once; what the joiner has is as it was, and the genuine Welcome works then.
///
/// V-12.4.3-04, V-12.4.3-05, V-12.4.3.1-03, V-12.4.3.1-04, V-12.4.3.1-08, V-12.4.3.1-20.
#[test]
fn attack_16_welcome_misbinding() -> Result<(), Error> {
    let (mut newcomer, mut commit) = welcoming()?;
    let own = commit.added[0].0;

    // Signed by the joiner's own leaf, by nobody's, by another member's key, or for another group.
    let signer = newcomer.signer.clone();
    let itself = commit.welcome().edit_group_info(|info| info.signer = own).signer(signer);
    let itself = itself.build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &itself), Violation::GroupInfoSigner);
    let nobody = commit.welcome().edit_group_info(|info| info.signer = LeafIndex(99));
    let nobody = nobody.build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &nobody), Violation::GroupInfoSigner);
    let other = commit.welcome().edit_group_info(|info| info.signer = LeafIndex(2));
    let other = other.build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &other), Violation::GroupInfoSignature);
    let group = commit.welcome().edit_group_info(|info| {
        info.group_context.group_id = GroupId::new(b"another group");
    });
    // The leaves of members that committed are signed for the group.
    let group = group.build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &group), Violation::LeafSignature);

    secrets_of_something_else(&mut newcomer, &mut commit)?;

    // Two entries for one key package, of which only one can be read.
    let twice = commit.welcome().edit_welcome(|welcome| {
        let mut broken = welcome.secrets[0].clone();
        broken.encrypted_group_secrets = HpkeCiphertext {
            kem_output: broken.encrypted_group_secrets.kem_output,
            ciphertext: vec![0; 64],
        };
        welcome.secrets.insert(0, broken);
    });
    let twice = twice.build()?;
    assert_eq!(refuses_welcome(&mut newcomer, &mut commit, &twice), Violation::WelcomeDecryption);
    // Not for this client at all, or not with its leaf.
    let foreign = commit.welcome().edit_welcome(|welcome| welcome.secrets.clear()).build()?;
    let error = newcomer.refuses(&foreign);
    assert!(matches!(error, Error::Unready(Unready::UnknownKeyPackage)), "{error:?}");
    let elsewhere = commit.welcome().edit_tree(|nodes| nodes.truncate(13)).build()?;
    // A parent says that there is such a leaf.
    assert_eq!(
        refuses_welcome(&mut newcomer, &mut commit, &elsewhere),
        Violation::UnmergedLeafMisplaced
    );

    // A group that continues another which the joiner does not know.
    for usage in [ResumptionPskUsage::Reinit, ResumptionPskUsage::Branch] {
        let psk = Psk::Resumption { usage, psk_group_id: b"an old group".to_vec(), psk_epoch: 3 };
        let id = PreSharedKeyId { psk, psk_nonce: vec![1; 32] };
        let continued = commit.welcome().psks(vec![(id, Secret::new(&[1; 32]))]).build()?;
        let error = newcomer.refuses(&continued);
        assert!(matches!(error, Error::Unready(Unready::UnknownPsk(_))), "{error:?}");
    }
    newcomer.join(commit.welcome().build()?)?;
    assert_eq!(newcomer.leaf(), own);
    Ok(())
}

/// Path secrets that are not those of the tree, and secrets of another length.
fn secrets_of_something_else(
    newcomer: &mut TestMember,
    commit: &mut ForgedCommit,
) -> Result<(), Error> {
    for secret in [Some(Secret::new(&[7; 32])), None] {
        let wrong = commit.welcome().edit_secrets(|_, secrets| {
            secrets.path_secret = secret.clone();
        });
        let wrong = wrong.build()?;
        let found = refuses_welcome(newcomer, commit, &wrong);
        assert_eq!(found, Violation::WelcomePathSecret);
    }
    let of_another_node = commit.steps[0].path_secret.clone();
    let wrong = commit.welcome().edit_secrets(|_, secrets| {
        secrets.path_secret = Some(of_another_node.clone());
    });
    let wrong = wrong.build()?;
    assert_eq!(refuses_welcome(newcomer, commit, &wrong), Violation::WelcomePathSecret);
    for length in [0, 31, 33, 64] {
        let wrong = commit.welcome().joiner_secret(Secret::new(&vec![7; length])).build()?;
        assert_eq!(refuses_welcome(newcomer, commit, &wrong), Violation::WelcomeSecretLength);
        let wrong = commit.welcome().edit_secrets(|_, secrets| {
            secrets.path_secret = Some(Secret::new(&vec![7; length]));
        });
        let wrong = wrong.build()?;
        let found = refuses_welcome(newcomer, commit, &wrong);
        assert_eq!(found, Violation::WelcomeSecretLength);
    }
    let wrong = commit.welcome().joiner_secret(Secret::new(&[7; 32])).edit_secrets(|_, secrets| {
        secrets.joiner_secret = Secret::new(&[8; 32]);
    });
    let wrong = wrong.build()?;
    assert_eq!(refuses_welcome(newcomer, commit, &wrong), Violation::WelcomeDecryption);
    Ok(())
}

/// A Welcome into a group with the id of one that the client is in: the old one must not be replaced.
#[test]
fn attack_16_group_id_collision() -> Result<(), Error> {
    let test = clients(SUITE, 2)?;
    let victim = &test.clients[1];
    let eve = Client::builder("eve").cipher_suite(SUITE).clock(test.clock.clone());
    let eve = eve.rng(circlet::testing::SeededRng::new(5)).build()?;
    let group_id = Some(test.groups[1].id().clone());
    let other = eve.create_group_with(GroupOptions { group_id, ..GroupOptions::default() })?;
    let welcome = other.invite([victim.key_package()?])?.confirm()?.welcome();
    let before = dump(&test.stores[1])?;
    let error = victim.join(&welcome).unwrap_err();
    assert!(matches!(error, Error::Misuse(Misuse::GroupExists)), "{error:?}");
    assert!(dump(&test.stores[1])? == before);
    let hello = test.groups[0].send(b"hello")?;
    victim.receive(&hello)?;
    Ok(())
}
