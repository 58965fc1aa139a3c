//! The whole bundle in one process, on the embedded bus: two ws-nodes, two game-logic, one admin, in the demo profile.
//! For trying it and for tests; a cluster runs the same services as processes of their own, over Redis.
//!
//! `settings` (where to listen), `ports` (which port is whose), `bundle` (start, readiness, end in order).

mod bundle;
mod ports;
mod settings;

use tokio_util::sync::CancellationToken;
use wsmesh_bootstrap::{CommonConfig, Problems, Service, Sockets, print};

pub use bundle::{Bundle, Running};
pub use ports::{Kind, Place, places};
pub use settings::{Config, Host, StandaloneSettings};

/// The bundle as its binary starts it.
#[derive(Debug)]
pub struct Standalone;

impl Service for Standalone {
    const NAME: &'static str = "wsmesh-standalone";
    const ABOUT: &'static str =
        "The whole of wsmesh in one process, without Redis: two ws-nodes, two game-logic, admin";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[
        ("listen", "none"),
        ("ops_listen", "none"),
        ("profile", "demo"),
        ("shutdown_grace", "5s"),
        ("log_level", "warn"),
    ];
    type Settings = StandaloneSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: StandaloneSettings, problems: &mut Problems) -> Option<Config> {
        Config::new(common, settings, problems)
    }

    async fn run(config: Config, _: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut bundle = tokio::select! {
            bundle = Bundle::start(&config) => bundle?,
            () = shutdown.cancelled() => return Ok(()),
        };
        // The services run all the same.
        if let Err(error) = print(format_args!("{}\n", bundle.welcome())) {
            tracing::warn!(%error, "the addresses of the services cannot be printed");
        }
        tokio::select! {
            error = bundle.failed() => {
                bundle.end_after_failure().await;
                Err(error)
            }
            () = shutdown.cancelled() => bundle.end().await,
        }
    }
}
