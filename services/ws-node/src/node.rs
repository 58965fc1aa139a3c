//! One ws-node inside a process: starts the adapter, the shards and the way in, and ends them in the right order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use futures_util::future::select_all;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use wsmesh_adapter::{Adapter, Delivery, Driver, FrameReader, Options, ShardInbox, StartError, Started};
use wsmesh_bootstrap::TlsFiles;
use wsmesh_bootstrap::http::{Front, Limits};
use wsmesh_protocol::frame;

use crate::auth::Auth;
use crate::backends;
use crate::client::ClientState;
use crate::connect::Hook;
use crate::edge::{Edge, EdgeParts};
use crate::engine::{Order, Resources, ShardRuntime, ShardThread};
use crate::events;
use crate::gate::Gate;
use crate::handlers::Handlers;
use crate::http::{self, tickets};
use crate::lifecycle::{Lifecycle, Tellers};
use crate::logins::{LoginPolicy, Logins};
use crate::metrics::{Metrics, Rejected};
use crate::routes::{Routes, forwardings};
use crate::settings::EdgeSettings;
use crate::watching::keeping::Keeper;
use crate::watching::{Observers, Watching};
use crate::wills::WillBooks;
use crate::{balance, orders};

/// How long the adapter may take to say goodbye; taken from the grace period.
const GOODBYE: Duration = Duration::from_secs(3);

/// How long the shards' threads may take to end after that; taken from the grace period too.
const END: Duration = Duration::from_secs(1);

/// How long the last lifecycle events and sightings may take at least, if somebody is told; taken from the grace period too.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// How delivery rules find the parts of a frame.
const FRAME_READER: FrameReader = FrameReader {
    event: frame::push_event,
    payload: frame::push_payload,
};

const NO_THREAD: &str = "a shard's thread cannot be started";

/// A running ws-node. Serve [`WsNode::router`] anywhere, alone or inside another application, and end it with
/// [`WsNode::shutdown`].
pub struct WsNode {
    edge: Arc<Edge>,
    gate: Gate,
    driver: Driver,
    shards: Vec<CancellationToken>,
    tls: Option<TlsAcceptor>,
    /// Sends idle clients away. Ends when this ws-node is dropped.
    balancing: AbortOnDropHandle<()>,
    /// Carries out wills, for as long as there are clients. Ends when this ws-node is dropped.
    carrying_out: AbortOnDropHandle<()>,
    /// Tells watches what happens to clients. Ends when this ws-node is dropped.
    tellers: Option<Tellers>,
    /// Tells admins of the clients that they watch. Ends when this ws-node is dropped.
    watching: Keeper,
}

impl WsNode {
    /// Starts the adapter and the shards. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When settings are out of bounds, a key file cannot be used, the bus cannot be started, metrics are registered
    /// already, or a thread cannot be started. The message says what to do.
    pub fn start(options: Options, settings: EdgeSettings) -> anyhow::Result<Self> {
        Self::start_with(options, settings, Handlers::new())
    }

