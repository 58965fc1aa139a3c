//! The handle: what a service holds to reach clients and servers. Cheap to clone, usable from any thread.
//!
//! Each verb goes the same way: local clients first, then an envelope through one healthy node. What is promised: a
//! message accepted from a live sender reaches, once, every live server that was subscribed and shares a working node
//! with the sender within the replay window. Order: per topic and sender, while the topic's node stays the same. See
//! `services/ARCHITECTURE.md` for what is not promised; it is told by [`Adapter::lapses`] when it happens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::choices::Choices;
use crate::cluster::{Apart, Debts, Listeners, Parting, Requests, Roster};
use crate::custom::ChannelMessage;
use crate::driver::Driver;
use crate::endpoints::Endpoints;
use crate::error::{ClientError, StartError};
use crate::event::ServerEvent;
use crate::lapse::{Lapse, LapseReason};
use crate::local::{Classes, Hub, ShardInbox};
use crate::metrics::Metrics;
use crate::nodes::{Channel, Copies, Fastest, Interest, Largest, NodeStatus, Window};
use crate::options::Options;
use crate::outbound::Extras;
use crate::topology::Plan;
use crate::views::ServerInfo;
use crate::waiting::Waiting;
use crate::wire::{Channels, Instance, ServerName, ServiceName, Topic};

/// Commands that wait for one shard. When full, whoever delivers waits.
const SHARD_INBOX: usize = 16_384;

/// What [`Adapter::start`] gives.
#[derive(Debug)]
pub struct Started {
    /// The cheap, clone-able handle.
    pub adapter: Adapter,
    /// Owns every task.
    pub driver: Driver,
    /// One per shard asked for, in order; each is moved to the thread that owns it.
    pub shards: Vec<ShardInbox>,
}

/// The handle: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(crate) inner: Arc<Inner>,
    /// What orders the messages of this handle, in place of their topics.
    pub(crate) order_key: Option<Arc<str>>,
}

/// Processes that share this server's name.
#[derive(Debug, Default)]
pub(crate) struct Namesakes {
    /// A younger one, to be told to step back.
    pub(crate) rival: Option<Instance>,
    /// An older one told this one to step back.
    pub(crate) refused: bool,
}

/// What the handle, the driver's tasks and the attachments share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) instance: Instance,
    pub(crate) channels: Channels,
    pub(crate) beacon_channel: Channel,
    pub(crate) probe_channel: Channel,
    pub(crate) hub: Hub,
    pub(crate) interest: Arc<Interest>,
    /// Single-server mode: there are no nodes, and never will be.
    pub(crate) alone: bool,
    pub(crate) endpoints: Endpoints,
    /// What was published lately.
    pub(crate) window: Arc<Window>,
    /// What is to be published again.
    pub(crate) copies: Arc<Copies>,
    /// The largest message that may be published.
    pub(crate) largest: Arc<Largest>,
    /// What no node has taken yet.
    pub(crate) waiting: Waiting,
    pub(crate) requests: Arc<Requests>,
    pub(crate) listeners: Listeners<ServerEvent>,
    pub(crate) custom: Listeners<ChannelMessage>,
    roster: Mutex<Roster>,
    namesakes: Mutex<Namesakes>,
    debts: Mutex<Debts>,
    apart: Mutex<Apart>,
    /// The topology, and what of it is in use.
    plan: Mutex<Plan>,
    pub(crate) choices: ArcSwap<Choices>,
    pub(crate) roster_view: watch::Sender<Arc<Vec<ServerInfo>>>,
    pub(crate) nodes_view: watch::Sender<Arc<Vec<NodeStatus>>>,
    pub(crate) lapses: watch::Sender<Arc<Vec<Lapse>>>,
    /// When each kind of lapse came last.
    pub(crate) told: Mutex<HashMap<LapseReason, Instant>>,
    pub(crate) counted: watch::Sender<bool>,
    pub(crate) parting: watch::Sender<Parting>,
    pub(crate) started: Instant,
    /// Since when this server counts; before that it published nothing.
    pub(crate) counted_at: OnceLock<Instant>,
    pub(crate) sequence: AtomicU64,
    /// The oldest sequence that may still be published again.
    pub(crate) mark: AtomicU64,
    pub(crate) beacons: AtomicU64,
    /// Somebody may have missed the last beacon: another one follows soon.
    pub(crate) to_be_said_again: AtomicBool,
    pub(crate) turn: AtomicU64,
    pub(crate) fastest: Fastest,
    pub(crate) changed: Arc<Notify>,
    /// Wakes everyone who waits for a node to be heard.
    pub(crate) heard: Arc<Notify>,
    /// Whether this server hears no node.
    pub(crate) deaf: watch::Sender<bool>,
    /// When a node was heard last, in milliseconds after the start.
    pub(crate) heard_ms: AtomicU64,
    pub(crate) metrics: Metrics,
    /// Handlers of listeners, and answers on their way.
    pub(crate) tasks: TaskTracker,
    /// Requests of others that were not answered yet.
    pub(crate) answering: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) runtime: Handle,
}

