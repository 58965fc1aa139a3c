//! How values of other crates look in the description of the API. They are described here and never made: tests compare the answers
//! of every route with the description.
#![expect(dead_code, reason = "described, never made")]

use serde_json::Value;
use utoipa::ToSchema;

/// 1 to 255 bytes of UTF-8, no control characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 255, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
pub(crate) struct Name(String);

/// One event of a stream (text/event-stream).
#[derive(ToSchema)]
pub(crate) struct StreamEvent {
    /// What it is about.
    event: String,
    /// JSON.
    data: String,
}

/// A set of clients across servers.
#[derive(ToSchema)]
pub(crate) struct Room {
    namespace: Name,
    id: Name,
}

/// An event that clients listen to.
#[derive(ToSchema)]
#[schema(min_length = 1, examples("say"))]
pub(crate) struct Event(String);

/// A setting that differs between two servers.
#[derive(ToSchema)]
pub(crate) struct Difference {
    server: Name,
    setting: String,
    /// The value on that server.
    theirs: String,
    /// The value of this admin.
    ours: String,
}

/// Why a promise did not hold. isolated: the server heard no node for longer than the replay window; stalled: its process was stopped
/// for longer than that; window-too-small: replay_bytes was used up before the window's time; expired: no node that the receivers
/// hear was found for copies in time.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum LapseReason {
    Isolated,
    Stalled,
    WindowTooSmall,
    Expired,
}

/// joining: not every counted server hears it yet, and no server chooses it; active: in use; draining: senders have stopped,
/// subscribers stay for the replay window; gone: no server uses it.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum NodeState {
    Joining,
    Active,
    Draining,
    Gone,
}

/// What is known about a connection.
#[derive(ToSchema)]
pub(crate) struct Context {
    client: Name,
    /// Unique in the cluster, also over time.
    connection: String,
    server: Name,
    #[schema(format = DateTime)]
    since: String,
    /// The path of the URL, without the slash at its beginning.
    path: String,
    /// The parameters of the URL, without credentials: a string, or a list of strings if one came several times.
    #[schema(value_type = Object)]
    params: Value,
    /// The headers that the ws-node's setting context_headers names.
    #[schema(value_type = Object)]
    headers: Value,
    #[schema(required = false)]
    address: String,
    /// The claims of the client's verified token.
    #[schema(value_type = Object, required = false)]
    claims: Value,
    /// What services attached to the connection.
    #[schema(required = false)]
    data: Value,
}

/// The state of a drain.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Draining {
    /// Whether new clients are rejected.
    draining: bool,
    /// Number of connected clients.
    connections: u64,
    /// Milliseconds until the last client is told to leave.
    #[schema(required = false)]
    within_ms: u64,
}

/// What a Redis says about itself. Null: its user may not ask (see forbidden), or it is too old to know. A node of the embedded bus
/// calls its version embedded and has no memory, rates or commands.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct NodeFacts {
    version: Option<String>,
    /// master or slave, in Redis's own words.
    role: Option<String>,
    /// What it calls this run of itself. Two addresses with the same one are the same Redis.
    run_id: Option<String>,
    uptime_seconds: Option<u64>,
    used_memory_bytes: Option<u64>,
    /// 0: there is no limit.
    max_memory_bytes: Option<u64>,
    /// Its connections, ours and others.
    clients: Option<u64>,
    ops_per_second: Option<u64>,
    /// Commands since its start.
    commands: Option<u64>,
    bytes_in_per_second: Option<u64>,
    bytes_out_per_second: Option<u64>,
    /// Bytes that it has read since its start.
    bytes_in: Option<u64>,
    /// Bytes that it has written since its start.
    bytes_out: Option<u64>,
    /// Channels with at least one subscriber.
    pubsub_channels: Option<u64>,
    pubsub_patterns: Option<u64>,
    /// What waits for the subscribing connections of our servers.
    output_buffers: Vec<OutputBuffer>,
    /// Its slowest commands of late, newest first, without arguments.
    slow_log: Vec<SlowCommand>,
    /// How many commands were slow since its start.
    slow_commands: Option<u64>,
    evicted_keys: Option<u64>,
    rejected_connections: Option<u64>,
    /// How long asking took.
    collected_ms: u64,
    /// Commands that its user may not use.
    forbidden: Vec<String>,
}

/// What waits in a Redis for one server to read it.
#[derive(ToSchema)]
pub(crate) struct OutputBuffer {
    server: Name,
    bytes: u64,
}

/// A slow command.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct SlowCommand {
    /// When it ran, by the clock of that Redis: milliseconds since the Unix epoch.
    at_ms: u64,
    micros: u64,
    command: String,
}

/// A check of an address.
#[derive(ToSchema)]
pub(crate) struct Check {
    what: CheckKind,
    result: CheckResult,
    /// Why it failed, or is not known.
    #[schema(required = false)]
    why: String,
    /// What to do, if it failed.
    #[schema(required = false)]
    fix: String,
}

/// passed; failed: must be mended first; unknown: no reason to refuse the node.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum CheckResult {
    Passed,
    Failed,
    Unknown,
}

/// reachable: a connection can be opened; redis: a Redis answers; tls: both sides trust each other; login: user and password fit;
/// version: it is not too old; publish, subscribe: this server's user may; output-buffer: it buffers enough for a subscriber that
/// falls behind; identity: it is not a known node under another id.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
pub(crate) enum CheckKind {
    Reachable,
    Redis,
    Tls,
    Login,
    Version,
    Publish,
    Subscribe,
    OutputBuffer,
    Identity,
}
