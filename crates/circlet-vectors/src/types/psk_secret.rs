use circlet::crypto::{Rng, Secret};
use circlet::schedule::{PreSharedKeyId, Psk, psk_secret};
use serde::{Deserialize, Serialize};

use super::{Env, Failure, Hex, VectorType, expect_bytes, random};

/// Pre-shared keys, chained (RFC 9420 section 8.4).
pub(crate) struct PskSecret;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    psks: Vec<ExternalPsk>,
    psk_secret: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct ExternalPsk {
    psk_id: Hex,
    psk: Hex,
    psk_nonce: Hex,
}

impl VectorType for PskSecret {
    const NAME: &'static str = "psk_secret";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let secret = compute(env, case.cipher_suite, &case.psks)?;
        expect_bytes("psk_secret", secret.as_bytes(), &case.psk_secret)
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let mut cases = Vec::new();
        for cipher_suite in env.suites() {
            let length = env.suite(cipher_suite)?.secret_length();
            for count in [0, 1, 2, 10] {
                let psks = (0..count)
                    .map(|_| {
                        Ok(ExternalPsk {
                            psk_id: random(rng, 32)?,
                            psk: random(rng, length)?,
                            psk_nonce: random(rng, length)?,
                        })
                    })
                    .collect::<Result<Vec<_>, Failure>>()?;
                let psk_secret = Hex::from(&compute(env, cipher_suite, &psks)?);
                cases.push(Case { cipher_suite, psks, psk_secret });
            }
        }
        Ok(cases)
    }
}

fn compute(env: &Env, cipher_suite: u16, psks: &[ExternalPsk]) -> Result<Secret, Failure> {
    let psks: Vec<_> = psks
        .iter()
        .map(|psk| {
            let id = PreSharedKeyId {
                psk: Psk::External { psk_id: psk.psk_id.to_vec() },
                psk_nonce: psk.psk_nonce.to_vec(),
            };
            (id, Secret::new(&psk.psk))
        })
        .collect();
    Ok(psk_secret(&env.suite(cipher_suite)?, &psks)?)
}
