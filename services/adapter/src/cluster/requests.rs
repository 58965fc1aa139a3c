//! Who waits for a reply, from whom. State without I/O: replies, departures and time-outs come in, answers go out.
//!
//! Nobody counts servers by hand: a request knows whom it asked, and names everyone who did not answer, and why.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Sleep;

use crate::error::Missing;
use crate::wire::{Instance, Payload, ServerName};

/// Answers that may wait to be taken, where strangers answer, too; more of those are dropped.
const STRANGERS: usize = 64;

/// One server's reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Who replied.
    pub server: ServerName,
    /// What it said.
    pub payload: Payload,
}

/// Everything that came of a request to several servers.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Who answered what, in order of arrival.
    pub replies: Vec<Reply>,
    /// Who did not answer, and why.
    pub missing: Vec<(ServerName, Missing)>,
    /// How many more replies were expected than servers are known to be missing: with shared routing, servers that nobody
    /// can name.
    pub unnamed: usize,
}

impl Outcome {
    /// Whether everyone answered.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.unnamed == 0
    }
}

/// What comes of asking one server.
pub(crate) type Answer = Result<Reply, (ServerName, Missing)>;

/// One request. Kept until its [`Replies`] are dropped, or it is given up.
#[derive(Debug, Default)]
struct Waiting {
    asked: Vec<(ServerName, Instance)>,
    /// Servers that nobody knows may answer, too.
    open: bool,
    /// Who has answered, where anybody may.
    answered: Vec<ServerName>,
    /// Answers that were not taken yet.
    arrived: VecDeque<Answer>,
    /// Whom the next answer wakes.
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

/// The requests of this process that wait.
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
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait for these servers.
    pub(crate) fn begin(self: &Arc<Self>, asked: Vec<(ServerName, Instance)>, timeout: Duration) -> Replies {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let expected = asked.len();
        if !asked.is_empty() {
            let waiting = Waiting {
                asked,
                ..Waiting::default()
            };
            self.lock().insert(id, waiting);
        }
        Replies {
            id,
            requests: self.clone(),
            deadline: Box::pin(tokio::time::sleep(timeout)),
            expected,
            silent: Vec::new(),
            strangers: false,
            failed: 0,
            unnamed: 0,
        }
    }

    /// What names a request on the wire.
    pub(crate) fn callback_id(&self, id: u64) -> String {
        format!("{}{id:x}", self.prefix)
    }

    /// A server replied. Late, doubled and foreign replies do nothing; `false` for those.
    pub(crate) fn on_reply(&self, callback_id: &str, server: &ServerName, reply: Result<Payload, Missing>) -> bool {
        let number = callback_id
            .strip_prefix(&self.prefix)
            .and_then(|number| u64::from_str_radix(number, 16).ok());
        number.is_some_and(|id| self.settle(id, server, reply))
    }

    /// One of the servers asked has answered, or never will.
    pub(crate) fn settle(&self, id: u64, server: &ServerName, reply: Result<Payload, Missing>) -> bool {
        let mut waiting = self.lock();
        let Some(request) = waiting.get_mut(&id) else {
            return false;
        };
        match request.asked.iter().position(|(name, _)| name == server) {
            Some(position) => _ = request.asked.swap_remove(position),
            None if request.open
                && !request.answered.contains(server)
                && request.arrived.len() < STRANGERS + request.asked.len() => {}
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

    /// A process left: it will answer nothing any more.
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

    fn open(&self, id: u64) {
        self.lock().entry(id).or_default().open = true;
    }

    /// Ends a request by its number; `false` if it does not wait.
    pub(crate) fn give_up(&self, id: u64) -> bool {
        let given_up = self.lock().remove(&id);
        given_up.map(|mut request| request.wake()).is_some()
    }

    fn cancel(&self, id: u64) -> Vec<ServerName> {
        let cancelled = self.lock().remove(&id);
        cancelled
            .map(|request| request.asked.into_iter().map(|(name, _)| name).collect())
            .unwrap_or_default()
    }

    /// The next answer that arrived; `None` when there will be no more.
    fn poll_answer(&self, id: u64, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
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
    fn len(&self) -> usize {
        self.lock().len()
    }
}

/// Replies as they come: `Ok(reply)`, or `Err((server, why))` for each server that will not answer.
///
/// Ends when everyone asked has answered or is known not to, or at the time-out. Dropping it cancels the request: later
/// replies are ignored.
#[derive(Debug)]
pub struct Replies {
    id: u64,
    requests: Arc<Requests>,
    deadline: Pin<Box<Sleep>>,
    expected: usize,
    silent: Vec<ServerName>,
    /// Servers that nobody can name may answer.
    strangers: bool,
    /// How many are known not to answer.
    failed: usize,
    /// At the time-out: how many more were expected than are known to be missing.
    unnamed: usize,
}

impl Replies {
    /// The request's number in this process, for [`Adapter::cancel`](crate::Adapter::cancel).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// End as soon as so many servers replied.
    pub(crate) fn expect(&mut self, replies: usize) {
        self.expected = replies;
    }

    /// Servers that were not asked by name may answer, too.
    pub(crate) fn accept_strangers(&mut self) {
        self.strangers = true;
        self.requests.open(self.id);
    }

    /// Waits for something else, at most until the time-out; `None` if that came first.
    pub(crate) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = work => Some(result),
            () = self.deadline.as_mut() => None,
        }
    }

    /// Waits for everything and sorts it.
    pub async fn collect(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        while let Some(answer) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
            match answer {
                Ok(reply) => outcome.replies.push(reply),
                Err(missing) => outcome.missing.push(missing),
            }
        }
        outcome.unnamed = self.unnamed;
        outcome
    }
}

