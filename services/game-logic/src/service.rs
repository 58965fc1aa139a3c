//! This service as a process: settings, probes, and the adapter around [`GameLogic`].

use std::time::Duration;

use anyhow::Context;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Adapter, Started};
use wsmesh_bootstrap::{CommonConfig, Ops, Problems, Router, Sockets, TlsAcceptor, debug, ops};
use wsmesh_protocol::report::LOAD;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::rules::collect::Collect;
use crate::rules::game::Game;
use crate::settings::Settings;
use crate::shell::GameLogic;

/// The part of the grace period that is left for the adapter and the probes.
const MARGIN: Duration = Duration::from_secs(5);

/// The service `game-logic`, as `main` starts it.
#[derive(Debug)]
pub struct Service;

impl wsmesh_bootstrap::Service for Service {
    const NAME: &'static str = "game-logic";
    const ABOUT: &'static str = "Matches players and runs their games.";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("worker_threads", "1")];
    type Settings = Settings;
    type Config = Config;

    fn config(common: CommonConfig, settings: Settings, problems: &mut Problems) -> Option<Config> {
        Config::check(common, settings, problems)
    }

    async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        run(config, sockets, shutdown).await
    }
}

/// Runs this service with the demo game until `shutdown`.
///
/// # Errors
/// When the adapter cannot start, or another server has this one's name.
pub async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
    run_game::<Collect>(config, sockets, shutdown).await
}

/// As [`run`], with another game.
///
/// # Errors
/// As [`run`].
pub async fn run_game<G: Game>(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Config { common, settings } = config;
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).context("the metrics could not be registered")?;
    let name = <Service as wsmesh_bootstrap::Service>::NAME;
    let Started {
        adapter, mut driver, ..
    } = Adapter::start(common.adapter_options(name, registry.clone()))?;
    wsmesh_bootstrap::answer_log_level(&adapter);
    let game = GameLogic::start::<G>(adapter.clone(), settings, metrics);
    let load = game.load();
    adapter.add_report(LOAD, move || serde_json::json!(load()));

    // Probes are answered until the very end.
    let ended = CancellationToken::new();
    let mut probes = JoinSet::new();
    let places = [
        (sockets.ops, common.ops_acceptor()?, debug::routes(&common)?),
        (sockets.public, common.public_acceptor()?, Router::new()),
    ];
    for (listener, tls, debug) in places {
        let Some(listener) = listener else { continue };
        probes.spawn(serve_ops(
            (listener, tls, debug),
            &adapter,
            &game,
            &registry,
            &shutdown,
            ended.clone(),
        ));
    }

    let stop = CancellationToken::new();
    let goodbye = MARGIN.min(common.shutdown_grace / 2);
    let running = game.run(stop.clone(), common.shutdown_grace - goodbye);
    // Other servers stop sending players here before this server stops accepting them.
    let retiring = async {
        shutdown.cancelled().await;
        adapter.retire().await;
        stop.cancel();
    };
    tokio::pin!(running, retiring);
    let failed = tokio::select! {
        () = &mut running => None,
        () = &mut retiring => {
            running.await;
            None
        }
        failed = driver.failed() => {
            stop.cancel();
            running.await;
            Some(failed)
        }
    };
    driver.shutdown(goodbye).await;
    ended.cancel();
    while let Some(served) = probes.join_next().await {
        served.context("the ops routes ended unexpectedly")?;
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn serve_ops(
    (listener, tls, debug): (TcpListener, Option<TlsAcceptor>, Router),
    adapter: &Adapter,
    game: &GameLogic,
    registry: &Registry,
    shutdown: &CancellationToken,
    ended: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let ops = Ops {
        registry: registry.clone(),
        ready: Box::new(ops::readiness(adapter.clone(), shutdown.clone())),
        stats: Box::new(game.stats()),
    };
    ops::serve_router([listener], tls, ops::router(ops).merge(debug), ended)
}
