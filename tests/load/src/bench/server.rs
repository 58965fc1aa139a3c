//! The servers under test as processes.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Time limit for a server to accept connections.
const START: Duration = Duration::from_secs(20);

/// A server and the command that starts it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name in tables.
    pub name: String,
    /// A shell command in which `{port}` is replaced. It must become the server itself, not start it.
    pub command: String,
}

impl FromStr for Candidate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.trim().split_once('=').unwrap_or_default();
        if name.is_empty() || !command.contains("{port}") {
            return Err(format!(
                "{text:?} is no server: write NAME=COMMAND with {{port}} where its port belongs, for example \
                 'other=PORT={{port}} node server.js'"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            command: command.to_owned(),
        })
    }
}

impl Candidate {
    /// The ws-node that was built beside this program: demo profile, this many shards, no Redis.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn wsmesh(name: &str, shards: usize) -> anyhow::Result<Self> {
        let myself = std::env::current_exe().context("the path of this program is not known")?;
        let program = myself.with_file_name("ws-node");
        ensure!(
            program.exists(),
            "{} is missing: run `cargo build --release -p ws-node`, or name a --server",
            program.display()
        );
        Ok(Self {
            name: name.to_owned(),
            command: format!(
                "{} --profile demo --listen 127.0.0.1:{{port}} --ops-listen none --shards {shards} --accept-rate 0 --log-level error",
                program.display()
            ),
        })
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it ends or does not accept connections; its output is on stderr.
    pub fn start(&self, core: Option<usize>) -> anyhow::Result<Running> {
        let port = free_port()?;
        let command = self.command.replace("{port}", &port.to_string());
        let mut started = pinned(core, "sh");
        // `env` handles NAME=VALUE words before the command.
        started.args(["-c", &format!("exec env {command}")]);
        started.stdin(Stdio::null()).stdout(Stdio::null());
        let child = started
            .spawn()
            .context("no process can be started: is taskset installed?")?;
        let mut running = Running { child, port };
        running.wait(&command)?;
        Ok(running)
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// Where it listens.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self, command: &str) -> anyhow::Result<()> {
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            ensure!(
                since.elapsed() < START,
                "{command:?} does not accept connections on port {}",
                self.port
            );
            // Other programs do not report when they listen.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on one core.
pub(super) fn pinned(core: Option<usize>, program: impl AsRef<OsStr>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A free port below the range of outgoing connections.
///
/// # Errors
/// When no port is free.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let tried = std::iter::repeat_with(|| rand::random_range(20_000..30_000_u16)).take(100);
    let mut free = tried.filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    free.next().context("no port between 20000 and 30000 is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_and_a_command_with_a_port() {
        let parsed: Candidate = " other=PORT={port} node server.js".parse().expect("valid");
        assert_eq!(
            (&parsed.name[..], &parsed.command[..]),
            ("other", "PORT={port} node server.js")
        );
        for bad in ["", "node {port}", "x=node server.js"] {
            assert!(bad.parse::<Candidate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_that_ends_is_reported_with_its_command() {
        let candidate: Candidate = "short=true {port}".parse().expect("valid");
        let error = candidate.start(None).expect_err("it ended").to_string();
        assert!(
            error.starts_with("\"true ") && error.contains("ended with exit status: 0"),
            "{error}"
        );
    }
}
