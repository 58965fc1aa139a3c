//! What a service is, seen from its `main`.

use std::future::Future;

use clap::{ArgMatches, Command};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{CommonConfig, Problems};
use crate::settings::Settings;

/// The listeners of a service, bound before it runs, so that a taken port ends the start and tests can use port 0.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For the public: `--listen`.
    pub public: Option<TcpListener>,
    /// For probes and metrics: `--ops-listen`.
    pub ops: Option<TcpListener>,
}

/// One kind of server, as [`main`](crate::main()) starts it. The crate's documentation has an example.
pub trait Service: 'static {
    /// Its name on the bus, on the command line and in traces: `ws-node`.
    const NAME: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// Where a common setting has another default for this service: `&[("listen", "0.0.0.0:9000")]`.
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[];
    /// Its own settings, beside the common ones. [`NoSettings`](crate::NoSettings) if there are none.
    type Settings: Settings;
    /// What it runs on, checked.
    type Config: Send + 'static;

    /// Makes one checked value of all settings, or says what is wrong with them. Where a single setting could not be read,
    /// its default stands in, so that everything else that is wrong is found in the same run; a complaint about such a
    /// setting is dropped. `None` only together with a problem.
    fn config(common: CommonConfig, settings: Self::Settings, problems: &mut Problems) -> Option<Self::Config>;

    /// Runs until `shutdown` is cancelled, then ends in order within the grace period. Touches nothing global.
    fn run(
        config: Self::Config,
        sockets: Sockets,
        shutdown: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Subcommands of its own, beside `healthcheck`.
    fn subcommands() -> Vec<Command> {
        Vec::new()
    }

    /// Runs one of [`Service::subcommands`] in place of the service. No runtime, no logs.
    ///
    /// # Errors
    /// Shown on stderr; the process ends with 1.
    fn subcommand(name: &str, arguments: &ArgMatches, config: Self::Config) -> anyhow::Result<()> {
        let _ = (arguments, config);
        anyhow::bail!("{name} is declared but not implemented")
    }
}
