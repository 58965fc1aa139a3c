//! A real Redis process of a test's own.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// One redis-server; killed when dropped.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts one on a free port, with more arguments if wanted.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        // Below the range that the system takes for outgoing connections.
        let drawn = (0..200).map(|_| rand::random_range(10_000..32_000));
        let mut free = drawn.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        Self::start_on(free.next().expect("a free port"), arguments)
    }

    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("redis-server is missing: install it (Debian: apt-get install redis-server), or run `make test`")
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        };
        let redis = Self {
            child,
            port,
            _folder: folder,
        };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "redis-server does not listen on {port}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        redis
    }

    pub(crate) fn url(&self, id: &str) -> String {
        format!("redis://127.0.0.1:{}#{id}", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill {signal}");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
