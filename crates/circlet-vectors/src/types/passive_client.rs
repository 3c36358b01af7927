use circlet::crypto::{HpkePrivateKey, HpkePublicKey, Rng, Secret, Suite};
use circlet::group::{GroupState, JoinKeys, Opened, OpenedWelcome, Settings};
use circlet::message::{KeyPackage, MlsMessage};
use serde::{Deserialize, Serialize};

use super::active_group::Psks;
use super::passive_scripts;
use super::{At, Env, Failure, Hex, VectorType, expect_bytes};

/// A client that joins a group and sends nothing; what it joins with and without a tree or PSKs.
pub(crate) struct PassiveClientWelcome;

/// As [`PassiveClientWelcome`], and then commits of each kind.
pub(crate) struct PassiveClientHandlingCommit;

/// As [`PassiveClientWelcome`], and then a long life.
pub(crate) struct PassiveClientRandom;

/// The three types differ in what happens, not in their form.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(super) cipher_suite: u16,
    pub(super) external_psks: Vec<ExternalPsk>,
    pub(super) key_package: Hex,
    pub(super) signature_priv: Hex,
    pub(super) encryption_priv: Hex,
    pub(super) init_priv: Hex,
    pub(super) welcome: Hex,
    pub(super) ratchet_tree: Option<Hex>,
    pub(super) initial_epoch_authenticator: Hex,
    pub(super) epochs: Vec<Epoch>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExternalPsk {
    pub(super) psk_id: Hex,
    pub(super) psk: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Epoch {
    pub(super) proposals: Vec<Hex>,
    pub(super) commit: Hex,
    pub(super) epoch_authenticator: Hex,
}

impl VectorType for PassiveClientWelcome {
    const NAME: &'static str = "passive-client-welcome";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        verify(case, env)
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        passive_scripts::welcomes(env, rng)
    }
}

impl VectorType for PassiveClientHandlingCommit {
    const NAME: &'static str = "passive-client-handling-commit";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        verify(case, env)
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        passive_scripts::commits(env, rng)
    }
}

impl VectorType for PassiveClientRandom {
    const NAME: &'static str = "passive-client-random";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        verify(case, env)
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        passive_scripts::random_lives(env, rng)
    }
}

fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
    let settings = env.settings(case.cipher_suite)?;
    let psks = case.external_psks.iter();
    let psks = Psks(psks.map(|psk| (psk.psk_id.to_vec(), Secret::new(&psk.psk))).collect());
    let mut group = join(case, settings, &psks)?;
    expect_bytes(
        "initial_epoch_authenticator",
        group.epoch_authenticator().as_bytes(),
        &case.initial_epoch_authenticator,
    )?;
    for (number, epoch) in case.epochs.iter().enumerate() {
        follow(&mut group, epoch, &psks).at(format!("epochs[{number}]"))?;
    }
    Ok(())
}

fn join(case: &Case, settings: Settings, psks: &Psks) -> Result<GroupState, Failure> {
    let keys = join_keys(case, &settings)?;
    let MlsMessage::Welcome(welcome) =
        MlsMessage::read(&case.welcome, &settings.context).at("welcome")?
    else {
        return Err(Failure::mismatch("welcome"));
    };
    let tree = case.ratchet_tree.as_deref();
    let opened = OpenedWelcome::open(settings, &welcome, &keys, tree, psks).at("welcome")?;
    Ok(opened.accept())
}

/// The keys that the case has, held against the key package that they belong to.
fn join_keys(case: &Case, settings: &Settings) -> Result<JoinKeys, Failure> {
    let suite = &settings.suite;
    let MlsMessage::KeyPackage(key_package) =
        MlsMessage::read(&case.key_package, &settings.context).at("key_package")?
    else {
        return Err(Failure::mismatch("key_package"));
    };
    let init_key = import(suite, &case.init_priv, &key_package.init_key).at("init_priv")?;
    let leaf_key = import(suite, &case.encryption_priv, &key_package.leaf_node.encryption_key)
        .at("encryption_priv")?;
    check_signature_key(suite, case, &key_package).at("signature_priv")?;
    Ok(JoinKeys { key_package, init_key, leaf_key })
}

fn import(
    suite: &Suite,
    private: &[u8],
    public: &HpkePublicKey,
) -> Result<HpkePrivateKey, Failure> {
    let keys = suite.provider().import_private_key(suite.spec().kem.id, private)?;
    expect_bytes("public key", &keys.public, public)?;
    Ok(keys.private)
}

fn check_signature_key(
    suite: &Suite,
    case: &Case,
    key_package: &KeyPackage,
) -> Result<(), Failure> {
    let id = suite.spec().signature.id;
    let keys = suite.provider().import_signature_key(id, &case.signature_priv)?;
    expect_bytes("public key", &keys.public, &key_package.leaf_node.signature_key)
}

fn follow(group: &mut GroupState, epoch: &Epoch, psks: &Psks) -> Result<(), Failure> {
    for (number, proposal) in epoch.proposals.iter().enumerate() {
        receive_proposal(group, proposal).at(format!("proposals[{number}]"))?;
    }
    receive_commit(group, &epoch.commit, psks).at("commit")?;
    let authenticator = group.epoch_authenticator();
    expect_bytes("epoch_authenticator", authenticator.as_bytes(), &epoch.epoch_authenticator)
}

fn receive_proposal(group: &mut GroupState, bytes: &[u8]) -> Result<(), Failure> {
    let Opened::Proposal(proposal) = open(group, bytes)? else {
        return Err(Failure::mismatch("content_type"));
    };
    let (_, step) = proposal.accept();
    Ok(group.apply(step).map_err(circlet::Error::from)?)
}

fn receive_commit(group: &mut GroupState, bytes: &[u8], psks: &Psks) -> Result<(), Failure> {
    let Opened::Commit(commit) = open(group, bytes)? else {
        return Err(Failure::mismatch("content_type"));
    };
    let (_, step) = group.process(commit.accept(), psks)?;
    Ok(group.apply(step).map_err(circlet::Error::from)?)
}

/// Lifetimes are left alone: those of the working group's vectors are over.
fn open(group: &GroupState, bytes: &[u8]) -> Result<Opened, Failure> {
    let message = MlsMessage::read(bytes, &group.settings().context)?;
    Ok(group.open(message, None)?)
}
