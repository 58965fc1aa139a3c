//! Servers, clients, rooms and events over several plain Redis nodes that are used only for pub/sub.
//!
//! Every server subscribes to what it needs on every node and publishes each message on one node that everyone concerned
//! hears. No node is master, any may die. Start with [`Adapter::start`]; [`Options`] says what can be set.
//!
//! This crate never speaks WebSocket, HTTP or to Kubernetes. Map: `wire` (what travels), `local` (this server's clients),
//! `cluster` (the other servers), `nodes` (the Redis nodes); the files beside them join these four.

mod adapter;
mod asking;
mod attachment;
mod catchup;
mod choices;
mod clients;
mod clock;
mod cluster;
mod custom;
mod driver;
mod endpoints;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inbound;
mod lapse;
mod local;
mod membership;
mod metrics;
mod nodes;
mod options;
mod outbound;
mod servers;
mod settings;
mod topology;
mod trace;
mod views;
mod wire;

pub use adapter::{Adapter, Started};
pub use attachment::Attachment;
pub use clients::{Presence, RoomOptions, Scope};
pub use cluster::{ListenerId, Outcome, Replies, Reply};
pub use custom::{ChannelListener, ChannelMessage};
pub use driver::Driver;
pub use error::{
    ChannelError, ClientError, ClientRequestError, DriverError, Missing, PublishError, RequestError, StartError,
    TargetError, TopologyError,
};
pub use event::{Listener, ServerEvent};
pub use lapse::{Lapse, LapseReason};
pub use local::{
    Asked, Class, Closing, Command, ConnectionId, DeliveryRule, Dismissal, Full, Outbox, OutboxLimits, Policy, Pushed,
    Recipients, Shard, ShardInbox, Shared, Spared,
};
pub use nodes::{Fault, LinkFault, MemoryBus, NodeStatus, NodeUrl, NodeUrlError, Strategy};
pub use options::{Bus, Options};
pub use servers::{Pick, RequestOptions, Target};
pub use settings::Difference;
pub use topology::{NodeAtServer, NodeState, NodeView};
pub use views::{ClientPart, Gathered, RoomPart, RoomsPart, ServerInfo, StatsPart};
pub use wire::{
    ClientId, Encoding, Frame, Instance, MAX_NAME_CHARS, NameError, Namespace, NodeId, Payload, PayloadError, Room,
    RoomId, Routing, ServerName, ServiceName, Topic,
};
