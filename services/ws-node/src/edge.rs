//! What the whole edge shares, on all its threads: the adapter, the settings, the routes, the metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use wsmesh_adapter::{Adapter, Frame};
use wsmesh_bootstrap::ops::hears_redis;
use wsmesh_protocol::report::{EDGE, EdgeReport};

use crate::auth::Auth;
use crate::connect::Hook;
use crate::engine;
use crate::handlers::Handlers;
use crate::lifecycle::Lifecycle;
use crate::limits::{Capacity, Door, Failures, Rate, UnauthenticatedPermits};
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::routes::Routes;
use crate::settings::{EdgeSettings, place};
use crate::watching::Watching;
use crate::wills::WillBooks;

/// Shared by every session.
pub(crate) struct Edge {
    pub(crate) adapter: Adapter,
    pub(crate) settings: EdgeSettings,
    /// The same settings as the engine needs them.
    pub(crate) engine: Arc<engine::Settings>,
    pub(crate) heartbeat: Frame,
    pub(crate) auth: Auth,
    /// Says who may connect, if there is one.
    pub(crate) hook: Option<Hook>,
    /// Is told what happens to clients, if anybody watches.
    pub(crate) lifecycle: Option<Arc<Lifecycle>>,
    pub(crate) routes: Routes,
    pub(crate) metrics: Metrics,
    pub(crate) logins: Arc<Logins>,
    pub(crate) wills: Arc<WillBooks>,
    /// The clients that admins watch.
    pub(crate) watching: Arc<Watching>,
    /// Every session, and every connection on its way to one.
    pub(crate) sessions: TaskTracker,
    pub(crate) capacity: Capacity,
    pub(crate) door: Arc<Door>,
    pub(crate) failures: Failures,
    pub(crate) unauthenticated: UnauthenticatedPermits,
    /// Functions of the program, and the runtime on which they run.
    pub(crate) handlers: Handlers,
    pub(crate) runtime: tokio::runtime::Handle,
    /// What clients may publish.
    pub(crate) namespaces: Namespaces,
    /// How many frames a client may send.
    pub(crate) pace: Option<Rate>,
    /// The beginning of time for [`Edge::now`].
    started: Instant,
    draining: watch::Sender<bool>,
}

/// The parts that an edge is made of.
pub(crate) struct EdgeParts {
    pub(crate) adapter: Adapter,
    pub(crate) settings: EdgeSettings,
    pub(crate) auth: Auth,
    pub(crate) hook: Option<Hook>,
    pub(crate) lifecycle: Option<Arc<Lifecycle>>,
    pub(crate) routes: Routes,
    pub(crate) metrics: Metrics,
    pub(crate) logins: Arc<Logins>,
    pub(crate) wills: Arc<WillBooks>,
    pub(crate) watching: Arc<Watching>,
    pub(crate) handlers: Handlers,
}

impl Edge {
    /// Must be called on the runtime that is to run handlers.
    pub(crate) fn new(parts: EdgeParts) -> Self {
        let EdgeParts {
            adapter,
            settings,
            auth,
            hook,
            lifecycle,
            routes,
            metrics,
            logins,
            wills,
            watching,
            handlers,
        } = parts;
        let limits = &settings.limits;
        let capacity = Capacity::of(limits, settings.shards, settings.calls_to_backends());
        metrics.connections_limit.set(capacity.connections as i64);
        Self {
            adapter,
            capacity,
            door: Door::new(
                capacity.connections,
                limits.connections_per_address,
                Rate::new(limits.accept_rate, limits.accept_rate),
            ),
            failures: Failures::new(limits.accept_rate),
            unauthenticated: UnauthenticatedPermits::new(metrics.entry.unauthenticated.clone()),
            handlers,
            runtime: tokio::runtime::Handle::current(),
            namespaces: Namespaces::new(&settings.namespaces),
            pace: Rate::new(limits.events_per_second(), limits.events_burst),
            started: Instant::now(),
            heartbeat: Frame::new(settings.heartbeat.clone()),
            engine: Arc::new(engine_settings(&settings)),
            settings,
            auth,
            hook,
            lifecycle,
            routes,
            metrics,
            logins,
            wills,
            watching,
            sessions: TaskTracker::new(),
            draining: watch::Sender::new(false),
        }
    }

    /// Tells admin about the clients when it asks. The adapter, which keeps the report, is part of the edge.
    pub(crate) fn report_to_admin(self: &Arc<Self>) {
        let told = Arc::downgrade(self);
        self.adapter.add_report(EDGE, move || {
            let report = told.upgrade().map(|edge| EdgeReport {
                draining: edge.is_draining(),
                public_url: edge.settings.public_url.as_ref().map(ToString::to_string),
                labels: place::by_name(&edge.settings.labels),
                ..edge.metrics.report()
            });
            json!(report)
        });
    }

    /// For meters: the time since this edge was made.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether new clients are rejected.
    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Whether clients should be sent here; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        if self.is_draining() {
            return Err("draining: this server sends its clients away".to_owned());
        }
        hears_redis(&self.adapter)?;
        self.auth.readiness()
    }

    /// Resolves when new clients are rejected.
    pub(crate) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // It cannot end before the edge.
        let _is_draining = draining.wait_for(|is_draining| *is_draining).await;
    }

    /// Rejects new clients from now on, and sends clients away that have not authenticated yet.
    pub(crate) fn start_draining(&self) {
        self.draining.send_replace(true);
        self.metrics.draining.set(1);
    }

    /// Accepts new clients again.
    pub(crate) fn stop_draining(&self) {
        self.draining.send_replace(false);
        self.metrics.draining.set(0);
    }
}

fn engine_settings(settings: &EdgeSettings) -> engine::Settings {
    engine::Settings {
        max_message_bytes: settings.max_message_bytes,
        binary: settings.echo || !settings.text_frames_only,
        deflate_above: settings.deflate_above(),
        ping_interval: settings.ping_interval,
        background: settings.enter_background_close,
        budget: engine::Budget::new(settings.outbox_total_bytes, settings.shards),
        write_timeout: settings.write_timeout,
        close_timeout: settings.close_timeout,
        message_timeout: settings.message_timeout,
        request_timeout: settings.request_timeout,
        reconnect_spread: settings.reconnect_spread,
        max_connection_age: settings.max_connection_age,
    }
}
