//! The base of every service: configuration, telemetry, probes, signals.
//!
//! A service declares its settings with [`settings!`], implements [`Service`], and calls [`main`] in its `main.rs`.
//! Only [`main`] touches what is global (TLS provider, logs, traces, signals), once. [`Service::run`] touches none of it, so
//! tests and `standalone` can run several services in one process.
//!
//! ```
//! use std::time::Duration;
//!
//! use serde::Deserialize;
//! use tokio_util::sync::CancellationToken;
//! use wsmesh_bootstrap::{CommonConfig, Problems, SecretFile, Service, Sockets, Tables, settings};
//!
//! settings! {
//!     /// Settings of the greeter.
//!     pub struct GreeterSettings {
//!         /// Most greetings at the same time.
//!         pub max_greetings: usize = 1_000, // --max-greetings, WSMESH_MAX_GREETINGS, max_greetings = 1000
//!         /// How long a greeting may take.
//!         pub greeting_timeout: Duration = Duration::from_secs(2),
//!         /// Nicknames that are not greeted; several.
//!         pub refused: Vec<String>,
//!         /// File with the token that callers must send.
//!         pub token_file: Option<SecretFile>,
//!         /// Rules, in the file only: `[[rules]]`.
//!         pub rules: Tables<Rule>,
//!     }
//! }
//!
//! /// One `[[rules]]` table of the file. Keys that it does not know are reported.
//! #[derive(Debug, Clone, Deserialize)]
//! pub struct Rule {
//!     pub event: String,
//!     pub service: String,
//! }
//!
//! /// The checked configuration of the greeter.
//! pub struct Config {
//!     pub common: CommonConfig,
//!     pub settings: GreeterSettings,
//! }
//!
//! struct Greeter;
//!
//! impl Service for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const ABOUT: &'static str = "Greets everyone who connects.";
//!     const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9200")];
//!     type Settings = GreeterSettings;
//!     type Config = Config;
//!
//!     fn config(common: CommonConfig, settings: GreeterSettings, problems: &mut Problems) -> Option<Config> {
//!         if !common.profile.is_demo() && settings.token_file.is_none() {
//!             problems.about("token_file", "profile production needs a token: name the file that holds it");
//!         }
//!         Some(Config { common, settings })
//!     }
//!
//!     async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
//!         let _ = (config, sockets);
//!         shutdown.cancelled().await;
//!         Ok(())
//!     }
//! }
//!
//! // main.rs: fn main() -> std::process::ExitCode { wsmesh_bootstrap::main::<Greeter>() }
//!
//! // In tests, without files or environment:
//! let config = Config { common: CommonConfig::new("greeter-0"), settings: GreeterSettings::default() };
//! assert_eq!(config.settings.max_greetings, 1_000);
//!
//! // In tests of the settings themselves:
//! let config = wsmesh_bootstrap::load::<Greeter>(["--max-greetings", "5"], [("WSMESH_PROFILE", "demo")]);
//! assert_eq!(config.expect("valid").settings.max_greetings, 5);
//! ```

mod config;
pub mod debug;
pub mod document;
mod exposition;
mod first_nodes;
mod healthcheck;
pub mod http;
mod listen;
mod live;
mod log_level;
mod metric_names;
mod open_files;
pub mod ops;
mod print;
pub mod probe;
mod process_metrics;
mod runtimes;
mod service;
mod settings;
mod start;
mod telemetry;
mod tls;

/// Routes of a port, as [`debug::routes`] and [`ops::router`](ops::router()) make them.
pub use axum::Router;
pub use config::{CommonConfig, LogConfig, LogFormat, LogLevel, Profile, configure, load};
pub use live::{Live, REREAD};
pub use log_level::{
    CONFIGURED_LOG_LEVEL, LOG_LEVEL, LOG_LEVEL_TIME, LONGEST_LOG_LEVEL_TIME, LogLevelNow, LogLevelOrder,
    MAX_LOG_LEVEL_CHARS, SHORTEST_LOG_LEVEL_TIME, answer_log_level, log_level,
};
pub use metric_names::METRIC_NAMES;
pub use ops::Ops;
pub use print::print;
pub use runtimes::{MeasuredRuntime, RuntimeKind, measure_runtime};
pub use service::{Service, Sockets};
pub use settings::{
    Bounded, Bounds, Check, Each, Field, HttpUrl, LONGEST_DURATION, MaxBytes, NoSettings, Problems, Raw, RedisService,
    SHORTEST_LIMIT, Secret, SecretFile, Setting, Settings, Shape, Shown, Table, Tables, Text, Value, Values, Verdict,
    at_least, at_most, each, max_bytes, text, within,
};
pub use start::main;
pub use tls::TlsFiles;
/// What accepts TLS connections, made of [`TlsFiles`].
pub use tokio_rustls::TlsAcceptor;

/// For benchmarks.
#[doc(hidden)]
pub use telemetry::{begins_trace, traced};

/// For the macros.
#[doc(hidden)]
pub use settings::not_a_choice;
/// For the macros.
#[doc(hidden)]
pub use toml;

/// Version of the workspace, and of every binary in it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit that the binary was built from: `WSMESH_REVISION` at build time, else `unknown`.
pub const REVISION: &str = match option_env!("WSMESH_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
