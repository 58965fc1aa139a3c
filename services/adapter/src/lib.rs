//! Servers, clients, rooms and events over several plain Redis nodes that are used only for pub/sub.
//!
//! Every server subscribes to what it needs on every node and publishes each message on one node that everyone concerned
//! hears. No node is master, any may die. Start with [`Adapter::start`]; [`Options`] says what can be set.
//!
//! A service of your own: this one answers what clients send as `placeBid`. The ws-nodes need a rule that forwards this event
//! to the service `auction`.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use wsmesh_adapter::{Adapter, Bus, ClientId, Options, Refusal, Room, ServerName, ServiceName, Started};
//!
//! /// What a ws-node forwards; with all its fields: `Forwarded` in wsmesh-protocol.
//! #[derive(Deserialize)]
//! struct Forwarded {
//!     client: ClientId,
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
//!     bidder: ClientId,
//!     amount: u32,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut options = Options::new(ServerName::new("auction-0")?, ServiceName::new("auction")?);
//!     options.bus = Bus::Redis(vec!["redis://127.0.0.1:7000#redis-0".parse()?]);
//!     let Started { adapter, driver, .. } = Adapter::start(options)?;
//!     let (bidders, room) = (adapter.clone(), Room::new("auction", "7")?);
//!     adapter.on_request("placeBid", move |event| {
//!         let (bidders, room) = (bidders.clone(), room.clone());
//!         async move {
//!             let bid: Forwarded = event.payload.parse().map_err(|_| Refusal::new("BAD_PAYLOAD", "send an amount"))?;
//!             if bid.payload.amount == 0 {
//!                 return Err(Refusal::new("NOT_ALLOWED", "bid more than nothing"));
//!             }
//!             if let Err(error) = bidders.push_to_room(&room, "price", &bid.payload.amount).await {
//!                 eprintln!("the other bidders were not told: {error}");
//!             }
//!             // This is the client's reply; a refusal reaches it as {"error": TEXT, "errorCode": CODE}.
//!             Ok(Accepted { bidder: bid.client, amount: bid.payload.amount })
//!         }
//!     });
//!     adapter.ready().await;
//!     tokio::signal::ctrl_c().await?;
//!     driver.shutdown(std::time::Duration::from_secs(5)).await;
//!     Ok(())
//! }
//! ```
//!
//! This crate never speaks WebSocket, HTTP or to Kubernetes. Map: `wire` (what travels), `local` (this server's clients),
//! `cluster` (the other servers) and `nodes` (the Redis nodes) do not know each other, except that all know `wire`. `flow` (the
//! way of a message) joins them, `life` (driver, clock, membership, topology) keeps a server running, `api` is what is public.

mod api;
mod cluster;
mod counters;
mod error;
pub mod exemplars;
mod flow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod life;
mod local;
mod metrics;
mod nodes;
mod options;
mod refusals;
mod reports;
mod settings;
mod trace;
mod wire;

pub use api::adapter::{Adapter, Started};
pub use api::attachment::{Attachment, Detached};
pub use api::channels::ChannelListener;
pub use api::clients::{Presence, RoomOptions, Scope};
pub use api::events::Listener;
pub use api::gather::Gathered;
pub use api::preflight::preflight_alone;
pub use api::reach::{Located, Reach};
pub use api::visits::NameConflict;
pub use cluster::{ListenerId, MAX_KEY_BYTES, Outcome, Replies, Reply};
pub use counters::{Counters, LAG_BUCKETS};
pub use error::{
    CallError, ChannelError, ClientError, ClientOrderError, ClientRequestError, DriverError, PublishError,
    RequestError, StartError, TargetError, TopologyError,
};
pub use flow::ask::request_options::RequestOptions;
pub use flow::ask::target::{Pick, Target};
pub use flow::inward::event::{ChannelMessage, ServerEvent};
pub use flow::inward::queries::{ClientPart, ClientsPart, OnlineClient, RoomPart, RoomsPart, StatsPart};
pub use flow::state::lapse::{Lapse, LapseReason};
pub use flow::state::server_info::ServerInfo;
pub use life::driver::Driver;
pub use life::node_view::{NodeAtServer, NodeState, NodeView};
pub use life::preflights::{FactsOfNode, PreflightFailure, Preflights};
pub use local::{
    Class, ClientObserver, Closing, Command, ConnectionId, DataError, Delivery, DeliveryRule, Dismissal, FrameReader,
    Full, Introduction, LiveContext, LostServer, MAX_DATA_BYTES, MAX_DATA_DEPTH, NamespaceCount, ObservedConnection,
    Outbox, OutboxLimits, PendingRequest, Policy, Pushed, Recipients, RoomMembers, RoomMessages, Shard, ShardInbox,
    Shared, Spared, TopRooms,
};
pub use metrics::METRIC_NAMES;
pub use nodes::{
    Check, CheckKind, CheckResult, Fault, LinkFault, MemoryBus, NodeFacts, NodeStatus, NodeUrl, NodeUrlError,
    OutputBuffer, PasswordFile, Preflight, SlowCommand, Strategy,
};
pub use options::{Bus, FirstNodes, FoundNodes, Options};
pub use reports::{Report, Reports};
pub use settings::Difference;
pub use trace::{failed, of_request, recorded, remote_context, shown_code, traceparent};
pub use wire::{
    ClientContext, ClientId, ClusterId, Encoding, Frame, Instance, MAX_NAME_BYTES, Missing, NameError, Namespace,
    NodeId, Payload, PayloadError, Refusal, Room, RoomId, Routing, ServerName, ServiceName, Topic,
};

/// The README's examples, compiled by its tests only: builds of images do not have the file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
