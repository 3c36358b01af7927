use super::{DecodeContext, DecodeError, Limits};
use crate::mutation::off;

/// A value that can be read from the wire.
pub trait Decode: Sized {
    /// Reads one value and leaves the reader after it.
    ///
    /// # Errors
    /// The bytes are not such a value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that fills `bytes`.
    ///
    /// # Errors
    /// The bytes are not such a value, or more follow it.
    fn from_bytes(bytes: &[u8], context: &DecodeContext) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, context);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// A bounded cursor over bytes.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    context: &'a DecodeContext,
}

/// The bytes may be secret: a decrypted plaintext, a stored row.
impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("bytes_left", &self.rest.len()).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], context: &'a DecodeContext) -> Self {
        Self { rest: bytes, context }
    }

    /// The registered types and the limits.
    #[must_use]
    pub fn context(&self) -> &'a DecodeContext {
        self.context
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &'a Limits {
        &self.context.limits
    }

    /// The bytes that are left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        // V-2.1.2-04: compared with what is left before anything is allocated.
        let n = if off("V-2.1.2-04") { n.min(self.rest.len()) } else { n };
        let (taken, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(DecodeError::EndOfInput { missing: n.saturating_sub(self.rest.len()) })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::EndOfInput { missing: N.saturating_sub(self.rest.len()) })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a `uint8`.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Reads a `uint16`.
    ///
    /// # Errors
    /// Fewer than two bytes are left.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a `uint32`.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `uint64`.
    ///
    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads the length prefix of a variable-size vector (section 2.1.2).
    ///
    /// # Errors
    /// The prefix is cut short, invalid or not minimal. Whether as many bytes follow is not
    /// looked at.
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        let first = self.u8()?;
        let low = u32::from(first & 0x3f);
        let (length, least) = match first >> 6 {
            0 => (low, 0),
            1 => (low << 8 | u32::from(self.u8()?), 1 << 6),
            // V-2.1.2-03.
            3 if !off("V-2.1.2-03") => return Err(DecodeError::InvalidLengthPrefix),
            _ => {
                let [a, b, c] = self.array()?;
                (u32::from_be_bytes([first & 0x3f, a, b, c]), 1 << 14)
            }
        };
        // V-2.1.2-02.
        if length < least && !off("V-2.1.2-02") {
            return Err(DecodeError::NonMinimalLength);
        }
        // A u32 below 2^30 fits a usize on every target that has 32-bit pointers or wider.
        Ok(length as usize)
    }

    /// Reads `opaque<V>` without copying.
    ///
    /// # Errors
    /// The prefix is invalid or claims more than is left.
    pub fn opaque(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads `opaque<V>` of at most `limit` bytes without copying.
    ///
    /// # Errors
    /// The prefix is invalid, claims more than is left, or more than `limit`.
    pub fn opaque_within(
        &mut self,
        limit: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let bytes = self.opaque()?;
        let actual = bytes.len();
        // V-2.1.2-06.
        let within = actual <= limit || off("V-2.1.2-06");
        if within { Ok(bytes) } else { Err(DecodeError::TooLong { what, limit, actual }) }
    }

    /// Reads a `T items<V>` as a reader of its own, bounded by the vector.
    ///
    /// # Errors
    /// The prefix is invalid or claims more than is left.
    pub fn nested(&mut self) -> Result<Reader<'a>, DecodeError> {
        Ok(Reader { rest: self.opaque()?, context: self.context })
    }

    /// Reads a `T items<V>`. The vector holds whole items only.
    ///
    /// # Errors
    /// The vector or one of its items is malformed.
    pub fn vector<T: Decode>(&mut self) -> Result<Vec<T>, DecodeError> {
        self.vector_with(usize::MAX, "items", T::decode)
    }

    /// Reads a `T items<V>` of at most `limit` items, each with `item`.
    ///
    /// # Errors
    /// The vector or one of its items is malformed, or there are more than `limit`.
    pub fn vector_with<T>(
        &mut self,
        limit: usize,
        what: &'static str,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut nested = self.nested()?;
        let length = nested.rest.len();
        let mut items = Vec::new();
        while !nested.is_empty() {
            // V-2.1.2-06.
            if items.len() == limit && !off("V-2.1.2-06") {
                return Err(DecodeError::TooMany { what, limit });
            }
            let item = match item(&mut nested) {
                // V-2.1.2-05: the last one, too, ends inside of the vector.
                Err(DecodeError::EndOfInput { .. }) if off("V-2.1.2-05") => break,
                item => item?,
            };
            let left = nested.rest.len();
            let most = limit.saturating_sub(items.len()).min(left.saturating_add(1));
            push(&mut items, item, length.saturating_sub(left), most);
        }
        Ok(items)
    }

    /// Reads an `optional<T>` (section 2.1.1).
    ///
    /// # Errors
    /// The presence octet is neither 0 nor 1, or the value is malformed.
    pub fn optional<T: Decode>(&mut self) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => T::decode(self).map(Some),
            // V-2.1.1-01.
            _ if off("V-2.1.1-01") => T::decode(self).map(Some),
            other => Err(DecodeError::InvalidPresence(other)),
        }
    }

    /// Reads a value and returns it with the bytes that it was read from.
    ///
    /// # Errors
    /// The value is malformed.
    pub fn with_bytes<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<(T, &'a [u8]), DecodeError> {
        let before = self.rest;
        let value = read(self)?;
        let read = before.len().saturating_sub(self.rest.len());
        Ok((value, before.get(..read).unwrap_or_default()))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Something is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            // V-2.0-03.
            _ if off("V-2.0-03") => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }
}

/// V-2.1.2-08: appends an item that was read from a vector of which so many bytes are `read`, its own included,
/// and which holds at most `left` more items. If there is no room, makes as much as is needed if
/// what is left is like what was read, which takes the least memory for the many small items of a
/// hostile message; but no more than twice what was needed so far, since the rest may be nothing
/// like the beginning; and in any case enough that growing takes linear time.
pub(crate) fn push<T>(items: &mut Vec<T>, item: T, read: usize, left: usize) {
    if items.len() == items.capacity() {
        let count = items.len().saturating_add(1);
        let alike = (count as u64).saturating_mul(left as u64) / (read as u64).max(1);
        // Every item has at least one byte, so that there are no more of them than bytes.
        let alike = usize::try_from(alike).unwrap_or(left).min(left);
        let alike = alike.min(count.max(64));
        let more = if off("V-2.1.2-08") { left } else { alike.max((count / 2).min(left)) };
        items.reserve_exact(more.saturating_add(1));
    }
    items.push(item);
}

impl Decode for u16 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16()
    }
}

impl Decode for u32 {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u32()
    }
}

impl Decode for Vec<u8> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.opaque().map(<[u8]>::to_vec)
    }
}
