//! `make chaos`: plays scenarios, prints the table and fails on any loss that the promise does not exclude.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use wsmesh_chaos::run::{Options, Report, run};
use wsmesh_chaos::scenario::{SCENARIOS, Scenario};
use wsmesh_chaos::{server, table};

const HELP: &str = "\
The table, per scenario:
  msg/s      messages and requests sent, a second, while load ran
  sent       messages that the adapter accepted; refused: those that it answered with an error
  delivered  deliveries to clients and servers, each counted once
  lost       deliveries that were owed and did not come; doubled: those that came again
  late       deliveries that took longer than a second
  gap ms     longest time in which a receiver got nothing from other servers though load ran
  excluded   deliveries that did not come, which the promise excludes and a server reported
  req ok     requests that were answered; error: that ended with an error which says why; silent: with nothing but a
             time-out; twice: that were handled more than once
  verdict    ok; FAILED if anything was lost, doubled, silent or handled twice; BROKEN if the script could not be played

Exit code 0 if every scenario is ok, 1 if not, 64 if the options make no sense.

Examples:
  make chaos                                                  every scenario, some 15 minutes
  make chaos ARGS=\"--short --jobs 2\"                          every scenario, some 2 minutes
  make chaos ARGS=\"--scenario hang-one --keep /tmp/chaos\"     one, with its logs: DIR/SCENARIO/NUMBER-SERVER.txt
  make chaos ARGS=\"--scenario killed-admins --changes-by tests/browser/change-nodes.mjs\"   nodes changed through the dashboard";

/// Breaks Redis nodes, links and servers under load, and counts what was sent and what arrived.
///
/// Each scenario starts its own Redis and server processes, with a fault proxy on every link between them.
#[derive(Debug, Parser)]
#[command(name = "wsmesh-chaos", version, after_long_help = HELP)]
struct Arguments {
    /// Play this scenario; can be given several times. Default: all.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Messages a second of all servers together. Default: 5000, with --short at most 1000.
    #[arg(long)]
    rate: Option<u32>,
    /// A few seconds per scenario: probes every 200 ms, a window of 2 s.
    #[arg(long)]
    short: bool,
    /// The number of scenarios to play at the same time. They disturb each other unless the machine has cores for all.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Change nodes of admins by this program instead of over HTTP. It gets `add URL` or `remove ID`, and the admin's address in
    /// WSMESH_ADMIN; the first line that it prints is the id of the job.
    #[arg(long, value_name = "PROGRAM")]
    changes_by: Option<PathBuf>,
    /// Keep the logs in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Run as a server process; the harness starts these itself.
    #[command(hide = true)]
    Server,
}

/// Exit code for options that are not valid.
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    match start().await {
        Ok(code) => code,
        Err(error) => {
            // The exit code says the same if stderr cannot be written.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::from(if error.is::<UnknownScenario>() { USAGE } else { 1 })
        }
    }
}

/// A name that no scenario has.
#[derive(Debug)]
struct UnknownScenario(String);

impl std::error::Error for UnknownScenario {}

impl std::fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown scenario {:?}: --list shows the scenarios", self.0)
    }
}

async fn start() -> anyhow::Result<ExitCode> {
    #[expect(clippy::disallowed_methods, reason = "nothing runs yet that could be cut off")]
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        std::process::exit(match (error.use_stderr(), printed) {
            (true, _) => USAGE.into(),
            (false, Ok(())) => 0,
            (false, Err(error)) => {
                let _ = writeln!(io::stderr(), "cannot write to stdout: {error}");
                1
            }
        });
    });
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .with_ansi(false)
        .init();
    raise_open_files();
    if let Some(Part::Server) = arguments.part {
        server::run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for scenario in SCENARIOS {
            writeln!(io::stdout(), "{:<18} {}", scenario.name, scenario.what)?;
        }
        io::stdout().flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    // A signal ends the harness and what it started: dropping a scenario kills its processes.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        played = play(&arguments) => played,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = ended.recv() => bail!("ended by a signal"),
        _ = hung_up.recv() => bail!("the terminal was closed"),
    }
}

/// Each link of a scenario takes two sockets of its proxy, and many systems allow only 1024 by default.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files cannot be raised: {error}");
    }
}

async fn play(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scenarios = chosen(&arguments.scenario)?;
    let temporary = TempDir::new()?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    let running = scenarios.into_iter().map(|scenario| async move {
        let folder = folder.join(scenario.name);
        let options = Options {
            short: arguments.short,
            rate: arguments.rate,
            changes_by: arguments.changes_by.as_deref(),
        };
        let report = run(scenario, &options, &folder).await;
        if arguments.keep.is_none() {
            // Logs of a long run are large, and the next scenario needs the space.
            let _ = std::fs::remove_dir_all(folder);
        }
        report
    });
    let reports: Vec<Report> = futures_util::stream::iter(running)
        .buffered(arguments.jobs.max(1))
        .collect()
        .await;
    let mut out = io::stdout().lock();
    write!(out, "\n{}", table(&reports))?;
    for report in &reports {
        let lines = report.problem.iter().chain(&report.tally.details).chain(&report.notes);
        for line in lines {
            writeln!(out, "{}: {line}", report.scenario)?;
        }
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let kept = reports.len() - failed;
    writeln!(out, "\n{kept} of {} scenarios kept the promise", reports.len())?;
    out.flush()?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>, UnknownScenario> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let named = |name: &String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| UnknownScenario(name.clone()))
    };
    names.iter().map(named).collect()
}