impl Stream for Replies {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        if let Some(server) = self.silent.pop() {
            return Poll::Ready(Some(Err((server, Missing::TimedOut))));
        }
        if self.expected == 0 {
            let id = self.id;
            self.requests.cancel(id);
            return Poll::Ready(None);
        }
        match self.requests.poll_answer(self.id, cx) {
            Poll::Ready(Some(answer)) => {
                if answer.is_ok() {
                    self.expected -= 1;
                } else {
                    self.failed += 1;
                }
                return Poll::Ready(Some(answer));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        if self.deadline.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let id = self.id;
        self.silent = self.requests.cancel(id);
        if self.strangers {
            self.unnamed = self.expected.saturating_sub(self.silent.len() + self.failed);
        }
        self.expected = 0;
        let first = self.silent.pop();
        Poll::Ready(first.map(|server| Err((server, Missing::TimedOut))))
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        self.requests.cancel(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerName {
        ServerName::new(name).expect("valid")
    }

    fn ask(names: &[&str]) -> (Arc<Requests>, Replies) {
        let requests = Arc::new(Requests::new(Instance(7)));
        let asked = names.iter().map(|name| (server(name), Instance(1))).collect();
        let replies = requests.begin(asked, Duration::from_secs(5));
        (requests, replies)
    }

    fn one() -> Result<Payload, Missing> {
        Ok(Payload::from_json("1"))
    }

    #[tokio::test(start_paused = true)]
    async fn everyone_who_answered_and_everyone_who_did_not_is_named() {
        let (requests, replies) = ask(&["a", "b", "c", "d"]);
        let id = requests.callback_id(replies.id());
        assert!(requests.on_reply(&id, &server("a"), one()));
        assert!(requests.on_reply(&id, &server("b"), Err(Missing::Unhandled)));
        requests.on_gone(&server("c"), Instance(1));
        let outcome = replies.collect().await;
        assert_eq!(outcome.replies.len(), 1);
        let missing = [
            (server("b"), Missing::Unhandled),
            (server("c"), Missing::Gone),
            (server("d"), Missing::TimedOut),
        ];
        assert_eq!(outcome.missing, missing);
        assert_eq!(requests.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn late_doubled_and_foreign_replies_do_nothing() {
        let (requests, replies) = ask(&["a", "b"]);
        let id = requests.callback_id(replies.id());
        assert!(requests.on_reply(&id, &server("a"), one()));
        assert!(!requests.on_reply(&id, &server("a"), one()), "doubled");
        assert!(!requests.on_reply(&id, &server("x"), one()), "was not asked");
        assert!(
            !requests.on_reply("8-1", &server("b"), one()),
            "another process's request"
        );
        assert!(!requests.on_reply("nonsense", &server("b"), one()));
        drop(replies);
        assert!(!requests.on_reply(&id, &server("b"), one()), "cancelled");
        assert_eq!(requests.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_expects_one_reply_ends_with_the_first() {
        let (requests, mut replies) = ask(&["a", "b"]);
        replies.expect(1);
        let id = requests.callback_id(replies.id());
        requests.on_reply(&id, &server("b"), one());
        let outcome = replies.collect().await;
        assert_eq!((outcome.replies.len(), outcome.missing.len()), (1, 0));
        assert_eq!(requests.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_may_answer_where_they_are_accepted() {
        for known in [&["a"][..], &[]] {
            let (requests, mut replies) = ask(known);
            replies.expect(2);
            replies.accept_strangers();
            let id = requests.callback_id(replies.id());
            known
                .iter()
                .for_each(|name| assert!(requests.on_reply(&id, &server(name), one())));
            assert!(requests.on_reply(&id, &server("stranger"), one()));
            assert!(!requests.on_reply(&id, &server("stranger"), one()), "doubled");
            assert!(requests.on_reply(&id, &server("another"), one()));
            assert_eq!(replies.collect().await.replies.len(), 2);
            assert_eq!(requests.len(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_that_do_not_answer_are_counted() {
        let (requests, mut replies) = ask(&["a"]);
        replies.expect(3);
        replies.accept_strangers();
        let id = requests.callback_id(replies.id());
        requests.on_reply(&id, &server("a"), one());
        let outcome = replies.collect().await;
        assert_eq!(
            (outcome.replies.len(), outcome.missing.len(), outcome.unnamed),
            (1, 0, 2)
        );
        assert!(!outcome.complete());
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarted_server_is_not_taken_for_the_one_that_was_asked() {
        let (requests, replies) = ask(&["a"]);
        requests.on_gone(&server("a"), Instance(2));
        assert_eq!(requests.len(), 1, "another process of that name");
        requests.on_gone(&server("a"), Instance(1));
        assert_eq!(replies.collect().await.missing, [(server("a"), Missing::Gone)]);
    }
}
