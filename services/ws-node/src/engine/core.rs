//! What one shard's thread holds: its connections, the buffers they share, and the verbs of a session.
//!
//! The shard is borrowed for single calls only, never across an await.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wsmesh_adapter::{Closing, Command, Dismissal, Frame, Payload, Shard, ShardInbox};
use wsmesh_protocol::CloseCode;

use super::leaving::Drain;
use super::link::{Farewell, Link, Phase};
use super::socket::{Encoded, Encoding, Socket, Tally};
use super::thread::{Expected, Newcomer};
use super::works::Works;
use super::{session, wire};
use crate::edge::Edge;

/// Most bytes that one read takes from a stream.
pub(super) const READ_CHUNK: usize = 16 * 1024;

/// One shard's state.
pub(crate) struct Core {
    pub(crate) edge: Arc<Edge>,
    index: usize,
    shard: RefCell<Shard<Socket>>,
    /// Tells the thread's loop that an outbox is dirty.
    pub(super) dirty: Notify,
    pub(super) input: RefCell<Box<[u8]>>,
    output: RefCell<Output>,
    /// Everyone is sent away, new connections at once.
    pub(super) leaving: Cell<Option<Drain>>,
    pub(super) works: Works,
}

/// Where frames are encoded before they are written.
#[derive(Default)]
struct Output {
    /// Those of one connection.
    own: Vec<u8>,
    /// Those that many get alike.
    shared: Encoding,
    /// The same for those who take them compressed.
    packed: Encoding,
}

/// A session as those see it who handle its frames. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) core: Rc<Core>,
    pub(crate) link: Rc<Link>,
}

impl Core {
    pub(super) fn new(edge: Arc<Edge>, inbox: &ShardInbox) -> Rc<Self> {
        Rc::new(Self {
            edge,
            index: inbox.index(),
            shard: RefCell::new(inbox.shard()),
            dirty: Notify::new(),
            input: RefCell::new(vec![0; READ_CHUNK].into_boxed_slice()),
            output: RefCell::default(),
            leaving: Cell::new(None),
            works: Works::default(),
        })
    }

    pub(super) fn apply(&self, commands: impl Iterator<Item = Command>) {
        for command in commands {
            self.shard.borrow_mut().apply(command);
            if self.shard.borrow().is_full() {
                self.write_dirty();
            }
        }
    }

    /// Registers a client whose connection is about to come, and starts its session, which waits for it. What the client is
    /// sent is kept from now on.
    pub(super) fn expect(self: &Rc<Self>, expected: Expected) {
        let Expected {
            newcomer,
            reachable,
            arrival,
        } = expected;
        let Newcomer {
            client,
            grant,
            upgrade,
            since,
            presence,
            deflate,
        } = newcomer;
        let attachment = match self.edge.adapter.attach(client.clone(), self.index) {
            Ok(attachment) => attachment,
            Err(error) => return tracing::warn!(%error, "a client cannot be attached; turning it away"),
        };
        let ping_at = Instant::now() + self.edge.settings.ping_interval.mul_f64(rand::random_range(0.1..=1.0));
        let link = Rc::new(Link::new(
            client.clone(),
            attachment.connection(),
            upgrade,
            grant,
            ping_at,
            self.edge.settings.deflate_above().filter(|_| deflate),
        ));
        {
            let (connection, mut shard) = (attachment.connection(), self.shard.borrow_mut());
            shard.insert(connection, client, Socket::new(Rc::clone(&link)));
            for room in attachment.rooms() {
                shard.apply(Command::Join(connection, room));
            }
        }
        link.away_at.set(self.end_of_life(link.opened_at));
        let session = Session {
            core: Rc::clone(self),
            link,
        };
        tokio::task::spawn_local(session::run(Box::new(session::Arriving {
            session,
            attachment,
            reachable,
            arrival,
            since,
            presence,
        })));
    }

    /// Takes a connection out; its stream is closed when the session lets go of it.
    pub(super) fn remove(&self, link: &Link) {
        link.advance(Phase::Gone);
        if let Ok(mut shard) = self.shard.try_borrow_mut() {
            shard.remove(link.connection);
        }
    }

    /// The connections that `wanted` picks.
    pub(super) fn links(&self, mut wanted: impl FnMut(&Link) -> bool) -> Vec<Rc<Link>> {
        let shard = self.shard.borrow();
        shard
            .connections()
            .filter(|(_, _, socket)| wanted(&socket.link))
            .map(|(_, _, s)| Rc::clone(&s.link))
            .collect()
    }

    /// Writes what waits for this connection at the next turn.
    pub(super) fn mark_dirty(&self, link: &Link) {
        self.shard.borrow_mut().mark_dirty(link.connection);
        self.dirty.notify_one();
    }

