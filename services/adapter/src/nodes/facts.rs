//! What a Redis says about itself. Plain values: no payload, no key and no secret is ever part of them.

use serde::{Deserialize, Serialize};

/// What a node says about itself, as of one moment.
///
/// `None` means that it did not say so: its user may not ask (see [`NodeFacts::forbidden`]), or it is too old to know. A
/// node of the embedded bus has no memory, rates or commands of its own, and calls its version `embedded`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeFacts {
    /// Its version; `embedded` on the embedded bus.
    pub version: Option<String>,
    /// `master` or `slave`, in Redis's own words.
    pub role: Option<String>,
    /// What it calls this run of itself. Two addresses with the same one are the same Redis.
    pub run_id: Option<String>,
    /// How long it has been running, in seconds.
    pub uptime_seconds: Option<u64>,
    /// The memory that it uses, in bytes.
    pub used_memory_bytes: Option<u64>,
    /// The most memory that it may use, in bytes; 0 if there is no limit.
    pub max_memory_bytes: Option<u64>,
    /// Its connections, ours and others.
    pub clients: Option<u64>,
    /// Commands per second, by its own count.
    pub ops_per_second: Option<u64>,
    /// Commands since its start.
    pub commands: Option<u64>,
    /// Bytes per second that it reads.
    pub bytes_in_per_second: Option<u64>,
    /// Bytes per second that it writes.
    pub bytes_out_per_second: Option<u64>,
    /// Bytes that it has read since its start.
    pub bytes_in: Option<u64>,
    /// Bytes that it has written since its start.
    pub bytes_out: Option<u64>,
    /// Channels with at least one subscriber.
    pub pubsub_channels: Option<u64>,
    /// Patterns with at least one subscriber. Servers of wsmesh use none.
    pub pubsub_patterns: Option<u64>,
    /// What waits for the subscribing connection of each live server that told its number, this one included; sorted by
    /// server.
    pub output_buffers: Vec<OutputBuffer>,
    /// Its slowest commands of late, newest first: at most ten.
    pub slow_log: Vec<SlowCommand>,
    /// How many commands were slow since its start. 0 also after its slow log was emptied, until the next one.
    pub slow_commands: Option<u64>,
    /// Keys that it evicted since its start for lack of memory. wsmesh stores none.
    pub evicted_keys: Option<u64>,
    /// Connections that it rejected since its start, because it had too many.
    pub rejected_connections: Option<u64>,
    /// How long asking took, in milliseconds.
    pub collected_ms: u64,
    /// The commands that this server's user may not use there, for example `SLOWLOG`. What they would have said is left out.
    pub forbidden: Vec<String>,
}

/// What waits in a Redis for one server to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputBuffer {
    /// The server.
    pub server: crate::wire::ServerName,
    /// Bytes of memory that the buffer takes.
    pub bytes: u64,
}

/// An entry of a Redis's slow log. Arguments are left out: they may be payloads or secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowCommand {
    /// When it ran, by that Redis's clock: milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// How long it ran, in microseconds.
    pub micros: u64,
    /// The command, with its subcommand if it has one, for example `CLIENT LIST`.
    pub command: String,
}
