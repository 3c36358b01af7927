//! Which public keys and signatures are accepted: the one place that decides it.
//!
//! Members of one group run different libraries. If one of them accepts a signature that another
//! refuses, a crafted commit splits the group by the kind of machine its members own. So each rule
//! is decided here, is checked before any library sees the bytes, and has vectors in
//! `tests/data/crypto/`. A provider of one's own should call these functions too.
//!
//! **Ed25519, Ed448 public keys** (RFC 8032 sections 5.1.3 and 5.2.3; RFC 9420 section 5.1.1):
//! exactly 32 or 57 bytes; y below the field's prime, since libraries differ on reducing it; no
//! sign bit where x is zero, for the same reason; on the curve; not one of the points of small
//! order, for which anyone can make signatures that verify for many messages.
//!
//! **Ed25519, Ed448 signatures** (sections 5.1.7 and 5.2.7): exactly 64 or 114 bytes; S below the
//! group order, or a second signature could be made from a first; R held to the same rules as a
//! key, because half of the world's verifiers refuse an R of small order and no signer makes one.
//! The equation is the one without cofactor, with the recomputed R compared as bytes: what
//! OpenSSL, AWS-LC, Go, dalek and graviola compute. RFC 8032 allows it, and it gives one answer for
//! every key that is not in the subgroup of prime order, so that such keys need no refusal.
//!
//! **ECDSA public keys and NIST points for HPKE** (RFC 9420 section 5.1.1, RFC 9180 section
//! 7.1.1): the uncompressed form, 0x04 ‖ X ‖ Y, with both coordinates below the prime and the point
//! on the curve. Compressed and hybrid forms and the point at infinity are refused. The cofactor is
//! 1: there is no small order.
//!
//! **ECDSA signatures** (RFC 9420 section 5.1.2, RFC 8446 section 4.2.3): strict DER, that is, one
//! SEQUENCE of two INTEGERs with lengths and integers at their shortest, nothing negative, nothing
//! trailing; r and s from 1 to the order less one. s above half the order is *accepted*, because
//! OpenSSL, Go and WebCrypto make such signatures every second time; this library makes only low
//! ones. The second form of a signature that this leaves is bound by the confirmation tag of a
//! commit and by the reference of a proposal.
//!
//! **X25519, X448 public keys and KEM outputs** (RFC 7748 section 5, RFC 9180 section 7.1.4):
//! exactly 32 or 56 bytes; not a point of small order in any of its encodings, as every
//! Diffie-Hellman result with one is all zero and nothing can be encrypted to it. For X25519 the
//! top bit is ignored, and for both curves a u that is not below the prime is reduced, as RFC 7748
//! asks and all the libraries do.

mod ecdsa;
mod edwards;
mod montgomery;
mod nist;
mod number;

use std::borrow::Cow;

use super::{CryptoError, KemId, SignatureId};
use crate::mutation::off;

/// V-5.1.1-01: refuses what is not a public key, or a KEM output, of a Diffie-Hellman KEM.
///
/// # Errors
/// [`CryptoError::InvalidHpkePublicKey`], or [`CryptoError::UnsupportedAlgorithm`] for a KEM
/// without rules here.
pub fn hpke_public_key(id: KemId, public: &[u8]) -> Result<(), CryptoError> {
    let accepted = match id {
        KemId::X25519 => montgomery::is_x25519_key(public),
        KemId::X448 => montgomery::is_x448_key(public),
        KemId::P256 => nist::P256.is_point(public),
        KemId::P384 => nist::P384.is_point(public),
        KemId::P521 => nist::P521.is_point(public),
        _ => return Err(CryptoError::UnsupportedAlgorithm),
    };
    let accepted = accepted || off("V-5.1.1-01");
    if accepted { Ok(()) } else { Err(CryptoError::InvalidHpkePublicKey) }
}

/// V-5.1.1-02: refuses what is not a public key of a signature scheme.
///
/// # Errors
/// [`CryptoError::InvalidSignatureKey`], or [`CryptoError::UnsupportedAlgorithm`] for a scheme
/// without rules here (for Ed448: without the feature `curve448`).
pub fn signature_key(id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
    signature_key_form(id, public)?;
    let on_curve = match id {
        SignatureId::ED25519 => edwards::is_ed25519_point(public),
        #[cfg(feature = "curve448")]
        SignatureId::ED448 => edwards::is_ed448_point(public),
        #[cfg(not(feature = "curve448"))]
        SignatureId::ED448 => return Err(CryptoError::UnsupportedAlgorithm),
        // The form of a NIST point includes the curve's equation.
        _ => true,
    };
    let on_curve = on_curve || off("V-5.1.1-02");
    if on_curve { Ok(()) } else { Err(CryptoError::InvalidSignatureKey) }
}

/// All of [`signature_key`] except the decompression of an Edwards point, on which no two correct
/// libraries can differ and which verification does anyway.
///
/// # Errors
/// As for [`signature_key`].
pub fn signature_key_form(id: SignatureId, public: &[u8]) -> Result<(), CryptoError> {
    let accepted = match id {
        SignatureId::ED25519 => edwards::ED25519.is_encoding(public),
        SignatureId::ED448 => edwards::ED448.is_encoding(public),
        _ => nist_curve(id)?.is_point(public),
    };
    let accepted = accepted || off("V-5.1.1-02");
    if accepted { Ok(()) } else { Err(CryptoError::InvalidSignatureKey) }
}

/// V-5.1.2-03: refuses a signature that is not in the one accepted form, and gives the form that libraries take
/// without further parsing: R ‖ S of EdDSA as it is; r and s of ECDSA, each padded to the length of
/// the order.
///
/// # Errors
/// [`CryptoError::InvalidSignature`], or [`CryptoError::UnsupportedAlgorithm`] for a scheme without
/// rules here.
pub fn signature(id: SignatureId, signature: &[u8]) -> Result<Cow<'_, [u8]>, CryptoError> {
    let accepted = match id {
        SignatureId::ED25519 => edwards::ED25519.is_signature(signature),
        SignatureId::ED448 => edwards::ED448.is_signature(signature),
        _ => {
            let fixed = ecdsa::decode(nist_curve(id)?, signature);
            return fixed.map(Cow::Owned).ok_or(CryptoError::InvalidSignature);
        }
    };
    let accepted = accepted || off("V-5.1.2-03");
    if accepted { Ok(Cow::Borrowed(signature)) } else { Err(CryptoError::InvalidSignature) }
}

/// The DER form of an ECDSA signature that a library gave as r and s, each padded to the length of
/// the order, with s replaced by the order less s where that is lower.
///
/// # Errors
/// [`CryptoError::Library`] if r or s is out of range, [`CryptoError::UnsupportedAlgorithm`] if the
/// scheme is not ECDSA.
pub fn encode_ecdsa(id: SignatureId, fixed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    ecdsa::encode(nist_curve(id)?, fixed).ok_or(CryptoError::Library)
}

fn nist_curve(id: SignatureId) -> Result<&'static nist::Curve, CryptoError> {
    match id {
        SignatureId::ECDSA_P256 => Ok(&nist::P256),
        SignatureId::ECDSA_P384 => Ok(&nist::P384),
        SignatureId::ECDSA_P521 => Ok(&nist::P521),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}
