//! Events and requests between servers: the public verbs. Whom they reach is read from the roster; nobody counts by hand.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tracing::Instrument;

use crate::adapter::{Adapter, Inner};
use crate::cluster::{ListenerId, Outcome, Parting, Replies, Reply};
use crate::error::{Missing, PublishError, RequestError, TargetError};
use crate::event::{Listener, ServerEvent};
use crate::nodes::score;
use crate::outbound::{Concerned, Extras};
use crate::wire::{Body, ClientId, Instance, Payload, ServerName, ServiceName, Topic};

/// Stands for the process of a server that sends no beacons.
const STRANGER: Instance = Instance(0);

/// Where a message between servers goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One server. The sender itself is served locally. With shared routing it may be one of the original, which nobody knows
    /// before it answers.
    Server(ServerName),
    /// Several servers.
    Servers(Vec<ServerName>),
    /// Every live server of a service.
    Service(ServiceName),
    /// One server of a service.
    AnyOf(ServiceName, Pick),
    /// Every live server, the sender included.
    Everyone,
    /// Every live server but the sender.
    Others,
}

/// How one server of a service is picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one with the least load (clients) in its last beacon; equals in turn.
    LeastBusy,
    /// By rendezvous hash of a key: the same key, the same server, while the roster stays.
    Key(String),
}

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
    /// When no node took the message.
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
        let receivers = inner.publish(&topic, Concerned::Everyone, body, self.extras()).await?;
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
        let timeout = options.timeout.unwrap_or(inner.options.request_timeout);
        let mut replies = inner.requests.begin(asked.clone(), timeout);
        if let Some(expected) = options.expected {
            replies.expect(expected);
            if inner.channels.is_shared() && matches!(target, Target::Everyone | Target::Others) {
                replies.accept_strangers();
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
        let settle = |server: &ServerName, error: &PublishError| {
            inner
                .requests
                .settle(id, server, Err(Missing::Unreachable(error.to_string())));
        };
        if let Target::Everyone | Target::Others = target {
            let body = body(Vec::new(), payload);
            let sent = inner
                .publish(&Topic::Servers, Concerned::Everyone, body, self.extras())
                .await;
            if let Err(error) = sent {
                others.iter().for_each(|(server, _)| settle(server, &error));
            }
            return Ok(replies);
        }
        let send = async |server: &ServerName, instance: &Instance| {
            let extras = Extras {
                target_instance: Some(*instance).filter(|instance| *instance != STRANGER),
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
            [(server, instance)] => send(server, instance).await,
            others => _ = join_all(others.iter().map(|(server, instance)| send(server, instance))).await,
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

    /// The live servers that a target names, with the process that each is now.
    fn resolve(&self, target: &Target) -> Result<Vec<(ServerName, Instance)>, TargetError> {
        let me = (self.options.name.clone(), self.instance);
        let roster = self.roster();
        let others = || roster.iter().map(|(beacon, _)| (beacon.name.clone(), beacon.instance));
        let live = |name: &ServerName| {
            if *name == me.0 {
                return Ok(me.clone());
            }
            match roster.instance_of(name) {
                Some(instance) => Ok((name.clone(), instance)),
                // A server of the original sends no beacons: whether it lives shows when it answers.
                None if self.channels.is_shared() => Ok((name.clone(), STRANGER)),
                None => Err(TargetError::UnknownServer(name.clone())),
            }
        };
        match target {
            Target::Server(name) => Ok(vec![live(name)?]),
            Target::Servers(names) => names.iter().map(live).collect(),
            Target::Everyone => Ok(others().chain([me.clone()]).collect()),
            Target::Others => Ok(others().collect()),
            Target::Service(service) => {
                let mut found = self.of_service(&roster, service);
                found.sort();
                if found.is_empty() {
                    return Err(TargetError::NoServer(service.clone()));
                }
                Ok(found.into_iter().map(|(_, name, instance)| (name, instance)).collect())
            }
            Target::AnyOf(service, pick) => {
                let (_, name, instance) = self
                    .pick_server(self.of_service(&roster, service), pick)
                    .ok_or_else(|| TargetError::NoServer(service.clone()))?;
                Ok(vec![(name, instance)])
            }
        }
    }

    /// The live servers of a service that count: load, name, process. Those that are about to leave only if there are no
    /// others.
    fn of_service(&self, roster: &crate::cluster::Roster, service: &ServiceName) -> Vec<(u64, ServerName, Instance)> {
        let (mut staying, mut parting) = (Vec::new(), Vec::new());
        let mut note = |how: Parting, server| {
            if how == Parting::Staying {
                &mut staying
            } else {
                &mut parting
            }
            .push(server)
        };
        for (beacon, _) in roster.iter() {
            if beacon.service == *service && beacon.counted {
                note(beacon.parting, (beacon.clients, beacon.name.clone(), beacon.instance));
            }
        }
        if *service == self.options.service {
            let load = self.hub.client_count() as u64;
            note(self.parting(), (load, self.options.name.clone(), self.instance));
        }
        if staying.is_empty() { parting } else { staying }
    }

    fn pick_server(&self, found: Vec<(u64, ServerName, Instance)>, pick: &Pick) -> Option<(u64, ServerName, Instance)> {
        match pick {
            Pick::Key(key) => found.into_iter().max_by_key(|(_, name, _)| score(key, name.as_str())),
            Pick::LeastBusy => {
                let least = found.iter().map(|(load, ..)| *load).min()?;
                let mut equals: Vec<_> = found.into_iter().filter(|(load, ..)| *load == least).collect();
                equals.sort();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize % equals.len();
                Some(equals.swap_remove(turn))
            }
        }
    }
}
