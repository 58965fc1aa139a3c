//! The bundle as a process.

use tokio_util::sync::CancellationToken;
use wsmesh_bootstrap::{CommonConfig, Problems, Service, Sockets, print};

use crate::bundle::Bundle;
use crate::config::Config;
use crate::settings::StandaloneSettings;

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
    const SERVES_OPS_ELSEWHERE: bool = true;
    type Settings = StandaloneSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: StandaloneSettings, problems: &mut Problems) -> Option<Config> {
        Config::check(common, settings, problems)
    }

    async fn run(config: Config, _: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut bundle = tokio::select! {
            bundle = Bundle::start(&config) => bundle?,
            () = shutdown.cancelled() => return Ok(()),
        };
        // A failure here does not stop the services.
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
