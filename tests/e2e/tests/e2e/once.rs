//! A request that the SDK repeats at another ws-node, because its connection broke before the reply came, is carried out once.

use std::io::Write;
use std::time::Duration;

use e2e::{Client, Process, Redis, SOON, soon, until};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wsmesh_adapter::{Adapter, Bus, Options, Refusal, ServerName, ServiceName, Started};
use wsmesh_connector::Connector;

/// A connection to this port that can be cut; its own port, and what cuts it.
async fn cable(port: u16) -> (u16, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let own = listener.local_addr().expect("bound").port();
    let (cut, is_cut) = oneshot::channel();
    tokio::spawn(async move {
        let (mut from, _) = listener.accept().await.expect("connected");
        let mut to = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("the ws-node listens");
        tokio::select! {
            _ = copy_bidirectional(&mut from, &mut to) => {}
            _ = is_cut => {}
        }
    });
    (own, cut)
}

async fn start_shop(redis: &Redis, servers: usize) -> (Started, prometheus::Registry) {
    let mut options = Options::new(
        ServerName::new("shop").expect("valid"),
        ServiceName::new("shop").expect("valid"),
    );
    options.bus = Bus::Redis(vec![redis.url("redis-0").parse().expect("valid")]);
    let registry = options.registry.clone();
    let started = Adapter::start(options).expect("starts");
    soon("ready", started.adapter.ready()).await;
    until("it knows the ws-nodes", async || {
        started.adapter.servers().len() == servers
    })
    .await;
    (started, registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_at_another_ws_node_is_carried_out_once() {
    let redis = Redis::start(&[]);
    let mut rules = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    rules
        .write_all(b"[[rules]]\nevent = \"buy\"\nservice = \"shop\"\ntimeout_ms = 20000\n[[rules]]\nevent = \"open\"\nservice = \"shop\"\n")
        .expect("written");
    let (config, node) = (
        format!("--config={}", rules.path().display()),
        format!("--redis={}", redis.url("redis-0")),
    );
    let start = |name: &str| {
        let name = format!("--name={name}");
        Process::start("ws-node", &[&name, "--profile=demo", &node, &config])
    };
    let mut nodes = [start("ws-0"), start("ws-1")];
    for node in &mut nodes {
        node.ready().await;
    }
    let (shop, registry) = start_shop(&redis, 3).await;
    let mut orders = shop.adapter.listen("buy");
    shop.adapter
        .on_request("open", |_| std::future::ready(Ok::<_, Refusal>(true)));
    for node in &nodes {
        let mut probe = Client::connect(&format!("{}?id=probe", node.ws())).await;
        while probe.request("open", json!(null)).await != json!(true) {}
    }

    let (port, cut) = cable(nodes[0].port).await;
    let mut options = wsmesh_connector::Options::new(format!("ws://127.0.0.1:{port}/"));
    options.urls.push(format!("ws://127.0.0.1:{}/", nodes[1].port));
    let mut options = options.param("id", "ann");
    options.fast_reconnect_interval = Duration::from_millis(200);
    options.request_timeout = SOON;
    let (client, task) = Connector::new(options).expect("options that work");
    tokio::spawn(task.run());
    soon("open", client.opened()).await.expect("open");

    let asking = client.request("buy", &json!({"item": 7})).retry();
    let asking = tokio::spawn(async move { asking.await });
    let order = soon("the order", orders.next()).await.expect("listening");
    cut.send(()).expect("the connection is there");
    let repeated = async || {
        let families = registry.gather();
        let waited = families
            .iter()
            .filter(|family| family.name() == "wsmesh_repeated_requests_total");
        let mut counts = waited.flat_map(|family| family.get_metric());
        counts.any(|metric| metric.get_counter().get_value() > 0.0)
    };
    until("the repeat waits for the same answer", repeated).await;
    assert_eq!(client.url(), format!("ws://127.0.0.1:{}/", nodes[1].port));
    order.reply_with(&json!({"sold": 7})).await.expect("sent");
    let reply = soon("the reply", asking).await.expect("no panic").expect("answered");
    assert_eq!(reply.json::<Value>().expect("JSON"), json!({"sold": 7}));

    // The next thing that the shop gets is something else.
    let last = client.request("buy", &json!({"item": 8})).retry();
    let last = tokio::spawn(async move { last.await });
    let order = soon("the other order", orders.next()).await.expect("listening");
    let asked: Value = order.payload.parse().expect("JSON");
    assert_eq!(asked["payload"], json!({"item": 8}));
    order.reply_with(&true).await.expect("sent");
    soon("the reply", last).await.expect("no panic").expect("answered");
}
