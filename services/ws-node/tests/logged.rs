//! The log at level debug shows the life of a connection: when it came, when its client was logged in, how and why it ended.

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::Client;
use serde_json::{Value, json};

struct Process {
    child: Child,
    log: mpsc::Receiver<String>,
}

/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(30);

impl Process {
    fn start() -> (Self, SocketAddr) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ws-node"));
        command
            .args(["--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--name=talking"])
            .args(["--profile=demo", "--log-level=info,ws_node=debug", "--log-format=json"])
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let reader = BufReader::new(child.stderr.take().expect("piped"));
        let (lines, log) = mpsc::channel();
        // Ends with the process.
        std::thread::spawn(move || {
            reader
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| lines.send(line))
        });
        let mut process = Self { child, log };
        let started = process.line(|line| line["listen"].is_string());
        let address = started["listen"].as_str().expect("text").parse().expect("an address");
        (process, address)
    }

    /// The next line that matches.
    fn line(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("a line that is wanted");
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if is_wanted(&line) => return line,
                _ => {}
            }
        }
    }

    /// The next line with this message.
    fn log_line(&mut self, message: &str) -> Value {
        self.line(|line| line["message"] == message || line["fields"]["message"] == message)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A field of a line, at the top or in `fields`.
fn field<'a>(line: &'a Value, name: &str) -> &'a Value {
    match &line[name] {
        Value::Null => &line["fields"][name],
        value => value,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_connection_login_and_end_are_logged_with_reason_and_duration() {
    let (mut process, address) = Process::start();
    let url = format!("ws://{address}/secret-path?id=ann&password=hidden");
    let mut first = Client::connect(&url).await.expect("upgrades").settled().await;
    let second = Client::connect(&url).await.expect("upgrades").settled().await;
    assert_eq!(first.close_code().await, Some(4012));
    for _ in 0..2 {
        let connected = process.log_line("a client is connected");
        assert_eq!(field(&connected, "client"), "ann");
        assert!(field(&connected, "handshake_ms").is_u64(), "{connected}");
        let logged_in = process.log_line("a client is logged in");
        assert_eq!(
            (field(&logged_in, "client"), field(&logged_in, "connection")),
            (&json!("ann"), field(&connected, "connection"))
        );
    }
    let replaced = process.log_line("a client's connection has ended");
    assert_eq!(
        ["client", "by", "code", "reason"].map(|name| field(&replaced, name).clone()),
        [
            json!("ann"),
            json!("server"),
            json!(4012),
            json!("newer login of the same id")
        ]
    );
    assert!(field(&replaced, "duration_ms").is_u64(), "{replaced}");
    drop(second);
    let lost = process.log_line("a client's connection has ended");
    assert_eq!(
        (field(&lost, "by"), field(&lost, "code")),
        (&json!("client"), &Value::Null)
    );
    let rejected = Client::connect(&format!("ws://{address}/")).await;
    assert!(rejected.is_err());
    let rejected = process.log_line("an upgrade was rejected");
    assert_eq!(
        (field(&rejected, "status"), field(&rejected, "reason")),
        (&json!(400), &json!("bad_request"))
    );
    for line in [replaced, lost, rejected] {
        let line = line.to_string();
        assert!(
            !line.contains("hidden") && !line.contains("secret-path") && !line.contains("127.0.0.1"),
            "{line}"
        );
    }
}
