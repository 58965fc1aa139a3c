//! The handle: what a service holds to reach clients and servers. Cheap to clone, usable from any thread.
//!
//! Each verb goes the same way: local clients first, then an envelope through one healthy node. What is promised: a
//! message accepted from a live sender reaches, once, every live server that was subscribed and shares a working node
//! with the sender. Order: per topic and sender, while the topic's node stays the same. See `services/ARCHITECTURE.md`
//! for what is not promised.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::choices::Choices;
use crate::cluster::{Listeners, Requests, Roster};
use crate::custom::ChannelMessage;
use crate::driver::Driver;
use crate::error::{ClientError, PublishError, StartError};
use crate::event::ServerEvent;
use crate::local::{Command, Departed, Dismissal, Hub, ShardInbox};
use crate::metrics::Metrics;
use crate::nodes::{Channel, Endpoint, Interest, MAX_NODES, Node, NodeStatus, redis_endpoint};
use crate::options::{Bus, Options};
use crate::outbound::{Concerned, Extras};
use crate::views::ServerInfo;
use crate::wire::{Body, Channels, ClientId, Frame, Instance, Namespace, NodeId, Room, ServerName, ServiceName, Topic};

pub use crate::attachment::Attachment;

/// Commands that wait for one shard. When full, whoever delivers waits.
const SHARD_INBOX: usize = 16_384;
/// Longest wait for nodes to confirm a join; it holds locally and goes on in the background.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);

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

/// How far a message to clients goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Clients on every server.
    #[default]
    Cluster,
    /// Clients of this server only.
    Local,
}

/// What is known of a client after a message was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// It is connected here, the frame is on its way to its outbox.
    Here,
    /// Some server subscribes to it: a hint, not a proof.
    Elsewhere,
    /// No server has it.
    Offline,
}

/// What is special about one message to a room.
#[derive(Debug, Clone, Default)]
pub struct RoomOptions {
    /// Clients that do not get it.
    pub except: Vec<ClientId>,
    /// How far it goes.
    pub scope: Scope,
}

/// The handle: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(crate) inner: Arc<Inner>,
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
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) node_indexes: HashMap<NodeId, usize>,
    pub(crate) requests: Arc<Requests>,
    pub(crate) listeners: Listeners<ServerEvent>,
    pub(crate) custom: Listeners<ChannelMessage>,
    roster: Mutex<Roster>,
    namesakes: Mutex<Namesakes>,
    pub(crate) choices: ArcSwap<Choices>,
    pub(crate) roster_view: watch::Sender<Arc<Vec<ServerInfo>>>,
    pub(crate) nodes_view: watch::Sender<Arc<Vec<NodeStatus>>>,
    pub(crate) counted: watch::Sender<bool>,
    pub(crate) sequence: AtomicU64,
    pub(crate) beacons: AtomicU64,
    pub(crate) turn: AtomicU64,
    pub(crate) changed: Arc<Notify>,
    pub(crate) metrics: Metrics,
    /// Handlers of listeners, and answers on their way.
    pub(crate) tasks: TaskTracker,
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

    /// Waits, not for ever, until every node that this server hears has confirmed a channel.
    pub(crate) async fn confirmed(&self, channel: &Channel) -> Result<(), ClientError> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        match self.interest.confirmed(channel) {
            None => Ok(()),
            Some(waiting) => match timeout(CONFIRM_LIMIT, waiting).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(ClientError::Unconfirmed),
            },
        }
    }

    /// The channel of a topic is no longer wanted by one of its holders.
    pub(crate) fn release(&self, topic: &Topic) {
        self.interest.release(&self.channels.channel(topic), Instant::now());
    }

    /// A client is gone from the hub: its rooms are no longer wanted by it.
    pub(crate) fn depart(&self, departed: &Departed) {
        for room in &departed.rooms {
            self.release(&Topic::Room(room.clone()));
        }
    }

    pub(crate) async fn leave(&self, client: &ClientId, room: &Room) -> Option<bool> {
        let (place, was) = self.hub.leave(client, room)?;
        if was {
            self.hub
                .command(place.shard, Command::Leave(place.connection, room.clone()))
                .await;
            self.release(&Topic::Room(room.clone()));
        }
        Some(was)
    }
}

/// Nodes by their ids.
type Endpoints = Vec<(NodeId, Arc<dyn Endpoint>)>;

