//! The settings that every service has, and what they are once they are checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::Registry;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use wsmesh_adapter::{
    Bus, ClusterId, Encoding, NodeUrl, Options, PasswordFile, Reports, Routing, ServerName, ServiceName, Strategy,
};
use wsmesh_protocol::report::{PROCESS, ProcessReport};

use super::log::LogConfig;
use super::profile::Profile;
use crate::debug::Token;
use crate::exposition::sources::Sources;
use crate::first_nodes::first_nodes;
use crate::log_level::log_level;
use crate::open_files;
use crate::settings::{Problems, RedisService, SHORTEST_LIMIT, SecretFile, at_least, at_most, within};
use crate::tls::TlsFiles;

/// Longest replay window: receivers remember four windows of identities, and forget a sender ten minutes after its last beacon.
const MAX_REPLAY_WINDOW: Duration = Duration::from_secs(120);
/// Smallest memory for the replay window: room for some of the largest messages.
const MIN_REPLAY_BYTES: usize = 1 << 20;
/// Smallest bound for messages: the default bound of a client's message.
const MIN_PUBLISH_BYTES: usize = 64 << 10;
/// A larger number is a mistake.
const MAX_WORKER_THREADS: usize = 256;

const OPS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090);

crate::settings! {
    /// The settings of every service. [`CommonConfig::new`] gives the defaults, for tests and services started by code.
    pub struct CommonConfig {
        /// Unique name of this server. Default: HOSTNAME (the pod's name) in Kubernetes and in containers, else SERVICE-RANDOM.
        pub name: ServerName = ServerName::new("unnamed").expect("a valid name"),
        /// Address for the public: clients, or callers of the API. "none": the server does not listen.
        pub listen: Option<SocketAddr>,
        /// Address for operators: /livez, /readyz, /metrics and /stats. "none": they are not served.
        pub ops_listen: Option<SocketAddr> = Some(OPS_LISTEN),
        /// File with the certificate of the public port, followed by those that signed it (PEM). Without it the port speaks plain HTTP.
        pub tls_certificate_file: Option<PathBuf>,
        /// File with the private key of the certificate (PEM).
        pub tls_key_file: Option<PathBuf>,
        /// Use this certificate on the address for operators, too. Probes must ask with https then; healthcheck does.
        pub ops_tls: bool,
        /// File with the token that opens /debug/profile and /debug/heap on the address for operators: Authorization: Bearer TOKEN.
        /// Without it they are not served.
        #[check(|file: &Option<SecretFile>| file.as_ref().map(Token::of).transpose().map(drop))]
        pub debug_token_file: Option<SecretFile>,
        /// A Redis node: redis[s]://[user[:password]@]host[:port][?ca=FILE&cert=FILE&key=FILE][#id], or host:port. For several nodes,
        /// repeat the flag or separate the URLs by commas. Without any node the server runs alone.
        #[key = "redis"]
        pub bus: Bus,
        /// The headless Service of Kubernetes whose pods are the first Redis nodes, as a URL:
        /// redis[s]://[user@]SERVICE[:port][?ca=FILE&cert=FILE&key=FILE][#id]. The server asks DNS for SRV records
        /// (_redis._tcp.SERVICE) at its start and while it hears no node. The pod POD-2 becomes the node id-2.
        pub redis_service: Option<RedisService>,
        /// File with the password for every Redis URL that has none. It is read at every connection attempt. A node that refuses the
        /// password is tried with the one that worked before it.
        #[check(|file: &Option<SecretFile>| password(file).map(drop))]
        pub redis_password_file: Option<SecretFile>,
        /// Time between two probes of a Redis node. A node that is silent for three intervals is not used.
        #[key = "redis_probe_interval"]
        #[check(at_least(SHORTEST_LIMIT))]
        pub probe_interval: Duration = Duration::from_secs(1),
        /// Longest wait for one Redis command.
        #[key = "redis_timeout"]
        #[check(at_least(SHORTEST_LIMIT))]
        pub command_timeout: Duration = Duration::from_secs(2),
        /// A message still reaches, within this time, a server that could not receive it at once because its Redis node died or
        /// because it heard no node. A longer window outlasts longer faults and takes more memory. Must be the same on every server.
        #[check(within(SHORTEST_LIMIT..=MAX_REPLAY_WINDOW))]
        pub replay_window: Duration = Duration::from_secs(6),
        /// Largest memory for messages of the replay window, and for messages that wait while no node is heard, in bytes. If it is too
        /// small for the window, that is logged and counted, and messages may be missed.
        #[check(at_least(MIN_REPLAY_BYTES))]
        pub replay_bytes: usize = 64 << 20,
        /// Largest message between servers, in bytes. A larger one is rejected with an error. A Redis node whose
        /// client-output-buffer-limit for pubsub is below twice this value lowers it: a larger message would end the connection of
        /// every subscriber and reach nobody.
        #[check(at_least(MIN_PUBLISH_BYTES))]
        pub max_publish_bytes: usize = 8 << 20,
        /// Longest wait for replies of other servers, unless a request has its own limit. Should be shorter than clients wait (5 s), so
        /// that they learn what is wrong.
        #[check(at_least(SHORTEST_LIMIT))]
        pub request_timeout: Duration = Duration::from_secs(4),
        /// Prefix of every Redis channel, so that several clusters can share Redis nodes.
        pub prefix: String = "wsmesh:".to_owned(),
        /// Name of the cluster that this server belongs to. A server with another one on the same channels is not met: the servers
        /// of one cluster end with an error. Empty, it fits every cluster. Should be the same on every server.
        pub cluster_id: ClusterId,
        /// Redis channels that messages use. "direct": a message reaches only the servers that need it. "shared": the channels of
        /// websocket-cross-server-adapter, for a cluster with its servers.
        pub routing: Routing,
        /// With shared routing: prefix of the channel of events between servers; the bridgePrefix of the other servers.
        pub bridge_prefix: String = "csbp:".to_owned(),
        /// With shared routing: prefix of the channels of clients and rooms; the wsPrefix of the other servers.
        pub ws_prefix: String = "ws:".to_owned(),
        /// Messages between servers of this size or larger, in bytes, are compressed (LZ4). "none": never. Receivers need no setting.
        pub compress_above: Option<usize>,
        /// Encoding of messages between servers. Receivers understand both.
        pub encoding: Encoding,
        /// How the Redis node for a message is chosen. "ordered" keeps the order within a topic.
        pub strategy: Strategy,
        /// "demo" lets every client in; "production" requires authentication.
        pub profile: Profile,
        /// Longest time from the signal to stop until the process ends. Kubernetes must allow more than this.
        pub shutdown_grace: Duration = Duration::from_secs(25),
        /// Threads that tasks run on; 0: one per core. A service that mostly passes messages on is cheapest with one thread, as its
        /// tasks then wake no other thread. It uses at most one core then: for more, add threads or servers. The shards of a ws-node
        /// have threads of their own.
        #[check(at_most(MAX_WORKER_THREADS))]
        pub worker_threads: usize = 0,
        /// Requests of clients that take longer are traced although sampling left them out, as are those that fail. "0s": only those
        /// that fail. Without a collector for traces (OTEL_EXPORTER_OTLP_ENDPOINT), none is.
        // What is slow is decided within 30 s: later, the spans are gone.
        #[check(at_most(Duration::from_secs(30)))]
        pub trace_slower_than: Duration = Duration::from_secs(1),
        /// What is logged, and how.
        #[group = "logs"]
        pub log: LogConfig,
        /// Files that this server may have open, out of those that its process may. Default: all of them, by the current soft limit of
        /// the process; [`main`](crate::main()) raises that to the hard limit.
        #[filled_in = "the limit of the process"]
        pub open_files: usize = open_files::limit(),
    }
}

