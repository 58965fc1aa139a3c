//! Secrets and what clients send reach neither traces nor metrics nor logs: the whole bundle with marked ones everywhere, all of its spans
//! and metrics sent to a collector, and everything logged. Only the audit, and lines for debugging, say which client or room it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use e2e::{Client, Process, Redis, get, send};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// In every secret, and in everything that a client or a backend says. Never in a name of a server.
const MARK: &str = "MARKED";

/// In the ids of clients and rooms, which only lines for debugging and those of the audit may have.
const NAME: &str = "ITSNAME";

const JWT_KEY: &str = "MARKEDjwtkey-0123456789abcdef-0123456789";
const TICKET_KEY: &str = "MARKEDticketkey-0123456789abcdef-0123456789";
const ADMIN_TOKEN: &str = "MARKEDadmintoken-0123456789abcdef-0123456789";
const REDIS_PASSWORD: &str = "MARKEDredispassword";
/// The base64 of a key of 24 bytes.
const WEBHOOK_KEY: &str = "whsec_MARKEDwebhookkey0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn marked_secrets_payloads_ids_and_queries_are_in_no_span_metric_or_log_line() {
    let stage = Stage::start().await;
    let token = token();
    for node in &stage.nodes {
        talk(&format!("{}?token={token}&note=MARKEDnote", node.ws())).await;
        intrude(node).await;
    }
    administer(&stage.admin).await;
    let mut shown = Vec::new();
    for process in stage.nodes.iter().chain([&stage.logic, &stage.admin]) {
        shown.push(("metrics", process.ops("/metrics").await));
        shown.push(("stats", process.ops("/stats").await));
    }
    shown.push(("audit", audit(&stage.admin).await));
    let (sent, logs) = stage.end().await;
    for expected in [
        "ws.receive",
        "publish",
        "process",
        "ws-0",
        "logic-0",
        "admin-0",
        "wsmesh_servers",
    ] {
        assert!(sent.contains(expected), "nobody sent {expected}");
    }
    let lines = logs.iter().flat_map(|log| log.lines());
    let of_audit: Vec<_> = lines.filter(|line| line.contains("\"target\":\"audit\"")).collect();
    assert!(of_audit.iter().any(|line| line.contains(NAME)), "{of_audit:?}");
    for line in of_audit {
        assert!(line.matches("\"trace_id\":").count() <= 1, "twice: {line}");
    }
    shown.extend(logs.into_iter().map(|log| ("log", log)));
    shown.push(("sent", sent));
    // Whoever logs a token may log it as it is: its parts are base64.
    let signature = token.rsplit('.').next().expect("three parts").to_uppercase();
    let found: Vec<String> = shown
        .iter()
        .flat_map(|(what, text)| text.lines().map(move |line| (what, line)))
        .filter(|(what, line)| is_told(what, &line.to_uppercase(), &signature))
        .map(|(what, line)| format!("{what}: {}", line.chars().take(600).collect::<String>()))
        .collect();
    assert!(
        found.is_empty(),
        "{} lines: {:#?}",
        found.len(),
        &found[..found.len().min(20)]
    );
}

/// Whether a line, in upper case, has something that it must not have.
fn is_told(what: &str, line: &str, signature: &str) -> bool {
    // Who debugs may see which client it is about, and the audit says to whom something was done.
    let allowed = ["\"LEVEL\":\"DEBUG\"", "\"LEVEL\":\"TRACE\"", "\"TARGET\":\"AUDIT\""];
    let may_name = what == "audit" || (what == "log" && allowed.iter().any(|part| line.contains(part)));
    line.contains(MARK) || line.contains(signature) || (line.contains(NAME) && !may_name)
}

