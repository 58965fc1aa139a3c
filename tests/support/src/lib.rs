//! What the tests of several crates need: real Redis processes, free ports, waiting with a time limit.
//!
//! Everything that it starts ends when it is dropped. It depends on no crate of the project, and only tests and the chaos
//! harness depend on it. What a test needs and does not find makes it fail with instructions; nothing is skipped.

mod open_files;
pub mod ports;
pub mod redis;
mod wait;

pub use open_files::need_open_files;
pub use wait::{SOON, soon, until};
