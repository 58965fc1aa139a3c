//! The whole bundle in one process, on the embedded bus: two ws-nodes, two game-logic, one admin, in the demo profile.
//! For trying it and for tests; a cluster runs the same services as processes of their own, over Redis.
//!
//! `settings` and `config` (where to listen), `service` (the process), `ports` (the ports of each service), `bundle` (start,
//! readiness, shutdown in the right order).

mod bundle;
mod config;
mod ports;
mod service;
mod settings;

pub use bundle::{Bundle, Running};
pub use config::Config;
pub use ports::{Kind, Place, places};
pub use service::Standalone;
pub use settings::StandaloneSettings;
