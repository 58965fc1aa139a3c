//! What the whole edge shares, on all its threads: the adapter, the settings, the routes, the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use wsmesh_adapter::{Adapter, Frame};
use wsmesh_protocol::CloseCode;

use crate::engine::{Admission, Farewell, Order};
use crate::events::Routes;
use crate::http::auth::Auth;
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::settings::EdgeSettings;

/// Shared by every session.
pub(crate) struct Edge {
    pub(crate) adapter: Adapter,
    pub(crate) settings: EdgeSettings,
    pub(crate) heartbeat: Frame,
    pub(crate) auth: Auth,
    pub(crate) routes: Routes,
    pub(crate) metrics: Metrics,
    pub(crate) logins: Arc<Logins>,
    /// Every session, and every connection on its way to one.
    pub(crate) sessions: TaskTracker,
    draining: AtomicBool,
}

impl Edge {
    pub(crate) fn new(
        adapter: Adapter,
        settings: EdgeSettings,
        auth: Auth,
        routes: Routes,
        metrics: Metrics,
        logins: Arc<Logins>,
    ) -> Self {
        Self {
            adapter,
            heartbeat: Frame::new(settings.heartbeat.clone()),
            settings,
            auth,
            routes,
            metrics,
            logins,
            sessions: TaskTracker::new(),
            draining: AtomicBool::new(false),
        }
    }

    /// Whether new clients are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Refuses new clients from now on.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.metrics.draining.set(1);
    }

    /// What a client hears when this server goes. Each gets a delay of its own, so that they do not all come back at once.
    pub(crate) fn come_back_elsewhere(&self) -> Farewell {
        let spread_ms = self.settings.reconnect_spread.as_millis() as u64;
        let reason = CloseCode::ServiceRestart.reason_with_delay(rand::random_range(0..=spread_ms));
        Farewell::new(CloseCode::ServiceRestart, reason)
    }
}

/// The way in: hands upgraded connections to the shards, in turn.
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

    /// Gives the connection to a shard. Waits while the shard is behind with admissions.
    pub(crate) async fn admit(&self, admission: Admission) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.shards[turn % self.shards.len()];
        if shard.send(Order::Admit(Box::new(admission))).await.is_err() {
            tracing::debug!("a connection came after the shards had ended");
        }
    }

    /// Has every client sent away.
    pub(crate) async fn send_everyone_away(&self) {
        for shard in self.shards.iter() {
            let _ended_already = shard.send(Order::SendEveryoneAway).await;
        }
    }

    /// Ends the shards, with whatever they still have.
    pub(crate) async fn end(&self) {
        for shard in self.shards.iter() {
            let _ended_already = shard.send(Order::End).await;
        }
    }
}
