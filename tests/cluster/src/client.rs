//! One client: connects through the Service and comes back when it is sent away, is in one room, sends at a steady pace while it is
//! connected, and writes everything down.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use wsmesh_connector::{Client, ConnectionError, Connector, Event, Lifecycle, Listener, RequestError, Room};

use crate::options::Options;
use crate::record::{Book, Clock, Close, Key, Outcome, Presence, Received, Sent, To};
use crate::speech::Speech;

/// Most messages of a client that wait for their answers.
const MOST_UNDER_WAY: usize = 64;
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(6);
/// Messages that may wait to be written down.
const QUEUE: usize = 8_192;

/// What all clients share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) speech: Speech,
    pub(crate) clock: Clock,
    /// Ends the sending.
    pub(crate) stop: CancellationToken,
}

/// One client.
pub(crate) struct Runner {
    shared: Arc<Shared>,
    number: u32,
    client: Client,
    pub(crate) book: Arc<Book>,
}

impl Runner {
    /// Starts it; its tasks run in the sets, of which `sending` ends by itself.
    ///
    /// # Errors
    /// When the options make no client.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        number: u32,
        living: &mut JoinSet<()>,
        sending: &mut JoinSet<()>,
    ) -> anyhow::Result<Arc<Self>> {
        let (key, value) = shared.speech.introduction(number)?;
        let mut options = wsmesh_connector::Options::new(&shared.options.url).param(key, value);
        options.listener_queue = QUEUE;
        options.request_timeout = ANSWER;
        // A client of a Service has no other server to go to, so it waits only briefly when its server is gone.
        options.fast_reconnect_interval = Duration::from_secs(1);
        options.reconnect_max_interval = Duration::from_secs(20);
        let (client, task) = Connector::new(options)?;
        let room = number % shared.options.rooms;
        let runner = Arc::new(Self {
            shared: Arc::clone(shared),
            number,
            book: Arc::new(Book::new(room)),
            client,
        });
        let (pushes, lifecycle) = (runner.client.on(shared.speech.pushed_as()), runner.client.lifecycle());
        living.spawn(task.run());
        living.spawn(Arc::clone(&runner).receive(pushes));
        living.spawn(Arc::clone(&runner).live(lifecycle, shared.speech.room(room)));
        sending.spawn(Arc::clone(&runner).send(room));
        Ok(runner)
    }

    async fn receive(self: Arc<Self>, mut pushes: Listener<Event>) {
        while let Some(event) = pushes.recv().await {
            let at_us = self.shared.clock.now_us();
            let missed = pushes.missed();
            let key = Speech::read(&event.payload);
            self.book.write(|diary| {
                diary.missed = missed;
                diary.received.extend(key.map(|key| Received { key, at_us }));
            });
        }
    }

    /// Notes when it is connected and in its room, and when no more.
    async fn live(self: Arc<Self>, mut lifecycle: Listener<Lifecycle>, room: Room) {
        let mut is_open = false;
        let mut joining = JoinSet::new();
        loop {
            let now = tokio::select! {
                now = lifecycle.recv() => now,
                Some(joined) = joining.join_next() => {
                    match joined {
                        Ok(Ok(_)) => self.present(),
                        // Refused for now, or too late: the room is wanted as before.
                        _ if is_open => self.join(&mut joining, &room),
                        _ => {}
                    }
                    continue;
                }
            };
            match now {
                Some(Lifecycle::Opened) => {
                    is_open = true;
                    self.join(&mut joining, &room);
                }
                Some(Lifecycle::Ended(error)) => {
                    joining.abort_all();
                    joining = JoinSet::new();
                    self.ended(&error, std::mem::take(&mut is_open));
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// The connector joins again by itself, but only the answer to a request of its own tells when that is done.
    fn join(&self, joining: &mut JoinSet<Result<(), RequestError>>, room: &Room) {
        let (client, room) = (self.client.clone(), room.clone());
        joining.spawn(async move { client.join_room(room).await.map(drop) });
    }

    fn present(&self) {
        let from_us = self.shared.clock.now_us();
        self.book.write(|diary| {
            diary.presences.push(Presence {
                from_us,
                until_us: None,
            });
            for close in diary.closes.iter_mut().filter(|close| close.back_us.is_none()) {
                close.back_us = Some(from_us);
            }
        });
    }

    fn ended(&self, error: &ConnectionError, was_open: bool) {
        let at_us = self.shared.clock.now_us();
        let why = match error {
            ConnectionError::Closed { code, .. } => u16::from(*code).to_string(),
            ConnectionError::Refused { status, .. } => format!("HTTP {status}"),
            ConnectionError::PongTimeout => "no pong".to_owned(),
            ConnectionError::Timeout(_) => "no answer".to_owned(),
            ConnectionError::Transport(_) => "connection lost".to_owned(),
            other => other.to_string(),
        };
        self.book.write(|diary| {
            if !was_open {
                diary.failed_attempts += 1;
                return;
            }
            if let Some(presence) = diary
                .presences
                .last_mut()
                .filter(|presence| presence.until_us.is_none())
            {
                presence.until_us = Some(at_us);
            }
            diary.closes.push(Close {
                at_us,
                why,
                back_us: None,
            });
        });
    }

    /// Sends until it is told to stop, and waits for the answers.
    async fn send(self: Arc<Self>, room: u32) {
        let stop = self.shared.stop.clone();
        let interval = self.shared.options.interval();
        // Clients that all send at once would be a load of its own kind.
        let start = Instant::now() + interval.mul_f64(rand::random());
        let mut ticks = interval_at(start, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut under_way, mut number) = (JoinSet::new(), 0);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            while under_way.try_join_next().is_some() {}
            if !self.book.is_present() {
                continue;
            }
            if under_way.len() >= MOST_UNDER_WAY {
                self.book.write(|diary| diary.held_back += 1);
                continue;
            }
            number += 1;
            let to = match self.shared.speech.has_private_messages() && number % 2 == 0 {
                true => To::Client(rand::random_range(0..self.shared.options.clients)),
                false => To::Room(room),
            };
            let key = Key {
                sender: self.number,
                number,
            };
            under_way.spawn(Arc::clone(&self).say(key, to));
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn say(self: Arc<Self>, key: Key, to: To) {
        let (event, payload) = self.shared.speech.request(key, to);
        let at_us = self.shared.clock.now_us();
        let answer = self.client.request(event, &payload).await;
        let refusal = match &answer {
            Err(RequestError::Refused { code, text }) => Some(format!("{code}: {text}")),
            _ => None,
        };
        self.book.write(|diary| {
            let outcome = match answer {
                Ok(_) => Outcome::Accepted,
                Err(RequestError::Refused { .. }) => Outcome::Refused,
                Err(RequestError::Timeout(_)) => match diary.presences.last() {
                    Some(presence) if presence.from_us < at_us && presence.until_us.is_none() => Outcome::Silent,
                    _ => Outcome::Unknown,
                },
                Err(_) => Outcome::Unknown,
            };
            diary.refusals.extend(refusal);
            diary.sent.push(Sent {
                key,
                to,
                at_us,
                outcome,
            });
        });
    }

    /// Closes the connection for good.
    pub(crate) async fn close(&self) {
        self.client.close().await;
    }
}
