//! Comparing encoded integers. All of them are public, so nothing here is constant-time.

/// Whether a big-endian integer is below another of the same length.
pub(super) fn is_below_be(value: &[u8], bound: &[u8]) -> bool {
    value.len() == bound.len() && value < bound
}

/// Whether a little-endian integer is below another of the same length.
pub(super) fn is_below_le(value: &[u8], bound: &[u8]) -> bool {
    value.len() == bound.len() && value.iter().rev().lt(bound.iter().rev())
}

/// Whether an integer of any length is zero.
pub(super) fn is_zero(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == 0)
}

/// `minuend` less `subtrahend`, big-endian and of the same length; the first is not the smaller.
pub(super) fn subtract_be(minuend: &[u8], subtrahend: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let mut difference = minuend.to_vec();
    for (byte, other) in difference.iter_mut().rev().zip(subtrahend.iter().rev()) {
        let (first, under) = byte.overflowing_sub(*other);
        let (second, again) = first.overflowing_sub(u8::from(borrow));
        *byte = second;
        borrow = under || again;
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_reads_the_right_end_first() {
        assert!(is_below_be(&[1, 255], &[2, 0]));
        assert!(!is_below_be(&[2, 0], &[2, 0]));
        assert!(is_below_le(&[255, 1], &[0, 2]));
        assert!(!is_below_le(&[0, 2], &[255, 1]));
        assert!(!is_below_le(&[1], &[1]));
        assert!(!is_below_be(&[1], &[1, 0]));
    }

    #[test]
    fn subtraction_borrows_through_zeros() {
        assert_eq!(subtract_be(&[1, 0, 0], &[0, 0, 1]), [0, 255, 255]);
        assert_eq!(subtract_be(&[5, 5], &[5, 5]), [0, 0]);
        assert_eq!(subtract_be(&[2, 0, 0], &[0, 255, 255]), [1, 0, 1]);
    }
}
