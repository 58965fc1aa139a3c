//! The way back: the answer to a request goes to the server that sent it, and to those that repeated it with its idempotency key.
//!
//! A request is answered once: the first answer counts. One that is dropped without an answer tells its sender so at once, so
//! nobody waits for a listener that has ended. A sender that has given up is told nothing.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Instrument, Span};

use crate::cluster::{Answered, Deadline, Entered, Key, KeyBook, MAX_KEY_BYTES, Requests, Run};
use crate::error::PublishError;
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::seal::{Concerned, PublishOptions};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::tasks::Tasks;
use crate::metrics::Metrics;
use crate::trace;
use crate::wire::{Body, Missing, Payload, PayloadError, Refusal, ServerName, Topic};

/// Sends answers.
#[derive(Debug)]
pub(crate) struct Answers {
    me: ServerName,
    outbound: Arc<Outbound>,
    /// This server's own requests: it may be the one that asked.
    requests: Arc<Requests>,
    /// The requests that have an idempotency key.
    keys: Mutex<KeyBook<WayBack>>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

/// A request that is to be carried out once: its event, its key, and what is different in another request.
pub(crate) struct Once<'a> {
    pub(crate) event: &'a str,
    pub(crate) key: Arc<str>,
    pub(crate) fingerprint: Option<u64>,
}

impl Answers {
    pub(crate) fn new(foundation: &Foundation, outbound: Arc<Outbound>, requests: Arc<Requests>) -> Self {
        Self {
            me: foundation.options.name.clone(),
            outbound,
            requests,
            keys: Mutex::default(),
            tasks: foundation.tasks.clone(),
            metrics: foundation.metrics.clone(),
        }
    }

    /// Where the answer to a server's request goes.
    pub(crate) fn way_back(self: &Arc<Self>, server: &ServerName, callback_id: String, deadline: Deadline) -> WayBack {
        WayBack {
            server: server.clone(),
            callback_id,
            deadline,
            run: None,
            answered: AtomicBool::new(false),
            _answering: self.tasks.answering(),
            answers: self.clone(),
        }
    }

    /// The way back of a request that is to be carried out now; nothing if it is answered together with an earlier one, or is
    /// answered already.
    pub(crate) fn enter(&self, way_back: WayBack, once: Once<'_>) -> Option<WayBack> {
        let bytes = once.key.len();
        if !(1..=MAX_KEY_BYTES).contains(&bytes) {
            way_back.refuse_later(
                "BAD_PAYLOAD",
                format!("the idempotency key has {bytes} bytes: 1 to {MAX_KEY_BYTES} are allowed"),
            );
            return None;
        }
        let key = Key {
            event: once.event.into(),
            key: once.key,
        };
        let deadline = way_back.deadline.clone();
        let (entered, evicted) = {
            let mut keys = self.keys.lock();
            let entered = keys.enter(key, once.fingerprint, &deadline, way_back, Instant::now());
            (entered, keys.take_evicted())
        };
        self.metrics.requests.evicted.inc_by(evicted);
        let repeated = |result| self.metrics.requests.repeated.with_label_values(&[result]).inc();
        match entered {
            Entered::First(mut way_back, run, deadline) => {
                way_back.run = Some(Running { run, deadline });
                return Some(way_back);
            }
            Entered::Waits => repeated("waited"),
            Entered::Answered(way_back, answer) => {
                repeated("answered");
                Arc::new(way_back).answer_later(answer);
            }
            Entered::Conflict(way_back) => {
                repeated("conflict");
                way_back.refuse_later(CONFLICT, "another request has this idempotency key");
            }
            Entered::Full(way_back) => Arc::new(way_back).answer_later(Err(Missing::Overloaded)),
        }
        None
    }

    fn count(&self, label: &str) {
        self.metrics.requests.results.with_label_values(&["in", label]).inc();
    }

    async fn send(&self, server: &ServerName, callback_id: &str, reply: Answered) -> Result<(), PublishError> {
        if *server == self.me {
            self.requests.on_reply(callback_id, server, reply);
            return Ok(());
        }
        let (payload, error) = match reply {
            Ok(payload) => (payload, None),
            Err(missing) => (Payload::null(), Some(missing)),
        };
        let body = Body::Reply {
            callback_id: callback_id.to_owned(),
            payload,
        };
        let is_answer = error.is_none();
        let options = PublishOptions {
            error,
            ..PublishOptions::default()
        };
        let topic = Topic::Server(server.clone());
        let sent = self
            .outbound
            .publish(&topic, Concerned::Server(server), body, options)
            .await;
        if is_answer && matches!(sent, Err(PublishError::TooLarge { .. })) {
            // So that the requester does not wait until its time limit. This answer is small.
            let why = Box::pin(self.send(server, callback_id, Err(Missing::TooLarge)));
            return why.await.and(sent.map(drop));
        }
        sent.map(drop)
    }
}

