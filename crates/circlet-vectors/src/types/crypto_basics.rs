use circlet::crypto::{
    HpkeCiphertext, HpkePublicKey, Rng, Secret, Signature, SignaturePublicKey, Suite,
};
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, random};

/// The labelled operations (RFC 9420 sections 5.1, 5.2, 8 and 9.1).
pub(crate) struct CryptoBasics;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    cipher_suite: u16,
    ref_hash: RefHash,
    expand_with_label: ExpandWithLabel,
    derive_secret: DeriveSecret,
    derive_tree_secret: DeriveTreeSecret,
    sign_with_label: SignWithLabel,
    encrypt_with_label: EncryptWithLabel,
}

#[derive(Debug, Serialize, Deserialize)]
struct RefHash {
    label: String,
    value: Hex,
    out: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct ExpandWithLabel {
    secret: Hex,
    label: String,
    context: Hex,
    length: usize,
    out: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeriveSecret {
    secret: Hex,
    label: String,
    out: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeriveTreeSecret {
    secret: Hex,
    label: String,
    generation: u32,
    length: usize,
    out: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct SignWithLabel {
    #[serde(rename = "priv")]
    private: Hex,
    #[serde(rename = "pub")]
    public: Hex,
    content: Hex,
    label: String,
    signature: Hex,
}

#[derive(Debug, Serialize, Deserialize)]
struct EncryptWithLabel {
    #[serde(rename = "priv")]
    private: Hex,
    #[serde(rename = "pub")]
    public: Hex,
    label: String,
    context: Hex,
    plaintext: Hex,
    kem_output: Hex,
    ciphertext: Hex,
}

impl VectorType for CryptoBasics {
    const NAME: &'static str = "crypto-basics";
    type Case = Case;

    fn suite(case: &Case) -> Option<u16> {
        Some(case.cipher_suite)
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let suite = env.suite(case.cipher_suite)?;
        case.ref_hash.verify(&suite).at("ref_hash")?;
        case.expand_with_label.verify(&suite).at("expand_with_label")?;
        case.derive_secret.verify(&suite).at("derive_secret")?;
        case.derive_tree_secret.verify(&suite).at("derive_tree_secret")?;
        case.sign_with_label.verify(&suite).at("sign_with_label")?;
        case.encrypt_with_label.verify(&suite).at("encrypt_with_label")
    }

    fn generate(env: &Env, rng: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let suites = env.suites().into_iter();
        suites.map(|cipher_suite| generate(cipher_suite, &env.suite(cipher_suite)?, rng)).collect()
    }
}

fn generate(cipher_suite: u16, suite: &Suite, rng: &mut dyn Rng) -> Result<Case, Failure> {
    let mut ref_hash =
        RefHash { label: "RefHash".into(), value: random(rng, 32)?, out: Hex::default() };
    ref_hash.out = ref_hash.compute(suite)?;
    let mut expand_with_label = ExpandWithLabel {
        secret: random(rng, suite.secret_length())?,
        label: "ExpandWithLabel".into(),
        context: random(rng, 32)?,
        length: 16,
        out: Hex::default(),
    };
    expand_with_label.out = expand_with_label.compute(suite)?;
    let mut derive_secret = DeriveSecret {
        secret: random(rng, suite.secret_length())?,
        label: "DeriveSecret".into(),
        out: Hex::default(),
    };
    derive_secret.out = derive_secret.compute(suite)?;
    let mut derive_tree_secret = DeriveTreeSecret {
        secret: random(rng, suite.secret_length())?,
        label: "DeriveTreeSecret".into(),
        // Above 2^31, where a signed number would turn negative.
        generation: 0xa0a1_a2a3,
        length: suite.secret_length(),
        out: Hex::default(),
    };
    derive_tree_secret.out = derive_tree_secret.compute(suite)?;
    Ok(Case {
        cipher_suite,
        ref_hash,
        expand_with_label,
        derive_secret,
        derive_tree_secret,
        sign_with_label: SignWithLabel::generate(suite, rng)?,
        encrypt_with_label: EncryptWithLabel::generate(suite, rng)?,
    })
}

impl RefHash {
    /// The label in the vectors is a whole one: RefHash puts nothing before it.
    fn compute(&self, suite: &Suite) -> Result<Hex, Failure> {
        Ok(suite.reference(&self.label, &self.value)?.as_bytes().into())
    }

    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        expect_bytes("out", self.compute(suite)?, &self.out)
    }
}

impl ExpandWithLabel {
    fn compute(&self, suite: &Suite) -> Result<Hex, Failure> {
        let secret = Secret::new(&self.secret);
        let out = suite.expand_with_label(&secret, &self.label, &self.context, self.length)?;
        Ok(Hex::from(&out))
    }

    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        expect_bytes("out", self.compute(suite)?, &self.out)
    }
}

impl DeriveSecret {
    fn compute(&self, suite: &Suite) -> Result<Hex, Failure> {
        Ok(Hex::from(&suite.derive_secret(&Secret::new(&self.secret), &self.label)?))
    }

    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        expect_bytes("out", self.compute(suite)?, &self.out)
    }
}

impl DeriveTreeSecret {
    fn compute(&self, suite: &Suite) -> Result<Hex, Failure> {
        let secret = Secret::new(&self.secret);
        let out = suite.derive_tree_secret(&secret, &self.label, self.generation, self.length)?;
        Ok(Hex::from(&out))
    }

    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        expect_bytes("out", self.compute(suite)?, &self.out)
    }
}

