//! The shell around the rules: listens on the bus, tells the lobby what happened and when, carries out its effects, and runs
//! matches. It does not decide who plays with whom or how a game goes.

mod asked;
mod clients;
mod effects;
mod hosting;
mod messages;
mod peers;
mod running;
mod stop;
mod wills;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument;
use wsmesh_adapter::{Adapter, Payload, ServerEvent, ServerInfo, Target};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::report::LoadReport;

use crate::metrics::Metrics;
use crate::rules::game::Game;
use crate::rules::lobby::{Lobby, Server};
use crate::settings::Settings;
use asked::Asked;
use hosting::Hosted;
use messages::{Failure, write};
use running::Launch;

/// How often matches are formed and tickets handed over.
const ROUND: Duration = Duration::from_millis(200);
/// Tag of this service's listeners.
const TAG: &str = "game-logic";
/// Most tasks at the same time; further requests are rejected.
const MOST_TASKS: usize = 20_000;
/// The shell's clock starts at one day, so that the waiting time of a ticket from another server can be subtracted.
const DAY: Duration = Duration::from_secs(86_400);

/// A running game-logic server.
pub struct GameLogic {
    shell: Arc<Shell>,
}

pub(crate) struct Shell {
    adapter: Adapter,
    settings: Settings,
    metrics: Metrics,
    lobby: Mutex<Lobby>,
    asked: Asked,
    hosted: Hosted,
    launch: Launch,
    wills: wills::Outgoing,
    started: Instant,
    tasks: TaskTracker,
}

impl GameLogic {
    /// Starts listening. `G` is the game that is played.
    pub fn start<G: Game>(adapter: Adapter, settings: Settings, metrics: Metrics) -> Self {
        let lobby = Lobby::new(adapter.name().clone(), adapter.instance(), settings.lobby());
        let shell = Arc::new(Shell {
            adapter,
            settings,
            metrics,
            lobby: Mutex::new(lobby),
            asked: Asked::default(),
            hosted: Hosted::default(),
            launch: running::launch::<G>,
            wills: wills::Outgoing::default(),
            started: Instant::now(),
            tasks: TaskTracker::new(),
        });
        shell.listen_to_clients();
        shell.listen_to_peers();
        Self { shell }
    }

    /// Forms and runs matches until `shutdown`, then ends cleanly within `grace`.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) {
        let end = CancellationToken::new();
        let wills = AbortOnDropHandle::new(tokio::spawn(wills::keep(self.shell.clone(), end.clone())));
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut roster = self.shell.adapter.roster();
        roster.mark_changed();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = rounds.tick() => self.shell.round(),
                changed = roster.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let servers = roster.borrow_and_update().clone();
                    self.shell.roster(&servers);
                }
            }
        }
        stop::stop(&self.shell, grace).await;
        end.cancel();
        if wills.await.is_err() {
            tracing::error!("the task that sends wills panicked: this is a bug");
        }
    }

    /// What `/stats` shows.
    pub fn stats(&self) -> impl Fn() -> serde_json::Value + Send + Sync + 'static {
        let shell = self.shell.clone();
        move || shell.stats()
    }

    /// How many matches would be interrupted if this server ended now.
    pub fn load(&self) -> impl Fn() -> LoadReport + Send + Sync + 'static {
        let shell = self.shell.clone();
        move || {
            let lobby = shell.lobby();
            let work = u64::try_from(lobby.forming() + lobby.hosted()).unwrap_or(u64::MAX);
            LoadReport { work }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    server: &'a str,
    ready: bool,
    waiting: serde_json::Map<String, serde_json::Value>,
    forming: usize,
    matches: usize,
}

impl Shell {
    fn now(&self) -> Duration {
        DAY + self.started.elapsed()
    }