    /// Sends a close frame after what waits, then ends the connection, at the latest after the time for it.
    pub(super) fn close(&self, link: &Link, farewell: &Farewell) {
        link.ended_by_server(farewell);
        self.close_with(link, wire::close_frame(farewell.code, &farewell.reason));
    }

    /// As [`Core::close`], with a finished close frame.
    pub(super) fn close_with(&self, link: &Link, close_frame: Vec<u8>) {
        if !link.advance(Phase::Closing) {
            return;
        }
        link.leave_by
            .set(Some(Instant::now() + self.edge.settings.close_timeout));
        if let Some((socket, _)) = self.shard.borrow_mut().connection(link.connection) {
            socket.end_with(close_frame);
        }
        self.mark_dirty(link);
    }

    /// Closes a client that reads too slowly. What waits for it is forgotten.
    pub(super) fn close_slow(&self, link: &Link) {
        if !link.is_open() {
            return;
        }
        if let Some((_, outbox)) = self.shard.borrow_mut().connection(link.connection) {
            outbox.clear();
        }
        self.edge.metrics.slow_clients_closed.inc();
        tracing::debug!(client = %link.client, "closing a slow client");
        self.close(link, &Farewell::new(CloseCode::SlowConsumer, "slow consumer"));
    }

    /// One turn: closes whom the shard names, then writes every dirty outbox once.
    pub(super) fn turn(&self) {
        let closing = self.shard.borrow_mut().take_closing();
        for (connection, why) in closing {
            let link = self
                .shard
                .borrow_mut()
                .connection(connection)
                .map(|(socket, _)| Rc::clone(&socket.link));
            match (link, why) {
                (Some(link), Closing::Slow) => self.close_slow(&link),
                (Some(link), Closing::Dismissed(Dismissal { code, reason })) => {
                    self.close(&link, &Farewell { code, reason });
                }
                (None, _) => {}
            }
        }
        self.write_dirty();
        let spared = self.shard.borrow_mut().take_spared();
        self.edge.metrics.spared(spared);
    }

    fn write_dirty(&self) {
        let mut shard = self.shard.borrow_mut();
        if !shard.is_dirty() {
            return;
        }
        let Output { own, shared, packed } = &mut *self.output.borrow_mut();
        let (mut encoded, mut tally) = (Encoded::new(shared, packed), Tally::default());
        shard.drain_shared(|_, socket, outbox, shared| {
            let written = match shared {
                Some(_) if !socket.is_clear() => return false,
                Some(shared) => {
                    let bytes = encoded.of(shared, socket.link.deflate_above);
                    socket.write_encoded(bytes, shared.frames.len(), &mut tally)
                }
                None => socket.write(outbox, own, &mut tally),
            };
            socket.note(written);
            true
        });
        self.edge.metrics.sent.inc_by(tally.frames);
        self.edge.metrics.bytes_out.inc_by(tally.bytes);
        if shard.has_closing() {
            self.dirty.notify_one();
        }
    }
}

impl Session {
    /// Sends a frame to this client.
    pub(crate) fn send(&self, frame: Frame) {
        self.core.shard.borrow_mut().push(self.link.connection, frame);
        self.core.dirty.notify_one();
    }

    /// This client answered a request of a server; `false` if it was not asked that.
    pub(crate) fn answered(&self, request_id: &str, payload: Payload) -> bool {
        let mut shard = self.core.shard.borrow_mut();
        shard.answered(self.link.connection, request_id, payload)
    }

    /// Ends this session; what was sent before still goes out.
    pub(crate) fn close(&self, farewell: &Farewell) {
        self.core.close(&self.link, farewell);
    }

    /// Goes on with this, on this thread, until it is done. What it sends then waits for the end of the turn.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + 'static) {
        self.core.works.push(work);
    }

    /// What the whole edge shares.
    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.core.edge
    }

    /// How many of its requests wait for a reply, changed by `change`.
    pub(crate) fn count_requests(&self, change: i32) -> u32 {
        count(&self.link.requests, change)
    }

    /// How many of its fire-and-forget frames are being handled, changed by `change`. Reading pauses above a limit.
    pub(crate) fn count_events(&self, change: i32) -> u32 {
        if change < 0 {
            self.link.wake.notify_one();
        }
        count(&self.link.events, change)
    }
}

fn count(cell: &Cell<u32>, change: i32) -> u32 {
    cell.set(cell.get().saturating_add_signed(change));
    cell.get()
}

/// How often the clock is looked at: often enough for the shortest limit, at most once a second.
pub(super) fn sweep_period(shortest: Duration) -> Duration {
    (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
}
