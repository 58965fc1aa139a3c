//! The clients of this server, with their rooms and outboxes. State without I/O; knows `wire` only.

mod context;
mod delivery;
mod hub;
mod hub_entries;
mod observer;
mod outbox;
mod shard;
mod striped;

pub(crate) use context::Origin;
pub use context::{Introduction, LiveContext, MAX_DATA_BYTES};
pub use delivery::{Class, Delivery, DeliveryRule, FrameReader, Policy};
pub(crate) use hub::Hub;
pub use observer::{ClientObserver, LostServer, ObservedConnection};
pub use outbox::{Full, Outbox, OutboxLimits, Pushed};
pub use shard::{
    Closing, Command, ConnectionId, Dismissal, PendingRequest, Recipients, Shard, ShardInbox, Shared, Spared,
};
