//! The chaos harness: real Redis processes, a fault proxy on every link, several server processes, and an independent
//! counter of what was sent and what arrived.
//!
//! `scenario` is the table of faults, `run` plays one, `stage` holds what it plays with, `server` is what each server
//! process does, `judge` counts. Only `server` knows the adapter; only what is written down is judged.

mod clock;
pub mod judge;
mod message;
pub mod pace;
mod plan;
mod ports;
mod process;
pub mod proxy;
mod record;
mod redis;
pub mod run;
pub mod scenario;
pub mod server;
mod stage;
mod story;
mod table;
mod talk;
mod wall_clock;

pub use table::table;
