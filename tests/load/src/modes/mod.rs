//! The modes: each runs once and returns a report.

mod connections;
mod messages;
mod requests;

pub use connections::{idle, reconnect};
pub use messages::{churn, direct, fanout, slow};
pub use requests::request;

use crate::report::Connecting;
use crate::run::shared::Shared;

/// How long connecting took.
fn connecting(shared: &Shared, connections: usize) -> Connecting {
    let seconds = shared.clock.now() as f64 / 1e9;
    Connecting {
        connections,
        seconds,
        per_second: connections as f64 / seconds,
    }
}
