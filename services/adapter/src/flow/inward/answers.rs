//! The way back: the answer to a request goes to the server that sent it.
//!
//! A request is answered once: the first answer counts. One that is dropped without an answer tells its sender so at once, so
//! nobody waits for a listener that has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use crate::cluster::Requests;
use crate::error::PublishError;
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::seal::{Concerned, PublishOptions};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::tasks::Tasks;
use crate::metrics::Metrics;
use crate::wire::{Body, Missing, Payload, ServerName, Topic};

/// Sends answers.
#[derive(Debug)]
pub(crate) struct Answers {
    me: ServerName,
    outbound: Arc<Outbound>,
    /// This server's own requests: it may be the one that asked.
    requests: Arc<Requests>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

impl Answers {
    pub(crate) fn new(foundation: &Foundation, outbound: Arc<Outbound>, requests: Arc<Requests>) -> Self {
        Self {
            me: foundation.options.name.clone(),
            outbound,
            requests,
            tasks: foundation.tasks.clone(),
            metrics: foundation.metrics.clone(),
        }
    }

    /// Where the answer to a server's request goes.
    pub(crate) fn way_back(self: &Arc<Self>, server: &ServerName, callback_id: String) -> Arc<WayBack> {
        Arc::new(WayBack {
            server: server.clone(),
            callback_id,
            answered: AtomicBool::new(false),
            _answering: self.tasks.answering(),
            answers: self.clone(),
        })
    }

    fn count(&self, reply: &Result<Payload, Missing>) {
        let label = match reply {
            Ok(_) => "ok",
            Err(missing) => missing.label(),
        };
        self.metrics.requests.results.with_label_values(&["in", label]).inc();
    }

    async fn send(
        &self,
        server: &ServerName,
        callback_id: &str,
        reply: Result<Payload, Missing>,
    ) -> Result<(), PublishError> {
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

/// Where a request's answer goes.
#[derive(Debug)]
pub(crate) struct WayBack {
    answers: Arc<Answers>,
    server: ServerName,
    callback_id: String,
    answered: AtomicBool,
    /// Held until it is answered, or dropped: a server that leaves waits for it.
    _answering: TaskTrackerToken,
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

    /// Gives up the right to answer: this handle sends no answer any more.
    pub(crate) fn forget(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Answers, unless it was answered before.
    pub(crate) async fn answer(&self, reply: Result<Payload, Missing>) -> Result<(), PublishError> {
        if self.answered.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.answers.count(&reply);
        self.answers.send(&self.server, &self.callback_id, reply).await
    }

    /// Answers in a task of its own: the way in does not wait for a publish.
    pub(crate) fn answer_later(self: Arc<Self>, reply: Result<Payload, Missing>) {
        let tasks = self.answers.tasks.clone();
        let task = async move {
            if let Err(error) = self.answer(reply).await {
                tracing::debug!(server = %self.server, "a request could not be answered: {error}");
            }
        };
        tasks.spawn(task.in_current_span());
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        if self.answered.swap(true, Ordering::AcqRel) {
            return;
        }
        let reply = Err(Missing::NoReply);
        self.answers.count(&reply);
        let (answers, server) = (self.answers.clone(), self.server.clone());
        let callback_id = std::mem::take(&mut self.callback_id);
        let task = async move {
            if let Err(error) = answers.send(&server, &callback_id, reply).await {
                tracing::debug!(%server, "a server could not be told that there is no reply: {error}");
            }
        };
        self.answers.tasks.spawn(task);
    }
}