impl Inner {
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn namesakes(&self) -> MutexGuard<'_, Namesakes> {
        self.namesakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn debts(&self) -> MutexGuard<'_, Debts> {
        self.debts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn apart(&self) -> MutexGuard<'_, Apart> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, not for ever, until every node that this server hears has confirmed a channel.
    pub(crate) async fn confirmed(&self, channel: &Channel) -> Result<(), ClientError> {
        if self.alone {
            return Ok(());
        }
        match self.interest.confirmed(channel) {
            None => Ok(()),
            // It holds locally, and goes on in the background.
            Some(waiting) => match timeout(self.options.request_timeout, waiting).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(ClientError::Unconfirmed),
            },
        }
    }

    /// The channel of a topic is no longer wanted by one of its holders.
    pub(crate) fn release(&self, topic: &Topic) {
        self.interest.release(&self.channels.channel(topic), Instant::now());
    }
}

impl Adapter {
    /// Starts the adapter's tasks on the current tokio runtime. Connecting goes on in the background: see
    /// [`Adapter::ready`].
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use wsmesh_adapter::{Adapter, Options, ServerName, ServiceName, Started};
    ///
    /// let options = Options::new(ServerName::new("logic-1").unwrap(), ServiceName::new("game-logic").unwrap());
    /// let Started { adapter, driver, .. } = Adapter::start(options).unwrap();
    /// adapter.ready().await;
    /// driver.shutdown(std::time::Duration::from_secs(5)).await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// When the options contradict themselves, or a file that they name cannot be used.
    pub fn start(options: Options) -> Result<Started, StartError> {
        let instance = Instance::now();
        options.check()?;
        let (endpoints, seeds) = Endpoints::new(&options)?;
        let (plan, starts) = Plan::new(seeds);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..options.shards).map(|_| mpsc::channel(SHARD_INBOX)).unzip();
        let channels = Channels::new(&options.prefix, options.routing.clone());
        let inner = Arc::new(Inner {
            instance,
            beacon_channel: channels.beacon(),
            probe_channel: channels.probe(instance),
            hub: Hub::new(senders),
            interest: Arc::new(Interest::new(options.unsubscribe_delay)),
            alone: matches!(endpoints, Endpoints::None),
            endpoints,
            window: Arc::new(Window::new(options.kept_for(), options.replay_bytes)),
            copies: Arc::default(),
            // What is larger than the window could not be sent again.
            largest: Arc::new(Largest::new(options.max_publish_bytes.min(options.replay_bytes))),
            waiting: Waiting::new(options.replay_bytes),
            requests: Arc::new(Requests::new(instance)),
            listeners: Listeners::new(),
            custom: Listeners::new(),
            roster: Mutex::new(Roster::new(options.name.clone(), instance)),
            namesakes: Mutex::default(),
            debts: Mutex::default(),
            apart: Mutex::default(),
            plan: Mutex::new(plan),
            choices: ArcSwap::from_pointee(Choices::default()),
            roster_view: watch::Sender::default(),
            nodes_view: watch::Sender::default(),
            lapses: watch::Sender::default(),
            told: Mutex::default(),
            counted: watch::Sender::new(matches!(options.bus, crate::options::Bus::Alone)),
            parting: watch::Sender::default(),
            started: Instant::now(),
            counted_at: OnceLock::new(),
            sequence: AtomicU64::new(1),
            mark: AtomicU64::new(1),
            beacons: AtomicU64::new(1),
            to_be_said_again: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            fastest: Fastest::default(),
            changed: Arc::new(Notify::new()),
            heard: Arc::new(Notify::new()),
            deaf: watch::Sender::new(true),
            heard_ms: AtomicU64::new(0),
            metrics: Metrics::new(&options.registry)?,
            tasks: TaskTracker::new(),
            answering: TaskTracker::new(),
            stop: CancellationToken::new(),
            runtime: Handle::current(),
            channels,
            options,
        });
        inner.hold_base();
        inner.follow_topology();
        inner.refresh(Instant::now());
        let (limits, classes) = (inner.options.outbox, Classes::new(&inner.options.delivery));
        let shards = receivers.into_iter().enumerate();
        let shards = shards
            .map(|(index, commands)| ShardInbox {
                index,
                commands,
                limits,
                classes: classes.clone(),
            })
            .collect();
        let driver = Driver::start(inner.clone(), starts);
        Ok(Started {
            adapter: Adapter { inner, order_key: None },
            driver,
            shards,
        })
    }

    /// A handle whose messages are ordered by a key in place of their topics: with the strategy `ordered`, all messages of
    /// one key take one node, whatever their topics, and arrive at each server in the order of the calls, as long as that
    /// node stays the same. For a match, say, whose events go to several rooms and players.
    #[must_use]
    pub fn with_order_key(&self, key: &str) -> Self {
        Self {
            inner: self.inner.clone(),
            order_key: Some(key.into()),
        }
    }

    /// What is special about a message of this handle.
    pub(crate) fn extras(&self) -> Extras {
        Extras {
            order_key: self.order_key.clone(),
            ..Extras::default()
        }
    }

    /// This server's name.
    pub fn name(&self) -> &ServerName {
        &self.inner.options.name
    }

    /// This server's service.
    pub fn service(&self) -> &ServiceName {
        &self.inner.options.service
    }

    /// This process's identity.
    pub fn instance(&self) -> Instance {
        self.inner.instance
    }

    /// Whether it has started far enough and hears a node now. Always, when alone.
    pub fn is_ready(&self) -> bool {
        *self.inner.counted.borrow() && (self.inner.alone || self.inner.heard_mask(Instant::now()) != 0)
    }

    /// Whether it is connected to a node, whether that is heard or not: if not, nothing that is joined or attached can be
    /// confirmed for now. Always, when alone.
    pub fn is_connected(&self) -> bool {
        let choices = self.inner.choices.load();
        self.inner.alone || choices.nodes.iter().any(|node| node.health.can_probe())
    }

    /// Tells other servers to give this one nothing new: requests to "one of a service" go elsewhere if there is another.
    /// Resolves when they may have heard it, at once if there are no others. There is no way back; what follows is
    /// [`Driver::shutdown`](crate::Driver::shutdown), which does this, too, if it was not done before.
    pub async fn retire(&self) {
        self.inner.retire().await;
    }

    /// Resolves once this server counts: it hears every active node, or one after ten seconds, and knows the others.
    pub async fn ready(&self) {
        // The sender lives as long as this handle.
        let _ = self.inner.counted.subscribe().wait_for(|counted| *counted).await;
    }

    /// The live servers, this one included, sorted by name. Tells when one comes, goes or hears other nodes; ages and
    /// loads in it are refreshed silently with every beacon.
    pub fn roster(&self) -> watch::Receiver<Arc<Vec<ServerInfo>>> {
        self.inner.roster_view.subscribe()
    }

    /// The live servers, this one included, sorted by name, as of now.
    pub fn servers(&self) -> Vec<ServerInfo> {
        self.inner.servers(Instant::now())
    }

    /// The nodes' statuses, sorted as they were given. Tells when one changes, but not for a round trip alone.
    pub fn nodes(&self) -> watch::Receiver<Arc<Vec<NodeStatus>>> {
        self.inner.nodes_view.subscribe()
    }
}

impl Inner {
    /// The channels that a server always wants.
    fn hold_base(&self) {
        let name = &self.options.name;
        let mut topics = vec![Topic::Server(name.clone()), Topic::Servers];
        if self.options.shards > 0 {
            topics.push(Topic::Clients);
        }
        topics.extend(self.options.preset_rooms.iter().cloned().map(Topic::Room));
        for topic in &topics {
            self.interest.hold_always(&self.channels.channel(topic));
        }
        self.interest.hold_always(&self.channels.own(name));
        self.interest.hold_always(&self.channels.all_own());
        self.interest.hold_always(&self.beacon_channel);
        self.interest.hold_always(&self.probe_channel);
    }
}
