use zeroize::Zeroizing;

use crate::codec::{Decode, DecodeContext, DecodeError, Encode, Reader};
use crate::crypto::{CipherSuite, Secret};
use crate::error::Error;
use crate::group::OldGroup;
use crate::identity::Credential;
use crate::message::{GroupId, ReInit};

use super::load::{read_epoch, read_past};
use super::values::{read_secret, write_secret};
use super::{Batch, Kind, past_key, put, read};
use crate::storage::{Prefix, Storage};

/// The resumption PSK of a group's epoch: the present one's, or one that is still kept.
///
/// The group may go on meanwhile. The row of a past epoch is written with the epoch that follows
/// it, so that whichever is no longer in the first row read is in the second.
pub(crate) fn read_resumption_psk(
    storage: &dyn Storage,
    group: &GroupId,
    epoch: u64,
    context: &DecodeContext,
) -> Result<Option<Secret>, Error> {
    if let Some(row) = storage.read(&Kind::Epoch.row(group))? {
        let (present, secret) =
            read(&row.value, context, |reader| read_epoch(reader).map(|row| row.resumption_psk()))?;
        if present == epoch {
            return Ok(Some(secret));
        }
    }
    match storage.read(&past_key(group, epoch))? {
        Some(row) => Ok(Some(read(&row.value, context, read_past)?.resumption_psk)),
        None => Ok(None),
    }
}

/// Whether a ReInit that closed one of this client's groups names this one to take its place.
pub(crate) fn is_named_by_reinit(
    storage: &dyn Storage,
    id: &GroupId,
    context: &DecodeContext,
) -> Result<bool, Error> {
    for (_, row) in storage.scan(&Prefix::new(&[Kind::Reinit.name()]))? {
        if read(&row.value, context, ReInit::decode)?.group_id == *id {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn put_old_group(old: &OldGroup, batch: &mut Batch) -> Result<(), Error> {
    // Destructured, so that a field that is added is not forgotten here.
    let OldGroup { group_id, epoch, cipher_suite, members, resumption_psk, reinit } = old;
    put(batch, Kind::OldGroup.numbered(group_id, *epoch), |writer| {
        group_id.encode(writer);
        writer.u64(*epoch);
        cipher_suite.encode(writer);
        writer.vector(members);
        write_secret(resumption_psk, writer);
        writer.optional(reinit.as_ref());
    })
}

pub(crate) fn read_old_group(
    value: &Zeroizing<Vec<u8>>,
    context: &DecodeContext,
) -> Result<OldGroup, Error> {
    let old_group = |reader: &mut Reader<'_>| -> Result<OldGroup, DecodeError> {
        Ok(OldGroup {
            group_id: GroupId::decode(reader)?,
            epoch: reader.u64()?,
            cipher_suite: CipherSuite::decode(reader)?,
            members: reader.vector::<Credential>()?,
            resumption_psk: read_secret(reader)?,
            reinit: reader.optional()?,
        })
    };
    read(value, context, old_group)
}
