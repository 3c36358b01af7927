//! Switching a rule off, to see that its test notices.
//!
//! A build with `--cfg circlet_mutate` leaves out the one rule whose id is in the environment
//! variable `CIRCLET_MUTATE`: a test that still passes then shows nothing. Any other build has every
//! rule, always; a release build refuses the flag.

#[cfg(all(circlet_mutate, not(debug_assertions)))]
compile_error!("circlet_mutate switches rules off: it is for debug tests only");

/// Whether the rule of this row of the conformance table is switched off.
#[cfg(not(circlet_mutate))]
#[inline]
pub(crate) const fn off(_row: &str) -> bool {
    false
}

/// Whether the rule of this row of the conformance table is switched off.
#[cfg(circlet_mutate)]
pub(crate) fn off(row: &str) -> bool {
    use std::sync::LazyLock;
    static OFF: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("CIRCLET_MUTATE").ok());
    OFF.as_deref() == Some(row)
}

/// Whether the rule of one of these rows is switched off.
pub(crate) fn any_off(rows: &[&str]) -> bool {
    rows.iter().any(|row| off(row))
}
