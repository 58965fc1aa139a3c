//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Clients that stay connected to a cluster whatever is done to it, and count what was lost, doubled, and how often they were
/// closed. Prints "ready" when all are connected; SIGTERM ends the load, and then one line of JSON says what was seen. Exit code 1 if
/// anything was lost, doubled or not answered, or if there was too little load to know.
#[derive(Debug, Clone, Parser)]
#[command(name = "wsmesh-cluster", version)]
pub struct Options {
    /// Where clients connect: the address of a Service, ws://HOST:PORT/.
    #[arg(long)]
    pub url: String,
    /// How many clients there are.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub clients: u32,
    /// How many rooms they are in, each in one.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub rooms: u32,
    /// Messages per second, of all clients together.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// Clients that play matches besides, two by two.
    #[arg(long, default_value_t = 0)]
    pub players: u32,
    /// File with the secret that signs tokens, for the production profile: clients then publish to rooms. Without it they connect
    /// with an id, and send commands of the demo profile to rooms and to each other.
    #[arg(long)]
    pub jwt_key_file: Option<PathBuf>,
    /// Seconds that a message may take, and that a client must stay connected after it for it to count as due: the time to notice a
    /// dead node and to send again.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub settle: u64,
    /// Seconds until all clients must be connected.
    #[arg(long, default_value_t = 60)]
    pub ready_within: u64,
    /// Stop after this many seconds without being told.
    #[arg(long)]
    pub seconds: Option<u64>,
}

impl Options {
    /// The time from one message of a client to its next.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.clients) / f64::from(self.rate))
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_secs(self.settle)
    }
}
