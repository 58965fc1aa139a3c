//! The Rust SDK and a real ws-node: rooms over a restart, tokens and their renewal.

use std::path::Path;
use std::time::Duration;

use e2e::{Process, SOON, free_port, soon};
use serde_json::{Value, json};
use wsmesh_connector::{Client, ConnectionError, Connector, End, Lifecycle, Options, State, TokenIn};

/// A ws-node without other servers, on this port.
async fn start_node(port: u16, more: &[&str]) -> Process {
    let listen = format!("--listen=127.0.0.1:{port}");
    let arguments = [
        &listen,
        "--ops-listen=none",
        "--profile=demo",
        "--reconnect-spread=300ms",
    ];
    let node = Process::start_bare("ws-node", arguments.into_iter().chain(more.iter().copied()));
    node.logs("accepting clients").await;
    node
}

fn options(port: u16) -> Options {
    let mut options = Options::new(format!("ws://127.0.0.1:{port}/chat"));
    options.fast_reconnect_interval = Duration::from_millis(500);
    options.request_timeout = SOON;
    options
}

async fn open(options: Options) -> Client {
    let (client, task) = Connector::new(options).expect("options that work");
    tokio::spawn(task.run());
    soon("open", client.opened()).await.expect("open");
    client
}

fn to_room(msg: &str) -> Value {
    json!({"action": "toRoom", "roomId": "1000", "msg": msg})
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_sdk_reconnect_to_a_restarted_ws_node_and_are_in_their_room_again() {
    let port = free_port();
    let node = start_node(port, &[]).await;
    let a = open(options(port).param("id", "a")).await;
    let mut of_b = options(port).param("id", "b");
    of_b.offline_queue = 1;
    let b = open(of_b).await;
    b.join_room("1000").await.expect("joined");
    let (mut says, mut lifecycle) = (b.on("say"), b.lifecycle());
    a.request("command", &to_room("hi")).await.expect("sent");
    let say = soon("the message", says.recv()).await.expect("listening");
    assert_eq!(say.payload.json::<Value>().expect("JSON")["msg"], "hi");

    node.signal("-TERM");
    let delay = loop {
        match soon("what the restart tells", lifecycle.recv()).await.expect("it runs") {
            Lifecycle::Ended(error) => {
                assert!(
                    matches!(&error, ConnectionError::Closed { code, .. } if u16::from(*code) == 1012),
                    "{error}"
                );
                break error
                    .retry_after()
                    .expect("a restarting ws-node says when to come back");
            }
            _ => continue,
        }
    };
    assert!(delay <= Duration::from_millis(300), "{delay:?}");
    assert_eq!(node.ended().await.code, Some(0));
    let to_itself = json!({"action": "toPlayer", "toPlayerId": "b", "msg": "kept"});
    b.emit("command", &to_itself).await.expect("kept");
    let _node = start_node(port, &[]).await;
    soon("back", a.opened()).await.expect("open");
    soon("back", b.opened()).await.expect("open");
    let say = soon("what was kept", says.recv()).await.expect("listening");
    assert_eq!(say.payload.json::<Value>().expect("JSON")["msg"], "kept");
    let back = async {
        loop {
            // This reaches nobody until the ws-node has let b into its room.
            a.request("command", &to_room("again")).retry().await.expect("sent");
            if let Ok(say) = tokio::time::timeout(Duration::from_millis(100), says.recv()).await {
                return say.expect("listening");
            }
        }
    };
    let say = soon("b is in its room again", back).await;
    assert_eq!(say.payload.json::<Value>().expect("JSON")["msg"], "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_sdk_that_knows_two_ws_nodes_connects_to_the_other_when_its_own_is_stopped() {
    let ports = [free_port(), free_port()];
    let first = start_node(ports[0], &[]).await;
    let _second = start_node(ports[1], &[]).await;
    let [one, other] = ports.map(|port| format!("ws://127.0.0.1:{port}/chat"));
    let client = open(options(ports[0]).or_url(&other).param("id", "a")).await;
    assert_eq!(client.url(), one);
    client.join_room("1000").await.expect("joined");
    let mut lifecycle = client.lifecycle();
    first.signal("-TERM");
    let again = async { while !matches!(lifecycle.recv().await.expect("it runs"), Lifecycle::Opened) {} };
    soon("open again", again).await;
    assert_eq!(client.url(), other);
    let mut says = client.on("say");
    let back = async {
        loop {
            // This reaches nobody until the ws-node has let the client into its room.
            client
                .request("command", &to_room("again"))
                .retry()
                .await
                .expect("sent");
            if let Ok(say) = tokio::time::timeout(Duration::from_millis(100), says.recv()).await {
                return say.expect("listening");
            }
        }
    };
    let say = soon("the room's message", back).await;
    assert_eq!(say.payload.json::<Value>().expect("JSON")["msg"], "again");
    assert_eq!(first.ended().await.code, Some(0));
}

fn token(key: &str, id: &str, ttl: &str) -> impl Future<Output = Result<String, std::io::Error>> + use<> {
    let key = format!("--jwt-key-file={key}");
    let making = Process::start_bare("ws-node", ["token", "--id", id, "--ttl", ttl, &key]);
    async move {
        let made = making.ended().await;
        if made.code == Some(0) {
            Ok(made.log.trim().to_owned())
        } else {
            Err(std::io::Error::other(made.log))
        }
    }
}

fn key_file(folder: &Path) -> String {
    let path = folder.join("key");
    std::fs::write(&path, "0123456789abcdef".repeat(4)).expect("written");
    path.to_str().expect("a plain path").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_authenticates_a_client_and_its_renewal_keeps_the_connection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = key_file(folder.path());
    let port = free_port();
    let flag = format!("--jwt-key-file={key}");
    let _node = start_node(port, &[&flag, "--auth-by-message", "--jwt-leeway=0s"]).await;
    for token_in in [TokenIn::Header, TokenIn::Query, TokenIn::Message] {
        let mut of_a = options(port).token({
            let key = key.clone();
            move || token(&key, "a", "3s")
        });
        of_a.token_in = token_in;
        let mut of_b = of_a.clone().token({
            let key = key.clone();
            move || token(&key, "b", "1h")
        });
        of_b.token_in = token_in;
        let (a, b) = (open(of_a).await, open(of_b).await);
        let mut says = b.on("say");
        // A connection is open a moment before other servers know its client.
        b.request("echo", &1).await.expect("served");
        let to_b = json!({"action": "toPlayer", "toPlayerId": "b", "msg": "hi"});
        let sent = a.request("command", &to_b).await.expect("sent");
        assert_eq!(sent.as_str(), r#"{"msg":"sent"}"#, "{token_in:?}");
        soon("the message", says.recv()).await.expect("listening");

        let mut lifecycle = a.lifecycle();
        let (began, mut ended) = (std::time::Instant::now(), None);
        while began.elapsed() < Duration::from_secs(5) {
            let renewed = a.refresh_token().await.expect("renewed");
            let left = renewed.json::<Value>().expect("JSON")["expiresInMs"].as_u64();
            assert!(left.is_some_and(|left| left <= 3000), "{renewed}");
            ended = tokio::time::timeout(Duration::from_secs(1), lifecycle.recv())
                .await
                .ok();
        }
        assert!(a.is_open(), "{token_in:?}: it outlived its first token: {ended:?}");
        a.close().await;
        b.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_token_closes_the_client_for_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let flag = format!("--jwt-key-file={}", key_file(folder.path()));
    let port = free_port();
    let _node = start_node(port, &[&flag, "--auth-by-message"]).await;
    for token_in in [TokenIn::Header, TokenIn::Message] {
        let mut options = options(port).token(|| async { Ok::<_, std::io::Error>("nonsense".to_owned()) });
        options.token_in = token_in;
        let (client, task) = Connector::new(options).expect("options that work");
        let _task = tokio::spawn(task.run());
        let end = soon("its end", client.opened()).await.expect_err("not let in");
        match (&end, token_in) {
            (End::Failed(ConnectionError::Refused { status: 401, .. }), TokenIn::Header) => {}
            (End::Failed(ConnectionError::Closed { code, .. }), _) if u16::from(*code) == 4011 => {}
            (End::Failed(ConnectionError::Unauthenticated { .. }), TokenIn::Message) => {}
            _ => panic!("{token_in:?}: {end}"),
        }
        assert!(matches!(*client.state().borrow(), State::Closed(_)));
    }
}