/// A token of a marked client.
fn token() -> String {
    let claims = json!({"sub": "ITSNAMEclient", "exp": 4_000_000_000_u64, "note": "MARKEDclaim"});
    let key = jsonwebtoken::EncodingKey::from_secret(JWT_KEY.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signs")
}

/// A client does everything that a client can do, right and wrong.
async fn talk(url: &str) {
    let mut client = Client::connect(url).await;
    for (event, payload) in [
        ("echo", json!({"text": "MARKEDpayload"})),
        ("joinRoom", json!({"namespace": "chat", "roomId": "ITSNAMEroom"})),
        (
            "publish",
            json!({"namespace": "chat", "roomId": "ITSNAMEroom", "data": "MARKEDsaid"}),
        ),
        ("fails", json!({"text": "MARKEDpayload"})),
        ("works", json!({"text": "MARKEDpayload"})),
        ("gamePing", json!({"text": "MARKEDpayload"})),
        ("matchRequest", json!({"mode": "MARKEDmode"})),
        ("refreshToken", json!({"token": "MARKEDtoken"})),
        ("MARKEDevent", json!("MARKEDpayload")),
        ("joinRoom", json!({"MARKEDkey": {"MARKED": 1}})),
    ] {
        client.request(event, payload).await;
    }
    client.send("MARKED is not JSON").await;
    client.request("echo", json!({})).await;
    client.close().await;
}

/// Clients that show wrong credentials, in every way.
async fn intrude(node: &Process) {
    for (query, headers) in [
        ("token=MARKEDtoken", vec![]),
        ("token=MARKED.MARKED.MARKED", vec![]),
        ("ticket=MARKEDticket", vec![]),
        ("", vec![("authorization", "Bearer MARKEDbearer")]),
        ("", vec![("cookie", "session=MARKEDcookie")]),
        ("", vec![("sec-websocket-protocol", "wsmesh, MARKEDsubprotocol")]),
        ("", vec![("traceparent", "MARKED"), ("tracestate", "MARKED=MARKED")]),
    ] {
        let url = format!("{}MARKEDpath?{query}&MARKEDquery=MARKED", node.ws());
        let refused = Client::connect_with(&url, &headers).await;
        assert!(refused.is_err(), "{query} {headers:?} is no credential");
    }
    let page = format!("http://127.0.0.1:{}/MARKEDpage?MARKED=MARKED", node.port);
    get(&page).await.expect("an answer");
}

/// Requests to admin, with its token and with a wrong one.
async fn administer(admin: &Process) {
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", admin.port);
    let client = client();
    for (token, method, path, body) in [
        (ADMIN_TOKEN, Method::GET, "/api/v1/cluster?MARKEDquery=MARKED", None),
        (
            ADMIN_TOKEN,
            Method::POST,
            "/api/v1/nodes",
            Some(json!({"url": "redis://:MARKEDnode@127.0.0.1:1#redis-9"})),
        ),
        (
            ADMIN_TOKEN,
            Method::POST,
            "/api/v1/clients/ITSNAMEnobody/messages",
            Some(json!({"event": "said", "payload": "MARKED"})),
        ),
        ("MARKEDwrongtoken", Method::GET, "/api/v1/cluster", None),
    ] {
        let mut request = client.request(method, url(path)).bearer_auth(token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        request.send().await.expect("an answer");
    }
    send(Method::GET, &url("/api/v1/MARKED?MARKED=MARKED"), None)
        .await
        .expect("an answer");
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(20));
    builder.build().expect("a client")
}

/// Everything that was done, as admin tells it.
async fn audit(admin: &Process) -> String {
    let url = format!("http://127.0.0.1:{}/api/v1/audit", admin.port);
    let request = client().get(url).bearer_auth(ADMIN_TOKEN);
    let text = request.send().await.expect("an answer").text().await.expect("text");
    assert!(text.contains("ITSNAMEnobody"), "{text}");
    text
}

/// The bundle, and who it talks to.
struct Stage {
    nodes: Vec<Process>,
    logic: Process,
    admin: Process,
    received: Arc<Mutex<Vec<u8>>>,
    _redis: Redis,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writes");
            path
        };
        let redis = Redis::start(&["--requirepass", REDIS_PASSWORD]);
        let received = Arc::new(Mutex::new(Vec::new()));
        let collector = serve(Some(received.clone())).await;
        let backend = serve(None).await;
        let rules = file(
            "ws-node.toml",
            &rules(&backend, &file("webhook", WEBHOOK_KEY), &file("bearer", "MARKEDbearer")),
        );
        let common = [
            format!("--redis={}", redis.url("redis-0")),
            format!("--redis-password-file={}", file("redis", REDIS_PASSWORD).display()),
            "--log-level=trace".to_owned(),
            "--log-format=json".to_owned(),
        ];
        let endpoint = format!("http://me:MARKEDpassword@{collector}/?key=MARKEDkey");
        let start = |service: &str, name: &str, ratio: &str, more: &[String]| {
            let environment = [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=MARKEDheader"),
                ("OTEL_METRICS_EXPORTER", "otlp"),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ];
            let name = format!("--name={name}");
            let arguments = common.iter().chain([&name]).chain(more).map(String::as_str);
            Process::start_in(&environment, service, &arguments.collect::<Vec<_>>())
        };
        let edge = [
            format!("--config={}", rules.display()),
            format!("--jwt-key-file={}", file("jwt", JWT_KEY).display()),
            format!("--ticket-key-file={}", file("ticket", TICKET_KEY).display()),
            "--auth-cookie=session".to_owned(),
            "--allowed-origins=*".to_owned(),
        ];
        let token = format!("--token-file={}", file("admin", ADMIN_TOKEN).display());
        let mut stage = Self {
            // The second one samples nothing: only what failed or was slow is sent.
            nodes: vec![
                start("ws-node", "ws-0", "1", &edge),
                start("ws-node", "ws-1", "0", &edge),
            ],
            logic: start("game-logic", "logic-0", "1", &["--profile=demo".to_owned()]),
            admin: start("admin", "admin-0", "1", &[token]),
            received,
            _redis: redis,
            _folder: folder,
        };
        for process in stage.nodes.iter_mut().chain([&mut stage.logic, &mut stage.admin]) {
            process.ready().await;
        }
        stage
    }

    /// Stops everything. Returns all spans and metrics that were sent, and all logs.
    async fn end(self) -> (String, Vec<String>) {
        let mut logs = Vec::new();
        for process in self.nodes.into_iter().chain([self.logic, self.admin]) {
            process.signal("-TERM");
            let ended = process.ended().await;
            assert_eq!(ended.code, Some(0), "{}", ended.log);
            logs.push(ended.log);
        }
        (String::from_utf8_lossy(&self.received.lock()).into_owned(), logs)
    }
}

