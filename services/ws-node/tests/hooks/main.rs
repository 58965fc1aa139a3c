//! The connect hook and lifecycle events against real HTTP servers of the test.

#[path = "../common/mod.rs"]
mod common;
#[expect(dead_code, reason = "every test binary uses another part of it")]
#[path = "../backends/server.rs"]
mod server;

mod by_message;
mod connect;
mod consumer;
mod door;
mod refused;
mod start;
mod storm;
mod telling;
mod trouble;
