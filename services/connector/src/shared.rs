//! What the handles and the task share: the way to the connection of the moment, the requests that wait, the listeners,
//! the state. Locks are short and never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::listeners::Listeners;
use crate::{EmitError, Lifecycle, Options, Payload, RequestError, State};

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
    pending: HashMap<u64, oneshot::Sender<Payload>>,
    last_id: u64,
}

/// One request that waits; dropping it cancels.
#[derive(Debug)]
pub(crate) struct Pending {
    shared: Arc<Shared>,
    pub(crate) id: u64,
    pub(crate) reply: oneshot::Receiver<Payload>,
    pub(crate) frames: mpsc::Sender<String>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.link().pending.remove(&self.id);
    }
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            ping_interval: watch::Sender::new(options.ping_interval),
            state: watch::Sender::new(State::Connecting { repeat: 0 }),
            options,
            link: Mutex::default(),
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
    pub(crate) fn opened(&self, frames: mpsc::Sender<String>) {
        self.link().frames = Some(frames);
        self.state.send_replace(State::Open);
        self.listeners().lifecycle(&Lifecycle::Opened);
    }

    /// The connection ended: every request that waits fails now. The state comes before the way: who fails and looks
    /// does not see "open" any more, unless the next connection stands.
    pub(crate) fn hung_up(&self, state: State) {
        self.state.send_replace(state);
        let waiting = {
            let mut link = self.link();
            link.frames = None;
            std::mem::take(&mut link.pending)
        };
        drop(waiting);
    }

    /// Where frames go now.
    pub(crate) fn frames(&self) -> Result<mpsc::Sender<String>, EmitError> {
        self.link().frames.clone().ok_or(EmitError::NotOpen)
    }

    /// Notes a request on the connection of the moment.
    pub(crate) fn pending(self: &Arc<Self>) -> Result<Pending, RequestError> {
        let mut link = self.link();
        let frames = link.frames.clone().ok_or(RequestError::NotOpen)?;
        if link.pending.len() >= self.options.max_pending {
            return Err(RequestError::TooMany(link.pending.len()));
        }
        link.last_id += 1;
        let id = link.last_id;
        let (sender, reply) = oneshot::channel();
        link.pending.insert(id, sender);
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
        let waiting = self.link().pending.remove(&id);
        waiting.is_some_and(|waiting| waiting.send(payload).is_ok())
    }
}
