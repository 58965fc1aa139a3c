//! What a service knows about clients of two ws-nodes, over real Redis: how they came, what their tokens say, what it attached.

use e2e::{Client, Process, Redis, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use wsmesh_adapter::{
    Adapter, Bus, ClientContext, ClientId, NodeUrl, Options, Payload, ServerName, ServiceName, Started,
};

const CONFIG: &str = r#"
context_headers = ["accept-language"]
jwt_key_file = "jwt.key"

[[rules]]
event = "whoami"
service = "auction"
"#;

/// Two Redis nodes, two ws-nodes in the production profile, and a service in this process.
struct Auction {
    redis: Vec<Redis>,
    nodes: Vec<Process>,
    service: Adapter,
    _driver: wsmesh_adapter::Driver,
    folder: TempDir,
}

impl Auction {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("jwt.key");
        std::fs::write(&key, "0123456789abcdef0123456789abcdef").expect("written");
        let config = folder.path().join("ws-node.toml");
        let settings = CONFIG.replace("jwt.key", key.to_str().expect("text"));
        std::fs::write(&config, settings).expect("written");
        let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
        let urls: Vec<_> = redis
            .iter()
            .enumerate()
            .map(|(n, redis)| redis.url(&format!("redis-{n}")))
            .collect();
        let mut nodes = Vec::new();
        for name in ["ws-0", "ws-1"] {
            let mut arguments = vec![format!("--name={name}"), format!("--config={}", config.display())];
            arguments.extend(urls.iter().map(|url| format!("--redis={url}")));
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            nodes.push(Process::start("ws-node", &arguments));
        }
        for node in &mut nodes {
            node.ready().await;
        }
        let name = ServerName::new("auction-0").expect("valid");
        let mut options = Options::new(name, ServiceName::new("auction").expect("valid"));
        options.bus = Bus::Redis(urls.iter().map(|url| NodeUrl::parse(url).expect("valid")).collect());
        let Started { adapter, driver, .. } = Adapter::start(options).expect("starts");
        answer_whoami(&adapter);
        adapter.ready().await;
        until("the ws-nodes count", || async {
            adapter
                .servers()
                .iter()
                .filter(|server| server.counted && !server.heard.is_empty())
                .count()
                == 3
        })
        .await;
        Self {
            redis,
            nodes,
            service: adapter,
            _driver: driver,
            folder,
        }
    }

    /// Connects a client with a token of its own, and waits until it can be reached.
    async fn client(&self, node: usize, id: &str) -> Client {
        let key = format!("--jwt-key-file={}", self.folder.path().join("jwt.key").display());
        let token = Process::start_bare("ws-node", ["token", "--id", id, &key])
            .ended()
            .await;
        let url = format!(
            "{}game/7?lang=de&tag=a&tag=b&token={}",
            self.nodes[node].ws(),
            token.log.trim()
        );
        let headers = [
            ("accept-language", "de"),
            ("cookie", "a=secret"),
            ("x-forwarded-for", "198.51.100.7"),
        ];
        let mut client = Client::connect_with(&url, &headers).await.expect("connects");
        assert_eq!(
            client.request("enterForeground", json!(null)).await,
            json!({"ok": true})
        );
        client
    }

    async fn contexts(&self, id: &str) -> Vec<ClientContext> {
        let found = self.service.client(&ClientId::new(id).expect("valid")).await;
        found.unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    async fn attach(&self, id: &str, data: &Value) -> bool {
        let done = self
            .service
            .set_client_data(&ClientId::new(id).expect("valid"), Some(data))
            .await;
        done.unwrap_or_else(|error| panic!("{id}: {error}"))
    }
}

/// Replies with what came with the event: the client, its ws-node, and its data.
fn answer_whoami(adapter: &Adapter) {
    adapter.on("whoami", |event| async move {
        let forwarded: Value = event.payload.parse().expect("JSON");
        let reply = json!([forwarded["client"], forwarded["server"], forwarded["data"]]);
        event.reply(Payload::new(&reply).expect("JSON")).await.expect("sends");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_knows_the_clients_of_two_ws_nodes_and_what_it_attaches_comes_with_their_events() {
    let mut auction = Auction::start().await;
    let mut clients = [auction.client(0, "ann").await, auction.client(1, "bob").await];
    for (node, id) in [("ws-0", "ann"), ("ws-1", "bob")] {
        let found = auction.contexts(id).await;
        assert_eq!(found.len(), 1, "{id}");
        let found = serde_json::to_value(&found[0]).expect("JSON");
        assert_eq!((&found["client"], &found["server"]), (&json!(id), &json!(node)));
        assert_eq!(found["path"], "game/7");
        assert_eq!(found["params"], json!({"lang": "de", "tag": ["a", "b"]}));
        assert_eq!(found["headers"], json!({"accept-language": "de"}));
        assert_eq!(found["address"], "127.0.0.1", "a stranger's header is not believed");
        assert_eq!(found["claims"]["sub"], *id);
        assert_eq!(found.get("data"), None);
    }

    let data = |round: u32, id: &str| json!({"round": round, "of": id, "text": "a\r\nb"});
    for round in 0..6 {
        if round == 3 {
            auction.redis[0].kill();
        }
        for (n, (node, id)) in [("ws-0", "ann"), ("ws-1", "bob")].into_iter().enumerate() {
            assert!(
                auction.attach(id, &data(round, id)).await,
                "round {round}: {id} is connected"
            );
            let heard = clients[n].request("whoami", json!({})).await;
            assert_eq!(heard, json!([id, node, data(round, id)]), "round {round}");
        }
    }
    let [ann, bob] = clients;
    ann.close().await;
    until("ann is gone", || async { auction.contexts("ann").await.is_empty() }).await;
    assert!(
        !auction.attach("ann", &json!(1)).await,
        "nobody is there to attach it to"
    );
    let again = auction.client(1, "ann").await;
    let found = auction.contexts("ann").await;
    assert_eq!((found[0].server.as_str(), found[0].data.is_none()), ("ws-1", true));
    bob.close().await;
    again.close().await;
}
