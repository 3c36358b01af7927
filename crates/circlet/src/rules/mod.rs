//! Every validity rule of RFC 9420, one small function each, named after what it demands and
//! carrying its id from the conformance table.

pub(crate) mod commit;
pub(crate) mod framing;
pub(crate) mod leaf;
pub(crate) mod outsider;
pub(crate) mod path;
pub(crate) mod proposals;
pub(crate) mod subgroup;
pub(crate) mod tree;
pub(crate) mod welcome;

pub use crate::violation::Violation;
pub(crate) use crate::violation::{ensure, ensure_row};

use crate::crypto::CryptoError;
use crate::mutation::{any_off, off};

/// A rule that more than one row of the conformance table states.
pub(crate) fn ensure_rows<const N: usize>(
    rows: [&'static str; N],
    holds: bool,
    violation: Violation,
) -> Result<(), Violation> {
    ensure(holds || any_off(&rows), violation)
}

/// A row that demands tolerance: nothing is refused, but where the row is switched off.
pub(crate) fn tolerate(
    row: &'static str,
    unusual: impl FnOnce() -> bool,
    violation: Violation,
) -> Result<(), Violation> {
    if off(row) && unusual() { Err(violation) } else { Ok(()) }
}

/// What a peer can cause is the peer's violation; anything else stays a failure of the provider.
pub(crate) fn blame<E: From<Violation> + From<CryptoError>>(
    error: CryptoError,
    expected: CryptoError,
    violation: Violation,
) -> E {
    if error == expected { violation.into() } else { error.into() }
}