    fn lobby(&self) -> MutexGuard<'_, Lobby> {
        self.lobby.lock()
    }

    /// Passes news to the lobby and carries out the effects.
    fn tell<T>(self: &Arc<Self>, act: impl FnOnce(&mut Lobby, Duration) -> T) -> T {
        let (result, effects) = {
            let mut lobby = self.lobby();
            let result = act(&mut lobby, self.now());
            (result, lobby.take_effects())
        };
        effects.into_iter().for_each(|effect| self.perform(effect));
        result
    }

    fn round(self: &Arc<Self>) {
        if self.adapter.is_ready() {
            self.tell(|lobby, now| lobby.round(now));
        }
        let lobby = self.lobby();
        for (mode, waiting) in lobby.waiting() {
            self.metrics.queue_length.with_label_values(&[mode]).set(waiting as i64);
            self.metrics.match_wait.with_label_values(&[mode]);
        }
        self.metrics
            .matches
            .with_label_values(&["forming"])
            .set(lobby.forming() as i64);
        self.metrics
            .matches
            .with_label_values(&["running"])
            .set(lobby.hosted() as i64);
    }

    fn roster(self: &Arc<Self>, servers: &[ServerInfo]) {
        let service = self.adapter.service();
        let known = |server: &ServerInfo| Server {
            name: server.name.clone(),
            instance: server.instance,
            plays: server.counted && server.service == *service,
        };
        let servers: Vec<Server> = servers.iter().map(known).collect();
        self.tell(|lobby, now| lobby.roster(now, &servers));
    }

    fn stats(&self) -> serde_json::Value {
        let lobby = self.lobby();
        let stats = Stats {
            server: self.adapter.name().as_str(),
            ready: self.adapter.is_ready(),
            waiting: lobby
                .waiting()
                .map(|(mode, waiting)| (mode.to_owned(), waiting.into()))
                .collect(),
            forming: lobby.forming(),
            matches: lobby.hosted(),
        };
        serde_json::to_value(stats).unwrap_or_default()
    }

    /// Runs work in a task of this server, in the current span.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work.in_current_span());
    }

    /// Handles an event in a task of its own, unless there are too many tasks already.
    fn on<F, Fut>(self: &Arc<Self>, event: &'static str, handle: F)
    where
        F: Fn(Arc<Self>, ServerEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let shell = self.clone();
        self.adapter.on_tagged(event, TAG, move |event| {
            if shell.tasks.len() < MOST_TASKS {
                shell.spawn(handle(shell.clone(), event));
            } else {
                shell.answer(
                    event,
                    Err::<(), _>(Failure::new(ErrorCode::Overloaded, "too busy: try again later")),
                );
            }
            std::future::ready(())
        });
    }

    /// Answers a request in a task of its own.
    fn answer<T: Serialize>(&self, event: ServerEvent, answer: Result<T, Failure>) {
        if let Some(payload) = written(&event, answer) {
            self.spawn(reply(event, payload));
        }
    }

    /// Tells every other game-logic server something.
    async fn tell_others<T: Serialize>(&self, event: &str, news: &T) {
        let me = self.adapter.name();
        let others = self.adapter.roster().borrow().clone();
        let others = others
            .iter()
            .filter(|server| server.service == *self.adapter.service() && server.name != *me);
        let others: Vec<_> = others.map(|server| server.name.clone()).collect();
        if others.is_empty() {
            return;
        }
        if let Err(error) = self.adapter.emit(Target::Servers(others), event, write(news)).await {
            tracing::warn!(event, "could not tell the other game-logic servers: {error}");
        }
    }
}

/// The answer to a request; none if the event is not a request.
fn written<T: Serialize>(event: &ServerEvent, answer: Result<T, Failure>) -> Option<Payload> {
    if !event.is_request() {
        if let Err(failure) = answer {
            tracing::debug!(event = &*event.event, "refused: {}", failure.error);
        }
        return None;
    }
    Some(match answer {
        Ok(answer) => write(&answer),
        Err(failure) => write(&failure),
    })
}

async fn reply(event: ServerEvent, payload: Payload) {
    if let Err(error) = event.reply(payload).await {
        tracing::warn!("could not send a reply: {error}");
    }
}

/// Answers a request in the task that handles it.
async fn answer<T: Serialize>(event: ServerEvent, answer: Result<T, Failure>) {
    if let Some(payload) = written(&event, answer) {
        reply(event, payload).await;
    }
}
