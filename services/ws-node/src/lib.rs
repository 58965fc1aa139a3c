//! The WebSocket edge of wsmesh: clients connect here, on any path, and talk to each other and to services over the mesh.
//!
//! The way of a frame: `engine` (a thread per shard that owns its connections) → `session` (what the frame means) →
//! `events` (who handles it) → the adapter. `http` is the way in, `auth` says who may and `logins` who may stay, `edge` is what
//! everything shares, `node` puts it together; `orders` and `balance` send clients away, `limits` keeps them within bounds.
//! Clients' frames are never stored, and nothing a client sends can end this process.

mod auth;
mod balance;
mod config;
mod edge;
mod engine;
mod events;
mod http;
mod limits;
mod logins;
mod metrics;
mod node;
mod orders;
mod service;
mod session;
mod settings;
mod tls;
mod trace;
mod wills;

/// What fuzzers call. Not part of the interface.
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::auth::fuzzing::credentials;
    pub use crate::engine::fuzzing::client_frames;
}
pub use auth::{AuthSettings, mint_token};
pub use config::Config;
pub use events::{PickBy, ReplyBy, Rule};
pub use limits::Limits;
pub use logins::LoginPolicy;
pub use node::WsNode;
pub use service::{WsNodeService, run};
pub use settings::EdgeSettings;
pub use tls::TlsFiles;
