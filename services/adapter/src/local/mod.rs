//! The clients of this server, with their rooms and outboxes. State without I/O; knows `wire` only.

mod census;
mod client_data;
mod context;
mod delivery;
mod hub;
mod hub_entries;
mod leaders;
mod observer;
mod outbox;
mod room_stripe;
mod shard;
mod striped;

pub use census::{NamespaceCount, RoomMembers, RoomMessages, TopRooms};
pub use client_data::{DataError, MAX_DATA_BYTES, MAX_DATA_DEPTH};
pub(crate) use context::Origin;
pub use context::{Introduction, LiveContext};
pub use delivery::{Class, Delivery, DeliveryRule, FrameReader, Policy};
pub(crate) use hub::Hub;
pub use observer::{ClientObserver, LostServer, ObservedConnection};
pub use outbox::{Full, Outbox, OutboxLimits, Pushed};
pub use shard::{
    Closing, Command, ConnectionId, Dismissal, PendingRequest, Recipients, Shard, ShardInbox, Shared, Spared,
};
