//! The sockets of one worker, and the operations of a duty on them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::sync::Arc;

use mio::event::Event;
use mio::{Interest, Registry, Token};

use super::connection::{Connection, Phase};
use super::target::Target;
use super::{Duty, End};
use crate::measure::clock::{Clock, SECOND};
use crate::wire::client_frame;
use crate::wire::handshake::{Answer, answer};

/// The maximum of bytes per read, so that a burst costs one system call.
const INPUT: usize = 256 * 1024;

/// The maximum of connections of one worker that wait for their upgrade: less than servers keep unaccepted.
const PENDING: usize = 256;

/// Time limit for the answer to an upgrade.
const UPGRADE: u64 = 20 * SECOND;

/// The identity of a connection, the same after a reconnect.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its number among all connections of the run.
    pub number: usize,
    /// The index of its target.
    pub target: usize,
    /// Its client id.
    pub id: String,
}

/// A worker's connections, known by their index.
pub struct Net {
    /// The clock of the run.
    pub clock: Clock,
    registry: Registry,
    targets: Arc<Vec<Target>>,
    sources: Arc<Vec<IpAddr>>,
    pub(super) connections: Vec<Connection>,
    identities: Vec<Identity>,
    /// Shared by all connections: its contents are consumed before the next read.
    input: Vec<u8>,
    /// The connections to be made: time in ns, index.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    pending: usize,
    /// Ends that the duty does not know yet.
    pub(super) ended: Vec<(usize, End)>,
}

impl Net {
    pub(super) fn new(
        clock: Clock,
        registry: Registry,
        targets: Arc<Vec<Target>>,
        sources: Arc<Vec<IpAddr>>,
        identities: Vec<Identity>,
    ) -> Self {
        Self {
            clock,
            registry,
            targets,
            sources,
            connections: identities.iter().map(|_| Connection::default()).collect(),
            identities,
            input: vec![0; INPUT],
            due: BinaryHeap::new(),
            pending: 0,
            ended: Vec::new(),
        }
    }

    /// Makes this connection at `due_ns`, or a little later when too many are being made.
    pub fn connect_at(&mut self, index: usize, due_ns: u64) {
        self.due.push(Reverse((due_ns, index)));
    }

    /// Whether this connection is a WebSocket now.
    #[inline]
    #[must_use]
    pub fn is_open(&self, index: usize) -> bool {
        self.connections[index].phase == Phase::Open
    }

    /// When the attempt for this connection began, ns.
    #[must_use]
    pub fn since(&self, index: usize) -> u64 {
        self.connections[index].since
    }

    /// Uses the next target from the next attempt on.
    pub fn go_elsewhere(&mut self, index: usize) {
        self.identities[index].target += 1;
    }

    /// The output buffer of this connection; [`Net::flush`] sends it.
    pub fn output(&mut self, index: usize) -> &mut Vec<u8> {
        &mut self.connections[index].output
    }

    /// Sends the output of this connection, now or as soon as its socket accepts it.
    pub fn flush(&mut self, index: usize) {
        if let Err(error) = self.connections[index].flush() {
            self.end(index, End::Broken(broken(&error)));
        }
    }

    /// Sends a text frame.
    pub fn send(&mut self, index: usize, parts: &[&[u8]]) {
        client_frame::text(&mut self.connections[index].output, parts);
        self.flush(index);
    }

    /// Ends this connection without telling the duty. With `code`, a close frame is sent first.
    pub fn close(&mut self, index: usize, code: Option<u16>) {
        let connection = &mut self.connections[index];
        if let (Some(code), Phase::Open) = (code, connection.phase) {
            client_frame::close(&mut connection.output, code);
            // The connection ends in any case.
            let _ = connection.flush();
        }
        self.forget(index);
    }

    /// Stops reading this connection.
    pub fn pause(&mut self, index: usize) {
        self.connections[index].paused = true;
    }

    /// Reads this connection again, beginning with what has arrived meanwhile.
    pub fn resume<D: Duty>(&mut self, duty: &mut D, index: usize) {
        self.connections[index].paused = false;
        self.read(duty, index);
    }

    /// When the next connection is to be made, ns.
    pub(super) fn next_due(&self) -> Option<u64> {
        let Reverse((due, _)) = self.due.peek()?;
        (self.pending < PENDING).then_some(*due)
    }

    /// Makes the connections that are due.
    pub(super) fn connect_due(&mut self, now: u64) {
        while self.pending < PENDING
            && let Some(&Reverse((due, index))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            self.connect(index);
        }
    }

    /// Gives up on upgrades that take too long.
    pub(super) fn sweep(&mut self, now: u64) {
        if self.pending == 0 {
            return;
        }
        for index in 0..self.connections.len() {
            let connection = &self.connections[index];
            let waits = matches!(connection.phase, Phase::Connecting | Phase::Upgrading);
            if waits && now.saturating_sub(connection.since) > UPGRADE {
                let end = End::Unreachable(format!("no answer to the upgrade within {} s", UPGRADE / SECOND));
                self.end(index, end);
            }
        }
    }

