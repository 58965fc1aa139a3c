//! What can be set about the edge: plain data with defaults and their reasons. Where values come from is `config`'s matter.

use std::path::PathBuf;
use std::time::Duration;

use wsmesh_adapter::{Namespace, OutboxLimits};
use wsmesh_protocol::ParamOptions;

use crate::events::Rule;
use crate::http::auth::{Auth, Key};

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
    /// How a client's URL is read. Default: as the original.
    pub params: ParamOptions,
    /// Namespaces of rooms that clients may join and leave by themselves. Default: none; `chat` in the demo profile.
    pub client_rooms: Vec<Namespace>,
    /// Events that are forwarded to services. Default: none; the game's in the demo profile.
    pub rules: Vec<Rule>,
    /// File with the key that signs clients' tokens (JWT, HS256). Needed in production.
    pub jwt_key_file: Option<PathBuf>,
    /// Whether clients are believed who they say they are, may write to everyone, and find a playground at `/`.
    pub demo: bool,
}

impl EdgeSettings {
    /// The defaults for production: clients prove who they are with tokens signed with this key.
    pub fn production(jwt_key_file: PathBuf) -> Self {
        Self {
            jwt_key_file: Some(jwt_key_file),
            demo: false,
            ..Self::bare()
        }
    }

    /// The defaults for trying things out.
    pub fn demo() -> Self {
        let client_rooms = Namespace::new("chat").into_iter().collect();
        Self {
            client_rooms,
            rules: crate::events::demo_rules(),
            demo: true,
            ..Self::bare()
        }
    }

    fn bare() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            heartbeat: String::new(),
            ping_interval: Duration::from_secs(20),
            enter_background_close: Duration::from_secs(10),
            max_message_bytes: 64 * 1024,
            outbox: OutboxLimits::default(),
            write_timeout: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            reconnect_spread: Duration::from_secs(5),
            params: ParamOptions::default(),
            client_rooms: Vec::new(),
            rules: Vec::new(),
            jwt_key_file: None,
            demo: false,
        }
    }

    /// How clients prove who they are; reads the key.
    pub(crate) fn auth(&self) -> Result<Auth, String> {
        let key = self.jwt_key_file.as_deref().map(Key::read).transpose()?;
        match (self.demo, key) {
            (true, key) => Ok(Auth::Open(key)),
            (false, Some(key)) => Ok(Auth::Jwt(key)),
            (false, None) => Err(NO_AUTH.to_owned()),
        }
    }
}

/// What production says when nobody could prove who they are.
pub(crate) const NO_AUTH: &str = "the production profile needs authentication: make a key with `openssl rand -base64 48 > \
     jwt.key` and name it with --jwt-key-file (WSMESH_JWT_KEY_FILE), or use --profile demo to try things out without";
