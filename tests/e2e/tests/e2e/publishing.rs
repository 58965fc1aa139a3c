//! Clients that publish to rooms without a service, over two ws-nodes and real Redis, also while a Redis dies.

use std::path::Path;

use e2e::{Client, Process, Redis, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What both ws-nodes allow: members publish to "chat" and "quiet"; "notes" only with a token.
const CONFIG: &str = r#"
client_rooms = ["chat", "quiet", "notes"]

[[namespaces]]
name = "chat"
client_publish = true
publish_bytes = 100
publish_per_second = 1000000
publish_burst = 1000000

[[namespaces]]
name = "quiet"
client_publish = true
echo_to_sender = false
publish_per_second = 1
publish_burst = 1

[[namespaces]]
name = "notes"
"#;

struct Stage {
    redis: Vec<Redis>,
    nodes: Vec<Process>,
    key: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.to_str().expect("a plain path").to_owned()
        };
        let (config, key) = (
            write("config.toml", CONFIG),
            write("key", &"0123456789abcdef".repeat(4)),
        );
        let redis: Vec<Redis> = (0..2).map(|_| Redis::start(&[])).collect();
        let mut nodes: Vec<Process> = (0..2).map(|index| node(&redis, index, &config, &key)).collect();
        for node in &mut nodes {
            node.ready().await;
        }
        for node in &nodes {
            until("the ws-nodes know each other", || async {
                let metrics = node.ops("/metrics").await;
                metrics
                    .lines()
                    .any(|line| line.starts_with("wsmesh_servers{") && line.ends_with(" 2"))
            })
            .await;
        }
        Self {
            redis,
            nodes,
            key,
            _folder: folder,
        }
    }

    /// A client that is in this room.
    async fn member(&self, node: usize, id: &str, namespace: &str) -> Client {
        let token = token(&self.key, id, &json!({}));
        let mut client = Client::connect(&format!("{}?token={token}", self.nodes[node].ws())).await;
        let room = json!({"namespace": namespace, "roomId": "1"});
        assert_eq!(client.request("joinRoom", room).await, json!({"msg": "joined"}));
        client
    }
}

fn node(redis: &[Redis], index: usize, config: &str, key: &str) -> Process {
    let mut arguments = vec![
        format!("--name=ws-{index}"),
        // The first has a single shard; its adapter runs on the same thread.
        format!("--shards={}", index + 1),
        format!("--config={config}"),
        format!("--jwt-key-file={key}"),
        "--events-per-second=0".to_owned(),
    ];
    for (number, redis) in redis.iter().enumerate() {
        arguments.push(format!("--redis={}", redis.url(&format!("redis-{number}"))));
    }
    Process::start("ws-node", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A token with these claims, signed with the key in this file.
fn token(key: &str, id: &str, more: &Value) -> String {
    let secret = std::fs::read(Path::new(key)).expect("the key");
    let mut claims = json!({"sub": id, "exp": 4_102_444_800_u64});
    for (name, value) in more.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    let encoding = jsonwebtoken::EncodingKey::from_secret(&secret);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &encoding).expect("signs")
}

async fn publish(client: &mut Client, namespace: &str, data: Value) -> String {
    let message = json!({"namespace": namespace, "roomId": "1", "data": data});
    let reply = client.request("publish", message).await;
    reply["errorCode"].as_str().unwrap_or("ok").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_or_the_token_decides_who_publishes_and_how_much() {
    let stage = Stage::start().await;
    let (mut ann, mut bob) = (
        stage.member(0, "ann", "chat").await,
        stage.member(1, "bob", "chat").await,
    );
    let forged = json!({"from": "admin", "event": "price"});
    assert_eq!(publish(&mut ann, "chat", forged.clone()).await, "ok");
    let expected = json!({"namespace": "chat", "roomId": "1", "from": "ann", "data": forged});
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.push("roomMessage").await, expected);
    }
    assert_eq!(publish(&mut ann, "chat", json!("x".repeat(99))).await, "TOO_BIG");
    assert_eq!(publish(&mut ann, "quiet", json!("not a member")).await, "NOT_ALLOWED");

    let mut reader = stage.member(1, "reader", "notes").await;
    assert_eq!(publish(&mut reader, "notes", json!("no")).await, "NOT_ALLOWED");
    let editor = token(&stage.key, "editor", &json!({"publish": ["notes:*"]}));
    let mut editor = Client::connect(&format!("{}?token={editor}", stage.nodes[0].ws())).await;
    assert_eq!(publish(&mut editor, "notes", json!("yes")).await, "ok");
    assert_eq!(reader.push("roomMessage").await["from"], "editor");
    assert_eq!(publish(&mut editor, "chat", json!("no")).await, "NOT_ALLOWED");

    let (mut cat, mut dan) = (
        stage.member(0, "cat", "quiet").await,
        stage.member(1, "dan", "quiet").await,
    );
    assert_eq!(publish(&mut cat, "quiet", json!("hush")).await, "ok");
    assert_eq!(dan.push("roomMessage").await["data"], "hush");
    let mut answers = Vec::new();
    while !answers.contains(&"RATE_LIMITED".to_owned()) {
        answers.push(publish(&mut dan, "quiet", json!("too fast")).await);
    }
    assert_eq!(answers[0], "ok");
    assert_eq!(
        cat.push("roomMessage").await["from"],
        "dan",
        "its own message did not come before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_each_sender_arrive_in_order_and_once_at_every_member_while_a_redis_dies() {
    const MESSAGES: u64 = 200;
    let mut stage = Stage::start().await;
    let mut senders = [stage.member(0, "s0", "chat").await, stage.member(1, "s1", "chat").await];
    let mut readers = vec![stage.member(0, "r0", "chat").await, stage.member(1, "r1", "chat").await];
    for number in 0..MESSAGES {
        if number == MESSAGES / 2 {
            stage.redis[0].kill();
        }
        let published = senders.iter_mut().map(|sender| publish(sender, "chat", json!(number)));
        assert_eq!(join_all(published).await, ["ok", "ok"]);
    }
    for reader in &mut readers {
        let mut of: [Vec<u64>; 2] = Default::default();
        for _ in 0..2 * MESSAGES {
            let message = reader.push("roomMessage").await;
            let sender = if message["from"] == "s0" { 0 } else { 1 };
            of[sender].push(message["data"].as_u64().expect("a number"));
        }
        for mut numbers in of {
            // What the dead Redis had taken is sent again, and may come late; but everything comes, once.
            numbers.sort_unstable();
            assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
        }
        reader.nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_one_sender_arrive_in_the_order_of_sending() {
    const MESSAGES: u64 = 500;
    let stage = Stage::start().await;
    let mut ann = stage.member(0, "ann", "chat").await;
    let mut bob = stage.member(1, "bob", "chat").await;
    for number in 0..MESSAGES {
        ann.event("publish", json!({"roomId": "1", "data": number})).await;
    }
    for client in [&mut ann, &mut bob] {
        for number in 0..MESSAGES {
            assert_eq!(client.push("roomMessage").await["data"], number);
        }
    }
}
