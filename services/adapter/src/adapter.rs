//! STUB while the adapter is being written: signatures are the contract, bodies come.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::*;
use crate::local::*;
use crate::nodes::NodeStatus;
use crate::options::Options;
use crate::wire::*;

/// What [`Adapter::start`] gives.
pub struct Started {
    /// The cheap, clone-able handle.
    pub adapter: Adapter,
    /// Owns every task.
    pub driver: Driver,
    /// One per shard asked for, in order; each is moved to the thread that owns it.
    pub shards: Vec<ShardInbox>,
}

/// Owns every task of the adapter.
pub struct Driver;
impl Driver {
    /// Resolves when the server cannot go on (another server has its name). Cancel-safe.
    pub async fn failed(&mut self) -> DriverError { unimplemented!() }
    /// Says goodbye on the bus, ends every task and waits for them. Bounded: at most a few seconds.
    pub async fn shutdown(self) { unimplemented!() }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One server. The sender itself is served locally.
    Server(ServerName),
    /// Several servers.
    Servers(Vec<ServerName>),
    /// Every live server of a service.
    Service(ServiceName),
    /// One server of a service.
    AnyOf(ServiceName, Pick),
    /// Every live server, the sender included.
    Everyone,
    /// Every live server but the sender.
    Others,
}

/// How one server of a service is picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one with the least load (clients) in its last beacon; equals in turn.
    LeastBusy,
    /// By rendezvous hash of a key: the same key, the same server, while the roster stays.
    Key(String),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// It is connected here, the frame is in its outbox.
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

/// An event that arrived from another server (or this one).
#[derive(Debug)]
pub struct ServerEvent {
    /// Its name.
    pub event: Arc<str>,
    /// Who sent it.
    pub sender: ServerName,
    /// What it carries.
    pub payload: Payload,
    /// CONSUMER span of its handling, child of the sender's; instrument the handling with it.
    pub span: tracing::Span,
}
impl ServerEvent {
    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool { unimplemented!() }
    /// Answers the sender. Does nothing for an event that is no request. The first answer counts. An event dropped
    /// without an answer tells the sender so at once.
    pub async fn reply(self, _payload: Payload) -> Result<(), PublishError> { unimplemented!() }
}

/// Handle of a listener, for [`Adapter::off`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u64);

/// A listener as a stream; dropping it ends it.
#[derive(Debug)]
pub struct Listener;
impl futures_util::Stream for Listener {
    type Item = ServerEvent;
    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<ServerEvent>> { unimplemented!() }
}

/// One server's reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Who replied.
    pub server: ServerName,
    /// What it said.
    pub payload: Payload,
}

/// Everything that came of a request to several servers.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Who answered what, in order of arrival.
    pub replies: Vec<Reply>,
    /// Who did not answer, and why.
    pub missing: Vec<(ServerName, Missing)>,
}
impl Outcome {
    /// Whether everyone answered.
    pub fn complete(&self) -> bool { self.missing.is_empty() }
}

/// What is special about one request.
#[derive(Debug, Clone, Default)]
pub struct RequestOptions {
    /// Longest wait; default [`Options::request_timeout`].
    pub timeout: Option<Duration>,
    /// End as soon as so many replied; default: everyone asked.
    pub expected: Option<usize>,
}

/// Replies as they come: a stream of `Ok(reply)` or `Err((server, why))`. Dropping it cancels the request.
#[derive(Debug)]
pub struct Replies;
impl futures_util::Stream for Replies {
    type Item = Result<Reply, (ServerName, Missing)>;
    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> { unimplemented!() }
}

/// One live server, as this server sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerInfo {
    /// Its name.
    pub name: ServerName,
    /// Its service.
    pub service: ServiceName,
    /// Which process.
    pub instance: Instance,
    /// Its version.
    pub version: String,
    /// Clients connected to it.
    pub clients: u64,
    /// Rooms with a member on it.
    pub rooms: u64,
    /// Nodes it hears.
    pub heard: Vec<NodeId>,
    /// Whether it is started far enough to count for choices.
    pub counted: bool,
    /// Milliseconds since its last beacon; 0 for this server.
    pub age_ms: u64,
}

