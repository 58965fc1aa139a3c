//! Serves HTTP/1.1, the same way on every port, with limits on what a peer can use without sending a request.
//!
//! A connection waits for its first or a further request, or it is being answered. Both are bounded in number and in time.
//! Every new connection may wait: if too many do, the address with the most waiting connections loses the oldest. So silent
//! connections block only themselves. A peer that does not read its answer counts as waiting. A stream of
//! events has no time limit of its own, but its peer must go on reading. `serve` owns every connection's
//! task and returns only when all connections have ended or were upgraded.

mod accept;
mod connection;
mod endless;
mod forwarded;
mod garbled;
mod head;
mod idle;
mod origin;
mod patience;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use accept::Acceptor;
use connection::Served;
pub use forwarded::client_address;
use idle::Idle;
pub use origin::subscriber;

/// What the connections of one port may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once that are not upgraded. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// How many of those may wait for a request. Beyond that, one of them is closed for each new connection, so there is always room
    /// for connections with a request. Less than `connections`.
    pub waiting: usize,
    /// How many of the waiting ones may come from one address (IPv6: one /64). 0: no limit of its own.
    pub waiting_of_one: usize,
    /// How long the TLS handshake and the head of the first request may take, together.
    pub head_timeout: Duration,
    /// How long a connection may wait for a further request after its last answer. The peer must read the answer within the same
    /// time. `None`: one request per connection, whose answer must be read within `head_timeout`.
    pub idle_timeout: Option<Duration>,
    /// How long a request may take from its head to the start of its answer. Beyond that it is answered with 503.
    pub answer_timeout: Duration,
    /// How long running requests may still take when serving stops.
    pub grace: Duration,
}

impl Limits {
    /// For a port of probes, backends and operators, which send many requests on one connection. Half of the connections may wait.
    pub fn keep_alive(connections: usize) -> Self {
        Self {
            connections,
            waiting: connections / 2,
            waiting_of_one: 0,
            head_timeout: Duration::from_secs(10),
            // Load balancers and clients usually close an idle connection after 60 s. The server waits longer, so that it does not
            // close a connection while a request is on its way.
            idle_timeout: Some(Duration::from_secs(75)),
            answer_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(1),
        }
    }
}

/// A router, and how its port is served.
#[derive(Clone)]
pub struct Front {
    router: Router,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    /// Trusted proxies: each of their connections may belong to another client.
    trusted: Vec<IpNet>,
    evicted: Arc<dyn Fn() + Send + Sync>,
    was_garbled: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Front {
    /// Plain HTTP with these limits. Requests carry the peer's address as axum's `ConnectInfo<SocketAddr>`.
    pub fn new(router: Router, limits: Limits) -> Self {
        Self {
            router,
            limits,
            tls: None,
            trusted: Vec::new(),
            evicted: Arc::new(|| ()),
            was_garbled: Arc::new(|| ()),
        }
    }

    /// Uses TLS if there is an acceptor.
    #[must_use]
    pub fn tls(self, tls: Option<TlsAcceptor>) -> Self {
        Self { tls, ..self }
    }

    /// For connections of these proxies only the limit for all applies, not the one for an address.
    #[must_use]
    pub fn trusted(self, trusted: Vec<IpNet>) -> Self {
        Self { trusted, ..self }
    }

    /// `evicted` is called when a waiting connection is closed to make room for another.
    #[must_use]
    pub fn on_eviction(self, evicted: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            evicted: Arc::new(evicted),
            ..self
        }
    }

    /// `was_garbled` is called when a connection starts with something that is not a request.
    #[must_use]
    pub fn on_garbled(self, was_garbled: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            was_garbled: Arc::new(was_garbled),
            ..self
        }
    }
}

/// Serves until `stop`. Returns when every connection has ended or was upgraded, or after the grace period of the limits. Dropping
/// the future ends the remaining connections.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) {
    let idle = Idle::new(front.limits.waiting, front.limits.waiting_of_one);
    let mut acceptor = Acceptor::new(listener, Arc::new(Semaphore::new(front.limits.connections)));
    let served = Arc::new(Served::new(front, idle));
    let mut tasks = JoinSet::new();
    loop {
        let (stream, peer, permit) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = acceptor.next() => accepted,
        };
        while tasks.try_join_next().is_some() {}
        let connection = Arc::clone(&served).serve(stream, peer, stop.clone());
        tasks.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(acceptor);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(served.grace(), ended).await.is_err() {
        tracing::warn!(open = tasks.len(), "some requests did not end in time and are cut off");
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests;
