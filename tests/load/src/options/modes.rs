//! Options of single modes.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Common;
use crate::duty::plan::Pace;

/// The amount and the duration of load.
#[derive(Debug, Clone, Args)]
pub struct Messages {
    /// Clients that receive, and are measured.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub connections: usize,
    /// Messages (or requests) a second of all senders together. 0: as fast as possible, see --window.
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    pub rate: f64,
    /// Without a rate: how many of each sender are under way at the same time. A message is done when every receiver has it.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub window: u64,
    /// Bytes of a message's text; at least the size of its stamp, about 30.
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    pub size: usize,
    /// Seconds to measure.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// Seconds of load before the measurement.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub warmup: f64,
    /// Seconds to wait afterwards for what is still under way.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    pub drain: f64,
}

impl Messages {
    /// The pace of messages.
    #[must_use]
    pub fn pace(&self) -> Pace {
        if self.rate > 0.0 {
            Pace::Rate(self.rate)
        } else {
            Pace::Window(self.window.clamp(1, 1 << 20))
        }
    }

    /// Warm-up, measurement, and the longest wait after it.
    #[must_use]
    pub fn times(&self) -> [Duration; 3] {
        [self.warmup, self.seconds, self.drain].map(|s| Duration::try_from_secs_f64(s).unwrap_or_default())
    }
}

/// `fanout`.
#[derive(Debug, Clone, Args)]
pub struct Fanout {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub messages: Messages,
    /// Rooms; clients are spread evenly.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rooms: usize,
    /// Clients that send to their room. Default: one per room.
    #[arg(long, value_name = "N")]
    pub publishers: Option<usize>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub common: Common,
}

/// `direct`.
#[derive(Debug, Clone, Args)]
pub struct Direct {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub messages: Messages,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub common: Common,
}

/// `request`.
#[derive(Debug, Clone, Args)]
pub struct Request {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub messages: Messages,
    /// The event of the request.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub event: String,
    /// Its payload. Default: {"msg": "xxx…"} with --size letters.
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub payload: Option<Value>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub common: Common,
}

/// `idle`.
#[derive(Debug, Clone, Args)]
pub struct Idle {
    /// Connections to make.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub connections: usize,
    /// How long to wait before memory and CPU time are measured, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    pub settle: f64,
    /// Seconds to measure.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub seconds: f64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub common: Common,
}

/// `churn`.
#[derive(Debug, Clone, Args)]
pub struct ChurnOptions {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub fanout: Fanout,
    /// Clients that connect, and that leave, each second.
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    pub churn_rate: f64,
    /// How long each stays, in seconds.
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    pub stay: f64,
}

/// `slow`.
#[derive(Debug, Clone, Args)]
pub struct Slow {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub fanout: Fanout,
    /// Additional clients that join and never read.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub slow: usize,
    /// Seconds to wait after the measurement before checking how they ended: a server needs time to close them.
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub outlast: f64,
}

/// `reconnect`.
#[derive(Debug, Clone, Args)]
pub struct ReconnectOptions {
    /// Connections that reconnect.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub connections: usize,
    /// Time in ms within which they reconnect, each at a random moment, unless the close frame says `retry-after-ms=N`.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub jitter: u64,
    /// Do not end the connections: wait until the server ends them (restart it, for example).
    #[arg(long)]
    pub by_server: bool,
    /// Time limit in seconds for all to be back.
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    pub within: f64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the type says it")]
    pub common: Common,
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not valid JSON ({error})"))
}