/// An answer gathered from every live server.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered<T> {
    /// What each server said.
    pub servers: Vec<(ServerName, T)>,
    /// Who did not answer, and why (in words).
    pub missing: Vec<(ServerName, String)>,
    /// Whether everyone answered.
    pub complete: bool,
}

/// A server's part of a room.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RoomPart {
    /// Its local members.
    pub members: Vec<ClientId>,
}
/// A server's word on a client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ClientPart {
    /// Whether it is connected there.
    pub connected: bool,
    /// The rooms it joined there.
    pub rooms: Vec<Room>,
}
/// A server's totals.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatsPart {
    /// Connected clients.
    pub clients: u64,
    /// Rooms with local members.
    pub rooms: u64,
    /// What it knows of each node.
    pub nodes: Vec<NodeStatus>,
}

/// The handle: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Adapter;

impl Adapter {
    /// Starts the adapter's tasks on the current tokio runtime; connecting goes on in the background.
    pub fn start(_options: Options) -> Result<Started, StartError> { unimplemented!() }
    /// This server's name.
    pub fn name(&self) -> &ServerName { unimplemented!() }
    /// This server's service.
    pub fn service(&self) -> &ServiceName { unimplemented!() }
    /// This process's identity.
    pub fn instance(&self) -> Instance { unimplemented!() }
    /// Whether it hears a node and counts (always, when alone): readiness.
    pub fn is_ready(&self) -> bool { unimplemented!() }
    /// Resolves when [`Adapter::is_ready`].
    pub async fn ready(&self) { unimplemented!() }

    /// Registers a client on a shard; the shard's owner then inserts it with `attachment.connection()`.
    /// Cheap and local; `attachment.confirmed().await` resolves when the other servers can reach it.
    /// A former connection of the same id on this server is dismissed with code 4012.
    pub fn attach(&self, _client: ClientId, _shard: usize) -> Result<Attachment, ClientError> { unimplemented!() }
    /// A client of this server joins a room; resolves when confirmed on every node that this server hears.
    pub async fn join(&self, _client: &ClientId, _room: Room) -> Result<(), ClientError> { unimplemented!() }
    /// A client of this server leaves a room; `false` if it was not in it.
    pub async fn leave(&self, _client: &ClientId, _room: &Room) -> Result<bool, ClientError> { unimplemented!() }
    /// Everyone leaves the room, on every server.
    pub async fn remove_room(&self, _room: &Room) -> Result<(), PublishError> { unimplemented!() }
    /// Closes a client of this server; `false` if it is not here.
    pub async fn dismiss(&self, _client: &ClientId, _dismissal: Dismissal) -> bool { unimplemented!() }

    /// To one client, wherever it is.
    pub async fn to_client(&self, _client: &ClientId, _frame: Frame) -> Result<Presence, PublishError> { unimplemented!() }
    /// To several clients, wherever they are; who was proved offline is named.
    pub async fn to_clients(&self, _clients: &[ClientId], _frame: Frame) -> Result<Vec<ClientId>, PublishError> { unimplemented!() }
    /// To every client.
    pub async fn to_everyone(&self, _frame: Frame, _scope: Scope) -> Result<(), PublishError> { unimplemented!() }
    /// To the clients of a room.
    pub async fn to_room(&self, _room: &Room, _frame: Frame, _options: RoomOptions) -> Result<(), PublishError> { unimplemented!() }

