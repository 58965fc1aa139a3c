//! The requests of this process that wait for replies. State without I/O: replies, departures and time-outs come in,
//! answers go out.
//!
//! A request knows which servers it was sent to. It names every server that did not answer, and why.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::{Mutex, MutexGuard};

use crate::wire::{Instance, Missing, Payload, ServerName};

/// The most answers of unknown servers that may wait to be read; more are dropped.
const UNKNOWN_ANSWERS: usize = 64;

/// One server's reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The server that replied.
    pub server: ServerName,
    /// Its reply.
    pub payload: Payload,
}

/// The result from one server: its reply, or why there is none.
pub(crate) type Answer = Result<Reply, (ServerName, Missing)>;

/// One request. Kept until its `Replies` are dropped or it is given up.
#[derive(Debug, Default)]
struct Waiting {
    asked: Vec<(ServerName, Instance)>,
    /// Whether servers that were not asked by name may answer, too.
    open: bool,
    /// The servers that have answered, if `open`.
    answered: Vec<ServerName>,
    /// Answers that were not read yet.
    arrived: VecDeque<Answer>,
    /// Woken by the next answer.
    waker: Option<Waker>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.asked.is_empty() && !self.open
    }

    fn arrive(&mut self, answer: Answer) {
        self.arrived.push_back(answer);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The requests that wait for replies.
#[derive(Debug)]
pub(crate) struct Requests {
    prefix: String,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
}

impl Requests {
    pub(crate) fn new(instance: Instance) -> Self {
        Self {
            prefix: format!("{instance}-"),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock()
    }

    /// Registers a request to these servers, and returns its number.
    pub(super) fn register(&self, asked: Vec<(ServerName, Instance)>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if !asked.is_empty() {
            let waiting = Waiting {
                asked,
                ..Waiting::default()
            };
            self.lock().insert(id, waiting);
        }
        id
    }

    /// The id of a request on the wire.
    pub(crate) fn callback_id(&self, id: u64) -> String {
        format!("{}{id:x}", self.prefix)
    }

    /// Takes a server's reply; `false` if it is late, repeated or not for this process.
    pub(crate) fn on_reply(&self, callback_id: &str, server: &ServerName, reply: Result<Payload, Missing>) -> bool {
        let number = callback_id
            .strip_prefix(&self.prefix)
            .and_then(|number| u64::from_str_radix(number, 16).ok());
        number.is_some_and(|id| self.settle(id, server, reply))
    }

    /// Takes the answer of one server, or the reason why it will not answer; `false` if the request does not wait for
    /// it.
    pub(crate) fn settle(&self, id: u64, server: &ServerName, reply: Result<Payload, Missing>) -> bool {
        let mut waiting = self.lock();
        let Some(request) = waiting.get_mut(&id) else {
            return false;
        };
        match request.asked.iter().position(|(name, _)| name == server) {
            Some(position) => _ = request.asked.swap_remove(position),
            None if request.open
                && !request.answered.contains(server)
                && request.arrived.len() < UNKNOWN_ANSWERS + request.asked.len() => {}
            None => return false,
        }
        if request.open {
            request.answered.push(server.clone());
        }
        let server = server.clone();
        request.arrive(match reply {
            Ok(payload) => Ok(Reply { server, payload }),
            Err(why) => Err((server, why)),
        });
        true
    }

    /// Takes note that a process left: it will not answer any more.
    pub(crate) fn on_gone(&self, server: &ServerName, instance: Instance) {
        for request in self.lock().values_mut() {
            let gone = request
                .asked
                .iter()
                .position(|(name, asked)| name == server && *asked == instance);
            if let Some(position) = gone {
                let (name, _) = request.asked.swap_remove(position);
                request.arrive(Err((name, Missing::Gone)));
            }
        }
    }

    /// Servers that were not asked by name may answer this request, too.
    pub(super) fn open(&self, id: u64) {
        self.lock().entry(id).or_default().open = true;
    }

    /// Ends a request by its number; `false` if it is not waiting.
    pub(crate) fn give_up(&self, id: u64) -> bool {
        let given_up = self.lock().remove(&id);
        given_up.map(|mut request| request.wake()).is_some()
    }

    /// Forgets a request, and returns the servers that have not answered it.
    pub(super) fn cancel(&self, id: u64) -> Vec<ServerName> {
        let cancelled = self.lock().remove(&id);
        cancelled
            .map(|request| request.asked.into_iter().map(|(name, _)| name).collect())
            .unwrap_or_default()
    }

    /// Waits for the next answer; `None` when there will be no more.
    pub(super) fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let mut waiting = self.lock();
        let Some(request) = waiting.get_mut(&id) else {
            return Poll::Ready(None);
        };
        if let Some(answer) = request.arrived.pop_front() {
            return Poll::Ready(Some(answer));
        }
        if request.is_over() {
            return Poll::Ready(None);
        }
        if !request.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            request.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}
