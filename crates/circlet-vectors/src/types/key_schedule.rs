use circlet::codec::Encode;
use circlet::crypto::{Rng, Secret, Suite};
use circlet::message::{GroupContext, GroupId};
use circlet::schedule::{EpochSecrets, InitSecret, JoinerSecret};
use circlet::tree::Extensions;
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, random};

/// The key schedule over several epochs (RFC 9420 section 8).
pub(crate) struct KeySchedule;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    group_id: Hex,
    initial_init_secret: Hex,
    epochs: Vec<Epoch>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Epoch {
    tree_hash: Hex,
    commit_secret: Hex,
    psk_secret: Hex,
    confirmed_transcript_hash: Hex,
    group_context: Hex,
    joiner_secret: Hex,
    welcome_secret: Hex,
    init_secret: Hex,
    sender_data_secret: Hex,
    encryption_secret: Hex,
    exporter_secret: Hex,
    epoch_authenticator: Hex,
    external_secret: Hex,
    confirmation_key: Hex,
    membership_key: Hex,
    resumption_psk: Hex,
    external_pub: Hex,
    exporter: Exporter,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Exporter {
    /// Text, although it looks like hexadecimal digits.
    label: String,
    context: Hex,
    length: usize,
    secret: Hex,
}

impl VectorType for KeySchedule {
    const NAME: &'static str = "key-schedule";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        let mut init_secret = InitSecret::new(Secret::new(&case.initial_init_secret));
        for (number, given) in (0..).zip(&case.epochs) {
            let computed;
            (computed, init_secret) = compute(&suite, &case.group_id, number, &init_secret, given)
                .at(format!("epochs[{number}]"))?;
            given.compare(&computed).at(format!("epochs[{number}]"))?;
        }
        Ok(())
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let suites = env.suites().into_iter();
        suites.map(|cipher_suite| generate(cipher_suite, &env.suite(cipher_suite)?, rng)).collect()
    }
}

fn generate(cipher_suite: u16, suite: &Suite, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let length = suite.secret_length();
    let (group_id, initial_init_secret) = (random(rng, 32)?, random(rng, length)?);
    let mut init_secret = InitSecret::new(Secret::new(&initial_init_secret));
    let mut epochs = Vec::new();
    for number in 0..5 {
        let input = Epoch {
            tree_hash: random(rng, suite.spec().hash.length)?,
            commit_secret: random(rng, length)?,
            psk_secret: random(rng, length)?,
            confirmed_transcript_hash: random(rng, suite.spec().hash.length)?,
            exporter: Exporter {
                label: hex::encode(random(rng, 32)?),
                context: random(rng, 32)?,
                length,
                secret: Hex::default(),
            },
            ..Epoch::default()
        };
        let epoch;
        (epoch, init_secret) = compute(suite, &group_id, number, &init_secret, &input)?;
        epochs.push(epoch);
    }
    Ok(Case { cipher_suite, group_id, initial_init_secret, epochs })
}

/// The epoch that follows from the inputs in `input`, and its init secret.
fn compute(
    suite: &Suite,
    group_id: &[u8],
    number: u64,
    init_secret: &InitSecret,
    input: &Epoch,
) -> Result<(Epoch, InitSecret), Failure> {
    let context = GroupContext {
        cipher_suite: suite.id(),
        group_id: GroupId::new(group_id),
        epoch: number,
        tree_hash: input.tree_hash.to_vec(),
        confirmed_transcript_hash: input.confirmed_transcript_hash.to_vec(),
        extensions: Extensions::new(),
    };
    let context = context.to_bytes()?;
    let commit_secret = Secret::new(&input.commit_secret);
    let joiner_secret = JoinerSecret::derive(suite, init_secret, &commit_secret, &context)?;
    let member_secret = joiner_secret.with_psk(suite, &Secret::new(&input.psk_secret))?;
    let welcome_secret = member_secret.welcome_secret(suite)?;
    let (secrets, encryption_secret) = member_secret.epoch(suite, &context)?.secrets(suite)?;
    let epoch = Epoch {
        tree_hash: input.tree_hash.clone(),
        commit_secret: input.commit_secret.clone(),
        psk_secret: input.psk_secret.clone(),
        confirmed_transcript_hash: input.confirmed_transcript_hash.clone(),
        group_context: context.into(),
        joiner_secret: Hex::from(joiner_secret.secret()),
        welcome_secret: Hex::from(&welcome_secret),
        init_secret: Hex::from(secrets.init_secret.secret()),
        sender_data_secret: Hex::from(&secrets.sender_data_secret),
        encryption_secret: Hex::from(&encryption_secret),
        exporter_secret: Hex::from(&secrets.exporter_secret),
        epoch_authenticator: Hex::from(&secrets.epoch_authenticator),
        external_secret: Hex::from(&secrets.external_secret),
        confirmation_key: Hex::from(&secrets.confirmation_key),
        membership_key: Hex::from(&secrets.membership_key),
        resumption_psk: Hex::from(&secrets.resumption_psk),
        external_pub: secrets.external_key_pair(suite)?.public.as_bytes().into(),
        exporter: input.exporter.compute(suite, &secrets).at("exporter")?,
    };
    Ok((epoch, secrets.init_secret))
}

impl Exporter {
    fn compute(&self, suite: &Suite, secrets: &EpochSecrets) -> Result<Self, Failure> {
        let secret = secrets.export(suite, &self.label, &self.context, self.length)?;
        Ok(Self {
            label: self.label.clone(),
            context: self.context.clone(),
            length: self.length,
            secret: Hex::from(&secret),
        })
    }
}

impl Epoch {
    /// In the order in which they follow from each other, so that the first difference is named.
    fn compare(&self, computed: &Self) -> Result<(), Failure> {
        expect_bytes("group_context", &computed.group_context, &self.group_context)?;
        expect_bytes("joiner_secret", &computed.joiner_secret, &self.joiner_secret)?;
        expect_bytes("welcome_secret", &computed.welcome_secret, &self.welcome_secret)?;
        expect_bytes("init_secret", &computed.init_secret, &self.init_secret)?;
        expect_bytes("sender_data_secret", &computed.sender_data_secret, &self.sender_data_secret)?;
        expect_bytes("encryption_secret", &computed.encryption_secret, &self.encryption_secret)?;
        expect_bytes("exporter_secret", &computed.exporter_secret, &self.exporter_secret)?;
        expect_bytes(
            "epoch_authenticator",
            &computed.epoch_authenticator,
            &self.epoch_authenticator,
        )?;
        expect_bytes("external_secret", &computed.external_secret, &self.external_secret)?;
        expect_bytes("confirmation_key", &computed.confirmation_key, &self.confirmation_key)?;
        expect_bytes("membership_key", &computed.membership_key, &self.membership_key)?;
        expect_bytes("resumption_psk", &computed.resumption_psk, &self.resumption_psk)?;
        expect_bytes("external_pub", &computed.external_pub, &self.external_pub)?;
        expect_bytes("exporter.secret", &computed.exporter.secret, &self.exporter.secret)
    }
}
