//! Events and requests to other servers, and to this one. The servers that they reach are read from the roster; a request
//! names everyone who did not answer, and why.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tracing::Span;

use super::request_options::RequestOptions;
use super::target::Target;
use super::targets::{STRANGER, Targets};
use crate::cluster::{Deadline, MAX_KEY_BYTES, Outcome, Replies, Reply, Requests};
use crate::error::{PublishError, RequestError};
use crate::flow::inward::dispatch::{Arrival, Dispatch};
use crate::flow::outward::outbound::Outbound;
use crate::flow::outward::seal::{Concerned, PublishOptions, RequestKey};
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::local::Hub;
use crate::metrics::Metrics;
use crate::wire::{Body, Instance, Missing, Payload, ServerName, Topic, stable_hash};

/// Why a request failed if its time was over before a node took it.
const NOT_TAKEN: &str = "no Redis node took the request in time";

/// A key that orders a message, in place of its topic.
pub(crate) type OrderKey = Option<Arc<str>>;

/// One event or request.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    event: &'a str,
    payload: &'a Payload,
    /// Set if it is a request.
    request: Option<Asking<'a>>,
}

/// What is particular to a request.
#[derive(Clone, Copy)]
struct Asking<'a> {
    id: u64,
    deadline: Instant,
    key: Option<&'a RequestKey>,
}

impl Outgoing<'_> {
    fn publish_options(&self, order_key: OrderKey) -> PublishOptions {
        PublishOptions {
            is_awaited: self.request.is_some(),
            deadline: self.request.map(|asking| asking.deadline),
            key: self.request.and_then(|asking| asking.key.cloned()),
            order_key,
            ..PublishOptions::default()
        }
    }
}

/// Sends events and requests to servers.
#[derive(Debug)]
pub(crate) struct ServerRequests {
    members: Arc<Members>,
    targets: Targets,
    outbound: Arc<Outbound>,
    dispatch: Arc<Dispatch>,
    requests: Arc<Requests>,
    metrics: Arc<Metrics>,
    is_shared: bool,
    /// Longest wait, unless the request says otherwise.
    limit: Duration,
}

impl ServerRequests {
    pub(crate) fn new(
        foundation: &Foundation,
        hub: Arc<Hub>,
        outbound: Arc<Outbound>,
        dispatch: Arc<Dispatch>,
        requests: Arc<Requests>,
    ) -> Self {
        Self {
            members: foundation.members.clone(),
            targets: Targets::new(foundation, hub),
            outbound,
            dispatch,
            requests,
            metrics: foundation.metrics.clone(),
            is_shared: foundation.channels.is_shared(),
            limit: foundation.options.request_timeout,
        }
    }

    /// Sends an event; nobody answers.
    pub(crate) async fn emit(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        order_key: OrderKey,
    ) -> Result<(), PublishError> {
        let outgoing = Outgoing {
            event,
            payload: &payload,
            request: None,
        };
        let options = || outgoing.publish_options(order_key.clone());
        if let Target::Everyone | Target::Others = target {
            if target == Target::Everyone {
                self.deliver_here(outgoing);
            }
            let body = self.body(outgoing, Vec::new());
            let publishing = self
                .outbound
                .publish(&Topic::Servers, Concerned::Everyone, body, options());
            return publishing.await.map(drop);
        }
        let sending = self.targets.resolve(&target)?.into_iter().map(|(server, _)| {
            let options = options();
            async move {
                if server == *self.members.name() {
                    self.deliver_here(outgoing);
                    return Ok(());
                }
                let topic = Topic::Server(server.clone());
                let body = self.body(outgoing, vec![server.clone()]);
                let publishing = self.outbound.publish(&topic, Concerned::Server(&server), body, options);
                publishing.await.map(drop)
            }
        });
        join_all(sending).await.into_iter().collect()
    }

    /// Sends an event and returns the replies as they come.
    pub(crate) async fn request(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
        order_key: OrderKey,
    ) -> Result<Replies, PublishError> {
        let key = request_key(&options, &payload)?;
        let asked = self.targets.resolve(&target)?;
        let limit = options.timeout.unwrap_or(self.limit);
        let mut replies = self.requests.begin(asked.clone(), limit);
        let is_broadcast = matches!(target, Target::Everyone | Target::Others);
        if let Some(expected) = options.expected {
            replies.expect(expected);
            if self.is_shared && is_broadcast {
                replies.accept_unknown();
            }
        }
        if limit.is_zero() {
            // Nobody would wait for what it does.
            return Ok(replies);
        }
        let outgoing = Outgoing {
            event,
            payload: &payload,
            request: Some(Asking {
                id: replies.id(),
                deadline: replies.deadline(),
                key: key.as_ref(),
            }),
        };
        let me = self.members.name();
        if asked.iter().any(|(server, _)| server == me) {
            self.deliver_here(outgoing);
        }
        let others: Vec<_> = asked.iter().filter(|(server, _)| server != me).collect();
        if is_broadcast {
            self.ask_everyone(&mut replies, outgoing, &others, order_key).await;
        } else {
            self.ask_each(&mut replies, outgoing, &others, order_key).await;
        }
        Ok(replies)
    }

