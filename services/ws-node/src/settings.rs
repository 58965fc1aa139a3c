//! What can be set about the edge: plain data with defaults and their reasons. Where values come from is `config`'s matter.

use std::time::Duration;

use wsmesh_adapter::{Namespace, OutboxLimits};
use wsmesh_bootstrap::SecretFile;
use wsmesh_protocol::ParamOptions;

use crate::events::Rule;
use crate::logins::LoginPolicy;

/// Settings of one ws-node's edge. [`EdgeSettings::production`] and [`EdgeSettings::demo`] give the defaults.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// How many threads own connections. Default: one per core.
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
    /// Bounds of what waits for one client. Default 1 MiB or 4096 frames.
    pub outbox: OutboxLimits,
    /// How long a client's stream may take nothing at all while something waits. Default 15 s.
    pub write_timeout: Duration,
    /// How long a close handshake may take. Default 5 s.
    pub close_timeout: Duration,
    /// How long a client may take for its request head. Default 10 s.
    pub handshake_timeout: Duration,
    /// Longest wait for a service's reply, unless a rule has its own. Default 5 s, as the original.
    pub request_timeout: Duration,
    /// Clients that are sent away come back within this time, each at a moment of its own. Default 5 s.
    pub reconnect_spread: Duration,
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
    /// The key that signs clients' tokens (JWT, HS256). Needed in production.
    pub jwt_key: Option<SecretFile>,
    /// Whether a client's `traceparent` becomes the parent of its frames' spans. Default no: a stranger could have every
    /// frame traced.
    pub trust_client_traces: bool,
    /// Whether clients are believed who they say they are, may write to everyone, and find a playground at `/`.
    pub demo: bool,
}

impl EdgeSettings {
    pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(20);
    pub(crate) const BACKGROUND: Duration = Duration::from_secs(10);
    pub(crate) const MAX_MESSAGE_BYTES: usize = 64 * 1024;
    pub(crate) const WRITE: Duration = Duration::from_secs(15);
    pub(crate) const CLOSE: Duration = Duration::from_secs(5);
    pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
    pub(crate) const RECONNECT: Duration = Duration::from_secs(5);

    /// The defaults for production: clients prove who they are with tokens signed with this key.
    pub fn production(jwt_key: SecretFile) -> Self {
        Self {
            jwt_key: Some(jwt_key),
            ..Self::closed()
        }
    }

    /// The defaults for trying things out.
    pub fn demo() -> Self {
        let client_rooms = Namespace::new("chat").into_iter().collect();
        Self {
            client_rooms,
            rules: crate::events::demo_rules(),
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
            outbox: OutboxLimits::default(),
            write_timeout: Self::WRITE,
            close_timeout: Self::CLOSE,
            handshake_timeout: Self::HANDSHAKE,
            request_timeout: Duration::from_secs(5),
            reconnect_spread: Self::RECONNECT,
            login_policy: LoginPolicy::default(),
            logins_per_client: 1,
            params: ParamOptions::default(),
            client_rooms: Vec::new(),
            rules: Vec::new(),
            jwt_key: None,
            trust_client_traces: false,
            demo: false,
        }
    }
}
