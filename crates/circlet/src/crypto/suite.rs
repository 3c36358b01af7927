use std::fmt;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};

/// A cipher suite's code point (RFC 9420 section 17.1). Unknown values are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CipherSuite(pub u16);

impl CipherSuite {
    /// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519`, mandatory to implement.
    pub const X25519_AES128GCM_SHA256_ED25519: Self = Self(1);
    /// `MLS_128_DHKEMP256_AES128GCM_SHA256_P256`.
    pub const P256_AES128GCM_SHA256_P256: Self = Self(2);
    /// `MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519`.
    pub const X25519_CHACHA20POLY1305_SHA256_ED25519: Self = Self(3);
    /// `MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448`. Needs the feature `curve448`.
    pub const X448_AES256GCM_SHA512_ED448: Self = Self(4);
    /// `MLS_256_DHKEMP521_AES256GCM_SHA512_P521`.
    pub const P521_AES256GCM_SHA512_P521: Self = Self(5);
    /// `MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448`. Needs the feature `curve448`.
    pub const X448_CHACHA20POLY1305_SHA512_ED448: Self = Self(6);
    /// `MLS_256_DHKEMP384_AES256GCM_SHA384_P384`.
    pub const P384_AES256GCM_SHA384_P384: Self = Self(7);
}

impl fmt::Debug for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match suite_spec(*self) {
            Some(spec) => write!(f, "{} ({})", self.0, spec.name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

impl Encode for CipherSuite {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
}

impl Decode for CipherSuite {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16().map(Self)
    }
}

/// A KEM's number in the HPKE registry (RFC 9180 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KemId(pub u16);

impl KemId {
    /// DHKEM(P-256, HKDF-SHA256).
    pub const P256: Self = Self(0x0010);
    /// DHKEM(P-384, HKDF-SHA384).
    pub const P384: Self = Self(0x0011);
    /// DHKEM(P-521, HKDF-SHA512).
    pub const P521: Self = Self(0x0012);
    /// DHKEM(X25519, HKDF-SHA256).
    pub const X25519: Self = Self(0x0020);
    /// DHKEM(X448, HKDF-SHA512).
    pub const X448: Self = Self(0x0021);
}

/// A KDF's number in the HPKE registry (RFC 9180 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KdfId(pub u16);

impl KdfId {
    /// HKDF-SHA256.
    pub const HKDF_SHA256: Self = Self(1);
    /// HKDF-SHA384.
    pub const HKDF_SHA384: Self = Self(2);
    /// HKDF-SHA512.
    pub const HKDF_SHA512: Self = Self(3);
}

/// An AEAD's number in the HPKE registry (RFC 9180 section 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AeadId(pub u16);

impl AeadId {
    /// AES-128-GCM.
    pub const AES_128_GCM: Self = Self(1);
    /// AES-256-GCM.
    pub const AES_256_GCM: Self = Self(2);
    /// ChaCha20-Poly1305.
    pub const CHACHA20_POLY1305: Self = Self(3);
}

/// A hash function's number in the TLS HashAlgorithm registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashId(pub u16);

impl HashId {
    /// SHA-256.
    pub const SHA256: Self = Self(4);
    /// SHA-384.
    pub const SHA384: Self = Self(5);
    /// SHA-512.
    pub const SHA512: Self = Self(6);
}

/// A signature scheme's number in the TLS SignatureScheme registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignatureId(pub u16);

impl SignatureId {
    /// ECDSA over P-256 with SHA-256.
    pub const ECDSA_P256: Self = Self(0x0403);
    /// ECDSA over P-384 with SHA-384.
    pub const ECDSA_P384: Self = Self(0x0503);
    /// ECDSA over P-521 with SHA-512.
    pub const ECDSA_P521: Self = Self(0x0603);
    /// Ed25519.
    pub const ED25519: Self = Self(0x0807);
    /// Ed448.
    pub const ED448: Self = Self(0x0808);
}

/// A KEM and its sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KemSpec {
    /// The algorithm.
    pub id: KemId,
    /// Random bytes that make a key pair or an encapsulation.
    pub seed_length: usize,
    /// Nsecret: a shared secret.
    pub secret_length: usize,
    /// Nenc: a KEM output.
    pub output_length: usize,
    /// Npk: a public key.
    pub public_length: usize,
    /// Nsk: a private key.
    pub private_length: usize,
}

/// A KDF and its output size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfSpec {
    /// The algorithm.
    pub id: KdfId,
    /// Nh: the output of Extract.
    pub length: usize,
}

/// An AEAD and its sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AeadSpec {
    /// The algorithm.
    pub id: AeadId,
    /// Nk: a key.
    pub key_length: usize,
    /// Nn: a nonce.
    pub nonce_length: usize,
    /// Nt: the tag, by which a ciphertext is longer than its plaintext.
    pub tag_length: usize,
}

/// A hash function and its output size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSpec {
    /// The algorithm.
    pub id: HashId,
    /// Length of a digest, and of a MAC made with it.
    pub length: usize,
}

/// A signature scheme and its sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureSpec {
    /// The algorithm.
    pub id: SignatureId,
    /// Random bytes that make a key pair.
    pub seed_length: usize,
    /// A public key.
    pub public_length: usize,
}

