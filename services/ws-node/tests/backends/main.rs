//! Rules with a URL against real servers of the test: what they get, what clients get for their answers, and what happens when
//! they misbehave.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod attacks;
mod logged;
mod misbehaving;
mod order;
mod recovery;
mod requests;
mod secure;
mod server;
mod start;
