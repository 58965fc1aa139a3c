//! What the handles and the task share: the way to the connection of the moment, the requests that wait, the rooms, the
//! events that are kept, the listeners, the state. Locks are short and never held across an await.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use wsmesh_protocol::frame;

use crate::listeners::Listeners;
use crate::request::{Refusal, refusal};
use crate::rooms::Rooms;
use crate::{EmitError, Lifecycle, Options, Payload, RequestError, Room, State};

/// Shared by one client's handles and its task.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) ping_interval: watch::Sender<Duration>,
    pub(crate) state: watch::Sender<State>,
    link: Mutex<Link>,
    listeners: Mutex<Listeners>,
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
    /// None: the client asks for a room again, by itself.
    reply: Option<oneshot::Sender<Payload>>,
    /// The room that a good reply lets the client into.
    joins: Option<Box<Room>>,
}

/// What is written on a new connection before anything else.
#[derive(Debug, Default)]
pub(crate) struct First {
    pub(crate) frames: VecDeque<String>,
    /// Whether rooms are asked for again.
    pub(crate) rejoins: bool,
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
    room: Room,
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.shared.link().rooms.refused(&self.room);
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
        })
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection stands: from now on frames go here. The way comes before the state: who sees "open" can send.
    /// Gives what is to be written first: rooms are asked for again, then what was kept follows.
    pub(crate) fn opened(&self, frames: mpsc::Sender<String>) -> First {
        // Called before the lock is held: it is the application's.
        let traceparent = self.traceparent();
        let first = {
            let mut link = self.link();
            let mut first = VecDeque::new();
            for room in link.rooms.to_rejoin() {
                let id = link.new_id();
                let text = frame::client_request("joinRoom", &room, &id.to_string());
                first.push_back(with_trace(text, traceparent.as_deref()));
                let (reply, joins) = (None, Some(Box::new(room)));
                link.pending.insert(id, Waiting { reply, joins });
            }
            let rejoins = !first.is_empty();
            first.append(&mut link.kept);
            link.frames = Some(frames);
            First { frames: first, rejoins }
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
        self.link().rooms.wanted(room);
        Wanted {
            shared: Arc::clone(self),
            room: room.clone(),
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

    /// Whoever asked for a room again and has no reply by now does not get one.
    pub(crate) fn rooms_unanswered(&self) {
        let unanswered: Vec<Room> = {
            let mut link = self.link();
            let late = link.pending.extract_if(|_, waiting| waiting.reply.is_none());
            late.filter_map(|(_, waiting)| waiting.joins)
                .map(|room| *room)
                .collect()
        };
        let error = RequestError::Timeout(self.options.request_timeout);
        for room in unanswered {
            self.room_lost(room, error.code().to_owned(), error.to_string());
        }
    }

    fn room_lost(&self, room: Room, code: String, text: String) {
        self.left(&room);
        self.listeners().lifecycle(&Lifecycle::RoomLost { room, code, text });
    }

    /// Notes a request on the connection of the moment.
    pub(crate) fn pending(self: &Arc<Self>, joins: Option<&Room>) -> Result<Pending, RequestError> {
        let mut link = self.link();
        let frames = link.frames.clone().ok_or(RequestError::NotOpen)?;
        if link.pending.len() >= self.options.max_pending {
            return Err(RequestError::TooMany(link.pending.len()));
        }
        let id = link.new_id();
        let (sender, reply) = oneshot::channel();
        let waiting = Waiting {
            reply: Some(sender),
            joins: joins.cloned().map(Box::new),
        };
        link.pending.insert(id, waiting);
        Ok(Pending {
            shared: Arc::clone(self),
            id,
            reply,
            frames,
        })
    }

    /// Hands a reply to the request that waits for it; false when none does (any more).
    pub(crate) fn replied(&self, callback_id: &str, payload: Payload) -> bool {
        let Ok(id) = callback_id.parse() else {
            return false;
        };
        let Some(Waiting { reply, joins }) = self.link().pending.remove(&id) else {
            return false;
        };
        if let Some(room) = joins {
            match refusal(payload.as_str()) {
                None => self.link().rooms.joined(&room),
                // Whoever asked for it hears why.
                Some(_) if reply.is_some() => {}
                Some(Refusal { error, error_code }) => self.room_lost(*room, error_code, error),
            }
        }
        reply.is_none_or(|reply| reply.send(payload).is_ok())
    }
}