/// One row of the table of cipher suites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuiteSpec {
    /// The code point.
    pub suite: CipherSuite,
    /// The name in the registry.
    pub name: &'static str,
    /// Key encapsulation.
    pub kem: KemSpec,
    /// Key derivation.
    pub kdf: KdfSpec,
    /// Authenticated encryption.
    pub aead: AeadSpec,
    /// Hashing and, through HMAC, message authentication.
    pub hash: HashSpec,
    /// Signatures.
    pub signature: SignatureSpec,
}

/// The row of one of RFC 9420's suites; `None` for any other.
#[must_use]
pub fn suite_spec(suite: CipherSuite) -> Option<&'static SuiteSpec> {
    SUITES.iter().find(|spec| spec.suite == suite)
}

const fn dh_kem(id: KemId, private: usize, public: usize, secret: usize) -> KemSpec {
    KemSpec {
        id,
        seed_length: private,
        secret_length: secret,
        output_length: public,
        public_length: public,
        private_length: private,
    }
}

const X25519: KemSpec = dh_kem(KemId::X25519, 32, 32, 32);
const X448: KemSpec = dh_kem(KemId::X448, 56, 56, 64);
const P256: KemSpec = dh_kem(KemId::P256, 32, 65, 32);
const P384: KemSpec = dh_kem(KemId::P384, 48, 97, 48);
const P521: KemSpec = dh_kem(KemId::P521, 66, 133, 64);

const HKDF_SHA256: KdfSpec = KdfSpec { id: KdfId::HKDF_SHA256, length: 32 };
const HKDF_SHA384: KdfSpec = KdfSpec { id: KdfId::HKDF_SHA384, length: 48 };
const HKDF_SHA512: KdfSpec = KdfSpec { id: KdfId::HKDF_SHA512, length: 64 };

const SHA256: HashSpec = HashSpec { id: HashId::SHA256, length: 32 };
const SHA384: HashSpec = HashSpec { id: HashId::SHA384, length: 48 };
const SHA512: HashSpec = HashSpec { id: HashId::SHA512, length: 64 };

const fn aead(id: AeadId, key_length: usize) -> AeadSpec {
    AeadSpec { id, key_length, nonce_length: 12, tag_length: 16 }
}

const AES128: AeadSpec = aead(AeadId::AES_128_GCM, 16);
const AES256: AeadSpec = aead(AeadId::AES_256_GCM, 32);
const CHACHA20: AeadSpec = aead(AeadId::CHACHA20_POLY1305, 32);

const fn signature(id: SignatureId, seed_length: usize, public_length: usize) -> SignatureSpec {
    SignatureSpec { id, seed_length, public_length }
}

const ED25519: SignatureSpec = signature(SignatureId::ED25519, 32, 32);
const ED448: SignatureSpec = signature(SignatureId::ED448, 57, 57);
const ECDSA_P256: SignatureSpec = signature(SignatureId::ECDSA_P256, 32, 65);
const ECDSA_P384: SignatureSpec = signature(SignatureId::ECDSA_P384, 48, 97);
const ECDSA_P521: SignatureSpec = signature(SignatureId::ECDSA_P521, 66, 133);

/// The suites of RFC 9420 section 17.1.
const SUITES: [SuiteSpec; 7] = [
    SuiteSpec {
        suite: CipherSuite::X25519_AES128GCM_SHA256_ED25519,
        name: "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
        kem: X25519,
        kdf: HKDF_SHA256,
        aead: AES128,
        hash: SHA256,
        signature: ED25519,
    },
    SuiteSpec {
        suite: CipherSuite::P256_AES128GCM_SHA256_P256,
        name: "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
        kem: P256,
        kdf: HKDF_SHA256,
        aead: AES128,
        hash: SHA256,
        signature: ECDSA_P256,
    },
    SuiteSpec {
        suite: CipherSuite::X25519_CHACHA20POLY1305_SHA256_ED25519,
        name: "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
        kem: X25519,
        kdf: HKDF_SHA256,
        aead: CHACHA20,
        hash: SHA256,
        signature: ED25519,
    },
    SuiteSpec {
        suite: CipherSuite::X448_AES256GCM_SHA512_ED448,
        name: "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448",
        kem: X448,
        kdf: HKDF_SHA512,
        aead: AES256,
        hash: SHA512,
        signature: ED448,
    },
    SuiteSpec {
        suite: CipherSuite::P521_AES256GCM_SHA512_P521,
        name: "MLS_256_DHKEMP521_AES256GCM_SHA512_P521",
        kem: P521,
        kdf: HKDF_SHA512,
        aead: AES256,
        hash: SHA512,
        signature: ECDSA_P521,
    },
    SuiteSpec {
        suite: CipherSuite::X448_CHACHA20POLY1305_SHA512_ED448,
        name: "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448",
        kem: X448,
        kdf: HKDF_SHA512,
        aead: CHACHA20,
        hash: SHA512,
        signature: ED448,
    },
    SuiteSpec {
        suite: CipherSuite::P384_AES256GCM_SHA384_P384,
        name: "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
        kem: P384,
        kdf: HKDF_SHA384,
        aead: AES256,
        hash: SHA384,
        signature: ECDSA_P384,
    },
];
