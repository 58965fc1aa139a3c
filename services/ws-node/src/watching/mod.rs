//! Watching clients: an admin follows one client over all ws-nodes, and each of them tells it what it sees of this client.
//!
//! Admins say again and again what they watch; a ws-node that is not told for 15 s forgets it. What is seen waits in a small bounded
//! `buffer` until the next batch goes out, five times a second; what does not fit is counted. Nobody waits for an admin. Where nobody
//! is watched this costs a look at a flag that the connection has. Nothing that is seen is logged or counted.
//!
//! `leases` are the watches of all admins, a `tap` is what a watched connection holds, `frames` reads what passes it. `observer` tells
//! of connections and rooms, `keeping` talks with the admins.

mod buffer;
mod frames;
pub(crate) mod keeping;
mod leases;
mod observer;
mod tap;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus::{IntGauge, Registry, register_int_gauge_with_registry};
use tokio::sync::Notify;
use wsmesh_adapter::{ClientId, ServerName};
use wsmesh_protocol::watching::{Watches, WatchesTaken};

use self::leases::{Leases, Watch};
pub(crate) use self::observer::Observers;
use self::tap::Tap;
pub(crate) use self::tap::{ConnectionTap, Ended, Way};

/// An admin that is silent for so long watches nothing any more. It speaks every 5 s.
const LEASE: Duration = Duration::from_secs(15);

/// The watched clients of this ws-node.
#[derive(Debug)]
pub(crate) struct Watching {
    /// Whether any client is watched.
    any: AtomicBool,
    taps: ArcSwap<HashMap<ClientId, Arc<Tap>>>,
    leases: Mutex<Leases>,
    /// A watch began.
    begun: Notify,
    open: IntGauge,
}

/// What became of the watches.
#[derive(Debug, Default)]
struct Change {
    taken: WatchesTaken,
    /// The watches that began.
    begun: Vec<Arc<Watch>>,
    /// Clients whose watches began or ended.
    clients: Vec<ClientId>,
}

impl Watching {
    /// Nobody is watched yet.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            any: AtomicBool::new(false),
            taps: ArcSwap::default(),
            leases: Mutex::default(),
            begun: Notify::new(),
            open: register_int_gauge_with_registry!(
                "wsmesh_watches",
                "Watches of clients that admins have, as this server was told.",
                registry
            )?,
        }))
    }

    /// What a connection of this client holds, if the client is watched.
    pub(crate) fn connection(&self, client: &ClientId, name: impl FnOnce() -> String) -> Option<ConnectionTap> {
        let tap = self.tap(client)?;
        Some(ConnectionTap::new(tap, name().into()))
    }

    /// Whether anybody watches a client of any server.
    pub(crate) fn is_anybody_watched(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    fn tap(&self, client: &ClientId) -> Option<Arc<Tap>> {
        if !self.is_anybody_watched() {
            return None;
        }
        self.taps.load().get(client).cloned()
    }

    /// An admin says what it watches.
    fn told(&self, holder: &ServerName, watches: &Watches, now: Instant) -> Change {
        self.change(|leases| leases.told(holder, watches, now + LEASE, now))
    }

    /// Forgets the watches of admins that are silent.
    fn expire(&self, now: Instant) -> Change {
        self.change(|leases| leases.expire(now))
    }

    fn change(&self, change: impl FnOnce(&mut Leases) -> Change) -> Change {
        let mut leases = self.leases.lock();
        let change = change(&mut leases);
        if change.clients.is_empty() {
            return change;
        }
        let mut by_client: HashMap<ClientId, Vec<Arc<Watch>>> = HashMap::new();
        for watch in leases.watches() {
            by_client
                .entry(watch.client.clone())
                .or_default()
                .push(Arc::clone(watch));
        }
        let taps = by_client
            .into_iter()
            .map(|(client, watches)| (client, Arc::new(Tap::new(watches))));
        let taps: HashMap<_, _> = taps.collect();
        self.any.store(!taps.is_empty(), Ordering::Relaxed);
        self.open.set(leases.len() as i64);
        self.taps.store(Arc::new(taps));
        drop(leases);
        self.begun.notify_one();
        change
    }

    /// All watches, in a stable order.
    fn watches(&self) -> Vec<Arc<Watch>> {
        self.leases.lock().watches().cloned().collect()
    }
}