/// A refusal with this code says that another request has the key.
const CONFLICT: &str = "CONFLICT";

/// Where a request's answer goes.
#[derive(Debug)]
pub(crate) struct WayBack {
    answers: Arc<Answers>,
    server: ServerName,
    callback_id: String,
    /// When this sender gives up.
    deadline: Deadline,
    /// Set for a request with an idempotency key that is carried out here.
    run: Option<Running>,
    answered: AtomicBool,
    /// Held until it is answered, or dropped: a server that leaves waits for it.
    _answering: TaskTrackerToken,
}

/// A request with an idempotency key that is carried out.
#[derive(Debug)]
struct Running {
    run: Run,
    /// When nobody waits for the answer any more.
    deadline: Deadline,
}

impl WayBack {
    /// The server that asked.
    pub(crate) fn server(&self) -> &ServerName {
        &self.server
    }

    /// The name of the request on the server that asked.
    pub(crate) fn callback_id(&self) -> &str {
        &self.callback_id
    }

    /// When nobody waits for the answer any more.
    pub(crate) fn deadline(&self) -> &Deadline {
        self.run.as_ref().map_or(&self.deadline, |running| &running.deadline)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.deadline().is_over(Instant::now())
    }

    /// A listener is about to get the request; `false` if nobody waits for its answer any more.
    pub(crate) fn begin(&self) -> bool {
        let now = Instant::now();
        match &self.run {
            None => !self.deadline.is_over(now),
            Some(Running { run, deadline }) => self.answers.keys.lock().take(run, now) && !deadline.is_over(now),
        }
    }

    /// Gives up the right to answer: this handle sends no answer any more.
    pub(crate) fn forget(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Answers, unless it was answered before. An answer for which nobody waits any more is not sent.
    pub(crate) async fn answer(&self, reply: Answered) -> Result<(), PublishError> {
        if self.answered.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        trace::answered(&Span::current(), &reply);
        self.settle(&reply);
        if !self.is_expected(&reply) {
            return Ok(());
        }
        self.answers.send(&self.server, &self.callback_id, reply).await
    }

    /// Answers in a task of its own: the way in does not wait for a publish.
    pub(crate) fn answer_later(self: Arc<Self>, reply: Answered) {
        let tasks = self.answers.tasks.clone();
        let task = async move {
            if let Err(error) = self.answer(reply).await {
                tracing::debug!(peer = %self.server, "a request could not be answered: {error}");
            }
        };
        tasks.spawn(task.in_current_span());
    }

    fn refuse_later(self, code: &'static str, text: impl Into<Cow<'static, str>>) {
        let refusal: Result<Payload, PayloadError> = Refusal::new(code, text).payload();
        Arc::new(self).answer_later(refusal.map_err(|_| Missing::NoReply));
    }

    /// Gives the answer to those that repeated the request, and keeps it for those that will.
    fn settle(&self, reply: &Answered) {
        let Some(Running { run, .. }) = &self.run else { return };
        let (waiting, evicted) = {
            let mut keys = self.answers.keys.lock();
            let waiting = keys.settle(run, reply, Instant::now());
            (waiting, keys.take_evicted())
        };
        self.answers.metrics.requests.evicted.inc_by(evicted);
        for repeat in waiting {
            Arc::new(repeat).answer_later(reply.clone());
        }
    }

    /// Counts the answer; `false` if the sender has given up.
    fn is_expected(&self, reply: &Answered) -> bool {
        let is_over = self.deadline.is_over(Instant::now());
        self.answers.count(match reply {
            _ if is_over => "abandoned",
            Ok(_) => "ok",
            Err(missing) => missing.label(),
        });
        !is_over
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if self.answered.swap(true, Ordering::AcqRel) {
            return;
        }
        let reply = Err(Missing::NoReply);
        self.settle(&reply);
        if !self.is_expected(&reply) {
            return;
        }
        let (answers, server) = (self.answers.clone(), self.server.clone());
        let callback_id = std::mem::take(&mut self.callback_id);
        let task = async move {
            if let Err(error) = answers.send(&server, &callback_id, reply).await {
                tracing::debug!(peer = %server, "a server could not be told that there is no reply: {error}");
            }
        };
        self.answers.tasks.spawn(task);
    }
}
