//! The standard cases: every server is started, measured and ended in turn, round after round, so that disturbances of the
//! machine affect all of them. Only medians, and ratios within one run, are comparable.

mod case;
mod cluster;
mod machine;
mod server;
mod table;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use case::{Case, Metric};
use server::Candidate;
use table::Row;

/// `bench`.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// Server under test; `{port}` in the command is replaced. Default: the ws-node beside this program, with one shard.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub server: Option<Candidate>,
    /// Server to compare with; can be given several times. Words like NAME=VALUE before the command set its environment.
    #[arg(long, value_name = "NAME=COMMAND")]
    pub peer: Vec<Candidate>,
    /// Servers to compare with, separated by `;`.
    #[arg(long, value_name = "LIST", value_delimiter = ';')]
    pub peers: Vec<Candidate>,
    /// Cases to run.
    #[arg(long, value_name = "CASE", value_delimiter = ',', default_values_t = Case::STANDARD, value_enum)]
    pub cases: Vec<Case>,
    /// Seconds per measurement.
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub seconds: u64,
    /// Rounds.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Cores for the server and for this tool.
    #[arg(long, value_name = "N,N", value_delimiter = ',', num_args = 2, default_values_t = [0, 1])]
    pub cores: Vec<usize>,
    /// Write the results as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// All values of one metric.
#[derive(Debug, Serialize)]
struct Results {
    machine: String,
    rounds: usize,
    seconds: u64,
    rows: Vec<Row>,
    shards: Vec<Row>,
    cluster: Vec<cluster::Line>,
    notes: Vec<String>,
}

/// Runs the standard cases and prints the table; returns whether the server under test lost nothing.
///
/// # Errors
/// When a server cannot be started, or cannot be measured.
pub fn bench(options: &Bench) -> anyhow::Result<bool> {
    let mut candidates = vec![match &options.server {
        Some(server) => server.clone(),
        None => Candidate::wsmesh("wsmesh", 1)?,
    }];
    candidates.extend(options.peer.iter().chain(&options.peers).cloned());
    ensure!(
        options.rounds > 0 && options.seconds > 0,
        "--rounds and --seconds must be more than 0"
    );
    let [server_core, own_core] = options.cores[..] else {
        anyhow::bail!("--cores needs two numbers: the core of the server and the core of this tool");
    };
    let is_common = |case: &&Case| !matches!(case, Case::Shards | Case::Cluster);
    let common: Vec<Case> = options.cases.iter().filter(is_common).copied().collect();
    let peers = Comparison::run(options, &common, candidates, Some([server_core, own_core]))?;
    let shards = if options.cases.contains(&Case::Shards) {
        let candidates = vec![Candidate::wsmesh("two shards", 2)?, Candidate::wsmesh("one shard", 1)?];
        Comparison::run(options, &[Case::Shards], candidates, None)?
    } else {
        Comparison {
            well: true,
            ..Comparison::default()
        }
    };
    let cluster = if options.cases.contains(&Case::Cluster) {
        cluster::measure(options.seconds)?
    } else {
        Vec::new()
    };
    let well = peers.well && shards.well && cluster.iter().all(cluster::Line::is_well);
    let results = Results {
        machine: machine::description(),
        rounds: options.rounds,
        seconds: options.seconds,
        rows: peers.rows,
        shards: shards.rows,
        cluster,
        notes: [peers.notes, shards.notes].concat(),
    };
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&results)?;
        std::fs::write(file, json).with_context(|| format!("the results cannot be written to {}", file.display()))?;
    }
    let mut out = io::stdout().lock();
    if !results.rows.is_empty() {
        write!(out, "{}", table::markdown(&results.rows, &peers.names))?;
        writeln!(
            out,
            "\nMedians of {} rounds of {} s, servers on core {server_core}, the load on core {own_core}.",
            results.rounds, results.seconds
        )?;
    }
    if !results.shards.is_empty() {
        write!(out, "\n{}", table::markdown(&results.shards, &shards.names))?;
    }
    writeln!(out, "\nThis machine: {}.", results.machine)?;
    if !results.cluster.is_empty() {
        write!(out, "\n{}", cluster::markdown(&results.cluster))?;
    }
    for note in &results.notes {
        writeln!(out, "\n{note}")?;
    }
    out.flush()?;
    Ok(well)
}

/// Above this share of its core the tool itself may be the bottleneck.
const OWN_LIMIT: f64 = 0.95;

/// The results of measuring several servers in turn.
#[derive(Debug, Default)]
struct Comparison {
    names: Vec<String>,
    rows: Vec<Row>,
    notes: Vec<String>,
    /// Whether the first server lost nothing.
    well: bool,
}

impl Comparison {
    fn run(
        options: &Bench,
        cases: &[Case],
        candidates: Vec<Candidate>,
        cores: Option<[usize; 2]>,
    ) -> anyhow::Result<Self> {
        let (mut rows, mut notes, mut well) = (Vec::new(), Vec::new(), true);
        for round in 0..options.rounds {
            for &case in cases {
                for (number, candidate) in candidates.iter().enumerate() {
                    let round_of = format!("round {} of {}", round + 1, options.rounds);
                    writeln!(io::stderr(), "{round_of}: {case}, {}", candidate.name)?;
                    let report = case
                        .measure(candidate, options.seconds, cores)
                        .with_context(|| format!("{case} could not be measured with {}", candidate.name))?;
                    for problem in report.problems(false) {
                        notes.push(format!("{case}, {}, round {}: {problem}", candidate.name, round + 1));
                        well &= number > 0;
                    }
                    if report.own_cpu_share > OWN_LIMIT {
                        let share = report.own_cpu_share * 100.0;
                        notes.push(format!(
                            "{case}, {}: this tool used {share:.0} % of its core: it may be the limit",
                            candidate.name
                        ));
                    }
                    for metric in case.metrics() {
                        record(&mut rows, case, metric, &candidate.name, metric.of(&report));
                    }
                }
            }
        }
        Ok(Self {
            names: candidates.into_iter().map(|candidate| candidate.name).collect(),
            rows,
            notes,
            well,
        })
    }
}

fn record(rows: &mut Vec<Row>, case: Case, metric: &'static Metric, name: &str, value: Option<f64>) {
    let title = format!("{}: {}", case.title(), metric.name);
    let at = rows.iter().position(|row| row.title == title).unwrap_or_else(|| {
        rows.push(Row::new(title, metric));
        rows.len() - 1
    });
    rows[at].values.entry(name.to_owned()).or_default().extend(value);
}
