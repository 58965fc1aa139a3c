//! What one shard's thread holds: its connections, and the buffers they share.
//!
//! The shard is borrowed for single calls only, never across an await.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wsmesh_adapter::{Adapter, Closing, Command, ConnectionId, Frame, Payload, Room, Shard, ShardInbox};
use wsmesh_protocol::CloseCode;

use super::ending::{Farewell, come_back_within};
use super::framing;
use super::handle::{Handle, Phase};
use super::metrics::Metrics;
use super::ongoing::Ongoing;
use super::outgoing::{Onlooker, Outgoing};
use super::pressure::Pressure;
use super::settings::Settings;
use super::socket::{Encoded, Encoding, Socket, Tally};

/// Most bytes that one read takes from a stream.
pub(super) const READ_CHUNK: usize = 16 * 1024;

/// One shard's state.
pub(super) struct Core<H> {
    pub(super) adapter: Adapter,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Metrics,
    pub(super) index: usize,
    shard: RefCell<Shard<Socket<H>>>,
    /// Tells the thread's loop that an outbox is dirty.
    pub(super) dirty: Notify,
    pub(super) input: RefCell<Box<[u8]>>,
    output: RefCell<Output>,
    /// Everyone is sent away, new connections at once.
    pub(super) leaving: Cell<Option<Drain>>,
    pub(super) ongoing: Ongoing,
    pub(super) pressure: Pressure,
}

/// A drain under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// When every connection has had its moment.
    pub(super) waves_end: Instant,
    /// When every client must be gone, even if its requests are still being answered.
    pub(super) until: Instant,
}

/// Where frames are encoded before they are written.
#[derive(Default)]
struct Output {
    /// Those of one connection.
    own: Vec<u8>,
    /// Those that many connections share.
    shared: Encoding,
    /// The same, compressed.
    compressed: Encoding,
}

impl<H> Core<H> {
    pub(super) fn new(adapter: Adapter, settings: Arc<Settings>, metrics: Metrics, inbox: &ShardInbox) -> Rc<Self> {
        Rc::new(Self {
            adapter,
            settings,
            metrics,
            index: inbox.index(),
            shard: RefCell::new(inbox.shard()),
            dirty: Notify::new(),
            input: RefCell::new(vec![0; READ_CHUNK].into_boxed_slice()),
            output: RefCell::default(),
            leaving: Cell::new(None),
            ongoing: Ongoing::default(),
            pressure: Pressure::default(),
        })
    }

    /// To look at the shard, for single calls only.
    pub(super) fn shard(&self) -> Ref<'_, Shard<Socket<H>>> {
        self.shard.borrow()
    }

    /// Takes a connection in, with the rooms that its client is in. What it is sent is kept from now on.
    pub(super) fn insert(&self, handle: &Rc<Handle<H>>, rooms: impl IntoIterator<Item = Room>) {
        let (connection, mut shard) = (handle.connection, self.shard.borrow_mut());
        shard.insert(connection, handle.client.clone(), Socket::new(Rc::clone(handle)));
        for room in rooms {
            shard.apply(Command::Join(connection, room));
        }
    }

    /// Takes a connection out; its stream is closed when the session lets go of it.
    pub(super) fn remove(&self, handle: &Handle<H>) {
        handle.advance(Phase::Gone);
        if let Ok(mut shard) = self.shard.try_borrow_mut() {
            shard.remove(handle.connection);
        }
    }

    /// The connections that `wanted` picks.
    pub(super) fn handles(&self, mut wanted: impl FnMut(&Handle<H>) -> bool) -> Vec<Rc<Handle<H>>> {
        self.handles_with_queues(|handle, _| wanted(handle))
    }

    /// The connections that `wanted` picks, which is told how many bytes wait for each.
    pub(super) fn handles_with_queues(&self, mut wanted: impl FnMut(&Handle<H>, usize) -> bool) -> Vec<Rc<Handle<H>>> {
        let shard = self.shard.borrow();
        shard
            .queues()
            .filter(|(socket, queued)| wanted(&socket.handle, *queued))
            .map(|(socket, _)| Rc::clone(&socket.handle))
            .collect()
    }

    /// Puts a frame into a connection's outbox.
    pub(super) fn push(&self, handle: &Handle<H>, frame: Frame) {
        self.shard.borrow_mut().push(handle.connection, frame);
        self.dirty.notify_one();
    }

    /// A client answered a request of a server; `false` if it was not asked that.
    pub(super) fn answered(&self, handle: &Handle<H>, request_id: &str, payload: Payload) -> bool {
        let mut shard = self.shard.borrow_mut();
        shard.answered(handle.connection, request_id, payload)
    }

    /// Writes what waits for this connection at the next turn.
    pub(super) fn mark_dirty(&self, handle: &Handle<H>) {
        self.shard.borrow_mut().mark_dirty(handle.connection);
        self.dirty.notify_one();
    }

    /// Sends a close frame after what waits, then ends the connection, at the latest when the time limit for closing is over.
    pub(super) fn close(&self, handle: &Handle<H>, farewell: &Farewell) {
        handle.ended_by_server(farewell);
        self.close_with(handle, framing::close_frame(farewell.code, &farewell.reason));
    }

    /// As [`Core::close`], with a finished close frame.
    pub(super) fn close_with(&self, handle: &Handle<H>, close_frame: Vec<u8>) {
        if !handle.advance(Phase::Closing) {
            return;
        }
        handle.leave_by.set(Some(Instant::now() + self.settings.close_timeout));
        if let Some((socket, _)) = self.shard.borrow_mut().connection(handle.connection) {
            socket.end_with(close_frame);
        }
        self.mark_dirty(handle);
    }

    /// The close frame for a client that is to come back, to this server or another one. Each has a random delay, so that
    /// clients do not all come at once; clients that a drain sends away come back during the rest of it.
    pub(super) fn come_back(&self, now: Instant) -> Farewell {
        let rest = self
            .leaving
            .get()
            .map_or(Duration::ZERO, |drain| drain.waves_end.saturating_duration_since(now));
        come_back_within(rest.max(self.settings.reconnect_spread))
    }

    /// Nobody watches this connection any more. A later watch begins anew.
    pub(super) fn forget_queue_times(&self, handle: &Handle<H>) {
        if let Some((socket, _)) = self.shard.borrow_mut().connection(handle.connection) {
            socket.forget_queue_times();
        }
    }

    /// A connection, if it is here.
    pub(super) fn handle(&self, connection: ConnectionId) -> Option<Rc<Handle<H>>> {
        let mut shard = self.shard.borrow_mut();
        shard
            .connection(connection)
            .map(|(socket, _)| Rc::clone(&socket.handle))
    }
}

