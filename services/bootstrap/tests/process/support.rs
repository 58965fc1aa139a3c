//! The example service as a process, and requests to it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::TcpSocket;
use wsmesh_bootstrap::probe::{self, Answer};

/// Longest wait of these tests: only something broken takes longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for a process to end: more than its grace period.
const END_LIMIT: Duration = Duration::from_secs(60);

/// The example, without environment variables that could change its behaviour.
pub(crate) fn greeter() -> Command {
    let mut path = std::env::current_exe().expect("this test's path");
    path.pop();
    path.pop();
    path.push("examples/greeter");
    assert!(
        path.exists(),
        "build it first: cargo build -p wsmesh-bootstrap --example greeter"
    );
    let mut command = Command::new(path);
    command.env_clear();
    command
}

/// A URL where nobody listens. The port stays taken as long as the socket lives, so that nobody else begins to.
pub(crate) fn nobody() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    (format!("http://{}", socket.local_addr().expect("bound")), socket)
}

pub(crate) fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    (
        status.code(),
        String::from_utf8(stdout).expect("text"),
        String::from_utf8(stderr).expect("text"),
    )
}

/// A running greeter; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    /// The lines of its log, as long as the test reads them.
    pub(crate) lines: Option<std::io::Lines<BufReader<ChildStderr>>>,
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Running {
    /// Starts it on free ports in the demo profile and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.args([
            "--profile",
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        // Other threads may log before it does, if everything is logged.
        let mut next = || {
            let line = lines.next().expect("a line").expect("text");
            serde_json::from_str::<serde_json::Value>(&line).expect("JSON, as stderr is not a terminal")
        };
        let line = loop {
            let line = next();
            if line["listen"].is_string() {
                break line;
            }
            assert!(
                line["level"] == "TRACE" || line["level"] == "DEBUG",
                "before it listens: {line}"
            );
        };
        let address = |key: &str| line[key].as_str().expect(key).parse().expect("an address");
        let (public, ops) = (address("listen"), address("ops_listen"));
        Self {
            child,
            lines: Some(lines),
            public,
            ops,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    pub(crate) fn log_lines(&mut self) -> impl Iterator<Item = String> {
        let lines = self.lines.as_mut().expect("somebody reads");
        lines.map(|line| line.expect("text"))
    }

    /// Waits for the end. Returns its exit code and the rest of its log.
    ///
    /// # Panics
    /// When it has not ended in time; it is killed then.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let lines = self.lines.take().expect("somebody reads");
        let (send, read) = mpsc::channel();
        std::thread::spawn(move || {
            let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
            let _too_late = send.send(rest.join("\n"));
        });
        // Its log ends with it.
        let rest = read.recv_timeout(END_LIMIT).expect("the process did not end in time");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let answer = runtime
        .expect("starts")
        .block_on(probe::get(address, path, LIMIT, 1 << 20));
    let Answer { status, text } = answer.expect("an answer");
    (status, text)
}
