//! An admin as a process: the adapter, the ops port, the Kubernetes watch and the API, and their shutdown in the right order.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgMatches, Command};
use futures_util::{Stream, stream};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Adapter, Bus, Driver, Started};
use wsmesh_bootstrap::http::{self, Front, Limits};
use wsmesh_bootstrap::{CommonConfig, Problems, Router, Service, Sockets, debug, ops, print};

use crate::access::{self, Access, AccessMetrics, TOKEN};
use crate::api::{self, Api, Seats};
use crate::audit::{Audit, Record};
use crate::config::Config;
use crate::doctor::{self, DOCTOR};
use crate::idempotency::Keys;
use crate::jobs::{JOB_LIMIT, Job, Jobs};
use crate::kubernetes::{self, DeletionCosts, Parts};
use crate::leading::Leading;
use crate::metrics::{HttpMetrics, JobMetrics, show_nodes, show_work};
use crate::probes;
use crate::settings::AdminSettings;
use crate::statistics::Statistics;
use crate::top::{self, TOP};
use crate::watching::Watching;

/// Most connections at once; more wait in the listener's backlog. More than requests may run at once, so that what is too much is
/// answered; streams take half of them at most.
const MAX_CONNECTIONS: usize = 1024;
/// How long a request may take in addition to waiting for other servers, above all to send its body.
const BODY_TIME: Duration = Duration::from_secs(5);

/// The admin as its binary starts it.
#[derive(Debug)]
pub struct Admin;

impl Service for Admin {
    const NAME: &'static str = "admin";
    const ABOUT: &'static str =
        "HTTP API that shows the whole wsmesh cluster, changes its Redis nodes and sends messages to its clients";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9100")];
    type Settings = AdminSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: AdminSettings, problems: &mut Problems) -> Option<Config> {
        Config::check(common, settings, problems)
    }

    async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        run(config, sockets, shutdown).await
    }

    fn subcommands() -> Vec<Command> {
        vec![doctor::command()]
    }

    fn subcommand(name: &str, arguments: &ArgMatches, config: Config) -> anyhow::Result<ExitCode> {
        match name {
            DOCTOR => doctor::run(arguments, &config),
            _ => anyhow::bail!("{name} is declared but not implemented"),
        }
    }

    fn tools() -> Vec<Command> {
        vec![top::command(), access::command()]
    }

    fn tool(name: &str, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
        match name {
            TOP => top::run(arguments),
            TOKEN => {
                print(format_args!("{}", access::mint(arguments)?))?;
                Ok(ExitCode::SUCCESS)
            }
            _ => anyhow::bail!("{name} is declared but not implemented"),
        }
    }
}

/// Runs an admin until `shutdown`. Then it reports "not ready", accepts no new connections, finishes running requests and says
/// goodbye on the bus.
///
/// # Errors
/// If it cannot start, or cannot go on because another server has its name.
pub async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
    let public = sockets
        .public
        .context("admin needs a public listener for its API: give --listen")?;
    let registry = Registry::new();
    let metrics = HttpMetrics::new(&registry)?;
    let job_metrics = JobMetrics::new(&registry)?;
    let access = access(&config.settings, &registry)?;
    let costs = deletion_costs(&config)?;
    let options = config.common.adapter_options(Admin::NAME, registry.clone());
    let Started {
        adapter, mut driver, ..
    } = Adapter::start(options)?;
    wsmesh_bootstrap::answer_log_level(&adapter);

    let ended = CancellationToken::new();
    let stop = shutdown.child_token();
    let watching = Watching::new(adapter.clone(), &registry, stop.clone())?;
    let probes = probes::router(adapter.clone(), access.clone(), registry.clone(), shutdown.clone());
    let ops = serve_ops(sockets.ops, &config.common, probes, &ended)?;
    let redis = config.common.redis_service.as_ref();
    let me = adapter.clone();
    let hears = move || me.is_ready();
    let mut kubernetes = Parts::start(&config.settings, redis, adapter.name().as_str(), hears, &ended)?;
    let jobs = Jobs::new(adapter.clone(), JOB_LIMIT, config.common.replay_window).closing_with(stop.clone());
    let mut leading = Leading::start(&adapter, &jobs, &mut kubernetes, &stop);
    let statistics = Statistics::new(adapter.clone(), leading.outside(&kubernetes), stop.clone());
    leading.tell_costs(costs, &statistics, &kubernetes);
    show(&config.settings, &registry, &statistics, &kubernetes, &jobs)?;
    let audit = Audit::new(adapter.name().clone());
    audit.answer(&adapter);
    let api = Api {
        adapter,
        jobs,
        scaler: leading.scaler.clone(),
        seats: seats(&config, &access),
        access,
        audit,
        keys: Keys::default(),
        time_limit: config.common.request_timeout + BODY_TIME,
        statistics,
        watching: watching.clone(),
    };
    let leading = tokio::spawn(leading.end());
    let keeping = tokio::spawn(watching.clone().run());
    let own = tasks(&api, job_metrics, &ended);
    let keys = api.keys.clone();
    let goodbye = config.common.shutdown_grace / 2;
    tell_start(&config, &public);
    let served = serve_until_the_end(api, metrics, public, &mut driver, &config, stop.clone()).await;

    // However serving ended: whoever leads stops now, and another admin leads while this one says goodbye.
    stop.cancel();
    keys.end().await;
    watching.end();
    let kept = all([keeping]).await;
    driver.shutdown(goodbye).await;
    ended.cancel();
    let led = leading.await?;
    let rest = all(own.into_iter().chain(ops)).await;
    served.and(kept).and(led).and(rest).and(kubernetes.end().await)
}

