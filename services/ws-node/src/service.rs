//! A ws-node as a process: serves the public and the ops port until it is told to stop, then shuts down gracefully.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use wsmesh_bootstrap::{CommonConfig, Ops, Problems, Service, Sockets, Value, debug, ops, print};

use wsmesh_protocol::report::PROCESS;

use crate::config::Config;
use crate::node::WsNode;
use crate::selftest;
use crate::settings::EdgeSettings;

/// The `ws-node` binary, for [`wsmesh_bootstrap::main`].
#[derive(Debug)]
pub struct WsNodeService;

impl Service for WsNodeService {
    const NAME: &'static str = "ws-node";
    const ABOUT: &'static str = "The WebSocket edge of wsmesh: clients connect here, on any path.";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9000")];
    type Settings = EdgeSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: EdgeSettings, problems: &mut Problems) -> Option<Config> {
        Config::check(common, settings, problems)
    }

    async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        run(config, sockets, shutdown).await
    }

    fn subcommands() -> Vec<Command> {
        vec![token_command(), selftest::command()]
    }

    fn subcommand(name: &str, arguments: &ArgMatches, config: Config) -> anyhow::Result<ExitCode> {
        match name {
            selftest::SELFTEST => selftest::run(arguments, &config),
            _ => print_token(arguments, &config),
        }
    }
}

fn token_command() -> Command {
    let id = Arg::new("id")
        .long("id")
        .value_name("ID")
        .required(true)
        .help("The client id that the token is for");
    let ttl = Arg::new("ttl")
        .long("ttl")
        .value_name("DURATION")
        .default_value("1h")
        .help("How long it is valid");
    let about = "Makes a token for trials, signed with the key of --jwt-key-file, and prints it to stdout";
    Command::new("token")
        .about(about)
        .arg(id)
        .arg(ttl.value_parser(<Duration as Value>::parse))
}

fn print_token(arguments: &ArgMatches, config: &Config) -> anyhow::Result<ExitCode> {
    let id = arguments.get_one::<String>("id").context("--id is needed")?;
    let ttl = arguments
        .get_one::<Duration>("ttl")
        .copied()
        .context("--ttl is needed")?;
    let token = config.settings.auth.mint(id, ttl).map_err(anyhow::Error::msg)?;
    print(format_args!("{token}\n")).map(|()| ExitCode::SUCCESS)
}

/// Serves clients on the public socket and probes on the ops socket. When `shutdown` is cancelled: not ready, stop
/// accepting, close every client with 1012, leave the bus; within the grace period.
///
/// # Errors
/// When there is no public socket, the node cannot be started, or it cannot go on; the message says what to do.
pub async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Config { common, settings } = config;
    let listener = sockets
        .public
        .context("a ws-node needs a public socket: give --listen, for example 0.0.0.0:9000")?;
    if settings.demo {
        tracing::warn!(
            "DEMO PROFILE: every client is trusted to be who it says it is and may write to everyone; not for production"
        );
    }
    let registry = Registry::new();
    let options = common.adapter_options(WsNodeService::NAME, registry.clone());
    options
        .reports
        .add(PROCESS, common.process_report(Some(settings.drain_time)));
    let mut node = WsNode::start(options, settings)?;
    wsmesh_bootstrap::answer_log_level(node.adapter());
    let ops_tls = common.ops_acceptor()?;
    let debug = debug::routes(&common)?;
    let (stop_ops, stop_public) = (CancellationToken::new(), CancellationToken::new());
    let watched = sockets.ops.map(|listener| {
        let ops = Ops {
            registry,
            ready: Box::new(node.readiness()),
            stats: Box::new(node.stats()),
        };
        let router = ops::router(ops).merge(node.backend_router()).merge(debug);
        tokio::spawn(ops::serve_router([listener], ops_tls, router, stop_ops.clone()))
    });
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, max_connections = node.max_connections(), "accepting clients");
    }
    let mut public = tokio::spawn(node.serve(listener, stop_public.clone()));
    let failure = tokio::select! {
        () = shutdown.cancelled() => None,
        error = node.failed() => Some(error),
        _ = &mut public => Some(anyhow::anyhow!("the public socket is no longer served; see the log before this")),
    };
    node.start_draining();
    stop_public.cancel();
    node.shutdown(common.shutdown_grace).await;
    // Connections whose request has not come yet are cut off.
    public.abort();
    stop_ops.cancel();
    if let Some(watched) = watched {
        watched.await.context("the ops socket's task ended badly")?;
    }
    failure.map_or(Ok(()), Err)
}
