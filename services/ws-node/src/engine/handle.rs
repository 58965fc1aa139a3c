//! What the halves of one connection share: the stream and the session's state. Belongs to one thread, so it needs cells
//! and no locks.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use wsmesh_adapter::{ClientId, ConnectionId, LiveContext};

use super::ending::{Ending, Farewell, Initiator};
use super::stream::Stream;

/// Most bytes of pongs that wait for one client, in addition to those for one read: a flood of pings is answered no faster than
/// the client reads.
const CONTROL_LIMIT: usize = 16 * 1024;

/// Fire-and-forget frames of one client that may be handled at once; beyond that its frames stay in the kernel.
const EVENTS_IN_FLIGHT: u32 = 64;

/// One connection of one client.
pub(super) struct Handle<H> {
    pub(super) client: ClientId,
    pub(super) connection: ConnectionId,
    /// What is known about it.
    pub(super) context: LiveContext,
    /// Handles its frames.
    pub(super) handler: H,
    /// Empty until the connection is upgraded: until then everything to be written waits.
    stream: OnceCell<Stream>,
    /// Tells the session that something below changed.
    pub(super) wake: Notify,
    pub(super) phase: Cell<Phase>,
    pub(super) ending: OnceCell<Ending>,
    /// Since when the stream accepts no data.
    pub(super) blocked_since: Cell<Option<Instant>>,
    /// The close frame and all before it are with the kernel.
    pub(super) flushed: Cell<bool>,
    /// When to give up waiting for the close handshake.
    pub(super) leave_by: Cell<Option<Instant>>,
    pub(super) ping_at: Cell<Instant>,
    /// When the ping was sent that no pong has answered yet.
    pub(super) pinged_at: Cell<Option<Instant>>,
    pub(super) background_since: Cell<Option<Instant>>,
    /// When it is to be sent away, if it is.
    pub(super) away_at: Cell<Option<Instant>>,
    /// It is sent away only if it is still idle then.
    pub(super) away_if_idle: Cell<bool>,
    /// When its client sent an event or a request last.
    pub(super) active_at: Cell<Instant>,
    /// The client's side of the stream has ended.
    pub(super) ended: Cell<bool>,
    /// The client sent a close frame first.
    pub(super) said_goodbye: Cell<bool>,
    /// Since when a message of the client is unfinished.
    pub(super) unfinished_since: Cell<Option<Instant>>,
    pub(super) opened_at: Instant,
    /// Requests of the client that wait for their reply.
    pub(super) requests: Cell<u32>,
    /// Until when services may reply that do so themselves.
    pub(super) replies_until: Cell<Option<Instant>>,
    /// Fire-and-forget frames that are being handled.
    events: Cell<u32>,
    /// Messages of at least this size are compressed. None: nothing is.
    pub(super) deflate_above: Option<usize>,
    /// The handler is told what becomes of its frames.
    pub(super) is_watched: Cell<bool>,
    /// Pings and pongs that wait to be written.
    pub(super) control: RefCell<Vec<u8>>,
}

/// Where a connection is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Frames go both ways, or will once its stream is here.
    Open,
    /// A close frame is on its way out; what comes in is ignored, except for the answer to it.
    Closing,
    /// The peer is gone, or was given up: nothing is written or read any more.
    Gone,
}

/// The kind of a frame that is counted while it is being handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InFlightKind {
    Request,
    Event,
}

impl<H> Handle<H> {
    pub(super) fn new(
        client: ClientId,
        connection: ConnectionId,
        context: LiveContext,
        handler: H,
        ping_at: Instant,
        deflate_above: Option<usize>,
    ) -> Self {
        Self {
            client,
            connection,
            context,
            handler,
            stream: OnceCell::new(),
            wake: Notify::new(),
            phase: Cell::new(Phase::Open),
            ending: OnceCell::new(),
            blocked_since: Cell::new(None),
            flushed: Cell::new(false),
            leave_by: Cell::new(None),
            ping_at: Cell::new(ping_at),
            pinged_at: Cell::new(None),
            background_since: Cell::new(None),
            away_at: Cell::new(None),
            away_if_idle: Cell::new(false),
            active_at: Cell::new(Instant::now()),
            ended: Cell::new(false),
            said_goodbye: Cell::new(false),
            unfinished_since: Cell::new(None),
            opened_at: Instant::now(),
            requests: Cell::new(0),
            replies_until: Cell::new(None),
            events: Cell::new(0),
            deflate_above,
            is_watched: Cell::new(false),
            control: RefCell::new(Vec::new()),
        }
    }

    /// The connection's stream, once it is here.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.stream.get()
    }

    /// The connection is upgraded; it has one stream in its life.
    pub(super) fn set_stream(&self, stream: Stream) {
        let _one_comes_only = self.stream.set(stream);
    }

    /// Whether frames still go both ways.
    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// It is sent away at that time, if not before.
    pub(super) fn send_away_by(&self, at: Instant) {
        self.away_at
            .set(Some(self.away_at.get().map_or(at, |before| before.min(at))));
    }

    /// Whether the client waits for a reply, as far as is known.
    pub(super) fn awaits_reply(&self, now: Instant) -> bool {
        self.requests.get() > 0 || self.replies_until.get().is_some_and(|until| now < until)
    }

    /// Whether its frames are left in the kernel for now.
    pub(super) fn is_paused(&self) -> bool {
        self.is_open() && self.events.get() >= EVENTS_IN_FLIGHT
    }

    /// More or fewer of the client's requests or events are being handled.
    pub(super) fn count(&self, kind: InFlightKind, change: i32) {
        let cell = match kind {
            InFlightKind::Request => &self.requests,
            InFlightKind::Event => &self.events,
        };
        cell.set(cell.get().saturating_add_signed(change));
        if kind == InFlightKind::Event && change < 0 {
            // Reading may go on.
            self.wake.notify_one();
        }
    }

    /// Whether a message of the client has begun and is not complete, and whether another one ended since the last call.
    pub(super) fn set_unfinished(&self, is_unfinished: bool, is_another: bool) {
        let since = self.unfinished_since.get().filter(|_| !is_another);
        self.unfinished_since
            .set(is_unfinished.then(|| since.unwrap_or_else(Instant::now)));
    }

    /// Moves forward to `phase` and wakes the session; `false` if it was there or beyond.
    pub(super) fn advance(&self, phase: Phase) -> bool {
        if self.phase.get() >= phase {
            return false;
        }
        self.phase.set(phase);
        self.wake.notify_one();
        true
    }

    /// The client ended it, with this code and reason if it sent them. The first ending counts.
    pub(super) fn ended_by_client(&self, code: Option<u16>, reason: Arc<str>) {
        self.ending.get_or_init(|| Ending {
            code,
            initiator: Initiator::Client,
            reason,
        });
    }

    /// The connection broke, unless it had ended before.
    pub(super) fn broken(&self) {
        self.ended_by_client(None, Arc::default());
    }

    /// This server ends it. The first ending counts.
    pub(super) fn ended_by_server(&self, farewell: &Farewell) {
        self.ending.get_or_init(|| Ending {
            code: Some(farewell.code),
            initiator: Initiator::Server,
            reason: farewell.reason.clone(),
        });
    }

    /// Queues finished control frames; drops them if too many wait.
    pub(super) fn put_control(&self, frames: &[u8]) {
        let mut control = self.control.borrow_mut();
        if control.is_empty() || control.len() + frames.len() <= CONTROL_LIMIT {
            control.extend_from_slice(frames);
        }
    }
}
