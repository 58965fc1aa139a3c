//! What is measured, and how: time, order and completeness, latencies, and what processes use.

pub mod clock;
pub mod latency;
pub mod process;
pub mod sequence;
