//! The session engine: each shard is one thread that owns its connections, so nothing here locks or wakes other threads.
//!
//! A frame for many clients arrives once per shard, is put in its members' outboxes, and every dirty outbox is written once
//! per turn. Nothing waits for a slow client. The engine does not know what frames mean: a [`FrameHandler`] does.
//! It uses nothing from the rest of ws-node.
//!
//! An `admission` hands a connection over to the `thread` of a shard. `connection` sees it through its life, `reader` reads
//! and `socket` writes its `stream`, `handle` is what they share, `session` what the handler gets. `core` is the shard's state,
//! `sweep` keeps the time, `leaving` decides which connections are sent away, `ongoing` runs what is not done at once.
//! `outgoing` is told what becomes of the frames for a watched connection, `queue_times` how long they waited.
//! `decoder` and `framing` know RFC 6455, `deflate` RFC 7692.

mod admission;
mod connection;
mod core;
mod decoder;
mod deflate;
mod ending;
pub(crate) mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod handler;
mod leaving;
mod metrics;
mod ongoing;
mod outgoing;
mod pressure;
mod queue_times;
mod reader;
mod session;
mod settings;
mod slow;
mod socket;
mod stream;
mod sweep;
mod thread;

pub(crate) use self::admission::{Admission, Expected, Newcomer, Reservation};
pub(crate) use self::decoder::{Accepts, Decoder, Incoming, Message, Violation};
pub(crate) use self::ending::{Farewell, Initiator, come_back_within};
pub(crate) use self::handler::{Control, FrameHandler, Verdict};
pub(crate) use self::metrics::Metrics;
pub(crate) use self::outgoing::{Onlooker, Outgoing};
pub(crate) use self::pressure::Budget;
pub(crate) use self::session::Session;
pub(crate) use self::settings::Settings;
pub(crate) use self::stream::Parts;
pub(crate) use self::thread::{Order, Resources, ShardRuntime, ShardThread};
