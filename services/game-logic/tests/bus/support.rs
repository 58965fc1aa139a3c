//! A cluster in one process: game-logic servers, and ws-nodes that do what this service needs.

use std::sync::Arc;
use std::time::Duration;

use game_logic::metrics::Metrics;
use game_logic::rules::collect::Collect;
use game_logic::rules::game::Game;
use game_logic::{GameLogic, Settings};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientId, Command, ConnectionId, Driver, Encoding, MemoryBus, Options, Payload, Pick,
    RequestOptions, Room, ServerEvent, ServerName, ServiceName, ShardInbox, Started, Target,
};
use wsmesh_protocol::forward::{CLIENT_CLOSED, CLIENT_JOIN, CLIENT_LEAVE, ClientClosed, ClientRoom};

/// Longest wait for anything in a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) use wsmesh_test_support::until;

/// The bus that all servers of a test use.
pub(crate) struct Cluster {
    bus: MemoryBus,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            bus: MemoryBus::new(["a", "b", "c"]).expect("valid ids"),
        }
    }

    fn start(&self, name: &str, service: &str, registry: &Registry) -> Started {
        let name = ServerName::new(name).expect("valid");
        let options = Options::new(name, ServiceName::new(service).expect("valid"));
        Adapter::start(Options {
            bus: Bus::Memory(self.bus.clone()),
            probe_interval: Duration::from_millis(100),
            shards: usize::from(service == "ws-node"),
            encoding: Encoding::Msgpack,
            registry: registry.clone(),
            ..options
        })
        .expect("the adapter starts")
    }

    pub(crate) async fn game_logic(&self, name: &str, settings: Settings) -> Server {
        self.game_logic_with::<Collect>(name, settings).await
    }

    pub(crate) async fn game_logic_with<G: Game>(&self, name: &str, settings: Settings) -> Server {
        let registry = Registry::new();
        let Started { adapter, driver, .. } = self.start(name, "game-logic", &registry);
        let metrics = Metrics::register(&registry).expect("metrics are registered");
        let game = GameLogic::start::<G>(adapter.clone(), settings, metrics);
        let stats = Box::new(game.stats());
        let stop = CancellationToken::new();
        let running = tokio::spawn(game.run(stop.clone(), Duration::from_secs(10)));
        timeout(PATIENCE, adapter.ready()).await.expect("game-logic is ready");
        Server {
            adapter,
            driver,
            stop,
            running,
            stats,
            registry,
        }
    }

    pub(crate) async fn ws_node(&self, name: &str) -> WsNode {
        let Started {
            adapter,
            driver,
            mut shards,
        } = self.start(name, "ws-node", &Registry::new());
        let (sockets, opened) = mpsc::unbounded_channel();
        let shard = tokio::spawn(run_shard(shards.remove(0), opened));
        let joining = adapter.clone();
        adapter.on(CLIENT_JOIN, move |event| in_room(joining.clone(), event, InRoom::Join));
        let leaving = adapter.clone();
        adapter.on(CLIENT_LEAVE, move |event| {
            in_room(leaving.clone(), event, InRoom::Leave)
        });
        timeout(PATIENCE, adapter.ready()).await.expect("the ws-node is ready");
        WsNode {
            adapter,
            driver,
            sockets,
            shard,
        }
    }
}

/// A game-logic server.
pub(crate) struct Server {
    pub(crate) adapter: Adapter,
    driver: Driver,
    stop: CancellationToken,
    running: JoinHandle<()>,
    pub(crate) stats: Box<dyn Fn() -> Value + Send + Sync>,
    pub(crate) registry: Registry,
}

impl Server {
    pub(crate) fn name(&self) -> &str {
        self.adapter.name().as_str()
    }

    /// Waits until this server sees `count` live servers that count.
    pub(crate) async fn sees(&self, count: usize) {
        until("everyone sees everyone", || {
            self.adapter
                .roster()
                .borrow()
                .iter()
                .filter(|server| server.counted)
                .count()
                == count
        })
        .await;
    }

    /// As on SIGTERM.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.running)
            .await
            .expect("it ends within its grace period")
            .expect("it does not panic");
        self.driver.shutdown(PATIENCE).await;
    }

    /// Ends at once and loses everything it knew.
    pub(crate) async fn vanish(self) {
        self.running.abort();
        self.driver.shutdown(PATIENCE).await;
    }
}

enum InRoom {
    Join,
    Leave,
}

async fn in_room(adapter: Adapter, event: ServerEvent, what: InRoom) {
    let ClientRoom {
        client,
        namespace,
        room,
    } = event.payload.parse().expect("a client and a room");
    let client = ClientId::new(client).expect("valid");
    let room = Room::new(namespace, room).expect("valid");
    let done = match what {
        InRoom::Join => adapter.join(&client, room).await,
        InRoom::Leave => adapter.leave(&client, &room).await.map(drop),
    };
    let answer = match done {
        Ok(()) => json!({"ok": true}),
        Err(error) => json!({"error": error.to_string(), "errorCode": "NOT_FOUND"}),
    };
    event
        .reply(Payload::new(&answer).expect("JSON"))
        .await
        .expect("the bus works");
}

