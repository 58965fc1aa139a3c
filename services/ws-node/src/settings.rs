//! What can be set about the edge: plain data with defaults and their reasons. Where values come from is `config`'s matter; what is wrong with
//! them, `check` says.

mod check;

use std::time::Duration;

use ipnet::IpNet;
use wsmesh_adapter::{DeliveryRule, Namespace, OutboxLimits};
use wsmesh_bootstrap::{CommonConfig, SecretFile};
use wsmesh_protocol::ParamOptions;

use crate::auth::AuthSettings;
use crate::logins::LoginPolicy;
use crate::routes::Rule;
use crate::tls::TlsFiles;

/// Settings of one ws-node's edge. [`EdgeSettings::production`] and [`EdgeSettings::demo`] give the defaults.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// How many threads own connections. Default: one per core. With one, messages between servers are sent and read on its
    /// thread, too.
    pub shards: usize,
    /// What a client sends to see whether it is still connected; sent back as it is. Default: the empty text, as the
    /// original.
    pub heartbeat: String,
    /// How often the server pings each client; one that has not answered by the next ping is dropped. Default 20 s, as the
    /// original.
    pub ping_interval: Duration,
    /// How long a client may stay in the background. Default 10 s, as the original.
    pub enter_background_close: Duration,
    /// Largest message of a client, in bytes. Default 64 KiB: far more than a game or a chat needs.
    pub max_message_bytes: usize,
    /// Whether binary messages are refused. Default no: those that are UTF-8 are read as text, as by the original.
    pub text_frames_only: bool,
    /// Messages to clients from so many bytes on are compressed (permessage-deflate), where the client offers it; messages of
    /// these clients may be, too. Default: never. It costs CPU time for each message, once for all who get it.
    pub deflate_above: Option<usize>,
    /// Bounds of what waits for one client. Default 1 MiB or 4096 frames.
    pub outbox: OutboxLimits,
    /// What happens to frames of an event that a slow client cannot take. Default: they wait, and the client is closed.
    pub delivery: Vec<DeliveryRule>,
    /// What one client, one address and all together may take.
    pub limits: Limits,
    /// How long a client's stream may take nothing at all while something waits. Default 15 s.
    pub write_timeout: Duration,
    /// How long a close handshake may take. Default 5 s.
    pub close_timeout: Duration,
    /// How long a client's message may take from its first byte to its last. Default 30 s.
    pub message_timeout: Duration,
    /// How long a client may take for its request head. Default 10 s.
    pub handshake_timeout: Duration,
    /// Longest wait for a service's reply, unless a rule has its own, and for anything else that a request asks for. Default 4 s:
    /// clients wait 5 s, and are to be answered before.
    pub request_timeout: Duration,
    /// Clients that are sent away come back within this time, each at a moment of its own. Default 5 s.
    pub reconnect_spread: Duration,
    /// Longest time that a drain takes: this server's clients are sent away in waves. Default 15 s. A shutdown ends within
    /// its grace period in any case.
    pub drain_time: Duration,
    /// Clients that are sent away per second by a drain, if that is fast enough for [`EdgeSettings::drain_time`]. Default
    /// 500: what the other servers take without being noticed.
    pub drain_rate: u32,
    /// Connections that are older are sent away to come back, one by one: spreads clients over servers that were added,
    /// and lets certificates and load balancers change. A tenth more or less. Zero (the default): no limit.
    pub max_connection_age: Duration,
    /// A server with more clients than so many times the mean of its service sheds idle ones. 0 (the default): never by
    /// itself.
    pub rebalance_above: f64,
    /// Clients that are shed per second. Default 20: slowly.
    pub rebalance_rate: u32,
    /// Which of a client's logins stay when there are more than may. Default: the newest. The same on every ws-node.
    pub login_policy: LoginPolicy,
    /// How many logins of one client may stay, on all ws-nodes together. Default 1.
    pub logins_per_client: usize,
    /// How a client's URL is read. Default: as the original.
    pub params: ParamOptions,
    /// Namespaces of rooms that clients may join and leave by themselves. Default: none; `chat` in the demo profile.
    pub client_rooms: Vec<Namespace>,
    /// Events that are forwarded to services. Default: none; the game's in the demo profile.
    pub rules: Vec<Rule>,
    /// The certificate of the public port. Default: none, plain HTTP; a load balancer in front of it usually ends TLS.
    pub tls: Option<TlsFiles>,
    /// How clients prove who they are. Needed in production.
    pub auth: AuthSettings,
    /// Whether a client's `traceparent` becomes the parent of its frames' spans. Default no: a stranger could have every
    /// frame traced.
    pub trust_client_traces: bool,
    /// Whether clients are believed who they say they are, may write to everyone, and find a playground at `/`.
    pub demo: bool,
    /// Admin's port on the host that the playground is reached by: the playground orders ws-nodes there to stop and resume.
    /// Default: none, it orders nothing. In the demo profile only.
    pub playground_admin_port: Option<u16>,
    /// Whether messages, also binary ones, are sent back as they are and clients need no id: see [`EdgeSettings::echo`].
    #[doc(hidden)]
    pub echo: bool,
}

