//! One socket and the bytes that wait on both sides of it.

use std::io::{ErrorKind, Write};

use mio::net::TcpStream;

/// The phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected.
    Away,
    /// Waits for TCP.
    Connecting,
    /// Waits for the answer to the upgrade.
    Upgrading,
    /// An open WebSocket.
    Open,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Option<TcpStream>,
    pub(super) phase: Phase,
    /// When the attempt began, ns.
    pub(super) since: u64,
    /// The beginning of an incomplete frame or answer.
    pub(super) rest: Vec<u8>,
    /// The received part of a message in several frames.
    pub(super) message: Vec<u8>,
    /// Bytes that could not be written yet.
    pub(super) output: Vec<u8>,
    /// Whether it is not read now, to act as a slow client.
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
    /// Writes the waiting bytes, as many as the socket accepts.
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
