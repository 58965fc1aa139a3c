//! Carries out the decisions of contests: publishes claims, answers those of other servers, closes connections that lost.
//!
//! No lock is held across an await. With `newest`, only clients whose logins compete are remembered; with `oldest`, every client
//! of this server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, oneshot};
use wsmesh_adapter::{
    Adapter, ClientError, ClientId, ConnectionId, Dismissal, Payload, PayloadError, PublishError, Routing, ServerEvent,
    ServerName, Target,
};
use wsmesh_protocol::CloseCode;

use super::LoginPolicy;
use super::contest::{Act, Contest, ROUND};
use super::login::{Login, Micros, News, Purpose, Rules};
use crate::metrics::{LoginMetrics, LoginOutcome};
use crate::striped::Striped;

/// The event between servers.
const EVENT: &str = "wsmesh.login";

/// How long late answers are accepted: longer than the adapter's replay window. Then the claim is over.
const LATE: Duration = Duration::from_secs(10);

/// The first and the longest pause between two tries to publish.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a message to one server is tried.
const TRIES: usize = 5;

/// The logins of this server's clients.
pub(crate) struct Logins {
    rules: Rules,
    /// The moment that `epoch_us` stands for.
    started: Instant,
    /// A server without logins of a client does not answer: with shared routing every server gets the claim.
    is_quiet: bool,
    clients: Striped<HashMap<ClientId, Entry>>,
    adapter: Adapter,
    metrics: LoginMetrics,
}

#[derive(Default)]
struct Entry {
    contest: Contest,
    publishing: Option<Publishing>,
    /// Newcomers whose sessions wait for the decision.
    waiting: Vec<(ConnectionId, oneshot::Sender<bool>)>,
}

/// A claim that is being published: one task for each client, which tries until a node takes it.
#[derive(Default)]
struct Publishing {
    /// There is more to claim than at the last try.
    is_outdated: bool,
    /// Wakes the task for that.
    wake: Arc<Notify>,
}

impl Entry {
    /// Everything that there is to claim is about to be published.
    fn begin_try(&mut self) {
        if let Some(publishing) = &mut self.publishing {
            publishing.is_outdated = false;
        }
    }
}

