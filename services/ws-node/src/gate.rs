//! The way to the shards: gives newcomers to them in turn, and passes on orders that concern all clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use wsmesh_adapter::ConnectionId;

use crate::client::ClientState;
use crate::edge::Edge;
use crate::engine::{Expected, Newcomer, Order, Reservation};
use crate::watching::keeping::{self, Keeper};

/// The part of a drain in which clients are sent away; the rest is for requests in flight and close handshakes.
const IN_WAVES: f64 = 0.8;

/// The part of a drain in which replies are waited for; the rest is for close handshakes.
const FOR_REPLIES: f64 = 0.9;

/// Senders to all shards.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) edge: Arc<Edge>,
    shards: Arc<[mpsc::Sender<Order<ClientState>>]>,
    next: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn new(edge: Arc<Edge>, shards: Vec<mpsc::Sender<Order<ClientState>>>) -> Self {
        Self {
            edge,
            shards: shards.into(),
            next: Arc::default(),
        }
    }

    /// Has a shard attach this client and expect its connection. Waits while the shard has too many newcomers. A shard that
    /// has ended never says that the client is reachable.
    pub(crate) async fn expect(&self, newcomer: Newcomer<ClientState>) -> Reservation {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.shards[turn % self.shards.len()];
        let (expected, reservation) = Expected::new(newcomer);
        if shard.send(Order::Expect(Box::new(expected))).await.is_err() {
            tracing::debug!("a client came after the shards had ended");
        }
        reservation
    }

    /// Rejects new clients and has the present ones sent away in waves, at the rate of the setting, or faster if they would not
    /// be gone in time. Returns how long the waves take; requests in flight may take longer, up to the limit.
    pub(crate) async fn drain(&self, at_most: Duration) -> Duration {
        self.edge.start_draining();
        let clients = self.edge.metrics.engine.connections.get().max(0) as f64;
        let waves = Duration::from_secs_f64(clients / f64::from(self.edge.settings.drain_rate));
        let waves = waves.min(at_most.mul_f64(IN_WAVES));
        let at_most = at_most.mul_f64(FOR_REPLIES);
        self.tell(|| Order::Drain { waves, at_most }).await;
        waves
    }

    /// Ends a drain: new clients are accepted again.
    pub(crate) async fn resume(&self) {
        self.edge.stop_draining();
        self.tell(|| Order::Resume).await;
    }

    /// Has at most this many idle clients sent away within this time.
    pub(crate) async fn shed(&self, clients: usize, over: Duration) {
        let each = clients.div_ceil(self.shards.len());
        self.tell(|| Order::Shed(each, over)).await;
    }

    /// Talks with the admins that watch clients.
    pub(crate) fn start_watching(&self) -> Keeper {
        let gate = self.clone();
        let look = move |connections| gate.clone().look(connections);
        keeping::start(&self.edge.adapter, &self.edge.watching, look)
    }

    /// Has these connections find out whether somebody watches their clients.
    pub(crate) async fn look(self, connections: Arc<[ConnectionId]>) {
        self.tell(|| Order::Look(Arc::clone(&connections))).await;
    }

    /// Ends the shards, with all connections that are left.
    pub(crate) async fn end(&self) {
        self.tell(|| Order::End).await;
    }

    async fn tell(&self, order: impl Fn() -> Order<ClientState>) {
        for shard in self.shards.iter() {
            let _ended_already = shard.send(order()).await;
        }
    }
}
