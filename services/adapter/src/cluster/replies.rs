//! The replies to one request, as a stream. It ends with the last answer or at the time-out; dropping it cancels the
//! request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::requests::{Answer, Reply, Requests};
use crate::wire::{Instance, Missing, ServerName};

/// The complete result of a request to several servers.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The replies, in order of arrival.
    pub replies: Vec<Reply>,
    /// The servers that did not answer, and why.
    pub missing: Vec<(ServerName, Missing)>,
    /// How many more replies are missing than `missing` names: with shared routing, from servers whose names are
    /// unknown.
    pub unnamed: usize,
}

impl Outcome {
    /// Whether every server answered.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.unnamed == 0
    }
}

/// Replies as they arrive: `Ok(reply)`, or `Err((server, why))` for each server that will not answer.
///
/// Ends when every server has answered or is known not to answer, or at the time-out. Dropping it cancels the request:
/// later replies are ignored.
#[derive(Debug)]
pub struct Replies {
    id: u64,
    requests: Arc<Requests>,
    deadline: Pin<Box<Sleep>>,
    expected: usize,
    silent: Vec<ServerName>,
    /// Whether servers that were not asked by name may answer.
    open: bool,
    /// How many servers are known not to answer.
    failed: usize,
    /// At the time-out: how many more replies are missing than servers are known to be missing.
    unnamed: usize,
}

impl Requests {
    /// Begins to wait for the replies of these servers.
    pub(crate) fn begin(self: &Arc<Self>, asked: Vec<(ServerName, Instance)>, timeout: Duration) -> Replies {
        let expected = asked.len();
        Replies {
            id: self.register(asked),
            requests: self.clone(),
            deadline: Box::pin(tokio::time::sleep(timeout)),
            expected,
            silent: Vec::new(),
            open: false,
            failed: 0,
            unnamed: 0,
        }
    }
}

impl Replies {
    /// The request's number in this process, for [`Adapter::cancel`](crate::Adapter::cancel).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// When it ends at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.deadline()
    }

    /// Ends the stream as soon as this many servers have replied.
    pub(crate) fn expect(&mut self, replies: usize) {
        self.expected = replies;
    }

    /// Lets servers answer that were not asked by name.
    pub(crate) fn accept_unknown(&mut self) {
        self.open = true;
        self.requests.open(self.id);
    }

    /// Waits for `work`, at most until the time-out; `None` if the time-out came first.
    pub(crate) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = work => Some(result),
            () = self.deadline.as_mut() => None,
        }
    }

    /// Waits for the end, and returns everything sorted into an [`Outcome`].
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
        if self.open {
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
    use crate::wire::Payload;

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
    async fn every_server_is_named_whether_it_answered_or_not() {
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
    async fn late_repeated_and_foreign_replies_do_nothing() {
        let (requests, replies) = ask(&["a", "b"]);
        let id = requests.callback_id(replies.id());
        assert!(requests.on_reply(&id, &server("a"), one()));
        assert!(!requests.on_reply(&id, &server("a"), one()), "repeated");
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
    async fn unknown_servers_may_answer_if_they_are_accepted() {
        for known in [&["a"][..], &[]] {
            let (requests, mut replies) = ask(known);
            replies.expect(2);
            replies.accept_unknown();
            let id = requests.callback_id(replies.id());
            known
                .iter()
                .for_each(|name| assert!(requests.on_reply(&id, &server(name), one())));
            assert!(requests.on_reply(&id, &server("stranger"), one()));
            assert!(!requests.on_reply(&id, &server("stranger"), one()), "repeated");
            assert!(requests.on_reply(&id, &server("another"), one()));
            assert_eq!(replies.collect().await.replies.len(), 2);
            assert_eq!(requests.len(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_servers_that_do_not_answer_are_counted() {
        let (requests, mut replies) = ask(&["a"]);
        replies.expect(3);
        replies.accept_unknown();
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
    async fn a_restarted_server_is_not_confused_with_the_one_that_was_asked() {
        let (requests, replies) = ask(&["a"]);
        requests.on_gone(&server("a"), Instance(2));
        assert_eq!(requests.len(), 1, "another process with that name");
        requests.on_gone(&server("a"), Instance(1));
        assert_eq!(replies.collect().await.missing, [(server("a"), Missing::Gone)]);
    }
}
