//! The settings that every service has.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use prometheus::Registry;
use wsmesh_adapter::{Bus, Encoding, NodeUrl, Options, Routing, ServerName, ServiceName, Strategy};

use super::Problems;
use super::profile::{LogConfig, LogFormat, LogLevel, Profile};
use crate::open_files;
use crate::settings::{RoutingKind, SecretFile};

/// Longest replay window: receivers remember four windows of identities, and forget a sender ten minutes after its last beacon.
const MAX_REPLAY_WINDOW: Duration = Duration::from_secs(120);
/// Smallest memory for the replay window: room for some of the largest messages.
const MIN_REPLAY_BYTES: usize = 1 << 20;
/// Smallest bound for messages: the default bound of a client's message.
const MIN_PUBLISH_BYTES: usize = 64 << 10;
/// Beyond that a number is a mistake.
const MAX_WORKER_THREADS: usize = 256;

const OPS_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090);

crate::settings! {
    pub(crate) struct CommonSettings {
        /// Unique name of this server. Default: HOSTNAME (the pod's name) in Kubernetes and in containers, else SERVICE-RANDOM.
        pub(crate) name: Option<ServerName>,
        /// Where the public connects. "none": nowhere.
        pub(crate) listen: Option<SocketAddr>,
        /// Where /livez, /readyz, /metrics and /stats are served. "none": nowhere.
        pub(crate) ops_listen: Option<SocketAddr> = Some(OPS_LISTEN),
        /// A Redis node: redis[s]://[user[:password]@]host[:port][?ca=FILE&cert=FILE&key=FILE][#id], or host:port. Several: repeat
        /// it, or separate by commas. Without any the server runs alone.
        pub(crate) redis: Vec<NodeUrl>,
        /// File with the password for every Redis URL that has none.
        pub(crate) redis_password_file: Option<SecretFile>,
        /// How often each Redis node is probed; one that is silent for three intervals is not used.
        pub(crate) redis_probe_interval: Duration = Duration::from_secs(1),
        /// Longest wait for one Redis command.
        pub(crate) redis_timeout: Duration = Duration::from_secs(2),
        /// How long after its sending a message still reaches a server that could not get it at once, because its Redis node died
        /// or it heard none. Longer: outlasts longer faults, takes more memory. The same on every server.
        pub(crate) replay_window: Duration = Duration::from_secs(6),
        /// Most bytes that are kept for that, and most that wait while no node is heard. Too few for the window is logged and
        /// counted: messages may then be missed.
        pub(crate) replay_bytes: usize = 64 << 20,
        /// Largest message between servers, in bytes; more is refused with an error. A Redis whose client-output-buffer-limit pubsub
        /// is below twice that lowers it: a larger one would end every subscriber's connection and reach nobody.
        pub(crate) max_publish_bytes: usize = 8 << 20,
        /// Longest wait for other servers' replies, where a request does not say otherwise. Shorter than clients wait (5 s), so that
        /// they learn what is wrong.
        pub(crate) request_timeout: Duration = Duration::from_secs(4),
        /// Put before every Redis channel, so that several clusters can share Redis nodes.
        pub(crate) prefix: String = "wsmesh:".to_owned(),
        /// Which Redis channels messages take: "direct" reaches only the servers that want a message, "shared" are the channels of
        /// websocket-cross-server-adapter, for one cluster with its servers.
        pub(crate) routing: RoutingKind,
        /// With shared routing: put before the channel of events between servers; the other servers' bridgePrefix.
        pub(crate) bridge_prefix: String = "csbp:".to_owned(),
        /// With shared routing: put before the channels of clients and rooms; the other servers' wsPrefix.
        pub(crate) ws_prefix: String = "ws:".to_owned(),
        /// Messages between servers from this size on, in bytes, are compressed (LZ4). "none": never. Readers need no setting.
        pub(crate) compress_above: Option<usize>,
        /// How messages between servers are written. Readers understand both.
        pub(crate) encoding: Encoding,
        /// How the Redis node for a message is chosen. "ordered" keeps the order within a topic.
        pub(crate) strategy: Strategy,
        /// How open it is: "demo" lets everyone in, "production" asks for authentication.
        pub(crate) profile: Profile,
        /// Longest time from the signal to stop until the end. Kubernetes must allow more than that.
        pub(crate) shutdown_grace: Duration = Duration::from_secs(25),
        /// Threads that tasks run on; 0: one per core. A service that mostly passes messages on costs least with one, as its tasks
        /// then wake no other thread, and uses at most one core: give it more, or run more of it. A ws-node's shards have
        /// threads of their own.
        pub(crate) worker_threads: usize = 0,
        /// What is logged: error, warn, info, debug or trace, also per module: info,wsmesh_adapter=debug.
        pub(crate) log_level: LogLevel,
        /// How log lines look. "auto": text on a terminal, else JSON.
        pub(crate) log_format: LogFormat,
    }
}