    /// One message that every server gets.
    async fn ask_everyone(
        &self,
        replies: &mut Replies,
        outgoing: Outgoing<'_>,
        others: &[&(ServerName, Instance)],
        order_key: OrderKey,
    ) {
        let id = replies.id();
        let options = outgoing.publish_options(order_key);
        let body = self.body(outgoing, Vec::new());
        let sending = self
            .outbound
            .publish(&Topic::Servers, Concerned::Everyone, body, options);
        match replies.within(sending).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => others
                .iter()
                .for_each(|(server, _)| self.unreachable(id, server, &error)),
            None => others
                .iter()
                .for_each(|(server, _)| self.unreachable(id, server, &NOT_TAKEN)),
        }
    }

    /// One message to each.
    async fn ask_each(
        &self,
        replies: &mut Replies,
        outgoing: Outgoing<'_>,
        others: &[&(ServerName, Instance)],
        order_key: OrderKey,
    ) {
        let id = replies.id();
        if let [(server, instance)] = others {
            let sending = self.ask_one(id, outgoing, server, *instance, order_key);
            if replies.within(sending).await.is_none() {
                self.unreachable(id, server, &NOT_TAKEN);
            }
            return;
        }
        let taken: Vec<AtomicBool> = others.iter().map(|_| AtomicBool::new(false)).collect();
        let sending = others.iter().zip(&taken).map(async |((server, instance), taken)| {
            self.ask_one(id, outgoing, server, *instance, order_key.clone()).await;
            taken.store(true, Ordering::Relaxed);
        });
        if replies.within(join_all(sending)).await.is_none() {
            let untaken = others
                .iter()
                .zip(&taken)
                .filter(|(_, taken)| !taken.load(Ordering::Relaxed));
            untaken.for_each(|((server, _), _)| self.unreachable(id, server, &NOT_TAKEN));
        }
    }

    async fn ask_one(
        &self,
        id: u64,
        outgoing: Outgoing<'_>,
        server: &ServerName,
        instance: Instance,
        order_key: OrderKey,
    ) {
        let options = PublishOptions {
            target_instance: Some(instance).filter(|instance| *instance != STRANGER),
            ..outgoing.publish_options(order_key)
        };
        let topic = Topic::Server(server.clone());
        let body = self.body(outgoing, vec![server.clone()]);
        let sending = self.outbound.publish(&topic, Concerned::Server(server), body, options);
        if let Err(error) = sending.await {
            self.unreachable(id, server, &error);
        }
    }

    fn unreachable(&self, id: u64, server: &ServerName, why: &dyn Display) {
        let missing = Missing::Unreachable(why.to_string());
        self.requests.settle(id, server, Err(missing));
    }

    fn body(&self, outgoing: Outgoing<'_>, targets: Vec<ServerName>) -> Body {
        Body::Event {
            event: outgoing.event.to_owned(),
            targets,
            payload: outgoing.payload.clone(),
            callback_id: outgoing.request.map(|asking| self.requests.callback_id(asking.id)),
        }
    }

    fn deliver_here(&self, outgoing: Outgoing<'_>) {
        let request = outgoing.request;
        let key = request.and_then(|asking| asking.key);
        self.dispatch.deliver(Arrival {
            event: outgoing.event,
            sender: self.members.name(),
            payload: outgoing.payload.clone(),
            callback_id: request.map(|asking| self.requests.callback_id(asking.id)),
            span: Span::current(),
            sent: None,
            deadline: request.map_or(Deadline::Never, |asking| Deadline::At(asking.deadline)),
            key: key.map(|of| (of.key.clone(), Some(of.fingerprint))),
        });
    }

    /// Sends an event and waits for all replies.
    pub(crate) async fn ask(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
        order_key: OrderKey,
    ) -> Result<Outcome, PublishError> {
        let start = Instant::now();
        let replies = self.request(target, event, payload, options, order_key).await?;
        let outcome = replies.collect().await;
        self.count(&outcome, start);
        Ok(outcome)
    }

    /// Asks one server and waits for its reply.
    pub(crate) async fn call(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
        order_key: OrderKey,
    ) -> Result<Reply, RequestError> {
        let options = RequestOptions {
            expected: Some(1),
            ..options
        };
        let mut outcome = self.ask(target, event, payload, options, order_key).await?;
        if let Some(reply) = outcome.replies.pop() {
            return Ok(reply);
        }
        match outcome.missing.into_iter().next() {
            Some((server, why)) => Err(RequestError::Missing { server, why }),
            None => Err(RequestError::ShuttingDown),
        }
    }

    /// Ends a request by its number; `false` if it does not wait any more.
    pub(crate) fn cancel(&self, request: u64) -> bool {
        self.requests.give_up(request)
    }

    fn count(&self, outcome: &Outcome, start: Instant) {
        self.metrics.requests.seconds.observe(start.elapsed().as_secs_f64());
        let requests = &self.metrics.requests.results;
        requests
            .with_label_values(&["out", "ok"])
            .inc_by(outcome.replies.len() as u64);
        for (_, why) in &outcome.missing {
            requests.with_label_values(&["out", why.label()]).inc();
        }
    }
}

/// The idempotency key of a request, and what tells it apart from another request with its key.
fn request_key(options: &RequestOptions, payload: &Payload) -> Result<Option<RequestKey>, PublishError> {
    let Some(key) = &options.key else { return Ok(None) };
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Err(PublishError::Key(key.len()));
    }
    let fingerprint = options.fingerprint;
    Ok(Some(RequestKey {
        key: key.as_str().into(),
        fingerprint: fingerprint.unwrap_or_else(|| stable_hash(0, [payload.bytes()])),
    }))
}
