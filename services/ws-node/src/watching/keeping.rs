//! Talks with the admins that watch clients: hears what they watch, and sends them what was seen, five times a second, in bounded
//! batches. What cannot be sent is counted, never kept for later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{Interval, MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wsmesh_adapter::{Adapter, ConnectionId, Payload, PayloadError, Refusal, Target};
use wsmesh_protocol::ErrorCode;
use wsmesh_protocol::watching::{Details, MAX_WATCHES, SightingKind, WATCH, WATCHED, Watched, Watches};

use super::buffer::Batch;
use super::leases::Watch;
use super::tap::of_room;
use super::{Change, Watching};

/// How often what was seen is sent.
const EVERY: Duration = Duration::from_millis(200);
/// Most bytes that are sent at once, for all watches together: the window in which messages are kept for others must not fill with
/// these. What is over waits for the next time.
const MOST_BYTES: usize = 64 * 1024;
/// Longest time for sending one batch. What is seen meanwhile waits in its buffer.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// Most rooms that are told of a client when a watch begins.
const MOST_ROOMS: usize = 40;

/// The task that talks with admins. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    ending: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Keeper {
    /// Sends what waits, within this time. What is left then is dropped.
    pub(crate) async fn finish(self, within: Duration) {
        self.ending.cancel();
        if timeout(within, self.task).await.is_err() {
            tracing::debug!("the last of what was seen of watched clients was not sent in time");
        }
    }
}

/// The watched clients, and the way to their connections. Cheap to clone.
#[derive(Clone)]
struct Keeping<L> {
    adapter: Adapter,
    watching: Arc<Watching>,
    look: L,
}

/// Listens to admins, and sends what was seen, until the keeper is dropped. `look` has connections find out whether somebody watches
/// their clients.
pub(crate) fn start<L, F>(adapter: &Adapter, watching: &Arc<Watching>, look: L) -> Keeper
where
    L: Fn(Arc<[ConnectionId]>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let keeping = Keeping {
        adapter: adapter.clone(),
        watching: Arc::clone(watching),
        look,
    };
    let hearing = keeping.clone();
    adapter.on_request(WATCH, move |event| {
        let keeping = hearing.clone();
        async move {
            let watches = event.payload.parse::<Watches>();
            let bad = |error: PayloadError| Refusal::new(ErrorCode::BadPayload.as_str(), error.to_string());
            let told = watches.map_err(bad)?;
            let change = keeping.watching.told(&event.sender, &told, Instant::now());
            keeping.settle(&change).await;
            Ok(change.taken)
        }
    });
    let ending = CancellationToken::new();
    let task = AbortOnDropHandle::new(tokio::spawn(keeping.keep(ending.clone())));
    Keeper { ending, task }
}

impl<L, F> Keeping<L>
where
    L: Fn(Arc<[ConnectionId]>) -> F,
    F: Future<Output = ()>,
{
    /// Until `ending`; then it sends what waits.
    async fn keep(self, ending: CancellationToken) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while ending.run_until_cancelled(self.due(&mut every)).await.is_some() {
            self.settle(&self.watching.expire(Instant::now())).await;
            // While no node is heard, messages wait: these must not take the place of others.
            if self.adapter.is_ready() {
                send(&self.adapter, &self.watching).await;
            }
        }
        // Each time, all that waits for one watch goes out, at least.
        for _ in 0..MAX_WATCHES {
            if !self.adapter.is_ready() || !send(&self.adapter, &self.watching).await {
                break;
            }
        }
    }

    /// Waits until somebody is watched and the next batch is due.
    async fn due(&self, every: &mut Interval) {
        while self.watching.watches().is_empty() {
            self.watching.begun.notified().await;
        }
        every.tick().await;
    }

    /// Has connections find out whether their clients are watched, and tells watches that begin which connections and rooms there are.
    async fn settle(&self, change: &Change) {
        if change.clients.is_empty() {
            return;
        }
        let clients = change.clients.iter();
        let connections = clients.flat_map(|client| self.adapter.connections(client));
        let connections: Arc<[_]> = connections.map(|(connection, _)| connection).collect();
        if !connections.is_empty() {
            (self.look)(connections).await;
        }
        for watch in &change.begun {
            tell_present(&self.adapter, watch);
        }
    }
}

/// The client may be here already.
fn tell_present(adapter: &Adapter, watch: &Watch) {
    let connections = adapter.connections(&watch.client);
    let names = connections
        .iter()
        .map(|(connection, _)| adapter.connection_name(*connection));
    let names: Vec<_> = names.collect();
    let Some(newest) = names.last() else { return };
    for name in &names {
        let details = Details {
            connection: Some(name.clone()),
            ..Details::default()
        };
        watch.see_already(SightingKind::Connected, details);
    }
    for room in adapter.joined_rooms(&watch.client).iter().take(MOST_ROOMS) {
        watch.see_already(SightingKind::Joined, of_room(newest.clone(), room));
    }
}

/// Sends a batch of each watch, as far as there is room. Those with the oldest ids do not always come first. Returns whether
/// anything waited.
async fn send(adapter: &Adapter, watching: &Watching) -> bool {
    let mut watches = watching.watches();
    let first = rand::random_range(0..watches.len().max(1));
    watches.rotate_left(first);
    let (mut sending, mut bytes) = (Vec::new(), 0);
    for watch in watches {
        if bytes >= MOST_BYTES {
            break;
        }
        let batch = watch.buffer.lock().take();
        if let Some(batch) = batch {
            bytes += batch.bytes;
            sending.push(send_batch(adapter, watch, batch));
        }
    }
    let has_waited = !sending.is_empty();
    join_all(sending).await;
    has_waited
}

async fn send_batch(
    adapter: &Adapter,
    watch: Arc<Watch>,
    Batch {
        sightings, lost, seen, ..
    }: Batch,
) {
    let all = sightings.len() as u64 + lost;
    let watched = Watched {
        id: watch.id.clone(),
        sightings,
        lost,
        seen,
    };
    let Ok(payload) = Payload::new(&watched) else { return };
    let sending = adapter.emit(Target::Server(watch.holder.clone()), WATCHED, payload);
    if !matches!(timeout(SEND_LIMIT, sending).await, Ok(Ok(()))) {
        watch.buffer.lock().lose(all);
    }
}
