//! How many nodes were looked at, so that a test sees a walk over all of them that computes and
//! allocates nothing. Only the library's own tests count.

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A node, or a key of one, is looked at.
#[cfg(test)]
pub(super) fn visit() {
    VISITS.set(VISITS.get() + 1);
}

#[cfg(not(test))]
#[inline(always)]
pub(super) fn visit() {}

/// How many nodes this thread looks at in `run`.
#[cfg(test)]
pub(crate) fn visits<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = VISITS.get();
    let outcome = run();
    (outcome, VISITS.get() - before)
}
