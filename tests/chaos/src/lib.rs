//! The chaos harness: real Redis processes, a fault proxy on every link, several server processes, and an independent
//! counter of what was sent and what arrived.
//!
//! `scenario` is the table of faults, `run` plays one, `stage` holds its processes and links, `server` is the program of each
//! server process, `judge` counts. Only `server` knows the adapter, and `judge` reads only logs.

mod clock;
pub mod judge;
mod message;
pub mod pace;
mod plan;
mod process;
pub mod proxy;
mod record;
pub mod run;
pub mod scenario;
pub mod server;
mod stage;
mod story;
mod table;
mod talk;
mod wall_clock;

pub use table::table;
