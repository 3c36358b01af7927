//! The DER form of an ECDSA signature: `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 section
//! 2.2.3). Written here because the libraries' parsers differ in what they let through.

use super::nist::Curve;
use super::number::{is_below_be, subtract_be};
use crate::mutation::off;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// r and s, each padded to the length of the order; `None` unless the encoding is DER and both are
/// in range.
pub(super) fn decode(curve: &Curve, der: &[u8]) -> Option<Vec<u8>> {
    let (body, after) = element(SEQUENCE, der)?;
    let (r, body) = element(INTEGER, body)?;
    let (s, inside) = element(INTEGER, body)?;
    if !after.is_empty() || !inside.is_empty() {
        return None;
    }
    let (r, s) = (scalar(curve, r)?, scalar(curve, s)?);
    Some([r, s].concat())
}

/// V-5.1.2-04: the DER form of r and s, with the lower of s and the order less s.
pub(super) fn encode(curve: &Curve, fixed: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = fixed.split_at_checked(curve.length())?;
    if !curve.is_scalar(r) || !curve.is_scalar(s) {
        return None;
    }
    let other = subtract_be(curve.order, s);
    let low = if is_below_be(&other, s) && !off("V-5.1.2-04") { &other } else { s };
    let mut body = Vec::new();
    write_integer(&mut body, r)?;
    write_integer(&mut body, low)?;
    let mut der = Vec::new();
    write_element(&mut der, SEQUENCE, &body)?;
    Some(der)
}

/// The content of the element at the start, and what follows it. Lengths over 255 bytes do not
/// occur: the longest signature, of P-521, has 139.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [first, length @ ..=0x7f, rest @ ..] if *first == tag => (*length, rest),
        // The long form only where the short one does not reach.
        [first, 0x81, length @ 0x80..=0xff, rest @ ..] if *first == tag => (*length, rest),
        _ => return None,
    };
    rest.split_at_checked(usize::from(length))
}

/// A positive integer of the shortest form, at full length.
fn scalar(curve: &Curve, content: &[u8]) -> Option<Vec<u8>> {
    let magnitude = match content {
        // One zero byte stands before a top bit that would make the integer negative.
        [0, rest @ ..] if is_negative(rest) => rest,
        [1..=0x7f, ..] => content,
        _ => return None,
    };
    let mut padded = vec![0; curve.length().checked_sub(magnitude.len())?];
    padded.extend_from_slice(magnitude);
    curve.is_scalar(&padded).then_some(padded)
}

/// Whether these bytes alone would be a negative integer.
fn is_negative(integer: &[u8]) -> bool {
    integer.first().is_some_and(|byte| *byte >= 0x80)
}

fn write_integer(out: &mut Vec<u8>, scalar: &[u8]) -> Option<()> {
    let zeros = scalar.iter().take_while(|byte| **byte == 0).count();
    let magnitude = scalar.get(zeros..)?;
    let sign = if is_negative(magnitude) { [0].as_slice() } else { &[] };
    write_element(out, INTEGER, &[sign, magnitude].concat())
}

fn write_element(out: &mut Vec<u8>, tag: u8, content: &[u8]) -> Option<()> {
    let length = u8::try_from(content.len()).ok()?;
    out.push(tag);
    if length > 0x7f {
        out.push(0x81);
    }
    out.push(length);
    out.extend_from_slice(content);
    Some(())
}
