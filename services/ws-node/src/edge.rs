//! What the whole edge shares, on all its threads: the adapter, the settings, the routes, the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wsmesh_adapter::{Adapter, Frame};

use crate::auth::Auth;
use crate::engine::{Berth, Expected, Newcomer, Order};
use crate::events::Routes;
use crate::limits::{Door, Failures, Place, Rate, Room, WaitingPermits};
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::settings::EdgeSettings;
use crate::wills::WillBooks;

/// The part of a drain in which clients are sent away; the rest is for requests in flight and close handshakes.
const IN_WAVES: f64 = 0.8;

/// The part of a drain in which replies are waited for; the rest is for close handshakes.
const FOR_REPLIES: f64 = 0.9;

/// Shared by every session.
pub(crate) struct Edge {
    pub(crate) adapter: Adapter,
    pub(crate) settings: EdgeSettings,
    pub(crate) heartbeat: Frame,
    pub(crate) auth: Auth,
    pub(crate) routes: Routes,
    pub(crate) metrics: Metrics,
    pub(crate) logins: Arc<Logins>,
    pub(crate) wills: Arc<WillBooks>,
    /// Every session, and every connection on its way to one.
    pub(crate) sessions: TaskTracker,
    pub(crate) room: Room,
    pub(crate) door: Arc<Door>,
    pub(crate) failures: Failures,
    pub(crate) waiting: WaitingPermits,
    /// How many frames a client may send.
    pub(crate) pace: Option<Rate>,
    /// The beginning of time for [`Edge::now`].
    started: Instant,
    draining: watch::Sender<bool>,
}

impl Edge {
    pub(crate) fn new(
        adapter: Adapter,
        settings: EdgeSettings,
        auth: Auth,
        routes: Routes,
        metrics: Metrics,
        logins: Arc<Logins>,
        wills: Arc<WillBooks>,
    ) -> Self {
        let room = Room::of(&settings.limits, settings.shards);
        Self {
            adapter,
            room,
            door: Door::new(
                room.connections,
                settings.limits.connections_per_address,
                Rate::new(settings.limits.accept_rate, settings.limits.accept_rate),
            ),
            failures: Failures::new(settings.limits.accept_rate),
            waiting: WaitingPermits::new(metrics.unauthenticated.clone()),
            pace: Rate::new(settings.limits.events_per_second, settings.limits.events_burst),
            started: Instant::now(),
            heartbeat: Frame::new(settings.heartbeat.clone()),
            settings,
            auth,
            routes,
            metrics,
            logins,
            wills,
            sessions: TaskTracker::new(),
            draining: watch::Sender::new(false),
        }
    }

    /// For meters: the time since this edge was made.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether new clients are refused.
    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Whether clients should be sent here; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match (self.is_draining(), self.adapter.is_ready()) {
            (true, _) => Err("draining: this server sends its clients away".to_owned()),
            (false, false) => Err("no Redis node is heard yet".to_owned()),
            (false, true) => self.auth.readiness(),
        }
    }

    /// Resolves when new clients are refused.
    pub(crate) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // It cannot end before the edge.
        let _is_draining = draining.wait_for(|is_draining| *is_draining).await;
    }

    /// Refuses new clients from now on, and sends those away who have not said yet who they are.
    pub(crate) fn start_draining(&self) {
        self.draining.send_replace(true);
        self.metrics.draining.set(1);
    }

    /// Takes new clients again.
    pub(crate) fn stop_draining(&self) {
        self.draining.send_replace(false);
        self.metrics.draining.set(0);
    }
}

/// Held as long as a connection is here, from its upgrade to the end of its session.
#[derive(Debug)]
pub(crate) struct Presence {
    _tracked: TaskTrackerToken,
    _place: Place,
}

impl Presence {
    pub(crate) fn new(edge: &Edge, place: Place) -> Self {
        Self {
            _tracked: edge.sessions.token(),
            _place: place,
        }
    }
}

/// The way in: gives newcomers to the shards, in turn.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) edge: Arc<Edge>,
    shards: Arc<[mpsc::Sender<Order>]>,
    next: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn new(edge: Arc<Edge>, shards: Vec<mpsc::Sender<Order>>) -> Self {
        Self {
            edge,
            shards: shards.into(),
            next: Arc::default(),
        }
    }

    /// Has a shard attach this client and expect its connection. Waits while the shard is behind with newcomers. A shard
    /// that has ended never says that the client is reachable.
    pub(crate) async fn expect(&self, newcomer: Newcomer) -> Berth {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.shards[turn % self.shards.len()];
        let (expected, berth) = Expected::new(newcomer);
        if shard.send(Order::Expect(Box::new(expected))).await.is_err() {
            tracing::debug!("a client came after the shards had ended");
        }
        berth
    }

    /// Refuses new clients and has those that are here sent away in waves: as many a second as the setting says, or more
    /// if they would not be gone in time. Says how long the waves take; requests in flight may take longer, up to the limit.
    pub(crate) async fn drain(&self, at_most: Duration) -> Duration {
        self.edge.start_draining();
        let clients = self.edge.metrics.connections.get().max(0) as f64;
        let waves = Duration::from_secs_f64(clients / f64::from(self.edge.settings.drain_rate));
        let waves = waves.min(at_most.mul_f64(IN_WAVES));
        let at_most = at_most.mul_f64(FOR_REPLIES);
        self.tell(|| Order::Drain { waves, at_most }).await;
        waves
    }

    /// Stops a drain: new clients are welcome again.
    pub(crate) async fn resume(&self) {
        self.edge.stop_draining();
        self.tell(|| Order::Resume).await;
    }

    /// Has at most so many idle clients sent away within this time.
    pub(crate) async fn shed(&self, clients: usize, over: Duration) {
        let each = clients.div_ceil(self.shards.len());
        self.tell(|| Order::Shed(each, over)).await;
    }

    /// Ends the shards, with whatever they still have.
    pub(crate) async fn end(&self) {
        self.tell(|| Order::End).await;
    }

    async fn tell(&self, order: impl Fn() -> Order) {
        for shard in self.shards.iter() {
            let _ended_already = shard.send(order()).await;
        }
    }
}
