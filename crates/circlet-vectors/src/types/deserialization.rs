use circlet::codec::{Reader, Writer};
use circlet::crypto::Rng;
use serde::{Deserialize, Serialize};

use super::{At, Env, Failure, Hex, VectorType, expect_bytes, expect_equal};

/// Length prefixes of vectors (RFC 9420 section 2.1.2).
pub(crate) struct Deserialization;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    vlbytes_header: Hex,
    length: usize,
}

impl VectorType for Deserialization {
    const NAME: &'static str = "deserialization";
    type Case = Case;

    fn suite(_: &Case) -> Option<u16> {
        None
    }

    fn verify(case: &Case, env: &Env) -> Result<(), Failure> {
        let mut reader = Reader::new(&case.vlbytes_header, &env.context);
        let length = reader.length().at("vlbytes_header")?;
        reader.finish().at("vlbytes_header")?;
        expect_equal("length", &length, &case.length)?;
        expect_bytes("vlbytes_header", header(case.length)?, &case.vlbytes_header)
    }

    fn generate(_: &Env, _: &mut dyn Rng) -> Result<Vec<Case>, Failure> {
        let edges = [0, 1, 63, 64, 65, 16_383, 16_384, 16_385, (1 << 30) - 2, (1 << 30) - 1];
        let case = |length| Ok(Case { vlbytes_header: header(length)?.into(), length });
        edges.into_iter().map(case).collect()
    }
}

fn header(length: usize) -> Result<Vec<u8>, Failure> {
    let mut writer = Writer::new();
    writer.length(length);
    writer.finish().at("length")
}
