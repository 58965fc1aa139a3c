//! This server's own clients: state without I/O. Knows `wire` only.

mod hub;
mod outbox;
mod seats;
mod shard;

pub(crate) use hub::Hub;
pub use outbox::{Full, Outbox, OutboxLimits};
pub use shard::{Asked, Closing, Command, ConnectionId, Dismissal, Recipients, Shard, ShardInbox};
