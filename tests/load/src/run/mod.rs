//! One run: workers start, clients connect, load flows, the last messages arrive, the workers count.

mod progress;
pub mod shared;
mod stage;

pub use stage::{Measured, Setup, Stage};
