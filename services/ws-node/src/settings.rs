//! The settings of a ws-node, each declared once. The groups are declared in the folder of their area.
//! `check` finds problems of several settings together, `profile` has the defaults of the profiles.

mod check;
mod delivery;
pub(crate) mod place;
mod profile;
mod traces_url;

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;
use wsmesh_adapter::{DeliveryRule, Namespace, OutboxLimits};
use wsmesh_bootstrap::{SHORTEST_LIMIT, Table, Tables, TlsFiles, at_least, each, max_bytes, settings, text, within};
use wsmesh_protocol::ParamOptions;

use crate::auth::AuthSettings;
use crate::connect::settings::{self as hook, Connect, ConnectHook};
use crate::lifecycle::settings::{self as watches, Watch};
use crate::limits::Limits;
use crate::logins::settings::LoginPolicy;
use crate::namespaces::settings::{self as namespaces, NamespaceSettings};
use crate::routes::settings::{self as rules, Rule};
pub use place::{Label, PublicUrl};
pub use traces_url::TracesUrl;

/// Largest bound of a client's message.
const MOST_MESSAGE_BYTES: usize = 64 << 20;

settings! {
    /// Settings of one ws-node. [`EdgeSettings::production`] and [`EdgeSettings::demo`] give the defaults of the profiles;
    /// `Default` lets no client in.
    pub struct EdgeSettings {
        /// Threads that own connections. 0: one per core.
        // With one, messages between servers are sent and read on its thread, too.
        #[check(within(0..=1024))]
        pub shards: usize = 0,
        /// Message with which a client tests its connection; it is sent back unchanged. Default: the empty text.
        #[check(max_bytes(125))]
        pub heartbeat: String,
        /// Time between two pings to a client. A client that has not answered by the next ping is disconnected.
        #[check(at_least(SHORTEST_LIMIT))]
        pub ping_interval: Duration = Duration::from_secs(20),
        /// Longest time that a client may stay in the background (event enterBackground).
        #[check(at_least(SHORTEST_LIMIT))]
        pub enter_background_close: Duration = Duration::from_secs(10),
        /// Largest message of a client, in bytes.
        #[check(within(125..=MOST_MESSAGE_BYTES))]
        pub max_message_bytes: usize = 64 * 1024,
        /// Reject binary messages (1003). Without this, binary messages that are UTF-8 are read as text.
        pub text_frames_only: bool = false,
        /// Compress messages (permessage-deflate) for clients that offer it: less traffic for more CPU time.
        pub deflate: bool = false,
        /// With --deflate: messages to clients of this size or larger, in bytes, are compressed.
        // The packet of a smaller message hardly shrinks.
        #[check(within(1..=MOST_MESSAGE_BYTES))]
        pub deflate_above: usize = 256,
        /// Largest amount of data that may wait for one client, in bytes. A client that reads more slowly is disconnected with 4013.
        #[check(within(1024..=1 << 30))]
        pub outbox_bytes: usize = 1 << 20,
        /// Largest number of frames that may wait for one client.
        #[check(within(1..=1 << 24))]
        pub outbox_frames: usize = 4096,
        /// Most memory that all outboxes together may hold, in bytes. Beyond it, the slowest clients are disconnected with 4013 until three
        /// quarters are left. A third to a half of the memory that the process may use is right.
        #[check(within(1 << 20..=1 << 40))]
        pub outbox_total_bytes: usize = 256 << 20,
        /// What happens to frames that a slow client cannot take: [[delivery]] with event, policy ("must-arrive";
        /// "latest": a newer frame replaces the waiting one; "may-drop"), and for "latest" a key (JSON pointer into the payload).
        #[check(|rules: &Tables<DeliveryRule>| delivery::problems(rules))]
        pub delivery: Tables<DeliveryRule>,
        /// What one client, one address and all together may use.
        #[group = "limits"]
        pub limits: Limits,
        /// Longest time that a client may take no data at all while some waits; then it is disconnected with 4013.
        #[check(at_least(SHORTEST_LIMIT))]
        pub write_timeout: Duration = Duration::from_secs(15),
        /// Longest time for a close handshake.
        #[check(at_least(SHORTEST_LIMIT))]
        pub close_timeout: Duration = Duration::from_secs(5),
        /// Longest time from the first to the last byte of a client's message; then the client is disconnected with 1008.
        #[check(at_least(SHORTEST_LIMIT))]
        pub message_timeout: Duration = Duration::from_secs(30),
        /// Longest time that a client may take to send its request head.
        #[check(at_least(SHORTEST_LIMIT))]
        pub handshake_timeout: Duration = Duration::from_secs(10),
        /// Clients that are sent away by a shutdown are told to reconnect at a random time within this duration.
        #[check(at_least(Duration::ZERO))]
        pub reconnect_spread: Duration = Duration::from_secs(5),
        /// Longest time over which a shutdown or a drain sends clients away, in waves. A shutdown always ends within its grace period.
        #[check(at_least(Duration::ZERO))]
        pub drain_time: Duration = Duration::from_secs(15),
        /// Clients that a shutdown or a drain sends away per second; more if --drain-time would not be enough.
        // The other servers accept this many without a noticeable effect.
        #[check(within(1..=1_000_000))]
        pub drain_rate: u32 = 500,
        /// Age at which a connection is closed so that the client reconnects, a tenth more or less. 0s: no limit.
        // Spreads clients over servers that were added, and lets certificates and load balancers change.
        #[check(at_least(Duration::from_secs(1)).or_zero("no limit"))]
        pub max_connection_age: Duration = Duration::ZERO,
        /// A server whose number of clients exceeds the mean of its service by this factor sends idle ones away. 0: only on request.
        #[check(within(1.05..=100.0).or_zero("off"))]
        pub rebalance_above: f64 = 0.0,
        /// Clients that are sent away per second for rebalancing.
        #[check(within(1..=1_000_000))]
        pub rebalance_rate: u32 = 20,
        /// Which logins of one client id stay, counted over all ws-nodes: newest (older ones are disconnected with 4012), oldest
        /// (a new one is disconnected with 1013) or many (all). Must be the same on every ws-node.
        pub login_policy: LoginPolicy,
        /// Logins of one client id that stay. Not used with the policy many.
        #[check(within(1..=1000))]
        pub logins_per_client: usize = 1,
        /// Convert the names of URL parameters to lower case.
        pub lower_case_params: bool = false,
        /// Headers of a client's request that services may see, for example accept-language; several. They are shown as the client, or
        /// the last proxy, wrote them. Default: none.
        #[check(each(text(header)))]
        pub context_headers: Vec<String>,
        /// Namespaces of rooms that clients may join themselves (joinRoom, leaveRoom); several. Default: none; "chat" with the
        /// demo profile.
        pub client_rooms: Vec<Namespace>,
        /// What clients may do in the rooms of a namespace: [[namespaces]] with name, and optionally client_publish (members may publish,
        /// event publish), echo_to_sender, publish_bytes, publish_per_second and publish_burst. The demo profile lets members publish
        /// to rooms of "chat".
        #[check(|namespaces: &Tables<NamespaceSettings>| namespaces::problems(namespaces))]
        pub namespaces: Tables<NamespaceSettings>,
        /// Use a client's traceparent as the parent of the spans of its frames: the client then decides what is traced.
        pub trust_client_traces: bool = false,
        /// File with the certificate of the public port, followed by those that signed it (PEM). Without it the port speaks plain HTTP.
        #[filled_in = "the common setting tls_certificate_file"]
        pub tls_certificate_file: Option<PathBuf>,
        /// File with the private key of the certificate (PEM).
        #[filled_in = "the common setting tls_key_file"]
        pub tls_key_file: Option<PathBuf>,
        /// Where clients reach this one ws-node, for example wss://ws-1.example.org: admin assigns new clients to it
        /// (GET /api/v1/assign). Default: it is not assigned.
        pub public_url: Option<PublicUrl>,
        /// What this ws-node is called by, for example zone=a,tier=b: admin assigns clients by label. Default: none.
        #[check(|labels: &Vec<Label>| place::problems(labels))]
        pub labels: Vec<Label>,
        /// How clients prove who they are.
        #[group = "authentication"]
        pub auth: AuthSettings,
        /// Demo profile only: port of admin on the host of the playground. The playground then has buttons that stop and resume
        /// ws-nodes, if admin's API is open. Default: no buttons.
        pub playground_admin_port: Option<u16>,
        /// Demo profile only: where browsers find Jaeger, for example http://127.0.0.1:16686. The playground then begins a trace for
        /// each request and links to it. Needs --trust-client-traces. Default: no links.
        pub playground_traces_url: Option<TracesUrl>,
        /// Events that are forwarded to a service or a backend: [[rules]] with event, either service or url, and optionally
        /// timeout_ms; with service pick ("least-busy" or "client") and reply ("relay" or "direct"), with url what "Rules with a
        /// URL" lists. The demo profile forwards the game's events without rules.
        #[check(|rules: &Tables<Rule>| rules::problems(rules))]
        pub rules: Tables<Rule>,
        /// The backend that says who may connect: [connect] with url, and optionally mode ("instead" of tokens, or "after" them),
        /// headers, timeout_ms and more. Default: none.
        #[check(|connect: &Table<Connect>| hook::problems(connect))]
        pub connect: Table<Connect>,
        /// Who is told what happens to clients: [[watch]] with url or service, events ("connected", "disconnected", "joined",
        /// "left"), and optionally namespaces, keep_ms, max_waiting and more.
        #[check(|watches: &Tables<Watch>| watches::problems(watches))]
        pub watch: Tables<Watch>,
        /// Longest wait for a service's reply, unless a rule has its own, and for anything else that a client's request needs.
        #[filled_in = "the common setting request_timeout"]
        #[check(at_least(SHORTEST_LIMIT))]
        pub request_timeout: Duration = Duration::from_secs(4),
        /// Whether clients are trusted to be who they say they are, may write to everyone, and find a playground at `/`.
        #[filled_in = "the common setting profile"]
        pub demo: bool = false,
        /// Whether messages, also binary ones, are sent back unchanged and clients need no id: see [`EdgeSettings::echo`].
        #[doc(hidden)]
        #[filled_in = "code that tests conformance"]
        pub echo: bool = false,
    }
}