/// What every service is told, checked. [`CommonConfig::new`] gives the defaults, for tests and services started by code.
#[derive(Debug, Clone)]
pub struct CommonConfig {
    /// Unique name of this server.
    pub name: ServerName,
    /// Where the public connects; already bound in [`Sockets`](crate::Sockets).
    pub listen: Option<SocketAddr>,
    /// Where the ops routes are served; already bound in [`Sockets`](crate::Sockets). Default 0.0.0.0:9090.
    pub ops_listen: Option<SocketAddr>,
    /// How servers reach each other. Default [`Bus::Alone`].
    pub bus: Bus,
    /// How often each Redis node is probed. Default 1 s.
    pub probe_interval: Duration,
    /// Longest wait for one Redis command. Default 2 s.
    pub command_timeout: Duration,
    /// How long after its sending a message still reaches a server that could not get it at once. Default 6 s: twice what
    /// noticing a silent node takes.
    pub replay_window: Duration,
    /// Most bytes that are kept for that, and most that wait while no node is heard. Default 64 MiB: 6 s of 10,000 messages of 1 KiB a second.
    pub replay_bytes: usize,
    /// Largest message between servers. Default 8 MiB: a quarter of what a Redis holds for a subscriber by default.
    pub max_publish_bytes: usize,
    /// Longest wait for other servers' replies. Default 4 s: clients wait 5 s.
    pub request_timeout: Duration,
    /// Put before every channel name. Default `wsmesh:`.
    pub prefix: String,
    /// Which channels messages take. Default direct.
    pub routing: Routing,
    /// From which size on messages between servers are compressed. Default never.
    pub compress_above: Option<usize>,
    /// How messages between servers are written. Default MessagePack.
    pub encoding: Encoding,
    /// How the node for a message is chosen. Default ordered.
    pub strategy: Strategy,
    /// How open it is. Default production.
    pub profile: Profile,
    /// Longest time from the signal to stop until the end. Default 25 s, below Kubernetes' 30.
    pub shutdown_grace: Duration,
    /// Threads that tasks run on; 0: one per core. Only [`main`](crate::main()) uses it. Default 0.
    pub worker_threads: usize,
    /// What is logged, and how. Only [`main`](crate::main()) uses it.
    pub log: LogConfig,
    /// How many files this server may have open, of those that its process may. Default: all of them, as the process's soft
    /// limit is now; [`main`](crate::main()) raises that to the hard one.
    pub open_files: usize,
}

impl CommonConfig {
    /// The defaults for a server of this name.
    ///
    /// # Panics
    /// When the name is empty, longer than 255 bytes or has control characters.
    pub fn new(name: &str) -> Self {
        let name = ServerName::new(name).expect("a server's name has 1 to 255 bytes, all of them printable");
        Self::from_settings(name, CommonSettings::default())
    }

    fn from_settings(name: ServerName, settings: CommonSettings) -> Self {
        let password = settings
            .redis_password_file
            .as_ref()
            .and_then(|file| file.secret().expose_text().ok());
        let nodes: Vec<_> = settings
            .redis
            .into_iter()
            .map(|url| with_password(url, password))
            .collect();
        Self {
            name,
            listen: settings.listen,
            ops_listen: settings.ops_listen,
            bus: if nodes.is_empty() {
                Bus::Alone
            } else {
                Bus::Redis(nodes)
            },
            probe_interval: settings.redis_probe_interval,
            command_timeout: settings.redis_timeout,
            replay_window: settings.replay_window,
            replay_bytes: settings.replay_bytes,
            max_publish_bytes: settings.max_publish_bytes,
            request_timeout: settings.request_timeout,
            prefix: settings.prefix,
            routing: match settings.routing {
                RoutingKind::Direct => Routing::Direct,
                RoutingKind::Shared => Routing::Shared {
                    bridge_prefix: settings.bridge_prefix,
                    ws_prefix: settings.ws_prefix,
                },
            },
            compress_above: settings.compress_above,
            encoding: settings.encoding,
            strategy: settings.strategy,
            profile: settings.profile,
            shutdown_grace: settings.shutdown_grace,
            worker_threads: settings.worker_threads,
            open_files: open_files::limit(),
            log: LogConfig {
                level: settings.log_level,
                format: settings.log_format,
            },
        }
    }

