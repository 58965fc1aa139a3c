//! The cost of a message between servers: real Redis processes, few and many ws-nodes, game-logic. Everything shares the
//! machine's cores, so CPU time per message says more here than latency.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use serde::Serialize;
use tempfile::TempDir;

use super::server::{Candidate, Running};
use crate::measure::latency::LatencySummary;
use crate::modes;
use crate::options::{Mode, Options};
use crate::report::Report;

/// Servers in the small and in the large cluster.
const SIZES: [usize; 2] = [2, 16];
const REDIS_NODES: usize = 3;
/// The amount of load: as much as the servers manage with a fixed number of messages of each client under way, or a fixed number
/// of messages a second, at which most CPU time goes into waking up.
const LOADS: [(&str, [&str; 2]); 2] = [
    ("8 of each client under way", ["--window", "8"]),
    ("2,000/s", ["--rate", "2000"]),
];
/// Seconds until the memory of the replay window stops growing; the window is 6 s long.
const WARMUP: &str = "8";
/// Time limit for the servers to know each other.
const START: Duration = Duration::from_secs(60);

/// One line of the table.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    servers: usize,
    what: &'static str,
    load: &'static str,
    per_s: f64,
    latency: Option<LatencySummary>,
    cpu_us: Vec<(&'static str, f64)>,
    problems: Vec<String>,
}

/// The number of ws-nodes with clients. The others only send beacons.
const USED: usize = 2;
/// The names of the processes in the table.
const KINDS: [&str; 4] = ["the two ws-nodes", "idle ws-nodes", "game-logic", "redis"];

/// Measures both clusters.
pub(super) fn measure(seconds: u64) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for servers in SIZES {
        writeln!(io::stderr(), "cluster of {servers} ws-nodes")?;
        let cluster = Cluster::start(servers)?;
        cluster.wait()?;
        let seconds = seconds.to_string();
        let common = ["--connections", "100", "--warmup", WARMUP, "--seconds", &seconds];
        let cases: [(&'static str, &[&str]); 2] = [
            ("client to client on another server", &["direct"]),
            (
                "client, ws-node, game-logic and back",
                &["request", "--event", "gamePing", "--payload", "null"],
            ),
        ];
        for (what, mode) in cases {
            for (name, load) in LOADS {
                let report = cluster.run(&[mode, &load, &common].concat())?;
                lines.push(Line::new(servers, what, name, &report));
            }
        }
    }
    Ok(lines)
}

impl Line {
    fn new(servers: usize, what: &'static str, load: &'static str, report: &Report) -> Self {
        let messages = report.messages.as_ref();
        let messages = messages.map(|m| (m.measured, m.deliveries_per_s, m.latency.clone()));
        let requests = report.requests.as_ref();
        let requests = requests.map(|r| (r.measured, r.replies_per_s, r.latency.clone()));
        let (measured, per_s, latency) = messages.or(requests).unwrap_or_default();
        let cpu = |kind: &&'static str| {
            let of_kind = report.processes.iter().filter(|process| process.name == *kind);
            let seconds: f64 = of_kind.map(|process| process.cpu_s).sum();
            (*kind, seconds * 1e6 / (measured.max(1) as f64))
        };
        Self {
            servers,
            what,
            load,
            per_s,
            latency,
            cpu_us: KINDS.iter().map(cpu).collect(),
            problems: report.problems(false),
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The lines as a Markdown table, with the problems below.
pub(super) fn markdown(lines: &[Line]) -> String {
    let mut text = "| from | load | ws-nodes | messages/s | p50 | p99 |".to_owned();
    text.extend(KINDS.iter().map(|kind| format!(" CPU of {kind} |")));
    text.push_str("\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for line in lines {
        let [p50, p99] = line
            .latency
            .as_ref()
            .map_or([0.0; 2], |latency| [latency.p50_us, latency.p99_us]);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "| {} | {} | {} | {:.0} | {p50:.0} µs | {p99:.0} µs |",
            line.what, line.load, line.servers, line.per_s
        );
        text.extend(line.cpu_us.iter().map(|(_, us)| format!(" {us:.1} µs |")));
        text.push('\n');
    }
    for line in lines.iter().filter(|line| !line.is_well()) {
        let _ = writeln!(
            text,
            "\n{}, {}, with {} ws-nodes: {}",
            line.what,
            line.load,
            line.servers,
            line.problems.join(", ")
        );
    }
    text
}

/// The processes of a cluster; dropping it ends them.
struct Cluster {
    nodes: Vec<Running>,
    logic: Running,
    redis: Vec<Running>,
    _folder: TempDir,
}

impl Cluster {
    fn start(servers: usize) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let redis = format!(
            "redis-server --port {{port}} --bind 127.0.0.1 --save '' --appendonly no --dir {}",
            folder.path().display()
        );
        let redis = candidate("redis", redis);
        let redis: Vec<_> = (0..REDIS_NODES)
            .map(|_| redis.start(None).context("is redis-server installed?"))
            .collect::<Result<_, _>>()?;
        let urls: Vec<_> = redis
            .iter()
            .map(|node| format!("redis://127.0.0.1:{}", node.port()))
            .collect();
        let common = format!("--profile demo --log-level error --redis {}", urls.join(","));
        // game-logic serves only probes; an answer shows that it runs.
        let logic = format!(
            "{} {common} --name logic-0 --ops-listen 127.0.0.1:{{port}}",
            program("game-logic")?.display()
        );
        let logic = candidate("game-logic", logic).start(None)?;
        let program = program("ws-node")?;
        let nodes = (0..servers).map(|number| {
            let command = format!(
                "{} {common} --name ws-{number} --listen 127.0.0.1:{{port}} --ops-listen none --shards 1",
                program.display()
            );
            candidate("ws-node", command).start(None)
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
            logic,
            redis,
            _folder: folder,
        })
    }