impl CommonConfig {
    /// The defaults for a server of this name.
    ///
    /// # Panics
    /// When the name is empty, longer than 255 bytes or has control characters.
    pub fn new(name: &str) -> Self {
        let name = ServerName::new(name).expect("a server's name has 1 to 255 bytes, all of them printable");
        Self {
            name,
            ..Self::default()
        }
    }

    /// Checks what no single setting can know, and fills in what depends on several.
    pub(super) fn checked(mut self, problems: &mut Problems) -> Self {
        if let (Some(public), Some(ops)) = (self.listen, self.ops_listen)
            && public.port() == ops.port()
            && public.port() != 0
            && (public.ip() == ops.ip() || public.ip().is_unspecified() || ops.ip().is_unspecified())
        {
            let text = format!("port {} is used by --listen, too: choose another", ops.port());
            problems.about("ops_listen", text);
        }
        self.check_tls(problems);
        if self.redis_service.is_some() && matches!(self.bus, Bus::Alone) {
            self.bus = Bus::Redis(Vec::new());
        }
        // A file that cannot be used is a problem already.
        if let Ok(Some(file)) = password(&self.redis_password_file) {
            self.set_password_file(&file);
        }
        if let Routing::Shared {
            bridge_prefix,
            ws_prefix,
        } = &mut self.routing
        {
            bridge_prefix.clone_from(&self.bridge_prefix);
            ws_prefix.clone_from(&self.ws_prefix);
        }
        if let Some(problem) = self.routing.problem(&self.prefix) {
            problems.about("routing", problem);
        }
        if self.routing != Routing::Direct && self.compress_above.is_some() {
            problems.about(
                "compress_above",
                "cannot be used with shared routing: the other servers could not read the messages",
            );
        }
        self
    }

