//! A small cluster on the embedded bus: one admin, and edges with clients. A client is a queue of frames.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientError, ClientId, Closing, Dismissal, Driver, Frame, MemoryBus, Options, Payload,
    Refusal, Room, ServerName, ServiceName, Shard, Started,
};
use wsmesh_protocol::forward::{CLIENT_JOIN, CLIENT_LEAVE, KICK};

use super::super::*;
pub(super) use super::requests::{Answer, batch, delete, get, post, put, send, stream};
use crate::access::Token;
use crate::statistics::Outside;

/// Longest wait for anything in these tests.
pub(super) const LIMIT: Duration = Duration::from_secs(15);
/// Short, so that draining a node ends soon.
const WINDOW: Duration = Duration::from_millis(600);
/// How long a change of the nodes may take in these tests.
pub(super) const JOB_LIMIT: Duration = Duration::from_secs(5);
/// The same, where a server must be forgotten first, which takes half of it.
pub(super) const PATIENT_JOB_LIMIT: Duration = Duration::from_secs(12);
pub(super) const TOKEN: &str = "a-token-of-the-tests";

type Sockets = Shard<mpsc::UnboundedSender<Frame>>;

pub(super) struct Cluster {
    pub(super) bus: MemoryBus,
    pub(super) admin: Adapter,
    pub(super) jobs: Jobs,
    /// Set by tests with a StatefulSet.
    pub(super) scaler: Option<Scaler>,
    pub(super) statistics: Statistics,
    watching: Watching,
    /// Ends all watches.
    pub(super) closing: CancellationToken,
    audit: Audit,
    /// Dropping a driver ends a server without a goodbye, as a crash does.
    driver: Driver,
    pub(super) registry: Registry,
}

pub(super) struct Edge {
    pub(super) adapter: Adapter,
    driver: Driver,
    sockets: Arc<Mutex<Sockets>>,
}

pub(super) struct Client {
    pub(super) frames: mpsc::UnboundedReceiver<Frame>,
    pub(super) attachment: Attachment,
}

fn start(name: &str, service: &str, bus: &MemoryBus, shards: usize, set: impl FnOnce(&mut Options)) -> Started {
    let name = ServerName::new(name).expect("a name");
    let mut options = Options::new(name, ServiceName::new(service).expect("a name"));
    options.bus = Bus::Memory(bus.clone());
    options.shards = shards;
    options.replay_window = WINDOW;
    options.request_timeout = Duration::from_millis(500);
    set(&mut options);
    Adapter::start(options).expect("starts")
}

/// The routes of an admin without a token on this bus. Waits for nothing.
pub(super) fn alone(bus: Bus) -> (Router, Driver) {
    let name = ServerName::new("admin-1").expect("a name");
    let mut options = Options::new(name, ServiceName::new("admin").expect("a name"));
    options.bus = bus;
    let started = Adapter::start(options).expect("starts");
    let watching = Watching::new(started.adapter.clone(), &Registry::new(), CancellationToken::new());
    let api = Api {
        watching: watching.expect("registers"),
        seats: Seats::of_connections(1024).shared(),
        jobs: Jobs::new(started.adapter.clone(), JOB_LIMIT, WINDOW),
        scaler: None,
        statistics: sampled(&started.adapter),
        access: Access::open(),
        audit: Audit::new(started.adapter.name().clone()),
        adapter: started.adapter,
        keys: Keys::default(),
        time_limit: LIMIT,
    };
    let metrics = HttpMetrics::new(&Registry::new()).expect("registers");
    (router(api, metrics, None), started.driver)
}

/// Statistics that are sampled until the test ends.
fn sampled(adapter: &Adapter) -> Statistics {
    let statistics = Statistics::new(adapter.clone(), Outside::default(), CancellationToken::new());
    tokio::spawn(statistics.clone().run(CancellationToken::new()));
    statistics
}

impl Cluster {
    /// An admin alone on a bus of two nodes.
    pub(super) async fn new() -> Self {
        Self::of("admin-1", MemoryBus::new(["redis-1", "redis-2"]).expect("good ids")).await
    }

    /// As [`Cluster::new`], with more time for changes of the nodes.
    pub(super) async fn new_patient() -> Self {
        Self::patient("admin-1", MemoryBus::new(["redis-1", "redis-2"]).expect("good ids")).await
    }

    /// As [`Cluster::new`], with another replay window.
    pub(super) async fn with_window(window: Duration) -> Self {
        let bus = MemoryBus::new(["redis-1", "redis-2"]).expect("good ids");
        Self::with("admin-1", bus, JOB_LIMIT, |options| options.replay_window = window).await
    }

