//! The one clock of all processes: CLOCK_MONOTONIC, read from the kernel, so that jumps of the wall clock have no effect.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds on the machine's monotonic clock.
pub(crate) fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The monotonic clock is never negative.
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}