/// Whether a header may have this name.
fn header(name: &str) -> Result<(), String> {
    match HeaderName::try_from(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{name:?} is not a name of a header: write letters, digits and -, for example accept-language"
        )),
    }
}

impl EdgeSettings {
    /// How much may wait for one client.
    pub(crate) fn outbox(&self) -> OutboxLimits {
        OutboxLimits {
            bytes: self.outbox_bytes,
            frames: self.outbox_frames,
        }
    }

    /// Whether there are rooms to which clients may publish without a permission in their token.
    pub(crate) fn lets_clients_publish(&self) -> bool {
        self.namespaces.iter().any(|namespace| namespace.client_publish)
    }

    /// The size from which messages are compressed, if any are.
    pub(crate) fn deflate_above(&self) -> Option<usize> {
        self.deflate.then_some(self.deflate_above)
    }

    /// Most calls to backends that may be under way at once: of rules, of the connect hook, and one for each watch.
    pub(crate) fn calls_to_backends(&self) -> usize {
        let rules = self
            .rules
            .iter()
            .filter_map(|rule| rule.destination(self.request_timeout));
        let rules = rules.map(|destination| destination.max_in_flight);
        let hook = self.connect.hook.iter().map(|hook| hook.max_in_flight);
        rules.chain(hook).fold(self.watch.len(), usize::saturating_add)
    }

    /// How the URL of a client is read.
    pub(crate) fn params(&self) -> ParamOptions {
        ParamOptions {
            lower_case_keys: self.lower_case_params,
            ..ParamOptions::default()
        }
    }

    /// How long the connect hook may take; zero without one.
    pub(crate) fn hook_timeout(&self) -> Duration {
        let hook = self.connect.hook.as_ref();
        hook.map_or(Duration::ZERO, ConnectHook::timeout)
    }

    /// The files for TLS on the public port, if it is used.
    pub(crate) fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_certificate_file.clone().zip(self.tls_key_file.clone())?;
        Some(TlsFiles { certificate, key })
    }
}
