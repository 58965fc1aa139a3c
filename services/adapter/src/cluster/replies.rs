//! The replies to one request, as a stream that ends: with the last answer, at the time-out, or when it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Sleep;

use super::requests::{Answer, Reply, Requests};
use crate::error::Missing;
use crate::wire::{Instance, ServerName};

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

impl Requests {
    /// Begins to wait for these servers.
    pub(crate) fn begin(self: &Arc<Self>, asked: Vec<(ServerName, Instance)>, timeout: Duration) -> Replies {
        let expected = asked.len();
        Replies {
            id: self.register(asked),
            requests: self.clone(),
            deadline: Box::pin(tokio::time::sleep(timeout)),
            expected,
            silent: Vec::new(),
            strangers: false,
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