/// Registers the metrics of what is so at the moment.
fn show(
    settings: &AdminSettings,
    registry: &Registry,
    statistics: &Statistics,
    kubernetes: &Parts,
    jobs: &Jobs,
) -> anyhow::Result<()> {
    let has_lease = settings.kubernetes_lease.is_some();
    let leadership = has_lease.then(|| kubernetes.leadership.clone());
    show_nodes(registry, statistics.known_nodes())?;
    show_work(registry, leadership, jobs.running())?;
    Ok(())
}

/// Starts what runs beside the API, until `ended`.
fn tasks(api: &Api, metrics: JobMetrics, ended: &CancellationToken) -> Vec<JoinHandle<()>> {
    let Api {
        jobs,
        statistics,
        audit,
        access,
        ..
    } = api;
    let news = statistics.clone().tell_all("audit", records(audit.subscribe()));
    vec![
        tokio::spawn(jobs.clone().run(ended.clone())),
        tokio::spawn(statistics.clone().run(ended.clone())),
        tokio::spawn(tell_jobs(jobs.clone(), statistics.clone(), metrics)),
        tokio::spawn(access.clone().run(ended.clone())),
        tokio::spawn(audit.clone().run(ended.clone())),
        tokio::spawn(until(ended.clone(), news)),
    ]
}

/// Streams that callers may follow at once.
fn seats(config: &Config, access: &Access) -> Seats {
    let seats = Seats::of_connections(connections(config));
    match access.is_open() {
        true => seats.shared(),
        false => seats,
    }
}

/// Does this until `ended`.
async fn until(ended: CancellationToken, doing: impl Future<Output = ()>) {
    ended.run_until_cancelled(doing).await;
}

/// Waits for all of them.
///
/// # Errors
/// When one panicked.
async fn all(tasks: impl IntoIterator<Item = JoinHandle<()>>) -> anyhow::Result<()> {
    let mut result = Ok(());
    for task in tasks {
        let ended = task.await.map_err(anyhow::Error::from);
        result = result.and(ended);
    }
    result
}

/// What tells Kubernetes what it costs to end a pod, if the settings say so.
fn deletion_costs(config: &Config) -> anyhow::Result<Option<DeletionCosts>> {
    if !config.settings.pod_deletion_cost || !kubernetes::is_here() {
        return Ok(None);
    }
    let client = kubernetes::client().context("the Kubernetes API cannot be used with this pod's service account")?;
    Ok(Some(DeletionCosts::new(client)))
}

/// How many connections this process may have at once.
fn connections(config: &Config) -> usize {
    MAX_CONNECTIONS.min(config.common.open_files / 4)
}

/// Everyone who watches the cluster is told each change of a job, and its end is counted.
async fn tell_jobs(jobs: Jobs, statistics: Statistics, metrics: JobMetrics) {
    let changed = |job: &Job| {
        metrics.changed(job);
        statistics.tell("job", job);
    };
    jobs.tell(changed).await;
}

/// New records of the audit. Those that came too fast are in the list of all.
fn records(news: broadcast::Receiver<Record>) -> impl Stream<Item = Record> + Send {
    stream::unfold(news, async |mut news| {
        loop {
            match news.recv().await {
                Ok(record) => return Some((record, news)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// Ends at `stop`, or with the reason why the server cannot go on.
async fn serve_until_the_end(
    api: Api,
    metrics: HttpMetrics,
    public: TcpListener,
    driver: &mut Driver,
    config: &Config,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let limits = Limits {
        // The API's own limit is reached first: its answer has the form of the API's errors.
        answer_timeout: 2 * api::longest(api.time_limit),
        // Half of the grace period is left for the goodbye.
        grace: api.time_limit.min(config.common.shutdown_grace / 2),
        ..Limits::keep_alive(connections(config))
    };
    let router = api::router(api, metrics, config.settings.path_prefix.as_deref());
    let front = Front::new(router, limits).tls(config.common.public_acceptor()?);
    let serving = http::serve(public, front, stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => Ok(()),
        error = driver.failed() => {
            stop.cancel();
            serving.await;
            Err(error.into())
        }
    }
}

fn access(settings: &AdminSettings, registry: &Registry) -> anyhow::Result<Access> {
    let kubernetes = match settings.access.kubernetes_token_review {
        true if kubernetes::is_here() => {
            let client = kubernetes::client();
            Some(client.context("the Kubernetes API cannot be used with this pod's service account")?)
        }
        true => {
            tracing::warn!("not in Kubernetes (no service account): tokens of its users are not accepted");
            None
        }
        false => None,
    };
    let (token, metrics) = (settings.token_file.as_ref(), AccessMetrics::new(registry)?);
    Access::start(token, &settings.access, kubernetes, metrics).map_err(anyhow::Error::msg)
}

/// Serves the ops port, if there is one.
fn serve_ops(
    listener: Option<TcpListener>,
    common: &CommonConfig,
    probes: Router,
    ended: &CancellationToken,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let (tls, debug) = (common.ops_acceptor()?, debug::routes(common)?);
    Ok(listener.map(|listener| tokio::spawn(ops::serve_router([listener], tls, probes.merge(debug), ended.clone()))))
}

fn tell_start(config: &Config, public: &TcpListener) {
    let address = public
        .local_addr()
        .map_or_else(|error| error.to_string(), |address| address.to_string());
    tracing::info!(name = %config.common.name, %address, "admin serves its API");
    if matches!(config.common.bus, Bus::Alone) {
        tracing::warn!("no Redis node is configured (--redis): this admin runs alone and sees no other server");
    }
    if config.settings.needs_no_token() {
        tracing::warn!(
            "DEMO: the API needs no token; everyone who reaches its port can read everything, send to every client and change the \
             Redis nodes"
        );
    }
}
