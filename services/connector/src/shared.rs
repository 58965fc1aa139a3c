//! What the handles and the task share: the way to the connection of the moment, the requests that wait, the rooms, the
//! events that are kept, the listeners, the state. Locks are short and never held across an await.

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
use crate::{EmitError, Lifecycle, Options, Payload, RequestError, Room, State};

/// Shared by one client's handles and its task.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) ping_interval: watch::Sender<Duration>,
    pub(crate) state: watch::Sender<State>,
    link: Mutex<Link>,
    listeners: Mutex<Listeners>,
    /// The place of the server of now in the options' list.
    server: AtomicUsize,
}

/// The connection of the moment, and who waits for a reply on it.
#[derive(Debug, Default)]
struct Link {
    frames: Option<mpsc::Sender<String>>,
    pending: HashMap<u64, Waiting>,
    last_id: u64,
    rooms: Rooms,
    /// Events that wait for a connection.
    kept: VecDeque<String>,
}

/// Who waits for a reply.
#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Payload>,
    /// The room that a good reply lets the client into.
    joins: Option<Membership>,
}

/// What is written on a new connection before anything else.
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
}

impl Rejoin {
    /// The frame that asks for it.
    pub(crate) fn frame(&self) -> String {
        frame::client_request("joinRoom", &self.room, &self.pending.id.to_string())
    }
}

/// One request that waits; dropping it cancels.
#[derive(Debug)]
pub(crate) struct Pending {
    shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) reply: oneshot::Receiver<Payload>,
    pub(crate) frames: mpsc::Sender<String>,
}

/// A room that is being asked for; when dropped, it is forgotten unless it was joined.
#[derive(Debug)]
pub(crate) struct Wanted {
    shared: Arc<Shared>,
    pub(crate) membership: Membership,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.shared.link().rooms.answered(self.membership);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.link().pending.remove(&self.id);
    }
}

fn with_trace(text: String, traceparent: Option<&str>) -> String {
    match traceparent {
        Some(traceparent) => frame::with_traceparent(text, traceparent),
        None => text,
    }
}

