//! Real Redis processes of a test's own.

use std::io::ErrorKind;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::free_port;

/// One redis-server; killed when dropped.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When redis-server is missing (says how to install it) or does not start.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// As [`Redis::start`].
    pub fn start_on(port: u16, arguments: &[&str]) -> Self {
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

    /// Its URL, with an id.
    pub fn url(&self, id: &str) -> String {
        format!("redis://127.0.0.1:{}#{id}", self.port)
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
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