impl SignWithLabel {
    fn generate(suite: &Suite, rng: &mut dyn Rng) -> Result<Self, Failure> {
        let keys = suite.generate_signature_key_pair(rng)?;
        let (content, label) = (random(rng, 32)?, "SignWithLabel".to_owned());
        let signature = suite.sign_with_label(&keys, &label, &content)?.0.into();
        Ok(Self {
            private: Hex::from(keys.private.secret()),
            public: keys.public.as_bytes().into(),
            content,
            label,
            signature,
        })
    }

    /// The signature in the file, and one of our own: ECDSA gives another one each time.
    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        let public = SignaturePublicKey::new(&self.public);
        suite.check_signature_key(&public).at("pub")?;
        let given = Signature(self.signature.to_vec());
        suite.verify_with_label(&public, &self.label, &self.content, &given).at("signature")?;
        let id = suite.spec().signature.id;
        let keys = suite.provider().import_signature_key(id, &self.private).at("priv")?;
        expect_bytes("pub", keys.public.as_bytes(), &self.public)?;
        let own = suite.sign_with_label(&keys, &self.label, &self.content).at("priv")?;
        suite.verify_with_label(&public, &self.label, &self.content, &own).at("priv")
    }
}

impl EncryptWithLabel {
    fn generate(suite: &Suite, rng: &mut dyn Rng) -> Result<Self, Failure> {
        let keys = suite.generate_key_pair(rng)?;
        let (label, context) = ("EncryptWithLabel".to_owned(), random(rng, 32)?);
        let plaintext = random(rng, 32)?;
        let seed = suite.encapsulation_seed(rng)?;
        let sealed = suite.encrypt_with_label(&keys.public, &label, &context, &plaintext, &seed)?;
        Ok(Self {
            private: Hex::from(keys.private.secret()),
            public: keys.public.as_bytes().into(),
            label,
            context,
            plaintext,
            kem_output: sealed.kem_output.into(),
            ciphertext: sealed.ciphertext.into(),
        })
    }

    /// The ciphertext in the file, and one of our own to the same key.
    fn verify(&self, suite: &Suite) -> Result<(), Failure> {
        let id = suite.spec().kem.id;
        let keys = suite.provider().import_private_key(id, &self.private).at("priv")?;
        expect_bytes("pub", keys.public.as_bytes(), &self.public)?;
        let public = HpkePublicKey::new(&self.public);
        suite.check_public_key(&public).at("pub")?;
        let given = HpkeCiphertext {
            kem_output: self.kem_output.to_vec(),
            ciphertext: self.ciphertext.to_vec(),
        };
        let opened = suite.decrypt_with_label(&keys, &self.label, &self.context, &given);
        expect_bytes("plaintext", opened.at("ciphertext")?.as_bytes(), &self.plaintext)?;

        // The file has no seed, and any will do.
        let seed = Secret::new(&vec![0x2a; suite.spec().kem.seed_length]);
        let own =
            suite.encrypt_with_label(&public, &self.label, &self.context, &self.plaintext, &seed);
        let opened = suite.decrypt_with_label(&keys, &self.label, &self.context, &own.at("pub")?);
        expect_bytes("pub", opened.at("pub")?.as_bytes(), &self.plaintext)
    }
}