    /// Waits until requests are answered through every ws-node with clients.
    fn wait(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        let load = [
            "request",
            "--event",
            "gamePing",
            "--payload",
            "null",
            "--connections",
            "10",
        ];
        let short = ["--rate", "50", "--warmup", "0", "--seconds", "0.4"];
        loop {
            let report = self.run(&[&load[..], &short].concat())?;
            if report.problems(false).is_empty() {
                return Ok(());
            }
            ensure!(since.elapsed() < START, "the servers do not answer:\n{report}");
        }
    }

    /// Runs a mode on the ws-nodes with clients, and watches all processes.
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Report> {
        let mut all: Vec<String> = ["wsmesh-load"]
            .iter()
            .chain(arguments)
            .map(|&text| text.to_owned())
            .collect();
        all.extend(
            self.nodes
                .iter()
                .take(USED)
                .flat_map(|node| ["--url".to_owned(), node.url()]),
        );
        let (used, idle) = self.nodes.split_at(USED);
        let kinds = [
            (KINDS[0], used),
            (KINDS[1], idle),
            (KINDS[2], std::slice::from_ref(&self.logic)),
            (KINDS[3], &self.redis),
        ];
        for (kind, processes) in kinds {
            all.extend(
                processes
                    .iter()
                    .map(|process| format!("--pid={kind}={}", process.pid())),
            );
        }
        match Options::try_parse_from(all)?.mode {
            Mode::Direct(options) => modes::direct(&options),
            Mode::Request(options) => modes::request(&options),
            other => bail!("{other:?} is not measured here"),
        }
    }
}

fn candidate(name: &str, command: String) -> Candidate {
    Candidate {
        name: name.to_owned(),
        command,
    }
}

/// A program of the workspace, built beside this one.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let myself = std::env::current_exe().context("the path of this program is not known")?;
    let program = myself.with_file_name(name);
    ensure!(
        program.exists(),
        "{} is missing: run `cargo build --release -p {name}`",
        program.display()
    );
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_per_case_and_names_problems() {
        let line = Line {
            servers: 2,
            what: "there",
            load: "2,000/s",
            per_s: 1999.6,
            latency: None,
            cpu_us: vec![(KINDS[0], 10.0), (KINDS[1], 1.0), (KINDS[2], 0.0), (KINDS[3], 5.25)],
            problems: vec!["1 deliveries were lost".to_owned()],
        };
        let table = markdown(&[line]);
        assert!(
            table.contains("| there | 2,000/s | 2 | 2000 | 0 µs | 0 µs | 10.0 µs | 1.0 µs | 0.0 µs | 5.2 µs |"),
            "{table}"
        );
        assert!(
            table.ends_with("\nthere, 2,000/s, with 2 ws-nodes: 1 deliveries were lost\n"),
            "{table}"
        );
    }
}
