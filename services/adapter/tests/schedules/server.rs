//! The servers of a schedule: real adapters on the embedded bus, and an independent record of what each received.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wsmesh_adapter::{
    Adapter, Attachment, Bus, ClientId, Driver, MemoryBus, Options, Payload, Room, ServerName, ServiceName, Shard,
    ShardInbox, Started,
};

use crate::faults::Plan;

/// One process: a server's name and the number of its life.
pub(crate) type Life = (String, u32);

/// A received message: its number, the receiver's life, and the time in seconds since the start.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) message: usize,
    pub(crate) life: Life,
    pub(crate) at: f64,
}

/// A room that a life joined: when the join was called and resolved, and when it ended.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) life: Life,
    pub(crate) room: usize,
    pub(crate) called: f64,
    pub(crate) from: Option<f64>,
    pub(crate) until: f64,
}

/// The record of everything that happened.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) received: Vec<Received>,
    pub(crate) joins: Vec<Joined>,
    /// When each life became ready.
    pub(crate) ready: HashMap<Life, f64>,
}

/// One running server.
struct Running {
    life: Life,
    adapter: Adapter,
    driver: Driver,
    _attachment: Attachment,
    tasks: Vec<JoinHandle<()>>,
}

/// The servers.
pub(crate) struct Cluster {
    pub(crate) begun: Instant,
    pub(crate) notes: Rc<RefCell<Notes>>,
    bus: MemoryBus,
    running: RefCell<HashMap<String, Running>>,
    lives: RefCell<HashMap<String, u32>>,
}

pub(crate) fn room(number: usize) -> Room {
    Room::new("r", number.to_string()).expect("valid")
}

impl Cluster {
    pub(crate) async fn start(bus: &MemoryBus, plan: &Plan) -> Self {
        let cluster = Self {
            begun: Instant::now(),
            notes: Rc::default(),
            bus: bus.clone(),
            running: RefCell::default(),
            lives: RefCell::default(),
        };
        for server in &plan.servers {
            cluster.revive(server).await;
            sleep(Duration::from_millis(100)).await;
        }
        cluster
    }

    pub(crate) fn now(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Starts a server if it is not running.
    pub(crate) async fn revive(&self, name: &str) {
        if self.running.borrow().contains_key(name) {
            return;
        }
        let life = {
            let mut lives = self.lives.borrow_mut();
            let count = lives.entry(name.to_owned()).or_default();
            *count += 1;
            (name.to_owned(), *count)
        };
        let service = ServiceName::new("test").expect("valid");
        let mut options = Options::new(ServerName::new(name).expect("valid"), service);
        options.bus = Bus::Memory(self.bus.seen_from(name));
        options.shards = 1;
        let Started {
            adapter,
            driver,
            mut shards,
        } = Adapter::start(options).expect("valid options");
        let client = ClientId::new(format!("c-{name}")).expect("valid");
        let attachment = adapter.attach(client.clone(), 0).expect("one shard");
        let (notes, begun) = (self.notes.clone(), self.begun);
        let shard = shards.pop().expect("one shard");
        let first = (attachment.connection(), client);
        let shard = crate::server::run_shard(shard, first, notes.clone(), life.clone(), begun);
        let tasks = vec![
            tokio::task::spawn_local(shard),
            self.listen(&adapter, &life),
            self.await_ready(&adapter, &life),
        ];
        let running = Running {
            life,
            adapter,
            driver,
            _attachment: attachment,
            tasks,
        };
        self.running.borrow_mut().insert(name.to_owned(), running);
    }

    /// Answers requests, and records them.
    fn listen(&self, adapter: &Adapter, life: &Life) -> JoinHandle<()> {
        let mut requests = adapter.listen("ask");
        let (notes, begun, life) = (self.notes.clone(), self.begun, life.clone());
        tokio::task::spawn_local(async move {
            while let Some(event) = requests.next().await {
                let message = event.payload.parse().expect("a number");
                note(&notes, message, &life, begun);
                let _ = event.reply(Payload::null()).await;
            }
        })
    }

    fn await_ready(&self, adapter: &Adapter, life: &Life) -> JoinHandle<()> {
        let (adapter, notes, begun, life) = (adapter.clone(), self.notes.clone(), self.begun, life.clone());
        tokio::task::spawn_local(async move {
            adapter.ready().await;
            notes.borrow_mut().ready.insert(life, begun.elapsed().as_secs_f64());
        })
    }

    /// Ends a server without a goodbye.
    pub(crate) fn kill(&self, name: &str) {
        if let Some(running) = self.running.borrow_mut().remove(name) {
            running.tasks.iter().for_each(JoinHandle::abort);
            drop(running.driver);
            let now = self.now();
            let mut notes = self.notes.borrow_mut();
            let joins = notes.joins.iter_mut().filter(|join| join.life == running.life);
            joins.for_each(|join| join.until = join.until.min(now));
        }
    }

    pub(crate) fn adapter(&self, name: &str) -> Option<Adapter> {
        self.running.borrow().get(name).map(|running| running.adapter.clone())
    }

    pub(crate) fn lives(&self) -> Vec<(Life, Adapter)> {
        let running = self.running.borrow();
        running
            .values()
            .map(|one| (one.life.clone(), one.adapter.clone()))
            .collect()
    }

    pub(crate) async fn stop(self) {
        for (_, running) in self.running.into_inner() {
            running.tasks.iter().for_each(JoinHandle::abort);
            running.driver.shutdown(Duration::from_secs(10)).await;
        }
    }
}

fn note(notes: &Rc<RefCell<Notes>>, message: usize, life: &Life, begun: Instant) {
    let at = begun.elapsed().as_secs_f64();
    let life = life.clone();
    notes.borrow_mut().received.push(Received { message, life, at });
}

/// Owns the only client of a server, and records what it gets.
async fn run_shard(
    mut inbox: ShardInbox,
    (connection, client): (wsmesh_adapter::ConnectionId, ClientId),
    notes: Rc<RefCell<Notes>>,
    life: Life,
    begun: Instant,
) {
    let mut shard: Shard<()> = inbox.shard();
    shard.insert(connection, client, ());
    let mut batch = Vec::new();
    while inbox.recv(&mut batch).await > 0 {
        batch.drain(..).for_each(|command| shard.apply(command));
        shard.drain_dirty(|_, (), outbox| {
            while let Some(frame) = outbox.pop() {
                note(&notes, frame.as_str().parse().expect("a number"), &life, begun);
            }
        });
    }
}
