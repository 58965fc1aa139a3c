//! `main` of every service: the only code that touches the globals of the process.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::config::{self, Arguments, HEALTHCHECK, Loaded};
use crate::exposition::MetricPush;
use crate::exposition::sources::Sources;
use crate::print::{print, unless_closed};
use crate::runtimes::{RuntimeKind, measure_runtime};
use crate::service::Service;
use crate::settings::Environment;
use crate::telemetry::{Repeats, Telemetry};
use crate::{healthcheck, listen, open_files, telemetry};

/// Exit code for a wrong configuration: `EX_USAGE` of sysexits.h.
const EXIT_CONFIG: u8 = 64;

/// Longest wait for tasks that are still running when the service has ended.
const LEFTOVERS: Duration = Duration::from_millis(500);

/// Starts a service: the whole `main` of its binary. Exits with 0 after a graceful shutdown, with 64 if the configuration is
/// wrong, with 1 after a failure. stderr says what to do.
pub fn main<S: Service>() -> ExitCode {
    // Must come first: a TLS connection without a provider panics. An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    start::<S>(std::env::args_os().collect(), environment())
}

/// Names and values that are not UTF-8 cannot be settings. The code that reads a damaged value reports it.
fn environment() -> Environment {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (lossy(name), lossy(value)))
        .collect()
}

fn start<S: Service>(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    if let Some(tool) = config::tool::<S>(&arguments) {
        return run_tool::<S>(tool);
    }
    let (arguments, wrong) = match config::parse::<S>(arguments) {
        Ok(arguments) => (arguments, None),
        Err(answer) if config::is_answer(&answer) => {
            let printed = answer.print().and_then(|()| io::stdout().flush());
            return exit_code::<S>(unless_closed(printed));
        }
        Err(error) => (Arguments::default(), Some(error)),
    };
    if let Some((HEALTHCHECK, _)) = arguments.subcommand() {
        return check_health::<S>(&arguments, environment);
    }
    if let Some((name, _)) = arguments.subcommand().filter(|(name, _)| config::is_tool::<S>(name)) {
        return reject::<S>(&[format!(
            "{name} takes no settings of {0}: write {0} {name} first",
            S::NAME
        )]);
    }
    // Before the configuration is read, which limits the number of connections.
    let raised = open_files::raise();
    let loaded = match config::read::<S>(&arguments, environment, wrong) {
        Ok(loaded) => loaded,
        Err(lines) => return reject::<S>(&lines),
    };
    if arguments.print_config {
        return exit_code::<S>(print(&loaded.shown));
    }
    if let Some((name, matches)) = arguments.subcommand() {
        return code_or_error::<S>(S::subcommand(name, matches, loaded.config));
    }
    let (telemetry, metrics) = match start_telemetry(&loaded) {
        Ok(started) => started,
        Err(problem) => return reject::<S>(&[problem]),
    };
    if let Err(problem) = raised {
        warn!("{problem}");
    }
    let code = exit_code::<S>(serve::<S>(loaded, telemetry.repeats()));
    // Last, and not on a thread of the runtime, as the exporters block while they send.
    std::thread::scope(|scope| {
        scope.spawn(|| metrics.map(|metrics| metrics.stop(telemetry::FLUSH)));
        telemetry.stop();
    });
    code
}

fn start_telemetry<C>(loaded: &Loaded<C>) -> Result<(Telemetry, Option<MetricPush>), String> {
    let telemetry = telemetry::start(loaded.common.name.as_str(), &loaded.common.log, &loaded.exports)?;
    let metrics = loaded.metrics.as_ref();
    let metrics = metrics
        .map(|metrics| metrics.start(Sources::of_this_process()))
        .transpose()?;
    Ok((telemetry, metrics))
}

fn reject<S: Service>(lines: &[String]) -> ExitCode {
    let count = match lines.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let list: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    let name = S::NAME;
    let _ = write!(
        io::stderr(),
        "{name} does not start: {count} in its configuration\n{list}{name} --help lists all settings\n"
    );
    ExitCode::from(EXIT_CONFIG)
}

fn exit_code<S: Service>(result: anyhow::Result<()>) -> ExitCode {
    code_or_error::<S>(result.map(|()| ExitCode::SUCCESS))
}

