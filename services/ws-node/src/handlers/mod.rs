//! Handlers: functions of the program that a ws-node is part of, for clients' events and for what happens to connections.
//!
//! They run on the program's runtime, never on a shard's thread, so a slow one delays only its own client, and one that panics
//! ends only itself. The handlers of one connection run one after the other, in the order of what happened. This module holds
//! them and the [`Client`] that they get; `events` calls them. Knows neither the engine nor the routes.

mod client;
mod news;
mod registry;
mod reply;
mod table;
mod turns;

pub use client::Client;
pub use news::{ClientFault, Closed, ClosedBy, Handling, RawMessage};
pub use registry::{HandlerError, Handlers};
pub use reply::IntoReply;
pub use table::HandlerId;
pub(crate) use table::{Found, Listed, OnEvent, Running, Wanted};
pub(crate) use turns::Turns;
