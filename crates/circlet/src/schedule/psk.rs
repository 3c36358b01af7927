use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::crypto::{CryptoError, Rng, RngError, Secret, Suite};
use crate::mutation::off;

/// `PreSharedKeyID`: which pre-shared key enters the key schedule, and the nonce that makes this
/// use of it unlike any other (RFC 9420 section 8.4). Two ids are equal if their nonces are, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PreSharedKeyId {
    /// The key.
    pub psk: Psk,
    /// Fresh random bytes for each use, Nh of them; the length is not looked at in decoding.
    pub psk_nonce: Vec<u8>,
}

impl PreSharedKeyId {
    /// A use of a key, with a nonce of `length` bytes, Nh of the group that it enters: V-8.4-02, a
    /// fresh one for each use; V-12.1.4-03, that nobody can guess.
    pub(crate) fn fresh<E: From<RngError>>(
        psk: Psk,
        length: usize,
        rng: &mut dyn Rng,
    ) -> Result<Self, E> {
        let nonce = match () {
            () if off("V-8.4-02") => Secret::zero(length),
            () if off("V-12.1.4-03") => guessable::<E>(rng, length)?,
            () => Secret::random(rng, length)?,
        };
        Ok(Self { psk, psk_nonce: nonce.as_bytes().to_vec() })
    }
}

/// The same byte again and again: what stands in where V-12.1.4-03 is switched off.
fn guessable<E: From<RngError>>(rng: &mut dyn Rng, length: usize) -> Result<Secret, E> {
    let mut byte = [0];
    rng.fill(&mut byte)?;
    Ok(Secret::new(&vec![byte[0]; length]))
}

/// Where a pre-shared key comes from (RFC 9420 section 8.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Psk {
    /// The application provides it.
    External {
        /// The application's name for it.
        psk_id: Vec<u8>,
    },
    /// The resumption PSK of a group's epoch.
    Resumption {
        /// What it is used for.
        usage: ResumptionPskUsage,
        /// The group that it comes from.
        psk_group_id: Vec<u8>,
        /// The epoch that it comes from.
        psk_epoch: u64,
    },
}

/// `ResumptionPSKUsage` (RFC 9420 section 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResumptionPskUsage {
    /// The application asked for it.
    Application,
    /// The group is a re-initialised one (section 11.2).
    Reinit,
    /// The group is a branch of another (section 11.3).
    Branch,
}

/// `psk_secret`: the pre-shared keys in the order of the Commit or of the GroupSecrets, chained
/// (RFC 9420 section 8.4). Nh bytes of zero if there are none.
///
/// # Errors
/// [`CryptoError::InvalidLength`] if there are more than 65,535, which is what their `uint16`
/// count can say.
pub fn psk_secret(suite: &Suite, psks: &[(PreSharedKeyId, Secret)]) -> Result<Secret, CryptoError> {
    // V-8.4-04: more than a uint16 can say are refused, not cut.
    let most = u16::try_from(psks.len()).ok().or(off("V-8.4-04").then_some(u16::MAX));
    let count = most.ok_or(CryptoError::InvalidLength)?;
    let zero = Secret::zero(suite.secret_length());
    let mut chained = zero.clone();
    for (index, (id, psk)) in (0..count).zip(psks) {
        let extracted = suite.extract(&zero, psk)?;
        let label = psk_label(id, index, count)?;
        let input =
            suite.expand_with_label(&extracted, "derived psk", &label, suite.secret_length())?;
        chained = suite.extract(&input, &chained)?;
    }
    Ok(chained)
}

fn psk_label(id: &PreSharedKeyId, index: u16, count: u16) -> Result<Vec<u8>, CryptoError> {
    let mut writer = Writer::new();
    id.encode(&mut writer);
    writer.u16(index);
    writer.u16(count);
    Ok(writer.finish()?)
}

const EXTERNAL: u8 = 1;
const RESUMPTION: u8 = 2;

impl Encode for PreSharedKeyId {
    fn encode(&self, writer: &mut Writer) {
        match &self.psk {
            Psk::External { psk_id } => {
                writer.u8(EXTERNAL);
                writer.opaque(psk_id);
            }
            Psk::Resumption { usage, psk_group_id, psk_epoch } => {
                writer.u8(RESUMPTION);
                usage.encode(writer);
                writer.opaque(psk_group_id);
                writer.u64(*psk_epoch);
            }
        }
        writer.opaque(&self.psk_nonce);
    }
}

impl Decode for PreSharedKeyId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let psk = match reader.u8()? {
            EXTERNAL => Psk::External { psk_id: Decode::decode(reader)? },
            RESUMPTION => Psk::Resumption {
                usage: Decode::decode(reader)?,
                psk_group_id: Decode::decode(reader)?,
                psk_epoch: reader.u64()?,
            },
            // V-2.0-04.
            _ if off("V-2.0-04") => Psk::External { psk_id: Decode::decode(reader)? },
            value => {
                return Err(DecodeError::UnknownValue { kind: "PSKType", value: value.into() });
            }
        };
        Ok(Self { psk, psk_nonce: Decode::decode(reader)? })
    }
}

impl Encode for ResumptionPskUsage {
    fn encode(&self, writer: &mut Writer) {
        writer.u8(match self {
            Self::Application => 1,
            Self::Reinit => 2,
            Self::Branch => 3,
        });
    }
}

impl Decode for ResumptionPskUsage {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            1 => Ok(Self::Application),
            2 => Ok(Self::Reinit),
            3 => Ok(Self::Branch),
            // V-2.0-04.
            _ if off("V-2.0-04") => Ok(Self::Branch),
            value => {
                Err(DecodeError::UnknownValue { kind: "ResumptionPSKUsage", value: value.into() })
            }
        }
    }
}
