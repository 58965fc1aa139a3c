//! One service as a process: its ports, its log, its end.

use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use wsmesh_test_support::ports;

use crate::binaries::binary;
use crate::{get, send, soon, until};

/// A port that was free a moment ago.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    ports::free_port().expect("a free port")
}

/// One running service; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Its public port, on 127.0.0.1.
    pub port: u16,
    /// Its port for probes and metrics.
    pub ops_port: u16,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything that it wrote to stdout and stderr.
    pub log: String,
}

impl Process {
    /// Starts a service with free ports and these arguments, without settings from the test's own environment.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(service: &str, arguments: &[&str]) -> Self {
        Self::start_in(&[], service, arguments)
    }

    /// As [`Process::start`], with these variables.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_in(variables: &[(&str, &str)], service: &str, arguments: &[&str]) -> Self {
        let (port, ops_port) = (free_port(), free_port());
        let listen = [
            format!("--listen=127.0.0.1:{port}"),
            format!("--ops-listen=127.0.0.1:{ops_port}"),
        ];
        let mut process = Self::launch(
            variables,
            service,
            listen.iter().map(String::as_str).chain(arguments.iter().copied()),
        );
        (process.port, process.ops_port) = (port, ops_port);
        process
    }

    /// Starts a service with exactly these arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_bare<'a>(service: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self::launch(&[], service, arguments)
    }

    fn launch<'a>(variables: &[(&str, &str)], service: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut command = Command::new(binary(service));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WSMESH_") || name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command.envs(variables.iter().copied());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{service} does not start: {error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            tokio::spawn(collect(child.stdout.take().expect("piped"), log.clone())),
            tokio::spawn(collect(child.stderr.take().expect("piped"), log.clone())),
        ];
        Self {
            child,
            port: 0,
            ops_port: 0,
            log,
            readers,
        }
    }

    /// What it wrote so far to stdout and stderr.
    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Waits until it is ready and hears a Redis node. An admin is ready before.
    ///
    /// # Panics
    /// When it does not become ready, or ends; the message contains its log.
    pub async fn ready(&mut self) -> &mut Self {
        let url = format!("http://127.0.0.1:{}/readyz", self.ops_port);
        let start = std::time::Instant::now();
        loop {
            if let Ok(answer) = get(&url).await
                && answer.text().await.is_ok_and(|text| text == "ready\n")
            {
                return self;
            }
            let ended = self.child.try_wait().expect("its state can be asked");
            assert!(
                ended.is_none() && start.elapsed() < crate::SOON,
                "not ready ({ended:?}):\n{}",
                self.log()
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Sends a GET request to its public port and returns the JSON answer.
    ///
    /// # Panics
    /// When there is no JSON answer.
    pub async fn get(&self, path: &str) -> Value {
        self.exchange(Method::GET, path, None).await
    }

    /// Posts JSON to its public port and returns the JSON answer.
    ///
    /// # Panics
    /// When there is no JSON answer.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.exchange(Method::POST, path, Some(body)).await
    }

    /// Sends a DELETE request to its public port and returns the JSON answer.
    ///
    /// # Panics
    /// When there is no JSON answer.
    pub async fn delete(&self, path: &str) -> Value {
        self.exchange(Method::DELETE, path, None).await
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let response = soon(path, send(method, &url, body))
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        response.json().await.unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    /// Returns the text of one of its ops routes.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn ops(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.ops_port);
        let response = soon(path, get(&url))
            .await
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        response.text().await.expect("text")
    }

    /// The URL that its clients connect to.
    pub fn ws(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Sends it a signal, for example `-TERM`.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill {signal} {pid}");
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(mut self) -> Ended {
        let status = soon("the process ends", self.child.wait())
            .await
            .expect("its end can be waited for");
        for reader in self.readers.drain(..) {
            soon("its output ends", reader).await.expect("reading does not panic");
        }
        Ended {
            code: status.code(),
            log: self.log(),
        }
    }

    /// Waits until its log contains a text.
    ///
    /// # Panics
    /// When that takes longer than [`SOON`](crate::SOON).
    pub async fn logs(&self, text: &str) {
        until(&format!("the log says {text:?}"), || async {
            self.log().contains(text)
        })
        .await;
    }
}

async fn collect(stream: impl AsyncRead + Unpin, log: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock();
        log.push_str(&line);
        log.push('\n');
    }
}