fn code_or_error<S: Service>(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "{}: {error:#}", S::NAME);
        ExitCode::FAILURE
    })
}

/// Runs a tool, unless its arguments are wrong or its help was asked for.
fn run_tool<S: Service>(parsed: Result<(String, ArgMatches), clap::Error>) -> ExitCode {
    match parsed {
        Ok((name, arguments)) => code_or_error::<S>(S::tool(&name, &arguments)),
        Err(answer) => {
            let printed = answer.print().and_then(|()| io::stdout().flush());
            match unless_closed(printed) {
                Ok(()) if !config::is_answer(&answer) => ExitCode::from(EXIT_CONFIG),
                printed => exit_code::<S>(printed),
            }
        }
    }
}

fn check_health<S: Service>(arguments: &Arguments, environment: Environment) -> ExitCode {
    match config::ops_address::<S>(arguments, environment) {
        Ok((address, speaks)) => exit_code::<S>(healthcheck::ask(address, speaks).map_err(anyhow::Error::msg)),
        Err(lines) => reject::<S>(&lines),
    }
}

/// Runs the service on its own runtime.
fn serve<S: Service>(loaded: Loaded<S::Config>, repeats: Repeats) -> anyhow::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if loaded.common.worker_threads > 0 {
        builder.worker_threads(loaded.common.worker_threads);
    }
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(run::<S>(loaded, repeats));
    runtime.shutdown_timeout(LEFTOVERS);
    result
}

async fn run<S: Service>(loaded: Loaded<S::Config>, repeats: Repeats) -> anyhow::Result<()> {
    let Loaded {
        config,
        common,
        destinations,
        ..
    } = loaded;
    // Before anything else, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    let sockets = listen::bind(&common).map_err(anyhow::Error::msg)?;
    info!(
        version = crate::VERSION,
        revision = crate::REVISION,
        name = %common.name,
        listen = sockets.public.as_ref().and_then(|socket| socket.local_addr().ok()).map(tracing::field::display),
        ops_listen = sockets.ops.as_ref().and_then(|socket| socket.local_addr().ok()).map(tracing::field::display),
        open_files = common.open_files,
        "starting {}",
        S::NAME
    );
    destinations.log();
    let _keeping = telemetry::Level::of_this_process().map(|level| AbortOnDropHandle::new(tokio::spawn(level.keep())));
    let _summing = AbortOnDropHandle::new(tokio::spawn(async move { repeats.keep().await }));
    let _measured = measure_runtime(RuntimeKind::Main, &Handle::current());
    let shutdown = CancellationToken::new();
    let mut service = tokio::spawn(S::run(config, sockets, shutdown.clone()));
    tokio::select! {
        ended = &mut service => return outcome(ended),
        name = signals.next() => info!(signal = name, grace_s = common.shutdown_grace.as_secs_f64(), "stopping"),
    }
    shutdown.cancel();
    end(&mut service, &mut signals, common.shutdown_grace).await
}

/// Waits for the service to shut down: for the grace period at most, and not after a second signal.
async fn end(
    service: &mut JoinHandle<anyhow::Result<()>>,
    signals: &mut Signals,
    grace: Duration,
) -> anyhow::Result<()> {
    tokio::select! {
        ended = service => outcome(ended).inspect(|()| info!("stopped")),
        () = tokio::time::sleep(grace) => {
            error!("did not stop within its grace period and is cut off: allow more time with --shutdown-grace");
            anyhow::bail!("did not stop within {grace:?}; allow more time with --shutdown-grace (WSMESH_SHUTDOWN_GRACE)")
        }
        name = signals.next() => anyhow::bail!("stopped at once by a second signal ({name})"),
    }
}

fn outcome(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.unwrap_or_else(|error| Err(anyhow::Error::new(error).context("the service panicked")))
}

/// The signals to stop: SIGTERM from Kubernetes, SIGINT from Ctrl-C, SIGHUP from a terminal that is closed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None if this process was started with the signal ignored, as by nohup: it must outlive its terminal then.
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether this process was started with the signal ignored, as far as Linux tells.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first signal is number 1.
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}
