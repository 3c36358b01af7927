use circlet::codec::{Decode, Encode};
use circlet::crypto::{HpkeKeyPair, Rng, Secret, SignaturePublicKey, Suite};
use circlet::message::{
    GroupInfo, GroupSecrets, KeyPackage, MlsMessage, Welcome as WelcomeMessage,
};
use circlet::schedule::{JoinerSecret, psk_secret};
use serde::{Deserialize, Serialize};

use super::active_group::{Act, ActiveGroup, Joiner, Plan, Psks};
use super::{At, Env, Failure, Hex, VectorType, expect_bytes};

/// A Welcome, by itself (RFC 9420 section 12.4.3.1).
pub(crate) struct Welcome;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    init_priv: Hex,
    signer_pub: Hex,
    key_package: Hex,
    welcome: Hex,
}

impl VectorType for Welcome {
    const NAME: &'static str = "welcome";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let key_package = read_key_package(case, env)?;
        let welcome = read_welcome(case, env)?;
        let secrets = open_secrets(case, &suite, &key_package, &welcome, env).at("welcome")?;
        let no_psks = psk_secret(&suite, &[])?;
        let joiner = JoinerSecret::new(&suite, secrets.joiner_secret)?;
        let member = joiner.with_psk(&suite, &no_psks)?;
        let keys = member.welcome(&suite)?;
        let plaintext = suite
            .open(&keys.key, keys.nonce.as_bytes(), &[], &welcome.encrypted_group_info)
            .at("encrypted_group_info")?;
        let group_info = GroupInfo::from_bytes(&plaintext, &env.context).at("GroupInfo")?;
        let signer = SignaturePublicKey::new(&case.signer_pub);
        group_info.verify_signature(&suite, &signer).at("GroupInfo")?;

        let context = group_info.group_context.to_bytes()?;
        let (epoch, _) = member.epoch(&suite, &context)?.secrets(&suite)?;
        let over = &group_info.group_context.confirmed_transcript_hash;
        suite
            .verify_mac(&epoch.confirmation_key, &[over], &group_info.confirmation_tag)
            .at("confirmation_tag")
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        env.suites().into_iter().map(|cipher_suite| make(cipher_suite, env, rng)).collect()
    }
}

fn read_key_package(case: &Case, env: &Env) -> Result<KeyPackage, Failure> {
    let message = MlsMessage::read(&case.key_package, &env.context).at("key_package")?;
    expect_bytes("key_package", message.to_bytes()?, &case.key_package)?;
    match message {
        MlsMessage::KeyPackage(key_package) => Ok(key_package),
        _ => Err(Failure::mismatch("key_package")),
    }
}

fn read_welcome(case: &Case, env: &Env) -> Result<WelcomeMessage, Failure> {
    let message = MlsMessage::read(&case.welcome, &env.context).at("welcome")?;
    expect_bytes("welcome", message.to_bytes()?, &case.welcome)?;
    match message {
        MlsMessage::Welcome(welcome) => Ok(welcome),
        _ => Err(Failure::mismatch("welcome")),
    }
}

fn open_secrets(
    case: &Case,
    suite: &Suite,
    key_package: &KeyPackage,
    welcome: &WelcomeMessage,
    env: &Env,
) -> Result<GroupSecrets, Failure> {
    let keys: HpkeKeyPair =
        suite.provider().import_private_key(suite.spec().kem.id, &case.init_priv)?;
    expect_bytes("init_priv", &keys.public, &key_package.init_key)?;
    let reference = key_package.reference(suite)?;
    let entry = welcome.secrets.iter().find(|entry| entry.new_member == reference);
    let entry = entry.ok_or_else(|| Failure::missing("new_member"))?;
    let plaintext: Secret = suite.decrypt_with_label(
        &keys,
        "Welcome",
        &welcome.encrypted_group_info,
        &entry.encrypted_group_secrets,
    )?;
    Ok(GroupSecrets::from_plaintext(plaintext.as_bytes(), &env.context)?)
}

/// A group of two that lets a third in, without its tree.
fn make(cipher_suite: u16, env: &Env, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let mut group = ActiveGroup::new(env, cipher_suite, 2, Psks::default(), rng)?;
    let joiner = Joiner::new(&group.settings, 2, rng)?;
    let key_package = joiner.keys.key_package;
    let add = Act::AddPassive(Box::new(key_package.clone()));
    let plan = Plan { by_value: vec![add], tree_outside: true, ..Plan::default() };
    let committed = group.commit(plan, rng)?;
    Ok(Case {
        cipher_suite,
        init_priv: Hex::from(joiner.keys.init_key.secret()),
        signer_pub: group.signature_key(0)?,
        key_package: MlsMessage::KeyPackage(key_package).to_bytes()?.into(),
        welcome: committed.welcome.ok_or_else(|| Failure::missing("welcome"))?,
    })
}
