use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::{EncodeError, MAX_VECTOR_LENGTH};
use crate::mutation::off;

/// A value that can be written to the wire.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, writer: &mut Writer);

    /// The value's encoding.
    ///
    /// # Errors
    /// A vector in it is longer than 2^30 − 1 bytes.
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.finish()
    }
}

/// Collects an encoding. A vector that is too long is remembered and reported at the end, so
/// that writing code needs no error path at every step.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    error: Option<EncodeError>,
    secret: bool,
}

impl Writer {
    /// An empty encoding.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty encoding of something secret: bytes that it leaves behind as it grows are wiped.
    #[must_use]
    pub fn secret() -> Self {
        Self { bytes: Vec::new(), error: None, secret: true }
    }

    /// Appends raw bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a `uint8`.
    pub fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    /// Appends a `uint16`.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends a `uint32`.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends a `uint64`.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// Appends a vector's length prefix in its shortest form (section 2.1.2).
    pub fn length(&mut self, length: usize) {
        let (prefix, size) = self.prefix(length);
        self.raw(prefix.get(..size).unwrap_or_default());
    }

    /// Appends `opaque<V>`.
    pub fn opaque(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        if self.error.is_none() {
            self.raw(bytes);
        }
    }

    /// Appends a vector whose content `content` writes.
    pub fn nested(&mut self, content: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u8(0);
        content(self);
        let length = self.bytes.len().saturating_sub(start + 1);
        let (prefix, size) = self.prefix(length);
        let prefix = prefix.get(..size).unwrap_or_default();
        self.make_room(size);
        self.bytes.splice(start..=start, prefix.iter().copied());
    }

    /// Appends a `T items<V>`.
    pub fn vector<'a, T: Encode + 'a>(&mut self, items: impl IntoIterator<Item = &'a T>) {
        self.nested(|writer| {
            for item in items {
                item.encode(writer);
            }
        });
    }

    /// Appends an `optional<T>` (section 2.1.1).
    pub fn optional<T: Encode>(&mut self, value: Option<&T>) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                value.encode(self);
            }
        }
    }

    /// The encoding.
    ///
    /// # Errors
    /// A vector in it is longer than 2^30 − 1 bytes.
    pub fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        match self.error {
            None => Ok(std::mem::take(&mut self.bytes)),
            Some(error) => Err(error),
        }
    }

    /// The encoding of something secret, wiped when it is dropped.
    ///
    /// # Errors
    /// A vector in it is longer than 2^30 − 1 bytes.
    pub fn finish_secret(self) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
        self.finish().map(Zeroizing::new)
    }

    /// Grows a secret encoding by hand, since a `Vec` that grows leaves its bytes behind.
    fn make_room(&mut self, more: usize) {
        if !self.secret || self.bytes.capacity() - self.bytes.len() >= more {
            return;
        }
        let needed = self.bytes.len().saturating_add(more);
        let mut larger = Vec::with_capacity(needed.saturating_mul(2).max(256));
        larger.extend_from_slice(&self.bytes);
        self.bytes.zeroize();
        self.bytes = larger;
    }

    /// V-2.1.2-01 and V-2.1.2-07: the shortest prefix that says the length, if there is one.
    fn prefix(&mut self, length: usize) -> ([u8; 4], usize) {
        // Each cast keeps all bits: the arm's bound says so.
        match length {
            0..=0x3f if !off("V-2.1.2-01") => ([length as u8, 0, 0, 0], 1),
            0..=0x3fff => {
                let [a, b] = (length as u16 | 0x4000).to_be_bytes();
                ([a, b, 0, 0], 2)
            }
            _ if length <= MAX_VECTOR_LENGTH || off("V-2.1.2-07") => {
                ((length as u32 | 0x8000_0000).to_be_bytes(), 4)
            }
            _ => {
                self.error.get_or_insert(EncodeError::VectorTooLong(length));
                ([0; 4], 0)
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.secret {
            self.bytes.zeroize();
        }
    }
}

/// Lengths only: the bytes may be secret.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer({} bytes)", self.bytes.len())
    }
}

impl Encode for u16 {
    fn encode(&self, writer: &mut Writer) {
        writer.u16(*self);
    }
}

impl Encode for u32 {
    fn encode(&self, writer: &mut Writer) {
        writer.u32(*self);
    }
}

impl Encode for Vec<u8> {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(self);
    }
}