    /// Listens as a stream.
    pub fn listen(&self, _event: &str) -> Listener { unimplemented!() }
    /// Listens with a handler; handlers of one event run one after the other per listener unless they spawn.
    pub fn on<F, Fut>(&self, _event: &str, _handler: F) -> ListenerId
    where F: Fn(ServerEvent) -> Fut + Send + Sync + 'static, Fut: Future<Output = ()> + Send + 'static { unimplemented!() }
    /// As [`Adapter::on`], under a tag for [`Adapter::off_tag`].
    pub fn on_tagged<F, Fut>(&self, _event: &str, _tag: &str, _handler: F) -> ListenerId
    where F: Fn(ServerEvent) -> Fut + Send + Sync + 'static, Fut: Future<Output = ()> + Send + 'static { unimplemented!() }
    /// Handles the next event only.
    pub fn once<F, Fut>(&self, _event: &str, _handler: F) -> ListenerId
    where F: Fn(ServerEvent) -> Fut + Send + Sync + 'static, Fut: Future<Output = ()> + Send + 'static { unimplemented!() }
    /// Ends a listener; `false` if there is none.
    pub fn off(&self, _listener: ListenerId) -> bool { unimplemented!() }
    /// Ends every listener of an event with this tag; says how many.
    pub fn off_tag(&self, _event: &str, _tag: &str) -> usize { unimplemented!() }

    /// Sends an event; nobody answers.
    pub async fn emit(&self, _target: Target, _event: &str, _payload: Payload) -> Result<(), PublishError> { unimplemented!() }
    /// Sends an event and gives the replies as they come.
    pub async fn request(&self, _target: Target, _event: &str, _payload: Payload, _options: RequestOptions) -> Result<Replies, PublishError> { unimplemented!() }
    /// Sends an event and waits for all replies.
    pub async fn ask(&self, _target: Target, _event: &str, _payload: Payload, _options: RequestOptions) -> Result<Outcome, PublishError> { unimplemented!() }
    /// Asks one server (the first that the target names) and waits for its reply.
    pub async fn call(&self, _target: Target, _event: &str, _payload: Payload, _options: RequestOptions) -> Result<Reply, RequestError> { unimplemented!() }

    /// The live servers, this one included, sorted by name. Changes when a server comes, goes or hears other nodes.
    pub fn roster(&self) -> watch::Receiver<Arc<Vec<ServerInfo>>> { unimplemented!() }
    /// The nodes' statuses, sorted by id.
    pub fn nodes(&self) -> watch::Receiver<Arc<Vec<NodeStatus>>> { unimplemented!() }

    /// How many clients are connected to this server.
    pub fn client_count(&self) -> usize { unimplemented!() }
    /// Whether a client is connected to this server.
    pub fn is_here(&self, _client: &ClientId) -> bool { unimplemented!() }
    /// This server's members of a room.
    pub fn room_members(&self, _room: &Room) -> Vec<ClientId> { unimplemented!() }
    /// This server's rooms of a namespace (all, if none is given) whose id starts with `id_prefix`, with member counts.
    pub fn rooms(&self, _namespace: Option<&Namespace>, _id_prefix: &str) -> Vec<(Room, usize)> { unimplemented!() }
    /// The rooms that a client of this server joined.
    pub fn joined_rooms(&self, _client: &ClientId) -> Vec<Room> { unimplemented!() }

    /// Who is in a room, on every server.
    pub async fn cluster_room(&self, _room: &Room) -> Gathered<RoomPart> { unimplemented!() }
    /// Where a client is.
    pub async fn cluster_client(&self, _client: &ClientId) -> Gathered<ClientPart> { unimplemented!() }
    /// Every server's totals and statuses of nodes.
    pub async fn cluster_stats(&self) -> Gathered<StatsPart> { unimplemented!() }
}

/// A client's registration on this server; dropping it takes the client out of all rooms and off the bus.
#[derive(Debug)]
pub struct Attachment;
impl Attachment {
    /// The client.
    pub fn client(&self) -> &ClientId { unimplemented!() }
    /// Its connection's id, for the shard.
    pub fn connection(&self) -> ConnectionId { unimplemented!() }
    /// Resolves when other servers can reach the client: confirmed on every node that this server hears.
    pub async fn confirmed(&self) { unimplemented!() }
}
