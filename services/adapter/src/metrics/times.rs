//! The upper bounds by which the adapter's times are counted: the same for all, so that they can be compared.

use prometheus::{HistogramOpts, exponential_buckets, histogram_opts};

/// The first of [`TIME_BUCKETS`] upper bounds of times, in seconds; each further one is twice as long, up to about 3 s.
pub(crate) const SHORTEST_TIME: f64 = 0.000_05;
/// How many upper bounds times are counted by.
pub(crate) const TIME_BUCKETS: usize = 17;

/// The options of a histogram of times.
pub(super) fn seconds(name: &str, help: &str) -> prometheus::Result<HistogramOpts> {
    let bounds = exponential_buckets(SHORTEST_TIME, 2.0, TIME_BUCKETS)?;
    Ok(histogram_opts!(name, help, bounds))
}
