//! Tokens and tickets reach neither the log nor the traces: a ws-node process that logs everything and sends every trace, and
//! clients that show their credentials in every way, right and wrong.

mod common;
#[expect(dead_code, reason = "the tests of authentication use all of it")]
#[path = "auth/signer.rs"]
mod signer;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use common::{Client, until};
use signer::Signer;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TICKET_KEY: &str = "an-api-key-of-the-backend-with-32-or-more-characters";

struct Process {
    child: Child,
    listen: SocketAddr,
    ops: SocketAddr,
    log: Option<(String, BufReader<ChildStderr>)>,
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

impl Process {
    fn start(collector: SocketAddr) -> Self {
        let (jwt, tickets) = (file(SECRET), file(TICKET_KEY));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ws-node"));
        command
            .args(["--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--name=quiet"])
            .args([
                "--log-level=trace",
                "--log-format=json",
                "--auth-cookie=session",
                "--auth-by-message",
            ])
            .arg("--allowed-origins=*")
            .arg(format!("--jwt-key-file={}", jwt.path().display()))
            .arg(format!("--ticket-key-file={}", tickets.path().display()))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
            .env("OTEL_TRACES_SAMPLER", "always_on")
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut reader = BufReader::new(child.stderr.take().expect("piped"));
        let mut log = String::new();
        let started: Value = loop {
            let from = log.len();
            assert_ne!(reader.read_line(&mut log).expect("a line"), 0, "{log}");
            match serde_json::from_str::<Value>(&log[from..]) {
                Ok(line) if line["ops_listen"].is_string() => break line,
                _ => {}
            }
        };
        let address = |key: &str| {
            started[key]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("an address")
        };
        Self {
            child,
            listen: address("listen"),
            ops: address("ops_listen"),
            log: Some((log, reader)),
        }
    }

    /// Reads the log in parallel, so that a full pipe blocks nothing; all of it once the process has ended.
    fn listen_to(&mut self) -> std::thread::JoinHandle<String> {
        let (mut log, mut reader) = self.log.take().expect("once");
        std::thread::spawn(move || {
            reader.read_to_string(&mut log).expect("text");
            log
        })
    }

    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill")
                .success()
        );
        assert!(self.child.wait().expect("ends").success());
    }

    async fn connect(&self, query: &str, headers: &[(&str, &str)]) -> Option<Client> {
        let mut request = format!("ws://{}/chat?{query}", self.listen)
            .into_client_request()
            .expect("a URL");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        Some(Client::new(connect_async(request).await.ok()?.0))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
    }
}

/// A collector that keeps all traces.
async fn collector() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, kept) = (listener.local_addr().expect("bound"), Arc::<Mutex<Vec<u8>>>::default());
    let keep = kept.clone();
    let app = Router::new().fallback(async move |body: Bytes| keep.lock().extend(body));
    tokio::spawn(axum::serve(listener, app).into_future());
    (address, kept)
}

/// Over plain HTTP, by hand.
async fn ticket(ops: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = json!({"client": "ticketed"}).to_string();
    let request = format!(
        "POST /api/v1/tickets HTTP/1.0\r\nauthorization: Bearer {TICKET_KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(ops).await.expect("connects");
    stream.write_all(request.as_bytes()).await.expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answers");
    let json = answer.split("\r\n\r\n").nth(1).expect("a body");
    let answer: Value = serde_json::from_str(json).expect("JSON");
    answer["ticket"].as_str().expect("a ticket").to_owned()
}

/// Shows a token in every place of a request.
async fn show_everywhere(server: &Process, token: &str, lets_in: bool) {
    let (bearer, cookie) = (format!("Bearer {token}"), format!("session={token}"));
    let subprotocol = format!("wsmesh, bearer.{token}");
    for (query, header) in [
        (format!("token={token}"), ("x-nothing", "")),
        (String::new(), ("authorization", bearer.as_str())),
        (String::new(), ("cookie", cookie.as_str())),
        (String::new(), ("sec-websocket-protocol", subprotocol.as_str())),
    ] {
        let client = server.connect(&query, &[header]).await;
        assert_eq!(client.is_some(), lets_in, "{header:?}");
        if let Some(mut client) = client {
            client.request("refreshToken", json!({"token": token})).await;
            client
                .request("refreshToken", json!({"token": format!("{token}x")}))
                .await;
        }
    }
}

/// Shows a token in messages: correctly, and with common mistakes.
async fn say_everywhere(server: &Process, token: &str) {
    let request = json!({"event": "authenticate", "payload": {"token": token}, "callbackId": "1"});
    for text in [
        request.to_string(),
        json!({"event": "authenticate", "payload": token}).to_string(),
        json!({"event": "refreshToken", "payload": {"token": [token]}}).to_string(),
        json!({"event": "authenticate", "payload": {"token": format!("{token}x")}}).to_string(),
        json!({"event": token, "payload": token, "callbackId": "1"}).to_string(),
        json!(token).to_string(),
        token.to_owned(),
        format!("{{\"event\": {token}}}"),
    ] {
        for query in [String::new(), format!("token={token}")] {
            let mut client = server.connect(&query, &[]).await.expect("upgraded");
            client.send(text.clone()).await;
            client.send("").await;
            client.next().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_ticket_reaches_the_log_or_the_traces() {
    let (address, traces) = collector().await;
    let mut server = Process::start(address);
    let log = server.listen_to();
    let signer = Signer::secret(SECRET);
    let token = signer.token("888", json!({}));
    let bad = format!("{}AAAA", &token[..token.len() - 4]);
    show_everywhere(&server, &token, true).await;
    show_everywhere(&server, &bad, false).await;
    say_everywhere(&server, &token).await;
    let ticket = ticket(server.ops).await;
    for lets_in in [true, false] {
        let client = server.connect(&format!("ticket={ticket}"), &[]).await;
        assert_eq!(client.is_some(), lets_in);
    }
    let has = |what: &str| String::from_utf8_lossy(&traces.lock()).contains(what);
    server.stop();
    let log = log.join().expect("no panic");
    until("the traces are there", || {
        has("GET /{*path}") && has("ws.receive refreshToken")
    })
    .await;
    for level in ["DEBUG", "TRACE"] {
        assert!(log.contains(level), "everything is logged that there is");
    }
    // Each part alone would help an attacker.
    for secret in [&token, &bad, &ticket].map(|text| text.split('.').skip(1).collect::<Vec<_>>()) {
        for part in secret {
            if let Some(line) = log.lines().find(|line| line.contains(part)) {
                panic!("in the log: {line}");
            }
            assert!(!has(part), "in the traces");
        }
    }
    assert!(!log.contains(TICKET_KEY) && !log.contains(SECRET));
    assert!(!has(TICKET_KEY) && !has(SECRET));
}
