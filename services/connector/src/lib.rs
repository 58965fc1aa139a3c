//! Client SDK: events, requests, heartbeat and reconnecting over one WebSocket to a ws-node.
//!
//! [`Connector::new`] gives a [`Client`], a handle that is cheap to clone, and a [`Task`] that does the work and that the
//! caller owns: nothing runs unless it is polled, and nothing is spawned. One process can hold thousands of clients: each takes
//! about 16 KiB without TLS (measured with 3,000 by the example `many`).
//!
//! ```no_run
//! use serde_json::json;
//! use wsmesh_connector::{Connector, Options};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, task) = Connector::new(Options::new("ws://127.0.0.1:9000/").param("id", "888"))?;
//! let mut says = client.on("say");
//! let task = tokio::spawn(task.run());
//!
//! client.opened().await?;
//! client.join_room("1000").await?;
//! let reply = client.request("echo", &json!({"n": 1})).await?;
//! println!("{reply}");
//! while let Some(say) = says.recv().await {
//!     println!("{}", say.payload);
//! }
//! client.close().await;
//! drop(client);
//! task.await?;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod client;
mod error;
mod inbound;
mod listeners;
mod options;
#[cfg(feature = "opentelemetry")]
mod otel;
mod payload;
mod refusal;
mod rejoin;
mod request;
mod rooms;
mod servers;
mod session;
mod shared;
mod socket;
mod state;
mod task;
mod token;
mod traces;

pub use client::{Client, Connector};
pub use error::{ConnectionError, EmitError, OptionsError, RefreshError, RequestError};
pub use listeners::{Event, Listener, ServerRequest};
pub use options::{AutoReconnect, Options};
#[cfg(feature = "opentelemetry")]
pub use otel::OpenTelemetry;
pub use payload::Payload;
pub use request::Request;
pub use rooms::{Room, RoomId};
pub use state::{End, Lifecycle, State};
pub use task::Task;
pub use token::TokenIn;
pub use traces::{Trace, Traces};

/// The README's examples, compiled only by tests: image builds do not have the file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
