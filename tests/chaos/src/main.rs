//! `make chaos`: plays scenarios, prints the table, fails on any loss that the promise does not exclude.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use wsmesh_chaos::pace::Pace;
use wsmesh_chaos::run::{Report, run};
use wsmesh_chaos::scenario::{SCENARIOS, Scenario};
use wsmesh_chaos::{server, table};

/// Breaks Redis nodes, links and servers under load, and counts what was sent and what arrived.
///
/// Each scenario starts its own Redis and server processes, with a fault proxy on every link between them. The table says
/// per scenario: messages a second; accepted; refused with an error; deliveries; deliveries that were owed and did not
/// come (lost) or came again (doubled); that took longer than a second (late); the longest time in which a receiver got
/// nothing from other servers (gap); lost ones that the promise excludes and a server reported (excluded); requests
/// answered, ended with an error, ended with nothing (silent), handled twice. Exit code 1 if anything was lost, doubled,
/// silent or handled twice.
#[derive(Debug, Parser)]
#[command(name = "wsmesh-chaos", version)]
struct Arguments {
    /// Play this scenario; several. Default: all.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Say which scenarios there are.
    #[arg(long)]
    list: bool,
    /// Messages a second, of all servers together. Default 5000, with --short 1000.
    #[arg(long)]
    rate: Option<u32>,
    /// A few seconds per scenario: probes every 200 ms, a window of 2 s.
    #[arg(long)]
    short: bool,
    /// So many scenarios at a time. More than one disturb each other unless the machine has cores for all of them.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Keep the logs in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Be a server process: started by the harness itself.
    #[command(hide = true)]
    Server,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    if let Some(Part::Server) = arguments.part {
        server::run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for scenario in SCENARIOS {
            println!("{:<18} {}", scenario.name, scenario.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Whoever ends the harness ends what it started: dropping a scenario kills its processes.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::terminate())?;
    tokio::select! {
        played = play(&arguments) => played,
        _ = interrupted.recv() => bail!("interrupted"),
        _ = ended.recv() => bail!("ended by a signal"),
    }
}

async fn play(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let scenarios = chosen(&arguments.scenario)?;
    let pace = Pace {
        short: arguments.short,
        rate: arguments.rate.unwrap_or(if arguments.short { 1_000 } else { 5_000 }),
        default_settings: false,
    };
    let temporary = TempDir::new()?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    let running = scenarios.into_iter().map(|scenario| async move {
        let folder = folder.join(scenario.name);
        let report = run(scenario, pace, &folder).await;
        if arguments.keep.is_none() {
            // Logs of a long run are large; those of the next scenario need the room.
            let _ = std::fs::remove_dir_all(folder);
        }
        report
    });
    let reports: Vec<Report> = futures_util::stream::iter(running)
        .buffered(arguments.jobs.max(1))
        .collect()
        .await;
    print!("\n{}", table(&reports));
    for report in &reports {
        let lines = report.problem.iter().chain(&report.tally.details).chain(&report.notes);
        lines.for_each(|line| println!("{}: {line}", report.scenario));
    }
    let failed = reports.iter().filter(|report| !report.passed()).count();
    println!(
        "\n{} of {} scenarios kept the promise",
        reports.len() - failed,
        reports.len()
    );
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(SCENARIOS.iter().collect());
    }
    let named = |name: &String| {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
        found.with_context(|| format!("there is no scenario {name:?}: --list says which there are"))
    };
    names.iter().map(named).collect()
}
