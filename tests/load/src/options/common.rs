//! Options of every mode.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::measure::process::Watched;
use crate::net::target::Target;
use crate::run::Setup;

/// Targets, sources, watched processes and output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every mode")]
pub struct Common {
    /// Server to connect to; can be given several times: connections go to them in turn.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:9000/")]
    pub url: Vec<String>,
    /// Process whose CPU time and memory are measured; can be given several times.
    #[arg(long, value_name = "[NAME=]PID")]
    pub pid: Vec<Watched>,
    /// Write the report as JSON to this file; "-": to stdout, and the readable one to stderr.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Client ids and room ids begin with this. Default: random, so that concurrent runs do not share ids.
    #[arg(long, value_name = "TEXT")]
    pub id_prefix: Option<String>,
    /// Add a parameter to the URL, for example token=...; can be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = param)]
    pub param: Vec<(String, String)>,
    /// Threads for the connections. One receives more than a million small messages a second.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Local addresses to connect from, in turn. One address can have about 28,000 connections to one server.
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// New connections a second; 0: as fast as the server accepts them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub connect_rate: u64,
    /// Show progress on stderr, one line per second. Default: only if stderr is a terminal.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub progress: Option<bool>,
    /// Seconds without any progress after which the run fails.
    #[arg(long, value_name = "S", default_value_t = 20)]
    pub patience: u64,
    /// Exit with 0 even if messages were lost or doubled.
    #[arg(long)]
    pub allow_loss: bool,
}

impl Common {
    /// The setup of the run.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub fn setup(&self) -> anyhow::Result<Setup> {
        let targets = self.url.iter().map(|url| Target::resolve(url, &self.param));
        let random = || format!("load-{:06x}-", rand::random_range(0..0x100_0000));
        Ok(Setup {
            targets: Arc::new(targets.collect::<anyhow::Result<_>>()?),
            sources: Arc::new(self.source.clone()),
            id_prefix: self.id_prefix.clone().unwrap_or_else(random),
            threads: self.threads.max(1),
            connect_rate: self.connect_rate,
            patience: Duration::from_secs(self.patience),
            pids: self.pid.clone(),
            progress: self
                .progress
                .unwrap_or_else(|| std::io::IsTerminal::is_terminal(&std::io::stderr())),
        })
    }
}

fn param(text: &str) -> Result<(String, String), String> {
    let pair = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} has no `=`: write NAME=VALUE"))?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