impl Logins {
    /// Listens until the adapter ends.
    pub(crate) fn start(
        adapter: Adapter,
        (policy, most): (LoginPolicy, usize),
        routing: &Routing,
        metrics: LoginMetrics,
    ) -> Arc<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let logins = Arc::new(Self {
            rules: Rules {
                policy,
                most,
                instance: adapter.instance().0,
                epoch_us: since_epoch.as_micros() as u64,
            },
            started: Instant::now(),
            is_quiet: *routing != Routing::Direct,
            clients: Striped::default(),
            adapter,
            metrics,
        });
        let listening = Arc::clone(&logins);
        logins.adapter.on(EVENT, move |event| {
            listening.receive(&event);
            std::future::ready(())
        });
        logins
    }

    /// A connection can be reached by other servers, or soon can: it is claimed. Its frames must not be read before the
    /// future says that it may stay; None if they may be read at once.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: &ClientId,
        connection: ConnectionId,
    ) -> Option<impl Future<Output = Result<(), Dismissal>> + use<>> {
        if self.rules.policy == LoginPolicy::Many {
            return None;
        }
        let (acts, verdict) = self.with(client, |entry, rules, now| {
            entry.contest.claim(now);
            let acts = entry.contest.tick(rules, now);
            let verdict = (rules.policy == LoginPolicy::Oldest).then(|| {
                let (sender, verdict) = oneshot::channel();
                match entry.contest.admitted(connection) {
                    Some(admitted) => _ = sender.send(admitted),
                    None => entry.waiting.push((connection, sender)),
                }
                verdict
            });
            (acts, verdict)
        });
        self.perform(client, acts);
        self.start_claim(client);
        let (logins, client) = (Arc::clone(self), client.clone());
        verdict.map(|verdict| async move {
            let admitted = logins.wait(&client, verdict).await;
            if admitted { Ok(()) } else { Err(logins.dismissal()) }
        })
    }

    /// A newcomer waits for the answers of other servers, not for long: a server that does not answer has no objection, or
    /// says so later.
    async fn wait(self: &Arc<Self>, client: &ClientId, mut verdict: oneshot::Receiver<bool>) -> bool {
        // The claim may be published a little later than now.
        for _ in 0..2 {
            if let Ok(admitted) = tokio::time::timeout(Duration::from_micros(ROUND), &mut verdict).await {
                return admitted.unwrap_or(true);
            }
            let acts = self.with(client, |entry, rules, now| entry.contest.tick(rules, now));
            self.perform(client, acts);
        }
        verdict.try_recv().unwrap_or(true)
    }

    /// A connection has ended.
    pub(crate) fn left(&self, client: &ClientId) {
        if self.rules.policy != LoginPolicy::Many {
            self.with(client, |_, _, _| ());
        }
    }

    /// The close frame of a connection that has lost.
    fn dismissal(&self) -> Dismissal {
        let (code, reason) = match self.rules.policy {
            LoginPolicy::Oldest => (CloseCode::TryAgainLater, "this id is logged in already"),
            LoginPolicy::Newest | LoginPolicy::Many => (CloseCode::Replaced, "newer login of the same id"),
        };
        Dismissal {
            code: code.into(),
            reason: reason.into(),
        }
    }

    /// Publishes everything that there is to claim, by the task that already does so if there is one.
    fn start_claim(self: &Arc<Self>, client: &ClientId) {
        let wake = self.with(client, |entry, _, _| match &mut entry.publishing {
            Some(publishing) => {
                publishing.is_outdated = true;
                publishing.wake.notify_one();
                None
            }
            none => Some(Arc::clone(&none.insert(Publishing::default()).wake)),
        });
        if let Some(wake) = wake {
            tokio::spawn(Arc::clone(self).claim(client.clone(), wake));
        }
    }

    /// Publishes a claim, again and again until a node takes it or the client is gone; then waits for its end.
    async fn claim(self: Arc<Self>, client: ClientId, wake: Arc<Notify>) {
        let mut pause = BACKOFF.0;
        let number = loop {
            match self.publish(&client).await {
                Ok(number) if self.is_published(&client, number) => match number {
                    Some(number) => break number,
                    None => return,
                },
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(%client, %error, "a login could not be claimed yet");
                    self.metrics.count(LoginOutcome::Retried);
                }
            }
            let _woken = tokio::time::timeout(pause.mul_f64(rand::random_range(0.5..=1.0)), wake.notified()).await;
            pause = (pause * 2).min(BACKOFF.1);
        };
        if !self.with(&client, |entry, _, _| entry.contest.is_open(number)) {
            return;
        }
        tokio::time::sleep(Duration::from_micros(ROUND)).await;
        let acts = self.with(&client, |entry, rules, now| entry.contest.tick(rules, now));
        self.perform(&client, acts);
        if self.with(&client, |entry, _, _| entry.contest.is_open(number)) {
            tokio::time::sleep(LATE).await;
            self.with(&client, |entry, _, _| entry.contest.give_up(number));
        }
    }

    /// Whether nothing is left to claim: then the next claim starts a new task.
    fn is_published(&self, client: &ClientId, number: Option<u64>) -> bool {
        self.with(client, |entry, _, _| {
            if entry
                .publishing
                .as_ref()
                .is_some_and(|publishing| publishing.is_outdated)
            {
                return false;
            }
            entry.publishing = None;
            if number.is_none() {
                entry.contest.give_up_without_logins();
            }
            true
        })
    }

    /// The number of the claim that was published; None if the client is gone.
    async fn publish(self: &Arc<Self>, client: &ClientId) -> Result<Option<u64>, ClaimError> {
        self.with(client, |entry, _, _| entry.begin_try());
        match self.adapter.reachable(client).await {
            Ok(()) => {}
            Err(ClientError::NotHere(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let (number, news) = self.with(client, |entry, rules, now| {
            let number = entry.contest.claim(now);
            let logins = entry.contest.logins(rules, now);
            entry.begin_try();
            (number, self.news(client, Purpose::Claim(number), logins, now))
        });
        if news.logins.is_empty() {
            return Ok(None);
        }
        let receivers = self
            .adapter
            .emit_to_holders(client, EVENT, Payload::new(&news)?)
            .await?;
        self.metrics.count(if receivers == 0 {
            LoginOutcome::Alone
        } else {
            LoginOutcome::Met
        });
        let acts = self.with(client, |entry, rules, now| {
            entry.contest.published(rules, number, receivers, now)
        });
        self.perform(client, acts);
        Ok(Some(number))
    }

    /// A message of another server about logins.
    fn receive(self: &Arc<Self>, event: &ServerEvent) {
        let news: News = match event.payload.parse() {
            Ok(news) => news,
            Err(error) => {
                tracing::warn!(peer = %event.sender, %error, "unreadable news of logins: do all ws-nodes run the same version?");
                return;
            }
        };
        if self.rules.policy == LoginPolicy::Many {
            return;
        }
        let age = event.age.as_micros() as Micros;
        let acts = self.with(&news.client, |entry, rules, now| {
            entry.contest.receive(rules, &event.sender, &news, age, now)
        });
        let is_idle = |act: &Act| self.is_quiet && matches!(act, Act::Tell(_, _, logins) if logins.is_empty());
        let acts = acts.into_iter().filter(|act| !is_idle(act)).collect();
        self.perform(&news.client, acts);
    }

    fn perform(self: &Arc<Self>, client: &ClientId, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Claim => self.start_claim(client),
                Act::Tell(server, purpose, logins) => {
                    let news = self.news(client, purpose, logins, self.now());
                    tokio::spawn(Arc::clone(self).send(server, news));
                }
                Act::Admit(connection) => self.answer_waiting(client, connection, true),
                Act::Close(connection) => self.lose(client, connection),
            }
        }
    }

    fn lose(self: &Arc<Self>, client: &ClientId, connection: ConnectionId) {
        self.metrics.count(match self.rules.policy {
            LoginPolicy::Oldest => LoginOutcome::Refused,
            LoginPolicy::Newest | LoginPolicy::Many => LoginOutcome::Replaced,
        });
        self.answer_waiting(client, connection, false);
        let (logins, client) = (Arc::clone(self), client.clone());
        tokio::spawn(async move {
            let dismissal = logins.dismissal();
            let dismissed = logins.adapter.dismiss_connection(&client, connection, dismissal).await;
            if let Err(error) = dismissed {
                tracing::error!(%error, "a connection that lost its login could not be closed");
            }
        });
    }

    fn answer_waiting(&self, client: &ClientId, connection: ConnectionId, admitted: bool) {
        let waiting = self.with(client, |entry, _, _| {
            let at = entry.waiting.iter().position(|(waiting, _)| *waiting == connection)?;
            Some(entry.waiting.swap_remove(at))
        });
        if let Some((_, sender)) = waiting {
            let _session_has_ended = sender.send(admitted);
        }
    }

    /// Sends to one server; tries again when no node takes it.
    async fn send(self: Arc<Self>, server: ServerName, news: News) {
        let mut pause = BACKOFF.0;
        for _ in 0..TRIES {
            let sent = match Payload::new(&news) {
                Ok(payload) => self.adapter.emit(Target::Server(server.clone()), EVENT, payload).await,
                Err(error) => Err(error.into()),
            };
            let Err(error) = sent else { return };
            tracing::debug!(peer = %server, %error, "a message about logins could not be sent yet");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    fn news(&self, client: &ClientId, purpose: Purpose, logins: Vec<Login>, now: Micros) -> News {
        News {
            client: client.clone(),
            purpose,
            instance: self.rules.instance,
            said_us: now,
            logins,
        }
    }

    fn now(&self) -> Micros {
        self.micros(Instant::now())
    }

    fn micros(&self, time: Instant) -> Micros {
        time.saturating_duration_since(self.started).as_micros() as Micros
    }

    /// Works on the entry of a client, after updating the connections that it has here.
    fn with<T>(&self, client: &ClientId, work: impl FnOnce(&mut Entry, Rules, Micros) -> T) -> T {
        let mut clients = self.clients.lock(client);
        let entry = clients.entry(client.clone()).or_default();
        let connections = self.adapter.connections(client).into_iter();
        let connections: Vec<_> = connections.map(|(id, since)| (id, self.micros(since))).collect();
        entry.contest.refresh(self.rules, &connections);
        let result = work(entry, self.rules, self.now());
        entry.waiting.retain(|(_, sender)| !sender.is_closed());
        if entry.contest.is_idle(self.rules) && entry.waiting.is_empty() && entry.publishing.is_none() {
            clients.remove(client);
        }
        result
    }
}

/// Why a claim was not published.
#[derive(Debug, thiserror::Error)]
enum ClaimError {
    #[error(transparent)]
    Unreachable(#[from] ClientError),
    #[error(transparent)]
    Unpublished(#[from] PublishError),
    #[error(transparent)]
    Unwritten(#[from] PayloadError),
}