    pub(crate) fn start_with(options: Options, settings: EdgeSettings, handlers: Handlers) -> anyhow::Result<Self> {
        let settings = settings
            .checked()
            .map_err(|problems| anyhow::anyhow!(problems.join("\n")))?;
        let tls = settings.tls().as_ref().map(TlsFiles::acceptor).transpose();
        let tls = tls.map_err(anyhow::Error::msg)?;
        let metrics = Metrics::register(&options.registry).context("the metrics of the edge are registered already")?;
        let auth = Auth::start(&settings.auth, settings.demo, &metrics.entry).map_err(anyhow::Error::msg)?;
        let backends = backends::Shared::new(Handle::current(), metrics.backends.clone());
        let routes = routes(&settings, &auth, &backends, &metrics).map_err(anyhow::Error::msg)?;
        let runtimes = (0..settings.shards).map(|_| ShardRuntime::new());
        let runtimes = runtimes.collect::<Result<Vec<_>, _>>().context(NO_THREAD)?;
        let routing = options.routing.clone();
        let hook = settings.connect.hook.as_ref();
        let hook = hook.map(|hook| Hook::new(hook, options.name.clone(), &backends, metrics.hook.clone()));
        let hook = hook.transpose().map_err(anyhow::Error::msg)?;
        let lifecycle = Lifecycle::new(&settings.watch, &metrics.lifecycle);
        let watching =
            Watching::register(&options.registry).context("the metrics of the edge are registered already")?;
        let observers = Observers {
            lifecycle: lifecycle.clone(),
            watching: Arc::clone(&watching),
        };
        let Started {
            adapter,
            driver,
            shards,
        } = start_adapter(adapter_options(options, &settings, observers), &runtimes)?;
        let tellers = lifecycle.clone().map(|lifecycle| lifecycle.start(&adapter, &backends));
        let tellers = tellers.transpose().map_err(anyhow::Error::msg)?;
        events::listen(&adapter);
        auth.listen(&adapter);
        let policy = (settings.login_policy, settings.logins_per_client);
        let edge = Arc::new(Edge::new(EdgeParts {
            routes,
            hook,
            lifecycle,
            logins: Logins::start(adapter.clone(), policy, &routing, metrics.logins.clone()),
            wills: WillBooks::start(adapter.clone(), metrics.wills_carried_out.clone()),
            adapter,
            settings,
            auth,
            metrics,
            watching,
            handlers,
        }));
        edge.report_to_admin();
        let taken = Arc::downgrade(&edge);
        edge.handlers
            .started(move |event| taken.upgrade().is_some_and(|edge| edge.routes.find(event).is_some()));
        edge.capacity.warn_if_short(&edge.settings.limits);
        let (orders, ended) = start_shards(&edge, shards, runtimes).context(NO_THREAD)?;
        let gate = Gate::new(Arc::clone(&edge), orders);
        orders::listen(&gate);
        let watching = gate.start_watching();
        let balancing = AbortOnDropHandle::new(tokio::spawn(balance::keep(gate.clone())));
        let carrying_out = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&edge.wills).keep()));
        Ok(Self {
            gate,
            tls,
            balancing,
            carrying_out,
            tellers,
            watching,
            edge,
            driver,
            shards: ended,
        })
    }

    /// Upgrades to a WebSocket on any path. To other requests, `/` says whether clients should be sent here; in the demo
    /// profile it is the playground page.
    /// It can be merged into another application as its fallback, or nested under a path.
    pub fn router(&self) -> Router {
        http::router(self.gate.clone())
    }

    /// The endpoint for an application's backend: `POST /api/v1/tickets`, if there is a ticket key. For a port that clients
    /// cannot reach; the ws-node binary serves it on the ops port.
    pub fn backend_router(&self) -> Router {
        tickets::router(Arc::clone(&self.edge))
    }

    /// Serves the router on a listener until `stop`: HTTP/1.1, over TLS if there is a certificate, with bounds on what a
    /// client may do before its upgrade.
    /// Resolves when every connection has ended or upgraded; sessions go on until [`WsNode::shutdown`].
    pub fn serve(&self, listener: TcpListener, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let (settings, gave_way, garbled) = (
            &self.edge.settings,
            self.edge.metrics.entry.clone(),
            self.edge.metrics.entry.clone(),
        );
        let limits = Limits {
            connections: self.edge.capacity.handshakes,
            waiting: self.edge.capacity.handshakes / 2,
            waiting_of_one: settings.limits.connections_per_address,
            head_timeout: settings.handshake_timeout,
            // A connection without upgrade must not stay.
            idle_timeout: None,
            answer_timeout: settings.handshake_timeout + settings.request_timeout + settings.hook_timeout(),
            // The caller of `serve` decides how long to wait.
            grace: Duration::MAX,
        };
        let front = Front::new(self.router(), limits)
            .tls(self.tls.clone())
            .trusted(settings.limits.trusted_proxies.clone())
            .on_eviction(move || gave_way.rejected(Rejected::GaveWay))
            .on_garbled(move || garbled.rejected(Rejected::BadRequest));
        wsmesh_bootstrap::http::serve(listener, front, stop)
    }

    /// The adapter that this ws-node runs on, for the application around it. Its listeners run on the runtime from which they
    /// were added.
    pub fn adapter(&self) -> &Adapter {
        &self.edge.adapter
    }

    /// The handlers of this program for what clients do: to add some, or to take some out.
    pub fn handlers(&self) -> &Handlers {
        &self.edge.handlers
    }

    /// Most connections at once: as the settings say, or fewer if there are too few files.
    pub fn max_connections(&self) -> usize {
        self.edge.capacity.connections
    }

    /// Whether clients should be sent here; if not, why.
    ///
    /// # Errors
    /// A sentence for the probe's answer.
    pub fn readiness(&self) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
        let edge = Arc::clone(&self.edge);
        move || edge.readiness()
    }

    /// The state of this ws-node, as one JSON object.
    pub fn stats(&self) -> impl Fn() -> Value + Send + Sync + 'static {
        let edge = Arc::clone(&self.edge);
        move || {
            json!({
                "name": edge.adapter.name(),
                "service": edge.adapter.service(),
                "connections": edge.metrics.engine.connections.get(),
                "maxConnections": edge.capacity.connections,
                "clients": edge.adapter.client_count(),
                "rooms": edge.adapter.room_count(),
                "shards": edge.settings.shards,
                "draining": edge.is_draining(),
                "slowClientsClosed": edge.metrics.engine.slow_clients_closed.get(),
                "ready": edge.adapter.is_ready(),
                "nodes": *edge.adapter.nodes().borrow().clone(),
            })
        }
    }

    /// Resolves when this ws-node cannot go on, with the reason.
    pub async fn failed(&mut self) -> anyhow::Error {
        let ended = select_all(self.shards.iter().map(|ended| Box::pin(ended.cancelled())));
        tokio::select! {
            // With one shard the adapter's tasks end with its thread, too: then the shard is the reason.
            biased;
            _ = ended => anyhow::anyhow!("a shard's thread ended unexpectedly; see the log before this"),
            error = self.driver.failed() => error.into(),
        }
    }

    /// Rejects new clients from now on: the first step of a shutdown, before the listener is closed.
    pub fn start_draining(&self) {
        self.edge.start_draining();
    }

    /// Tells other servers to send no new requests here, closes every client with 1012 in waves, each with a delay of its own,
    /// waits for the sessions to end, then leaves the bus. Takes at most `grace`; less if there are few clients.
    pub async fn shutdown(self, grace: Duration) {
        let Self {
            edge,
            gate,
            driver,
            shards,
            balancing,
            carrying_out,
            tellers,
            watching,
            ..
        } = self;
        drop(balancing);
        edge.start_draining();
        edge.sessions.close();
        let all_gone = Instant::now() + grace.saturating_sub(GOODBYE + END);
        let for_clients = grace.saturating_sub(GOODBYE + END);
        let for_events = match tellers.is_some() || edge.watching.is_anybody_watched() {
            true => LAST_EVENTS.min(for_clients / 2),
            false => Duration::ZERO,
        };
        let for_clients = for_clients - for_events;
        let leaving = async {
            edge.adapter.retire().await;
            gate.drain(edge.settings.drain_time.min(for_clients)).await;
            edge.sessions.wait().await;
        };
        if tokio::time::timeout(for_clients, leaving).await.is_err() {
            tracing::warn!(
                "some clients were still connected at the end of the grace period; allow more time with --shutdown-grace"
            );
        }
        drop(carrying_out);
        let left = all_gone.saturating_duration_since(Instant::now());
        let tellers = async {
            if let Some(tellers) = tellers {
                tellers.finish(left).await;
            }
        };
        tokio::join!(tellers, watching.finish(left));
        // Clients that are still here may have shown new tokens until now.
        edge.auth.stop().await;
        driver.shutdown(GOODBYE).await;
        let ending = async {
            gate.end().await;
            for shard in &shards {
                shard.cancelled().await;
            }
        };
        if tokio::time::timeout(END, ending).await.is_err() {
            tracing::warn!("a shard's thread did not end in time: the process ends without it");
        }
        edge.handlers.clear();
    }
}

