//! X448 and Ed448 from crrl. Its key types are `Copy`, print themselves and are not wiped, so
//! they live for one call in this file and never leave it; see SECURITY.md.

use crrl::ed448::{Point, PrivateKey, Scalar};
use crrl::x448::{x448, x448_base};
use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use zeroize::Zeroizing;

use super::{DiffieHellman, SignatureScheme};
use crate::crypto::{CryptoError, KemId, Secret, SignatureId, SignatureKeyPair};

pub(super) fn curve(id: KemId) -> Option<&'static dyn DiffieHellman> {
    if id == KemId::X448 { Some(&Curve448) } else { None }
}

pub(super) fn scheme(id: SignatureId) -> Option<&'static dyn SignatureScheme> {
    if id == SignatureId::ED448 { Some(&Curve448) } else { None }
}

struct Curve448;

impl DiffieHellman for Curve448 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(x448_base(&*array::<56>(private)?).to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let public = public.try_into().map_err(|_| CryptoError::InvalidHpkePublicKey)?;
        let shared = Zeroizing::new(x448(public, &*array::<56>(private)?));
        Ok(Secret::new(&*shared))
    }
}

impl SignatureScheme for Curve448 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // The length is checked before: from_seed takes no other.
        let seed = array::<57>(private)?;
        Ok(PrivateKey::from_seed(&*seed).public_key.encode().to_vec())
    }

    fn sign(&self, keys: &SignatureKeyPair, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let seed = array::<57>(keys.private.secret().as_bytes())?;
        Ok(PrivateKey::from_seed(&*seed).sign_raw(message).to_vec())
    }

    /// RFC 8032 section 5.2.7 without the cofactor, see [`accept`](crate::crypto::accept): the
    /// library's own verification multiplies by it.
    fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let Some((r, s)) = signature.split_at_checked(57) else {
            return false;
        };
        // S is below the order, so that its last byte is zero.
        let s = s.get(..56).and_then(Scalar::decode);
        let (Some(key), Some(s)) = (Point::decode(public), s) else {
            return false;
        };
        let k = challenge(r, public, message);
        let recomputed = (-key).mul_add_mulgen_vartime(&k, &s);
        recomputed.encode().as_slice() == r
    }
}

/// k of RFC 8032 section 5.2.7, with an empty context.
fn challenge(r: &[u8], public: &[u8], message: &[u8]) -> Scalar {
    let mut hash = Shake256::default();
    // dom4(0, ""): the tag, the flag for no pre-hashing, and the context's length.
    for part in [b"SigEd448\0\0".as_slice(), r, public, message] {
        hash.update(part);
    }
    let mut digest = [0; 114];
    hash.finalize_xof().read(&mut digest);
    Scalar::decode_reduce(&digest)
}

fn array<const N: usize>(private: &[u8]) -> Result<Zeroizing<[u8; N]>, CryptoError> {
    private.try_into().map(Zeroizing::new).map_err(|_| CryptoError::InvalidPrivateKey)
}
