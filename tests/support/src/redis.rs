//! Real redis-server processes, one per [`Redis`], which can be killed, paused, resumed and restarted on their port.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;

/// Time limit for a Redis to answer after its start.
pub const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Time limit for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// One redis-server on 127.0.0.1, without persistence. It is killed when this is dropped.
#[derive(Debug)]
pub struct Redis {
    child: Option<Child>,
    /// The port that it listens on, without TLS.
    pub port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a free port with these arguments (`--requirepass`, `--tls-port`, …), and waits until it answers.
    ///
    /// # Panics
    /// When redis-server is not installed (the message says how to install it) or does not start.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port().expect("a free port"), arguments)
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// As [`Redis::start`].
    pub fn start_on(port: u16, arguments: &[&str]) -> Self {
        let redis = Self::launch(port, arguments).unwrap_or_else(|error| panic!("{error}"));
        let start = Instant::now();
        while !redis.answers() {
            assert!(
                start.elapsed() < START_TIMEOUT,
                "redis-server does not answer on port {port}: {}",
                redis.log().unwrap_or_default()
            );
            std::thread::sleep(POLL_INTERVAL);
        }
        redis
    }

    /// Starts one on this port and does not wait until it [`answers`](Self::answers).
    ///
    /// # Errors
    /// When redis-server is not installed (the message says how to install it) or cannot be started.
    pub fn launch(port: u16, arguments: &[&str]) -> io::Result<Self> {
        let mut redis = Self {
            child: None,
            port,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            folder: tempfile::tempdir()?,
        };
        redis.relaunch()?;
        Ok(redis)
    }

    /// Kills it if it runs and starts it again on its port, empty. Does not wait until it [`answers`](Self::answers).
    ///
    /// # Errors
    /// As [`Redis::launch`].
    pub fn relaunch(&mut self) -> io::Result<()> {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.map_err(explained)?);
        Ok(())
    }

    /// Whether it accepts connections and answers, if only with an error. May block for a second.
    pub fn answers(&self) -> bool {
        self.ping().is_ok()
    }

    fn ping(&self) -> io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"PING\r\n")?;
        stream.read_exact(&mut [0])
    }

    /// Its URL, with this id.
    pub fn url(&self, id: &str) -> String {
        format!("redis://127.0.0.1:{}#{id}", self.port)
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> io::Result<String> {
        std::fs::read_to_string(self.log_file())
    }

    /// Kills it (SIGKILL) and waits for its end. Does nothing if it does not run.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Pauses the process (SIGSTOP): its sockets stay open, nothing is read or answered.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Resumes the process (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let child = self.child.as_ref();
        let child = child.ok_or_else(|| io::Error::other("this Redis does not run"))?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn explained(error: io::Error) -> io::Error {
    let text = if error.kind() == io::ErrorKind::NotFound {
        "redis-server is not installed: install it (Debian: apt-get install redis-server), or run `make test`"
            .to_owned()
    } else {
        format!("redis-server cannot be started: {error}")
    };
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_redis_does_not_answer_and_a_relaunched_one_does() {
        let mut redis = Redis::start(&["--requirepass", "secret"]);
        assert!(redis.answers(), "it answers that a password is needed");
        redis.kill();
        assert!(!redis.answers() && redis.pause().is_err());
        redis.relaunch().expect("it is started");
        let start = Instant::now();
        while !redis.answers() {
            assert!(start.elapsed() < START_TIMEOUT, "it answers again");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn a_paused_redis_answers_again_when_it_is_resumed() {
        let redis = Redis::start(&[]);
        redis.pause().expect("it runs");
        assert!(!redis.answers());
        redis.resume().expect("it runs");
        assert!(redis.answers());
    }
}