    /// An admin of this name on a bus that others may use, too.
    pub(super) async fn of(name: &str, bus: MemoryBus) -> Self {
        Self::with(name, bus, JOB_LIMIT, |_| ()).await
    }

    /// As [`Cluster::of`], with more time for changes of the nodes.
    pub(super) async fn patient(name: &str, bus: MemoryBus) -> Self {
        Self::with(name, bus, PATIENT_JOB_LIMIT, |_| ()).await
    }

    async fn with(name: &str, bus: MemoryBus, limit: Duration, set: impl FnOnce(&mut Options)) -> Self {
        let started = start(name, "admin", &bus, 0, set);
        timeout(started.adapter.ready()).await;
        let jobs = Jobs::new(started.adapter.clone(), limit, WINDOW);
        tokio::spawn(jobs.clone().run(CancellationToken::new()));
        let audit = Audit::new(started.adapter.name().clone());
        audit.answer(&started.adapter);
        let closing = CancellationToken::new();
        let watching = Watching::new(started.adapter.clone(), &Registry::new(), closing.clone()).expect("registers");
        tokio::spawn(watching.clone().run());
        Self {
            bus,
            jobs,
            scaler: None,
            statistics: sampled(&started.adapter),
            watching,
            closing,
            audit,
            admin: started.adapter,
            driver: started.driver,
            registry: Registry::new(),
        }
    }

    /// Another admin, of a version that tells nobody about its jobs.
    pub(super) async fn older_admin(&self, name: &str) -> Started {
        let started = start(name, "admin", &self.bus, 0, |_| ());
        timeout(started.adapter.ready()).await;
        let mut roster = self.admin.roster();
        let known = roster.wait_for(|servers| servers.iter().any(|server| server.name.as_str() == name));
        timeout(known).await.expect("admin lives");
        started
    }

    /// Waits until admin counts another server.
    pub(super) async fn knows(&self, name: &str) {
        let mut roster = self.admin.roster();
        let known = roster.wait_for(|servers| {
            servers
                .iter()
                .any(|server| server.name.as_str() == name && server.counted)
        });
        timeout(known).await.expect("admin lives");
    }

    /// Ends the admin without a goodbye.
    pub(super) fn crash(self) {
        drop(self.driver);
    }

    /// Adds an edge and waits until admin knows that it is ready.
    pub(super) async fn edge(&self, name: &str) -> Edge {
        self.edge_with(name, |_| ()).await
    }

    /// As [`Cluster::edge`], with other options.
    pub(super) async fn edge_with(&self, name: &str, set: impl FnOnce(&mut Options)) -> Edge {
        let mut started = start(name, "ws-node", &self.bus, 1, set);
        let mut inbox = started.shards.remove(0);
        let sockets = Arc::new(Mutex::new(inbox.shard()));
        let owned = Arc::clone(&sockets);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while inbox.recv(&mut batch).await > 0 {
                let mut shard: parking_lot::MutexGuard<'_, Sockets> = owned.lock();
                batch.drain(..).for_each(|command| shard.apply(command));
                shard.drain_dirty(|_, socket, outbox| {
                    while let Some(frame) = outbox.pop() {
                        // The test may have dropped the client.
                        let _ = socket.send(frame);
                    }
                });
                for (connection, why) in shard.take_closing() {
                    let socket = shard.remove(connection);
                    if let (Some(socket), Closing::Dismissed(Dismissal { code, reason })) = (socket, why) {
                        let _ = socket.send(Frame::new(format!("closed {code} {reason}")));
                    }
                }
            }
        });
        timeout(started.adapter.ready()).await;
        self.knows(name).await;
        Edge {
            adapter: started.adapter,
            driver: started.driver,
            sockets,
        }
    }

    /// What the handlers use, with keys of its own.
    pub(super) fn api(&self, token: Option<&str>) -> Api {
        let seats = Seats::of_connections(1024);
        let seats = if token.is_none() { seats.shared() } else { seats };
        let token = token.map(|text| Token::new(text).expect("a token"));
        Api {
            adapter: self.admin.clone(),
            jobs: self.jobs.clone(),
            scaler: self.scaler.clone(),
            access: token.map_or_else(Access::open, Access::of_token),
            audit: self.audit.clone(),
            keys: Keys::default(),
            time_limit: LIMIT,
            statistics: self.statistics.clone(),
            watching: self.watching.clone(),
            seats,
        }
    }

    /// The routes, open to everyone.
    pub(super) fn open(&self) -> Router {
        self.behind(None)
    }

    /// As [`Cluster::open`], behind a path prefix.
    pub(super) fn behind(&self, prefix: Option<&str>) -> Router {
        let metrics = HttpMetrics::new(&Registry::new()).expect("registers");
        router(self.api(None), metrics, prefix)
    }

    /// The routes, guarded by [`TOKEN`], counting in `registry`.
    pub(super) fn guarded(&self) -> Router {
        router(
            self.api(Some(TOKEN)),
            HttpMetrics::new(&self.registry).expect("registers"),
            None,
        )
    }
}