enum Opened {
    Open(ConnectionId, ClientId, mpsc::UnboundedSender<Value>),
    Close(ConnectionId),
}

async fn run_shard(mut inbox: ShardInbox, mut opened: mpsc::UnboundedReceiver<Opened>) {
    let mut shard = inbox.shard::<mpsc::UnboundedSender<Value>>();
    let mut batch: Vec<Command> = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(opened) = opened.recv() => match opened {
                Opened::Open(connection, client, socket) => shard.insert(connection, client, socket),
                Opened::Close(connection) => drop(shard.remove(connection)),
            },
            count = inbox.recv(&mut batch) => {
                if count == 0 {
                    return;
                }
                batch.drain(..).for_each(|command| shard.apply(command));
                shard.drain_dirty(|_, socket, outbox| {
                    while let Some(frame) = outbox.pop() {
                        let _ = socket.send(serde_json::from_str(frame.as_str()).expect("frames are JSON"));
                    }
                });
            }
        }
    }
}

/// A ws-node without sockets.
pub(crate) struct WsNode {
    pub(crate) adapter: Adapter,
    driver: Driver,
    sockets: mpsc::UnboundedSender<Opened>,
    shard: JoinHandle<()>,
}

impl WsNode {
    pub(crate) async fn client(&self, id: &str) -> Client {
        let id = ClientId::new(id).expect("valid");
        let attachment = self.adapter.attach(id.clone(), 0).expect("there is a shard");
        let (socket, frames) = mpsc::unbounded_channel();
        self.sockets
            .send(Opened::Open(attachment.connection(), id.clone(), socket))
            .expect("the shard runs");
        timeout(PATIENCE, attachment.confirmed())
            .await
            .expect("the client can be reached in time")
            .expect("the server goes on");
        Client {
            id,
            adapter: self.adapter.clone(),
            sockets: self.sockets.clone(),
            frames,
            attachment: Arc::new(attachment),
        }
    }

    /// Ends with all its clients, without telling others about them.
    pub(crate) async fn vanish(self) {
        self.driver.shutdown(PATIENCE).await;
        self.shard.abort();
    }
}

/// A client: its ws-node forwards what it sends.
pub(crate) struct Client {
    id: ClientId,
    adapter: Adapter,
    sockets: mpsc::UnboundedSender<Opened>,
    frames: mpsc::UnboundedReceiver<Value>,
    attachment: Arc<Attachment>,
}

impl Client {
    fn any() -> Target {
        Target::AnyOf(ServiceName::new("game-logic").expect("valid"), Pick::LeastBusy)
    }

    fn forwarded(&self, event: &str, payload: &Value) -> Payload {
        let server = self.adapter.name().as_str();
        let forwarded = json!({"client": self.id.as_str(), "server": server, "event": event, "payload": payload});
        Payload::new(&forwarded).expect("JSON")
    }

    pub(crate) async fn request(&self, event: &str, payload: Value) -> Value {
        self.request_of(Self::any(), event, payload).await
    }

    /// As [`Client::request`], to one certain server.
    pub(crate) async fn request_of(&self, target: Target, event: &str, payload: Value) -> Value {
        let payload = self.forwarded(event, &payload);
        // A busy machine must not make the test fail.
        let options = RequestOptions {
            timeout: Some(PATIENCE),
            ..RequestOptions::default()
        };
        let reply = self.adapter.call(target, event, payload, options).await;
        reply.expect("an answer").payload.parse().expect("JSON")
    }

    pub(crate) async fn emit(&self, event: &str, payload: Value) {
        let payload = self.forwarded(event, &payload);
        self.adapter
            .emit(Self::any(), event, payload)
            .await
            .expect("the bus works");
    }

    /// The payload of the next push of this event; others before it are dropped.
    pub(crate) async fn push(&mut self, event: &str) -> Value {
        self.any_push(&[event]).await.1
    }

    /// The next push of one of these events: event and payload.
    pub(crate) async fn any_push(&mut self, events: &[&str]) -> (String, Value) {
        let waiting = async {
            loop {
                let frame = self.frames.recv().await.expect("connected");
                let event = frame["event"].as_str().unwrap_or_default();
                if events.contains(&event) {
                    return (event.to_owned(), frame["payload"].clone());
                }
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("{:?} never got {events:?}", self.id))
    }

    /// Asks for a match and is told that it waits.
    pub(crate) async fn wait_for_match(&self, payload: Value) -> Value {
        let place = self.request("matchRequest", payload).await;
        assert!(place["ticket"].is_string(), "{place}");
        place
    }

    /// Ends its connection; its ws-node tells game-logic.
    pub(crate) async fn close(self) {
        let Self {
            id,
            adapter,
            sockets,
            attachment,
            ..
        } = self;
        sockets
            .send(Opened::Close(attachment.connection()))
            .expect("the shard runs");
        drop(attachment);
        let closed = ClientClosed {
            client: id.to_string(),
            server: adapter.name().to_string(),
        };
        let service = Target::Service(ServiceName::new("game-logic").expect("valid"));
        adapter
            .emit(service, CLIENT_CLOSED, Payload::new(&closed).expect("JSON"))
            .await
            .expect("the bus works");
    }
}
