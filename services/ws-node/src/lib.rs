//! The WebSocket edge of wsmesh: clients connect here, on any path, and talk to each other and to services over the mesh.
//!
//! The way of a frame: `engine` (a thread per shard that owns its connections) → `session` (what the frame means) → `events`
//! (handles it, as `routes` says) → the adapter. A client comes in through `http`; `auth` decides who it is, `logins` whether it
//! may stay, `limits` how much it may do, and `gate` gives it to a shard. `handlers` are functions of the program, `namespaces`
//! say what clients may publish. `edge` is what everything shares, `client` what is kept for a connection, and `node` (with its
//! `builder`) puts it all together; `orders` and `balance` send clients away. `selftest` is a client of its own: a subcommand.
//! Clients' frames are never stored, and nothing that a client sends can end this process.

mod auth;
mod backends;
mod balance;
mod builder;
mod client;
mod config;
mod connect;
mod edge;
mod engine;
mod event_metrics;
mod events;
mod gate;
mod handlers;
mod http;
mod lifecycle;
mod limits;
mod logins;
mod metrics;
mod namespaces;
mod node;
mod orders;
mod quiet;
mod routes;
mod seldom;
mod selftest;
mod service;
mod session;
mod settings;
mod striped;
mod trace;
mod watching;
mod wills;

/// What fuzzers call. Not part of the interface.
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::engine::fuzzing::client_frames;
    pub use crate::http::fuzzing::credentials;
}
pub use auth::{AuthSettings, mint_token};
pub use builder::WsNodeBuilder;
pub use config::Config;
pub use connect::{Connect, ConnectHook, HookMode};
pub use handlers::{
    Client, ClientFault, Closed, ClosedBy, HandlerError, HandlerId, Handlers, Handling, IntoReply, RawMessage,
};
pub use lifecycle::{Watch, WatchEvent};
pub use limits::Limits;
pub use logins::LoginPolicy;
pub use metrics::METRIC_NAMES;
pub use namespaces::NamespaceSettings;
pub use node::WsNode;
pub use routes::{PickBy, ReplyBy, Rule};
pub use service::{WsNodeService, run};
pub use settings::{EdgeSettings, Label, PublicUrl, TracesUrl};
/// What a handler answers a client with when it does not do what was asked.
pub use wsmesh_adapter::Refusal;
pub use wsmesh_bootstrap::TlsFiles;
