//! What the handles and the task share: the current connection, the waiting requests, the rooms, the kept events, the listeners,
//! the state. Locks are short and never held across an await.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, oneshot, watch};
use wsmesh_protocol::frame;

use crate::listeners::Listeners;
use crate::refusal::Refusal;
use crate::rooms::{Membership, Rooms};
use crate::traces::{DISCONNECTED, Running};
use crate::{EmitError, Lifecycle, Options, Payload, RequestError, Room, State};

/// Shared by one client's handles and its task.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) ping_interval: watch::Sender<Duration>,
    pub(crate) state: watch::Sender<State>,
    current: Mutex<Current>,
    listeners: Mutex<Listeners>,
    /// The index of the current server in the options' list.
    server: AtomicUsize,
}

/// The current connection, and the requests that wait for replies on it.
#[derive(Debug, Default)]
struct Current {
    frames: Option<mpsc::Sender<String>>,
    pending: HashMap<u64, Waiting>,
    last_id: u64,
    rooms: Rooms,
    /// Events that wait for a connection.
    kept: VecDeque<String>,
}

/// A request that waits for its reply.
#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Payload>,
    /// The room that the client is in after a good reply.
    joins: Option<Membership>,
}

/// The frames that are written on a new connection before anything else.
#[derive(Debug, Default)]
pub(crate) struct First {
    pub(crate) frames: VecDeque<String>,
    /// The rooms that these frames ask for again.
    pub(crate) rejoins: Vec<Rejoin>,
}

/// A room that is asked for again on a new connection.
#[derive(Debug)]
pub(crate) struct Rejoin {
    pub(crate) membership: Membership,
    pub(crate) room: Room,
    pub(crate) pending: Pending,
    pub(crate) trace: Running,
}

impl Rejoin {
    /// The frame that asks for it, with this time limit.
    pub(crate) fn frame(&self, timeout: Duration) -> String {
        let text = frame::client_request("joinRoom", &self.room, &self.pending.id.to_string());
        self.trace.on(limited(text, timeout))
    }
}

/// One waiting request; dropping it cancels it.
#[derive(Debug)]
pub(crate) struct Pending {
    shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) reply: oneshot::Receiver<Payload>,
    pub(crate) frames: mpsc::Sender<String>,
}

/// A request to join a room; when it is dropped, the room is forgotten unless it was joined.
#[derive(Debug)]
pub(crate) struct Wanted {
    shared: Arc<Shared>,
    pub(crate) membership: Membership,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.shared.current().rooms.answered(self.membership);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.current().pending.remove(&self.id);
    }
}

/// How long servers assume that a client waits which does not say so.
const ASSUMED_TIMEOUT: Duration = Duration::from_secs(5);

/// A request's frame that says how long the client waits, unless servers assume that anyway.
pub(crate) fn limited(text: String, timeout: Duration) -> String {
    if timeout == ASSUMED_TIMEOUT {
        text
    } else {
        frame::with_timeout(text, timeout)
    }
}

