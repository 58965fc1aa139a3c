//! A real redis-server of a run's own, which can be killed, stopped, woken and started again on its port.

use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::ports::free_port;

/// Longest wait for Redis to listen.
const START: Duration = Duration::from_secs(10);

/// One redis-server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Option<Child>,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a free port, with more arguments if wanted.
    ///
    /// # Errors
    /// When redis-server is missing (says how to install it) or does not start.
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut redis = Self {
            child: None,
            port: free_port()?,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            folder: tempfile::tempdir()?,
        };
        redis.restart().await?;
        Ok(redis)
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as `kill -9` does. Does nothing if it is dead.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it on its port, in place of the process that there was.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        self.child = match child {
            Ok(child) => Some(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("redis-server is missing: install it (Debian: apt-get install redis-server), or run `make test`")
            }
            Err(error) => return Err(error).context("redis-server does not start"),
        };
        let start = Instant::now();
        while TcpStream::connect(self.address()).await.is_err() {
            if start.elapsed() > START {
                bail!("redis-server does not listen on {}", self.port);
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Stops the process (SIGSTOP): its sockets stay open, nothing is read or answered.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn wake(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("this Redis does not run")?;
        kill_process(Pid::from_child(child), signal)?;
        Ok(())
    }

    /// How many clients it cut off because they read too slowly, as its log says.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) fn cut_off(&self) -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(self.log())?;
        Ok(log.lines().filter(|line| line.contains("output buffer limits")).count())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
