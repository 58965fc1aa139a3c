//! Servers inside one test, with clients that only record what their outboxes bring.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientId, Closing, Command, ConnectionId, Driver, Frame, Introduction, Options, Room,
    ServerName, ServiceName, Shard, ShardInbox, Started,
};

pub(crate) mod ground;
pub(crate) mod load;
pub(crate) mod raw;
pub(crate) mod recorder;
pub(crate) use wsmesh_test_support::{redis, soon, until};

/// The longest wait for the end of a server.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// How long to watch for something that must not happen.
pub(crate) const NEVER: Duration = Duration::from_millis(300);

pub(crate) fn client(id: &str) -> ClientId {
    ClientId::new(id).expect("a valid id")
}

pub(crate) fn room(id: &str) -> Room {
    Room::new("chat", id).expect("a valid room")
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::new(name).expect("a valid name")
}

pub(crate) fn service(name: &str) -> ServiceName {
    ServiceName::new(name).expect("a valid name")
}

/// One server. A task does the work of a ws-node's shard thread.
pub(crate) struct Server {
    pub(crate) adapter: Adapter,
    pub(crate) driver: Driver,
    pub(crate) registry: prometheus::Registry,
    shard: Option<JoinHandle<()>>,
    attach: mpsc::UnboundedSender<Attached>,
}

/// An event that a client saw.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Frame(String),
    Closed(Closing),
}

/// One client of a server.
pub(crate) struct Client {
    pub(crate) attachment: Attachment,
    seen: mpsc::UnboundedReceiver<Seen>,
}

impl Client {
    pub(crate) async fn next(&mut self) -> Seen {
        soon("a frame for the client", self.seen.recv())
            .await
            .expect("its shard runs")
    }

    pub(crate) async fn frame(&mut self) -> String {
        match self.next().await {
            Seen::Frame(text) => text,
            Seen::Closed(why) => panic!("closed: {why:?}"),
        }
    }

    /// Asserts that nothing arrives for a while.
    pub(crate) async fn nothing(&mut self) {
        if let Ok(seen) = timeout(NEVER, self.seen.recv()).await {
            panic!("unexpected: {seen:?}");
        }
    }
}

pub(crate) fn options(name: &str, service_name: &str, bus: Bus) -> Options {
    let mut options = Options::new(server(name), service(service_name));
    options.bus = bus;
    options.shards = 1;
    options.probe_interval = Duration::from_millis(200);
    options
}

impl Server {
    pub(crate) fn start(options: Options) -> Self {
        let registry = options.registry.clone();
        let Started {
            adapter,
            driver,
            mut shards,
        } = Adapter::start(options).expect("valid options");
        let (attach, attached) = mpsc::unbounded_channel();
        let shard = shards.pop().map(|inbox| tokio::spawn(run_shard(inbox, attached)));
        Self {
            adapter,
            driver,
            registry,
            shard,
            attach,
        }
    }

    pub(crate) async fn ready(options: Options) -> Self {
        let server = Self::start(options);
        soon("the server is ready", server.adapter.ready()).await;
        server
    }

    pub(crate) async fn client(&self, id: &str) -> Client {
        self.client_with(id, Introduction::default()).await
    }

    pub(crate) async fn client_with(&self, id: &str, introduction: Introduction) -> Client {
        let attaching = self.adapter.attach_with(client(id), 0, introduction);
        let attachment = attaching.expect("one shard");
        let (sender, seen) = mpsc::unbounded_channel();
        self.attach
            .send((attachment.connection(), client(id), attachment.rooms(), sender))
            .expect("its shard runs");
        attachment.confirmed().await.expect("confirmed");
        Client { attachment, seen }
    }

    pub(crate) async fn stop(self) {
        self.driver.shutdown(SOON).await;
        drop(self.adapter);
        if let Some(shard) = self.shard {
            shard.abort();
        }
    }
}

/// A connection, its client, the client's rooms, and where the connection's events go.
type Attached = (ConnectionId, ClientId, Vec<Room>, mpsc::UnboundedSender<Seen>);

async fn run_shard(mut inbox: ShardInbox, mut attached: mpsc::UnboundedReceiver<Attached>) {
    let mut shard: Shard<mpsc::UnboundedSender<Seen>> = inbox.shard();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some((connection, client, rooms, sender)) = attached.recv() => {
                shard.insert(connection, client, sender);
                rooms.into_iter().for_each(|room| shard.apply(Command::Join(connection, room)));
            }
            count = inbox.recv(&mut batch) => {
                if count == 0 {
                    return;
                }
                batch.drain(..).for_each(|command| shard.apply(command));
            }
        }
        shard.drain_dirty(|_, sender, outbox| {
            while let Some(frame) = outbox.pop() {
                let _ = sender.send(Seen::Frame(frame.as_str().to_owned()));
            }
        });
        for (connection, why) in shard.take_closing() {
            if let Some(sender) = shard.remove(connection) {
                let _ = sender.send(Seen::Closed(why));
            }
        }
    }
}

/// Two servers that know each other.
pub(crate) async fn pair(bus: &Bus) -> (Server, Server) {
    pair_with(bus, |_| {}).await
}

/// Two servers that know each other, with changed options.
pub(crate) async fn pair_with(bus: &Bus, change: impl Fn(&mut Options)) -> (Server, Server) {
    let start = async |name| {
        let mut options = options(name, "ws-node", bus.clone());
        change(&mut options);
        Server::ready(options).await
    };
    let (one, two) = (start("one").await, start("two").await);
    acquainted(&[&one, &two]).await;
    (one, two)
}

/// Waits until all these servers know and count each other.
pub(crate) async fn acquainted(servers: &[&Server]) {
    for server in servers {
        until("the servers know each other", || {
            server.adapter.servers().len() >= servers.len()
        })
        .await;
        let counted = || {
            server
                .adapter
                .servers()
                .iter()
                .all(|other| other.counted && !other.heard.is_empty())
        };
        until("the servers count each other", counted).await;
    }
}

/// Sends a hundred frames to `bob`, each of which must arrive.
pub(crate) async fn bob_is_reached(from: &Server, bob: &mut Client) {
    for n in 0..100 {
        from.adapter
            .to_client(&client("bob"), frame(&n.to_string()))
            .await
            .expect("a node accepts it");
        assert_eq!(bob.frame().await, n.to_string());
    }
}

pub(crate) fn frame(text: &str) -> Frame {
    Frame::new(text)
}

/// The value of a server's counter with these labels, in the order of their names.
pub(crate) fn counted(server: &Server, name: &str, labels: &[&str]) -> u64 {
    let families = server.registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.into_iter().flat_map(|family| family.get_metric());
    let found = metrics.filter(|metric| {
        metric
            .get_label()
            .iter()
            .map(|label| label.value())
            .eq(labels.iter().copied())
    });
    found.map(|metric| metric.get_counter().get_value() as u64).sum()
}

/// Values by server name.
pub(crate) fn by_server<T>(pairs: Vec<(ServerName, T)>) -> HashMap<String, T> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_string(), value))
        .collect()
}
