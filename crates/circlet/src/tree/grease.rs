//! Values that mean nothing and are sent so that nobody gets used to refusing what they don't know
//! (RFC 9420 section 13.5).

use super::{Capabilities, Extension, ExtensionType, ProposalType};
use crate::crypto::{CipherSuite, Rng, RngError};
use crate::identity::CredentialType;

/// Whether a code point of a cipher suite or of an extension, proposal or credential type is
/// reserved to mean nothing: 0x0A0A, 0x1A1A and so on until 0xEAEA.
///
/// Only for one's own capabilities and what one sends: on receipt such a value is like any other
/// that is not known.
///
/// ```
/// use circlet::tree::is_grease;
/// assert!(is_grease(0x1a1a));
/// assert!(!is_grease(0xfafa)); // for private use
/// ```
#[must_use]
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a && low != 0xfa
}

/// V-13.5-01: an extension of a random type with random data.
pub(crate) fn grease_extension(rng: &mut dyn Rng) -> Result<Extension, RngError> {
    let extension_type = ExtensionType(value(rng)?);
    let mut data = vec![0; below(DATA + 1, rng)?];
    rng.fill(&mut data)?;
    Ok(Extension { extension_type, data })
}

/// The greatest length in bytes of an extension's data: little, since a leaf goes to everybody.
const DATA: usize = 7;

/// V-13.5-01: one random value in each list of capabilities but the versions, whose registry
/// reserves none, at a random place.
pub(crate) fn grease_capabilities(
    capabilities: &mut Capabilities,
    rng: &mut dyn Rng,
) -> Result<(), RngError> {
    let suite = CipherSuite(value(rng)?);
    insert(&mut capabilities.cipher_suites, suite, rng)?;
    let extension_type = ExtensionType(value(rng)?);
    insert(&mut capabilities.extensions, extension_type, rng)?;
    let proposal_type = ProposalType(value(rng)?);
    insert(&mut capabilities.proposals, proposal_type, rng)?;
    let credential_type = CredentialType(value(rng)?);
    insert(&mut capabilities.credentials, credential_type, rng)
}

/// V-13.5-02 and V-10.0-07: an extension that stands in a leaf or a KeyPackage is among the
/// capabilities. At a random place, so that what means nothing can't be told by where it is.
pub(crate) fn list_extension(
    extension_type: ExtensionType,
    capabilities: &mut Capabilities,
    rng: &mut dyn Rng,
) -> Result<(), RngError> {
    match extension_type.is_default() {
        true => Ok(()),
        false => insert(&mut capabilities.extensions, extension_type, rng),
    }
}

/// Puts a value at a random place, unless the list has it.
fn insert<T: PartialEq>(list: &mut Vec<T>, value: T, rng: &mut dyn Rng) -> Result<(), RngError> {
    if list.contains(&value) {
        return Ok(());
    }
    let place = below(list.len() + 1, rng)?;
    list.insert(place, value);
    Ok(())
}

/// One of the 15 values.
fn value(rng: &mut dyn Rng) -> Result<u16, RngError> {
    let digit = u16::try_from(below(15, rng)?).map_err(|_| RngError)?;
    Ok(0x0a0a | digit << 12 | digit << 4)
}

/// A random number below `bound`, which is small: nothing hangs on its being quite even.
fn below(bound: usize, rng: &mut dyn Rng) -> Result<usize, RngError> {
    let mut random = [0; 4];
    rng.fill(&mut random)?;
    let random = usize::try_from(u32::from_be_bytes(random)).map_err(|_| RngError)?;
    random.checked_rem(bound).ok_or(RngError)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Counts, so that every number comes up.
    struct Counting(u8);

    impl Rng for Counting {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RngError> {
            out.fill(0);
            if let Some(last) = out.last_mut() {
                *last = self.0;
                self.0 = self.0.wrapping_add(1);
            }
            Ok(())
        }
    }

    #[test]
    fn the_values_are_those_of_section_13_5() {
        let reserved = [
            0x0a0a, 0x1a1a, 0x2a2a, 0x3a3a, 0x4a4a, 0x5a5a, 0x6a6a, 0x7a7a, 0x8a8a, 0x9a9a, 0xaaaa,
            0xbaba, 0xcaca, 0xdada, 0xeaea,
        ];
        let all: Vec<u16> = (0..=u16::MAX).filter(|value| is_grease(*value)).collect();
        assert_eq!(all, reserved);
        let mut rng = Counting(0);
        let drawn: BTreeSet<u16> = (0..15).map(|_| value(&mut rng).unwrap()).collect();
        assert_eq!(drawn, reserved.into());
    }

    #[test]
    fn a_value_that_is_listed_is_not_listed_twice() {
        let mut list = vec![1, 2, 3];
        let mut rng = Counting(0);
        for value in [7, 7, 2, 8] {
            insert(&mut list, value, &mut rng).unwrap();
        }
        list.sort_unstable();
        assert_eq!(list, [1, 2, 3, 7, 8]);
    }
}