/// The options of the adapter that follow from the settings of the edge.
fn adapter_options(mut options: Options, settings: &EdgeSettings, observers: Observers) -> Options {
    options.observer = Some(Arc::new(observers));
    options.shards = settings.shards;
    options.outbox = settings.outbox();
    options.delivery = Delivery::new(&settings.delivery, FRAME_READER);
    options.several_homes = settings.login_policy == LoginPolicy::Many || settings.logins_per_client > 1;
    // With two policies, servers would close each other's clients.
    let logins = [
        ("login_policy", format!("{:?}", settings.login_policy).to_lowercase()),
        ("logins_per_client", settings.logins_per_client.to_string()),
    ];
    let logins = logins.map(|(name, value)| (name.to_owned(), value));
    options.common_settings.extend(logins);
    options
}

/// The table of events. Logs built-in events that a rule replaces.
fn routes(
    settings: &EdgeSettings,
    auth: &Auth,
    shared: &backends::Shared,
    metrics: &Metrics,
) -> Result<Routes, String> {
    let rules = forwardings(settings.rules.0.clone(), settings.request_timeout, shared)?;
    let (rooms, events) = (settings.client_rooms.clone(), metrics.events.clone());
    let mut routes = Routes::new(rules, rooms, settings.demo, events);
    let has_hook = settings.connect.hook.is_some();
    if auth.has_tokens() {
        routes = routes.with_tokens();
    }
    if has_hook {
        routes = routes.with_rooms();
    }
    // Tokens, tickets and the connect hook may allow what the settings do not.
    if settings.lets_clients_publish() || auth.has_tokens() || auth.tickets().is_some() || has_hook {
        routes = routes.with_publish();
    }
    for event in routes.replaced() {
        tracing::warn!(
            event,
            "a rule replaces a built-in event, which is not handled here any more: rename yours if you did not mean that"
        );
    }
    Ok(routes)
}

