//! One run: workers are started, everything connects, load flows, what is under way arrives, everybody counts.

mod progress;
pub mod shared;
mod stage;

pub use stage::{Measured, Setup, Stage};