    fn connect(&mut self, index: usize) {
        let identity = &self.identities[index];
        let source = (!self.sources.is_empty()).then(|| self.sources[identity.number % self.sources.len()]);
        let target = &self.targets[identity.target % self.targets.len()];
        let output = target.request(&identity.id);
        let connected = target.connect(source).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut stream, Token(index), interest)?;
            Ok(stream)
        });
        self.forget(index);
        match connected {
            Ok(stream) => {
                self.pending += 1;
                self.connections[index] = Connection {
                    stream: Some(stream),
                    phase: Phase::Connecting,
                    since: self.clock.now(),
                    output,
                    ..Connection::default()
                };
            }
            Err(error) => self.ended.push((index, End::Unreachable(error.to_string()))),
        }
    }

    /// Removes a connection and tells the duty.
    pub(super) fn end(&mut self, index: usize, end: End) {
        if self.connections[index].phase != Phase::Away {
            self.forget(index);
            self.ended.push((index, end));
        }
    }

    /// Removes a connection; dropping the stream closes it.
    fn forget(&mut self, index: usize) {
        let connection = std::mem::take(&mut self.connections[index]);
        if matches!(connection.phase, Phase::Connecting | Phase::Upgrading) {
            self.pending -= 1;
        }
    }

    /// Handles an event of the kernel.
    pub(super) fn ready<D: Duty>(&mut self, duty: &mut D, event: &Event) {
        let index = event.token().0;
        if self.connections[index].phase == Phase::Connecting && !self.connected(index) {
            return;
        }
        if event.is_writable() && !self.connections[index].output.is_empty() {
            self.flush(index);
        }
        let something = event.is_readable() || event.is_read_closed() || event.is_error();
        if something && !self.connections[index].paused {
            self.read(duty, index);
        }
    }

    /// Checks whether TCP is connected; then sends the request.
    fn connected(&mut self, index: usize) -> bool {
        let connection = &mut self.connections[index];
        let Some(stream) = &connection.stream else { return false };
        let failed = match stream.take_error() {
            Ok(None) => stream
                .peer_addr()
                .err()
                .filter(|error| error.kind() != ErrorKind::NotConnected),
            Ok(Some(error)) | Err(error) => Some(error),
        };
        if let Some(error) = failed {
            self.end(index, End::Unreachable(error.to_string()));
            return false;
        }
        if stream.peer_addr().is_err() {
            return false;
        }
        connection.phase = Phase::Upgrading;
        self.flush(index);
        true
    }

    /// Reads a socket until it is empty.
    #[inline]
    fn read<D: Duty>(&mut self, duty: &mut D, index: usize) {
        let mut input = std::mem::take(&mut self.input);
        loop {
            let connection = &mut self.connections[index];
            let Some(stream) = &mut connection.stream else { break };
            let kept = connection.rest.len();
            if input.len() < kept + INPUT / 2 {
                input.resize(kept + INPUT, 0);
            }
            input[..kept].copy_from_slice(&connection.rest);
            connection.rest.clear();
            let room = input.len() - kept;
            match stream.read(&mut input[kept..]) {
                Ok(count) => {
                    self.took(duty, index, &input[..kept + count], count == 0);
                    // Less than the buffer holds: the socket is empty, and the kernel reports when it is not.
                    if count < room {
                        break;
                    }
                }
                Err(error) => {
                    connection.rest.extend_from_slice(&input[..kept]);
                    if error.kind() == ErrorKind::WouldBlock {
                        break;
                    }
                    if error.kind() != ErrorKind::Interrupted {
                        self.end(index, End::Broken(broken(&error)));
                    }
                }
            }
        }
        self.input = input;
    }

    /// Handles received bytes; `ended`: there will be no more.
    #[inline]
    fn took<D: Duty>(&mut self, duty: &mut D, index: usize, bytes: &[u8], ended: bool) {
        let now = self.clock.now();
        let mut taken = 0;
        if self.connections[index].phase == Phase::Upgrading {
            match answer(bytes, ended) {
                Answer::Incomplete => {}
                Answer::Upgraded(head) => {
                    self.pending -= 1;
                    self.connections[index].phase = Phase::Open;
                    taken = head;
                    duty.opened(self, index, now);
                }
                Answer::Refused {
                    status,
                    text,
                    retry_after_s,
                } => {
                    return self.end(
                        index,
                        End::Refused {
                            status,
                            text,
                            retry_after_s,
                        },
                    );
                }
                Answer::Nonsense(what) => return self.end(index, End::Unreachable(what)),
            }
        }
        if self.is_open(index) {
            match self.take_frames(duty, index, &bytes[taken..], now) {
                Ok(count) => taken += count,
                Err(end) => return self.end(index, end),
            }
        }
        if ended {
            return self.end(
                index,
                End::Broken("the server ended the connection without a close frame".to_owned()),
            );
        }
        if taken < bytes.len() && self.connections[index].stream.is_some() {
            self.connections[index].rest.extend_from_slice(&bytes[taken..]);
        }
    }
}

fn broken(error: &io::Error) -> String {
    format!("the connection broke: {error}")
}