impl<H: Onlooker> Core<H> {
    pub(super) fn apply(&self, commands: impl Iterator<Item = Command>) {
        for command in commands {
            self.shard.borrow_mut().apply(command);
            if self.shard.borrow().is_full() {
                self.write_dirty();
            }
        }
    }

    /// One turn: closes the clients that the shard names, then writes every dirty outbox once.
    pub(super) fn turn(&self) {
        let closing = self.shard.borrow_mut().take_closing();
        for (connection, why) in closing {
            let handle = self.handle(connection);
            match (handle, why) {
                (Some(handle), Closing::Slow) => self.close_slow(&handle),
                (Some(handle), Closing::Dismissed(dismissal)) => {
                    self.close(&handle, &dismissal.into());
                }
                (None, _) => {}
            }
        }
        self.write_dirty();
        let spared = self.shard.borrow_mut().take_spared();
        self.metrics.spared(spared);
        self.relieve();
    }

    /// Closes a client that reads too slowly. What waits for it is dropped.
    pub(super) fn close_slow(&self, handle: &Handle<H>) {
        if !handle.is_open() {
            return;
        }
        self.clear_outbox(handle);
        self.metrics.slow_clients_closed.inc();
        tracing::debug!(client = %handle.client, "closing a slow client");
        self.close(handle, &Farewell::new(CloseCode::SlowConsumer, "slow consumer"));
    }

    /// Drops what waits for a client that reads too slowly.
    pub(super) fn clear_outbox(&self, handle: &Handle<H>) {
        if let Some((_, outbox)) = self.shard.borrow_mut().connection(handle.connection) {
            if handle.is_watched.get() {
                handle.handler.outgoing(Outgoing::Cleared(outbox.len() as u64));
            }
            outbox.clear();
        }
    }

    fn write_dirty(&self) {
        let mut shard = self.shard.borrow_mut();
        if !shard.is_dirty() {
            return;
        }
        let Output {
            own,
            shared,
            compressed,
        } = &mut *self.output.borrow_mut();
        let (mut encoded, mut tally) = (Encoded::new(shared, compressed), Tally::default());
        shard.drain_shared(|_, socket, outbox, shared| {
            let written = match shared {
                Some(_) if !socket.is_clear() => return false,
                Some(shared) => {
                    let bytes = encoded.of(shared, socket.handle.deflate_above);
                    socket.write_encoded(bytes, shared.frames.len(), &mut tally)
                }
                None => socket.write(outbox, own, &mut tally),
            };
            socket.note(written);
            true
        });
        self.metrics.sent.inc_by(tally.frames);
        self.metrics.bytes_out.inc_by(tally.bytes);
        if shard.has_closing() {
            self.dirty.notify_one();
        }
    }
}