    /// Checks what no single setting can know.
    pub(crate) fn check(name: ServerName, settings: CommonSettings, problems: &mut Problems) -> Self {
        if let (Some(public), Some(ops)) = (settings.listen, settings.ops_listen)
            && public.port() == ops.port()
            && public.port() != 0
            && (public.ip() == ops.ip() || public.ip().is_unspecified() || ops.ip().is_unspecified())
        {
            problems.about(
                "ops_listen",
                format!("port {} is --listen's too: choose another", ops.port()),
            );
        }
        let mut ids = BTreeSet::new();
        for url in &settings.redis {
            if !ids.insert(url.id()) {
                problems.about(
                    "redis",
                    format!("two nodes have the id {}: give each its own behind #", url.id()),
                );
            }
        }
        if let Some(file) = &settings.redis_password_file
            && file.secret().expose_text().is_err()
        {
            problems.about(
                "redis_password_file",
                format!("{} is not UTF-8 text", file.path().display()),
            );
        }
        for (key, duration) in [
            ("redis_probe_interval", settings.redis_probe_interval),
            ("redis_timeout", settings.redis_timeout),
            ("replay_window", settings.replay_window),
            ("request_timeout", settings.request_timeout),
        ] {
            if duration < Duration::from_millis(10) {
                problems.about(key, "is too short: write at least 10ms");
            }
        }
        if settings.worker_threads > MAX_WORKER_THREADS {
            problems.about(
                "worker_threads",
                format!("is too many: write at most {MAX_WORKER_THREADS}"),
            );
        }
        if settings.replay_window > MAX_REPLAY_WINDOW {
            problems.about("replay_window", "is too long: write at most 2m");
        }
        if settings.replay_bytes < MIN_REPLAY_BYTES {
            problems.about(
                "replay_bytes",
                format!("is too small: write at least {MIN_REPLAY_BYTES}"),
            );
        }
        if settings.max_publish_bytes < MIN_PUBLISH_BYTES {
            problems.about(
                "max_publish_bytes",
                format!("is too small: write at least {MIN_PUBLISH_BYTES}"),
            );
        }
        let config = Self::from_settings(name, settings);
        if let Some(problem) = config.routing.problem(&config.prefix) {
            problems.about("routing", problem);
        }
        if config.routing != Routing::Direct && config.compress_above.is_some() {
            problems.about(
                "compress_above",
                "cannot be used with shared routing: the other servers could not read it",
            );
        }
        config
    }

    /// What the adapter of a service is started with. The caller sets what only it knows (shards, outbox). Says in the log
    /// if the server runs alone.
    ///
    /// # Panics
    /// When `service` is no name; it is a constant of the program.
    pub fn adapter_options(&self, service: &str, registry: Registry) -> Options {
        let service = ServiceName::new(service).expect("a service's name is a constant of the program");
        if matches!(self.bus, Bus::Alone) {
            tracing::info!(
                "{} runs alone, without other servers: no Redis is set (--redis, WSMESH_REDIS)",
                self.name
            );
        }
        Options {
            bus: self.bus.clone(),
            prefix: self.prefix.clone(),
            routing: self.routing.clone(),
            compress_above: self.compress_above,
            encoding: self.encoding,
            strategy: self.strategy,
            probe_interval: self.probe_interval,
            command_timeout: self.command_timeout,
            replay_window: self.replay_window,
            replay_bytes: self.replay_bytes,
            max_publish_bytes: self.max_publish_bytes,
            request_timeout: self.request_timeout,
            version: crate::VERSION.to_owned(),
            registry,
            ..Options::new(self.name.clone(), service)
        }
    }
}

fn with_password(url: NodeUrl, password: Option<&str>) -> NodeUrl {
    match password {
        Some(password) if !url.has_password() => url.with_password(password),
        _ => url,
    }
}