/// The nodes of a bus.
fn endpoints(options: &Options) -> Result<Endpoints, StartError> {
    let endpoints = match &options.bus {
        Bus::Alone => return Ok(Vec::new()),
        Bus::Memory(bus) => bus.endpoints(),
        Bus::Redis(urls) => {
            let connect = |url: &crate::nodes::NodeUrl| {
                redis_endpoint(url, options.name.as_str(), options.command_timeout)
                    .map(|endpoint| (url.id().clone(), endpoint))
                    .map_err(|error| StartError::Node {
                        node: url.id().to_string(),
                        problem: error.to_string(),
                    })
            };
            urls.iter().map(connect).collect::<Result<_, _>>()?
        }
    };
    if endpoints.is_empty() {
        return Err(StartError::NoNodes);
    }
    if endpoints.len() > MAX_NODES {
        return Err(StartError::TooManyNodes(endpoints.len()));
    }
    let mut seen = HashSet::new();
    match endpoints.iter().find(|(id, _)| !seen.insert(id.clone())) {
        Some((twice, _)) => Err(StartError::DuplicateNode(twice.to_string())),
        None => Ok(endpoints),
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
    /// driver.shutdown().await;
    /// # });
    /// ```
    ///
    /// # Errors
    /// When the options contradict themselves, or a file that they name cannot be used.
    pub fn start(options: Options) -> Result<Started, StartError> {
        let instance = Instance::now();
        let mut nodes = Vec::new();
        for (index, (id, endpoint)) in endpoints(&options)?.into_iter().enumerate() {
            nodes.push(Arc::new(Node::new(id, index, endpoint, options.probe_interval)));
        }
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..options.shards).map(|_| mpsc::channel(SHARD_INBOX)).unzip();
        let channels = Channels::new(&options.prefix);
        let inner = Arc::new(Inner {
            instance,
            beacon_channel: channels.beacon(),
            probe_channel: channels.probe(instance),
            hub: Hub::new(senders),
            interest: Arc::new(Interest::new(nodes.len(), options.unsubscribe_delay)),
            node_indexes: nodes.iter().map(|node| (node.id.clone(), node.index)).collect(),
            requests: Arc::new(Requests::new(instance)),
            listeners: Listeners::new(),
            custom: Listeners::new(),
            roster: Mutex::new(Roster::new(options.name.clone(), instance)),
            namesakes: Mutex::default(),
            choices: ArcSwap::from_pointee(Choices::alone()),
            roster_view: watch::Sender::default(),
            nodes_view: watch::Sender::default(),
            counted: watch::Sender::new(nodes.is_empty()),
            sequence: AtomicU64::new(1),
            beacons: AtomicU64::new(1),
            turn: AtomicU64::new(0),
            changed: Arc::new(Notify::new()),
            metrics: Metrics::new(&options.registry)?,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            runtime: Handle::current(),
            channels,
            nodes,
            options,
        });
        inner.hold_base();
        inner.refresh(Instant::now());
        let limits = inner.options.outbox;
        let shards = receivers.into_iter().enumerate();
        let shards = shards
            .map(|(index, commands)| ShardInbox {
                index,
                commands,
                limits,
            })
            .collect();
        let driver = Driver::start(inner.clone(), watch::Sender::default());
        Ok(Started {
            adapter: Adapter { inner },
            driver,
            shards,
        })
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
        *self.inner.counted.borrow() && (self.inner.nodes.is_empty() || self.inner.heard_mask(Instant::now()) != 0)
    }

    /// Resolves once this server counts: it hears every node, or one after ten seconds, and knows the others.
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

    // -------------------------------------------------------------------------------------------- clients and rooms

    /// Registers a client on a shard; the shard's owner then inserts it with [`Attachment::connection`]. Cheap and
    /// local; [`Attachment::confirmed`] resolves when other servers can reach it. A former connection of the same id on
    /// this server is dismissed with code 4012 and leaves its rooms.
    ///
    /// # Errors
    /// When there is no such shard.
    pub fn attach(&self, client: ClientId, shard: usize) -> Result<Attachment, ClientError> {
        Attachment::new(&self.inner, client, shard)
    }

    /// A client of this server joins a room. Resolves when confirmed on every node that this server hears: no message
    /// sent after that is missed. Joining twice is joining once.
    ///
    /// # Errors
    /// When the client is not connected here; or when no node has confirmed it within 5 s, see
    /// [`ClientError::Unconfirmed`].
    pub async fn join(&self, client: &ClientId, room: Room) -> Result<(), ClientError> {
        let inner = &self.inner;
        let channel = inner.channels.channel(&Topic::Room(room.clone()));
        let (place, new) = inner
            .hub
            .join(client, &room)
            .ok_or_else(|| ClientError::NotHere(client.clone()))?;
        if new {
            inner.interest.hold(&channel);
            inner
                .hub
                .command(place.shard, Command::Join(place.connection, room))
                .await;
        }
        inner.confirmed(&channel).await
    }

    /// A client of this server leaves a room; `false` if it was not in it.
    ///
    /// # Errors
    /// When the client is not connected here.
    pub async fn leave(&self, client: &ClientId, room: &Room) -> Result<bool, ClientError> {
        self.inner
            .leave(client, room)
            .await
            .ok_or_else(|| ClientError::NotHere(client.clone()))
    }

    /// Everyone leaves the room, on every server.
    ///
    /// # Errors
    /// When no node took the message; local clients have left all the same.
    pub async fn remove_room(&self, room: &Room) -> Result<(), PublishError> {
        self.inner.remove_room_here(room).await;
        let body = Body::RoomRemove { room: room.clone() };
        self.to_topic(Topic::Room(room.clone()), body).await.map(drop)
    }

    /// Closes a client of this server; `false` if it is not here.
    pub async fn dismiss(&self, client: &ClientId, dismissal: Dismissal) -> bool {
        match self.inner.hub.place(client) {
            Some(place) => {
                self.inner
                    .hub
                    .command(place.shard, Command::Dismiss(place.connection, dismissal))
                    .await
            }
            None => false,
        }
    }

    /// To one client, wherever it is.
    ///
    /// # Errors
    /// When it is not here and no node took the message.
    pub async fn to_client(&self, client: &ClientId, frame: Frame) -> Result<Presence, PublishError> {
        if self.inner.hub.to_client(client, frame.clone()).await {
            return Ok(Presence::Here);
        }
        let body = Body::Client {
            client: client.clone(),
            frame,
        };
        let receivers = self.to_topic(Topic::Client(client.clone()), body).await?;
        Ok(if receivers == 0 {
            Presence::Offline
        } else {
            Presence::Elsewhere
        })
    }

    /// To several clients, wherever they are. Names those that were proved offline.
    ///
    /// # Errors
    /// When for at least one of them no node took the message; the others got it.
    pub async fn to_clients(&self, clients: &[ClientId], frame: Frame) -> Result<Vec<ClientId>, PublishError> {
        let sending = clients.iter().map(|client| self.to_client(client, frame.clone()));
        let mut offline = Vec::new();
        let mut refused = None;
        for (client, result) in clients.iter().zip(futures_util::future::join_all(sending).await) {
            match result {
                Ok(Presence::Offline) => offline.push(client.clone()),
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(offline), Err)
    }

    /// To every client.
    ///
    /// # Errors
    /// When no node took the message; local clients got it.
    pub async fn to_everyone(&self, frame: Frame, scope: Scope) -> Result<(), PublishError> {
        self.inner.hub.to_everyone(frame.clone()).await;
        match scope {
            Scope::Local => Ok(()),
            Scope::Cluster => self.to_topic(Topic::Clients, Body::Everyone { frame }).await.map(drop),
        }
    }

    /// To the clients of a room.
    ///
    /// # Errors
    /// When no node took the message; local members got it.
    pub async fn to_room(&self, room: &Room, frame: Frame, options: RoomOptions) -> Result<(), PublishError> {
        let RoomOptions { except, scope } = options;
        self.inner
            .hub
            .to_room(room, frame.clone(), except.as_slice().into())
            .await;
        match scope {
            Scope::Local => Ok(()),
            Scope::Cluster => {
                let body = Body::Room {
                    room: room.clone(),
                    except,
                    frame,
                };
                self.to_topic(Topic::Room(room.clone()), body).await.map(drop)
            }
        }
    }

    async fn to_topic(&self, topic: Topic, body: Body) -> Result<u64, PublishError> {
        self.inner
            .publish(&topic, Concerned::Everyone, body, Extras::default())
            .await
    }

    /// How many clients are connected to this server.
    pub fn client_count(&self) -> usize {
        self.inner.hub.client_count()
    }

    /// How many rooms have a member on this server.
    pub fn room_count(&self) -> usize {
        self.inner.hub.room_count()
    }

    /// Whether a client is connected to this server.
    pub fn is_here(&self, client: &ClientId) -> bool {
        self.inner.hub.place(client).is_some()
    }

    /// This server's members of a room.
    pub fn room_members(&self, room: &Room) -> Vec<ClientId> {
        self.inner.hub.members(room)
    }

    /// This server's rooms of a namespace (all, if none is given) whose id starts with `id_prefix`, with member counts.
    pub fn rooms(&self, namespace: Option<&Namespace>, id_prefix: &str) -> Vec<(Room, usize)> {
        self.inner.hub.rooms(namespace, id_prefix)
    }

    /// The rooms that a client of this server joined.
    pub fn joined_rooms(&self, client: &ClientId) -> Vec<Room> {
        self.inner.hub.joined_rooms(client)
    }
}

impl Inner {
    /// The channels that a server always wants.
    fn hold_base(&self) {
        let mut topics = vec![Topic::Server(self.options.name.clone()), Topic::Servers];
        if self.options.shards > 0 {
            topics.push(Topic::Clients);
        }
        for topic in &topics {
            self.interest.hold(&self.channels.channel(topic));
        }
        self.interest.hold(&self.beacon_channel);
        self.interest.hold(&self.probe_channel);
    }
}