    fn set_password_file(&mut self, file: &PasswordFile) {
        if let Bus::Redis(nodes) = &mut self.bus {
            for node in nodes.iter_mut().filter(|node| !node.has_password()) {
                *node = node.clone().with_password_file(file.clone());
            }
        }
        if let Some(service) = &mut self.redis_service {
            service.set_password_file(file);
        }
    }

    /// What this process tells about itself, under the name [`PROCESS`]; the options of the adapter have it. A service with clients
    /// replaces it, to tell how long it spreads the closing of their connections.
    pub fn process_report(&self, drain: Option<Duration>) -> impl Fn() -> Value + Send + Sync + 'static {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let report = ProcessReport {
            open_files: self.open_files as u64,
            log_level: self.log.level.to_string(),
            started_ms: ms(now),
            shutdown_grace_ms: ms(self.shutdown_grace),
            drain_ms: drain.map(ms),
        };
        move || {
            // It may have been changed for a while.
            let log_level = log_level().map_or_else(|| report.log_level.clone(), |now| now.level);
            let report = report.clone();
            json!(ProcessReport { log_level, ..report })
        }
    }

    fn check_tls(&self, problems: &mut Problems) {
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => problems.about("tls_key_file", "is missing: a certificate needs its private key"),
            (None, Some(_)) => problems.about(
                "tls_certificate_file",
                "is missing: a private key needs its certificate",
            ),
            (None, None) if self.ops_tls => {
                problems.about(
                    "ops_tls",
                    "needs a certificate: name its file with --tls-certificate-file",
                );
            }
            _ => {}
        }
        if let Some(Err(problem)) = self.tls_files().map(|files| files.acceptor().map(drop)) {
            problems.about("tls_certificate_file", problem);
        }
    }

    /// The files for TLS, if it is used.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_certificate_file.clone().zip(self.tls_key_file.clone())?;
        Some(TlsFiles { certificate, key })
    }

    /// What accepts TLS connections on the address for the public; `None`: it speaks plain HTTP.
    ///
    /// # Errors
    /// When the files cannot be used any more.
    pub fn public_acceptor(&self) -> anyhow::Result<Option<TlsAcceptor>> {
        let acceptor = self.tls_files().as_ref().map(TlsFiles::acceptor).transpose();
        acceptor.map_err(anyhow::Error::msg)
    }

    /// As [`CommonConfig::public_acceptor`], on the address for operators.
    ///
    /// # Errors
    /// When the files cannot be used any more.
    pub fn ops_acceptor(&self) -> anyhow::Result<Option<TlsAcceptor>> {
        if self.ops_tls { self.public_acceptor() } else { Ok(None) }
    }

    /// The Redis nodes that are known without other servers: those that are set, and the pods of the Service that DNS knows now. If
    /// there is a Service and none of its pods is found, also why.
    pub async fn known_nodes(&self) -> (Vec<NodeUrl>, Option<String>) {
        let mut known = match &self.bus {
            Bus::Redis(nodes) => nodes.clone(),
            _ => Vec::new(),
        };
        let Some(service) = self.redis_service.clone() else {
            return (known, None);
        };
        match first_nodes(service).find().await {
            Ok(found) => {
                let new = found
                    .into_iter()
                    .filter(|node| known.iter().all(|known| known.id() != node.id()));
                let new: Vec<_> = new.collect();
                known.extend(new);
                (known, None)
            }
            Err(why) => (known, Some(why)),
        }
    }

    /// The options that the adapter of a service is started with. The caller adds its own (shards, outbox). Logs if the server
    /// runs alone. If [`main`](crate::main()) pushes metrics, those of the registry are pushed from now on.
    ///
    /// # Panics
    /// When `service` is not a valid name; it is a constant of the program.
    pub fn adapter_options(&self, service: &str, registry: Registry) -> Options {
        let service = ServiceName::new(service).expect("a service's name is a constant of the program");
        if matches!(self.bus, Bus::Alone) {
            tracing::info!(
                "{} runs alone: no Redis node is set (--redis, --redis-service)",
                self.name
            );
        }
        Sources::of_this_process().add(service.as_str(), self.name.as_str(), &registry);
        let reports = Reports::default();
        reports.add(PROCESS, self.process_report(None));
        Options {
            reports,
            bus: self.bus.clone(),
            first_nodes: self.redis_service.clone().map(first_nodes),
            prefix: self.prefix.clone(),
            cluster_id: self.cluster_id.clone(),
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

/// A secret of no file is of no use here: it could not be read again.
fn password(file: &Option<SecretFile>) -> Result<Option<PasswordFile>, String> {
    file.as_ref().map(|file| PasswordFile::read(file.path())).transpose()
}