type Orders = Vec<mpsc::Sender<Order<ClientState>>>;

/// Starts a thread for each shard. Returns how to give them orders, and tokens that tell when they have ended.
fn start_shards(
    edge: &Edge,
    inboxes: Vec<ShardInbox>,
    runtimes: Vec<ShardRuntime>,
) -> std::io::Result<(Orders, Vec<CancellationToken>)> {
    let resources = Resources {
        adapter: edge.adapter.clone(),
        settings: Arc::clone(&edge.engine),
        metrics: edge.metrics.engine.clone(),
    };
    let started = inboxes.into_iter().zip(runtimes).map(|(inbox, runtime)| {
        let thread = ShardThread::start(resources.clone(), inbox, runtime)?;
        Ok((thread.orders, thread.ended))
    });
    let started = started.collect::<std::io::Result<Vec<_>>>()?;
    Ok(started.into_iter().unzip())
}

/// With one shard the adapter's tasks run on the shard's thread, as the whole node may have one core only: so no message
/// between servers wakes another thread on its way. Several shards would wait for the one that does the adapter's work.
fn start_adapter(options: Options, runtimes: &[ShardRuntime]) -> Result<Started, StartError> {
    let _entered = match runtimes {
        [only] => only.enter(),
        _ => None,
    };
    Adapter::start(options)
}
