//! Hash functions, HMAC, HKDF and AEADs from RustCrypto, which use the machine's SHA and AES
//! instructions where it has them. HKDF's two steps are here for every library: so all of them
//! take keys of any length, and no intermediate block stays in memory.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::digest::OutputSizeUser;
use hmac::{EagerHash, Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{AeadId, CryptoError, Digest, HashId, KdfId, Secret};
use crate::mutation::off;

pub(super) fn hash(id: HashId, parts: &[&[u8]]) -> Result<Digest, CryptoError> {
    match id {
        HashId::SHA256 => hash_with::<Sha256>(parts),
        HashId::SHA384 => hash_with::<Sha384>(parts),
        HashId::SHA512 => hash_with::<Sha512>(parts),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

pub(super) fn hmac(id: HashId, key: &[u8], parts: &[&[u8]]) -> Result<Digest, CryptoError> {
    let mut tag = empty_block();
    let length = mac(id, key, parts, &mut tag)?;
    digest(tag.get(..length).unwrap_or_default())
}

pub(super) fn extract(id: KdfId, salt: &[u8], ikm: &[&[u8]]) -> Result<Secret, CryptoError> {
    let mut prk = empty_block();
    let length = mac(hash_of(id)?, salt, ikm, &mut prk)?;
    Ok(Secret::new(prk.get(..length).unwrap_or_default()))
}

pub(super) fn expand(
    id: KdfId,
    key: &[u8],
    info: &[&[u8]],
    length: usize,
) -> Result<Secret, CryptoError> {
    match id {
        KdfId::HKDF_SHA256 => expand_rust::<Sha256>(key, info, length),
        KdfId::HKDF_SHA384 => expand_rust::<Sha384>(key, info, length),
        KdfId::HKDF_SHA512 => expand_rust::<Sha512>(key, info, length),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

pub(super) fn seal(
    id: AeadId,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let payload = Payload { msg: plaintext, aad };
    match id {
        AeadId::AES_128_GCM => seal_with::<Aes128Gcm>(key, nonce, payload),
        AeadId::AES_256_GCM => seal_with::<Aes256Gcm>(key, nonce, payload),
        AeadId::CHACHA20_POLY1305 => seal_with::<ChaCha20Poly1305>(key, nonce, payload),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

pub(super) fn open(
    id: AeadId,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let payload = Payload { msg: ciphertext, aad };
    match id {
        AeadId::AES_128_GCM => open_with::<Aes128Gcm>(key, nonce, payload),
        AeadId::AES_256_GCM => open_with::<Aes256Gcm>(key, nonce, payload),
        AeadId::CHACHA20_POLY1305 => open_with::<ChaCha20Poly1305>(key, nonce, payload),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

/// Room for the longest output of a hash function, wiped.
pub(super) type Block = Zeroizing<[u8; Digest::MAX]>;

pub(super) fn empty_block() -> Block {
    Zeroizing::new([0; Digest::MAX])
}

/// The hash function below a KDF.
pub(super) fn hash_of(id: KdfId) -> Result<HashId, CryptoError> {
    match id {
        KdfId::HKDF_SHA256 => Ok(HashId::SHA256),
        KdfId::HKDF_SHA384 => Ok(HashId::SHA384),
        KdfId::HKDF_SHA512 => Ok(HashId::SHA512),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

/// HKDF-Expand (RFC 5869 section 2.3) over a keyed MAC, which is given the parts of its message.
pub(super) fn expand_with(
    hash_length: usize,
    info: &[&[u8]],
    length: usize,
    mac: impl Fn([&[u8]; 1], &[&[u8]], u8, &mut Block),
) -> Result<Secret, CryptoError> {
    // V-8.0-06: the counter of RFC 5869 is one byte.
    if length > hash_length.saturating_mul(255) && !off("V-8.0-06") {
        return Err(CryptoError::InvalidLength);
    }
    let mut output = Zeroizing::new(vec![0; length]);
    let mut block = empty_block();
    for (index, chunk) in output.chunks_mut(hash_length).enumerate() {
        // At most 255 blocks, by the check above.
        let counter = index.wrapping_add(1) as u8;
        let previous = block.clone();
        let held = if index == 0 { 0 } else { hash_length };
        mac([previous.get(..held).unwrap_or_default()], info, counter, &mut block);
        chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
    }
    Ok(Secret::new(&output))
}

fn expand_rust<H: EagerHash>(
    key: &[u8],
    info: &[&[u8]],
    length: usize,
) -> Result<Secret, CryptoError>
where
    Hmac<H>: Mac + hmac::KeyInit + Clone,
{
    let keyed = keyed::<H>(key)?;
    let hash_length = <Hmac<H> as OutputSizeUser>::output_size();
    expand_with(hash_length, info, length, |[previous], info, counter, block| {
        let mut state = keyed.clone();
        state.update(previous);
        info.iter().for_each(|part| state.update(part));
        state.update(&[counter]);
        finish(state, block);
    })
}

fn mac(id: HashId, key: &[u8], parts: &[&[u8]], out: &mut Block) -> Result<usize, CryptoError> {
    match id {
        HashId::SHA256 => mac_with::<Sha256>(key, parts, out),
        HashId::SHA384 => mac_with::<Sha384>(key, parts, out),
        HashId::SHA512 => mac_with::<Sha512>(key, parts, out),
        _ => Err(CryptoError::UnsupportedAlgorithm),
    }
}

fn mac_with<H: EagerHash>(
    key: &[u8],
    parts: &[&[u8]],
    out: &mut Block,
) -> Result<usize, CryptoError>
where
    Hmac<H>: Mac + hmac::KeyInit,
{
    let mut state = keyed::<H>(key)?;
    parts.iter().for_each(|part| state.update(part));
    Ok(finish(state, out))
}

fn keyed<H: EagerHash>(key: &[u8]) -> Result<Hmac<H>, CryptoError>
where
    Hmac<H>: Mac + hmac::KeyInit,
{
    <Hmac<H> as hmac::KeyInit>::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)
}

/// Writes the MAC and returns its length.
fn finish<M: Mac>(state: M, out: &mut Block) -> usize {
    let mut tag = state.finalize().into_bytes();
    if let Some(target) = out.get_mut(..tag.len()) {
        target.copy_from_slice(&tag);
    }
    tag.as_mut_slice().zeroize();
    tag.len()
}

fn hash_with<H: sha2::Digest>(parts: &[&[u8]]) -> Result<Digest, CryptoError> {
    let mut state = H::new();
    parts.iter().for_each(|part| state.update(part));
    digest(&state.finalize())
}

fn digest(bytes: &[u8]) -> Result<Digest, CryptoError> {
    Digest::new(bytes).ok_or(CryptoError::Library)
}

fn seal_with<A: Aead + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    payload: Payload<'_, '_>,
) -> Result<Vec<u8>, CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError::InvalidLength)?;
    cipher.encrypt(nonce, payload).map_err(|_| CryptoError::InvalidLength)
}

fn open_with<A: Aead + KeyInit>(
    key: &[u8],
    nonce: &[u8],
    payload: Payload<'_, '_>,
) -> Result<Vec<u8>, CryptoError> {
    let cipher = A::new_from_slice(key).map_err(|_| CryptoError::InvalidLength)?;
    let nonce = nonce.try_into().map_err(|_| CryptoError::InvalidLength)?;
    cipher.decrypt(nonce, payload).map_err(|_| CryptoError::DecryptionFailed)
}