/// Rules to a backend that signs and logs in, and that fails with a marked text.
fn rules(backend: &str, webhook: &std::path::Path, bearer: &std::path::Path) -> String {
    let rule = |event: &str| {
        format!(
            "[[rules]]\nevent = {event:?}\nurl = \"http://{backend}/{event}?key=MARKEDkey\"\nsigning_key_file = {webhook:?}\n\
             bearer_token_file = {bearer:?}\n"
        )
    };
    let game = "[[rules]]\nevent = \"gamePing\"\nservice = \"game-logic\"\n[[rules]]\nevent = \"matchRequest\"\nservice = \"game-logic\"\n";
    let rooms = "client_rooms = [\"chat\"]\n[[namespaces]]\nname = \"chat\"\nclient_publish = true\n";
    format!("{rooms}{}{}{game}", rule("fails"), rule("works"))
}

/// A web server that takes everything. With `received` it keeps what it got; a path with "fails" is an error with a marked text.
async fn serve(received: Option<Arc<Mutex<Vec<u8>>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(BufReader::new(stream), received.clone()));
        }
    });
    address
}

async fn answer(mut stream: BufReader<TcpStream>, received: Option<Arc<Mutex<Vec<u8>>>>) -> Option<()> {
    loop {
        let (mut fails, mut length, mut line) = (false, 0, String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            fails |= line.starts_with("POST /fails");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let (status, text) = match &received {
            Some(received) => {
                received.lock().extend_from_slice(&body);
                (200, String::new())
            }
            None if fails => (500, "MARKEDfailure".to_owned()),
            None => (200, Value::from("MARKEDreply").to_string()),
        };
        let length = text.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{text}").as_bytes()).await.ok()?;
    }
}
