//! One socket and the bytes that wait on both sides of it.

use std::io::{ErrorKind, Write};

use mio::net::TcpStream;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Away,
    /// Waits for TCP.
    Connecting,
    /// Waits for the answer to the upgrade.
    Upgrading,
    /// It is a WebSocket.
    Open,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Option<TcpStream>,
    pub(super) phase: Phase,
    /// When the attempt began, ns.
    pub(super) since: u64,
    /// The beginning of a frame or of an answer, whose rest is still to come.
    pub(super) rest: Vec<u8>,
    /// A message that came in several frames, as far as it has come.
    pub(super) message: Vec<u8>,
    /// What could not be written yet.
    pub(super) output: Vec<u8>,
    /// Not read at the moment, to be a slow client.
    pub(super) paused: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            stream: None,
            phase: Phase::Away,
            since: 0,
            rest: Vec::new(),
            message: Vec::new(),
            output: Vec::new(),
            paused: false,
        }
    }
}

impl Connection {
    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut written = 0;
        while written < self.output.len() {
            match stream.write(&self.output[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.drain(..written);
        Ok(())
    }
}