impl Current {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Registers a request.
    fn wait(&mut self, joins: Option<Membership>) -> (u64, oneshot::Receiver<Payload>) {
        let id = self.new_id();
        let (reply, receiver) = oneshot::channel();
        self.pending.insert(id, Waiting { reply, joins });
        (id, receiver)
    }
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            ping_interval: watch::Sender::new(options.ping_interval),
            state: watch::Sender::new(State::Connecting { repeat: 0 }),
            options,
            current: Mutex::new(Current {
                // Ids that no other client uses: any server may address a reply to this client, and this client may have
                // replaced another one of the same name.
                last_id: u64::from(rand::random::<u32>()) << 20,
                ..Current::default()
            }),
            listeners: Mutex::default(),
            server: AtomicUsize::new(0),
        })
    }

    /// Sets the server of the next attempt.
    pub(crate) fn turned_to(&self, server: usize) {
        self.server.store(server, Ordering::Relaxed);
    }

    /// The server of the connection or of the next attempt.
    pub(crate) fn url(&self) -> &str {
        let server = self.server.load(Ordering::Relaxed);
        self.options.urls.get(server).map_or("", String::as_str)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock()
    }

    pub(crate) fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock()
    }

    /// The connection is open: from now on frames go here. The queue is set before the state, so that a handle that sees "open"
    /// can send. Returns the frames to write first: requests for the rooms, then kept events.
    pub(crate) fn opened(self: &Arc<Self>, frames: &mpsc::Sender<String>) -> First {
        let rooms = self.current().rooms.to_rejoin();
        let mut first = First::default();
        for (membership, room) in rooms {
            let rejoin = Rejoin {
                membership,
                room,
                pending: self.pending_again(frames),
                // Begun without the lock, because it is the application's code.
                trace: self.trace("joinRoom", DISCONNECTED),
            };
            first.frames.push_back(rejoin.frame(self.options.request_timeout));
            first.rejoins.push(rejoin);
        }
        {
            let mut current = self.current();
            first.frames.append(&mut current.kept);
            current.frames = Some(frames.clone());
        }
        self.state.send_replace(State::Open);
        self.listeners().lifecycle(&Lifecycle::Opened);
        first
    }

    /// The connection ended: every waiting request fails. The state is set before the queue is removed, so that a handle whose
    /// request failed does not see "open" any more, unless the next connection is open.
    pub(crate) fn hung_up(&self, state: State) {
        let for_good = matches!(state, State::Closed(_));
        self.state.send_replace(state);
        let (waiting, forgotten) = {
            let mut current = self.current();
            current.frames = None;
            let forgotten = if for_good {
                std::mem::take(&mut current.kept)
            } else {
                VecDeque::new()
            };
            (std::mem::take(&mut current.pending), forgotten)
        };
        if !forgotten.is_empty() {
            tracing::warn!(
                events = forgotten.len(),
                "closed for good: events that waited for a connection are not sent"
            );
        }
        drop(waiting);
    }

    /// The id of the next request.
    pub(crate) fn new_id(&self) -> u64 {
        self.current().new_id()
    }

    /// Begins the trace of an event or request. If it is dropped, it ends with the error `dropped`.
    pub(crate) fn trace(&self, event: &str, dropped: &'static str) -> Running {
        Running::begin(self.options.traces.as_ref(), event, dropped)
    }

    /// The queue for this frame; `None` when it is kept for the next connection.
    pub(crate) fn route(&self, text: String) -> Result<Option<(mpsc::Sender<String>, String)>, EmitError> {
        let mut current = self.current();
        if let Some(frames) = &current.frames {
            return Ok(Some((frames.clone(), text)));
        }
        // Checked under the lock: events that are kept before the state is "closed" are cleared after it.
        if self.options.offline_queue == 0 || matches!(*self.state.borrow(), State::Closed(_)) {
            return Err(EmitError::NotOpen);
        }
        if current.kept.len() >= self.options.offline_queue {
            return Err(EmitError::Full);
        }
        current.kept.push_back(text);
        Ok(None)
    }

    /// A request to join a room begins.
    pub(crate) fn wanted(self: &Arc<Self>, room: &Room) -> Wanted {
        Wanted {
            membership: self.current().rooms.wanted(room),
            shared: Arc::clone(self),
        }
    }

    /// A room is not joined again.
    pub(crate) fn left(&self, room: &Room) {
        self.current().rooms.left(room);
    }

    /// No room is joined again.
    pub(crate) fn forget_rooms(&self) {
        self.current().rooms.clear();
    }

    /// Whether this room is still to be joined.
    pub(crate) fn wants(&self, membership: Membership) -> bool {
        self.current().rooms.stands(membership)
    }

    /// The server refuses to let the client join a room again.
    pub(crate) fn room_lost(&self, membership: Membership, room: Room, code: String, text: String) {
        self.current().rooms.forget(membership);
        self.listeners().lifecycle(&Lifecycle::RoomLost { room, code, text });
    }

    /// Registers another request for a room. The limit of requests applies to the application, not to this.
    pub(crate) fn pending_again(self: &Arc<Self>, frames: &mpsc::Sender<String>) -> Pending {
        let (id, reply) = self.current().wait(None);
        self.pending_with(id, reply, frames)
    }

    fn pending_with(
        self: &Arc<Self>,
        id: u64,
        reply: oneshot::Receiver<Payload>,
        frames: &mpsc::Sender<String>,
    ) -> Pending {
        Pending {
            shared: Arc::clone(self),
            id,
            reply,
            frames: frames.clone(),
        }
    }

    /// Registers a request on the current connection.
    pub(crate) fn pending(self: &Arc<Self>, joins: Option<Membership>) -> Result<Pending, RequestError> {
        let mut current = self.current();
        let frames = current.frames.clone().ok_or(RequestError::NotOpen)?;
        if current.pending.len() >= self.options.max_pending {
            return Err(RequestError::TooMany(current.pending.len()));
        }
        let (id, reply) = current.wait(joins);
        Ok(self.pending_with(id, reply, &frames))
    }

    /// Hands a reply to the request that waits for it; `false` when none does.
    pub(crate) fn replied(&self, callback_id: &str, payload: Payload) -> bool {
        let Ok(id) = callback_id.parse() else {
            return false;
        };
        let Some(Waiting { reply, joins }) = self.current().pending.remove(&id) else {
            return false;
        };
        if let Some(membership) = joins
            && Refusal::read(payload.as_str()).is_none()
        {
            self.current().rooms.joined(membership);
        }
        reply.send(payload).is_ok()
    }
}
