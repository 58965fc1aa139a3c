//! Players who left a queue recently. A ticket that was on its way to a new owner when its player left must not be accepted there.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wsmesh_adapter::{ClientId, ServerName};

/// How long a departure is remembered: longer than a hand-over is retried.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A player and the ws-node that it left; without a ws-node the player has cancelled. The end of one connection does not concern a
/// player that came back elsewhere.
type Departure = (ClientId, Option<ServerName>);

/// The departures of the last minute, at most `limit`; the oldest are dropped first.
#[derive(Debug)]
pub(super) struct Departures {
    limit: usize,
    order: VecDeque<(Duration, Departure)>,
    latest: HashMap<Departure, Duration>,
}

impl Departures {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            latest: HashMap::new(),
        }
    }

    /// A player left one ws-node, or all.
    pub(super) fn note(&mut self, now: Duration, client: &ClientId, server: Option<&ServerName>) {
        let departure = (client.clone(), server.cloned());
        self.order.push_back((now, departure.clone()));
        self.latest.insert(departure, now);
        while self.order.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// Whether a player left after it last asked through `server`, or at the same time.
    pub(super) fn left_after(&self, client: &ClientId, server: &ServerName, asked: Duration) -> bool {
        let left = |server| self.latest.get(&(client.clone(), server));
        let mut left = [left(None), left(Some(server.clone()))].into_iter().flatten();
        left.any(|&left| left >= asked)
    }

    /// Drops departures that are too old to matter.
    pub(super) fn expire(&mut self, now: Duration) {
        while self
            .order
            .front()
            .is_some_and(|(left, _)| now.saturating_sub(*left) > REMEMBERED)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((left, departure)) = self.order.pop_front()
            && self.latest.get(&departure) == Some(&left)
        {
            self.latest.remove(&departure);
        }
    }
}
