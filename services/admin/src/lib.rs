//! HTTP API that looks at the whole cluster, changes its Redis nodes and sends to its clients.
//!
//! Reading order: `settings`, `config`, `run`, `api` (routes and their limits), `gather` (turns what servers report into answers),
//! `jobs` (changes of the nodes, followed until they are done), `kubernetes`. Only the last jobs are stored, in memory: every
//! answer is gathered from the live servers at the moment of the request.

mod api;
mod config;
mod gather;
mod jobs;
mod kubernetes;
mod metrics;
mod problem;
mod run;
mod settings;
mod token;

use tokio_util::sync::CancellationToken;
use wsmesh_bootstrap::{CommonConfig, Problems, Service, Sockets};

pub use config::Config;
pub use metrics::{REQUEST_DURATION, REQUESTS};
pub use run::run;
pub use settings::AdminSettings;
pub use token::{MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Token, TokenError};

/// The admin as its binary starts it.
#[derive(Debug)]
pub struct Admin;

impl Service for Admin {
    const NAME: &'static str = "admin";
    const ABOUT: &'static str =
        "HTTP API that looks at the whole wsmesh cluster, changes its Redis nodes and sends to its clients";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9100")];
    type Settings = AdminSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: AdminSettings, problems: &mut Problems) -> Option<Config> {
        Config::check(common, settings, problems)
    }

    async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        run(config, sockets, shutdown).await
    }
}
