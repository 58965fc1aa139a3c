//! A backend that decides who connects and is told what happens, over real Redis: also when it was away, and when a ws-node is
//! killed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{Client, Process, Redis, until};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_without_any_library_decides_who_connects_and_misses_nothing() {
    let backend = Backend::start().await;
    let mut redis = [Redis::start(&[]), Redis::start(&[])];
    let config = config(backend.address);
    let mut nodes: Vec<Process> = (0..2)
        .map(|index| start(&redis, "ws-node", &format!("ws-{index}"), &config))
        .collect();
    let mut admin = start(&redis, "admin", "admin-0", &["--profile=demo".to_owned()]);
    for process in nodes.iter_mut().chain([&mut admin]) {
        process.ready().await;
    }

    // The consumer of the events is away while the clients come.
    backend.is_away.store(true, Ordering::SeqCst);
    let mut clients = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        for number in 0..CLIENTS {
            clients.push(Client::connect(&format!("{}?name=c{index}-{number}", node.ws())).await);
        }
        let refused = Client::try_connect(&format!("{}?name=mallory", node.ws())).await;
        assert!(refused.is_err_and(|error| error.contains("403")));
    }
    until("each server has tried to tell", || async {
        let servers: BTreeSet<_> = backend
            .events
            .lock()
            .iter()
            .map(|event| event["source"].to_string())
            .collect();
        servers.len() == 2
    })
    .await;
    backend.is_away.store(false, Ordering::SeqCst);
    until("everything is told", || async { backend.taken().len() == 4 * CLIENTS }).await;
    for (client, kinds) in backend.by_client() {
        assert_eq!(kinds, ["connected", "joined"], "{client}");
    }

    // Each server tells the others at once that it no longer hears this Redis, and how many clients it has by now.
    redis[1].kill();
    until("the others know that ws-1 hears one Redis", || async {
        hears_only(&admin.get("/api/v1/cluster").await, "ws-1", "redis-0")
    })
    .await;
    nodes.pop().expect("ws-1").kill().await;
    until("its loss is told", || async { !backend.lost().is_empty() }).await;
    let lost = backend.lost();
    assert_eq!(lost.len(), 1, "{lost:#?}");
    assert_eq!(
        (&lost[0]["subject"], &lost[0]["data"]),
        (&json!("ws-1"), &json!({"server": "ws-1", "clients": CLIENTS}))
    );

    nodes[0].signal("-TERM");
    let ended = nodes.pop().expect("ws-0");
    let leaving = clients
        .drain(..CLIENTS)
        .map(|mut client| async move { client.closed().await });
    let (codes, ended) = tokio::join!(futures_util::future::join_all(leaving), ended.ended());
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(
        codes
            .iter()
            .all(|closed| closed.as_ref().is_some_and(|(code, _)| *code == 1012))
    );
    let by_client = backend.by_client();
    for number in 0..CLIENTS {
        let kinds = &by_client[&format!("c0-{number}")];
        assert_eq!(*kinds, ["connected", "joined", "left", "disconnected"], "c0-{number}");
    }
}

/// The arguments for a ws-node in production, whose only key is the backend.
fn config(backend: SocketAddr) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    let text = format!(
        r#"
        [connect]
        url = "http://{backend}/connect"
        [[watch]]
        url = "http://{backend}/events"
        events = ["connected", "disconnected", "joined", "left"]
        breaker_failures = 0
        "#
    );
    file.write_all(text.as_bytes()).expect("writes");
    // Read by processes that start later, and too small to matter.
    let (_, path) = file.keep().expect("stays");
    vec![format!("--config={}", path.display())]
}

fn start(redis: &[Redis], service: &str, name: &str, more: &[String]) -> Process {
    let mut arguments = vec![format!("--name={name}")];
    for (index, redis) in redis.iter().enumerate() {
        arguments.push(format!("--redis={}", redis.url(&format!("redis-{index}"))));
    }
    arguments.extend(more.iter().cloned());
    Process::start(service, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether this server, somewhere in the value, hears this Redis and no other.
fn hears_only(value: &Value, server: &str, node: &str) -> bool {
    match value {
        Value::Object(map) => {
            let is_it = map.get("name").is_some_and(|found| found == server);
            is_it && map.get("heard").is_some_and(|heard| *heard == json!([node]))
                || map.values().any(|value| hears_only(value, server, node))
        }
        Value::Array(list) => list.iter().any(|value| hears_only(value, server, node)),
        _ => false,
    }
}

/// A backend by hand: knows everyone but Mallory, and writes down what it is told.
struct Backend {
    address: SocketAddr,
    is_away: Arc<AtomicBool>,
    /// Also those that it did not take.
    events: Arc<Mutex<Vec<Value>>>,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let backend = Self {
            address: listener.local_addr().expect("bound"),
            is_away: Arc::default(),
            events: Arc::default(),
            taken: Arc::default(),
        };
        let (is_away, events, taken) = (backend.is_away.clone(), backend.events.clone(), backend.taken.clone());
        let answer = Arc::new(move |path: &str, body: Value| match path {
            "/connect" if body["params"]["name"] == "mallory" => (403, String::new()),
            "/connect" => (
                200,
                json!({"client": body["params"]["name"], "joinRooms": ["chat:lobby"]}).to_string(),
            ),
            _ => {
                let batch = body.as_array().cloned().unwrap_or_default();
                events.lock().extend(batch.iter().cloned());
                if is_away.load(Ordering::SeqCst) {
                    return (503, String::new());
                }
                taken.lock().extend(batch);
                (204, String::new())
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone()));
            }
        });
        backend
    }

    /// What it took, each event once.
    fn taken(&self) -> Vec<Value> {
        let mut seen = BTreeSet::new();
        let taken = self.taken.lock().clone().into_iter();
        taken
            .filter(|event| seen.insert((event["source"].to_string(), event["id"].to_string())))
            .collect()
    }

    /// The types of what it took, by client.
    fn by_client(&self) -> BTreeMap<String, Vec<String>> {
        let mut by_client: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in self.taken() {
            if let Some(kind) = event["type"]
                .as_str()
                .and_then(|kind| kind.strip_prefix("io.wsmesh.client."))
            {
                let client = event["subject"].as_str().expect("a client").to_owned();
                by_client.entry(client).or_default().push(kind.to_owned());
            }
        }
        by_client
    }

    /// The servers that it was told are lost.
    fn lost(&self) -> Vec<Value> {
        let taken = self.taken().into_iter();
        taken.filter(|event| event["type"] == "io.wsmesh.server.lost").collect()
    }
}

/// Answers the requests of one connection: HTTP/1.1, a body with a length.
async fn serve(stream: TcpStream, answer: Arc<impl Fn(&str, Value) -> (u16, String)>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0, String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            if let Some(rest) = line.strip_prefix("POST ") {
                path = rest.split(' ').next()?.to_owned();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let (status, body) = answer(&path, serde_json::from_slice(&body).ok()?);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    }
}
