//! The WebSocket edge of wsmesh: clients connect here, on any path, and talk to each other and to services over the mesh.
//!
//! The way of a frame: `engine` (a thread per shard that owns its connections) → `session` (what the frame means) →
//! `events` (who handles it) → the adapter. `http` is the way in, `logins` says who may stay, `edge` what everything shares, `node` puts it together.
//! Clients' frames are never stored, and nothing a client sends can end this process.

mod config;
mod edge;
mod engine;
mod events;
mod http;
mod logins;
mod metrics;
mod node;
mod run;
mod session;
mod settings;
mod trace;

pub use config::{Config, NodeSettings};
pub use events::{PickBy, ReplyBy, Rule};
pub use http::auth::mint_token;
pub use logins::LoginPolicy;
pub use node::WsNode;
pub use run::{WsNodeService, run};
pub use settings::EdgeSettings;
