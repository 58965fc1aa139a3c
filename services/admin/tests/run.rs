//! A whole admin, started by `run` on real sockets and the embedded bus.

use std::net::SocketAddr;
use std::time::Duration;

use admin::{AdminSettings, Config};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Bus, Fault, MemoryBus};
use wsmesh_bootstrap::probe::{Probe, Speaks};
use wsmesh_bootstrap::{CommonConfig, Profile, Secret, SecretFile, Sockets};

const TOKEN: &str = "a-token-of-the-tests";
const LIMIT: Duration = Duration::from_secs(15);

struct Running {
    api: SocketAddr,
    ops: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(name: &str, bus: &MemoryBus, token: Option<&str>) -> Self {
        Self::start_with(CommonConfig::new(name), bus, token).await
    }

    async fn start_with(mut common: CommonConfig, bus: &MemoryBus, token: Option<&str>) -> Self {
        common.bus = Bus::Memory(bus.clone());
        common.profile = if token.is_some() {
            Profile::Production
        } else {
            Profile::Demo
        };
        let config = Config {
            common,
            settings: AdminSettings {
                token_file: token.map(|text| SecretFile::from_secret(Secret::new(text))),
                kubernetes_redis_service: Some("wsmesh-redis".to_owned()),
                ..AdminSettings::default()
            },
        };
        let (public, ops) = (listener().await, listener().await);
        let (api_address, ops_address) = (address(&public), address(&ops));
        let sockets = Sockets {
            public: Some(public),
            ops: Some(ops),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(admin::run(config, sockets, shutdown.clone()));
        Self {
            api: api_address,
            ops: ops_address,
            shutdown,
            task,
        }
    }

    async fn end(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.ended().await
    }

    async fn ended(self) -> anyhow::Result<()> {
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("ends in time")
            .expect("does not panic")
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("an address")
}

/// Status and text of an answer; without a token if `token` is empty.
async fn get(address: SocketAddr, path: &str, token: &str) -> (u16, String) {
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build();
    let mut request = client.expect("a client").get(format!("http://{address}{path}"));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("answers in time");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}

/// Asks until it is ready and hears a Redis node.
async fn ready(ops: SocketAddr) {
    let asking = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        while get(ops, "/readyz", "").await != (200, "ready\n".to_owned()) {
            every.tick().await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("ready in time");
}

#[tokio::test]
async fn an_admin_serves_its_api_and_probes_and_ends_when_told() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let admin = Running::start("admin-1", &bus, Some(TOKEN)).await;
    ready(admin.ops).await;
    assert_eq!(get(admin.api, "/api/v1/stats", "").await.0, 401);
    let (status, stats) = get(admin.api, "/api/v1/stats", TOKEN).await;
    assert_eq!(status, 200, "{stats}");
    assert!(stats.contains("\"name\":\"admin-1\""), "{stats}");
    let (_, metrics) = get(admin.ops, "/metrics", "").await;
    let counted = "wsmesh_http_requests_total{method=\"GET\",route=\"/api/v1/stats\",status=\"200\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!metrics.contains(TOKEN));
    admin.end().await.expect("ends cleanly");
}

#[tokio::test]
async fn an_admin_that_hears_no_redis_node_is_ready_says_so_and_helps() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    assert!(bus.set_fault("redis-1", Fault::Fail));
    let admin = Running::start("admin-1", &bus, Some(TOKEN)).await;
    let (status, text) = get(admin.ops, "/readyz", "").await;
    assert_eq!(status, 200, "{text}");
    assert!(
        text.starts_with("ready, but no Redis node is heard") && text.contains("admin doctor"),
        "{text}"
    );
    let (status, stats) = get(admin.ops, "/stats", "").await;
    assert!(status == 200 && stats.contains("\"ready\":false"), "{stats}");
    let (status, nodes) = get(admin.api, "/api/v1/nodes", TOKEN).await;
    assert_eq!(status, 200, "{nodes}");
    assert!(
        nodes.contains("redis-1") && nodes.contains("no server hears node redis-1"),
        "{nodes}"
    );
    for path in ["/", "/docs/", "/api/v1/cluster", "/api/v1/jobs", "/api/v1/stats"] {
        let (status, text) = get(admin.api, path, TOKEN).await;
        assert_eq!(status, 200, "{path}: {text}");
    }
    // Another node helps.
    bus.add_node("redis-2").expect("a good id");
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build();
    let adding = client
        .expect("a client")
        .post(format!("http://{}/api/v1/nodes?force=true", admin.api));
    let adding = adding.header("content-type", "application/json").bearer_auth(TOKEN);
    let added = adding
        .body(r#"{"url":"memory:redis-2"}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(added.status().as_u16(), 202, "{:?}", added.text().await);
    ready(admin.ops).await;
    admin.end().await.expect("ends cleanly");
}

#[tokio::test]
async fn silent_connections_do_not_block_the_api() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let admin = Running::start("admin-1", &bus, Some(TOKEN)).await;
    // Both ends of each connection are in this process.
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits).expect("raised to the hard limit");
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(TcpStream::connect(admin.api).await.expect("connects"));
    }
    assert_eq!(get(admin.api, "/", "").await.0, 200);
    assert_eq!(get(admin.api, "/api/v1/stats", TOKEN).await.0, 200);
    admin.end().await.expect("ends cleanly");
}

#[tokio::test]
async fn both_ports_speak_tls_with_the_same_certificate_and_the_probe_needs_no_trust_in_it() {
    let made = rcgen::generate_simple_self_signed(["admin.example.org".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let common = CommonConfig {
        tls_certificate_file: Some(certificate),
        tls_key_file: Some(key),
        ops_tls: true,
        ..CommonConfig::new("admin-1")
    };
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let admin = Running::start_with(common, &bus, Some(TOKEN)).await;
    let encrypted = Probe::new(LIMIT, Speaks::Tls).expect("a probe");
    for (address, path, status) in [
        (admin.api, "/", 200),
        (admin.api, "/api/v1/stats", 401),
        (admin.ops, "/livez", 200),
    ] {
        let answer = encrypted.get(address, path, 1 << 20).await.expect("answers");
        assert_eq!(answer.status, status, "{path}");
    }
    let plain = Probe::new(LIMIT, Speaks::Plain).expect("a probe");
    for address in [admin.api, admin.ops] {
        plain.get(address, "/", 100).await.expect_err("speaks TLS only");
    }
    admin.end().await.expect("ends cleanly");
}

#[tokio::test]
async fn two_admins_see_each_other_and_the_end_of_one() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let (one, two) = (
        Running::start("admin-1", &bus, None).await,
        Running::start("admin-2", &bus, None).await,
    );
    ready(one.ops).await;
    ready(two.ops).await;
    let sees = async |other: &str| get(one.api, "/api/v1/cluster", "").await.1.contains(other);
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while !sees("\"admin-2\"").await {
        every.tick().await;
    }
    two.end().await.expect("ends cleanly");
    while sees("\"admin-2\"").await {
        every.tick().await;
    }
    one.end().await.expect("ends cleanly");
}

#[tokio::test]
async fn an_admin_with_the_name_of_another_ends_with_the_reason() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let first = Running::start("admin-1", &bus, None).await;
    ready(first.ops).await;
    let second = Running::start("admin-1", &bus, None).await;
    let error = second.ended().await.expect_err("its name is taken");
    assert!(error.to_string().contains("admin-1"), "{error}");
    first.end().await.expect("ends cleanly");
}
