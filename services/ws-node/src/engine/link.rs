//! What the halves of one connection share: the stream and the session's state. Belongs to one thread, so it needs cells
//! and no locks.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::trace::SpanContext;
use tokio::sync::Notify;
use wsmesh_adapter::{ClientId, ConnectionId, Dismissal};

use super::stream::Stream;
use crate::auth::Grant;
use crate::limits::Meter;

/// Where a connection is in its life. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Frames go both ways, or will once its stream is here.
    Open,
    /// A close frame is on its way out; what comes in is no longer looked at, except for the answer to it.
    Closing,
    /// The peer is gone, or was given up: nothing is written or read any more.
    Gone,
}

/// How a connection ended, for metrics and logs: a close code, or none if it just broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) code: Option<u16>,
    pub(crate) initiator: Initiator,
    /// What the server said. What a client says is its own matter.
    pub(crate) reason: Option<Arc<str>>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Initiator {
    Client,
    Server,
}

impl Initiator {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One connection of one client.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: ClientId,
    pub(crate) connection: ConnectionId,
    /// Nothing until the connection is upgraded: what is to be written waits.
    stream: OnceCell<Stream>,
    /// Context of the upgrade's span, when it was sampled: what `ws.receive` links to.
    pub(crate) upgrade: Option<Box<SpanContext>>,
    /// Until when the client may stay, and what it may do.
    pub(crate) grant: RefCell<Grant>,
    /// How it was extended.
    pub(crate) refreshes: Cell<Refreshes>,
    /// Tells the session that something below changed.
    pub(super) wake: Notify,
    pub(super) phase: Cell<Phase>,
    pub(super) ending: OnceCell<Ending>,
    /// The stream takes nothing now; since when.
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
    /// Only because it was idle.
    pub(super) away_if_idle: Cell<bool>,
    /// When its client sent an event or a request last.
    pub(crate) active_at: Cell<Instant>,
    /// The client says nothing more: its side of the stream has ended.
    pub(super) ended: Cell<bool>,
    /// Since when a message of the client is unfinished.
    pub(super) amid_since: Cell<Option<Instant>>,
    pub(super) opened_at: Instant,
    /// Requests of the client that wait for their reply.
    pub(super) requests: Cell<u32>,
    /// Until when replies of services may come that send them themselves.
    pub(super) replies_until: Cell<Option<Instant>>,
    /// Fire-and-forget frames that are being handled.
    pub(super) events: Cell<u32>,
    /// How many frames it may send now.
    pub(crate) pace: Cell<Meter>,
    /// How many more may be refused before it is closed.
    pub(crate) patience: Cell<Meter>,
    /// Messages from so many bytes on are compressed, if they are at all.
    pub(super) deflate_above: Option<usize>,
    /// Pings and pongs that wait to be written.
    pub(super) control: RefCell<Vec<u8>>,
}

/// Most bytes of pongs that wait for one client, beside those for one read: a flood of pings is answered no faster than
/// the client reads.
const CONTROL_LIMIT: usize = 16 * 1024;

/// Fire-and-forget frames of one client that may be in the making; beyond that its frames stay in the kernel.
const EVENTS_IN_FLIGHT: u32 = 64;

impl Link {
    pub(super) fn new(
        client: ClientId,
        connection: ConnectionId,
        upgrade: Option<Box<SpanContext>>,
        grant: Grant,
        ping_at: Instant,
        deflate_above: Option<usize>,
    ) -> Self {
        Self {
            client,
            connection,
            stream: OnceCell::new(),
            upgrade,
            grant: RefCell::new(grant),
            refreshes: Cell::default(),
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
            amid_since: Cell::new(None),
            opened_at: Instant::now(),
            requests: Cell::new(0),
            replies_until: Cell::new(None),
            events: Cell::new(0),
            pace: Cell::default(),
            patience: Cell::default(),
            deflate_above,
            control: RefCell::new(Vec::new()),
        }
    }

    /// The connection's stream, once it is here.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.stream.get()
    }

    /// The connection is upgraded; it has one stream in its life.
    pub(super) fn arrived(&self, stream: Stream) {
        let _one_comes_only = self.stream.set(stream);
    }

    /// Whether frames still go both ways.
    pub(crate) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// It is sent away at that time, if it is not before.
    pub(super) fn send_away_by(&self, at: Instant) {
        self.away_at
            .set(Some(self.away_at.get().map_or(at, |before| before.min(at))));
    }

    /// A service has a request of this client and is going to reply by itself, within this time if at all. Such a reply
    /// passes as any frame does, so when it has come is not known here.
    pub(crate) fn expect_reply(&self, within: Duration) {
        let until = Instant::now() + within;
        let later = self.replies_until.get().map_or(until, |before| before.max(until));
        self.replies_until.set(Some(later));
    }

    /// Whether the client waits for a reply, as far as is known.
    pub(super) fn awaits_reply(&self, now: Instant) -> bool {
        self.requests.get() > 0 || self.replies_until.get().is_some_and(|until| now < until)
    }

    /// Whether its frames are left in the kernel for now.
    pub(super) fn is_paused(&self) -> bool {
        self.is_open() && self.events.get() >= EVENTS_IN_FLIGHT
    }

    /// The client says that it went to the background, or that it is back.
    pub(crate) fn set_background(&self, background: Background) {
        self.background_since.set(match background {
            Background::Entered => Some(self.background_since.get().unwrap_or_else(Instant::now)),
            Background::Left => None,
        });
    }

    /// Whether a message of the client has begun and is not complete, and whether another one ended since the last call.
    pub(super) fn set_amid(&self, is_amid: bool, is_another: bool) {
        let since = self.amid_since.get().filter(|_| !is_another);
        self.amid_since.set(is_amid.then(|| since.unwrap_or_else(Instant::now)));
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

    /// The client ended it, with this code if it sent one. The first ending counts.
    pub(super) fn ended_by_client(&self, code: Option<u16>) {
        self.ending.get_or_init(|| Ending {
            code,
            initiator: Initiator::Client,
            reason: None,
        });
    }

    /// This server ends it. The first ending counts.
    pub(super) fn ended_by_server(&self, farewell: &Farewell) {
        self.ending.get_or_init(|| Ending {
            code: Some(farewell.code),
            initiator: Initiator::Server,
            reason: Some(farewell.reason.clone()),
        });
    }

    /// Queues finished control frames; forgets them if too many wait.
    pub(super) fn put_control(&self, frames: &[u8]) {
        let mut control = self.control.borrow_mut();
        if control.is_empty() || control.len() + frames.len() <= CONTROL_LIMIT {
            control.extend_from_slice(frames);
        }
    }
}

/// The tokens that a client has shown since it was let in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Refreshes {
    /// How many more it may show now.
    pub(crate) pace: Meter,
    /// How many it has shown.
    pub(crate) shown: u32,
    /// Which of them is in force: the newest that was good.
    pub(crate) in_force: u32,
}

/// What a client says about itself with `enterBackground` and `enterForeground`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Background {
    Entered,
    Left,
}

/// The last words to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) code: u16,
    pub(crate) reason: Arc<str>,
}

impl Farewell {
    pub(crate) fn new(code: wsmesh_protocol::CloseCode, reason: impl Into<Arc<str>>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
        }
    }
}

impl From<Farewell> for Dismissal {
    fn from(Farewell { code, reason }: Farewell) -> Self {
        Self { code, reason }
    }
}
