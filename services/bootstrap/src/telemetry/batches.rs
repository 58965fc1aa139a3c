//! How what is sent is put together: the queue before an exporter, and the batches that leave it.

use std::time::Duration;

use super::variables::number;

/// The sizes and the pace of what one signal sends. The SDK would read them from the environment of the process itself, and ignore a text
/// with a space in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batches {
    /// Places in the queue.
    pub(super) places: usize,
    /// Most spans or lines of one request.
    pub(super) most: usize,
    /// Longest wait until what is in the queue is sent.
    pub(super) delay: Duration,
}

impl Batches {
    /// Of spans: `OTEL_BSP_*`.
    pub(super) fn of_spans<'a>(variable: impl Fn(&str) -> Option<&'a str> + Copy) -> Self {
        Self::read(variable, "OTEL_BSP", 5_000)
    }

    /// Of lines of the log: `OTEL_BLRP_*`.
    pub(super) fn of_lines<'a>(variable: impl Fn(&str) -> Option<&'a str> + Copy) -> Self {
        Self::read(variable, "OTEL_BLRP", 1_000)
    }

    /// The defaults are those of the specification.
    fn read<'a>(variable: impl Fn(&str) -> Option<&'a str> + Copy, of: &str, delay_ms: u64) -> Self {
        Self {
            places: number(variable, &format!("{of}_MAX_QUEUE_SIZE"), 2_048),
            most: number(variable, &format!("{of}_MAX_EXPORT_BATCH_SIZE"), 512),
            delay: Duration::from_millis(number(variable, &format!("{of}_SCHEDULE_DELAY"), delay_ms)),
        }
    }
}
