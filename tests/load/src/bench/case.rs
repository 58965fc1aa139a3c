//! The standard cases: the load of each, and the metrics that are read from its report.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::server::{Candidate, pinned};
use crate::report::Report;

/// A standard case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// 1 room with 1000 clients, 200 bytes, as fast as possible with 32 messages under way.
    Room,
    /// 100 rooms with 10 clients each, 200 bytes, as fast as possible with 8 messages of each of 100 publishers under way.
    Rooms,
    /// 1 room with 100 clients, 200 messages of 200 bytes a second: 20,000 deliveries a second.
    Latency,
    /// 10,000 connections that do nothing.
    Idle,
    /// `echo` on 100 connections, one request under way on each.
    Echo,
    /// 1 room with 1000 clients, 500 messages of 200 bytes a second: two shards against one, both with all cores. Not compared
    /// with peers.
    Shards,
    /// Messages between servers: three Redis, 2 and 16 ws-nodes, game-logic. Not compared with peers; needs redis-server.
    Cluster,
}

/// One number of a report.
#[derive(Debug)]
pub struct Metric {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Reads it from a report.
    read: fn(&Report) -> Option<f64>,
}

impl Metric {
    /// Its value in this report.
    pub fn of(&self, report: &Report) -> Option<f64> {
        (self.read)(report)
    }
}

const CPU: Metric = Metric {
    name: "CPU per delivery",
    unit: "µs",
    read: |report| report.processes.first()?.cpu_us_per_delivery,
};

static THROUGHPUT: [Metric; 2] = [
    Metric {
        name: "deliveries",
        unit: "/s",
        read: |report| Some(report.messages.as_ref()?.deliveries_per_s),
    },
    CPU,
];

static LATENCY: [Metric; 3] = [
    Metric {
        name: "p50",
        unit: "µs",
        read: |report| Some(report.messages.as_ref()?.latency.as_ref()?.p50_us),
    },
    Metric {
        name: "p99",
        unit: "µs",
        read: |report| Some(report.messages.as_ref()?.latency.as_ref()?.p99_us),
    },
    CPU,
];

static IDLE: [Metric; 1] = [Metric {
    name: "memory per connection",
    unit: "bytes",
    read: |report| report.processes.first()?.bytes_per_connection,
}];

static SHARDS: [Metric; 1] = [CPU];

static ECHO: [Metric; 2] = [
    Metric {
        name: "replies",
        unit: "/s",
        read: |report| Some(report.requests.as_ref()?.replies_per_s),
    },
    Metric {
        name: "CPU per reply",
        ..CPU
    },
];

impl Case {
    /// The cases that run by default.
    pub const STANDARD: [Self; 5] = [Self::Room, Self::Rooms, Self::Latency, Self::Idle, Self::Echo];

    /// Its title in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Room => "1 room x 1000",
            Self::Rooms => "100 rooms x 10",
            Self::Latency => "1 room x 100 at 20,000 deliveries/s",
            Self::Idle => "10,000 idle connections",
            Self::Echo => "echo on 100 connections",
            Self::Shards => "1 room x 1000 at 500,000 deliveries/s",
            Self::Cluster => "messages between servers",
        }
    }

    /// The metrics that are read from its reports.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Room | Self::Rooms => &THROUGHPUT,
            Self::Latency => &LATENCY,
            Self::Idle => &IDLE,
            Self::Echo => &ECHO,
            Self::Shards => &SHARDS,
            // It has its own table.
            Self::Cluster => &[],
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Room => &["fanout", "--connections", "1000", "--window", "32"],
            Self::Rooms => &["fanout", "--connections", "1000", "--rooms", "100", "--window", "8"],
            Self::Latency => &["fanout", "--connections", "100", "--rate", "200"],
            Self::Idle => &["idle", "--connections", "10000"],
            Self::Echo => &["request", "--connections", "100", "--window", "1", "--event", "echo"],
            Self::Shards => &["fanout", "--connections", "1000", "--rate", "500"],
            Self::Cluster => &[],
        }
    }

    /// Starts the server, runs the load in another process, ends the server. `cores` are those of the server and the load.
    pub fn measure(self, candidate: &Candidate, seconds: u64, cores: Option<[usize; 2]>) -> anyhow::Result<Report> {
        let [server_core, own_core] = cores.map_or([None; 2], |cores| cores.map(Some));
        let server = candidate.start(server_core)?;
        let myself = std::env::current_exe().context("the path of this program is not known")?;
        let mut load: Command = pinned(own_core, myself);
        load.args(self.arguments());
        load.args([
            "--url",
            &server.url(),
            "--pid",
            &format!("{}={}", candidate.name, server.pid()),
        ]);
        load.args(["--seconds", &seconds.to_string(), "--json", "-", "--allow-loss"]);
        let output = load
            .stdin(Stdio::null())
            .output()
            .context("the load cannot be started: is taskset installed?")?;
        // Problems and the readable report are on stderr.
        match serde_json::from_slice(&output.stdout) {
            Ok(report) => Ok(report),
            Err(_) => bail!(
                "the load ended with {}:\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |value| value.get_name()))
    }
}
