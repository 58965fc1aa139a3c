//! The session engine: each shard is one thread that owns its connections, so nothing here locks or wakes other threads.
//!
//! A frame for many clients arrives once per shard, is put in its members' outboxes, and every dirty outbox is written once
//! per turn. Nothing waits for a slow client.
//!
//! `session` reads and `socket` writes a `stream`, `sweep` keeps the time, `leaving` says whose time has come, `works` goes on
//! with what is not done at once, `link` is what they share; `decoder` and `wire` know RFC 6455, `deflate` RFC 7692. What
//! frames mean is not known here: see `session` at the crate's root.

mod core;
mod decoder;
mod deflate;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod leaving;
mod link;
mod session;
mod socket;
mod stream;
mod sweep;
mod thread;
pub(crate) mod wire;
mod works;

pub(crate) use self::core::Session;
pub(crate) use self::decoder::{Accepts, Decoder, Incoming, Message};
pub(crate) use self::leaving::come_back_within;
#[cfg(test)]
pub(crate) use self::link::Initiator;
pub(crate) use self::link::{Background, Ending, Farewell};
pub(crate) use self::stream::Parts;
pub(crate) use self::thread::{Arrived, Berth, Expected, Newcomer, Order, ShardRuntime, ShardThread};
