//! Servers, clients, rooms and events over several plain Redis nodes that are used only for pub/sub.
//!
//! Every server subscribes to what it needs on every node and publishes each message on one node that everyone concerned
//! hears. No node is master, any may die. Start with [`Adapter::start`]; [`Options`] says what can be set.
//!
//! A service of your own: here one that answers what clients send as `placeBid`, with a rule of the ws-nodes for that event.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use wsmesh_adapter::{Adapter, Bus, Options, Payload, ServerName, ServiceName, Started};
//!
//! /// What a ws-node forwards; with all its fields: `Forwarded` in wsmesh-protocol.
//! #[derive(Deserialize)]
//! struct Forwarded {
//!     client: String,
//!     payload: Bid,
//! }
//!
//! #[derive(Deserialize)]
//! struct Bid {
//!     amount: u32,
//! }
//!
//! #[derive(Serialize)]
//! struct Accepted {
//!     bidder: String,
//!     amount: u32,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut options = Options::new(ServerName::new("auction-0")?, ServiceName::new("auction")?);
//!     options.bus = Bus::Redis(vec!["redis://127.0.0.1:7000#redis-0".parse()?]);
//!     let Started { adapter, driver, .. } = Adapter::start(options)?;
//!     adapter.on("placeBid", |event| async move {
//!         // Without a reply the client is told that there was none in time.
//!         let Ok(Forwarded { client, payload }) = event.payload.parse() else { return };
//!         let accepted = Accepted { bidder: client, amount: payload.amount };
//!         if let Ok(accepted) = Payload::new(&accepted)
//!             && let Err(error) = event.reply(accepted).await
//!         {
//!             eprintln!("not answered: {error}");
//!         }
//!     });
//!     adapter.ready().await;
//!     tokio::signal::ctrl_c().await?;
//!     driver.shutdown().await;
//!     Ok(())
//! }
//! ```
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
mod outage;
mod outbound;
mod servers;
mod settings;
mod targets;
mod topology;
mod trace;
mod views;
mod waiting;
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
    Class, Closing, Command, ConnectionId, Delivery, DeliveryRule, Dismissal, FrameReader, Full, Outbox, OutboxLimits,
    PendingRequest, Policy, Pushed, Recipients, Shard, ShardInbox, Shared, Spared,
};
pub use nodes::{Fault, LinkFault, MemoryBus, NodeStatus, NodeUrl, NodeUrlError, Strategy};
pub use options::{Bus, Options};
pub use servers::RequestOptions;
pub use settings::Difference;
pub use targets::{Pick, Target};
pub use topology::{NodeAtServer, NodeState, NodeView};
pub use views::{ClientPart, Gathered, RoomPart, RoomsPart, ServerInfo, StatsPart};
pub use wire::{
    ClientId, Encoding, Frame, Instance, MAX_NAME_BYTES, NameError, Namespace, NodeId, Payload, PayloadError, Room,
    RoomId, Routing, ServerName, ServiceName, Topic,
};