impl Link {
    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Notes who waits for a reply.
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
            link: Mutex::new(Link {
                // Ids that no other client has: replies may be addressed to the client by whoever answers, also to one
                // that has taken the place of another.
                last_id: u64::from(rand::random::<u32>()) << 20,
                ..Link::default()
            }),
            listeners: Mutex::default(),
            server: AtomicUsize::new(0),
        })
    }

    /// Notes the server of the next attempt.
    pub(crate) fn turned_to(&self, server: usize) {
        self.server.store(server, Ordering::Relaxed);
    }

    /// The server of the connection or of the next attempt.
    pub(crate) fn url(&self) -> &str {
        let server = self.server.load(Ordering::Relaxed);
        self.options.urls.get(server).map_or("", String::as_str)
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock()
    }

    pub(crate) fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock()
    }

    /// A connection stands: from now on frames go here. The way comes before the state: who sees "open" can send.
    /// Gives what is to be written first: rooms are asked for again, then what was kept follows.
    pub(crate) fn opened(self: &Arc<Self>, frames: &mpsc::Sender<String>) -> First {
        // Called before the lock is held: it is the application's.
        let traceparent = self.traceparent();
        let first = {
            let mut link = self.link();
            let mut first = First::default();
            for (membership, room) in link.rooms.to_rejoin() {
                let (id, reply) = link.wait(None);
                let pending = self.pending_with(id, reply, frames);
                let rejoin = Rejoin {
                    membership,
                    room,
                    pending,
                };
                first
                    .frames
                    .push_back(with_trace(rejoin.frame(), traceparent.as_deref()));
                first.rejoins.push(rejoin);
            }
            first.frames.append(&mut link.kept);
            link.frames = Some(frames.clone());
            first
        };
        self.state.send_replace(State::Open);
        self.listeners().lifecycle(&Lifecycle::Opened);
        first
    }

    /// The connection ended: every request that waits fails now. The state comes before the way: who fails and looks
    /// does not see "open" any more, unless the next connection stands.
    pub(crate) fn hung_up(&self, state: State) {
        let for_good = matches!(state, State::Closed(_));
        self.state.send_replace(state);
        let (waiting, forgotten) = {
            let mut link = self.link();
            link.frames = None;
            let forgotten = if for_good {
                std::mem::take(&mut link.kept)
            } else {
                VecDeque::new()
            };
            (std::mem::take(&mut link.pending), forgotten)
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
        self.link().new_id()
    }

    /// A frame with the application's trace context, if there is one now.
    pub(crate) fn traced(&self, text: String) -> String {
        with_trace(text, self.traceparent().as_deref())
    }

    fn traceparent(&self) -> Option<String> {
        self.options.traceparent.as_ref().and_then(|current| current())
    }

    /// Where this frame goes now; none when it is kept for the next connection.
    pub(crate) fn route(&self, text: String) -> Result<Option<(mpsc::Sender<String>, String)>, EmitError> {
        let mut link = self.link();
        if let Some(frames) = &link.frames {
            return Ok(Some((frames.clone(), text)));
        }
        // Looked at under the lock: what is kept before the state is "closed" is cleared after it.
        if self.options.offline_queue == 0 || matches!(*self.state.borrow(), State::Closed(_)) {
            return Err(EmitError::NotOpen);
        }
        if link.kept.len() >= self.options.offline_queue {
            return Err(EmitError::Full);
        }
        link.kept.push_back(text);
        Ok(None)
    }

    /// Notes that a room is being asked for.
    pub(crate) fn wanted(self: &Arc<Self>, room: &Room) -> Wanted {
        Wanted {
            membership: self.link().rooms.wanted(room),
            shared: Arc::clone(self),
        }
    }

    /// A room is not asked for again.
    pub(crate) fn left(&self, room: &Room) {
        self.link().rooms.left(room);
    }

    /// No room is asked for again.
    pub(crate) fn forget_rooms(&self) {
        self.link().rooms.clear();
    }

    /// Whether this room is still to be joined.
    pub(crate) fn wants(&self, membership: Membership) -> bool {
        self.link().rooms.stands(membership)
    }

    /// The server does not let the client back into a room.
    pub(crate) fn room_lost(&self, membership: Membership, room: Room, code: String, text: String) {
        self.link().rooms.forget(membership);
        self.listeners().lifecycle(&Lifecycle::RoomLost { room, code, text });
    }

    /// Notes that a room is asked for once more. The limit of requests is the application's, not for this.
    pub(crate) fn pending_again(self: &Arc<Self>, frames: &mpsc::Sender<String>) -> Pending {
        let (id, reply) = self.link().wait(None);
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

    /// Notes a request on the connection of the moment.
    pub(crate) fn pending(self: &Arc<Self>, joins: Option<Membership>) -> Result<Pending, RequestError> {
        let mut link = self.link();
        let frames = link.frames.clone().ok_or(RequestError::NotOpen)?;
        if link.pending.len() >= self.options.max_pending {
            return Err(RequestError::TooMany(link.pending.len()));
        }
        let (id, reply) = link.wait(joins);
        Ok(self.pending_with(id, reply, &frames))
    }

    /// Hands a reply to the request that waits for it; false when none does (any more).
    pub(crate) fn replied(&self, callback_id: &str, payload: Payload) -> bool {
        let Ok(id) = callback_id.parse() else {
            return false;
        };
        let Some(Waiting { reply, joins }) = self.link().pending.remove(&id) else {
            return false;
        };
        if let Some(membership) = joins
            && Refusal::read(payload.as_str()).is_none()
        {
            self.link().rooms.joined(membership);
        }
        reply.send(payload).is_ok()
    }
}