impl Edge {
    /// Connects a client that others can reach.
    pub(super) async fn client(&self, id: &str) -> Client {
        let id = ClientId::new(id).expect("an id");
        let attachment = self.adapter.attach(id.clone(), 0).expect("attaches");
        let (sender, frames) = mpsc::unbounded_channel();
        self.sockets.lock().insert(attachment.connection(), id, sender);
        timeout(attachment.confirmed()).await.expect("confirmed");
        Client { frames, attachment }
    }

    pub(super) async fn join(&self, id: &str, namespace: &str, room: &str) {
        let id = ClientId::new(id).expect("an id");
        timeout(self.adapter.join(&id, Room::new(namespace, room).expect("a room")))
            .await
            .expect("joins");
    }

    /// Answers orders about its clients as a ws-node does.
    pub(super) fn obeys_orders(&self) {
        for order in [KICK, CLIENT_JOIN, CLIENT_LEAVE] {
            let node = self.adapter.clone();
            self.adapter.on_request(order, move |event| {
                let node = node.clone();
                async move { obey(&node, order, &event.payload.parse().expect("JSON")).await }
            });
        }
    }

    /// Answers the request that a client got in this frame.
    pub(super) fn answer(&self, client: &Client, frame: &str, answer: &Value) {
        let frame: Value = serde_json::from_str(frame).expect("JSON");
        let request = frame["requestId"].as_str().expect("a request");
        let answer = Payload::new(answer).expect("JSON");
        let connection = client.attachment.connection();
        assert!(self.sockets.lock().answered(connection, request, answer));
    }

    /// A client that answers every request; its other frames are dropped.
    pub(super) async fn answering(&self, id: &str, answer: Value) -> JoinHandle<()> {
        let mut client = self.client(id).await;
        let sockets = self.sockets.clone();
        tokio::spawn(async move {
            while let Some(frame) = client.frames.recv().await {
                // The end of its connection is no JSON.
                let frame: Value = serde_json::from_str(frame.as_str()).unwrap_or_default();
                if let Some(request) = frame["requestId"].as_str() {
                    let answer = Payload::new(&answer).expect("JSON");
                    let connection = client.attachment.connection();
                    sockets.lock().answered(connection, request, answer);
                }
            }
        })
    }

    /// Ends the edge without a goodbye.
    pub(super) fn crash(self) {
        drop(self.driver);
    }
}

/// What a ws-node does on an order of another server.
async fn obey(node: &Adapter, order: &str, wanted: &Value) -> Result<Value, Refusal> {
    let text = |field: &str| wanted[field].as_str().expect("text").to_owned();
    let client = ClientId::new(text("client")).expect("an id");
    let room = || Room::new(text("namespace"), text("room")).expect("a room");
    let not_here = |error: ClientError| Refusal::new("NOT_FOUND", error.to_string());
    match order {
        KICK => {
            let code = u16::try_from(wanted["code"].as_u64().expect("a number")).expect("a close code");
            let reason = text("reason").into();
            let kicked = node
                .dismiss(&client, Dismissal { code, reason })
                .await
                .map_err(not_here)?;
            Ok(json!({"kicked": kicked}))
        }
        CLIENT_JOIN => node
            .join(&client, room())
            .await
            .map(|()| json!({"ok": true}))
            .map_err(not_here),
        _ => node
            .leave(&client, &room())
            .await
            .map(|_| json!({"ok": true}))
            .map_err(not_here),
    }
}

impl Client {
    /// The next frame; of the end of the connection, `closed CODE REASON`.
    pub(super) async fn frame(&mut self) -> String {
        timeout(self.frames.recv())
            .await
            .expect("connected")
            .as_str()
            .to_owned()
    }
}

pub(super) async fn timeout<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .expect("within the time limit of the tests")
}

/// Checks again and again until it holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let checking = async {
        let mut every = tokio::time::interval(Duration::from_millis(10));
        while !holds().await {
            every.tick().await;
        }
    };
    tokio::time::timeout(LIMIT, checking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within the time limit of the tests"));
}