/// What one client, one address and all together may take of a ws-node. 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. More are refused with 503. Default 50,000: some 150 MB when idle. Never more than there are files
    /// for.
    pub connections: usize,
    /// Files that this ws-node may have open. Default: the soft limit of the process, as it is now. Most of them are for
    /// connections; a part is kept for handshakes, the ops port, Redis and the rest.
    pub open_files: usize,
    /// Connections of one address at once (of one /64, for IPv6). More are refused with 429; of those whose request has
    /// not come yet, which count by themselves, the first gives way. Default 0: many clients may come from one address, a school's or
    /// a mobile network's.
    pub connections_per_address: usize,
    /// Connections that may come per second, as many at once. More are refused with 503. Default 10,000: a handshake costs
    /// far more than a message, and those who are served already come first. One address takes at most a tenth of it (at
    /// least 10) by tokens that are refused; then it gets 429 for a while.
    pub accept_rate: u32,
    /// Proxies whose `X-Forwarded-For` says where a client comes from. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Frames that one client may send per second. More are answered with `RATE_LIMITED` (events: dropped and counted);
    /// who goes on is closed with 4015. Default 100; 0 in the demo profile.
    pub events_per_second: u32,
    /// Frames that one client may send at once. Default 200.
    pub events_burst: u32,
    /// Rooms that one client may be in when it joins one more by itself. Default 100.
    pub rooms_per_client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            open_files: CommonConfig::new("any").open_files,
            connections_per_address: 0,
            accept_rate: 10_000,
            trusted_proxies: Vec::new(),
            events_per_second: 100,
            events_burst: 200,
            rooms_per_client: 100,
        }
    }
}

impl EdgeSettings {
    pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(20);
    pub(crate) const BACKGROUND: Duration = Duration::from_secs(10);
    /// A packet of a small message is hardly smaller when compressed.
    pub(crate) const DEFLATE_ABOVE: usize = 256;
    pub(crate) const MAX_MESSAGE_BYTES: usize = 64 * 1024;
    pub(crate) const WRITE: Duration = Duration::from_secs(15);
    pub(crate) const CLOSE: Duration = Duration::from_secs(5);
    pub(crate) const MESSAGE: Duration = Duration::from_secs(30);
    pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
    pub(crate) const RECONNECT: Duration = Duration::from_secs(5);
    pub(crate) const DRAIN: Duration = Duration::from_secs(15);
    pub(crate) const DRAIN_RATE: u32 = 500;
    pub(crate) const REBALANCE_RATE: u32 = 20;

    /// The defaults for production: clients prove who they are with tokens that this key verifies.
    pub fn production(jwt_key: SecretFile) -> Self {
        Self {
            auth: AuthSettings {
                jwt_key: Some(jwt_key),
                ..AuthSettings::default()
            },
            ..Self::closed()
        }
    }

    /// The defaults for trying things out.
    pub fn demo() -> Self {
        let client_rooms = Namespace::new("chat").into_iter().collect();
        Self {
            client_rooms,
            rules: crate::routes::demo_rules(),
            limits: Limits {
                // Who tries things out wants to see how fast they go.
                events_per_second: 0,
                ..Limits::default()
            },
            demo: true,
            ..Self::closed()
        }
    }

    /// For suites that test conformance to RFC 6455: the same engine, but every message of up to 16 MiB, text or binary, is
    /// sent back as it is, and anybody is let in without an id. See the example `echo`.
    pub fn echo() -> Self {
        Self {
            max_message_bytes: 16 << 20,
            outbox: OutboxLimits {
                bytes: 64 << 20,
                frames: 1 << 16,
            },
            echo: true,
            demo: true,
            ..Self::closed()
        }
    }

    /// Nobody gets in and nothing is handled: what the others begin with.
    pub(crate) fn closed() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            heartbeat: String::new(),
            ping_interval: Self::PING_INTERVAL,
            enter_background_close: Self::BACKGROUND,
            max_message_bytes: Self::MAX_MESSAGE_BYTES,
            text_frames_only: false,
            deflate_above: None,
            outbox: OutboxLimits::default(),
            delivery: Vec::new(),
            limits: Limits::default(),
            write_timeout: Self::WRITE,
            close_timeout: Self::CLOSE,
            message_timeout: Self::MESSAGE,
            handshake_timeout: Self::HANDSHAKE,
            request_timeout: Duration::from_secs(4),
            reconnect_spread: Self::RECONNECT,
            drain_time: Self::DRAIN,
            drain_rate: Self::DRAIN_RATE,
            max_connection_age: Duration::ZERO,
            rebalance_above: 0.0,
            rebalance_rate: Self::REBALANCE_RATE,
            login_policy: LoginPolicy::default(),
            logins_per_client: 1,
            params: ParamOptions::default(),
            client_rooms: Vec::new(),
            rules: Vec::new(),
            tls: None,
            auth: AuthSettings::default(),
            trust_client_traces: false,
            demo: false,
            playground_admin_port: None,
            echo: false,
        }
    }
}
