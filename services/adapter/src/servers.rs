//! Events and requests between servers: the public verbs. Whom they reach is read from the roster; nobody counts by hand.

use std::fmt::Display;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::Instrument;

use crate::adapter::{Adapter, Inner};
use crate::cluster::{ListenerId, Outcome, Replies, Reply};
use crate::error::{Missing, PublishError, RequestError};
use crate::event::{Listener, ServerEvent};
use crate::outbound::{Concerned, Extras, Published};
use crate::targets::{STRANGER, Target};
use crate::wire::{Body, ClientId, Instance, Payload, ServerName, Topic};

/// Why a request failed whose time was over before it was on its way.
const NOT_TAKEN: &str = "no Redis node took the request in time";

/// What is special about one request.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// Longest wait. Default: [`Options::request_timeout`](crate::Options::request_timeout).
    pub timeout: Option<Duration>,
    /// End as soon as so many replied. Default: when everyone asked has. With shared routing, for targets that are everyone,
    /// replies of servers of the original count, too.
    pub expected: Option<usize>,
}

impl Adapter {
    /// Listens for an event as a stream. Several listeners may want one event.
    pub fn listen(&self, event: &str) -> Listener {
        let (id, events) = self.inner.listeners.add(event, None, false);
        Listener {
            id,
            inner: self.inner.clone(),
            events,
        }
    }

