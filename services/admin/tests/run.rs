//! A whole admin, started by `run` on real sockets and the embedded bus.

use std::net::SocketAddr;
use std::time::Duration;

use admin::{AdminSettings, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Bus, MemoryBus};
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
        let mut common = CommonConfig::new(name);
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

async fn get(address: SocketAddr, path: &str, more: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sends");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("answers in time")
}

/// Asks until the answer is 200.
async fn ready(ops: SocketAddr) {
    let asking = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        while !get(ops, "/readyz", "").await.starts_with("HTTP/1.1 200") {
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
    assert!(get(admin.api, "/api/v1/stats", "").await.starts_with("HTTP/1.1 401"));
    let authorization = format!("authorization: Bearer {TOKEN}\r\n");
    let stats = get(admin.api, "/api/v1/stats", &authorization).await;
    assert!(
        stats.starts_with("HTTP/1.1 200") && stats.contains("\"server\":\"admin-1\""),
        "{stats}"
    );
    let metrics = get(admin.ops, "/metrics", "").await;
    let counted = "wsmesh_http_requests_total{method=\"GET\",route=\"/api/v1/stats\",status=\"200\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(!metrics.contains(TOKEN));
    admin.end().await.expect("ends in order");
}

#[tokio::test]
async fn silent_connections_shut_nobody_out_of_the_api() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let admin = Running::start("admin-1", &bus, Some(TOKEN)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(admin.api).await.expect("connects"));
    }
    assert!(get(admin.api, "/", "").await.starts_with("HTTP/1.1 200"));
    admin.end().await.expect("ends in order");
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
    let sees = async |other: &str| get(one.api, "/api/v1/cluster", "").await.contains(other);
    let mut every = tokio::time::interval(Duration::from_millis(20));
    while !sees("\"admin-2\"").await {
        every.tick().await;
    }
    two.end().await.expect("ends in order");
    while sees("\"admin-2\"").await {
        every.tick().await;
    }
    one.end().await.expect("ends in order");
}

#[tokio::test]
async fn an_admin_with_the_name_of_another_gives_up_with_the_reason() {
    let bus = MemoryBus::new(["redis-1"]).expect("good ids");
    let first = Running::start("admin-1", &bus, None).await;
    ready(first.ops).await;
    let second = Running::start("admin-1", &bus, None).await;
    let error = second.ended().await.expect_err("its name is taken");
    assert!(error.to_string().contains("admin-1"), "{error}");
    first.end().await.expect("ends in order");
}
