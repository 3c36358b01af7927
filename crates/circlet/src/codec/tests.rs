use super::*;

fn encoded(value: &impl Encode) -> Vec<u8> {
    value.to_bytes().unwrap()
}

fn decode<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::from_bytes(bytes, &DecodeContext::default())
}

/// V-2.1.2-01.
#[test]
fn prefix_is_the_shortest_at_every_boundary() {
    for (length, prefix) in [
        (0, &[0][..]),
        (63, &[0x3f]),
        (64, &[0x40, 64]),
        (16383, &[0x7f, 0xff]),
        (16384, &[0x80, 0, 0x40, 0]),
        (MAX_VECTOR_LENGTH, &[0xbf, 0xff, 0xff, 0xff]),
    ] {
        let mut writer = Writer::new();
        writer.length(length);
        assert_eq!(writer.finish().unwrap(), prefix, "{length}");
        assert_eq!(Reader::new(prefix, &DecodeContext::default()).length(), Ok(length));
    }
}

#[test]
fn nested_and_opaque_agree_at_every_boundary() {
    for length in [0, 1, 63, 64, 65, 16383, 16384, 16385] {
        let bytes = vec![7; length];
        let mut writer = Writer::new();
        writer.nested(|inner| inner.raw(&bytes));
        let nested = writer.finish().unwrap();
        assert_eq!(nested, encoded(&bytes));
        assert_eq!(decode::<Vec<u8>>(&nested), Ok(bytes));
    }
}

/// V-2.1.2-02.
#[test]
fn prefixes_that_are_not_minimal_are_refused() {
    for prefix in [&[0x40, 0][..], &[0x40, 0x3f], &[0x80, 0, 0, 0], &[0x80, 0, 0x3f, 0xff]] {
        let mut bytes = prefix.to_vec();
        bytes.resize(0x5000, 0);
        assert_eq!(decode::<Vec<u8>>(&bytes), Err(DecodeError::NonMinimalLength));
    }
}

/// V-2.1.2-03.
#[test]
fn prefix_bits_11_are_refused() {
    for first in 0xc0..=0xff {
        assert_eq!(decode::<Vec<u8>>(&[first; 16]), Err(DecodeError::InvalidLengthPrefix));
    }
}

/// V-2.1.2-04.
#[test]
fn lengths_beyond_the_input_are_refused() {
    assert_eq!(
        decode::<Vec<u8>>(&[0xbf, 0xff, 0xff, 0xff]),
        Err(DecodeError::EndOfInput { missing: MAX_VECTOR_LENGTH })
    );
}

/// V-2.1.2-05.
#[test]
fn vectors_hold_whole_items() {
    let mut reader_bytes = vec![3, 0, 1, 2];
    let context = DecodeContext::default();
    assert_eq!(
        Reader::new(&reader_bytes, &context).vector::<u16>(),
        Err(DecodeError::EndOfInput { missing: 1 })
    );
    reader_bytes = vec![4, 0, 1, 0, 2];
    assert_eq!(Reader::new(&reader_bytes, &context).vector::<u16>(), Ok(vec![1, 2]));
}

/// V-2.1.1-01, V-2.1.1-02.
#[test]
fn presence_is_zero_or_one() {
    let context = DecodeContext::default();
    for (bytes, expected) in [
        (&[0][..], Ok(None)),
        (&[1, 0, 9], Ok(Some(9))),
        (&[1, 0], Err(DecodeError::EndOfInput { missing: 1 })),
        (&[2, 0, 9], Err(DecodeError::InvalidPresence(2))),
        (&[255, 0, 9], Err(DecodeError::InvalidPresence(255))),
    ] {
        assert_eq!(Reader::new(bytes, &context).optional::<u16>(), expected);
    }
}

/// V-2.0-03.
#[test]
fn what_follows_a_value_is_refused() {
    assert_eq!(decode::<u16>(&[0, 1, 2]), Err(DecodeError::TrailingBytes { count: 1 }));
    assert_eq!(decode::<Vec<u8>>(&[0, 0]), Err(DecodeError::TrailingBytes { count: 1 }));
}

/// V-2.1.2-07.
#[test]
fn a_vector_too_long_to_encode_is_an_error() {
    let mut writer = Writer::new();
    writer.length(MAX_VECTOR_LENGTH + 1);
    assert_eq!(writer.finish(), Err(EncodeError::VectorTooLong(MAX_VECTOR_LENGTH + 1)));
}

/// V-2.1.2-06.
#[test]
fn list_limits_are_errors_of_their_own() {
    let bytes = [6, 0, 1, 0, 2, 0, 3];
    let context = DecodeContext::default();
    let read =
        |limit| Reader::new(&bytes, &context).vector_with(limit, "numbers", |reader| reader.u16());
    assert_eq!(read(3), Ok(vec![1, 2, 3]));
    assert_eq!(read(2), Err(DecodeError::TooMany { what: "numbers", limit: 2 }));
}
