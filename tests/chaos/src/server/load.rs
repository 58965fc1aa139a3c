//! Load: messages of all kinds at an even rate. Each is sent by its own task, so that one that waits does not delay others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;
use wsmesh_adapter::{
    Adapter, Frame, Missing, Payload, Pick, PublishError, RequestError, RequestOptions, RoomOptions, Scope, ServerName,
    ServiceName, Target,
};

use super::{LOGIC, NEWS, WORK, clients};
use crate::clock::now_us;
use crate::message::{ALL_SERVERS, Kind, Message};
use crate::record::{Event, Log, Refusal};
use crate::talk::Setup;

/// How often messages are sent.
const TICK: Duration = Duration::from_millis(5);
/// A process that was stopped catches up with at most this much load.
const CATCH_UP: Duration = Duration::from_millis(50);
/// The maximum of messages under way; then the load waits.
const UNDER_WAY: usize = 50_000;
/// How much longer than its own limit a request may take before it counts as silent.
const GRACE: Duration = Duration::from_secs(3);
/// The kinds of twenty messages in a row.
const MIX: [Kind; 20] = {
    use Kind::{Client, Event, Everyone, Request, Room};
    [
        Room, Client, Room, Event, Room, Request, Room, Client, Room, Room, Everyone, Room, Event, Room, Client, Room,
        Request, Room, Event, Client,
    ]
};

/// What a server process sends.
pub(super) struct Load {
    sender: Arc<Sender>,
    running: Option<AbortHandle>,
}

impl Load {
    pub(super) fn new(adapter: Adapter, log: Arc<Log>, setup: Arc<Setup>) -> Self {
        let sender = Arc::new(Sender {
            adapter,
            log,
            setup,
            under_way: TaskTracker::new(),
        });
        Self { sender, running: None }
    }

    /// Sends this many messages a second from now on.
    pub(super) fn start(&mut self, rate: f64) {
        self.stop();
        self.running = Some(tokio::spawn(self.sender.clone().send_on(rate)).abort_handle());
    }

    pub(super) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }

    /// Stops sending and waits for what is under way; returns how many sends did not end.
    pub(super) async fn rest(&mut self) -> usize {
        self.stop();
        let under_way = &self.sender.under_way;
        under_way.close();
        let limit = Duration::from_millis(self.sender.setup.request_ms) + 2 * GRACE;
        let _ = timeout(limit, under_way.wait()).await;
        under_way.reopen();
        self.sender.log.flush();
        under_way.len()
    }
}

struct Sender {
    adapter: Adapter,
    log: Arc<Log>,
    setup: Arc<Setup>,
    under_way: TaskTracker,
}

impl Sender {
    async fn send_on(self: Arc<Self>, rate: f64) {
        let mut sequences: HashMap<(Kind, u16), u32> = HashMap::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut due, mut turn) = (Instant::now(), 0.0, rand::random_range(0..MIX.len()));
        loop {
            tick.tick().await;
            due += rate * last.elapsed().min(CATCH_UP).as_secs_f64();
            last = Instant::now();
            while due >= 1.0 {
                due -= 1.0;
                turn += 1;
                if self.under_way.len() >= UNDER_WAY {
                    continue;
                }
                let kind = MIX[turn % MIX.len()];
                let to = self.destination(kind);
                let sequence = sequences.entry((kind, to)).or_default();
                *sequence += 1;
                let message = Message {
                    sender: self.setup.process,
                    kind,
                    to,
                    sequence: *sequence,
                };
                let sender = self.clone();
                self.under_way.spawn(async move { sender.send(message).await });
            }
        }
    }

    fn destination(&self, kind: Kind) -> u16 {
        let audience = &self.setup.audience;
        match kind {
            Kind::Room => rand::random_range(0..audience.rooms),
            Kind::Client => rand::random_range(0..audience.clients),
            Kind::Everyone => 0,
            // Every other event is for every server.
            Kind::Event if rand::random() => ALL_SERVERS,
            Kind::Event => rand::random_range(1..=audience.servers.len() as u16),
            Kind::Request => 0,
        }
    }

    async fn send(&self, message: Message) {
        let start = now_us();
        let text = message.text(self.setup.audience.padding);
        if message.kind == Kind::Request {
            self.log.note_at(Event::Asked, message.key(), start);
            let outcome = self.ask(&text).await;
            if let Some(event) = outcome {
                self.log.note(event, message.key());
            }
            return;
        }
        let event = match self.publish(message, text).await {
            Ok(()) => Event::Accepted,
            Err(PublishError::Target(_)) => Event::Refused(Refusal::Nobody),
            Err(error) => {
                tracing::debug!("{message:?} was refused: {error}");
                Event::Refused(Refusal::NoNode)
            }
        };
        self.log.note_at(event, message.key(), start);
    }

    async fn publish(&self, message: Message, text: String) -> Result<(), PublishError> {
        let adapter = &self.adapter;
        match message.kind {
            Kind::Room => {
                let room = clients::room(message.to).expect("numbers are names");
                adapter.to_room(&room, Frame::new(text), RoomOptions::default()).await
            }
            Kind::Client => {
                let client = clients::client_id(message.to).expect("numbers are names");
                adapter.to_client(&client, Frame::new(text)).await.map(drop)
            }
            Kind::Everyone => adapter.to_everyone(Frame::new(text), Scope::Cluster).await,
            Kind::Event | Kind::Request => {
                let target = match message.to {
                    ALL_SERVERS => Target::Everyone,
                    number => Target::Server(self.server(number)),
                };
                adapter.emit(target, NEWS, Payload::new(&text)?).await
            }
        }
    }

    fn server(&self, number: u16) -> ServerName {
        let name = &self.setup.audience.servers[usize::from(number) - 1];
        ServerName::new(name).expect("the harness gives valid names")
    }

    /// The outcome of a request; `None` if it has none.
    async fn ask(&self, text: &str) -> Option<Event> {
        let logic = ServiceName::new(LOGIC).expect("a valid name");
        let target = Target::AnyOf(logic, Pick::LeastBusy);
        let payload = Payload::new(text).ok()?;
        let limit = Duration::from_millis(self.setup.request_ms) + GRACE;
        let asking = self.adapter.call(target, WORK, payload, RequestOptions::default());
        match timeout(limit, asking).await {
            Err(_) => None,
            Ok(Ok(_)) => Some(Event::Answered),
            Ok(Err(RequestError::Missing {
                why: Missing::TimedOut, ..
            })) => Some(Event::TimedOut),
            Ok(Err(_)) => Some(Event::Failed),
        }
    }
}
