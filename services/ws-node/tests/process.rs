//! A ws-node as a process: its limit of open files, and its output.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_ws-node");
const LIMIT: Duration = Duration::from_secs(30);
const UPGRADE: &str = "HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    started: Value,
}

impl Running {
    /// Starts it in the demo profile, with these soft and hard limits of open files.
    fn with_open_files(soft: u32, hard: u32) -> Self {
        let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, BINARY, "--profile=demo", "--name=small", "--shards=2"])
            .args(["--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0"])
            .args(["--log-format=json", "--worker-threads=2"])
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let started = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("a line"), 0, "it ended");
            match serde_json::from_str::<Value>(&line) {
                Ok(line) if line["ops_listen"].is_string() => break line,
                _ => {}
            }
        };
        Self { child, log, started }
    }

    fn address(&self, key: &str) -> SocketAddr {
        let text = self.started[key].as_str().expect("text");
        text.parse().expect("an address")
    }

    fn connect(&self, key: &str) -> TcpStream {
        let stream = TcpStream::connect(self.address(key)).expect("connects");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream
    }

    /// Sends a request to the ops port; returns the body of the answer.
    fn ask(&self, path: &str) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let asking = wsmesh_bootstrap::probe::get(self.address("ops_listen"), path, LIMIT, 1 << 20);
        let answer = runtime.expect("starts").block_on(asking);
        answer.expect("answered in time").text
    }

    /// Ends it; returns its output.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success());
        let mut said = String::new();
        self.log.read_to_string(&mut said).expect("text");
        assert!(self.child.wait().expect("ends").success(), "{said}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The head of the answer to an upgrade.
fn upgrade(stream: &mut TcpStream, id: usize) -> String {
    write!(stream, "GET /?id=client-{id} {UPGRADE}").expect("asked");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(
            stream.read(&mut byte).expect("an answer in time"),
            1,
            "it hung up on {id}"
        );
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text").to_lowercase()
}

#[test]
fn the_limit_of_open_files_is_raised_and_files_never_run_out_however_many_connect() {
    let server = Running::with_open_files(100, 300);
    assert_eq!(server.started["open_files"], 300, "{}", server.started);
    let stats: Value = serde_json::from_str(&server.ask("/stats")).expect("JSON");
    let most = stats["maxConnections"].as_u64().expect("a number");
    assert!((100..200).contains(&most), "{most}");
    let (mut kept, mut taken) = (Vec::new(), 0);
    for id in 0..250 {
        let mut stream = server.connect("listen");
        let head = upgrade(&mut stream, id);
        if head.starts_with("http/1.1 101") {
            taken += 1;
            kept.push(stream);
        } else {
            assert!(
                head.starts_with("http/1.1 503") && head.contains("retry-after: "),
                "{head}"
            );
        }
    }
    assert_eq!(taken, most);
    // More connections that send nothing, on both ports.
    for _ in 0..100 {
        kept.push(server.connect("listen"));
        kept.push(server.connect("ops_listen"));
    }
    assert!(upgrade(&mut server.connect("listen"), 1000).starts_with("http/1.1 503"));
    assert_eq!(server.ask("/livez"), "alive\n");
    let ops = format!("--ops-listen={}", server.address("ops_listen"));
    let healthy = Command::new(BINARY).args(["healthcheck", &ops]).status().expect("runs");
    assert!(healthy.success());
    let said = server.end();
    assert!(said.contains("fewer than --max-connections"), "{said}");
    assert!(!said.contains("cannot accept"), "{said}");
}

#[test]
fn the_token_command_survives_a_closed_stdout_and_fails_if_it_cannot_write() {
    let mut key = tempfile::NamedTempFile::new().expect("a file");
    key.write_all(b"0123456789abcdef0123456789abcdef").expect("written");
    let token = |stdout: Stdio| {
        let key = format!("--jwt-key-file={}", key.path().display());
        let mut command = Command::new(BINARY);
        command.args(["token", "--id=888", &key]).stdout(stdout);
        let output = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts")
            .wait_with_output();
        let output = output.expect("ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(token(writer.into()), (Some(0), String::new()));
    let full = File::options().write(true).open("/dev/full").expect("a full device");
    let (code, said) = token(full.into());
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write to stdout"), "{said}");
}