    /// Listens with a handler. A listener handles one event after the other, on the runtime from which it is added (the
    /// adapter's, if there is none); a handler that waits for long should spawn.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) {
    /// adapter.on("greet", |event| async move {
    ///     let _ = event.reply(wsmesh_adapter::Payload::from_json(r#"{"msg":"hello"}"#)).await;
    /// });
    /// # }
    /// ```
    pub fn on<F, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, None, false, handler)
    }

    /// As [`Adapter::on`], under a tag for [`Adapter::off_tag`].
    pub fn on_tagged<F, Fut>(&self, event: &str, tag: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, Some(tag), false, handler)
    }

    /// Handles the next event only.
    pub fn once<F, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.handle(event, None, true, handler)
    }

    fn handle<F, Fut>(&self, event: &str, tag: Option<&str>, once: bool, handler: F) -> ListenerId
    where
        F: Fn(ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (id, mut events) = self.inner.listeners.add(event, tag, once);
        let stop = self.inner.stop.clone();
        let task = async move {
            while let Some(Some(event)) = stop.run_until_cancelled(events.recv()).await {
                let span = event.span.clone();
                handler(event).instrument(span).await;
                if once {
                    break;
                }
            }
        };
        // The application's code runs where the application does: the adapter's own runtime may be a thread that serves clients.
        let runtime = Handle::try_current().unwrap_or_else(|_| self.inner.runtime.clone());
        self.inner.tasks.spawn_on(task, &runtime);
        id
    }

    /// Ends a listener; `false` if there is none.
    pub fn off(&self, listener: ListenerId) -> bool {
        self.inner.listeners.remove(listener)
    }

    /// Ends every listener of an event that has this tag; says how many.
    pub fn off_tag(&self, event: &str, tag: &str) -> usize {
        self.inner.listeners.remove_tagged(event, tag)
    }

    /// Sends an event; nobody answers.
    ///
    /// # Errors
    /// When the target names nobody, or no node took the message for some server.
    pub async fn emit(&self, target: Target, event: &str, payload: Payload) -> Result<(), PublishError> {
        let inner = &self.inner;
        let body = |targets, payload| Body::Event {
            event: event.to_owned(),
            targets,
            payload,
            callback_id: None,
        };
        if let Target::Everyone | Target::Others = target {
            if target == Target::Everyone {
                inner.deliver_event(
                    event,
                    &inner.options.name,
                    payload.clone(),
                    None,
                    tracing::Span::current(),
                    None,
                );
            }
            let body = body(Vec::new(), payload);
            return inner
                .publish(&Topic::Servers, Concerned::Everyone, body, self.extras())
                .await
                .map(drop);
        }
        let sending = inner.resolve(&target)?.into_iter().map(|(server, _)| {
            let (payload, body) = (payload.clone(), &body);
            async move {
                if server == inner.options.name {
                    inner.deliver_event(event, &server, payload, None, tracing::Span::current(), None);
                    return Ok(());
                }
                let body = body(vec![server.clone()], payload);
                let topic = Topic::Server(server.clone());
                inner
                    .publish(&topic, Concerned::Server(&server), body, self.extras())
                    .await
                    .map(drop)
            }
        });
        join_all(sending).await.into_iter().collect()
    }

    /// Sends an event to every other server that holds a client, in one message; nobody answers. Gives how many other servers
    /// got it: 0 is a proof that no other has the client, as far as they share a working node with this one. More is a hint:
    /// a server that let go of the client a moment ago counts too, and with shared routing every server does.
    ///
    /// # Errors
    /// When no node took the message within [`Options::request_timeout`](crate::Options::request_timeout).
    pub async fn emit_to_holders(
        &self,
        client: &ClientId,
        event: &str,
        payload: Payload,
    ) -> Result<usize, PublishError> {
        let inner = &self.inner;
        let body = Body::Event {
            event: event.to_owned(),
            targets: Vec::new(),
            payload,
            callback_id: None,
        };
        // Whoever has a client subscribes to its topic; with shared routing that is nobody's alone.
        let topic = if inner.channels.is_shared() {
            Topic::Servers
        } else {
            Topic::Client(client.clone())
        };
        let own = u64::from(inner.interest.wants(&inner.channels.channel(&topic)));
        let extras = Extras {
            is_awaited: true,
            ..self.extras()
        };
        let publishing = inner.publish(&topic, Concerned::Everyone, body, extras);
        let receivers = match timeout(inner.options.request_timeout, publishing).await {
            Ok(Ok(Published::Now(receivers))) => receivers,
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Published::Later)) | Err(_) => return Err(PublishError::Isolated),
        };
        // Through several nodes a server counts several times.
        let others = inner.roster().len() as u64;
        let receivers = receivers.saturating_sub(own);
        let known = if inner.channels.is_shared() {
            receivers
        } else {
            receivers.min(others)
        };
        Ok(usize::try_from(known).unwrap_or(usize::MAX))
    }

    /// Sends an event and gives the replies as they come. Dropping them cancels the request.
    ///
    /// # Errors
    /// When the target names nobody. A server that cannot be reached is named among the replies.
    pub async fn request(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Replies, PublishError> {
        let inner = &self.inner;
        let asked = inner.resolve(&target)?;
        let limit = options.timeout.unwrap_or(inner.options.request_timeout);
        let mut replies = inner.requests.begin(asked.clone(), limit);
        if let Some(expected) = options.expected {
            replies.expect(expected);
            if inner.channels.is_shared() && matches!(target, Target::Everyone | Target::Others) {
                replies.accept_unknown();
            }
        }
        let id = replies.id();
        let body = |targets, payload| Body::Event {
            event: event.to_owned(),
            targets,
            payload,
            callback_id: Some(inner.requests.callback_id(id)),
        };
        let me = &inner.options.name;
        if asked.iter().any(|(server, _)| server == me) {
            let callback_id = Some(inner.requests.callback_id(id));
            inner.deliver_event(event, me, payload.clone(), callback_id, tracing::Span::current(), None);
        }
        let others: Vec<_> = asked.iter().filter(|(server, _)| server != me).collect();
        let settle = |server: &ServerName, why: &dyn Display| {
            let missing = Missing::Unreachable(why.to_string());
            inner.requests.settle(id, server, Err(missing));
        };
        if let Target::Everyone | Target::Others = target {
            let body = body(Vec::new(), payload);
            let extras = Extras {
                is_awaited: true,
                ..self.extras()
            };
            let sending = inner.publish(&Topic::Servers, Concerned::Everyone, body, extras);
            match replies.within(sending).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => others.iter().for_each(|(server, _)| settle(server, &error)),
                None => others.iter().for_each(|(server, _)| settle(server, &NOT_TAKEN)),
            }
            return Ok(replies);
        }
        let send = async |server: &ServerName, instance: &Instance| {
            let extras = Extras {
                target_instance: Some(*instance).filter(|instance| *instance != STRANGER),
                is_awaited: true,
                ..self.extras()
            };
            let (topic, body) = (
                Topic::Server(server.clone()),
                body(vec![server.clone()], payload.clone()),
            );
            if let Err(error) = inner.publish(&topic, Concerned::Server(server), body, extras).await {
                settle(server, &error);
            }
        };
        match &others[..] {
            [(server, instance)] => {
                if replies.within(send(server, instance)).await.is_none() {
                    settle(server, &NOT_TAKEN);
                }
            }
            others => {
                let taken: Vec<AtomicBool> = others.iter().map(|_| AtomicBool::new(false)).collect();
                let sending = others.iter().zip(&taken).map(async |((server, instance), taken)| {
                    send(server, instance).await;
                    taken.store(true, Ordering::Relaxed);
                });
                if replies.within(join_all(sending)).await.is_none() {
                    let untaken = others
                        .iter()
                        .zip(&taken)
                        .filter(|(_, taken)| !taken.load(Ordering::Relaxed));
                    untaken.for_each(|((server, _), _)| settle(server, &NOT_TAKEN));
                }
            }
        }
        Ok(replies)
    }

    /// Ends a request by its number, see [`Replies::id`]: its stream ends, later replies are ignored. `false` if it does not
    /// wait any more. Dropping the stream does the same.
    pub fn cancel(&self, request: u64) -> bool {
        self.inner.requests.give_up(request)
    }

    /// Sends an event and waits for all replies.
    ///
    /// # Errors
    /// When the target names nobody.
    pub async fn ask(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Outcome, PublishError> {
        let start = tokio::time::Instant::now();
        let outcome = self.request(target, event, payload, options).await?.collect().await;
        self.inner.count_outcome(&outcome, start);
        Ok(outcome)
    }

    /// Asks one server (the first that the target names) and waits for its reply.
    ///
    /// # Errors
    /// When there is nobody to ask, or it does not answer: why is in the error.
    pub async fn call(
        &self,
        target: Target,
        event: &str,
        payload: Payload,
        options: RequestOptions,
    ) -> Result<Reply, RequestError> {
        let options = RequestOptions {
            expected: Some(1),
            ..options
        };
        let mut outcome = self.ask(target, event, payload, options).await?;
        if let Some(reply) = outcome.replies.pop() {
            return Ok(reply);
        }
        match outcome.missing.into_iter().next() {
            Some((server, why)) => Err(RequestError::Missing { server, why }),
            None => Err(RequestError::ShuttingDown),
        }
    }
}

impl Inner {
    fn count_outcome(&self, outcome: &Outcome, start: tokio::time::Instant) {
        self.metrics.request_seconds.observe(start.elapsed().as_secs_f64());
        let requests = &self.metrics.requests;
        requests
            .with_label_values(&["out", "ok"])
            .inc_by(outcome.replies.len() as u64);
        for (_, why) in &outcome.missing {
            requests.with_label_values(&["out", why.label()]).inc();
        }
    }
}
