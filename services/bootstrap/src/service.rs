//! A service, as its `main` sees it.

use std::future::Future;
use std::process::ExitCode;

use clap::{ArgMatches, Command};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::CommonConfig;
use crate::settings::{Problems, Settings};

/// The listeners of a service. They are bound before it runs, so that a port in use ends the start and tests can use port 0.
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
    /// Common settings with another default in this service: `&[("listen", "0.0.0.0:9000")]`.
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[];
    /// Whether it serves `/debug` and the other ops routes on other ports than `--ops-listen`, as the bundle does for its servers. Then
    /// `--debug-token-file` is of use without that one, too; elsewhere this is refused, as the token would open nothing.
    const SERVES_OPS_ELSEWHERE: bool = false;
    /// Its own settings, in addition to the common ones. [`NoSettings`](crate::NoSettings) if there are none.
    type Settings: Settings;
    /// Its configuration, checked.
    type Config: Send + 'static;

    /// Makes one value of all settings, and checks what no single setting can know: the declared checks of both structs have
    /// run already. A setting that could not be read has its default here, so that all other problems are found in the same
    /// run; problems about such a setting are dropped. `None` only together with a problem.
    fn config(common: CommonConfig, settings: Self::Settings, problems: &mut Problems) -> Option<Self::Config>;

    /// Runs until `shutdown` is cancelled, then shuts down gracefully within the grace period. Touches nothing global.
    fn run(
        config: Self::Config,
        sockets: Sockets,
        shutdown: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Its own subcommands, in addition to `healthcheck`. They take all settings of the service.
    fn subcommands() -> Vec<Command> {
        Vec::new()
    }

    /// Runs one of [`Service::subcommands`] instead of the service, without a runtime and without logs.
    ///
    /// # Errors
    /// Printed to stderr; the process exits with 1.
    fn subcommand(name: &str, arguments: &ArgMatches, config: Self::Config) -> anyhow::Result<ExitCode> {
        let _ = (arguments, config);
        anyhow::bail!("{name} is declared but not implemented")
    }

    /// Its tools: subcommands that take no settings, because they need no server of this kind. Each is written first on the
    /// command line. An argument with the id of a setting takes the place of that setting's flag.
    fn tools() -> Vec<Command> {
        Vec::new()
    }

    /// Runs one of [`Service::tools`], without a runtime and without logs.
    ///
    /// # Errors
    /// Printed to stderr; the process exits with 1.
    fn tool(name: &str, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
        let _ = arguments;
        anyhow::bail!("{name} is declared but not implemented")
    }
}
