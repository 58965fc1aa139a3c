//! Lifecycle events: what happens to clients, told to backends and services that watch.
//!
//! The adapter tells what happens as it happens (`Lifecycle` is its observer), in order for each client; nothing here waits
//! for a watch then. Each watch has a `queue`, and a task (`telling`) that sends what is in it. `happening` is one event,
//! `losses` decides which server tells that another one is gone. Without watches nothing of this exists.

mod happening;
mod losses;
mod metrics;
mod queue;
pub(crate) mod settings;
mod telling;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use wsmesh_adapter::{Adapter, ClientId, ClientObserver, LostServer, ObservedConnection, Room};

use crate::backends::Shared;
use happening::{Disconnected, Happening, Moved, What};
use losses::Losses;
pub(crate) use metrics::LifecycleMetrics;
use queue::Queue;
pub use settings::{Watch, WatchEvent};
use telling::Telling;

/// Most lost servers that wait until somebody looks at the roster. There are not more of them.
const LOST: usize = 10_000;

/// What happens to clients, and the watches that are told.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    watches: Vec<(Watch, Arc<Queue>)>,
    /// The number of the next event.
    next: AtomicU64,
    lost: mpsc::Sender<LostServer>,
    /// Until the tasks are started.
    found: Mutex<Option<mpsc::Receiver<LostServer>>>,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub(crate) code: u16,
    pub(crate) reason: &'a Arc<str>,
    pub(crate) lasted: Duration,
    /// The client has no other connection to this server.
    pub(crate) was_last: bool,
}

/// The tasks of the watches. They end when this is dropped.
pub(crate) struct Tellers {
    lifecycle: Arc<Lifecycle>,
    tasks: Vec<AbortOnDropHandle<()>>,
    /// Tells of lost servers.
    _losses: AbortOnDropHandle<()>,
}

impl Lifecycle {
    /// For watches that were checked. None if there are none.
    pub(crate) fn new(watches: &[Watch], metrics: &LifecycleMetrics) -> Option<Arc<Self>> {
        let (lost, found) = mpsc::channel(LOST);
        let numbered = watches.iter().enumerate();
        let watches = numbered.map(|(index, watch)| {
            let to = match (&watch.url, &watch.service) {
                (Some(url), _) => url.to_string(),
                (None, service) => service
                    .as_ref()
                    .map_or_else(String::new, |service| format!("service {service}")),
            };
            let queue = Queue::new(to, watch.max_waiting, metrics.of(index + 1));
            (watch.clone(), Arc::new(queue))
        });
        let watches: Vec<_> = watches.collect();
        (!watches.is_empty()).then(|| {
            Arc::new(Self {
                watches,
                next: AtomicU64::new(1),
                lost,
                found: Mutex::new(Some(found)),
            })
        })
    }

    /// Starts the tasks of the watches, on the runtime that this is called on. The error says what to do.
    pub(crate) fn start(self: Arc<Self>, adapter: &Adapter, shared: &Shared) -> Result<Tellers, String> {
        let mut tasks = Vec::new();
        for (index, (watch, queue)) in self.watches.iter().enumerate() {
            let telling = Telling::new(index + 1, watch, Arc::clone(queue), adapter, shared);
            let telling = telling.map_err(|problem| format!("watch: number {}: {problem}", index + 1))?;
            tasks.push(AbortOnDropHandle::new(tokio::spawn(telling.run())));
        }
        let found = self.found.lock().take();
        let losses = tell_losses(Arc::clone(&self), adapter.clone(), found);
        Ok(Tellers {
            lifecycle: self,
            tasks,
            _losses: AbortOnDropHandle::new(tokio::spawn(losses)),
        })
    }

    /// A connection has ended. Must be called in order with what the observer is told: by
    /// [`Attachment::detach`](wsmesh_adapter::Attachment::detach).
    pub(crate) fn disconnected(&self, client: &ClientId, connection: &str, end: &End<'_>) {
        self.tell(WatchEvent::Disconnected, None, || {
            What::Disconnected(Disconnected {
                client: client.clone(),
                connection: connection.to_owned(),
                code: end.code,
                reason: Arc::clone(end.reason),
                lasted: end.lasted,
                was_last: end.was_last,
            })
        });
    }

    /// Gives an event to the queues of the watches that want it.
    fn tell(&self, event: WatchEvent, room: Option<&Room>, what: impl FnOnce() -> What) {
        let namespace = room.map(|room| &room.namespace);
        let mut wanting = self.watches.iter().filter(|(watch, _)| watch.wants(event, namespace));
        let Some((_, first)) = wanting.next() else {
            return;
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let happening = Arc::new(Happening::now(number, what()));
        wanting.for_each(|(_, queue)| queue.push(Arc::clone(&happening)));
        first.push(happening);
    }
}

impl ClientObserver for Lifecycle {
    fn connected(&self, at: &ObservedConnection<'_>) {
        self.tell(WatchEvent::Connected, None, || What::Connected(Box::new(at.context())));
    }

    fn joined(&self, at: &ObservedConnection<'_>, room: &Room) {
        self.tell(WatchEvent::Joined, Some(room), || What::Joined(moved(at, room)));
    }

    fn left(&self, at: &ObservedConnection<'_>, room: &Room) {
        self.tell(WatchEvent::Left, Some(room), || What::Left(moved(at, room)));
    }

    fn server_lost(&self, lost: &LostServer) {
        if self.lost.try_send(lost.clone()).is_err() {
            tracing::error!(peer = %lost.name, "a lost server cannot be told to watches");
        }
    }
}

fn moved(at: &ObservedConnection<'_>, room: &Room) -> Moved {
    Moved {
        client: at.client().clone(),
        connection: at.connection(),
        room: room.clone(),
    }
}

/// Tells of lost servers, if this server is the one to do so.
async fn tell_losses(lifecycle: Arc<Lifecycle>, adapter: Adapter, found: Option<mpsc::Receiver<LostServer>>) {
    let Some(mut found) = found else { return };
    let mut losses = Losses::new(adapter.name().clone(), adapter.service().clone());
    while let Some(lost) = found.recv().await {
        for lost in losses.lost(lost, &adapter.servers(), Instant::now()) {
            tracing::warn!(peer = %lost.name, clients = lost.clients, "a ws-node is lost with its clients: telling watches");
            lifecycle.tell(WatchEvent::Disconnected, None, || What::ServerLost(lost));
        }
    }
}

impl Tellers {
    /// Sends what waits, within this time. What is left then is dropped, counted and logged.
    pub(crate) async fn finish(self, within: Duration) {
        let queues = || self.lifecycle.watches.iter().map(|(_, queue)| queue);
        queues().for_each(|queue| queue.end());
        let _late = tokio::time::timeout(within, join_all(self.tasks)).await;
        queues().for_each(|queue| queue.close());
    }
}
